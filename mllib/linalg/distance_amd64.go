package linalg

import (
	"math"

	"golang.org/x/sys/cpu"
)

// nearest4 finds, for four points of d numbers that lie one after the other at x, the best score and its panel in each of the
// panel's eight lanes. score and panel hold eight numbers a point; score must be filled with +Inf.
//
//go:noescape
func nearest4(x *float64, d int, panels, half *float64, n int, score *[4 * panelWidth]float64, panel *[4 * panelWidth]int64)

// nearestVector does as many points as come in fours, and returns how many.
func (p *Panels) nearestVector(points []float64, index []int32, score []float64) int {
	if !cpu.X86.HasAVX2 || p.d == 0 || p.k == 0 {
		return 0
	}
	var none, best [4 * panelWidth]float64
	for l := range none {
		none[l] = math.Inf(1)
	}
	n := len(index) &^ 3
	_ = points[:n*p.d]
	for i := 0; i < n; i += 4 {
		best = none
		var panel [4 * panelWidth]int64
		nearest4(&points[i*p.d], p.d, &p.data[0], &p.half[0], len(p.half)/panelWidth, &best, &panel)
		for r := range 4 {
			b, at := math.Inf(1), int64(0)
			for l := range panelWidth {
				// The lanes interleave the vectors: of equal scores the lowest number counts, not the first lane.
				v, c := best[r*panelWidth+l], panel[r*panelWidth+l]*panelWidth+int64(l)
				if v < b || v == b && c < at {
					b, at = v, c
				}
			}
			index[i+r], score[i+r] = int32(at), b
		}
	}
	return n
}

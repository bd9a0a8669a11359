package linalg

import "math"

// panelWidth is how many vectors lie side by side in a panel: two AVX registers of float64.
const panelWidth = 8

// Panels is a set of k vectors of d numbers, laid out so that the nearest one to a point is found at the speed of a matrix
// product: panels of eight vectors, and in each panel the first numbers of the eight, then the second ones, and so on.
//
// A point x is nearest to the vector c with the smallest score ½‖c‖² − x·c; its squared distance is ‖x‖² plus twice the score. The
// products of a score are added in the order of the coordinates, without fused multiply-add, so that all kernels give the same bits.
// Where points lie far from the origin, compared with their distances, subtract their mean from points and vectors first: the score
// is a difference of large numbers otherwise.
type Panels struct {
	k, d int
	data []float64 // ceil(k/8) panels of d rows of 8
	half []float64 // ½‖c‖², +Inf for what fills the last panel up
}

// NewPanels lays out the k vectors of d numbers that vectors holds one after the other.
func NewPanels(vectors []float64, k, d int) *Panels {
	n := (k + panelWidth - 1) / panelWidth
	p := &Panels{k: k, d: d, data: make([]float64, n*panelWidth*d), half: make([]float64, n*panelWidth)}
	for c := range p.half {
		p.half[c] = math.Inf(1)
		if c >= k {
			continue
		}
		panel, lane := p.data[c/panelWidth*panelWidth*d:], c%panelWidth
		sum := 0.0
		for j, v := range vectors[c*d : (c+1)*d] {
			panel[j*panelWidth+lane] = v
			sum += float64(v * v)
		}
		p.half[c] = sum / 2
	}
	return p
}

// Nearest finds the nearest vector to each of the len(index) points that points holds one after the other, and its score.
// Of equally near vectors the first counts. Points must be finite.
func (p *Panels) Nearest(points []float64, index []int32, score []float64) {
	n := p.nearestVector(points, index, score)
	p.nearestPlain(points[n*p.d:], index[n:], score[n:])
}

func (p *Panels) nearestPlain(points []float64, index []int32, score []float64) {
	d := p.d
	for i := range index {
		x := points[i*d : (i+1)*d]
		best, at := math.Inf(1), 0
		for first := 0; first < p.k; first += panelWidth {
			panel := p.data[first*d : (first+panelWidth)*d]
			var s [panelWidth]float64
			for j, v := range x {
				row := (*[panelWidth]float64)(panel[j*panelWidth:])
				for l := range s {
					s[l] += float64(v * row[l])
				}
			}
			for l, half := range p.half[first : first+panelWidth] {
				if v := half - s[l]; v < best {
					best, at = v, first+l
				}
			}
		}
		index[i], score[i] = int32(at), best
	}
}

// SquaredDistance is the sum of the squared differences of two vectors of equal length, added up in four interleaved sums.
func SquaredDistance(x, y []float64) float64 {
	var s0, s1, s2, s3 float64
	y = y[:len(x)]
	n := len(x) &^ 3
	for i := 0; i < n; i += 4 {
		a, b := (*[4]float64)(x[i:]), (*[4]float64)(y[i:])
		d0, d1, d2, d3 := a[0]-b[0], a[1]-b[1], a[2]-b[2], a[3]-b[3]
		s0 += float64(d0 * d0)
		s1 += float64(d1 * d1)
		s2 += float64(d2 * d2)
		s3 += float64(d3 * d3)
	}
	for i := n; i < len(x); i++ {
		d := x[i] - y[i]
		s0 += float64(d * d)
	}
	return (s0 + s1) + (s2 + s3)
}

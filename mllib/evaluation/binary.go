// Package evaluation measures predictions against what is true: of two classes by scores, of many classes by a confusion matrix, of numbers, and of ranked lists. Everything is
// weighted, exact, and merges in a fixed order: tasks measure their rows, and the driver puts the parts together.
package evaluation

import (
	"cmp"
	"math"
	"slices"
)

// Group is all rows with one score.
type Group struct {
	Score              float64
	Positive, Negative float64 // weights of the rows of class 1 and of class 0
}

// Groups sorts rows by score, highest first, and puts equal scores together. Labels above 0.5 are of class 1. Weights may be nil for ones. Rows whose score is
// not a number come last.
func Groups(scores, labels, weights []float64) []Group {
	all := make([]Group, len(scores))
	for i, s := range scores {
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		if all[i].Score = s + 0; labels[i] > 0.5 { // + 0 makes one of both zeros
			all[i].Positive = w
		} else {
			all[i].Negative = w
		}
	}
	slices.SortStableFunc(all, func(a, b Group) int { return cmp.Compare(b.Score, a.Score) })
	out := all[:0]
	for _, g := range all {
		out = appendGroup(out, g)
	}
	return out
}

func appendGroup(out []Group, g Group) []Group {
	if n := len(out); n > 0 && cmp.Compare(out[n-1].Score, g.Score) == 0 {
		out[n-1].Positive += g.Positive
		out[n-1].Negative += g.Negative
		return out
	}
	return append(out, g)
}

// MergeGroups puts the groups of the parts of a dataset together, neighbours in pairs, so that each group is moved a few times only. It changes the slice of parts.
func MergeGroups(parts ...[]Group) []Group {
	for len(parts) > 1 {
		for i := 0; i < len(parts); i += 2 {
			g := parts[i]
			if i+1 < len(parts) {
				g = mergeTwo(g, parts[i+1])
			}
			parts[i/2] = g
		}
		parts = parts[:(len(parts)+1)/2]
	}
	if len(parts) == 0 {
		return nil
	}
	return parts[0]
}

func mergeTwo(a, b []Group) []Group {
	out := make([]Group, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		if len(b) == 0 || len(a) > 0 && cmp.Compare(a[0].Score, b[0].Score) >= 0 {
			out, a = appendGroup(out, a[0]), a[1:]
		} else {
			out, b = appendGroup(out, b[0]), b[1:]
		}
	}
	return out
}

// Binary measures scores of two classes. It needs 24 bytes for each distinct score.
type Binary struct {
	groups   []Group
	pos, neg float64
}

// NewBinary measures groups sorted as Groups sorts them.
func NewBinary(groups []Group) *Binary {
	b := &Binary{groups: groups}
	for _, g := range groups {
		b.pos += g.Positive
		b.neg += g.Negative
	}
	return b
}

// Downsample merges consecutive groups so that about bins of them remain, for curves to draw: Spark's numBins.
func (b *Binary) Downsample(bins int) *Binary {
	per := len(b.groups) / max(bins, 1)
	if bins <= 0 || per < 2 {
		return b
	}
	out := &Binary{pos: b.pos, neg: b.neg}
	for i := 0; i < len(b.groups); i += per {
		g := b.groups[i]
		for _, o := range b.groups[i+1 : min(i+per, len(b.groups))] {
			g.Score = o.Score
			g.Positive += o.Positive
			g.Negative += o.Negative
		}
		out.groups = append(out.groups, g)
	}
	return out
}

// Point is a point of a curve.
type Point struct{ X, Y float64 }

// AreaUnderROC is the probability that a row of class 1 has a higher score than one of class 0, a tie counting half. It is NaN where a class is missing.
func (b *Binary) AreaUnderROC() float64 {
	area, above := 0.0, 0.0
	for _, g := range b.groups {
		area += g.Negative * (above + g.Positive/2)
		above += g.Positive
	}
	return area / (b.pos * b.neg)
}

// ROC is the curve of the true positive rate (y) over the false positive rate (x), from (0, 0) to (1, 1).
func (b *Binary) ROC() []Point {
	points := []Point{{}}
	for _, t := range b.Thresholds() {
		points = append(points, Point{t.FalsePositiveRate, t.Recall})
	}
	return points
}

// PR is the curve of precision (y) over recall (x). Its first point has recall 0 and the precision of the highest score, as Spark's has.
func (b *Binary) PR() []Point {
	var points []Point
	for i, t := range b.Thresholds() {
		if i == 0 {
			points = append(points, Point{0, t.Precision})
		}
		points = append(points, Point{t.Recall, t.Precision})
	}
	return points
}

// AreaUnderPR is the area under PR with straight lines between its points, as in Spark.
func (b *Binary) AreaUnderPR() float64 {
	area := 0.0
	points := b.PR()
	for i := 1; i < len(points); i++ {
		area += (points[i].X - points[i-1].X) * (points[i].Y + points[i-1].Y) / 2
	}
	return area
}

// AveragePrecision is the area under PR as steps: the mean of the precisions at the scores of the rows of class 1, as in scikit-learn.
func (b *Binary) AveragePrecision() float64 {
	area, last := 0.0, 0.0
	for _, t := range b.Thresholds() {
		area += (t.Recall - last) * t.Precision
		last = t.Recall
	}
	return area
}

// Threshold is what follows from calling all rows with at least this score class 1.
type Threshold struct {
	Score                                float64
	Precision, Recall, FalsePositiveRate float64
}

// F is the F-measure, which values recall beta times as much as precision.
func (t Threshold) F(beta float64) float64 {
	if t.Precision+t.Recall == 0 {
		return 0
	}
	return (1 + beta*beta) * t.Precision * t.Recall / (beta*beta*t.Precision + t.Recall)
}

// Thresholds measures each distinct score, highest first.
func (b *Binary) Thresholds() []Threshold {
	out := make([]Threshold, len(b.groups))
	tp, fp := 0.0, 0.0
	for i, g := range b.groups {
		tp += g.Positive
		fp += g.Negative
		out[i] = Threshold{g.Score, tp / (tp + fp), tp / b.pos, fp / b.neg}
		if tp+fp == 0 {
			out[i].Precision = math.NaN()
		}
	}
	return out
}

package tree

import "math"

// The statistics of a set of rows are a few float64: for classes the weight of each class, then the number of rows; for numbers
// the weight, Σ weight·y, Σ weight·y², then the number of rows. Copies of the bootstrap count. Sums of whole numbers are exact, so
// without weights the statistics of classes do not depend on the order of the rows. Products are rounded before they are added
// (float64(x*y)), so that processors with and without fused operations agree.

const (
	sumWeight = iota
	sumY
	sumYY
	sumRows
	regressionStats
)

// statSize is the length of statistics.
func (p *problem) statSize() int {
	if p.Regression {
		return regressionStats
	}
	return p.NumClasses + 1
}

// count is the number of rows.
func count(stats []float64) float64 { return stats[len(stats)-1] }

// weight is the weight of the rows.
func (p *problem) weight(stats []float64) float64 {
	if p.Regression {
		return stats[sumWeight]
	}
	w := 0.0
	for _, c := range stats[:len(stats)-1] {
		w += c
	}
	return w
}

// impurity is Gini's index 1 - Σ p², the entropy -Σ p·log₂ p, or the variance.
func (p *problem) impurity(stats []float64) float64 {
	w := p.weight(stats)
	if w <= 0 {
		return 0
	}
	if p.Regression {
		mean := stats[sumY] / w
		return max(0, stats[sumYY]/w-float64(mean*mean))
	}
	sum := 0.0
	for _, c := range stats[:len(stats)-1] {
		if c == 0 {
			continue
		}
		share := c / w
		if p.Entropy {
			sum -= float64(share * math.Log2(share))
		} else {
			sum += float64(share * share)
		}
	}
	if p.Entropy {
		return sum
	}
	return 1 - sum
}

// prediction is the class of the largest weight, the first of equal ones, or the mean.
func (p *problem) prediction(stats []float64) float64 {
	if p.Regression {
		if stats[sumWeight] <= 0 {
			return p.Mean
		}
		return stats[sumY]/stats[sumWeight] + p.Mean
	}
	best := 0
	for c, w := range stats[:len(stats)-1] {
		if w > stats[best] {
			best = c
		}
	}
	return float64(best)
}

// purity is a number that grows with how pure a set of rows is, for classes (Gini) Σ c²/w and for numbers (Σ w·y)²/w: what a split
// gains is the sum of it over both sides less that of the node, divided by the node's weight. Entropy has -w·entropy.
func (p *problem) purity(stats []float64) (purity, weight float64) {
	if p.Regression {
		w := stats[sumWeight]
		if w <= 0 {
			return 0, 0
		}
		return stats[sumY] * stats[sumY] / w, w
	}
	classes := stats[:len(stats)-1]
	if p.Entropy {
		w, sum := 0.0, 0.0
		for _, c := range classes {
			if c > 0 {
				w += c
				sum += float64(c * math.Log2(c))
			}
		}
		if w <= 0 {
			return 0, 0
		}
		return sum - float64(w*math.Log2(w)), w
	}
	w, sum := 0.0, 0.0
	for _, c := range classes {
		w += c
		sum += float64(c * c)
	}
	if w <= 0 {
		return 0, 0
	}
	return sum / w, w
}

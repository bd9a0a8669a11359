package classification

import (
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// sums is what an evaluation gathers: the loss and its derivatives by the coefficients and intercepts, as sums over rows.
type sums struct {
	Loss         float64
	Coefficients []float64 // a row for each function
	Intercepts   []float64
}

func newSums(functions, features int) sums {
	return sums{Coefficients: make([]float64, functions*features), Intercepts: make([]float64, functions)}
}

// addSums merges the sums of partitions.
func addSums(a, b sums) sums {
	a.Loss += b.Loss
	for i, x := range b.Coefficients {
		a.Coefficients[i] += x
	}
	for i, x := range b.Intercepts {
		a.Intercepts[i] += x
	}
	return a
}

// gradientOp evaluates the loss of each partition and its derivatives.
type gradientOp struct {
	Blocks       rdd.RDD[linalg.Block]
	Weighted     bool
	Coefficients []float64 // of the features as they are, a row for each function
	Intercepts   []float64
}

// Compute implements rdd.Op.
func (o gradientOp) Compute(t *rdd.Task, p int) (rdd.Stream[sums], error) {
	functions := len(o.Intercepts)
	features := len(o.Coefficients) / functions
	s := newSums(functions, features)
	var work workspace
	err := eachBlock(t, o.Blocks, p, func(b *linalg.Block) error {
		labels, weights := b.Labels(), b.Weights()
		if !o.Weighted {
			weights = nil
		}
		step := chunk(features)
		for from := 0; from < b.Rows(); from += step {
			to := min(from+step, b.Rows())
			var w []float64
			if weights != nil {
				w = weights[from:to]
			}
			if functions == 1 {
				o.binomial(&s, &work, b, from, labels[from:to], w)
			} else {
				o.multinomial(&s, &work, b, from, labels[from:to], w)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rdd.StreamOf([]sums{s}), nil
}

// chunk is how many rows are looked at twice, for their margins and then for their gradient, while they are in the cache.
func chunk(features int) int { return min(max(16, (96<<10)/(8*max(features, 1))), 512) }

// workspace is a task's scratch memory.
type workspace struct{ margins, row []float64 }

func (w *workspace) take(margins, row int) ([]float64, []float64) {
	if cap(w.margins) < margins {
		w.margins = make([]float64, margins)
	}
	if cap(w.row) < row {
		w.row = make([]float64, row)
	}
	return w.margins[:margins], w.row[:row]
}

func (o *gradientOp) binomial(s *sums, work *workspace, b *linalg.Block, from int, labels, weights []float64) {
	m, _ := work.take(len(labels), 0)
	b.Gemv(m, from, o.Coefficients)
	addTo(m, o.Intercepts[0])
	loss, sum := linalg.LogisticRows(m, labels, weights)
	s.Loss += loss
	s.Intercepts[0] += sum
	b.GemvT(s.Coefficients, from, m)
}

func addTo(x []float64, c float64) {
	if c == 0 {
		return
	}
	for i := range x {
		x[i] += c
	}
}

func (o *gradientOp) multinomial(s *sums, work *workspace, b *linalg.Block, from int, labels, weights []float64) {
	functions, n := len(o.Intercepts), len(labels)
	features := len(o.Coefficients) / functions
	m, row := work.take(functions*n, functions)
	for k := range functions {
		b.Gemv(m[k*n:(k+1)*n], from, o.Coefficients[k*features:(k+1)*features])
		addTo(m[k*n:(k+1)*n], o.Intercepts[k])
	}
	for i, y := range labels {
		for k := range row {
			row[k] = m[k*n+i]
		}
		mine := row[int(y)]
		w := 1.0
		if weights != nil {
			w = weights[i]
		}
		s.Loss += w * (linalg.Softmax(row) - mine)
		row[int(y)]--
		for k, d := range row {
			m[k*n+i] = w * d
		}
	}
	for k := range functions {
		d := m[k*n : (k+1)*n]
		for _, x := range d {
			s.Intercepts[k] += x
		}
		b.GemvT(s.Coefficients[k*features:(k+1)*features], from, d)
	}
}

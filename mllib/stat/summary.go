// Package stat describes data: weighted summaries of columns, and the labels of classes by how often they occur.
//
// # Invariants
//
// Summaries merge in a fixed order to the same bits, whatever computed their parts. Variances come from sums of squares around the mean of each
// block (Chan, Golub, LeVeque: Updating formulae and a pairwise algorithm for computing sample variances, 1979), so that a large mean costs
// no precision.
package stat

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Summary describes the columns of weighted rows, as Spark's org.apache.spark.ml.stat.Summarizer does. Its zero value describes no rows.
type Summary struct {
	Count           int64   // rows with a weight above 0
	WeightSum       float64 // Σ w
	WeightSquareSum float64 // Σ w²

	// Of each column:
	Mean     []float64 // Σ w·x / Σ w
	M2       []float64 // Σ w·(x - Mean)²
	Min, Max []float64
	NonZeros []float64 // rows, whatever their weight
	SumAbs   []float64 // Σ w·|x|
}

// Cols is the number of columns; 0 before the first rows.
func (s *Summary) Cols() int { return len(s.Mean) }

// Variance returns the unbiased variance of each column for reliability weights, as Spark computes it: M2 / (Σ w - Σ w² / Σ w). It is 0 where one row, or
// none, was seen.
func (s *Summary) Variance() []float64 {
	v := make([]float64, s.Cols())
	d := s.WeightSum - s.WeightSquareSum/s.WeightSum
	for j := range v {
		if d > 0 && s.Min[j] != s.Max[j] {
			v[j] = max(s.M2[j]/d, 0)
		}
	}
	return v
}

// Std returns the square roots of Variance.
func (s *Summary) Std() []float64 {
	v := s.Variance()
	for j := range v {
		v[j] = math.Sqrt(v[j])
	}
	return v
}

// NormL2 returns the root of Σ w·x² of each column.
func (s *Summary) NormL2() []float64 {
	v := make([]float64, s.Cols())
	for j := range v {
		v[j] = math.Sqrt(s.M2[j] + s.WeightSum*s.Mean[j]*s.Mean[j])
	}
	return v
}

func (s *Summary) alloc(cols int) {
	s.Mean, s.M2, s.NonZeros, s.SumAbs = make([]float64, cols), make([]float64, cols), make([]float64, cols), make([]float64, cols)
	s.Min, s.Max = make([]float64, cols), make([]float64, cols)
	for j := range cols {
		s.Min[j], s.Max[j] = math.Inf(1), math.Inf(-1)
	}
}

// Merge adds what o describes. A number of columns that differs is an error.
func (s *Summary) Merge(o *Summary) error {
	if o.Cols() == 0 {
		return nil
	}
	if s.Cols() == 0 {
		s.alloc(o.Cols())
	}
	if s.Cols() != o.Cols() {
		return fmt.Errorf("summarise: some rows have %d columns, others %d", s.Cols(), o.Cols())
	}
	w := s.WeightSum + o.WeightSum
	for j := range s.Mean {
		if w > 0 {
			d := o.Mean[j] - s.Mean[j]
			share := o.WeightSum / w
			s.Mean[j] += d * share
			s.M2[j] += o.M2[j] + d*d*s.WeightSum*share
		}
		s.Min[j], s.Max[j] = min(s.Min[j], o.Min[j]), max(s.Max[j], o.Max[j])
		s.NonZeros[j] += o.NonZeros[j]
		s.SumAbs[j] += o.SumAbs[j]
	}
	s.Count += o.Count
	s.WeightSum = w
	s.WeightSquareSum += o.WeightSquareSum
	return nil
}

// addWeights counts rows and returns their weights, ones where the block has none.
func (s *Summary) addWeights(rows int, weights []float64) []float64 {
	if weights == nil {
		weights = make([]float64, rows)
		for i := range weights {
			weights[i] = 1
		}
	}
	for _, w := range weights {
		if w > 0 {
			s.Count++
		}
		s.WeightSum += w
		s.WeightSquareSum += w * w
	}
	return weights
}

// AddDense describes the rows of a block too. NaNs make the mean of their column NaN.
func (s *Summary) AddDense(b *linalg.DenseBlock) error {
	var o Summary
	o.alloc(b.Cols)
	w := o.addWeights(b.Rows, b.Weights)
	b.GemvT(o.Mean, 0, w)
	if o.WeightSum > 0 {
		for j := range o.Mean {
			o.Mean[j] /= o.WeightSum
		}
	}
	if b.F32 != nil {
		addRows(&o, b.F32, w)
	} else {
		addRows(&o, b.F64, w)
	}
	return s.Merge(&o)
}

// addRows looks at columns one after the other, within tiles of rows that stay in the cache: what a column gathers stays in registers.
func addRows[F linalg.Float](o *Summary, x []F, weights []float64) {
	n := o.Cols()
	step := max(8, 16<<10/(8*max(n, 1)))
	for from := 0; from < len(weights); from += step {
		w := weights[from:min(from+step, len(weights))]
		for j := range n {
			mean, m2, nonZeros, abs, low, high := o.Mean[j], o.M2[j], o.NonZeros[j], o.SumAbs[j], o.Min[j], o.Max[j]
			at := from*n + j
			for _, wi := range w {
				v := float64(x[at])
				at += n
				d := v - mean
				m2 += float64(float64(wi*d) * d)
				abs += float64(wi * math.Abs(v))
				if v != 0 {
					nonZeros++
				}
				if v < low && wi > 0 {
					low = v
				}
				if v > high && wi > 0 {
					high = v
				}
			}
			o.M2[j], o.NonZeros[j], o.SumAbs[j], o.Min[j], o.Max[j] = m2, nonZeros, abs, low, high
		}
	}
}

// AddSparse describes the rows of a block too.
func (s *Summary) AddSparse(b *linalg.CSRBlock) error {
	var o Summary
	o.alloc(b.Cols)
	w := o.addWeights(b.Rows, b.Weights)
	b.GemvT(o.Mean, 0, w)
	weight := make([]float64, b.Cols) // of the rows that have the column
	rows := make([]int64, b.Cols)
	each := func(f func(i int, j int32, v float64)) {
		for i := range b.Rows {
			index, values := b.Row(i)
			for k, j := range index {
				v := 1.0
				if values != nil {
					v = values[k]
				}
				f(i, j, v)
			}
		}
	}
	weighted := int64(0)
	for _, wi := range w {
		if wi > 0 {
			weighted++
		}
	}
	each(func(i int, j int32, _ float64) {
		weight[j] += w[i]
		if w[i] > 0 {
			rows[j]++
		}
	})
	for j := range o.Mean {
		if weight[j] > 0 {
			o.Mean[j] /= weight[j]
		}
	}
	each(func(i int, j int32, v float64) {
		d := v - o.Mean[j]
		o.M2[j] += float64(float64(w[i]*d) * d)
		o.SumAbs[j] += float64(w[i] * math.Abs(v))
		if v != 0 {
			o.NonZeros[j]++
		}
		if w[i] > 0 {
			o.Min[j], o.Max[j] = min(o.Min[j], v), max(o.Max[j], v)
		}
	})
	for j := range o.Mean { // the zeros that are not stored
		if weight[j] > 0 && o.WeightSum > 0 {
			zeros := max(o.WeightSum-weight[j], 0)
			share := weight[j] / o.WeightSum
			o.M2[j] += o.Mean[j] * o.Mean[j] * zeros * share
			o.Mean[j] *= share
		} else {
			o.Mean[j] = 0
		}
		if rows[j] < weighted {
			o.Min[j], o.Max[j] = min(o.Min[j], 0), max(o.Max[j], 0)
		}
	}
	return s.Merge(&o)
}

// Add describes the rows of a block too.
func (s *Summary) Add(b *linalg.Block) error {
	if b.Dense.Rows > 0 {
		return s.AddDense(&b.Dense)
	}
	return s.AddSparse(&b.Sparse)
}

// Summarize describes the features of a dataset. The weights of its rows count if weighted is true; else each row weighs 1.
func Summarize(ctx context.Context, data rdd.RDD[linalg.Instance], weighted bool) (*Summary, error) {
	op := summaryOp{Rows: data, Weighted: weighted}
	parts, err := rdd.New[Summary](data.Session(), "Summarize", op, data.NumPartitions(), nil, rdd.Narrow{Node: data.Node()}).Collect(ctx)
	if err != nil {
		return nil, err
	}
	s := &Summary{}
	for i := range parts {
		if err := s.Merge(&parts[i]); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// summaryOp makes the summary of each partition.
type summaryOp struct {
	Rows     rdd.RDD[linalg.Instance]
	Weighted bool
}

// Compute implements rdd.Op.
func (o summaryOp) Compute(t *rdd.Task, p int) (rdd.Stream[Summary], error) {
	in, err := o.Rows.Compute(t, p)
	if err != nil {
		return nil, err
	}
	var s Summary
	pack := linalg.Packer{Weighted: o.Weighted}
	for {
		rows, err := in.Next()
		if err != nil && err != io.EOF {
			return nil, err
		}
		end := err == io.EOF
		for i := 0; i < len(rows) && !end; i++ {
			if err := pack.Add(&rows[i]); err != nil {
				return nil, fmt.Errorf("summarise partition %d: %w", p, err)
			}
		}
		if end || pack.Full() {
			if b, ok := pack.Take(); ok {
				if err := s.Add(&b); err != nil {
					return nil, fmt.Errorf("summarise partition %d: %w", p, err)
				}
			}
		}
		if end {
			return rdd.StreamOf([]Summary{s}), nil
		}
	}
}

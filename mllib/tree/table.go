package tree

import (
	"fmt"
	"math"

	"github.com/spark-go/spark-go/rdd"
)

// table is training data as trainers use it: of each feature the bins of all rows, one byte each, or two where there are more than
// 256 bins.
type table struct {
	Rows    int
	First   int64 // number of the first row among all rows of the dataset
	Bins    []bins
	Bits    [][]uint64 // the features with two bins once more, 64 to a word: each list has a word for each row
	Classes []uint16   // of each row, or
	Targets []float64  // of each row of a regression: its label less the mean
	Weights []float64  // nil: all 1
	Places  *places    // where rows stand in the trees that are growing
}

// bins are those of one feature: exactly one of the slices is used.
type bins struct {
	Narrow []uint8
	Wide   []uint16
}

// at is the bin of a row.
func (b *bins) at(row uint32) int {
	if b.Narrow != nil {
		return int(b.Narrow[row])
	}
	return int(b.Wide[row])
}

// newTable makes an empty table with room for rows.
func newTable(features []feature, rows int, regression, weighted bool) table {
	t := table{Bins: make([]bins, len(features)), Bits: make([][]uint64, words(features))}
	for w := range t.Bits {
		t.Bits[w] = make([]uint64, 0, rows)
	}
	for f := range features {
		if features[f].Bins <= 256 {
			t.Bins[f].Narrow = make([]uint8, 0, rows)
		} else {
			t.Bins[f].Wide = make([]uint16, 0, rows)
		}
	}
	if regression {
		t.Targets = make([]float64, 0, rows)
	} else {
		t.Classes = make([]uint16, 0, rows)
	}
	if weighted {
		t.Weights = make([]float64, 0, rows)
	}
	return t
}

// tableBytes is what a table of so many rows takes.
func tableBytes(features []feature, rows int64, weighted bool) int64 {
	row := int64(8) // the largest label
	if weighted {
		row += 8
	}
	row += 8 * int64(words(features))
	for f := range features {
		row++
		if features[f].Bins > 256 {
			row++
		}
	}
	return row * rows
}

// join appends the rows of another table.
func (t *table) join(o *table) {
	for w := range o.Bits {
		t.Bits[w] = append(t.Bits[w], o.Bits[w]...)
	}
	for f := range t.Bins {
		t.Bins[f].Narrow = append(t.Bins[f].Narrow, o.Bins[f].Narrow...)
		t.Bins[f].Wide = append(t.Bins[f].Wide, o.Bins[f].Wide...)
	}
	t.Classes = append(t.Classes, o.Classes...)
	t.Targets = append(t.Targets, o.Targets...)
	t.Weights = append(t.Weights, o.Weights...)
	t.Rows += o.Rows
}

// words is how many words the features with two bins take.
func words(features []feature) int {
	n := 0
	for f := range features {
		n = max(n, features[f].Bit+1)
	}
	return (n + 63) / 64
}

// pack fills in the bits.
func (t *table) pack(features []feature) {
	for w := range t.Bits {
		t.Bits[w] = append(t.Bits[w], make([]uint64, t.Rows)...)
	}
	for f := range features {
		if bit := features[f].Bit; bit >= 0 {
			w, shift := t.Bits[bit/64], bit&63
			for i, b := range t.Bins[f].Narrow {
				w[i] |= uint64(b) << shift
			}
		}
	}
}

// binOp makes one table of each partition.
type binOp struct {
	Batches    rdd.RDD[Columns]
	Features   []feature
	Rows       []int64 // of each partition
	Regression bool
	Weighted   bool
	Mean       float64
}

// Compute implements rdd.Op.
func (o binOp) Compute(t *rdd.Task, p int) (rdd.Stream[table], error) {
	in, err := o.Batches.Compute(t, p)
	if err != nil {
		return nil, err
	}
	out := newTable(o.Features, int(o.Rows[p]), o.Regression, o.Weighted)
	out.Places = &places{}
	for _, n := range o.Rows[:p] {
		out.First += n
	}
	err = rdd.EachBatch(t, in, func(batches []Columns) error {
		for i := range batches {
			if err := o.add(&out, &batches[i]); err != nil {
				return fmt.Errorf("train trees: partition %d: %w", p, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if int64(out.Rows) != o.Rows[p] {
		return nil, fmt.Errorf("train trees: partition %d has %d rows, it had %d before: the data changes from reading to reading: persist it", p, out.Rows, o.Rows[p])
	}
	out.pack(o.Features)
	return rdd.StreamOf([]table{out}), nil
}

func (o binOp) add(out *table, b *Columns) error {
	if err := b.check(len(o.Features), o.Weighted); err != nil {
		return err
	}
	for f := range o.Features {
		x, to := &b.Features[f], &out.Bins[f]
		if to.Narrow != nil {
			to.Narrow = binColumn(to.Narrow, x, &o.Features[f])
		} else {
			to.Wide = binColumn(to.Wide, x, &o.Features[f])
		}
	}
	if o.Regression {
		for _, label := range b.Labels {
			out.Targets = append(out.Targets, label-o.Mean)
		}
	} else {
		for _, label := range b.Labels {
			out.Classes = append(out.Classes, uint16(label))
		}
	}
	if o.Weighted {
		out.Weights = append(out.Weights, b.Weights...)
	}
	out.Rows += b.Rows
	return nil
}

// binColumn appends the bins of a column's values.
func binColumn[B uint8 | uint16](dst []B, x *Column, f *feature) []B {
	if x.Float32s != nil {
		return binValues(dst, x.Float32s, f)
	}
	return binValues(dst, x.Float64s, f)
}

func binValues[B uint8 | uint16, V float32 | float64](dst []B, x []V, f *feature) []B {
	switch {
	case f.Arity > 0:
		for _, v := range x {
			dst = append(dst, B(v))
		}
	case len(f.Thresholds) == 0:
		for range x {
			dst = append(dst, 0)
		}
	case len(f.Thresholds) == 1:
		cut := f.Thresholds[0]
		for _, v := range x {
			b := B(0)
			if float64(v) > cut {
				b = 1
			}
			dst = append(dst, b)
		}
	default:
		padded, half := paddedThresholds(f.Thresholds)
		for _, v := range x {
			i := 0
			for step := half; step > 0; step >>= 1 {
				if float64(v) > padded[(i+step-1)&(len(padded)-1)] {
					i += step
				}
			}
			dst = append(dst, B(i))
		}
	}
	return dst
}

// paddedThresholds appends infinities up to a power of two, of which half is the first step of a search by halves. At least one is
// appended, so that every value is found.
func paddedThresholds(t []float64) (padded []float64, half int) {
	n := 1
	for n <= len(t) {
		n *= 2
	}
	padded = append(make([]float64, 0, n), t...)
	for len(padded) < n {
		padded = append(padded, math.Inf(1))
	}
	return padded, n / 2
}

package linalg

import "fmt"

// DenseBlock is some consecutive rows of a dataset as one row-major matrix, with their labels and weights: what trainers iterate over. It is plain
// data: it travels and is cached as it is.
//
// Exactly one of F64 and F32 is in use. F32 is for features that float32 holds exactly, such as float columns of Parquet: it takes half the
// memory, and sums are float64 all the same.
type DenseBlock struct {
	Rows, Cols int
	F64        []float64 // Rows·Cols numbers, row after row
	F32        []float32
	Labels     []float64 // one a row; nil where there are none
	Weights    []float64 // one a row; nil means that each is 1
}

// Check tells what is wrong with the shape of b.
func (b *DenseBlock) Check() error {
	if n := b.Rows * b.Cols; len(b.F64)+len(b.F32) != n || b.F64 != nil && b.F32 != nil {
		return fmt.Errorf("a block of %d rows and %d columns has %d float64 and %d float32 numbers: it has %d of one kind", b.Rows, b.Cols, len(b.F64), len(b.F32), n)
	}
	return checkRows(b.Rows, b.Labels, b.Weights)
}

func checkRows(rows int, labels, weights []float64) error {
	if labels != nil && len(labels) != rows || weights != nil && len(weights) != rows {
		return fmt.Errorf("a block of %d rows has %d labels and %d weights: it has one a row, or none", rows, len(labels), len(weights))
	}
	return nil
}

// Row returns row i: the numbers themselves if they are F64, else in buf, which has Cols elements.
func (b *DenseBlock) Row(i int, buf []float64) []float64 {
	if b.F32 == nil {
		return b.F64[i*b.Cols : (i+1)*b.Cols]
	}
	for j, x := range b.F32[i*b.Cols : (i+1)*b.Cols] {
		buf[j] = float64(x)
	}
	return buf[:b.Cols]
}

// Gemv sets y[i] to the inner product of row from+i and w, for len(y) rows.
func (b *DenseBlock) Gemv(y []float64, from int, w []float64) {
	lo, hi := from*b.Cols, (from+len(y))*b.Cols
	if b.F32 != nil {
		GemvFloat32(y, b.F32[lo:hi], w)
	} else {
		GemvFloat64(y, b.F64[lo:hi], w)
	}
}

// GemvT adds r[i] times row from+i to g, row after row, for len(r) rows.
func (b *DenseBlock) GemvT(g []float64, from int, r []float64) {
	lo, hi := from*b.Cols, (from+len(r))*b.Cols
	if b.F32 != nil {
		GemvTFloat32(g, b.F32[lo:hi], r)
	} else {
		GemvTFloat64(g, b.F64[lo:hi], r)
	}
}

// CSRBlock is some consecutive rows of a dataset as a sparse matrix in compressed rows, with their labels and weights. It is plain data.
type CSRBlock struct {
	Rows, Cols int
	Start      []int32   // row i has the elements from Start[i] to Start[i+1]; Rows+1 numbers
	Index      []int32   // their columns, ascending in each row
	Values     []float64 // nil means that each is 1
	Labels     []float64 // one a row; nil where there are none
	Weights    []float64 // one a row; nil means that each is 1
}

// Check tells what is wrong with the shape of b.
func (b *CSRBlock) Check() error {
	if len(b.Start) != b.Rows+1 || b.Start[0] != 0 || int(b.Start[b.Rows]) != len(b.Index) || b.Values != nil && len(b.Values) != len(b.Index) {
		return fmt.Errorf("a sparse block of %d rows has %d starts, %d columns and %d values: the shape is wrong", b.Rows, len(b.Start), len(b.Index), len(b.Values))
	}
	for i := range b.Rows {
		lo, hi := b.Start[i], b.Start[i+1]
		if lo > hi || int(hi) > len(b.Index) {
			return fmt.Errorf("row %d of a sparse block goes from %d to %d", i, lo, hi)
		}
		last := int32(-1)
		for _, j := range b.Index[lo:hi] {
			if j <= last || int(j) >= b.Cols {
				return fmt.Errorf("row %d of a sparse block of %d columns has column %d after %d: columns ascend from 0", i, b.Cols, j, last)
			}
			last = j
		}
	}
	return checkRows(b.Rows, b.Labels, b.Weights)
}

// Row returns the columns and values of row i; values are nil if each is 1.
func (b *CSRBlock) Row(i int) (index []int32, values []float64) {
	lo, hi := b.Start[i], b.Start[i+1]
	if b.Values == nil {
		return b.Index[lo:hi], nil
	}
	return b.Index[lo:hi], b.Values[lo:hi]
}

// Gemv sets y[i] to the inner product of row from+i and w, for len(y) rows, each summed in the order of its columns.
func (b *CSRBlock) Gemv(y []float64, from int, w []float64) {
	for i := range y {
		index, values := b.Row(from + i)
		y[i] = sparseDot(index, values, w)
	}
}

// GemvT adds r[i] times row from+i to g, row after row, for len(r) rows.
func (b *CSRBlock) GemvT(g []float64, from int, r []float64) {
	for i, ri := range r {
		index, values := b.Row(from + i)
		if values == nil {
			for _, j := range index {
				g[j] += ri
			}
			continue
		}
		for k, j := range index {
			g[j] = float64(ri*values[k]) + g[j]
		}
	}
}

// sparseDot sums in the order of the places; nil values are ones.
func sparseDot(index []int32, values, w []float64) float64 {
	s := 0.0
	if values == nil {
		for _, j := range index {
			s += w[j]
		}
		return s
	}
	values = values[:len(index)]
	for k, j := range index {
		s = float64(values[k]*w[j]) + s
	}
	return s
}

package linalg

import (
	"fmt"
	"slices"
)

// Vector is a dense or sparse vector of float64. It is plain data: it travels, may be a field of rows, and its zero value is the empty vector.
type Vector struct {
	// Size is the number of elements.
	Size int
	// Index is nil for a dense vector, whose Values are its elements. For a sparse one it lists the places of Values, ascending, from 0;
	// all other elements are zero.
	Index  []int32
	Values []float64
}

// Dense makes a vector of its elements. The slice is not copied.
func Dense(values ...float64) Vector { return Vector{Size: len(values), Values: values} }

// Sparse makes a vector of size elements with values at the places of index, ascending from 0, and zeros elsewhere. The slices are not copied.
func Sparse(size int, index []int32, values []float64) (Vector, error) {
	if index == nil {
		index = []int32{}
	}
	v := Vector{Size: size, Index: index, Values: values}
	return v, v.Check()
}

// IsSparse tells whether v lists places.
func (v Vector) IsSparse() bool { return v.Index != nil || len(v.Values) != v.Size }

// Check tells what is wrong with the shape of v.
func (v Vector) Check() error {
	if !v.IsSparse() {
		return nil
	}
	if len(v.Index) != len(v.Values) {
		return fmt.Errorf("a vector of size %d has %d places and %d values: a dense vector has a value for each element, a sparse one for each place", v.Size, len(v.Index), len(v.Values))
	}
	last := int32(-1)
	for _, i := range v.Index {
		if i <= last || int(i) >= v.Size {
			return fmt.Errorf("a sparse vector of size %d has place %d after %d: places ascend from 0 to %d", v.Size, i, last, v.Size-1)
		}
		last = i
	}
	return nil
}

// At returns element i.
func (v Vector) At(i int) float64 {
	if !v.IsSparse() {
		return v.Values[i]
	}
	if k, ok := slices.BinarySearch(v.Index, int32(i)); ok {
		return v.Values[k]
	}
	return 0
}

// ToDense returns the elements: those of v itself if it is dense.
func (v Vector) ToDense() []float64 {
	if !v.IsSparse() {
		return v.Values
	}
	all := make([]float64, v.Size)
	for k, i := range v.Index {
		all[i] = v.Values[k]
	}
	return all
}

// Dot is the inner product with a dense vector of at least v.Size elements. A sparse vector gives the sum in the order of its places.
func (v Vector) Dot(w []float64) float64 {
	if !v.IsSparse() {
		return DotFloat64(v.Values, w[:len(v.Values)])
	}
	return sparseDot(v.Index, v.Values, w)
}

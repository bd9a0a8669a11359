// Package linalg holds the dense kernels that trainers share. They work on plain slices, allocate nothing and, being called for
// every row of a dataset, panic on slices of wrong shape as indexing does.
package linalg

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"
)

// AddOuter adds w·x·xᵀ to the lower triangle of the n×n row-major matrix a and c·x to b, for n = len(b).
func AddOuter(a, b []float64, x []float32, w, c float64) {
	n := len(b)
	x = x[:n]
	for i, xi := range x {
		row := a[i*n : i*n+i+1]
		s := w * float64(xi)
		for j := range row {
			row[j] += s * float64(x[j])
		}
		b[i] += c * float64(xi)
	}
}

// SolveSPD solves a·x = b for the symmetric positive definite n×n row-major matrix a, of which the lower triangle is given, by
// Cholesky's method. a is overwritten by its factor, b by x. It reports false if a is not positive definite.
func SolveSPD(a, b []float64) bool {
	n := len(b)
	chol, ok := lapack64.Potrf(blas64.Symmetric{N: n, Stride: n, Data: a, Uplo: blas.Lower})
	if !ok {
		return false
	}
	lapack64.Potrs(chol, blas64.General{Rows: n, Cols: 1, Stride: 1, Data: b})
	return true
}

// nnlsSweeps bounds the sweeps of SolveNonnegative. The normal equations of least squares converge linearly; those of trainers have
// converged long before.
const nnlsSweeps = 2000

// SolveNonnegative minimises ½xᵀ·a·x − bᵀx over x ≥ 0, for the symmetric positive definite n×n row-major matrix a, of which the lower
// triangle is given, by cyclic coordinate descent (Franc, Hlaváč, Navara: Sequential Coordinate-Wise Algorithm for the Non-negative
// Least Squares Problem, 2005). x is the result, grad is scratch; both of length n. It reports false if a diagonal element is not
// positive.
func SolveNonnegative(a, b, x, grad []float64) bool {
	n := len(b)
	scale := 0.0
	for i := range n {
		if !(a[i*n+i] > 0) {
			return false
		}
		x[i] = 0
		grad[i] = -b[i]
		scale = max(scale, b[i], -b[i])
	}
	for range nnlsSweeps {
		moved := 0.0
		for i := range n {
			next := max(0, x[i]-grad[i]/a[i*n+i])
			d := next - x[i]
			if d == 0 {
				continue
			}
			x[i] = next
			for j := range i {
				grad[j] += d * a[i*n+j]
			}
			for j := i; j < n; j++ {
				grad[j] += d * a[j*n+i]
			}
			moved = max(moved, d*a[i*n+i], -d*a[i*n+i])
		}
		if moved <= 1e-12*scale {
			break
		}
	}
	return true
}

// Dot returns Σ x[i]·y[i] in float64, for the length of x.
func Dot(x, y []float32) float64 {
	y = y[:len(x)]
	var s0, s1 float64
	i := 0
	for ; i+2 <= len(x); i += 2 {
		s0 += float64(x[i]) * float64(y[i])
		s1 += float64(x[i+1]) * float64(y[i+1])
	}
	if i < len(x) {
		s0 += float64(x[i]) * float64(y[i])
	}
	return s0 + s1
}

package linalg

import "math"

// SolveNormal solves A·x = b for a symmetric positive definite matrix A of order len(x), by its factors L·D·Lᵀ (Cholesky's method without
// roots). The lower triangle of A is in the first rows of the row-major matrix a, whose rows are stride numbers apart, and b in its next
// row, row len(x): what AddGram makes of rows that have their right-hand side in column len(x). stride is a multiple of four above
// len(x). a is overwritten; work is scratch of stride numbers. It reports false if A is not positive definite.
//
// The sums run in one order, so plain Go and assembly give the same bits.
func SolveNormal(a []float64, stride int, x, work []float64) bool {
	n := len(x)
	if stride <= n || stride%4 != 0 {
		panic("linalg: a system of equations whose rows are no multiple of four, or have no room for the right-hand side")
	}
	a, work = a[:stride*(n+1)], work[:stride]
	for j := range n {
		d := a[j*stride+j]
		if !(d > 0) || math.IsInf(d, 1) {
			return false
		}
		// Column j of L in work; zeros before it complete the first four.
		inverse := 1 / d
		for k := (j + 1) &^ 3; k <= j; k++ {
			work[k] = 0
		}
		for i, at := j+1, (j+1)*stride+j; i <= n; i, at = i+1, at+stride {
			work[i] = a[at] * inverse
		}
		if tiles {
			eliminateVector(&a[0], stride, j, n, &work[0])
		} else {
			eliminate(a, stride, j, n, work)
		}
	}
	// Row n is now z of L·D·z = b. Solve Lᵀ·x = z from below.
	copy(x, a[n*stride:])
	for j := n - 1; j > 0; j-- {
		v := x[j]
		left := x[:j]
		for k, l := range a[j*stride : j*stride+j][:len(left)] {
			left[k] -= float64(l * v)
		}
	}
	return true
}

// eliminate subtracts from the rows below row j their element in column j times column j of L, and puts that column in its place.
// Row n is the right-hand side.
func eliminate(a []float64, stride, j, n int, l []float64) {
	first := (j + 1) &^ 3
	for i := j + 1; i <= n; i++ {
		v := a[i*stride+j]
		last := min(i, n-1) | 3
		if first <= last {
			row := a[i*stride+first : i*stride+last+1]
			for k, u := range l[first : last+1] {
				row[k] -= float64(v * u)
			}
		}
		a[i*stride+j] = l[i]
	}
}

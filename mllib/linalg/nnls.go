package linalg

// nonnegativeSweeps bounds the sweeps of SolveNonnegative. The normal equations of trainers have converged long before.
const nonnegativeSweeps = 2000

// SolveNonnegative minimises ½·xᵀ·A·x − bᵀ·x over x ≥ 0 for a symmetric positive definite matrix A by cyclic coordinate descent (Franc,
// Hlaváč, Navara: Sequential Coordinate-Wise Algorithm for the Non-negative Least Squares Problem, 2005). A and b lie in a as for
// SolveNormal; what is above the diagonal of A is overwritten. x is the result, grad is scratch as long as x. It reports false if a
// diagonal element is not positive.
func SolveNonnegative(a []float64, stride int, x, grad []float64) bool {
	n := len(x)
	a, grad = a[:stride*(n+1)], grad[:n]
	scale := 0.0
	for i, b := range a[n*stride : n*stride+n] {
		if !(a[i*stride+i] > 0) {
			return false
		}
		x[i] = 0
		grad[i] = -b
		scale = max(scale, b, -b)
		for j := range i {
			a[j*stride+i] = a[i*stride+j] // rows are read as columns below
		}
	}
	for range nonnegativeSweeps {
		moved := 0.0
		for i := range n {
			row := a[i*stride : i*stride+n]
			d := max(0, x[i]-grad[i]/row[i]) - x[i]
			if d == 0 {
				continue
			}
			x[i] += d
			for j, v := range row {
				grad[j] += float64(d * v)
			}
			moved = max(moved, d*row[i], -d*row[i])
		}
		if moved <= 1e-12*scale {
			break
		}
	}
	return true
}

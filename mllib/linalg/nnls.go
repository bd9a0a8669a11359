package linalg

// Nonnegative solves least squares problems whose solutions have no negative number. The zero value is ready to use; it keeps its
// scratch memory and is for one goroutine.
type Nonnegative struct {
	small, work, solved, grad []float64
	free                      []int
	zero                      []bool
}

// Solve minimises ½·xᵀ·A·x − bᵀ·x over x ≥ 0 for a symmetric positive definite matrix A by block principal pivoting (Kim, Park: Fast
// Nonnegative Matrix Factorization: An Active-Set-Like Method and Comparisons, 2011): it guesses which numbers are zero, solves for the
// others, and corrects the guess until the conditions of Karush, Kuhn and Tucker hold. A and b lie in a as for SolveNormal; what is
// above the diagonal of A is overwritten. It reports false if A is not positive definite.
func (s *Nonnegative) Solve(a []float64, stride int, x []float64) bool {
	n := len(x)
	if stride <= n || stride%4 != 0 {
		panic("linalg: a system of equations whose rows are no multiple of four, or have no room for the right-hand side")
	}
	a = a[:stride*(n+1)]
	if len(s.grad) < n {
		s.small, s.work = make([]float64, stride*(n+1)), make([]float64, stride)
		s.solved, s.grad, s.free, s.zero = make([]float64, n), make([]float64, n), make([]int, 0, n), make([]bool, n)
	}
	// What rounding makes of a zero.
	slack := 0.0
	b := a[n*stride : n*stride+n]
	for i, v := range b {
		slack = max(slack, v, -v)
		s.zero[i] = false
		for j := range i {
			a[j*stride+i] = a[i*stride+j] // rows are read as columns below
		}
	}
	slack *= 1e-12
	wrong, fewest, patience := 0, n+1, 3
	for range 5*n + 20 {
		if !s.solveFree(a, b, stride, x) {
			return false
		}
		wrong = 0
		last := 0
		for i := range n {
			if s.wrong(a, stride, i, x, slack) {
				wrong++
				last = i
			}
		}
		if wrong == 0 {
			break
		}
		// Changing all wrong guesses at once is fast and may go in circles; changing the last one alone never does (Murty).
		all := true
		switch {
		case wrong < fewest:
			fewest, patience = wrong, 3
		case patience > 0:
			patience--
		default:
			all = false
		}
		if !all {
			s.zero[last] = !s.zero[last]
			continue
		}
		for i := range n {
			if s.wrong(a, stride, i, x, slack) {
				s.grad[i] = -1
			} else {
				s.grad[i] = 0
			}
		}
		for i := range n {
			if s.grad[i] < 0 {
				s.zero[i] = !s.zero[i]
			}
		}
	}
	for i := range x {
		x[i] = max(0, x[i])
	}
	if wrong > 0 {
		s.descend(a, b, stride, x, slack)
	}
	return true
}

// solveFree solves for the numbers that are not held at zero.
func (s *Nonnegative) solveFree(a, b []float64, stride int, x []float64) bool {
	s.free = s.free[:0]
	for i := range x {
		x[i] = 0
		if !s.zero[i] {
			s.free = append(s.free, i)
		}
	}
	f := len(s.free)
	small := RoundUp4(f + 1)
	for r, i := range s.free {
		row := a[i*stride : i*stride+len(x)]
		for c, j := range s.free[:r+1] {
			s.small[r*small+c] = row[j]
		}
		s.small[f*small+r] = b[i]
	}
	if !SolveNormal(s.small, small, s.solved[:f], s.work) {
		return false
	}
	for r, i := range s.free {
		x[i] = s.solved[r]
	}
	return true
}

// wrong tells whether the guess about x[i] contradicts the solution: below zero where it is free, or a gradient that pulls it above zero
// where it is held there.
func (s *Nonnegative) wrong(a []float64, stride, i int, x []float64, slack float64) bool {
	row := a[i*stride : i*stride+len(x)]
	if !s.zero[i] {
		return x[i]*row[i] < -slack
	}
	g := -a[len(x)*stride+i]
	for _, j := range s.free {
		g += float64(row[j] * x[j])
	}
	return g < -slack
}

// descend improves x by cyclic coordinate descent (Franc, Hlaváč, Navara: Sequential Coordinate-Wise Algorithm for the Non-negative Least
// Squares Problem, 2005): slow and sure, for the rare problem whose guesses rounding keeps from settling.
func (s *Nonnegative) descend(a, b []float64, stride int, x []float64, slack float64) {
	n := len(x)
	grad := s.grad[:n]
	for i := range n {
		grad[i] = -b[i]
		for j, v := range a[i*stride : i*stride+n] {
			grad[i] += float64(v * x[j])
		}
	}
	for range 2000 {
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
		if moved <= slack {
			return
		}
	}
}

package linalg

import (
	"math"
	"math/rand/v2"
	"testing"
)

// normalEquations makes a random positive definite system.
func normalEquations(r *rand.Rand, n int) (a, b []float64) {
	a, b = make([]float64, n*n), make([]float64, n)
	x := make([]float32, n)
	for range 3 * n {
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		AddOuter(a, b, x, 1, r.NormFloat64())
	}
	for i := range n {
		a[i*n+i] += 0.1
	}
	return a, b
}

// times is a·x for a symmetric matrix given by its lower triangle.
func times(a, x []float64) []float64 {
	n := len(x)
	y := make([]float64, n)
	for i := range n {
		for j := range n {
			y[i] += a[max(i, j)*n+min(i, j)] * x[j]
		}
	}
	return y
}

func TestSolveSPD(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 33} {
		a, b := normalEquations(r, n)
		x := append([]float64(nil), b...)
		if !SolveSPD(append([]float64(nil), a...), x) {
			t.Fatalf("n=%d: not positive definite", n)
		}
		for i, v := range times(a, x) {
			if math.Abs(v-b[i]) > 1e-9 {
				t.Errorf("n=%d: row %d of a·x is %g, want %g", n, i, v, b[i])
			}
		}
	}
	if SolveSPD([]float64{0}, []float64{1}) {
		t.Error("a singular matrix was solved")
	}
}

// TestSolveNonnegative holds the solution against the conditions of Karush, Kuhn and Tucker.
func TestSolveNonnegative(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 5, 20} {
		a, b := normalEquations(r, n)
		x, grad := make([]float64, n), make([]float64, n)
		if !SolveNonnegative(a, b, x, grad) {
			t.Fatalf("n=%d: not solved", n)
		}
		for i, v := range times(a, x) {
			g := v - b[i]
			if x[i] < 0 || g < -1e-7 || x[i] > 0 && math.Abs(g) > 1e-7 {
				t.Errorf("n=%d: x[%d]=%g has gradient %g", n, i, x[i], g)
			}
		}
	}
}

func BenchmarkNormalEquations(b *testing.B) {
	const rank, ratings = 10, 100
	r := rand.New(rand.NewPCG(1, 2))
	x := make([]float32, rank*ratings)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	a, rhs := make([]float64, rank*rank), make([]float64, rank)
	for b.Loop() {
		clear(a)
		clear(rhs)
		for k := range ratings {
			AddOuter(a, rhs, x[k*rank:(k+1)*rank], 1, 3)
		}
		for i := range rank {
			a[i*rank+i]++
		}
		SolveSPD(a, rhs)
	}
	b.ReportMetric(float64(b.N)*ratings/b.Elapsed().Seconds(), "ratings/s")
}

package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// normalEquations makes a random positive definite system of order n as SolveNormal takes it.
func normalEquations(r *rand.Rand, n int) (a []float64, stride int) {
	stride = RoundUp4(n + 1)
	x := make([]float64, 3*n*stride)
	for i := range x {
		if i%stride <= n {
			x[i] = r.NormFloat64()
		}
	}
	a = make([]float64, stride*stride)
	AddGram(a, stride, x, x)
	for i := range n {
		a[i*stride+i] += 0.1
	}
	return a, stride
}

// residual is A·x − b.
func residual(a []float64, stride int, x []float64) []float64 {
	n := len(x)
	y := make([]float64, n)
	for i := range n {
		y[i] = -a[n*stride+i]
		for j := range n {
			y[i] += a[max(i, j)*stride+min(i, j)] * x[j]
		}
	}
	return y
}

func TestSolveNormal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 3, 4, 7, 8, 10, 11, 33, 100} {
		a, stride := normalEquations(r, n)
		x, y, work := make([]float64, n), make([]float64, n), make([]float64, stride)
		b := append([]float64(nil), a...)
		if !SolveNormal(append([]float64(nil), a...), stride, x, work) {
			t.Fatalf("n=%d: not positive definite", n)
		}
		plainTiles(func() { SolveNormal(b, stride, y, work) })
		if err := tileDiffers(x, y); err != nil {
			t.Errorf("n=%d: %v", n, err)
		}
		for i, v := range residual(a, stride, x) {
			if math.Abs(v) > 1e-8 {
				t.Errorf("n=%d: row %d of a·x - b is %g", n, i, v)
			}
		}
	}
	for _, d := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if SolveNormal([]float64{d, 0, 0, 0, 1, 0, 0, 0}, 4, make([]float64, 1), make([]float64, 4)) {
			t.Errorf("the matrix %v was taken for positive definite", d)
		}
	}
}

func FuzzSolveNormal(f *testing.F) {
	f.Add(uint64(1), uint8(10))
	f.Fuzz(func(t *testing.T, seed uint64, order uint8) {
		r := rand.New(rand.NewPCG(seed, 6))
		n := int(order) % 40
		stride := RoundUp4(n + 1)
		a := wildNumbers(r, stride*stride)
		for i := range n {
			a[i*stride+i] = math.Abs(a[i*stride+i]) * float64(n*n)
		}
		x, y, work := make([]float64, n), make([]float64, n), make([]float64, stride)
		b := append([]float64(nil), a...)
		ok := SolveNormal(a, stride, x, work)
		plainTiles(func() {
			if SolveNormal(b, stride, y, work) != ok {
				t.Fatal("solvable for one and not for the other")
			}
		})
		if err := tileDiffers(x, y); err != nil {
			t.Fatal(err)
		}
	})
}

// TestNonnegative holds the solution against the conditions of Karush, Kuhn and Tucker, also where the matrix is nearly singular.
func TestNonnegative(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var s Nonnegative
	for _, n := range []int{20, 1, 2, 5, 10, 48} {
		for trial := range 200 {
			a, stride := normalEquations(r, n)
			if trial%2 == 0 && n > 1 {
				// Two columns that are nearly the same.
				for i := range n + 1 {
					hi, lo := max(i, 1), min(i, 1)
					a[hi*stride+lo] = a[i*stride]
				}
				a[stride+1] = a[0] * (1 + 1e-9)
				a[stride] = a[0]
			}
			x := make([]float64, n)
			if !s.Solve(append([]float64(nil), a...), stride, x) {
				t.Fatalf("n=%d: not solved", n)
			}
			for i, g := range residual(a, stride, x) {
				if x[i] < 0 || g < -1e-6 || x[i] > 0 && math.Abs(g) > 1e-6 {
					t.Fatalf("n=%d: x[%d]=%g has gradient %g", n, i, x[i], g)
				}
			}
			// Descent, which is for problems that do not settle, finds the same from elsewhere.
			y := append([]float64(nil), x...)
			y[0]++
			for i := range n {
				for j := range i {
					a[j*stride+i] = a[i*stride+j]
				}
			}
			if trial%2 == 1 {
				s.descend(a, a[n*stride:n*stride+n], stride, y, 1e-13)
				for i := range x {
					if math.Abs(x[i]-y[i]) > 1e-6 {
						t.Fatalf("n=%d: x[%d] is %g by pivoting and %g by descent", n, i, x[i], y[i])
					}
				}
			}
		}
	}
	if s.Solve(make([]float64, 8), 4, make([]float64, 1)) {
		t.Error("a singular matrix was solved")
	}
}

func BenchmarkSolve(b *testing.B) {
	for _, rank := range []int{10, 16, 50, 100} {
		a, stride := normalEquations(rand.New(rand.NewPCG(1, 2)), rank)
		x, work, c := make([]float64, rank), make([]float64, stride), make([]float64, len(a))
		var s Nonnegative
		for name, solve := range map[string]func(){
			"assembly":    func() { SolveNormal(c, stride, x, work) },
			"plain":       func() { plainTiles(func() { SolveNormal(c, stride, x, work) }) },
			"nonnegative": func() { s.Solve(c, stride, x) },
		} {
			b.Run(fmt.Sprintf("rank=%d/%s", rank, name), func(b *testing.B) {
				for b.Loop() {
					copy(c, a)
					solve()
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "systems/s")
			})
		}
	}
}

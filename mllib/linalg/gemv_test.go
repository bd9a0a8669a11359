package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// plainly runs f without assembly.
func plainly(f func()) {
	was := vectorised
	vectorised = false
	defer func() { vectorised = was }()
	f()
}

func sameBits(a, b []float64) bool {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

func numbers(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		x[i] = r.NormFloat64() * math.Exp(4*r.NormFloat64())
		if r.IntN(8) == 0 {
			x[i] = math.Copysign(0, r.NormFloat64())
		}
	}
	return x
}

func singles(x []float64) []float32 {
	s := make([]float32, len(x))
	for i := range x {
		s[i] = float32(x[i])
	}
	return s
}

// checkGemv compares both implementations on a matrix. The matrix ends where its memory does, so that a read beyond it would show in the sums:
// what follows is NaN.
func checkGemv(t *testing.T, r *rand.Rand, rows, cols int) {
	t.Helper()
	all := append(numbers(r, rows*cols), math.NaN(), math.NaN(), math.NaN(), math.NaN())
	x64, x32 := all[:rows*cols], singles(all)[:rows*cols]
	w, v, g := append(numbers(r, cols), math.NaN(), 7, 7, 7), append(numbers(r, rows), math.NaN())[:rows], append(numbers(r, cols), 5, 6, 7, 8)
	var got, want [4][]float64
	run := func(out *[4][]float64) {
		for i := range out {
			out[i] = make([]float64, rows)
			if i >= 2 {
				out[i] = append([]float64(nil), g...)
			}
		}
		GemvFloat64(out[0], x64, w[:cols])
		GemvFloat32(out[1], x32, w[:cols])
		GemvTFloat64(out[2][:cols], x64, v)
		GemvTFloat32(out[3][:cols], x32, v)
	}
	run(&got)
	plainly(func() { run(&want) })
	for i := range got {
		if !sameBits(got[i], want[i]) {
			t.Errorf("%d×%d, kernel %d: %v, in plain Go %v", rows, cols, i, got[i], want[i])
		}
	}
	for i := range rows {
		s := 0.0
		for j := range cols {
			s += x64[i*cols+j] * w[j]
		}
		if e := math.Abs(s - got[0][i]); e > 1e-9*(1+math.Abs(s)) && e > 1e-6 {
			t.Errorf("%d×%d: row %d is %g, want %g", rows, cols, i, got[0][i], s)
		}
	}
}

func TestGemvSameBits(t *testing.T) {
	if !vectorised {
		t.Log("this machine has no vector kernels: plain Go is compared with itself")
	}
	r := rand.New(rand.NewPCG(1, 2))
	for rows := range 10 {
		for cols := range 14 {
			checkGemv(t, r, rows, cols)
		}
	}
	checkGemv(t, r, 33, 123)
}

func FuzzGemv(f *testing.F) {
	f.Add(uint64(1), uint8(5), uint8(7))
	f.Fuzz(func(t *testing.T, seed uint64, rows, cols uint8) {
		checkGemv(t, rand.New(rand.NewPCG(seed, 3)), int(rows), int(cols))
	})
}

func TestGemvChecksShapes(t *testing.T) {
	defer func() {
		if r := recover(); r != errShape {
			t.Errorf("recovered %v", r)
		}
	}()
	GemvFloat64(make([]float64, 3), make([]float64, 5), make([]float64, 2))
}

func BenchmarkGemv(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ rows, cols int }{{512, 28}, {64, 784}} {
		x := numbers(r, c.rows*c.cols)
		x32 := singles(x)
		w, y := numbers(r, c.cols), make([]float64, c.rows)
		for name, f := range map[string]func(){
			"gemv32":  func() { GemvFloat32(y, x32, w) },
			"gemv64":  func() { GemvFloat64(y, x, w) },
			"gemvT32": func() { GemvTFloat32(w, x32, y) },
			"gemvT64": func() { GemvTFloat64(w, x, y) },
		} {
			clear(y)
			run := func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.rows), "ns/row")
			}
			b.Run(fmt.Sprintf("%s/%dx%d", name, c.rows, c.cols), run)
			b.Run(fmt.Sprintf("%s/%dx%d/plain", name, c.rows, c.cols), func(b *testing.B) { plainly(func() { run(b) }) })
		}
	}
}

package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// plainTiles runs f without assembly.
func plainTiles(f func()) {
	was := tiles
	tiles = false
	defer func() { tiles = was }()
	f()
}

// tileDiffers reports the first place where a and b differ; any two NaNs are alike.
func tileDiffers(a, b []float64) error {
	for i := range a {
		if math.Float64bits(a[i]) != math.Float64bits(b[i]) && (a[i] == a[i] || b[i] == b[i]) {
			return fmt.Errorf("element %d is %v with assembly and %v without", i, a[i], b[i])
		}
	}
	return nil
}

// wildNumbers makes n numbers of very different sizes, some of them special.
func wildNumbers(r *rand.Rand, n int) []float64 {
	x := make([]float64, n)
	for i := range x {
		switch r.IntN(20) {
		case 0:
			x[i] = 0
		case 1:
			x[i] = math.Copysign(0, -1)
		case 2:
			x[i] = r.NormFloat64() * 1e-160
		default:
			x[i] = r.NormFloat64() * math.Exp(r.NormFloat64())
		}
	}
	return x
}

func narrowed(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func TestGramIsTheSameInPlainGo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{4, 8, 12, 16, 20, 24, 28, 52, 100} {
		for _, m := range []int{0, 1, 2, 3, 17, 100} {
			x, y, start := wildNumbers(r, n*m), wildNumbers(r, n*m), wildNumbers(r, n*n)
			if m%2 == 0 {
				y = x
			}
			got, want := append([]float64(nil), start...), append([]float64(nil), start...)
			cut := m / 3 * n // the same sums in two steps
			AddGram(got, n, y[:cut], x[:cut])
			AddGram(got, n, y[cut:], x[cut:])
			plainTiles(func() { AddGram(want, n, y, x) })
			if err := tileDiffers(got, want); err != nil {
				t.Fatalf("%d rows of %d: %v", m, n, err)
			}
			for i := range n {
				for j := i | 3 + 1; j < n; j++ {
					if got[i*n+j] != start[i*n+j] {
						t.Fatalf("n=%d: element %d, %d above the diagonal was written", n, i, j)
					}
				}
				for j := range i + 1 {
					sum := start[i*n+j]
					for k := range m {
						sum = float64(y[k*n+i]*x[k*n+j]) + sum
					}
					if sum != got[i*n+j] {
						t.Fatalf("%d rows of %d: element %d, %d is %v, want %v", m, n, i, j, got[i*n+j], sum)
					}
				}
			}
		}
	}
}

func TestGatherAndScale(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{4, 12, 16} {
		for _, m := range []int{0, 1, 5, 33} {
			src := narrowed(wildNumbers(r, 20*n))
			rows, w := make([]int32, m), wildNumbers(r, m)
			for i := range rows {
				rows[i] = int32(r.IntN(20))
			}
			got, want := make([]float64, n*m), make([]float64, n*m)
			Gather(got, src, n, rows)
			plainTiles(func() { Gather(want, src, n, rows) })
			if err := tileDiffers(got, want); err != nil {
				t.Fatal(err)
			}
			scaled := make([]float64, n*m)
			ScaleRows(scaled, got, n, w)
			for i := range m {
				for k := range n {
					if got[i*n+k] != float64(src[int(rows[i])*n+k]) || scaled[i*n+k] != w[i]*got[i*n+k] {
						t.Fatalf("row %d number %d", i, k)
					}
				}
			}
			plainTiles(func() { ScaleRows(want, got, n, w) })
			if err := tileDiffers(scaled, want); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestGatherRefusesRowsThatDoNotExist(t *testing.T) {
	for _, row := range []int32{-1, 3, math.MaxInt32, math.MinInt32} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("row %d of 3 was gathered", row)
				}
			}()
			Gather(make([]float64, 4), make([]float32, 12), 4, []int32{row})
		}()
	}
}

func FuzzGram(f *testing.F) {
	f.Add(uint64(1), uint8(2), uint8(9))
	f.Fuzz(func(t *testing.T, seed uint64, quarter, m uint8) {
		r := rand.New(rand.NewPCG(seed, 5))
		n := 4 * (int(quarter)%16 + 1)
		x, y := make([]float64, n*int(m)), make([]float64, n*int(m))
		for i := range x {
			x[i], y[i] = math.Float64frombits(r.Uint64()), math.Float64frombits(r.Uint64())
		}
		got, want := make([]float64, n*n), make([]float64, n*n)
		AddGram(got, n, y, x)
		plainTiles(func() { AddGram(want, n, y, x) })
		if err := tileDiffers(got, want); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkGram(b *testing.B) {
	const m = 100
	for _, rank := range []int{10, 16, 48, 96} {
		for _, how := range []string{"assembly", "plain"} {
			b.Run(fmt.Sprintf("rank=%d/%s", rank, how), func(b *testing.B) {
				if how == "plain" {
					was := tiles
					tiles = false
					defer func() { tiles = was }()
				}
				n := RoundUp4(rank)
				r := rand.New(rand.NewPCG(1, 2))
				src := make([]float32, 1000*n)
				for i := range src {
					src[i] = float32(r.NormFloat64())
				}
				rows := make([]int32, m)
				for i := range rows {
					rows[i] = int32(r.IntN(1000))
				}
				x, c := make([]float64, n*m), make([]float64, n*n)
				for b.Loop() {
					clear(c)
					Gather(x, src, n, rows)
					AddGram(c, n, x, x)
				}
				b.ReportMetric(float64(b.N)*m/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkGather takes rows from a table that no first-level cache holds, as the trainer does.
func BenchmarkGather(b *testing.B) {
	const n, m, table = 12, 100, 60_000
	r := rand.New(rand.NewPCG(1, 2))
	src, rows, x := make([]float32, table*n), make([]int32, 1000*m), make([]float64, n*m)
	for i := range rows {
		rows[i] = int32(r.IntN(table))
	}
	at := 0
	for b.Loop() {
		Gather(x, src, n, rows[at:at+m])
		at = (at + m) % len(rows)
	}
	b.ReportMetric(float64(b.N)*m/b.Elapsed().Seconds(), "rows/s")
}

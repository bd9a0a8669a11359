package linalg

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestNearest holds the kernels to each other, bit for bit, and to a search that knows no panels.
func TestNearest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ n, k, d int }{{0, 1, 3}, {1, 1, 1}, {4, 8, 2}, {7, 9, 5}, {33, 50, 20}, {16, 3, 0}, {12, 100, 64}} {
		points, vectors := make([]float64, c.n*c.d), make([]float64, c.k*c.d)
		for i := range points {
			points[i] = float64(r.IntN(7)) - 3 + r.Float64()*float64(r.IntN(2)) // with ties
		}
		for i := range vectors {
			vectors[i] = float64(r.IntN(7)) - 3
		}
		p := NewPanels(vectors, c.k, c.d)
		index, plainIndex := make([]int32, c.n), make([]int32, c.n)
		score, plainScore := make([]float64, c.n), make([]float64, c.n)
		p.Nearest(points, index, score)
		p.nearestPlain(points, plainIndex, plainScore)
		for i := range index {
			if index[i] != plainIndex[i] || math.Float64bits(score[i]) != math.Float64bits(plainScore[i]) {
				t.Errorf("%v: point %d: %d %v, plain %d %v", c, i, index[i], score[i], plainIndex[i], plainScore[i])
			}
			best, at := math.Inf(1), 0
			x := points[i*c.d : (i+1)*c.d]
			for v := range c.k {
				if s := SquaredDistance(x, vectors[v*c.d:(v+1)*c.d]); s < best-1e-9 {
					best, at = s, v
				}
			}
			got := SquaredDistance(x, vectors[int(index[i])*c.d:][:c.d])
			norm := SquaredDistance(x, make([]float64, c.d))
			if math.Abs(got-best) > 1e-9 || math.Abs(norm+2*score[i]-best) > 1e-9 {
				t.Errorf("%v: point %d: nearest is %d at %v (score %v), want %d at %v", c, i, index[i], got, score[i], at, best)
			}
		}
	}
}

func FuzzNearest(f *testing.F) {
	f.Add(uint64(1), uint8(5), uint8(9), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, n, k, d uint8) {
		if k == 0 {
			return
		}
		r := rand.New(rand.NewPCG(seed, 1))
		points, vectors := make([]float64, int(n)*int(d)), make([]float64, int(k)*int(d))
		for i := range points {
			points[i] = math.Float64frombits(r.Uint64()&^(1<<62) | 1<<61) // tiny to large, both signs, always finite
		}
		for i := range vectors {
			vectors[i] = r.NormFloat64()
		}
		p := NewPanels(vectors, int(k), int(d))
		index, plain := make([]int32, n), make([]int32, n)
		score, plainScore := make([]float64, n), make([]float64, n)
		p.Nearest(points, index, score)
		p.nearestPlain(points, plain, plainScore)
		for i := range index {
			if index[i] != plain[i] || math.Float64bits(score[i]) != math.Float64bits(plainScore[i]) {
				t.Fatalf("point %d: %d %v, plain %d %v", i, index[i], score[i], plain[i], plainScore[i])
			}
		}
	})
}

func BenchmarkNearest(b *testing.B) {
	for _, c := range []struct{ k, d int }{{50, 20}, {100, 64}, {10, 784}} {
		points, vectors := make([]float64, 1024*c.d), make([]float64, c.k*c.d)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range points {
			points[i] = r.NormFloat64()
		}
		for i := range vectors {
			vectors[i] = r.NormFloat64()
		}
		p := NewPanels(vectors, c.k, c.d)
		index, score := make([]int32, 1024), make([]float64, 1024)
		for _, kernel := range []struct {
			name string
			run  func([]float64, []int32, []float64)
		}{{"vector", p.Nearest}, {"plain", p.nearestPlain}} {
			b.Run(fmt.Sprintf("k=%d,d=%d/%s", c.k, c.d, kernel.name), func(b *testing.B) {
				for b.Loop() {
					kernel.run(points, index, score)
				}
				b.ReportMetric(float64(b.N)*1024*float64(2*c.k*c.d)/b.Elapsed().Seconds()/1e9, "Gflop/s")
				b.ReportMetric(float64(b.N)*1024/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

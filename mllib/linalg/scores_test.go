package linalg

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestScoresAreInnerProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, rank := range []int{1, 3, 10, 17} {
		for _, n := range []int{0, 1, 11, 12, 50} {
			vectors := narrowed(wildNumbers(r, n*rank))
			b := NewScoreBlock(vectors, rank)
			for rows := range 5 {
				x := narrowed(wildNumbers(r, rows*rank))
				got, same := make([]float64, 4*b.Stride()), make([]float64, 4*b.Stride())
				b.Scores(got, x)
				plainTiles(func() { b.Scores(same, x) })
				if err := tileDiffers(got, same); err != nil {
					t.Fatal(err)
				}
				for i := range rows {
					for j := range b.Len() {
						if g, w := got[i*b.Stride()+j], Dot(x[i*rank:(i+1)*rank], vectors[j*rank:(j+1)*rank]); g != w {
							t.Fatalf("rank %d: score %d, %d is %v, want %v", rank, i, j, g, w)
						}
					}
				}
			}
		}
	}
}

func TestDotsAreDot(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, rank := range []int{0, 1, 10, 17} {
		for n := range 11 {
			x, vectors := narrowed(wildNumbers(r, rank)), narrowed(wildNumbers(r, n*rank))
			got := make([]float64, n)
			Dots(got, x, vectors)
			for i, v := range got {
				if want := Dot(x, vectors[i*rank:(i+1)*rank]); math.Float64bits(v) != math.Float64bits(want) && !(math.IsNaN(v) && math.IsNaN(want)) {
					t.Fatalf("rank %d: number %d of %d is %v, want %v", rank, i, n, v, want)
				}
			}
		}
	}
}

func BenchmarkDots(b *testing.B) {
	const rank, n = 10, 4096
	x, vectors, scores := make([]float32, rank), make([]float32, rank*n), make([]float64, n)
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			for i := range scores {
				scores[i] = Dot(x, vectors[i*rank:(i+1)*rank])
			}
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "pairs/s")
	})
	b.Run("four", func(b *testing.B) {
		for b.Loop() {
			Dots(scores, x, vectors)
		}
		b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "pairs/s")
	})
}

func TestTop(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		n, limit := r.IntN(60), r.IntN(20)-1
		scores := make([]float64, n)
		var want []Score
		for i := range scores {
			switch scores[i] = float64(r.IntN(8)); {
			case r.IntN(10) == 0:
				scores[i] = math.NaN()
			case r.IntN(10) == 0:
				scores[i] = math.Inf(-1)
			default:
				want = append(want, Score{int32(i), scores[i]})
			}
		}
		slices.SortStableFunc(want, func(a, b Score) int { return cmp.Compare(b.Value, a.Value) })
		want = want[:min(len(want), max(0, limit))]
		top := NewTop(limit)
		cut := n / 2
		top.Offer(0, scores[:cut])
		top.Offer(int32(cut), scores[cut:])
		if got := top.Take(); !slices.Equal(got, want) {
			t.Fatalf("the best %d of %v are %v, want %v", limit, scores, got, want)
		}
	}
}

func BenchmarkScores(b *testing.B) {
	const rank, n, limit = 10, 4096, 20
	r := rand.New(rand.NewPCG(1, 2))
	vectors, x := make([]float32, rank*n), make([]float32, rank*4)
	for i := range vectors {
		vectors[i] = float32(r.NormFloat64())
	}
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	block, top := NewScoreBlock(vectors, rank), NewTop(limit)
	dst := make([]float64, 4*block.Stride())
	for b.Loop() {
		block.Scores(dst, x)
		for i := range 4 {
			top.Offer(0, dst[i*block.Stride():i*block.Stride()+n])
			top.Take()
		}
	}
	b.ReportMetric(float64(b.N)*4*n/b.Elapsed().Seconds(), "scores/s")
}

package rdd_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func TestStatsMatchModel(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(1, 2))
	results := map[string][]float64{}
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for _, n := range []int{1, 2, 7, 5000} {
			rows := make([]float64, n)
			for i := range rows {
				rows[i] = 1e6 + rng.NormFloat64()
			}
			sum := 0.0
			for _, x := range rows {
				sum += x
			}
			mean, m2 := sum/float64(n), 0.0
			for _, x := range rows {
				m2 += (x - mean) * (x - mean)
			}
			for _, parts := range []int{1, 3, 16} {
				r := rdd.Parallelize(sc, rows, parts)
				s, err := rdd.Stats(ctx, r)
				if err != nil {
					t.Fatal(err)
				}
				check := func(name string, got float64, err error, want, tolerance float64) {
					t.Helper()
					if err != nil || math.Abs(got-want) > tolerance*math.Abs(want) && got != want {
						t.Errorf("%d rows in %d: %s = %v, %v, want %v", n, parts, name, got, err, want)
					}
				}
				if s.Count() != int64(n) || s.Min() != slices.Min(rows) || s.Max() != slices.Max(rows) {
					t.Errorf("stats %v of %d rows", s, n)
				}
				got, err := rdd.Sum(ctx, r)
				check("Sum", got, err, sum, 1e-12)
				check("StatCounter.Sum", s.Sum(), nil, sum, 1e-12)
				got, err = rdd.Mean(ctx, r)
				check("Mean", got, err, mean, 1e-12)
				got, err = rdd.Variance(ctx, r)
				check("Variance", got, err, m2/float64(n), 1e-6)
				got, err = rdd.Stdev(ctx, r)
				check("Stdev", got, err, math.Sqrt(m2/float64(n)), 1e-6)
				if n > 1 {
					got, err = rdd.SampleVariance(ctx, r)
					check("SampleVariance", got, err, m2/float64(n-1), 1e-6)
					got, err = rdd.SampleStdev(ctx, r)
					check("SampleStdev", got, err, math.Sqrt(m2/float64(n-1)), 1e-6)
				}
			}
		}
	})
	// The same bits with any number of cores.
	onCores(t, func(t *testing.T, sc *driver.Context) {
		r := rdd.Map(rdd.Range(sc, 0, 50_000, 1, 13), func(x int64) float64 { return math.Sin(float64(x)) * 1e9 })
		s, err := rdd.Stats(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := rdd.Sum(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		results[t.Name()] = []float64{s.Mean(), s.Variance(), sum}
	})
	var first []float64
	for _, r := range results {
		if first == nil {
			first = r
		}
		if !slices.Equal(r, first) {
			t.Errorf("results differ: %v", results)
		}
	}
}

func TestStatCounterMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, sizes := range [][2]int{{0, 0}, {0, 5}, {5, 0}, {10, 10}, {3, 1000}, {1000, 3}} {
		var a, b, all rdd.StatCounter
		for i := range sizes[0] + sizes[1] {
			x := rng.NormFloat64() * 10
			all.Add(x)
			if i < sizes[0] {
				a.Add(x)
			} else {
				b.Add(x)
			}
		}
		a.Merge(b)
		if a.Count() != all.Count() || a.Min() != all.Min() || a.Max() != all.Max() {
			t.Errorf("%v: %v, want %v", sizes, a, all)
		}
		if all.Count() == 0 {
			if !math.IsNaN(a.Mean()) || !math.IsNaN(a.Variance()) || a.Sum() != 0 || !math.IsInf(a.Min(), 1) || !math.IsInf(a.Max(), -1) {
				t.Errorf("of nothing: %v", a)
			}
			continue
		}
		if math.Abs(a.Mean()-all.Mean()) > 1e-12 || math.Abs(a.Variance()-all.Variance()) > 1e-9 {
			t.Errorf("%v: %v, want %v", sizes, a, all)
		}
	}
}

func TestHistogramMatchesModel(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(5, 6))
	model := func(rows, bounds []float64) []int64 {
		counts := make([]int64, len(bounds)-1)
		for _, x := range rows {
			for i := range counts {
				if x >= bounds[i] && (x < bounds[i+1] || i == len(counts)-1 && x == bounds[i+1]) {
					counts[i]++
				}
			}
		}
		return counts
	}
	onCores(t, func(t *testing.T, sc *driver.Context) {
		rows := make([]float64, 3000)
		for i := range rows {
			rows[i] = math.Round(rng.NormFloat64()*100) / 10
		}
		r := rdd.Parallelize(sc, rows, 5)
		for _, buckets := range []int{1, 2, 3, 7, 10, 100} {
			bounds, counts, err := rdd.Histogram(ctx, r, buckets)
			if err != nil || len(bounds) != buckets+1 || bounds[0] != slices.Min(rows) || bounds[buckets] != slices.Max(rows) {
				t.Fatalf("%d buckets: bounds %v, %v", buckets, bounds, err)
			}
			if want := model(rows, bounds); !slices.Equal(counts, want) {
				t.Errorf("%d buckets: %v, want %v", buckets, counts, want)
			}
		}
		for _, bounds := range [][]float64{{-5, 5}, {-3, -1, 0, 2.5, 30}, {100, 200}, {math.Inf(-1), 0, math.Inf(1)}} {
			counts, err := rdd.HistogramBuckets(ctx, rdd.Parallelize(sc, append(slices.Clone(rows), math.NaN()), 3), bounds)
			if want := model(rows, bounds); err != nil || !slices.Equal(counts, want) {
				t.Errorf("%v: %v, %v, want %v", bounds, counts, err, want)
			}
		}
	})
}

func TestHistogramEdges(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	bounds, counts, err := rdd.Histogram(ctx, rdd.Parallelize(sc, []int{4, 4, 4}, 2), 5)
	if err != nil || !slices.Equal(bounds, []float64{4, 4}) || !slices.Equal(counts, []int64{3}) {
		t.Errorf("of equal rows: %v %v %v", bounds, counts, err)
	}
	wide := []float64{-math.MaxFloat64, 0, math.MaxFloat64}
	bounds, counts, err = rdd.Histogram(ctx, rdd.Parallelize(sc, wide, 2), 2)
	if err != nil || !slices.Equal(bounds, wide) || !slices.Equal(counts, []int64{1, 2}) {
		t.Errorf("of the widest range: %v %v %v", bounds, counts, err)
	}
	for name, rows := range map[string][]float64{"nothing": nil, "NaN": {1, math.NaN()}, "infinity": {1, math.Inf(1)}} {
		if _, _, err := rdd.Histogram(ctx, rdd.Parallelize(sc, rows, 2), 2); err == nil {
			t.Errorf("histogram of %s gave no error", name)
		}
	}
	r := rdd.Range(sc, 0, 10, 1, 2)
	if _, _, err := rdd.Histogram(ctx, r, 0); err == nil {
		t.Error("no buckets gave no error")
	}
	for _, bounds := range [][]float64{nil, {1}, {2, 1}, {1, 1}, {1, math.NaN()}} {
		if _, err := rdd.HistogramBuckets(ctx, r, bounds); err == nil {
			t.Errorf("bounds %v gave no error", bounds)
		}
	}
}

func byPairKey(a, b rdd.Pair[string, int]) int { return cmp.Compare(a.Key, b.Key) }

func TestTopMatchesModel(t *testing.T) {
	ctx := context.Background()
	type row = rdd.Pair[string, int]
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for _, size := range []int{0, 1, 100, 4000} {
			rows := randomNumbers(7, size, 50)
			for _, parts := range []int{1, 3, 8} {
				r := rdd.Parallelize(sc, rows, parts)
				for _, n := range []int{0, 1, 10, 200, 100_000} {
					up, down := slices.Clone(rows), slices.Clone(rows)
					slices.SortStableFunc(up, byPairKey)
					slices.SortStableFunc(down, func(a, b row) int { return byPairKey(b, a) })
					what := fmt.Sprintf("%d of %d in %d", n, size, parts)
					got, err := rdd.TakeOrderedFunc(ctx, r, n, byPairKey)
					if err != nil {
						t.Fatal(err)
					}
					same(t, what+": TakeOrderedFunc", got, up[:min(n, size)])
					if got, err = rdd.TopFunc(ctx, r, n, byPairKey); err != nil {
						t.Fatal(err)
					}
					same(t, what+": TopFunc", got, down[:min(n, size)])
				}
				if size > 0 {
					want := slices.MaxFunc(rows, byPairKey)
					if got, err := rdd.MaxFunc(ctx, r, byPairKey); err != nil || got != want {
						t.Errorf("MaxFunc = %v, %v, want %v", got, err, want)
					}
					want = slices.MinFunc(rows, byPairKey)
					if got, err := rdd.MinFunc(ctx, r, byPairKey); err != nil || got != want {
						t.Errorf("MinFunc = %v, %v, want %v", got, err, want)
					}
				}
			}
		}
		if _, err := rdd.Max(ctx, rdd.Parallelize(sc, []int{}, 2)); !errors.Is(err, rdd.ErrEmpty) {
			t.Errorf("Max of nothing: %v", err)
		}
		if _, err := rdd.Top(ctx, rdd.Parallelize(sc, []int{1}, 2), -1); err == nil {
			t.Error("Top(-1) gave no error")
		}
		nan := math.NaN()
		odd := rdd.Parallelize(sc, []float64{1, nan, 5, math.Inf(1), nan, -3}, 3)
		if got, err := rdd.Max(ctx, odd); err != nil || got != math.Inf(1) {
			t.Errorf("Max with NaN = %v, %v", got, err)
		}
		if got, err := rdd.TakeOrdered(ctx, odd, 3); err != nil || !math.IsNaN(got[0]) || !math.IsNaN(got[1]) || got[2] != -3 {
			t.Errorf("TakeOrdered with NaN = %v, %v", got, err)
		}
	})
}

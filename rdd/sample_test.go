package rdd_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func TestSampleHasTheRightSize(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	const n = 50_000
	r := rdd.Range(sc, 0, n, 1, 5)
	for _, c := range []struct {
		replace  bool
		fraction float64
	}{{false, 0}, {false, 0.001}, {false, 0.3}, {false, 1}, {true, 0}, {true, 0.1}, {true, 1}, {true, 3}, {true, 40}} {
		rows := mustCollect(t, rdd.Sample(r, c.replace, c.fraction, 9))
		variance := n * c.fraction * (1 - c.fraction)
		if c.replace {
			variance = n * c.fraction
		}
		if d := math.Abs(float64(len(rows)) - n*c.fraction); d > 4*math.Sqrt(variance) {
			t.Errorf("%+v: %d rows, %.0f off", c, len(rows), d)
		}
		if !slices.IsSorted(rows) {
			t.Errorf("%+v: the order changed", c)
		}
		if !c.replace && len(slices.Compact(slices.Clone(rows))) != len(rows) {
			t.Errorf("%+v: a row came twice", c)
		}
		if c.replace && c.fraction == 1 {
			// Poisson with mean 1 leaves out exp(-1) of the rows.
			missing := float64(n-len(slices.Compact(slices.Clone(rows)))) / n
			if math.Abs(missing-math.Exp(-1)) > 0.01 {
				t.Errorf("%.3f of the rows are missing, want %.3f", missing, math.Exp(-1))
			}
		}
	}
}

func TestSampleIsAFunctionOfSeedAndPartitions(t *testing.T) {
	var before [][]int64
	onCores(t, func(t *testing.T, sc *driver.Context) {
		r := rdd.Range(sc, 0, 5000, 1, 4)
		samples := [][]int64{
			mustCollect(t, rdd.Sample(r, false, 0.2, 1)),
			mustCollect(t, rdd.Sample(r, true, 0.2, 1)),
			mustCollect(t, rdd.Sample(r, false, 0.2, 2)),
		}
		for i, s := range rdd.RandomSplit(r, []float64{1, 2}, 1) {
			samples = append(samples, mustCollect(t, s))
			same(t, fmt.Sprint("split again ", i), mustCollect(t, s), samples[len(samples)-1])
		}
		taken, err := rdd.TakeSample(context.Background(), r, false, 100, 5)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, taken)
		if before != nil {
			same(t, "on other cores", samples, before)
		}
		before = samples
		if slices.Equal(samples[0], samples[2]) {
			t.Error("two seeds give the same sample")
		}
		// Cached rows arrive in other batches: the draws must not notice.
		cached := r.Cache()
		mustCollect(t, cached)
		same(t, "of cached rows", mustCollect(t, rdd.Sample(cached, false, 0.2, 1)), samples[0])
		// Two partitions with the same rows must draw apart.
		twice := rdd.Parallelize(sc, slices.Concat(numbers(1000), numbers(1000)), 2)
		parts := mustCollect(t, rdd.Glom(rdd.Sample(twice, false, 0.5, 1)))
		if slices.Equal(parts[0], parts[1]) {
			t.Error("two partitions draw the same numbers")
		}
	})
}

func TestRandomSplitIsDisjointAndExhaustive(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	const n = 20_000
	r := rdd.Range(sc, 0, n, 1, 7)
	for _, weights := range [][]float64{{1}, {0.8, 0.2}, {1, 1, 1}, {0, 3, 0, 1, 0}, {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1}} {
		var all []int64
		sum := 0.0
		for _, w := range weights {
			sum += w
		}
		for i, s := range rdd.RandomSplit(r, weights, 3) {
			rows := mustCollect(t, s)
			p := weights[i] / sum
			if d := math.Abs(float64(len(rows)) - n*p); d > 4*math.Sqrt(n*p*(1-p)) {
				t.Errorf("%v: split %d has %d rows", weights, i, len(rows))
			}
			all = append(all, rows...)
		}
		same(t, fmt.Sprint(weights), sorted(all), numbers(n))
	}
}

func TestTakeSampleIsExactAndFair(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Union(rdd.Range(sc, 0, 10, 1, 1), rdd.Range(sc, 10, 100, 1, 3), rdd.Range(sc, 0, 0, 1, 1))
	for _, c := range []struct {
		replace bool
		n, want int
	}{{false, 0, 0}, {false, 1, 1}, {false, 60, 60}, {false, 100, 100}, {false, 500, 100}, {true, 60, 60}, {true, 500, 500}} {
		rows, err := rdd.TakeSample(ctx, r, c.replace, c.n, 11)
		if err != nil || len(rows) != c.want {
			t.Errorf("%+v: %d rows, %v", c, len(rows), err)
		}
		if !c.replace && len(uniq(rows)) != len(rows) {
			t.Errorf("%+v: a row came twice", c)
		}
	}
	if rows, err := rdd.TakeSample(ctx, rdd.Empty[int](sc), true, 3, 1); len(rows) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", rows, err)
	}
	if _, err := rdd.TakeSample(ctx, r, false, -1, 1); err == nil {
		t.Error("-1 rows: no error")
	}
	// Each of 100 rows is drawn with the same chance: 10 of 100, 200 times, are 20 each on average.
	hits := make([]int, 100)
	for seed := range uint64(200) {
		rows, err := rdd.TakeSample(ctx, r, false, 10, seed)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range rows {
			hits[x]++
		}
	}
	chi := 0.0
	for _, h := range hits {
		chi += float64((h-20)*(h-20)) / 20
	}
	if chi > 160 { // 99 degrees of freedom: 1 in 10,000 is above
		t.Errorf("chi squared is %.0f: %v", chi, hits)
	}
}

func TestSampleByKey(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	const n = 20_000
	r := rdd.PartitionBy(rdd.KeyBy(rdd.Range(sc, 0, 2*n, 1, 3), isEven), rdd.HashPartitioner[bool]{N: 2})
	for _, replace := range []bool{false, true} {
		s := rdd.SampleByKey(r, replace, map[bool]float64{true: 0.9, false: 0.1}, 4)
		if rdd.PartitionerOf(s) == nil {
			t.Error("the partitioner is gone")
		}
		counts := map[bool]float64{}
		for _, p := range mustCollect(t, s) {
			counts[p.Key]++
		}
		if math.Abs(counts[true]-0.9*n) > 600 || math.Abs(counts[false]-0.1*n) > 200 {
			t.Errorf("with replacement %v: %v", replace, counts)
		}
	}
}

func TestCountApproxDistinct(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	for _, n := range []int64{0, 1, 10, 100, 1000, 30_000, 300_000} {
		for _, sd := range []float64{0.05, 0.01} {
			got, err := rdd.CountApproxDistinct(ctx, rdd.Map(rdd.Range(sc, 0, n+n/4, 1, 3), rdd.Bind(n, func(n, x int64) int64 { return x % n * 7919 })), sd)
			if err != nil || math.Abs(float64(got-n)) > 3*sd*float64(n) {
				t.Errorf("%d distinct rows, deviation %v: estimated %d, %v", n, sd, got, err)
			}
		}
	}
	if _, err := rdd.CountApproxDistinct(ctx, rdd.Range(sc, 0, 1, 1, 1), 0); err == nil {
		t.Error("deviation 0: no error")
	}
}

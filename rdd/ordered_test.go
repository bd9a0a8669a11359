package rdd_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// sortRow is a row with a key of every kind and its place in the input, which shows whether a sort is stable.
type sortRow struct {
	Text string
	Num  float64
	Int  int16
	At   int
}

func sortCases() map[string][]sortRow {
	rng := rand.New(rand.NewPCG(11, 12))
	random := func(n int, f func(i int) sortRow) []sortRow {
		rows := make([]sortRow, n)
		for i := range rows {
			rows[i] = f(i)
			rows[i].At = i
		}
		return rows
	}
	return map[string][]sortRow{
		"empty": nil,
		"one":   random(1, func(int) sortRow { return sortRow{Text: "x", Num: 1} }),
		"few":   random(5, func(i int) sortRow { return sortRow{Text: fmt.Sprint(9 - i), Num: float64(-i), Int: int16(i)} }),
		"uniform": random(6000, func(int) sortRow {
			return sortRow{Text: fmt.Sprintf("%08x-%d", rng.Uint32(), rng.IntN(9)), Num: rng.NormFloat64(), Int: int16(rng.Uint32())}
		}),
		"duplicates": random(1000, func(int) sortRow {
			return sortRow{Text: strings.Repeat("z", rng.IntN(12)), Num: float64(rng.IntN(20)), Int: int16(rng.IntN(3))}
		}),
		"shared prefix": random(1000, func(int) sortRow {
			return sortRow{Text: fmt.Sprintf("https://example.org/%d", rng.IntN(2000)), Num: 1 + float64(rng.IntN(2000))*1e-15}
		}),
		"one distinct key": random(700, func(int) sortRow { return sortRow{Text: "same", Num: math.Pi, Int: -1} }),
		"skewed": random(1500, func(int) sortRow {
			x := math.Floor(math.Exp(rng.ExpFloat64() * 2))
			return sortRow{Text: fmt.Sprint(x), Num: x, Int: int16(x)}
		}),
		"sorted": random(1000, func(i int) sortRow { return sortRow{Text: fmt.Sprintf("%06d", i), Num: float64(i), Int: int16(i)} }),
		"reversed": random(1000, func(i int) sortRow {
			return sortRow{Text: fmt.Sprintf("%06d", 5000-i), Num: -float64(i), Int: int16(-i)}
		}),
		"odd floats": random(700, func(int) sortRow {
			odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 1, -1, math.MaxFloat64, 5e-324}
			return sortRow{Num: odd[rng.IntN(len(odd))], Text: "\x00\xff"[rng.IntN(2):], Int: math.MinInt16}
		}),
	}
}

func stable[K cmp.Ordered](rows []sortRow, key func(sortRow) K, ascending bool) []int {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b sortRow) int {
		if !ascending {
			a, b = b, a
		}
		return cmp.Compare(key(a), key(b))
	})
	return places(rows)
}

func places(rows []sortRow) []int {
	at := make([]int, len(rows))
	for i, r := range rows {
		at[i] = r.At
	}
	return at
}

func byRowText(r sortRow) string { return r.Text }
func byRowNum(r sortRow) float64 { return r.Num }
func byRowInt(r sortRow) int16   { return r.Int }

func compareRows(a, b sortRow) int {
	return cmp.Or(cmp.Compare(a.Int, b.Int), cmp.Compare(a.Num, b.Num))
}

func pairAt(r rdd.Pair[string, sortRow]) sortRow { return r.Value }

func TestSortsMatchModel(t *testing.T) {
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for name, rows := range sortCases() {
			for _, parts := range [][2]int{{1, 1}, {4, 9}} {
				in, out := parts[0], parts[1]
				r := rdd.Parallelize(sc, rows, in)
				for _, ascending := range []bool{true, false} {
					what := fmt.Sprintf("%s, %d to %d partitions, ascending %v: ", name, in, out, ascending)
					same(t, what+"text", places(mustCollect(t, rdd.SortBy(r, byRowText, ascending, out))), stable(rows, byRowText, ascending))
					same(t, what+"number", places(mustCollect(t, rdd.SortBy(r, byRowNum, ascending, out))), stable(rows, byRowNum, ascending))
					sorted := rdd.SortByKey(rdd.KeyBy(r, byRowText), ascending, out)
					same(t, what+"key", places(mustCollect(t, rdd.Map(sorted, pairAt))), stable(rows, byRowText, ascending))
					if sorted.NumPartitions() != out {
						t.Errorf("%s: %d partitions", what, sorted.NumPartitions())
					}
				}
				want := slices.Clone(rows)
				slices.SortStableFunc(want, compareRows)
				same(t, fmt.Sprintf("%s, %d to %d partitions: func", name, in, out), places(mustCollect(t, rdd.SortByFunc(r, compareRows, out))), places(want))
			}
			same(t, name+": small integers", places(mustCollect(t, rdd.SortBy(rdd.Parallelize(sc, rows, 3), byRowInt, false))), stable(rows, byRowInt, false))
		}
		if rows := mustCollect(t, rdd.SortBy(rdd.Empty[sortRow](sc), byRowText, true, 3)); len(rows) != 0 {
			t.Errorf("sort of no partitions: %v", rows)
		}
	})
}

// Sizes of sorted partitions stay near their share, also where one input partition holds most rows, which is sampled twice.
func TestRangesAreBalanced(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rng := rand.New(rand.NewPCG(5, 6))
	const rows, out = 60_000, 10
	values := make([]float64, rows)
	for i := range values {
		values[i] = rng.ExpFloat64()
	}
	inputs := map[string]rdd.RDD[float64]{
		"even":   rdd.Parallelize(sc, values, 6),
		"sorted": rdd.Parallelize(sc, slices.Sorted(slices.Values(values)), 6),
		"one heavy partition": rdd.Filter(rdd.Parallelize(sc, append(slices.Clone(values), make([]float64, rows*9)...), 10), func(x float64) bool {
			return x > 0
		}),
	}
	for name, r := range inputs {
		sorted := rdd.SortBy(r, func(x float64) float64 { return x }, true, out)
		sizes, err := rdd.RunPartitions(context.Background(), sorted, "sizes", rdd.PartitionFunc[float64, int](countPartition{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range sizes {
			if n < rows/out/2 || n > rows/out*2 {
				t.Errorf("%s: partitions of %v rows, want about %d each", name, sizes, rows/out)
				break
			}
		}
	}
}

type countPartition struct{}

func (countPartition) Run(_ *rdd.Task, _ int, in rdd.Stream[float64]) (int, error) {
	rows, err := rdd.ReadAll(in)
	return len(rows), err
}

// What does not fit in memory is sorted through disk, with the same result.
func TestSortGoesThroughDisk(t *testing.T) {
	sc := driver.New(driver.Master("local[1]"), driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", "0.05"))
	defer sc.Stop()
	var spilled atomic.Int64
	sc.AddListener(func(e driver.Event) {
		if end, ok := e.(driver.TaskEnded); ok {
			spilled.Add(end.Metrics.Shuffle.SpilledBytes)
		}
	})
	const n = 150_000
	r := rdd.Map(rdd.Range(sc, 0, n, 1, 3), func(x int64) string { return fmt.Sprintf("%07d %064d", x*7919%n, x) })
	sorted := mustCollect(t, rdd.SortBy(r, func(line string) string { return line[:7] }, false, 1))
	if len(sorted) != n {
		t.Fatalf("%d rows", len(sorted))
	}
	for i, line := range sorted {
		if want := fmt.Sprintf("%07d ", n-1-i); line[:8] != want {
			t.Fatalf("row %d is %q, want %q", i, line[:8], want)
		}
	}
	if spilled.Load() == 0 {
		t.Error("nothing went to disk: the test shows nothing")
	}
}

// A sort does not run, and samples nothing, before an action asks for it; then it samples once.
func TestSortIsLazy(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	acc, err := rdd.LongAccumulator(sc, "rows")
	if err != nil {
		t.Fatal(err)
	}
	r := rdd.Map(rdd.Range(sc, 0, 1000, 1, 4), rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) int64 { acc.Add(1); return -x }))
	sorted := rdd.SortBy(r, func(x int64) int64 { return x }, true)
	if acc.Value() != 0 {
		t.Errorf("%d rows computed before an action", acc.Value())
	}
	for range 3 {
		if first, err := sorted.First(ctx); err != nil || first != -999 {
			t.Errorf("First = %d, %v", first, err)
		}
	}
	if acc.Value() != 2000 {
		t.Errorf("%d rows computed, want 1000 for the sample and 1000 for the shuffle", acc.Value())
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	again := rdd.SortBy(r, func(x int64) int64 { return x }, false)
	if _, err := again.Count(cancelled); err == nil {
		t.Error("a cancelled sort succeeded")
	}
	if first, err := again.First(ctx); err != nil || first != 0 {
		t.Errorf("First after a cancelled sort = %d, %v", first, err)
	}
}

func TestFilterByRangeMatchesModel(t *testing.T) {
	onCores(t, func(t *testing.T, sc *driver.Context) {
		rows := randomPairs(1, 3000, 500)
		r := rdd.Parallelize(sc, rows, 4)
		for _, span := range [][2]string{{"key-1", "key-2"}, {"", "zzz"}, {"key-450", "key-450"}, {"x", "y"}, {"key-3", "key-1"}} {
			lo, hi := span[0], span[1]
			in := slices.DeleteFunc(slices.Clone(rows), func(p rdd.Pair[string, int64]) bool { return p.Key < lo || p.Key > hi })
			same(t, "unplaced", mustCollect(t, rdd.FilterByRange(r, lo, hi)), in)
			for _, ascending := range []bool{true, false} {
				want := slices.Clone(in)
				slices.SortStableFunc(want, func(a, b rdd.Pair[string, int64]) int {
					if !ascending {
						a, b = b, a
					}
					return cmp.Compare(a.Key, b.Key)
				})
				same(t, fmt.Sprintf("%v ascending %v", span, ascending), mustCollect(t, rdd.FilterByRange(rdd.SortByKey(r, ascending, 6), lo, hi)), want)
			}
		}
	})
}

// A partition that cannot hold keys of the range is not computed.
func TestFilterByRangePrunes(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	acc, err := rdd.LongAccumulator(sc, "rows")
	if err != nil {
		t.Fatal(err)
	}
	sorted := rdd.SortByKey(rdd.KeyBy(rdd.Range(sc, 0, 10_000, 1, 4), func(x int64) int64 { return x }), true, 20)
	seen := rdd.MapValues(sorted, rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) int64 { acc.Add(1); return x }))
	if rows := mustCollect(t, rdd.FilterByRange(seen, 5000, 5009)); len(rows) != 10 || rows[0].Key != 5000 {
		t.Errorf("rows %v", rows)
	}
	if n := acc.Value(); n == 0 || n > 2500 {
		t.Errorf("%d of 10,000 rows were computed for a range of 10", n)
	}
}

func TestRepartitionAndSortMatchesModel(t *testing.T) {
	onCores(t, func(t *testing.T, sc *driver.Context) {
		rows := randomPairs(1, 4000, 300)
		r := rdd.Parallelize(sc, rows, 5)
		by := rdd.HashPartitioner[string]{N: 4}
		want := slices.Clone(rows)
		slices.SortStableFunc(want, func(a, b rdd.Pair[string, int64]) int {
			return cmp.Or(cmp.Compare(by.Partition(a.Key), by.Partition(b.Key)), cmp.Compare(a.Key, b.Key))
		})
		same(t, "ordered", mustCollect(t, rdd.RepartitionAndSortWithinPartitions(r, by)), want)
		same(t, "placed already", mustCollect(t, rdd.RepartitionAndSortWithinPartitions(rdd.PartitionBy(r, by), by)), want)
		same(t, "func", mustCollect(t, rdd.RepartitionAndSortWithinPartitionsFunc(r, by, strings.Compare)), want)
		same(t, "generic func", mustCollect(t, rdd.RepartitionAndSortWithinPartitionsFunc(r, by, cmp.Compare[string])), want)
	})
}

func TestRangePartitionerIsShared(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	left, right := rdd.Parallelize(sc, randomTexts(1, 2000, 100), 4), rdd.Parallelize(sc, randomNumbers(2, 1000, 100), 3)
	by, err := rdd.NewRangePartitioner(ctx, left, 6)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(by.Bounds) || len(by.Bounds) != 5 {
		t.Errorf("bounds %v", by.Bounds)
	}
	joined := rdd.Join(rdd.PartitionBy(left, by), rdd.RepartitionAndSortWithinPartitions(right, by))
	if n := shuffleCount(joined.Node()); n != 2 {
		t.Errorf("%d shuffles, want those of the placement alone", n)
	}
	n, err := joined.Count(ctx)
	if want, _ := rdd.Join(left, right).Count(ctx); err != nil || n != want {
		t.Errorf("%d rows, %v, want %d", n, err, want)
	}
	if _, err := rdd.NewRangePartitioner(ctx, left, 0); err == nil {
		t.Error("a partitioner of no partitions was made")
	}
}

// The ranges of a dataset that was not sorted yet place nothing, rather than placing it wrongly.
func TestRangesAreUnknownBeforeTheSort(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	left, right := rdd.Parallelize(sc, randomTexts(1, 500, 100), 4), rdd.Parallelize(sc, randomNumbers(2, 500, 100), 3)
	sorted := rdd.SortByKey(left, true, 5)
	placed := rdd.PartitionBy(right, rdd.PartitionerOf(sorted))
	if _, err := placed.Count(ctx); err == nil || !strings.Contains(err.Error(), "NewRangePartitioner") {
		t.Errorf("error %v, want one with the remedy", err)
	}
	joined := rdd.Join(sorted, placed)
	n, err := joined.Count(ctx)
	if want, _ := rdd.Join(left, right).Count(ctx); err != nil || n != want || shuffleCount(joined.Node()) != 2 {
		t.Errorf("%d rows over %d shuffles, %v, want %d", n, shuffleCount(joined.Node()), err, want)
	}
}

func TestSortRefuses(t *testing.T) {
	sc := driver.New(driver.Master("local"))
	defer sc.Stop()
	r := rdd.Range(sc, 0, 10, 1, 2)
	k := int64(3)
	tests := map[string]error{
		"rdd.Bind":           rdd.SortBy(r, func(x int64) int64 { return x % k }, true).Err(),
		"nil":                rdd.SortByFunc(r, nil).Err(),
		"ask for at least 1": rdd.SortBy(r, func(x int64) int64 { return x }, true, -1).Err(),
		"ordered_test.go":    rdd.SortBy(r, func(x int64) int64 { return x }, true, 1, 2).Err(),
	}
	for want, err := range tests {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

package rdd_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func TestSetOperationsMatchModel(t *testing.T) {
	results := map[string][]int64{}
	onCores(t, func(t *testing.T, sc *driver.Context) {
		rng := rand.New(rand.NewPCG(4, 4))
		left, right := make([]int64, 4000), make([]int64, 3000)
		for i := range left {
			left[i] = rng.Int64N(2500)
		}
		for i := range right {
			right[i] = 1000 + rng.Int64N(2500)
		}
		inLeft := func(x int64) bool { return slices.Contains(left, x) }
		inRight := func(x int64) bool { return slices.Contains(right, x) }
		for _, n := range partitionCounts {
			a, b := rdd.Parallelize(sc, left, n), rdd.Parallelize(sc, right, 3)
			for _, c := range []struct {
				name  string
				got   rdd.RDD[int64]
				want  []int64
				parts int
			}{
				{"Distinct", rdd.Distinct(a), uniq(left), n},
				{"Distinct into 5", rdd.Distinct(a, 5), uniq(left), 5},
				{"Union", rdd.Union(a, b, a), sorted(slices.Concat(left, right, left)), 2*n + 3},
				{"Intersection", rdd.Intersection(a, b), uniq(keepIf(left, inRight)), max(n, 3)},
				{"Intersection into 4", rdd.Intersection(b, a, 4), uniq(keepIf(right, inLeft)), 4},
				{"Subtract", rdd.Subtract(a, b), sorted(keepIf(left, func(x int64) bool { return !inRight(x) })), n},
				{"Subtract nothing", rdd.Subtract(a, rdd.Empty[int64](sc), 2), sorted(left), 2},
				{"Intersection with nothing", rdd.Intersection(a, rdd.Empty[int64](sc)), nil, n},
			} {
				got := mustCollect(t, c.got)
				name := fmt.Sprintf("%s of %d partitions", c.name, n)
				same(t, name, sorted(got), c.want)
				if c.got.NumPartitions() != c.parts {
					t.Errorf("%s: %d partitions, want %d", name, c.got.NumPartitions(), c.parts)
				}
				if old, ok := results[name]; ok {
					same(t, name+" on other cores", got, old)
				}
				results[name] = got
			}
		}
	})
}

// Where the rows lie right already, no row moves.
func TestSetOperationsOfPlacedRows(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := randomPairs(1, 500, 50)
	for i := range rows {
		rows[i].Value %= 3
	}
	by := rdd.HashPartitioner[string]{N: 4}
	a := rdd.PartitionBy(rdd.Parallelize(sc, rows, 3), by)
	b := rdd.Filter(a, func(p rdd.Pair[string, int64]) bool { return p.Value == 1 })
	for name, c := range map[string]struct {
		placed, shuffled rdd.RDD[rdd.Pair[string, int64]]
	}{
		"Distinct":     {rdd.Distinct(a), rdd.Distinct(rdd.Parallelize(sc, rows, 3), 4)},
		"Intersection": {rdd.Intersection(a, b), rdd.Intersection(rdd.Parallelize(sc, rows, 3), b, 4)},
		"Subtract":     {rdd.Subtract(a, b), rdd.Subtract(rdd.Parallelize(sc, rows, 3), b, 4)},
	} {
		if n := shuffleCount(c.placed.Node()); n != 1 {
			t.Errorf("%s: %d shuffles, want the one of PartitionBy", name, n)
		}
		text := func(rows []rdd.Pair[string, int64]) (out []string) {
			for _, r := range rows {
				out = append(out, fmt.Sprint(r))
			}
			return slices.Sorted(slices.Values(out))
		}
		same(t, name, text(mustCollect(t, c.placed)), text(mustCollect(t, c.shuffled)))
	}
	u := rdd.Union(a, b, a)
	if u.NumPartitions() != 4 || rdd.PartitionerOf(u) == nil {
		t.Errorf("Union of placed rows: %d partitions, partitioner %v", u.NumPartitions(), rdd.PartitionerOf(u))
	}
	sums := rdd.ReduceByKey(u, add)
	if n := shuffleCount(sums.Node()); n != 1 {
		t.Errorf("ReduceByKey of a Union of placed rows: %d shuffles, want the one of PartitionBy", n)
	}
	want := map[string]int64{}
	for _, r := range rows {
		want[r.Key] += 2 * r.Value
		if r.Value == 1 {
			want[r.Key]++
		}
	}
	for _, p := range mustCollect(t, sums) {
		if p.Value != want[p.Key] {
			t.Errorf("sum of %s = %d, want %d", p.Key, p.Value, want[p.Key])
		}
	}
}

func TestCartesianMatchesModel(t *testing.T) {
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for _, c := range []struct{ m, n, p, q int }{{0, 3, 1, 2}, {3, 0, 2, 1}, {5, 7, 2, 3}, {70, 3000, 3, 2}} {
			a, b := rdd.Range(sc, 0, int64(c.m), 1, c.p), rdd.Range(sc, 0, int64(c.n), 1, c.q)
			got := mustCollect(t, rdd.Cartesian(a, b))
			var want []rdd.Pair[int64, int64]
			for _, i := range mustCollect(t, rdd.Glom(a)) {
				for _, j := range mustCollect(t, rdd.Glom(b)) {
					for _, x := range i {
						for _, y := range j {
							want = append(want, pairOf(x, y))
						}
					}
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%+v: %d pairs, want %d, or another order", c, len(got), len(want))
			}
		}
	})
}

// A partition that does not fit in memory is read again from disk.
func TestCartesianBeyondMemory(t *testing.T) {
	sc := driver.New(driver.Master("local[1]"), driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", "0.05"))
	defer sc.Stop()
	big := rdd.Map(rdd.Range(sc, 0, 8000, 1, 1), func(x int64) string { return strings.Repeat(string(rune('a'+x%26)), 1000) })
	pairs := rdd.Cartesian(rdd.Range(sc, 0, 3, 1, 1), big)
	sum, err := rdd.Aggregate(context.Background(), pairs, 0, func(n int, p rdd.Pair[int64, string]) int { return n + len(p.Value) + int(p.Key) }, func(a, b int) int { return a + b })
	if want := 3*8000*1000 + 8000*(1+2); err != nil || sum != want {
		t.Errorf("sum = %d, %v, want %d", sum, err, want)
	}
}

func TestRepartitionIsEvenAndDeterministic(t *testing.T) {
	var before [][][]int64
	onCores(t, func(t *testing.T, sc *driver.Context) {
		var all [][][]int64
		for _, n := range partitionCounts {
			for _, to := range []int{1, 3, 16} {
				parts := mustCollect(t, rdd.Glom(rdd.Repartition(rdd.Range(sc, 0, 1000, 1, n), to)))
				if len(parts) != to {
					t.Fatalf("%d partitions, want %d", len(parts), to)
				}
				for _, p := range parts {
					// Each old partition deals evenly to within one row.
					if d := len(p) - 1000/to; d > n+1 || d < -n-1 {
						t.Errorf("from %d to %d partitions: one has %d rows", n, to, len(p))
					}
				}
				same(t, "Repartition", sorted(slices.Concat(parts...)), numbers(1000))
				all = append(all, parts)
			}
		}
		if before != nil {
			same(t, "on other cores", all, before)
		}
		before = all
	})
}

func TestZips(t *testing.T) {
	ctx := context.Background()
	onCores(t, func(t *testing.T, sc *driver.Context) {
		rows := numbers(5000)
		for _, n := range partitionCounts {
			r := rdd.Parallelize(sc, rows, n)
			// Batches of different lengths: what is filtered comes in shorter ones.
			twice := rdd.Filter(rdd.FlatMap(r, func(x int64) []int64 { return []int64{x, -1} }), func(x int64) bool { return x >= 0 })
			for i, p := range mustCollect(t, rdd.Zip(r, twice)) {
				if p.Key != int64(i) || p.Value != int64(i) {
					t.Fatalf("Zip: row %d is %v", i, p)
				}
			}
			indexed := rdd.ZipWithIndex(rdd.Filter(r, isEven))
			for range 2 {
				for i, p := range mustCollect(t, indexed) {
					if p.Key != 2*int64(i) || p.Value != int64(i) {
						t.Fatalf("ZipWithIndex: row %d is %v", i, p)
					}
				}
			}
			ids := map[int64]bool{}
			for p, part := range mustCollect(t, rdd.Glom(rdd.ZipWithUniqueID(r))) {
				for i, row := range part {
					if want := int64(i*n + p); row.Value != want || ids[want] {
						t.Fatalf("ZipWithUniqueID: row %d of partition %d has %d", i, p, row.Value)
					}
					ids[row.Value] = true
				}
			}
			sums := rdd.ZipPartitions(r, rdd.Map(r, square), func(a, b iter.Seq[int64]) iter.Seq[int64] {
				return func(yield func(int64) bool) {
					var s int64
					for x := range a {
						s += x
					}
					for x := range b {
						s -= x
					}
					yield(s)
				}
			})
			sum, err := rdd.Reduce(ctx, sums, add)
			var want int64
			for _, x := range rows {
				want += x - x*x
			}
			if err != nil || sum != want {
				t.Errorf("ZipPartitions: %d, %v, want %d", sum, err, want)
			}
		}
		a := rdd.Range(sc, 0, 100, 1, 4)
		_, err := rdd.Zip(a, rdd.Filter(a, func(x int64) bool { return x != 60 })).Count(ctx)
		if err == nil || !strings.Contains(err.Error(), "zip partition 2: the first dataset has more rows than the other, which has 24") {
			t.Errorf("Zip of unequal partitions: %v", err)
		}
		_, err = rdd.Zip(rdd.Filter(a, isEven), a).Count(ctx)
		if err == nil || !strings.Contains(err.Error(), "the second dataset has more rows than the other, which has 1") {
			t.Errorf("Zip of unequal partitions: %v", err)
		}
		if n, err := rdd.ZipWithIndex(rdd.Empty[int64](sc)).Count(ctx); n != 0 || err != nil {
			t.Errorf("ZipWithIndex of nothing: %d, %v", n, err)
		}
	})
}

// ZipWithIndex counts once, in the first job, and not at all for one partition.
func TestZipWithIndexCountsLazily(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	seen, err := rdd.LongAccumulator(sc, "seen")
	if err != nil {
		t.Fatal(err)
	}
	count := rdd.Bind(seen, func(seen rdd.Accumulator[int64], x int64) int64 { seen.Add(1); return x })
	for _, c := range []struct {
		parts int
		want  int64 // rows computed by the first and by the second job
	}{{1, 10}, {2, 15}, {5, 18}} {
		r := rdd.ZipWithIndex(rdd.Map(rdd.Range(sc, 0, 10, 1, c.parts), count))
		if seen.Value() != 0 {
			t.Errorf("%d partitions: counted before any action", c.parts)
		}
		for i, want := range []int64{c.want, c.want + 10} {
			if _, err := r.Count(ctx); err != nil || seen.Value() != want {
				t.Errorf("%d partitions, job %d: %d rows computed, %v, want %d", c.parts, i, seen.Value(), err, want)
			}
		}
		seen.Reset()
	}
}

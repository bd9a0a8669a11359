package rdd_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// onCores runs a test with one and with four task slots: the results must be the same.
func onCores(t *testing.T, f func(t *testing.T, sc *driver.Context)) {
	for _, master := range []string{"local[1]", "local[4]"} {
		t.Run(master, func(t *testing.T) {
			sc := driver.New(driver.Master(master))
			defer sc.Stop()
			f(t, sc)
		})
	}
}

func randomPairs(seed uint64, n, keys int) []rdd.Pair[string, int64] {
	rng := rand.New(rand.NewPCG(seed, 7))
	rows := make([]rdd.Pair[string, int64], n)
	for i := range rows {
		rows[i] = rdd.Pair[string, int64]{Key: fmt.Sprintf("key-%d", rng.IntN(keys)), Value: int64(i)}
	}
	return rows
}

// randomTexts and randomNumbers are pairs of the types that the examples join: every further type costs seconds of compilation.
func randomTexts(seed uint64, n, keys int) []rdd.Pair[string, string] {
	rows := make([]rdd.Pair[string, string], n)
	for i, r := range randomPairs(seed, n, keys) {
		rows[i] = rdd.Pair[string, string]{Key: r.Key, Value: fmt.Sprint("v", i)}
	}
	return rows
}

func randomNumbers(seed uint64, n, keys int) []rdd.Pair[string, int] {
	rows := make([]rdd.Pair[string, int], n)
	for i, r := range randomPairs(seed, n, keys) {
		rows[i] = rdd.Pair[string, int]{Key: r.Key, Value: i}
	}
	return rows
}

// inPlace orders keys as hash partitioning into n gives them: by partition, then by hash.
func inPlace[K comparable](t *testing.T, n int, groups ...map[K]bool) []K {
	t.Helper()
	ops, err := codec.KeysOf[K]()
	if err != nil {
		t.Fatal(err)
	}
	all := map[K]bool{}
	for _, g := range groups {
		maps.Copy(all, g)
	}
	keys := slices.Collect(maps.Keys(all))
	slices.SortFunc(keys, func(a, b K) int {
		x, y := ops.Hash(a), ops.Hash(b)
		return cmp.Or(cmp.Compare(x%uint64(n), y%uint64(n)), cmp.Compare(x, y))
	})
	return keys
}

func valuesByKey[K comparable, V any](rows []rdd.Pair[K, V]) (map[K][]V, map[K]bool) {
	m, keys := map[K][]V{}, map[K]bool{}
	for _, r := range rows {
		m[r.Key] = append(m[r.Key], r.Value)
		keys[r.Key] = true
	}
	return m, keys
}

func mustCollect[T any](t *testing.T, r rdd.RDD[T]) []T {
	t.Helper()
	rows, err := r.Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func same[T any](t *testing.T, name string, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", name, len(got), len(want))
		return
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("%s: row %d is %+v, want %+v", name, i, got[i], want[i])
			return
		}
	}
}

// shuffleCount is the number of shuffles in a dataset's lineage.
func shuffleCount(n *rdd.Node) int {
	count := 0
	for _, a := range rdd.Ancestors(n, true) {
		for _, d := range a.Dependencies() {
			if _, ok := d.(*rdd.Shuffle); ok {
				count++
			}
		}
	}
	return count
}

func none[V any]() rdd.Optional[V] { return rdd.Optional[V]{} }

func some[V any](v V) rdd.Optional[V] { return rdd.Optional[V]{Value: v, Valid: true} }

// orNone is the values of an optional side.
func orNone[V any](vals []V) []rdd.Optional[V] {
	if len(vals) == 0 {
		return []rdd.Optional[V]{none[V]()}
	}
	var all []rdd.Optional[V]
	for _, v := range vals {
		all = append(all, some(v))
	}
	return all
}

func cross[V, W any](key string, vs []V, ws []W) (rows []rdd.Pair[string, rdd.Joined[V, W]]) {
	for _, v := range vs {
		for _, w := range ws {
			rows = append(rows, rdd.Pair[string, rdd.Joined[V, W]]{Key: key, Value: rdd.Joined[V, W]{Left: v, Right: w}})
		}
	}
	return rows
}

func TestJoinsMatchModel(t *testing.T) {
	lefts := [][]rdd.Pair[string, string]{nil, randomTexts(1, 1, 1), randomTexts(2, 500, 40), randomTexts(3, 1500, 2000), randomTexts(4, 60, 1)}
	rights := [][]rdd.Pair[string, int]{nil, randomNumbers(5, 1, 2), randomNumbers(6, 300, 60), randomNumbers(7, 1500, 2000), randomNumbers(8, 90, 1)}
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for i := range lefts {
			for _, n := range []int{1, 5} {
				left, right := rdd.Parallelize(sc, lefts[i], 1+i), rdd.Parallelize(sc, rights[i], 4)
				lv, lk := valuesByKey(lefts[i])
				rv, rk := valuesByKey(rights[i])
				var inner []rdd.Pair[string, rdd.Joined[string, int]]
				var lo []rdd.Pair[string, rdd.Joined[string, rdd.Optional[int]]]
				var ro []rdd.Pair[string, rdd.Joined[rdd.Optional[string], int]]
				var full []rdd.Pair[string, rdd.Joined[rdd.Optional[string], rdd.Optional[int]]]
				var groups []rdd.Pair[string, rdd.Grouped2[string, int]]
				var minus []rdd.Pair[string, string]
				for _, k := range inPlace(t, n, lk, rk) {
					inner = append(inner, cross(k, lv[k], rv[k])...)
					lo = append(lo, cross(k, lv[k], orNone(rv[k]))...)
					ro = append(ro, cross(k, orNone(lv[k]), rv[k])...)
					full = append(full, cross(k, orNone(lv[k]), orNone(rv[k]))...)
					groups = append(groups, rdd.Pair[string, rdd.Grouped2[string, int]]{Key: k, Value: rdd.Grouped2[string, int]{Left: lv[k], Right: rv[k]}})
					if !rk[k] {
						for _, v := range lv[k] {
							minus = append(minus, rdd.Pair[string, string]{Key: k, Value: v})
						}
					}
				}
				name := fmt.Sprintf("case %d, %d partitions: ", i, n)
				same(t, name+"Join", mustCollect(t, rdd.Join(left, right, n)), inner)
				same(t, name+"LeftOuterJoin", mustCollect(t, rdd.LeftOuterJoin(left, right, n)), lo)
				same(t, name+"RightOuterJoin", mustCollect(t, rdd.RightOuterJoin(left, right, n)), ro)
				same(t, name+"FullOuterJoin", mustCollect(t, rdd.FullOuterJoin(left, right, n)), full)
				same(t, name+"CoGroup", mustCollect(t, rdd.CoGroup(left, right, n)), groups)
				same(t, name+"SubtractByKey", mustCollect(t, rdd.SubtractByKey(left, right, n)), minus)
			}
		}
	})
}

// A key with more pairs than a batch holds comes out over several batches.
func TestOuterJoinOfManyPairs(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	left, right := randomTexts(1, 150, 1), randomNumbers(2, 70, 1)
	lv, _ := valuesByKey(left)
	rv, _ := valuesByKey(right)
	got := mustCollect(t, rdd.FullOuterJoin(rdd.Parallelize(sc, left, 3), rdd.Parallelize(sc, right, 2)))
	same(t, "FullOuterJoin", got, cross("key-0", orNone(lv["key-0"]), orNone(rv["key-0"])))
}

func TestCoGroup3And4MatchModel(t *testing.T) {
	a, b, c := randomTexts(1, 400, 50), randomNumbers(2, 10, 90), randomTexts(3, 300, 200)
	var d []rdd.Pair[string, float64]
	for i, r := range randomPairs(4, 100, 20) {
		d = append(d, rdd.Pair[string, float64]{Key: r.Key, Value: float64(i) / 2})
	}
	av, ak := valuesByKey(a)
	bv, bk := valuesByKey(b)
	cv, ck := valuesByKey(c)
	dv, dk := valuesByKey(d)
	onCores(t, func(t *testing.T, sc *driver.Context) {
		ra, rb, rc, rd := rdd.Parallelize(sc, a, 2), rdd.Parallelize(sc, b, 1), rdd.Parallelize(sc, c, 5), rdd.Parallelize(sc, d, 3)
		var want3 []rdd.Pair[string, rdd.Grouped3[string, int, string]]
		for _, k := range inPlace(t, 5, ak, bk, ck) {
			want3 = append(want3, rdd.Pair[string, rdd.Grouped3[string, int, string]]{Key: k, Value: rdd.Grouped3[string, int, string]{First: av[k], Second: bv[k], Third: cv[k]}})
		}
		same(t, "CoGroup3", mustCollect(t, rdd.CoGroup3(ra, rb, rc)), want3)
		var want4 []rdd.Pair[string, rdd.Grouped4[string, int, string, float64]]
		for _, k := range inPlace(t, 7, ak, bk, ck, dk) {
			want4 = append(want4, rdd.Pair[string, rdd.Grouped4[string, int, string, float64]]{Key: k, Value: rdd.Grouped4[string, int, string, float64]{First: av[k], Second: bv[k], Third: cv[k], Fourth: dv[k]}})
		}
		same(t, "CoGroup4", mustCollect(t, rdd.CoGroup4(ra, rb, rc, rd, 7)), want4)
	})
}

func TestGroupByKeyMatchesModel(t *testing.T) {
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for i, rows := range [][]rdd.Pair[string, string]{nil, randomTexts(1, 1, 1), randomTexts(2, 5000, 100), randomTexts(3, 5000, 20000)} {
			vals, keys := valuesByKey(rows)
			for _, n := range []int{1, 4, 9} {
				var want []rdd.Pair[string, []string]
				for _, k := range inPlace(t, n, keys) {
					want = append(want, rdd.Pair[string, []string]{Key: k, Value: vals[k]})
				}
				same(t, fmt.Sprintf("case %d in %d", i, n), mustCollect(t, rdd.GroupByKey(rdd.Parallelize(sc, rows, 3), n)), want)
			}
		}
		words := make([]string, 1000)
		for i := range words {
			words[i] = strings.Repeat("w", i*i%7)
		}
		groups, lengths := map[int][]string{}, map[int]bool{}
		for _, w := range words {
			groups[len(w)] = append(groups[len(w)], w)
			lengths[len(w)] = true
		}
		var want []rdd.Pair[int, []string]
		for _, k := range inPlace(t, 3, lengths) {
			want = append(want, rdd.Pair[int, []string]{Key: k, Value: groups[k]})
		}
		same(t, "GroupBy", mustCollect(t, rdd.GroupBy(rdd.Parallelize(sc, words, 3), func(w string) int { return len(w) })), want)
	})
}

func TestCoPartitionedInputsAreNotShuffled(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	left, right := rdd.Parallelize(sc, randomTexts(1, 500, 50), 3), rdd.Parallelize(sc, randomNumbers(2, 500, 50), 4)
	by := rdd.HashPartitioner[string]{N: 5}
	pl, pr := rdd.PartitionBy(left, by), rdd.PartitionBy(right, by)
	ranged := rdd.SortByKey(left, true, 4)
	tests := []struct {
		name     string
		node     *rdd.Node
		shuffles int
	}{
		{"neither placed", rdd.Join(left, right).Node(), 2},
		{"both placed", rdd.Join(pl, pr).Node(), 2}, // those of PartitionBy
		{"both placed, same count asked for", rdd.Join(pl, pr, 5).Node(), 2},
		{"both placed, other count asked for", rdd.Join(pl, pr, 6).Node(), 4},
		{"left placed", rdd.Join(pl, right).Node(), 2},
		{"right placed", rdd.LeftOuterJoin(left, pr).Node(), 2},
		{"values mapped", rdd.FullOuterJoin(rdd.MapValues(pl, strings.ToUpper), pr).Node(), 2},
		{"reduced", rdd.Join(rdd.ReduceByKey(pl, func(a, b string) string { return a + b }), pr).Node(), 2},
		{"cogroup of four", rdd.CoGroup4(pl, pr, pl, rdd.MapValues(right, func(v int) float64 { return float64(v) })).Node(), 3},
		{"cogroup of three", rdd.CoGroup3(pl, pr, pl).Node(), 2},
		{"join of a join", rdd.Join(rdd.MapValues(rdd.Join(pl, pr), func(j rdd.Joined[string, int]) string { return j.Left }), pr).Node(), 2},
		{"group", rdd.GroupByKey(pl).Node(), 1},
		{"group of a group", rdd.GroupByKey(rdd.FlatMapValues(rdd.GroupByKey(left), func(vs []string) []string { return vs })).Node(), 1},
		{"subtract", rdd.SubtractByKey(pl, pr).Node(), 2},
		{"subtract from placed", rdd.SubtractByKey(pl, right).Node(), 2},
		{"by range", rdd.Join(ranged, right).Node(), 2},
		{"sorted where they lie", rdd.RepartitionAndSortWithinPartitions(pl, by).Node(), 1},
		{"sort of a single partition", rdd.SortByKey(rdd.Parallelize(sc, randomTexts(1, 5, 5), 1), true).Node(), 0},
	}
	for _, tt := range tests {
		if got := shuffleCount(tt.node); got != tt.shuffles {
			t.Errorf("%s: %d shuffles in the lineage, want %d", tt.name, got, tt.shuffles)
		}
	}
	// The same rows come out either way.
	byText := func(a, b rdd.Pair[string, rdd.Joined[string, int]]) int {
		return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b))
	}
	want := mustCollect(t, rdd.Join(left, right))
	slices.SortFunc(want, byText)
	for name, r := range map[string]rdd.RDD[rdd.Pair[string, rdd.Joined[string, int]]]{
		"both placed": rdd.Join(pl, pr), "left placed": rdd.Join(pl, right), "by range": rdd.Join(ranged, right), "cached": rdd.Join(pl.Cache(), pr.Cache()),
	} {
		got := mustCollect(t, r)
		slices.SortFunc(got, byText)
		same(t, name, got, want)
	}
}

func TestJoinRefusesWhatCannotWork(t *testing.T) {
	sc, other := driver.New(driver.Master("local")), driver.New(driver.Master("local"))
	defer sc.Stop()
	defer other.Stop()
	left, right := rdd.Parallelize(sc, randomTexts(1, 5, 5), 1), rdd.Parallelize(sc, randomNumbers(1, 5, 5), 1)
	tests := map[string]error{
		"different contexts": rdd.Join(left, rdd.Parallelize(other, randomNumbers(1, 5, 5), 1)).Err(),
		"ask for at least 1": rdd.LeftOuterJoin(left, right, -2).Err(),
		"give one":           rdd.CoGroup(left, right, 1, 2).Err(),
		"join_test.go":       rdd.GroupByKey(left, -1).Err(),
		"cannot":             rdd.GroupByKey(rdd.Map(left, func(rdd.Pair[string, string]) rdd.Pair[string, chan int] { return rdd.Pair[string, chan int]{} })).Err(),
		"no partitions":      rdd.RepartitionAndSortWithinPartitions(left, nil).Err(),
	}
	for want, err := range tests {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestKeyedActionsMatchModel(t *testing.T) {
	ctx := context.Background()
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for i, rows := range [][]rdd.Pair[string, int64]{nil, randomPairs(1, 1, 1), randomPairs(2, 5000, 100)} {
			r := rdd.Parallelize(sc, rows, 6)
			counts, sums, last := map[string]int64{}, map[string]int64{}, map[string]int64{}
			for _, row := range rows {
				counts[row.Key]++
				sums[row.Key] = 31*sums[row.Key] + row.Value // not commutative: the order matters
				last[row.Key] = row.Value
			}
			check := func(name string, got, want map[string]int64, err error) {
				if err != nil || !maps.Equal(got, want) {
					t.Errorf("case %d: %s = %v, %v, want %v", i, name, got, err, want)
				}
			}
			got, err := rdd.CountByKey(ctx, r)
			check("CountByKey", got, counts, err)
			got, err = rdd.CountByValue(ctx, rdd.Keys(r))
			check("CountByValue", got, counts, err)
			got, err = rdd.CollectAsMap(ctx, r)
			check("CollectAsMap", got, last, err)
			first := map[string]int64{}
			for _, row := range slices.Backward(rows) {
				first[row.Key] = row.Value
			}
			got, err = rdd.ReduceByKeyLocally(ctx, r, func(a, _ int64) int64 { return a })
			check("ReduceByKeyLocally", got, first, err)
			for _, key := range []string{"key-0", "key-77", "absent"} {
				want, _ := valuesByKey(rows)
				for name, r := range map[string]rdd.RDD[rdd.Pair[string, int64]]{
					"unplaced": r, "hashed": rdd.PartitionBy(r, rdd.HashPartitioner[string]{N: 7}), "ascending": rdd.SortByKey(r, true, 5), "descending": rdd.SortByKey(r, false, 5),
				} {
					got, err := rdd.Lookup(ctx, r, key)
					if err != nil || !slices.Equal(got, want[key]) {
						t.Errorf("case %d: Lookup(%s) %s = %v, %v, want %v", i, key, name, got, err, want[key])
					}
				}
			}
		}
	})
}

func TestKeyedActionsOfNaN(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	nan := math.NaN()
	r := rdd.Parallelize(sc, []rdd.Pair[float64, int64]{{Key: nan, Value: 1}, {Key: 2, Value: 2}, {Key: nan, Value: 3}}, 3)
	sums, err := rdd.ReduceByKeyLocally(ctx, r, func(a, b int64) int64 { return a + b })
	if err != nil || len(sums) != 2 || sums[2] != 2 {
		t.Errorf("ReduceByKeyLocally = %v, %v, want one entry for NaN", sums, err)
	}
	if vals, err := rdd.Lookup(ctx, r, nan); err != nil || !slices.Equal(vals, []int64{1, 3}) {
		t.Errorf("Lookup(NaN) = %v, %v", vals, err)
	}
}

func TestActionsOnZeroDataset(t *testing.T) {
	ctx := context.Background()
	var r rdd.RDD[rdd.Pair[string, int64]]
	_, err1 := rdd.CountByKey(ctx, r)
	_, err2 := rdd.Lookup(ctx, r, "a")
	_, err3 := rdd.CountByValue(ctx, rdd.RDD[int]{})
	_, err4 := rdd.Max(ctx, rdd.RDD[int]{})
	_, err5 := rdd.Sum(ctx, rdd.RDD[int]{})
	for i, err := range []error{err1, err2, err3, err4, err5} {
		if err == nil || errors.Is(err, rdd.ErrEmpty) {
			t.Errorf("action %d on the zero dataset: %v, want an error that says so", i, err)
		}
	}
}

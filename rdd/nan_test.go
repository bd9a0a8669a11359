package rdd_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// NaN is one key, and -0 is 0, in every keyed operation: as in Spark, and other than in Go's maps. A NaN that another computation made, with
// other bits, is the same. In orders NaN comes first.
func TestNaNIsOneKeyEverywhere(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := t.Context()
	nan, other := math.NaN(), math.Float64frombits(0xfff8_0000_0000_1234)
	zero := math.Copysign(0, -1)
	type pair = rdd.Pair[float64, int64]
	rows := []pair{{Key: nan, Value: 1}, {Key: 1, Value: 10}, {Key: other, Value: 2}, {Key: 0, Value: 100}, {Key: nan, Value: 4}, {Key: zero, Value: 200}, {Key: 1, Value: 20}, {Key: other, Value: 8}}
	r := rdd.Parallelize(sc, rows, 3)
	add := func(a, b int64) int64 { return a + b }
	// show writes what is known of each key, in the order of keys; NaN is once among them or the test fails.
	want := "[NaN:15 0:300 1:30]"
	shown := func(name string, keys []float64, value func(i int) any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return
		}
		order := make([]int, len(keys))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int {
			switch {
			case math.IsNaN(keys[a]):
				return -1
			case math.IsNaN(keys[b]):
				return 1
			}
			return int(keys[a] - keys[b])
		})
		var text []string
		for _, i := range order {
			text = append(text, fmt.Sprintf("%v:%v", math.Abs(keys[i]), value(i)))
		}
		if got := fmt.Sprint(text); got != want {
			t.Errorf("%s gives %s, want %s", name, got, want)
		}
	}
	pairs := func(name string, r rdd.RDD[pair]) {
		t.Helper()
		got, err := r.Collect(ctx)
		keys := make([]float64, len(got))
		for i := range got {
			keys[i] = got[i].Key
		}
		shown(name, keys, func(i int) any { return got[i].Value }, err)
	}
	asMap := func(name string, m map[float64]int64, err error) {
		t.Helper()
		var keys []float64
		var values []int64
		for k, v := range m {
			keys, values = append(keys, k), append(values, v)
		}
		shown(name, keys, func(i int) any { return values[i] }, err)
	}
	sum := func(vs []int64) (total int64) {
		for _, v := range vs {
			total += v
		}
		return total
	}
	pairs("ReduceByKey", rdd.ReduceByKey(r, add))
	pairs("FoldByKey", rdd.FoldByKey(r, 0, add))
	pairs("AggregateByKey", rdd.AggregateByKey(r, 0, add, add))
	pairs("GroupByKey", rdd.MapValues(rdd.GroupByKey(r), sum))
	m, err := rdd.ReduceByKeyLocally(ctx, r, add)
	asMap("ReduceByKeyLocally", m, err)
	sorted := rdd.SortByKey(r, true, 2)
	first, err := sorted.Collect(ctx)
	if err != nil || len(first) != len(rows) {
		t.Fatal(first, err)
	}
	for i, want := range []int64{1, 2, 4, 8, 100, 200, 10, 20} { // stable
		if first[i].Value != want {
			t.Errorf("SortByKey: row %d is %v, want the one with %d", i, first[i], want)
		}
	}
	pairs("ReduceByKey of what was sorted", rdd.ReduceByKey(sorted, add))

	want = "[NaN:4 0:2 1:2]"
	m, err = rdd.CountByKey(ctx, r)
	asMap("CountByKey", m, err)
	m, err = rdd.CountByValue(ctx, rdd.Keys(r))
	asMap("CountByValue", m, err)

	want = "[NaN:8 0:200 1:20]"
	m, err = rdd.CollectAsMap(ctx, r)
	asMap("CollectAsMap", m, err)

	want = "[NaN: 0: 1:]"
	distinct, err := rdd.Distinct(rdd.Keys(r)).Collect(ctx)
	shown("Distinct", distinct, func(int) any { return "" }, err)
	both, err := rdd.Intersection(rdd.Keys(r), rdd.Parallelize(sc, []float64{other, 0, 1, 5}, 2)).Collect(ctx)
	shown("Intersection", both, func(int) any { return "" }, err)

	want = "[0:100 0:200 1:10 1:20]"
	pairs("SubtractByKey", rdd.SortByFunc(rdd.SubtractByKey(r, rdd.Parallelize(sc, []pair{{Key: nan, Value: 0}}, 1)), func(a, b pair) int { return int(a.Value - b.Value) }, 1))
	if left, err := rdd.Subtract(rdd.Keys(r), rdd.Parallelize(sc, []float64{other}, 1)).Count(ctx); err != nil || left != 4 {
		t.Errorf("Subtract leaves %d rows, %v", left, err)
	}

	right := rdd.Parallelize(sc, []pair{{Key: other, Value: 1000}, {Key: zero, Value: 3000}}, 2)
	want = "[NaN:4015 0:6300]"
	joined := rdd.Map(rdd.Join(r, right), func(p rdd.Pair[float64, rdd.Joined[int64, int64]]) pair {
		return pair{Key: p.Key, Value: p.Value.Left + p.Value.Right}
	})
	pairs("Join", rdd.ReduceByKey(joined, add))
	want = "[NaN:1015 0:3300 1:30]"
	grouped := rdd.Map(rdd.CoGroup(r, right), func(p rdd.Pair[float64, rdd.Grouped2[int64, int64]]) pair {
		total := int64(0)
		for _, vs := range [][]int64{p.Value.Left, p.Value.Right} {
			for _, v := range vs {
				total += v
			}
		}
		return pair{Key: p.Key, Value: total}
	})
	pairs("CoGroup", grouped)
	if vals, err := rdd.Lookup(ctx, r, math.NaN()); err != nil || fmt.Sprint(vals) != "[1 2 4 8]" {
		t.Errorf("Lookup of NaN: %v, %v", vals, err)
	}
	placed := rdd.PartitionBy(r, rdd.Partitioner[float64](rdd.HashPartitioner[float64]{N: 5}))
	if vals, err := rdd.Lookup(ctx, placed, math.NaN()); err != nil || fmt.Sprint(vals) != "[1 2 4 8]" {
		t.Errorf("Lookup of NaN where it lies: %v, %v", vals, err)
	}
}

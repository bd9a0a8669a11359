package rdd_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func sales(sc *driver.Context) rdd.RDD[rdd.Pair[string, int]] {
	return rdd.Parallelize(sc, []rdd.Pair[string, int]{{Key: "tea", Value: 3}, {Key: "rum", Value: 5}, {Key: "tea", Value: 4}, {Key: "tea", Value: 1}}, 2)
}

func ExampleKeyBy() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.KeyBy(rdd.Parallelize(sc, []string{"go", "rust"}, 1), func(w string) int { return len(w) }).Collect(context.Background()))
	// Output: [{2 go} {4 rust}] <nil>
}

func ExampleKeys() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Keys(sales(sc)).Collect(context.Background()))
	// Output: [tea rum tea tea] <nil>
}

func ExampleValues() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Values(sales(sc)).Collect(context.Background()))
	// Output: [3 5 4 1] <nil>
}

func ExampleMapValues() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.MapValues(sales(sc), func(n int) float64 { return float64(n) / 2 }).Collect(context.Background()))
	// Output: [{tea 1.5} {rum 2.5} {tea 2} {tea 0.5}] <nil>
}

func ExampleFlatMapValues() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	tags := rdd.Parallelize(sc, []rdd.Pair[int, string]{{Key: 1, Value: "a b"}, {Key: 2, Value: ""}, {Key: 3, Value: "c"}}, 2)
	fmt.Println(rdd.FlatMapValues(tags, strings.Fields).Collect(context.Background()))
	// Output: [{1 a} {1 b} {3 c}] <nil>
}

func ExampleReduceByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.ReduceByKey(sales(sc), func(a, b int) int { return a + b }).Collect(context.Background()))
	// Output:
	// {Key:rum Value:5}
	// {Key:tea Value:8}
}

func ExampleFoldByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.FoldByKey(sales(sc), 4, func(a, b int) int { return max(a, b) }).Collect(context.Background()))
	// Output:
	// {Key:rum Value:5}
	// {Key:tea Value:4}
}

func ExampleAggregateByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	type mean struct{ Sum, Count float64 }
	means := rdd.AggregateByKey(sales(sc), mean{},
		func(m mean, n int) mean { return mean{m.Sum + float64(n), m.Count + 1} },
		func(a, b mean) mean { return mean{a.Sum + b.Sum, a.Count + b.Count} })
	show(means.Collect(context.Background()))
	// Output:
	// {Key:rum Value:{Sum:5 Count:1}}
	// {Key:tea Value:{Sum:8 Count:3}}
}

func ExampleCombineByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	lists := rdd.CombineByKey(sales(sc),
		func(n int) []int { return []int{n} },
		func(l []int, n int) []int { return append(l, n) },
		func(a, b []int) []int { return append(a, b...) }, 3)
	show(lists.Collect(context.Background()))
	// Output:
	// {Key:rum Value:[5]}
	// {Key:tea Value:[3 4 1]}
}

// spread is an aggregator: the smallest and the largest value of a key.
type spread struct{}

func (spread) Create(n int) [2]int          { return [2]int{n, n} }
func (spread) Merge(s [2]int, n int) [2]int { return [2]int{min(s[0], n), max(s[1], n)} }
func (spread) Combine(a, b [2]int) [2]int   { return [2]int{min(a[0], b[0]), max(a[1], b[1])} }

func ExampleCombineByKeyWith() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	by := rdd.HashPartitioner[string]{N: 2}
	show(rdd.CombineByKeyWith[string, int, [2]int](sales(sc), spread{}, by, true).Collect(context.Background()))
	// Output:
	// {Key:rum Value:[5 5]}
	// {Key:tea Value:[1 4]}
}

// lengthPlaces places words by their length.
type lengthPlaces struct{ N int }

func (b lengthPlaces) NumPartitions() int        { return b.N }
func (b lengthPlaces) Partition(word string) int { return len(word) % b.N }

func ExamplePartitionBy() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []rdd.Pair[string, int]{{Key: "a", Value: 1}, {Key: "bb", Value: 2}, {Key: "c", Value: 3}}, 2)
	placed := rdd.PartitionBy[string](words, lengthPlaces{2})
	fmt.Println(rdd.Glom(placed).Collect(context.Background()))
	// What follows by key needs no further shuffle.
	sums := rdd.ReduceByKey(placed, func(a, b int) int { return a + b })
	fmt.Println(rdd.PartitionerOf(sums), strings.Count(sums.ToDebugString(), "+-"))
	// Output:
	// [[{bb 2}] [{a 1} {c 3}]] <nil>
	// {2} 1
}

package rdd_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// pairOf makes keyed rows short to write.
func pairOf[K, V any](k K, v V) rdd.Pair[K, V] { return rdd.Pair[K, V]{Key: k, Value: v} }

func ExampleParallelize() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Parallelize(sc, []string{"a", "b", "c", "d", "e"}, 2)
	fmt.Println(r.NumPartitions())
	fmt.Println(rdd.Glom(r).Collect(context.Background()))
	// Output:
	// 2
	// [[a b] [c d e]] <nil>
}

func ExampleRange() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Range(sc, 10, 0, -3, 2).Collect(context.Background()))
	// Output: [10 7 4 1] <nil>
}

func ExampleEmpty() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Empty[string](sc).Count(context.Background()))
	// Output: 0 <nil>
}

func ExampleMap() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	names := rdd.Parallelize(sc, []string{"ann", "bob", "eve"}, 2)
	fmt.Println(rdd.Map(names, strings.ToUpper).Collect(context.Background()))
	// Output: [ANN BOB EVE] <nil>
}

func ExampleFilter() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	least := int64(7) // a function captures nothing: what it needs is bound
	big := rdd.Filter(rdd.Range(sc, 0, 10, 1, 2), rdd.Bind(least, func(least, x int64) bool { return x >= least }))
	fmt.Println(big.Collect(context.Background()))
	// Output: [7 8 9] <nil>
}

func ExampleFlatMap() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	lines := rdd.Parallelize(sc, []string{"to be", "", "or not"}, 2)
	fmt.Println(rdd.FlatMap(lines, strings.Fields).Collect(context.Background()))
	// Output: [to be or not] <nil>
}

func ExampleFlatMapSeq() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	lines := rdd.Parallelize(sc, []string{"to be", "", "or not"}, 2)
	fmt.Println(rdd.FlatMapSeq(lines, strings.FieldsSeq).Collect(context.Background()))
	// Output: [to be or not] <nil>
}

func ExampleMapPartitions() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	sums := rdd.MapPartitions(rdd.Range(sc, 0, 10, 1, 2), func(rows iter.Seq[int64]) iter.Seq[int64] {
		return func(yield func(int64) bool) {
			var sum int64
			for x := range rows {
				sum += x
			}
			yield(sum)
		}
	})
	fmt.Println(sums.Collect(context.Background()))
	// Output: [10 35] <nil>
}

func ExampleMapPartitionsWithIndex() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	lines := rdd.Parallelize(sc, []string{"header", "a", "b", "c"}, 2)
	rows := rdd.MapPartitionsWithIndex(lines, func(p int, rows iter.Seq[string]) iter.Seq[string] {
		if p == 0 { // ranging goes on where it stopped
			for range rows {
				break
			}
		}
		return rows
	})
	fmt.Println(rows.Collect(context.Background()))
	// Output: [a b c] <nil>
}

func ExampleMapPartitionsWithTask() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	where := rdd.MapPartitionsWithTask(rdd.Range(sc, 0, 4, 1, 2), rdd.BindErr2("part", func(label string, t *rdd.Task, rows iter.Seq[int64]) (iter.Seq[string], error) {
		return func(yield func(string) bool) {
			for x := range rows {
				if !yield(fmt.Sprintf("%s %d: %d", label, t.Partition, x)) {
					return
				}
			}
		}, nil
	}))
	rows, err := where.Collect(context.Background())
	fmt.Println(strings.Join(rows, ", "), err)
	// Output: part 0: 0, part 0: 1, part 1: 2, part 1: 3 <nil>
}

func ExamplePreservesPartitioning() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	placed := rdd.PartitionBy(rdd.Parallelize(sc, []rdd.Pair[string, int]{{Key: "a", Value: 1}}, 1), rdd.HashPartitioner[string]{N: 3})
	mapped := rdd.Map(placed, func(p rdd.Pair[string, int]) rdd.Pair[string, int] { p.Value *= 10; return p })
	fmt.Println(rdd.PartitionerOf(mapped), rdd.PartitionerOf(rdd.PreservesPartitioning(mapped, placed)))
	// Output: <nil> {3}
}

func ExampleBind2() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	most := int64(20)
	fmt.Println(rdd.Reduce(context.Background(), rdd.Range(sc, 1, 10, 1, 3), rdd.Bind2(most, func(most, a, b int64) int64 { return min(a+b, most) })))
	// Output: 20 <nil>
}

// scale is a function for any number type: written as a literal in a generic function it could not travel.
type scale[T int | int64 | float64] struct{ By T }

func (s scale[T]) Call(x T) T { return x * s.By }

func ExampleCall() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Map(rdd.Range(sc, 0, 4, 1, 2), rdd.Call(scale[int64]{By: 3})).Collect(context.Background()))
	// Output: [0 3 6 9] <nil>
}

func ExampleUnion() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	all := rdd.Union(rdd.Range(sc, 0, 3, 1, 1), rdd.Range(sc, 2, 5, 1, 2))
	fmt.Println(all.NumPartitions())
	fmt.Println(all.Collect(context.Background()))
	// Output:
	// 3
	// [0 1 2 2 3 4] <nil>
}

func ExampleDistinct() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.Distinct(rdd.Parallelize(sc, []string{"b", "a", "b", "c", "a"}, 2)).Collect(context.Background()))
	// Output:
	// a
	// b
	// c
}

func ExampleIntersection() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	a, b := rdd.Parallelize(sc, []string{"x", "y", "y", "z"}, 2), rdd.Parallelize(sc, []string{"y", "z", "z", "w"}, 2)
	show(rdd.Intersection(a, b).Collect(context.Background()))
	// Output:
	// y
	// z
}

func ExampleSubtract() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	a, b := rdd.Parallelize(sc, []string{"x", "x", "y", "z"}, 2), rdd.Parallelize(sc, []string{"y", "z", "w"}, 2)
	show(rdd.Subtract(a, b).Collect(context.Background()))
	// Output:
	// x
	// x
}

func ExampleCartesian() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows, err := rdd.Cartesian(rdd.Range(sc, 0, 2, 1, 1), rdd.Parallelize(sc, []string{"a", "b"}, 1)).Collect(context.Background())
	fmt.Println(rows, err)
	// Output: [{0 a} {0 b} {1 a} {1 b}] <nil>
}

func ExampleCoalesce() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Glom(rdd.Coalesce(rdd.Range(sc, 0, 6, 1, 6), 2)).Collect(context.Background()))
	// Output: [[0 1 2] [3 4 5]] <nil>
}

func ExampleRepartition() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	one := rdd.Range(sc, 0, 6, 1, 1)
	for part := range rdd.Glom(rdd.Repartition(one, 3)).ToLocalIterator(context.Background()) {
		fmt.Println(len(part), "rows")
	}
	// Output:
	// 2 rows
	// 2 rows
	// 2 rows
}

func ExampleGlom() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Glom(rdd.Range(sc, 0, 5, 1, 3)).Collect(context.Background()))
	// Output: [[0] [1 2] [3 4]] <nil>
}

func ExampleZip() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	n := rdd.Range(sc, 0, 3, 1, 2)
	squares := rdd.Map(n, func(x int64) int64 { return x * x })
	fmt.Println(rdd.Zip(n, squares).Collect(context.Background()))
	// Output: [{0 0} {1 1} {2 4}] <nil>
}

func ExampleZipPartitions() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	a, b := rdd.Range(sc, 0, 4, 1, 2), rdd.Range(sc, 10, 14, 1, 2)
	alternating := rdd.ZipPartitions(a, b, func(a, b iter.Seq[int64]) iter.Seq[int64] {
		return func(yield func(int64) bool) {
			next, stop := iter.Pull(b)
			defer stop()
			for x := range a {
				y, _ := next()
				if !yield(x) || !yield(y) {
					return
				}
			}
		}
	})
	fmt.Println(alternating.Collect(context.Background()))
	// Output: [0 10 1 11 2 12 3 13] <nil>
}

func ExampleZipWithIndex() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.ZipWithIndex(rdd.Parallelize(sc, []string{"a", "b", "c"}, 2)).Collect(context.Background()))
	// Output: [{a 0} {b 1} {c 2}] <nil>
}

func ExampleZipWithUniqueID() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.ZipWithUniqueID(rdd.Parallelize(sc, []string{"a", "b", "c", "d"}, 2)).Collect(context.Background()))
	// Output: [{a 0} {b 2} {c 1} {d 3}] <nil>
}

func ExampleSample() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	n, err := rdd.Sample(rdd.Range(sc, 0, 100_000, 1, 4), false, 0.1, 42).Count(context.Background())
	fmt.Println(n > 9_700 && n < 10_300, err)
	// Output: true <nil>
}

func ExampleRandomSplit() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	parts := rdd.RandomSplit(rdd.Range(sc, 0, 10_000, 1, 4), []float64{8, 2}, 42)
	train, err := parts[0].Count(ctx)
	if err != nil {
		fmt.Println(err)
	}
	test, err := parts[1].Count(ctx)
	fmt.Println(train+test, train > 7_800 && train < 8_200, err)
	// Output: 10000 true <nil>
}

func ExampleTakeSample() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows, err := rdd.TakeSample(context.Background(), rdd.Range(sc, 0, 1000, 1, 4), false, 5, 1)
	fmt.Println(len(rows), err)
	// Output: 5 <nil>
}

func ExampleSampleByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	mails := rdd.Parallelize(sc, []rdd.Pair[string, int]{{Key: "ham", Value: 1}, {Key: "ham", Value: 2}, {Key: "spam", Value: 3}}, 2)
	fmt.Println(rdd.SampleByKey(mails, false, map[string]float64{"ham": 0, "spam": 1}, 7).Collect(context.Background()))
	// Output: [{spam 3}] <nil>
}

func ExamplePipe() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"delta", "alpha", "charlie", "bravo"}, 2)
	sorted := rdd.Pipe(words, rdd.Command{Args: []string{"sort"}, Env: map[string]string{"LC_ALL": "C"}})
	fmt.Println(sorted.Collect(context.Background()))
	// Output: [alpha delta bravo charlie] <nil>
}

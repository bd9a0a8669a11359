package rdd_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleRDD_Collect() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Parallelize(sc, []int{3, 1, 2}, 2).Collect(context.Background()))
	// Output: [3 1 2] <nil>
}

func ExampleRDD_Count() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Range(sc, 0, 1_000_000, 1, 8).Count(context.Background()))
	// Output: 1000000 <nil>
}

func ExampleRDD_Take() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Range(sc, 0, 1_000_000, 1, 100).Take(context.Background(), 3))
	// Output: [0 1 2] <nil>
}

func ExampleRDD_First() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Parallelize(sc, []string{"a", "b"}, 2).First(ctx))
	_, err := rdd.Empty[string](sc).First(ctx)
	fmt.Println(errors.Is(err, rdd.ErrEmpty))
	// Output:
	// a <nil>
	// true
}

func ExampleRDD_IsEmpty() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	none := rdd.Filter(rdd.Range(sc, 0, 10, 1, 2), func(x int64) bool { return x > 10 })
	fmt.Println(none.IsEmpty(context.Background()))
	// Output: true <nil>
}

func ExampleReduce() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Reduce(context.Background(), rdd.Range(sc, 1, 101, 1, 4), func(a, b int64) int64 { return a + b }))
	// Output: 5050 <nil>
}

func ExampleFold() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Fold(context.Background(), rdd.Range(sc, 1, 6, 1, 2), 1, func(a, b int64) int64 { return a * b }))
	// Output: 120 <nil>
}

func ExampleAggregate() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"a", "bcd", "ef"}, 2)
	fmt.Println(rdd.Aggregate(context.Background(), words, 0,
		func(n int, w string) int { return n + len(w) },
		func(a, b int) int { return a + b }))
	// Output: 6 <nil>
}

func ExampleTreeAggregate() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	// The sum of vectors, merged on executors before the driver sees it.
	sum, err := rdd.TreeAggregate(context.Background(), rdd.Range(sc, 0, 1000, 1, 32), make([]int64, 3),
		func(v []int64, x int64) []int64 { v[x%3] += x; return v },
		func(a, b []int64) []int64 {
			for i := range a {
				a[i] += b[i]
			}
			return a
		})
	fmt.Println(sum, err)
	// Output: [166833 166167 166500] <nil>
}

func ExampleTreeAggregateOnExecutor() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	add := func(a, b int64) int64 { return a + b }
	fmt.Println(rdd.TreeAggregateOnExecutor(context.Background(), rdd.Range(sc, 0, 1000, 1, 32), 0, add, add))
	// Output: 499500 <nil>
}

func ExampleTreeReduce() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.TreeReduce(context.Background(), rdd.Range(sc, 0, 1000, 1, 32), func(a, b int64) int64 { return max(a, b) }))
	// Output: 999 <nil>
}

func ExampleForeach() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	odd, err := rdd.LongAccumulator(sc, "odd")
	if err != nil {
		fmt.Println(err)
	}
	err = rdd.Foreach(ctx, rdd.Range(sc, 0, 11, 1, 2), rdd.BindDo(odd, func(odd rdd.Accumulator[int64], x int64) { odd.Add(x % 2) }))
	fmt.Println(odd.Value(), err)
	// Output: 5 <nil>
}

func ExampleForeachPartition() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	connections, err := rdd.LongAccumulator(sc, "connections")
	if err != nil {
		fmt.Println(err)
	}
	err = rdd.ForeachPartition(ctx, rdd.Range(sc, 0, 100, 1, 4), rdd.Bind(connections, func(opened rdd.Accumulator[int64], rows iter.Seq[int64]) error {
		opened.Add(1) // once for all rows of the partition
		for range rows {
		}
		return nil
	}))
	fmt.Println(connections.Value(), err)
	// Output: 4 <nil>
}

func ExampleRDD_ToLocalIterator() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	for x, err := range rdd.Range(sc, 0, 1_000_000, 1, 100).ToLocalIterator(context.Background()) {
		if err != nil || x == 2 {
			break // the other 99 partitions are never computed
		}
		fmt.Println(x)
	}
	// Output:
	// 0
	// 1
}

func ExampleCountApproxDistinct() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	users := rdd.Map(rdd.Range(sc, 0, 100_000, 1, 4), func(x int64) int64 { return x % 5000 })
	n, err := rdd.CountApproxDistinct(context.Background(), users, 0.01)
	fmt.Println(n > 4_850 && n < 5_150, err)
	// Output: true <nil>
}

func ExampleRDD_Cache() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	computed, err := rdd.LongAccumulator(sc, "computed")
	if err != nil {
		fmt.Println(err)
	}
	r := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), rdd.Bind(computed, func(computed rdd.Accumulator[int64], x int64) int64 { computed.Add(1); return x })).Cache()
	for range 3 {
		if _, err := r.Count(ctx); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(computed.Value(), r.Unpersist(ctx, true))
	// Output: 10 <nil>
}

func ExampleRDD_Persist() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Range(sc, 0, 10, 1, 2).Persist(rdd.MemoryAndDisk)
	fmt.Println(r.Node().Level())
	// Output: MEMORY_AND_DISK
}

func ExampleStorageLevel_Replication() {
	sc := driver.New(driver.Master("local[2]")) // on a cluster either executor could die once the rows are counted
	defer sc.Stop()
	r := rdd.Range(sc, 0, 10, 1, 2).Persist(rdd.MemoryAndDisk2)
	level := r.Node().Level()
	fmt.Println(level, level.Replication(), level.UseMemory(), level.UseDisk(), level.Valid())
	n, err := r.Count(context.Background())
	fmt.Println(n, err)
	// Output:
	// MEMORY_AND_DISK_2 2 true true true
	// 10 <nil>
}

func ExampleRDD_Unpersist() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Range(sc, 0, 10, 1, 2).Cache()
	if _, err := r.Count(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(r.Unpersist(ctx, true), r.Node().Level())
	// Output: <nil> NONE
}

func ExampleNewBroadcast() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	names, err := rdd.NewBroadcast(sc, map[int64]string{0: "zero", 1: "one"})
	if err != nil {
		fmt.Println(err)
	}
	named := rdd.Map(rdd.Range(sc, 0, 2, 1, 2), rdd.Bind(names, func(names rdd.Broadcast[map[int64]string], x int64) string { return names.Value()[x] }))
	fmt.Println(named.Collect(context.Background()))
	// Output: [zero one] <nil>
}

func ExampleNewAccumulator() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	largest, err := rdd.NewAccumulator(sc, "largest", 0, func(a, b int64) int64 { return max(a, b) })
	if err != nil {
		fmt.Println(err)
	}
	err = rdd.Foreach(ctx, rdd.Parallelize(sc, []int64{3, 9, 4}, 2), rdd.BindDo(largest, func(a rdd.Accumulator[int64], x int64) { a.Add(x) }))
	fmt.Println(largest.Value(), err)
	// Output: 9 <nil>
}

func ExampleLongAccumulator() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	bad, err := rdd.LongAccumulator(sc, "bad rows")
	if err != nil {
		fmt.Println(err)
	}
	good := rdd.Filter(rdd.Parallelize(sc, []string{"1", "", "2", ""}, 2), rdd.Bind(bad, func(bad rdd.Accumulator[int64], s string) bool {
		if s == "" {
			bad.Add(1)
		}
		return s != ""
	}))
	n, err := good.Count(ctx)
	fmt.Println(n, "good,", bad.Value(), bad.Name(), err)
	// Output: 2 good, 2 bad rows <nil>
}

func ExampleDoubleAccumulator() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	total, err := rdd.DoubleAccumulator(sc, "total")
	if err != nil {
		fmt.Println(err)
	}
	err = rdd.Foreach(ctx, rdd.Parallelize(sc, []float64{0.5, 0.25, 0.25}, 2), rdd.BindDo(total, func(a rdd.Accumulator[float64], x float64) { a.Add(x) }))
	fmt.Println(total.Value(), err)
	// Output: 1 <nil>
}

func ExampleNewCollectionAccumulator() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	odd, err := rdd.NewCollectionAccumulator[string](sc, "odd rows")
	if err != nil {
		fmt.Println(err)
	}
	err = rdd.Foreach(ctx, rdd.Parallelize(sc, []string{"a", "?", "b", "!"}, 2), rdd.BindDo(odd, func(odd rdd.CollectionAccumulator[string], s string) {
		if s < "a" {
			odd.Add(s)
		}
	}))
	fmt.Println(odd.Value(), err)
	// Output: [? !] <nil>
}

func ExampleRDD_Checkpoint() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "checkpoints-")
	if err != nil {
		fmt.Println(err)
	}
	defer os.RemoveAll(dir)
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", dir))
	defer sc.Stop()
	r := rdd.Range(sc, 0, 5, 1, 2)
	for range 10 {
		r = rdd.Map(r, func(x int64) int64 { return x + 1 })
	}
	r = r.Cache().Checkpoint()
	fmt.Println(r.Collect(ctx))
	fmt.Println(r.IsCheckpointed(), len(r.Node().Dependencies()))
	fmt.Println(rdd.ReadCheckpoint[int64](sc, r.CheckpointFile()).Collect(ctx))
	// Output:
	// [10 11 12 13 14] <nil>
	// true 0
	// [10 11 12 13 14] <nil>
}

func ExampleReadCheckpoint() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	_, err := rdd.ReadCheckpoint[int64](sc, "/no/such/checkpoint").Count(context.Background())
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output: true
}

func ExampleRDD_LocalCheckpoint() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Map(rdd.Range(sc, 0, 3, 1, 2), func(x int64) int64 { return x * x }).LocalCheckpoint()
	fmt.Println(r.Collect(ctx))
	fmt.Println(r.IsCheckpointed(), r.Node().Level(), len(r.Node().Dependencies()))
	// Output:
	// [0 1 4] <nil>
	// true MEMORY_AND_DISK 0
}

package rdd_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// Each task knows the sum of its own partition; together they know those of all.
func ExampleMapPartitionsWithBarrier() {
	sc := driver.New(driver.Master("local[3]"))
	defer sc.Stop()
	shares := rdd.MapPartitionsWithBarrier(rdd.Range(sc, 1, 7, 1, 3), func(b *rdd.BarrierTask, rows iter.Seq[int64]) (iter.Seq[string], error) {
		own := int64(0)
		for x := range rows {
			own += x
		}
		sums, err := b.AllGather(b.Context(), strconv.AppendInt(nil, own, 10))
		if err != nil {
			return nil, err
		}
		total := int64(0)
		for _, s := range sums { // in the order of the partitions, in each task
			n, err := strconv.ParseInt(string(s), 10, 64)
			if err != nil {
				return nil, err
			}
			total += n
		}
		if err := b.Barrier(b.Context()); err != nil { // nobody goes on before all are here
			return nil, err
		}
		return slices.Values([]string{fmt.Sprintf("task %d of %d: %d of %d", b.Partition, b.NumTasks(), own, total)}), nil
	})
	rows, err := shares.Collect(context.Background())
	for _, row := range rows {
		fmt.Println(row)
	}
	fmt.Println(err)

	_, err = shares.First(context.Background())
	fmt.Println(err != nil)
	// Output:
	// task 0 of 3: 3 of 21
	// task 1 of 3: 7 of 21
	// task 2 of 3: 11 of 21
	// <nil>
	// true
}

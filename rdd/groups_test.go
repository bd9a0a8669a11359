package rdd_test

import (
	"io"
	"iter"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

type grouped = rdd.Pair[string, []int64]

// gather makes of streamed groups what GroupByKey gives.
func gather(key string, values iter.Seq[int64]) grouped {
	return grouped{Key: key, Value: slices.Collect(values)}
}

// late keeps iterators until the next group.
var late iter.Seq[int64]

func TestGroupsAreThoseOfGroupByKey(t *testing.T) {
	pairs := randomPairs(3, 5000, 300)
	onCores(t, func(t *testing.T, sc *driver.Context) {
		in := rdd.Parallelize(sc, pairs, 3)
		want := mustCollect(t, rdd.GroupByKey(in, 4))
		same(t, "MapGroups", mustCollect(t, rdd.MapGroups(in, gather, 4)), want)
		same(t, "FlatMapGroups", mustCollect(t, rdd.FlatMapGroups(in, func(key string, values iter.Seq[int64]) iter.Seq[grouped] {
			if key[len(key)-1]%2 == 0 {
				return nil
			}
			return func(yield func(grouped) bool) { yield(gather(key, values)) }
		}, 4)), slices.DeleteFunc(slices.Clone(want), func(g grouped) bool { return g.Key[len(g.Key)-1]%2 == 0 }))

		// Values that are left, or asked for too late, are nobody else's.
		for _, n := range mustCollect(t, rdd.MapGroups(in, func(_ string, values iter.Seq[int64]) (n int) {
			if late != nil {
				for range late {
					n++
				}
			}
			late = values
			for range values {
				break
			}
			return n
		}, 1)) {
			if n != 0 {
				t.Fatalf("%d values of the group before", n)
			}
		}
		late = nil
	})
}

// Large rows travel to disk and through iterators a few at a time: 300 rows of 64 KiB are no batch of 19 MiB.
func TestLargeRowsComeInSmallBatches(t *testing.T) {
	const n, size = 300, 64 << 10
	onCores(t, func(t *testing.T, sc *driver.Context) {
		large := rdd.MapPartitions(rdd.Range(sc, 0, n, 1, 2), func(in iter.Seq[int64]) iter.Seq[[]byte] {
			return func(yield func([]byte) bool) {
				for i := range in {
					row := make([]byte, size)
					row[i] = 1
					if !yield(row) {
						return
					}
				}
			}
		})
		batches := func(r rdd.RDD[[]byte]) []int {
			got, err := rdd.RunPartitions(t.Context(), r, "Batches", rdd.PartitionFunc[[]byte, int](largestBatch{}), nil)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		kept := rdd.Map(large, func(b []byte) []byte { return b }).Persist(rdd.DiskOnly)
		for name, r := range map[string]rdd.RDD[[]byte]{"iterator": large, "kept": kept, "read again": kept} {
			for _, rows := range batches(r) {
				if rows > 64 {
					t.Errorf("%s: a batch of %d rows", name, rows)
				}
			}
		}
		rows := mustCollect(t, kept)
		for i, row := range rows {
			if len(rows) != n || len(row) != size || row[i] != 1 {
				t.Fatalf("%d rows, row %d is wrong", len(rows), i)
			}
		}
	})
}

// largestBatch is the number of rows of the largest batch.
type largestBatch struct{}

func (largestBatch) Run(_ *rdd.Task, _ int, in rdd.Stream[[]byte]) (most int, err error) {
	for {
		rows, err := in.Next()
		if err == io.EOF {
			return most, nil
		}
		if err != nil {
			return 0, err
		}
		most = max(most, len(rows))
	}
}

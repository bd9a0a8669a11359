package rdd_test

import (
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

package budget_test

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/recommendation"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// operation is one kind of work on an input that takes about size bytes in memory.
type operation struct {
	name string
	run  func(ctx context.Context, sc *driver.Context, size int64) error
}

var operations = []operation{
	{"sort", sortRows},
	{"group", groupRows},
	{"hot-key", groupHotKey},
	{"hot-key-slice", gatherHotKey},
	{"cogroup", cogroupRows},
	{"join", joinRows},
	{"reduce", reduceRows},
	{"memory-only", func(ctx context.Context, sc *driver.Context, size int64) error {
		return cacheRows(ctx, sc, size, rdd.MemoryOnly)
	}},
	{"memory-and-disk", func(ctx context.Context, sc *driver.Context, size int64) error {
		return cacheRows(ctx, sc, size, rdd.MemoryAndDisk)
	}},
	{"disk-only", func(ctx context.Context, sc *driver.Context, size int64) error {
		return cacheRows(ctx, sc, size, rdd.DiskOnly)
	}},
	{"als", fitALS},
	{"forest", fitForest},
	{"kmeans", fitKMeans},
	{"logistic", fitLogistic},
}

// record is a row of 512 bytes in memory: key, header of the text, text.
type record = rdd.Pair[uint64, string]

const (
	recordBytes = 512
	textBytes   = recordBytes - 8 - 16
	partitions  = 16
)

// filler is what texts are cut from, so that making them costs nothing and their files are small.
var filler = func() string {
	var b strings.Builder
	for x := uint64(1); b.Len() < 64<<10; x++ {
		fmt.Fprintf(&b, "%d ", mix(x)>>40)
	}
	return b.String()
}()

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

func textOf(x uint64) string {
	at := mix(x) % (60 << 10)
	return filler[at : at+textBytes]
}

// records are rows whose keys, below the given number, come in no order.
func records(sc *driver.Context, size, keys int64) rdd.RDD[record] {
	return rdd.Map(rdd.Range(sc, 0, size/recordBytes, 1, partitions), rdd.Bind(uint64(keys), func(keys uint64, i int64) record {
		return record{Key: mix(uint64(i)) % keys, Value: textOf(uint64(i))}
	}))
}

// expect compares counts.
func expect(what string, got, want int64, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("%s: %d, want %d", what, got, want)
	}
	return err
}

func sortRows(ctx context.Context, sc *driver.Context, size int64) error {
	n, err := rdd.SortByKey(records(sc, size, 1<<62), true).Count(ctx)
	return expect("sorted rows", n, size/recordBytes, err)
}

func valuesOf(p rdd.Pair[uint64, []string]) int64 { return int64(len(p.Value)) }

func sum(a, b int64) int64 { return a + b }

func groupRows(ctx context.Context, sc *driver.Context, size int64) error {
	grouped := rdd.GroupByKey(records(sc, size, size/recordBytes/10))
	n, err := rdd.Reduce(ctx, rdd.Map(grouped, valuesOf), sum)
	return expect("grouped values", n, size/recordBytes, err)
}

// skewed are records half of which have the key 0.
func skewed(sc *driver.Context, size int64) rdd.RDD[record] {
	return rdd.Map(records(sc, size, 1000), func(r record) record {
		if r.Key%2 == 0 {
			r.Key = 0
		}
		return r
	})
}

func groupHotKey(ctx context.Context, sc *driver.Context, size int64) error {
	counts := rdd.MapGroups(skewed(sc, size), func(_ uint64, values iter.Seq[string]) (n int64) {
		for range values {
			n++
		}
		return n
	})
	n, err := rdd.Reduce(ctx, counts, sum)
	return expect("grouped values", n, size/recordBytes, err)
}

// gatherHotKey asks for the values of the hot key as one slice, which cannot be.
func gatherHotKey(ctx context.Context, sc *driver.Context, size int64) error {
	_, err := rdd.Reduce(ctx, rdd.Map(rdd.GroupByKey(skewed(sc, size)), valuesOf), sum)
	if err == nil || !strings.Contains(err.Error(), ": the values of key 0 take ") || !strings.Contains(err.Error(), "partition ") {
		return fmt.Errorf("a key that cannot fit: error %w, want one that names key and partition", err)
	}
	return nil
}

func cogroupRows(ctx context.Context, sc *driver.Context, size int64) error {
	keys := size / recordBytes / 10
	both := rdd.CoGroup(records(sc, size/2, keys), records(sc, size/2, keys))
	n, err := rdd.Reduce(ctx, rdd.Map(both, func(p rdd.Pair[uint64, rdd.Grouped2[string, string]]) int64 {
		return int64(len(p.Value.Left) + len(p.Value.Right))
	}), sum)
	return expect("cogrouped values", n, 2*(size/2/recordBytes), err)
}

func joinRows(ctx context.Context, sc *driver.Context, size int64) error {
	keys := size / recordBytes / 2
	_, err := rdd.Join(records(sc, size/2, keys), records(sc, size/2, keys)).Count(ctx)
	return err
}

// reduceRows keeps the longest text of each of so many keys that the table is as large as the input.
func reduceRows(ctx context.Context, sc *driver.Context, size int64) error {
	_, err := rdd.ReduceByKey(records(sc, size, 1<<62), func(a, b string) string { return max(a, b) }).Count(ctx)
	return err
}

// cacheRows keeps rows that came through a shuffle and a filter, and reads them twice.
func cacheRows(ctx context.Context, sc *driver.Context, size int64, level rdd.StorageLevel) error {
	placed := rdd.PartitionBy(records(sc, size*2, 1<<62), rdd.HashPartitioner[uint64]{N: partitions})
	kept := rdd.Filter(placed, func(r record) bool { return r.Key%2 == 0 }).Persist(level)
	first, err := kept.Count(ctx)
	if err != nil {
		return err
	}
	second, err := kept.Count(ctx)
	return expect("rows read again", second, first, err)
}

// fitALS trains on ratings of 12 bytes. A block of ratings is one row and must fit: with inputs ten times the memory a tenth of the
// data, the default, does not.
func fitALS(ctx context.Context, sc *driver.Context, size int64) error {
	n := size / 12
	users, items := uint64(n/1000), uint64(n/10000)
	ratings := rdd.Map(rdd.Range(sc, 0, n, 1, partitions), rdd.Bind([2]uint64{users, items}, func(of [2]uint64, i int64) recommendation.Rating[int32, int32] {
		h := mix(uint64(i))
		return recommendation.Rating[int32, int32]{User: int32(h >> 32 % of[0]), Item: int32(h & 0xffffffff % of[1]), Value: float32(h % 5)}
	}))
	_, err := recommendation.ALS[int32, int32]{Rank: 8, MaxIter: 2, NumUserBlocks: 80, NumItemBlocks: 80}.Fit(ctx, ratings)
	return err
}

const features = 30

// instances are rows of 30 numbers and a label: 30*8 bytes, and 8+8 of label and weight, and 8+24+24 of the vector.
func instances(sc *driver.Context, size int64) rdd.RDD[linalg.Instance] {
	return rdd.Map(rdd.Range(sc, 0, size/(features*8+72), 1, partitions), func(i int64) linalg.Instance {
		x := make([]float64, features)
		label := 0.0
		for j := range x {
			x[j] = float64(mix(uint64(i)*features+uint64(j))>>40) / (1 << 24)
		}
		if x[0]+x[1]*x[2]+x[3]/10 > 0.8 {
			label = 1
		}
		return linalg.Instance{Label: label, Weight: 1, Features: linalg.Dense(x...)}
	})
}

func fitForest(ctx context.Context, sc *driver.Context, size int64) error {
	_, err := tree.RandomForestClassifier{NumTrees: 4}.Fit(ctx, instances(sc, size))
	return err
}

func fitKMeans(ctx context.Context, sc *driver.Context, size int64) error {
	_, err := clustering.KMeans{K: 8, MaxIter: 3}.FitWeighted(ctx, instances(sc, size))
	return err
}

func fitLogistic(ctx context.Context, sc *driver.Context, size int64) error {
	_, err := classification.LogisticRegression{MaxIter: 3}.Fit(ctx, instances(sc, size))
	return err
}

package driver

import (
	"context"
	"io/fs"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/spark-go/spark-go/rdd"
)

// held counts what an application holds for the datasets of its program.
func held(c *Context) map[string]int {
	n := map[string]int{"goroutines": runtime.NumGoroutine()}
	c.mu.Lock()
	n["broadcasts"], n["accumulators"], n["groups"] = len(c.broadcasts), len(c.accumulators), len(c.groups)
	c.mu.Unlock()
	c.loop.call(func() {
		n["jobs"], n["stages"], n["results"], n["tasks"], n["blocks"] = len(c.loop.jobs), len(c.loop.stages), len(c.loop.resultOf), len(c.loop.tasks), len(c.loop.blocks)
		for _, has := range c.loop.ready {
			n["ready"] += len(has)
		}
	})
	filepath.WalkDir(c.dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n["files"]++
		}
		return nil
	})
	return n
}

// An iterative program makes datasets, shuffles and broadcasts without end; what it drops must go.
func TestDroppedDatasetsAreCleaned(t *testing.T) {
	c := New(Master("local[2]"), Set("spark.local.dir", t.TempDir()))
	defer c.Stop()
	ctx := context.Background()
	round := func() {
		factor, err := rdd.NewBroadcast(c, []int64{2, 3})
		if err != nil {
			t.Fatal(err)
		}
		seen, err := rdd.LongAccumulator(c, "seen")
		if err != nil {
			t.Fatal(err)
		}
		type env struct {
			Factor rdd.Broadcast[[]int64]
			Seen   rdd.Accumulator[int64]
		}
		pairs := rdd.Map(rdd.Range(c, 0, 20, 1, 2), rdd.Bind(env{factor, seen}, func(e env, x int64) rdd.Pair[int64, int64] {
			e.Seen.Add(1)
			return rdd.Pair[int64, int64]{Key: x % 3, Value: x * e.Factor.Value()[x%2]}
		}))
		sums := rdd.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, 2).Persist(rdd.DiskOnly)
		if n, err := sums.Count(ctx); n != 3 || err != nil || seen.Value() != 20 {
			t.Fatalf("count %d, %v; seen %d", n, err, seen.Value())
		}
	}
	flat := func() map[string]int {
		for range 20 {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
			if n := held(c); n["files"] < 20 && n["accumulators"] < 5 {
				return n
			}
		}
		return held(c)
	}
	for range 10 {
		round()
	}
	if n := held(c); n["files"] == 0 {
		t.Fatalf("%d files after 10 rounds: the test proves nothing", n["files"])
	}
	before := flat()
	for range 300 {
		round()
	}
	after := flat()
	for what, n := range after {
		if n > before[what]+8 {
			t.Errorf("%d %s after 10 rounds, %d after 310", before[what], what, n)
		}
	}
}

package driver_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

type skewPair = rdd.Pair[int64, int64]

// skewed makes rows of which hot per cent have key 7, and the others one of the given number of keys.
func skewed(sc *driver.Context, rows, hot, keys int64, parts int) rdd.RDD[skewPair] {
	type env struct{ Hot, Keys int64 }
	return rdd.Map(rdd.Range(sc, 0, rows, 1, parts), rdd.Bind(env{hot, keys}, func(e env, x int64) skewPair {
		h := int64(uint64(x) * 0x9e3779b97f4a7c15 >> 33)
		if h%100 < e.Hot {
			return skewPair{Key: 7, Value: x}
		}
		return skewPair{Key: h / 100 % e.Keys, Value: x}
	}))
}

// stageTasks counts the tasks that stages were submitted with, by the kind of their last dataset.
func stageTasks(sc *driver.Context) func() map[string]int {
	var mu sync.Mutex
	tasks := map[string]int{}
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.StageSubmitted); ok {
			mu.Lock()
			defer mu.Unlock()
			kind, _, _ := strings.Cut(e.Name, "[")
			tasks[kind] += e.Tasks
		}
	})
	return func() map[string]int {
		sc.Stop() // all events are out then
		return tasks
	}
}

// joinOf joins two datasets of which one has a hot key and gives a row for each pair.
func joinOf(sc *driver.Context, kind string, hotRight bool) rdd.RDD[skewPair] {
	left, right := skewed(sc, 40_000, 40, 500, 12), skewed(sc, 300, 0, 700, 3)
	if hotRight {
		left, right = right, left
	}
	const none = 1 << 40 // what a missing side counts as
	type opt = rdd.Optional[int64]
	switch kind {
	case "LeftOuterJoin":
		return rdd.Map(rdd.LeftOuterJoin(left, right, 8), func(p rdd.Pair[int64, rdd.Joined[int64, opt]]) skewPair {
			return skewPair{Key: p.Value.Left, Value: p.Value.Right.Or(none)}
		})
	case "RightOuterJoin":
		return rdd.Map(rdd.RightOuterJoin(left, right, 8), func(p rdd.Pair[int64, rdd.Joined[opt, int64]]) skewPair {
			return skewPair{Key: p.Value.Left.Or(none), Value: p.Value.Right}
		})
	case "FullOuterJoin":
		return rdd.Map(rdd.FullOuterJoin(left, right, 8), func(p rdd.Pair[int64, rdd.Joined[opt, opt]]) skewPair {
			return skewPair{Key: p.Value.Left.Or(none), Value: p.Value.Right.Or(none)}
		})
	}
	return rdd.Map(rdd.Join(left, right, 8), func(p rdd.Pair[int64, rdd.Joined[int64, int64]]) skewPair {
		return skewPair{Key: p.Value.Left, Value: p.Value.Right}
	})
}

// digest folds pairs in their order by a few keys, so that a pair that is missing, double or elsewhere in the order shows.
func digest(t *testing.T, rows rdd.RDD[skewPair]) string {
	t.Helper()
	keyed := rdd.Map(rows, func(p skewPair) skewPair { return skewPair{Key: p.Key % 5, Value: p.Key<<20 ^ p.Value} })
	sums, err := rdd.ReduceByKey(keyed, func(a, b int64) int64 { return a*1_000_003 + b }, 3).Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(sums)
}

// total folds pairs so that their order does not matter.
func total(t *testing.T, rows rdd.RDD[skewPair]) [2]int64 {
	t.Helper()
	sum, err := rdd.Aggregate(context.Background(), rows, [2]int64{}, func(a [2]int64, p skewPair) [2]int64 {
		h := uint64(p.Key)*0x9e3779b97f4a7c15 ^ uint64(p.Value)*0xff51afd7ed558ccd
		return [2]int64{a[0] + 1, a[1] + int64(h^h>>29)}
	}, func(a, b [2]int64) [2]int64 { return [2]int64{a[0] + b[0], a[1] + b[1]} })
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

const smallPieces = "500"

func TestHotKeysOfJoinsAreSplit(t *testing.T) {
	for _, c := range []struct {
		kind     string
		hotRight bool
		split    bool
	}{
		{"Join", false, true},
		{"Join", true, true},
		{"LeftOuterJoin", false, true},
		{"LeftOuterJoin", true, false}, // the left rows without partner would come out once a piece
		{"RightOuterJoin", false, false},
		{"RightOuterJoin", true, true},
		{"FullOuterJoin", false, false},
		{"FullOuterJoin", true, false},
	} {
		t.Run(fmt.Sprintf("%s hot right %v", c.kind, c.hotRight), func(t *testing.T) {
			plain := driver.New(driver.Master("local[2]"), driver.Set("spark.join.splitHotKeys", "false"))
			defer plain.Stop()
			want := total(t, joinOf(plain, c.kind, c.hotRight))
			split := driver.New(driver.Master("local[2]"), driver.Set("spark.join.splitHotKeys.minRows", smallPieces))
			tasks := stageTasks(split)
			defer split.Stop()
			rows := joinOf(split, c.kind, c.hotRight)
			if got := total(t, rows); got != want {
				t.Errorf("an action: pairs and hash %v, want %v", got, want)
			}
			swapped := rdd.PartitionBy(rdd.Map(rows, func(p skewPair) skewPair { return skewPair{Key: p.Value, Value: p.Key} }), rdd.HashPartitioner[int64]{N: 4})
			if got := total(t, rdd.Map(swapped, func(p skewPair) skewPair { return skewPair{Key: p.Value, Value: p.Key} })); got != want {
				t.Errorf("a shuffle: pairs and hash %v, want %v", got, want)
			}
			// 8 partitions, one of which has nearly half of the rows and is worth three tasks; in the action and before the shuffle.
			if got := tasks()["SplitHotKeys"]; got != 2*10 && c.split || got != 0 && !c.split {
				t.Errorf("%d tasks computed pieces; split: %v", got, c.split)
			}
		})
	}
}

func TestSplitHotKeysGiveTheSameBytes(t *testing.T) {
	want := ""
	for _, master := range []string{"local[1]", "local[4]", "local-cluster[2,1,128m]"} {
		for _, memory := range []string{"0.6", "0.05"} {
			sc := driver.New(driver.Master(master), driver.Set("spark.join.splitHotKeys.minRows", smallPieces),
				driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", memory))
			tasks := stageTasks(sc)
			got := digest(t, joinOf(sc, "Join", false))
			if n := tasks()["SplitHotKeys"]; n != 10 {
				t.Errorf("%s: %d tasks computed pieces", master, n)
			}
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s, memory fraction %s: %s, want %s", master, memory, got, want)
			}
		}
	}
}

// Operations that look at whole partitions, and datasets that are kept, get them whole.
func TestWholePartitionsStayWhole(t *testing.T) {
	for name, between := range map[string]func(rdd.RDD[skewPair]) rdd.RDD[skewPair]{
		"MapPartitions": func(r rdd.RDD[skewPair]) rdd.RDD[skewPair] {
			return rdd.Map(rdd.Glom(r), func(rows []skewPair) skewPair { return skewPair{Key: int64(len(rows))} })
		},
		"Cache": func(r rdd.RDD[skewPair]) rdd.RDD[skewPair] { return r.Cache() },
	} {
		t.Run(name, func(t *testing.T) {
			var digests [2]string
			for i, on := range []string{"false", "true"} {
				sc := driver.New(driver.Master("local[2]"), driver.Set("spark.join.splitHotKeys", on), driver.Set("spark.join.splitHotKeys.minRows", smallPieces))
				tasks := stageTasks(sc)
				digests[i] = digest(t, between(joinOf(sc, "Join", false)))
				if n := tasks()["SplitHotKeys"]; n != 0 {
					t.Errorf("%d tasks computed pieces", n)
				}
			}
			if digests[0] != digests[1] {
				t.Errorf("%s, want %s", digests[1], digests[0])
			}
		})
	}
}

// TestCostOfHotKeys has 30 % of ten million rows in one key. What it takes here says little about a cluster, so it also computes from the times of the
// tasks what 16 slots would take.
func TestCostOfHotKeys(t *testing.T) {
	if os.Getenv("SPARK_GO_SLOW") == "" {
		t.Skip("ten million rows, several times: set SPARK_GO_SLOW=1")
	}
	const rows, parts, slots = 10_000_000, 16, 16
	count := func(n int64, err error) error { return err }
	for name, run := range map[string]func(*driver.Context, rdd.RDD[skewPair]) error{
		"ReduceByKey": func(_ *driver.Context, r rdd.RDD[skewPair]) error {
			return count(rdd.ReduceByKey(r, func(a, b int64) int64 { return a + b }, parts).Count(context.Background()))
		},
		"AggregateByKey": func(_ *driver.Context, r rdd.RDD[skewPair]) error {
			return count(rdd.AggregateByKey(r, 0.0, func(a float64, b int64) float64 { return a + float64(b) }, func(a, b float64) float64 { return a + b }, parts).Count(context.Background()))
		},
		"Join": func(sc *driver.Context, r rdd.RDD[skewPair]) error {
			other := rdd.Map(rdd.Range(sc, 0, 1_000_000, 1, parts), func(x int64) skewPair { return skewPair{Key: x, Value: x} })
			return count(rdd.Join(r, other, parts).Count(context.Background()))
		},
	} {
		var wall, ideal [2]time.Duration
		for i, hot := range []int64{0, 30} {
			sc := driver.New(driver.Master("local[2]"))
			stages := map[int][]time.Duration{}
			sc.AddListener(func(e driver.Event) {
				if e, ok := e.(driver.TaskEnded); ok {
					stages[e.Stage] = append(stages[e.Stage], e.Metrics.Run)
				}
			})
			start := time.Now()
			if err := run(sc, skewed(sc, rows, hot, 1_000_000, parts)); err != nil {
				t.Fatal(err)
			}
			wall[i] = time.Since(start)
			sc.Stop()
			for _, tasks := range stages {
				ideal[i] += makespan(tasks, slots)
			}
		}
		t.Logf("%-15s uniform %.2f s, hot %.2f s here; %.2f s, %.2f s on %d slots", name, wall[0].Seconds(), wall[1].Seconds(), ideal[0].Seconds(), ideal[1].Seconds(), slots)
		if wall[1] > 2*wall[0] || ideal[1] > 2*ideal[0] {
			t.Errorf("%s costs more than twice as much with a hot key", name)
		}
	}
}

// makespan is how long slots take for tasks that start in their order.
func makespan(tasks []time.Duration, slots int) time.Duration {
	ends := make([]time.Duration, slots)
	for _, d := range tasks {
		i := slices.Index(ends, slices.Min(ends))
		ends[i] += d
	}
	return slices.Max(ends)
}

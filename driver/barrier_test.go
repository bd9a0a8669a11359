package driver_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// barrierRun counts the tasks of one stage, and what happened besides.
type barrierRun struct {
	started  [8]atomic.Int64 // by stage attempt
	accepted atomic.Int64
	lost     atomic.Int64 // executors
	all      atomic.Int64
}

func watchBarrier(sc *driver.Context, stage int) *barrierRun {
	s := &barrierRun{}
	sc.AddListener(func(e driver.Event) {
		switch e := e.(type) {
		case driver.TaskStarted:
			s.all.Add(1)
			if e.Stage == stage {
				s.started[e.StageAttempt].Add(1)
			}
		case driver.TaskEnded:
			if e.Stage == stage && e.Accepted {
				s.accepted.Add(1)
			}
		case driver.ExecutorRemoved:
			s.lost.Add(1)
		}
	})
	return s
}

type barrierEnv struct {
	Dir  string
	Late bool // the task dies when others have ended, not while they wait
	Acc  rdd.Accumulator[int64]
}

// Whatever task of a barrier stage dies, all of them run again, and what the others had done does not count: no rows, map outputs or
// accumulator updates.
func TestBarrierTaskKillsItsExecutor(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local-cluster[2,2,128m]"), driver.Set("spark.speculation", "true"))
	defer sc.Stop()
	acc, err := rdd.LongAccumulator(sc, "tasks")
	if err != nil {
		t.Fatal(err)
	}
	// Partition 1 dies between two barriers, while the others wait at the second one, or behind both, when the others have ended.
	gathered := func(late bool) rdd.RDD[int64] {
		return rdd.MapPartitionsWithBarrier(rdd.Range(sc, 0, 40, 1, 4), rdd.BindErr2(barrierEnv{t.TempDir(), late, acc}, func(e barrierEnv, b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
			e.Acc.Add(1)
			sum := int64(0)
			for x := range in {
				sum += x
			}
			if b.NumTasks() != 4 || len(b.Members()) != 4 || b.Members()[b.Partition].Address != "localhost" {
				return nil, fmt.Errorf("%d tasks, %v", b.NumTasks(), b.Members())
			}
			sums, err := b.AllGather(b.Context(), fmt.Append(nil, b.StageAttempt, " ", sum))
			if err != nil {
				return nil, err
			}
			die := func() {
				if b.Partition == 1 {
					dieOnce(filepath.Join(e.Dir, "died"))
				}
			}
			if !e.Late {
				die()
			}
			if err := b.Barrier(b.Context()); err != nil {
				return nil, err
			}
			if e.Late {
				switch b.Partition {
				case 3:
					touch(filepath.Join(e.Dir, "ends"))
				case 1:
					await(filepath.Join(e.Dir, "ends"))
					time.Sleep(100 * time.Millisecond) // not needed for the result: most of the time the others have ended
				}
				die()
			}
			rows := []int64{}
			for _, s := range sums {
				var attempt, x int64
				if _, err := fmt.Sscan(string(s), &attempt, &x); err != nil {
					return nil, err
				}
				rows = append(rows, attempt, x)
			}
			return slices.Values(rows), nil
		}))
	}
	one := []int64{1, 45, 1, 145, 1, 245, 1, 345}
	want := slices.Concat(one, one, one, one)

	seen := watchBarrier(sc, 0)
	got, err := gathered(false).Collect(ctx)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("result stage: %v, %v, want %v", got, err, want)
	}
	if a, b, n := seen.started[0].Load(), seen.started[1].Load(), seen.accepted.Load(); a != 4 || b != 4 || n != 4 || seen.started[2].Load() != 0 || seen.lost.Load() != 1 {
		t.Errorf("result stage: %d and %d tasks started, %d counted, %d executors were lost; want 4, 4, 4 and 1", a, b, n, seen.lost.Load())
	}
	if acc.Value() != 4 {
		t.Errorf("result stage: the accumulator is %d, want 4", acc.Value())
	}

	seen = watchBarrier(sc, 1)
	pairs := rdd.Map(gathered(true), func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x, Value: 1} })
	counts, err := rdd.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, 1).Collect(ctx)
	slices.SortFunc(counts, func(a, b rdd.Pair[int64, int64]) int { return int(a.Key - b.Key) })
	if err != nil || fmt.Sprint(counts) != "[{1 16} {45 4} {145 4} {245 4} {345 4}]" {
		t.Errorf("map stage: %v, %v", counts, err)
	}
	if a, b, n := seen.started[0].Load(), seen.started[1].Load(), seen.accepted.Load(); a != 4 || b != 4 || n != 4 || seen.lost.Load() != 1 {
		t.Errorf("map stage: %d and %d tasks started, %d counted, %d executors were lost; want 4, 4, 4 and 1", a, b, n, seen.lost.Load())
	}
	if acc.Value() != 8 {
		t.Errorf("map stage: the accumulator is %d, want 8", acc.Value())
	}
}

// A dataset that a failed attempt has cached in part is not read in the next one: the tasks that wait at the barrier would wait for those that
// need not compute it. Cached as a whole it is read.
func TestHalfCachedBarrierDataset(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	dir := t.TempDir()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"))
	defer sc.Stop()
	computed, err := rdd.LongAccumulator(sc, "computed")
	if err != nil {
		t.Fatal(err)
	}
	cached := rdd.MapPartitionsWithBarrier(rdd.Range(sc, 0, 2, 1, 2), rdd.BindErr2(computed, func(acc rdd.Accumulator[int64], b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
		acc.Add(1)
		return in, b.Barrier(b.Context())
	})).Cache()
	seen := watchBarrier(sc, 0)
	used := rdd.Map(cached, rdd.Bind(dir, func(dir string, x int64) int64 {
		if x == 0 {
			touch(filepath.Join(dir, "cached")) // partition 0, as it reads its block
		} else {
			await(filepath.Join(dir, "cached"))
			dieOnce(filepath.Join(dir, "died"))
		}
		return x
	}))
	for i := range 2 {
		got, err := used.Collect(ctx)
		if err != nil || !slices.Equal(got, []int64{0, 1}) {
			t.Errorf("job %d: %v, %v", i, got, err)
		}
	}
	if seen.lost.Load() != 1 || seen.started[1].Load() != 2 || seen.started[2].Load() != 0 {
		t.Errorf("%d executors were lost, %d tasks started in the second attempt and %d in a third; want 1, 2, 0", seen.lost.Load(), seen.started[1].Load(), seen.started[2].Load())
	}
	if computed.Value() != 2 {
		t.Errorf("%d partitions were computed in attempts that count, want 2: the second job reads what is cached", computed.Value())
	}
}

// What a barrier stage cannot be is refused before any task starts.
func TestBarrierStagesRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	seen := watchBarrier(sc, 0)
	meet := func(partitions int) rdd.RDD[int64] {
		return rdd.MapPartitionsWithBarrier(rdd.Range(sc, 0, 8, 1, partitions), func(b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
			return in, b.Barrier(b.Context())
		})
	}
	two := meet(2)
	count := func(r rdd.RDD[int64]) func() error {
		return func() error { _, err := r.Count(ctx); return err }
	}
	for _, c := range []struct {
		name string
		do   func() error
		want string
	}{
		{"slots", count(meet(3)), "needs 3 slots at the same time, the cluster has 2"},
		{"slots behind a shuffle", count(rdd.Map(rdd.Repartition(meet(3), 1), func(x int64) int64 { return x })), "needs 3 slots"},
		{"First", func() error { _, err := two.First(ctx); return err }, "must all run"},
		{"Take", func() error { _, err := rdd.Map(two, func(x int64) int64 { return -x }).Take(ctx, 1); return err }, "1 of the 2 tasks"},
		{"some partitions", func() error {
			return sc.Run(ctx, rdd.Job{Target: two.Node(), Partitions: []int{1}, Name: "Some", Action: partitionNumber{}})
		}, "ask for all"},
		{"Union", count(rdd.Union(two, rdd.Range(sc, 0, 1, 1, 1))), "put a shuffle in between"},
		{"Coalesce", count(rdd.Coalesce(two, 1)), "put a shuffle in between"},
		{"Zip of two", func() error { _, err := rdd.Zip(two, meet(2)).Count(ctx); return err }, "put a shuffle in between"},
		{"Cartesian", func() error { _, err := rdd.Cartesian(two, rdd.Range(sc, 0, 2, 1, 1)).Count(ctx); return err }, "put a shuffle in between"},
	} {
		if err := c.do(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "barrier stage") {
			t.Errorf("%s: the error is %v, want one with %q", c.name, err, c.want)
		}
	}
	if n := seen.all.Load(); n != 0 {
		t.Errorf("%d tasks started", n)
	}
	// Shapes before the barrier, behind a shuffle, and one to one are allowed, and so is First of a single partition.
	if n, err := rdd.Zip(two, rdd.Range(sc, 0, 8, 1, 2)).Count(ctx); n != 8 || err != nil {
		t.Errorf("zip with a plain dataset: %d, %v", n, err)
	}
	united := rdd.MapPartitionsWithBarrier(rdd.Union(rdd.Range(sc, 0, 4, 1, 1), rdd.Range(sc, 4, 8, 1, 1)), func(b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
		return in, b.Barrier(b.Context())
	})
	if rows, err := rdd.Repartition(united, 3).Take(ctx, 8); len(rows) != 8 || err != nil {
		t.Errorf("behind a shuffle: %v, %v", rows, err)
	}
	if x, err := meet(1).First(ctx); x != 0 || err != nil {
		t.Errorf("first of one partition: %d, %v", x, err)
	}
}

// Tasks that do not meet fail the job with who waited for whom, and leave their slots.
func TestBarrierTasksDoNotMeet(t *testing.T) {
	t.Parallel()
	for _, master := range []string{"local[3]", "local-cluster[1,3,128m]"} {
		sc := driver.New(driver.Master(master), driver.Set("spark.barrier.sync.timeout", "300ms"), driver.Set("spark.stage.maxConsecutiveAttempts", "2"), driver.Set("spark.rpc.message.maxSize", "1"))
		for _, c := range []struct{ name, want string }{
			{"one does not come", "waited for [0"},
			{"different numbers", "all tasks must come to the same number of barriers"},
			{"different kinds", "mixes Barrier and AllGather"},
			{"large message", "each of 3 tasks may send 174762"},
			{"left", "has left a barrier"},
		} {
			_, err := rdd.MapPartitionsWithBarrier(rdd.Range(sc, 0, 3, 1, 3), rdd.BindErr2(c.name, func(name string, b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
				first := b.Partition == 0
				switch {
				case name == "one does not come" && first:
					<-b.Context().Done()
					return nil, context.Cause(b.Context())
				case name == "different numbers" && first:
					return in, nil
				case name == "different kinds" && first:
					_, err := b.AllGather(b.Context(), nil)
					return in, err
				case name == "large message" && first:
					_, err := b.AllGather(b.Context(), make([]byte, 174763))
					return in, err
				case name == "left" && first:
					ctx, cancel := context.WithCancelCause(b.Context())
					cancel(errors.New("impatient"))
					if err := b.Barrier(ctx); err == nil || !strings.Contains(err.Error(), "impatient") {
						return nil, fmt.Errorf("an ended context: %w", err)
					}
					return in, b.Barrier(b.Context())
				}
				return in, b.Barrier(b.Context())
			})).Count(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "2 times in a row") {
				t.Errorf("%s, %s: the error is %v, want one with %q", master, c.name, err, c.want)
			}
		}
		if n, err := rdd.MapPartitionsWithBarrier(rdd.Range(sc, 0, 3, 1, 3), func(b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
			_, err := b.AllGather(b.Context(), make([]byte, 174762)) // all that is allowed fits
			return in, err
		}).Count(context.Background()); n != 3 || err != nil {
			t.Errorf("%s, afterwards: %d, %v", master, n, err)
		}
		sc.Stop()
	}
}

// A job that is cancelled while its tasks wait ends, and its slots are free for the next one.
func TestCancelAtBarrier(t *testing.T) {
	t.Parallel()
	for _, master := range []string{"local[2]", "local-cluster[1,2,128m]"} {
		dir := t.TempDir()
		sc := driver.New(driver.Master(master))
		ctx, cancel := context.WithCancelCause(context.Background())
		go func() {
			await(filepath.Join(dir, "waits"))
			cancel(errors.New("enough"))
		}()
		_, err := rdd.MapPartitionsWithBarrier(rdd.Range(sc, 0, 2, 1, 2), rdd.BindErr2(dir, func(dir string, b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
			if b.Partition == 0 {
				<-b.Context().Done() // never comes
				return nil, context.Cause(b.Context())
			}
			touch(filepath.Join(dir, "waits"))
			return in, b.Barrier(context.Background()) // ends with the task all the same
		})).Count(ctx)
		if err == nil || !strings.Contains(err.Error(), "enough") {
			t.Errorf("%s: the error is %v", master, err)
		}
		n, err := rdd.MapPartitionsWithBarrier(rdd.Range(sc, 0, 2, 1, 2), func(b *rdd.BarrierTask, in iter.Seq[int64]) (iter.Seq[int64], error) {
			return in, b.Barrier(b.Context())
		}).Count(context.Background())
		if n != 2 || err != nil {
			t.Errorf("%s: afterwards %d, %v", master, n, err)
		}
		sc.Stop()
	}
}

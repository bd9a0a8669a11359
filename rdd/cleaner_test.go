package rdd_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// listener is a session that is told what became unreachable. It runs jobs like the one it embeds.
type listener struct {
	*driver.Context
	mu                            sync.Mutex
	datasets, shuffles, variables []int
}

func (l *listener) DatasetGone(id int)  { l.add(&l.datasets, id) }
func (l *listener) ShuffleGone(id int)  { l.add(&l.shuffles, id) }
func (l *listener) VariableGone(id int) { l.add(&l.variables, id) }

func (l *listener) add(to *[]int, id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*to = append(*to, id)
}

func (l *listener) told(of *[]int, id int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(*of, id)
}

// collectUntil runs the garbage collector until ok, which clean-ups make true in a goroutine of their own.
func collectUntil(ok func() bool) bool {
	for range 200 {
		runtime.GC()
		if ok() {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

func TestUnreachableThingsAreForgotten(t *testing.T) {
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	s := &listener{Context: sc}
	var dataset, shuffle, variable int
	kept := rdd.Range(s, 0, 10, 1, 2).Persist(rdd.MemoryOnly)
	func() {
		b, err := rdd.NewBroadcast(s, int64(3))
		if err != nil {
			t.Fatal(err)
		}
		cached := rdd.Map(kept, rdd.Bind(b, func(b rdd.Broadcast[int64], x int64) int64 { return x * b.Value() })).Cache()
		sums := rdd.ReduceByKey(rdd.KeyBy(cached, isEven), add)
		dataset, variable = cached.ID(), b.ID()
		shuffle = sums.Node().Dependencies()[0].(*rdd.Shuffle).ID
		if collectUntil(func() bool {
			return s.told(&s.shuffles, shuffle) || s.told(&s.datasets, dataset) || s.told(&s.variables, variable)
		}) {
			t.Error("something that can be reached was forgotten")
		}
		runtime.KeepAlive(sums)
	}()
	for what, ok := range map[string]func() bool{
		"the shuffle":   func() bool { return s.told(&s.shuffles, shuffle) },
		"the dataset":   func() bool { return s.told(&s.datasets, dataset) },
		"the broadcast": func() bool { return s.told(&s.variables, variable) },
	} {
		if !collectUntil(ok) {
			t.Errorf("%s can no longer be reached and the session was not told", what)
		}
	}
	if s.told(&s.datasets, kept.ID()) {
		t.Error("a dataset that can be reached was forgotten")
	}
	runtime.KeepAlive(kept)
}

// After a checkpoint the shuffles before it are forgotten while the dataset lives on.
func TestCheckpointFreesWhatItCut(t *testing.T) {
	sc := driver.New(driver.Master("local[1]"), driver.Set("spark.checkpoint.dir", t.TempDir()))
	defer sc.Stop()
	told := make(chan int, 10)
	r := rdd.Repartition(rdd.Range(sc, 0, 100, 1, 2), 3)
	runtime.AddCleanup(r.Node().Dependencies()[0].(*rdd.Shuffle), func(int) { told <- 1 }, 0)
	r = r.Checkpoint()
	for range 2 {
		if n, err := r.Count(context.Background()); n != 100 || err != nil {
			t.Fatal(n, err)
		}
	}
	if !collectUntil(func() bool { return len(told) == 1 }) {
		t.Error("the shuffle before the checkpoint can still be reached")
	}
	runtime.KeepAlive(r)
}

// An iterative program does not keep the lineages of its earlier rounds.
func TestJobsKeepNoLineage(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	gone := make(chan int, 100)
	for range 5 {
		r := rdd.Repartition(rdd.Range(sc, 0, 100, 1, 2), 3)
		runtime.AddCleanup(r.Node().Dependencies()[0].(*rdd.Shuffle), func(int) { gone <- 1 }, 0)
		if _, err := r.Collect(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !collectUntil(func() bool { return len(gone) >= 4 }) {
		t.Errorf("after 5 jobs only %d lineages were freed", len(gone))
	}
}

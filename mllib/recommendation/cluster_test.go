package recommendation_test

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// TestSameModelHoweverComputed: cores, executors and the partitions of the input do not show in the model.
func TestSameModelHoweverComputed(t *testing.T) {
	rs := planted(2, 50, 30, 3, 0.5)
	for _, a := range []settings{{Rank: 4, MaxIter: 3}, {Rank: 4, MaxIter: 2, ImplicitPrefs: true, NumUserBlocks: 3, NumItemBlocks: 4}} {
		want := ""
		for _, master := range []string{"local[1]", "local[4]", "local-cluster[1,1,256m]", "local-cluster[2,1,256m]", "local-cluster[4,1,256m]"} {
			if a.ImplicitPrefs && master == "local-cluster[4,1,256m]" {
				continue // one with many processes is enough
			}
			sc := driver.New(driver.Master(master))
			for _, partitions := range []int{2, 5} {
				m, err := a.Fit(context.Background(), rdd.Parallelize(sc, rs, partitions))
				if err != nil {
					t.Fatal(err)
				}
				got := digest(t, m)
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("%s, %d partitions: model %s, want %s", master, partitions, got, want)
				}
			}
			sc.Stop()
		}
	}
}

func pidOf(int64) int { return os.Getpid() }

// TestKilledExecutor kills an executor in the middle of the iterations: the model is that of an undisturbed fit.
func TestKilledExecutor(t *testing.T) {
	rs := planted(3, 50, 30, 3, 0.5)
	a := settings{Rank: 3, MaxIter: 12, CheckpointInterval: 5, NumUserBlocks: 4, NumItemBlocks: 4}
	calm := driver.New(driver.Master("local[2]"))
	m, err := a.Fit(context.Background(), rdd.Parallelize(calm, rs, 3))
	calm.Stop()
	if err != nil {
		t.Fatal(err)
	}
	want := digest(t, m)

	sc := driver.New(driver.Master("local-cluster[2,1,256m]"))
	defer sc.Stop()
	pids, err := rdd.Map(rdd.Range(sc, 0, 2, 1, 2), pidOf).Collect(context.Background())
	if err != nil || pids[0] == os.Getpid() {
		t.Fatalf("tasks ran in %v: %v", pids, err)
	}
	var submitted, lost atomic.Int64
	sc.AddListener(func(e driver.Event) {
		switch e.(type) {
		case driver.ExecutorRemoved:
			lost.Add(1)
		case driver.StageSubmitted:
			if submitted.Add(1) == 13 {
				_ = syscall.Kill(pids[0], syscall.SIGKILL)
			}
		}
	})
	if m, err = a.Fit(context.Background(), rdd.Parallelize(sc, rs, 3)); err != nil {
		t.Fatal(err)
	}
	if got := digest(t, m); got != want {
		t.Errorf("model %s, want %s", got, want)
	}
	if lost.Load() == 0 {
		t.Error("no executor was lost: the test proved nothing")
	}
}

func TestCancelEndsTheFit(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	var cancelled atomic.Pointer[time.Time]
	time.AfterFunc(200*time.Millisecond, func() {
		now := time.Now()
		cancelled.Store(&now)
		cancel()
	})
	_, err := settings{Rank: 20, MaxIter: 1 << 30}.Fit(ctx, rdd.Parallelize(sc, planted(4, 100, 80, 2, 0.7), 2))
	if took := time.Since(*cancelled.Load()); !errors.Is(err, context.Canceled) || took > time.Second {
		t.Errorf("ended %v later with %v", took, err)
	}
}

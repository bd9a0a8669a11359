package driver_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// whoRuns remembers where the tasks of a context were started last, by partition, and which executors are alive.
type whoRuns struct {
	mu    sync.Mutex
	on    map[int]string
	alive map[string]bool
}

func (w *whoRuns) watch(e driver.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case driver.TaskStarted:
		w.on[e.Partition] = e.Executor
	case driver.ExecutorAdded:
		w.alive[e.Executor] = true
	case driver.ExecutorRemoved:
		delete(w.alive, e.Executor)
	}
}

func (w *whoRuns) where(partition int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.on[partition]
}

// until waits for a condition on the live executors.
func (w *whoRuns) until(t *testing.T, what string, ok func(alive map[string]bool) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		now := ok(w.alive)
		w.mu.Unlock()
		if now {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}

// waitFor ends when a file exists.
func waitFor(path string, x int64) int64 {
	for range 3000 {
		if _, err := os.Stat(path); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return x
}

// A dataset is cached, so nobody misses the map outputs behind it that go with a host. A task that runs elsewhere does: it must not take those
// that are left for all. The outputs are computed again, which is no failure of the stage.
func TestMapOutputsBehindACacheAreLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.shuffle.readHostLocalDisk", "false"), driver.Set("spark.locality.wait", "0s"),
		driver.Set("spark.stage.maxConsecutiveAttempts", "1"))
	defer sc.Stop()
	who := &whoRuns{on: map[int]string{}, alive: map[string]bool{}}
	sc.AddListener(who.watch)
	ctx := context.Background()
	who.until(t, "two executors", func(alive map[string]bool) bool { return len(alive) == 2 })

	pairs := rdd.Map(rdd.Range(sc, 0, 1000, 1, 4), func(x int64) rdd.Pair[int64, int64] {
		if x%250 == 0 {
			time.Sleep(100 * time.Millisecond) // so that both executors take part
		}
		return rdd.Pair[int64, int64]{Key: x % 10, Value: x}
	})
	sums := rdd.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, 1).Cache()
	want, err := sums.Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	holder := who.where(0)

	// Each host is asked for its number, and the one that does not cache is killed.
	hosts, err := rdd.Map(rdd.Range(sc, 0, 2, 1, 2), func(int64) int64 {
		time.Sleep(300 * time.Millisecond)
		return int64(os.Getppid())
	}).Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if who.where(0) == who.where(1) {
		t.Skip("one executor ran both tasks")
	}
	other := 0
	if who.where(0) == holder {
		other = 1
	}
	if err := syscall.Kill(int(hosts[other]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	killed := who.where(other)
	who.until(t, "another executor", func(alive map[string]bool) bool { return !alive[killed] && len(alive) == 2 })

	// The executor that caches is kept busy.
	var sleepers sync.WaitGroup
	defer sleepers.Wait()
	for i := range 2 {
		path := filepath.Join(dir, strconv.Itoa(i))
		defer os.WriteFile(path, nil, 0o600)
		sleepers.Go(func() {
			if _, err := rdd.Map(rdd.Range(sc, 7, 8, 1, 1), rdd.Bind(path, waitFor)).Count(ctx); err != nil {
				t.Error(err)
			}
		})
		before := fmt.Sprint(i)
		who.mu.Lock()
		who.on[0] = before
		who.mu.Unlock()
		who.until(t, "a sleeping task", func(map[string]bool) bool { return who.on[0] != before })
		if who.where(0) == holder {
			if i == 1 { // the first one sleeps in the other
				os.WriteFile(filepath.Join(dir, "0"), nil, 0o600)
			}
			break
		}
	}
	got, err := sums.Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if who.where(0) == holder {
		t.Error("the task ran where its input is cached: nothing was shown")
	}
	if !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

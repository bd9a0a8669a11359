package driver_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// counts sums 0…n-1 by remainder, on the way through two accumulators: one before the shuffle and one after it.
func counts(sc *driver.Context, n int64, before, after rdd.Accumulator[int64]) rdd.RDD[rdd.Pair[int64, int64]] {
	pairs := rdd.Map(rdd.Range(sc, 0, n, 1, 4), rdd.Bind(before, func(acc rdd.Accumulator[int64], x int64) rdd.Pair[int64, int64] {
		acc.Add(1)
		return rdd.Pair[int64, int64]{Key: x % 10, Value: x}
	}))
	sums := rdd.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, 3)
	return rdd.Map(sums, rdd.Bind(after, func(acc rdd.Accumulator[int64], p rdd.Pair[int64, int64]) rdd.Pair[int64, int64] {
		acc.Add(1)
		return p
	}))
}

// shuffleFiles lists the map outputs below a directory: their .data or .index files.
func shuffleFiles(dir, ext string) (files []string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ext) {
			files = append(files, path)
		}
		return nil
	})
	return files
}

// A lost map output costs the map task that wrote it, not the stage; what accumulators gathered in tasks that did not run again
// counts once.
func TestLostMapOutput(t *testing.T) {
	t.Parallel()
	for _, m := range []string{"local[2]", "local-cluster[2,1,128m]"} {
		dir := t.TempDir()
		sc := driver.New(driver.Master(m), driver.Set("spark.local.dir", dir))
		var attempts atomic.Int64
		sc.AddListener(func(e driver.Event) {
			if e, ok := e.(driver.StageSubmitted); ok && e.Attempt > 0 {
				attempts.Add(1)
			}
		})
		before, err := rdd.LongAccumulator(sc, "before")
		if err != nil {
			t.Fatal(err)
		}
		after, err := rdd.LongAccumulator(sc, "after")
		if err != nil {
			t.Fatal(err)
		}
		r := counts(sc, 10_000, before, after)
		first, err := r.Collect(context.Background())
		if err != nil || before.Value() != 10_000 || after.Value() != 10 {
			t.Fatalf("%s: %v; accumulators %d and %d", m, err, before.Value(), after.Value())
		}
		outputs := shuffleFiles(dir, ".data")
		if len(outputs) != 4 {
			t.Fatalf("%s: map outputs %v, want 4", m, outputs)
		}
		if err := os.Remove(outputs[1]); err != nil {
			t.Fatal(err)
		}
		second, err := r.Collect(context.Background())
		if err != nil || !slices.Equal(first, second) {
			t.Errorf("%s: after the loss %v, %v, want %v", m, second, err, first)
		}
		if before.Value() != 12_500 || after.Value() != 20 || attempts.Load() == 0 {
			t.Errorf("%s: accumulators %d and %d, want 12500 (one map task of 2500 rows again) and 20; %d stages tried again", m, before.Value(), after.Value(), attempts.Load())
		}
		sc.Stop()
	}
}

// dieOnce kills the task's process the first time that it is called with a marker.
func dieOnce(marker string) {
	if os.Mkdir(marker, 0o700) == nil {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func TestExecutorDiesInEachPhase(t *testing.T) {
	t.Parallel()
	for _, disk := range []string{"true", "false"} {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.shuffle.readHostLocalDisk", disk))
		var lost atomic.Int64
		sc.AddListener(func(e driver.Event) {
			if _, ok := e.(driver.ExecutorRemoved); ok {
				lost.Add(1)
			}
		})
		pairs := rdd.Map(rdd.Range(sc, 0, 10_000, 1, 4), rdd.Bind(filepath.Join(dir, "map"), func(marker string, x int64) rdd.Pair[int64, int64] {
			if x == 7000 {
				dieOnce(marker)
			}
			return rdd.Pair[int64, int64]{Key: x % 10, Value: x}
		}))
		sums := rdd.Map(rdd.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, 3), rdd.Bind(filepath.Join(dir, "reduce"), func(marker string, p rdd.Pair[int64, int64]) int64 {
			dieOnce(marker)
			return p.Value
		}))
		total, err := rdd.Reduce(context.Background(), sums, func(a, b int64) int64 { return a + b })
		sc.Stop()
		if err != nil || total != 10_000*9_999/2 || lost.Load() < 2 {
			t.Errorf("local disk %s: total %d, %v; %d executors were lost", disk, total, err, lost.Load())
		}
	}
}

// Map outputs belong to the host: when all job processes that wrote them are killed, their replacements and the driver go on from them, and
// no map task runs again.
func TestMapOutputsOutliveTheirProcesses(t *testing.T) {
	t.Parallel()
	for _, disk := range []string{"true", "false"} {
		sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.shuffle.readHostLocalDisk", disk))
		var removed, started atomic.Int64
		sc.AddListener(func(e driver.Event) {
			switch e.(type) {
			case driver.ExecutorRemoved:
				removed.Add(1)
			case driver.TaskStarted:
				started.Add(1)
			}
		})
		r := keyed(sc, 10_000)
		processes := map[int]bool{}
		for len(processes) < 2 {
			pids, err := rdd.Map(rdd.Range(sc, 0, 4, 1, 4), func(int64) int { time.Sleep(10 * time.Millisecond); return os.Getpid() }).Collect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, pid := range pids {
				processes[pid] = true
			}
		}
		want, err := r.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for pid := range processes {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		for end := time.Now().Add(20 * time.Second); removed.Load() < 2 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		started.Store(0)
		got, err := r.Collect(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("local disk %s: %d rows, %v, want the %d as before", disk, len(got), err, len(want))
		}
		if removed.Load() != 2 || started.Load() != 3 {
			t.Errorf("local disk %s: %d processes were lost and %d tasks ran, want both and the three that read the shuffle", disk, removed.Load(), started.Load())
		}
		sc.Stop()
	}
}

func TestBroadcastIsFetchedOnceAProcess(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,2,128m]"))
	defer sc.Stop()
	b, err := rdd.NewBroadcast(sc, make([]int64, 1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		PID   int
		Value string // its address
	}
	got, err := rdd.Map(rdd.Range(sc, 0, 16, 1, 16), rdd.Bind(b, func(b rdd.Broadcast[[]int64], _ int64) seen {
		time.Sleep(10 * time.Millisecond)
		return seen{os.Getpid(), fmt.Sprintf("%p", b.Value())}
	})).Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	values := map[int]string{}
	for _, s := range got {
		if old, ok := values[s.PID]; ok && old != s.Value {
			t.Errorf("process %d has two copies", s.PID)
		}
		values[s.PID] = s.Value
	}
	if len(values) != 2 || values[os.Getpid()] != "" {
		t.Errorf("processes %v, want two others than %d", values, os.Getpid())
	}
}

func TestSlowTaskIsSpeculated(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,2,128m]"), driver.Set("spark.speculation", "true"), driver.Set("spark.speculation.quantile", "0.5"))
	defer sc.Stop()
	var copies atomic.Int64
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskStarted); ok && e.Speculative {
			copies.Add(1)
		}
	})
	acc, err := rdd.LongAccumulator(sc, "rows")
	if err != nil {
		t.Fatal(err)
	}
	type env struct {
		Marker string
		Acc    rdd.Accumulator[int64]
	}
	start := time.Now()
	got, err := rdd.Map(rdd.Range(sc, 0, 8, 1, 8), rdd.Bind(env{filepath.Join(t.TempDir(), "slow"), acc}, func(e env, x int64) int64 {
		e.Acc.Add(1)
		if x == 2 && os.Mkdir(e.Marker, 0o700) == nil {
			time.Sleep(time.Minute)
		}
		return x
	})).Collect(context.Background())
	if err != nil || !slices.Equal(got, []int64{0, 1, 2, 3, 4, 5, 6, 7}) || copies.Load() == 0 || time.Since(start) > 20*time.Second {
		t.Errorf("got %v, %v after %v with %d copies", got, err, time.Since(start), copies.Load())
	}
	if acc.Value() != 8 {
		t.Errorf("the accumulator is %d: only one attempt of a task counts", acc.Value())
	}
}

// Where a reduce task's input lies on one host, and is large, the task runs there.
func TestReduceTasksRunWhereTheirInputIs(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,1,256m]"), driver.Set("spark.shuffle.readHostLocalDisk", "false"))
	defer sc.Stop()
	var mu sync.Mutex
	localities := map[int][]string{} // of each stage's tasks
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskStarted); ok {
			mu.Lock()
			localities[e.Stage] = append(localities[e.Stage], e.Locality)
			mu.Unlock()
		}
	})
	const rows = 300_000
	pairs := rdd.Map(rdd.Range(sc, 0, 4*rows, 1, 4), func(x int64) rdd.Pair[int64, uint64] {
		if x%rows == 0 {
			time.Sleep(200 * time.Millisecond) // so that both executors get map tasks
		}
		return rdd.Pair[int64, uint64]{Key: x / rows, Value: uint64(x) * 0x9e3779b97f4a7c15}
	})
	n, err := rdd.PartitionBy(pairs, rdd.HashPartitioner[int64]{N: 4}).Count(context.Background())
	if n != 4*rows || err != nil {
		t.Fatal(n, err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(localities[1], "NODE_LOCAL") || slices.Contains(localities[0], "NODE_LOCAL") {
		t.Errorf("tasks ran at %v", localities)
	}
}

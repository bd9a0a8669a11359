package driver_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

const sigpwr = syscall.Signal(30) // SIGPWR, which other systems than Linux lack

// diary is what a context did.
type diary struct {
	mu     sync.Mutex
	events []driver.Event
}

func keepDiary(sc *driver.Context) *diary {
	d := &diary{}
	sc.AddListener(func(e driver.Event) {
		d.mu.Lock()
		d.events = append(d.events, e)
		d.mu.Unlock()
	})
	return d
}

func (d *diary) each(f func(driver.Event)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		f(e)
	}
}

// succeeded counts the tasks that counted, on one executor or, without a name, on all.
func (d *diary) succeeded(executor string) (n int) {
	d.each(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok && e.Accepted && (executor == "" || e.Executor == executor) {
			n++
		}
	})
	return n
}

// first is the executor that ended a task first.
func (d *diary) first() (executor string) {
	d.each(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok && e.Accepted && executor == "" {
			executor = e.Executor
		}
	})
	return executor
}

// end waits until an executor has ended, and says why.
func (d *diary) end(t *testing.T, executor string) (reason string) {
	t.Helper()
	for range 3000 {
		d.each(func(e driver.Event) {
			if e, ok := e.(driver.ExecutorRemoved); ok && e.Executor == executor {
				reason = e.Reason
			}
		})
		if reason != "" {
			return reason
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("executor %s does not end", executor)
	return ""
}

// idleAfterwards fails the test if an executor got a task after it was decommissioned.
func (d *diary) idleAfterwards(t *testing.T, executor string) {
	t.Helper()
	told := false
	d.each(func(e driver.Event) {
		switch e := e.(type) {
		case driver.ExecutorDecommissioned:
			told = told || e.Executor == executor
		case driver.TaskStarted:
			if told && e.Executor == executor {
				t.Errorf("task %d was given to %s after it was decommissioned", e.Task, executor)
			}
		}
	})
	if !told {
		t.Errorf("%s was never decommissioned: the test proves nothing", executor)
	}
}

// hostOf is the number of the process of an executor's host: the parent of the processes that run its tasks.
func hostOf(t *testing.T, sc *driver.Context, d *diary, executor string) int {
	t.Helper()
	return processOf(t, sc, d, executor, true)
}

// Map outputs of a decommissioned executor move to another one: no map task runs again, whether hosts share a disk or not, and whoever asked for it. No
// failure of any kind is allowed.
func TestDecommissionMovesMapOutputs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, c := range []struct{ executors, disk, bind, encrypted string }{
		{"2", "true", "", "false"}, {"2", "false", "127.0.0.1", "true"}, {"1", "true", "", "false"}, {"1", "false", "", "false"},
	} {
		name := fmt.Sprintf("%s executors, local disk %s", c.executors, c.disk)
		dir := t.TempDir()
		sc := driver.New(driver.Master("local-cluster["+c.executors+",1,128m]"), driver.Set("spark.local.dir", dir), driver.Set("spark.shuffle.readHostLocalDisk", c.disk),
			driver.Set("spark.task.maxFailures", "1"), driver.Set("spark.stage.maxConsecutiveAttempts", "1"),
			driver.Set("spark.driver.bindAddress", c.bind), driver.Set("spark.network.crypto.enabled", c.encrypted),
			driver.Set("spark.io.encryption.enabled", fmt.Sprint(c.executors == "2"))) // copies travel as they are
		d := keepDiary(sc)
		r := keyed(sc, 10_000)
		want, err := r.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone := d.first()
		outputs := len(shuffleFiles(hostDir(t, dir, gone), ".index"))
		if outputs == 0 {
			t.Fatalf("%s: %s has no outputs: the test proves nothing", name, gone)
		}
		if c.disk == "true" || runtime.GOOS != "linux" {
			err = sc.Decommission(ctx, gone)
		} else { // the same by signal
			err = syscall.Kill(hostOf(t, sc, d, gone), sigpwr)
		}
		if err != nil {
			t.Fatal(err)
		}
		if reason := d.end(t, gone); !strings.Contains(reason, fmt.Sprintf("decommissioned: %d map outputs and 0 cached blocks were moved, 0 could not be", outputs)) {
			t.Errorf("%s: %s had %d outputs and ended because %s", name, gone, outputs, reason)
		}
		before := d.succeeded("")
		got, err := r.Collect(ctx)
		if n := d.succeeded("") - before; err != nil || !slices.Equal(got, want) || n != 3 {
			t.Errorf("%s: %d rows, %v, want the %d as before from 3 tasks, not %d", name, len(got), err, len(want), n)
		}
		d.idleAfterwards(t, gone)
		sc.Stop()
	}
}

// hostDir is the folder of an executor's host.
func hostDir(t *testing.T, dir, executor string) string {
	t.Helper()
	number, _, _ := strings.Cut(executor, ".")
	found := ""
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() && e.Name() == "host-"+number {
			found = path
		}
		return nil
	})
	if found == "" {
		t.Fatalf("no folder of the host of %s in %s", executor, dir)
	}
	return found
}

// Cached blocks move as well, at each storage level: nothing is computed again.
func TestDecommissionMovesCachedBlocks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, level := range []rdd.StorageLevel{rdd.MemoryOnly, rdd.MemoryAndDisk, rdd.DiskOnly} {
		sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.rdd.compress", fmt.Sprint(level == rdd.DiskOnly)),
			driver.Set("spark.io.encryption.enabled", fmt.Sprint(level != rdd.MemoryAndDisk)))
		d := keepDiary(sc)
		acc, err := rdd.LongAccumulator(sc, "computed")
		if err != nil {
			t.Fatal(err)
		}
		r := rdd.Map(rdd.Range(sc, 0, 40_000, 1, 4), rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) int64 { acc.Add(1); return x * x })).Persist(level)
		want, err := r.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for round := range 2 { // the second time what was moved moves on
			gone := d.first()
			if round == 1 {
				gone = holder(d, gone)
			}
			if err := sc.Decommission(ctx, gone); err != nil {
				t.Fatal(err)
			}
			if reason := d.end(t, gone); !strings.Contains(reason, " cached blocks were moved, 0 could not be") || strings.Contains(reason, " 0 cached") {
				t.Errorf("%v: %s ended because %s", level, gone, reason)
			}
			for range 2 { // from disk, and then from memory if it belongs there
				got, err := r.Collect(ctx)
				if err != nil || !slices.Equal(got, want) || acc.Value() != 40_000 {
					t.Errorf("%v: %d rows, %v, computed %d rows, want 40000", level, len(got), err, acc.Value())
				}
			}
		}
		sc.Stop()
	}
}

// cachedFiles lists the cached blocks on disk below a directory.
func cachedFiles(dir string) (files []string) {
	filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), "rdd_") {
			files = append(files, path)
		}
		return nil
	})
	return files
}

// holder is an executor that ended tasks in its cache after another one had gone.
func holder(d *diary, gone string) (executor string) {
	d.each(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok && e.Executor != gone {
			executor = e.Executor
		}
	})
	return executor
}

// Decommissioned in the middle of map tasks, an executor finishes what it runs, gets nothing more, and what it wrote and cached is moved: no task runs
// twice. All others go at once, then the last one.
func TestDecommissionWhileTasksRun(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, executors := range []int{2, 3} { // all but one go
		dir := t.TempDir()
		sc := driver.New(driver.Master(fmt.Sprintf("local-cluster[%d,1,128m]", executors)), driver.Set("spark.shuffle.readHostLocalDisk", fmt.Sprint(executors == 2)),
			driver.Set("spark.task.maxFailures", "1"), driver.Set("spark.stage.maxConsecutiveAttempts", "1"))
		d := keepDiary(sc)
		cached := rdd.Map(rdd.Range(sc, 0, 8, 1, 8), rdd.Bind(dir, func(dir string, x int64) rdd.Pair[int64, int64] {
			os.WriteFile(filepath.Join(dir, fmt.Sprint(x)), nil, 0o600)
			for _, err := os.Stat(filepath.Join(dir, "go on")); err != nil; _, err = os.Stat(filepath.Join(dir, "go on")) {
				time.Sleep(time.Millisecond)
			}
			return rdd.Pair[int64, int64]{Key: x % 3, Value: x}
		})).Persist(rdd.MemoryOnly)
		sums := rdd.ReduceByKey(cached, func(a, b int64) int64 { return a + b }, 3)
		type result struct {
			rows []rdd.Pair[int64, int64]
			err  error
		}
		done := make(chan result, 1)
		go func() {
			rows, err := sums.Collect(ctx)
			done <- result{rows, err}
		}()
		for i := range executors {
			await(filepath.Join(dir, fmt.Sprint(i))) // one task runs on each
		}
		var gone []string
		d.each(func(e driver.Event) {
			if e, ok := e.(driver.TaskStarted); ok && len(gone) < executors-1 {
				gone = append(gone, e.Executor)
			}
		})
		left := make(chan error, 1)
		go func() { left <- sc.Decommission(ctx, gone...) }()
		for told := 0; told < len(gone); time.Sleep(time.Millisecond) {
			told = 0
			d.each(func(e driver.Event) {
				if _, ok := e.(driver.ExecutorDecommissioned); ok {
					told++
				}
			})
		}
		if n := d.succeeded(""); n != 0 {
			t.Errorf("%d tasks had ended before: the test proves nothing", n)
		}
		os.WriteFile(filepath.Join(dir, "go on"), nil, 0o600)
		first := <-done
		if err := <-left; err != nil || first.err != nil {
			t.Fatal(err, first.err)
		}
		for _, name := range gone {
			d.idleAfterwards(t, name)
			if reason := d.end(t, name); d.succeeded(name) > 0 && !strings.Contains(reason, "1 map outputs and 1 cached blocks were moved, 0 could not be") {
				t.Errorf("%s ended because %s", name, reason)
			}
		}
		if n := d.succeeded(""); n != 8+3 {
			t.Errorf("%d tasks counted, want 8 and 3", n)
		}
		again, err := rdd.Map(cached, func(p rdd.Pair[int64, int64]) int64 { return p.Value }).Collect(ctx)
		if err != nil || !slices.Equal(again, []int64{0, 1, 2, 3, 4, 5, 6, 7}) {
			t.Error(again, err)
		}
		second, err := sums.Collect(ctx)
		if n := d.succeeded(""); err != nil || !slices.Equal(first.rows, second) || len(second) != 3 || n != 8+3+8+3 {
			t.Errorf("%v, then %v, %v; %d tasks", first.rows, second, err, n)
		}
		sc.Stop()
	}
}

// What arrives damaged is not taken, and computed again: a map output and a cached block.
func TestDecommissionMovesNothingDamaged(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for i, fault := range slices.Concat(faults, faults[2:]) {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.local.dir", dir), driver.Set("spark.shuffle.readHostLocalDisk", "false"),
			driver.Set("spark.stage.maxConsecutiveAttempts", "1"), driver.Set("spark.io.encryption.enabled", fmt.Sprint(i == len(faults))))
		d := keepDiary(sc)
		r := keyed(sc, 10_000)
		want, err := r.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone := d.first()
		if err := fault.do(shuffleFiles(hostDir(t, dir, gone), ".data")[0]); err != nil {
			t.Fatal(err)
		}
		if err := sc.Decommission(ctx, gone); err != nil {
			t.Fatal(err)
		}
		if reason := d.end(t, gone); !strings.Contains(reason, "1 could not be") {
			t.Errorf("%s: %s ended because %s", fault.name, gone, reason)
		}
		before := d.succeeded("")
		got, err := r.Collect(ctx)
		if n := d.succeeded("") - before; err != nil || !slices.Equal(got, want) || n != 1+3 {
			t.Errorf("%s: %d rows, %v, want the %d as before from one map task and 3 others, not %d", fault.name, len(got), err, len(want), n)
		}

		cached := rdd.Map(rdd.Range(sc, 0, 20_000, 1, 2), func(x int64) int64 { return x * x }).Persist(rdd.DiskOnly)
		squares, err := cached.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone = holder(d, gone)
		if err := fault.do(cachedFiles(hostDir(t, dir, gone))[0]); err != nil {
			t.Fatal(err)
		}
		if err := sc.Decommission(ctx, gone); err != nil {
			t.Fatal(err)
		}
		if reason := d.end(t, gone); !strings.Contains(reason, "1 could not be") {
			t.Errorf("%s: %s ended because %s, and a cached block is damaged", fault.name, gone, reason)
		}
		if again, err := cached.Collect(ctx); err != nil || !slices.Equal(again, squares) {
			t.Errorf("%s: %d rows, %v, or others than before", fault.name, len(again), err)
		}
		sc.Stop()
	}
}

// An executor that does not answer keeps nobody from going: what it was to copy goes elsewhere when it counts as lost, and what it had is computed again.
func TestDecommissionWithAStalledTarget(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.shuffle.readHostLocalDisk", "false"), driver.Set("spark.executor.heartbeatInterval", "100ms"),
		driver.Set("spark.network.timeout", "1s"))
	defer sc.Stop()
	d := keepDiary(sc)
	r := keyed(sc, 10_000)
	want, err := r.Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	gone, other := "0.1", "1.1"
	if d.first() == other {
		gone, other = other, gone
	}
	moved := d.succeeded(gone) > 0
	stalled := hostOf(t, sc, d, other)
	if err := syscall.Kill(stalled, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(stalled, syscall.SIGCONT)
	if err := sc.Decommission(ctx, gone); err != nil {
		t.Fatal(err)
	}
	if reason := d.end(t, other); !strings.Contains(reason, "heartbeat") {
		t.Errorf("the stopped host of %s ended because %s: the test proves nothing", other, reason)
	}
	if reason := d.end(t, gone); !moved || strings.Contains(reason, " 0 map outputs") || !strings.Contains(reason, "0 could not be") {
		t.Errorf("%s ended because %s", gone, reason)
	}
	got, err := r.Collect(ctx)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d rows, %v, want the %d as before", len(got), err, len(want))
	}
}

// A host that dies in the middle of its decommissioning is a host that died; one whose job process dies has its map outputs moved all the same. None of it
// counts as a failure. The only executor of an application waits for the one that takes its place: that is the middle.
func TestDecommissionedExecutorDies(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, host := range []bool{true, false} {
		sc := driver.New(driver.Master("local-cluster[1,1,128m]"), driver.Set("spark.task.maxFailures", "1"), driver.Set("spark.stage.maxConsecutiveAttempts", "1"))
		d := keepDiary(sc)
		r := keyed(sc, 10_000)
		want, err := r.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		pids, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(host, func(host bool, _ int64) int {
			if host {
				return os.Getppid()
			}
			return os.Getpid()
		})).Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone := d.first()
		var once sync.Once
		sc.AddListener(func(e driver.Event) {
			if _, ok := e.(driver.ExecutorDecommissioned); ok {
				once.Do(func() { syscall.Kill(pids[0], syscall.SIGKILL) })
			}
		})
		if err := sc.Decommission(ctx, gone); err != nil {
			t.Fatal(err)
		}
		if reason := d.end(t, gone); !strings.Contains(reason, "decommissioned") || !strings.Contains(reason, "signal 9") && !strings.Contains(reason, "killed") {
			t.Errorf("host %v: %s ended because %s: the test proves nothing", host, gone, reason)
		}
		before := d.succeeded("")
		tasks := 3
		if host {
			tasks += 4
		}
		got, err := r.Collect(ctx)
		if n := d.succeeded("") - before; err != nil || !slices.Equal(got, want) || n != tasks {
			t.Errorf("host %v: %d rows, %v, want the %d as before from %d tasks, not %d", host, len(got), err, len(want), tasks, n)
		}
		sc.Stop()
	}
}

// A task that does not end has as long as the setting says; it runs again elsewhere, and that is no failure of it.
func TestDecommissionedExecutorIsKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sc := driver.New(driver.Master("local-cluster[1,1,128m]"), driver.Set("spark.executor.decommission.forceKillTimeout", "300ms"), driver.Set("spark.task.maxFailures", "1"),
		driver.Set("spark.storage.decommission.enabled", "false"))
	defer sc.Stop()
	d := keepDiary(sc)
	go func() {
		await(filepath.Join(dir, "once"))
		sc.Decommission(context.Background(), "0.1")
	}()
	got, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(dir, func(dir string, x int64) int64 {
		if os.Mkdir(filepath.Join(dir, "once"), 0o700) == nil {
			select {}
		}
		return x + 7
	})).Collect(context.Background())
	if err != nil || !slices.Equal(got, []int64{7}) {
		t.Error(got, err)
	}
	if reason := d.end(t, "0.1"); !strings.Contains(reason, "forceKillTimeout") {
		t.Error(reason)
	}
	d.idleAfterwards(t, "0.1")
}

func TestDecommissionRefuses(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	local := driver.New(driver.Master("local[1]"))
	defer local.Stop()
	if err := local.Decommission(ctx, "driver"); err == nil || !strings.Contains(err.Error(), "local[1]") {
		t.Error(err)
	}
	off := driver.New(driver.Master("local-cluster[1,1,128m]"), driver.Set("spark.decommission.enabled", "false"))
	defer off.Stop()
	if err := off.Decommission(ctx, "0.1"); err == nil || !strings.Contains(err.Error(), "spark.decommission.enabled") {
		t.Error(err)
	}
	on := driver.New(driver.Master("local-cluster[1,1,128m]"))
	defer on.Stop()
	d := keepDiary(on)
	if _, err := rdd.Range(on, 0, 1, 1, 1).Collect(ctx); err != nil { // now there is an executor
		t.Fatal(err)
	}
	if err := on.Decommission(ctx, "0.1", "7.1"); err == nil || !strings.Contains(err.Error(), `no executor "7.1": there are 0.1`) {
		t.Error(err)
	}
	d.each(func(e driver.Event) {
		if _, ok := e.(driver.ExecutorDecommissioned); ok {
			t.Error("an executor was decommissioned all the same")
		}
	})
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if err := on.Decommission(stopped, "0.1"); err == nil {
		d.end(t, "0.1") // quicker than the context was looked at
	} else if err != context.Canceled {
		t.Error(err)
	}
}

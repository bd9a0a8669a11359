package driver_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// faults are what can happen to a file.
var faults = []struct {
	name string
	do   func(path string) error
}{
	{"deleted", os.Remove},
	{"truncated", func(path string) error {
		fi, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, fi.Size()/2)
	}},
	{"bit flipped", func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b[len(b)*2/3] ^= 16
		return os.WriteFile(path, b, 0o600)
	}},
}

// fetchFailures counts the stage attempts of a context that ended because a map output could not be read.
func fetchFailures(sc *driver.Context) *atomic.Int64 {
	var n atomic.Int64
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.StageCompleted); ok && strings.Contains(e.Error, "map output") {
			n.Add(1)
		}
	})
	return &n
}

// keyed is a shuffle of n rows, and what its rows are when nothing goes wrong.
func keyed(sc *driver.Context, n int64) rdd.RDD[rdd.Pair[int64, int64]] {
	return rdd.ReduceByKey(rdd.Map(rdd.Range(sc, 0, n, 1, 4), func(x int64) rdd.Pair[int64, int64] {
		return rdd.Pair[int64, int64]{Key: x % 1000, Value: x}
	}), func(a, b int64) int64 { return a + b }, 3)
}

// Whatever happens to a file of a map output, its map task runs again, and no other; where stages are not tried again the job fails, and
// does not hang.
func TestDamagedMapOutputs(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, disk := range []string{"true", "false"} {
		for _, attempts := range []string{"4", "1"} {
			dir := t.TempDir()
			sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.local.dir", dir), driver.Set("spark.shuffle.readHostLocalDisk", disk),
				driver.Set("spark.stage.maxConsecutiveAttempts", attempts), driver.Set("spark.io.encryption.enabled", fmt.Sprint((disk == "true") == (attempts == "4"))))
			failures := fetchFailures(sc)
			r := keyed(sc, 10_000)
			want, err := r.Collect(ctx)
			if err != nil {
				t.Fatal(err)
			}
			damaged := map[string]bool{} // outputs, without the extension
			for _, fault := range faults {
				for _, ext := range []string{".data", ".index"} {
					name := fmt.Sprintf("local disk %s, %s attempts, %s %s", disk, attempts, ext, fault.name)
					before := failures.Load()
					for _, f := range shuffleFiles(dir, ext) {
						if output := strings.TrimSuffix(f, ext); !damaged[output] {
							damaged[output] = true
							if err := fault.do(f); err != nil {
								t.Fatal(err)
							}
							break
						}
					}
					got, err := r.Collect(ctx)
					if failures.Load() == before {
						t.Fatalf("%s: nothing happened: the test proved nothing", name)
					}
					if attempts == "1" {
						if err == nil || !strings.Contains(err.Error(), "spark.stage.maxConsecutiveAttempts") {
							t.Errorf("%s: %d rows, %v", name, len(got), err)
						} else if fault.name == "bit flipped" && ext == ".data" && !strings.Contains(err.Error(), "damaged on the disk of") {
							t.Errorf("%s: nobody says where the damage is: %v", name, err)
						}
						got, err = r.Collect(ctx) // what is known to be lost is made again
					}
					if err != nil || !slices.Equal(got, want) {
						t.Errorf("%s: %d rows, %v, want the %d as before", name, len(got), err, len(want))
					}
				}
			}
			sc.Stop()
		}
	}
}

// A cached block that is deleted, cut or damaged on disk is computed again from its lineage, in the task that meets it.
func TestDamagedCachedBlocks(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for i, compress := range []string{"false", "true", "false", "true"} {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local-cluster[1,1,128m]"), driver.Set("spark.local.dir", dir), driver.Set("spark.task.maxFailures", "1"), driver.Set("spark.rdd.compress", compress),
			driver.Set("spark.io.encryption.enabled", fmt.Sprint(i > 1)))
		acc, err := rdd.LongAccumulator(sc, "computed")
		if err != nil {
			t.Fatal(err)
		}
		r := rdd.Map(rdd.Range(sc, 0, 40_000, 1, 2), rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) int64 { acc.Add(1); return x * x })).Persist(rdd.DiskOnly)
		want, err := r.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults {
			var blocks []string
			filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
				if err == nil && strings.HasPrefix(fi.Name(), "rdd_") {
					blocks = append(blocks, path)
				}
				return nil
			})
			if len(blocks) != 2 {
				t.Fatalf("blocks %v, want 2", blocks)
			}
			if err := fault.do(blocks[1]); err != nil {
				t.Fatal(err)
			}
			before := acc.Value()
			for i, computed := range []int64{20_000, 0} {
				got, err := r.Collect(ctx)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s, compressed %s: %d rows, %v, or wrong ones", fault.name, compress, len(got), err)
				}
				if n := acc.Value() - before; n != computed {
					t.Errorf("%s, compressed %s, job %d: %d rows were computed, want %d", fault.name, compress, i, n, computed)
				}
				before = acc.Value()
			}
		}
		sc.Stop()
	}
}

// An executor that is stopped in the middle of a job counts as lost after the timeout; when it comes back it is shut out, and the result is
// the same.
func TestStoppedExecutorReturns(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.executor.heartbeatInterval", "100ms"), driver.Set("spark.network.timeout", "1500ms"),
		driver.Set("spark.task.maxFailures", "1")) // silence is nobody's fault
	defer sc.Stop()
	var lost atomic.Int64
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.ExecutorRemoved); ok && strings.Contains(e.Reason, "heartbeat") {
			lost.Add(1)
		}
	})
	marker := filepath.Join(t.TempDir(), "pid")
	go func() {
		await(marker)
		var pid int
		b, _ := os.ReadFile(marker)
		fmt.Sscan(string(b), &pid)
		syscall.Kill(pid, syscall.SIGSTOP)
		for lost.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		syscall.Kill(pid, syscall.SIGCONT)
	}()
	got, err := rdd.Map(keyed(sc, 1000), rdd.Bind(marker, func(marker string, p rdd.Pair[int64, int64]) int64 {
		if p.Key == 7 {
			if f, err := os.OpenFile(marker+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
				fmt.Fprint(f, os.Getpid())
				f.Close()
				os.Rename(marker+".new", marker)
				os.Mkdir(marker+".new", 0o700) // once
				time.Sleep(20 * time.Second)
			}
		}
		return p.Value
	})).Collect(context.Background())
	slices.Sort(got)
	if err != nil || len(got) != 1000 || got[0] != 0 || got[999] != 999 {
		t.Errorf("%d rows, %v", len(got), err)
	}
	if lost.Load() != 1 {
		t.Errorf("%d executors fell silent", lost.Load())
	}
}

// Only what comes to the driver counts as its results.
func TestShuffledBytesAreNoResults(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.driver.maxResultSize", "10k"))
	defer sc.Stop()
	n, err := keyed(sc, 100_000).Count(context.Background())
	if n != 1000 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := keyed(sc, 100_000).Collect(context.Background()); err == nil || !strings.Contains(err.Error(), "spark.driver.maxResultSize") {
		t.Errorf("1000 rows of 16 bytes: %v", err)
	}
}

// When all files of an executor are gone, as when something cleans up its directory, a few attempts find that out: not one for each file.
func TestAllMapOutputsDeleted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.local.dir", dir))
	defer sc.Stop()
	failures := fetchFailures(sc)
	r := rdd.ReduceByKey(rdd.Map(rdd.Range(sc, 0, 10_000, 1, 20), func(x int64) rdd.Pair[int64, int64] {
		return rdd.Pair[int64, int64]{Key: x % 10, Value: x}
	}), func(a, b int64) int64 { return a + b }, 3)
	want, err := r.Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range shuffleFiles(dir, "") {
		if strings.HasSuffix(f, ".data") || strings.HasSuffix(f, ".index") {
			os.Remove(f)
		}
	}
	got, err := r.Collect(context.Background())
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if failures.Load() == 0 {
		t.Error("no output was missed: the test proved nothing")
	}
}

// A task that fails once, in a job of one stage, before a shuffle and behind it, costs one attempt.
func TestTaskFailsOnce(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[2,2]"))
	defer sc.Stop()
	var launched, failed atomic.Int64
	sc.AddListener(func(e driver.Event) {
		switch e := e.(type) {
		case driver.TaskStarted:
			launched.Add(1)
		case driver.TaskEnded:
			if e.Outcome == "failed" {
				failed.Add(1)
			}
		}
	})
	once := func(name string) rdd.RDD[int64] {
		return rdd.Map(rdd.Range(sc, 0, 100, 1, 4), rdd.Bind(filepath.Join(t.TempDir(), name), func(marker string, x int64) int64 {
			if x == 60 && os.Mkdir(marker, 0o700) == nil {
				panic("the first time")
			}
			return x
		}))
	}
	byTen := func(r rdd.RDD[int64]) rdd.RDD[int64] {
		pairs := rdd.Map(r, func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x % 10, Value: 1} })
		return rdd.Map(rdd.ReduceByKey(pairs, func(a, b int64) int64 { return a + b }, 3), func(p rdd.Pair[int64, int64]) int64 { return p.Value })
	}
	behind := rdd.Map(byTen(rdd.Range(sc, 0, 100, 1, 4)), rdd.Bind(filepath.Join(t.TempDir(), "behind"), func(marker string, x int64) int64 {
		if os.Mkdir(marker, 0o700) == nil {
			panic("the first time")
		}
		return x
	}))
	for _, c := range []struct {
		name string
		of   rdd.RDD[int64]
		sum  int64
		want int64 // attempts
	}{{"one stage", once("one"), 4950, 5}, {"map stage", byTen(once("map")), 100, 8}, {"reduce stage", behind, 100, 8}} {
		launched.Store(0)
		failed.Store(0)
		sum, err := rdd.Reduce(context.Background(), c.of, func(a, b int64) int64 { return a + b })
		if err != nil || sum != c.sum || failed.Load() != 1 || launched.Load() != c.want {
			t.Errorf("%s: sum %d, %v; %d of %d attempts failed, want %d, and 1 of %d", c.name, sum, err, failed.Load(), launched.Load(), c.sum, c.want)
		}
	}
}

// Two jobs read one shuffle. The one that began it is cancelled; the other gets its rows. What a cancelled job had half computed is not
// kept.
func TestCancelSparesSharedStages(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	dir := t.TempDir()
	started, release := filepath.Join(dir, "started"), filepath.Join(dir, "release")
	var submitted, jobs atomic.Int64
	sc.AddListener(func(e driver.Event) {
		switch e := e.(type) {
		case driver.JobStarted:
			if jobs.Add(1) == 2 {
				touch(filepath.Join(dir, "both"))
			}
		case driver.StageSubmitted:
			if strings.Contains(e.Name, "Map") && e.Tasks == 4 {
				submitted.Add(1)
			}
		}
	})
	slowly := rdd.Map(rdd.Range(sc, 0, 100, 1, 4), rdd.Bind(dir, func(dir string, x int64) int64 {
		if x == 0 {
			touch(filepath.Join(dir, "started"))
			await(filepath.Join(dir, "release"))
		}
		return x
	})).Cache()
	shared := rdd.ReduceByKey(rdd.Map(slowly, func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x % 10, Value: 1} }), func(a, b int64) int64 { return a + b }, 2)
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := shared.Count(ctx)
		first <- err
	}()
	await(started)
	var n int64
	go func() {
		var err error
		n, err = shared.Count(context.Background())
		second <- err
	}()
	await(filepath.Join(dir, "both"))
	cancel()
	if err := <-first; err == nil {
		t.Error("the first job was not cancelled")
	}
	touch(release)
	if err := <-second; err != nil || n != 10 {
		t.Errorf("the second job: %d rows, %v", n, err)
	}
	if submitted.Load() != 1 {
		t.Errorf("the map stage was submitted %d times, want once for both jobs", submitted.Load())
	}
	// A job that is cancelled in the middle of a partition leaves no part of it in the cache.
	endless := filepath.Join(dir, "endless")
	half := rdd.Map(rdd.Range(sc, 0, 100_000, 1, 1), rdd.Bind(endless, func(marker string, x int64) int64 {
		if x == 50_000 && os.Mkdir(marker, 0o700) == nil {
			time.Sleep(300 * time.Millisecond)
		}
		return x
	})).Cache()
	ctx, cancel = context.WithCancel(context.Background())
	go func() {
		await(endless)
		cancel()
	}()
	if _, err := half.Count(ctx); err == nil {
		t.Error("the job ended before it was cancelled")
	}
	if n, err := half.Count(context.Background()); n != 100_000 || err != nil {
		t.Errorf("after the cancelled job: %d rows, %v", n, err)
	}
}

// A host that is killed takes its executor and its map outputs with it: first in the map phase, then in the reduce phase.
func TestHostDiesInEachPhase(t *testing.T) {
	t.Parallel()
	for _, disk := range []string{"true", "false"} {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.shuffle.readHostLocalDisk", disk))
		var lost atomic.Int64
		sc.AddListener(func(e driver.Event) {
			if e, ok := e.(driver.ExecutorRemoved); ok && strings.Contains(e.Reason, "signal 9") {
				lost.Add(1)
			}
		})
		killHost := func(marker string, p rdd.Pair[int64, int64]) rdd.Pair[int64, int64] {
			if p.Key == 5 && os.Mkdir(marker, 0o700) == nil {
				syscall.Kill(os.Getppid(), syscall.SIGKILL)
				time.Sleep(20 * time.Second)
			}
			return p
		}
		pairs := rdd.Map(rdd.Range(sc, 0, 1000, 1, 6), func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x % 10, Value: x} })
		sums := rdd.ReduceByKey(rdd.Map(pairs, rdd.Bind(filepath.Join(dir, "map"), killHost)), func(a, b int64) int64 { return a + b }, 3)
		rows, err := rdd.Map(sums, rdd.Bind(filepath.Join(dir, "reduce"), killHost)).Collect(context.Background())
		total := int64(0)
		for _, p := range rows {
			total += p.Value
		}
		n := lost.Load()
		sc.Stop()
		if err != nil || len(rows) != 10 || total != 1000*999/2 {
			t.Errorf("local disk %s: %d rows, sum %d, %v", disk, len(rows), total, err)
		}
		if n != 2 {
			t.Errorf("local disk %s: %d executors went with their hosts, want 2", disk, n)
		}
	}
}

// With exclusion a task does not go back to the executor where it failed.
func TestTasksAvoidExecutors(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.excludeOnFailure.enabled", "true"), driver.Set("spark.task.maxFailures", "2"))
	defer sc.Stop()
	var failed atomic.Int64
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok && e.Outcome == "failed" {
			failed.Add(1)
		}
	})
	// The process that computes the first row is broken from then on.
	rows, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(filepath.Join(t.TempDir(), "broken"), func(marker string, x int64) int64 {
		os.Mkdir(marker, 0o700)
		os.Mkdir(filepath.Join(marker, fmt.Sprint(os.Getpid())), 0o700)
		if tried, _ := os.ReadDir(marker); len(tried) == 1 {
			panic("this process is broken")
		}
		return x
	})).Collect(context.Background())
	if err != nil || len(rows) != 1 || failed.Load() != 1 {
		t.Errorf("%v, %v; %d attempts failed", rows, err, failed.Load())
	}
}

// Files of tasks that spilled go with the tasks, whether these succeed or fail.
func TestSpillsAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.local.dir", dir), driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", "0.05"))
	defer sc.Stop()
	var spilled atomic.Int64
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok {
			spilled.Add(e.Metrics.Shuffle.SpilledBytes)
		}
	})
	for _, bad := range []int64{-1, 150_000} {
		sums := rdd.ReduceByKey(rdd.Map(rdd.Range(sc, 0, 200_000, 1, 2), func(x int64) rdd.Pair[int64, int64] {
			return rdd.Pair[int64, int64]{Key: x, Value: x}
		}), func(a, b int64) int64 { return a + b }, 2)
		spilled.Store(0)
		n, err := rdd.Map(sums, rdd.Bind(bad, func(bad int64, p rdd.Pair[int64, int64]) int64 {
			if p.Key == bad {
				panic("a bad row")
			}
			return p.Value
		})).Count(context.Background())
		if bad < 0 && (err != nil || n != 200_000) || bad >= 0 && (err == nil || !strings.Contains(err.Error(), "a bad row")) {
			t.Errorf("bad row %d: %d, %v", bad, n, err)
		}
		if spilled.Load() == 0 {
			t.Errorf("bad row %d: nothing was spilled: the test proved nothing", bad)
		}
		for end := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) { // what was cancelled may still be ending
			left := slices.DeleteFunc(shuffleFiles(dir, ""), func(path string) bool { return !strings.Contains(path, "/task-") })
			if len(left) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Errorf("bad row %d: %v are left", bad, left)
				break
			}
		}
	}
}

package driver_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/rdd"
)

// A job is cancelled by each of its tags, and by no other. One that shares a running stage with it goes on.
func TestCancelTags(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[4]"))
	defer sc.Stop()
	dir := t.TempDir()
	var jobs atomic.Int64
	sc.AddListener(func(e driver.Event) {
		if _, ok := e.(driver.JobStarted); ok && jobs.Add(1) == 2 {
			touch(filepath.Join(dir, "both"))
		}
	})
	slowly := rdd.Map(rdd.Range(sc, 0, 100, 1, 2), rdd.Bind(dir, func(dir string, x int64) rdd.Pair[int64, int64] {
		if x == 0 {
			touch(filepath.Join(dir, "started"))
			await(filepath.Join(dir, "release"))
		}
		return rdd.Pair[int64, int64]{Key: x % 10, Value: 1}
	}))
	shared := rdd.ReduceByKey(slowly, func(a, b int64) int64 { return a + b }, 2)
	run := func(tags ...string) <-chan error {
		end := make(chan error, 1)
		go func() {
			n, err := shared.Count(driver.WithJobTags(t.Context(), tags...))
			if err == nil && n != 10 {
				err = errors.New("wrong result")
			}
			end <- err
		}()
		return end
	}
	first := run("nightly", "etl")
	await(filepath.Join(dir, "started"))
	second := run("etl")
	await(filepath.Join(dir, "both"))
	sc.CancelJobsWithTag("night")
	sc.CancelJobsWithTag("")
	sc.CancelJobsWithTag("nightly")
	if err := <-first; !errors.Is(err, driver.ErrCancelled) || !strings.Contains(err.Error(), `"nightly"`) {
		t.Errorf("the job with the tag ended with %v", err)
	}
	touch(filepath.Join(dir, "release"))
	if err := <-second; err != nil {
		t.Errorf("the job without the tag ended with %v", err)
	}
	for _, bad := range []string{"", "a,b"} {
		if _, err := shared.Count(driver.WithJobTags(t.Context(), "good", bad)); err == nil || !strings.Contains(err.Error(), "comma") {
			t.Errorf("tag %q: %v", bad, err)
		}
	}
	r := rdd.MapPartitionsWithTask(rdd.Range(sc, 0, 1, 1, 1), propertiesOfTask)
	ctx := driver.WithoutJobTags(driver.WithJobTags(driver.WithJobTags(t.Context(), "b", "a"), "c", "b"), "a", "x")
	if got, err := r.Collect(ctx); err != nil || !slices.Equal(got, []string{"b,c"}) {
		t.Errorf("tasks see the tags %q, %v", got, err)
	}
	if ctx = driver.WithoutJobTags(ctx, driver.JobTags(ctx)...); driver.JobTags(ctx) != nil {
		t.Errorf("tags are left: %q", driver.JobTags(ctx))
	}
}

func propertiesOfTask(task *rdd.Task, _ iter.Seq[int64]) (iter.Seq[string], error) {
	return slices.Values([]string{task.Properties["spark.job.tags"]}), nil
}

// A group that was cancelled with its future jobs starts none any more, until so many others were that it is forgotten.
func TestCancelledGroupsStartNothing(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.scheduler.numCancelledJobGroupsToTrack", "2"))
	defer sc.Stop()
	var tasks atomic.Int64
	started := make(chan struct{}, 1)
	sc.AddListener(func(e driver.Event) {
		if _, ok := e.(driver.TaskStarted); ok && tasks.Add(1) == 1 {
			started <- struct{}{}
		}
	})
	red, blue := driver.WithJobGroup(t.Context(), "red", ""), driver.WithJobGroup(t.Context(), "blue", "")
	end := make(chan error, 1)
	go func() {
		_, err := rdd.Range(sc, 0, 1<<50, 1, 1).Count(red)
		end <- err
	}()
	<-started
	sc.CancelJobGroupAndFutureJobs("red")
	if err := <-end; !errors.Is(err, driver.ErrCancelled) {
		t.Errorf("the running job ended with %v", err)
	}
	before := tasks.Load()
	few := rdd.Range(sc, 0, 10, 1, 1)
	for range 2 {
		if _, err := few.Count(red); !errors.Is(err, driver.ErrCancelled) || !strings.Contains(err.Error(), `"red"`) {
			t.Errorf("a future job ended with %v", err)
		}
	}
	if n := tasks.Load(); n != before {
		t.Errorf("%d tasks of future jobs ran", n-before)
	}
	sc.CancelJobGroupAndFutureJobs("") // no group
	for _, ctx := range []context.Context{blue, t.Context()} {
		if n, err := few.Count(ctx); n != 10 || err != nil {
			t.Errorf("another group's job: %d, %v", n, err)
		}
	}
	sc.CancelJobGroup("blue")
	if _, err := few.Count(blue); err != nil {
		t.Errorf("CancelJobGroup is about running jobs alone: %v", err)
	}
	sc.CancelJobGroupAndFutureJobs("green")
	if _, err := few.Count(red); err == nil {
		t.Error("two groups are to be remembered")
	}
	sc.CancelJobGroupAndFutureJobs("black")
	if _, err := few.Count(red); err != nil {
		t.Errorf("the third last group is not forgotten: %v", err)
	}
}

// spin does not look at its task's context.
func spin(dir string, x int64) int64 {
	touch(filepath.Join(dir, "spins"))
	for {
		if _, err := os.Stat(filepath.Join(dir, "stop")); err == nil {
			return x
		}
	}
}

// output is what is written to it from several goroutines.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// cancelSpinning starts a job with one task that spins, and returns when it has been cancelled.
func cancelSpinning(t *testing.T, sc *driver.Context, dir string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		await(filepath.Join(dir, "spins"))
		cancel()
	}()
	if _, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(dir, spin)).Collect(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("the spinning job ended with %v", err)
	}
}

// The executor of a task that does not end when it is told to is killed and replaced. What else ran there runs again, and that is no failure.
func TestReaperKillsTheExecutor(t *testing.T) {
	dir, log := t.TempDir(), &output{}
	restore := driver.ChangeCluster(func(c *cluster.Config) { c.Stderr = log })
	defer restore()
	sc := driver.New(driver.Master("local-cluster[1,2,128m]"), driver.Set("spark.task.maxFailures", "1"), driver.Set("spark.task.reaper.enabled", "true"),
		driver.Set("spark.task.reaper.pollingInterval", "20ms"), driver.Set("spark.task.reaper.killTimeout", "300ms"))
	defer sc.Stop()
	var mu sync.Mutex
	var removed []string
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.ExecutorRemoved); ok {
			mu.Lock()
			removed = append(removed, e.Reason)
			mu.Unlock()
		}
	})
	beside := make(chan error, 1)
	go func() { // a task in the other slot, which waits until the executor has been killed under it
		_, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(dir, func(dir string, x int64) int64 {
			if os.Mkdir(filepath.Join(dir, "beside"), 0o700) == nil {
				select {}
			}
			return x
		})).Collect(t.Context())
		beside <- err
	}()
	await(filepath.Join(dir, "beside"))
	cancelSpinning(t, sc, dir)
	if err := <-beside; err != nil {
		t.Errorf("the job beside it: %v", err)
	}
	// Both slots are free.
	awaitBoth(t, sc)
	mu.Lock()
	defer mu.Unlock()
	if len(removed) != 1 || !strings.Contains(removed[0], "spark.task.reaper.killTimeout (300ms)") {
		t.Errorf("executors were lost because of %q, want one because of the reaper", removed)
	}
	for _, want := range []string{"a killed task is still running", "its executor is killed", "driver_test.spin"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the executor's log does not say %q:\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "TestReaperKillsTheExecutor") {
		t.Errorf("the stacks are of other tasks too:\n%s", log)
	}
}

// awaitBoth runs two tasks that wait for each other, so that it returns once two slots are free.
func awaitBoth(t *testing.T, sc *driver.Context) {
	t.Helper()
	dir := t.TempDir()
	if n, err := rdd.Map(rdd.Range(sc, 0, 2, 1, 2), rdd.Bind(dir, func(dir string, x int64) int64 {
		names := []string{"0", "1"}
		touch(filepath.Join(dir, names[x]))
		await(filepath.Join(dir, names[1-x]))
		return x
	})).Count(t.Context()); n != 2 || err != nil {
		t.Errorf("two tasks at a time: %d, %v", n, err)
	}
}

// Without a reaper, without a timeout, and when the task ends in time, nothing is killed.
func TestReaperSpares(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]map[string]string{
		"without reaper":  {"spark.task.reaper.enabled": "false", "spark.task.reaper.killTimeout": "1ms"},
		"without timeout": {"spark.task.reaper.enabled": "true", "spark.task.reaper.pollingInterval": "50ms", "spark.task.reaper.threadDump": "false"},
		"in time":         {"spark.task.reaper.enabled": "true", "spark.task.reaper.killTimeout": "1min"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			options := []driver.Option{driver.Master("local-cluster[1,2,128m]")}
			for k, v := range set {
				options = append(options, driver.Set(k, v))
			}
			sc := driver.New(options...)
			defer sc.Stop()
			var removed atomic.Int64
			sc.AddListener(func(e driver.Event) {
				if _, ok := e.(driver.ExecutorRemoved); ok {
					removed.Add(1)
				}
			})
			cancelSpinning(t, sc, dir)
			if _, err := slow(sc, 1, 200*time.Millisecond).Count(t.Context()); err != nil { // in the other slot
				t.Error(err)
			}
			touch(filepath.Join(dir, "stop"))
			awaitBoth(t, sc)
			if n := removed.Load(); n != 0 {
				t.Errorf("%d executors were killed", n)
			}
		})
	}
}

// In local mode the process is the driver's own: the log says so, and the slot stays taken until the function returns.
func TestReaperInLocalMode(t *testing.T) {
	dir, log := t.TempDir(), &output{}
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(log, nil)))
	defer slog.SetDefault(old)
	sc := driver.New(driver.Master("local[1]"), driver.Set("spark.task.reaper.enabled", "true"), driver.Set("spark.task.reaper.killTimeout", "20ms"))
	defer sc.Stop()
	cancelSpinning(t, sc, dir)
	for end := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "level=ERROR") && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "driver_test.spin") || !strings.Contains(text, "its slot stays taken") {
		t.Errorf("the log is\n%s", text)
	}
	touch(filepath.Join(dir, "stop"))
	if n, err := rdd.Range(sc, 0, 10, 1, 1).Count(t.Context()); n != 10 || err != nil {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

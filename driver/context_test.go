package driver_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// slow is a dataset of n partitions with one row each, which take d.
func slow(sc *driver.Context, n int, d time.Duration) rdd.RDD[int64] {
	return rdd.Map(rdd.Range(sc, 0, int64(n), 1, n), rdd.Bind(d, func(d time.Duration, x int64) int64 { time.Sleep(d); return x }))
}

func TestPoolsDecideTheOrderOfJobs(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{"FIFO": "long short", "FAIR": "short long"} {
		sc := driver.New(driver.Master("local[2]"), driver.Set("spark.scheduler.mode", mode), driver.Set("spark.scheduler.pool", "batch"))
		var mu sync.Mutex
		var ended []string
		var jobs sync.WaitGroup
		run := func(ctx context.Context, name string, tasks int) {
			jobs.Go(func() {
				if _, err := slow(sc, tasks, 20*time.Millisecond).Count(ctx); err != nil {
					t.Error(err)
				}
				mu.Lock()
				ended = append(ended, name)
				mu.Unlock()
			})
		}
		run(context.Background(), "long", 30)
		time.Sleep(60 * time.Millisecond)
		run(driver.WithProperty(context.Background(), "spark.scheduler.pool", "interactive"), "short", 2)
		jobs.Wait()
		sc.Stop()
		if got := strings.Join(ended, " "); got != want {
			t.Errorf("%s: jobs ended in the order %s, want %s", mode, got, want)
		}
	}
}

func TestCancelGroups(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[4]"))
	defer sc.Stop()
	started := make(chan struct{}, 8)
	sc.AddListener(func(e driver.Event) {
		if _, ok := e.(driver.TaskStarted); ok {
			started <- struct{}{}
		}
	})
	ends := map[string]chan error{}
	for _, group := range []string{"red", "blue", ""} {
		end := make(chan error, 1)
		ends[group] = end
		ctx := context.Background()
		if group != "" {
			ctx = driver.WithJobGroup(ctx, group, "a group")
		}
		go func() {
			_, err := rdd.Range(sc, 0, 1<<50, 1, 1).Count(ctx)
			end <- err
		}()
	}
	for range ends {
		<-started
	}
	sc.CancelJobGroup("red")
	if err := <-ends["red"]; !errors.Is(err, driver.ErrCancelled) || !strings.Contains(err.Error(), `"red"`) {
		t.Errorf("red ended with %v", err)
	}
	select {
	case err := <-ends["blue"]:
		t.Errorf("blue ended with red: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	sc.CancelAllJobs()
	for _, group := range []string{"blue", ""} {
		if err := <-ends[group]; !errors.Is(err, driver.ErrCancelled) {
			t.Errorf("%q ended with %v", group, err)
		}
	}
	if n, err := rdd.Range(sc, 0, 10, 1, 4).Count(context.Background()); n != 10 || err != nil {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}

func TestTasksSeeProperties(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	r := rdd.MapPartitionsWithTask(rdd.Range(sc, 0, 1, 1, 1), func(task *rdd.Task, _ iter.Seq[int64]) (iter.Seq[string], error) {
		return slices.Values([]string{task.Properties["colour"], task.Properties["spark.jobGroup.id"]}), nil
	})
	ctx := driver.WithJobGroup(driver.WithProperty(context.Background(), "colour", "green"), "g", "")
	if got, err := r.Collect(ctx); err != nil || !slices.Equal(got, []string{"green", "g"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := r.Collect(context.Background()); err != nil || !slices.Equal(got, []string{"", ""}) {
		t.Errorf("properties of another job: %v, %v", got, err)
	}
}

func TestResultsThatAreRefused(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.driver.maxResultSize", "100k"))
	defer sc.Stop()
	_, err := rdd.Range(sc, 0, 1_000_000, 1, 10).Collect(context.Background())
	if err == nil || !strings.Contains(err.Error(), "spark.driver.maxResultSize") || !strings.Contains(err.Error(), "context_test.go") {
		t.Errorf("large result: %v", err)
	}
	_, err = rdd.Map(rdd.Range(sc, 0, 1, 1, 1), func(int64) chan int { return nil }).Collect(context.Background())
	if err == nil || !strings.Contains(err.Error(), "chan int") {
		t.Errorf("a channel as a result: %v", err)
	}
}

// Results beyond the limit are refused before the driver has them: a result that is too large by itself stays where it is, and of many no more come than
// those of the tasks that ran when the limit was passed.
func TestResultsThatAreRefusedAreNotFetched(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,2,128m]"), driver.Set("spark.driver.maxResultSize", "2m"))
	defer sc.Stop()
	var mu sync.Mutex
	var came, bytes int64
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok && e.Outcome == "succeeded" {
			mu.Lock()
			defer mu.Unlock()
			came, bytes = came+1, bytes+e.Metrics.ResultBytes
		}
	})
	results := func(tasks int64, size int) error {
		_, err := rdd.Map(rdd.Range(sc, 0, tasks, 1, int(tasks)), rdd.Bind(size, func(size int, _ int64) string { return strings.Repeat("x", size) })).Collect(t.Context())
		if err == nil || !strings.Contains(err.Error(), "spark.driver.maxResultSize") {
			t.Errorf("%d results of %d bytes: %v", tasks, size, err)
		}
		return err
	}
	if err := results(1, 3<<20); err != nil && !strings.Contains(err.Error(), "one task alone takes 314") {
		t.Error(err)
	}
	if _, err := rdd.Range(sc, 0, 10, 1, 1).Count(t.Context()); err != nil { // its event comes after those of the job before
		t.Fatal(err)
	}
	mu.Lock()
	if came != 1 || bytes > 100 {
		t.Errorf("%d results with %d bytes came, want the count's alone", came, bytes)
	}
	came, bytes = 0, 0
	mu.Unlock()
	_ = results(100, 1<<19)
	if _, err := rdd.Range(sc, 0, 10, 1, 1).Count(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	// Three fit, one is too much; on four slots as many may be on their way, and as many start before the job's end is told.
	if came > 4+4+4+1 {
		t.Errorf("%d of 100 results came, with %d bytes", came, bytes)
	}
}

func TestTwoContexts(t *testing.T) {
	t.Parallel()
	a, b := driver.New(driver.Master("local[1]")), driver.New(driver.Master("local[1]"))
	defer b.Stop()
	ra, rb := rdd.Range(a, 0, 10, 1, 2), rdd.Range(b, 0, 20, 1, 2)
	if _, err := rdd.Union(ra, rb).Count(context.Background()); err == nil || !strings.Contains(err.Error(), "context") {
		t.Errorf("a union across contexts: %v", err)
	}
	a.Stop()
	if n, err := rb.Count(context.Background()); n != 20 || err != nil {
		t.Errorf("the other context: %d, %v", n, err)
	}
}

func TestStop(t *testing.T) {
	for _, m := range []string{"local[2]", "local-cluster[1,2,128m]"} {
		before := runtime.NumGoroutine()
		dir := t.TempDir()
		sc := driver.New(driver.Master(m), driver.Set("spark.local.dir", dir))
		if n, err := rdd.Range(sc, 0, 10, 1, 2).Count(context.Background()); n != 10 || err != nil {
			t.Fatal(n, err)
		}
		end := make(chan error, 1)
		go func() {
			// This task does not look at its context.
			_, err := slow(sc, 2, 30*time.Second).Count(context.Background())
			end <- err
		}()
		time.Sleep(200 * time.Millisecond)
		start := time.Now()
		sc.Stop()
		if d := time.Since(start); d > 4*time.Second {
			t.Errorf("%s: Stop took %v", m, d)
		}
		if err := <-end; !errors.Is(err, driver.ErrStopped) {
			t.Errorf("%s: the job ended with %v", m, err)
		}
		sc.Stop()
		if _, err := rdd.Range(sc, 0, 10, 1, 2).Count(context.Background()); !errors.Is(err, driver.ErrStopped) {
			t.Errorf("%s: a job after Stop: %v", m, err)
		}
		sc.CancelAllJobs()
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: Stop left %v", m, left)
		}
		// The sleeping tasks of local mode cannot be stopped: they, and nothing else, may be left.
		limit := before
		if m == "local[2]" {
			limit += 3
		}
		for range 100 {
			if runtime.NumGoroutine() <= limit {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if n := runtime.NumGoroutine(); n > limit {
			stacks := make([]byte, 1<<16)
			t.Errorf("%s: %d goroutines before, %d after:\n%s", m, before, n, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "more", "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ key, value, want string }{
		{"spark.executor.memroy", "1g", "nearest is spark.executor.memory"},
		{"spark.executor.memory", "much", `"much"`},
		{"spark.master", "local[0]", "at least 1"},
		{"spark.master", "yarn", "local-cluster[3,2,1g]"},
		{"spark.local.dir", file, "spark.local.dir " + file},
		{"spark.local.dir", filepath.Join(dir, "absent"), "place that can be written"},
		{"spark.task.cpus", "64000", "no task could ever run"},
		{"spark.network.timeout", "1s", "spark.executor.heartbeatInterval"},
		{"spark.scheduler.allocation.file", filepath.Join(dir, "absent"), "no such file"},
		{"spark.files", filepath.Join(dir, "absent"), "no such file"},
		{"spark.files", dir, "is not a file"},
		{"spark.files", file + "," + filepath.Join(dir, "more", "file"), "rename one"},
	} {
		start := time.Now()
		sc := driver.New(driver.Master("local"), driver.Set(c.key, c.value))
		if err := sc.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: error %v does not hold %q", c.key, c.value, err, c.want)
		}
		_, err := rdd.Range(sc, 0, 10, 1, 2).Count(context.Background())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s=%s: an action gives %v, not the cause", c.key, c.value, err)
		}
		if _, err := rdd.NewBroadcast(sc, 1); err == nil {
			t.Errorf("%s=%s: a broadcast was made", c.key, c.value)
		}
		sc.Stop()
		if d := time.Since(start); d > time.Second {
			t.Errorf("%s=%s: took %v", c.key, c.value, d)
		}
	}
}

// What a killed application left is removed by the next one; what a running one holds is not.
func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	running := driver.New(driver.Master("local"), driver.Set("spark.local.dir", dir))
	defer running.Stop()
	killed := filepath.Join(dir, "sparkgo-KILLED00")
	if err := os.MkdirAll(filepath.Join(killed, "shuffle", "0"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(killed, "lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next := driver.New(driver.Master("local"), driver.Set("spark.local.dir", dir))
	defer next.Stop()
	if _, err := os.Stat(killed); err == nil {
		t.Error("what the killed application left is still there")
	}
	entries, _ := os.ReadDir(dir)
	if len(entries) != 2 {
		t.Errorf("two applications run, with the directories %v", entries)
	}
}

func TestFilesAndEnvironment(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "stop words.txt")
	if err := os.WriteFile(path, []byte(strings.Repeat("the of and ", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	type seen struct {
		Length int
		Path   string
		Zone   string
	}
	for _, m := range []string{"local[2]", "local-cluster[2,1,128m]"} {
		sc := driver.New(driver.Master(m), driver.Set("spark.files", path), driver.Set("spark.executorEnv.ZONE", "two words"))
		read := func(r rdd.RDD[string]) rdd.RDD[seen] {
			return rdd.MapPartitionsWithTask(r, func(task *rdd.Task, names iter.Seq[string]) (iter.Seq[seen], error) {
				var all []seen
				for name := range names {
					path, err := task.File(name)
					if err != nil {
						return nil, err
					}
					text, err := os.ReadFile(path)
					if err != nil {
						return nil, err
					}
					all = append(all, seen{len(text), path, os.Getenv("ZONE")})
				}
				return slices.Values(all), nil
			})
		}
		got, err := read(rdd.Parallelize(sc, slices.Repeat([]string{"stop words.txt"}, 6), 6)).Collect(context.Background())
		if err != nil || len(got) != 6 {
			t.Fatalf("%s: %v, %v", m, got, err)
		}
		for _, s := range got {
			if s.Length != 1_100_000 || (s.Path == path) != (m == "local[2]") || (s.Zone == "two words") == (m == "local[2]") {
				t.Errorf("%s: a task saw %+v", m, s)
			}
		}
		for _, name := range []string{"other", "../lock", path, ""} {
			if _, err := read(rdd.Parallelize(sc, []string{name}, 1)).Collect(context.Background()); err == nil || !strings.Contains(err.Error(), "--files") {
				t.Errorf("%s: file %q: %v", m, name, err)
			}
		}
		if p, err := sc.File("stop words.txt"); p != path || err != nil {
			t.Errorf("%s: on the driver: %s, %v", m, p, err)
		}
		if _, err := sc.File("other"); err == nil {
			t.Errorf("%s: another file on the driver", m)
		}
		sc.Stop()
	}
}

func TestKeptBlocksAreCompressed(t *testing.T) {
	t.Parallel()
	sizes := map[string]int64{}
	for _, compress := range []string{"false", "true"} {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local[2]"), driver.Set("spark.local.dir", dir), driver.Set("spark.rdd.compress", compress))
		r := rdd.Map(rdd.Range(sc, 0, 100_000, 1, 2), func(x int64) string { return fmt.Sprint("row number ", x%10) }).Persist(rdd.DiskOnly)
		for range 2 {
			if n, err := rdd.Filter(r, func(s string) bool { return s == "row number 7" }).Count(context.Background()); n != 10_000 || err != nil {
				t.Fatal(n, err)
			}
		}
		filepath.Walk(dir, func(_ string, fi os.FileInfo, err error) error {
			if err == nil {
				sizes[compress] += fi.Size()
			}
			return nil
		})
		sc.Stop()
	}
	if sizes["true"]*2 > sizes["false"] || sizes["true"] == 0 {
		t.Errorf("bytes on disk: %v", sizes)
	}
}

func TestTakeGrowsAsSettingsSay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ initial, factor, want string }{{"1", "4", "[1 4 15]"}, {"6", "2", "[6 12 2]"}, {"50", "2", "[20]"}} {
		sc := driver.New(driver.Master("local[2]"), driver.Set("spark.rdd.limit.initialNumPartitions", c.initial), driver.Set("spark.rdd.limit.scaleUpFactor", c.factor))
		var mu sync.Mutex
		var tasks []int
		sc.AddListener(func(e driver.Event) {
			if e, ok := e.(driver.StageSubmitted); ok {
				mu.Lock()
				tasks = append(tasks, e.Tasks)
				mu.Unlock()
			}
		})
		last := rdd.Filter(rdd.Range(sc, 0, 20, 1, 20), func(x int64) bool { return x == 19 })
		if got, err := last.Take(context.Background(), 1); err != nil || !slices.Equal(got, []int64{19}) {
			t.Errorf("%v, %v", got, err)
		}
		mu.Lock()
		if fmt.Sprint(tasks) != c.want {
			t.Errorf("from %s by %s: tasks %v, want %s", c.initial, c.factor, tasks, c.want)
		}
		mu.Unlock()
		sc.Stop()
	}
}

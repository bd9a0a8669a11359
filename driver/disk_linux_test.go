package driver_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// smallDisks starts an application whose executors' folders in the first of the directories lie on small disks: hosts with a size, such as "4m", get a tmpfs
// of their own, which they alone see. The test is skipped where that is not allowed.
func smallDisks(t *testing.T, master string, sizes map[int]string, dirs []string, more ...driver.Option) *driver.Context {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting a small disk takes root")
	}
	if out, err := exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dirs[0]).CombinedOutput(); err != nil {
		t.Skipf("not run: no disk can be mounted here: %v: %s", err, out)
	}
	restore := driver.ChangeCluster(func(c *cluster.Config) {
		c.Place = func(number int) ([]string, string) {
			size, ok := sizes[number]
			if !ok {
				return nil, ""
			}
			script := fmt.Sprintf(`for d in %s/sparkgo-*/sparkgo-*; do mkdir -p $d/host-%d && mount -t tmpfs -o size=%s tmpfs $d/host-%d; done && exec "$@"`, dirs[0], number, size, number)
			return []string{"unshare", "--mount", "sh", "-c", script, "sh"}, ""
		}
	})
	defer restore()
	return driver.New(append([]driver.Option{
		driver.Master(master), driver.Set("spark.local.dir", strings.Join(dirs, ",")), driver.Set("spark.shuffle.compress", "false"), driver.Set("spark.shuffle.spill.compress", "false"),
		driver.Set("spark.shuffle.readHostLocalDisk", "false"), driver.Set("spark.locality.wait", "0s"),
	}, more...)...)
}

// fullDiskRows is a shuffle that writes 16 bytes for each of n rows, in so many map tasks.
func fullDiskRows(sc *driver.Context, n int64, maps int) rdd.RDD[rdd.Pair[int64, int64]] {
	return rdd.ReduceByKey(numbers(sc, n, maps), func(a, b int64) int64 { return a + b }, 3)
}

func numbers(sc *driver.Context, n int64, parts int) rdd.RDD[rdd.Pair[int64, int64]] {
	return rdd.Map(rdd.Range(sc, 0, n, 1, parts), func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x, Value: x * x} })
}

// diskFailures collects where tasks failed because a disk was full.
func diskFailures(sc *driver.Context) func() []string {
	var mu sync.Mutex
	var where []string
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskEnded); ok && strings.Contains(e.Error, "no space left on device") {
			mu.Lock()
			defer mu.Unlock()
			where = append(where, e.Executor)
		}
	})
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(where)
	}
}

// diskOf is the size of the small disk below a directory as the executor sees it, and what is free there.
func diskOf(t *testing.T, sc *driver.Context, dir string) (size, free int64) {
	t.Helper()
	got, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(dir, func(dir string, _ int64) [2]int64 {
		found, err := filepath.Glob(dir + "/sparkgo-*/sparkgo-*/host-*")
		var s syscall.Statfs_t
		if err == nil && len(found) == 1 {
			err = syscall.Statfs(found[0], &s)
		}
		if err != nil || len(found) != 1 {
			panic(fmt.Sprint(found, err))
		}
		return [2]int64{int64(s.Blocks) * s.Bsize, int64(s.Bavail) * s.Bsize}
	})).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got[0][0], got[0][1]
}

// On a disk that is full jobs fail with an error that says so, what they wrote is gone, and the executor goes on with what needs no disk.
func TestFullDiskIsAnError(t *testing.T) {
	const rows = 500_000 // 8 MB, on a disk of 4 MiB
	for _, c := range []struct {
		what   string
		memory string // spark.memory.fraction
		run    func(sc *driver.Context) error
	}{
		{"map output", "0.6", func(sc *driver.Context) error {
			_, err := fullDiskRows(sc, rows, 1).Count(t.Context())
			return err
		}},
		{"spill file", "0.05", func(sc *driver.Context) error {
			_, err := fullDiskRows(sc, rows, 1).Count(t.Context())
			return err
		}},
		{"cached block", "0.6", func(sc *driver.Context) error {
			kept := numbers(sc, rows, 1).Persist(rdd.DiskOnly)
			_, err := kept.Count(t.Context())
			return err
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := t.TempDir()
			sc := smallDisks(t, "local-cluster[1,1,128m]", map[int]string{0: "4m", 1: "4m"}, []string{dir}, driver.Set("spark.memory.fraction", c.memory))
			defer sc.Stop()
			failed := diskFailures(sc)
			err := c.run(sc)
			if err == nil {
				t.Fatal("the job succeeded")
			}
			for _, part := range []string{"write " + c.what + " " + dir, "no space left on device", " free", "of 4096 KiB", "spark.local.dir"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in %q", part, err)
				}
			}
			if n := len(failed()); n != 4 {
				t.Errorf("%d tasks failed of a full disk", n)
			}
			if size, free := diskOf(t, sc, dir); size != 4<<20 || free < size*9/10 {
				t.Errorf("of %d bytes %d are free after the failure", size, free)
			}
			value, err := rdd.NewBroadcast(sc, make([]int64, 1<<20)) // twice the disk
			if err != nil {
				t.Fatal(err)
			}
			n, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(value, func(b rdd.Broadcast[[]int64], _ int64) int { return len(b.Value()) })).Collect(t.Context())
			if err != nil || n[0] != 1<<20 {
				t.Errorf("a broadcast: %v, %v", n, err)
			}
		})
	}
}

// awaitExecutors returns when both executors have run a task.
func awaitExecutors(t *testing.T, sc *driver.Context) {
	t.Helper()
	for began := time.Now(); ; {
		pids, err := rdd.Map(rdd.Range(sc, 0, 2, 1, 2), func(int64) int {
			time.Sleep(20 * time.Millisecond)
			return os.Getpid()
		}).Collect(t.Context())
		if err == nil && pids[0] != pids[1] {
			return
		}
		if err != nil || time.Since(began) > 20*time.Second {
			t.Fatalf("two executors do not run a task each: processes %v, %v", pids, err)
		}
	}
}

// A second directory, or another executor, takes what a full disk does not, and the rows are the same.
func TestJobsGoOnBesideAFullDisk(t *testing.T) {
	const rows = 400_000
	plain := driver.New(driver.Master("local[1]"), driver.Set("spark.local.dir", t.TempDir()))
	defer plain.Stop()
	want, err := fullDiskRows(plain, rows, 8).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("second directory", func(t *testing.T) {
		dirs := []string{t.TempDir(), t.TempDir()}
		sc := smallDisks(t, "local-cluster[1,2,128m]", map[int]string{0: "2m", 1: "2m"}, dirs)
		defer sc.Stop()
		failed := diskFailures(sc)
		counted := fullDiskRows(sc, rows, 8)
		got, err := counted.Collect(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d rows, %v", len(got), err)
		}
		if where := failed(); len(where) > 0 {
			t.Errorf("tasks failed on %v", where)
		}
		files, err := filepath.Glob(dirs[1] + "/sparkgo-*/host-*/blocks/shuffle-*/*.data")
		if err != nil || len(files) <= 4 || len(files) == 8 {
			t.Errorf("%d of 8 map outputs are in the second directory, of which 4 are there in their turn: the first disk was not full, or not used: %v", len(files), err)
		}
		// Cached blocks and what is read from both disks.
		kept := counted.Persist(rdd.DiskOnly)
		for range 2 {
			again, err := kept.Collect(t.Context())
			if err != nil || !slices.Equal(again, want) {
				t.Fatalf("kept: %d rows, %v", len(again), err)
			}
		}
		sc.Stop()
		for _, dir := range dirs {
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left in %s: %v %v", dir, left, err)
			}
		}
	})
	t.Run("another executor", func(t *testing.T) {
		sc := smallDisks(t, "local-cluster[2,1,128m]", map[int]string{0: "512k"}, []string{t.TempDir()}) // not one map output
		defer sc.Stop()
		awaitExecutors(t, sc)
		failed := diskFailures(sc)
		got, err := fullDiskRows(sc, rows, 8).Collect(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d rows, %v", len(got), err)
		}
		if where := failed(); len(where) != 1 {
			t.Errorf("tasks failed on %v, want one failure before the executor with the full disk gets no more", where)
		}
	})
}

// onSmallDisk names the directory on which a small disk is mounted in a test that runs itself again, where only it sees that.
const onSmallDisk = "SPARK_GO_TEST_SMALL_DISK"

// Outputs and checkpoints that find no room are errors that leave nothing, and old outputs as they were.
func TestFullDiskOfOutputs(t *testing.T) {
	dir := os.Getenv(onSmallDisk)
	if dir == "" {
		dir = t.TempDir()
		if os.Geteuid() != 0 {
			t.Skip("not run: mounting a small disk takes root")
		}
		script := `mount -t tmpfs -o size=4m tmpfs "$0" || exit 77; exec "$@"`
		cmd := exec.Command("unshare", "--mount", "sh", "-c", script, dir, os.Args[0], "-test.run=^TestFullDiskOfOutputs$", "-test.v")
		cmd.Env = append(os.Environ(), onSmallDisk+"="+dir)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		switch {
		case err == nil && strings.Contains(string(out), "--- PASS: TestFullDiskOfOutputs"):
		case errors.As(err, &exit) && exit.ExitCode() == 1:
			t.Errorf("%s", out)
		default:
			t.Skipf("not run: no disk can be mounted here: %v: %s", err, out)
		}
		return
	}
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.checkpoint.dir", dir+"/checkpoints"))
	defer sc.Stop()
	lines := func(n int64) rdd.RDD[string] {
		return rdd.Map(rdd.Range(sc, 0, n, 1, 3), func(x int64) string { return fmt.Sprintf("%0100d", x) })
	}
	list := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	fails := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, syscall.ENOSPC) && (err == nil || !strings.Contains(err.Error(), "no space left on device")) {
			t.Errorf("%s: %v", what, err)
		} else if !strings.Contains(err.Error(), "free space there") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: the error names no remedy or no place: %v", what, err)
		}
	}
	const many, few = 60_000, 100 // 6 MB
	fails("save", textio.Save(t.Context(), lines(many), dir+"/new"))
	if left := list(dir + "/new"); len(left) > 0 {
		t.Errorf("left of an output: %v", left)
	}
	if err := textio.Save(t.Context(), lines(few), dir+"/old"); err != nil {
		t.Fatal(err)
	}
	before := list(dir + "/old")
	fails("overwrite", textio.Save(t.Context(), lines(many), dir+"/old", textio.SaveOptions{Mode: filesys.Overwrite}))
	if after := list(dir + "/old"); !slices.Equal(before, after) {
		t.Errorf("an output that was to be replaced: %v, before %v", after, before)
	}
	if n, err := textio.Lines(sc, dir+"/old").Count(t.Context()); err != nil || n != few {
		t.Errorf("the old output has %d lines, %v", n, err)
	}
	_, err := lines(many).Checkpoint().Count(t.Context())
	fails("checkpoint", err)
	// Tasks that ran when the job failed end by and by.
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		parts, err := filepath.Glob(dir + "/checkpoints/rdd-*/*")
		var s syscall.Statfs_t
		if err == nil {
			err = syscall.Statfs(dir, &s)
		}
		if err == nil && len(parts) == 0 && s.Bavail > s.Blocks*8/10 {
			break
		}
		if err != nil || time.Since(began) > 20*time.Second {
			t.Fatalf("%d of %d blocks are free, left of a checkpoint: %v, %v", s.Bavail, s.Blocks, parts, err)
		}
	}
}

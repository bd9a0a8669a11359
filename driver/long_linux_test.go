package driver

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/rdd"
)

// usage is what an application holds of a machine.
type usage map[string]int64

// measure collects garbage, so that what nothing can reach goes, and looks.
func measure(c *Context, keepDir string) usage {
	for range 2 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond) // clean-ups run on a goroutine of their own, and removals after them
	}
	c.loop.call(func() {})
	if c.keeping != nil {
		c.keeping.store.Flush()
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	u := usage{"heap": int64(mem.HeapAlloc), "goroutines": int64(runtime.NumGoroutine()), "disk": du(c.dir) + du(keepDir)}
	for what, n := range held(c) {
		if what != "files" && what != "goroutines" {
			u["held"] += int64(n)
		}
	}
	for _, pid := range family(os.Getpid()) {
		fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		u["files"] += int64(len(fds))
		if pid != os.Getpid() {
			u["executors"] += resident(pid)
			u["processes"]++
		}
	}
	return u
}

// family lists a process and all that descend from it.
func family(pid int) []int {
	pids := []int{pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range tasks {
		b, _ := os.ReadFile(file)
		for _, s := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(s); err == nil {
				pids = append(pids, family(child)...)
			}
		}
	}
	return pids
}

// resident is the memory of a process.
func resident(pid int) int64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if f := strings.Fields(string(b)); len(f) > 1 {
		n, _ := strconv.ParseInt(f[1], 10, 64)
		return n * int64(os.Getpagesize())
	}
	return 0
}

// du is the size of the files below a directory, with 4 KiB for each.
func du(dir string) (n int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil {
			n += 4096
			if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}

// spare is how much more than at most in the first quarter may be used in the last one.
var spare = usage{"heap": 2 << 20, "goroutines": 6, "disk": 1 << 20, "held": 16, "files": 10, "executors": 24 << 20, "processes": 0}

// longRun does n rounds and compares what is used in the first and the last quarter of them.
func longRun(t *testing.T, c *Context, keepDir string, n int, round func(i int)) {
	t.Helper()
	first, last := usage{}, usage{}
	for i := range n {
		round(i)
		if i%max(n/40, 1) != 0 {
			continue
		}
		quarter := first
		switch {
		case i >= n/4 && i < n*3/4 || i < n/20: // at first there is nothing yet
			continue
		case i >= n*3/4:
			quarter = last
		}
		for what, x := range measure(c, keepDir) {
			quarter[what] = max(quarter[what], x)
		}
	}
	t.Logf("of %d rounds the first quarter used %v, the last %v", n, first, last)
	for what, x := range last {
		if x > first[what]+spare[what] {
			t.Errorf("%s: at most %d in the first quarter of %d rounds, %d in the last", what, first[what], n, x)
		}
	}
	if len(last) != len(first) || last["disk"] == 0 {
		t.Errorf("measured %v and %v: the test proves nothing", first, last)
	}
}

// often is how many rounds to do.
func often(t *testing.T, quick, slow int) int {
	if os.Getenv("SPARK_GO_SLOW") == "1" {
		return slow
	}
	t.Logf("%d rounds instead of %d: set SPARK_GO_SLOW=1 for all", quick, slow)
	return quick
}

type longRow = rdd.Pair[int64, float64]

// Iterations with shuffles, cached datasets and broadcasts, whose lineage is cut now and then, use no more in the end than in the beginning: in the
// driver, in its executors, and on disk, also where what is finished is kept for another run.
func TestIteratingForLongStaysFlat(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []Option
	}{
		{"processes", []Option{Master("local-cluster[1,2,128m]")}},
		{"kept", []Option{Master("local[2]"), Set("spark.checkpoint.shuffle.maxSize", "1m")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			keepDir := ""
			options := append(c.options, Set("spark.local.dir", t.TempDir()))
			if c.name == "kept" {
				keepDir = t.TempDir()
				options = append(options, Set("spark.checkpoint.dir", keepDir))
			}
			sc := New(options...)
			defer sc.Stop()
			ctx := context.Background()
			state := rdd.Map(rdd.Range(sc, 0, 3000, 1, 2), func(x int64) longRow { return longRow{Key: x % 1000, Value: 1} })
			longRun(t, sc, keepDir, often(t, 60, 500), func(i int) {
				factor, err := rdd.NewBroadcast(sc, make([]float64, 1000))
				if err != nil {
					t.Fatal(err)
				}
				moved := rdd.Map(state, rdd.Bind(factor, func(f rdd.Broadcast[[]float64], p longRow) longRow {
					return longRow{Key: (p.Key + 1) % 1000, Value: p.Value*0.5 + f.Value()[p.Key]}
				}))
				next := rdd.ReduceByKey(moved, func(a, b float64) float64 { return a + b }, 2).Cache()
				if i%5 == 4 {
					next = next.LocalCheckpoint()
				}
				if n, err := next.Count(ctx); n != 1000 || err != nil {
					t.Fatalf("round %d: %d rows, %v", i, n, err)
				}
				if err := state.Unpersist(ctx, false); err != nil {
					t.Fatal(err)
				}
				state = next
			})
		})
	}
}

// A driver that runs jobs without end, each with datasets of its own, uses no more in the end than in the beginning.
func TestManyJobsStayFlat(t *testing.T) {
	sc := New(Master("local-cluster[1,2,128m]"), Set("spark.local.dir", t.TempDir()))
	defer sc.Stop()
	ctx := context.Background()
	longRun(t, sc, "", often(t, 320, 10_000), func(i int) {
		rows := rdd.Map(rdd.Range(sc, 0, 100, 1, 2), rdd.Bind(int64(i), func(i, x int64) longRow { return longRow{Key: (x + i) % 7, Value: 1} }))
		if i%4 == 0 {
			rows = rdd.ReduceByKey(rows, func(a, b float64) float64 { return a + b }, 2)
		}
		if n, err := rows.Count(ctx); err != nil || n != 100 && n != 7 {
			t.Fatalf("job %d: %d rows, %v", i, n, err)
		}
	})
}

package driver_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// fault is what happens once, in the middle of a task.
type fault struct {
	Marker string // a folder that is made when it has happened
	Dir    string // where map outputs lie: the third one of the first shuffle is deleted. If empty the task's host is killed
	Key    int64  // of the row at which it happens; -1 for the first row
}

func (f fault) happen(key int64) {
	if f.Key >= 0 && f.Key != key || os.Mkdir(f.Marker, 0o700) != nil {
		return
	}
	if f.Dir == "" {
		syscall.Kill(os.Getppid(), syscall.SIGKILL)
		time.Sleep(20 * time.Second)
		return
	}
	for _, file := range shuffleFiles(f.Dir, ".data") {
		if strings.Contains(file, "shuffle-0/2-") {
			os.Remove(file)
		}
	}
}

// negated has the fault happen at one of its rows.
func negated(f fault, p rdd.Pair[int64, int64]) rdd.Pair[int64, int64] {
	f.happen(p.Key)
	return rdd.Pair[int64, int64]{Key: p.Key, Value: -p.Value}
}

// arbitrary are rows with other values each time that they are computed, shuffled.
func arbitrary(sc *driver.Context) rdd.RDD[rdd.Pair[int64, int64]] {
	pairs := rdd.Map(rdd.Range(sc, 0, 1000, 1, 4), func(x int64) rdd.Pair[int64, int64] {
		return rdd.Pair[int64, int64]{Key: x % 20, Value: rand.Int64N(1 << 40)}
	})
	return rdd.PartitionBy(pairs, rdd.Partitioner[int64](rdd.HashPartitioner[int64]{N: 3}))
}

// balance adds up rows and their negatives, which take different ways, by key: all sums are 0 if both have seen the same rows.
func balance(a, b rdd.RDD[rdd.Pair[int64, int64]]) rdd.RDD[rdd.Pair[int64, int64]] {
	add := func(a, b int64) int64 { return a + b }
	return rdd.ReduceByKey(rdd.Union(rdd.ReduceByKey(a, add, 2), rdd.ReduceByKey(b, add, 2)), add, 3)
}

// watched counts what a context's events tell.
type watched struct {
	mu                   sync.Mutex
	changed, again, lost int
	rolled               []driver.RolledBack
}

func watch(sc *driver.Context) *watched {
	w := &watched{}
	sc.AddListener(func(e driver.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch e := e.(type) {
		case driver.OutputChanged:
			w.changed++
		case driver.RolledBack:
			w.rolled = append(w.rolled, e)
		case driver.ExecutorRemoved:
			w.lost++
		case driver.StageSubmitted:
			if e.Attempt > 0 {
				w.again++
			}
		}
	})
	return w
}

// A function gives other rows the second time, and a map output is lost after some of its readers have read it: the result is that of one version of the rows.
// Without the rollback it mixes two, which shows that the fault is one. Cached rows are of the same version as all others.
func TestVersionsOfRowsAreNotMixed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		cached  bool
		setting string
		mixed   bool
	}{
		{"rolled back", false, "true", false},
		{"not rolled back", false, "false", true},
		{"cached rows", true, "true", false},
		{"cached rows not rolled back", true, "false", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			sc := driver.New(driver.Master("local[1]"), driver.Set("spark.local.dir", dir), driver.Set("spark.shuffle.rollbackOnChangedOutput", test.setting))
			w := watch(sc)
			rows := arbitrary(sc)
			f := fault{Marker: filepath.Join(t.TempDir(), "marker"), Dir: dir, Key: -1}
			others := rdd.Map(rows, rdd.Bind(f, negated))
			if test.cached {
				f.Dir = t.TempDir() // nothing yet
				others = rdd.Map(rows, rdd.Bind(f, negated)).Cache()
				if _, err := others.Count(t.Context()); err != nil {
					t.Fatal(err)
				}
				fault{Marker: f.Marker + "2", Dir: dir, Key: -1}.happen(0)
			}
			sums, err := balance(rows, others).Collect(t.Context())
			sc.Stop()
			if err != nil || len(sums) != 20 {
				t.Fatalf("%d sums, %v", len(sums), err)
			}
			mixed := false
			for _, p := range sums {
				mixed = mixed || p.Value != 0
			}
			if mixed != test.mixed {
				t.Errorf("two versions are mixed: %v, %v", mixed, sums)
			}
			if w.changed == 0 || w.again == 0 || len(w.rolled) == 0 != test.mixed {
				t.Errorf("%d outputs changed, %d attempts were made again, rolled back %v", w.changed, w.again, w.rolled)
			}
			for _, r := range w.rolled {
				if !strings.Contains(r.Name, "rollback_test.go:") || r.Partition != 2 {
					t.Errorf("rolled back: %+v", r)
				}
			}
		})
	}
}

// A host is killed in the middle: what it takes with it comes out otherwise on another one.
func TestVersionsOfRowsAreNotMixedByALoss(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"))
	w := watch(sc)
	pids := t.TempDir()
	pairs := rdd.Map(rdd.Range(sc, 0, 1000, 1, 4), rdd.Bind(pids, func(dir string, x int64) rdd.Pair[int64, int64] {
		meet(dir, 2) // so that both hosts have some of the outputs
		return rdd.Pair[int64, int64]{Key: x % 20, Value: rand.Int64N(1 << 40)}
	}))
	rows := rdd.PartitionBy(pairs, rdd.Partitioner[int64](rdd.HashPartitioner[int64]{N: 3}))
	f := fault{Marker: filepath.Join(t.TempDir(), "marker"), Key: -1}
	sums, err := balance(rows, rdd.Map(rows, rdd.Bind(f, negated))).Collect(t.Context())
	sc.Stop()
	if err != nil || len(sums) != 20 {
		t.Fatalf("%d sums, %v", len(sums), err)
	}
	for _, p := range sums {
		if p.Value != 0 {
			t.Errorf("two versions are mixed: %v", sums)
			break
		}
	}
	if w.changed == 0 || w.lost == 0 || len(w.rolled) == 0 {
		t.Errorf("%d outputs changed, %d executors were lost, rolled back %v", w.changed, w.lost, w.rolled)
	}
}

// meet returns when n processes have called it.
func meet(dir string, n int) {
	for range 10_000 {
		if _, err := os.Stat(filepath.Join(dir, strconv.Itoa(os.Getpid()))); err != nil {
			os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getpid())), nil, 0o600)
		}
		if here, _ := os.ReadDir(dir); len(here) >= n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A part of the result has been handed on when rows that it comes from come out otherwise: the job fails and says why, unless the rows are the same, or lie in
// a checkpoint, or the user takes what comes.
func TestResultsAreNotRolledBack(t *testing.T) {
	t.Parallel()
	middle := int64(0) // a key in partition 1 of 3: when it is met, partition 0 was handed on
	for hash := (rdd.HashPartitioner[int64]{N: 3}); hash.Partition(middle) != 1; middle++ {
	}
	for _, test := range []struct {
		name, setting string
		checkpoint    bool
		same          bool
		says          []string
	}{
		{name: "fails", setting: "true", says: []string{"partition 2 of stage", "rollback_test.go:", "1 of 3 partitions of the result", "cannot be taken back", "with Checkpoint"}},
		{name: "not rolled back", setting: "false"},
		{name: "same rows", setting: "true", same: true},
		{name: "checkpoint", setting: "true", checkpoint: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			sc := driver.New(driver.Master("local[1]"), driver.Set("spark.local.dir", dir), driver.Set("spark.shuffle.rollbackOnChangedOutput", test.setting), driver.Set("spark.checkpoint.dir", t.TempDir()))
			w := watch(sc)
			pairs := rdd.Map(rdd.Range(sc, 0, 1000, 1, 4), rdd.Bind(test.same, func(same bool, x int64) rdd.Pair[int64, int64] {
				p := rdd.Pair[int64, int64]{Key: x % 20, Value: x}
				if !same {
					p.Value = rand.Int64N(1 << 40)
				}
				return p
			}))
			rows := rdd.PartitionBy(pairs, rdd.Partitioner[int64](rdd.HashPartitioner[int64]{N: 3}))
			if test.checkpoint {
				pairs.Checkpoint()
				if _, err := pairs.Count(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			f := fault{Marker: filepath.Join(t.TempDir(), "marker"), Dir: dir, Key: middle}
			got, err := rdd.Map(rows, rdd.Bind(f, negated)).Collect(t.Context())
			sc.Stop()
			if (err != nil) != (test.says != nil) || err == nil && len(got) != 1000 {
				t.Errorf("%d rows, %v", len(got), err)
			}
			for _, says := range test.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("the error does not say %q: %v", says, err)
				}
			}
			if w.again == 0 && test.says == nil {
				t.Error("nothing was computed again")
			}
			if want := !test.same && !test.checkpoint; (w.changed > 0) != want || (len(w.rolled) > 0) != (test.says != nil) {
				t.Errorf("%d outputs changed, rolled back %v", w.changed, w.rolled)
			}
		})
	}
}

package driver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// A function that panics on one record: the error says which partition of which stage, what the panic was, and the user's line,
// wherever in the chain the function stands.
func TestPanicsNamePartitionAndLine(t *testing.T) {
	pairs := func(sc *driver.Context) rdd.RDD[rdd.Pair[int64, int64]] {
		return rdd.Map(rdd.Range(sc, 0, 1000, 1, 4), func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x % 10, Value: x} })
	}
	for name, run := range map[string]func(sc *driver.Context) error{
		"map": func(sc *driver.Context) error {
			_, err := rdd.Map(rdd.Range(sc, 0, 1000, 1, 4), func(x int64) int64 {
				if x == 600 {
					panic("bad record 600")
				}
				return x
			}).Count(t.Context())
			return err
		},
		"index out of range": func(sc *driver.Context) error {
			_, err := rdd.Filter(rdd.Range(sc, 0, 1000, 1, 4), func(x int64) bool {
				bad := []string{"bad record 600"}
				return x != 600 || bad[x] == ""
			}).Count(t.Context())
			return err
		},
		"merge before the shuffle": func(sc *driver.Context) error {
			_, err := rdd.ReduceByKey(pairs(sc), func(a, b int64) int64 {
				if b == 600 {
					panic("bad record 600")
				}
				return a + b
			}, 3).Count(t.Context())
			return err
		},
	} {
		for _, master := range []string{"local[2]", "local-cluster[1,1,128m]"} {
			t.Run(name+" on "+master, func(t *testing.T) {
				t.Parallel()
				sc := driver.New(driver.Master(master), driver.Set("spark.task.maxFailures", "1"))
				defer sc.Stop()
				err := run(sc)
				if err == nil {
					t.Fatal("no error")
				}
				what := "bad record 600"
				if name == "index out of range" {
					what = "index out of range [600]"
				}
				for _, part := range []string{what, "partition 2 of stage 0", "badinput_test.go:"} {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q is not in the error: %v", part, err)
					}
				}
			})
		}
	}
}

// Records of 100 MB pass through maps, shuffles, sorts, caches and results.
func TestHugeRecords(t *testing.T) {
	const size = 100 << 20
	for _, test := range []struct {
		master  string
		options []driver.Option
	}{
		{"local[1]", nil},
		{"local-cluster[1,1,1g]", []driver.Option{driver.Set("spark.shuffle.readHostLocalDisk", "false")}},
	} {
		t.Run(test.master, func(t *testing.T) {
			if test.master != "local[1]" && os.Getenv("SPARK_GO_SLOW") == "" {
				t.Skip("not run: it takes two processes with 1 GB; set SPARK_GO_SLOW=1")
			}
			sc := driver.New(append(test.options, driver.Master(test.master))...)
			defer sc.Stop()
			// One huge one among small ones.
			rows := rdd.Map(rdd.Range(sc, 0, 6, 1, 2), func(x int64) rdd.Pair[int64, []byte] {
				b := []byte{byte(x)}
				if x == 3 {
					b = make([]byte, size)
					b[0], b[size-1] = 1, 3
				}
				return rdd.Pair[int64, []byte]{Key: -x, Value: b}
			}).Persist(rdd.MemoryAndDisk)
			sorted := rdd.SortByKey(rdd.PartitionBy(rows, rdd.Partitioner[int64](rdd.HashPartitioner[int64]{N: 2})), true, 2)
			got, err := rdd.MapValues(sorted, func(b []byte) int64 { return int64(len(b)) }).Collect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := []int64{1, 1, size, 1, 1, 1}
			for i := range want {
				if i >= len(got) || got[i].Key != int64(i)-5 || got[i].Value != want[i] {
					t.Fatalf("lengths by key: %v", got)
				}
			}
			huge, err := rdd.Filter(rows, func(p rdd.Pair[int64, []byte]) bool { return p.Key == -3 }).Collect(t.Context())
			if err != nil || len(huge) != 1 || len(huge[0].Value) != size || huge[0].Value[0] != 1 || huge[0].Value[size-1] != 3 {
				t.Errorf("collected %d rows, %v", len(huge), err)
			}
		})
	}
}

// Datasets without rows, and partitions without rows, are nothing special to any operation.
func TestEmptyPartitions(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := t.Context()
	pair := func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x, Value: x} }
	add := func(a, b int64) int64 { return a + b }
	for _, n := range []int64{0, 1, 3} {
		r := rdd.Map(rdd.Range(sc, 0, n, 1, 7), pair)
		for name, count := range map[string]func() (int64, error){
			"Count":       func() (int64, error) { return r.Count(ctx) },
			"ReduceByKey": func() (int64, error) { return rdd.ReduceByKey(r, add, 5).Count(ctx) },
			"SortByKey":   func() (int64, error) { return rdd.SortByKey(r, false, 5).Count(ctx) },
			"Join":        func() (int64, error) { return rdd.Join(r, r, 5).Count(ctx) },
			"Cache":       func() (int64, error) { return r.Cache().Count(ctx) },
			"Repartition": func() (int64, error) { return rdd.Repartition(r, 9).Count(ctx) },
			"Distinct":    func() (int64, error) { return rdd.Distinct(rdd.Keys(r), 5).Count(ctx) },
		} {
			if got, err := count(); err != nil || got != n {
				t.Errorf("%s of %d rows: %d, %v", name, n, got, err)
			}
		}
		if _, err := rdd.Reduce(ctx, rdd.Keys(r), add); errors.Is(err, rdd.ErrEmpty) != (n == 0) {
			t.Errorf("Reduce of %d rows: %v", n, err)
		}
	}
}

// Partition counts: 0 is the default, 1 is one, negative ones are errors, and a shuffle into 100,000 (10,000 without
// SPARK_GO_SLOW) costs memory by its rows and tasks, not by pairs of them.
func TestPartitionCounts(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.driver.memory", "256m"))
	defer sc.Stop()
	add := func(a, b int64) int64 { return a + b }
	pairs := rdd.Map(rdd.Range(sc, 0, 10_000, 1, 4), func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x % 5000, Value: x} })
	for n, want := range map[int]int{0: 4, 1: 1, 17: 17} {
		sums := rdd.ReduceByKey(pairs, add, n)
		if got, err := sums.Count(t.Context()); err != nil || got != 5000 || sums.NumPartitions() != want {
			t.Errorf("%d partitions asked for: %d rows in %d, %v", n, got, sums.NumPartitions(), err)
		}
	}
	if _, err := rdd.ReduceByKey(pairs, add, -1).Count(t.Context()); err == nil || !strings.Contains(err.Error(), "-1 partitions") {
		t.Errorf("-1 partitions: %v", err)
	}
	if _, err := rdd.Repartition(pairs, 1<<30).Count(t.Context()); err == nil {
		t.Error("a billion partitions: no error")
	}
	many := 10_000
	if os.Getenv("SPARK_GO_SLOW") != "" {
		many = 100_000
	}
	wide := rdd.ReduceByKey(pairs, add, many)
	if rows, err := wide.Take(t.Context(), 3); err != nil || len(rows) != 3 {
		t.Errorf("take from %d partitions: %v, %v", many, rows, err)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got, err := wide.Count(t.Context()); err != nil || got != 5000 {
		t.Errorf("%d partitions: %d rows, %v", many, got, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 64<<20 {
		t.Errorf("%d partitions: %d MiB stay in use", many, kept>>20)
	}
}

// Nil slices, maps and pointers in rows travel as what they are; interfaces and rows that are nil themselves too.
func TestNilValues(t *testing.T) {
	type odd struct {
		Key   int64
		Bytes []byte
		Map   map[string]int64
		Ptr   *int64
		Rows  []*int64
	}
	for _, master := range []string{"local[2]", "local-cluster[1,1,128m]"} {
		t.Run(master, func(t *testing.T) {
			t.Parallel()
			sc := driver.New(driver.Master(master))
			defer sc.Stop()
			seven := int64(7)
			in := []odd{{Key: 3}, {Key: 1, Bytes: []byte{}, Map: map[string]int64{}, Rows: []*int64{}}, {Key: 2, Bytes: []byte{1}, Map: map[string]int64{"a": 1}, Ptr: &seven, Rows: []*int64{nil, &seven, nil}}}
			r := rdd.SortBy(rdd.Parallelize(sc, in, 3), func(o odd) int64 { return o.Key }, true, 2).Persist(rdd.DiskOnly)
			for range 2 { // computed, then cached
				got, err := r.Collect(t.Context())
				if err != nil || len(got) != 3 {
					t.Fatal(got, err)
				}
				if o := got[2]; o.Bytes != nil || o.Map != nil || o.Ptr != nil || o.Rows != nil {
					t.Errorf("nil became %+v", o)
				}
				if o := got[0]; len(o.Bytes) != 0 || len(o.Map) != 0 || len(o.Rows) != 0 {
					t.Errorf("empty became %+v", o)
				}
				if o := got[1]; o.Ptr == nil || *o.Ptr != 7 || len(o.Rows) != 3 || o.Rows[0] != nil || *o.Rows[1] != 7 || o.Map["a"] != 1 {
					t.Errorf("values became %+v", o)
				}
			}
			pointers := rdd.Parallelize(sc, []*int64{nil, &seven, nil}, 2)
			all, err := rdd.Repartition(pointers, 3).Collect(t.Context())
			nils := 0
			for _, p := range all {
				if p == nil {
					nils++
				}
			}
			if err != nil || len(all) != 3 || nils != 2 {
				t.Errorf("pointers: %v, %v", all, err)
			}
		})
	}
}

// Jobs are cancelled at random moments, of every kind of work and of start and end. Each returns soon with the context's error or its rows,
// the application goes on, and in the end nothing is left: no goroutine, no process, no file, no listener.
func TestCancelledAtRandomMoments(t *testing.T) {
	dir := t.TempDir()
	goroutines := runtime.NumGoroutine()
	for _, master := range []string{"local[2]", "local-cluster[2,1,128m]"} {
		sc := driver.New(driver.Master(master), driver.Set("spark.local.dir", dir), driver.Set("spark.shuffle.readHostLocalDisk", "false"))
		random := rand.New(rand.NewPCG(1, 2))
		var want []rdd.Pair[int64, int64]
		var whole time.Duration
		for range 3 { // the first one is slow
			start := time.Now()
			var err error
			if want, err = keyed(sc, 400_000).Collect(t.Context()); err != nil {
				t.Fatal(err)
			}
			whole = time.Since(start)
		}
		cancelled := 0
		for range 25 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.Int64N(int64(whole)*9/8)))
			began := time.Now()
			r := keyed(sc, 400_000)
			if random.IntN(3) == 0 {
				r = r.Persist(rdd.DiskOnly)
			}
			if random.IntN(3) == 0 {
				r = rdd.SortByKey(r, true, 3)
			}
			rows, err := r.Collect(ctx)
			cancel()
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				cancelled++
			case err != nil || len(rows) != len(want):
				t.Errorf("%s: %d rows, %v", master, len(rows), err)
			}
			if d := time.Since(began); d > 2*whole+10*time.Second {
				t.Errorf("%s: a cancelled job took %v", master, d)
			}
		}
		if cancelled < 3 {
			t.Errorf("%s: %d of 25 jobs were cancelled: the test misses its moments", master, cancelled)
		}
		got, err := keyed(sc, 400_000).Collect(t.Context())
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: afterwards %d rows, %v", master, len(got), err)
		}
		sc.Stop()
		if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
			t.Errorf("%s left files: %v", master, left)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		n, children := runtime.NumGoroutine(), childrenOf(t)
		if n <= goroutines+2 && len(children) == 0 {
			return
		}
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before; processes %v:\n%s", n, goroutines, children, buf[:runtime.Stack(buf, true)])
		}
	}
}

// childrenOf lists the processes that this one started and that have not ended.
func childrenOf(t *testing.T) (children []string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks { // none on systems without /proc
		text, _ := os.ReadFile(f)
		children = append(children, strings.Fields(string(text))...)
	}
	return children
}

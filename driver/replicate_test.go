package driver_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// twice is a dataset of 40,000 rows that is kept on two executors, and how many rows were computed for it.
func twice(t *testing.T, sc *driver.Context, level rdd.StorageLevel, partitions int) (rdd.RDD[int64], rdd.Accumulator[int64]) {
	t.Helper()
	acc, err := rdd.LongAccumulator(sc, "computed")
	if err != nil {
		t.Fatal(err)
	}
	return rdd.Map(rdd.Range(sc, 0, 40_000, 1, partitions), rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) int64 { acc.Add(1); return x * x })).Persist(level), acc
}

// copies says which live executors hold each partition of a dataset, as far as copies tell.
func (d *diary) copies(dataset int) map[int][]string {
	held := map[int][]string{}
	d.each(func(e driver.Event) {
		switch e := e.(type) {
		case driver.BlockReplicated:
			for _, x := range []string{e.From, e.To} {
				if e.Dataset == dataset && e.Error == "" && !slices.Contains(held[e.Partition], x) {
					held[e.Partition] = append(held[e.Partition], x)
				}
			}
		case driver.ExecutorRemoved:
			for p := range held {
				held[p] = slices.DeleteFunc(held[p], func(x string) bool { return x == e.Executor })
			}
		}
	})
	return held
}

// awaitCopies waits until all partitions of a dataset are on two executors.
func awaitCopies(t *testing.T, d *diary, r rdd.RDD[int64]) map[int][]string {
	t.Helper()
	for range 3000 {
		held := d.copies(r.Node().ID())
		if full := slices.DeleteFunc(slices.Collect(maps.Values(held)), func(x []string) bool { return len(x) != 2 }); len(full) == r.NumPartitions() {
			return held
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not all partitions are on two executors: %v", d.copies(r.Node().ID()))
	return nil
}

// wantRows collects a dataset and compares it with what it was before, and the number of rows that were computed since the beginning.
func wantRows(t *testing.T, what string, r rdd.RDD[int64], rows []int64, acc rdd.Accumulator[int64], computed int64) {
	t.Helper()
	got, err := r.Collect(context.Background())
	if err != nil || !slices.Equal(got, rows) {
		t.Errorf("%s: %d rows, %v, want the %d as before", what, len(got), err, len(rows))
	}
	if acc.Value() != computed {
		t.Errorf("%s: %d rows were computed, want %d", what, acc.Value(), computed)
	}
}

// A dataset that is kept twice is not computed again when an executor dies, and then a host, and then every other executor that had it at first: the
// copies that were lost are made anew. Unpersist removes all of them. At a level without copies the first death costs some.
func TestReplicatedBlocksOutliveExecutors(t *testing.T) {
	t.Parallel()
	for _, level := range []rdd.StorageLevel{rdd.MemoryOnly2, rdd.MemoryAndDisk2, rdd.DiskOnly2} {
		executors := 2
		if level == rdd.MemoryAndDisk2 {
			executors = 3
		}
		dir := t.TempDir()
		sc := driver.New(driver.Master(fmt.Sprintf("local-cluster[%d,1,128m]", executors)), driver.Set("spark.local.dir", dir), driver.Set("spark.rdd.compress", fmt.Sprint(level == rdd.DiskOnly2)))
		d := keepDiary(sc)
		r, acc := twice(t, sc, level, 4)
		rows, err := r.Collect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 { // a job process, a host, a job process: with two executors all that had the blocks at first are gone
			held := awaitCopies(t, d, r)
			gone := held[0][0]
			if err := syscall.Kill(processOf(t, sc, d, gone, i == 1), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			d.end(t, gone)
			wantRows(t, fmt.Sprintf("%v, death %d, of %s", level, i, gone), r, rows, acc, 40_000)
		}
		awaitCopies(t, d, r)
		if files := len(cachedFiles(dir)); level == rdd.DiskOnly2 && files != 8 {
			t.Errorf("%d files, want two for each of 4 partitions", files)
		}
		if err := r.Unpersist(context.Background(), true); err != nil {
			t.Fatal(err)
		}
		for i := 0; len(cachedFiles(dir)) > 0; i++ {
			if time.Sleep(10 * time.Millisecond); i == 3000 {
				t.Fatalf("%v: Unpersist leaves %v", level, cachedFiles(dir))
			}
		}
		wantRows(t, fmt.Sprint(level, " forgotten"), r.Persist(level), rows, acc, 80_000)
		sc.Stop()
	}
}

// processOf is the number of an executor's job process, or of its host.
func processOf(t *testing.T, sc *driver.Context, d *diary, executor string, host bool) int {
	t.Helper()
	for range 100 {
		pids, err := rdd.Map(rdd.Range(sc, 0, 4, 1, 4), rdd.Bind(host, func(host bool, _ int64) int {
			time.Sleep(10 * time.Millisecond)
			if host {
				return os.Getppid()
			}
			return os.Getpid()
		})).Collect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		pid := 0
		d.each(func(e driver.Event) {
			switch e := e.(type) {
			case driver.JobStarted: // of the last job alone
				pid = 0
			case driver.TaskEnded:
				if e.Accepted && e.Executor == executor && len(pids) > e.Partition {
					pid = pids[e.Partition]
				}
			}
		})
		if pid != 0 {
			return pid
		}
	}
	t.Fatalf("executor %s gets no task", executor)
	return 0
}

// With both copies lost the partitions are computed from their lineage. Copies that were lost are not made anew where that is switched off.
func TestAllReplicasAreLost(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.storage.replication.proactive", "false"))
	defer sc.Stop()
	d := keepDiary(sc)
	r, acc := twice(t, sc, rdd.MemoryOnly2, 2)
	rows, err := r.Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i, gone := range awaitCopies(t, d, r)[0] {
		if err := syscall.Kill(processOf(t, sc, d, gone, false), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		d.end(t, gone)
		wantRows(t, "without "+gone, r, rows, acc, int64(40_000*(1+i)))
	}
	copies := 0
	d.each(func(e driver.Event) {
		if _, ok := e.(driver.BlockReplicated); ok {
			copies++
		}
	})
	if copies < 2 || copies > 4 { // of the first computation, and of the second one, which may not be over
		t.Errorf("%d copies were made", copies)
	}
}

// A task on an executor without the block reads it from one that has it.
func TestReplicasAreReadElsewhere(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local-cluster[3,1,128m]"), driver.Set("spark.locality.wait", "0"), driver.Set("spark.task.maxFailures", "1"))
	defer sc.Stop()
	d := keepDiary(sc)
	r, acc := twice(t, sc, rdd.MemoryAndDisk2, 1)
	rows, err := r.Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	held := awaitCopies(t, d, r)[0]
	elsewhere := func() (n int) {
		d.each(func(e driver.Event) {
			if e, ok := e.(driver.TaskEnded); ok && e.Accepted && !slices.Contains(held, e.Executor) && e.Metrics.CachedRead > 0 {
				n++
			}
		})
		return n
	}
	many := rdd.Map(rdd.Union(rdd.Union(r, r), rdd.Union(r, r)), func(x int64) int64 {
		if x == 0 {
			time.Sleep(50 * time.Millisecond)
		}
		return x
	})
	for i := 0; elsewhere() == 0 && i < 100; i++ {
		wantRows(t, "four times", many, slices.Concat(rows, rows, rows, rows), acc, 40_000)
	}
	if elsewhere() == 0 {
		t.Error("no task ran elsewhere: the test proves nothing")
	}
	wantRows(t, "alone", r, rows, acc, 40_000)
}

// A damaged block is read from the executor that has the other copy.
func TestDamagedBlockIsReadFromItsReplica(t *testing.T) {
	t.Parallel()
	for _, fault := range faults {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.local.dir", dir), driver.Set("spark.task.maxFailures", "1"))
		d := keepDiary(sc)
		r, acc := twice(t, sc, rdd.DiskOnly2, 2)
		rows, err := r.Collect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		held := awaitCopies(t, d, r)
		for _, file := range cachedFiles(hostDir(t, dir, held[0][0])) {
			if err := fault.do(file); err != nil {
				t.Fatal(err)
			}
		}
		for range 3 {
			wantRows(t, fault.name, r, rows, acc, 40_000)
		}
		sc.Stop()
	}
}

// A copy in memory that finds no room is not kept, which the driver knows; nothing fails for it.
func TestReplicaWithoutRoom(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.memory.fraction", "0.05"), driver.Set("spark.task.maxFailures", "1"))
	defer sc.Stop()
	d := keepDiary(sc)
	for _, name := range []string{"0.1", "1.1"} { // both are there, and each computes a partition
		processOf(t, sc, d, name, false)
	}
	large := func(level rdd.StorageLevel) rdd.RDD[[]byte] {
		return rdd.Map(rdd.Range(sc, 0, 8, 1, 2), func(x int64) []byte {
			time.Sleep(20 * time.Millisecond)
			return make([]byte, 1<<20)
		}).Persist(level)
	}
	for _, c := range []struct {
		level rdd.StorageLevel
		want  string
	}{{rdd.MemoryOnly2, "no room in memory"}, {rdd.MemoryAndDisk2, ""}} {
		r := large(c.level)
		if n, err := r.Count(ctx); n != 8 || err != nil {
			t.Fatal(n, err)
		}
		ends := map[string]int{}
		for i := 0; len(ends) == 0 || c.want == "" && ends[""] < 2 || c.want != "" && ends["failed"] < 4; i++ {
			clear(ends)
			d.each(func(e driver.Event) {
				if e, ok := e.(driver.BlockReplicated); ok && e.Dataset == r.Node().ID() {
					switch {
					case e.Error == "":
						ends[""]++
					case c.want != "" && strings.Contains(e.Error, c.want):
						ends["failed"]++
					default:
						t.Fatal(e)
					}
				}
			})
			if time.Sleep(10 * time.Millisecond); i == 3000 {
				t.Fatalf("%v: copies ended as %v", c.level, ends)
			}
		}
		if c.want != "" && ends[""] > 0 {
			t.Errorf("%v: %v", c.level, ends)
		}
		if n, err := r.Count(ctx); n != 8 || err != nil {
			t.Error(n, err)
		}
		if err := r.Unpersist(ctx, true); err != nil {
			t.Fatal(err)
		}
	}
}

// Decommissioning moves no block of which another executor has a copy, and the copy that goes with the executor is made anew elsewhere.
func TestDecommissionWithReplicas(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"))
	defer sc.Stop()
	d := keepDiary(sc)
	r, acc := twice(t, sc, rdd.MemoryOnly2, 4)
	rows, err := r.Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		gone := awaitCopies(t, d, r)[0][0]
		if err := sc.Decommission(ctx, gone); err != nil {
			t.Fatal(err)
		}
		if reason := d.end(t, gone); !strings.Contains(reason, " 0 cached blocks were moved, 0 could not be") {
			t.Errorf("%s ended because %s", gone, reason)
		}
		wantRows(t, "without "+gone, r, rows, acc, 40_000)
	}
	// Both at once: what only they have is moved, to executors that do not have it yet, and copied from there.
	if err := sc.Decommission(ctx, awaitCopies(t, d, r)[0]...); err != nil {
		t.Fatal(err)
	}
	wantRows(t, "without both", r, rows, acc, 40_000)
}

// A dataset that is computed for the first time from a cached one is computed where that lies.
func TestTasksFollowTheCacheOfTheirParent(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local-cluster[2,1,128m]"))
	defer sc.Stop()
	r, acc := twice(t, sc, rdd.MemoryOnly, 4)
	rows, err := r.Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		r = rdd.Map(r, func(x int64) int64 { return x + 1 }).Persist(rdd.MemoryOnly)
		for i := range rows {
			rows[i]++
		}
		wantRows(t, "a step further", r, rows, acc, 40_000)
	}
}

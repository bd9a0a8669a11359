package rdd_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

const (
	bigRows  = 40_000 // of a kilobyte: 40 MB against a budget of 64 MB * 0.3 = 19 MB
	bigParts = 8
)

// small is a context whose memory does not hold a dataset of bigRows.
func small(t *testing.T) (sc *driver.Context, dir string) {
	t.Helper()
	dir = t.TempDir()
	sc = driver.New(driver.Master("local[2]"), driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", "0.3"), driver.Set("spark.local.dir", dir))
	t.Cleanup(sc.Stop)
	return sc, dir
}

func big(t *testing.T, sc *driver.Context) (rdd.RDD[string], rdd.Accumulator[int64]) {
	t.Helper()
	acc, err := rdd.LongAccumulator(sc, "computed")
	if err != nil {
		t.Fatal(err)
	}
	return rdd.Map(rdd.Range(sc, 0, bigRows, 1, bigParts), rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) string {
		acc.Add(1)
		return fmt.Sprintf("%08d%s", x, strings.Repeat("x", 1000))
	})), acc
}

// checkBig reads all rows and returns how many were computed for that.
func checkBig(t *testing.T, r rdd.RDD[string], computed rdd.Accumulator[int64]) int64 {
	t.Helper()
	before := computed.Value()
	sum, err := rdd.Aggregate(context.Background(), r, 0, func(n int64, s string) int64 {
		var x int64
		fmt.Sscanf(s, "%08d", &x)
		return n + x + int64(len(s))
	}, add)
	if want := int64(bigRows*(bigRows-1)/2 + bigRows*1008); err != nil || sum != want {
		t.Fatalf("sum = %d, %v, want %d", sum, err, want)
	}
	return computed.Value() - before
}

// blockFiles lists the kept blocks on disk.
func blockFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), "rdd_") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestMemoryOnlyComputesAgainWhatDidNotFit(t *testing.T) {
	sc, dir := small(t)
	r, computed := big(t, sc)
	r = r.Cache()
	if n := checkBig(t, r, computed); n != bigRows {
		t.Errorf("first job: %d rows computed", n)
	}
	for range 2 {
		if n := checkBig(t, r, computed); n == 0 || n >= bigRows || n%(bigRows/bigParts) != 0 {
			t.Errorf("later job: %d of %d rows computed, want some whole partitions", n, bigRows)
		}
	}
	if f := blockFiles(t, dir); len(f) != 0 {
		t.Errorf("blocks on disk: %v", f)
	}
}

// Where no partition fits at all, each job computes everything, and the rows are right.
func TestMemoryOnlyWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", "0.05"), driver.Set("spark.local.dir", dir))
	defer sc.Stop()
	r, computed := big(t, sc)
	r = r.Cache()
	for range 2 {
		if n := checkBig(t, r, computed); n != bigRows {
			t.Errorf("%d of %d rows were computed", n, bigRows)
		}
	}
	if f := blockFiles(t, dir); len(f) != 0 {
		t.Errorf("blocks on disk: %v", f)
	}
}

func TestMemoryAndDiskKeepsEverything(t *testing.T) {
	sc, dir := small(t)
	r, computed := big(t, sc)
	r = r.Persist(rdd.MemoryAndDisk)
	for i, want := range []int64{bigRows, 0, 0} {
		if n := checkBig(t, r, computed); n != want {
			t.Errorf("job %d: %d rows computed, want %d", i, n, want)
		}
	}
	if n := len(blockFiles(t, dir)); n == 0 || n == bigParts {
		t.Errorf("%d of %d blocks are on disk, want some", n, bigParts)
	}
	if err := r.Unpersist(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	if f := blockFiles(t, dir); len(f) != 0 {
		t.Errorf("after Unpersist: %v", f)
	}
}

// Blocks in memory go to disk, or are forgotten, when another dataset needs the memory.
func TestPersistedDatasetsShareMemory(t *testing.T) {
	for _, level := range []rdd.StorageLevel{rdd.MemoryAndDisk, rdd.MemoryOnly} {
		sc, _ := small(t)
		first, computed := big(t, sc)
		first = rdd.Filter(first, func(s string) bool { return s < "00010000" }).Persist(level)
		if _, err := first.Count(context.Background()); err != nil {
			t.Fatal(err)
		}
		second, again := big(t, sc)
		checkBig(t, second.Persist(level), again)
		before := computed.Value()
		rows, err := first.Collect(context.Background())
		if err != nil || len(rows) != 10_000 || !strings.HasPrefix(rows[9_999], "00009999") {
			t.Fatalf("%v: %d rows, %v", level, len(rows), err)
		}
		if n := computed.Value() - before; (n == 0) != (level == rdd.MemoryAndDisk) {
			t.Errorf("%v: %d rows computed again", level, n)
		}
	}
}

// In local mode, with one executor, levels with two copies keep one, as those without do.
func TestLevelsWithCopiesInLocal(t *testing.T) {
	sc, dir := small(t)
	for i, level := range []rdd.StorageLevel{rdd.MemoryOnly2, rdd.MemoryAndDisk2, rdd.DiskOnly2} {
		r, computed := big(t, sc)
		r = r.Persist(level)
		first, second := checkBig(t, r, computed), checkBig(t, r, computed)
		if first != bigRows || (second > 0) != (level == rdd.MemoryOnly2) || second == bigRows {
			t.Errorf("%v: %d rows were computed, then %d", level, first, second)
		}
		if n := len(blockFiles(t, dir)); (n > 0) != level.UseDisk() || (n == bigParts) != (level == rdd.DiskOnly2) || n > bigParts {
			t.Errorf("%v: %d of %d partitions are on disk", level, n, bigParts)
		}
		if single := rdd.StorageLevel(i + 1); level.String() != single.String()+"_2" || level.UseMemory() != single.UseMemory() || level.UseDisk() != single.UseDisk() {
			t.Errorf("%v is no %v with a copy", level, single)
		}
		if err := r.Unpersist(context.Background(), true); err != nil {
			t.Fatal(err)
		}
	}
	for l, want := range map[rdd.StorageLevel]int{rdd.None: 0, rdd.MemoryOnly: 1, rdd.DiskOnly2: 2, rdd.DiskOnly2 + 1: 0} {
		if n := l.Replication(); n != want || l.Valid() != (l <= rdd.DiskOnly2) {
			t.Errorf("%v: %d copies, valid %v", l, n, l.Valid())
		}
	}
}

func TestDiskOnlyAndLostBlocks(t *testing.T) {
	sc, dir := small(t)
	r, computed := big(t, sc)
	r = r.Persist(rdd.DiskOnly)
	for i, want := range []int64{bigRows, 0} {
		if n := checkBig(t, r, computed); n != want {
			t.Errorf("job %d: %d rows computed, want %d", i, n, want)
		}
	}
	files := blockFiles(t, dir)
	if len(files) != bigParts {
		t.Fatalf("%d blocks on disk, want %d", len(files), bigParts)
	}
	if err := os.Remove(files[3]); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(files[5], 100); err != nil {
		t.Fatal(err)
	}
	// Two partitions are computed again from the lineage, and kept again.
	for i, want := range []int64{2 * bigRows / bigParts, 0} {
		if n := checkBig(t, r, computed); n != want {
			t.Errorf("job %d after the loss: %d rows computed, want %d", i, n, want)
		}
	}
}

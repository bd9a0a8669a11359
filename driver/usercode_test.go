package driver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// partitionNumber is an action whose result is nothing.
type partitionNumber struct{}

func (partitionNumber) Run(*rdd.Task, int) ([]byte, error) { return []byte{}, nil }

// brokenPlaces is a partitioner that panics.
type brokenPlaces struct{ N int }

func (b brokenPlaces) NumPartitions() int      { return b.N }
func (b brokenPlaces) Partition(key int64) int { panic(fmt.Sprint("no place for ", key)) }

// User code that the driver runs may panic: that ends the action, if it belongs to one, and never the scheduler.
func TestUserCodePanicsInTheDriver(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	var heard atomic.Int64
	sc.AddListener(func(driver.Event) { heard.Add(1); panic("a listener") })
	base := rdd.Range(sc, 0, 100, 1, 4)
	acc, err := rdd.NewAccumulator(sc, "broken", 0, func(a, b int) int {
		if a+b > 25 { // a task's sum does not get there
			panic("an accumulator")
		}
		return a + b
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   func() error
		want string // in the error; empty for none
	}{
		{"result handler", func() error {
			return sc.Run(ctx, rdd.Job{Target: base.Node(), Name: "Handled", Action: partitionNumber{}, Handle: func(i int, _ []byte) error { panic(fmt.Sprint("result ", i)) }})
		}, "result "},
		{"result handler's error", func() error {
			return sc.Run(ctx, rdd.Job{Target: base.Node(), Name: "Handled", Action: partitionNumber{}, Handle: func(int, []byte) error { return errors.New("no room") }})
		}, "no room"},
		{"preferred hosts", func() error {
			_, err := rdd.Preferring(rdd.Parallelize(sc, []int64{1, 2, 3}, 3), func(p int) []string { panic(fmt.Sprint("hosts of ", p)) }).Count(ctx)
			return err
		}, "hosts of 0"},
		{"partitioner", func() error {
			pairs := rdd.Map(base, func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x, Value: x} })
			_, err := rdd.PartitionBy(pairs, brokenPlaces{2}).Count(ctx)
			return err
		}, "no place for "},
		{"accumulator", func() error {
			n, err := rdd.Map(base, rdd.Bind(acc, func(acc rdd.Accumulator[int], x int64) int64 {
				if x%10 == 0 {
					acc.Add(3) // nine a task
				}
				return x
			})).Count(ctx)
			if n != 100 {
				return fmt.Errorf("%d rows, %w", n, err)
			}
			return err
		}, ""},
		{"merge on the driver", func() (err error) {
			defer func() { err = fmt.Errorf("the caller got: %v", recover()) }()
			_, err = rdd.Reduce(ctx, base, func(a, b int64) int64 {
				if a == 300 && b == 925 { // the sums of the first partitions: when the driver merges
					panic("too much")
				}
				return a + b
			})
			return err
		}, "too much"},
	} {
		err := c.do()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: the error is %v, want one with %q", c.name, err, c.want)
		}
		if n, err := base.Count(ctx); n != 100 || err != nil {
			t.Fatalf("after the panic of the %s: %d, %v", c.name, n, err)
		}
	}
	if got := acc.Value(); got == 0 || got > 25 {
		t.Errorf("the accumulator is %d: not the updates before the panic", got)
	}
	if n := heard.Load(); n != 1 {
		t.Errorf("the listener that panicked was called %d times", n)
	}
}

// await waits until a file exists.
func await(path string) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	panic("there is no " + path)
}

func touch(path string) { os.WriteFile(path, nil, 0o600) }

// A task whose stage was given up because of another task's fetch failure counts when it succeeds, with what it added, even while no
// attempt of its stage runs.
func TestZombieCountsOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	local, marks := t.TempDir(), t.TempDir()
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.local.dir", local))
	defer sc.Stop()
	acc, err := rdd.LongAccumulator(sc, "rows")
	if err != nil {
		t.Fatal(err)
	}
	var failed, late atomic.Int64
	sc.AddListener(func(e driver.Event) {
		switch e := e.(type) {
		case driver.StageCompleted:
			if strings.Contains(e.Error, "read map output") {
				failed.Add(1)
			}
		case driver.TaskEnded:
			if e.Stage == 1 && e.Partition == 0 && e.Accepted && failed.Load() == 1 {
				late.Add(1)
				touch(filepath.Join(marks, "late"))
			}
		}
	})
	type env struct {
		Local, Marks string
		Acc          rdd.Accumulator[int64]
	}
	e := env{local, marks, acc}
	pairs := rdd.Map(rdd.Range(sc, 0, 3, 1, 1), rdd.Bind(e, func(e env, x int64) rdd.Pair[int64, int64] {
		if _, err := os.Stat(filepath.Join(e.Marks, "deleted")); err == nil {
			await(filepath.Join(e.Marks, "late")) // the second time: not before the zombie has ended
		}
		return rdd.Pair[int64, int64]{Key: x, Value: x}
	}))
	rows, err := rdd.Map(rdd.PartitionBy(pairs, places{3}), rdd.Bind(e, func(e env, p rdd.Pair[int64, int64]) int64 {
		e.Acc.Add(1)
		deleted := filepath.Join(e.Marks, "deleted")
		switch p.Key {
		case 0: // has read its input, and ends while the map stage runs again
			touch(filepath.Join(e.Marks, "read"))
			await(deleted)
			time.Sleep(100 * time.Millisecond)
		case 1: // leaves nothing for partition 2, which starts when this one ends
			await(filepath.Join(e.Marks, "read"))
			for _, f := range shuffleFiles(e.Local, ".data") {
				os.Remove(f)
			}
			touch(deleted)
		}
		return p.Value
	})).Collect(ctx)
	if err != nil || fmt.Sprint(rows) != "[0 1 2]" {
		t.Errorf("rows %v, %v", rows, err)
	}
	if failed.Load() != 1 || late.Load() != 1 {
		t.Fatalf("%d attempts ended with a fetch failure, %d tasks ended late: the test proved nothing", failed.Load(), late.Load())
	}
	if acc.Value() != 3 {
		t.Errorf("the accumulator is %d, want 3", acc.Value())
	}
}

// places puts key k into partition k.
type places struct{ N int }

func (p places) NumPartitions() int      { return p.N }
func (p places) Partition(key int64) int { return int(key) }

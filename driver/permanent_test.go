package driver_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// flawed is an error that may be permanent.
type flawed struct{ permanent bool }

func (f *flawed) Error() string   { return "a flaw" }
func (f *flawed) Permanent() bool { return f.permanent }

// What no other attempt could do better fails its job at the first one, what another might at the fourth.
func TestPermanentErrorsAreNotTriedAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	fails := func(sc *driver.Context, f func(*rdd.Task, iter.Seq[int64]) (iter.Seq[int64], error)) error {
		_, err := rdd.MapPartitionsWithTask(rdd.Range(sc, 0, 4, 1, 1), f).Count(ctx)
		return err
	}
	for _, c := range []struct {
		name, master, want string
		run                func(sc *driver.Context) error
		tries              int64
	}{
		{"an error of a function's", "local-cluster[1,1,128m]", "a flaw", func(sc *driver.Context) error {
			return fails(sc, func(_ *rdd.Task, in iter.Seq[int64]) (iter.Seq[int64], error) {
				return in, fmt.Errorf("look at the rows: %w", &flawed{true})
			})
		}, 1},
		{"one that is not permanent", "local-cluster[1,1,128m]", "a flaw", func(sc *driver.Context) error {
			return fails(sc, func(_ *rdd.Task, in iter.Seq[int64]) (iter.Seq[int64], error) {
				return in, fmt.Errorf("look at the rows: %w", &flawed{false})
			})
		}, 4},
		{"values of one key", "local[1,4]", "the values of key 7", func(sc *driver.Context) error {
			pairs := rdd.Map(rdd.Range(sc, 0, 1_000_000, 1, 1), func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: 7, Value: x} })
			_, err := rdd.GroupByKey(pairs, 1).Count(ctx)
			return err
		}, 2}, // one wrote the shuffle
		{"a result beyond a message", "local-cluster[1,1,128m]", "cannot be sent", func(sc *driver.Context) error {
			_, err := rdd.Range(sc, 0, 200_000, 1, 1).Collect(ctx)
			return err
		}, 1},
		{"a file that nobody shares", "local[1,4]", "there is no file", func(sc *driver.Context) error {
			return fails(sc, func(task *rdd.Task, in iter.Seq[int64]) (iter.Seq[int64], error) {
				_, err := task.File("none")
				return in, err
			})
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sc := driver.New(driver.Master(c.master), driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", "0.1"), driver.Set("spark.rpc.message.maxSize", "1"))
			defer sc.Stop()
			var tries atomic.Int64
			sc.AddListener(func(e driver.Event) {
				if _, ok := e.(driver.TaskStarted); ok {
					tries.Add(1)
				}
			})
			err := c.run(sc)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
			if n := tries.Load(); n != c.tries {
				t.Errorf("%d attempts, want %d; %v", n, c.tries, errors.Unwrap(err))
			}
		})
	}
}

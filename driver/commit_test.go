package driver_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// publish is a writer to the outside world that notes in files which of its attempts may publish.
type publish struct {
	Dir  string
	Dies bool // the first attempt that may
}

func (o publish) Compute(t *rdd.Task, p int) (rdd.Stream[int], error) {
	name := func(word string) string { return filepath.Join(o.Dir, fmt.Sprintf("%d-%s-%d", p, word, t.Attempt)) }
	err := t.AskCommit()
	word := "allowed"
	if errors.Is(err, rdd.ErrCommitDenied) {
		word = "denied"
	} else if err != nil {
		return nil, err
	}
	if err := os.WriteFile(name(word), nil, 0o600); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("partition %d: %w", p, err)
	}
	if p == 0 && o.Dies && os.Mkdir(filepath.Join(o.Dir, "died"), 0o700) == nil {
		os.Exit(1)
	}
	if p == 0 && !o.Dies {
		// Slow from here on: the other attempt, the copy that speculation starts or, if that was quicker, the first one, asks in vain.
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if denied, _ := filepath.Glob(filepath.Join(o.Dir, "0-denied-*")); len(denied) > 0 {
				return rdd.StreamOf([]int{p}), nil
			}
		}
		return nil, errors.New("nobody was denied")
	}
	return rdd.StreamOf([]int{p}), nil
}

// Of two attempts that write the same partition one may publish; the right passes on when its holder dies.
func TestOneAttemptPublishes(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{false, true} {
		dir := t.TempDir()
		sc := driver.New(driver.Master("local-cluster[2,1,128m]"), driver.Set("spark.speculation", "true"), driver.Set("spark.speculation.quantile", "0.5"),
			driver.Set("spark.speculation.multiplier", "1"), driver.Set("spark.speculation.minTaskRuntime", "20ms"), driver.Set("spark.speculation.interval", "10ms"))
		rows, err := rdd.New[int](sc, "publish", publish{dir, dies}, 3, nil).Collect(context.Background())
		if err != nil || fmt.Sprint(rows) != "[0 1 2]" {
			t.Errorf("%v, %v", rows, err)
		}
		// Where the first one that may dies, copies may have asked, and have been denied, before that is known: then a later one publishes.
		if found, _ := filepath.Glob(filepath.Join(dir, "0-denied-*")); !dies && len(found) == 0 {
			t.Error("no attempt was denied")
		}
		if found, _ := filepath.Glob(filepath.Join(dir, "0-allowed-*")); dies && len(found) != 2 {
			t.Errorf("%v were allowed", found)
		}
		if allowed, _ := filepath.Glob(filepath.Join(dir, "*-allowed-*")); !dies && len(allowed) != 3 {
			t.Errorf("%v were allowed", allowed)
		}
		sc.Stop()
	}
}

package budget_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// measured is what watching an operation found.
type measured struct {
	executor, driver resident
	seconds          float64
}

// measure runs an operation on an executor with two cores and the given memory, and fails if the job process died.
func measure(t *testing.T, op operation, budget, input int64) measured {
	t.Helper()
	sc := driver.New(driver.Master(fmt.Sprintf("local-cluster[1,2,%dm]", budget>>20)), driver.Set("spark.local.dir", t.TempDir()))
	defer sc.Stop()
	var mu sync.Mutex
	var lost []string
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.ExecutorRemoved); ok {
			mu.Lock()
			lost = append(lost, e.Reason)
			mu.Unlock()
		}
	})
	pids, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), func(int64) int { return os.Getpid() }).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stop, stopDriver := watch(pids[0]), watch(os.Getpid())
	began := time.Now()
	err = op.run(context.WithoutCancel(t.Context()), sc, input)
	m := measured{seconds: time.Since(began).Seconds()}
	var samples int
	var alive bool
	m.executor, samples, alive = stop()
	m.driver, _, _ = stopDriver()
	mu.Lock()
	defer mu.Unlock()
	switch {
	case err != nil:
		t.Errorf("%s: %v", op.name, err)
	case !alive || len(lost) > 0:
		t.Errorf("%s: the job process was lost: %q", op.name, lost)
	case samples < 3:
		t.Errorf("%s: looked at the process %d times: the input is too small to prove anything", op.name, samples)
	}
	t.Logf("%-16s budget %4d MiB, input %5d MiB: executor %4d MiB + %d of the executable = %.2f of the budget (%.2f with it), driver %d MiB, %.1f s, %d samples",
		op.name, budget>>20, input>>20, m.executor.Anon>>20, m.executor.File>>20, float64(m.executor.Anon)/float64(budget),
		float64(m.executor.Anon+m.executor.File)/float64(budget), m.driver.Anon>>20, m.seconds, samples)
	return m
}

// TestHotKeyStaysWithinTheBudget is the quick one: half of the rows have one key, and and they are four times the memory.
func TestHotKeyStaysWithinTheBudget(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, with which short tests are run, has memory of its own")
	}
	const budget = 64 << 20
	m := measure(t, operation{"hot-key", groupHotKey}, budget, 4*budget)
	if m.executor.Anon > budget+budget/10 {
		t.Errorf("held %d MiB of memory with a budget of %d MiB", m.executor.Anon>>20, budget>>20)
	}
}

// TestInputsTenTimesTheBudget runs everything at three sizes. SPARK_GO_SLOW=1 runs it; SPARK_GO_SLOW=256, or another size, that
// size alone.
func TestInputsTenTimesTheBudget(t *testing.T) {
	slow := os.Getenv("SPARK_GO_SLOW")
	if slow == "" {
		t.Skip("takes an hour and 10 GB of disk: set SPARK_GO_SLOW=1")
	}
	for _, mb := range []int64{128, 256, 512, 1024} {
		if slow == "1" && mb == 128 || slow != "1" && slow != strconv.Itoa(int(mb)) {
			continue
		}
		t.Run(fmt.Sprintf("%dm", mb), func(t *testing.T) {
			for _, op := range operations {
				t.Run(op.name, func(t *testing.T) {
					budget := mb << 20
					m := measure(t, op, budget, 10*budget)
					if m.executor.Anon > budget+budget/10 {
						t.Errorf("%s held %d MiB of memory with a budget of %d MiB", op.name, m.executor.Anon>>20, mb)
					}
				})
			}
		})
	}
}

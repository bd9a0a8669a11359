package driver_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// sums runs a job with two shuffles and a broadcast and returns its rows, in order.
func sums(t *testing.T, sc *driver.Context, slow time.Duration) []rdd.Pair[int64, float64] {
	t.Helper()
	factor, err := rdd.NewBroadcast(sc, []float64{0.1, 0.2, 0.3})
	if err != nil {
		t.Fatal(err)
	}
	type env struct {
		Factor rdd.Broadcast[[]float64]
		Slow   time.Duration
	}
	keyed := rdd.Map(rdd.Range(sc, 0, 40_000, 1, 8), rdd.Bind(env{factor, slow}, func(e env, x int64) rdd.Pair[int64, float64] {
		if e.Slow > 0 && x%1000 == 0 {
			time.Sleep(e.Slow)
		}
		return rdd.Pair[int64, float64]{Key: x % 101, Value: float64(x) * e.Factor.Value()[x%3]}
	}))
	first := rdd.ReduceByKey(keyed, func(a, b float64) float64 { return a + b }, 5)
	second := rdd.ReduceByKey(rdd.Map(first, func(p rdd.Pair[int64, float64]) rdd.Pair[int64, float64] {
		return rdd.Pair[int64, float64]{Key: p.Key % 7, Value: p.Value}
	}), func(a, b float64) float64 { return a + b }, 3)
	rows, err := second.Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestSameBytesOnProcesses(t *testing.T) {
	local := driver.New(driver.Master("local[2]"))
	want := sums(t, local, 0)
	local.Stop()
	for _, disk := range []string{"true", "false"} {
		sc := driver.New(driver.Master("local-cluster[2,1,256m]"), driver.Set("spark.shuffle.readHostLocalDisk", disk), driver.Set("spark.io.encryption.enabled", disk))
		got := sums(t, sc, 0)
		sc.Stop()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("local disk %s: got %v, want %v", disk, got, want)
		}
	}
}

func TestKilledExecutorChangesNothing(t *testing.T) {
	local := driver.New(driver.Master("local[2]"))
	want := sums(t, local, 0)
	local.Stop()
	sc := driver.New(driver.Master("local-cluster[2,1,256m]"))
	defer sc.Stop()
	pids := make(chan int, 100)
	lost := make(chan string, 100)
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.ExecutorRemoved); ok {
			lost <- e.Reason
		}
	})
	go func() {
		acc := rdd.Map(rdd.Range(sc, 0, 2, 1, 2), func(int64) int { return os.Getpid() })
		got, err := acc.Collect(context.Background())
		if err == nil {
			pids <- got[0]
		}
		close(pids)
	}()
	pid := <-pids
	if pid == 0 || pid == os.Getpid() {
		t.Fatalf("tasks ran in process %d", pid)
	}
	go func() {
		time.Sleep(150 * time.Millisecond)
		syscall.Kill(pid, syscall.SIGKILL)
	}()
	if got := sums(t, sc, 20*time.Millisecond); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	select {
	case reason := <-lost:
		if !strings.Contains(reason, "killed") {
			t.Errorf("the loss was put down to %q", reason)
		}
	default:
		t.Error("no executor was lost: the test proved nothing")
	}
}

func TestEndsOfProcessesAreFailures(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(int64) int64
		want string
	}{
		{"exit 0", func(int64) int64 { os.Exit(0); return 0 }, "exited with code 0"},
		{"exit 42", func(int64) int64 { os.Exit(42); return 0 }, "exited with code 42"},
		{"panic", func(x int64) int64 { panic(fmt.Sprint("bad row ", x)) }, "bad row 1"},
		{"panic elsewhere", func(int64) int64 { go panic("out of reach"); time.Sleep(time.Minute); return 0 }, "out of reach"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sc := driver.New(driver.Master("local-cluster[1,1,128m]"), driver.Set("spark.task.maxFailures", "2"))
			defer sc.Stop()
			_, err := rdd.Map(rdd.Range(sc, 1, 2, 1, 1), c.do).Collect(context.Background())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "cluster_test.go") {
				t.Errorf("error is %v, want one with %q and this file", err, c.want)
			}
		})
	}
}

func TestCancelReachesTasks(t *testing.T) {
	sc := driver.New(driver.Master("local-cluster[1,2,128m]"))
	defer sc.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := rdd.Map(rdd.Range(sc, 0, 1<<40, 1, 2), func(x int64) int64 { return x }).Count(ctx)
	if err == nil || time.Since(start) > 3*time.Second {
		t.Errorf("ended after %v with %v", time.Since(start), err)
	}
	// The slots are free again.
	if n, err := rdd.Range(sc, 0, 10, 1, 2).Count(context.Background()); n != 10 || err != nil {
		t.Errorf("count = %d, %v", n, err)
	}
}

package driver_test

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// speculating starts an application that copies slow tasks, and counts the copies of the tasks of a partition.
func speculating(t *testing.T, master string, partition int, set map[string]string) (*driver.Context, *atomic.Int64) {
	t.Helper()
	options := []driver.Option{driver.Master(master), driver.Set("spark.speculation", "true"), driver.Set("spark.speculation.interval", "10ms")}
	for k, v := range set {
		options = append(options, driver.Set(k, v))
	}
	sc := driver.New(options...)
	t.Cleanup(sc.Stop)
	copies := new(atomic.Int64)
	sc.AddListener(func(e driver.Event) {
		if e, ok := e.(driver.TaskStarted); ok && e.Speculative && e.Partition == partition {
			copies.Add(1)
		}
	})
	return sc, copies
}

// A stage of one task has nothing to be compared with: it is copied after a fixed time.
func TestSingleTaskIsSpeculated(t *testing.T) {
	t.Parallel()
	sc, copies := speculating(t, "local-cluster[2,1,128m]", 0, map[string]string{"spark.speculation.task.duration.threshold": "100ms"})
	got, err := rdd.Map(rdd.Range(sc, 0, 1, 1, 1), rdd.Bind(filepath.Join(t.TempDir(), "slow"), func(marker string, x int64) int64 {
		if os.Mkdir(marker, 0o700) == nil {
			select {}
		}
		return x + 7
	})).Collect(t.Context())
	if err != nil || len(got) != 1 || got[0] != 7 || copies.Load() != 1 {
		t.Errorf("got %v, %v with %d copies", got, err, copies.Load())
	}
}

// A task with sixty times the rows of others takes sixty times as long. It is copied if time alone counts, and not if rows do.
func TestLargeTaskIsNotSpeculated(t *testing.T) {
	t.Parallel()
	for _, efficiency := range []string{"true", "false"} {
		t.Run("efficiency "+efficiency, func(t *testing.T) {
			t.Parallel()
			sc, copies := speculating(t, "local-cluster[2,2,128m]", 7, map[string]string{
				"spark.speculation.efficiency.enabled": efficiency, "spark.speculation.efficiency.longRunTaskFactor": "1000000", "spark.speculation.quantile": "0.5",
				"spark.speculation.efficiency.processRateMultiplier": "0.1", "spark.speculation.multiplier": "1", "spark.speculation.minTaskRuntime": "1s",
				"spark.executor.heartbeatInterval": "20ms",
			})
			const small, large = 5, 300
			keys := rdd.Map(rdd.Range(sc, 0, 7*small+large, 1, 2), func(x int64) rdd.Pair[int64, int64] {
				return rdd.Pair[int64, int64]{Key: min(x/small, 7), Value: x}
			})
			n, err := rdd.Map(rdd.PartitionBy(keys, byValue{8}), func(p rdd.Pair[int64, int64]) int64 {
				time.Sleep(5 * time.Millisecond)
				return p.Value
			}).Count(t.Context())
			if n != 7*small+large || err != nil {
				t.Errorf("%d rows, %v", n, err)
			}
			if c := copies.Load(); (c == 0) != (efficiency == "true") {
				t.Errorf("%d copies", c)
			}
		})
	}
}

// byValue puts key p into partition p.
type byValue struct{ N int }

func (p byValue) NumPartitions() int      { return p.N }
func (p byValue) Partition(key int64) int { return int(key) }

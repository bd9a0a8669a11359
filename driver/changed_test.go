package driver_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// logged has the program's log for the time of a test.
func logged(t *testing.T) func() string {
	t.Helper()
	var mu sync.Mutex
	var b bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}), nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A map output that is lost is written again, and held against the first one: the same rows pass, whatever happened in between; other values,
// another order and another number of rows are told with the user's line, and fail the job where that is set.
func TestChangedMapOutputsAreReported(t *testing.T) {
	numbered := func(x int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: x % 100, Value: x} }
	stamp := func(x int64) rdd.Pair[int64, int64] {
		return rdd.Pair[int64, int64]{Key: x % 100, Value: time.Now().UnixNano()}
	}
	for _, test := range []struct {
		name  string
		pairs func(sc *driver.Context) rdd.RDD[rdd.Pair[int64, int64]]
		fails bool
		says  string // empty if nothing is to be told
	}{
		{"the same", func(sc *driver.Context) rdd.RDD[rdd.Pair[int64, int64]] {
			return rdd.Map(rdd.Range(sc, 0, 10_000, 1, 4), numbered)
		}, true, ""},
		{"values", func(sc *driver.Context) rdd.RDD[rdd.Pair[int64, int64]] {
			return rdd.Map(rdd.Range(sc, 0, 10_000, 1, 4), stamp)
		}, false, "other values, or another order"},
		{"order", func(sc *driver.Context) rdd.RDD[rdd.Pair[int64, int64]] {
			return rdd.FlatMap(rdd.Range(sc, 0, 4, 1, 4), func(x int64) []rdd.Pair[int64, int64] {
				all := map[int64]int64{}
				for i := range int64(1000) {
					all[i] = x
				}
				var rows []rdd.Pair[int64, int64]
				for k, v := range all { // the mistake
					rows = append(rows, rdd.Pair[int64, int64]{Key: k, Value: v})
				}
				return rows
			})
		}, true, "other values, or another order"},
		{"rows", func(sc *driver.Context) rdd.RDD[rdd.Pair[int64, int64]] {
			marker := filepath.Join(t.TempDir(), "marker") // one row is there the first time alone
			return rdd.Filter(rdd.Map(rdd.Range(sc, 0, 10_000, 1, 4), numbered), rdd.Bind(marker, func(marker string, p rdd.Pair[int64, int64]) bool {
				return p.Value != 6000 || os.Mkdir(marker, 0o700) == nil
			}))
		}, true, "rows, the former one had"},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := logged(t)
			dir := t.TempDir()
			options := []driver.Option{driver.Master("local[2]"), driver.Set("spark.local.dir", dir)}
			if test.fails {
				options = append(options, driver.Set("spark.shuffle.failOnChangedOutput", "true"))
			}
			sc := driver.New(options...)
			defer sc.Stop()
			var mu sync.Mutex
			var changed []driver.OutputChanged
			attempts := 0
			sc.AddListener(func(e driver.Event) {
				mu.Lock()
				defer mu.Unlock()
				switch e := e.(type) {
				case driver.OutputChanged:
					changed = append(changed, e)
				case driver.StageSubmitted:
					attempts++
				}
			})
			placed := rdd.PartitionBy(test.pairs(sc), rdd.Partitioner[int64](rdd.HashPartitioner[int64]{N: 3}))
			first, err := placed.Count(t.Context())
			if err != nil || first == 0 {
				t.Fatal(first, err)
			}
			before := attempts
			outputs := shuffleFiles(dir, ".data")
			if len(outputs) != 4 {
				t.Fatalf("map outputs %v", outputs)
			}
			if err := os.Remove(outputs[2]); err != nil {
				t.Fatal(err)
			}
			_, err = placed.Count(t.Context())
			mu.Lock()
			defer mu.Unlock()
			if attempts < before+2 {
				t.Fatal("nothing was computed again")
			}
			if test.says == "" {
				if err != nil || len(changed) != 0 {
					t.Errorf("the same rows: %v, %v", changed, err)
				}
				return
			}
			if len(changed) != 1 || changed[0].Partition != 2 || !strings.Contains(changed[0].Name, "changed_test.go:") {
				t.Errorf("told: %+v", changed)
			}
			if text := log(); !strings.Contains(text, test.says) || !strings.Contains(text, "changed_test.go:") {
				t.Errorf("logged: %s", text)
			}
			if (err != nil) != test.fails || err != nil && (!strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "partition 2") || !strings.Contains(err.Error(), "changed_test.go:")) {
				t.Errorf("the job: %v", err)
			}
		})
	}
}

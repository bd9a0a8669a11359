package driver_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func TestWordCountLocal(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	lines := rdd.Parallelize(sc, []string{"a b a", "b c", "a", "", "d a"}, 3)
	words := rdd.FlatMap(lines, strings.Fields)
	ones := rdd.Map(words, func(w string) rdd.Pair[string, int64] { return rdd.Pair[string, int64]{Key: w, Value: 1} })
	counts, err := rdd.ReduceByKey(ones, func(a, b int64) int64 { return a + b }).Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(counts, func(a, b rdd.Pair[string, int64]) int { return cmp.Compare(a.Key, b.Key) })
	want := []rdd.Pair[string, int64]{{Key: "a", Value: 4}, {Key: "b", Value: 2}, {Key: "c", Value: 1}, {Key: "d", Value: 1}}
	if !slices.Equal(counts, want) {
		t.Errorf("counts = %v, want %v", counts, want)
	}
}

func TestCaptureIsRefused(t *testing.T) {
	sc := driver.New(driver.Master("local"))
	defer sc.Stop()
	n := 3
	_, err := rdd.Map(rdd.Range(sc, 0, 10, 1, 2), func(x int64) int64 { return x + int64(n) }).Collect(context.Background())
	if err == nil || !strings.Contains(err.Error(), "local_test.go") || !strings.Contains(err.Error(), "rdd.Bind") {
		t.Errorf("err = %v, want one that names the line and rdd.Bind", err)
	}
	sum, err := rdd.Reduce(context.Background(), rdd.Map(rdd.Range(sc, 0, 10, 1, 2), rdd.Bind(n, func(n int, x int64) int64 { return x + int64(n) })), func(a, b int64) int64 { return a + b })
	if err != nil || sum != 75 {
		t.Errorf("sum = %d, %v, want 75", sum, err)
	}
}

func TestCacheAndAccumulator(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	acc, err := rdd.LongAccumulator(sc, "seen")
	if err != nil {
		t.Fatal(err)
	}
	r := rdd.Map(rdd.Range(sc, 0, 100_000, 1, 4), rdd.Bind(acc, func(acc rdd.Accumulator[int64], x int64) int64 { acc.Add(1); return x * 2 })).Cache()
	for range 3 {
		n, err := r.Count(ctx)
		if err != nil || n != 100_000 {
			t.Fatalf("count = %d, %v", n, err)
		}
	}
	if acc.Value() != 100_000 {
		t.Errorf("the cached dataset was computed %d times", acc.Value()/100_000)
	}
	if err := r.Unpersist(ctx, true); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Count(ctx); err != nil || acc.Value() != 200_000 {
		t.Errorf("after Unpersist: %d, %v", acc.Value(), err)
	}
}

func TestDeepLineage(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Range(sc, 0, 10, 1, 2)
	for range 100_000 {
		r = rdd.Map(r, func(x int64) int64 { return x + 1 })
	}
	got, err := r.Collect(context.Background())
	if err != nil || len(got) != 10 || got[0] != 100_000 {
		t.Fatalf("got %v, %v", got, err)
	}
}

func BenchmarkWarmJob(b *testing.B) {
	for _, tasks := range []int{1, 2} {
		b.Run(fmt.Sprintf("tasks=%d", tasks), func(b *testing.B) {
			sc := driver.New(driver.Master("local[2]"))
			defer sc.Stop()
			r := rdd.Range(sc, 0, int64(tasks), 1, tasks)
			for b.Loop() {
				if _, err := r.Count(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEmptyTasks(b *testing.B) {
	for _, master := range []string{"local[2]", "local-cluster[2,1,512m]"} {
		b.Run(master, func(b *testing.B) {
			sc := driver.New(driver.Master(master))
			defer sc.Stop()
			r := rdd.Range(sc, 0, 10_000, 1, 10_000)
			if _, err := r.Count(context.Background()); err != nil { // the executors have started after it
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := r.Count(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*10_000/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

// BenchmarkStart measures a driver from its start to the result of its first task, and its end.
func BenchmarkStart(b *testing.B) {
	for _, master := range []string{"local[2]", "local-cluster[2,1,512m]"} {
		b.Run(master, func(b *testing.B) {
			for b.Loop() {
				sc := driver.New(driver.Master(master))
				if _, err := rdd.Range(sc, 0, 1, 1, 1).Count(context.Background()); err != nil {
					b.Fatal(err)
				}
				sc.Stop()
			}
		})
	}
}

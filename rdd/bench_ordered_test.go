package rdd_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// sortLines makes lines of 100 bytes whose first ten are random, parts of one text, as a reader of files gives them. They are made in
// the tasks and cached, so that a benchmark ships no rows.
func sortLines(sc *driver.Context, n int64, partitions int) rdd.RDD[string] {
	return rdd.MapPartitionsWithIndex(rdd.Range(sc, 0, n, 1, partitions), func(p int, in iter.Seq[int64]) iter.Seq[string] {
		return func(yield func(string) bool) {
			rng := rand.New(rand.NewPCG(1, uint64(p)))
			var text strings.Builder
			for x := range in {
				for range 10 {
					text.WriteByte(byte(' ' + rng.IntN(95)))
				}
				fmt.Fprintf(&text, "  %032x  %s", x, strings.Repeat(string(rune('A'+rng.IntN(26))), 54))
			}
			for all := text.String(); len(all) > 0; all = all[100:] {
				if !yield(all[:100]) {
					return
				}
			}
		}
	}).Cache()
}

func firstTen(line string) string { return line[:10] }

// BenchmarkSortLines sorts on one core: the sample, the shuffle through files, and the sort of each range.
func BenchmarkSortLines(b *testing.B) {
	const n = 1_000_000
	ctx := context.Background()
	for _, compression := range []string{"lz4", "none"} {
		b.Run(compression, func(b *testing.B) {
			sc := driver.New(driver.Master("local[1]"), driver.Set("spark.shuffle.compress", fmt.Sprint(compression != "none")))
			defer sc.Stop()
			r := sortLines(sc, n, 8)
			if _, err := r.Count(ctx); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				got, err := rdd.SortBy(r, firstTen, true, 8).Count(ctx)
				if err != nil || got != n {
					b.Fatal(got, err)
				}
			}
			b.SetBytes(100 * n)
			b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

// BenchmarkSortPartition is the sort alone: one partition that lies right already.
func BenchmarkSortPartition(b *testing.B) {
	const n = 1_000_000
	ctx := context.Background()
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	text := sortLines(sc, n, 1)
	numbers := rdd.Map(rdd.Range(sc, 0, n, 1, 1), func(x int64) float64 { return float64(x * 7919 % 1_000_003) }).Cache()
	if _, err := text.Count(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := numbers.Count(ctx); err != nil {
		b.Fatal(err)
	}
	report := func(b *testing.B) { b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds()/1e6, "Mrows/s") }
	b.Run("lines", func(b *testing.B) {
		for b.Loop() {
			if _, err := rdd.SortBy(text, firstTen, true).Count(ctx); err != nil {
				b.Fatal(err)
			}
		}
		report(b)
	})
	b.Run("numbers", func(b *testing.B) {
		for b.Loop() {
			if _, err := rdd.SortBy(numbers, func(x float64) float64 { return x }, true).Count(ctx); err != nil {
				b.Fatal(err)
			}
		}
		report(b)
	})
	b.Run("func", func(b *testing.B) {
		for b.Loop() {
			if _, err := rdd.SortByFunc(text, strings.Compare).Count(ctx); err != nil {
				b.Fatal(err)
			}
		}
		report(b)
	})
}

// BenchmarkJoin joins a million rows with a hundred thousand on one core.
func BenchmarkJoin(b *testing.B) {
	const n, m = 1_000_000, 100_000
	ctx := context.Background()
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	left := rdd.Map(rdd.Range(sc, 0, n, 1, 4), func(x int64) rdd.Pair[int64, int64] {
		return rdd.Pair[int64, int64]{Key: x * 7919 % m, Value: x}
	})
	right := rdd.KeyBy(rdd.Range(sc, 0, m, 1, 2), func(x int64) int64 { return x })
	for b.Loop() {
		if got, err := rdd.Join(left, right, 4).Count(ctx); err != nil || got != n {
			b.Fatal(got, err)
		}
	}
	b.ReportMetric(float64(b.N)*(n+m)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

// BenchmarkGroupByKey groups a million rows under ten thousand keys on one core.
func BenchmarkGroupByKey(b *testing.B) {
	const n = 1_000_000
	ctx := context.Background()
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	rows := rdd.KeyBy(rdd.Range(sc, 0, n, 1, 4), func(x int64) int64 { return x * 7919 % 10_000 })
	for b.Loop() {
		if got, err := rdd.GroupByKey(rows).Count(ctx); err != nil || got != 10_000 {
			b.Fatal(got, err)
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

package rdd_test

import (
	"context"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// BenchmarkOperations measures rows a second through one operation after Range, counted.
func BenchmarkOperations(b *testing.B) {
	const rows = 4_000_000
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Range(sc, 0, rows, 1, 4)
	for _, c := range []struct {
		name string
		data interface {
			Count(context.Context) (int64, error)
		}
	}{
		{"Range", r},
		{"Map", rdd.Map(r, square)},
		{"Filter", rdd.Filter(r, isEven)},
		{"Map8", eightTimes(r)},
		{"FlatMapSeq", rdd.FlatMapSeq(r, copiesSeq)},
		{"Sample", rdd.Sample(r, false, 0.1, 1)},
		{"SamplePoisson", rdd.Sample(r, true, 0.1, 1)},
		{"Zip", rdd.Zip(r, r)},
		{"ZipWithUniqueID", rdd.ZipWithUniqueID(r)},
		{"Union", rdd.Union(r, r)},
		{"Coalesce", rdd.Coalesce(r, 2)},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.data.Count(context.Background()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
		})
	}
	b.Run("Repartition", func(b *testing.B) {
		for b.Loop() { // a new shuffle each time: map outputs that exist are not written again
			if _, err := rdd.Repartition(r, 4).Count(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
	})
	b.Run("Distinct", func(b *testing.B) {
		for b.Loop() {
			if _, err := rdd.Distinct(r).Count(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
	})
}

func eightTimes(r rdd.RDD[int64]) rdd.RDD[int64] {
	for range 8 {
		r = rdd.Map(r, square)
	}
	return r
}

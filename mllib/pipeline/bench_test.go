package pipeline_test

import (
	"context"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/pipeline"
	"github.com/spark-go/spark-go/rdd"
)

// BenchmarkScorer scores rows of six columns, two of them texts, one at a time.
func BenchmarkScorer(b *testing.B) {
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	rows := people(10_000)
	p, err := pipeline.New(schemaOf[person](b), stages(logistic())...)
	if err != nil {
		b.Fatal(err)
	}
	m, err := p.Fit(context.Background(), pipeline.Rows(rdd.Parallelize(sc, rows, 1)))
	if err != nil {
		b.Fatal(err)
	}
	s, err := pipeline.NewScorer[person](m)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range rows {
			if _, err := s.Predict(r); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkFit trains all stages before the estimator, and makes the rows for it.
func BenchmarkFit(b *testing.B) {
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	ctx := context.Background()
	rows := people(200_000)
	data := rdd.Parallelize(sc, rows, 4).Persist(rdd.MemoryOnly)
	if _, err := data.Count(ctx); err != nil {
		b.Fatal(err)
	}
	table := pipeline.Rows(data)
	lr := logistic()
	lr.Settings = classification.LogisticRegression{MaxIter: -1}
	p, err := pipeline.New(table.Schema(), stages(lr)...)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Fit(ctx, table); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
}

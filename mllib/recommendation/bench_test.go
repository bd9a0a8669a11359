package recommendation_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/recommendation"
	"github.com/spark-go/spark-go/rdd"
)

// many makes ratings of few popular and many rare users and items.
func many(n int) []rating {
	r := rand.New(rand.NewPCG(1, 2))
	rs := make([]rating, n)
	for i := range rs {
		u, v := r.Float64(), r.Float64()
		rs[i] = rating{User: int64(u * u * 5000), Item: int64(v * v * 2000), Value: float32(1 + r.IntN(5))}
	}
	return rs
}

func BenchmarkFit(b *testing.B) {
	const n, iterations = 200_000, 5
	sc := driver.New(driver.Master("local[*]"))
	defer sc.Stop()
	ratings := rdd.Parallelize(sc, many(n), 8).Persist(rdd.MemoryAndDisk)
	for name, a := range map[string]settings{
		"explicit":    {MaxIter: iterations},
		"implicit":    {MaxIter: iterations, ImplicitPrefs: true},
		"nonnegative": {MaxIter: iterations, Nonnegative: true},
		"rank=50":     {MaxIter: iterations, Rank: 50},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Fit(context.Background(), ratings); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)*n*iterations/b.Elapsed().Seconds(), "ratings/s")
		})
	}
}

func BenchmarkRecommendForAllUsers(b *testing.B) {
	sc := driver.New(driver.Master("local[*]"))
	defer sc.Stop()
	m, err := settings{MaxIter: 1}.Fit(context.Background(), rdd.Parallelize(sc, many(100_000), 8))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := m.RecommendForAllUsers(sc, 20).Count(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*float64(len(m.UserIDs)*len(m.ItemIDs))/b.Elapsed().Seconds(), "pairs/s")
}

func BenchmarkPredict(b *testing.B) {
	m := recommendation.Model[int64, int64]{Rank: 10}
	for i := range int64(10_000) {
		m.UserIDs, m.ItemIDs = append(m.UserIDs, 3*i), append(m.ItemIDs, i)
		m.UserFactors, m.ItemFactors = append(m.UserFactors, make([]float32, 10)...), append(m.ItemFactors, make([]float32, 10)...)
	}
	b.ReportAllocs()
	i := int64(0)
	for b.Loop() {
		i = (i + 7919) % 10_000
		m.Predict(3*i, i)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

package recommendation_test

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/recommendation"
	"github.com/spark-go/spark-go/rdd"
)

// TestRecommendTakesTheBest holds recommendations of all lengths against sorting all predictions.
func TestRecommendTakesTheBest(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	m, err := settings{Rank: 2, MaxIter: 2}.Fit(context.Background(), rdd.Parallelize(sc, planted(6, 8, 400, 2, 0.7), 2))
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range m.UserIDs {
		except := map[int64]bool{}
		var all []recommendation.Scored[int64]
		for i, item := range m.ItemIDs {
			if i%7 == 3 {
				except[item] = true
				continue
			}
			r, _ := m.Predict(user, item)
			all = append(all, recommendation.Scored[int64]{ID: item, Rating: r})
		}
		slices.SortFunc(all, func(a, b recommendation.Scored[int64]) int {
			return cmp.Or(cmp.Compare(b.Rating, a.Rating), cmp.Compare(a.ID, b.ID))
		})
		for _, n := range []int{0, 1, 20, 150, len(all), len(m.ItemIDs), 5000} {
			if got, want := m.Recommend(user, n, except), all[:min(n, len(all))]; !slices.Equal(got, want) {
				t.Fatalf("user %d, %d items: %v, want %v", user, n, got, want)
			}
		}
	}
}

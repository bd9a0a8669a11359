package recommendation_test

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
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

// TestRecommendForAll holds the recommendations for all and for some against those for one.
func TestRecommendForAll(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	m, err := settings{Rank: 3, MaxIter: 2}.Fit(ctx, rdd.Parallelize(sc, planted(8, 30, 40, 2, 0.7), 2))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 7} {
		m.Settings.BlockSize = size
		for _, n := range []int{1, 5, 100} {
			users, err := m.RecommendForAllUsers(sc, n).Collect(ctx)
			if err != nil || len(users) != len(m.UserIDs) {
				t.Fatalf("%d users: %v", len(users), err)
			}
			for i, r := range users {
				if want := m.Recommend(m.UserIDs[i], n, nil); r.ID != m.UserIDs[i] || !slices.Equal(r.Best, want) {
					t.Fatalf("blocks of %d: user %d: %v, want %v", size, r.ID, r.Best, want)
				}
			}
			items, err := m.RecommendForAllItems(sc, n).Collect(ctx)
			if err != nil || len(items) != len(m.ItemIDs) {
				t.Fatalf("%d items: %v", len(items), err)
			}
			for i, r := range items {
				if want := m.RecommendUsers(m.ItemIDs[i], n, nil); r.ID != m.ItemIDs[i] || !slices.Equal(r.Best, want) {
					t.Fatalf("blocks of %d: item %d: %v, want %v", size, r.ID, r.Best, want)
				}
			}
			some := []int64{m.UserIDs[3], -5, m.UserIDs[9], m.UserIDs[3], 1e12}
			subset, err := m.RecommendForUserSubset(rdd.Parallelize(sc, some, 3), n).Collect(ctx)
			if err != nil {
				t.Fatal(err)
			}
			slices.SortFunc(subset, func(a, b recommendation.Recommendations[int64, int64]) int { return cmp.Compare(a.ID, b.ID) })
			if fmt.Sprint(subset) != fmt.Sprint([]any{users[3], users[9]}) {
				t.Fatalf("some users: %v", subset)
			}
			other, err := m.RecommendForItemSubset(rdd.Parallelize(sc, m.ItemIDs[:1], 2), n).Collect(ctx)
			if err != nil || fmt.Sprint(other) != fmt.Sprint(items[:1]) {
				t.Fatalf("one item: %v, %v", other, err)
			}
		}
	}
	if _, err := m.RecommendForAllUsers(sc, 0).Collect(ctx); err == nil || !strings.Contains(err.Error(), "0 recommendations: ask for at least 1") {
		t.Errorf("no recommendations: %v", err)
	}
}

func TestPredictAll(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	rs := planted(9, 10, 10, 2, 0.9)
	m, err := settings{Rank: 2, MaxIter: 2}.Fit(ctx, rdd.Parallelize(sc, rs, 2))
	if err != nil {
		t.Fatal(err)
	}
	asked := rdd.Parallelize(sc, append(rs[:3:3], rating{User: 999, Item: rs[0].Item}, rating{User: rs[0].User, Item: -1}), 2)
	for _, c := range []struct {
		strategy string
		rows     int
	}{{recommendation.ColdStartNaN, 5}, {recommendation.ColdStartDrop, 3}} {
		m.Settings.ColdStartStrategy = c.strategy
		got, err := m.PredictAll(asked).Collect(ctx)
		if err != nil || len(got) != c.rows {
			t.Fatalf("%s: %v, %v", c.strategy, got, err)
		}
		for i, p := range got {
			if want, ok := m.Predict(p.User, p.Item); ok && (p.Predicted != want || p.Rating != rs[i]) || !ok && !math.IsNaN(p.Predicted) {
				t.Errorf("%s: %v, want %g", c.strategy, p, want)
			}
		}
	}
}

func TestPredictAllocatesNothing(t *testing.T) {
	m := recommendation.Model[string, int64]{Rank: 1, UserIDs: []string{"a", "b"}, UserFactors: []float32{1, 2}, ItemIDs: []int64{3, 4}, ItemFactors: []float32{5, 6}}
	if n := testing.AllocsPerRun(100, func() { m.Predict("b", 4) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

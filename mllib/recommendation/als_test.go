package recommendation_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/recommendation"
	"github.com/spark-go/spark-go/rdd"
)

type (
	rating   = recommendation.Rating[int64, int64]
	settings = recommendation.ALS[int64, int64]
)

// planted makes the ratings of a matrix of the given rank, each cell kept with the given probability.
func planted(seed uint64, users, items, rank int, keep float64) []rating {
	r := rand.New(rand.NewPCG(seed, 1))
	u, v := make([]float64, users*rank), make([]float64, items*rank)
	for i := range u {
		u[i] = r.Float64() + 0.5
	}
	for i := range v {
		v[i] = r.Float64() + 0.5
	}
	var rs []rating
	for i := range users {
		for j := range items {
			s := 0.0
			for k := range rank {
				s += u[i*rank+k] * v[j*rank+k]
			}
			if r.Float64() < keep {
				rs = append(rs, rating{User: int64(i * 7), Item: int64(j * 3), Value: float32(s)})
			}
		}
	}
	return rs
}

func rmse(m *recommendation.Model[int64, int64], rs []rating) float64 {
	s := 0.0
	for _, r := range rs {
		p, _ := m.Predict(r.User, r.Item)
		s += (p - float64(r.Value)) * (p - float64(r.Value))
	}
	return math.Sqrt(s / float64(len(rs)))
}

func TestRecoversPlantedRank(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	for rank, most := range []float64{1: 2e-3, 2: 2e-2} {
		if rank == 0 {
			continue
		}
		rs := planted(1, 60, 40, rank, 0.6)
		m, err := settings{Rank: rank, RegParam: 1e-5, MaxIter: 15}.Fit(context.Background(), rdd.Parallelize(sc, rs, 3))
		if err != nil {
			t.Fatal(err)
		}
		if e := rmse(m, rs); e > most {
			t.Errorf("rmse is %g on noise-free ratings of the same rank, %d", e, rank)
		}
	}
}

// TestSolvesNormalEquations holds the vectors of the users, which are solved last, against their equations written down densely.
func TestSolvesNormalEquations(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rs := planted(3, 20, 15, 2, 0.7)
	for i := range rs { // with dislikes, ignorance and repetitions
		rs[i].Value -= 1
		if i%7 == 0 {
			rs[i].Value = 0
		}
	}
	rs = append(rs, rs[5], rs[5], rs[8])
	for _, c := range []settings{
		{Rank: 3, MaxIter: 4, RegParam: 0.2},
		{Rank: 3, MaxIter: 4, RegParam: 0.2, ImplicitPrefs: true, Alpha: 2},
		{Rank: 3, MaxIter: 4, RegParam: 0.2, ImplicitPrefs: true, Alpha: -1}, // that is 0
		{Rank: 3, MaxIter: 4, RegParam: 0.2, NumUserBlocks: 1, NumItemBlocks: 1},
		{Rank: 3, MaxIter: 4, RegParam: 0.2, Nonnegative: true},
	} {
		m, err := c.Fit(context.Background(), rdd.Parallelize(sc, rs, 3))
		if err != nil {
			t.Fatal(err)
		}
		loss, alpha := 0.0, max(c.Alpha, 0)
		for ui, u := range m.UserIDs {
			x := m.UserFactors[ui*3 : ui*3+3]
			var grad [3]float64
			n := 0.0
			for ii, i := range m.ItemIDs {
				y := m.ItemFactors[ii*3 : ii*3+3]
				dot := 0.0
				for k := range 3 {
					dot += float64(x[k]) * float64(y[k])
				}
				add := func(conf, pref float64) {
					loss += conf * (dot - pref) * (dot - pref)
					for k := range 3 {
						grad[k] += conf * (dot - pref) * float64(y[k])
					}
				}
				if c.ImplicitPrefs {
					add(1, 0) // every pair once, and what observations change
				}
				for _, r := range rs {
					v := float64(r.Value)
					switch {
					case r.User != u || r.Item != i:
					case !c.ImplicitPrefs:
						add(1, v)
						n++
					case v > 0:
						add(-1, 0)
						add(1+alpha*v, 1)
						n++
					default:
						add(-alpha*v, 0)
					}
				}
			}
			for k := range 3 {
				g := grad[k] + c.RegParam*n*float64(x[k])
				if c.Nonnegative && x[k] == 0 && g > 0 {
					continue
				}
				if math.Abs(g) > 1e-3 {
					t.Errorf("%+v: user %d: gradient %g of number %d", c, u, g, k)
				}
			}
		}
		if last := m.History[len(m.History)-1]; len(m.History) != 4 || math.Abs(last-loss) > 1e-4*loss {
			t.Errorf("%+v: loss %v after four iterations, want %g", c, m.History, loss)
		}
	}
}

func TestNonnegative(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	m, err := settings{Rank: 4, Nonnegative: true}.Fit(context.Background(), rdd.Parallelize(sc, planted(4, 30, 20, 2, 0.6), 2))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(append([]float32{}, m.UserFactors...), m.ItemFactors...) {
		if !(f >= 0) {
			t.Fatalf("a vector has %g", f)
		}
	}
}

func TestStringIDsSaveAndLoad(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	type named = recommendation.Rating[string, int32]
	var rs []named
	for _, r := range planted(5, 12, 10, 2, 0.8) {
		rs = append(rs, named{fmt.Sprint("user ", r.User), int32(r.Item), r.Value})
	}
	m, err := recommendation.ALS[string, int32]{Rank: 2}.Fit(context.Background(), rdd.Parallelize(sc, rs, 2))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "model")
	if err := m.Save(context.Background(), file); err != nil {
		t.Fatal(err)
	}
	back, err := recommendation.Load[string, int32](context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, back) != digest(t, m) {
		t.Error("the model that was read differs from the one written")
	}
	got, want := back.Recommend("user 7", 3, nil), m.Recommend("user 7", 3, nil)
	if fmt.Sprint(got) != fmt.Sprint(want) || len(got) != 3 {
		t.Errorf("recommends %v, want %v", got, want)
	}
	if p, ok := back.Predict("nobody", 3); ok || !math.IsNaN(p) {
		t.Errorf("an unknown user gets %v, %v", p, ok)
	}
	if _, err := recommendation.Load[string, int64](context.Background(), file); err != nil {
		t.Errorf("ids of 32 bits are refused as int64: %v", err)
	}
	if _, err := recommendation.Load[int64, int32](context.Background(), file); err == nil || !strings.Contains(err.Error(), "string") {
		t.Errorf("ids of another type give %v", err)
	}
}

func digest[U, I recommendation.ID](t *testing.T, m *recommendation.Model[U, I]) string {
	t.Helper()
	d, err := m.SHA256()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRefusals(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fit := func(a settings, rs ...rating) string {
		_, err := a.Fit(context.Background(), rdd.Parallelize(sc, rs, 2))
		return fmt.Sprint(err)
	}
	some := []rating{{1, 1, 1}, {2, 1, 2}}
	for _, c := range []struct{ got, want string }{
		{fit(settings{}), "no ratings"},
		{fit(settings{}, rating{1, 1, 1}, rating{1, 5, float32(math.NaN())}), "row 0 of partition 1, the rating of user 1 for item 5, is NaN: ratings must be finite"},
		{fit(settings{}, rating{1, 5, float32(math.Inf(-1))}), "is -Inf"},
		{fit(settings{RegParam: -1}, rating{1, 5, 1}), "set RegParam above 0"},
		{fit(settings{Rank: -1}, some...), "Rank is -1: choose 1 to 2147483647"},
		{fit(settings{MaxIter: -1}, some...), "MaxIter is -1"},
		{fit(settings{NumUserBlocks: -3}, some...), "NumUserBlocks is -3"},
		{fit(settings{NumItemBlocks: -3}, some...), "NumItemBlocks is -3"},
		{fit(settings{BlockSize: -3}, some...), "BlockSize is -3"},
		{fit(settings{RegParam: math.NaN()}, some...), "RegParam is NaN"},
		{fit(settings{RegParam: math.Inf(1)}, some...), "RegParam is +Inf"},
		{fit(settings{Alpha: math.NaN()}, some...), "Alpha is NaN"},
		{fit(settings{CheckpointInterval: -2}, some...), "CheckpointInterval is -2"},
		{fit(settings{CheckpointInterval: -1, CheckpointDir: "x"}, some...), "CheckpointInterval -1"},
		{fit(settings{CheckpointDir: "nowhere://x"}, some...), "CheckpointDir"},
		{fit(settings{ColdStartStrategy: "skip"}, some...), `ColdStartStrategy is "skip": choose "nan" or "drop"`},
		{fit(settings{IntermediateStorageLevel: 77}, some...), "IntermediateStorageLevel"},
	} {
		if !strings.Contains(c.got, c.want) {
			t.Errorf("error %q does not say %q", c.got, c.want)
		}
	}
}

// TestWidthOfIDs: the same ids in 32 and 64 bits give the same vectors.
func TestWidthOfIDs(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rs := planted(7, 12, 10, 2, 0.8)
	var narrow []recommendation.Rating[int32, int32]
	for i := range rs {
		rs[i].User -= 30
		narrow = append(narrow, recommendation.Rating[int32, int32]{User: int32(rs[i].User), Item: int32(rs[i].Item), Value: rs[i].Value})
	}
	a, err := settings{Rank: 2}.Fit(context.Background(), rdd.Parallelize(sc, rs, 2))
	if err != nil {
		t.Fatal(err)
	}
	b, err := recommendation.ALS[int32, int32]{Rank: 2, CheckpointInterval: -1, IntermediateStorageLevel: rdd.DiskOnly2}.Fit(context.Background(), rdd.Parallelize(sc, narrow, 3))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.UserFactors, b.UserFactors) || !slices.Equal(a.ItemFactors, b.ItemFactors) || a.UserIDs[0] != int64(b.UserIDs[0]) {
		t.Error("the vectors differ")
	}
}

func ExampleALS() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ratings := rdd.Parallelize(sc, []recommendation.Rating[string, string]{
		{User: "ann", Item: "Alien", Value: 5},
		{User: "ann", Item: "Brazil", Value: 1},
		{User: "bob", Item: "Alien", Value: 5},
		{User: "bob", Item: "Brazil", Value: 1},
		{User: "bob", Item: "Casablanca", Value: 5},
		{User: "eve", Item: "Brazil", Value: 5},
		{User: "eve", Item: "Casablanca", Value: 1},
	}, 2)
	model, err := recommendation.ALS[string, string]{Rank: 2, RegParam: 0.01}.Fit(context.Background(), ratings)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range model.Recommend("ann", 1, map[string]bool{"Alien": true, "Brazil": true}) {
		fmt.Println(s.ID, s.Rating > 3)
	}
	// Output: Casablanca true
}

// A model is one file, and recommends without an engine; for many users at once an engine is faster.
func ExampleModel() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ratings := rdd.Parallelize(sc, []recommendation.Rating[int32, int32]{
		{User: 1, Item: 10, Value: 5}, {User: 1, Item: 11, Value: 1}, {User: 2, Item: 10, Value: 5}, {User: 2, Item: 12, Value: 4},
	}, 1)
	model, err := recommendation.ALS[int32, int32]{Rank: 2}.Fit(ctx, ratings)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := model.Save(ctx, "mem://example/als.model"); err != nil {
		fmt.Println(err)
		return
	}
	loaded, err := recommendation.Load[int32, int32](ctx, "mem://example/als.model")
	if err != nil {
		fmt.Println(err)
		return
	}
	before, _ := model.Predict(1, 12)
	after, known := loaded.Predict(1, 12)
	fmt.Println("the same estimate:", after == before, known)
	best, err := loaded.RecommendForAllUsers(sc, 1).Collect(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range best {
		fmt.Println("user", r.ID, "item", r.Best[0].ID)
	}
	// Output:
	// the same estimate: true true
	// user 1 item 10
	// user 2 item 10
}

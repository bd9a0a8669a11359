package tree

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// TestSameBytes trains one forest on one core, on four and on two executors, in both ways of growing.
func TestSameBytes(t *testing.T) {
	ctx := context.Background()
	rows := planted(6000)
	for i := range rows {
		x := rows[i].Features.Values
		rows[i].Weight += 0.3 * x[1] // sums of which depend on their order
		rows[i].Label += math.Sqrt(x[2])
	}
	want := [2]string{}
	for _, master := range []string{"local[1]", "local[4]", "local-cluster[2,1,512m]"} {
		sc := local(t, master)
		s := Settings{NumTrees: 6, MaxDepth: 8, Weighted: true, Categorical: map[int]int{3: 6}}
		tr := trainer(t, rdd.Parallelize(sc, rows, 5), s, true)
		for way, grow := range []func(context.Context) (*Forest, error){tr.growWhole, tr.growLevels} {
			forest, err := grow(ctx)
			if err != nil {
				t.Fatal(err)
			}
			sum := digest(t, &RegressionModel{Forest: *forest})
			if want[way] == "" {
				want[way] = sum
			}
			if sum != want[way] {
				t.Errorf("%s, way %d: sha256 %s, want %s", master, way, sum, want[way])
			}
		}
		sc.Stop()
	}
}

// TestSaveAndLoad writes models and reads them back.
func TestSaveAndLoad(t *testing.T) {
	sc := local(t, "local[2]")
	ctx := context.Background()
	rows := planted(3000)
	data := rdd.Parallelize(sc, rows, 2)
	path := filepath.Join(t.TempDir(), "forest")
	s := Settings{NumTrees: 5, Categorical: map[int]int{3: 6, 4: 12}, FeatureNames: []string{"a", "b", "c", "d", "e"}, Thresholds: []float64{0.2, 0.5, 0.3}}
	m, err := RandomForestClassifier(s).Fit(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save(ctx, path); err != nil {
		t.Fatal(err)
	}
	got, err := LoadClassificationModel(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, got) != digest(t, m) || got.ToDebugString() != m.ToDebugString() {
		t.Error("the model has changed on its way")
	}
	for _, r := range rows[:100] {
		if a, b := m.Predict(r.Features.Values), got.Predict(r.Features.Values); a != b {
			t.Fatalf("predicts %v, loaded %v", a, b)
		}
	}
	if _, err := LoadRegressionModel(ctx, path); err == nil || !strings.Contains(err.Error(), "tree.ClassificationModel") {
		t.Errorf("a classification model loads as a regression: %v", err)
	}
	leaves := make([]int32, m.NumTrees())
	again := make([]int32, m.NumTrees())
	m.PredictLeaf(leaves, rows[7].Features.Values)
	got.PredictLeaf(again, rows[7].Features.Values)
	if fmt.Sprint(leaves) != fmt.Sprint(again) {
		t.Errorf("leaves %v, loaded %v", leaves, again)
	}

	s.Categorical, s.Thresholds, s.FeatureNames = nil, nil, nil
	r, err := RandomForestRegressor(s).Fit(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Save(ctx, path); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadRegressionModel(ctx, path)
	if err != nil || digest(t, loaded) != digest(t, r) {
		t.Errorf("the regression has changed on its way: %v", err)
	}
	sum := 0.0
	for _, x := range loaded.FeatureImportances() {
		sum += x
	}
	if math.Abs(sum-1) > 1e-12 {
		t.Errorf("importances sum to %v", sum)
	}
	probability := make([]float64, m.NumClasses)
	x := rows[3].Features.Values
	if n := testing.AllocsPerRun(100, func() {
		m.PredictProbability(probability, x)
		_ = m.Predict(x) + r.Predict(x)
	}); n > 0 {
		t.Errorf("%v allocations a prediction", n)
	}
}

// TestDeepTree grows a chain: the labels double from value to value, so that each split takes off the largest one.
func TestDeepTree(t *testing.T) {
	sc := local(t, "local[2]")
	const values = 60
	rows := make([]linalg.Instance, values)
	for i := range rows {
		rows[i] = linalg.Instance{Label: math.Ldexp(1, i/3), Features: linalg.Dense(float64(i/3), float64(i%3))}
		rows[i].Label += float64(i%3) * rows[i].Label / 64
	}
	m, err := DecisionTreeRegressor{MaxDepth: 30, MaxBins: 128}.Fit(context.Background(), rdd.Parallelize(sc, rows, 3))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if p := m.Predict(r.Features.Values); math.Abs(p-r.Label) > 1e-6*r.Label {
			t.Errorf("predicts %v for %v", p, r.Label)
		}
	}
	if m.Depth() < 12 {
		t.Errorf("depth %d", m.Depth())
	}
}

// TestChain grows a tree of depth 45 in both ways: classes take turns on a line, and the shares are such that only ends split off.
func TestChain(t *testing.T) {
	sc := local(t, "local[2]")
	var rows []linalg.Instance
	copies := 1
	for v := range 46 {
		for range copies {
			rows = append(rows, linalg.Instance{Label: float64(v % 2), Features: linalg.Dense(float64(v))})
		}
		if v%4 == 3 {
			copies *= 2
		}
	}
	for _, way := range []string{"whole", "levels"} {
		tr := trainer(t, rdd.Parallelize(sc, rows, 2), Settings{NumTrees: 1, NoBootstrap: true, MaxDepth: 100, MaxBins: 64}, false)
		grow := tr.growWhole
		if way == "levels" {
			grow = tr.growLevels
		}
		forest, err := grow(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		m := &ClassificationModel{Forest: *forest}
		for _, r := range rows {
			if m.Predict(r.Features.Values) != r.Label {
				t.Fatalf("%s: predicts %v for %v", way, m.Predict(r.Features.Values), r)
			}
		}
		if m.NumNodes() != 2*46-1 || m.Depth() != 45 {
			t.Errorf("%s: %d nodes of depth %d", way, m.NumNodes(), m.Depth())
		}
	}
}

// TestRefusals holds errors to the names of what is wrong.
func TestRefusals(t *testing.T) {
	sc := local(t, "local[1]")
	ctx := context.Background()
	row := func(label float64, x ...float64) linalg.Instance {
		return linalg.Instance{Label: label, Weight: 1, Features: linalg.Dense(x...)}
	}
	good := []linalg.Instance{row(0, 1, 2), row(1, 2, 3)}
	for _, c := range []struct {
		rows []linalg.Instance
		set  Settings
		want string
	}{
		{good, Settings{NumTrees: -1}, "NumTrees is -1"},
		{good, Settings{MaxDepth: 5000}, "MaxDepth is 5000"},
		{good, Settings{MaxBins: 1}, "MaxBins is 1"},
		{good, Settings{MinInfoGain: -1}, "MinInfoGain is -1"},
		{good, Settings{MinWeightFractionPerNode: 0.5}, "MinWeightFractionPerNode is 0.5"},
		{good, Settings{SubsamplingRate: 1.5}, "SubsamplingRate is 1.5"},
		{good, Settings{FeatureSubsetStrategy: "some"}, `FeatureSubsetStrategy is "some"`},
		{good, Settings{FeatureSubsetStrategy: "0"}, `FeatureSubsetStrategy is "0"`},
		{good, Settings{Impurity: "variance"}, `Impurity is "variance"`},
		{good, Settings{Categorical: map[int]int{7: 2}}, "Categorical names feature 7"},
		{good, Settings{Categorical: map[int]int{0: 40}, FeatureNames: []string{"colour", "size"}}, `at least the number of values of each categorical feature, but feature "colour" has 40`},
		{good, Settings{Categorical: map[int]int{0: 2}}, "feature 0 is 2 in row 1: it is categorical with 2 values"},
		{good, Settings{FeatureNames: []string{"a"}}, "FeatureNames has 1 names for 2 features"},
		{good, Settings{Thresholds: []float64{1}}, "Thresholds has 1 numbers for 2 classes"},
		{good, Settings{NumClasses: 1}, "row 1 has the label 1"},
		{nil, Settings{}, "no rows to train on"},
		{[]linalg.Instance{row(0, 1), row(1, 1, 2)}, Settings{}, "a row has 2 features"},
		{[]linalg.Instance{row(0.5, 1)}, Settings{}, "row 0 has the label 0.5"},
		{[]linalg.Instance{row(-1, 1)}, Settings{}, "row 0 has the label -1"},
		{[]linalg.Instance{row(0, 1, 2), row(0, 1, math.NaN())}, Settings{FeatureNames: []string{"a", "soil"}}, `feature "soil" is NaN in row 1`},
		{[]linalg.Instance{{Weight: -1, Features: linalg.Dense(1)}}, Settings{Weighted: true}, "row 0 has the weight -1"},
		{[]linalg.Instance{{Features: linalg.Dense(1)}}, Settings{Weighted: true}, "all 1 rows have the weight 0"},
	} {
		_, err := RandomForestClassifier(c.set).Fit(ctx, rdd.Parallelize(sc, c.rows, 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v, want …%s…", c.set, err, c.want)
		}
	}
	if _, err := (DecisionTreeRegressor{NumTrees: 2}).Fit(ctx, rdd.Parallelize(sc, good, 1)); err == nil || !strings.Contains(err.Error(), "NumTrees is 2") {
		t.Errorf("got %v", err)
	}
	inf := []linalg.Instance{row(0, math.Inf(-1)), row(1, 0), row(0, math.Inf(1))}
	m, err := DecisionTreeClassifier{}.Fit(ctx, rdd.Parallelize(sc, inf, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range inf {
		if m.Predict(r.Features.Values) != r.Label {
			t.Errorf("infinite features: predicts %v for %v\n%s", m.Predict(r.Features.Values), r, m.ToDebugString())
		}
	}
}

// TestCancel stops a training that would take minutes.
func TestCancel(t *testing.T) {
	sc := local(t, "local[2]")
	r := rand.New(rand.NewPCG(1, 1))
	rows := make([]linalg.Instance, 50_000)
	for i := range rows {
		x := make([]float64, 20)
		for f := range x {
			x[f] = float64(r.IntN(1000))
		}
		rows[i] = linalg.Instance{Label: float64(r.IntN(2)), Features: linalg.Dense(x...)}
	}
	data := rdd.Parallelize(sc, rows, 2)
	for _, way := range []string{"whole", "levels"} {
		tr := trainer(t, data, Settings{NumTrees: 1000, MaxDepth: 30}, false)
		ctx, cancel := context.WithCancel(context.Background())
		var stopped time.Time
		time.AfterFunc(300*time.Millisecond, func() { stopped = time.Now(); cancel() })
		grow := tr.growWhole
		if way == "levels" {
			grow = tr.growLevels
		}
		_, err := grow(ctx)
		if took := time.Since(stopped); !errors.Is(err, context.Canceled) || took > time.Second {
			t.Errorf("%s: ended with %v, %v after it was cancelled", way, err, took)
		}
	}
}

// TestExecutorKilled kills an executor while trees grow: the forest has the same bytes.
func TestExecutorKilled(t *testing.T) {
	ctx := context.Background()
	rows := planted(4000)
	s := Settings{NumTrees: 8, MaxDepth: 8, Categorical: map[int]int{3: 6}}
	grow := func(sc *driver.Context, die string) [2]string {
		var sums [2]string
		data := rdd.Map(rdd.Parallelize(sc, rows, 4), rdd.Bind(die, dieOnce))
		tr := trainer(t, rdd.Parallelize(sc, rows, 4), s, false)
		tr.batches = ColumnsOf(data)
		for way, grow := range []func(context.Context) (*Forest, error){tr.growWhole, tr.growLevels} {
			if die != "" {
				if err := os.WriteFile(die, nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			forest, err := grow(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if die != "" {
				if _, err := os.Stat(die); err == nil {
					t.Error("no executor was killed")
				}
			}
			sums[way] = digest(t, &ClassificationModel{Forest: *forest})
		}
		return sums
	}
	want := grow(local(t, "local[1]"), "")
	got := grow(local(t, "local-cluster[2,1,512m]"), filepath.Join(t.TempDir(), "die"))
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// dieOnce ends the process that sees the file first, with it.
func dieOnce(file string, r linalg.Instance) linalg.Instance {
	if file != "" && r.Features.Values[2] > 490 && os.Remove(file) == nil {
		os.Exit(9)
	}
	return r
}

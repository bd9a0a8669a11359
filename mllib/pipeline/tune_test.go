package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/pipeline"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleCrossValidator() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	penguins, err := pipeline.ReadParquet(ctx, sc, "../../examples/testdata/penguins.parquet")
	if err != nil {
		fmt.Println(err)
		return
	}
	imputer := &pipeline.Imputer{Inputs: []string{"bill_depth_mm", "body_mass_g"}}
	lr := &pipeline.LogisticRegression{Label: "species"}
	stages := []pipeline.Stage{
		&pipeline.StringIndexer{Inputs: []string{"sex", "island"}, HandleInvalid: pipeline.Keep},
		&pipeline.OneHotEncoder{Inputs: []string{"sex", "island"}},
		imputer,
		&pipeline.VectorAssembler{Inputs: []string{"sex", "island", "bill_depth_mm", "body_mass_g"}},
		lr,
	}
	points, err := pipeline.Grid(penguins.Schema(), stages,
		pipeline.Vary("strategy", &imputer.Strategy, pipeline.Mean, pipeline.Median),
		pipeline.Vary("regParam", &lr.Settings.RegParam, 0.001, 0.1, 10),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	tuned, err := pipeline.CrossValidator{NumFolds: 4, Metric: pipeline.LogLoss, Parallelism: 2}.Fit(ctx, penguins, points)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, r := range tuned.Results {
		fmt.Printf("%v: %s %.2f\n", points[i], tuned.Metric, r.Mean)
	}
	fmt.Println("best:", points[tuned.Best])
	// Output:
	// strategy=mean, regParam=0.001: logLoss 0.27
	// strategy=mean, regParam=0.1: logLoss 0.37
	// strategy=mean, regParam=10: logLoss 0.98
	// strategy=median, regParam=0.001: logLoss 0.28
	// strategy=median, regParam=0.1: logLoss 0.37
	// strategy=median, regParam=10: logLoss 0.98
	// best: strategy=mean, regParam=0.001
}

func ExampleTrainValidationSplit() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	penguins, err := pipeline.ReadParquet(ctx, sc, "../../examples/testdata/penguins.parquet")
	if err != nil {
		fmt.Println(err)
		return
	}
	forest := &pipeline.RandomForestRegressor{Label: "body_mass_g"}
	stages := []pipeline.Stage{
		&pipeline.StringIndexer{Inputs: []string{"species", "sex"}, HandleInvalid: pipeline.Keep},
		&pipeline.VectorAssembler{Inputs: []string{"species", "sex", "flipper_length_mm"}, HandleInvalid: pipeline.Skip},
		forest,
	}
	points, err := pipeline.Grid(penguins.Schema(), stages, pipeline.Vary("depth", &forest.Settings.MaxDepth, 1, 4))
	if err != nil {
		fmt.Println(err)
		return
	}
	tuned, err := pipeline.TrainValidationSplit{}.Fit(ctx, penguins, points)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, r := range tuned.Results {
		fmt.Printf("%v: %s %.0f g\n", points[i], tuned.Metric, r.Mean)
	}
	// Output:
	// depth=1: rmse 450 g
	// depth=4: rmse 353 g
}

// TestTunedEverywhere compares models and results of a search on one core, on four and on two executors, one after the other and three at a time.
func TestTunedEverywhere(t *testing.T) {
	rows := people(300)
	want := ""
	for i, master := range []string{"local[1]", "local[4]", "local-cluster[2,1,256m]"} {
		func() {
			sc := driver.New(driver.Master(master))
			defer sc.Stop()
			ctx := context.Background()
			lr := logistic()
			s := stages(lr)
			points, err := pipeline.Grid(schemaOf[person](t), s,
				pipeline.Vary("strategy", &s[2].(*pipeline.Imputer).Strategy, pipeline.Mean, pipeline.Median, pipeline.Mode),
				pipeline.Vary("regParam", &lr.Settings.RegParam, 0.001, 0.1))
			if err != nil {
				t.Fatal(err)
			}
			tuned, err := pipeline.CrossValidator{Parallelism: 2*i + 1}.Fit(ctx, pipeline.Rows(rdd.Parallelize(sc, rows, 3)), points)
			if err != nil {
				t.Fatal(err)
			}
			sum, err := tuned.Model.SHA256()
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprint(sum, tuned.Best, tuned.Results)
			if want == "" {
				want = got
			}
			if got != want || len(tuned.Results) != 6 || len(tuned.Results[5].Values) != 3 {
				t.Errorf("%s: %s, in local[1] %s", master, got, want)
			}
		}()
	}
}

type planted struct {
	X    *float64
	Kind string
	Y    float64
}

// TestFoldsDoNotLeak has rows whose text occurs once each. An indexer that saw the rows of the test would know all of them; one that is trained in the fold knows none, and says so.
func TestFoldsDoNotLeak(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	rows := make([]planted, 60)
	for i := range rows {
		rows[i] = planted{Kind: fmt.Sprint("kind ", i), Y: float64(i % 2)}
	}
	table := pipeline.Rows(rdd.Parallelize(sc, rows, 2))
	for _, h := range []pipeline.Invalid{pipeline.Error, pipeline.Skip} {
		points, err := pipeline.Grid(table.Schema(), []pipeline.Stage{
			&pipeline.StringIndexer{Inputs: []string{"Kind"}, HandleInvalid: h},
			&pipeline.OneHotEncoder{Inputs: []string{"Kind"}},
			&pipeline.VectorAssembler{Inputs: []string{"Kind"}},
			&pipeline.LogisticRegression{Label: "Y", Settings: classification.LogisticRegression{RegParam: 1, MaxIter: 1}},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = pipeline.CrossValidator{}.Fit(ctx, table, points)
		if want := map[pipeline.Invalid]string{pipeline.Error: "which the training data had not", pipeline.Skip: "there are no rows"}[h]; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not say %q", h, err, want)
		}
	}
}

// TestPlantedTruth looks for the settings that rows were made for: missing values that stand for the median, not for the mean, and a forest deep enough for their steps.
func TestPlantedTruth(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	rows := make([]planted, 900)
	for i := range rows {
		x := float64(i * 7919 % 100)
		if i%10 == 0 {
			x = 1000 // pulls the mean away from the median
		}
		rows[i] = planted{X: &x, Kind: "k", Y: math.Floor(min(x, 100) / 12.5)}
		if i%4 == 1 {
			rows[i].X, rows[i].Y = nil, 4 // as at the median
		}
	}
	imputer := &pipeline.Imputer{Inputs: []string{"X"}}
	forest := &pipeline.RandomForestRegressor{Features: "X", Label: "Y", Settings: tree.RandomForestRegressor{NumTrees: 5}}
	table := pipeline.Rows(rdd.Parallelize(sc, rows, 3))
	points, err := pipeline.Grid(table.Schema(), []pipeline.Stage{imputer, forest},
		pipeline.Vary("strategy", &imputer.Strategy, pipeline.Mean, pipeline.Median),
		pipeline.Vary("depth", &forest.Settings.MaxDepth, 1, 2, 5))
	if err != nil {
		t.Fatal(err)
	}
	if imputer.Strategy != "" || forest.Settings.MaxDepth != 0 {
		t.Errorf("Grid leaves the stages changed: %+v %+v", imputer, forest)
	}
	for name, fit := range map[string]func(context.Context, pipeline.Table, []pipeline.Point) (*pipeline.Tuned, error){
		"cross validation": pipeline.CrossValidator{}.Fit, "split": pipeline.TrainValidationSplit{}.Fit,
	} {
		tuned, err := fit(ctx, table, points)
		if err != nil {
			t.Fatal(err)
		}
		if got := points[tuned.Best].String(); got != "strategy=median, depth=5" || tuned.Metric != pipeline.RMSE {
			t.Errorf("%s: best is %s by %s: %+v", name, got, tuned.Metric, tuned.Results)
		}
		if m := tuned.Model.Stages[0].(*pipeline.ImputerModel); m.Numbers[0] < 40 || m.Numbers[0] > 65 {
			t.Errorf("%s: the model fills in %v", name, m.Numbers)
		}
		// The best is trained on all rows.
		again, err := points[tuned.Best].Pipeline.Fit(ctx, table)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := tuned.Model.SHA256()
		if b, err := again.SHA256(); a != b || err != nil {
			t.Errorf("%s: the model is %s, trained by itself %s, %v", name, a, b, err)
		}
	}
	// Folds are about equal, and depend on the seed.
	means := map[float64]bool{}
	for seed := range int64(3) {
		tuned, err := pipeline.CrossValidator{Seed: seed + 1, NumFolds: 2}.Fit(ctx, table, points[:1])
		if err != nil {
			t.Fatal(err)
		}
		means[tuned.Results[0].Mean] = true
	}
	if len(means) != 3 {
		t.Errorf("three seeds give the results %v", means)
	}
}

func TestMetrics(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	table := pipeline.Rows(rdd.Parallelize(sc, people(400), 3))
	for name, want := range map[string][]pipeline.Metric{
		"logistic": {pipeline.AreaUnderROC, pipeline.AreaUnderPR, pipeline.Accuracy, pipeline.F1, pipeline.LogLoss},
		"forest":   {pipeline.AreaUnderROC, pipeline.AreaUnderPR, pipeline.Accuracy, pipeline.F1, pipeline.LogLoss},
		"numbers":  {pipeline.RMSE, pipeline.MAE, pipeline.R2},
		"clusters": {pipeline.Silhouette},
	} {
		p, err := pipeline.New(table.Schema(), stages(estimators()[name])...)
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Fit(ctx, table)
		if err != nil {
			t.Fatal(err)
		}
		found, err := m.Evaluate(ctx, table)
		if err != nil || len(found) != len(want) || !slices.Equal(m.Metrics(), want) {
			t.Errorf("%s: %v, %v", name, found, err)
		}
		for k, v := range found {
			if low, high := 0.6, 1.0; k != pipeline.RMSE && k != pipeline.MAE && k != pipeline.LogLoss && k != pipeline.Silhouette && !(v > low && v <= high) {
				t.Errorf("%s: %s is %v", name, k, v)
			}
		}
		if _, err := m.Evaluate(ctx, table, "auc"); err == nil || !strings.Contains(err.Error(), `metric "auc" does not measure this model: choose one of`) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := m.Evaluate(ctx, pipeline.Rows(rdd.Parallelize(sc, people(0), 1))); err == nil || !strings.Contains(err.Error(), "there are no rows") {
			t.Errorf("%s of no rows: %v", name, err)
		}
	}
	// The silhouette is that of package clustering.
	type point struct{ X, Y float64 }
	var points []point
	for i := range 200 {
		points = append(points, point{float64(i*7919%50) + float64(i%2*70), float64(i * 104729 % 41)})
	}
	xy := pipeline.Rows(rdd.Parallelize(sc, points, 3))
	p, err := pipeline.New(xy.Schema(), &pipeline.VectorAssembler{Inputs: []string{"X", "Y"}}, &pipeline.KMeans{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Fit(ctx, xy)
	if err != nil {
		t.Fatal(err)
	}
	found, err := m.Evaluate(ctx, xy)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Predictor.(*clustering.Model).Silhouette(ctx, vectors(sc, points, func(p point) []float64 { return []float64{p.X, p.Y} }))
	if got := found[pipeline.Silhouette]; err != nil || math.Abs(got-want) > 1e-12 {
		t.Errorf("silhouette %v, want %v, %v", got, want, err)
	}
	// A class that the model has not seen is predicted wrongly.
	rows := people(400)
	for i := range rows[:100] {
		rows[i].Bought = "perhaps"
	}
	if p, err = pipeline.New(table.Schema(), stages(logistic())...); err != nil {
		t.Fatal(err)
	}
	if m, err = p.Fit(ctx, table); err != nil {
		t.Fatal(err)
	}
	before, err := m.Evaluate(ctx, table, pipeline.Accuracy, pipeline.LogLoss)
	if err != nil {
		t.Fatal(err)
	}
	after, err := m.Evaluate(ctx, pipeline.Rows(rdd.Parallelize(sc, rows, 3)), pipeline.Accuracy, pipeline.LogLoss)
	if err != nil || !(after[pipeline.Accuracy] < before[pipeline.Accuracy]-0.1) || !(after[pipeline.LogLoss] > 8) {
		t.Errorf("%v with an unknown class, %v without, %v", after, before, err)
	}
}

func TestTuningRefuses(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	table := pipeline.Rows(rdd.Parallelize(sc, people(100), 2))
	lr, stray := logistic(), logistic()
	s := stages(lr)
	grid := func(params ...pipeline.Param) error {
		_, err := pipeline.Grid(table.Schema(), s, params...)
		return err
	}
	points := func(last ...pipeline.Stage) (all []pipeline.Point) {
		for _, l := range last {
			p, err := pipeline.Grid(table.Schema(), stages(l))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, p...)
		}
		return all
	}
	cross := func(v pipeline.CrossValidator, p ...pipeline.Point) error {
		_, err := v.Fit(ctx, table, p)
		return err
	}
	split := func(v pipeline.TrainValidationSplit) error {
		_, err := v.Fit(ctx, table, points(logistic()))
		return err
	}
	other := logistic()
	other.Label = "Share"
	saving := logistic()
	saving.Settings.CheckpointDir = t.TempDir()
	for _, c := range []struct {
		says string
		err  error
	}{
		{`parameter "reg" is a field of none of the stages`, grid(pipeline.Vary("reg", &stray.Settings.RegParam, 1))},
		{`parameter "reg" has no values`, grid(pipeline.Vary("reg", &lr.Settings.RegParam))},
		{`two parameters "reg"`, grid(pipeline.Vary("reg", &lr.Settings.RegParam, 1), pipeline.Vary("reg", &lr.Settings.Tol, 1))},
		{`"reg" and "lambda" are the same field`, grid(pipeline.Vary("reg", &lr.Settings.RegParam, 1), pipeline.Vary("lambda", &lr.Settings.RegParam, 1))},
		{"grid: reg=-1: pipeline: stage 7, LogisticRegression: ", grid(pipeline.Vary("reg", &lr.Settings.RegParam, 1, -1))},
		{"RegParam is -1", grid(pipeline.Vary("reg", &lr.Settings.RegParam, 1, -1))},
		{"parameter 1 is empty", grid(pipeline.Param{})},
		{"NumFolds is 1: give at least 2", cross(pipeline.CrossValidator{NumFolds: 1}, points(lr)...)},
		{"Parallelism is -1", cross(pipeline.CrossValidator{Parallelism: -1}, points(lr)...)},
		{"there is no point to try", cross(pipeline.CrossValidator{})},
		{"point 1 has no pipeline", cross(pipeline.CrossValidator{}, pipeline.Point{})},
		{`trains on label "Share"`, cross(pipeline.CrossValidator{}, points(lr, other)...)},
		{"leave CheckpointDir out", cross(pipeline.CrossValidator{}, points(saving)...)},
		{`metric "rmse" does not measure this model`, cross(pipeline.CrossValidator{Metric: pipeline.RMSE}, points(lr)...)},
		{"TrainRatio is 1.5", split(pipeline.TrainValidationSplit{TrainRatio: 1.5})},
		{"TrainRatio is NaN", split(pipeline.TrainValidationSplit{TrainRatio: math.NaN()})},
		{"there is no table", func() error {
			_, err := pipeline.CrossValidator{}.Fit(ctx, pipeline.Table{}, points(lr))
			return err
		}()},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%v does not say %q", c.err, c.says)
		}
	}
	// A cancelled context ends the search.
	ctx, cancel := context.WithCancel(ctx)
	var many []pipeline.Point
	for range 200 {
		many = append(many, points(logistic())...)
	}
	time.AfterFunc(100*time.Millisecond, cancel)
	started := time.Now()
	if _, err := (pipeline.CrossValidator{Parallelism: 3}).Fit(ctx, table, many); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if d := time.Since(started); d > 5*time.Second {
		t.Errorf("it goes on for %v", d)
	}
}

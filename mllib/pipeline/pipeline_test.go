package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/pipeline"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// person is a row of all that fields can be.
type person struct {
	Kind   string
	Town   *string `parquet:"home_town"`
	Size   float32
	Weight *float64
	Rooms  uint8
	Owner  bool
	Share  float64
	Bought string
	Paid   float64

	Note   []string // no column
	hidden int
}

// people are rows whose label depends on Kind, Size and Weight, with values missing here and there.
func people(n int) []person {
	rows := make([]person, n)
	for i := range rows {
		x, y := float64(i*7919%1000)/1000, float64(i*104729%997)/997
		town := []string{"north", "south", "east"}[i*31%7%3]
		weight := 50 + 40*y
		r := person{Kind: []string{"a", "b", "b", "c"}[i*17%11%4], Town: &town, Size: float32(x), Weight: &weight, Rooms: uint8(i % 5), Owner: i%3 == 0, Share: float64(i % 2)}
		if i%13 == 0 {
			r.Town = nil
		}
		if i%9 == 0 {
			r.Weight = nil
		}
		score := 3*x - 2*y + float64(i*52711%911)/911 - 1
		if r.Kind == "a" {
			score += 1.5
		}
		r.Bought = "no"
		if score > 0.5 {
			r.Bought = "yes"
		}
		r.Paid = 10*x + weight
		r.hidden = i
		rows[i] = r
	}
	return rows
}

func schemaOf[T any](t testing.TB) pipeline.Schema {
	t.Helper()
	s, err := pipeline.SchemaOf[T]()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stages prepare all columns of people.
func stages(last pipeline.Stage) []pipeline.Stage {
	return []pipeline.Stage{
		&pipeline.StringIndexer{Inputs: []string{"Kind", "home_town"}, HandleInvalid: pipeline.Keep},
		&pipeline.OneHotEncoder{Inputs: []string{"Kind", "HomeTown"}, Outputs: []string{"kinds", "towns"}},
		&pipeline.Imputer{Inputs: []string{"weight"}, Strategy: pipeline.Median},
		&pipeline.StandardScaler{Inputs: []string{"Weight"}, WithMean: true},
		&pipeline.MinMaxScaler{Inputs: []string{"Rooms"}},
		&pipeline.VectorAssembler{Inputs: []string{"kinds", "towns", "Size", "Weight", "Rooms", "Owner"}},
		last,
	}
}

func logistic() *pipeline.LogisticRegression {
	return &pipeline.LogisticRegression{Label: "Bought", Settings: classification.LogisticRegression{RegParam: 0.01}}
}

func TestSchema(t *testing.T) {
	got := fmt.Sprint(schemaOf[person](t))
	if want := "[{Kind text} {home_town text} {Size number} {Weight number} {Rooms number} {Owner number} {Share number} {Bought text} {Paid number}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := pipeline.SchemaOf[int](); err == nil || !strings.Contains(err.Error(), "structs, not int") {
		t.Error(err)
	}
	if _, err := pipeline.SchemaOf[struct{ N []int }](); err == nil || !strings.Contains(err.Error(), "no exported field") {
		t.Error(err)
	}
}

// TestNewRefuses makes the mistakes that show before any row is read.
func TestNewRefuses(t *testing.T) {
	assemble := func(in ...string) pipeline.Stage { return &pipeline.VectorAssembler{Inputs: in} }
	type all = []pipeline.Stage
	for _, c := range []struct {
		says   string
		stages all
	}{
		{"there is no stage", nil},
		{"end the pipeline with an estimator", all{assemble("Size")}},
		{"stage 1 is nil", all{nil}},
		{"stage 1, LogisticRegression: stages follow it", all{logistic(), logistic()}},
		{`stage 1, VectorAssembler: there is no column "Height": there are Kind, home_town, Size`, all{assemble("Height"), logistic()}},
		{`column "Kind" is a text: vectors hold numbers`, all{assemble("Kind"), logistic()}},
		{"it reads no column", all{assemble(), logistic()}},
		{`it reads column "Size" twice`, all{assemble("Size", "size"), logistic()}},
		{`LogisticRegression: features: there is no column "features"`, all{logistic()}},
		{`column "Kind" of features is a text`, all{&pipeline.LogisticRegression{Features: "Kind", Label: "Bought"}}},
		{`label: there is no column "label"`, all{&pipeline.LogisticRegression{Features: "Size"}}},
		{`weight: there is no column "mass"`, all{&pipeline.LogisticRegression{Features: "Size", Label: "Bought", Weight: "mass"}}},
		{`column "Kind" of weights is a text`, all{&pipeline.LogisticRegression{Features: "Size", Label: "Bought", Weight: "Kind"}}},
		{`column "Bought" of labels is a text: give a number`, all{&pipeline.RandomForestRegressor{Features: "Size", Label: "Bought"}}},
		{`the features are made of its label, column "Owner"`, all{assemble("Owner", "Size"), &pipeline.LogisticRegression{Label: "Owner"}}},
		{"RegParam is -1", all{&pipeline.LogisticRegression{Features: "Size", Label: "Bought", Settings: classification.LogisticRegression{RegParam: -1}}}},
		{"NumTrees is -3", all{&pipeline.RandomForestClassifier{Features: "Size", Label: "Bought", Settings: tree.RandomForestClassifier{NumTrees: -3}}}},
		{"MaxDepth is 5000", all{&pipeline.RandomForestRegressor{Features: "Size", Label: "Paid", Settings: tree.RandomForestRegressor{MaxDepth: 5000}}}},
		{"K is -1", all{&pipeline.KMeans{Features: "Size", Settings: clustering.KMeans{K: -1}}}},
		{`HandleInvalid is "drop": give one of ["error" "skip" "keep"]`, all{&pipeline.StringIndexer{Inputs: []string{"Kind"}, HandleInvalid: "drop"}, logistic()}},
		{"it has 2 Inputs and 1 Outputs", all{&pipeline.StringIndexer{Inputs: []string{"Kind", "Town"}, Outputs: []string{"k"}}, logistic()}},
		{`HandleInvalid is "keep"`, all{&pipeline.VectorAssembler{Inputs: []string{"Size"}, HandleInvalid: pipeline.Keep}, logistic()}},
		{`Strategy is "max"`, all{&pipeline.Imputer{Inputs: []string{"Weight"}, Strategy: "max"}, logistic()}},
		{"texts have no mean: set Strategy to Mode", all{&pipeline.Imputer{Inputs: []string{"Kind"}}, logistic()}},
		{"number its values first, with a StringIndexer", all{&pipeline.OneHotEncoder{Inputs: []string{"Kind"}}, logistic()}},
		{"number its values first", all{&pipeline.StandardScaler{Inputs: []string{"Kind"}}, logistic()}},
		{"Min is 2 and Max 1", all{&pipeline.MinMaxScaler{Inputs: []string{"Size"}, Min: 2, Max: 1}, logistic()}},
		{"NoStd is true and WithMean false", all{&pipeline.StandardScaler{Inputs: []string{"Size"}, NoStd: true}, logistic()}},
		{`stage 1, Imputer: nothing reads column "Weight"`, all{&pipeline.Imputer{Inputs: []string{"Weight"}}, assemble("Size"), logistic()}},
		{`it makes column "x" twice`, all{&pipeline.StringIndexer{Inputs: []string{"Kind", "home_town"}, Outputs: []string{"x", "x"}}, logistic()}},
	} {
		_, err := pipeline.New(schemaOf[person](t), c.stages...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v does not say %q", err, c.says)
		}
	}
}

// estimators are all of them, on people.
func estimators() map[string]pipeline.Stage {
	return map[string]pipeline.Stage{
		"logistic": logistic(),
		"weighted": &pipeline.LogisticRegression{Label: "Bought", Weight: "Share", Settings: classification.LogisticRegression{RegParam: 0.1, MaxIter: 5}},
		"forest":   &pipeline.RandomForestClassifier{Label: "Bought", Settings: tree.RandomForestClassifier{NumTrees: 3, MaxDepth: 3}},
		"numbers":  &pipeline.RandomForestRegressor{Label: "Paid", Settings: tree.RandomForestRegressor{NumTrees: 3, MaxDepth: 3}},
		"clusters": &pipeline.KMeans{Settings: clustering.KMeans{K: 3, MaxIter: 4}},
	}
}

// TestSameModelEverywhere trains on one core, on four and on two executors, from structs and from Parquet.
func TestSameModelEverywhere(t *testing.T) {
	rows := people(600)
	dir := t.TempDir()
	want := map[string]string{}
	for _, master := range []string{"local[1]", "local[4]", "local-cluster[2,1,256m]"} {
		func() {
			sc := driver.New(driver.Master(master))
			defer sc.Stop()
			ctx := context.Background()
			data := rdd.Parallelize(sc, rows, 3)
			if len(want) == 0 {
				type saved struct {
					Kind, Bought, Note string
					Town               *string `parquet:"home_town"`
					Size               float32
					Weight             *float64
					Rooms              int32
					Owner              bool
					Share, Paid        float64
				}
				if err := parquetio.Write(ctx, rdd.Map(data, func(p person) saved {
					return saved{Kind: p.Kind, Bought: p.Bought, Town: p.Town, Size: p.Size, Weight: p.Weight, Rooms: int32(p.Rooms), Owner: p.Owner, Share: p.Share, Paid: p.Paid}
				}), filepath.Join(dir, "people")); err != nil {
					t.Fatal(err)
				}
			}
			files, err := pipeline.ReadParquet(ctx, sc, filepath.Join(dir, "people"))
			if err != nil {
				t.Fatal(err)
			}
			for name, e := range estimators() {
				for what, table := range map[string]pipeline.Table{"structs": pipeline.Rows(data), "files": files} {
					p, err := pipeline.New(table.Schema(), stages(e)...)
					if err != nil {
						t.Fatal(err)
					}
					m, err := p.Fit(ctx, table)
					if err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					sum, err := m.SHA256()
					if err != nil {
						t.Fatal(err)
					}
					if key := name + what; want[key] == "" {
						want[key] = sum
					} else if sum != want[key] {
						t.Errorf("%s of %s in %s: %s, in local[1] %s", name, what, master, sum, want[key])
					}
				}
			}
		}()
	}
}

// TestSaveAndLoad compares the scores of a model with those of its file, one by one and as a dataset, and counts what scoring allocates.
func TestSaveAndLoad(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	rows := people(300)
	data := rdd.Parallelize(sc, rows, 3)
	for name, e := range estimators() {
		p, err := pipeline.New(schemaOf[person](t), stages(e)...)
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Fit(ctx, pipeline.Rows(data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		path := filepath.Join(t.TempDir(), "model")
		if err := m.Save(ctx, path); err != nil {
			t.Fatal(err)
		}
		loaded, err := pipeline.Load(ctx, path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		a, _ := m.SHA256()
		if b, err := loaded.SHA256(); a != b || err != nil {
			t.Errorf("%s: the loaded model is %s, the saved one %s, %v", name, b, a, err)
		}
		// What only training needs is not asked for.
		type visitor struct {
			Kind           string
			HomeTown       *string
			Size, Weight   float64
			Rooms          int
			Owner          bool
			Name, Nickname string
		}
		if got := fmt.Sprint(loaded.Inputs().Names()); got != "[Kind home_town Size Weight Rooms Owner]" {
			t.Errorf("%s: inputs %s", name, got)
		}
		visitors, err := pipeline.NewScorer[visitor](loaded)
		if err != nil {
			t.Fatal(err)
		}
		scorer, err := pipeline.NewScorer[person](m)
		if err != nil {
			t.Fatal(err)
		}
		byRow, err := pipeline.PredictRows(loaded, data)
		if err != nil {
			t.Fatal(err)
		}
		scored, err := byRow.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		table, err := m.Predict(pipeline.Rows(data))
		if err != nil {
			t.Fatal(err)
		}
		all, err := table.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		values := map[float64]bool{}
		for i, r := range rows {
			want, err := scorer.Predict(r)
			if err != nil {
				t.Fatal(err)
			}
			v := visitor{Kind: r.Kind, HomeTown: r.Town, Size: float64(r.Size), Weight: math.NaN(), Rooms: int(r.Rooms), Owner: r.Owner}
			if r.Weight != nil {
				v.Weight = *r.Weight
			}
			got, err := visitors.Predict(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range []pipeline.Prediction{got, scored[i].Prediction, all[i]} {
				if x.Value != want.Value || x.Class != want.Class || !slices.Equal(x.Probabilities, want.Probabilities) {
					t.Fatalf("%s: row %d: %+v, want %+v", name, i, x, want)
				}
			}
			if scored[i].Row.Kind != r.Kind {
				t.Fatalf("row %d is another one", i)
			}
			values[want.Value] = true
		}
		if len(values) < 2 {
			t.Errorf("%s: all predictions are %v", name, values)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = scorer.Predict(rows[7]) }); n != 0 {
			t.Errorf("%s: scoring a row allocates %v times", name, n)
		}
	}
}

// TestLoadRefuses damages a file in all of its bytes, and takes others for it.
func TestLoadRefuses(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	p, err := pipeline.New(schemaOf[person](t), stages(logistic())...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Fit(ctx, pipeline.Rows(rdd.Parallelize(sc, people(100), 1)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "model")
	if err := m.Save(ctx, path); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	for at := 0; at < len(file); at += 1 + len(file)/200 {
		b := slices.Clone(file)
		b[at] ^= 4
		if err := os.WriteFile(damaged, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := pipeline.Load(ctx, damaged); err == nil || !strings.Contains(err.Error(), damaged) {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	if err := m.Predictor.(*classification.Model).Save(ctx, damaged); err != nil {
		t.Fatal(err)
	}
	if _, err := pipeline.Load(ctx, damaged); err == nil || !strings.Contains(err.Error(), "it holds a classification.LogisticRegression, not a pipeline.Model") {
		t.Error(err)
	}
	// Files of this format that no program wrote so.
	for says, change := range map[string]func(m *pipeline.Model){
		"its numbers do not go with its columns": func(m *pipeline.Model) { m.Stages[3].(*pipeline.ScalerModel).Offset = nil },
		`there is no column "size"`:              func(m *pipeline.Model) { m.Features = "size" },
		"the estimator knows":                    func(m *pipeline.Model) { m.Stages[1].(*pipeline.OneHotEncoderModel).KeepLast = true },
	} {
		other, err := pipeline.Load(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		if change(other); says[0] == 't' && strings.Contains(says, "size") {
			other.Features = "length"
			says = `there is no column "length"`
		}
		if err := other.Save(ctx, damaged); err != nil {
			t.Fatal(err)
		}
		if _, err := pipeline.Load(ctx, damaged); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	if _, err := pipeline.NewScorer[struct{ Kind string }](m); err == nil || !strings.Contains(err.Error(), `no field for column "home_town"`) {
		t.Error(err)
	}
	if _, err := pipeline.NewScorer[struct{ Kind, HomeTown, Size, Weight, Rooms, Owner string }](m); err == nil || !strings.Contains(err.Error(), `is a text, column "Size" a number`) {
		t.Error(err)
	}
}

// TestBadRows trains and scores rows with values that stages were not told to expect.
func TestBadRows(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	type row struct {
		Text *string
		X, Y *float64
		Z    float64
		L    *string
	}
	text, x := func(s string) *string { return &s }, func(v float64) *float64 { return &v }
	good := []row{{text("a"), x(1), x(2), 1, text("no")}, {text("b"), x(2), x(5), 2, text("yes")}, {text("a"), x(4), x(3), 3, text("no")}, {text("b"), x(0), x(1), 4, text("yes")}}
	fit := func(rows []row, s ...pipeline.Stage) (*pipeline.Model, error) {
		p, err := pipeline.New(schemaOf[row](t), append(s, &pipeline.LogisticRegression{Label: "L", Settings: classification.LogisticRegression{RegParam: 0.1}})...)
		if err != nil {
			t.Fatal(err)
		}
		return p.Fit(ctx, pipeline.Rows(rdd.Parallelize(sc, rows, 2)))
	}
	index := func(h pipeline.Invalid) pipeline.Stage {
		return &pipeline.StringIndexer{Inputs: []string{"Text"}, HandleInvalid: h}
	}
	assemble := func(h pipeline.Invalid, in ...string) pipeline.Stage {
		return &pipeline.VectorAssembler{Inputs: in, HandleInvalid: h}
	}
	bad := func(change func(r *row)) []row {
		rows := slices.Clone(good)
		change(&rows[3])
		return rows
	}
	all := func(change func(r *row)) []row {
		rows := slices.Clone(good)
		for i := range rows {
			change(&rows[i])
		}
		return rows
	}
	for _, c := range []struct {
		says   string
		rows   []row
		stages []pipeline.Stage
	}{
		{`row 1 of partition 1: column "Text" has no value: set HandleInvalid`, bad(func(r *row) { r.Text = nil }), []pipeline.Stage{index(""), assemble("", "Text", "X")}},
		{`row 1 of partition 1: column "X" has no value: fill it in with an Imputer`, bad(func(r *row) { r.X = nil }), []pipeline.Stage{assemble("", "X")}},
		{`column "X" has no value`, bad(func(r *row) { r.X = x(math.NaN()) }), []pipeline.Stage{assemble("", "X")}},
		{"+Inf", bad(func(r *row) { r.X = x(math.Inf(1)) }), []pipeline.Stage{assemble("", "X")}},
		{`column "L" has no label: drop such rows`, bad(func(r *row) { r.L = nil }), []pipeline.Stage{assemble("", "X")}},
		{`there is no row with a label in column "L"`, nil, []pipeline.Stage{assemble("", "X")}},
		{`there is no row with a label in column "L"`, all(func(r *row) { r.L = nil }), []pipeline.Stage{assemble("", "X")}},
		{`Imputer: column "X" has no value at all`, all(func(r *row) { r.X = nil }), []pipeline.Stage{&pipeline.Imputer{Inputs: []string{"X"}}, assemble("", "X")}},
		{`StandardScaler: column "X" has no value at all`, all(func(r *row) { r.X = nil }), []pipeline.Stage{&pipeline.StandardScaler{Inputs: []string{"X"}}, assemble("", "X")}},
		{`too far to be scaled`, bad(func(r *row) { r.X = x(math.Inf(1)) }), []pipeline.Stage{&pipeline.StandardScaler{Inputs: []string{"X"}}, assemble("", "X")}},
		{`StringIndexer: column "Text" has no value at all`, all(func(r *row) { r.Text = nil }), []pipeline.Stage{index(""), assemble("", "Text")}},
		{`categories are 0, 1, 2, … below`, bad(func(r *row) { r.X = x(-1) }), []pipeline.Stage{&pipeline.OneHotEncoder{Inputs: []string{"X"}}, assemble("", "X")}},
		{`has 2.5: categories are whole numbers`, bad(func(r *row) { r.X = x(2.5) }), []pipeline.Stage{&pipeline.OneHotEncoder{Inputs: []string{"X"}}, assemble("", "X")}},
	} {
		if _, err := fit(c.rows, c.stages...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v does not say %q", err, c.says)
		}
	}
	for _, c := range []struct {
		h    pipeline.Invalid
		want string
	}{
		{pipeline.Error, `column "Text" has the value "zebra", which the training data had not`},
		{pipeline.Skip, "left out"},
		{pipeline.Keep, "<nil>"},
	} {
		m, err := fit(good, index(c.h), &pipeline.OneHotEncoder{Inputs: []string{"Text"}}, assemble(pipeline.Skip, "Text", "X"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := pipeline.NewScorer[row](m)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Predict(row{Text: text("zebra"), X: x(1)})
		if !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v does not say %q", c.h, err, c.want)
		}
		if _, err = s.Predict(row{Text: text("a")}); !errors.Is(err, pipeline.ErrSkipped) {
			t.Errorf("a missing number: %v", err)
		}
		scored, err := pipeline.PredictRows(m, rdd.Parallelize(sc, append([]row{{Text: text("b")}}, good...), 1))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := scored.Count(ctx); n != 4 || err != nil {
			t.Errorf("%d rows are scored, %v", n, err)
		}
	}
}

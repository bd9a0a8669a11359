package pipeline_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/pipeline"
	"github.com/spark-go/spark-go/rdd"
)

type penguin struct {
	Species, Island string
	BillDepth       *float64 `parquet:"bill_depth_mm"`
	FlipperLength   *int32   `parquet:"flipper_length_mm"`
	BodyMass        *int32   `parquet:"body_mass_g"`
	Sex             *string
}

// TestReference holds features, probabilities and metrics to those of scikit-learn; see testdata/reference.py.
func TestReference(t *testing.T) {
	type reference struct {
		Classes                             []string
		Filled, Features                    []float64
		First, Probabilities                [][]float64
		Accuracy, F1, LogLoss, AreaUnderROC float64
	}
	var want map[string]reference
	b, err := os.ReadFile("testdata/reference.json")
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	all := parquetio.Read[penguin](sc, "../../examples/testdata/penguins.parquet")
	for label, second := range map[string]string{"species": "sex", "sex": "species"} {
		ref, rows := want[label], all
		measures := []string{"BillDepth", "flipper_length_mm", "BodyMass"}
		measures[0], measures[2] = "bill_depth_mm", "body_mass_g"
		var scaler pipeline.Stage = &pipeline.StandardScaler{Inputs: measures, WithMean: true}
		strategy := pipeline.Median
		if label == "sex" {
			rows = rdd.Filter(all, func(p penguin) bool { return p.Sex != nil })
			scaler, strategy = &pipeline.MinMaxScaler{Inputs: measures}, pipeline.Mean
		}
		table := pipeline.Rows(rows)
		p, err := pipeline.New(table.Schema(),
			&pipeline.StringIndexer{Inputs: []string{"Island", second}, Outputs: []string{"i", "s"}, HandleInvalid: pipeline.Keep},
			&pipeline.OneHotEncoder{Inputs: []string{"i", "s"}, KeepLast: true},
			&pipeline.Imputer{Inputs: measures, Strategy: strategy},
			scaler,
			&pipeline.VectorAssembler{Inputs: append([]string{"i", "s"}, measures...)},
			&pipeline.LogisticRegression{Label: label, Settings: classification.LogisticRegression{RegParam: 0.01, NoStandardization: true, Tol: 1e-12, MaxIter: 1000}},
		)
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Fit(ctx, table)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.Classes, ref.Classes) {
			t.Errorf("%s: classes %q, want %q", label, m.Classes, ref.Classes)
		}
		near(t, label+": filled in", m.Stages[2].(*pipeline.ImputerModel).Numbers, ref.Filled, 1e-12)
		data, err := rows.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		s, err := pipeline.NewScorer[penguin](m)
		if err != nil {
			t.Fatal(err)
		}
		sums := make([]float64, len(ref.Features))
		for i, r := range data {
			x, err := s.Predict(r)
			if err != nil {
				t.Fatal(err)
			}
			if i%20 == 0 {
				near(t, label+": probabilities", x.Probabilities, ref.Probabilities[i/20], 1e-6)
			}
			features, err := s.Transform(r)
			if err != nil {
				t.Fatal(err)
			}
			if i < len(ref.First) {
				near(t, label+": features", features, ref.First[i], 1e-12)
			}
			for j, v := range features {
				sums[j] += v
			}
		}
		near(t, label+": sums of features", sums, ref.Features, 1e-9)
		found, err := m.Evaluate(ctx, table)
		if err != nil {
			t.Fatal(err)
		}
		near(t, label+": metrics", []float64{found[pipeline.Accuracy], found[pipeline.F1], found[pipeline.LogLoss], found[pipeline.AreaUnderROC]},
			[]float64{ref.Accuracy, ref.F1, ref.LogLoss, ref.AreaUnderROC}, 1e-7)
	}
}

func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= tolerance*max(1, math.Abs(want[i]))) {
			t.Errorf("%s: %v, want %v", what, got, want)
			return
		}
	}
}

// vectors makes a dataset of vectors of rows.
func vectors[T any](sc rdd.Session, rows []T, of func(T) []float64) rdd.RDD[linalg.Vector] {
	all := make([]linalg.Vector, len(rows))
	for i, r := range rows {
		all[i] = linalg.Dense(of(r)...)
	}
	return rdd.Parallelize(sc, all, 3)
}

package examples_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/spark-go/spark-go/mllib/pipeline"
)

// TestPipeline scores penguins with what the example saves.
func TestPipeline(t *testing.T) {
	file := filepath.Join(t.TempDir(), "model")
	got := report(t, "pipeline", "--save", file)
	metrics, _ := got["metrics"].(map[string]any)
	if auc, _ := metrics["areaUnderROC"].(float64); !(auc > 0.9) || got["scored"] != 344.0 || got["tuned_by"] != "logLoss" {
		t.Errorf("got %v", got)
	}
	model, err := pipeline.Load(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := model.SHA256(); got["sha256"] != sum || err != nil {
		t.Errorf("sha256 is %v, of the file's model %s, %v", got["sha256"], sum, err)
	}
	type penguin struct {
		Species, Island                      string
		BillLengthMM, BillDepthMM, BodyMassG float64
		FlipperLengthMM                      *int
		Year                                 int
	}
	s, err := pipeline.NewScorer[penguin](model)
	if err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]penguin{
		"male":   {Species: "Gentoo", Island: "Biscoe", BillLengthMM: 51, BillDepthMM: 17, BodyMassG: 6000, Year: 2008},
		"female": {Species: "Adelie", Island: "nowhere", BillLengthMM: 35, BillDepthMM: 17, BodyMassG: 3000, Year: 2008},
	} {
		if x, err := s.Predict(p); x.Class != want || err != nil {
			t.Errorf("%+v is %q, %v", p, x.Class, err)
		}
	}

	const penguins = "examples/testdata/penguins.parquet"
	numbers := report(t, "pipeline", "--task", "regression", "--label-col", "body_mass_g", "--exclude", "year", "--parallelism", "1")
	metrics, _ = numbers["metrics"].(map[string]any)
	if rmse, _ := metrics["rmse"].(float64); !(rmse > 100 && rmse < 500) || numbers["predicted"] != nil {
		t.Errorf("got %v", numbers)
	}
	// What runs at the same time changes nothing.
	one := report(t, "pipeline", "--train", penguins, "--test", penguins, "--label-col", "species", "--parallelism", "1", "--metric", "accuracy")
	four := report(t, "pipeline", "--train", penguins, "--test", penguins, "--label-col", "species", "--parallelism", "4", "--metric", "accuracy")
	if fmt.Sprint(one["points"], one["sha256"]) != fmt.Sprint(four["points"], four["sha256"]) || one["train_rows"] != 344.0 {
		t.Errorf("one model at a time gives %v, four %v", one, four)
	}
}

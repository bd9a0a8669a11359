package examples_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/tree"
)

type house struct {
	Town  string   `parquet:"town"`
	Rooms int32    `parquet:"rooms"`
	Area  *float64 `parquet:"area"`
	Note  string   `parquet:"note"`
	Class string   `parquet:"class"`
	Price float64  `parquet:"price"`
}

// houses whose class follows from town and rooms, and whose price from rooms and area. Town 7 is in the test only.
func houses(n, towns int) []house {
	rows := make([]house, n)
	for i := range rows {
		area := float64(20 + i*7%100)
		h := house{Town: fmt.Sprint("town ", i*i%towns), Rooms: int32(1 + i%6), Area: &area, Note: fmt.Sprint(i)}
		h.Class = "dear"
		if i*i%towns%3 == 1 || h.Rooms < 3 {
			h.Class = "fair"
		}
		h.Price = 10*float64(h.Rooms) + area
		rows[i] = h
	}
	return rows
}

func TestRandomForest(t *testing.T) {
	train, test := parquetFile(t, houses(3000, 7)), parquetFile(t, houses(500, 7))
	saved := filepath.Join(t.TempDir(), "model")
	got := report(t, "randomforest", "--train", train, "--test", test, "--label-col", "class", "--categorical", "town, rooms", "--subsets", "all", "--depth", "6", "--save", saved)
	if got["accuracy"] != 1.0 || got["train_rows"] != 3000.0 || got["test_rows"] != 500.0 {
		t.Errorf("got %v", got)
	}
	m, err := tree.LoadClassificationModel(t.Context(), saved)
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := m.SHA256(); err != nil || sum != got["sha256"] {
		t.Errorf("the saved model's sha256 is %s, the report's %v (%v)", sum, got["sha256"], err)
	}
	if fmt.Sprint(m.FeatureNames) != "[town rooms area price]" || m.Arities[0] != 4 {
		t.Errorf("features %v, categories %v", m.FeatureNames, m.Arities)
	}
	sum := 0.0
	for _, pair := range got["features_importance"].([]any) {
		sum += pair.([]any)[1].(float64)
	}
	if math.Abs(sum-1) > 1e-9 || got["nodes"] != float64(m.NumNodes()) {
		t.Errorf("importances sum to %v, %v nodes of %d", sum, got["nodes"], m.NumNodes())
	}

	// Towns that the training has not seen are no error.
	got = report(t, "randomforest", "--train", train, "--test", parquetFile(t, houses(500, 11)), "--label-col", "class", "--categorical", "town")
	if acc, _ := got["accuracy"].(float64); acc < 0.7 {
		t.Errorf("with unknown towns: %v", got)
	}

	got = report(t, "randomforest", "--input", train, "--label-col", "price", "--task", "regression", "--depth", "10", "--bins", "128", "--subsets", "all")
	if rmse, ok := got["rmse"].(float64); !ok || rmse > 2 {
		t.Errorf("regression: %v", got)
	}

	broken := houses(100, 7)
	broken[40].Area = nil
	r := run(t, root, "randomforest", "--input", parquetFile(t, broken), "--label-col", "price", "--task", "regression", "--test-fraction", "0", "--json")
	if r.status != 1 || !strings.Contains(r.stderr, `feature "area" is NaN in row 40`) {
		t.Errorf("a null ends with status %d: %s", r.status, r.stderr)
	}
	r = run(t, root, "randomforest", "--input", train, "--label-col", "class", "--categorical", "note", "--json")
	if r.status != 1 || !strings.Contains(r.stderr, `MaxBins is 32`) || !strings.Contains(r.stderr, `feature "note" has 3000`) {
		t.Errorf("too many categories end with status %d: %s", r.status, r.stderr)
	}
}

package tree

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// dataDir is the folder with the data sets, which are too large for the repository.
func dataDir(t *testing.T, file string) string {
	dir := os.Getenv("SPARK_GO_DATA")
	if dir == "" {
		t.Skip("SPARK_GO_DATA names no folder with " + file)
	}
	return filepath.Join(dir, file)
}

// readLabelled collects the rows of a file of whole numbers and a text label, whose texts become classes in their order.
func readLabelled(t *testing.T, s rdd.Session, path, label string, features []string) []linalg.Instance {
	t.Helper()
	columns := []parquetio.Select{{Name: label, Kind: parquetio.String}}
	for _, f := range features {
		columns = append(columns, parquetio.Select{Name: f, Kind: parquetio.Float64})
	}
	batches, err := parquetio.ReadColumns(s, path, columns).Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]float64{}
	var rows []linalg.Instance
	for _, b := range batches {
		for i := range b.Rows {
			name := b.Columns[0].Strings[i]
			if _, ok := classes[name]; !ok {
				classes[name] = float64(len(classes))
			}
			x := make([]float64, len(features))
			for f := range x {
				x[f] = b.Columns[f+1].Float64s[i]
			}
			rows = append(rows, linalg.Instance{Label: classes[name], Features: linalg.Dense(x...)})
		}
	}
	return rows
}

func accuracy(m *ClassificationModel, rows []linalg.Instance) float64 {
	right := 0
	for _, r := range rows {
		if m.Predict(r.Features.Values) == r.Label {
			right++
		}
	}
	return float64(right) / float64(len(rows))
}

var letterFeatures = []string{"x.box", "y.box", "width", "high", "onpix", "x.bar", "y.bar", "x2bar", "y2bar", "xybar", "x2ybr", "xy2br", "x.ege", "xegvy", "y.ege", "yegvx"}

// TestLetter holds forests on the UCI letter recognition data, of which the first 16,000 rows train, to scikit-learn's accuracy: 0.9623
// for 100 trees of full depth, 0.846 for 50 of depth 10.
func TestLetter(t *testing.T) {
	path := dataDir(t, "letter.parquet")
	sc := local(t, "local[2]")
	rows := readLabelled(t, sc, path, "lettr", letterFeatures)
	train := rdd.Parallelize(sc, rows[:16000], 4)
	for _, c := range []struct {
		s        Settings
		accuracy float64
	}{
		{Settings{NumTrees: 100, MaxDepth: 60}, 0.9623},
		{Settings{NumTrees: 50, MaxDepth: 10}, 0.846},
	} {
		m, err := RandomForestClassifier(c.s).Fit(context.Background(), train)
		if err != nil {
			t.Fatal(err)
		}
		got := accuracy(m, rows[16000:])
		t.Logf("%d trees, depth %d: accuracy %.4f, %d nodes", c.s.NumTrees, m.Depth(), got, m.NumNodes())
		if got < c.accuracy-0.012 {
			t.Errorf("%d trees of depth %d: accuracy %.4f, scikit-learn has %.4f", c.s.NumTrees, c.s.MaxDepth, got, c.accuracy)
		}
	}
}

// TestShuttle holds a forest on the Statlog shuttle data, of which the first 43,500 rows train, to scikit-learn's accuracy of 0.9997. The
// rare classes lie in the tails of the features, which 32 bins of equal weight are too coarse for (0.9985).
func TestShuttle(t *testing.T) {
	path := dataDir(t, "shuttle.parquet")
	sc := local(t, "local[2]")
	rows := readLabelled(t, sc, path, "Class", []string{"V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9"})
	for _, bins := range []int{64, 256} {
		m, err := RandomForestClassifier{NumTrees: 20, MaxDepth: 10, MaxBins: bins}.Fit(context.Background(), rdd.Parallelize(sc, rows[:43500], 4))
		if err != nil {
			t.Fatal(err)
		}
		got := accuracy(m, rows[43500:])
		t.Logf("%d bins: accuracy %.5f, %d nodes", bins, got, m.NumNodes())
		if want := 0.9997; math.Abs(got-want) > 0.0005 {
			t.Errorf("%d bins: accuracy %.5f, scikit-learn has %.4f", bins, got, want)
		}
	}
}

package classification_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

type adult struct {
	Label   int32   `parquet:"label"`
	Indices []int32 `parquet:"indices"`
}

// instance makes a row of a9a's columns, whose indices count from 1.
func instance(r adult) linalg.Instance {
	v := linalg.Vector{Size: 123, Index: make([]int32, len(r.Indices)), Values: make([]float64, len(r.Indices))}
	for i, j := range r.Indices {
		v.Index[i], v.Values[i] = j-1, 1
	}
	return linalg.Instance{Label: float64((r.Label + 1) / 2), Features: v}
}

// TestAdult holds models of UCI Adult in the form of LIBSVM's a9a against Newton's method to 1e-10, computed with numpy and scikit-learn 1.9.1.
func TestAdult(t *testing.T) {
	dir := os.Getenv("SPARK_GO_DATA")
	if dir == "" {
		t.Skip("SPARK_GO_DATA names no folder with a9a_train.parquet and a9a_test.parquet")
	}
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	train := rdd.Map(parquetio.Read[adult](sc, filepath.Join(dir, "a9a_train.parquet")), instance)
	test, err := rdd.Map(parquetio.Read[adult](sc, filepath.Join(dir, "a9a_test.parquet")), instance).Collect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []struct{ lambda, accuracy, logLoss, norm2, intercept float64 }{
		{1e-4, 0.84982, 0.323067, 26.9285, -2.37324},
		{1e-2, 0.84417, 0.342949, 5.39263, -1.57308},
		{1.0 / 32561, 0.84976, 0.322784, 36.794, -2.41374},
	} {
		m, err := classification.LogisticRegression{RegParam: ref.lambda, NoStandardization: true}.Fit(ctx, train)
		if err != nil {
			t.Fatal(err)
		}
		norm2 := 0.0
		for _, c := range m.Coefficients {
			norm2 += c * c
		}
		right := 0
		for i := range test {
			if m.Predict(test[i].Features) == test[i].Label {
				right++
			}
		}
		accuracy := float64(right) / float64(len(test))
		t.Logf("lambda %g: %d iterations, %d evaluations, %s, %.2f s, norm2 %.6g, intercept %.6g", ref.lambda, m.Summary.Iterations, m.Summary.Evaluations, m.Summary.Reason, m.Summary.Seconds, norm2, m.Intercepts[0])
		logLoss := m.Summary.Objective() - ref.lambda/2*norm2
		for name, v := range map[string][2]float64{"accuracy": {accuracy, ref.accuracy}, "log loss": {logLoss, ref.logLoss}, "|w|²": {norm2, ref.norm2}, "intercept": {m.Intercepts[0], ref.intercept}} {
			if math.Abs(v[0]-v[1]) > 1e-5*math.Max(1, math.Abs(v[1])) {
				t.Errorf("lambda %g: %s is %.7g, want %.7g", ref.lambda, name, v[0], v[1])
			}
		}
	}
}

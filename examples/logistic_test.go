package examples_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/linalg"
)

// person is a row of UCI Adult, whose indices count from 1.
type person struct {
	Label   int32   `parquet:"label"`
	Indices []int32 `parquet:"indices"`
}

// TestLogistic holds models of 2,000 rows against scikit-learn 1.9.1 (mllib/classification/testdata/reference.py), from each form in which rows can be given.
func TestLogistic(t *testing.T) {
	t.Parallel()
	sc := driver.New(driver.Master("local[1]"))
	people, err := parquetio.Read[person](sc, filepath.Join(root, "mllib/classification/testdata/adult.parquet")).Collect(context.Background())
	sc.Stop()
	if err != nil {
		t.Fatal(err)
	}
	type named struct {
		Class  string  `parquet:"class"`
		Vector []int32 `parquet:"vector"`
	}
	var lists []named
	var text strings.Builder
	for _, p := range people {
		row := named{map[int32]string{-1: "less", 1: "more"}[p.Label], make([]int32, 123)}
		fmt.Fprintf(&text, "%+d", p.Label)
		for _, i := range p.Indices {
			row.Vector[i-1] = 1
			fmt.Fprintf(&text, " %d:1", i)
		}
		text.WriteByte('\n')
		lists = append(lists, row)
	}
	libsvm := filepath.Join(t.TempDir(), "adult.libsvm")
	write(t, libsvm, []byte(text.String()))
	saved := filepath.Join(t.TempDir(), "model")
	for name, args := range map[string][]string{
		"columns": {"--train", "examples/testdata/binary.parquet", "--save", saved},
		"sparse":  {"--train", "mllib/classification/testdata/adult.parquet", "--features-col", "indices", "--sparse"},
		"lists":   {"--train", parquetFile(t, lists), "--features-col", "vector", "--label-col", "class"},
		"libsvm":  {"--train", libsvm, "--test", libsvm, "--format", "libsvm"},
	} {
		got := report(t, "logistic", append(args, "--reg", "0.01", "--standardization", "false")...)
		for key, want := range map[string]float64{
			"loss": 0.3749918586, "log_loss": 0.34625267927, "accuracy": 0.8385, "auc": 0.90026154908, "coefficients_norm2": 5.74783586, "intercept": -1.42897963, "classes": 2,
		} {
			if x, _ := got[key].(float64); !(math.Abs(x-want) <= 2e-6*math.Max(1, math.Abs(want))) {
				t.Errorf("%s: %s is %v, want %v", name, key, got[key], want)
			}
		}
		if labels := fmt.Sprint(got["labels"]); labels != "[-1 1]" && labels != "[less more]" {
			t.Errorf("%s: labels %s", name, labels)
		}
		if name == "columns" {
			m, err := classification.Load(context.Background(), saved)
			if err != nil {
				t.Fatal(err)
			}
			if digest, err := m.SHA256(); digest != got["sha256"] || err != nil || m.FeatureNames[122] != "f123" {
				t.Errorf("the saved model is %s, %v; reported %v", digest, err, got["sha256"])
			}
			if p := m.Predict(linalg.Dense(make([]float64, 123)...)); p != 0 {
				t.Errorf("prediction %v", p)
			}
		}
	}
}

func TestLogisticComplains(t *testing.T) {
	t.Parallel()
	type row struct {
		Label int32    `parquet:"label"`
		X     *float64 `parquet:"x"`
		Name  string   `parquet:"name"`
	}
	one := 1.0
	holes := parquetFile(t, []row{{0, &one, "a"}, {1, nil, "b"}})
	bad := filepath.Join(t.TempDir(), "bad.libsvm")
	write(t, bad, []byte("1 1:1\n0 2:x\n"))
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{1, "row 1 of partition 0 has no value in column", []string{"--train", holes}},
		{1, `has no column "class": name the column of classes with --label-col`, []string{"--train", holes, "--label-col", "class"}},
		{1, "name a column of lists of numbers", []string{"--train", holes, "--features-col", "x"}},
		{1, `line 1 of partition 0: "0 2:x": "2:x" is not index:value`, []string{"--train", bad, "--format", "libsvm"}},
		{2, "--sparse is about lists", []string{"--sparse"}},
		{2, "--test goes with --train", []string{"--test", holes}},
		{2, `--format "csv": give parquet or libsvm`, []string{"--format", "csv"}},
		{2, "elastic-net", []string{"--elastic-net", "2"}},
	} {
		r := run(t, root, "logistic", c.args...)
		if r.status != c.status || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%q: status %d, %q; want %d, %q", c.args, r.status, r.stderr, c.status, c.want)
		}
	}
}

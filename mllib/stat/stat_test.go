package stat_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/stat"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleSummarize() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := rdd.Parallelize(sc, []linalg.Instance{
		{Features: linalg.Dense(1, 0), Weight: 1}, {Features: linalg.Dense(3, 4), Weight: 1}, {Features: linalg.Dense(5, -1), Weight: 2},
	}, 2)
	s, err := stat.Summarize(context.Background(), rows, true)
	fmt.Println(s.Mean, s.Min, s.Max, s.NonZeros, s.Count, err)
	// Output: [3.5 0.5] [1 -1] [5 4] [3 2] 3 <nil>
}

func ExampleNewLabels() {
	l := stat.NewLabels(map[string]int64{"pear": 2, "fig": 7, "apple": 2})
	k, ok := l.Index("pear")
	fmt.Println(l.Names, k, ok)
	// Output: [fig apple pear] 2 true
}

func TestCountLabels(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	l, err := stat.CountLabels(context.Background(), rdd.Parallelize(sc, strings.Split("b a c c b d", " "), 3))
	if err != nil || fmt.Sprint(l.Names, l.Counts) != "[b c a d] [2 2 1 1]" {
		t.Errorf("%+v, %v", l, err)
	}
	if _, ok := l.Index("x"); ok {
		t.Error("an unknown label has a number")
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-12*math.Max(1, math.Abs(want))) {
		t.Errorf("%s is %.17g, want %.17g", what, got, want)
	}
}

// TestSummary compares with numpy, in blocks of both kinds and sizes. The third column's mean is large against its deviation.
func TestSummary(t *testing.T) {
	x := [][]float64{{1, 0, 3e8 + 1}, {2, 0, 3e8 + 2}, {4, 5, 3e8 + 4}, {0, 0, 3e8}}
	w := []float64{1, 2, .5, 3}
	mean := []float64{1.0769230769230769, 0.38461538461538464, 300000001.0769231}
	variance := []float64{2.196428571428572, 2.678571428571428, 2.1964285714285716}
	block := func(sparse bool, from, to int) *linalg.Block {
		d, s := linalg.DenseBlock{Rows: to - from, Cols: 3, Weights: w[from:to]}, linalg.CSRBlock{Rows: to - from, Cols: 3, Start: []int32{0}, Weights: w[from:to]}
		for _, row := range x[from:to] {
			d.F64 = append(d.F64, row...)
			for j, v := range row {
				if v != 0 {
					s.Index, s.Values = append(s.Index, int32(j)), append(s.Values, v)
				}
			}
			s.Start = append(s.Start, int32(len(s.Index)))
		}
		if sparse {
			return &linalg.Block{Sparse: s}
		}
		return &linalg.Block{Dense: d}
	}
	for _, sparse := range []bool{false, true} {
		for cut := range len(x) {
			var s, rest stat.Summary
			for _, err := range []error{s.Add(block(sparse, 0, cut)), rest.Add(block(sparse, cut, len(x))), s.Merge(&rest)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			for j := range 3 {
				near(t, "mean", s.Mean[j], mean[j])
				if v := s.Variance()[j]; math.Abs(v-variance[j]) > 1e-7 {
					t.Errorf("sparse %v, cut at %d: variance %d is %.12g, want %.12g", sparse, cut, j, v, variance[j])
				}
			}
			if fmt.Sprint(s.Min, s.Max, s.NonZeros, s.Count) != "[0 0 3e+08] [4 5 3.00000004e+08] [3 1 4] 4" {
				t.Errorf("sparse %v, cut at %d: %v %v %v %v", sparse, cut, s.Min, s.Max, s.NonZeros, s.Count)
			}
			near(t, "sum of sizes", s.SumAbs[0], 7)
			near(t, "norm", s.NormL2()[1], math.Sqrt(.5*25))
		}
	}
	// A column that does not vary has variance 0, whatever the rounding of its mean.
	var s stat.Summary
	if err := s.AddDense(&linalg.DenseBlock{Rows: 3, Cols: 1, F64: []float64{.1, .1, .1}}); err != nil || s.Variance()[0] != 0 || s.Std()[0] != 0 {
		t.Errorf("a constant column: %v, %v", s.Variance(), err)
	}
	if err := s.AddDense(&linalg.DenseBlock{Rows: 1, Cols: 2, F64: []float64{1, 2}}); err == nil || !strings.Contains(err.Error(), "1 columns, others 2") {
		t.Errorf("other columns: %v", err)
	}
}

func BenchmarkAddDense(b *testing.B) {
	d := linalg.DenseBlock{Rows: 4096, Cols: 28, F32: make([]float32, 4096*28)}
	for i := range d.F32 {
		d.F32[i] = float32(i % 1001)
	}
	var s stat.Summary
	for b.Loop() {
		if err := s.AddDense(&d); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(d.Rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

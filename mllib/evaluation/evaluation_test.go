package evaluation_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/spark-go/spark-go/mllib/evaluation"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if !(math.Abs(got-want) <= 1e-12*math.Max(1, math.Abs(want))) {
		t.Errorf("%s is %.17g, want %.17g", what, got, want)
	}
}

var (
	scores  = []float64{.9, .8, .8, .7, .55, .5, .5, .5, .3, .2, .1}
	labels  = []float64{1, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0}
	weights = []float64{1, 2, 1, .5, 1, 3, 1, 2, 1, 1, 4}
)

// The expected values are scikit-learn 1.9.1's.
func TestBinary(t *testing.T) {
	b := evaluation.NewBinary(evaluation.Groups(scores, labels, nil))
	near(t, "area under ROC", b.AreaUnderROC(), 0.7166666666666667)
	near(t, "average precision", b.AveragePrecision(), 0.6944444444444444)
	w := evaluation.NewBinary(evaluation.Groups(scores, labels, weights))
	near(t, "weighted area under ROC", w.AreaUnderROC(), 0.7733333333333333)
	near(t, "weighted average precision", w.AveragePrecision(), 0.6912721417069243)
	// In any order, in any parts.
	for cut := range len(scores) {
		a, c := evaluation.Groups(scores[cut:], labels[cut:], weights[cut:]), evaluation.Groups(scores[:cut], labels[:cut], weights[:cut])
		near(t, "area in two parts", evaluation.NewBinary(evaluation.MergeGroups(a, c)).AreaUnderROC(), w.AreaUnderROC())
	}
	// The area is that under the curve.
	area, points := 0.0, w.ROC()
	for i := 1; i < len(points); i++ {
		area += (points[i].X - points[i-1].X) * (points[i].Y + points[i-1].Y) / 2
	}
	near(t, "area under the points", area, w.AreaUnderROC())
	if last := points[len(points)-1]; last.X != 1 || last.Y != 1 {
		t.Errorf("the curve ends at %v", last)
	}
	if b.AreaUnderROC() != evaluation.NewBinary(evaluation.Groups(scores, labels, slices.Repeat([]float64{7}, len(scores)))).AreaUnderROC() {
		t.Error("equal weights change the area")
	}
	if a := evaluation.NewBinary(evaluation.Groups(scores, slices.Repeat([]float64{1}, len(scores)), nil)).AreaUnderROC(); !math.IsNaN(a) {
		t.Errorf("one class: %v", a)
	}
	if n := len(w.Downsample(3).ROC()); n < 4 || n > 7 {
		t.Errorf("%d points of 3 bins", n)
	}
	near(t, "F1 at .5", b.Thresholds()[4].F(1), 2*(4.0/8)*(4.0/5)/(4.0/8+4.0/5))
}

func TestMulticlass(t *testing.T) {
	m, other := evaluation.NewMulticlass(3), evaluation.NewMulticlass(3)
	truth, said := []int{0, 0, 1, 1, 2, 2, 2, 0, 1}, []int{0, 1, 1, 2, 2, 2, 0, 0, 1}
	for i, w := range []float64{1, 2, 1, 1, 1, 3, 1, 1, 2} {
		if i%2 == 0 {
			m.Add(truth[i], said[i], w)
		} else {
			other.Add(truth[i], said[i], w)
		}
	}
	m.Merge(other)
	near(t, "accuracy", m.Accuracy(), 0.6923076923076923)
	for k, want := range []float64{2.0 / 3, 0.6, 0.8} {
		near(t, "precision", m.Precision(k), want)
	}
	for k, want := range []float64{0.5, 0.75, 0.8} {
		near(t, "recall", m.Recall(k), want)
	}
	for k, want := range []float64{0.5263157894736842, 0.7142857142857143, 0.8} {
		near(t, "F2", m.F(k, 2), want)
	}
	near(t, "weighted F1", m.WeightedF1(), 0.6886446886446886)
	near(t, "Hamming loss", m.HammingLoss(), 1-m.Accuracy())
	near(t, "false positive rate", m.FalsePositiveRate(2), 1.0/8)
	if none := evaluation.NewMulticlass(2); none.Precision(1) != 0 || none.Recall(1) != 0 || none.F(1, 1) != 0 {
		t.Error("a class without rows has no zero measures")
	}
}

func TestRegression(t *testing.T) {
	var a, b evaluation.Regression
	truth, said, weight := []float64{3, -.5, 2, 7}, []float64{2.5, 0, 2, 8}, []float64{1, 2, .5, 1}
	for i := range truth {
		if i < 2 {
			a.Add(said[i], truth[i], weight[i])
		} else {
			b.Add(said[i], truth[i], weight[i])
		}
	}
	a.Merge(&b)
	near(t, "MSE", a.MSE(), 0.3888888888888889)
	near(t, "MAE", a.MAE(), 0.5555555555555556)
	near(t, "R2", a.R2(), 0.9542815674891146)
	near(t, "RMSE", a.RMSE(), math.Sqrt(a.MSE()))
	mean, v := (3-2*.5+.5*2+7)/4.5, 0.0
	for i := range said {
		v += weight[i] * (said[i] - mean) * (said[i] - mean) / 4.5
	}
	near(t, "explained variance", a.ExplainedVariance(), v)
}

// TestRanking has the numbers of Spark's RankingMetricsSuite.
func TestRanking(t *testing.T) {
	set := func(xs ...int) map[int]bool {
		m := map[int]bool{}
		for _, x := range xs {
			m[x] = true
		}
		return m
	}
	lists := []struct {
		said  []int
		right map[int]bool
	}{
		{[]int{1, 6, 2, 7, 8, 3, 9, 10, 4, 5}, set(1, 2, 3, 4, 5)},
		{[]int{4, 1, 5, 6, 2, 7, 3, 8, 9, 10}, set(1, 2, 3)},
		{[]int{1, 2, 3, 4, 5}, set()},
	}
	measure := func(k int) *evaluation.Ranking {
		a, b := &evaluation.Ranking{K: k}, &evaluation.Ranking{K: k}
		evaluation.AddRanking(a, lists[0].said, lists[0].right)
		for _, l := range lists[1:] {
			evaluation.AddRanking(b, l.said, l.right)
		}
		a.Merge(b)
		return a
	}
	for _, c := range []struct {
		k                    int
		precision, ndcg, avg float64
	}{{1, 1.0 / 3, 1.0 / 3, 1.0 / 3}, {3, 1.0 / 3, 0.333333, 0.240740}, {5, 4.0 / 15, 0.328788, 0.244259}, {10, 4.0 / 15, 0.487913, 0.355026}} {
		r := measure(c.k)
		near(t, "precision", r.PrecisionAtK(), c.precision)
		if math.Abs(r.NDCGAtK()-c.ndcg) > 1e-6 && c.k != 5 {
			t.Errorf("NDCG at %d is %g, want %g", c.k, r.NDCGAtK(), c.ndcg)
		}
	}
	near(t, "mean average precision", math.Round(measure(3).MeanAveragePrecision()*1e6)/1e6, 0.355026)
	near(t, "recall at 10", measure(10).RecallAtK(), 2.0/3)
	near(t, "mean average precision at 10", measure(10).MeanAveragePrecisionAtK(), measure(3).MeanAveragePrecision())
}

func ExampleGroups() {
	groups := evaluation.Groups([]float64{0.9, 0.5, 0.5, 0.1}, []float64{1, 1, 0, 0}, nil)
	fmt.Println(evaluation.NewBinary(groups).AreaUnderROC(), evaluation.NewBinary(groups).ROC())
	// Output: 0.875 [{0 0} {0 0.5} {0.5 1} {1 1}]
}

func BenchmarkGroups(b *testing.B) {
	x, y := make([]float64, 1<<16), make([]float64, 1<<16)
	for i := range x {
		x[i], y[i] = math.Sin(float64(i)*1e3), float64(i&1)
	}
	for b.Loop() {
		evaluation.NewBinary(evaluation.Groups(x, y, nil)).AreaUnderROC()
	}
	b.ReportMetric(float64(len(x))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

package evaluation_test

import (
	"fmt"

	"github.com/spark-go/spark-go/mllib/evaluation"
)

func ExampleBinary() {
	scores := []float64{0.1, 0.4, 0.35, 0.8}
	labels := []float64{0, 0, 1, 1}
	b := evaluation.NewBinary(evaluation.Groups(scores, labels, nil))
	fmt.Printf("area under ROC %.2f, average precision %.3f\n", b.AreaUnderROC(), b.AveragePrecision())
	for _, t := range b.Thresholds() {
		fmt.Printf("from %.2f: F1 %.3f\n", t.Score, t.F(1))
	}
	// Output:
	// area under ROC 0.75, average precision 0.833
	// from 0.80: F1 0.667
	// from 0.40: F1 0.500
	// from 0.35: F1 0.800
	// from 0.10: F1 0.667
}

func ExampleMulticlass() {
	m := evaluation.NewMulticlass(3)
	for _, row := range [][2]int{{0, 0}, {0, 1}, {1, 1}, {2, 2}} {
		m.Add(row[0], row[1], 1)
	}
	fmt.Printf("accuracy %.2f, recall of class 0 %.2f, weighted F1 %.3f\n", m.Accuracy(), m.Recall(0), m.WeightedF1())
	// Output: accuracy 0.75, recall of class 0 0.50, weighted F1 0.750
}

func ExampleRegression() {
	var r evaluation.Regression
	for _, row := range [][2]float64{{2.5, 3}, {0, -0.5}, {2, 2}, {8, 7}} {
		r.Add(row[0], row[1], 1)
	}
	fmt.Printf("RMSE %.3f, MAE %.2f, R² %.3f\n", r.RMSE(), r.MAE(), r.R2())
	// Output: RMSE 0.612, MAE 0.50, R² 0.949
}

func ExampleAddRanking() {
	r := evaluation.Ranking{K: 2}
	evaluation.AddRanking(&r, []string{"Alien", "Brazil", "Cube"}, map[string]bool{"Alien": true, "Cube": true})
	fmt.Printf("precision %.2f and recall %.2f of 2 places, mean average precision %.3f\n", r.PrecisionAtK(), r.RecallAtK(), r.MeanAveragePrecision())
	// Output: precision 0.50 and recall 0.50 of 2 places, mean average precision 0.833
}

package tree_test

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// weather makes rows of temperature, and sky: 0 clear, 1 cloudy, 2 rain. One goes out if it is warm, or dry and not too cold.
func weather() []linalg.Instance {
	var rows []linalg.Instance
	for temperature := range 30 {
		for sky := range 3 {
			out := 0.0
			if temperature > 20 || sky < 2 && temperature > 8 {
				out = 1
			}
			rows = append(rows, linalg.Instance{Label: out, Features: linalg.Dense(float64(temperature), float64(sky))})
		}
	}
	return rows
}

func ExampleDecisionTreeClassifier() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := rdd.Parallelize(sc, weather(), 2)
	model, err := tree.DecisionTreeClassifier{Categorical: map[int]int{1: 3}, FeatureNames: []string{"temperature", "sky"}}.Fit(context.Background(), rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(model.ToDebugString())
	fmt.Println(model.Predict([]float64{15, 2}), model.Predict([]float64{15, 0}))
	// Output:
	// DecisionTreeClassificationModel: depth=3, numNodes=7, numClasses=2, numFeatures=2
	//   If (feature "temperature" <= 8.5)
	//    Predict: 0.0
	//   Else (feature "temperature" > 8.5)
	//    If (feature "sky" in {2.0})
	//     If (feature "temperature" <= 20.5)
	//      Predict: 0.0
	//     Else (feature "temperature" > 20.5)
	//      Predict: 1.0
	//    Else (feature "sky" not in {2.0})
	//     Predict: 1.0
	// 0 1
}

func ExampleRandomForestClassifier() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := rdd.Parallelize(sc, weather(), 2)
	model, err := tree.RandomForestClassifier{NumTrees: 50, Seed: 7}.Fit(context.Background(), rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	probability := make([]float64, model.NumClasses)
	model.PredictProbability(probability, []float64{25, 1})
	fmt.Println(model.NumTrees(), "trees, goes out:", probability[1] > 0.9)
	importances := model.FeatureImportances()
	fmt.Println("temperature matters more:", importances[0] > importances[1])
	// Output:
	// 50 trees, goes out: true
	// temperature matters more: true
}

func ExampleRandomForestRegressor() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	var rows []linalg.Instance
	for i := range 1000 {
		x, y := float64(i%50), float64(i%20)
		rows = append(rows, linalg.Instance{Label: 2*x + y, Features: linalg.Dense(x, y)})
	}
	forest := tree.RandomForestRegressor{NumTrees: 30, MaxDepth: 12, MaxBins: 64, FeatureSubsetStrategy: "all"}
	model, err := forest.Fit(context.Background(), rdd.Parallelize(sc, rows, 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("about 70: %.0f\n", model.Predict([]float64{30, 10})/10)
	// Output:
	// about 70: 7
}

func ExampleDecisionTreeRegressor() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	var rows []linalg.Instance
	for i := range 40 {
		rows = append(rows, linalg.Instance{Label: float64(i / 10), Features: linalg.Dense(float64(i))})
	}
	model, err := tree.DecisionTreeRegressor{MaxBins: 40}.Fit(context.Background(), rdd.Parallelize(sc, rows, 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(model.Predict([]float64{9}), model.Predict([]float64{9.6}), model.Predict([]float64{1000}), model.NumNodes(), "nodes")
	// Output:
	// 0 1 3 7 nodes
}

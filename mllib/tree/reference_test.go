package tree

import (
	"context"
	"fmt"
	"math"
	"testing"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// asked3 is a node of a tree of scikit-learn: feature, threshold and weight of the rows; or -1, prediction and weight.
type asked3 struct {
	feature   int32
	threshold float64
	weight    float64
}

// reference is what scikit-learn 1.9.1 makes of planted(4000), its depth 4 and at least 20 rows a leaf (3 for variance), with leaves
// that predict the same merged as Spark does. Thresholds of the feature with 500 values lie between the values that the node has, ours
// between those of all rows, so they may differ by a little; the weights of the nodes may not.
var reference = []struct {
	impurity    string
	weighted    bool
	nodes       []asked3
	predictions []float64
	first       []float64 // probabilities of row 0
	importances []float64 // before merging
	score       float64   // accuracy or R²
}{
	{
		impurity: "gini",
		nodes: []asked3{
			{0, 11.5, 4000},
			{1, 6.5, 2364},
			{2, 119.5, 1625},
			{-1, 1, 386},
			{-1, 0, 1239},
			{2, 110.5, 739},
			{4, 1.5, 159},
			{-1, 1, 24},
			{-1, 2, 135},
			{-1, 2, 580},
			{-1, 1, 1636},
		},
		predictions: []float64{1, 1, 0, 0, 0, 1, 0, 1}, score: 0.7975,
	},
	{
		impurity: "entropy",
		nodes: []asked3{
			{0, 11.5, 4000},
			{1, 6.5, 2364},
			{2, 119.5, 1625},
			{-1, 1, 386},
			{-1, 0, 1239},
			{2, 117.5, 739},
			{4, 1.5, 170},
			{-1, 1, 24},
			{-1, 2, 146},
			{-1, 2, 569},
			{-1, 1, 1636},
		},
		predictions: []float64{1, 1, 0, 0, 0, 1, 0, 1}, score: 0.7975,
	},
	{
		impurity: "gini", weighted: true,
		nodes: []asked3{
			{0, 11.5, 7991},
			{1, 6.5, 4700},
			{2, 119.5, 3232},
			{-1, 1, 789},
			{-1, 0, 2443},
			{2, 110.5, 1468},
			{4, 1.5, 314},
			{-1, 1, 50},
			{-1, 2, 264},
			{-1, 2, 1154},
			{-1, 1, 3291},
		},
		predictions: []float64{1, 1, 0, 0, 0, 1, 0, 1}, score: 0.7996496058065323,
	},
	{
		impurity: "variance",
		nodes: []asked3{
			{1, 4.5, 4000},
			{0, 9.5, 1960},
			{0, 4.5, 945},
			{-1, 6.34838709677, 465},
			{-1, 21.6458333333, 480},
			{0, 14.5, 1015},
			{-1, 36.9746588694, 513},
			{-1, 52.0896414343, 502},
			{2, 243.5, 2040},
			{0, 9.5, 1011},
			{-1, 32.0902105862, 502},
			{-1, 62.1181588549, 509},
			{0, 9.5, 1029},
			{-1, 68.4561688312, 528},
			{-1, 97.7986883376, 501},
		},
		predictions: []float64{
			62.11815885489756, 21.645833333333332, 21.645833333333332, 68.45616883116882, 6.348387096774194, 52.08964143426295,
			21.645833333333332, 36.97465886939571,
		},
		importances: []float64{0.3488875864688658, 0.4292720219218776, 0.22184039160925667, 0, 0}, score: 0.8818734763045394,
	},
}

// TestScikitLearn holds single trees to scikit-learn's.
func TestScikitLearn(t *testing.T) {
	sc := local(t, "local[2]")
	ctx := context.Background()
	for _, r := range reference {
		t.Run(fmt.Sprint(r.impurity, r.weighted), func(t *testing.T) {
			rows := planted(4000)
			s := Settings{MaxDepth: 4, MinInstancesPerNode: 20, MaxBins: 512, Impurity: r.impurity, Weighted: r.weighted}
			var f *Forest
			var predict func([]float64) float64
			if r.impurity == "variance" {
				s.MaxDepth = 3
				for i := range rows {
					x := rows[i].Features.Values
					rows[i].Label += 3 * x[0]
					if x[1] > 4 {
						rows[i].Label += x[2] / 7
					}
				}
				m, err := DecisionTreeRegressor(s).Fit(ctx, rdd.Parallelize(sc, rows, 3))
				if err != nil {
					t.Fatal(err)
				}
				f, predict = &m.Forest, m.Predict
			} else {
				m, err := DecisionTreeClassifier(s).Fit(ctx, rdd.Parallelize(sc, rows, 3))
				if err != nil {
					t.Fatal(err)
				}
				f, predict = &m.Forest, m.Predict
			}
			if len(f.Nodes) != len(r.nodes) {
				t.Fatalf("%d nodes, want %d", len(f.Nodes), len(r.nodes))
			}
			for i, want := range r.nodes {
				n, info := f.Nodes[i], f.Infos[i]
				ok := n.Feature == want.feature && info.Weight == want.weight
				if want.feature < 0 {
					ok = ok && math.Abs(info.Prediction-want.threshold) < 1e-9
				} else {
					ok = ok && math.Abs(n.Threshold-want.threshold) <= 1
				}
				if !ok {
					t.Errorf("node %d is %+v %+v, want %+v", i, n, info, want)
				}
			}
			score, squares, mean, variance := 0.0, 0.0, 0.0, 0.0
			total := 0.0
			for i := range rows {
				w := 1.0
				if r.weighted {
					w = rows[i].Weight
				}
				total += w
				mean += w * rows[i].Label
				p := predict(rows[i].Features.Values)
				if i < len(r.predictions) && math.Abs(p-r.predictions[i]) > 1e-9 {
					t.Errorf("row %d is predicted %v, want %v", i, p, r.predictions[i])
				}
				if p == rows[i].Label {
					score += w
				}
				squares += w * (p - rows[i].Label) * (p - rows[i].Label)
			}
			mean /= total
			for i := range rows {
				variance += (rows[i].Label - mean) * (rows[i].Label - mean)
			}
			if score /= total; r.impurity == "variance" {
				score = 1 - squares/variance
				for i, x := range f.FeatureImportances() {
					if math.Abs(x-r.importances[i]) > 1e-9 {
						t.Errorf("importance of feature %d is %v, want %v", i, x, r.importances[i])
					}
				}
			}
			if math.Abs(score-r.score) > 1e-9 {
				t.Errorf("score %v, want %v", score, r.score)
			}
		})
	}
}

// TestWeightsAreCopies trains on rows of weight k and on k copies of each.
func TestWeightsAreCopies(t *testing.T) {
	sc := local(t, "local[2]")
	ctx := context.Background()
	rows := planted(3000)
	var copies []linalg.Instance
	for _, r := range rows {
		for range int(r.Weight) {
			copies = append(copies, r)
		}
	}
	for _, regression := range []bool{false, true} {
		if regression {
			// Labels without ties: where two splits are equally good, the last bit of a sum decides.
			for _, rows := range [][]linalg.Instance{rows, copies} {
				for i := range rows {
					x := rows[i].Features.Values
					rows[i].Label += math.Sqrt(x[0]+3*x[1]+x[2]) + math.Sin(x[3]+7*x[4])
				}
			}
		}
		s := Settings{MaxDepth: 7, Weighted: true, Categorical: map[int]int{3: 6, 4: 12}, MaxMemoryInMB: 1}
		var a, b *Forest
		var err error
		for i, data := range [][]linalg.Instance{rows, copies} {
			s.Weighted = i == 0
			to := []**Forest{&a, &b}[i]
			if regression {
				var m *RegressionModel
				m, err = DecisionTreeRegressor(s).Fit(ctx, rdd.Parallelize(sc, data, 2))
				if err == nil {
					*to = &m.Forest
				}
			} else {
				var m *ClassificationModel
				m, err = DecisionTreeClassifier(s).Fit(ctx, rdd.Parallelize(sc, data, 2))
				if err == nil {
					*to = &m.Forest
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(a.Nodes) != len(b.Nodes) || len(a.Nodes) < 20 {
			t.Fatalf("regression %v: %d nodes with weights, %d with copies", regression, len(a.Nodes), len(b.Nodes))
		}
		for i := range a.Nodes {
			if a.Nodes[i].Feature != b.Nodes[i].Feature || a.Infos[i].Weight != b.Infos[i].Weight || math.Abs(a.Infos[i].Prediction-b.Infos[i].Prediction) > 1e-9 {
				t.Errorf("regression %v: node %d is %+v %+v with weights, %+v %+v with copies", regression, i, a.Nodes[i], a.Infos[i], b.Nodes[i], b.Infos[i])
			}
		}
	}
}

// TestForestOfOneTree holds a forest without chance to a single tree.
func TestForestOfOneTree(t *testing.T) {
	sc := local(t, "local[2]")
	ctx := context.Background()
	data := rdd.Parallelize(sc, planted(3000), 2)
	s := Settings{NumTrees: 4, MaxDepth: 6, NoBootstrap: true, FeatureSubsetStrategy: "all", Categorical: map[int]int{3: 6}}
	forest, err := RandomForestClassifier(s).Fit(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	s.NumTrees = 0
	single, err := DecisionTreeClassifier(s).Fit(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	n := single.NumNodes()
	s.NumTrees = 1
	one, err := RandomForestClassifier(s).Fit(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	if one.ToDebugString() != single.ToDebugString() || n < 20 {
		t.Errorf("the tree of the forest is not the single one:\n%s\n%s", one.ToDebugString(), single.ToDebugString())
	}
	// In forests leaves that predict the same are not merged.
	if m := forest.NumNodes() / 4; m <= n || forest.NumNodes() != 4*m {
		t.Errorf("4 trees have %d nodes, a single one %d", forest.NumNodes(), n)
	}
	for _, r := range planted(3000) {
		if a, b := forest.Predict(r.Features.Values), single.Predict(r.Features.Values); a != b {
			t.Fatalf("the forest predicts %v for %v, the single tree %v", a, r, b)
		}
	}
}

package pipeline

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// estimator is a stage that trains what predicts.
type estimator interface {
	Stage
	columns() target
	// train trains on rows of features. Classes name the labels 0, 1, 2, …
	train(ctx context.Context, rows rdd.RDD[linalg.Instance], features []element, classes []string) (predictor any, err error)
}

// target is the names of the columns of an estimator; empty ones do not exist.
type target struct {
	features, label, weight string
	classes                 bool   // labels are classes
	checkpoints             string // directory where the state of a training is saved; empty for none
}

// LogisticRegression is logistic regression as the last stage of a pipeline.
type LogisticRegression struct {
	Features string // column of features, a vector or a number; default "features"
	// Label is the column of classes; default "label". Texts are numbered by how often they occur, the most frequent is class 0 and equally frequent ones are in the order of the alphabet;
	// numbers are numbered by their size. So the labels 0, 1, 2, … are the numbers of their classes.
	Label  string
	Weight string // column of the rows' weights; default none: each is 1
	// Settings are those of the training. FeatureNames, LabelNames, NumClasses and Weighted follow from the columns.
	Settings classification.LogisticRegression
}

func (e *LogisticRegression) kind() string { return "LogisticRegression" }

func (e *LogisticRegression) clone() Stage {
	c := *e
	return &c
}

func (e *LogisticRegression) check() error {
	defaultColumns(&e.Features, &e.Label)
	return e.Settings.Check()
}

func (e *LogisticRegression) columns() target {
	return target{e.Features, e.Label, e.Weight, true, e.Settings.CheckpointDir}
}

func (e *LogisticRegression) train(ctx context.Context, rows rdd.RDD[linalg.Instance], features []element, classes []string) (any, error) {
	s := e.Settings
	s.FeatureNames, s.LabelNames, s.NumClasses, s.Weighted = elementNames(features), classes, len(classes), e.Weight != ""
	return s.Fit(ctx, rows)
}

// RandomForestClassifier is a random forest that predicts classes, as the last stage of a pipeline. Numbers that a StringIndexer made are categories to it, also through a VectorAssembler: Settings.MaxBins must
// be at least their number.
type RandomForestClassifier struct {
	Features, Label, Weight string // as in [LogisticRegression]
	// Settings are those of the training. FeatureNames, Categorical, NumClasses and Weighted follow from the columns.
	Settings tree.RandomForestClassifier
}

func (e *RandomForestClassifier) kind() string { return "RandomForestClassifier" }

func (e *RandomForestClassifier) clone() Stage {
	c := *e
	return &c
}

func (e *RandomForestClassifier) check() error {
	defaultColumns(&e.Features, &e.Label)
	return e.Settings.Check()
}

func (e *RandomForestClassifier) columns() target {
	return target{e.Features, e.Label, e.Weight, true, e.Settings.CheckpointDir}
}

func (e *RandomForestClassifier) train(ctx context.Context, rows rdd.RDD[linalg.Instance], features []element, classes []string) (any, error) {
	s := e.Settings
	s.FeatureNames, s.Categorical, s.NumClasses, s.Weighted = elementNames(features), categorical(features), len(classes), e.Weight != ""
	return fitTrees(ctx, rows, s.FitColumns)
}

// RandomForestRegressor is a random forest that predicts a number, as the last stage of a pipeline.
type RandomForestRegressor struct {
	Features, Label, Weight string // as in [RandomForestClassifier], but labels are numbers
	// Settings are those of the training. FeatureNames, Categorical and Weighted follow from the columns.
	Settings tree.RandomForestRegressor
}

func (e *RandomForestRegressor) kind() string { return "RandomForestRegressor" }

func (e *RandomForestRegressor) clone() Stage {
	c := *e
	return &c
}

func (e *RandomForestRegressor) check() error {
	defaultColumns(&e.Features, &e.Label)
	return e.Settings.Check()
}

func (e *RandomForestRegressor) columns() target {
	return target{e.Features, e.Label, e.Weight, false, e.Settings.CheckpointDir}
}

func (e *RandomForestRegressor) train(ctx context.Context, rows rdd.RDD[linalg.Instance], features []element, _ []string) (any, error) {
	s := e.Settings
	s.FeatureNames, s.Categorical, s.Weighted = elementNames(features), categorical(features), e.Weight != ""
	return fitTrees(ctx, rows, s.FitColumns)
}

// fitTrees keeps rows as columns while a forest grows on them.
func fitTrees[M any](ctx context.Context, rows rdd.RDD[linalg.Instance], fit func(context.Context, rdd.RDD[tree.Columns]) (M, error)) (any, error) {
	columns := tree.ColumnsOf(rows).Persist(rdd.MemoryAndDisk)
	defer func() { _ = columns.Unpersist(context.WithoutCancel(ctx), false) }()
	return fit(ctx, columns)
}

// KMeans is k-means as the last stage of a pipeline. It has no labels.
type KMeans struct {
	Features string // column of points; default "features"
	Weight   string // column of the points' weights; default none: each is 1
	Settings clustering.KMeans
}

func (e *KMeans) kind() string { return "KMeans" }

func (e *KMeans) clone() Stage {
	c := *e
	return &c
}

func (e *KMeans) check() error {
	defaultColumns(&e.Features, nil)
	return e.Settings.Check()
}

func (e *KMeans) columns() target {
	return target{features: e.Features, weight: e.Weight, checkpoints: e.Settings.CheckpointDir}
}

func (e *KMeans) train(ctx context.Context, rows rdd.RDD[linalg.Instance], _ []element, _ []string) (any, error) {
	return e.Settings.FitBlocks(ctx, feature.Pack(rows, e.Weight != "", e.Settings.MaxBlockBytes))
}

func defaultColumns(features, label *string) {
	if *features == "" {
		*features = featuresColumn
	}
	if label != nil && *label == "" {
		*label = labelColumn
	}
}

func elementNames(features []element) []string {
	names := make([]string, len(features))
	for i, e := range features {
		names[i] = e.Name
	}
	return names
}

func categorical(features []element) map[int]int {
	all := map[int]int{}
	for i, e := range features {
		if e.Categories > 0 {
			all[i] = e.Categories
		}
	}
	return all
}

// predict sets what a trained estimator predicts of a row. Probabilities are appended to those of out, cut to none.
func predict(predictor any, x []float64, out *Prediction) {
	out.Probabilities = out.Probabilities[:0]
	switch m := predictor.(type) {
	case *classification.Model:
		v := linalg.Vector{Size: len(x), Values: x}
		out.Value = m.Predict(v)
		out.Probabilities = m.PredictProba(v, out.Probabilities)
	case *tree.ClassificationModel:
		if cap(out.Probabilities) < m.NumClasses {
			out.Probabilities = make([]float64, m.NumClasses)
		}
		out.Probabilities = out.Probabilities[:m.NumClasses]
		m.PredictProbability(out.Probabilities, x)
		out.Value = m.Predict(x)
	case *tree.RegressionModel:
		out.Value = m.Predict(x)
	case *clustering.Model:
		out.Value = float64(m.Predict(x))
	}
}

// shapeOf is how many features a trained estimator takes, and how many classes it has.
func shapeOf(predictor any) (features, classes int, err error) {
	switch m := predictor.(type) {
	case *classification.Model:
		return m.NumFeatures, m.NumClasses, nil
	case *tree.ClassificationModel:
		return m.NumFeatures, m.NumClasses, nil
	case *tree.RegressionModel:
		return m.NumFeatures, 0, nil
	case *clustering.Model:
		return m.Dim, 0, nil
	}
	return 0, 0, fmt.Errorf("%T is no trained estimator", predictor)
}

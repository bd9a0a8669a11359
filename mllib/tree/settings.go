package tree

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Settings are the parameters that all trainers of this package share: RandomForestClassifier, RandomForestRegressor,
// DecisionTreeClassifier and DecisionTreeRegressor are Settings that say what to train. The zero value of a field is its default, which
// is Spark's; where zero itself is meant, see the field.
//
// There is no CacheNodeIDs: where a row stands in a tree is kept beside the row's block, and found again from the tree itself where that
// was lost, so that no lineage grows.
type Settings struct {
	// NumTrees is how many trees a forest has; default 20. Single trees have one.
	NumTrees int
	// MaxDepth is the most splits on the way to a leaf; default 5, at most 4096. A negative value means 0: a single leaf.
	MaxDepth int
	// MaxBins is the most intervals that a numeric feature is cut into, and the most categories that one may have; default 32, at least
	// 2, at most 65536. Up to 256 a cell of the training data takes a byte, then two.
	MaxBins int
	// MinInstancesPerNode is the fewest rows, bootstrap copies counted, of either side of a split; default 1.
	MinInstancesPerNode int
	// MinWeightFractionPerNode is the least weight of either side of a split as a share of all weight; default 0, below 0.5.
	MinWeightFractionPerNode float64
	// MinInfoGain is the least a split must gain; default 0. A split that gains nothing is never made.
	MinInfoGain float64
	// SubsamplingRate is the share of the rows that a tree sees; default 1. With bootstrap each row counts a Poisson distributed number
	// of times with this mean, without it a row is in with this probability.
	SubsamplingRate float64
	// NoBootstrap draws without replacement: with a rate of 1 every tree sees every row once. Single trees always do.
	NoBootstrap bool
	// FeatureSubsetStrategy says how many features each node chooses from: "auto" (default; all for a single tree, else sqrt for
	// classes and onethird for numbers), "all", "sqrt", "log2", "onethird", a whole number n, or a fraction in (0, 1]. Broken
	// numbers are rounded up.
	FeatureSubsetStrategy string
	// Impurity is "gini" (default) or "entropy" for classes, and "variance" for numbers.
	Impurity string
	// MaxMemoryInMB bounds what a step holds in one place: training data up to this size is given to each executor, whose tasks grow
	// whole trees; larger data stays where it is, and the nodes of a level are split in groups whose histograms take no more; default 256.
	// For classes without weights it is also held to the memory of the executors, since that changes no bit of the model.
	MaxMemoryInMB int
	// Seed is of the bootstrap and of the feature subsets; default 42.
	Seed int64
	// NumClasses is the number of classes; default one more than the largest label.
	NumClasses int
	// Categorical says which features, by number, are categories 0, 1, … and how many. All others are numeric.
	Categorical map[int]int
	// FeatureNames are for errors and ToDebugString; default "feature 0", "feature 1", …
	FeatureNames []string
	// Weighted says that rows' weights count. They are ignored otherwise.
	Weighted bool
	// Thresholds, one for each class, adjust what the model predicts: the class with the largest probability ÷ threshold. Default none.
	Thresholds []float64
	// CheckpointDir is a directory on any file system where finished trees are saved, as forest.checkpoint, whenever CheckpointInterval more
	// of them are there. A Fit with the same settings on the same rows, in the same partitions where these are too large for MaxMemoryInMB,
	// grows the missing ones, with the same result; another one is refused, but NumTrees may differ unless a forest
	// of numbers grows level by level. The file is removed when the model is
	// there. Default none, but for
	// programs with spark.checkpoint.dir, whose fits are kept there.
	CheckpointDir string `json:",omitempty"`
	// CheckpointInterval is how many more trees make a new checkpoint; default 10; -1 never. The whole file is written each time: large
	// forests of deep trees want more.
	CheckpointInterval int `json:",omitempty"`
}

// RandomForestClassifier trains a forest that predicts classes 0, 1, … (org.apache.spark.ml.classification.RandomForestClassifier).
type RandomForestClassifier Settings

// RandomForestRegressor trains a forest that predicts a number (org.apache.spark.ml.regression.RandomForestRegressor).
type RandomForestRegressor Settings

// DecisionTreeClassifier trains a single tree that predicts classes (org.apache.spark.ml.classification.DecisionTreeClassifier): a
// forest of one tree that sees every row and every feature.
type DecisionTreeClassifier Settings

// DecisionTreeRegressor trains a single tree that predicts a number (org.apache.spark.ml.regression.DecisionTreeRegressor).
type DecisionTreeRegressor Settings

// Fit trains on rows, which it reads twice: persist them where they are dear to compute. Labels are whole numbers from 0.
func (c RandomForestClassifier) Fit(ctx context.Context, rows rdd.RDD[linalg.Instance]) (*ClassificationModel, error) {
	return c.FitColumns(ctx, ColumnsOf(rows))
}

// FitColumns trains on rows that come column by column.
func (c RandomForestClassifier) FitColumns(ctx context.Context, batches rdd.RDD[Columns]) (*ClassificationModel, error) {
	return fitClasses(ctx, "RandomForestClassifier", Settings(c), batches)
}

// Fit trains on rows, which it reads twice: persist them where they are dear to compute.
func (r RandomForestRegressor) Fit(ctx context.Context, rows rdd.RDD[linalg.Instance]) (*RegressionModel, error) {
	return r.FitColumns(ctx, ColumnsOf(rows))
}

// FitColumns trains on rows that come column by column.
func (r RandomForestRegressor) FitColumns(ctx context.Context, batches rdd.RDD[Columns]) (*RegressionModel, error) {
	return fitNumbers(ctx, "RandomForestRegressor", Settings(r), batches)
}

// Fit trains on rows, which it reads twice: persist them where they are dear to compute. Labels are whole numbers from 0.
func (c DecisionTreeClassifier) Fit(ctx context.Context, rows rdd.RDD[linalg.Instance]) (*ClassificationModel, error) {
	return c.FitColumns(ctx, ColumnsOf(rows))
}

// FitColumns trains on rows that come column by column.
func (c DecisionTreeClassifier) FitColumns(ctx context.Context, batches rdd.RDD[Columns]) (*ClassificationModel, error) {
	s, err := single("DecisionTreeClassifier", Settings(c))
	if err != nil {
		return nil, err
	}
	return fitClasses(ctx, "DecisionTreeClassifier", s, batches)
}

// Fit trains on rows, which it reads twice: persist them where they are dear to compute.
func (r DecisionTreeRegressor) Fit(ctx context.Context, rows rdd.RDD[linalg.Instance]) (*RegressionModel, error) {
	return r.FitColumns(ctx, ColumnsOf(rows))
}

// FitColumns trains on rows that come column by column.
func (r DecisionTreeRegressor) FitColumns(ctx context.Context, batches rdd.RDD[Columns]) (*RegressionModel, error) {
	s, err := single("DecisionTreeRegressor", Settings(r))
	if err != nil {
		return nil, err
	}
	return fitNumbers(ctx, "DecisionTreeRegressor", s, batches)
}

// Check tells what is wrong with the settings, as Fit does.
func (c RandomForestClassifier) Check() error {
	_, err := Settings(c).withDefaults("RandomForestClassifier", true)
	return err
}

// Check tells what is wrong with the settings, as Fit does.
func (r RandomForestRegressor) Check() error {
	_, err := Settings(r).withDefaults("RandomForestRegressor", false)
	return err
}

// single makes a forest's settings of a single tree's.
func single(name string, s Settings) (Settings, error) {
	if s.NumTrees > 1 {
		return s, fmt.Errorf("tree.%s: NumTrees is %d: a single tree has one; train a forest for more", name, s.NumTrees)
	}
	s.NumTrees, s.NoBootstrap = 1, true
	return s, nil
}

// defaulted is v, or def if v is zero.
func defaulted[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// withDefaults fills in the defaults and checks the ranges; classes tells whether labels are classes.
func (s Settings) withDefaults(name string, classes bool) (Settings, error) {
	defaulted(&s.NumTrees, 20)
	defaulted(&s.MaxDepth, 5)
	defaulted(&s.MaxBins, 32)
	defaulted(&s.MinInstancesPerNode, 1)
	defaulted(&s.SubsamplingRate, 1)
	defaulted(&s.FeatureSubsetStrategy, "auto")
	defaulted(&s.MaxMemoryInMB, 256)
	defaulted(&s.Seed, 42)
	defaulted(&s.CheckpointInterval, checkpoint.Interval)
	s.MaxDepth = max(s.MaxDepth, 0)
	allowed := []string{"variance"}
	if classes {
		allowed = []string{"gini", "entropy"}
	}
	defaulted(&s.Impurity, allowed[0])
	for _, p := range []struct {
		name     string
		v        int
		min, max int
	}{
		{"NumTrees", s.NumTrees, 1, math.MaxInt32},
		{"MaxDepth", s.MaxDepth, 0, 4096},
		{"MaxBins", s.MaxBins, 2, 1 << 16},
		{"MinInstancesPerNode", s.MinInstancesPerNode, 1, math.MaxInt},
		{"MaxMemoryInMB", s.MaxMemoryInMB, 1, 1 << 30},
		{"NumClasses", s.NumClasses, 0, 1 << 16},
	} {
		if p.v < p.min || p.v > p.max {
			return s, fmt.Errorf("tree.%s: %s is %d: give one from %d to %d", name, p.name, p.v, p.min, p.max)
		}
	}
	if err := checkpoint.Check(s.CheckpointDir, s.CheckpointInterval); err != nil {
		return s, fmt.Errorf("tree.%s: %w", name, err)
	}
	switch {
	case !(s.MinWeightFractionPerNode >= 0 && s.MinWeightFractionPerNode < 0.5):
		return s, fmt.Errorf("tree.%s: MinWeightFractionPerNode is %v: give one from 0 to below 0.5", name, s.MinWeightFractionPerNode)
	case !(s.MinInfoGain >= 0) || math.IsInf(s.MinInfoGain, 0):
		return s, fmt.Errorf("tree.%s: MinInfoGain is %v: give a finite number, at least 0", name, s.MinInfoGain)
	case !(s.SubsamplingRate > 0 && s.SubsamplingRate <= 1):
		return s, fmt.Errorf("tree.%s: SubsamplingRate is %v: give one above 0 and at most 1", name, s.SubsamplingRate)
	case s.Impurity != allowed[0] && s.Impurity != allowed[len(allowed)-1]:
		return s, fmt.Errorf("tree.%s: Impurity is %q: give one of %q", name, s.Impurity, allowed)
	case !classes && (s.NumClasses != 0 || s.Thresholds != nil):
		return s, fmt.Errorf("tree.%s: NumClasses and Thresholds are for classes: leave them out", name)
	}
	for f, arity := range s.Categorical {
		if f < 0 || arity < 1 {
			return s, fmt.Errorf("tree.%s: Categorical says that feature %d has %d categories: features count from 0, categories from 1", name, f, arity)
		}
	}
	for c, t := range s.Thresholds {
		if !(t >= 0) || math.IsInf(t, 0) {
			return s, fmt.Errorf("tree.%s: Thresholds has %v for class %d: give finite numbers, at least 0", name, t, c)
		}
	}
	_, err := s.subset(name, 1, classes)
	return s, err
}

// subset is how many of n features each node chooses from.
func (s Settings) subset(name string, n int, classes bool) (int, error) {
	strategy := s.FeatureSubsetStrategy
	if strategy == "auto" {
		switch {
		case s.NumTrees == 1:
			strategy = "all"
		case classes:
			strategy = "sqrt"
		default:
			strategy = "onethird"
		}
	}
	x := float64(n)
	switch strategy {
	case "all":
		return n, nil
	case "sqrt":
		x = math.Sqrt(x)
	case "log2":
		x = math.Log2(x)
	case "onethird":
		x /= 3
	default:
		if k, err := strconv.Atoi(strategy); err == nil && k > 0 {
			return min(k, n), nil
		}
		share, err := strconv.ParseFloat(strategy, 64)
		if err != nil || !(share > 0 && share <= 1) {
			return 0, fmt.Errorf("tree.%s: FeatureSubsetStrategy is %q: give auto, all, sqrt, log2, onethird, a whole number above 0, or a fraction above 0 and at most 1", name, strategy)
		}
		x *= share
	}
	return min(max(int(math.Ceil(x)), 1), n), nil
}

// Package classification trains models that tell classes apart.
//
// # Logistic regression
//
// The probability of a class is a sigmoid of a linear function of the features, or with more than two classes a softmax of one function for each. Fit minimises
//
//	1/Σw · Σ w·loss(row)  +  RegParam · (ElasticNetParam·|β|₁ + (1-ElasticNetParam)/2·|β|₂²)
//
// over the coefficients β and the intercepts, which are not penalised: the objective of Spark's org.apache.spark.ml.classification.LogisticRegression. With
// standardization, Spark's default, the penalty is on the coefficients of features scaled to a standard deviation of 1 (unbiased, weighted); the
// model's coefficients are those of the features as they came, either way.
//
// # How it is computed
//
// Rows become blocks of about 1 MiB, dense or sparse, which are cached once. One job looks at all columns (mean, deviation, range, classes); then each evaluation of
// objective and gradient is one job: tasks sum their blocks in order, and a tree merges the partitions' sums in their order. The driver searches along the result: by L-BFGS; with an L1 penalty by
// OWL-QN; with bounds by projected L-BFGS (package optim).
//
// The search runs over centred and scaled features, whatever standardization says, since the minimum is the same and is found sooner. Without L1 and bounds,
// and with up to 512 features, it goes further: a job measures the curvature on a sample of the rows, and the search runs in coordinates in which it is the
// same in all directions; after some iterations it is measured anew. It then takes few iterations whatever the features' correlations, and stops close to the minimum.
//
// # Invariants
//
// The model is a function of the rows, their partitions and order, and the settings: the same bits come out for any number of cores and executors and after any loss.
// Sums are float64. A row that is not finite is an error that names its column, never a model of NaNs. A cancelled context ends the fit at the next block.
package classification

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Family says what distribution labels have.
type Family string

// The families. Auto, the default, is binomial for up to two classes and multinomial for more.
const (
	Auto        Family = "auto"
	Binomial    Family = "binomial"
	Multinomial Family = "multinomial"
)

// LogisticRegression holds the settings. The zero value of each field is Spark's default.
type LogisticRegression struct {
	MaxIter         int     // iterations; default 100; a negative number means 0: the initial model
	RegParam        float64 // λ ≥ 0
	ElasticNetParam float64 // share of L1 in the penalty, from 0 to 1
	// Tol is how small the gradient must become against the objective; default 1e-6. A negative number means 0: go on until rounding hides all progress.
	Tol float64
	// Family is Auto by default. Binomial needs at most two classes; Multinomial takes two as well.
	Family Family
	// NoStandardization puts the penalty on the coefficients as they are (Spark's standardization=false).
	NoStandardization bool
	// NoIntercept leaves the intercepts at zero (Spark's fitIntercept=false).
	NoIntercept bool
	// Weighted makes the weights of rows count: as if a row of weight 2 were there twice. They must be finite and not negative.
	Weighted bool
	// Threshold is the probability above which Predict chooses class 1 of two; default 0.5. Thresholds, one for each class, take
	// its place: the class with the largest probability/threshold wins.
	Threshold  float64
	Thresholds []float64
	// AggregationDepth is the depth of the tree that merges the partitions' sums; default 2.
	AggregationDepth int
	// MaxBlockSizeInMB is the size of the blocks that rows are packed into; default 1.
	MaxBlockSizeInMB float64
	// Bounds of the coefficients, one row for a binomial model and one for each class of a multinomial one, with one number a feature; infinite for none.
	// Those of the intercepts have one number a row. They do not go with L1.
	LowerBoundsOnCoefficients, UpperBoundsOnCoefficients [][]float64
	LowerBoundsOnIntercepts, UpperBoundsOnIntercepts     []float64
	// Initial is the model to start from: one of the same shape, for the same features.
	Initial *Model
	// CheckpointDir is a directory on any file system where the state of the fit is saved every CheckpointInterval iterations, as logistic.checkpoint. A
	// Fit with the same settings on the same rows in the same partitions goes on from there, with the same result; another one is refused. The file is
	// removed when the model is there. Default none, but for
	// programs with spark.checkpoint.dir, whose fits are kept there.
	CheckpointDir string
	// CheckpointInterval is how many iterations lie between checkpoints; default 10; -1 never.
	CheckpointInterval int
	// FeatureNames name the columns, for messages and for the model; optional.
	FeatureNames []string
	// LabelNames name the classes, for the model; optional.
	LabelNames []string
	// NumClasses is how many classes there are, where not all of them occur in the data; default: the largest label and 1.
	NumClasses int
}

const defaultThreshold = 0.5

// Check tells what is wrong with the settings, as Fit does.
func (lr LogisticRegression) Check() error {
	_, err := lr.withDefaults()
	return err
}

// withDefaults fills in the defaults and checks the ranges.
func (lr LogisticRegression) withDefaults() (LogisticRegression, error) {
	bad := func(name string, value any, want string) error {
		return fmt.Errorf("classification.LogisticRegression: %s is %v: give %s", name, value, want)
	}
	defaultInt(&lr.MaxIter, 100)
	defaultInt(&lr.AggregationDepth, 2)
	defaultInt(&lr.CheckpointInterval, checkpoint.Interval)
	if lr.MaxIter < 0 {
		lr.MaxIter = 0
	}
	switch {
	case lr.Tol == 0:
		lr.Tol = 1e-6
	case lr.Tol < 0:
		lr.Tol = 0
	}
	if lr.Threshold == 0 {
		lr.Threshold = defaultThreshold
	}
	if lr.Family == "" {
		lr.Family = Auto
	}
	switch {
	case !(lr.RegParam >= 0) || math.IsInf(lr.RegParam, 0):
		return lr, bad("RegParam", lr.RegParam, "a finite number, at least 0")
	case !(lr.ElasticNetParam >= 0 && lr.ElasticNetParam <= 1):
		return lr, bad("ElasticNetParam", lr.ElasticNetParam, "a number from 0 to 1")
	case math.IsNaN(lr.Tol) || math.IsInf(lr.Tol, 0):
		return lr, bad("Tol", lr.Tol, "a finite number")
	case lr.Family != Auto && lr.Family != Binomial && lr.Family != Multinomial:
		return lr, bad("Family", fmt.Sprintf("%q", lr.Family), "auto, binomial or multinomial")
	case !(lr.Threshold >= 0 && lr.Threshold <= 1):
		return lr, bad("Threshold", lr.Threshold, "a number from 0 to 1")
	case lr.AggregationDepth < 1:
		return lr, bad("AggregationDepth", lr.AggregationDepth, "a number of at least 1")
	case !(lr.MaxBlockSizeInMB >= 0) || lr.MaxBlockSizeInMB > 1024:
		return lr, bad("MaxBlockSizeInMB", lr.MaxBlockSizeInMB, "a number from 0, which means 1, to 1024")
	case lr.NumClasses < 0:
		return lr, bad("NumClasses", lr.NumClasses, "the number of classes, or 0 for those of the data")
	case lr.bounded() && lr.RegParam > 0 && lr.ElasticNetParam > 0:
		return lr, bad("ElasticNetParam", lr.ElasticNetParam, "0 where there are bounds: bounds do not go with an L1 penalty")
	case lr.NoIntercept && (lr.LowerBoundsOnIntercepts != nil || lr.UpperBoundsOnIntercepts != nil):
		return lr, bad("NoIntercept", true, "no bounds on intercepts that are not fitted")
	}
	if err := checkpoint.Check(lr.CheckpointDir, lr.CheckpointInterval); err != nil {
		return lr, fmt.Errorf("classification.LogisticRegression: %w", err)
	}
	return lr, checkThresholds(lr.Thresholds)
}

func checkThresholds(t []float64) error {
	zeros := 0
	for _, x := range t {
		if !(x >= 0) || math.IsInf(x, 0) {
			return fmt.Errorf("classification.LogisticRegression: Thresholds are %v: give finite numbers, at least 0", t)
		}
		if x == 0 {
			zeros++
		}
	}
	if zeros > 1 {
		return fmt.Errorf("classification.LogisticRegression: Thresholds are %v: at most one of them is 0", t)
	}
	return nil
}

func defaultInt(p *int, d int) {
	if *p == 0 {
		*p = d
	}
}

func (lr *LogisticRegression) bounded() bool {
	return lr.LowerBoundsOnCoefficients != nil || lr.UpperBoundsOnCoefficients != nil || lr.LowerBoundsOnIntercepts != nil || lr.UpperBoundsOnIntercepts != nil
}

// Fit trains a model on rows. Labels are the classes 0, 1, 2, …; all rows have the same number of features.
func (lr LogisticRegression) Fit(ctx context.Context, rows rdd.RDD[linalg.Instance]) (*Model, error) {
	bytes := int(lr.MaxBlockSizeInMB * (1 << 20))
	return lr.fit(ctx, feature.Pack(rows, lr.Weighted, bytes), false)
}

// FitBlocks trains a model on rows that are blocks already, as feature.ReadBlocks makes them. Blocks that are cached are not cached again.
func (lr LogisticRegression) FitBlocks(ctx context.Context, blocks rdd.RDD[linalg.Block]) (*Model, error) {
	return lr.fit(ctx, blocks, blocks.Node().Level() != rdd.None)
}

func (lr LogisticRegression) fit(ctx context.Context, blocks rdd.RDD[linalg.Block], cached bool) (*Model, error) {
	lr, err := lr.withDefaults()
	if err != nil {
		return nil, err
	}
	if !cached {
		blocks.Persist(rdd.MemoryAndDisk)
		defer func() { _ = blocks.Unpersist(context.WithoutCancel(ctx), false) }()
	}
	started := time.Now()
	t := &trainer{set: lr, blocks: blocks}
	m, err := t.run(ctx)
	if err != nil {
		return nil, fmt.Errorf("train logistic regression: %w", err)
	}
	m.Summary.Seconds = time.Since(started).Seconds()
	return m, nil
}

// column names a feature for people.
func column(names []string, j int) string {
	if j < len(names) {
		return fmt.Sprintf("%q", names[j])
	}
	return fmt.Sprintf("number %d, counted from 0", j)
}

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", what)
	}
	if strings.HasSuffix(what, "s") {
		return fmt.Sprintf("%d %ses", n, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

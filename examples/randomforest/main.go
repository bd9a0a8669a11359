// Command randomforest trains a random forest on a table: one column is the label, the others are what to predict it from. It says how
// well the forest does on rows that it has not seen, and which columns it relied on.
package main

import (
	"context"
	"errors"
	"math"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// options is the command line.
type options struct {
	job.Inputs
	label, task, subsets string
	trees, depth, bins   int
	seed                 int
	categorical, save    string
	checkpoints          string
	interval             int
}

func main() {
	j := job.New("randomforest", "trains a random forest on a table and evaluates it")
	var o options
	j.Inputs(&o.Inputs, "examples/testdata/multiclass.parquet", "a table as Parquet")
	j.String(&o.label, "label-col", "label", "`column` to predict: classes as whole numbers from 0 or as text, or with --task regression numbers")
	j.String(&o.task, "task", "classification", "`classification` or regression")
	j.Int(&o.trees, "trees", 20, 1, "`N` trees")
	j.Int(&o.depth, "depth", 5, 0, "at most `N` splits on the way to a leaf")
	j.Int(&o.bins, "bins", 32, 2, "cut each column into at most `N` intervals")
	j.String(&o.subsets, "subsets", "auto", "columns that each node chooses from: `auto`, all, sqrt, log2, onethird, a number or a fraction")
	j.String(&o.categorical, "categorical", "", "comma list of `columns` that hold categories, as text or numbers; all other columns of numbers are used as such, other text is left out")
	j.Int(&o.seed, "seed", 42, math.MinInt, "`seed` of the split, the bootstrap and the subsets")
	j.Model(&o.save)
	j.Checkpoints(&o.checkpoints, &o.interval, "trees")
	j.Parse()
	if o.task != "classification" && o.task != "regression" {
		j.Usage("--task %q: give classification or regression", o.task)
	}
	sc := j.Start()
	j.Check(run(context.Background(), j, sc, o))
	j.Finish()
}

func run(ctx context.Context, j *job.Job, sc rdd.Session, o options) error {
	t, err := describe(ctx, sc, o.Source(), o)
	if err != nil {
		return err
	}
	train, test, err := t.load(ctx, sc, o, j.Partitions())
	if err != nil {
		return err
	}
	train.Persist(rdd.MemoryAndDisk)
	rows, err := rdd.Aggregate(ctx, train, 0, func(n int64, c tree.Columns) int64 { return n + int64(c.Rows) }, func(a, b int64) int64 { return a + b })
	if err != nil {
		return err
	}
	if rows == 0 {
		return errors.New("there are no rows to train on: name a Parquet input that holds some")
	}
	j.Loaded()

	settings := tree.Settings{
		NumTrees: o.trees, MaxDepth: o.depth, MaxBins: o.bins, FeatureSubsetStrategy: o.subsets, Seed: int64(o.seed),
		Categorical: t.arities(), FeatureNames: t.names(), NumClasses: len(t.labels),
		CheckpointDir: o.checkpoints, CheckpointInterval: o.interval,
	}
	if o.depth == 0 {
		settings.MaxDepth = -1 // 0 means the default there
	}
	var m model
	if o.task == "regression" {
		m.Regression, err = tree.RandomForestRegressor(settings).FitColumns(ctx, train)
	} else {
		m.Classes, err = tree.RandomForestClassifier(settings).FitColumns(ctx, train)
	}
	if err != nil {
		return err
	}
	j.Done()
	if err := train.Unpersist(ctx, false); err != nil {
		return err
	}

	shared, err := rdd.NewBroadcast(sc, m)
	if err != nil {
		return err
	}
	s, err := evaluate(ctx, shared, test)
	if err != nil {
		return err
	}
	if o.task == "regression" {
		j.Set("rmse", job.Number(math.Sqrt(s.Squares/float64(s.Rows))))
	} else {
		j.Set("accuracy", job.Number(float64(s.Right)/float64(s.Rows)))
	}
	importances := m.forest().FeatureImportances()
	ranked := make([][]any, len(importances))
	for f, x := range importances {
		ranked[f] = []any{t.features[f].name, x}
	}
	j.Set("features_importance", ranked)
	j.Set("nodes", m.forest().NumNodes())
	j.Set("train_rows", rows)
	j.Set("test_rows", s.Rows)
	j.Set("partitions", train.NumPartitions())
	sum, err := m.sha256()
	if err != nil {
		return err
	}
	j.Set("sha256", sum)
	if o.save != "" {
		return m.save(ctx, o.save)
	}
	return nil
}

// model is one of the two.
type model struct {
	Classes    *tree.ClassificationModel
	Regression *tree.RegressionModel
}

func (m model) forest() *tree.Forest {
	if m.Regression != nil {
		return &m.Regression.Forest
	}
	return &m.Classes.Forest
}

func (m model) sha256() (string, error) {
	if m.Regression != nil {
		return m.Regression.SHA256()
	}
	return m.Classes.SHA256()
}

func (m model) save(ctx context.Context, uri string) error {
	if m.Regression != nil {
		return m.Regression.Save(ctx, uri)
	}
	return m.Classes.Save(ctx, uri)
}

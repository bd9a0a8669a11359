// Command pipeline predicts a column of a table from all others, texts and numbers, whether values are missing or not: it numbers the texts, fills in what is missing, scales, tunes a model by cross validation, tests
// it on rows that it has not seen, saves it to one file, and scores all rows with what it loads from there.
package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/pipeline"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// options is the command line.
type options struct {
	job.Inputs
	label, task, exclude, metric string
	folds, parallelism, seed     int
	save                         string
}

// metrics are those of each task; the first is the default.
var metrics = map[string][]pipeline.Metric{
	"classification": {pipeline.LogLoss, pipeline.Accuracy, pipeline.F1, pipeline.AreaUnderROC, pipeline.AreaUnderPR},
	"regression":     {pipeline.RMSE, pipeline.MAE, pipeline.R2},
}

func main() {
	j := job.New("pipeline", "predicts a column of a table of texts and numbers, tuned by cross validation")
	var o options
	j.Inputs(&o.Inputs, "examples/testdata/penguins.parquet", "a table as Parquet")
	j.String(&o.label, "label-col", "sex", "`column` to predict: classes, or with --task regression numbers; rows without it are left out")
	j.String(&o.task, "task", "classification", "`classification` by logistic regression, or regression by a random forest")
	j.String(&o.exclude, "exclude", "", "leave these `columns` out, a comma list")
	j.String(&o.metric, "metric", "", "tune by this `metric`: logLoss (the default for classes), accuracy, f1, of two classes areaUnderROC and areaUnderPR; rmse (the default for numbers), mae, r2")
	j.Int(&o.folds, "folds", 3, 2, "`N` folds of the cross validation")
	j.Int(&o.parallelism, "parallelism", 2, 1, "train `N` models at the same time")
	j.Int(&o.seed, "seed", 42, math.MinInt, "`seed` of the split and of the folds")
	j.Model(&o.save)
	j.Parse()
	if o.task != "classification" && o.task != "regression" {
		j.Usage("--task %q: give classification or regression", o.task)
	}
	if known := metrics[o.task]; o.metric == "" {
		o.metric = string(known[0])
	} else if !slices.Contains(known, pipeline.Metric(o.metric)) {
		j.Usage("--metric %q: with --task %s give one of %q", o.metric, o.task, known)
	}
	sc := j.Start()
	j.Check(run(context.Background(), j, sc, o))
	j.Finish()
}

func run(ctx context.Context, j *job.Job, sc rdd.Session, o options) error {
	train, test, all, err := load(ctx, j, sc, o)
	if err != nil {
		return err
	}
	rows, err := train.Count(ctx)
	if err != nil {
		return err
	}
	if rows == 0 {
		return fmt.Errorf("%s has no row with a value in column %q to train on: name a Parquet input that holds some", o.Source(), o.label)
	}
	j.Loaded()

	points, err := grid(train.Schema(), o)
	if err != nil {
		return err
	}
	tuned, err := pipeline.CrossValidator{NumFolds: o.folds, Metric: pipeline.Metric(o.metric), Seed: int64(o.seed), Parallelism: o.parallelism}.Fit(ctx, train, points)
	if err != nil {
		return err
	}
	j.Done()

	found, err := tuned.Model.Evaluate(ctx, test)
	if err != nil {
		return fmt.Errorf("test on the rows that were held out: %w", err)
	}
	measured := map[string]any{}
	for name, value := range found {
		measured[string(name)] = job.Number(value)
	}
	model, err := saveAndLoad(ctx, tuned.Model, o.save)
	if err != nil {
		return err
	}
	scored, predicted, err := score(ctx, model, all)
	if err != nil {
		return err
	}
	sum, err := model.SHA256()
	if err != nil {
		return err
	}
	j.Set("best", points[tuned.Best].String())
	j.Set("metrics", measured)
	j.Set("tuned_by", string(tuned.Metric))
	table := make([][]any, len(points))
	for i, r := range tuned.Results {
		table[i] = []any{points[i].String(), job.Number(r.Mean), job.Number(r.Std)}
	}
	j.Set("points", table)
	j.Set("features", model.FeatureNames)
	if len(model.Classes) > 0 {
		j.Set("predicted", predicted)
	}
	j.Set("train_rows", rows)
	j.Set("scored", predictedRows(predicted))
	j.Set("partitions", scored.NumPartitions())
	j.Set("sha256", sum)
	return nil
}

// load reads the rows to train on, those to test on, and all that there are.
func load(ctx context.Context, j *job.Job, sc rdd.Session, o options) (train, test, all pipeline.Table, err error) {
	read := func(uri string) (pipeline.Table, error) {
		t, err := pipeline.ReadParquet(ctx, sc, uri, j.Partitions()...)
		if n := j.Partitions(); n != nil && err == nil {
			t = t.Coalesce(n[0])
		}
		return t, err
	}
	if all, err = read(o.Source()); err != nil {
		return train, test, all, err
	}
	for _, name := range append(job.List(o.exclude), o.label) {
		if _, ok := all.Schema().Field(name); !ok {
			return train, test, all, fmt.Errorf("%s has no column %q of text or numbers: name one of %s", o.Source(), name, strings.Join(all.Schema().Names(), ", "))
		}
	}
	switch train = all.DropMissing(o.label); {
	case o.Train != "":
		if test, err = read(o.Test); err == nil {
			test = test.DropMissing(o.label)
		}
	case o.Fraction > 0:
		train, test = train.Split(1-o.Fraction, int64(o.seed))
	default:
		test = train
	}
	return train, test, all, err
}

// grid makes the pipelines to choose from.
func grid(schema pipeline.Schema, o options) ([]pipeline.Point, error) {
	label, _ := schema.Field(o.label)
	without := []string{label.Name}
	for _, name := range job.List(o.exclude) {
		f, _ := schema.Field(name)
		without = append(without, f.Name)
	}
	var texts, numbers []string
	for _, f := range schema {
		switch {
		case slices.Contains(without, f.Name):
		case f.Kind == pipeline.Text:
			texts = append(texts, f.Name)
		default:
			numbers = append(numbers, f.Name)
		}
	}
	inputs := slices.Concat(texts, numbers)
	if len(inputs) == 0 {
		return nil, fmt.Errorf("there is nothing to predict column %q from: give the input columns of texts or numbers", label.Name)
	}
	var stages []pipeline.Stage
	var params []pipeline.Param
	if len(texts) > 0 {
		stages = append(stages, &pipeline.StringIndexer{Inputs: texts, HandleInvalid: pipeline.Keep})
	}
	if len(numbers) > 0 {
		imputer := &pipeline.Imputer{Inputs: numbers}
		stages = append(stages, imputer)
		params = append(params, pipeline.Vary("strategy", &imputer.Strategy, pipeline.Mean, pipeline.Median))
	}
	if o.task == "regression" {
		forest := &pipeline.RandomForestRegressor{Label: label.Name, Settings: tree.RandomForestRegressor{Seed: int64(o.seed), MaxBins: 256}}
		params = append(params, pipeline.Vary("maxDepth", &forest.Settings.MaxDepth, 3, 5, 8))
		return pipeline.Grid(schema, append(stages, &pipeline.VectorAssembler{Inputs: inputs}, forest), params...)
	}
	if len(texts) > 0 {
		stages = append(stages, &pipeline.OneHotEncoder{Inputs: texts})
	}
	if len(numbers) > 0 {
		stages = append(stages, &pipeline.StandardScaler{Inputs: numbers, WithMean: true})
	}
	lr := &pipeline.LogisticRegression{Label: label.Name, Settings: classification.LogisticRegression{}}
	params = append(params, pipeline.Vary("regParam", &lr.Settings.RegParam, 0.001, 0.01, 0.1))
	return pipeline.Grid(schema, append(stages, &pipeline.VectorAssembler{Inputs: inputs}, lr), params...)
}

// saveAndLoad writes the model to a file, of its own if none is named, and reads it again.
func saveAndLoad(ctx context.Context, m *pipeline.Model, uri string) (*pipeline.Model, error) {
	if uri == "" {
		dir, err := os.MkdirTemp("", "spark-go-pipeline")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		uri = filepath.Join(dir, "model")
	}
	if err := m.Save(ctx, uri); err != nil {
		return nil, err
	}
	return pipeline.Load(ctx, uri)
}

// score predicts all rows, and counts what is predicted.
func score(ctx context.Context, m *pipeline.Model, all pipeline.Table) (rdd.RDD[pipeline.Prediction], map[string]int64, error) {
	predictions, err := m.Predict(all)
	if err != nil {
		return predictions, nil, err
	}
	counts, err := rdd.CountByValue(ctx, rdd.Map(predictions, func(p pipeline.Prediction) string { return p.Class }))
	return predictions, counts, err
}

func predictedRows(counts map[string]int64) (n int64) {
	for _, c := range counts {
		n += c
	}
	return n
}

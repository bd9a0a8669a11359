package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/internal/progress"
	"github.com/spark-go/spark-go/rdd"
)

// CrossValidator finds the best of some pipelines: the rows are dealt out to folds by chance; each pipeline is trained once for each fold on the rows of all others, and measured on those of the fold; the one with the best mean is
// trained again on all rows. It is Spark's CrossValidator. The zero value of a field is its default, which is Spark's.
type CrossValidator struct {
	NumFolds int    // at least 2; default 3
	Metric   Metric // what to go by; default: the first of [Model.Metrics]
	Seed     int64  // of the folds; default 42
	// Parallelism is how many trainings run at the same time; default 1. It changes no result.
	Parallelism int
}

// TrainValidationSplit finds the best of some pipelines as [CrossValidator] does, but on one part of the rows held out by chance: cheaper, and less sure. It is Spark's TrainValidationSplit.
type TrainValidationSplit struct {
	TrainRatio  float64 // share of the rows to train on, between 0 and 1; default 0.75
	Metric      Metric  // as in CrossValidator, like the fields below
	Seed        int64
	Parallelism int
}

// Tuned is the best pipeline, and what was found of the others.
type Tuned struct {
	Model   *Model // trained on all rows
	Metric  Metric
	Best    int // the place of its result
	Results []Result
}

// Result is what was measured of a pipeline.
type Result struct {
	Settings []Setting `json:"settings"`
	Values   []float64 `json:"values"` // of the metric, for each fold
	Mean     float64   `json:"mean"`
	Std      float64   `json:"std"` // deviation of the values, the unbiased one; 0 of a single one
}

// Fit tries all points on the rows of a table. Its columns are kept in memory, else on disk, once for all trainings. The number that stands for a class is that of all rows; everything else is learnt from the rows of the training alone.
func (v CrossValidator) Fit(ctx context.Context, t Table, points []Point) (*Tuned, error) {
	v.NumFolds = cmp.Or(v.NumFolds, 3)
	if v.NumFolds < 2 {
		return nil, fmt.Errorf("pipeline.CrossValidator: NumFolds is %d: give at least 2", v.NumFolds)
	}
	var parts []part
	for i := range v.NumFolds {
		parts = append(parts, part{float64(i) / float64(v.NumFolds), float64(i+1) / float64(v.NumFolds)})
	}
	return search{"CrossValidator", "cross validation", v.Metric, v.Seed, v.Parallelism, parts}.run(ctx, t, points)
}

// Fit tries all points on the rows of a table, as [CrossValidator.Fit] does.
func (v TrainValidationSplit) Fit(ctx context.Context, t Table, points []Point) (*Tuned, error) {
	v.TrainRatio = cmp.Or(v.TrainRatio, 0.75)
	if !(v.TrainRatio > 0 && v.TrainRatio < 1) {
		return nil, fmt.Errorf("pipeline.TrainValidationSplit: TrainRatio is %v: give a number above 0 and below 1", v.TrainRatio)
	}
	return search{"TrainValidationSplit", "train-validation split", v.Metric, v.Seed, v.Parallelism, []part{{v.TrainRatio, 1}}}.run(ctx, t, points)
}

// search is what both have in common.
type search struct {
	name, title string
	metric      Metric
	seed        int64
	parallelism int
	tests       []part
}

func (s search) run(ctx context.Context, t Table, points []Point) (*Tuned, error) {
	s.seed, s.parallelism = cmp.Or(s.seed, 42), cmp.Or(s.parallelism, 1)
	if s.parallelism < 1 {
		return nil, fmt.Errorf("pipeline.%s: Parallelism is %d: give at least 1", s.name, s.parallelism)
	}
	tuned, err := s.tune(ctx, t, points)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.title, err)
	}
	return tuned, nil
}

func (s search) tune(ctx context.Context, t Table, points []Point) (*Tuned, error) {
	goal, raw, err := sameTarget(points)
	if err != nil {
		return nil, err
	}
	rows, free, err := keep(ctx, t, points)
	if err != nil {
		return nil, err
	}
	defer free()
	var classes []string
	if raw && goal.classes {
		if classes, err = rows.classes(ctx, goal.label); err != nil {
			return nil, err
		}
	}
	values, metric, err := s.measure(ctx, rows, points, classes)
	if err != nil {
		return nil, err
	}
	out := &Tuned{Metric: metric, Best: -1}
	for i, p := range points {
		r := Result{Settings: p.Settings, Values: values[i*len(s.tests) : (i+1)*len(s.tests)]}
		r.Mean, r.Std = meanAndStd(r.Values)
		out.Results = append(out.Results, r)
		if !math.IsNaN(r.Mean) && (out.Best < 0 || metric.better(r.Mean, out.Results[out.Best].Mean)) {
			out.Best = i
		}
	}
	if out.Best < 0 {
		return nil, fmt.Errorf("%s is not a number for any of the %d points: each part of the rows needs rows of both classes: give more rows, or choose another metric", metric, len(points))
	}
	slog.Info(s.title, "best", points[out.Best].String(), string(metric), out.Results[out.Best].Mean)
	if out.Model, err = points[out.Best].Pipeline.fit(ctx, rows.table(part{}, false, 0), classes); err != nil {
		return nil, fmt.Errorf("train the best, %v, on all rows: %w", points[out.Best], err)
	}
	return out, nil
}

func (m Metric) better(a, b float64) bool {
	if m.lessIsBetter() {
		return a < b
	}
	return a > b
}

func meanAndStd(values []float64) (mean, std float64) {
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		std += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(std / float64(max(len(values)-1, 1)))
}

// measure trains and measures every point in every fold: those of the first point, then those of the next.
func (s search) measure(ctx context.Context, rows *kept, points []Point, classes []string) ([]float64, Metric, error) {
	n := len(points) * len(s.tests)
	values, errs := make([]float64, n), make([]error, n)
	metrics := make([]Metric, n)
	report := progress.Start(rows.batches.Session(), s.title, n, "metric")
	defer report.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var lock sync.Mutex
	started, done := 0, 0
	work := func() {
		for {
			lock.Lock()
			i := started
			started++
			lock.Unlock()
			if i >= n || ctx.Err() != nil {
				return
			}
			point, test := points[i/len(s.tests)], i%len(s.tests)
			value, metric, err := s.one(ctx, rows, point.Pipeline, s.tests[test], classes)
			if err != nil {
				errs[i] = fmt.Errorf("%v, fold %d: %w", point, test+1, err)
				cancel()
				return
			}
			lock.Lock()
			values[i], metrics[i] = value, metric
			done++
			report.Iteration(done, value)
			lock.Unlock()
		}
	}
	var workers sync.WaitGroup
	for range min(s.parallelism, n) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
	// The first that is not a consequence of another.
	for _, consequence := range []bool{false, true} {
		for _, err := range errs {
			if err != nil && (consequence || !errors.Is(err, context.Canceled)) {
				return nil, "", err
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	for i, m := range metrics {
		if m != metrics[0] {
			return nil, "", fmt.Errorf("%v is measured by %s, %v by %s: name one in Metric", points[0], metrics[0], points[i/len(s.tests)], m)
		}
	}
	return values, metrics[0], nil
}

// one trains and measures one point in one fold.
func (s search) one(ctx context.Context, rows *kept, p *Pipeline, test part, classes []string) (float64, Metric, error) {
	m, err := p.fit(ctx, rows.table(test, false, s.seed), classes)
	if err != nil {
		return 0, "", err
	}
	metric := cmp.Or(s.metric, m.Metrics()[0])
	found, err := m.Evaluate(ctx, rows.table(test, true, s.seed), metric)
	return found[metric], metric, err
}

// kept is the columns that points read, cached.
type kept struct {
	schema  Schema
	batches rdd.RDD[parquetio.Batch]
}

// keep caches the columns of a table that points read.
func keep(ctx context.Context, t Table, points []Point) (k *kept, free func(), err error) {
	k = &kept{}
	for _, p := range points {
		for _, f := range p.Pipeline.Schema() {
			if have, ok := k.schema.Field(f.Name); !ok {
				k.schema = append(k.schema, f)
			} else if have != f {
				return nil, nil, fmt.Errorf("points read column %q as %s and column %q as %s: make all of them for one schema", have.Name, have.Kind, f.Name, f.Kind)
			}
		}
	}
	if k.batches, err = t.columns(k.schema); err != nil {
		return nil, nil, err
	}
	if t.kept {
		return k, func() {}, nil
	}
	k.batches.Persist(rdd.MemoryAndDisk)
	return k, func() { _ = k.batches.Unpersist(context.WithoutCancel(ctx), false) }, nil
}

// classes names the classes of a column of labels.
func (k *kept) classes(ctx context.Context, label string) ([]string, error) {
	f, _ := k.schema.Field(label)
	c := column{Name: f.Name, Kind: f.Kind, shape: single(f.Name)}
	batches, err := k.table(part{}, false, 0).columns(Schema{f})
	if err != nil {
		return nil, err
	}
	stats, err := learn(ctx, batches, learnFunc{Plan: Plan{Columns: []column{c}, Inputs: []int{0}}, Columns: []int{0}, Needs: []need{values}})
	if err != nil {
		return nil, err
	}
	return classesOf(c, &stats[0])
}

// table is the rows of a test, or with test false all others. Columns of the cached batches are handed on as they are.
func (k *kept) table(of part, test bool, seed int64) Table {
	all := Table{schema: k.schema, kept: true, read: func(columns Schema) (rdd.RDD[parquetio.Batch], error) {
		op := chooseOp{Batches: k.batches}
		for _, c := range columns {
			op.Columns = append(op.Columns, slices.Index(k.schema, c))
		}
		if slices.Contains(op.Columns, -1) {
			return k.batches, fmt.Errorf("columns %s are not all kept: %s are", list(columns.Names()), list(k.schema.Names()))
		}
		return op.dataset(), nil
	}}
	return all.choose(nil, chooseOp{Of: of, Test: test, Seed: seed})
}

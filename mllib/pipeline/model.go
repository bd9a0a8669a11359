package pipeline

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Model is a trained pipeline: plain data, which scores rows without an engine. It is safe for concurrent use.
type Model struct {
	// Schema is the columns that were trained on, label and weight among them. See [Model.Inputs] for those that scoring needs.
	Schema Schema
	Stages []Trained // those before the estimator, in their order
	// Features, Label and Weight are the columns of the estimator; the latter two may be empty.
	Features, Label, Weight string
	FeatureNames            []string // of the numbers of Features: "age", and "sex=female" for the place of a category
	Classes                 []string // names of the classes 0, 1, 2, … of a classifier
	// Predictor is the trained estimator: a *classification.Model, *tree.ClassificationModel, *tree.RegressionModel or *clustering.Model.
	Predictor any
}

// Prediction is what a model says of a row.
type Prediction struct {
	Value         float64   // number of the class, predicted number, or number of the cluster
	Class         string    // name of the class; empty without classes
	Probabilities []float64 // of the classes; empty without
}

// model makes the model of a finished fitting.
func (f *fitting) model(predictor any, classes []string) *Model {
	c := f.estimator.columns()
	m := &Model{Schema: f.inputs(), Features: c.features, Label: c.label, Weight: c.weight, Classes: classes, Predictor: predictor}
	m.FeatureNames = elementNames(f.columns[f.features].Elements)
	for _, n := range f.nodes {
		m.Stages = append(m.Stages, n.trained)
	}
	return m
}

// scoring is the columns of a model and where they come from.
type scoring struct {
	*graph
	features, label, weight int // -1 for none
}

// wire connects the stages of a model again.
func (m *Model) wire() (*scoring, error) {
	g, err := newGraph(m.Schema)
	if err != nil {
		return nil, err
	}
	for i, t := range m.Stages {
		s, ok := t.stage().(transformer)
		if !ok {
			return nil, stageError(i, t.stage(), errors.New("it makes no columns"))
		}
		if err := g.connect(s); err != nil {
			return nil, stageError(i, s, err)
		}
		n := &g.nodes[i]
		n.trained = t
		in := make([]column, len(n.in))
		for k, id := range n.in {
			in[k] = g.columns[id]
		}
		if err := t.fits(in); err != nil {
			return nil, stageError(i, s, err)
		}
		g.shape(n, in)
	}
	w := &scoring{graph: g, label: -1, weight: -1}
	for _, c := range []struct {
		name string
		id   *int
	}{{m.Features, &w.features}, {m.Label, &w.label}, {m.Weight, &w.weight}} {
		if c.name != "" {
			if *c.id, err = g.find(c.name); err != nil {
				return nil, err
			}
		}
	}
	features, classes, err := shapeOf(m.Predictor)
	if err != nil {
		return nil, err
	}
	if n := g.columns[w.features].width(); n != features || len(m.Classes) > max(classes, 2) {
		return nil, fmt.Errorf("the stages make %d features and there are %d classes, the estimator knows %d and %d", n, len(m.Classes), features, classes)
	}
	return w, nil
}

// inputs lists the sources that some columns are made of.
func (w *scoring) inputs(ids ...int) (sources []int, s Schema) {
	used := w.reach(ids...)
	for _, id := range w.source {
		if used[id] {
			sources = append(sources, id)
			s = append(s, Field{w.columns[id].Name, w.columns[id].Kind})
		}
	}
	return sources, s
}

// Inputs lists the columns that rows need to be scored: those that the features are made of.
func (m *Model) Inputs() Schema {
	w, err := m.wire()
	if err != nil {
		return nil // a model that was neither trained nor loaded
	}
	_, s := w.inputs(w.features)
	return s
}

// Scorer scores rows of a type, one at a time. It is for one goroutine; make several for more.
type Scorer[T any] struct {
	scorer
	row    T
	fields []fieldReader
}

// scorer is a model ready to run.
type scorer struct {
	model    *Model
	m        *machine
	features []float64 // the registers of them
	out      Prediction
}

type fieldReader struct {
	v    reflect.Value // of the field of Scorer.row
	to   slot
	null bool
}

// NewScorer makes a scorer of rows of a type. A column of [Model.Inputs] that T has no field for is an error that names it.
func NewScorer[T any](m *Model) (*Scorer[T], error) {
	s := &Scorer[T]{}
	inputs, err := s.start(m)
	if err != nil {
		return nil, err
	}
	fields, err := choose(reflect.TypeFor[T](), inputs)
	if err != nil {
		return nil, fmt.Errorf("score with a pipeline: %w", err)
	}
	row := reflect.ValueOf(&s.row).Elem()
	for i, f := range fields {
		s.fields = append(s.fields, fieldReader{row.FieldByIndex(f.index), s.m.inputs[i], f.null})
	}
	return s, nil
}

func (s *scorer) start(m *Model) (Schema, error) {
	w, err := m.wire()
	if err != nil {
		return nil, fmt.Errorf("score with a pipeline: %w", err)
	}
	sources, inputs := w.inputs(w.features)
	plan := w.plan(sources, w.features)
	s.model, s.m = m, plan.machine()
	s.features = s.m.values(w.features)
	return inputs, nil
}

// Predict scores a row. It allocates nothing after the first call; the probabilities are valid until the next one. A value that a stage cannot work with is an error that names its column; ErrSkipped is that of a
// stage that was told to skip rows.
func (s *Scorer[T]) Predict(row T) (Prediction, error) {
	if _, err := s.Transform(row); err != nil {
		return Prediction{}, err
	}
	return s.predict(), nil
}

// Transform computes the features of a row, [Model.FeatureNames] names them. They are valid until the next call.
func (s *Scorer[T]) Transform(row T) ([]float64, error) {
	s.row = row
	for i := range s.fields {
		f := &s.fields[i]
		v, ok := f.v, true
		if f.null {
			if ok = !v.IsNil(); ok {
				v = v.Elem()
			}
		}
		switch {
		case f.to.kind == Text && ok:
			s.m.texts[f.to.at] = text{v.String(), true}
		case f.to.kind == Text:
			s.m.texts[f.to.at] = text{}
		case ok:
			s.m.nums[f.to.at] = number(v)
		default:
			s.m.nums[f.to.at] = nan
		}
	}
	if err := s.m.step(); err != nil {
		return nil, err
	}
	return s.features, nil
}

// vector is the features.
func (s *scorer) vector() linalg.Vector {
	return linalg.Vector{Size: len(s.features), Values: s.features}
}

func (s *scorer) predict() Prediction {
	predict(s.model.Predictor, s.features, &s.out)
	if k := int(s.out.Value); len(s.model.Classes) > 0 {
		if s.out.Class = ""; k < len(s.model.Classes) {
			s.out.Class = s.model.Classes[k]
		}
	}
	return s.out
}

// Predict scores the rows of a table, in their order, without those that a stage was told to skip.
func (m *Model) Predict(t Table) (rdd.RDD[Prediction], error) {
	none := rdd.RDD[Prediction]{}
	var s scorer
	inputs, err := s.start(m)
	if err != nil {
		return none, err
	}
	batches, err := t.columns(inputs)
	if err != nil {
		return none, fmt.Errorf("score with a pipeline: %w", err)
	}
	shared, err := rdd.NewBroadcast(batches.Session(), m)
	if err != nil {
		return none, err
	}
	op := predictOp{Batches: batches, Model: shared}
	return rdd.New(batches.Session(), "PipelinePredict", rdd.Op[Prediction](op), batches.NumPartitions(), nil, rdd.Narrow{Node: batches.Node()}), nil
}

type predictOp struct {
	Batches rdd.RDD[parquetio.Batch]
	Model   rdd.Broadcast[*Model]
}

// Compute implements rdd.Op.
func (o predictOp) Compute(t *rdd.Task, p int) (rdd.Stream[Prediction], error) {
	in, err := o.Batches.Compute(t, p)
	if err != nil {
		return nil, err
	}
	var s scorer
	if _, err := s.start(o.Model.Value()); err != nil {
		return nil, err
	}
	return &stream[Prediction]{in: in, m: s.m, p: p, collect: func(out []Prediction) ([]Prediction, error) {
		x := s.predict()
		x.Probabilities = append([]float64(nil), x.Probabilities...)
		return append(out, x), nil
	}}, nil
}

// Scored is a row with what a model says of it.
type Scored[T any] struct {
	Row        T
	Prediction Prediction
}

// PredictRows scores a dataset of structs: its rows in their order, without those that a stage was told to skip.
func PredictRows[T any](m *Model, rows rdd.RDD[T]) (rdd.RDD[Scored[T]], error) {
	none := rdd.RDD[Scored[T]]{}
	if _, err := NewScorer[T](m); err != nil {
		return none, err
	}
	shared, err := rdd.NewBroadcast(rows.Session(), m)
	if err != nil {
		return none, err
	}
	op := predictRowsOp[T]{Rows: rows, Model: shared}
	return rdd.New(rows.Session(), "PipelinePredictRows", rdd.Op[Scored[T]](op), rows.NumPartitions(), rows.Err(), rdd.Narrow{Node: rows.Node()}), nil
}

type predictRowsOp[T any] struct {
	Rows  rdd.RDD[T]
	Model rdd.Broadcast[*Model]
}

// Compute implements rdd.Op.
func (o predictRowsOp[T]) Compute(t *rdd.Task, p int) (rdd.Stream[Scored[T]], error) {
	in, err := o.Rows.Compute(t, p)
	if err != nil {
		return nil, err
	}
	s, err := NewScorer[T](o.Model.Value())
	return &predictRowsStream[T]{in: in, scorer: s, partition: p}, err
}

type predictRowsStream[T any] struct {
	in        rdd.Stream[T]
	scorer    *Scorer[T]
	partition int
	seen      int64
	out       []Scored[T]
}

// Next implements rdd.Stream.
func (s *predictRowsStream[T]) Next() ([]Scored[T], error) {
	for {
		rows, err := s.in.Next()
		if err != nil {
			return nil, err
		}
		s.out = s.out[:0]
		for _, row := range rows {
			x, err := s.scorer.Predict(row)
			if err != nil && !errors.Is(err, ErrSkipped) {
				return nil, fmt.Errorf("row %d of partition %d: %w", s.seen, s.partition, err)
			}
			s.seen++
			if err == nil {
				x.Probabilities = append([]float64(nil), x.Probabilities...)
				s.out = append(s.out, Scored[T]{row, x})
			}
		}
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
}

// Save writes the model to one file, on any file system: all stages and the estimator.
func (m *Model) Save(ctx context.Context, uri string) error { return m.File().Save(ctx, uri) }

// SHA256 names the model: it is equal for equal data, partitions and settings, whatever the cluster did meanwhile.
func (m *Model) SHA256() (string, error) { return m.File().Digest() }

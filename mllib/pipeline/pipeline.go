package pipeline

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spark-go/spark-go/mllib/modelfile"
)

// Stage is a step of a pipeline: a pointer to one of the settings of this package. [StringIndexer], [OneHotEncoder], [Imputer], [VectorAssembler], [StandardScaler] and [MinMaxScaler] make columns of
// columns; [LogisticRegression], [RandomForestClassifier], [RandomForestRegressor] and [KMeans] train what predicts.
type Stage interface {
	kind() string // its name
	clone() Stage
	check() error // fills in the defaults, and holds the settings to their ranges
}

// transformer is a stage that makes columns of columns.
type transformer interface {
	Stage
	ports() ports
	accept(k Kind) (Kind, error) // the kind that it makes of one that it reads
	needs(k Kind) need           // what it wants to know of a column; 0: it need not be trained
	train(in []column, stats []columnStats) (Trained, error)
}

// Trained is a stage with what it has learnt: a pointer to a [StringIndexerModel], [OneHotEncoderModel], [ImputerModel], [VectorAssembler] or [ScalerModel]. It is plain data.
type Trained interface {
	stage() Stage
	shapes(in []column) []shape
	steps(to []step, in, out []slot) []step
	file() *modelfile.File
	fits(in []column) error // whether what it has learnt goes with the columns that it reads
}

// featuresColumn and labelColumn are Spark's defaults.
const (
	featuresColumn = "features"
	labelColumn    = "label"
)

// Pipeline is stages whose columns are known to fit together. It is immutable: Fit may be called any number of times, also concurrently.
type Pipeline struct {
	schema Schema
	stages []Stage // with their defaults
}

// New makes a pipeline for rows of a schema, which [SchemaOf] and [ParquetSchema] make. Each stage reads columns of the rows or of stages before it; the last stage, and it alone, is an estimator. A setting out of its range, a column that
// does not exist or has the wrong kind, and a stage whose columns nothing reads are errors. The stages are copied.
func New(schema Schema, stages ...Stage) (*Pipeline, error) {
	p := &Pipeline{schema: slices.Clone(schema)}
	for i, s := range stages {
		if s == nil {
			return nil, fmt.Errorf("pipeline: stage %d is nil", i+1)
		}
		s = s.clone()
		if err := s.check(); err != nil {
			return nil, stageError(i, s, err)
		}
		p.stages = append(p.stages, s)
	}
	_, err := p.fitting()
	if err != nil {
		return nil, err
	}
	return p, nil
}

// MustNew is New for pipelines that are known to be right, such as package variables: it panics where New returns an error.
func MustNew(schema Schema, stages ...Stage) *Pipeline {
	p, err := New(schema, stages...)
	if err != nil {
		panic(err)
	}
	return p
}

// Schema is the columns that the pipeline trains on, the label and the weight among them.
func (p *Pipeline) Schema() Schema {
	f, err := p.fitting()
	if err != nil {
		return nil
	}
	return f.inputs()
}

// fitting is one training of a pipeline.
type fitting struct {
	*graph
	estimator               estimator
	at                      int   // its place among the stages
	features, label, weight int   // columns; -1 for none
	read                    []int // sources that are read, ascending
}

// fitting connects the stages.
func (p *Pipeline) fitting() (*fitting, error) {
	g, err := newGraph(p.schema)
	if err != nil {
		return nil, fmt.Errorf("pipeline: %w", err)
	}
	if len(p.stages) == 0 {
		return nil, errors.New("pipeline: there is no stage: end it with an estimator, such as a LogisticRegression")
	}
	f := &fitting{graph: g, at: len(p.stages) - 1, label: -1, weight: -1}
	for i, s := range p.stages {
		t, ok := s.(transformer)
		if !ok {
			if i < f.at {
				return nil, stageError(i, s, errors.New("stages follow it: an estimator is the last stage"))
			}
			f.estimator, ok = s.(estimator)
		}
		if !ok || f.estimator == nil && i == f.at {
			return nil, stageError(i, s, errors.New("it is the last stage: end the pipeline with an estimator, such as a LogisticRegression"))
		}
		if t != nil {
			if err := g.connect(t); err != nil {
				return nil, stageError(i, s, err)
			}
		}
	}
	if err := f.target(); err != nil {
		return nil, stageError(f.at, f.estimator, err)
	}
	return f, f.prune()
}

// target finds the columns of the estimator.
func (f *fitting) target() (err error) {
	c := f.estimator.columns()
	if f.features, err = f.find(c.features); err != nil {
		return fmt.Errorf("features: %w", err)
	}
	if k := f.columns[f.features].Kind; k == Text {
		return fmt.Errorf("column %q of features is a %s: make a vector of numbers with a VectorAssembler", c.features, k)
	}
	if c.label != "" {
		if f.label, err = f.find(c.label); err != nil {
			return fmt.Errorf("label: %w", err)
		}
		if k := f.columns[f.label].Kind; k == Vector || k == Text && !c.classes {
			return fmt.Errorf("column %q of labels is a %s: give a number", c.label, k)
		}
	}
	if c.weight != "" {
		if f.weight, err = f.find(c.weight); err != nil {
			return fmt.Errorf("weight: %w", err)
		}
		if k := f.columns[f.weight].Kind; k != Number {
			return fmt.Errorf("column %q of weights is a %s: give a number", c.weight, k)
		}
	}
	return nil
}

// prune refuses stages that nothing reads, and lists the sources that are read.
func (f *fitting) prune() error {
	used := f.reach(f.features, f.label, f.weight)
	for i, n := range f.nodes {
		if !slices.ContainsFunc(n.out, func(id int) bool { return used[id] }) {
			return stageError(i, n.stage, fmt.Errorf("nothing reads column %q, which it makes: leave the stage out, or name the column in a later stage", f.columns[n.out[0]].Name))
		}
	}
	for _, id := range f.source {
		if used[id] {
			f.read = append(f.read, id)
		}
	}
	if f.label >= 0 && f.reach(f.features)[f.label] {
		return stageError(f.at, f.estimator, fmt.Errorf("the features are made of its label, column %q: leave it out of them", f.columns[f.label].Name))
	}
	return nil
}

// reach tells which columns some are made of, themselves included. Negative ones do not exist.
func (g *graph) reach(ids ...int) []bool {
	used := make([]bool, len(g.columns))
	for _, id := range ids {
		if id >= 0 {
			used[id] = true
		}
	}
	for _, n := range slices.Backward(g.nodes) {
		if slices.ContainsFunc(n.out, func(id int) bool { return used[id] }) {
			for _, id := range n.in {
				used[id] = true
			}
		}
	}
	return used
}

// inputs is the schema of the sources that are read.
func (f *fitting) inputs() Schema {
	var s Schema
	for _, id := range f.read {
		s = append(s, Field{f.columns[id].Name, f.columns[id].Kind})
	}
	return s
}

// plan is what it takes to compute some columns from the given sources. The stages on the way are trained.
func (g *graph) plan(inputs []int, ids ...int) Plan {
	used := g.reach(ids...)
	p := Plan{Columns: slices.Clone(g.columns), Inputs: inputs}
	for i := range p.Columns { // tasks need no names of elements, which may be many
		c := &p.Columns[i]
		c.Labels, c.Elements = nil, make([]element, len(c.Elements))
	}
	for _, n := range g.nodes {
		if slices.ContainsFunc(n.out, func(id int) bool { return used[id] }) {
			p.Stages = append(p.Stages, wired{n.trained, n.in, n.out})
		}
	}
	return p
}

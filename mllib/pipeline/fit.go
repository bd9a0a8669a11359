package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Fit trains the stages on a table, one pass over its rows for all stages that can be trained at the same time, then the estimator. The columns that the pipeline reads are kept in memory, else on disk,
// while it takes more than one pass.
func (p *Pipeline) Fit(ctx context.Context, t Table) (*Model, error) {
	m, err := p.fit(ctx, t, nil)
	if err != nil {
		return nil, fmt.Errorf("train pipeline: %w", err)
	}
	return m, nil
}

// fit trains with given names of classes, or with those of the rows if there are none.
func (p *Pipeline) fit(ctx context.Context, t Table, classes []string) (*Model, error) {
	f, err := p.fitting()
	if err != nil {
		return nil, err
	}
	batches, err := t.columns(f.inputs())
	if err != nil {
		return nil, err
	}
	if f.passes(classes) && batches.Node().Level() == rdd.None && !t.kept {
		batches.Persist(rdd.MemoryAndDisk)
		defer func() { _ = batches.Unpersist(context.WithoutCancel(ctx), false) }()
	}
	if classes, err = f.learn(ctx, batches, classes); err != nil {
		return nil, err
	}
	features := f.columns[f.features]
	if len(features.Elements) == 0 {
		return nil, fmt.Errorf("column %q of features has no number: all of its columns are constant categories", features.Name)
	}
	op := instancesOp{
		Batches: batches, Plan: f.plan(f.read, f.features, f.label, f.weight), Features: f.features, Label: f.label, Weight: f.weight, Classes: classes,
		Sparse: (len(features.Elements)-features.Zeros)*3 < len(features.Elements),
	}
	rows := rdd.New(batches.Session(), "PipelineFeatures", rdd.Op[linalg.Instance](op), batches.NumPartitions(), nil, rdd.Narrow{Node: batches.Node()})
	predictor, err := f.estimator.train(ctx, rows, features.Elements, classes)
	if err != nil {
		return nil, stageError(f.at, f.estimator, err)
	}
	return f.model(predictor, classes), nil
}

// passes tells whether something besides the estimator is trained.
func (f *fitting) passes(classes []string) bool {
	if f.label >= 0 && f.estimator.columns().classes && classes == nil {
		return true
	}
	return slices.ContainsFunc(f.nodes, func(n node) bool { return n.stage.needs(f.columns[n.in[0]].Kind) != 0 })
}

// learn trains the stages before the estimator, and finds the classes.
func (f *fitting) learn(ctx context.Context, batches rdd.RDD[parquetio.Batch], classes []string) ([]string, error) {
	known := make([]bool, len(f.columns))
	for _, id := range f.source {
		known[id] = true
	}
	label := f.label >= 0 && f.estimator.columns().classes && classes == nil
	for left := len(f.nodes); left > 0 || label; {
		l := learnFunc{}
		want := func(id int, n need) {
			at := slices.Index(l.Columns, id)
			if at < 0 {
				l.Columns, l.Needs = append(l.Columns, id), append(l.Needs, n)
			} else {
				l.Needs[at] |= n
			}
		}
		var ready []int
		for i, n := range f.nodes {
			if n.trained == nil && !slices.ContainsFunc(n.in, func(id int) bool { return !known[id] }) {
				ready = append(ready, i)
				for _, id := range n.in {
					if k := n.stage.needs(f.columns[id].Kind); k != 0 {
						want(id, k)
					}
				}
			}
		}
		labelled := label && known[f.label]
		if labelled {
			want(f.label, values)
		}
		stats := make([]columnStats, len(f.columns))
		if len(l.Columns) > 0 {
			l.Plan = f.plan(f.read, l.Columns...)
			found, err := learn(ctx, batches, l)
			if err != nil {
				return nil, err
			}
			for i, id := range l.Columns {
				stats[id] = found[i]
			}
		}
		for _, i := range ready {
			if err := f.train(i, stats); err != nil {
				return nil, err
			}
			for _, id := range f.nodes[i].out {
				known[id] = true
			}
		}
		left -= len(ready)
		if labelled {
			var err error
			if classes, err = classesOf(f.columns[f.label], &stats[f.label]); err != nil {
				return nil, stageError(f.at, f.estimator, err)
			}
			label = false
		}
	}
	return classes, nil
}

// train trains a stage whose columns are known.
func (f *fitting) train(i int, stats []columnStats) error {
	n := &f.nodes[i]
	in := make([]column, len(n.in))
	mine := make([]columnStats, len(n.in))
	for k, id := range n.in {
		in[k], mine[k] = f.columns[id], stats[id]
	}
	var err error
	if n.trained, err = n.stage.train(in, mine); err != nil {
		return stageError(i, n.stage, err)
	}
	f.shape(n, in)
	return nil
}

// shape notes what a trained stage makes.
func (g *graph) shape(n *node, in []column) {
	for k, s := range n.trained.shapes(in) {
		g.columns[n.out[k]].shape = s
	}
}

// mostClasses is how many distinct labels are still classes.
const mostClasses = 1000

// classesOf names the classes: texts by how often they occur, numbers by their size.
func classesOf(c column, s *columnStats) ([]string, error) {
	var names []string
	if c.Kind == Text {
		names = byFrequency(Text, s)
	} else {
		for _, x := range s.Numbers {
			if math.IsInf(x, 0) {
				return nil, fmt.Errorf("column %q has the label %v: drop such rows", c.Name, x)
			}
			names = append(names, numberName(x))
		}
	}
	switch {
	case len(names) == 0:
		return nil, fmt.Errorf("there is no row with a label in column %q: check the input and its filters", c.Name)
	case s.TooMany || len(names) > mostClasses:
		return nil, fmt.Errorf("column %q has more than %d distinct labels, too many to be classes: name another", c.Name, mostClasses)
	}
	return names, nil
}

// labeler numbers the labels of rows: those of classes by their names, others as they are.
type labeler struct {
	slot
	texts   map[string]float64
	numbers map[float64]float64 // of classes
}

// newLabeler makes the labeler of a column; classes are nil for labels that are numbers.
func newLabeler(s slot, classes []string) *labeler {
	l := &labeler{slot: s}
	for i, name := range classes {
		if s.kind == Text {
			if l.texts == nil {
				l.texts = map[string]float64{}
			}
			l.texts[name] = float64(i)
		} else if x, err := strconv.ParseFloat(name, 64); err == nil {
			if l.numbers == nil {
				l.numbers = map[float64]float64{}
			}
			l.numbers[x] = float64(i)
		}
	}
	return l
}

// label is the label of the row in the registers; known is false for a class that has no number.
func (l *labeler) label(r *registers) (y float64, known bool, err error) {
	if l.missing(r) {
		return 0, false, fmt.Errorf("column %q has no label: drop such rows", l.name)
	}
	switch {
	case l.kind == Text:
		y, known = l.texts[r.texts[l.at].s]
	case l.numbers != nil:
		y, known = l.numbers[r.nums[l.at]]
	default:
		y, known = r.nums[l.at], true
		if math.IsInf(y, 0) {
			return 0, false, fmt.Errorf("column %q has the label %v: drop such rows", l.name, y)
		}
	}
	return y, known, nil
}

// instancesOp makes rows of features, as trainers take them.
type instancesOp struct {
	Batches                 rdd.RDD[parquetio.Batch]
	Plan                    Plan
	Features, Label, Weight int
	Classes                 []string
	Sparse                  bool
}

// Compute implements rdd.Op.
func (o instancesOp) Compute(t *rdd.Task, p int) (rdd.Stream[linalg.Instance], error) {
	in, err := o.Batches.Compute(t, p)
	if err != nil {
		return nil, err
	}
	m := o.Plan.machine()
	var labels *labeler
	if o.Label >= 0 {
		labels = newLabeler(m.slots[o.Label], o.Classes)
	}
	x := m.values(o.Features)
	name := o.Plan.Columns[o.Features].Name
	return &stream[linalg.Instance]{in: in, m: m, p: p, collect: func(out []linalg.Instance) ([]linalg.Instance, error) {
		r := linalg.Instance{Weight: 1}
		if labels != nil {
			var known bool
			if r.Label, known, err = labels.label(&m.registers); err != nil {
				return out, err
			}
			if !known {
				return out, fmt.Errorf("column %q has the label %s, which is no class", labels.name, labels.show(&m.registers))
			}
		}
		if o.Weight >= 0 {
			if r.Weight = m.nums[m.slots[o.Weight].at]; math.IsNaN(r.Weight) {
				return out, errors.New("it has no weight: fill it in, or drop such rows")
			}
		}
		for _, v := range x {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return out, fmt.Errorf("column %q has %v: drop such rows, or fill in what is missing with an Imputer", name, v)
			}
		}
		r.Features = vector(x, o.Sparse)
		return append(out, r), nil
	}}, nil
}

// vector copies numbers.
func vector(x []float64, sparse bool) linalg.Vector {
	if !sparse {
		return linalg.Dense(slices.Clone(x)...)
	}
	v := linalg.Vector{Size: len(x), Index: []int32{}}
	for j, value := range x {
		if value != 0 {
			v.Index, v.Values = append(v.Index, int32(j)), append(v.Values, value)
		}
	}
	return v
}

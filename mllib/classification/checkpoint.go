package classification

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/internal/optim"
	"github.com/spark-go/spark-go/mllib/modelfile"
)

// The version of a checkpoint's content.
const checkpointVersion = 1

// stage is where a search is, besides the trainer's coordinates: in which round, what was before it, and, where a search goes on, the
// state within it.
type stage struct {
	round, iterations, evaluations int
	history                        []float64
	inner                          *optim.State
}

// position is the part of a stage that goes into the header of a checkpoint.
type position struct {
	Round       int `json:"round"`
	Iterations  int `json:"iterations"`
	Evaluations int `json:"evaluations"`
	Within      int `json:"evaluationsWithin"`
	Pairs       int `json:"pairs"`
}

// keep saves the state after an iteration, if the settings want that.
func (t *trainer) keep(ctx context.Context, at *stage, inner *optim.State) error {
	done := at.iterations + len(inner.History) - 1
	if t.set.CheckpointInterval < 1 || done%t.set.CheckpointInterval != 0 || done >= t.set.MaxIter {
		return nil
	}
	err := t.keeper.Save(ctx, func(f *modelfile.File) {
		f.Set("iteration", done)
		f.Set("position", position{at.round, at.iterations, at.evaluations, inner.Evaluations, len(inner.Steps)})
		modelfile.SetArray(f, "history", at.history)
		modelfile.SetArray(f, "historyWithin", inner.History)
		modelfile.SetArray(f, "x", inner.X)
		modelfile.SetArray(f, "gradient", inner.Gradient)
		modelfile.SetArray(f, "steps", slices.Concat(inner.Steps...))
		modelfile.SetArray(f, "changes", slices.Concat(inner.Changes...))
		modelfile.SetArray(f, "coordinates", t.whiten.numbers())
	})
	if err != nil {
		return fmt.Errorf("iteration %d: %w", done, err)
	}
	return nil
}

// resume returns where an earlier run of this fit was, or the start. rounds tells whether the search changes its coordinates.
func (t *trainer) resume(ctx context.Context, rounds bool) (*stage, error) {
	if t.keeper == nil {
		return &stage{}, nil
	}
	digests, err := checkpoint.Blocks(ctx, t.blocks)
	if err != nil {
		return nil, err
	}
	initial := "none"
	if t.set.Initial != nil {
		if initial, err = t.set.Initial.SHA256(); err != nil {
			return nil, err
		}
	}
	s := &t.set
	f, err := t.keeper.Resume(ctx,
		checkpoint.Of("RegParam", s.RegParam), checkpoint.Of("ElasticNetParam", s.ElasticNetParam), checkpoint.Of("Tol", s.Tol), checkpoint.Of("NoStandardization", s.NoStandardization),
		checkpoint.Of("NoIntercept", s.NoIntercept), checkpoint.Of("Weighted", s.Weighted), checkpoint.Of("AggregationDepth", s.AggregationDepth),
		checkpoint.Of("LowerBoundsOnCoefficients", s.LowerBoundsOnCoefficients), checkpoint.Of("UpperBoundsOnCoefficients", s.UpperBoundsOnCoefficients),
		checkpoint.Of("LowerBoundsOnIntercepts", s.LowerBoundsOnIntercepts), checkpoint.Of("UpperBoundsOnIntercepts", s.UpperBoundsOnIntercepts), checkpoint.Of("Initial", initial),
		checkpoint.Of("rows", t.view.Rows), checkpoint.Of("features", t.features), checkpoint.Of("classes", t.classes), checkpoint.Of("functions", t.functions),
		checkpoint.Of("partitions", len(digests)), checkpoint.Data(digests...))
	if err != nil {
		return nil, err
	}
	if f == nil {
		return &stage{}, nil
	}
	at, err := t.restore(f, rounds)
	if err != nil {
		return nil, t.keeper.Refuse(err)
	}
	t.keeper.Resumed(ctx, "logistic regression", "iteration", at.iterations+len(at.inner.History)-1)
	return at, nil
}

// restore takes over the state of a checkpoint.
func (t *trainer) restore(f *modelfile.File, rounds bool) (*stage, error) {
	done, err := t.keeper.Iteration(f, t.set.MaxIter)
	if err != nil {
		return nil, err
	}
	var p position
	if err := f.Get("position", &p); err != nil {
		return nil, err
	}
	var history, within, x, gradient, steps, changes, coordinates []float64
	for _, a := range []struct {
		name string
		into *[]float64
	}{
		{"history", &history}, {"historyWithin", &within}, {"x", &x}, {"gradient", &gradient}, {"steps", &steps}, {"changes", &changes}, {"coordinates", &coordinates},
	} {
		if *a.into, err = modelfile.GetArray[float64](f, a.name); err != nil {
			return nil, err
		}
	}
	n := t.functions * (t.features + 1)
	at := &stage{round: p.Round, iterations: p.Iterations, evaluations: p.Evaluations, history: slices.Clone(history)}
	at.inner = &optim.State{X: x, Gradient: gradient, History: within, Evaluations: p.Within}
	if p.Round < 0 || p.Pairs < 0 || len(x) != n || len(gradient) != n || len(steps) != p.Pairs*n || len(changes) != p.Pairs*n || len(within) == 0 ||
		done != p.Iterations+len(within)-1 || p.Iterations != max(len(history)-1, 0) || !rounds && (p.Round != 0 || len(coordinates) > 0) {
		return nil, errors.New("its numbers do not fit together")
	}
	for i := range p.Pairs {
		at.inner.Steps = append(at.inner.Steps, steps[i*n:(i+1)*n])
		at.inner.Changes = append(at.inner.Changes, changes[i*n:(i+1)*n])
	}
	t.whiten, err = whiteningOf(coordinates, t.features+1, t.functions)
	return at, err
}

// numbers are those that a whitening consists of.
func (w *whitening) numbers() []float64 {
	if w == nil {
		return nil
	}
	var all []float64
	for _, l := range w.lower {
		all = append(all, l.Data...)
	}
	return all
}

// whiteningOf is the whitening that numbers came from.
func whiteningOf(numbers []float64, size, functions int) (*whitening, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	if len(numbers) != functions*size*size {
		return nil, fmt.Errorf("it has %d coordinates for %d functions of %d variables", len(numbers), functions, size)
	}
	w := &whitening{size: size}
	for k := range functions {
		data := slices.Clone(numbers[k*size*size : (k+1)*size*size])
		w.lower = append(w.lower, blas64.Triangular{Uplo: blas.Lower, Diag: blas.NonUnit, N: size, Stride: size, Data: data})
	}
	return w, nil
}

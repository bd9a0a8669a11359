package classification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/internal/optim"
	"github.com/spark-go/spark-go/mllib/internal/progress"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// trainer is one fit.
type trainer struct {
	set    LogisticRegression
	blocks rdd.RDD[linalg.Block]

	view                         *overview
	features, functions, classes int
	std                          []float64
	center                       []float64 // what is taken off each feature: its mean, or 0 where the rows cannot be centred
	l2                           []float64 // of each scaled feature
	whiten                       *whitening
	weight                       float64 // Σ w
	keeper                       *checkpoint.Keeper
}

func (t *trainer) run(ctx context.Context) (*Model, error) {
	var err error
	if t.keeper, err = checkpoint.OpenFor(ctx, t.blocks.Session(), t.set.CheckpointDir, t.set.CheckpointInterval, "logistic", Kind, checkpointVersion); err != nil {
		return nil, err
	}
	if err := t.look(ctx); err != nil {
		return nil, err
	}
	m := t.newModel()
	if m.constant() {
		slog.Warn("logistic regression: all labels are of one class, so that its intercept is infinite and all coefficients are 0", "class", m.only())
		m.Summary.Reason = "all labels are of one class"
		return m, nil
	}
	if t.set.NoIntercept && t.hasConstantColumn() {
		slog.Warn("logistic regression without an intercept: the coefficients of constant columns are 0, as in Spark and glmnet")
	}
	s := t.problem()
	report := progress.Start(t.blocks.Session(), "logistic regression", s.MaxIter, "objective")
	defer report.Done()
	s.Progress = func(i int, value float64, _ []float64) error {
		report.Iteration(i, value)
		return nil
	}
	r, err := t.search(ctx, s)
	if err != nil {
		return nil, err
	}
	if !r.Converged && s.MaxIter > 0 {
		slog.Warn("logistic regression did not converge: allow more iterations, or a larger tolerance", "iterations", r.Iterations, "objective", r.Value)
	}
	m.Coefficients, m.Intercepts = t.unscale(r.X)
	if t.functions > 1 && !t.set.bounded() {
		center(m.Intercepts, 1)
	}
	m.Summary.ObjectiveHistory, m.Summary.Iterations, m.Summary.Evaluations, m.Summary.Converged, m.Summary.Reason = r.History, r.Iterations, r.Evaluations, r.Converged, r.Reason
	t.keeper.Remove(ctx)
	return m, nil
}

// search finds the minimum, in the variables of scaled features. Where features can be made uncorrelated it does so in rounds: after some iterations the
// curvature is no longer what it was at the start, and the next round begins with that of the place.
func (t *trainer) search(ctx context.Context, s optim.Settings) (*optim.Result, error) {
	n := t.features + 1
	rounds := s.L1 == nil && s.Lower == nil && s.MaxIter > 0 && t.features <= mostWhitened && t.functions*n*n <= 4<<20
	at, err := t.resume(ctx, rounds)
	if err != nil {
		return nil, err
	}
	x := t.start()
	if !rounds {
		s.From, s.Keep = at.inner, func(inner *optim.State) error { return t.keep(ctx, at, inner) }
		r, err := optim.Minimize(ctx, t.evaluate, x, s)
		if err == nil {
			t.centerFunctions(r.X)
		}
		return r, err
	}
	all := &optim.Result{History: at.history, Iterations: at.iterations, Evaluations: at.evaluations}
	for ; ; at.round++ {
		part, done := s, all.Iterations
		if part.From = at.inner; part.From == nil {
			if err := t.correlate(ctx, x); err != nil {
				return nil, err
			}
			x = t.whiten.forward(x)
		}
		at.inner, at.history, at.iterations, at.evaluations = nil, all.History, all.Iterations, all.Evaluations
		part.MaxIter = min(roundIterations(at.round), s.MaxIter-done)
		part.Progress = func(i int, value float64, u []float64) error {
			if i == 0 && at.round > 0 {
				return nil // the end of the last round
			}
			return s.Progress(done+i, value, u)
		}
		part.Keep = func(inner *optim.State) error { return t.keep(ctx, at, inner) }
		r, err := optim.Minimize(ctx, t.evaluate, x, part)
		if err != nil {
			return nil, err
		}
		x = t.scaled(r.X)
		if at.round > 0 {
			r.History = r.History[1:]
		}
		all.X, all.Value, all.Converged, all.Reason = x, r.Value, r.Converged, r.Reason
		all.History = append(all.History, r.History...)
		all.Iterations += r.Iterations
		all.Evaluations += r.Evaluations
		if r.Converged || all.Iterations >= s.MaxIter {
			return all, nil
		}
	}
}

// center makes the mean over the functions zero: a softmax does not change if the same is added to all of them.
func center(rows []float64, n int) {
	functions := len(rows) / max(n, 1)
	for j := range n {
		mean := 0.0
		for k := range functions {
			mean += rows[k*n+j]
		}
		mean /= float64(functions)
		for k := range functions {
			rows[k*n+j] -= mean
		}
	}
}

// look runs the first job and checks what it finds against the settings.
func (t *trainer) look(ctx context.Context) error {
	op := overviewOp{Blocks: t.blocks, Weighted: t.set.Weighted, Names: t.set.FeatureNames}
	parts, err := derive(t.blocks.Node(), rdd.Op[overview](op), "LogisticRegressionOverview").Collect(ctx)
	if err != nil {
		return err
	}
	v := &overview{}
	for i := range parts {
		if err := v.merge(&parts[i]); err != nil {
			return err
		}
	}
	t.view, t.features = v, v.Columns.Cols()
	t.weight = v.Columns.WeightSum
	switch {
	case v.Rows == 0:
		return errors.New("there are no rows: check the input and its filters")
	case !(t.weight > 0):
		return errors.New("all weights are 0")
	case t.set.FeatureNames != nil && len(t.set.FeatureNames) != t.features:
		return fmt.Errorf("there are %s for %s: give one each, or none", plural(len(t.set.FeatureNames), "name"), plural(t.features, "feature"))
	}
	if err := t.countClasses(); err != nil {
		return err
	}
	return t.checkShapes()
}

func (t *trainer) countClasses() error {
	seen := len(t.view.Classes)
	t.classes = max(seen, t.set.NumClasses)
	if t.set.NumClasses > 0 && seen > t.set.NumClasses {
		return fmt.Errorf("NumClasses is %d and there is a label %d: labels are below it", t.set.NumClasses, seen-1)
	}
	if len(t.set.Thresholds) > 0 {
		if t.classes < len(t.set.Thresholds) {
			t.classes = len(t.set.Thresholds)
		}
		if t.classes != len(t.set.Thresholds) {
			return fmt.Errorf("there are %s for %s: give one each", plural(len(t.set.Thresholds), "threshold"), plural(t.classes, "class"))
		}
	}
	if names := len(t.set.LabelNames); names > 0 {
		if t.classes = max(t.classes, names); t.classes != names {
			return fmt.Errorf("there are %s for %s: give one each, or none", plural(names, "label name"), plural(t.classes, "class"))
		}
	}
	family := t.set.Family
	if family == Auto {
		family = Multinomial
		if t.classes <= 2 {
			family = Binomial
		}
	}
	if family == Binomial {
		if t.classes > 2 {
			return fmt.Errorf("the family is binomial and there are %d classes: choose auto or multinomial", t.classes)
		}
		t.classes, t.functions = 2, 1
	} else {
		t.classes = max(t.classes, 2)
		t.functions = t.classes
	}
	for len(t.view.Classes) < t.classes {
		t.view.Classes = append(t.view.Classes, 0)
	}
	return nil
}

// checkShapes holds bounds and the initial model against the data.
func (t *trainer) checkShapes() error {
	for _, b := range []struct {
		name string
		rows [][]float64
	}{{"LowerBoundsOnCoefficients", t.set.LowerBoundsOnCoefficients}, {"UpperBoundsOnCoefficients", t.set.UpperBoundsOnCoefficients}} {
		if b.rows != nil && len(b.rows) != t.functions {
			return fmt.Errorf("%s has %s: give %d", b.name, plural(len(b.rows), "row"), t.functions)
		}
		for _, row := range b.rows {
			if len(row) != t.features {
				return fmt.Errorf("%s has a row of %s: give %d", b.name, plural(len(row), "number"), t.features)
			}
		}
	}
	for name, b := range map[string][]float64{"LowerBoundsOnIntercepts": t.set.LowerBoundsOnIntercepts, "UpperBoundsOnIntercepts": t.set.UpperBoundsOnIntercepts} {
		if b != nil && len(b) != t.functions {
			return fmt.Errorf("%s has %s: give %d", name, plural(len(b), "number"), t.functions)
		}
	}
	if m := t.set.Initial; m != nil && (m.NumFeatures != t.features || len(m.Intercepts) != t.functions) {
		return fmt.Errorf("the initial model has %s and %s, the data %d and %d", plural(m.NumFeatures, "feature"), plural(len(m.Intercepts), "function"), t.features, t.functions)
	}
	return nil
}

func (t *trainer) hasConstantColumn() bool {
	for j, s := range t.std {
		if s == 0 && t.view.Columns.Mean[j] != 0 {
			return true
		}
	}
	return false
}

func (t *trainer) l1Penalty() bool { return t.set.RegParam > 0 && t.set.ElasticNetParam > 0 }

// mostWhitened bounds the features for which all pairs are looked at.
const mostWhitened = 512

// problem prepares the search: scales, penalties and bounds.
func (t *trainer) problem() (s optim.Settings) {
	d := t.features
	t.std = t.view.Columns.Std()
	t.center, t.l2 = make([]float64, d), make([]float64, d)
	if !t.set.NoIntercept && !finite(t.set.LowerBoundsOnIntercepts) && !finite(t.set.UpperBoundsOnIntercepts) {
		copy(t.center, t.view.Columns.Mean)
	}
	s = optim.Settings{MaxIter: t.set.MaxIter, Tol: t.set.Tol}
	size := t.functions*d + t.functions
	l1 := make([]float64, size)
	for j := range d {
		if t.std[j] == 0 {
			continue
		}
		scale := 1.0 // of the penalty: that of the coefficient as it is, where it is meant
		if t.set.NoStandardization {
			scale = 1 / t.std[j]
		}
		t.l2[j] = t.set.RegParam * (1 - t.set.ElasticNetParam) * scale * scale
		for k := range t.functions {
			l1[k*d+j] = t.set.RegParam * t.set.ElasticNetParam * scale
		}
	}
	switch {
	case t.l1Penalty():
		s.L1 = l1
	case t.set.bounded():
		s.Lower, s.Upper = t.bounds(size)
	}
	return s
}

func finite(x []float64) bool {
	for _, v := range x {
		if !math.IsInf(v, 0) {
			return true
		}
	}
	return false
}

// bounds translates bounds of coefficients into those of scaled features.
func (t *trainer) bounds(size int) (lower, upper []float64) {
	lower, upper = make([]float64, size), make([]float64, size)
	d := t.features
	for i := range lower {
		lower[i], upper[i] = math.Inf(-1), math.Inf(1)
	}
	for k := range t.functions {
		for j := range d {
			if t.set.LowerBoundsOnCoefficients != nil {
				lower[k*d+j] = scaleBound(t.set.LowerBoundsOnCoefficients[k][j], t.std[j])
			}
			if t.set.UpperBoundsOnCoefficients != nil {
				upper[k*d+j] = scaleBound(t.set.UpperBoundsOnCoefficients[k][j], t.std[j])
			}
		}
		if t.set.LowerBoundsOnIntercepts != nil {
			lower[t.functions*d+k] = t.set.LowerBoundsOnIntercepts[k]
		}
		if t.set.UpperBoundsOnIntercepts != nil {
			upper[t.functions*d+k] = t.set.UpperBoundsOnIntercepts[k]
		}
	}
	return lower, upper
}

func scaleBound(b, std float64) float64 {
	if math.IsInf(b, 0) || std == 0 {
		return b
	}
	return b * std
}

// start is the initial model, or else zero coefficients and the intercepts that fit the classes' shares.
func (t *trainer) start() []float64 {
	d := t.features
	x := make([]float64, t.functions*d+t.functions)
	if m := t.set.Initial; m != nil && m.finite() {
		for k := range t.functions {
			x[t.functions*d+k] = m.Intercepts[k]
			for j := range d {
				c := m.Coefficients[k*d+j]
				if t.std[j] > 0 {
					x[k*d+j] = c * t.std[j]
				}
				x[t.functions*d+k] += c * t.center[j]
			}
		}
	} else if !t.set.NoIntercept { // a class that does not occur counts as a millionth of a row
		if t.functions == 1 {
			x[d] = math.Log(max(t.view.Classes[1], 1e-6) / max(t.view.Classes[0], 1e-6))
		} else {
			for k := range t.functions {
				x[t.functions*d+k] = math.Log(max(t.view.Classes[k], 1e-6) / t.weight)
			}
			center(x[t.functions*d:], 1)
		}
	}
	if t.set.NoIntercept {
		clear(x[t.functions*d:])
	}
	return x
}

// original turns the variables of the search into coefficients and intercepts of the features as they are.
func (t *trainer) original(u []float64) (coefficients, intercepts []float64) {
	return t.unscale(t.scaled(u))
}

// scaled turns the variables of the search into those of scaled features, in a slice of its own. A softmax does not change if the same is added to all functions, and an
// L2 penalty is smallest where they sum to zero: the search looks at that part of its variables alone, and sees no direction in which next to nothing changes.
func (t *trainer) scaled(u []float64) []float64 {
	x := t.whiten.back(u)
	t.centerFunctions(x)
	return x
}

// centerFunctions makes the functions of a softmax sum to zero, where that costs nothing.
func (t *trainer) centerFunctions(x []float64) {
	if t.functions > 1 && !t.l1Penalty() && !t.set.bounded() {
		center(x[:t.functions*t.features], t.features)
		center(x[t.functions*t.features:], 1)
	}
}

// unscale turns the variables of scaled features into those of the features as they are, in place.
func (t *trainer) unscale(x []float64) (coefficients, intercepts []float64) {
	d := t.features
	coefficients, intercepts = x[:t.functions*d], x[t.functions*d:]
	for k := range t.functions {
		for j := range d {
			c := &coefficients[k*d+j]
			if t.std[j] == 0 {
				*c = 0
				continue
			}
			*c /= t.std[j]
			intercepts[k] -= *c * t.center[j]
		}
		if t.set.NoIntercept {
			intercepts[k] = 0
		}
	}
	return coefficients, intercepts
}

// evaluate is the objective without its L1 part, as a function of the variables of the search.
func (t *trainer) evaluate(ctx context.Context, u, grad []float64) (float64, error) {
	d := t.features
	coefficients, intercepts := t.original(u)
	op := gradientOp{Blocks: t.blocks, Weighted: t.set.Weighted, Coefficients: coefficients, Intercepts: intercepts}
	parts := derive(t.blocks.Node(), rdd.Op[sums](op), "LogisticRegressionGradient")
	s, err := rdd.TreeAggregate(ctx, parts, newSums(t.functions, d), addSums, addSums, t.set.AggregationDepth)
	if err != nil {
		return 0, err
	}
	x := t.scaled(u)
	value := s.Loss / t.weight
	for k := range t.functions {
		for j := range d {
			i := k*d + j
			grad[i] = 0
			if t.std[j] > 0 {
				grad[i] = (s.Coefficients[i]-t.center[j]*s.Intercepts[k])/(t.std[j]*t.weight) + t.l2[j]*x[i]
				value += t.l2[j] / 2 * x[i] * x[i]
			}
		}
		grad[t.functions*d+k] = s.Intercepts[k] / t.weight
		if t.set.NoIntercept {
			grad[t.functions*d+k] = 0
		}
	}
	t.centerFunctions(grad)
	t.whiten.gradient(grad)
	return value, nil
}

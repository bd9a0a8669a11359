package classification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"

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
}

func (t *trainer) run(ctx context.Context) (*Model, error) {
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
	x0, s, err := t.problem(ctx)
	if err != nil {
		return nil, err
	}
	report := progress.Start(t.blocks.Session(), "logistic regression", s.MaxIter, "objective")
	defer report.Done()
	s.Progress = func(i int, value float64, x []float64) error {
		report.Iteration(i, value)
		return t.checkpoint(ctx, m, i, value, x)
	}
	r, err := optim.Minimize(ctx, t.evaluate, x0, s)
	if err != nil {
		return nil, err
	}
	if !r.Converged && s.MaxIter > 0 {
		slog.Warn("logistic regression did not converge: allow more iterations, or a larger tolerance", "iterations", r.Iterations, "objective", r.Value)
	}
	m.Coefficients, m.Intercepts = t.original(r.X)
	if t.functions > 1 && !t.set.bounded() {
		center(m.Intercepts, 1)
		if t.set.RegParam == 0 {
			center(m.Coefficients, t.features)
		}
	}
	m.Summary.ObjectiveHistory, m.Summary.Iterations, m.Summary.Evaluations, m.Summary.Converged, m.Summary.Reason = r.History, r.Iterations, r.Evaluations, r.Converged, r.Reason
	return m, nil
}

// checkpoint saves the model as it is now, every few iterations if that is asked for.
func (t *trainer) checkpoint(ctx context.Context, m *Model, iteration int, value float64, x []float64) error {
	if t.set.CheckpointURI == "" || iteration == 0 || iteration%t.set.CheckpointInterval != 0 {
		return nil
	}
	now := *m
	now.Coefficients, now.Intercepts = t.original(x)
	now.Summary.ObjectiveHistory, now.Summary.Iterations, now.Summary.Reason = []float64{value}, iteration, "a checkpoint"
	if err := now.Save(ctx, t.set.CheckpointURI); err != nil {
		return fmt.Errorf("checkpoint after iteration %d: %w", iteration, err)
	}
	return nil
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

// problem prepares the search: scales, penalties, bounds and where to start.
func (t *trainer) problem(ctx context.Context) (x0 []float64, s optim.Settings, err error) {
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
	case d <= mostWhitened && s.MaxIter > 0:
		if err := t.correlate(ctx); err != nil {
			return nil, s, err
		}
	}
	return t.start(size), s, nil
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
func (t *trainer) start(size int) []float64 {
	d := t.features
	x := make([]float64, size)
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
	return t.whiten.forward(x, d, t.functions)
}

// original turns the variables of the search into coefficients and intercepts of the features as they are.
func (t *trainer) original(u []float64) (coefficients, intercepts []float64) {
	d := t.features
	x := t.whiten.back(u, d, t.functions)
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
	x := t.whiten.back(u, d, t.functions)
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
	t.whiten.gradient(grad, d, t.functions)
	return value, nil
}

// correlate looks at the products of all pairs of features and makes the coordinates of the search of them.
func (t *trainer) correlate(ctx context.Context) error {
	d := t.features
	scale := make([]float64, d)
	for j, s := range t.std {
		if s > 0 {
			scale[j] = 1 / s
		}
	}
	want := min(max(8_000_000_000/int64(max(d*d, 1)), int64(20*d)), 65536) // rows that suffice: more would cost more than they save
	op := productsOp{Blocks: t.blocks, Stride: int(max(1, t.view.Rows/want)), Center: t.center, Scale: scale}
	parts := derive(t.blocks.Node(), rdd.Op[products](op), "LogisticRegressionProducts")
	p, err := rdd.TreeAggregate(ctx, parts, products{Pairs: make([]float64, d*d)}, addProducts, addProducts, t.set.AggregationDepth)
	if err != nil {
		return err
	}
	if p.Rows == 0 {
		return nil
	}
	// The share of the curvature that does not depend on the features.
	c := 0.0
	for _, w := range t.view.Classes {
		share := w / t.weight
		c += share * (1 - share) / float64(t.classes)
	}
	for i := range d {
		for j := range i + 1 {
			at := &p.Pairs[i*d+j]
			*at /= float64(p.Rows)
			if !t.view.Dense {
				*at -= t.center[i] * scale[i] * t.center[j] * scale[j]
			}
			*at *= c
			if i == j {
				// Every scaled feature has variance 1, also one that the sample missed.
				*at = max(*at, c) + t.l2[j] + 1e-7*c
			}
		}
	}
	chol, ok := lapack64.Potrf(blas64.Symmetric{N: d, Stride: max(d, 1), Data: p.Pairs, Uplo: blas.Lower})
	if ok {
		t.whiten = &whitening{lower: chol, intercept: 1 / math.Sqrt(c)}
	}
	return nil
}

// whitening is a change of coordinates u = Lᵀ·x, in which the objective's curvature is about the same in all directions. The nil one changes nothing.
type whitening struct {
	lower     blas64.Triangular // L, of L·Lᵀ ≈ the Hessian at the start
	intercept float64           // x = intercept·u
}

// forward returns the coordinates of x.
func (w *whitening) forward(x []float64, d, functions int) []float64 {
	if w == nil {
		return x
	}
	for k := range functions {
		if d > 0 {
			blas64.Trmv(blas.Trans, w.lower, blas64.Vector{N: d, Inc: 1, Data: x[k*d : (k+1)*d]})
		}
		x[functions*d+k] /= w.intercept
	}
	return x
}

// back returns x in a slice of its own.
func (w *whitening) back(u []float64, d, functions int) []float64 {
	x := append([]float64(nil), u...)
	if w == nil {
		return x
	}
	for k := range functions {
		if d > 0 {
			blas64.Trsv(blas.Trans, w.lower, blas64.Vector{N: d, Inc: 1, Data: x[k*d : (k+1)*d]})
		}
		x[functions*d+k] *= w.intercept
	}
	return x
}

// gradient turns the derivatives by x into those by u, in place.
func (w *whitening) gradient(g []float64, d, functions int) {
	if w == nil {
		return
	}
	for k := range functions {
		if d > 0 {
			blas64.Trsv(blas.NoTrans, w.lower, blas64.Vector{N: d, Inc: 1, Data: g[k*d : (k+1)*d]})
		}
		g[functions*d+k] *= w.intercept
	}
}

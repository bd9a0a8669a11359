// Package optim minimises functions of many variables by limited-memory quasi-Newton methods: L-BFGS, OWL-QN where there is an L1 penalty, and
// projected L-BFGS where there are bounds.
//
// # Concept
//
// All three keep the last few differences of points and gradients and make from them a direction that approximates Newton's (Nocedal: Updating
// quasi-Newton matrices with limited storage, 1980). They differ in what surrounds it:
//
//   - Without penalty and bounds a line search finds a step that satisfies the strong Wolfe conditions (Nocedal and Wright: Numerical
//     Optimization, 2006, algorithms 3.5 and 3.6), up to the precision of the function (Hager and Zhang: A new conjugate gradient method, 2005).
//   - OWL-QN (Andrew and Gao: Scalable training of L1-regularized log-linear models, 2007) replaces the gradient by the pseudo-gradient, keeps
//     the direction and each step in one orthant, and backtracks.
//   - With bounds the direction is made of the variables alone that are not held at a bound by the gradient, and the step is projected onto the bounds and
//     backtracks along this path (Bertsekas: Projected Newton methods for optimization problems with simple constraints, 1982). The minimum is
//     that of L-BFGS-B, which Spark uses.
//
// # Invariants
//
// Equal functions give equal results bit for bit: nothing depends on time, and sums run in the order of the variables. The value never rises from one iteration to the next by
// more than its rounding error. A function that returns an error, or a cancelled context, ends the minimisation with that error; a value that is not a number is a step too far.
package optim

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Objective returns the value at x and stores the gradient in grad. It must not keep or change x.
type Objective func(ctx context.Context, x, grad []float64) (float64, error)

// Settings says how to minimise.
type Settings struct {
	MaxIter int // iterations, at least 0
	// Tol ends the search when the length of the gradient (pseudo-gradient, projected gradient) is at most Tol·max(|f|, Tol), or when ten
	// iterations together improve the value by at most Tol²·|f|.
	Tol    float64
	Memory int // differences that are kept; default 10
	// L1 is the weight of each variable's absolute value in the function that is minimised, beside the objective; nil for none.
	L1 []float64
	// Lower and Upper bound the variables; nil for none, infinite for some. They do not go with L1.
	Lower, Upper []float64
	// Progress is told of the start, as iteration 0, and of each iteration. It must not keep or change x. An error ends the search with it.
	Progress func(iteration int, value float64, x []float64) error
	// Keep is given the state after each iteration, after Progress; nil for nobody. It must neither keep nor change what the state consists of. An error ends the search with it.
	Keep func(*State) error
	// From is the state to go on from, in the place of x0: the search ends as if it had never been interrupted.
	From *State
}

// State is all that a search depends on after an iteration, besides its objective and settings.
type State struct {
	X, Gradient []float64
	History     []float64 // values at the start and after each iteration; the last is that at X
	Evaluations int
	// Steps and Changes are the differences of points and gradients, the oldest first.
	Steps, Changes [][]float64
}

// check holds a state to its shape.
func (s *State) check(variables, memory int) error {
	if len(s.X) != variables || len(s.Gradient) != variables || len(s.History) == 0 || len(s.Steps) != len(s.Changes) || len(s.Steps) > memory {
		return fmt.Errorf("minimise: a state of %d variables and %d derivatives after %d values with %d and %d differences, for %d variables", len(s.X), len(s.Gradient), len(s.History), len(s.Steps), len(s.Changes), variables)
	}
	for i := range s.Steps {
		if len(s.Steps[i]) != variables || len(s.Changes[i]) != variables {
			return fmt.Errorf("minimise: a state whose difference %d has %d and %d numbers, for %d variables", i, len(s.Steps[i]), len(s.Changes[i]), variables)
		}
	}
	return nil
}

// Result is where the search ended.
type Result struct {
	X           []float64
	Value       float64   // with the L1 penalty
	History     []float64 // values at the start and after each iteration
	Iterations  int
	Evaluations int // calls of the objective
	Converged   bool
	Reason      string // why the search ended
}

// The reasons.
const (
	SmallGradient = "the gradient is small"
	SmallChange   = "the objective hardly changes"
	NoProgress    = "the objective cannot be told apart from smaller values"
	TooManySteps  = "the iterations are used up"
)

// Minimize searches the minimum from x0, which is projected onto the bounds. It needs a finite value there.
func Minimize(ctx context.Context, f Objective, x0 []float64, s Settings) (*Result, error) {
	n := len(x0)
	if s.Memory == 0 {
		s.Memory = 10
	}
	for _, v := range [][]float64{s.L1, s.Lower, s.Upper} {
		if v != nil && len(v) != n {
			return nil, fmt.Errorf("minimise: %d penalties or bounds for %d variables", len(v), n)
		}
	}
	if s.L1 != nil && (s.Lower != nil || s.Upper != nil) {
		return nil, errors.New("minimise: an L1 penalty does not go with bounds: give one of them")
	}
	m := &minimizer{f: f, set: s, pairs: newPairs(n, s.Memory), free: make([]bool, n)}
	if from := s.From; from != nil {
		if err := from.check(n, s.Memory); err != nil {
			return nil, err
		}
		m.evaluations = from.Evaluations
		m.pairs.restore(from.Steps, from.Changes)
		return m.run(ctx, point{slices.Clone(from.X), slices.Clone(from.Gradient), from.History[len(from.History)-1]}, slices.Clone(from.History))
	}
	at := point{x: slices.Clone(x0), g: make([]float64, n)}
	m.project(at.x)
	if err := m.evaluate(ctx, &at); err != nil {
		return nil, err
	}
	if math.IsNaN(at.f) || math.IsInf(at.f, 0) {
		return nil, fmt.Errorf("minimise: the objective is %v at the start: start elsewhere, or look for numbers that are not finite", at.f)
	}
	if err := m.progress(0, at); err != nil {
		return nil, err
	}
	return m.run(ctx, at, []float64{at.f})
}

type point struct {
	x, g []float64
	f    float64
}

type minimizer struct {
	f           Objective
	set         Settings
	pairs       *pairs
	free        []bool // variables that may move
	evaluations int
}

// run searches from a point; history is of the values up to there.
func (m *minimizer) run(ctx context.Context, at point, history []float64) (*Result, error) {
	n := len(at.x)
	next := point{x: make([]float64, n), g: make([]float64, n)}
	pg, d := make([]float64, n), make([]float64, n)
	r := &Result{History: history, Iterations: len(history) - 1}
	for {
		m.steepest(pg, at)
		norm := length(pg)
		switch {
		case norm <= m.set.Tol*max(math.Abs(at.f), m.set.Tol):
			r.Converged, r.Reason = true, SmallGradient
		case m.stalled(r.History):
			r.Converged, r.Reason = true, SmallChange
		case r.Iterations >= m.set.MaxIter:
			r.Reason = TooManySteps
		}
		if r.Reason != "" {
			break
		}
		step := m.direction(d, pg, at)
		ok, err := m.search(ctx, at, &next, pg, d, step)
		if err == nil && !ok && m.pairs.count > 0 {
			// The differences may mislead: once more along the gradient.
			m.pairs.count = 0
			step = m.direction(d, pg, at)
			ok, err = m.search(ctx, at, &next, pg, d, step)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			r.Converged, r.Reason = true, NoProgress
			break
		}
		m.pairs.add(at, next)
		at, next = next, at
		r.Iterations++
		r.History = append(r.History, at.f)
		if err := m.progress(r.Iterations, at); err != nil {
			return nil, err
		}
		if err := m.keep(at, r.History); err != nil {
			return nil, err
		}
	}
	r.X, r.Value, r.Evaluations = at.x, at.f, m.evaluations
	return r, nil
}

func (m *minimizer) progress(iteration int, at point) error {
	if m.set.Progress == nil {
		return nil
	}
	return m.set.Progress(iteration, at.f, at.x)
}

func (m *minimizer) keep(at point, history []float64) error {
	if m.set.Keep == nil {
		return nil
	}
	s := &State{X: at.x, Gradient: at.g, History: history, Evaluations: m.evaluations}
	s.Steps, s.Changes = m.pairs.list()
	return m.set.Keep(s)
}

// stalled tells whether ten iterations have changed next to nothing.
func (m *minimizer) stalled(history []float64) bool {
	const window = 10
	if len(history) <= window {
		return false
	}
	last := history[len(history)-1]
	return history[len(history)-1-window]-last <= m.set.Tol*m.set.Tol*math.Abs(last)
}

// evaluate computes value and gradient at a point.
func (m *minimizer) evaluate(ctx context.Context, p *point) (err error) {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	m.evaluations++
	if p.f, err = m.f(ctx, p.x, p.g); err != nil {
		return err
	}
	for i, w := range m.set.L1 {
		p.f += w * math.Abs(p.x[i])
	}
	return nil
}

// project moves x onto the bounds.
func (m *minimizer) project(x []float64) {
	for i := range x {
		if m.set.Lower != nil {
			x[i] = max(x[i], m.set.Lower[i])
		}
		if m.set.Upper != nil {
			x[i] = min(x[i], m.set.Upper[i])
		}
	}
}

// steepest stores the gradient, or what takes its place: the pseudo-gradient, or the gradient without what points out of the bounds. It also
// finds the variables that may move.
func (m *minimizer) steepest(pg []float64, at point) {
	copy(pg, at.g)
	for i := range pg {
		m.free[i] = true
		switch {
		case m.set.L1 != nil:
			pg[i] = pseudo(at.x[i], at.g[i], m.set.L1[i])
			m.free[i] = at.x[i] != 0 || pg[i] != 0 // a variable that the penalty holds at zero says nothing of the others
		case m.set.Lower != nil && at.x[i] <= m.set.Lower[i] && at.g[i] >= 0,
			m.set.Upper != nil && at.x[i] >= m.set.Upper[i] && at.g[i] <= 0:
			pg[i], m.free[i] = 0, false
		}
	}
}

// pseudo is the subgradient of smallest size of g·x + w·|x|.
func pseudo(x, g, w float64) float64 {
	switch {
	case x > 0 || x == 0 && g+w < 0:
		return g + w
	case x < 0 || g-w > 0:
		return g - w
	}
	return 0
}

// direction stores where to go, and returns the first step to try.
func (m *minimizer) direction(d, pg []float64, at point) float64 {
	for i := range d {
		d[i] = -pg[i]
	}
	if m.pairs.count == 0 {
		return min(1, 1/length(pg))
	}
	m.pairs.multiply(d, m.free)
	slope := 0.0
	for i := range d {
		if m.set.L1 != nil && d[i]*pg[i] >= 0 {
			d[i] = 0 // OWL-QN: only where the pseudo-gradient descends as well
		}
		slope += d[i] * pg[i]
	}
	if !(slope < 0) { // rounding, or pairs of another set of free variables
		m.pairs.count = 0
		return m.direction(d, pg, at)
	}
	return 1
}

// search finds the next point along d. It reports false if there is none that is better.
func (m *minimizer) search(ctx context.Context, at point, next *point, pg, d []float64, step float64) (bool, error) {
	if m.set.L1 != nil || m.set.Lower != nil || m.set.Upper != nil {
		return m.backtrack(ctx, at, next, pg, d, step)
	}
	l := &lineSearch{m: m, at: at, next: next, d: d, slope: dot(at.g, d)}
	return l.run(ctx, step)
}

// backtrack shortens the step until the value falls by a share of what the gradient promises. Steps are kept in their orthant or within the bounds.
func (m *minimizer) backtrack(ctx context.Context, at point, next *point, pg, d []float64, step float64) (bool, error) {
	const share = 1e-4
	for range 50 {
		promise := 0.0
		for i := range d {
			x := at.x[i] + step*d[i]
			if m.set.L1 != nil {
				side := at.x[i]
				if side == 0 {
					side = -pg[i]
				}
				if x*side < 0 || side == 0 {
					x = 0
				}
			}
			next.x[i] = x
		}
		m.project(next.x)
		moved := false
		for i := range d {
			promise += pg[i] * (next.x[i] - at.x[i])
			moved = moved || next.x[i] != at.x[i]
		}
		if !moved {
			return false, nil
		}
		if err := m.evaluate(ctx, next); err != nil {
			return false, err
		}
		if next.f <= at.f+share*promise && next.f < at.f {
			return true, nil
		}
		step *= shrink(at.f, next.f, promise)
	}
	return false, nil
}

// shrink is the minimum of the parabola through the value and slope at the start and the value at the end of a step, kept between a tenth and a half.
func shrink(f0, f1, slope float64) float64 {
	s := -slope / (2 * (f1 - f0 - slope))
	if !(s > 0.1) {
		return 0.1
	}
	return min(s, 0.5)
}

func dot(x, y []float64) float64 {
	s := 0.0
	for i := range x {
		s += x[i] * y[i]
	}
	return s
}

func length(x []float64) float64 { return math.Sqrt(dot(x, x)) }

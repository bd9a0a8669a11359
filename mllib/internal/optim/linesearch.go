package optim

import (
	"context"
	"math"
)

// lineSearch looks for a step along d that satisfies the strong Wolfe conditions: the value falls by a share of what the slope promises, and the
// slope flattens. Close to the minimum, where values differ by rounding alone, the slopes decide (Hager and Zhang's approximate conditions).
type lineSearch struct {
	m     *minimizer
	at    point
	next  *point
	d     []float64
	slope float64 // at the start, below 0
}

const (
	decrease  = 1e-4
	curvature = 0.9
	// rounding is how much of the value may be rounding error.
	rounding = 1e-12
)

// end is one end of the interval of steps.
type end struct{ step, f, slope float64 }

// try evaluates a step.
func (l *lineSearch) try(ctx context.Context, step float64) (end, error) {
	for i := range l.d {
		l.next.x[i] = l.at.x[i] + step*l.d[i]
	}
	if err := l.m.evaluate(ctx, l.next); err != nil {
		return end{}, err
	}
	e := end{step, l.next.f, dot(l.next.g, l.d)}
	if math.IsNaN(e.f) || math.IsNaN(e.slope) {
		e.f = math.Inf(1)
	}
	return e, nil
}

// falls is the first condition.
func (l *lineSearch) falls(e end) bool {
	if e.f <= l.at.f+decrease*e.step*l.slope {
		return true
	}
	return e.f <= l.at.f+rounding*math.Abs(l.at.f) && e.slope <= (2*decrease-1)*l.slope
}

func (l *lineSearch) good(e end) bool { return l.falls(e) && math.Abs(e.slope) <= -curvature*l.slope }

// run widens the step until the interval holds a good one, then narrows it.
func (l *lineSearch) run(ctx context.Context, step float64) (bool, error) {
	last := end{0, l.at.f, l.slope}
	for i := range 30 {
		e, err := l.try(ctx, step)
		if err != nil {
			return false, err
		}
		if !l.falls(e) || i > 0 && e.f >= last.f+rounding*math.Abs(last.f) {
			return l.zoom(ctx, last, e)
		}
		if l.good(e) {
			return true, nil
		}
		if e.slope >= 0 {
			return l.zoom(ctx, e, last)
		}
		last = e
		step *= 4
	}
	return false, nil
}

// zoom narrows the interval between lo, the better end, and hi.
func (l *lineSearch) zoom(ctx context.Context, lo, hi end) (bool, error) {
	for range 30 {
		step := between(lo, hi)
		if step == lo.step || step == hi.step {
			break
		}
		e, err := l.try(ctx, step)
		if err != nil {
			return false, err
		}
		switch {
		case !l.falls(e) || e.f >= lo.f+rounding*math.Abs(lo.f):
			hi = e
		case l.good(e):
			return true, nil
		default:
			if e.slope*(hi.step-lo.step) >= 0 {
				hi = lo
			}
			lo = e
		}
	}
	if lo.step == 0 {
		return false, nil
	}
	// Not a good step, but a better point.
	e, err := l.try(ctx, lo.step)
	return err == nil && e.f < l.at.f, err
}

// between is the minimum of the cubic through both ends, kept away from them, or the middle.
func between(lo, hi end) float64 {
	width := hi.step - lo.step
	middle := lo.step + width/2
	if math.IsInf(hi.f, 0) {
		return lo.step + width/10
	}
	a := lo.slope + hi.slope - 3*(lo.f-hi.f)/(lo.step-hi.step)
	b := a*a - lo.slope*hi.slope
	if !(b >= 0) {
		return middle
	}
	b = math.Copysign(math.Sqrt(b), width)
	step := hi.step - width*(hi.slope+b-a)/(hi.slope-lo.slope+2*b)
	low, high := lo.step+0.1*width, lo.step+0.9*width
	if !(step >= min(low, high) && step <= max(low, high)) {
		return middle
	}
	return step
}

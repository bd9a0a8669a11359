package optim

// pairs are the last differences of points (s) and gradients (y), and with them an approximation of the inverse Hessian.
type pairs struct {
	s, y  [][]float64
	next  int // where the next pair goes
	count int
	alpha []float64
}

func newPairs(n, memory int) *pairs {
	p := &pairs{s: make([][]float64, memory), y: make([][]float64, memory), alpha: make([]float64, memory)}
	for i := range memory {
		p.s[i], p.y[i] = make([]float64, n), make([]float64, n)
	}
	return p
}

// add keeps the step from one point to the next, unless the gradient did not grow along it: then it says nothing of a convex function.
func (p *pairs) add(from, to point) {
	s, y := p.s[p.next], p.y[p.next]
	sy, yy := 0.0, 0.0
	for i := range s {
		s[i], y[i] = to.x[i]-from.x[i], to.g[i]-from.g[i]
		sy += s[i] * y[i]
		yy += y[i] * y[i]
	}
	if !(sy > 1e-16*yy) || yy == 0 {
		return
	}
	p.next = (p.next + 1) % len(p.s)
	p.count = min(p.count+1, len(p.s))
}

// list returns the pairs, the oldest first.
func (p *pairs) list() (steps, changes [][]float64) {
	for k := p.count; k > 0; k-- {
		i := (p.next - k + len(p.s)) % len(p.s)
		steps, changes = append(steps, p.s[i]), append(changes, p.y[i])
	}
	return steps, changes
}

// restore takes over what list returned.
func (p *pairs) restore(steps, changes [][]float64) {
	for i := range steps {
		copy(p.s[i], steps[i])
		copy(p.y[i], changes[i])
	}
	p.count = len(steps)
	p.next = p.count % len(p.s)
}

// multiply replaces d by the approximate inverse Hessian times d, within the free variables: the two loops of Nocedal, oldest pair inside.
func (p *pairs) multiply(d []float64, free []bool) {
	within := func(x, y []float64) float64 {
		s := 0.0
		for i := range x {
			if free[i] {
				s += x[i] * y[i]
			}
		}
		return s
	}
	scale := 0.0
	for k := range p.count { // newest first
		i := (p.next - 1 - k + 2*len(p.s)) % len(p.s)
		s, y := p.s[i], p.y[i]
		sy := within(s, y)
		if !(sy > 0) {
			p.alpha[i] = 0
			continue
		}
		if scale == 0 {
			scale = sy / within(y, y)
		}
		p.alpha[i] = within(s, d) / sy
		for j := range d {
			d[j] -= p.alpha[i] * y[j]
		}
	}
	if scale == 0 {
		scale = 1
	}
	for j := range d {
		d[j] *= scale
		if !free[j] {
			d[j] = 0
		}
	}
	for k := p.count - 1; k >= 0; k-- {
		i := (p.next - 1 - k + 2*len(p.s)) % len(p.s)
		s, y := p.s[i], p.y[i]
		sy := within(s, y)
		if !(sy > 0) {
			continue
		}
		beta := within(y, d) / sy
		for j := range d {
			if free[j] {
				d[j] += (p.alpha[i] - beta) * s[j]
			}
		}
	}
}

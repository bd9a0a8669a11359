package sched

import (
	"slices"
	"time"
)

// Speculation runs a second copy of tasks that are much slower than others of their stage attempt. The copy that ends first
// counts; the other is killed, which is no failure.
//
// A task that takes long because it has more to read would take as long elsewhere. So a slow task is only copied if it is inefficient as well: if it reads
// fewer rows a second than others, or takes so much longer than they do that rows cannot be the cause (Spark: TaskSetManager.TaskProcessRateCalculator).
type Speculation struct {
	Enabled    bool          // spark.speculation
	Interval   time.Duration // spark.speculation.interval: between two looks
	Multiplier float64       // spark.speculation.multiplier: how many times the median is slow
	Quantile   float64       // spark.speculation.quantile: the fraction of tasks that must have finished before
	MinRuntime time.Duration // spark.speculation.minTaskRuntime: what is never slow
	// Threshold is spark.speculation.task.duration.threshold: what is slow while too few tasks have finished for a median, in stage attempts of no more
	// tasks than one executor has Slots; 0 for nothing.
	Threshold time.Duration
	Slots     int
	// Efficiency is spark.speculation.efficiency.enabled: whether slow tasks must be inefficient as well, unless they are slow by the Threshold.
	Efficiency     bool
	RateMultiplier float64 // spark.speculation.efficiency.processRateMultiplier: the fraction of the others' rows a second below which a task is inefficient
	LongRunFactor  float64 // spark.speculation.efficiency.longRunTaskFactor: how many times what is slow is always inefficient
}

func defaultSpeculation() Speculation {
	return Speculation{
		Interval: 100 * time.Millisecond, Multiplier: 3, Quantile: 0.9, MinRuntime: 100 * time.Millisecond,
		Slots: 1, Efficiency: true, RateMultiplier: 0.75, LongRunFactor: 2,
	}
}

// Progress says how many rows running attempts have read so far. Attempts that are not reported count as inefficient.
type Progress struct{ Tasks []TaskProgress }

// TaskProgress is one attempt's.
type TaskProgress struct {
	Task TaskID
	Rows int64
}

func (Progress) event() {}

func (s *Scheduler) progress(e *Progress) {
	for _, p := range e.Tasks {
		if t := s.tasks[p.Task]; t != nil && s.now > t.launched {
			t.rate = float64(p.Rows) / float64(s.now-t.launched)
		}
	}
}

// speculate looks for slow tasks.
func (s *Scheduler) speculate() {
	rule := &s.set.Speculation
	for _, ts := range s.sets {
		if ts.stale || ts.gang != nil || len(ts.running) == 0 {
			continue
		}
		var slow time.Duration
		n, efficiency := len(ts.tasks), rule.Efficiency
		switch {
		case ts.durations.len() >= max(int(rule.Quantile*float64(n)), 1):
			slow = max(time.Duration(rule.Multiplier*float64(ts.durations.median())), rule.MinRuntime)
		case rule.Threshold > 0 && n <= rule.Slots:
			slow, efficiency = rule.Threshold, false
		default:
			continue
		}
		first := len(ts.spec)
		for _, t := range ts.running {
			st := &ts.tasks[t.index]
			ran := s.now - t.launched
			if ran > slow && !st.wanted && !st.done && t.next == nil && st.copies == t && !t.killed && (!efficiency || s.inefficient(t, ran, slow)) {
				st.wanted = true
				ts.spec = append(ts.spec, t.index)
			}
		}
		if len(ts.spec) > first {
			slices.Sort(ts.spec[first:])
			s.enqueue(ts)
		}
	}
}

// inefficient says whether an attempt that has run longer than what is slow has more to blame than the rows that it reads.
func (s *Scheduler) inefficient(t *task, ran, slow time.Duration) bool {
	rule, ts := &s.set.Speculation, t.set
	if float64(ran) > rule.LongRunFactor*float64(slow) || ts.rows == 0 || ts.ran == 0 {
		return true
	}
	return t.rate < rule.RateMultiplier*float64(ts.rows)/float64(ts.ran)
}

// takeSpeculative chooses a slow task for a second copy on x: on another host than the first, or, with one host, in another
// executor.
func (s *Scheduler) takeSpeculative(ts *taskSet, x *executor) (int, bool) {
	if len(ts.spec) == 0 {
		return 0, false
	}
	keep := ts.spec[:0]
	chosen, ok := 0, false
	for _, i := range ts.spec {
		st := &ts.tasks[i]
		switch {
		case st.done || st.copies == nil || st.copies.next != nil:
			st.wanted = false // it has ended, or has its copy
		case ok || st.copies.executor == x || st.copies.executor.host == x.host && len(s.hosts) > 1 || ts.excluded != nil && !ts.excluded.allows(i, x):
			keep = append(keep, i)
		default:
			chosen, ok = i, true
			st.wanted = false
		}
	}
	ts.spec = keep
	s.dequeueIfIdle(ts)
	return chosen, ok
}

// median keeps the median of durations as they come in, at logarithmic cost: a heap of the lower half with the greatest on
// top, and one of the upper half with the least on top.
type median struct {
	lower, upper []time.Duration // upper holds negated values, so that both have the greatest on top
}

func (m *median) len() int { return len(m.lower) + len(m.upper) }

// median is the middle value, or the mean of the two middle ones; 0 without values.
func (m *median) median() time.Duration {
	switch {
	case m.len() == 0:
		return 0
	case len(m.lower) > len(m.upper):
		return m.lower[0]
	}
	return (m.lower[0] - m.upper[0]) / 2
}

func (m *median) add(d time.Duration) {
	if len(m.lower) == 0 || d <= m.lower[0] {
		m.lower = push(m.lower, d)
	} else {
		m.upper = push(m.upper, -d)
	}
	var top time.Duration
	if len(m.lower) > len(m.upper)+1 {
		top, m.lower = popTop(m.lower)
		m.upper = push(m.upper, -top)
	} else if len(m.upper) > len(m.lower) {
		top, m.upper = popTop(m.upper)
		m.lower = push(m.lower, -top)
	}
}

func push(h []time.Duration, d time.Duration) []time.Duration {
	h = append(h, d)
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up] >= h[i] {
			break
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
	return h
}

func popTop(h []time.Duration) (time.Duration, []time.Duration) {
	top := h[0]
	n := len(h) - 1
	h[0] = h[n]
	h = h[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			return top, h
		}
		if c+1 < n && h[c+1] > h[c] {
			c++
		}
		if h[i] >= h[c] {
			return top, h
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
}

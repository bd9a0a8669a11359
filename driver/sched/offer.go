package sched

import "slices"

// Slots meet tasks in two ways. A slot that became free is offered to the sets in the order in which they have a claim. A set
// that got new pending tasks, or that need not wait for its preferred places any longer, is offered all free slots. Between
// two events no free slot is left that a pending task would accept; so an event costs what it changes, not what there is.

func (s *Scheduler) markDirty(ts *taskSet) {
	if !ts.dirty {
		ts.dirty = true
		s.dirtySets = append(s.dirtySets, ts)
	}
}

func (s *Scheduler) offer() {
	if len(s.gangs) > 0 {
		s.offerToGangs()
	} else {
		s.offerToSets()
	}
}

func (s *Scheduler) offerToSets() {
	for _, x := range s.dirtyExecutors {
		x.dirty = false
		for x.free > 0 && !x.gone && s.offerExecutor(x) {
		}
	}
	clear(s.dirtyExecutors)
	s.dirtyExecutors = s.dirtyExecutors[:0]
	if len(s.dirtySets) > 1 {
		slices.SortFunc(s.dirtySets, byAge)
	}
	for _, ts := range s.dirtySets {
		ts.dirty = false
		if ts.queued && s.freeSlots > 0 {
			s.offerAll(ts)
		}
	}
	clear(s.dirtySets)
	s.dirtySets = s.dirtySets[:0]
}

// offerExecutor launches one task on an executor that has a slot.
func (s *Scheduler) offerExecutor(x *executor) bool {
	if x.excludedUntil > 0 {
		return false
	}
	return s.eachInTurn(func(ts *taskSet) bool { return s.launchOn(ts, x) })
}

// launchOn launches one task of a set on an executor that has a slot.
func (s *Scheduler) launchOn(ts *taskSet, x *executor) bool {
	if ts.excluded != nil && !ts.excluded.allowsAny(x) || s.mustWait(ts) {
		return false
	}
	if i, l, ok := ts.take(x, s.limit(ts)); ok {
		s.launch(ts, i, x, l, false)
		return true
	}
	if i, ok := s.takeSpeculative(ts, x); ok {
		s.launch(ts, i, x, Any, true)
		return true
	}
	return false
}

// offerAll launches as many tasks of a set as free slots suit. Executors take turns, those with the most free slots first.
func (s *Scheduler) offerAll(ts *taskSet) {
	if s.mustWait(ts) {
		return
	}
	if ts.places != nil {
		s.offerPreferred(ts)
	}
	if s.set.Exclusion.Enabled || s.exclusion.executors > 0 || len(ts.spec) > 0 {
		s.offerEach(ts)
		return
	}
	limit := s.limit(ts)
	for ts.pending > 0 {
		x := s.freest()
		if x == nil {
			return
		}
		i, l, ok := ts.take(x, limit)
		if !ok {
			return // the rest waits for its preferred places
		}
		s.launch(ts, i, x, l, false)
	}
}

// offerEach offers one slot of every executor in turn until none suits: an executor may be barred where another is not.
func (s *Scheduler) offerEach(ts *taskSet) {
	for launched := true; launched; {
		launched = false
		var able []*executor
		for n := len(s.free) - 1; n > 0; n-- {
			able = append(able, s.free[n]...)
		}
		for _, x := range able {
			if x.excludedUntil == 0 && ts.queued && s.launchOn(ts, x) {
				launched = true
			}
		}
	}
}

// offerPreferred launches tasks of a set in their preferred executors, and on their preferred hosts as far as that is due.
func (s *Scheduler) offerPreferred(ts *taskSet) {
	nodes := s.limit(ts) >= NodeLocal
	for launched := true; launched; {
		launched = false
		for _, name := range ts.executors {
			if x := s.executors[name]; x != nil && x.free > 0 && len(ts.byExecutor[name]) > 0 {
				launched = s.offerNear(ts, x, ProcessLocal) || launched
			}
		}
	}
	for launched := nodes; launched; {
		launched = false
		for _, name := range ts.hosts {
			h := s.hosts[name]
			if h == nil || len(ts.byHost[name]) == 0 {
				continue
			}
			x := slices.MaxFunc(h.executors, func(a, b *executor) int { return a.free - b.free })
			if x.free > 0 {
				launched = s.offerNear(ts, x, NodeLocal) || launched
			}
		}
	}
}

func (s *Scheduler) offerNear(ts *taskSet, x *executor, limit Locality) bool {
	if x.excludedUntil > 0 || ts.excluded != nil && !ts.excluded.allowsAny(x) {
		return false
	}
	var i int
	var ok bool
	if limit == ProcessLocal {
		ts.byExecutor[x.name], i, ok = ts.pop(ts.byExecutor[x.name], x)
	} else {
		ts.byHost[x.host.name], i, ok = ts.pop(ts.byHost[x.host.name], x)
	}
	if ok {
		s.launch(ts, i, x, limit, false)
	}
	return ok
}

func (s *Scheduler) launch(ts *taskSet, i int, x *executor, l Locality, speculative bool) {
	st := &ts.tasks[i]
	var t *task
	if n := len(s.spare); n > 0 {
		t, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		t = &task{}
	}
	*t = task{
		id: s.nextTask, set: ts, index: i, attempt: int(st.attempts), executor: x, launched: s.now, next: st.copies,
		inSet: len(ts.running), onExecutor: len(x.running), speculative: speculative,
	}
	s.nextTask++
	st.attempts++
	st.copies = t
	ts.running = append(ts.running, t)
	x.running = append(x.running, t)
	ts.pool.running++
	s.tasks[t.id] = t
	s.setFree(x, x.free-1)
	if st.pending {
		s.unpend(ts, i)
	}
	s.emit(LaunchTask{
		Task: t.id, Executor: x.name, Stage: ts.stage.ID, StageAttempt: ts.attempt, Partition: ts.partition(i),
		Attempt: t.attempt, Locality: l, Speculative: speculative,
	})
}

// release takes an attempt off the books of what runs and gives its slot back.
func (s *Scheduler) release(t *task) {
	delete(s.tasks, t.id)
	ts, x := t.set, t.executor
	st := &ts.tasks[t.index]
	for p := &st.copies; *p != nil; p = &(*p).next {
		if *p == t {
			*p = t.next
			break
		}
	}
	last := ts.running[len(ts.running)-1]
	ts.running[t.inSet], last.inSet = last, t.inSet
	ts.running = ts.running[:len(ts.running)-1]
	last = x.running[len(x.running)-1]
	x.running[t.onExecutor], last.onExecutor = last, t.onExecutor
	x.running = x.running[:len(x.running)-1]
	ts.pool.running--
	if !x.gone {
		s.setFree(x, x.free+1)
	}
	if ts.void {
		s.voidEnded()
	}
}

// recycle keeps an attempt that nothing refers to any more for the next launch.
func (s *Scheduler) recycle(t *task) {
	if len(s.spare) < 1024 {
		s.spare = append(s.spare, t)
	}
}

func (s *Scheduler) kill(t *task, reason string) {
	if !t.killed {
		t.killed = true
		s.emit(KillTask{Task: t.id, Executor: t.executor.name, Reason: reason})
	}
}

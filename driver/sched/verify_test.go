package sched

import (
	"errors"
	"fmt"
	"slices"
)

// verify holds the scheduler's books against each other. It looks at everything, so it is for tests alone.
func (s *Scheduler) verify() error {
	var errs []error
	complain := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	free := 0
	for _, x := range s.executors {
		complain(x.free >= 0 && x.free+len(x.running) == x.slots, "executor %s: %d of %d slots free, %d attempts running", x.name, x.free, x.slots, len(x.running))
		complain(x.free == 0 || s.free[x.free][x.inFree] == x, "executor %s is not where its free slots say", x.name)
		free += x.free
		for i, t := range x.running {
			complain(t.onExecutor == i && s.tasks[t.id] == t, "task %d is not where it says", t.id)
		}
	}
	for name, x := range s.leaving {
		complain(x.gone && x.free == 0 && s.executors[name] == nil, "executor %s leaves and has %d free slots", name, x.free)
	}
	complain(free == s.freeSlots, "%d slots are free, counted %d", free, s.freeSlots)
	pending := 0
	for _, ts := range s.sets {
		p, remaining := 0, 0
		for i := range ts.tasks {
			st := &ts.tasks[i]
			if st.pending {
				p++
				complain(st.copies == nil && !st.done, "task %d of stage %d is pending, with running or done attempts", i, ts.stage.ID)
			}
			if !st.done {
				remaining++
				complain(st.pending || st.copies != nil, "task %d of stage %d.%d is neither pending nor running nor done", i, ts.stage.ID, ts.attempt)
			} else if !ts.stage.isResult() && ts.gang == nil {
				complain(s.outputs.has(ts.stage.Shuffle, ts.partition(i)), "task %d of stage %d is done and has no output", i, ts.stage.ID)
			}
		}
		complain(ts.active() && !ts.stage.gone, "stage %d.%d is on the books and not active", ts.stage.ID, ts.attempt)
		complain(p == ts.pending && remaining == ts.remaining, "stage %d: %d pending, %d remaining, counted %d and %d", ts.stage.ID, p, remaining, ts.pending, ts.remaining)
		complain(ts.queued == (ts.gang == nil && (ts.pending > 0 || len(ts.spec) > 0)), "stage %d: queued %v with %d pending", ts.stage.ID, ts.queued, ts.pending)
		complain(remaining > 0, "stage %d.%d has nothing to do and goes on", ts.stage.ID, ts.attempt)
		pending += p
		if ts.gang != nil {
			complain(p == 0 || p == len(ts.tasks) && len(ts.running) == 0, "barrier stage %d: %d of %d tasks are pending", ts.stage.ID, p, len(ts.tasks))
			complain(len(ts.gang.held)+remaining == len(ts.tasks), "barrier stage %d: %d tasks remain and %d are held", ts.stage.ID, remaining, len(ts.gang.held))
			complain(slices.Contains(s.gangs, ts), "barrier stage %d is not among the gangs", ts.stage.ID)
		}
	}
	for _, ts := range s.gangs {
		complain(ts.active(), "barrier stage %d.%d is among the gangs and not active", ts.stage.ID, ts.attempt)
	}
	complain(pending == s.pending, "%d tasks pending, counted %d", pending, s.pending)
	for _, j := range s.jobs {
		for _, st := range j.stages {
			if !st.waiting {
				continue
			}
			ok := s.rollback.running > 0 && slices.Contains(s.rollback.waiting, st)
			for _, p := range st.parents {
				ok = ok || p.waiting || p.active != nil
			}
			complain(ok && st.active == nil, "stage %d waits for nothing", st.ID)
		}
		complain(j.result.waiting || j.result.active != nil || slices.Contains(s.held, j), "job %d does not go on", j.id)
	}
	for id, st := range s.byShuffle {
		complain(len(st.jobs) > 0 && !st.gone && st.Shuffle == id, "stage %d is registered and nobody needs it", st.ID)
	}
	void := 0
	for _, t := range s.tasks {
		if t.set.void {
			void++
			complain(!t.set.active(), "stage %d.%d was rolled back and is active", t.set.stage.ID, t.set.attempt)
		}
	}
	complain(void == s.rollback.running, "%d tasks that were rolled back run, counted %d", void, s.rollback.running)
	complain(void > 0 || len(s.rollback.touched)+len(s.rollback.waiting) == 0, "stages wait for tasks that were rolled back, and none runs")
	poolRunning := 0
	for _, p := range s.pools {
		poolRunning += p.running
	}
	complain(poolRunning == len(s.tasks), "pools run %d tasks, the books have %d", poolRunning, len(s.tasks))
	return errors.Join(errs...)
}

package sched

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spark-go/spark-go/driver/plan"
)

// job is a job that has not finished.
type job struct {
	id        int
	priority  int
	pool      *pool
	prefer    func(*plan.Stage, int) []Place
	result    *stage
	stages    []*stage // all that it may need
	done      []bool   // by partition: its result was handed on, or is not wanted
	wanted    int      // partitions whose result is wanted
	remaining int      // of them, those whose result was not handed on
	check     slotCheck
}

// stage is a stage that some job may need. It is idle, waiting for parents, or has an active attempt.
type stage struct {
	*plan.Stage
	parents  []*stage // whose map outputs the tasks read
	behind   []*stage // whose map outputs they would read if cached blocks were lost
	children []*stage // of which it is in parents or behind
	jobs     []*job   // that may need it, by number

	// The place in line, given by the first job and kept when that ends.
	firstJob, priority int

	waiting  bool
	queued   bool     // in Scheduler.resubmit
	gone     bool     // no job needs it any more
	active   *taskSet // the current attempt, or nil
	attempts int      // submitted so far
	failures int      // attempts in a row that a fetch failure ended, of a barrier stage any failure
	sets     []*taskSet
}

func (st *stage) isResult() bool { return st.Shuffle == plan.Result }

// jobSubmitted registers a job and its stages, and submits what can run.
func (s *Scheduler) jobSubmitted(e *JobSubmitted) {
	j := &job{id: e.Job, priority: e.Priority, pool: s.poolFor(e.Pool), prefer: e.Prefer}
	result := e.Plan.Result()
	j.done = make([]bool, result.Tasks)
	j.remaining = result.Tasks
	if result.Missing != nil {
		for p := range j.done {
			j.done[p] = true
		}
		for _, p := range result.Missing {
			j.done[p] = false
		}
		j.remaining = len(result.Missing)
	}
	j.wanted = j.remaining
	if j.remaining == 0 {
		s.emit(JobFinished{Job: j.id})
		return
	}
	s.jobs[j.id] = j
	s.addStages(j, e.Plan)
	if !s.hold(j) {
		s.later(j.result)
	}
}

// addStages finds the stages of a plan among those of other jobs or makes them, and makes them and all before them the job's.
func (s *Scheduler) addStages(j *job, p *plan.Plan) {
	byID := make(map[int]*stage, len(p.Stages))
	for _, ps := range p.Stages { // parents first
		st := s.byShuffle[ps.Shuffle]
		if ps.Shuffle == plan.Result || st == nil {
			st = &stage{Stage: ps, firstJob: j.id, priority: j.priority}
			for _, id := range ps.Parents {
				st.parents = append(st.parents, byID[id])
				byID[id].children = append(byID[id].children, st)
			}
			for _, id := range ps.Behind {
				st.behind = append(st.behind, byID[id])
				byID[id].children = append(byID[id].children, st)
			}
			if ps.Shuffle != plan.Result {
				s.byShuffle[ps.Shuffle] = st
				for _, p := range slices.Concat(st.parents, st.behind) {
					s.lineage.add(p.Shuffle, ps.Shuffle)
				}
			}
		}
		byID[ps.ID] = st
	}
	j.result = byID[p.Result().ID]
	// A shared stage may have more stages before it than this plan, made when less was kept, names.
	stack := []*stage{j.result}
	for len(stack) > 0 {
		st := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		i, known := slices.BinarySearchFunc(st.jobs, j, byNumber)
		if known {
			continue
		}
		st.jobs = slices.Insert(st.jobs, i, j)
		j.stages = append(j.stages, st)
		stack = append(stack, st.parents...)
		stack = append(stack, st.behind...)
	}
	slices.SortFunc(j.stages, func(a, b *stage) int { return cmp.Compare(a.ID, b.ID) })
}

func byNumber(a, b *job) int { return cmp.Compare(a.id, b.id) }

// later has a stage submitted when the current event is otherwise done with, so that one submission never runs inside another.
func (s *Scheduler) later(st *stage) {
	if !st.queued {
		st.queued = true
		s.resubmit = append(s.resubmit, st)
	}
}

func (s *Scheduler) submitAll() {
	for i := 0; i < len(s.resubmit); i++ { // grows as stages without tasks complete at once
		st := s.resubmit[i]
		st.queued = false
		s.submit(st)
	}
	clear(s.resubmit)
	s.resubmit = s.resubmit[:0]
}

// submit starts an attempt of a stage if all map outputs that it reads are there, else it submits the stages that write the
// missing ones and lets it wait.
func (s *Scheduler) submit(st *stage) {
	stack := []*stage{st}
	for len(stack) > 0 {
		st := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if st.gone || st.active != nil {
			continue
		}
		st.waiting = false
		for _, p := range slices.Backward(st.parents) { // the first parent comes off the stack first
			if s.outputs.complete(p.Shuffle, p.Tasks) {
				continue
			}
			st.waiting = true
			if p.active == nil && !p.waiting {
				stack = append(stack, p)
			}
		}
		if !st.waiting && !s.drains(st) {
			s.start(st)
		}
	}
}

// start begins an attempt that computes what a stage lacks.
func (s *Scheduler) start(st *stage) {
	parts := s.missing(st)
	if len(parts) == 0 {
		s.completed(st)
		return
	}
	if st.Barrier && !st.isResult() && len(parts) < st.Tasks { // its tasks run together or not at all
		s.outputsLost(s.outputs.dropAll(st.Shuffle))
		parts = s.missing(st)
	}
	jobs := make([]int, len(st.jobs))
	for i, j := range st.jobs {
		jobs[i] = j.id
	}
	s.emit(StageSubmitted{Stage: st.Stage, Attempt: st.attempts, Partitions: slices.Clone(parts), Jobs: jobs})
	ts := s.newTaskSet(st, parts)
	st.attempts++
	st.sets = append(st.sets, ts)
	s.sets = append(s.sets, ts)
}

func (s *Scheduler) missing(st *stage) []int {
	if !st.isResult() {
		return s.outputs.Missing(st.Shuffle, st.Tasks)
	}
	j := st.jobs[0]
	parts := make([]int, 0, j.remaining)
	for p, done := range j.done {
		if !done {
			parts = append(parts, p)
		}
	}
	return parts
}

// endAttempt makes the current attempt of a stage a zombie: what it still runs may succeed, but nothing more is launched.
func (s *Scheduler) endAttempt(st *stage, err error) {
	ts := st.active
	if ts == nil {
		return
	}
	st.active = nil
	s.dequeue(ts)
	s.pending -= ts.pending
	s.sets = slices.DeleteFunc(s.sets, func(o *taskSet) bool { return o == ts })
	if ts.gang != nil {
		s.disband(ts, err)
	}
	s.emit(StageCompleted{Stage: st.Stage, Attempt: ts.attempt, Err: err})
}

// completed ends a stage whose partitions are all there, and what waits for it goes on.
func (s *Scheduler) completed(st *stage) {
	if ts := st.active; ts != nil {
		s.countExclusions(ts)
	}
	s.endAttempt(st, nil)
	st.waiting = false
	st.failures = 0
	s.stopTasks(st, "the stage is complete")
	if st.isResult() {
		s.finishJob(st.jobs[0], nil)
		return
	}
	for _, c := range st.children {
		if c.waiting {
			s.later(c)
		}
	}
}

// completedIfDone ends a stage if the last partition has come, be it from the current attempt or from an earlier one.
func (s *Scheduler) completedIfDone(st *stage) {
	switch {
	case st.gone, st.active != nil && st.active.remaining > 0:
		return
	case st.isResult():
		if st.jobs[0].remaining > 0 {
			return
		}
	case !s.outputs.complete(st.Shuffle, st.Tasks):
		if st.active != nil { // an output went while its task was done for
			s.endAttempt(st, nil)
			s.later(st)
		}
		return
	}
	if st.active != nil || st.waiting {
		s.completed(st)
	}
}

// stopTasks kills whatever still runs of a stage.
func (s *Scheduler) stopTasks(st *stage, reason string) {
	for _, ts := range st.sets {
		for _, t := range ts.running {
			s.kill(t, reason)
		}
	}
	st.sets = slices.DeleteFunc(st.sets, func(ts *taskSet) bool { return ts != st.active })
}

// abort fails all jobs that need a stage.
func (s *Scheduler) abort(st *stage, err error) {
	for _, j := range slices.Clone(st.jobs) {
		s.finishJob(j, err)
	}
}

// finishJob ends a job and stops those of its stages that no other job needs.
func (s *Scheduler) finishJob(j *job, err error) {
	delete(s.jobs, j.id)
	s.held = slices.DeleteFunc(s.held, func(o *job) bool { return o == j })
	reason := "the job is done"
	if err != nil {
		reason = err.Error()
	}
	for _, st := range j.stages {
		st.jobs = slices.DeleteFunc(st.jobs, func(o *job) bool { return o == j })
		if len(st.jobs) == 0 {
			s.removeStage(st, reason, err)
		}
	}
	s.emit(JobFinished{Job: j.id, Err: err})
}

func (s *Scheduler) removeStage(st *stage, reason string, err error) {
	st.gone = true
	if err == nil {
		err = ErrNotNeeded
	}
	s.endAttempt(st, err)
	s.stopTasks(st, reason)
	if !st.isResult() {
		delete(s.byShuffle, st.Shuffle)
	}
	s.forgetCommits(st)
	for _, p := range slices.Concat(st.parents, st.behind) {
		if !p.gone {
			p.children = slices.DeleteFunc(p.children, func(c *stage) bool { return c == st })
		}
	}
}

// outputsLost publishes forgotten outputs, and has those of running stages computed again within the attempt.
func (s *Scheduler) outputsLost(all []lost) {
	for _, l := range all {
		s.emit(OutputsUnregistered{Shuffle: l.shuffle, Maps: l.maps})
		st := s.byShuffle[l.shuffle]
		if st == nil {
			continue
		}
		for _, c := range st.children {
			if c.active != nil && slices.Contains(c.parents, st) {
				s.markStale(c.active)
			}
		}
		if st.active == nil {
			continue // computed again when a stage is about to read them, or fails to
		}
		for _, m := range l.maps {
			if i, ok := st.active.indexOf(m); ok {
				s.undo(st.active, i)
			} else {
				s.grow(st.active, m)
			}
		}
	}
}

// markStale notes that an attempt reads outputs that are lost: second copies of its tasks could not.
func (s *Scheduler) markStale(ts *taskSet) {
	if ts.stale {
		return
	}
	ts.stale = true
	ts.spec = nil
	s.dequeueIfIdle(ts)
	s.stale = append(s.stale, ts)
}

// endStale ends attempts that have tasks to launch which could not read their input any more. Attempts whose tasks all run are
// left alone: these may have read it already, and nothing would have to be computed again.
func (s *Scheduler) endStale() {
	if len(s.stale) == 0 {
		return
	}
	s.stale = slices.DeleteFunc(s.stale, func(ts *taskSet) bool {
		if ts.active() && ts.pending > 0 {
			s.endAttempt(ts.stage, ErrOutputsLost)
			s.later(ts.stage)
		}
		return !ts.active()
	})
}

// fetchFailed ends the attempt that could not read a map output, has the output written again, and the rest of the stage
// computed after that.
func (s *Scheduler) fetchFailed(t *task, e *TaskFinished) {
	st, f := t.set.stage, e.Fetch
	parent := s.byShuffle[f.Shuffle]
	if st.gone {
		s.ended(t, FetchFailed, false, e.Err)
		return
	}
	if parent == nil || !st.reads(parent) {
		s.taskFailed(t, Failed, true, fmt.Errorf("task reports a shuffle that its stage does not read: shuffle %d: %w", f.Shuffle, e.Err))
		return
	}
	s.ended(t, FetchFailed, false, e.Err)
	if t.set.void || t.set.attempt != st.attempts-1 {
		return // an older attempt: the stage was submitted since, and knows better
	}
	if f.ServerLost || t.set.active() && st.failures > 0 {
		// The second failure in a row, in spite of what was written again after the first one: perhaps the executor's directory is gone. To
		// find that out file by file would take more attempts than a stage has.
		s.outputsLost(s.outputs.dropExecutor(f.Executor))
	} else {
		s.outputsLost(s.outputs.dropOne(f.Shuffle, f.Map, f.Executor))
	}
	unread := slices.Index(st.behind, parent)
	if i := unread; i >= 0 { // cached blocks are lost: from now on it is read
		st.behind = slices.Delete(st.behind, i, i+1)
		st.parents = append(st.parents, parent)
	}
	if t.set.active() {
		err := &FetchError{Stage: st.ID, Attempt: t.set.attempt, Shuffle: f.Shuffle, Map: f.Map, Executor: f.Executor, Err: e.Err}
		if !f.Decommissioned && (f.Map >= 0 || unread < 0) { // else nothing failed: the stage reads more than it was planned to
			st.failures++
		}
		if st.failures >= s.set.MaxStageAttempts {
			s.abort(st, &StageError{Stage: st.ID, Attempts: st.failures, Err: err})
			return
		}
		s.endAttempt(st, err)
		s.later(st)
	} else if st.waiting {
		s.later(st) // what waits looks again at what it lacks
	}
}

func (st *stage) reads(parent *stage) bool {
	return slices.Contains(st.parents, parent) || slices.Contains(st.behind, parent)
}

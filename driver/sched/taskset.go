package sched

import "time"

// taskSet is the tasks of one stage attempt. Tasks are known by their index in it.
//
// A task is pending, running (with one attempt, or two under speculation) or done. Pending tasks stand in lists by where they
// would like to run; a task is not removed from the other lists when it is launched from one, but dropped when it comes to
// their end and is no longer pending, so that each step costs the same however many tasks there are.
type taskSet struct {
	stage   *stage
	attempt int
	pool    *pool

	parts []int       // the partition of each task; nil if task i is partition i
	at    map[int]int // the task of each partition; nil with parts
	tasks []taskState

	pending   int // tasks waiting for a slot
	remaining int // tasks that are not done
	running   []*task

	queued bool // in the pool's queue
	stale  bool // in Scheduler.stale: what it reads is lost in part
	void   bool // it was rolled back: what its tasks make does not count
	dirty  bool // in Scheduler.dirtySets: free slots are to be offered to it

	// Where pending tasks would like to run. All nil for a set without preferences, whose new tasks are found by next alone.
	places     [][]Place
	byExecutor map[string][]int
	byHost     map[string][]int
	executors  []string // the keys of byExecutor, in order of appearance
	hosts      []string
	wantsExec  []int // pending tasks with a preferred executor that is alive; how long delay scheduling may wait for one
	wantsHost  []int
	unplaced   []int // pending tasks that run as well anywhere
	all        []int
	next       int           // without places: tasks before it are not in their first wait
	since      time.Duration // when the wait for preferred places began

	spec      []int // running tasks that want a second copy
	durations median
	rows      int64          // that the attempts in durations read
	ran       time.Duration  // how long they ran together
	gang      *gang          // of a barrier stage; nil for others
	excluded  *setExclusions // nil while nothing failed, or without exclusion
	// stuckSince is when a set that is barred from all free slots began to wait for other ones; -1 while it is not.
	stuckSince time.Duration
}

// taskState is what a set knows of one task.
type taskState struct {
	copies   *task  // the running attempts, linked by task.next
	failures uint16 // that count
	attempts uint16 // launched
	pending  bool
	done     bool
	wanted   bool // in spec
}

// task is a running attempt.
type task struct {
	id          TaskID
	set         *taskSet
	index       int
	attempt     int
	executor    *executor
	launched    time.Duration
	next        *task // another attempt of the same task
	inSet       int   // position in set.running
	onExecutor  int   // position in executor.running
	speculative bool
	rate        float64 // rows read a nanosecond, as last reported
	killed      bool    // KillTask was sent
	permanent   bool    // it failed as every other attempt would
}

func (ts *taskSet) partition(i int) int {
	if ts.parts == nil {
		return i
	}
	return ts.parts[i]
}

// indexOf finds the task of a partition.
func (ts *taskSet) indexOf(p int) (int, bool) {
	if ts.parts == nil {
		return p, p < len(ts.tasks)
	}
	i, ok := ts.at[p]
	return i, ok
}

// active says whether the set is its stage's current attempt; others only run out.
func (ts *taskSet) active() bool { return ts.stage.active == ts }

// newTaskSet makes the set of a stage attempt, with all tasks pending.
func (s *Scheduler) newTaskSet(st *stage, parts []int) *taskSet {
	ts := &taskSet{stage: st, attempt: st.attempts, pool: st.jobs[0].pool, tasks: make([]taskState, len(parts)), since: s.now, stuckSince: -1}
	if len(parts) < st.Tasks {
		ts.parts = parts
		ts.at = make(map[int]int, len(parts))
		for i, p := range parts {
			ts.at[p] = i
		}
	}
	st.active = ts
	if st.Barrier {
		ts.gang = &gang{arrived: make([]bool, len(parts)), messages: make([][]byte, len(parts))}
		s.gangs = append(s.gangs, ts)
	}
	s.findPlaces(ts)
	for i := len(parts) - 1; i >= 0; i-- { // lists are taken from their end: lower partitions go first
		s.pend(ts, i)
	}
	return ts
}

// grow adds a partition whose map output was lost while the attempt runs.
func (s *Scheduler) grow(ts *taskSet, p int) {
	i := len(ts.tasks)
	ts.parts = append(ts.parts, p)
	ts.at[p] = i
	ts.tasks = append(ts.tasks, taskState{})
	if ts.places != nil {
		ts.places = append(ts.places, nil)
	}
	ts.remaining++
	s.repend(ts, i)
}

// pend makes a new task wait for a slot.
func (s *Scheduler) pend(ts *taskSet, i int) {
	ts.tasks[i].pending = true
	ts.pending++
	ts.remaining++
	s.pending++
	if ts.places != nil {
		s.place(ts, i)
	}
	s.enqueue(ts)
}

// repend makes a task wait for a slot again.
func (s *Scheduler) repend(ts *taskSet, i int) {
	ts.tasks[i].pending = true
	ts.pending++
	s.pending++
	if ts.places != nil {
		s.place(ts, i)
	} else {
		ts.unplaced = append(ts.unplaced, i)
	}
	s.enqueue(ts)
}

// unpend takes a task off the wait.
func (s *Scheduler) unpend(ts *taskSet, i int) {
	ts.tasks[i].pending = false
	ts.pending--
	s.pending--
	s.dequeueIfIdle(ts)
}

// markDone notes that a task's partition is there, whichever attempt made it, and stops other attempts.
func (s *Scheduler) markDone(ts *taskSet, i int) {
	st := &ts.tasks[i]
	if st.done {
		return
	}
	st.done = true
	ts.remaining--
	if st.pending && ts.active() {
		s.unpend(ts, i)
	}
	for t := st.copies; t != nil; t = t.next {
		s.kill(t, "another attempt succeeded")
	}
}

// undo makes a finished task run again, because what it made is lost.
func (s *Scheduler) undo(ts *taskSet, i int) {
	st := &ts.tasks[i]
	if !st.done {
		return
	}
	st.done = false
	ts.remaining++
	if st.copies == nil {
		s.repend(ts, i)
	}
}

// pop takes the last pending task of a list that may run on e, and shortens the list by what is not pending any more.
func (ts *taskSet) pop(list []int, e *executor) (rest []int, i int, ok bool) {
	n := len(list)
	for n > 0 && !ts.tasks[list[n-1]].pending {
		n--
	}
	list = list[:n]
	if n == 0 {
		return list, 0, false
	}
	if ts.excluded == nil {
		return list[:n-1], list[n-1], true
	}
	for k := n - 1; k >= 0; k-- { // rare: tasks have failed and may be barred from e
		if i := list[k]; ts.tasks[i].pending && ts.excluded.allows(i, e) {
			return list, i, true
		}
	}
	return list, 0, false
}

// take chooses the best pending task for a slot of e, going no further from its preferred places than limit.
func (ts *taskSet) take(e *executor, limit Locality) (i int, l Locality, ok bool) {
	if ts.pending > 0 {
		if ts.places == nil {
			return ts.takeAnywhere(e)
		}
		if ts.byExecutor[e.name], i, ok = ts.pop(ts.byExecutor[e.name], e); ok {
			return i, ProcessLocal, true
		}
		if limit >= NodeLocal {
			if ts.byHost[e.host.name], i, ok = ts.pop(ts.byHost[e.host.name], e); ok {
				return i, NodeLocal, true
			}
		}
		if ts.unplaced, i, ok = ts.pop(ts.unplaced, e); ok {
			return i, NoPreference, true
		}
		if limit >= Any {
			if ts.all, i, ok = ts.pop(ts.all, e); ok {
				return i, Any, true
			}
		}
	}
	return 0, 0, false
}

// takeAnywhere chooses a task of a set without preferences: one that waits again, else the next new one.
func (ts *taskSet) takeAnywhere(e *executor) (i int, l Locality, ok bool) {
	if ts.unplaced, i, ok = ts.pop(ts.unplaced, e); ok {
		return i, NoPreference, true
	}
	for ts.next < len(ts.tasks) && !ts.tasks[ts.next].pending {
		ts.next++
	}
	for i = ts.next; i < len(ts.tasks); i++ {
		if ts.tasks[i].pending && (ts.excluded == nil || ts.excluded.allows(i, e)) {
			return i, NoPreference, true
		}
	}
	return 0, 0, false
}

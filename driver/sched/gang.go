package sched

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

// A barrier stage's tasks talk to each other, so they run as a gang: all of an attempt are launched in one step, when that many slots
// are free, and fail together. What a task made counts when the last one has succeeded: until then it is held back, and
// dropped if another task fails, its executor is lost, or the tasks do not meet at their barriers. Then all are killed and the
// stage is submitted again, at most MaxStageAttempts times in a row. No task has a second attempt or a second copy within
// a stage attempt, and of lost map outputs of a finished stage all are written again.
//
// The barriers themselves are here too. A task that reaches one waits until all tasks of the attempt have; then all go on at once, with what
// each of them brought. A task that comes to another kind of barrier than those that wait, that ends while others wait, or
// does not come within Barrier.Timeout ends the attempt.
//
// While the oldest gang that the cluster could hold waits for slots, attempts of stages that come after it get none, or
// short tasks would keep it waiting for ever. A gang that the cluster cannot hold is waited for, in case executors are starting: a job
// before any of its stages runs, a stage before each attempt.

// Barrier are the rules of barrier stages.
type Barrier struct {
	Timeout       time.Duration // spark.barrier.sync.timeout: how long tasks wait for the others at a barrier
	CheckInterval time.Duration // spark.scheduler.barrier.maxConcurrentTasksCheck.interval: between two looks whether there are enough slots
	CheckFailures int           // spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures: looks in vain before the jobs fail
	// MaxSlots is the number of slots that the cluster will never exceed: jobs that need more fail at once. 0 means that it is not known.
	MaxSlots int
	// MaxGather is how many bytes the messages of all tasks at one barrier may take together.
	MaxGather int
}

// MaxGather is the default of Barrier.MaxGather: 32 MiB.
const MaxGather = 32 << 20

func defaultBarrier() Barrier {
	return Barrier{Timeout: 365 * 24 * time.Hour, CheckInterval: 15 * time.Second, CheckFailures: 40, MaxGather: MaxGather}
}

// BarrierReached says that a task waits at a barrier for the others; answered by BarrierPassed, unless the attempt ends before.
type BarrierReached struct {
	Task    TaskID
	Round   int    // how many barriers the task has passed
	Gather  bool   // it wants the messages of all tasks
	Message []byte // its own, with Gather
}

// GangLaunched says where the tasks of a barrier stage's attempt run. Their LaunchTask actions follow it.
type GangLaunched struct {
	Stage   int
	Attempt int
	Members []Member // in the order of their partitions
}

// Member is a task of a gang.
type Member struct {
	Partition int
	Executor  string
}

// BarrierPassed lets the tasks of an executor go on.
type BarrierPassed struct {
	Executor string
	Tasks    []TaskID
	Round    int
	Messages [][]byte // with BarrierReached.Gather: one for each task of the stage, in the order of their partitions
	Err      error    // why the task cannot be at a barrier: its stage has none
}

func (BarrierReached) event() {}
func (GangLaunched) action()  {}
func (BarrierPassed) action() {}

// gang is what a task set of a barrier stage has in addition.
type gang struct {
	held  []heldTask // that have succeeded
	check slotCheck  // while it waits for slots

	round    int // barriers that all have passed
	gather   bool
	waiting  int
	arrived  []bool // by task: it waits
	messages [][]byte
	since    time.Duration // when the first of them came
}

// heldTask is a task that has succeeded, with what it made.
type heldTask struct {
	task *task
	end  TaskFinished
}

// slotCheck counts how often there were too few slots.
type slotCheck struct {
	failures int
	next     time.Duration
}

// slots is how many tasks can run at the same time, counting those that run.
func (s *Scheduler) slots() int {
	n := 0
	for _, x := range s.executors {
		if x.excludedUntil == 0 {
			n += x.slots
		}
	}
	return n
}

// openSlots are the slots of executors that get tasks.
func (s *Scheduler) openSlots() int {
	n := 0
	for _, x := range s.executors {
		if x.excludedUntil == 0 {
			n += x.free
		}
	}
	return n
}

// look takes note of how many slots there are. It returns an error when there have been too few too often.
func (s *Scheduler) look(c *slotCheck, stage, need, have int) error {
	rule := &s.set.Barrier
	if need <= have {
		*c = slotCheck{}
		return nil
	}
	if rule.MaxSlots > 0 && need > rule.MaxSlots {
		return &SlotsError{Stage: stage, Need: need, Have: rule.MaxSlots}
	}
	if c.failures > 0 && s.now < c.next {
		return nil
	}
	if c.failures++; c.failures > rule.CheckFailures {
		return &SlotsError{Stage: stage, Need: need, Have: have, Checks: c.failures - 1, Interval: rule.CheckInterval}
	}
	c.next = s.now + rule.CheckInterval
	return nil
}

// barrierNeeds is the barrier stage of a job's plan with the most tasks to run, and their number; 0 if it has none.
func (j *job) barrierNeeds() (stage, need int) {
	for _, st := range j.stages {
		if n := st.Tasks; st.Barrier && !st.Skipped {
			if st.isResult() {
				n = j.remaining
			}
			if n > need {
				stage, need = st.ID, n
			}
		}
	}
	return stage, need
}

// hold keeps a job back while the cluster has too few slots for one of its barrier stages. It returns false for other jobs.
func (s *Scheduler) hold(j *job) bool {
	stage, need := j.barrierNeeds()
	if need == 0 {
		return false
	}
	if err := s.look(&j.check, stage, need, s.slots()); err != nil {
		s.finishJob(j, err)
		return true
	}
	if j.check.failures == 0 {
		return false
	}
	s.held = append(s.held, j)
	return true
}

// watchGangs looks whether the cluster has the slots for what waits for them.
func (s *Scheduler) watchGangs() {
	if len(s.held) > 0 {
		held := s.held
		s.held = nil
		for _, j := range held {
			if s.jobs[j.id] == j && !s.hold(j) {
				s.later(j.result)
			}
		}
	}
	for _, ts := range slices.Clone(s.gangs) {
		if ts.active() && ts.gang.waiting > 0 && s.now >= ts.gang.since+s.set.Barrier.Timeout {
			s.gangFailed(ts, s.syncError(ts, fmt.Sprintf("not all came within %v (spark.barrier.sync.timeout)", s.set.Barrier.Timeout)))
		}
	}
	s.submitAll()
	for _, ts := range slices.Clone(s.gangs) {
		if ts.active() && ts.pending > 0 {
			if err := s.look(&ts.gang.check, ts.stage.ID, len(ts.tasks), s.slots()); err != nil {
				s.abort(ts.stage, err)
			}
		}
	}
}

// gangDeadline is when watchGangs has something to do though nothing happens; 0 if never.
func (s *Scheduler) gangDeadline() time.Duration {
	next := time.Duration(0)
	earlier := func(d time.Duration) {
		if next == 0 || d < next {
			next = d
		}
	}
	for _, j := range s.held {
		earlier(j.check.next)
	}
	for _, ts := range s.gangs {
		if ts.gang.check.failures > 0 {
			earlier(ts.gang.check.next)
		}
		if ts.gang.waiting > 0 {
			earlier(ts.gang.since + s.set.Barrier.Timeout)
		}
	}
	return next
}

// nextGang is the oldest gang that waits for slots and that the cluster can hold, or nil.
func (s *Scheduler) nextGang() *taskSet {
	var oldest *taskSet
	slots := -1
	for _, ts := range s.gangs {
		if ts.pending == 0 || oldest != nil && byAge(oldest, ts) < 0 {
			continue
		}
		if slots < 0 {
			slots = s.slots()
		}
		if len(ts.tasks) <= slots {
			oldest = ts
		}
	}
	return oldest
}

// mustWait says that free slots are kept for a gang that comes before the set.
func (s *Scheduler) mustWait(ts *taskSet) bool {
	return s.reserved != nil && byAge(s.reserved, ts) < 0
}

// offerToGangs launches gangs for which there are enough free slots, and offers others what they leave.
func (s *Scheduler) offerToGangs() {
	for {
		g := s.nextGang()
		if g != s.reserved {
			s.reserved = g
			for _, ts := range s.sets {
				if ts.queued {
					s.markDirty(ts)
				}
			}
		}
		s.offerToSets()
		if g == nil || s.openSlots() < len(g.tasks) {
			return
		}
		s.launchGang(g)
	}
}

// launchGang launches all tasks of a set, near their input where slots are free there.
func (s *Scheduler) launchGang(ts *taskSet) {
	type at struct {
		x *executor
		l Locality
	}
	where := make([]at, len(ts.tasks))
	taken := map[*executor]int{}
	place := func(i int, x *executor, l Locality) {
		if where[i].x == nil && x != nil && x.excludedUntil == 0 && taken[x] < x.free {
			where[i] = at{x, l}
			taken[x]++
		}
	}
	for i := range ts.places {
		for _, p := range ts.places[i] {
			place(i, s.executors[p.Executor], ProcessLocal)
		}
	}
	for i := range ts.places {
		for _, p := range ts.places[i] {
			if h := s.hosts[s.hostOf(p)]; h != nil {
				for _, x := range h.executors {
					place(i, x, NodeLocal)
				}
			}
		}
	}
	able := make([]*executor, 0, len(s.executors))
	for _, x := range s.executors {
		if x.excludedUntil == 0 && x.free > 0 {
			able = append(able, x)
		}
	}
	slices.SortFunc(able, func(a, b *executor) int { return strings.Compare(a.name, b.name) })
	for i := range where {
		if where[i].x != nil || len(able) == 0 {
			continue
		}
		l := Any
		if ts.places == nil || len(ts.places[i]) == 0 {
			l = NoPreference
		}
		place(i, slices.MaxFunc(able, func(a, b *executor) int { return cmp.Compare(a.free-taken[a], b.free-taken[b]) }), l)
	}
	members := make([]Member, len(where))
	for i, w := range where {
		members[i] = Member{Partition: ts.partition(i), Executor: w.x.name}
	}
	s.emit(GangLaunched{Stage: ts.stage.ID, Attempt: ts.attempt, Members: members})
	for i, w := range where {
		s.launch(ts, i, w.x, w.l, false)
	}
}

// gangSucceeded takes the end of a gang's task, and with the last one what all of them made.
func (s *Scheduler) gangSucceeded(t *task, e *TaskFinished) {
	ts, st := t.set, t.set.stage
	if st.gone || !ts.active() {
		s.ended(t, Succeeded, false, nil)
		s.freeCommit(t) // what it published does not count
		return
	}
	own := *t
	ts.gang.held = append(ts.gang.held, heldTask{&own, *e})
	ts.tasks[t.index].done = true
	ts.remaining--
	if ts.gang.waiting > 0 {
		s.gangFailed(ts, s.syncError(ts, fmt.Sprintf("partition %d has ended: all tasks must come to the same number of barriers", ts.partition(t.index))))
		return
	}
	if ts.remaining > 0 {
		return
	}
	held := ts.gang.held
	ts.gang.held = nil
	slices.SortFunc(held, func(a, b heldTask) int { return cmp.Compare(a.task.index, b.task.index) })
	var changed []int
	for i := range held {
		t, e := held[i].task, &held[i].end
		p := ts.partition(t.index)
		if !st.isResult() {
			if s.outputs.put(st.Shuffle, st.Tasks, p, *e.Output) {
				changed = append(changed, p)
			}
			s.ended(t, Succeeded, true, nil)
			continue
		}
		j := st.jobs[0]
		j.done[p] = true
		j.remaining--
		s.ended(t, Succeeded, true, nil)
		s.emit(Result{Job: j.id, Partition: p, Task: t.id, Value: e.Value})
	}
	for _, p := range changed {
		s.rollBack(st, p)
	}
	s.completedIfDone(st)
}

// gangFailed ends an attempt of a barrier stage and has all its tasks run again.
func (s *Scheduler) gangFailed(ts *taskSet, cause error) {
	st := ts.stage
	if st.failures++; st.failures >= s.set.MaxStageAttempts {
		s.abort(st, &BarrierError{Stage: st.ID, Attempts: st.failures, Err: cause})
		return
	}
	s.endAttempt(st, fmt.Errorf("barrier stage %d attempt %d: %w", st.ID, ts.attempt, cause))
	s.later(st)
}

// disband drops what the tasks of a gang's attempt made, and kills those that run.
func (s *Scheduler) disband(ts *taskSet, err error) {
	held := ts.gang.held
	ts.gang.held = nil
	for i := range held {
		s.ended(held[i].task, Succeeded, false, nil)
		s.freeCommit(held[i].task)
	}
	ts.gang.waiting = 0
	s.gangs = slices.DeleteFunc(s.gangs, func(o *taskSet) bool { return o == ts })
	if s.reserved == ts {
		s.reserved = nil
		for _, o := range s.sets {
			if o.queued {
				s.markDirty(o)
			}
		}
	}
	for _, t := range ts.running {
		s.kill(t, err.Error()) // of an attempt that succeeded none runs
	}
}

// heldLost fails the attempts that hold map outputs which nobody serves any more.
func (s *Scheduler) heldLost(err error, lost func(*shuffle.Output) bool) {
	for _, ts := range slices.Clone(s.gangs) {
		if ts.active() && slices.ContainsFunc(ts.gang.held, func(h heldTask) bool { return h.end.Output != nil && lost(h.end.Output) }) {
			s.gangFailed(ts, err)
		}
	}
}

// barrierReached takes in that a task waits.
func (s *Scheduler) barrierReached(e *BarrierReached) {
	t := s.tasks[e.Task]
	if t == nil {
		return
	}
	ts := t.set
	g := ts.gang
	if g == nil {
		s.emit(BarrierPassed{Executor: t.executor.name, Tasks: []TaskID{t.id}, Round: e.Round, Err: fmt.Errorf("stage %d is no barrier stage", ts.stage.ID)})
		return
	}
	if !ts.active() || t.killed || e.Round < g.round || g.arrived[t.index] {
		return // it is being killed, or said so before
	}
	if len(e.Message) > s.set.Barrier.MaxGather/len(ts.tasks) {
		s.gangFailed(ts, fmt.Errorf("partition %d brought %d bytes to a barrier, and %d tasks may bring %d bytes together", ts.partition(t.index), len(e.Message), len(ts.tasks), s.set.Barrier.MaxGather))
		return
	}
	if g.waiting == 0 {
		g.since, g.gather = s.now, e.Gather
	}
	g.waiting++
	g.arrived[t.index], g.messages[t.index] = true, e.Message
	switch {
	case e.Round != g.round:
		s.gangFailed(ts, s.syncError(ts, fmt.Sprintf("partition %d has passed %d, the others %d", ts.partition(t.index), e.Round, g.round)))
	case e.Gather != g.gather:
		s.gangFailed(ts, s.syncError(ts, fmt.Sprintf("partition %d mixes Barrier and AllGather with the others", ts.partition(t.index))))
	case len(g.held) > 0:
		s.gangFailed(ts, s.syncError(ts, fmt.Sprintf("partition %d has ended: all tasks must come to the same number of barriers", ts.partition(g.held[0].task.index))))
	case g.waiting == len(ts.tasks):
		s.passBarrier(ts)
	}
}

// passBarrier lets all tasks of a gang go on.
func (s *Scheduler) passBarrier(ts *taskSet) {
	g := ts.gang
	messages := g.messages
	if !g.gather {
		messages = nil
	}
	running := slices.SortedFunc(slices.Values(ts.running), func(a, b *task) int {
		return cmp.Or(strings.Compare(a.executor.name, b.executor.name), cmp.Compare(a.index, b.index))
	})
	for len(running) > 0 {
		x := running[0].executor
		var ids []TaskID
		for len(running) > 0 && running[0].executor == x {
			ids = append(ids, running[0].id)
			running = running[1:]
		}
		s.emit(BarrierPassed{Executor: x.name, Tasks: ids, Round: g.round, Messages: messages})
	}
	g.round++
	g.waiting = 0
	clear(g.arrived)
	g.messages = make([][]byte, len(ts.tasks))
}

// syncError is the failure of an attempt whose tasks do not meet.
func (s *Scheduler) syncError(ts *taskSet, cause string) error {
	e := &SyncError{Stage: ts.stage.ID, Attempt: ts.attempt, Barrier: ts.gang.round, Cause: cause}
	if ts.gang.waiting > 0 {
		e.Waited = s.now - ts.gang.since
	}
	for i, here := range ts.gang.arrived {
		if here {
			e.Waiting = append(e.Waiting, ts.partition(i))
		} else {
			e.Missing = append(e.Missing, ts.partition(i))
		}
	}
	return e
}

// SyncError ends an attempt of a barrier stage because its tasks did not meet at a barrier.
type SyncError struct {
	Stage, Attempt   int
	Barrier          int   // that all have passed before
	Waiting, Missing []int // partitions, ascending
	Waited           time.Duration
	Cause            string
}

func (e *SyncError) Error() string {
	return fmt.Sprintf("the tasks did not meet at barrier %d: partitions %v waited for %v: %s", e.Barrier, e.Waiting, e.Missing, e.Cause)
}

// BarrierError fails a job because attempts of a barrier stage failed too often in a row. It unwraps to the last failure.
type BarrierError struct {
	Stage    int
	Attempts int
	Err      error
}

func (e *BarrierError) Error() string {
	return fmt.Sprintf("barrier stage %d failed %d times in a row (spark.stage.maxConsecutiveAttempts), each time with all its tasks; at last: %v", e.Stage, e.Attempts, e.Err)
}

func (e *BarrierError) Unwrap() error { return e.Err }

// SlotsError fails a job because the cluster has fewer slots than a barrier stage has tasks.
type SlotsError struct {
	Stage      int
	Need, Have int
	Checks     int // in vain; 0 if waiting would be of no use
	Interval   time.Duration
}

func (e *SlotsError) Error() string {
	text := fmt.Sprintf("barrier stage %d needs %d slots at the same time, the cluster has %d", e.Stage, e.Need, e.Have)
	if e.Checks > 0 {
		text += fmt.Sprintf(" (looked %d times, every %v: spark.scheduler.barrier.maxConcurrentTasksCheck)", e.Checks, e.Interval)
	}
	return text + ": use fewer partitions, or more executors or cores"
}

package sched

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

// Settings are the rules of scheduling. The zero value of a field is no default: start from [Defaults].
type Settings struct {
	MaxTaskFailures     int           // spark.task.maxFailures: failures of one task that fail its jobs
	MaxStageAttempts    int           // spark.stage.maxConsecutiveAttempts: fetch failures in a row that fail a stage's jobs
	CPUs                int           // spark.task.cpus: cores that a task takes
	LocalityWaitProcess time.Duration // spark.locality.wait.process: how long slots stay idle for the sake of cached input
	LocalityWaitNode    time.Duration // spark.locality.wait.node: how long then for the sake of input on the same host
	Mode                Mode          // spark.scheduler.mode
	Pools               []PoolSpec    // of spark.scheduler.allocation.file; others are made as jobs name them
	StarvationWarning   time.Duration // how long tasks wait, and none runs, between two NoResources
	Speculation         Speculation
	Exclusion           Exclusion
	Barrier             Barrier
	// Rollback says that what was computed from a map output is computed again when that comes out otherwise the second time:
	// spark.shuffle.rollbackOnChangedOutput.
	Rollback bool
}

// Defaults are Spark's.
func Defaults() Settings {
	return Settings{
		MaxTaskFailures:     4,
		MaxStageAttempts:    4,
		CPUs:                1,
		LocalityWaitProcess: 3 * time.Second,
		LocalityWaitNode:    3 * time.Second,
		StarvationWarning:   15 * time.Second,
		Speculation:         defaultSpeculation(),
		Exclusion:           defaultExclusion(),
		Barrier:             defaultBarrier(),
		Rollback:            true,
	}
}

// Scheduler is the state of all jobs, stages, tasks and executors. It belongs to one goroutine.
type Scheduler struct {
	set     Settings
	outputs *Outputs
	actions []Action

	// Time is counted from the first event: now is the present, and never goes back.
	base time.Time
	now  time.Duration

	jobs      map[int]*job
	byShuffle map[int]*stage // the map stages that some job needs
	resubmit  []*stage       // stages to submit before the current event is done
	stale     []*taskSet     // attempts that read outputs which were lost since
	sets      []*taskSet     // the current attempts, in the order of their submission

	executors map[string]*executor
	leaving   map[string]*executor // that are decommissioned: not in executors any more
	hosts     map[string]*host
	lived     map[string][]string // the executors that each host ever had: outputs outlive executors, not hosts
	free      [][]*executor       // by free slots, from 1: the executors that have so many
	freeSlots int
	freeSince time.Duration // when slots last became free after all were taken

	pools       []*pool // by name
	poolScratch []*pool
	setScratch  []*taskSet

	tasks    map[TaskID]*task // the running attempts
	nextTask TaskID
	spare    []*task // ended attempts, to be used again
	pending  int     // tasks waiting for a slot

	dirtySets      []*taskSet  // that want slots since the last offer
	dirtyExecutors []*executor // that have slots since the last offer

	gangs    []*taskSet // the current attempts of barrier stages
	reserved *taskSet   // the gang for which free slots are kept, or nil
	held     []*job     // that wait until there are enough slots for their barrier stages

	commits      map[commitKey]TaskID
	starvedSince time.Duration // when tasks began to wait with none running; -1 while that is not so
	nextWarning  time.Duration
	nextCheck    time.Duration // of speculation
	exclusion    appExclusions

	lineage  shuffleLineage
	rollback rollback
}

// executor is a live executor. The slots of killed attempts are free when their end is reported.
type executor struct {
	name    string
	host    *host
	slots   int // in all
	free    int
	inFree  int // position in Scheduler.free[free]
	dirty   bool
	gone    bool // it gets no more tasks
	running []*task
	readers []*taskSet // if it is decommissioned: attempts that know a former place of outputs that were moved away from it

	excludedUntil time.Duration // of the application; 0 if it is not
	failures      []time.Duration
}

type host struct {
	name      string
	executors []*executor
}

// New makes a scheduler without executors and jobs.
func New(set Settings) *Scheduler {
	s := &Scheduler{
		set: set, outputs: newOutputs(),
		jobs: map[int]*job{}, byShuffle: map[int]*stage{},
		executors: map[string]*executor{}, leaving: map[string]*executor{}, hosts: map[string]*host{}, lived: map[string][]string{},
		tasks: map[TaskID]*task{}, commits: map[commitKey]TaskID{},
		starvedSince: -1, lineage: shuffleLineage{map[int]map[int]bool{}, map[int][]int{}}, rollback: rollback{touched: map[int]bool{}},
	}
	for _, spec := range set.Pools {
		p := s.poolFor(spec.Name)
		if set.Mode == FAIR {
			p.PoolSpec = spec
		}
	}
	return s
}

// Outputs is the map-output tracker. It may be read between calls of Handle, on the scheduler's goroutine.
func (s *Scheduler) Outputs() *Outputs { return s.outputs }

// Load is what a scheduler has on its books.
type Load struct {
	Jobs, Stages, Attempts int // that have not ended
	Running, Pending       int // tasks
	Commits                int // rights to commit that are held
	Executors              int // alive
}

// Load counts what is on the books: when all jobs have ended and their killed tasks have been reported, nothing but executors.
func (s *Scheduler) Load() Load {
	return Load{
		Jobs: len(s.jobs), Stages: len(s.byShuffle), Attempts: len(s.sets) + len(s.stale), Running: len(s.tasks), Pending: s.pending,
		Commits: len(s.commits), Executors: len(s.executors),
	}
}

// Handle takes in an event and returns what is to be done about it, in order. The slice is valid until the next call.
// A time before that of the last event is taken for that of the last event.
func (s *Scheduler) Handle(now time.Time, event Event) []Action {
	if s.base.IsZero() {
		s.base = now
	}
	s.now = max(s.now, now.Sub(s.base))
	clear(s.actions)
	s.actions = s.actions[:0]
	switch e := event.(type) {
	case TaskFinished:
		s.taskFinished(&e)
	case JobSubmitted:
		s.jobSubmitted(&e)
	case JobCancelled:
		if j := s.jobs[e.Job]; j != nil {
			s.finishJob(j, &CancelledError{Job: e.Job, Reason: e.Reason})
		}
	case ExecutorAdded:
		s.executorAdded(&e)
	case ExecutorLost:
		s.executorLost(&e)
	case HostLost:
		s.hostLost(&e)
	case ExecutorDecommissioned:
		s.decommission(e.Executor)
	case OutputMoved:
		s.outputMoved(&e)
	case BarrierReached:
		s.barrierReached(&e)
	case CommitAsked:
		s.commitAsked(e.Task)
	case Progress:
		s.progress(&e)
	case OutputsFound:
		s.outputsFound(&e)
	case ShuffleRemoved:
		s.outputs.remove(e.Shuffle)
		s.lineage.remove(e.Shuffle)
	case Tick:
		s.tick()
	}
	s.endStale()
	s.submitAll()
	if len(s.gangs) > 0 || len(s.held) > 0 {
		s.watchGangs()
	}
	s.offer()
	s.watchStuck()
	s.watchStarvation()
	return s.actions
}

func (s *Scheduler) emit(a Action) { s.actions = append(s.actions, a) }

// Deadline is when a Tick is due if nothing else happens before; ok is false if none is.
func (s *Scheduler) Deadline() (at time.Time, ok bool) {
	next := time.Duration(-1)
	earlier := func(d time.Duration) {
		if next < 0 || d < next {
			next = d
		}
	}
	if s.freeSlots > 0 {
		for _, ts := range s.sets {
			if ts.places != nil && ts.pending > 0 {
				if _, until := s.limitUntil(ts); until > 0 {
					earlier(until)
				}
			}
		}
	}
	if s.starvedSince >= 0 {
		earlier(s.nextWarning)
	}
	if s.set.Speculation.Enabled && len(s.tasks) > 0 {
		earlier(s.nextCheck)
	}
	if d := s.exclusionDeadline(); d > 0 {
		earlier(d)
	}
	if len(s.gangs) > 0 || len(s.held) > 0 {
		if d := s.gangDeadline(); d > 0 {
			earlier(d)
		}
	}
	if next < 0 {
		return time.Time{}, false
	}
	return s.base.Add(max(next, s.now)), true
}

func (s *Scheduler) tick() {
	for _, ts := range s.sets {
		if ts.places != nil && ts.pending > 0 {
			s.markDirty(ts)
		}
	}
	if s.set.Speculation.Enabled && s.now >= s.nextCheck {
		s.nextCheck = s.now + s.set.Speculation.Interval
		s.speculate()
	}
	s.endExclusions()
}

func (s *Scheduler) watchStarvation() {
	if s.pending == 0 || len(s.tasks) > 0 {
		s.starvedSince = -1
		return
	}
	if s.starvedSince < 0 {
		s.starvedSince, s.nextWarning = s.now, s.now+s.set.StarvationWarning
	}
	if s.now >= s.nextWarning {
		s.nextWarning = s.now + s.set.StarvationWarning
		s.emit(NoResources{Since: s.now - s.starvedSince, Tasks: s.pending, Executors: len(s.executors)})
	}
}

func (s *Scheduler) executorAdded(e *ExecutorAdded) {
	if s.executors[e.Executor] != nil || s.leaving[e.Executor] != nil {
		return
	}
	h := s.hosts[e.Host]
	if h == nil {
		h = &host{name: e.Host}
		s.hosts[e.Host] = h
	}
	x := &executor{name: e.Executor, host: h, slots: e.Cores / max(s.set.CPUs, 1)}
	h.executors = append(h.executors, x)
	s.lived[e.Host] = append(s.lived[e.Host], x.name)
	s.executors[x.name] = x
	if until := s.exclusion.hosts[e.Host]; until > s.now {
		s.excludeExecutor(x, until)
	}
	s.setFree(x, x.slots)
	s.replace(x)
}

func (s *Scheduler) executorLost(e *ExecutorLost) {
	x := cmp.Or(s.executors[e.Executor], s.leaving[e.Executor])
	var tasks []*task
	if x != nil {
		tasks = s.removeExecutor(x)
	}
	if e.OutputsLost {
		s.outputsLost(s.outputs.dropExecutor(e.Executor))
		gone := &ExecutorLostError{Executor: e.Executor, Host: "its host", Err: e.Reason}
		if x != nil {
			gone.Host = x.host.name
		}
		s.heldLost(gone, func(o *shuffle.Output) bool { return o.Location.Executor == e.Executor })
	}
	if x != nil {
		s.tasksLost(x, tasks, e.Reason, e.Fault)
	}
}

func (s *Scheduler) hostLost(e *HostLost) {
	var tasks [][]*task
	var gone []*executor
	if h := s.hosts[e.Host]; h != nil {
		gone = slices.Clone(h.executors)
	}
	for _, name := range slices.Sorted(maps.Keys(s.leaving)) {
		if x := s.leaving[name]; x.host.name == e.Host {
			gone = append(gone, x)
		}
	}
	for _, x := range gone {
		tasks = append(tasks, s.removeExecutor(x))
	}
	s.outputsLost(s.outputs.dropHost(e.Host))
	for _, name := range s.lived[e.Host] { // whatever name of the host their outputs give
		s.outputsLost(s.outputs.dropExecutor(name))
	}
	s.heldLost(&ExecutorLostError{Executor: strings.Join(s.lived[e.Host], ", "), Host: e.Host, Err: e.Reason}, func(o *shuffle.Output) bool {
		return o.Location.Host == e.Host || slices.Contains(s.lived[e.Host], o.Location.Executor)
	})
	delete(s.lived, e.Host)
	for i, x := range gone {
		s.tasksLost(x, tasks[i], e.Reason, false)
	}
}

// removeExecutor takes an executor and its slots away and returns the attempts that ran on it, in launch order.
func (s *Scheduler) removeExecutor(x *executor) []*task {
	s.withdraw(x)
	delete(s.leaving, x.name)
	for _, ts := range x.readers {
		if ts.active() {
			s.markStale(ts)
		}
	}
	tasks := slices.SortedFunc(slices.Values(x.running), func(a, b *task) int { return cmp.Compare(a.id, b.id) })
	for _, t := range tasks {
		s.release(t)
	}
	return tasks
}

// withdraw takes an executor's free slots away, and those that its attempts hold when they end.
func (s *Scheduler) withdraw(x *executor) {
	if x.gone {
		return
	}
	x.gone = true
	if x.excludedUntil > 0 {
		s.exclusion.executors--
	}
	s.setFree(x, 0)
	delete(s.executors, x.name)
	x.host.executors = slices.DeleteFunc(x.host.executors, func(o *executor) bool { return o == x })
	if len(x.host.executors) == 0 {
		delete(s.hosts, x.host.name)
	}
	s.replace(x)
}

func (s *Scheduler) tasksLost(x *executor, tasks []*task, reason error, fault bool) {
	err := &ExecutorLostError{Executor: x.name, Host: x.host.name, Err: reason}
	for _, t := range tasks {
		s.taskFailed(t, Lost, fault, err)
		s.recycle(t)
	}
}

// setFree changes how many free slots an executor has.
func (s *Scheduler) setFree(x *executor, n int) {
	if x.free > 0 { // leave the list; the last of it takes the place
		list := s.free[x.free]
		last := list[len(list)-1]
		list[x.inFree], last.inFree = last, x.inFree
		list[len(list)-1] = nil
		s.free[x.free] = list[:len(list)-1]
	}
	if s.freeSlots == 0 && n > 0 {
		s.freeSince = s.now
	}
	s.freeSlots += n - x.free
	if n > x.free {
		s.markFree(x)
	}
	x.free = n
	if n > 0 {
		for len(s.free) <= n {
			s.free = append(s.free, nil)
		}
		x.inFree = len(s.free[n])
		s.free[n] = append(s.free[n], x)
	}
}

// markFree has an executor's free slots offered.
func (s *Scheduler) markFree(x *executor) {
	if !x.dirty {
		x.dirty = true
		s.dirtyExecutors = append(s.dirtyExecutors, x)
	}
}

// freest is an executor with the most free slots, or nil.
func (s *Scheduler) freest() *executor {
	for n := len(s.free) - 1; n > 0; n-- {
		if list := s.free[n]; len(list) > 0 {
			return list[len(list)-1]
		}
	}
	return nil
}

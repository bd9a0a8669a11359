package driver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
	"weak"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

// loop is the goroutine that owns the scheduler: it feeds it what happened and does what it decides. Nothing else touches what is
// below the line.
//
// It reads no clock but now and waits nowhere but in run, so that a simulation can drive it through drain and wake.
type loop struct {
	ctx   *Context
	queue queue
	now   func() time.Time

	// The loop's own.
	batch    []any // being handled
	sched    *sched.Scheduler
	jobs     map[int]*job
	stages   map[int]*stageState
	resultOf map[int]*job // by the number of the result stage
	tasks    map[int64]*taskState
	ready    map[string]map[protocol.StageKey]bool // stage binaries that an executor has
	launches map[string][]protocol.TaskDesc        // of the current round, by executor
	order    []string                              // executors in launches, in the scheduler's order
	nextID   int                                   // of stages
	lost     error                                 // why there will be no executors any more
	blocks   map[protocol.BlockID]map[string]bool  // who caches what
	kept     map[int]weak.Pointer[rdd.Node]        // persisted datasets that some stage has had
	redact   func(string) string                   // takes secrets out of what people will read
	updates  map[int]stageUpdates                  // of stages that have not completed
	members  map[string]*member                    // the live executors
	leaving  departures
	replicas replication

	wantsProgress bool // heartbeats go to the scheduler

	maxGather int // bytes of the messages of all tasks at one barrier
}

// stageUpdates are the accumulator updates of the tasks of a stage that count, by partition. They outlive the stage's attempts: a task of
// an attempt that a fetch failure ended counts as well, and may end while no attempt of its stage runs.
type stageUpdates map[int][]protocol.AccumulatorUpdate

// stageState is what the driver keeps of a stage with a running attempt.
type stageState struct {
	stage   *plan.Stage
	program *rdd.Program
	binary  *protocol.StageBinary
	failed  error
	job     *job         // of a result stage
	near    map[int]bool // by shuffle: whether its reduce tasks had better run where its map outputs lie
	jobs    []int        // that need it
}

// taskState is a launched task attempt: what its report is still good for.
type taskState struct {
	stage  int
	result *protocol.TaskResult
}

func newLoop(c *Context, set sched.Settings) *loop {
	return &loop{
		ctx: c, queue: queue{wake: make(chan struct{}, 1)}, now: time.Now, sched: sched.New(set), jobs: map[int]*job{}, stages: map[int]*stageState{}, resultOf: map[int]*job{},
		tasks: map[int64]*taskState{}, ready: map[string]map[protocol.StageKey]bool{}, launches: map[string][]protocol.TaskDesc{},
		blocks: map[protocol.BlockID]map[string]bool{}, updates: map[int]stageUpdates{}, redact: c.conf.Redactor(),
		kept: map[int]weak.Pointer[rdd.Node]{}, members: map[string]*member{}, leaving: newDepartures(c.conf), replicas: newReplication(c.conf), maxGather: set.Barrier.MaxGather,
		wantsProgress: set.Speculation.Enabled && set.Speculation.Efficiency,
	}
}

func (l *loop) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		some, stopped := l.drain()
		if stopped {
			return
		}
		if some {
			continue
		}
		wait := time.Hour
		if at, ok := l.deadline(); ok {
			wait = time.Until(at)
		}
		timer.Reset(max(wait, 0))
		select {
		case <-l.queue.wake:
		case <-timer.C:
			l.wake()
		}
	}
}

// wake has the scheduler look at the time.
func (l *loop) wake() {
	l.handle(sched.Tick{})
	l.depart()
	l.replicate()
	l.flush()
}

// drain handles what is in the queue, if there is something, and tells whether the loop is to end.
func (l *loop) drain() (some, stopped bool) {
	l.queue.mu.Lock()
	l.batch, l.queue.items = l.queue.items, l.batch[:0]
	l.queue.mu.Unlock()
	if len(l.batch) == 0 {
		return false, false
	}
	for i, item := range l.batch {
		l.batch[i] = nil
		if stop, ok := item.(stopLoop); ok {
			l.abandon()
			close(stop.done)
			return true, true
		}
		l.take(item)
	}
	l.depart()
	l.replicate()
	l.flush()
	return true, false
}

// take handles one thing from the queue.
func (l *loop) take(item any) {
	switch v := item.(type) {
	case *job:
		l.submit(v)
	case results:
		for i := range v.tasks {
			l.finished(v.executor, &v.tasks[i])
		}
		l.lookAgain(v.executor)
	case blockUpdates:
		l.updateBlocks(v.executor, v.updates)
		l.lookAgain(v.executor)
	case gone:
		l.clean(v)
	case ask:
		v.do()
		close(v.done)
	case noExecutors:
		for id := range l.jobs {
			l.fail(id, v.err)
		}
		l.lost = v.err
	case sched.ExecutorLost:
		held := l.replicatedOn(v.Executor)
		l.forgetExecutor(v.Executor)
		l.ctx.events.publish(ExecutorRemoved{Executor: v.Executor, Reason: fmt.Sprint(v.Reason)})
		l.handle(v)
		l.memberLost(v.Executor)
		l.copiesGone(held)
	case sched.HostLost:
		l.handle(v)
		l.hostLost(v.Host)
	case cluster.ExecutorAdded:
		l.members[v.Executor], l.leaving.takers = &member{ExecutorAdded: v}, nil
		l.leaving.homes[v.Executor] = v.Host
		l.replicas.executorCame()
		l.ctx.events.publish(ExecutorAdded{Executor: v.Executor, Host: v.Host, Cores: v.Cores})
		l.handle(sched.ExecutorAdded{Executor: v.Executor, Host: v.Host, Cores: v.Cores})
	case cluster.DecommissionAsked:
		l.decommissionAsked(v)
	case cluster.Copied:
		l.copied(v)
	case sched.Event:
		l.handle(v)
	default:
		slog.Error("the driver's loop got something that it does not know", "type", fmt.Sprintf("%T", v))
	}
}

// submit plans a job and gives it to the scheduler.
func (l *loop) submit(j *job) {
	if l.lost != nil {
		j.finish(l.lost)
		return
	}
	if err := l.ctx.cancelledBefore(j); err != nil {
		j.finish(err)
		return
	}
	p := plan.New(plan.Of(j.spec.Target), plan.Options{
		First:      l.nextID,
		Partitions: j.spec.Partitions,
		Missing:    func(id, maps int) []int { return l.sched.Outputs().Missing(id, maps) },
		Cached:     func(n plan.Node) bool { return l.cached(n.ID(), n.Partitions()) },
	})
	if p.Result().Barrier && j.spec.Partitions != nil && len(j.spec.Partitions) < p.Result().Tasks {
		j.finish(fmt.Errorf("%d of %d partitions of %v, which is computed in a barrier stage: ask for all", len(j.spec.Partitions), p.Result().Tasks, j.spec.Target))
		return
	}
	l.nextID += len(p.Stages)
	l.jobs[j.id] = j
	j.plan = p
	l.resultOf[p.Result().ID] = j
	l.ctx.events.publish(JobStarted{Job: j.id, Name: j.spec.Name, CallSite: j.callSite, Stages: stageInfos(p), Time: time.Now()})
	l.handle(sched.JobSubmitted{Job: j.id, Plan: p, Pool: j.pool, Prefer: l.prefer})
}

// stage returns the state of a stage, made anew for each attempt. The stage of a shuffle may outlive the job that planned it, when
// another job came to need it.
func (l *loop) stage(s *plan.Stage) *stageState {
	st, ok := l.stages[s.ID]
	if !ok {
		st = &stageState{stage: s}
		if dep, ok := s.Dep.(*rdd.Shuffle); ok {
			st.program = rdd.NewProgram(plan.Dataset(s.Target), dep.Writer)
		} else {
			st.job = l.resultOf[s.ID]
			st.program = rdd.NewProgram(plan.Dataset(s.Target), st.job.spec.Action)
		}
		l.stages[s.ID] = st
	}
	return st
}

// handle feeds the scheduler and does what it says.
func (l *loop) handle(e sched.Event) {
	for _, a := range slices.Clone(l.sched.Handle(l.now(), e)) {
		l.act(a)
	}
}

func (l *loop) act(a sched.Action) {
	switch a := a.(type) {
	case sched.StageSubmitted:
		l.encode(a)
	case sched.LaunchTask:
		l.launch(a)
	case sched.KillTask:
		if len(l.launches[a.Executor]) > 0 {
			l.flush() // the task may be among them: a kill that overtook it would be lost
		}
		_ = l.ctx.backend.Kill(a.Executor, int64(a.Task), a.Reason) // an executor that is gone has ended its tasks
	case sched.TaskEnded:
		l.ended(a)
	case sched.Result:
		if j, ok := l.jobs[a.Job]; ok {
			l.deliver(j, a.Partition, a.Value.([]byte))
		}
	case sched.StageCompleted:
		l.completed(a)
	case sched.JobFinished:
		l.jobFinished(a)
	case sched.NoResources:
		slog.Warn("tasks are waiting and no executor runs any: check that the cluster has free resources", "tasks", a.Tasks, "executors", a.Executors, "waiting", a.Since.Round(time.Second))
	case sched.RolledBack:
		l.rolledBack(a)
	case sched.CachedVoid:
		l.dropVoid(a.Shuffles)
	case sched.OutputsUnregistered:
		slog.Info("map outputs were lost and will be computed again", "shuffle", a.Shuffle, "outputs", len(a.Maps))
		l.ctx.keeping.lost(a.Shuffle, a.Maps)
	case sched.ExecutorExcluded:
		slog.Warn("an executor gets no tasks for a while, because tasks failed on it", "executor", a.Executor, "until", a.Until)
	case sched.GangLaunched:
		l.gather(a)
	case sched.BarrierPassed:
		m := protocol.BarrierAnswer{Round: a.Round, Messages: a.Messages}
		for _, t := range a.Tasks {
			m.IDs = append(m.IDs, int64(t))
		}
		if a.Err != nil {
			m.Error = a.Err.Error()
		}
		_ = l.ctx.backend.AnswerBarrier(a.Executor, m) // nobody waits on an executor that is gone
	case sched.CommitAnswered:
		_ = l.ctx.backend.AnswerCommit(a.Executor, int64(a.Task), a.Allowed) // nobody waits on an executor that is gone
	}
}

// finished takes a task's report.
func (l *loop) finished(executor string, r *protocol.TaskResult) {
	l.updateBlocks(executor, r.Blocks)
	t, ok := l.tasks[r.ID]
	if !ok || t.result != nil {
		return // of an attempt that was given up, or reported twice
	}
	t.result = r
	r.Error = l.redact(r.Error)
	if r.Outcome == protocol.Succeeded && r.Output != nil {
		l.compare(executor, t.stage, r)
	}
	e := sched.TaskFinished{Task: sched.TaskID(r.ID), Output: r.Output, Permanent: r.Permanent}
	switch r.Outcome {
	case protocol.Succeeded:
		e.Outcome, e.Rows = sched.Succeeded, r.Metrics.RowsRead+r.Metrics.Shuffle.RowsRead
		if r.Output == nil {
			e.Value = r.Value
		}
	case protocol.FetchFailed:
		e.Outcome, e.Err = sched.FetchFailed, errors.New(r.Error)
		if f := r.Fetch; f != nil {
			e.Fetch = sched.FetchFailure{Shuffle: f.Shuffle, Map: f.Map, Executor: f.Location.Executor, Decommissioned: l.leaving.hasLeft(f.Location.Executor)}
		}
	case protocol.Killed:
		e.Outcome, e.Err = sched.Killed, errors.New(r.Error)
	case protocol.CommitDenied:
		e.Outcome, e.Err = sched.CommitDenied, errors.New(r.Error)
	default:
		e.Outcome, e.Err, e.DiskFull = sched.Failed, errors.New(r.Error), r.Outcome == protocol.DiskFull
	}
	l.handle(e)
}

// deliver hands on a partition's result, unless the job's results would not fit in the driver. Each partition comes once, so copies of tasks
// do not count.
func (l *loop) deliver(j *job, partition int, value []byte) {
	j.resultBytes += int64(len(value))
	if limit := l.ctx.maxResult; limit > 0 && j.resultBytes > limit {
		l.fail(j.id, fmt.Errorf("the results of %s are larger than spark.driver.maxResultSize (%d bytes): write them to files, take fewer rows, or raise the limit", j.spec.Name, limit))
		return
	}
	j.deliver(partition, value)
}

// fail ends a job with an error of the driver's own.
func (l *loop) fail(id int, err error) {
	if j := l.jobs[id]; j != nil && j.err == nil {
		j.err = err
		l.queue.put(sched.JobCancelled{Job: id, Reason: err.Error()})
	}
}

// ended keeps the accumulator updates of attempts that count. It is the last that is heard of an attempt; one of a barrier stage that
// succeeded is only known to count when all tasks have, so it may come long after the report.
func (l *loop) ended(a sched.TaskEnded) {
	t := l.tasks[int64(a.Task)]
	info := TaskEnded{Task: int64(a.Task), Stage: a.Stage, StageAttempt: a.StageAttempt, Partition: a.Partition, Attempt: a.Attempt, Executor: a.Executor, Outcome: a.Outcome.String(), Accepted: a.Accepted}
	if a.Err != nil {
		info.Error = a.Err.Error()
		if a.Outcome == sched.Failed || a.Outcome == sched.Lost {
			slog.Warn("task failed", "stage", a.Stage, "partition", a.Partition, "attempt", a.Attempt, "executor", a.Executor, "failures", a.Failures, "error", firstLine(info.Error))
		}
	}
	if t != nil && t.result != nil {
		info.Metrics = t.result.Metrics
		if st := l.stages[a.Stage]; a.Accepted && t.result.Output != nil && st != nil {
			l.ctx.keeping.keep(st.stage.Shuffle, *t.result.Output)
			l.lookAgain(a.Executor) // it came long after the report if the stage is a barrier stage
		}
		if a.Accepted && len(t.result.Updates) > 0 {
			if l.updates[a.Stage] == nil {
				l.updates[a.Stage] = stageUpdates{}
			}
			l.updates[a.Stage][a.Partition] = t.result.Updates
		}
	}
	delete(l.tasks, int64(a.Task))
	l.ctx.events.publish(info)
}

// merge adds the accumulator updates of a stage to the totals, in partition order.
func (l *loop) merge(stage int) {
	updates := l.updates[stage]
	for _, p := range slices.Sorted(maps.Keys(updates)) {
		for _, u := range updates[p] {
			l.ctx.mergeUpdate(u)
		}
	}
	delete(l.updates, stage)
}

// completed takes the end of a stage attempt.
func (l *loop) completed(a sched.StageCompleted) {
	if l.stages[a.Stage.ID] == nil {
		return
	}
	if a.Err == nil {
		l.merge(a.Stage.ID)
	}
	delete(l.stages, a.Stage.ID)
	key := protocol.StageKey{Stage: a.Stage.ID, Attempt: a.Attempt}
	sent := false
	for e, has := range l.ready {
		if has[key] {
			delete(l.ready[e], key)
			sent = true
		}
	}
	if sent {
		l.flush() // tasks of the attempt may be among the launches: the program must not go before them
		l.ctx.backend.Remove(protocol.Remove{Kind: protocol.RemoveStage, ID: key.Stage, Attempt: key.Attempt})
	}
	ev := StageCompleted{Stage: a.Stage.ID, Attempt: a.Attempt, Time: time.Now()}
	if a.Err != nil {
		ev.Error = l.redact(a.Err.Error())
	}
	l.ctx.events.publish(ev)
}

func (l *loop) jobFinished(a sched.JobFinished) {
	j, ok := l.jobs[a.Job]
	if !ok {
		return
	}
	delete(l.jobs, a.Job)
	// What is left are the updates of stages that failed, and of those whose last tasks belonged to attempts that had ended. Stages that run
	// on for other jobs will see to theirs.
	for _, id := range slices.Sorted(maps.Keys(l.updates)) {
		if l.stages[id] == nil {
			l.merge(id)
		}
	}
	err := a.Err
	if j.err != nil {
		err = j.err
	}
	delete(l.resultOf, j.plan.Result().ID)
	ev := JobEnded{Job: j.id, Time: time.Now()}
	if err != nil {
		err = l.shown(err)
		ev.Error = err.Error()
	}
	l.ctx.events.publish(ev)
	j.finish(err)
}

// abandon ends all jobs when the context stops.
func (l *loop) abandon() {
	l.queue.mu.Lock()
	l.queue.closed = true
	for _, item := range l.queue.items {
		if j, ok := item.(*job); ok {
			j.finish(ErrStopped)
		}
	}
	l.queue.items = nil
	l.queue.mu.Unlock()
	for _, j := range l.jobs {
		j.finish(ErrStopped)
	}
}

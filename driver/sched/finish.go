package sched

import (
	"errors"
	"fmt"
)

// errNoOutput is the failure of a map task that succeeded without saying where its output is.
var errNoOutput = errors.New("map task reports no output")

// taskFinished takes in the end of an attempt.
func (s *Scheduler) taskFinished(e *TaskFinished) {
	t := s.tasks[e.Task]
	if t == nil {
		return
	}
	s.release(t)
	switch e.Outcome {
	case Succeeded:
		if !t.set.stage.isResult() && e.Output == nil {
			s.taskFailed(t, Failed, true, errNoOutput)
			break
		}
		if t.set.gang != nil {
			s.gangSucceeded(t, e)
			break
		}
		s.taskSucceeded(t, e)
	case FetchFailed:
		s.fetchFailed(t, e)
	case Killed, CommitDenied:
		s.taskFailed(t, e.Outcome, false, e.Err)
	default:
		t.permanent = e.Permanent
		if e.DiskFull {
			s.avoidFullDisk(t.executor)
		}
		s.taskFailed(t, Failed, true, e.Err)
	}
	s.recycle(t)
}

// ended publishes the end of an attempt.
func (s *Scheduler) ended(t *task, o Outcome, accepted bool, err error) {
	ts := t.set
	s.emit(TaskEnded{
		Task: t.id, Executor: t.executor.name, Stage: ts.stage.ID, StageAttempt: ts.attempt, Partition: ts.partition(t.index),
		Attempt: t.attempt, Outcome: o, Accepted: accepted, Failures: int(ts.tasks[t.index].failures), Err: err,
	})
	if o != Succeeded {
		s.freeCommit(t)
	}
}

// taskSucceeded takes what an attempt made, if its partition is still wanted. It does not matter whether the attempt belongs
// to the stage's current attempt or to a zombie.
func (s *Scheduler) taskSucceeded(t *task, e *TaskFinished) {
	ts := t.set
	st := ts.stage
	if ts.void {
		s.ended(t, Succeeded, false, nil)
		s.freeCommit(t) // what it published does not count
		return
	}
	p := ts.partition(t.index)
	accepted, changed := false, false
	switch {
	case st.gone:
	case st.isResult():
		j := st.jobs[0]
		if accepted = !j.done[p]; accepted {
			j.done[p] = true
			j.remaining--
		}
	default:
		if accepted = !s.outputs.has(st.Shuffle, p); accepted {
			changed = s.outputs.put(st.Shuffle, st.Tasks, p, *e.Output)
		}
	}
	s.ended(t, Succeeded, accepted, nil)
	if st.gone {
		return
	}
	if accepted && st.isResult() {
		s.emit(Result{Job: st.jobs[0].id, Partition: p, Task: t.id, Value: e.Value})
	}
	if s.set.Speculation.Enabled && !t.killed {
		ts.durations.add(s.now - t.launched)
		ts.rows += e.Rows
		ts.ran += s.now - t.launched
	}
	s.markDone(ts, t.index)
	if a := st.active; a != nil && a != ts {
		if i, ok := a.indexOf(p); ok {
			s.markDone(a, i)
		}
	}
	if changed {
		s.rollBack(st, p)
	}
	s.completedIfDone(st)
}

// taskFailed has an attempt's task run again, unless it has failed too often.
func (s *Scheduler) taskFailed(t *task, o Outcome, counts bool, err error) {
	ts := t.set
	st := ts.stage
	state := &ts.tasks[t.index]
	if st.gone || !ts.active() || state.done {
		s.ended(t, o, false, err)
		return
	}
	if counts {
		state.failures++
	}
	s.ended(t, o, false, err)
	if counts && (t.permanent || ts.gang == nil && int(state.failures) >= s.set.MaxTaskFailures) {
		s.abort(st, &TaskError{
			Stage: st.ID, StageAttempt: ts.attempt, Partition: ts.partition(t.index), Attempt: t.attempt,
			Executor: t.executor.name, Failures: int(state.failures), Permanent: t.permanent, Err: err,
		})
		return
	}
	if ts.gang != nil {
		s.gangFailed(ts, fmt.Errorf("task %d on executor %s: %w", ts.partition(t.index), t.executor.name, err))
		return
	}
	if counts && o == Failed {
		s.exclude(ts, t)
	}
	if state.copies == nil && !state.pending {
		s.repend(ts, t.index)
	}
}

// ErrNotNeeded ends stages whose jobs got their results from elsewhere.
var ErrNotNeeded = errors.New("the stage is not needed any more")

// ErrOutputsLost ends stage attempts with tasks to launch when map outputs that they read are lost, or moved and not where the tasks would look for
// them. It is no failure of the stage.
var ErrOutputsLost = errors.New("map outputs that the stage reads are lost or have moved")

// TaskError fails a job because one task failed too often, or in a way that is permanent. It unwraps to the last failure.
type TaskError struct {
	Stage, StageAttempt, Partition, Attempt int
	Executor                                string
	Failures                                int
	Permanent                               bool // every other attempt would have failed the same way
	Err                                     error
}

func (e *TaskError) Error() string {
	times := fmt.Sprintf("failed %d times, last", e.Failures)
	if e.Permanent {
		times = "failed, as it would each time,"
	}
	return fmt.Sprintf("the task of partition %d of stage %d %s on executor %s (stage attempt %d, task attempt %d): %v",
		e.Partition, e.Stage, times, e.Executor, e.StageAttempt, e.Attempt, e.Err)
}

func (e *TaskError) Unwrap() error { return e.Err }

// StageError fails a job because attempts of one stage could not read their map outputs too often in a row. It unwraps to
// the last FetchError.
type StageError struct {
	Stage    int
	Attempts int
	Err      error
}

func (e *StageError) Error() string {
	return fmt.Sprintf("stage %d failed to read its map outputs %d times in a row (spark.stage.maxConsecutiveAttempts): %v", e.Stage, e.Attempts, e.Err)
}

func (e *StageError) Unwrap() error { return e.Err }

// FetchError ends a stage attempt because a map output could not be read.
type FetchError struct {
	Stage, Attempt int
	Shuffle, Map   int
	Executor       string
	Err            error
}

func (e *FetchError) Error() string {
	return fmt.Sprintf("stage %d attempt %d: read map output %d of shuffle %d on executor %s: %v", e.Stage, e.Attempt, e.Map, e.Shuffle, e.Executor, e.Err)
}

func (e *FetchError) Unwrap() error { return e.Err }

// ExecutorLostError ends the attempts that ran on an executor.
type ExecutorLostError struct {
	Executor, Host string
	Err            error
}

func (e *ExecutorLostError) Error() string {
	return fmt.Sprintf("executor %s on %s is lost: %v", e.Executor, e.Host, e.Err)
}

func (e *ExecutorLostError) Unwrap() error { return e.Err }

// CancelledError ends a job that was cancelled.
type CancelledError struct {
	Job    int
	Reason string
}

func (e *CancelledError) Error() string {
	return fmt.Sprintf("job %d is cancelled: %s", e.Job, e.Reason)
}

// UnschedulableError fails a job because a task is barred from every executor.
type UnschedulableError struct {
	Stage, Partition int
	Executors        int
}

func (e *UnschedulableError) Error() string {
	return fmt.Sprintf("the task of partition %d of stage %d cannot run on any of %d executors: it is excluded from all after failures there (spark.excludeOnFailure)",
		e.Partition, e.Stage, e.Executors)
}

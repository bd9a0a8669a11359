package sched

import (
	"time"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/shuffle"
)

// TaskID names one attempt of one task, in launch order; unique in the application.
type TaskID int64

// Event is what happened: one of the types below, with their fields read and never changed.
type Event interface{ event() }

// JobSubmitted starts a job. Its stages that another job is computing already are shared with that job.
type JobSubmitted struct {
	Job  int        // unique in the application; of two jobs the smaller goes first under FIFO
	Plan *plan.Plan // the result stage's Missing lists the partitions wanted
	Pool string     // the FAIR pool; empty means "default"
	// Priority goes before the job number under FIFO: larger first.
	Priority int
	// Prefer lists where a task would find its input, best first: executors that cache it, hosts that store it. It is called
	// for each task of a stage attempt when that is submitted, and must not call the scheduler. Nil means nowhere in particular.
	Prefer func(stage *plan.Stage, partition int) []Place
}

// Place is a preferred executor, or with Executor empty a preferred host.
type Place struct {
	Executor string
	Host     string
}

// JobCancelled ends a job; stages that no other job needs are stopped. Unknown and finished jobs are ignored.
type JobCancelled struct {
	Job    int
	Reason string // for people: "cancelled by group etl"
}

// ExecutorAdded offers an executor's cores. An executor that comes back after a loss needs a new name.
type ExecutorAdded struct {
	Executor string
	Host     string
	Cores    int
}

// ExecutorLost takes an executor away. With OutputsLost it is also taken for what an executor that was lost before has
// left on its host.
type ExecutorLost struct {
	Executor string
	Reason   error
	// OutputsLost says that nobody serves the executor's map outputs any more.
	OutputsLost bool
	// Fault says that the process died under its tasks, as by a panic, an exit or a signal: each of them may have been the
	// cause, so the loss counts as a failure of each.
	Fault bool
}

// HostLost takes away all executors of a host and all map outputs on it.
type HostLost struct {
	Host   string
	Reason error
}

// Outcome says how a task attempt ended.
type Outcome uint8

// The outcomes. Failed counts against MaxTaskFailures, and Lost if the executor's process died under the task.
const (
	Succeeded Outcome = iota
	Failed
	FetchFailed
	Killed
	CommitDenied
	Lost // the executor went away; never reported, only concluded from ExecutorLost and HostLost
)

var outcomeNames = [...]string{"succeeded", "failed", "fetch failed", "killed", "commit denied", "lost"}

func (o Outcome) String() string { return outcomeNames[o] }

// TaskFinished reports the end of a task attempt. Reports of unknown attempts, such as duplicates and those of lost executors,
// are ignored.
type TaskFinished struct {
	Task    TaskID
	Outcome Outcome
	Value   any             // Succeeded in a result stage: handed on with Result
	Output  *shuffle.Output // Succeeded in a map stage
	Err     error           // otherwise: the cause
	Fetch   FetchFailure    // with FetchFailed
	Rows    int64           // Succeeded: how many the attempt read
	// Permanent says, with Failed, that other attempts would fail the same way: the first one fails the jobs.
	Permanent bool
	// DiskFull says, with Failed, that no disk of the executor took what the task wrote.
	DiskFull bool
}

// FetchFailure names a map output that a task could not read.
type FetchFailure struct {
	Shuffle int
	// Map is the map partition, or -1 if the task knew no output of the shuffle.
	Map int
	// Executor is the one whose output it was. The output is only forgotten if it is still registered there.
	Executor string
	// ServerLost says that nobody serves the executor's outputs any more: all of them are forgotten.
	ServerLost bool
	// Decommissioned says that the executor was told to go, so that its outputs may have moved or went with it; the failure is not counted
	// against the stage.
	Decommissioned bool
}

// CommitAsked asks for leave to commit a task's output to the outside world; answered by CommitAnswered.
type CommitAsked struct{ Task TaskID }

// ShuffleRemoved forgets all map outputs of a shuffle that no job will read any more.
type ShuffleRemoved struct{ Shuffle int }

// Tick says that time has passed. [Scheduler.Deadline] says when one is needed.
type Tick struct{}

func (JobSubmitted) event()   {}
func (JobCancelled) event()   {}
func (ExecutorAdded) event()  {}
func (ExecutorLost) event()   {}
func (HostLost) event()       {}
func (TaskFinished) event()   {}
func (CommitAsked) event()    {}
func (ShuffleRemoved) event() {}
func (Tick) event()           {}

// Action is what the driver is to do or to publish: one of the types below, in the order in which it is to be done.
type Action interface{ action() }

// StageSubmitted starts an attempt of a stage. All map outputs that the stage reads are registered at this moment, those of
// plan.Stage.Behind as far as they exist: this is the time to encode the stage's program. Partitions whose outputs are lost
// while the attempt runs are launched again in the same attempt.
type StageSubmitted struct {
	Stage      *plan.Stage
	Attempt    int   // from 0
	Partitions []int // to compute, ascending
	Jobs       []int // that need it, ascending
}

// LaunchTask starts a task attempt on an executor that has a slot for it.
type LaunchTask struct {
	Task         TaskID
	Executor     string
	Stage        int
	StageAttempt int
	Partition    int
	Attempt      int // from 0, of this task in this stage attempt
	Locality     Locality
	Speculative  bool // a second copy of a slow task
}

// KillTask stops a running attempt. Its slot stays taken until it is reported as finished.
type KillTask struct {
	Task     TaskID
	Executor string
	Reason   string
}

// TaskEnded says what became of a task attempt that was launched.
type TaskEnded struct {
	Task         TaskID
	Executor     string
	Stage        int
	StageAttempt int
	Partition    int
	Attempt      int
	Outcome      Outcome
	// Accepted says that the attempt was the one that counts for its partition: its map output was registered, or its value is
	// in the Result that follows. Accumulator updates of other attempts are to be dropped.
	Accepted bool
	Failures int // of this task in this stage attempt, so far; the one reported included if it counts
	Err      error
}

// Result hands on the value of a partition of a job's result, exactly once for each partition wanted.
type Result struct {
	Job       int
	Partition int
	Task      TaskID
	Value     any
}

// StageCompleted ends an attempt of a stage: all its partitions are there, or with Err it failed or is no longer needed.
type StageCompleted struct {
	Stage   *plan.Stage
	Attempt int
	Err     error
}

// JobFinished ends a job; with Err it failed or was cancelled.
type JobFinished struct {
	Job int
	Err error
}

// OutputsUnregistered says that map outputs were forgotten.
type OutputsUnregistered struct {
	Shuffle int
	Maps    []int // ascending
}

// NoResources warns that tasks have been waiting for Since and none is running: no executor came, or all are excluded.
type NoResources struct {
	Since     time.Duration
	Tasks     int // waiting
	Executors int // alive
}

// CommitAnswered answers CommitAsked. A denied attempt is to end with CommitDenied.
type CommitAnswered struct {
	Task     TaskID
	Executor string
	Allowed  bool
}

// ExecutorExcluded says that an executor gets no more tasks of any stage until the given time, because too many failed on it.
type ExecutorExcluded struct {
	Executor string
	Until    time.Time
}

func (StageSubmitted) action()      {}
func (LaunchTask) action()          {}
func (KillTask) action()            {}
func (TaskEnded) action()           {}
func (Result) action()              {}
func (StageCompleted) action()      {}
func (JobFinished) action()         {}
func (OutputsUnregistered) action() {}
func (NoResources) action()         {}
func (CommitAnswered) action()      {}
func (ExecutorExcluded) action()    {}

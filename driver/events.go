package driver

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/executor/protocol"
)

// Event is something that happened to a job, stage, task or executor: one of the types below. Events are what progress bars, logs and
// metrics are made of.
type Event interface{ event() }

// JobStarted begins a job.
type JobStarted struct {
	Job      int
	Name     string // the action: "Collect"
	CallSite string // the user's file and line
	Stages   []StageInfo
	Time     time.Time
}

// StageInfo describes a stage of a job.
type StageInfo struct {
	ID      int
	Name    string
	Tasks   int
	Parents []int
	Skipped bool // its outputs exist already
}

// JobEnded ends a job; Error is empty if it succeeded.
type JobEnded struct {
	Job   int
	Error string
	Time  time.Time
}

// StageSubmitted begins an attempt of a stage.
type StageSubmitted struct {
	Stage, Attempt int
	Name           string
	Tasks          int // to run, of the stage's
	Jobs           []int
	ProgramBytes   int
	Time           time.Time
}

// StageCompleted ends an attempt of a stage.
type StageCompleted struct {
	Stage, Attempt int
	Error          string
	Time           time.Time
}

// TaskStarted begins a task attempt.
type TaskStarted struct {
	Task                                    int64
	Stage, StageAttempt, Partition, Attempt int
	Executor                                string
	Locality                                string
	Speculative                             bool
}

// TaskEnded ends a task attempt.
type TaskEnded struct {
	Task                                    int64
	Stage, StageAttempt, Partition, Attempt int
	Executor                                string
	Outcome                                 string
	Accepted                                bool // it is the attempt that counts
	Error                                   string
	Metrics                                 protocol.TaskMetrics
}

// OutputChanged says that a map task was computed again, because its output was lost or for a second copy, and wrote other rows than the first time:
// a function of the program does not give the same result for the same input.
type OutputChanged struct {
	Shuffle, Partition int    // of the map side
	Name               string // the dataset, with the user's file and line
	Executor           string
	Rows, RowsBefore   int64
}

// RolledBack says that what was computed from a map output is computed again, because that has come out with other rows: OutputChanged came before.
type RolledBack struct {
	Shuffle, Partition int    // of the map side
	Name               string // the dataset, with the user's file and line
	Shuffles           []int  // whose map outputs were forgotten
	Stages             []int  // whose running attempts were ended
	Jobs               []int  // that fail, since a part of their result was handed on already
}

// BlockReplicated says that a cached block of a dataset that is kept on two executors was copied from one to the other; Error says why not, if it was not.
type BlockReplicated struct {
	Dataset, Partition int
	From, To           string // executors
	Error              string
}

// ExecutorAdded is an executor's arrival.
type ExecutorAdded struct {
	Executor, Host string
	Cores          int
}

// ExecutorDecommissioned says that an executor gets no more tasks and is to go: ExecutorRemoved follows.
type ExecutorDecommissioned struct{ Executor, Reason string }

// ExecutorRemoved is an executor's loss.
type ExecutorRemoved struct{ Executor, Reason string }

func (JobStarted) event()             {}
func (JobEnded) event()               {}
func (StageSubmitted) event()         {}
func (StageCompleted) event()         {}
func (TaskStarted) event()            {}
func (TaskEnded) event()              {}
func (OutputChanged) event()          {}
func (RolledBack) event()             {}
func (BlockReplicated) event()        {}
func (ExecutorAdded) event()          {}
func (ExecutorDecommissioned) event() {}
func (ExecutorRemoved) event()        {}

// Listener is told of every event, in order, on one goroutine: it must return soon. One that panics
// is told of nothing more.
type Listener func(Event)

// eventBus hands events to listeners. It costs nothing while there are none.
type eventBus struct {
	mu        sync.Mutex
	listeners []*Listener
}

func (b *eventBus) add(l Listener) {
	b.mu.Lock()
	b.listeners = append(b.listeners[:len(b.listeners):len(b.listeners)], &l)
	b.mu.Unlock()
}

func (b *eventBus) remove(l *Listener) {
	b.mu.Lock()
	b.listeners = slices.DeleteFunc(slices.Clone(b.listeners), func(x *Listener) bool { return x == l })
	b.mu.Unlock()
}

func (b *eventBus) publish(e Event) {
	b.mu.Lock()
	ls := b.listeners
	b.mu.Unlock()
	for _, l := range ls {
		err := guarded(func() error {
			(*l)(e)
			return nil
		})
		if err != nil {
			b.remove(l)
			slog.Error("a listener panicked and is told of no more events", "event", fmt.Sprintf("%T", e), "error", err)
		}
	}
}

func stageInfos(p *plan.Plan) []StageInfo {
	infos := make([]StageInfo, len(p.Stages))
	for i, s := range p.Stages {
		infos[i] = StageInfo{ID: s.ID, Name: s.Target.String(), Tasks: s.Tasks, Parents: s.Parents, Skipped: s.Skipped}
	}
	return infos
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

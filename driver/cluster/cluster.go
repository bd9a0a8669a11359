// Package cluster gets executors for a driver and carries tasks to them.
//
// A [Backend] has two halves that know little of each other. Launching starts hosts somewhere, with a specification that holds the
// application's secret and the driver's address. Registering accepts what dials the driver and proves the secret: hosts, and the
// job processes that they run. So a resource manager needs only a way to start processes, and an executor that was started by
// hand on another machine would do as well.
//
// These hold:
//
//   - An executor is one job process: its name is never used again. When it ends the host launches another one, which registers
//     under a new name; what still arrives from the old one is dropped, and its connection is closed ("fencing").
//   - Each executor is announced by ExecutorAdded before anything else of it, and by exactly one ExecutorLost after everything
//     else. Map outputs outlive executors: they go with the host, which HostLost says.
//   - Events come from one goroutine, in order. Whoever takes them does not wait for the backend.
//   - A peer that does not prove the secret, or says something else than its registration first, is refused, logged, and can
//     hold up nobody.
//   - After Stop no process, file or socket of the application is left. When the driver itself is killed the hosts see to that.
package cluster

import (
	"context"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// Backend runs tasks on executors.
type Backend interface {
	// Start begins to get executors and returns without waiting for them. What happens is given to handle, from one goroutine.
	// When ctx ends the backend stops.
	Start(ctx context.Context, handle func(Event)) error
	// SendStage makes a stage attempt known to an executor, before its first task. It fails for one that is gone, which handle is
	// told as well, and with a *protocol.TooLargeError.
	SendStage(executor string, b *protocol.StageBinary) error
	// Launch starts tasks. Their ends come as TaskResults, or never if the executor is lost. It fails as SendStage does; then none
	// of the tasks was started, or the executor is being lost.
	Launch(executor string, tasks []protocol.TaskDesc) error
	// Kill asks a task to end, which it reports as any end.
	Kill(executor string, task int64, reason string) error
	// AnswerCommit answers a CommitAsked.
	AnswerCommit(executor string, task int64, allowed bool) error
	// AnswerBarrier lets tasks of a barrier stage go on.
	AnswerBarrier(executor string, m protocol.BarrierAnswer) error
	// Remove cleans up on all executors and hosts.
	Remove(r protocol.Remove)
	// Decommission begins to take an executor out of service: its host launches no more job processes, and another host is launched in its
	// place at once. Both go on until they end or are released; their loss is nobody's fault. Executors that are gone are ignored.
	Decommission(executor, reason string)
	// Copy asks an executor for a copy of a cached block, or its host for one of a map output. Copied says what became of it, unless they are lost.
	Copy(executor string, c *protocol.Copy) error
	// Release ends a host whose executor was decommissioned.
	Release(host, reason string)
	// Stop ends all executors, those that do not end in time by force, and returns within about two seconds.
	Stop()
}

// Event is something that happened: one of the types below.
type Event interface{ event() }

// ExecutorAdded announces an executor that takes tasks.
type ExecutorAdded struct {
	Executor  string // its name
	Host      string // the identity of its host
	PID       int
	Cores     int
	Memory    int64            // bytes
	BlockAddr string           // where it serves its named blocks
	Location  shuffle.Location // where its map outputs lie
}

// ExecutorLost says that an executor is gone. Its tasks will not be heard of.
type ExecutorLost struct {
	Executor string
	Host     string
	Reason   string // how its process ended, with its last lines
	// OutputsLost says that the host is gone too, and the map outputs with it.
	OutputsLost bool
	// Fault says that the process died by itself: a task may have been the cause.
	Fault bool
	// Decommissioned says that the executor was told to go.
	Decommissioned bool
}

// DecommissionAsked says that an executor's host wants it to be decommissioned, having got the signal for it.
type DecommissionAsked struct {
	Executor string
	Reason   string
}

// Copied says what became of a protocol.Copy.
type Copied struct {
	ID    int64
	Gone  bool
	Error string // empty if there is a copy now
}

// HostLost says that a host is gone, with the map outputs of all executors it ever had. It follows the ExecutorLost of the last one.
type HostLost struct {
	Host   string
	Reason string
}

// TaskResults are ends of tasks.
type TaskResults struct {
	Executor string
	Results  []protocol.TaskResult
}

// CommitAsked says that a task attempt asks for leave to publish its output; answered by Backend.AnswerCommit.
type CommitAsked struct {
	Executor string
	Task     int64
}

// BarrierReached says that a task of a barrier stage waits for the others; answered by Backend.AnswerBarrier.
type BarrierReached struct {
	Executor string
	Request  protocol.BarrierRequest
}

// BlockUpdates say what an executor caches.
type BlockUpdates struct {
	Executor string
	Updates  []protocol.BlockUpdate
}

// Heartbeat says what an executor is doing.
type Heartbeat struct {
	Executor     string
	Running      []int64 // task attempts, ascending
	Rows         []int64 // how many each of them has read so far; empty if that is not known
	Heap, Mapped int64   // bytes
}

// Log is a record of a host or an executor for the driver's log.
type Log struct {
	From  string
	Time  time.Time
	Level int // as in log/slog
	Text  string
}

// Failed says that the backend has given up: no executor is left and none will come.
type Failed struct {
	Err error
}

func (ExecutorAdded) event()     {}
func (ExecutorLost) event()      {}
func (HostLost) event()          {}
func (DecommissionAsked) event() {}
func (Copied) event()            {}
func (TaskResults) event()       {}
func (CommitAsked) event()       {}
func (BarrierReached) event()    {}
func (BlockUpdates) event()      {}
func (Heartbeat) event()         {}
func (Log) event()               {}
func (Failed) event()            {}

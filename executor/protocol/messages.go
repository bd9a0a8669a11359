package protocol

import (
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

// Message is anything that a frame carries: one of the pointer types of this package with these methods.
type Message interface {
	kind() kind
	write(w *writer)
	read(r *reader)
}

// kind is the first byte of a frame. Numbers are never reused with another meaning.
type kind byte

const (
	kindRegisterHost kind = iota + 1
	kindRegisterExecutor
	kindRegistered
	kindRefused
	kindHeartbeat
	kindStageBinary
	kindLaunchTasks
	kindKillTask
	kindTaskResults
	kindBlockUpdates
	kindRemove
	kindExecutorExited
	kindKillExecutor
	kindLog
	kindStop
	kindCommitRequest
	kindCommitAnswer
	kindDecommission
	kindCopy
	kindCopied
	kindBarrierRequest
	kindBarrierAnswer
	kindEnd
)

// newMessage returns an empty message of a kind, nil if there is no such kind.
func newMessage(k kind) Message {
	switch k {
	case kindRegisterHost:
		return new(RegisterHost)
	case kindRegisterExecutor:
		return new(RegisterExecutor)
	case kindRegistered:
		return new(Registered)
	case kindRefused:
		return new(Refused)
	case kindHeartbeat:
		return new(Heartbeat)
	case kindStageBinary:
		return new(StageBinary)
	case kindLaunchTasks:
		return new(LaunchTasks)
	case kindKillTask:
		return new(KillTask)
	case kindTaskResults:
		return new(TaskResults)
	case kindBlockUpdates:
		return new(BlockUpdates)
	case kindRemove:
		return new(Remove)
	case kindExecutorExited:
		return new(ExecutorExited)
	case kindKillExecutor:
		return new(KillExecutor)
	case kindLog:
		return new(Log)
	case kindStop:
		return new(Stop)
	case kindCommitRequest:
		return new(CommitRequest)
	case kindCommitAnswer:
		return new(CommitAnswer)
	case kindDecommission:
		return new(Decommission)
	case kindCopy:
		return new(Copy)
	case kindCopied:
		return new(Copied)
	case kindBarrierRequest:
		return new(BarrierRequest)
	case kindBarrierAnswer:
		return new(BarrierAnswer)
	}
	return nil
}

// RegisterHost is the first message of a host process: here I am, my blocks are served at BlockAddr.
type RegisterHost struct {
	Host      string // identity, given by whoever launched it
	PID       int
	BlockAddr string // of the block server, which outlives job processes
	Dir       string // of the shuffle files
}

// RegisterExecutor is the first message of a job process.
type RegisterExecutor struct {
	ID        string // unique for each epoch: a process that replaces another has another name
	Host      string // the identity of the host that launched it
	Epoch     int    // counts the job processes of the host, from 1; older ones are refused
	PID       int
	Cores     int
	Memory    int64            // bytes
	Digest    string           // SHA-256 of its executable, in hexadecimal
	BlockAddr string           // where it serves what it holds in memory; empty if it does not
	Location  shuffle.Location // where its map outputs will lie
}

// Registered accepts a host or executor.
type Registered struct {
	Heartbeat time.Duration     // spark.executor.heartbeatInterval
	MaxFrame  int64             // spark.rpc.message.maxSize, in bytes
	Digest    string            // of the executable, in hexadecimal; hosts start nothing else
	Settings  map[string]string // the application's configuration
}

// Refused ends a connection: the process exits.
type Refused struct {
	Reason string
}

// Heartbeat says that a process is alive, and from executors what it is doing.
type Heartbeat struct {
	Running []int64 // task attempts, ascending
	Rows    []int64 // how many each of them has read so far; empty if that is not known
	Heap    int64   // bytes of live and not yet collected objects
	Mapped  int64   // bytes taken from the operating system
}

// LaunchTasks starts task attempts.
type LaunchTasks struct {
	Tasks []TaskDesc
}

// KillTask stops a task attempt; it still reports its end. Unknown attempts are ignored: they have ended already.
type KillTask struct {
	ID     int64
	Reason string
}

// CommitRequest asks for leave to publish what a task attempt wrote to the outside world; answered by CommitAnswer.
type CommitRequest struct {
	ID int64
}

// CommitAnswer says whether a task attempt may publish. One that may not ends as CommitDenied.
type CommitAnswer struct {
	ID      int64
	Allowed bool
}

// BarrierRequest says that a task of a barrier stage waits for the others; answered by BarrierAnswer when all of them do.
type BarrierRequest struct {
	ID      int64
	Round   int    // how many barriers the task has passed
	Gather  bool   // it wants the messages of all tasks
	Message []byte // its own
}

// BarrierAnswer lets the tasks of an executor go on: all tasks of their stage have come.
type BarrierAnswer struct {
	IDs      []int64
	Round    int
	Messages [][]byte // with BarrierRequest.Gather: of all tasks of the stage, by partition
	Error    string   // why the tasks cannot meet others
}

// TaskResults reports the ends of task attempts.
type TaskResults struct {
	Results []TaskResult
}

// BlockUpdates says what is cached now, outside of a task.
type BlockUpdates struct {
	Updates []BlockUpdate
}

// RemoveKind says what a Remove takes away.
type RemoveKind uint8

// What can be removed.
const (
	RemoveShuffle   RemoveKind = iota // the files of all map outputs; hosts do it
	RemoveDataset                     // cached partitions
	RemoveBroadcast                   // its value and blocks
	RemoveStage                       // the binary of a stage attempt
)

// Remove cleans up what is no longer needed. What is not there is no error.
type Remove struct {
	Kind    RemoveKind
	ID      int // shuffle, dataset, broadcast or stage
	Attempt int // of a stage
}

// ExecutorExited is sent by a host when its job process has ended.
type ExecutorExited struct {
	ID         string
	Epoch      int
	Code       int    // the exit code if Signal is 0
	Signal     int    // the signal that killed it, or 0
	Killed     string // why the host killed it, if it did
	Start      string // why it could not be started, if it could not
	Registered bool   // it came as far as the driver
	Restarting bool   // the host starts another one, with the next epoch
	Stderr     string // the last lines that it wrote: the text of a panic
}

// KillExecutor asks a host to kill its job process, if it still has that epoch. A job process asks the driver for it, as its own end.
type KillExecutor struct {
	Epoch  int
	Reason string
}

// Decommission says that an executor and its host are to go once nothing of theirs is needed any more. From a host it asks the driver to see to it; from
// the driver it tells the host to launch no more job processes.
type Decommission struct {
	Reason string
}

// Copy asks a host for a copy of a map output that lies elsewhere, or an executor for one of a cached block. It is answered by Copied.
type Copy struct {
	ID      int64           // of the driver's
	Shuffle int             // with Output
	Output  *shuffle.Output // and where it lies; nil asks for a cached block
	Block   BlockID
	Addr    string // of the server that has the block
	Level   uint8  // rdd.StorageLevel: how a second copy is kept; 0 for a block that is moved, which goes to disk
}

// Copied says what became of a Copy. The copy of a cached block is told of by BlockUpdates before.
type Copied struct {
	ID    int64
	Gone  bool   // what was to be copied is not there
	Error string // empty if there is a copy now
}

// Log is a record that a process wants the driver to log.
type Log struct {
	Time  time.Time
	Level int // as in log/slog
	Text  string
}

// Stop asks a host or executor to end in order.
type Stop struct {
	Reason string
}

// Cause says in words how the process ended, with what it wrote last.
func (m *ExecutorExited) Cause() string {
	var b strings.Builder
	switch {
	case m.Start != "":
		b.WriteString("the process could not be started: " + m.Start)
	case m.Killed != "":
		b.WriteString("the process was killed: " + m.Killed)
	case m.Signal != 0:
		s := syscall.Signal(m.Signal)
		fmt.Fprintf(&b, "the process was killed by signal %d (%s)", m.Signal, s)
		if s == syscall.SIGKILL {
			b.WriteString(", by hand or because the machine had no memory left")
		}
	default:
		fmt.Fprintf(&b, "the process exited with code %d", m.Code)
	}
	if !m.Registered && m.Start == "" {
		b.WriteString(" before it registered")
	}
	if m.Stderr != "" {
		b.WriteString("; its last lines:\n" + m.Stderr)
	}
	return b.String()
}

func (*RegisterHost) kind() kind     { return kindRegisterHost }
func (*RegisterExecutor) kind() kind { return kindRegisterExecutor }
func (*Registered) kind() kind       { return kindRegistered }
func (*Refused) kind() kind          { return kindRefused }
func (*Heartbeat) kind() kind        { return kindHeartbeat }
func (*StageBinary) kind() kind      { return kindStageBinary }
func (*LaunchTasks) kind() kind      { return kindLaunchTasks }
func (*KillTask) kind() kind         { return kindKillTask }
func (*TaskResults) kind() kind      { return kindTaskResults }
func (*BlockUpdates) kind() kind     { return kindBlockUpdates }
func (*Remove) kind() kind           { return kindRemove }
func (*ExecutorExited) kind() kind   { return kindExecutorExited }
func (*KillExecutor) kind() kind     { return kindKillExecutor }
func (*Log) kind() kind              { return kindLog }
func (*Stop) kind() kind             { return kindStop }
func (*CommitRequest) kind() kind    { return kindCommitRequest }
func (*CommitAnswer) kind() kind     { return kindCommitAnswer }
func (*Decommission) kind() kind     { return kindDecommission }
func (*Copy) kind() kind             { return kindCopy }
func (*Copied) kind() kind           { return kindCopied }
func (*BarrierRequest) kind() kind   { return kindBarrierRequest }
func (*BarrierAnswer) kind() kind    { return kindBarrierAnswer }

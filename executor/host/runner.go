package host

import (
	"context"

	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// Runner runs tasks in a job process. Its methods are called by one goroutine and return without waiting for tasks.
//
// A Runner that is also a blocks.Provider has its named blocks served at the address that the executor registers with.
type Runner interface {
	// AddStage makes a stage attempt known, before its first task. Its error fails the tasks of the attempt.
	AddStage(b protocol.StageBinary) error
	// Launch starts a task. Its end is reported through RunnerConfig.Report, once.
	Launch(t protocol.TaskDesc)
	// Kill asks a task to end, which it reports as Killed. Tasks that have ended are ignored.
	Kill(id int64, reason string)
	// AnswerCommit answers RunnerConfig.AskCommit.
	AnswerCommit(id int64, allowed bool)
	// AnswerBarrier answers RunnerConfig.AskBarrier, for several tasks at once.
	AnswerBarrier(m protocol.BarrierAnswer)
	// Remove cleans up stages, datasets and broadcasts. Map outputs are removed by the host.
	Remove(r protocol.Remove)
	// Close ends all tasks and frees what the runner holds.
	Close() error
}

// BlockCopier is a Runner that keeps copies of cached partitions of other executors.
type BlockCopier interface {
	// CopyBlock fetches a cached partition from the server at addr and keeps it, which it reports, when the function that it returns is called, on any
	// goroutine. If Remove takes the dataset away before that has ended nothing is kept. An error that wraps fs.ErrNotExist means that the partition is
	// not there. The level is that of protocol.Copy.
	CopyBlock(ctx context.Context, id protocol.BlockID, addr string, level uint8) (fetch func() error)
}

// RowCounter is a Runner that knows how much its tasks have read.
type RowCounter interface {
	// RowsRead says how many rows each of the tasks has read so far; 0 for those that do not run. It is called from any goroutine.
	RowsRead(tasks []int64) []int64
}

// RunnerConfig is what a job process lends to its Runner.
type RunnerConfig struct {
	Executor    string // its name at the driver
	Host        string // the host's identity
	Cores       int
	MemoryBytes int64 // GOMEMLIMIT is set to it
	Location    shuffle.Location
	Secret      protocol.Secret // of the application
	Fetcher     shuffle.Fetcher // the same as Client
	Client      *blocks.Client
	Outputs     *disk.Dirs        // of map outputs
	Spills      *disk.Dirs        // of everything else: empty, and removed by the host when the process has ended
	Settings    map[string]string // the application's configuration
	// Report takes the end of a task. It may be called from any goroutine; it does not wait: what queues
	// up is sent together.
	Report func(protocol.TaskResult)
	// AskCommit asks the driver whether a task may publish its output; Runner.AnswerCommit has the answer.
	AskCommit func(id int64)
	// AskBarrier tells the driver that a task waits for the others of its stage; Runner.AnswerBarrier says when all have come.
	AskBarrier func(protocol.BarrierRequest)
	// Updates tells of cached blocks that came or went outside of a task.
	Updates func([]protocol.BlockUpdate)
	// EndProcess asks the driver to have the process killed and replaced. Its tasks run again elsewhere, and it does not count as a failure of them.
	EndProcess func(reason string)
}

// NewRunner makes the Runner of a job process. An error ends the process with its text.
type NewRunner func(RunnerConfig) (Runner, error)

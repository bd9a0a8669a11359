// Package protocol is all that the driver knows of executors, and executors of the driver: the messages between them, how they
// are framed, and how the two sides prove to each other that they belong to one application.
//
// Executors dial the driver. A connection starts with a mutual proof of the application's secret, then the executor registers
// (identity, epoch, digest of its executable, where its blocks are served) and from then on both sides send frames whenever
// they have something to say; nobody waits for an answer in between. An executor that comes back after a loss has a new epoch:
// what still arrives under the old one is refused.
package protocol

import (
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

// StageKey names one attempt of a stage.
type StageKey struct {
	Stage, Attempt int
}

// StageBinary is what all tasks of a stage attempt share. It is sent to an executor once, before its first task of that attempt.
type StageBinary struct {
	Key        StageKey
	Job        int                      // the first job that needs the stage, for logs
	Program    []byte                   // the lineage up to the stage's border and what to do at it, as rdd.Program wrote it
	Inputs     map[int][]shuffle.Output // the map outputs of every shuffle that the stage reads, in map order; without the shuffles of which some are missing
	Properties map[string]string        // local properties of the job: description, pool, …
	Gang       []Member                 // of a barrier stage: where its tasks run, by partition
	MaxMessage int64                    // of a barrier stage: bytes that each task may bring to a barrier
}

// Member is where a task of a barrier stage runs.
type Member struct {
	Executor, Address string
}

// TaskDesc asks an executor to run one attempt of one task.
type TaskDesc struct {
	ID        int64 // unique in the application
	Stage     StageKey
	Partition int
	Attempt   int    // 0 for the first try of this task in this stage attempt
	Splits    []byte // the input splits of this partition, as rdd.Program.Splits wrote them; empty if it reads none
	Replicas  []Replica
}

// Replica says where a task finds a cached block of a dataset that is kept on several executors, besides its own.
type Replica struct {
	ID    BlockID
	Addrs []string // of the servers that have it, the first one to be asked first
}

// Outcome says how a task attempt ended.
type Outcome uint8

// The outcomes. Failed and DiskFull count against spark.task.maxFailures.
const (
	Succeeded    Outcome = iota
	Failed               // the task returned an error or panicked
	FetchFailed          // a map output could not be read: it is recomputed and the stage tried again
	Killed               // as asked: cancelled, or another attempt was faster
	CommitDenied         // another attempt publishes its output
	DiskFull             // no disk of the executor took what the task wrote: another executor's may
)

// TaskResult reports the end of a task attempt.
type TaskResult struct {
	ID        int64
	Stage     StageKey
	Partition int
	Outcome   Outcome
	Value     []byte          // result stages: what the action returned; large values lie in the block store instead
	Output    *shuffle.Output // map stages
	Error     string          // the cause, with the stack of a panic
	Permanent bool            // with Failed: another attempt would fail the same way
	Fetch     *FetchFailure   // with FetchFailed
	Updates   []AccumulatorUpdate
	Blocks    []BlockUpdate // cached blocks that came or went since the last report
	Metrics   TaskMetrics
}

// FetchFailure is shuffle.FetchError in a message.
type FetchFailure struct {
	Shuffle, Map, Reduce int
	Location             shuffle.Location
	Message              string
}

// AccumulatorUpdate is what one task added to one accumulator.
type AccumulatorUpdate struct {
	ID    int
	Value []byte
}

// BlockID names a cached partition of a dataset.
type BlockID struct {
	Dataset, Partition int
}

// BlockUpdate says that an executor holds a cached block, or no longer does.
type BlockUpdate struct {
	ID           BlockID
	Memory, Disk int64 // bytes; both 0 when it is gone
	Level        uint8 // rdd.StorageLevel: how its dataset is kept; 0 if it is gone or was moved
}

// TaskMetrics is what a task cost.
type TaskMetrics struct {
	Start        time.Time
	Run          time.Duration
	ResultBytes  int64
	RowsRead     int64 // from sources
	BytesRead    int64
	RowsWritten  int64 // to sinks
	BytesWritten int64
	Shuffle      shuffle.Metrics
	CachedRead   int64 // blocks taken from the cache
}

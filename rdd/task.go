package rdd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// Task is one attempt to compute one partition: what operations may know of where they run. It belongs to the task's goroutine.
type Task struct {
	Stage        int
	StageAttempt int
	Partition    int
	Attempt      int   // 0 for the first try
	ID           int64 // unique in the application
	Properties   map[string]string

	ctx     context.Context
	runtime Runtime
	splits  map[splitKey]any
	done    []func(failed bool)
	piece   piece        // of its partition, where that was split
	barrier *BarrierTask // nil until a barrier operation asks
	// Rows and bytes that sources read and sinks wrote.
	RowsRead, BytesRead, RowsWritten, BytesWritten int64
	// CachedRead counts the blocks of persisted datasets that were taken from the cache.
	CachedRead int64

	rowsSoFar atomic.Int64 // RowsRead as of the last batch
}

// Runtime is what an executor lends to a task.
type Runtime interface {
	Blocks() BlockStore
	Shuffle() *shuffle.Env
	// MapOutputs lists the outputs of a shuffle in map order.
	MapOutputs(shuffleID int) ([]shuffle.Output, error)
	// TempDir is a private directory of the task, removed when it ends.
	TempDir() (string, error)
}

// FileRuntime is a Runtime that knows the files of spark.files.
type FileRuntime interface {
	// File is where this process's copy of a file lies.
	File(name string) (path string, err error)
}

// ReplicaRuntime is a Runtime that knows which other executors keep partitions of datasets whose level has two copies.
type ReplicaRuntime interface {
	// Replica fetches such a partition to a file of the task's, as Block.Write wrote it. It is empty if nobody is known to have the partition, or none
	// of those could be asked: the task computes it.
	Replica(dataset, partition int) (path string)
}

// CommitRuntime is a Runtime whose driver decides which attempt of a task may publish what it wrote.
type CommitRuntime interface {
	// MayCommit asks the driver, and waits.
	MayCommit() (bool, error)
}

// PermanentError is an error that is the same however often its task is tried: where Permanent says true the job fails at the first one
// instead of at the one of number spark.task.maxFailures. Functions that return errors, such as that of MapPartitionsWithTask, may
// return one, wrapped or not. Who is not sure says false: most that goes wrong once goes well elsewhere.
type PermanentError interface {
	error
	Permanent() bool
}

// BlockStore keeps computed partitions of cached datasets.
type BlockStore interface {
	// Get returns a cached partition.
	Get(dataset, partition int) (Block, bool)
	// Reserve asks for n more bytes of storage memory for a block of the dataset that is being computed; false means that it does not fit.
	Reserve(dataset int, n int64) bool
	// Unreserve gives bytes back that Reserve granted and no Put took over.
	Unreserve(n int64)
	// Put keeps a computed partition. The store takes over the reserved bytes of a block in memory.
	Put(dataset, partition int, b Block)
	// Drop forgets a partition that cannot be read from its file, or from memory if that is empty; one that was kept anew since, in another file, stays.
	Drop(dataset, partition int, file string)
	// Create makes a file for a block on disk; Put takes it over.
	Create(dataset, partition int) (*disk.File, error)
}

// CompressedStore is a BlockStore whose blocks on disk are compressed.
type CompressedStore interface {
	// Compression names the compressor, as in codec.CompressorOf; empty means none.
	Compression() string
}

// ScarceStore is a BlockStore that knows when memory is short.
type ScarceStore interface {
	// Scarce says that rows should be kept without what else they may keep alive.
	Scarce() bool
}

// Block is a computed partition: rows in memory, or a file.
type Block struct {
	Rows   any    // [][]T or EncodedRows, nil when on disk
	Memory int64  // estimated bytes of Rows
	File   string // blocks of rows as the row codec wrote them
	Disk   int64  // bytes of File
	// Write writes the rows to a file, whose length it returns; nil if they cannot travel.
	Write func(rows any, file io.Writer) (int64, error)
	// Level is how the dataset is kept; None where that is not known, of a block that was moved.
	Level StorageLevel
	// Spills says that the rows are written when memory is needed for other blocks, and not forgotten.
	Spills bool
}

// NewTask makes a task on the given runtime; splits are what Program.Splits wrote on the driver.
func NewTask(ctx context.Context, rt Runtime, splits []byte) (*Task, error) {
	t := &Task{ctx: ctx, runtime: rt}
	if err := t.decodeSplits(splits); err != nil {
		return nil, err
	}
	return t, nil
}

// RowsSoFar is RowsRead as of the last batch of rows, for other goroutines than the task's.
func (t *Task) RowsSoFar() int64 { return t.rowsSoFar.Load() }

// Context is cancelled when the task is: long loops in user code should look at it.
func (t *Task) Context() context.Context { return t.ctx }

// OnDone registers what must happen when the task ends, however it ends: files closed, memory given back. Last in, first out.
func (t *Task) OnDone(f func(failed bool)) { t.done = append(t.done, f) }

// Finish runs what OnDone registered. The executor calls it once.
func (t *Task) Finish(failed bool) {
	for i := len(t.done) - 1; i >= 0; i-- {
		t.done[i](failed)
	}
	t.done = nil
}

// ShuffleEnv is the memory, directories and counters for the task's shuffles.
func (t *Task) ShuffleEnv() *shuffle.Env { return t.runtime.Shuffle() }

// TempDir is a private directory, removed when the task ends.
func (t *Task) TempDir() (string, error) { return t.runtime.TempDir() }

// File is where a file of spark.files (spark-go submit --files) lies for this task, by its name without directories. The first task of
// a process that asks fetches it from the driver. Files are read only.
func (t *Task) File(name string) (string, error) {
	if rt, ok := t.runtime.(FileRuntime); ok {
		return rt.File(name)
	}
	return "", fmt.Errorf("file %q: tasks of this runtime have no files", name)
}

// ErrCommitDenied ends an attempt of a task because another one publishes its output. It does not count as a failure.
var ErrCommitDenied = errors.New("another attempt of the task publishes its output")

// AskCommit is called by what writes to the outside world, when all is written and before it is published. The driver allows it to one
// attempt at a time: others get ErrCommitDenied, and must discard what they wrote. Should the one that was allowed to fail
// afterwards, another one will be.
func (t *Task) AskCommit() error {
	rt, ok := t.runtime.(CommitRuntime)
	if !ok {
		return nil
	}
	allowed, err := rt.MayCommit()
	if err == nil && !allowed {
		err = ErrCommitDenied
	}
	return err
}

// splitKey names the split of one partition of a source.
type splitKey struct{ node, partition int }

// SplitOf returns the split of a source's partition, as its Splits method gave it on the driver.
func SplitOf[S any](t *Task, source *Node, partition int) (S, error) {
	v, ok := t.splits[splitKey{source.id, partition}]
	if !ok {
		var zero S
		return zero, fmt.Errorf("task %d has no split of partition %d of dataset %d", t.ID, partition, source.id)
	}
	s, ok := v.(S)
	if !ok {
		return s, fmt.Errorf("split of partition %d of dataset %d is a %T", partition, source.id, v)
	}
	return s, nil
}

// cancellable ends a stream with the cause when its task is cancelled. Sources, kept blocks and actions have one, so that a task whose
// job was cancelled ends at its next batch, also where operations in between let no row through.
type cancellable[T any] struct {
	in   Stream[T]
	task *Task
	done <-chan struct{}
}

func untilCancelled[T any](t *Task, in Stream[T]) Stream[T] {
	if t.ctx == nil || t.ctx.Done() == nil {
		return in
	}
	return &cancellable[T]{in, t, t.ctx.Done()}
}

func (s *cancellable[T]) Next() ([]T, error) {
	select {
	case <-s.done:
		return nil, context.Cause(s.task.ctx)
	default:
		rows, err := s.in.Next()
		s.task.rowsSoFar.Store(s.task.RowsRead)
		return rows, err
	}
}

// Package shuffle moves rows between the map tasks of one stage and the reduce tasks of the next.
//
// A map task writes its rows, each with the number of its reduce partition, through a [Writer] into one data file and one
// index. A reduce task opens its partition of every map output with [Read]: blocks are fetched in parallel, but rows come out
// in map order, so that what a reduce task sees is a function of the data alone. A [Combiner] folds the values of each key,
// a [Grouper] collects them, a [Cogrouper2] does so for two inputs at once and [Join] pairs them, and a [Sorter] orders rows;
// all hold to one memory budget and go on through disk when it is used up.
//
// Three invariants carry the promise of equal bytes for equal data:
//
//   - Rows of one reduce partition arrive ordered by map partition, then by the order in which the map task wrote them.
//   - The values of a key are folded in exactly that order, whether or not anything was spilled: what a full table evicts is
//     the state of a range of hashes, and later rows of that range wait on disk unfolded until the state is read back.
//   - Keys come out ordered by their hash, which is the same in every process, and, for equal hashes, by first arrival.
package shuffle

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spark-go/spark-go/shuffle/disk"
	"github.com/spark-go/spark-go/shuffle/seal"
)

// Pair is a keyed row.
type Pair[K, V any] struct {
	Key   K
	Value V
}

// Stream yields the rows of one partition in batches.
type Stream[T any] interface {
	// Next returns the next batch, of at least one row, or io.EOF after the last one. The batch is the stream's: it may be read
	// until the next call of Next and must not be written to. After an error every later call returns an error.
	Next() ([]T, error)
}

// Aggregator folds the values V of one key into a combiner C. Implementations are plain structs: they travel to executors.
type Aggregator[V, C any] interface {
	Create(v V) C       // the combiner of a key's first value
	Merge(c C, v V) C   // c with one more value; may change and return c
	Combine(c C, d C) C // two combiners of the same key, c's rows before d's; may change and return c
}

// BulkAggregator is an Aggregator that folds many values at a call, where a call for each would cost more than the fold. MergeAll does for
// every i in turn: where at[i] is less than len(c), c[at[i]] = Merge(c[at[i]], v[i]); else, at[i] being len(c), it appends Create(v[i]).
// CombineAll does so with Combine, and appends d[i]. Both return c.
type BulkAggregator[V, C any] interface {
	Aggregator[V, C]
	MergeAll(c []C, at []uint32, v []V) []C
	CombineAll(c []C, at []uint32, d []C) []C
}

// Memory is an executor's budget for execution. Acquire asks for n more bytes and returns how many were granted, from 0 to n;
// it never waits. Release gives bytes back.
type Memory interface {
	Acquire(n int64) int64
	Release(n int64)
}

// WholeMemory is a Memory that may give a structure what it cannot divide, such as the values of one key, beyond the task's share.
type WholeMemory interface {
	Memory
	// AcquireWhole asks for n more bytes, all or none, and reports whether they were granted.
	AcquireWhole(n int64) bool
	// Budget is all that there is, and others what of it other tasks hold.
	Budget() (all, others int64)
}

// PressedMemory is a Memory that knows what the process really holds. Structures that see another number than before give back what
// they can: what they hold may keep far more alive than they were granted.
type PressedMemory interface {
	Memory
	Pressure() uint32
}

// Unlimited is a Memory that grants everything, for tests and small tools.
type Unlimited struct{}

// Acquire grants n.
func (Unlimited) Acquire(n int64) int64 { return n }

// Release does nothing.
func (Unlimited) Release(int64) {}

// Location says where a map output lies.
type Location struct {
	Executor string // the executor whose host holds the files
	Host     string // the host's identity: readers with the same identity open Path themselves
	Addr     string // the block server's address, for everyone else
	Dir      string // the directory of the shuffle files on that host
}

// Output describes the committed output of one map task.
type Output struct {
	Map      int   // the map partition
	Attempt  int64 // the task attempt that wrote it; part of the file names, so that attempts never share a file
	Location Location
	Sizes    []int64 // stored bytes of each reduce partition
	Rows     int64   // rows written, after combining
	Sum      Sum     // of the rows; it stays with the driver
	Heavy    []Heavy // the reduce partitions with at least twice the mean of rows, in their order
}

// Heavy is a reduce partition to which a map task wrote more rows than to most: one with a hot key, as a rule. Rows are told and not bytes, because they are
// a function of the data alone, while stored bytes also depend on how often the task had to spill.
type Heavy struct {
	Partition int
	Rows      int64
}

// RowsOf is how many rows the output has for a reduce partition; for those that are not heavy it is the mean of them.
func (o *Output) RowsOf(partition int) int64 {
	rest := o.Rows
	for _, h := range o.Heavy {
		if h.Partition == partition {
			return h.Rows
		}
		rest -= h.Rows
	}
	return rest / int64(max(1, len(o.Sizes)-len(o.Heavy)))
}

// Sum tells whether two attempts at one map task wrote the same rows.
type Sum struct {
	Content uint32 // CRC-32C of the encoded rows, in order, before compression
	Layout  uint32 // CRC-32C of how they lie: partition and rows of each block, in order
	Counts  uint32 // CRC-32C of the number of rows of each partition
}

// Differs says whether two outputs of a map task are certain to hold different rows, or the same in another order. Blocks are cut where memory
// ends, so that only outputs whose rows lie alike can be compared row for row; of others the numbers of rows of each partition are.
func (o *Output) Differs(other *Output) bool {
	return o.Rows != other.Rows || o.Sum.Counts != other.Sum.Counts || o.Sum.Layout == other.Sum.Layout && o.Sum.Content != other.Sum.Content
}

// Fetcher reads map outputs of other hosts.
type Fetcher interface {
	// Fetch returns the stored bytes of the reduce partitions [start, end) of one map output, as Writer stored them.
	Fetch(ctx context.Context, shuffle int, out Output, start, end int) (io.ReadCloser, error)
}

// Checker is a Fetcher whose hosts can read what they have once more.
type Checker interface {
	Fetcher
	// Check has the host of a map output compare what Fetch would return, as it lies on its disk, with the checksums, and returns what is wrong with it; empty
	// if nothing is.
	Check(ctx context.Context, shuffle int, out Output, start, end int) (damage string, err error)
}

// Env is what an executor gives to the shuffles of its tasks.
type Env struct {
	Location Location // what this executor's own map outputs are published with; Dir is where files are written
	SpillDir string   // private to a task; removed with everything in it when the task ends
	// Outputs and Spills are the directories of map outputs and spills where there may be more than one, instead of Location.Dir and SpillDir.
	Outputs, Spills  *disk.Dirs
	Memory           Memory    // nil means Unlimited
	Floor            int64     // bytes that each structure may hold without asking Memory; 0 means 1 MiB
	Compression      string    // of map outputs: "lz4" (default), "zstd" or "none"
	SpillCompression string    // of spills: default "lz4"
	Key              *seal.Key // what map outputs and spills are encrypted with; nil leaves them plain
	MaxBytesInFlight int64     // fetched and not yet consumed, per reduce task; 0 means 48 MiB
	Fetcher          Fetcher   // nil where every output is on this host
	Metrics          *Metrics  // nil if nobody counts
	Partition        int       // that the task computes, for errors

	RowsSoFar *atomic.Int64 // grows with Metrics.RowsRead, for other goroutines to look at; nil if none does
}

// OutputDirs are the directories of map outputs.
func (e *Env) OutputDirs() *disk.Dirs {
	if e.Outputs != nil {
		return e.Outputs
	}
	return disk.New(e.Location.Dir)
}

// SpillDirs are the directories of spills.
func (e *Env) SpillDirs() *disk.Dirs {
	if e.Spills != nil {
		return e.Spills
	}
	return disk.New(e.SpillDir)
}

// Metrics counts what the shuffles of one task did. It belongs to one goroutine.
type Metrics struct {
	RowsWritten, BytesWritten  int64
	RowsRead, BytesRead        int64
	LocalBlocks, RemoteBlocks  int64
	SpilledRows, SpilledBytes  int64
	PeakMemory                 int64
	FetchWaitNanos, WriteNanos int64

	held int64 // memory granted to the structures of the task now
}

// FetchError says that a map output could not be read: the scheduler recomputes it instead of failing the task.
type FetchError struct {
	Shuffle  int
	Map      int // -1 if the task knew no outputs of the shuffle
	Reduce   int
	Location Location
	Err      error
}

// Error names the block, its place and the cause.
func (e *FetchError) Error() string {
	if e.Map < 0 {
		return fmt.Sprintf("fetch the map outputs of shuffle %d: %v", e.Shuffle, e.Err)
	}
	return fmt.Sprintf("fetch block %d of map output %d of shuffle %d from %s at %s: %v", e.Reduce, e.Map, e.Shuffle, e.Location.Executor, e.Location.Addr, e.Err)
}

// Unwrap returns the cause.
func (e *FetchError) Unwrap() error { return e.Err }

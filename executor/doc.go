// Package executor runs tasks.
//
// A [Runner] holds the programs of stages, read back once each, and runs a goroutine for every task that it is told to launch;
// how many run at once is the scheduler's decision. All tasks of a runner share one [Memory] budget: execution (hash tables,
// sorts, shuffle buffers) and storage (cached partitions) borrow from each other, and what does not fit is spilled, not lost. The
// [Store] keeps cached partitions and forgets the least recently used ones.
//
// The runner is the same in the driver's own process (master local) and in an executor process; package host wraps it in
// processes.
//
// Invariants: every task that was launched is reported exactly once, also when it panics, is killed or its program cannot be read;
// when a task is reported, its memory is given back and its files are gone, except for the map output that it committed.
package executor

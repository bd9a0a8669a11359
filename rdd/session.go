package rdd

import (
	"context"

	"github.com/spark-go/spark-go/shuffle"
)

// Session is the driver as datasets see it; driver.Context implements it.
type Session interface {
	// NextDatasetID, NextShuffleID and NextVariableID number datasets, shuffles, and broadcasts and accumulators.
	NextDatasetID() int
	NextShuffleID() int
	NextVariableID() int
	// DefaultPartitions is spark.default.parallelism, or 0 when it is not set and the data decides.
	DefaultPartitions() int
	// Setting returns the value of a configuration key, its default if it was not set.
	Setting(key string) string
	// Run computes the job's partitions and gives the result of each to Handle, once, in any order, never concurrently.
	Run(ctx context.Context, job Job) error
	// Publish makes the value of a broadcast available to executors until Withdraw: as it is to those in this process, as the
	// bytes of encode to others.
	Publish(id int, value any, encode func() ([]byte, error)) error
	Withdraw(id int)
	// Register makes the session merge what tasks add to an accumulator: the updates of a stage's tasks in partition order, each
	// task's once.
	Register(id int, merge func(update []byte) error)
	// Unpersist drops the cached blocks of a dataset; with wait it returns when they are gone.
	Unpersist(ctx context.Context, dataset int, wait bool) error
}

// Job asks for the result of an action on some partitions of a dataset.
type Job struct {
	Target     *Node
	Partitions []int // nil means all
	Action     Action
	// Handle takes the encoded result of the i-th of Partitions. An error fails the job.
	Handle func(i int, result []byte) error
	Name   string // the action, for people: "Collect"
}

// Action is what the tasks of a job's last stage do with their partition. Implementations are plain structs that travel.
type Action interface {
	Run(t *Task, partition int) (result []byte, err error)
}

// MapWriter is what the map tasks before a shuffle do with their partition. Implementations are plain structs that travel.
type MapWriter interface {
	WriteMap(t *Task, partition int) (shuffle.Output, error)
}

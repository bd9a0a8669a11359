package rdd

import "context"

// PartitionFunc is what an action of one's own does with the rows of a partition, in a task. Implementations are plain structs that
// travel; what they return travels back through the row codec.
type PartitionFunc[T, R any] interface {
	Run(t *Task, partition int, in Stream[T]) (R, error)
}

// RunPartitions runs an action of one's own on the given partitions (nil means all) and returns the results in their order. Writers of
// files are made with it.
func RunPartitions[T, R any](ctx context.Context, r RDD[T], name string, do PartitionFunc[T, R], partitions []int) ([]R, error) {
	return runPartitions(ctx, r, name, partitionFunc[T, R](partitionRunner[T, R]{do}), partitions)
}

type partitionRunner[T, R any] struct{ Do PartitionFunc[T, R] }

func (p partitionRunner[T, R]) run(t *Task, partition int, in Stream[T]) (R, error) {
	return p.Do.Run(t, partition, in)
}

package rdd

import (
	"context"
	"iter"
)

// ForeachPartition calls f once for each partition, in tasks, for its side effects: for work whose set-up is shared by many
// rows, such as a connection. An error fails the attempt. f is called at least once a partition, since an attempt may be repeated.
func ForeachPartition[T any](ctx context.Context, r RDD[T], f func(iter.Seq[T]) error) error {
	if err := checkFuncs("ForeachPartition", f); err != nil {
		return err
	}
	_, err := runPartitions(ctx, r, "ForeachPartition", partitionFunc[T, struct{}](foreachPartition[T]{f}), nil)
	return err
}

type foreachPartition[T any] struct{ F func(iter.Seq[T]) error }

func (a foreachPartition[T]) run(_ *Task, _ int, in Stream[T]) (struct{}, error) {
	src := &seqSource[T]{in: in}
	err := a.F(src.seq)
	if src.err != nil {
		err = src.err
	}
	return struct{}{}, err
}

// ToLocalIterator yields all rows in the order of the partitions, of which it computes and holds one at a time: for results that do not
// fit in the driver's memory. Each partition is a job of its own; persist what is dear to compute. After an error, which comes
// with no row, there is nothing more. Ending the loop early computes no further partition.
func (r RDD[T]) ToLocalIterator(ctx context.Context) iter.Seq2[T, error] {
	return localIterator[T]{r, ctx}.each
}

type localIterator[T any] struct {
	of  RDD[T]
	ctx context.Context
}

func (l localIterator[T]) each(yield func(T, error) bool) {
	n := l.of.node
	for p := range max(n.partitions, 1) {
		if n.partitions == 0 && n.Err() == nil {
			return
		}
		parts, err := l.of.rows(l.ctx, "ToLocalIterator", 0, []int{p})
		if err != nil {
			var zero T
			yield(zero, err)
			return
		}
		for _, row := range parts[0] {
			if !yield(row, nil) {
				return
			}
		}
	}
}

package rdd

import (
	"cmp"
	"fmt"

	"github.com/spark-go/spark-go/shuffle"
)

// GroupByKey collects the values of each key, in partition order and then in the order of the rows; keys come out in the order of
// their hashes. The optional number of partitions defaults as described at CombineByKey; if r is partitioned that way already no
// row moves.
//
// Map tasks do not combine: every row crosses the shuffle, and the values of one key must fit in the memory of one task. Sums, counts
// and the like are far cheaper with ReduceByKey or AggregateByKey.
func GroupByKey[K comparable, V any](r RDD[Pair[K, V]], partitions ...int) RDD[Pair[K, []V]] {
	return groupPairs(r, "GroupByKey", partitions, nil)
}

// GroupBy groups the rows by the key that f gives them: KeyBy, then GroupByKey, whose cost and order it has.
func GroupBy[K comparable, T any](r RDD[T], f func(T) K, partitions ...int) RDD[Pair[K, []T]] {
	return groupPairs(derive(r, "KeyBy", keyByOp[K, T]{r, f}, nil), "GroupBy", partitions, checkFuncs("GroupBy", f))
}

func groupPairs[K comparable, V any](r RDD[Pair[K, V]], kind string, n []int, err error) RDD[Pair[K, []V]] {
	by, cerr := choosePartitioner[K](r.node.session, n, r.node)
	in, dep, ierr := placed(r, kind, by)
	err = cmp.Or(err, fail(kind, cerr), ierr)
	return RDD[Pair[K, []V]]{placedNode(r.node.session, kind, groupOp[K, V]{in}, by, err, dep)}
}

// groupOp groups a partition that gets all rows of its keys.
type groupOp[K comparable, V any] struct{ In input[Pair[K, V]] }

func (o groupOp[K, V]) Compute(t *Task, p int) (Stream[Pair[K, []V]], error) {
	in, err := o.In.open(t, p)
	if err != nil {
		return nil, err
	}
	g, err := shuffle.NewGrouper[K, V](t.ctx, t.ShuffleEnv())
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { g.Close() })
	if err := each(in, g.Add); err != nil {
		return nil, err
	}
	return g.Drain()
}

// input is one input of an operation that wants its rows placed: a parent whose rows lie right already, or a shuffle that places
// them.
type input[T any] struct {
	Parent  RDD[T] // zero where there is a shuffle: its parent belongs to another stage
	Shuffle int
	Narrow  bool
}

func (in input[T]) open(t *Task, p int) (Stream[T], error) {
	if in.Narrow {
		return in.Parent.Compute(t, p)
	}
	return readShuffle[T](t, in.Shuffle, p)
}

// placed is r as an input placed by the partitioner, with the dependency on it.
func placed[K comparable, V any](r RDD[Pair[K, V]], kind string, by Partitioner[K]) (input[Pair[K, V]], Dependency, error) {
	err := keyCheck[K](kind)
	if err == nil {
		err = rowCheck[Pair[K, V]](kind)
	}
	if samePartitioner(by, r.node.partition) {
		return input[Pair[K, V]]{Parent: r, Narrow: true}, oneToOne(r.node), err
	}
	dep := &Shuffle{Node: r.node, ID: r.node.session.NextShuffleID(), Partitions: by.NumPartitions()}
	dep.Writer = &pairWriter[K, V, V]{Parent: r, Shuffle: dep.ID, By: by}
	return input[Pair[K, V]]{Shuffle: dep.ID}, dep, err
}

// oneSession refuses to bring datasets of different contexts together.
func oneSession(kind string, first *Node, others ...*Node) error {
	for _, n := range others {
		if n.session != first.session {
			return fail(kind, fmt.Errorf("%v and %v belong to different contexts: make both with one", first, n))
		}
	}
	return nil
}

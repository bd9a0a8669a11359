package rdd

import (
	"cmp"
	"fmt"
	"io"
	"iter"

	"github.com/spark-go/spark-go/shuffle"
)

// GroupByKey collects the values of each key, in partition order and then in the order of the rows; keys come out in the order of
// their hashes. The optional number of partitions defaults as described at CombineByKey; if r is partitioned that way already no
// row moves.
//
// Map tasks do not combine: every row crosses the shuffle. The values of one key become a slice and must fit in the executor's memory for
// execution, about twice; if they do not, the error is a [shuffle.OneKeyError] that names the key. MapGroups and FlatMapGroups stream them
// instead, however many they are. Sums, counts and the like are far cheaper with ReduceByKey or AggregateByKey.
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

// MapGroups gives f each key with its values, as an iterator, and keeps what it returns: Spark's Dataset.mapGroups. Keys come in the order of
// their hashes, values in partition order and then in the order of the rows. Values that do not fit in memory come from disk, so that a
// single key may have any number of them. f can range over them once, and only until it returns. Like GroupByKey it shuffles every row; the
// optional number of partitions is the same.
func MapGroups[K comparable, V, U any](r RDD[Pair[K, V]], f func(K, iter.Seq[V]) U, partitions ...int) RDD[U] {
	return mapGroups(r, "MapGroups", groupsOp[K, V, U]{Map: f}, partitions, checkFuncs("MapGroups", f))
}

// FlatMapGroups is MapGroups for functions that make any number of rows of a key and its values. What f returns is ranged over
// before the next key is asked for.
func FlatMapGroups[K comparable, V, U any](r RDD[Pair[K, V]], f func(K, iter.Seq[V]) iter.Seq[U], partitions ...int) RDD[U] {
	return mapGroups(r, "FlatMapGroups", groupsOp[K, V, U]{FlatMap: f}, partitions, checkFuncs("FlatMapGroups", f))
}

func mapGroups[K comparable, V, U any](r RDD[Pair[K, V]], kind string, op groupsOp[K, V, U], n []int, err error) RDD[U] {
	by, cerr := choosePartitioner[K](r.node.session, n, r.node)
	in, dep, ierr := placed(r, kind, by)
	op.In = in
	return RDD[U]{newNode(r.node.session, kind, op, by.NumPartitions(), cmp.Or(err, fail(kind, cerr), ierr), dep)}
}

// groupsOp streams the groups of a partition through one of two functions.
type groupsOp[K comparable, V, U any] struct {
	In      input[Pair[K, V]]
	Map     func(K, iter.Seq[V]) U
	FlatMap func(K, iter.Seq[V]) iter.Seq[U]
}

func (o groupsOp[K, V, U]) Compute(t *Task, p int) (Stream[U], error) {
	in, err := o.In.open(t, p)
	if err != nil {
		return nil, err
	}
	g, err := shuffle.NewStreamGrouper[K, V](t.ctx, t.ShuffleEnv())
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { g.Close() })
	if err := each(in, g.Add); err != nil {
		return nil, err
	}
	groups, err := g.Groups()
	if err != nil {
		return nil, err
	}
	rows := &groupRows[K, V, U]{op: o, groups: groups}
	return newSeqStream(t, rows.seq, &rows.err), nil
}

// groupRows is what the function makes of all groups, as an iterator; an error ends it early and is kept.
type groupRows[K comparable, V, U any] struct {
	op     groupsOp[K, V, U]
	groups *shuffle.Groups[K, V]
	err    error
}

func (g *groupRows[K, V, U]) seq(yield func(U) bool) {
	for g.err == nil {
		key, values, err := g.groups.Next()
		if err != nil {
			if err != io.EOF {
				g.err = err
			}
			return
		}
		src := &seqSource[V]{in: values}
		if !g.group(key, src.seq, yield) {
			return
		}
		g.err = src.err
		src.err, src.rows = io.EOF, nil // values that are asked for too late are none
	}
}

// group yields the rows of one key.
func (g *groupRows[K, V, U]) group(key K, values iter.Seq[V], yield func(U) bool) bool {
	if g.op.Map != nil {
		return yield(g.op.Map(key, values))
	}
	if rows := g.op.FlatMap(key, values); rows != nil {
		for row := range rows {
			if !yield(row) {
				return false
			}
		}
	}
	return true
}

// input is one input of an operation that wants its rows placed: a parent whose rows lie right already, or a shuffle that places
// them.
type input[T any] struct {
	Parent  RDD[T] // zero where there is a shuffle: its parent belongs to another stage
	Shuffle *Shuffle
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
	dep.Writer = &pairWriter[K, V, V]{Parent: r, Shuffle: dep, By: by}
	return input[Pair[K, V]]{Shuffle: dep}, dep, err
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

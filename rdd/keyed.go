package rdd

import (
	"fmt"

	"github.com/spark-go/spark-go/shuffle"
)

// KeyBy pairs every row with the key that f gives it.
func KeyBy[K comparable, T any](r RDD[T], f func(T) K) RDD[Pair[K, T]] {
	return derive(r, "KeyBy", keyByOp[K, T]{r, f}, checkFuncs("KeyBy", f))
}

type keyByOp[K comparable, T any] struct {
	Parent RDD[T]
	F      func(T) K
}

func (o keyByOp[K, T]) Compute(t *Task, p int) (Stream[Pair[K, T]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapStream[T, Pair[K, T]]{in: in, f: o.pair}, nil
}

func (o keyByOp[K, T]) pair(row T) Pair[K, T] { return Pair[K, T]{Key: o.F(row), Value: row} }

// Keys drops the values.
func Keys[K, V any](r RDD[Pair[K, V]]) RDD[K] { return derive(r, "Keys", keysOp[K, V]{r}, nil) }

type keysOp[K, V any] struct{ Parent RDD[Pair[K, V]] }

func (o keysOp[K, V]) Compute(t *Task, p int) (Stream[K], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapStream[Pair[K, V], K]{in: in, f: keyOf[K, V]}, nil
}

func keyOf[K, V any](p Pair[K, V]) K { return p.Key }

// Values drops the keys.
func Values[K, V any](r RDD[Pair[K, V]]) RDD[V] { return derive(r, "Values", valuesOp[K, V]{r}, nil) }

type valuesOp[K, V any] struct{ Parent RDD[Pair[K, V]] }

func (o valuesOp[K, V]) Compute(t *Task, p int) (Stream[V], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapStream[Pair[K, V], V]{in: in, f: valueOf[K, V]}, nil
}

func valueOf[K, V any](p Pair[K, V]) V { return p.Value }

// MapValues applies f to the values and keeps keys and partitioner.
func MapValues[K, V, W any](r RDD[Pair[K, V]], f func(V) W) RDD[Pair[K, W]] {
	return keepPartitioner(derive(r, "MapValues", mapValuesOp[K, V, W]{r, f}, checkFuncs("MapValues", f)), r)
}

type mapValuesOp[K, V, W any] struct {
	Parent RDD[Pair[K, V]]
	F      func(V) W
}

func (o mapValuesOp[K, V, W]) Compute(t *Task, p int) (Stream[Pair[K, W]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapValuesStream[K, V, W]{in: in, f: o.F}, nil
}

type mapValuesStream[K, V, W any] struct {
	in  Stream[Pair[K, V]]
	f   func(V) W
	out []Pair[K, W]
}

func (s *mapValuesStream[K, V, W]) Next() ([]Pair[K, W], error) {
	rows, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	s.out = resize(s.out, len(rows))
	for i := range rows {
		s.out[i] = Pair[K, W]{Key: rows[i].Key, Value: s.f(rows[i].Value)}
	}
	return s.out, nil
}

// FlatMapValues replaces each value by those that f returns for it, under the same key, and keeps the partitioner.
func FlatMapValues[K, V, W any](r RDD[Pair[K, V]], f func(V) []W) RDD[Pair[K, W]] {
	return keepPartitioner(derive(r, "FlatMapValues", flatMapValuesOp[K, V, W]{r, f}, checkFuncs("FlatMapValues", f)), r)
}

type flatMapValuesOp[K, V, W any] struct {
	Parent RDD[Pair[K, V]]
	F      func(V) []W
}

func (o flatMapValuesOp[K, V, W]) Compute(t *Task, p int) (Stream[Pair[K, W]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	var out []Pair[K, W]
	expand := func(row Pair[K, V]) []Pair[K, W] {
		out = out[:0]
		for _, w := range o.F(row.Value) {
			out = append(out, Pair[K, W]{Key: row.Key, Value: w})
		}
		return out
	}
	return &flatMapStream[Pair[K, V], Pair[K, W]]{in: in, f: expand}, nil
}

// ReduceByKey merges the values of each key with f, which must be associative: map tasks merge their own rows first. Values are
// merged in partition order, then in the order of the rows, so that the result of a floating-point sum is always the same. The
// optional number of partitions defaults as described at CombineByKey.
func ReduceByKey[K comparable, V any](r RDD[Pair[K, V]], f func(V, V) V, partitions ...int) RDD[Pair[K, V]] {
	return combine(r, "ReduceByKey", partitions, nil, Aggregator[V, V](reduceAgg[V]{f}), true, checkFuncs("ReduceByKey", f))
}

type reduceAgg[V any] struct{ F func(V, V) V }

func (a reduceAgg[V]) Create(v V) V     { return v }
func (a reduceAgg[V]) Merge(c, v V) V   { return a.F(c, v) }
func (a reduceAgg[V]) Combine(c, d V) V { return a.F(c, d) }

// MergeAll and CombineAll make it a shuffle.BulkAggregator.
func (a reduceAgg[V]) MergeAll(c []V, at []uint32, v []V) []V {
	f := a.F
	for i, id := range at {
		if int(id) < len(c) {
			c[id] = f(c[id], v[i])
		} else {
			c = append(c, v[i])
		}
	}
	return c
}

func (a reduceAgg[V]) CombineAll(c []V, at []uint32, d []V) []V { return a.MergeAll(c, at, d) }

// FoldByKey is ReduceByKey that starts each key's values, in every map partition, at zero.
func FoldByKey[K comparable, V any](r RDD[Pair[K, V]], zero V, f func(V, V) V, partitions ...int) RDD[Pair[K, V]] {
	return combine(r, "FoldByKey", partitions, nil, Aggregator[V, V](foldAgg[V, V]{zero, f, f}), true, checkFuncs("FoldByKey", f))
}

// AggregateByKey folds the values of each key into a U: seq adds a value to it, comb merges two of different partitions. Every key
// starts at zero in each map partition; zero is copied by value, so it should hold no map or slice that seq changes in place.
func AggregateByKey[K comparable, V, U any](r RDD[Pair[K, V]], zero U, seq func(U, V) U, comb func(U, U) U, partitions ...int) RDD[Pair[K, U]] {
	return combine(r, "AggregateByKey", partitions, nil, Aggregator[V, U](foldAgg[V, U]{zero, seq, comb}), true, checkFuncs("AggregateByKey", seq, comb))
}

type foldAgg[V, U any] struct {
	Zero U
	Seq  func(U, V) U
	Comb func(U, U) U
}

func (a foldAgg[V, U]) Create(v V) U     { return a.Seq(a.Zero, v) }
func (a foldAgg[V, U]) Merge(c U, v V) U { return a.Seq(c, v) }
func (a foldAgg[V, U]) Combine(c, d U) U { return a.Comb(c, d) }

// CombineByKey folds the values of each key into a C: create makes it of the first value, merge adds another, combine merges those
// of two map partitions. The optional number of partitions defaults to the largest parent partitioner, else to
// spark.default.parallelism, else to the number of partitions of r; if r is partitioned that way already no row moves.
func CombineByKey[K comparable, V, C any](r RDD[Pair[K, V]], create func(V) C, merge func(C, V) C, comb func(C, C) C, partitions ...int) RDD[Pair[K, C]] {
	agg := funcAgg[V, C]{create, merge, comb}
	return combine(r, "CombineByKey", partitions, nil, Aggregator[V, C](agg), true, checkFuncs("CombineByKey", create, merge, comb))
}

type funcAgg[V, C any] struct {
	CreateF  func(V) C
	MergeF   func(C, V) C
	CombineF func(C, C) C
}

func (a funcAgg[V, C]) Create(v V) C     { return a.CreateF(v) }
func (a funcAgg[V, C]) Merge(c C, v V) C { return a.MergeF(c, v) }
func (a funcAgg[V, C]) Combine(c, d C) C { return a.CombineF(c, d) }

// CombineByKeyWith is CombineByKey with an aggregator of one's own, a partitioner, and the choice whether map tasks combine.
func CombineByKeyWith[K comparable, V, C any](r RDD[Pair[K, V]], agg Aggregator[V, C], by Partitioner[K], mapSide bool) RDD[Pair[K, C]] {
	var err error
	if by == nil {
		err = fail("CombineByKeyWith", fmt.Errorf("the partitioner is nil: give one, such as rdd.HashPartitioner"))
		by = HashPartitioner[K]{1}
	}
	return combine(r, "CombineByKeyWith", nil, by, agg, mapSide, err)
}

// combine shuffles and folds; rows that lie right already are folded where they are.
func combine[K comparable, V, C any](r RDD[Pair[K, V]], kind string, n []int, by Partitioner[K], agg Aggregator[V, C], mapSide bool, err error) RDD[Pair[K, C]] {
	if by == nil {
		var cerr error
		by, cerr = choosePartitioner[K](r.node.session, n, r.node)
		if err == nil {
			err = fail(kind, cerr)
		}
	}
	if samePartitioner(by, r.node.partition) {
		return keepPartitioner(derive(r, kind, localCombineOp[K, V, C]{r, agg}, err), r)
	}
	return shuffleBy(r, kind, by, agg, mapSide, err)
}

// localCombineOp folds a partition that holds all rows of its keys.
type localCombineOp[K comparable, V, C any] struct {
	Parent RDD[Pair[K, V]]
	Agg    Aggregator[V, C]
}

func (o localCombineOp[K, V, C]) Compute(t *Task, p int) (Stream[Pair[K, C]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	c, err := shuffle.NewCombiner[K, V, C](t.ctx, t.ShuffleEnv(), o.Agg)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { c.Close() })
	if err := each(in, c.Add); err != nil {
		return nil, err
	}
	return c.Drain()
}

// PartitionBy places the rows by the partitioner; those of one partition stay in the order of their old partitions.
func PartitionBy[K comparable, V any](r RDD[Pair[K, V]], by Partitioner[K]) RDD[Pair[K, V]] {
	if by == nil || by.NumPartitions() < 1 {
		return derive(r, "PartitionBy", keepOp[Pair[K, V]]{r}, fail("PartitionBy", fmt.Errorf("the partitioner has no partitions: give one with at least 1")))
	}
	if samePartitioner(by, r.node.partition) {
		return r
	}
	return shuffleBy[K, V, V](r, "PartitionBy", by, nil, false, nil)
}

// keepOp passes rows on.
type keepOp[T any] struct{ Parent RDD[T] }

func (o keepOp[T]) Compute(t *Task, p int) (Stream[T], error) { return o.Parent.Compute(t, p) }

package rdd

import (
	"cmp"

	"github.com/spark-go/spark-go/shuffle"
)

// Grouped2 holds the values of one key in two datasets, each in partition order and then in the order of the rows; nil where a
// dataset has none.
type Grouped2[V, W any] = shuffle.Grouped2[V, W]

// Grouped3 is Grouped2 of three datasets.
type Grouped3[V, W, X any] = shuffle.Grouped3[V, W, X]

// Grouped4 is Grouped2 of four datasets.
type Grouped4[V, W, X, Y any] = shuffle.Grouped4[V, W, X, Y]

// CoGroup groups two datasets by key together: one row for every key that either has, in the order of the hashes.
//
// All inputs are placed by one partitioner: hashing into the given number of partitions, else the largest partitioner among the
// inputs, else hashing into spark.default.parallelism or as many partitions as the largest input has. An input whose rows lie so
// already is not shuffled. The values of one key must fit in the memory of one task.
func CoGroup[K comparable, V, W any](left RDD[Pair[K, V]], right RDD[Pair[K, W]], partitions ...int) RDD[Pair[K, Grouped2[V, W]]] {
	const kind = "CoGroup"
	by, err := meet[K](kind, partitions, left.node, right.node)
	l, ldep, lerr := placed(left, kind, by)
	r, rdep, rerr := placed(right, kind, by)
	return RDD[Pair[K, Grouped2[V, W]]]{placedNode(left.node.session, kind, coGroupOp[K, V, W]{l, r}, by, cmp.Or(err, lerr, rerr), ldep, rdep)}
}

// CoGroup3 is CoGroup of three datasets.
func CoGroup3[K comparable, V, W, X any](first RDD[Pair[K, V]], second RDD[Pair[K, W]], third RDD[Pair[K, X]], partitions ...int) RDD[Pair[K, Grouped3[V, W, X]]] {
	const kind = "CoGroup3"
	by, err := meet[K](kind, partitions, first.node, second.node, third.node)
	a, adep, aerr := placed(first, kind, by)
	b, bdep, berr := placed(second, kind, by)
	c, cdep, cerr := placed(third, kind, by)
	return RDD[Pair[K, Grouped3[V, W, X]]]{placedNode(first.node.session, kind, coGroup3Op[K, V, W, X]{a, b, c}, by, cmp.Or(err, aerr, berr, cerr), adep, bdep, cdep)}
}

// CoGroup4 is CoGroup of four datasets.
func CoGroup4[K comparable, V, W, X, Y any](first RDD[Pair[K, V]], second RDD[Pair[K, W]], third RDD[Pair[K, X]], fourth RDD[Pair[K, Y]], partitions ...int) RDD[Pair[K, Grouped4[V, W, X, Y]]] {
	const kind = "CoGroup4"
	by, err := meet[K](kind, partitions, first.node, second.node, third.node, fourth.node)
	a, adep, aerr := placed(first, kind, by)
	b, bdep, berr := placed(second, kind, by)
	c, cdep, cerr := placed(third, kind, by)
	d, ddep, derr := placed(fourth, kind, by)
	return RDD[Pair[K, Grouped4[V, W, X, Y]]]{placedNode(first.node.session, kind, coGroup4Op[K, V, W, X, Y]{a, b, c, d}, by, cmp.Or(err, aerr, berr, cerr, derr), adep, bdep, cdep, ddep)}
}

// meet chooses the partitioner that brings the keys of several datasets together.
func meet[K comparable](kind string, n []int, nodes ...*Node) (Partitioner[K], error) {
	by, err := choosePartitioner[K](nodes[0].session, n, nodes...)
	return by, cmp.Or(fail(kind, err), oneSession(kind, nodes[0], nodes[1:]...))
}

// placedNode is a node whose rows the partitioner placed.
func placedNode[K any](s Session, kind string, op any, by Partitioner[K], err error, deps ...Dependency) *Node {
	n := newNode(s, kind, op, by.NumPartitions(), err, deps...)
	n.partition = by
	return n
}

type coGroupOp[K comparable, V, W any] struct {
	Left  input[Pair[K, V]]
	Right input[Pair[K, W]]
}

func (o coGroupOp[K, V, W]) Compute(t *Task, p int) (Stream[Pair[K, Grouped2[V, W]]], error) {
	c, err := shuffle.NewCogrouper2[K, V, W](t.ctx, t.ShuffleEnv())
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { c.Close() })
	if err := feed(t, p, o.Left, c.AddLeft); err != nil {
		return nil, err
	}
	if err := feed(t, p, o.Right, c.AddRight); err != nil {
		return nil, err
	}
	return c.Drain()
}

type coGroup3Op[K comparable, V, W, X any] struct {
	First  input[Pair[K, V]]
	Second input[Pair[K, W]]
	Third  input[Pair[K, X]]
}

func (o coGroup3Op[K, V, W, X]) Compute(t *Task, p int) (Stream[Pair[K, Grouped3[V, W, X]]], error) {
	c, err := shuffle.NewCogrouper3[K, V, W, X](t.ctx, t.ShuffleEnv())
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { c.Close() })
	if err := feed(t, p, o.First, c.AddFirst); err != nil {
		return nil, err
	}
	if err := feed(t, p, o.Second, c.AddSecond); err != nil {
		return nil, err
	}
	if err := feed(t, p, o.Third, c.AddThird); err != nil {
		return nil, err
	}
	return c.Drain()
}

type coGroup4Op[K comparable, V, W, X, Y any] struct {
	First  input[Pair[K, V]]
	Second input[Pair[K, W]]
	Third  input[Pair[K, X]]
	Fourth input[Pair[K, Y]]
}

func (o coGroup4Op[K, V, W, X, Y]) Compute(t *Task, p int) (Stream[Pair[K, Grouped4[V, W, X, Y]]], error) {
	c, err := shuffle.NewCogrouper4[K, V, W, X, Y](t.ctx, t.ShuffleEnv())
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { c.Close() })
	if err := feed(t, p, o.First, c.AddFirst); err != nil {
		return nil, err
	}
	if err := feed(t, p, o.Second, c.AddSecond); err != nil {
		return nil, err
	}
	if err := feed(t, p, o.Third, c.AddThird); err != nil {
		return nil, err
	}
	if err := feed(t, p, o.Fourth, c.AddFourth); err != nil {
		return nil, err
	}
	return c.Drain()
}

// feed adds the rows of an input's partition.
func feed[T any](t *Task, p int, in input[T], add func([]T) error) error {
	rows, err := in.open(t, p)
	if err != nil {
		return err
	}
	return each(rows, add)
}

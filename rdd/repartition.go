package rdd

import (
	"fmt"
	"slices"

	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// Coalesce merges consecutive partitions into n of nearly equal count, without moving rows between stages: one task reads
// several of the old partitions, one after the other. More partitions than there are cannot be made this way: then the dataset
// keeps its number. See Repartition, which also evens out the rows.
//
// The chain before Coalesce runs in n tasks too. Where that is too few for expensive work, use Repartition.
func Coalesce[T any](r RDD[T], n int) RDD[T] {
	var err error
	if n < 1 {
		err = fail("Coalesce", fmt.Errorf("%d partitions: ask for at least 1", n))
		n = 1
	}
	old := r.node.partitions
	n = min(n, old)
	op := coalesceOp[T]{Parent: r, Old: old, New: n}
	dep := Narrow{Node: r.node, Of: func(p int) []int {
		from, to := op.bounds(p)
		parents := make([]int, 0, to-from)
		for q := from; q < to; q++ {
			parents = append(parents, q)
		}
		return parents
	}}
	return RDD[T]{newNode(r.node.session, "Coalesce", op, n, err, dep)}
}

type coalesceOp[T any] struct {
	Parent   RDD[T]
	Old, New int
}

// bounds returns the old partitions [from, to) that partition p is made of.
func (o coalesceOp[T]) bounds(p int) (from, to int) {
	return slicePoint(o.Old, p, o.New), slicePoint(o.Old, p+1, o.New)
}

func (o coalesceOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	from, to := o.bounds(p)
	var open []func() (Stream[T], error)
	for q := from; q < to; q++ {
		open = append(open, func() (Stream[T], error) { return o.Parent.Compute(t, q) })
	}
	return &lazyStream[T]{open: open}, nil
}

// slicePoint is where the i-th of n nearly equal parts of total begins.
func slicePoint(total, i, n int) int { return int(mulDiv(int64(total), int64(i), int64(n))) }

// Repartition deals the rows out to n partitions of nearly equal size, through a shuffle. Each old partition deals in turn to all new
// ones, from a start that depends on its number: where a row goes is a function of its old partition and its place there.
func Repartition[T any](r RDD[T], n int) RDD[T] {
	err := rowCheck[T]("Repartition")
	if n < 1 {
		err = fail("Repartition", fmt.Errorf("%d partitions: ask for at least 1", n))
		n = 1
	}
	s := r.node.session
	dep := &Shuffle{Node: r.node, ID: s.NextShuffleID(), Partitions: n}
	dep.Writer = dealWriter[T]{Parent: r, Shuffle: dep, Partitions: n}
	return RDD[T]{newNode(s, "Repartition", dealtOp[T]{dep}, n, err, dep)}
}

// dealWriter is the map side of Repartition.
type dealWriter[T any] struct {
	Parent     RDD[T]
	Shuffle    *Shuffle
	Partitions int
}

func (w dealWriter[T]) WriteMap(t *Task, p int) (shuffle.Output, error) {
	in, err := w.Parent.Compute(t, p)
	if err != nil {
		return shuffle.Output{}, err
	}
	d := dealer[T]{next: int(codec.HashUint64(uint64(p)) % uint64(w.Partitions)), n: w.Partitions}
	return writeRowsTo(t, w.Shuffle, p, w.Partitions, in, d.deal)
}

// dealer gives rows to one partition after the other.
type dealer[T any] struct {
	next, n int
	out     []int32
}

func (d *dealer[T]) deal(rows []T) ([]int32, error) {
	d.out = resize(d.out, len(rows))
	for i := range d.out {
		d.out[i] = int32(d.next)
		if d.next++; d.next == d.n {
			d.next = 0
		}
	}
	return d.out, nil
}

// dealtOp is the reduce side of a shuffle of plain rows.
type dealtOp[T any] struct{ Shuffle *Shuffle }

func (o dealtOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	return readShuffle[T](t, o.Shuffle, p)
}

// Glom makes one row of each partition: the slice of its rows, which must fit in memory. It is empty, not nil, for an empty partition.
func Glom[T any](r RDD[T]) RDD[[]T] { return derive(r, "Glom", glomOp[T]{r}, nil) }

type glomOp[T any] struct{ Parent RDD[T] }

func (o glomOp[T]) Compute(t *Task, p int) (Stream[[]T], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	rows, err := ReadAll(in)
	if err != nil {
		return nil, err
	}
	if rows == nil {
		rows = []T{}
	}
	return StreamOf([][]T{slices.Clip(rows)}), nil
}

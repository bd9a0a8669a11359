package rdd

import (
	"context"
	"fmt"
	"io"
	"iter"
)

// Zip pairs the rows of two datasets by their place: row i of partition p of a with row i of partition p of b. Both need the same
// number of partitions and the same number of rows in each; otherwise the job fails and names the partition.
func Zip[T, U any](a RDD[T], b RDD[U]) RDD[Pair[T, U]] {
	return zipped(a, b, "Zip", zipOp[T, U]{a, b}, nil)
}

// zipped makes a dataset whose partition p needs partition p of both a and b.
func zipped[T, U, V any](a RDD[T], b RDD[U], kind string, op Op[V], err error) RDD[V] {
	if err == nil {
		err = oneSession(kind, a.node, b.node)
	}
	if err == nil && a.node.partitions != b.node.partitions {
		err = fail(kind, fmt.Errorf("%v has %d partitions and %v has %d: repartition one of them", a.node, a.node.partitions, b.node, b.node.partitions))
	}
	return RDD[V]{newNode(a.node.session, kind, op, a.node.partitions, err, oneToOne(a.node), oneToOne(b.node))}
}

type zipOp[T, U any] struct {
	Left  RDD[T]
	Right RDD[U]
}

func (o zipOp[T, U]) Compute(t *Task, p int) (Stream[Pair[T, U]], error) {
	left, err := o.Left.Compute(t, p)
	if err != nil {
		return nil, err
	}
	right, err := o.Right.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &zipStream[T, U]{partition: p, left: left, right: right}, nil
}

type zipStream[T, U any] struct {
	partition int
	left      Stream[T]
	right     Stream[U]
	ls        []T
	rs        []U
	n         int64
	out       []Pair[T, U]
}

func (s *zipStream[T, U]) Next() ([]Pair[T, U], error) {
	var lerr, rerr error
	if len(s.ls) == 0 {
		s.ls, lerr = s.left.Next()
	}
	if lerr != nil && lerr != io.EOF {
		return nil, lerr
	}
	if len(s.rs) == 0 {
		s.rs, rerr = s.right.Next()
	}
	switch {
	case rerr != nil && rerr != io.EOF:
		return nil, rerr
	case lerr == io.EOF && rerr == io.EOF:
		return nil, io.EOF
	case lerr == io.EOF:
		return nil, s.unequal("second")
	case rerr == io.EOF:
		return nil, s.unequal("first")
	}
	n := min(len(s.ls), len(s.rs))
	s.out = resize(s.out, n)
	for i := range s.out {
		s.out[i] = Pair[T, U]{Key: s.ls[i], Value: s.rs[i]}
	}
	s.ls, s.rs = s.ls[n:], s.rs[n:]
	s.n += int64(n)
	return s.out, nil
}

func (s *zipStream[T, U]) unequal(longer string) error {
	return fmt.Errorf("zip partition %d: the %s dataset has more rows than the other, which has %d: zip only datasets that were made from one another row by row", s.partition, longer, s.n)
}

// ZipPartitions makes each partition of what f makes of the rows of the partition of the same number in a and in b. Both need the
// same number of partitions; f need not read all rows.
func ZipPartitions[T, U, V any](a RDD[T], b RDD[U], f func(iter.Seq[T], iter.Seq[U]) iter.Seq[V]) RDD[V] {
	return zipped(a, b, "ZipPartitions", zipPartitionsOp[T, U, V]{a, b, f}, checkFuncs("ZipPartitions", f))
}

type zipPartitionsOp[T, U, V any] struct {
	Left  RDD[T]
	Right RDD[U]
	F     func(iter.Seq[T], iter.Seq[U]) iter.Seq[V]
}

func (o zipPartitionsOp[T, U, V]) Compute(t *Task, p int) (Stream[V], error) {
	left, err := o.Left.Compute(t, p)
	if err != nil {
		return nil, err
	}
	right, err := o.Right.Compute(t, p)
	if err != nil {
		return nil, err
	}
	l, r := &seqSource[T]{in: left}, &seqSource[U]{in: right}
	out := newSeqStream(t, o.F(l.seq, r.seq), &l.err)
	return &alsoFails[V]{in: out, err: &r.err}, nil
}

// alsoFails is a stream that fails when a second input of it did.
type alsoFails[T any] struct {
	in  Stream[T]
	err *error
}

func (s *alsoFails[T]) Next() ([]T, error) {
	rows, err := s.in.Next()
	if *s.err != nil {
		return nil, *s.err
	}
	return rows, err
}

// ZipWithIndex pairs each row with its number among all rows: those of partition 0 come first, each partition in its order. With
// more than one partition it must count all but the last, in a job of its own, before the first job on the result.
func ZipWithIndex[T any](r RDD[T]) RDD[Pair[T, int64]] {
	op := &indexOp[T]{Parent: r}
	z := derive(r, "ZipWithIndex", Op[Pair[T, int64]](op), nil)
	op.Self = z
	starts := make([]int64, max(r.node.partitions, 1))
	z.node.line.Load().split = func(p int) any { return starts[p] }
	if len(starts) > 1 {
		z.node.prepare = func(ctx context.Context) error {
			parts := make([]int, len(starts)-1)
			for i := range parts {
				parts[i] = i
			}
			if r.node.gang {
				parts = nil // a barrier stage runs as a whole
			}
			counts, err := countPartitions(ctx, r.node, "ZipWithIndex", countAction[T]{r}, parts)
			for i, n := range counts[:min(len(counts), len(starts)-1)] {
				starts[i+1] = starts[i] + n
			}
			return err
		}
	}
	return z
}

// indexOp numbers rows from a start that travels as the partition's split.
type indexOp[T any] struct {
	Self   RDD[Pair[T, int64]]
	Parent RDD[T]
}

func (o *indexOp[T]) Compute(t *Task, p int) (Stream[Pair[T, int64]], error) {
	start, err := SplitOf[int64](t, o.Self.node, p)
	if err != nil {
		return nil, err
	}
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &numberStream[T]{in: in, next: start, step: 1}, nil
}

// numberStream pairs each row with the next number.
type numberStream[T any] struct {
	in         Stream[T]
	next, step int64
	out        []Pair[T, int64]
}

func (s *numberStream[T]) Next() ([]Pair[T, int64], error) {
	rows, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	s.out = resize(s.out, len(rows))
	for i := range rows {
		s.out[i] = Pair[T, int64]{Key: rows[i], Value: s.next}
		s.next += s.step
	}
	return s.out, nil
}

// ZipWithUniqueID pairs each row with a number that no other row has: of n partitions the k-th gives k, k+n, k+2n … There are gaps,
// but unlike ZipWithIndex it needs no job of its own.
func ZipWithUniqueID[T any](r RDD[T]) RDD[Pair[T, int64]] {
	return derive(r, "ZipWithUniqueID", uniqueIDOp[T]{r, r.node.partitions}, nil)
}

type uniqueIDOp[T any] struct {
	Parent     RDD[T]
	Partitions int
}

func (o uniqueIDOp[T]) Compute(t *Task, p int) (Stream[Pair[T, int64]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &numberStream[T]{in: in, next: int64(p), step: int64(o.Partitions)}, nil
}

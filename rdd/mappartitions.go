package rdd

import (
	"io"
	"iter"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// MapPartitions replaces each partition by what f makes of its rows: one call a partition, for work whose set-up is shared.
// Rows stream through: f should not gather its input if it can avoid it.
func MapPartitions[T, U any](r RDD[T], f func(iter.Seq[T]) iter.Seq[U]) RDD[U] {
	return derive(r, "MapPartitions", mapPartitionsOp[T, U]{Parent: r, Plain: f}, checkFuncs("MapPartitions", f))
}

// MapPartitionsWithIndex is MapPartitions for functions that want the partition's number.
func MapPartitionsWithIndex[T, U any](r RDD[T], f func(int, iter.Seq[T]) iter.Seq[U]) RDD[U] {
	return derive(r, "MapPartitionsWithIndex", mapPartitionsOp[T, U]{Parent: r, Indexed: f}, checkFuncs("MapPartitionsWithIndex", f))
}

// MapPartitionsWithTask is MapPartitions for functions that want the task: its context, attempt and temporary directory. An
// error fails the attempt.
func MapPartitionsWithTask[T, U any](r RDD[T], f func(*Task, iter.Seq[T]) (iter.Seq[U], error)) RDD[U] {
	return derive(r, "MapPartitionsWithTask", mapPartitionsOp[T, U]{Parent: r, WithTask: f}, checkFuncs("MapPartitionsWithTask", f))
}

// PreservesPartitioning says that r, made from parent by MapPartitions or Map, left the keys as they were, so that parent's
// partitioner still tells where they lie. Wrong claims give wrong joins.
func PreservesPartitioning[K comparable, V, W any](r RDD[Pair[K, W]], parent RDD[Pair[K, V]]) RDD[Pair[K, W]] {
	return keepPartitioner(r, parent)
}

type mapPartitionsOp[T, U any] struct {
	Parent   RDD[T]
	Plain    func(iter.Seq[T]) iter.Seq[U]
	Indexed  func(int, iter.Seq[T]) iter.Seq[U]
	WithTask func(*Task, iter.Seq[T]) (iter.Seq[U], error)
}

func (o mapPartitionsOp[T, U]) Compute(t *Task, p int) (Stream[U], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	src := &seqSource[T]{in: in}
	var out iter.Seq[U]
	switch {
	case o.Plain != nil:
		out = o.Plain(src.seq)
	case o.Indexed != nil:
		out = o.Indexed(p, src.seq)
	default:
		if out, err = o.WithTask(t, src.seq); err != nil {
			return nil, err
		}
	}
	return newSeqStream(t, out, &src.err), nil
}

// seqSource is a stream as the user's iterator; an error of the stream ends it early and is kept. Ranging over it again goes on
// where the last range stopped, as after reading a header.
type seqSource[T any] struct {
	in   Stream[T]
	rows []T // of the current batch, not yet yielded
	err  error
}

func (s *seqSource[T]) seq(yield func(T) bool) {
	for s.err == nil {
		rows := s.rows
		for i := range rows {
			if !yield(rows[i]) {
				s.rows = rows[i+1:]
				return
			}
		}
		var err error
		if s.rows, err = s.in.Next(); err != nil {
			s.rows = nil
			if err != io.EOF {
				s.err = err
			}
			return
		}
	}
}

// seqStream is the user's iterator as a stream. The iterator runs as a coroutine that is switched to once a batch, not once a row.
type seqStream[U any] struct {
	next func() ([]U, bool)
	err  *error // of the input
}

func newSeqStream[U any](t *Task, seq iter.Seq[U], err *error) Stream[U] {
	var batch []U
	sizer := newBatchSizer[U]()
	next, stop := iter.Pull(func(yield func([]U) bool) {
		if seq == nil {
			return
		}
		for u := range seq {
			batch = append(batch, u)
			if len(batch) == BatchRows || sizer.full(batch) {
				if !yield(batch) {
					return
				}
				batch = batch[:0]
			}
		}
		if len(batch) > 0 {
			yield(batch)
		}
	})
	t.OnDone(func(bool) { stop() })
	return &seqStream[U]{next: next, err: err}
}

// batchBytes is about how much a batch of large rows takes.
const batchBytes = 1 << 20

// batchSizer ends batches of large rows early: some thousands of them could take more memory than a task has.
type batchSizer[U any] struct{ codec *codec.Codec[U] }

func newBatchSizer[U any]() batchSizer[U] {
	c, err := codec.Of[U]()
	if err != nil {
		c = nil
	}
	return batchSizer[U]{c}
}

// full looks at the last rows of a batch of 1, 8, 64 and 512.
func (s batchSizer[U]) full(batch []U) bool {
	n := len(batch)
	if n&(n-1) != 0 || n&0b1001001001 == 0 || s.codec == nil {
		return false
	}
	last := batch[n-min(n, 4):]
	return s.codec.MemSize(last)*int64(n) >= batchBytes*int64(len(last))
}

func (s *seqStream[U]) Next() ([]U, error) {
	rows, ok := s.next()
	if *s.err != nil {
		return nil, *s.err
	}
	if !ok {
		return nil, io.EOF
	}
	return rows, nil
}

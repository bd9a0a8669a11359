package rdd

import (
	"fmt"
	"io"
)

// Source reads the rows of a dataset's input: a file, a table, a generator. Implementations are structs that travel.
type Source[T, S any] interface {
	// Open streams the rows of one split. What it opens it closes through t.OnDone. It counts what it reads in t.RowsRead and
	// t.BytesRead.
	Open(t *Task, split S) (Stream[T], error)
}

// FromSource makes a dataset with one partition a split. A split travels with the task of its partition alone, so that the program
// stays small however many there are. If making the splits failed, err says why and becomes the dataset's error.
func FromSource[T, S any](s Session, kind string, src Source[T, S], splits []S, err error) RDD[T] {
	op := &sourceOp[T, S]{Source: src}
	r := RDD[T]{newNode(s, kind, op, len(splits), fail(kind, err))}
	r.node.line.Load().split = func(p int) any { return splits[p] }
	op.Self = r
	return r
}

// Preferring adds the hosts near each split of a dataset made by FromSource: hosts(p) for partition p, on the driver.
func Preferring[T any](r RDD[T], hosts func(p int) []string) RDD[T] {
	r.node.line.Load().hosts = hosts
	return r
}

type sourceOp[T, S any] struct {
	Self   RDD[T]
	Source Source[T, S]
}

func (o *sourceOp[T, S]) Compute(t *Task, p int) (Stream[T], error) {
	split, err := SplitOf[S](t, o.Self.node, p)
	if err != nil {
		return nil, err
	}
	in, err := o.Source.Open(t, split)
	if err != nil {
		return nil, err
	}
	return untilCancelled(t, in), nil
}

// Parallelize makes a dataset of the rows, cut into the given number of partitions of nearly equal length in their order; 0 means
// spark.default.parallelism or, if that is not set, one partition for every 65,536 rows but at least 2.
func Parallelize[T any](s Session, rows []T, partitions int) RDD[T] {
	var err error
	if partitions < 0 {
		err = fmt.Errorf("%d partitions: ask for at least 1, or 0 for the default", partitions)
		partitions = 1
	}
	if partitions == 0 {
		if partitions = s.DefaultPartitions(); partitions == 0 {
			partitions = max(2, (len(rows)+65535)/65536)
		}
	}
	splits := make([][]T, partitions)
	for i := range splits {
		splits[i] = rows[len(rows)*i/partitions : len(rows)*(i+1)/partitions]
	}
	return FromSource(s, "Parallelize", sliceSource[T]{}, splits, err)
}

type sliceSource[T any] struct{}

func (sliceSource[T]) Open(t *Task, rows []T) (Stream[T], error) {
	t.RowsRead += int64(len(rows))
	return StreamOf(rows), nil
}

// Empty makes a dataset without partitions.
func Empty[T any](s Session) RDD[T] {
	return FromSource[T, []T](s, "Empty", sliceSource[T]{}, nil, nil)
}

// Range makes the numbers start, start+step, … below end (above it for a negative step), in order. Partitions 0 means the default,
// as in Parallelize.
func Range(s Session, start, end, step int64, partitions int) RDD[int64] {
	var err error
	var n int64
	switch {
	case step == 0:
		err = fmt.Errorf("step 0: choose a positive or a negative step")
	case step > 0 && end > start:
		n = int64((uint64(end) - uint64(start) + uint64(step) - 1) / uint64(step))
	case step < 0 && end < start:
		n = int64((uint64(start) - uint64(end) + uint64(-step) - 1) / uint64(-step))
	}
	if partitions < 0 {
		err = fmt.Errorf("%d partitions: ask for at least 1, or 0 for the default", partitions)
		partitions = 1
	}
	if partitions == 0 {
		if partitions = s.DefaultPartitions(); partitions == 0 {
			partitions = int(max(2, min(1<<20, n/(1<<20))))
		}
	}
	splits := make([]rangeSplit, partitions)
	for i := range splits {
		lo, hi := mulDiv(n, int64(i), int64(partitions)), mulDiv(n, int64(i+1), int64(partitions))
		splits[i] = rangeSplit{First: start + lo*step, Step: step, Count: hi - lo}
	}
	return FromSource(s, "Range", rangeSource{}, splits, err)
}

// mulDiv is n*i/d without overflow for 0 <= i <= d.
func mulDiv(n, i, d int64) int64 { return n/d*i + n%d*i/d }

type rangeSplit struct{ First, Step, Count int64 }

type rangeSource struct{}

func (rangeSource) Open(t *Task, s rangeSplit) (Stream[int64], error) {
	t.RowsRead += s.Count
	return &rangeStream{s: s}, nil
}

type rangeStream struct {
	s   rangeSplit
	out []int64
}

func (r *rangeStream) Next() ([]int64, error) {
	if r.s.Count == 0 {
		return nil, io.EOF
	}
	n := int(min(r.s.Count, BatchRows))
	r.out = resize(r.out, n)
	for i := range r.out {
		r.out[i] = r.s.First + int64(i)*r.s.Step
	}
	r.s.First += int64(n) * r.s.Step
	r.s.Count -= int64(n)
	return r.out, nil
}

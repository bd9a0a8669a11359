package rdd

import (
	"io"
	"iter"
)

// Map applies f to every row. It keeps the number of partitions and forgets the partitioner.
func Map[T, U any](r RDD[T], f func(T) U) RDD[U] {
	return derive(r, "Map", mapOp[T, U]{r, f}, checkFuncs("Map", f))
}

type mapOp[T, U any] struct {
	Parent RDD[T]
	F      func(T) U
}

func (o mapOp[T, U]) Compute(t *Task, p int) (Stream[U], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapStream[T, U]{in: in, f: o.F}, nil
}

type mapStream[T, U any] struct {
	in  Stream[T]
	f   func(T) U
	out []U
}

func (s *mapStream[T, U]) Next() ([]U, error) {
	rows, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	s.out = resize(s.out, len(rows))
	for i := range rows {
		s.out[i] = s.f(rows[i])
	}
	return s.out, nil
}

// Filter keeps the rows for which keep is true. It keeps the partitioner.
func Filter[T any](r RDD[T], keep func(T) bool) RDD[T] {
	return keepPartitioner(derive(r, "Filter", filterOp[T]{r, keep}, checkFuncs("Filter", keep)), r)
}

type filterOp[T any] struct {
	Parent RDD[T]
	Keep   func(T) bool
}

func (o filterOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &filterStream[T]{in: in, keep: o.Keep}, nil
}

type filterStream[T any] struct {
	in   Stream[T]
	keep func(T) bool
	out  []T
}

func (s *filterStream[T]) Next() ([]T, error) {
	for {
		rows, err := s.in.Next()
		if err != nil {
			return nil, err
		}
		s.out = s.out[:0]
		for i := range rows {
			if s.keep(rows[i]) {
				s.out = append(s.out, rows[i])
			}
		}
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
}

// FlatMap replaces every row by the rows that f returns for it, none or many. The slice may be reused by f for the next row:
// its elements are copied. Where allocating it for each row is too slow, use FlatMapSeq or MapPartitions. strings.Fields allocates
// nothing: it is known, and lines are split whole.
func FlatMap[T, U any](r RDD[T], f func(T) []U) RDD[U] {
	return derive(r, "FlatMap", flatMapOp[T, U]{r, f}, checkFuncs("FlatMap", f))
}

type flatMapOp[T, U any] struct {
	Parent RDD[T]
	F      func(T) []U
}

func (o flatMapOp[T, U]) Compute(t *Task, p int) (Stream[U], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	if s := fieldsOf[T, U](in, o.F); s != nil {
		return s, nil
	}
	return &flatMapStream[T, U]{in: in, f: o.F}, nil
}

type flatMapStream[T, U any] struct {
	in   Stream[T]
	f    func(T) []U
	rows []T // of the parent's batch, not yet expanded
	out  []U
}

func (s *flatMapStream[T, U]) Next() ([]U, error) {
	s.out = s.out[:0]
	for len(s.out) < BatchRows {
		if len(s.rows) == 0 {
			rows, err := s.in.Next()
			if err == io.EOF && len(s.out) > 0 {
				return s.out, nil
			}
			if err != nil {
				return nil, err
			}
			s.rows = rows
		}
		s.out = append(s.out, s.f(s.rows[0])...)
		s.rows = s.rows[1:]
	}
	return s.out, nil
}

// FlatMapSeq is FlatMap for functions that yield their rows one by one and so need no slice:
//
//	words := rdd.FlatMapSeq(lines, strings.FieldsSeq)
//
// strings.FieldsSeq itself is known, and costs no call for each word.
func FlatMapSeq[T, U any](r RDD[T], f func(T) iter.Seq[U]) RDD[U] {
	return derive(r, "FlatMapSeq", flatMapSeqOp[T, U]{r, f}, checkFuncs("FlatMapSeq", f))
}

type flatMapSeqOp[T, U any] struct {
	Parent RDD[T]
	F      func(T) iter.Seq[U]
}

func (o flatMapSeqOp[T, U]) Compute(t *Task, p int) (Stream[U], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	if s := fieldsOf[T, U](in, o.F); s != nil {
		return s, nil
	}
	return &flatMapSeqStream[T, U]{in: in, f: o.F}, nil
}

type flatMapSeqStream[T, U any] struct {
	in   Stream[T]
	f    func(T) iter.Seq[U]
	rows []T
	out  []U
}

func (s *flatMapSeqStream[T, U]) Next() ([]U, error) {
	s.out = s.out[:0]
	for len(s.out) < BatchRows {
		if len(s.rows) == 0 {
			rows, err := s.in.Next()
			if err == io.EOF && len(s.out) > 0 {
				return s.out, nil
			}
			if err != nil {
				return nil, err
			}
			s.rows = rows
		}
		for u := range s.f(s.rows[0]) {
			s.out = append(s.out, u)
		}
		s.rows = s.rows[1:]
	}
	return s.out, nil
}

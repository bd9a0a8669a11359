// Package rdd has the signatures of the real package, for the analyser's tests.
package rdd

import (
	"context"
	"iter"
)

type Session interface{ DefaultPartitions() int }

type RDD[T any] struct{ node *int }

type Pair[K, V any] struct {
	Key   K
	Value V
}

type (
	Task               struct{}
	Broadcast[T any]   struct{ value *T }
	Accumulator[T any] struct{ total *T }
	Partitioner[K any] struct{ of func(K) int }
	SortOption         func(*sortSettings)
	sortSettings       struct{ descending bool }
	Combiner[V, C any] struct {
		Create func(V) C
		Merge  func(C, C) C
	}
)

func Parallelize[T any](s Session, rows []T, partitions int) (r RDD[T])              { return r }
func FromSeq[T any](s Session, rows iter.Seq[T]) (r RDD[T])                          { return r }
func Map[T, U any](r RDD[T], f func(T) U) (out RDD[U])                               { return out }
func TryMap[T, U any](r RDD[T], f func(T) (U, error)) (out RDD[U])                   { return out }
func Collate[T any](r RDD[T], f func(T) (int, bool)) (out RDD[T])                    { return out }
func FlatMap[T, U any](r RDD[T], f func(T) []U) (out RDD[U])                         { return out }
func Filter[T any](r RDD[T], keep func(T) bool) RDD[T]                               { return r }
func MapPartitions[T, U any](r RDD[T], f func(iter.Seq[T]) iter.Seq[U]) (out RDD[U]) { return out }
func MapPartitionsWithTask[T, U any](r RDD[T], f func(*Task, iter.Seq[T]) (iter.Seq[U], error)) (out RDD[U]) {
	return out
}
func KeyBy[T, K any](r RDD[T], f func(T) K) (out RDD[Pair[K, T]])                        { return out }
func SortBy[T, K any](r RDD[T], key func(T) K, opts ...SortOption) RDD[T]                { return r }
func Descending() SortOption                                                             { return nil }
func ReduceByKey[K comparable, V any](r RDD[Pair[K, V]], f func(V, V) V) RDD[Pair[K, V]] { return r }
func CombineByKey[K comparable, V, C any](r RDD[Pair[K, V]], c Combiner[V, C]) (out RDD[Pair[K, C]]) {
	return out
}
func AggregateByKey[K comparable, V, A any](r RDD[Pair[K, V]], zero A, add func(A, V) A, merge func(A, A) A) (out RDD[Pair[K, A]]) {
	return out
}
func ZipPartitions[A, B, C any](a RDD[A], b RDD[B], f func(iter.Seq[A], iter.Seq[B]) iter.Seq[C]) (out RDD[C]) {
	return out
}
func Preferring[T any](r RDD[T], hosts func(p int) []string) RDD[T]                  { return r }
func Transform[T, U any](r RDD[T], f func(RDD[T]) RDD[U]) RDD[U]                     { return f(r) }
func Iter[T any](ctx context.Context, r RDD[T]) iter.Seq2[T, error]                  { return nil }
func NewPartitioner[K any](n int, of func(K) int) (p Partitioner[K])                 { return p }
func Reduce[T any](ctx context.Context, r RDD[T], f func(T, T) T) (out T, err error) { return out, nil }
func Foreach[T any](ctx context.Context, r RDD[T], f func(T)) error                  { return nil }
func Aggregate[T, A any](ctx context.Context, r RDD[T], zero A, seq func(A, T) A, comb func(A, A) A) (out A, err error) {
	return out, nil
}

func (r RDD[T]) Filter(keep func(T) bool) RDD[T]                        { return r }
func (r RDD[T]) Cache() RDD[T]                                          { return r }
func (r RDD[T]) Collect(ctx context.Context) ([]T, error)               { return nil, nil }
func (r RDD[T]) Count(ctx context.Context) (int64, error)               { return 0, nil }
func (t *Task) OnDone(f func(failed bool))                              {}
func (b Broadcast[T]) Value() T                                         { return *b.value }
func (a *Accumulator[T]) Add(x T)                                       {}
func NewBroadcast[T any](s Session, v T) (b Broadcast[T])               { return b }
func NewAccumulator[T any](s Session, add func(T, T) T) *Accumulator[T] { return nil }

func Bind[E, T, U any](env E, f func(E, T) U) func(T) U {
	return func(x T) U { return f(env, x) }
}
func Bind2[E, A, B, U any](env E, f func(E, A, B) U) func(A, B) U {
	return func(a A, b B) U { return f(env, a, b) }
}
func Bind3[E, A, B, C, U any](env E, f func(E, A, B, C) U) func(A, B, C) U {
	return func(a A, b B, c C) U { return f(env, a, b, c) }
}

func BindErr[E, T, U any](env E, f func(E, T) (U, error)) func(T) (U, error) {
	return func(x T) (U, error) { return f(env, x) }
}
func BindDo[E, T any](env E, f func(E, T)) func(T) {
	return func(x T) { f(env, x) }
}

type Caller[T, U any] interface{ Call(T) U }

func Call[T, U any](c Caller[T, U]) func(T) U { return c.Call }

package rdd

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// CountByKey counts the rows of each key. The counts must fit in the driver's memory; where there are very many keys, keep them in a
// dataset instead: MapValues to 1, then ReduceByKey.
func CountByKey[K comparable, V any](ctx context.Context, r RDD[Pair[K, V]]) (map[K]int64, error) {
	if r.node == nil {
		return collectMap(ctx, RDD[Pair[K, int64]]{}, "CountByKey")
	}
	counts := combine(r, "CountByKey", nil, nil, Aggregator[V, int64](countAgg[V]{}), true, nil)
	return collectMap(ctx, counts, "CountByKey")
}

// CountByValue counts how often each row occurs. The counts must fit in the driver's memory.
func CountByValue[T comparable](ctx context.Context, r RDD[T]) (map[T]int64, error) {
	if r.node == nil {
		return collectMap(ctx, RDD[Pair[T, int64]]{}, "CountByValue")
	}
	rows := derive(r, "CountByValue", rowsAsKeysOp[T]{r}, nil)
	counts := combine(rows, "CountByValue", nil, nil, Aggregator[struct{}, int64](countAgg[struct{}]{}), true, nil)
	return collectMap(ctx, counts, "CountByValue")
}

type countAgg[V any] struct{}

func (countAgg[V]) Create(V) int64           { return 1 }
func (countAgg[V]) Merge(c int64, _ V) int64 { return c + 1 }
func (countAgg[V]) Combine(c, d int64) int64 { return c + d }

// rowsAsKeysOp makes each row a key.
type rowsAsKeysOp[T comparable] struct{ Parent RDD[T] }

func (o rowsAsKeysOp[T]) Compute(t *Task, p int) (Stream[Pair[T, struct{}]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapStream[T, Pair[T, struct{}]]{in: in, f: rowAsKey[T]}, nil
}

func rowAsKey[T any](row T) Pair[T, struct{}] { return Pair[T, struct{}]{Key: row} }

// CollectAsMap returns all rows as a map. Of several rows with one key the last counts, in partition order. NaN is one key here as in all
// keyed operations, but a Go map finds it only by ranging over it. The rows must fit in the driver's memory.
func CollectAsMap[K comparable, V any](ctx context.Context, r RDD[Pair[K, V]]) (map[K]V, error) {
	return collectMap(ctx, r, "CollectAsMap")
}

func collectMap[K comparable, V any](ctx context.Context, r RDD[Pair[K, V]], name string) (map[K]V, error) {
	parts, err := r.rows(ctx, name, 0, nil)
	if err != nil {
		return nil, err
	}
	m := make(map[K]V)
	var odd map[uint64][]Pair[K, V] // keys with NaN in them, which a Go map never finds again, by hash
	for i, rows := range parts {
		for _, row := range rows {
			if row.Key == row.Key { //nolint:gocritic // false for NaN
				m[row.Key] = row.Value
			} else if odd, err = addOdd(odd, row); err != nil {
				return nil, fail(name, err)
			}
		}
		parts[i] = nil
	}
	for _, rows := range odd {
		for _, row := range rows {
			m[row.Key] = row.Value
		}
	}
	return m, nil
}

// addOdd puts a row in the place of one with the same key, by the engine's rules, or adds it.
func addOdd[K comparable, V any](odd map[uint64][]Pair[K, V], row Pair[K, V]) (map[uint64][]Pair[K, V], error) {
	ops, err := codec.KeysOf[K]()
	if err != nil {
		return nil, err
	}
	if odd == nil {
		odd = map[uint64][]Pair[K, V]{}
	}
	h := ops.Hash(row.Key)
	for i := range odd[h] {
		if ops.Equal(odd[h][i].Key, row.Key) {
			odd[h][i] = row
			return odd, nil
		}
	}
	odd[h] = append(odd[h], row)
	return odd, nil
}

// Lookup returns the values of a key, in partition order. Where the partitioner of r is known it computes the one partition that the
// key belongs to, else all of them.
func Lookup[K comparable, V any](ctx context.Context, r RDD[Pair[K, V]], key K) ([]V, error) {
	const kind = "Lookup"
	if r.node != nil && r.node.Err() == nil {
		if err := keyCheck[K](kind); err != nil {
			return nil, err
		}
	}
	var parts []int
	if r.node != nil && partitionerOf(r) != nil {
		if ctx == nil {
			ctx = context.Background()
		}
		if err := Prepare(ctx, r.node); err != nil { // a range partitioner learns its ranges now
			return nil, err
		}
		by := partitionerOf(r)
		p := by.Partition(key)
		if p < 0 || p >= r.node.partitions {
			return nil, fail(kind, fmt.Errorf("%T put key %v in partition %d of %d", by, key, p, r.node.partitions))
		}
		parts = []int{p}
	}
	found, err := runPartitions(ctx, r, kind, partitionFunc[Pair[K, V], []V](lookupRows[K, V]{key}), parts)
	if err != nil {
		return nil, err
	}
	var all []V
	for _, vals := range found {
		all = append(all, vals...)
	}
	return all, nil
}

type lookupRows[K comparable, V any] struct{ Key K }

func (l lookupRows[K, V]) run(_ *Task, _ int, in Stream[Pair[K, V]]) ([]V, error) {
	ops, err := codec.KeysOf[K]()
	if err != nil {
		return nil, err
	}
	var found []V
	err = each(in, func(rows []Pair[K, V]) error {
		for i := range rows {
			if ops.Equal(rows[i].Key, l.Key) {
				found = append(found, rows[i].Value)
			}
		}
		return nil
	})
	return found, err
}

// ReduceByKeyLocally merges the values of each key with f, as ReduceByKey does, and returns the result as a map: tasks merge their own
// rows, the driver merges what they send, in partition order. It spares a shuffle where there are few keys; all must fit in the
// driver's memory, once for each partition.
func ReduceByKeyLocally[K comparable, V any](ctx context.Context, r RDD[Pair[K, V]], f func(V, V) V) (map[K]V, error) {
	const kind = "ReduceByKeyLocally"
	if err := checkFuncs(kind, f); err != nil {
		return nil, err
	}
	if err := keyCheck[K](kind); err != nil {
		return nil, err
	}
	parts, err := runPartitions(ctx, r, kind, partitionFunc[Pair[K, V], []Pair[K, V]](reduceLocally[K, V]{f}), nil)
	if err != nil {
		return nil, err
	}
	c, err := shuffle.NewCombiner[K, V, V](context.Background(), &shuffle.Env{}, reduceAgg[V]{f})
	if err != nil {
		return nil, fail(kind, err)
	}
	defer c.Close()
	for _, rows := range parts {
		if err := c.AddCombined(rows); err != nil {
			return nil, fail(kind, err)
		}
	}
	merged, err := c.Drain()
	if err != nil {
		return nil, fail(kind, err)
	}
	m := make(map[K]V)
	err = each(merged, func(rows []Pair[K, V]) error {
		for _, row := range rows {
			m[row.Key] = row.Value
		}
		return nil
	})
	return m, err
}

type reduceLocally[K comparable, V any] struct{ F func(V, V) V }

func (a reduceLocally[K, V]) run(t *Task, _ int, in Stream[Pair[K, V]]) ([]Pair[K, V], error) {
	c, err := shuffle.NewCombiner[K, V, V](t.ctx, t.ShuffleEnv(), reduceAgg[V](a))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := each(in, c.Add); err != nil {
		return nil, err
	}
	merged, err := c.Drain()
	if err != nil {
		return nil, err
	}
	return ReadAll(merged)
}

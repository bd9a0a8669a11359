package rdd

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spark-go/spark-go/rdd/closure"
)

// Max returns the greatest row in the order of cmp.Compare, in which NaN comes before all other floats; of equal ones the first. It
// returns ErrEmpty for no rows.
func Max[T cmp.Ordered](ctx context.Context, r RDD[T]) (T, error) {
	return best(ctx, r, "Max", closure.Call2[T, T, int](compareOrdered[T]{}), true)
}

// Min returns the least row in the order of cmp.Compare, in which NaN comes before all other floats; of equal ones the first. It
// returns ErrEmpty for no rows.
func Min[T cmp.Ordered](ctx context.Context, r RDD[T]) (T, error) {
	return best(ctx, r, "Min", closure.Call2[T, T, int](compareOrdered[T]{}), false)
}

// MaxFunc is Max in the order of a comparison: negative if a comes before b, positive if after, 0 if they are equal in the order.
func MaxFunc[T any](ctx context.Context, r RDD[T], compare func(a, b T) int) (T, error) {
	return best(ctx, r, "MaxFunc", compare, true)
}

// MinFunc is Min in the order of a comparison, as in MaxFunc.
func MinFunc[T any](ctx context.Context, r RDD[T], compare func(a, b T) int) (T, error) {
	return best(ctx, r, "MinFunc", compare, false)
}

func best[T any](ctx context.Context, r RDD[T], kind string, compare func(a, b T) int, greatest bool) (T, error) {
	var none T
	rows, err := ordered(ctx, r, kind, 1, compare, greatest)
	if err != nil {
		return none, err
	}
	if len(rows) == 0 {
		return none, fmt.Errorf("rdd.%s: %w", kind, ErrEmpty)
	}
	return rows[0], nil
}

// TakeOrdered returns the n least rows in the order of cmp.Compare, least first: what SortBy and Take would, without sorting the rest.
// Every partition sends its n least rows to the driver, so n should be small.
func TakeOrdered[T cmp.Ordered](ctx context.Context, r RDD[T], n int) ([]T, error) {
	return ordered(ctx, r, "TakeOrdered", n, closure.Call2[T, T, int](compareOrdered[T]{}), false)
}

// Top returns the n greatest rows in the order of cmp.Compare, greatest first. See TakeOrdered.
func Top[T cmp.Ordered](ctx context.Context, r RDD[T], n int) ([]T, error) {
	return ordered(ctx, r, "Top", n, closure.Call2[T, T, int](compareOrdered[T]{}), true)
}

// TakeOrderedFunc is TakeOrdered in the order of a comparison, as in MaxFunc. Rows equal in the order come out in partition order.
func TakeOrderedFunc[T any](ctx context.Context, r RDD[T], n int, compare func(a, b T) int) ([]T, error) {
	return ordered(ctx, r, "TakeOrderedFunc", n, compare, false)
}

// TopFunc is Top in the order of a comparison, as in MaxFunc. Rows equal in the order come out in partition order.
func TopFunc[T any](ctx context.Context, r RDD[T], n int, compare func(a, b T) int) ([]T, error) {
	return ordered(ctx, r, "TopFunc", n, compare, true)
}

// ordered returns the first n rows of the stably sorted dataset.
func ordered[T any](ctx context.Context, r RDD[T], kind string, n int, compare func(a, b T) int, descend bool) ([]T, error) {
	if err := checkFuncs(kind, compare); err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, fail(kind, fmt.Errorf("%d rows: ask for 0 or more", n))
	}
	parts, err := runPartitions(ctx, r, kind, partitionFunc[T, []T](orderedRows[T]{n, compare, descend}), nil)
	if err != nil {
		return nil, err
	}
	first := firstRows[T]{n: n, compare: compare, descend: descend}
	for _, rows := range parts {
		first.add(rows)
	}
	return first.done(), nil
}

type orderedRows[T any] struct {
	N       int
	Compare func(a, b T) int
	Descend bool
}

func (o orderedRows[T]) run(_ *Task, _ int, in Stream[T]) ([]T, error) {
	first := firstRows[T]{n: o.N, compare: o.Compare, descend: o.Descend}
	err := each(in, func(rows []T) error { first.add(rows); return nil })
	return first.done(), err
}

// firstRows keeps the n rows that come first in an order, of equal ones those that were added first. It gathers a few more than n
// before it sorts and drops the rest, which costs a constant number of comparisons a row and, unlike a heap, is stable.
type firstRows[T any] struct {
	n       int
	compare func(a, b T) int
	descend bool
	kept    []T
	full    bool // kept[:n] is sorted: a row must come before kept[n-1] to matter
}

func (f *firstRows[T]) add(rows []T) {
	if f.n == 0 {
		return
	}
	for i := range rows {
		if f.full && f.order(rows[i], f.kept[f.n-1]) >= 0 {
			continue
		}
		f.kept = append(f.kept, rows[i])
		if len(f.kept)-f.n >= max(f.n, 64) {
			f.cut()
		}
	}
}

func (f *firstRows[T]) cut() {
	slices.SortStableFunc(f.kept, f.order)
	if len(f.kept) >= f.n {
		clear(f.kept[f.n:])
		f.kept = f.kept[:f.n]
		f.full = true
	}
}

func (f *firstRows[T]) done() []T {
	if f.n > 0 {
		f.cut()
	}
	return f.kept
}

func (f *firstRows[T]) order(a, b T) int {
	if f.descend {
		a, b = b, a
	}
	return f.compare(a, b)
}

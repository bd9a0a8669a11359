package rdd

import (
	"context"
	"fmt"
	"math"

	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// TreeAggregate is Aggregate for large results and many partitions: before the driver merges what is left, executors merge the
// results of consecutive partitions, in groups, until about n^(1/depth) of n remain. The optional depth is 2. A result of 10 MB from
// each of 400 partitions thus brings 20 to the driver instead of 400.
//
// Results are merged in partition order and in groups that follow from the number of partitions and depth alone, so that the
// result is bit for bit the same in every run. zero must be neutral for comb: every partition starts with a copy of it. seq and comb
// may change and return their first argument. All calls of seq and comb but the last merges run in tasks.
//
// With so few partitions that groups would hardly save anything, up to 5 at depth 2, there is no stage between. Nor is there one if
// all results together are small, which is guessed from zero and checked by the tasks: then the driver makes the same merges in the
// same groups.
func TreeAggregate[T, U any](ctx context.Context, r RDD[T], zero U, seq func(U, T) U, comb func(U, U) U, depth ...int) (U, error) {
	return treeAggregate(ctx, r, zero, seq, comb, depth, false)
}

// TreeAggregateOnExecutor is TreeAggregate whose last merge runs on an executor too, so that a single result comes to the driver.
func TreeAggregateOnExecutor[T, U any](ctx context.Context, r RDD[T], zero U, seq func(U, T) U, comb func(U, U) U, depth ...int) (U, error) {
	return treeAggregate(ctx, r, zero, seq, comb, depth, true)
}

func treeAggregate[T, U any](ctx context.Context, r RDD[T], zero U, seq func(U, T) U, comb func(U, U) U, depth []int, onExecutor bool) (U, error) {
	if err := checkFuncs("TreeAggregate", seq, comb); err != nil {
		return zero, err
	}
	sizes, err := treeSizes("TreeAggregate", r.node.partitions, depth)
	if err != nil {
		return zero, err
	}
	do := aggregateRows[T, U]{zero, seq}
	var acc []U
	if limit := smallTree(sizes, zero); limit > 0 && !onExecutor {
		acc, err = driverTree(ctx, r, "TreeAggregate", sizes, smallRows[T, U]{do, limit}, comb)
	}
	if err == nil && acc == nil {
		partials := derive(r, "TreeAggregate", partialOp[T, U]{r, do}, nil)
		acc, err = executorTree(ctx, partials, "TreeAggregate", sizes, comb, onExecutor)
	}
	if err != nil {
		return zero, err
	}
	if acc == nil {
		return cloneValue(zero)
	}
	return acc[0], nil
}

// TreeReduce is Reduce in the manner of TreeAggregate. It returns ErrEmpty for no rows.
func TreeReduce[T any](ctx context.Context, r RDD[T], f func(T, T) T, depth ...int) (T, error) {
	var zero T
	if err := checkFuncs("TreeReduce", f); err != nil {
		return zero, err
	}
	sizes, err := treeSizes("TreeReduce", r.node.partitions, depth)
	if err != nil {
		return zero, err
	}
	partials := derive(r, "TreeReduce", reducedOp[T]{r, f}, nil)
	acc, err := executorTree(ctx, partials, "TreeReduce", sizes, f, false)
	if err == nil && acc == nil {
		err = fmt.Errorf("rdd.TreeReduce: %w", ErrEmpty)
	}
	if err != nil {
		return zero, err
	}
	return acc[0], nil
}

// treeSizes lists how many results there are before and after each level of the tree, down to those that the driver merges in a row.
func treeSizes(name string, n int, depth []int) ([]int, error) {
	levels := 2
	if len(depth) > 0 {
		levels = depth[0]
	}
	if levels < 1 || len(depth) > 1 {
		return nil, fmt.Errorf("rdd.%s: depth %v: give one number, at least 1", name, depth)
	}
	sizes := []int{n}
	scale := max(2, int(math.Ceil(math.Pow(float64(n), 1/float64(levels)))))
	for n > scale+(n+scale-1)/scale {
		n /= scale
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// groupOf is the group, of n, that result p of several belongs to: groups are consecutive.
func groupOf(p, several, n int) int { return int(mulDiv(int64(n), int64(p), int64(several))) }

const (
	// A driver merges 4 MiB faster than executors write and fetch them.
	smallTreeBytes = 4 << 20
	// A zero this small may be an empty slice or map that grows: it says nothing about the results.
	tellingZero = 64
)

// smallTree guesses from zero whether the driver should merge the results of all partitions, and returns how large the largest may be
// for that; 0 if it should not. Without levels there is no question.
func smallTree[U any](sizes []int, zero U) int64 {
	c, err := codec.Of[U]()
	if err != nil || len(sizes) == 1 {
		return 0
	}
	size := c.MemSize([]U{zero})
	if size*int64(sizes[0]) > smallTreeBytes || size < tellingZero && !c.Fixed() {
		return 0
	}
	return max(4*smallTreeBytes/int64(sizes[0]), size)
}

// smallRows is an action that gives nothing where its result is too large.
type smallRows[T, U any] struct {
	Do    aggregateRows[T, U]
	Limit int64
}

func (a smallRows[T, U]) run(t *Task, p int, in Stream[T]) ([]U, error) {
	acc, err := a.Do.run(t, p, in)
	if err != nil {
		return nil, err
	}
	c, err := codec.Of[U]()
	if err != nil || c.MemSize([]U{acc}) > a.Limit {
		return nil, err
	}
	return []U{acc}, nil
}

// driverTree brings the results of all partitions to the driver and merges them there, as the tree would. It returns nil if one is
// missing because it is too large: then the executors must do it, and the partitions are computed a second time.
func driverTree[T, U any](ctx context.Context, r RDD[T], name string, sizes []int, do partitionFunc[T, []U], comb func(U, U) U) ([]U, error) {
	parts, err := runPartitions(ctx, r, name, do, nil)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if len(p) == 0 {
			return nil, nil
		}
	}
	for _, n := range sizes[1:] {
		groups := make([][]U, n)
		for p, rows := range parts {
			g := groupOf(p, len(parts), n)
			groups[g] = reduceInto(groups[g], rows, comb)
		}
		parts = groups
	}
	return mergeRow(parts, comb), nil
}

// executorTree merges a dataset of at most one row a partition to at most one row.
func executorTree[U any](ctx context.Context, r RDD[U], name string, sizes []int, comb func(U, U) U, onExecutor bool) ([]U, error) {
	if onExecutor && sizes[len(sizes)-1] > 1 {
		sizes = append(sizes, 1)
	}
	var made []int // the shuffles of the levels
	for _, n := range sizes[1:] {
		r, made = mergeGroups(r, name, comb, n, made)
	}
	defer func() {
		// Nobody else can read these shuffles: there is no need to wait for the garbage collector.
		if c, ok := r.node.session.(Cleaner); ok {
			for _, id := range made {
				c.ShuffleGone(id)
			}
		}
	}()
	parts, err := r.rows(ctx, name, 0, nil)
	if err != nil {
		return nil, err
	}
	return mergeRow(parts, comb), nil
}

// mergeRow merges what is left on the driver, in order.
func mergeRow[U any](parts [][]U, comb func(U, U) U) (acc []U) {
	for i, p := range parts {
		acc = reduceInto(acc, p, comb)
		parts[i] = nil
	}
	return acc
}

// mergeGroups is one level of the tree: the rows of r's partitions merged in n groups of consecutive partitions.
func mergeGroups[U any](r RDD[U], name string, comb func(U, U) U, n int, made []int) (RDD[U], []int) {
	s := r.node.session
	dep := &Shuffle{Node: r.node, ID: s.NextShuffleID(), Partitions: n}
	dep.Writer = groupWriter[U]{Parent: r, Shuffle: dep, From: r.node.partitions, To: n}
	merged := newNode(s, name, mergedOp[U]{dep, comb}, n, rowCheck[U](name), dep)
	return RDD[U]{merged}, append(made, dep.ID)
}

// partialOp makes one row of each partition.
type partialOp[T, U any] struct {
	Parent RDD[T]
	Do     partitionFunc[T, U]
}

func (o partialOp[T, U]) Compute(t *Task, p int) (Stream[U], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	acc, err := o.Do.run(t, p, in)
	if err != nil {
		return nil, err
	}
	return StreamOf([]U{acc}), nil
}

// reducedOp makes at most one row of each partition.
type reducedOp[T any] struct {
	Parent RDD[T]
	F      func(T, T) T
}

func (o reducedOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	acc, err := reduceRows[T]{o.F}.run(t, p, in)
	return StreamOf(acc), err
}

// groupWriter sends all rows of a partition to the partition of its group.
type groupWriter[U any] struct {
	Parent   RDD[U]
	Shuffle  *Shuffle
	From, To int // partitions before and after
}

func (w groupWriter[U]) WriteMap(t *Task, p int) (shuffle.Output, error) {
	in, err := w.Parent.Compute(t, p)
	if err != nil {
		return shuffle.Output{}, err
	}
	group := int32(groupOf(p, w.From, w.To))
	var parts []int32
	return writeRowsTo(t, w.Shuffle, p, w.To, in, func(rows []U) ([]int32, error) {
		parts = resize(parts, len(rows))
		for i := range parts {
			parts[i] = group
		}
		return parts, nil
	})
}

// mergedOp merges what came for a group, in the order of the partitions.
type mergedOp[U any] struct {
	Shuffle *Shuffle
	Comb    func(U, U) U
}

func (o mergedOp[U]) Compute(t *Task, p int) (Stream[U], error) {
	in, err := readShuffle[U](t, o.Shuffle, p)
	if err != nil {
		return nil, err
	}
	acc, err := reduceRows[U]{o.Comb}.run(t, p, in)
	return StreamOf(acc), err
}

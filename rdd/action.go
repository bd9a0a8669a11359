package rdd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// ErrEmpty is returned by actions that need at least one row, such as Reduce and First.
var ErrEmpty = errors.New("the dataset is empty")

// partitionAction runs F's struct on each partition and sends back one R for it: how most actions are made.
type partitionAction[T, R any] struct {
	Parent RDD[T]
	Do     partitionFunc[T, R]
}

// partitionFunc is what an action does with the rows of one partition.
type partitionFunc[T, R any] interface {
	run(t *Task, partition int, in Stream[T]) (R, error)
}

// Run implements Action.
func (a partitionAction[T, R]) Run(t *Task, p int) ([]byte, error) {
	in, err := a.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	res, err := a.Do.run(t, p, untilCancelled(t, in))
	if err != nil {
		return nil, err
	}
	return encodeResult(res)
}

func encodeResult[R any](res R) ([]byte, error) {
	c, err := codec.Of[R]()
	if err != nil {
		return nil, err
	}
	return c.Append(nil, []R{res})
}

// runPartitions runs do on the given partitions (nil means all) and returns the results in their order.
func runPartitions[T, R any](ctx context.Context, r RDD[T], name string, do partitionFunc[T, R], partitions []int) ([]R, error) {
	return runForResults[R](ctx, r.node, name, partitionAction[T, R]{r, do}, partitions)
}

// runForResults runs an action whose result encodeResult wrote.
func runForResults[R any](ctx context.Context, n *Node, name string, action Action, partitions []int) ([]R, error) {
	c, err := codec.Of[R]()
	if err != nil {
		return nil, n.stays(name, err)
	}
	results := make([]R, n.count(partitions))
	err = runAction(ctx, n, name, action, partitions, func(i int, b []byte) error {
		rows, _, err := c.Decode(nil, b)
		if err == nil && len(rows) == 1 {
			results[i] = rows[0]
			return nil
		}
		return badResult(name, i, err)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// stays is the error of an action whose result cannot travel.
func (n *Node) stays(name string, err error) error {
	return fail(name, fmt.Errorf("the result cannot travel to the driver: %w", err))
}

func badResult(name string, partition int, err error) error {
	return fmt.Errorf("%s: decode the result of partition %d: %w", name, partition, err)
}

// count is the number of the given partitions; nil means all.
func (n *Node) count(partitions []int) int {
	if partitions == nil && n != nil { // runAction refuses the zero dataset
		return n.partitions
	}
	return len(partitions)
}

// runAction prepares and runs a job on n. Like everything that need not know the row type it is not generic: each type of rows that
// a program uses is compiled on its own.
func runAction(ctx context.Context, n *Node, name string, action Action, partitions []int, handle func(int, []byte) error) error {
	if n == nil {
		return fmt.Errorf("%s: the zero RDD has no rows: make datasets with a source such as rdd.Parallelize", name)
	}
	if err := n.Err(); err != nil {
		return err
	}
	if n.session == nil {
		return fmt.Errorf("%s of dataset %d inside a task: actions run on the driver only: collect the dataset there and bind the result", name, n.id)
	}
	if ctx == nil {
		ctx = context.Background()
	}
	if err := checkBarriers(n, name, partitions); err != nil {
		return err
	}
	if err := Prepare(ctx, n); err != nil {
		return err
	}
	return n.session.Run(ctx, Job{Target: n, Partitions: partitions, Name: name, Action: action, Handle: handle})
}

// Collect returns all rows in the order of the partitions. They must fit in the driver's memory; jobs whose results exceed
// spark.driver.maxResultSize (1 GiB) are refused.
func (r RDD[T]) Collect(ctx context.Context) ([]T, error) {
	parts, err := r.rows(ctx, "Collect", 0, nil)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	all := make([]T, 0, n)
	for i, p := range parts {
		all = append(all, p...)
		parts[i] = nil
	}
	return all, nil
}

// rows returns the rows of the given partitions (nil means all), of each up to limit, 0 for all.
func (r RDD[T]) rows(ctx context.Context, name string, limit int, partitions []int) ([][]T, error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, r.node.stays(name, err)
	}
	parts := make([][]T, r.node.count(partitions))
	return parts, runAction(ctx, r.node, name, rowsAction[T]{r, limit}, partitions, func(i int, b []byte) (err error) {
		if parts[i], _, err = c.Decode(nil, b); err != nil {
			return badResult(name, i, err)
		}
		return nil
	})
}

// rowsAction sends back the first rows of each partition.
type rowsAction[T any] struct {
	Parent RDD[T]
	Limit  int // 0 means all
}

// Run implements Action.
func (a rowsAction[T]) Run(t *Task, p int) ([]byte, error) {
	in, err := a.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	in = untilCancelled(t, in)
	var all []T
	for {
		rows, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if a.Limit > 0 && len(all)+len(rows) >= a.Limit {
			all = append(all, rows[:a.Limit-len(all)]...)
			break
		}
		all = append(all, rows...)
	}
	return c.Append(nil, all)
}

// Count returns the number of rows.
func (r RDD[T]) Count(ctx context.Context) (int64, error) {
	r, err := inPieces(ctx, r)
	if err != nil {
		return 0, err
	}
	return sumCounts(countPartitions(ctx, r.node, "Count", countAction[T]{r}, nil))
}

// countPartitions runs a countAction on the given partitions (nil means all).
func countPartitions(ctx context.Context, n *Node, name string, count Action, partitions []int) ([]int64, error) {
	return runForResults[int64](ctx, n, name, count, partitions)
}

func sumCounts(counts []int64, err error) (int64, error) {
	var n int64
	for _, c := range counts {
		n += c
	}
	return n, err
}

// countAction counts the rows of each partition.
type countAction[T any] struct{ Parent RDD[T] }

// Run implements Action.
func (a countAction[T]) Run(t *Task, p int) ([]byte, error) {
	in, err := a.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	in = untilCancelled(t, in)
	var n int64
	for {
		rows, err := in.Next()
		if err == io.EOF {
			return encodeResult(n)
		}
		if err != nil {
			return nil, err
		}
		n += int64(len(rows))
	}
}

// Take returns the first n rows in partition order. It computes one partition (spark.rdd.limit.initialNumPartitions), and while that
// does not suffice four times as many again (spark.rdd.limit.scaleUpFactor).
func (r RDD[T]) Take(ctx context.Context, n int) ([]T, error) {
	if n < 0 {
		return nil, fmt.Errorf("rdd.Take: %d rows: ask for 0 or more", n)
	}
	var got []T
	w := newWaves(r.node)
	for len(got) < n && w.next() {
		res, err := r.rows(ctx, "Take", n-len(got), w.partitions)
		if err != nil {
			return nil, err
		}
		for _, rows := range res {
			got = append(got, rows[:min(len(rows), n-len(got))]...)
		}
	}
	return got, r.node.Err()
}

// waves are the partitions of a dataset in growing groups.
type waves struct {
	of           *Node
	size, factor int
	from         int   // the first partition of the next wave
	partitions   []int // of this wave
}

func newWaves(n *Node) waves {
	w := waves{of: n, size: 1, factor: 4}
	if n.session != nil {
		w.size = settingOr(n.session, "spark.rdd.limit.initialNumPartitions", w.size)
		w.factor = settingOr(n.session, "spark.rdd.limit.scaleUpFactor", w.factor)
	}
	return w
}

// next makes the next wave; it reports false if there is none.
func (w *waves) next() bool {
	w.partitions = nil
	for ; len(w.partitions) < w.size && w.from < w.of.partitions; w.from++ {
		w.partitions = append(w.partitions, w.from)
	}
	w.size *= w.factor
	return len(w.partitions) > 0
}

// settingOr reads a whole number of at least 1 from the session's settings.
func settingOr(s Session, key string, otherwise int) int {
	n, err := strconv.Atoi(s.Setting(key))
	if err != nil || n < 1 {
		return otherwise
	}
	return n
}

// First returns the first row, or ErrEmpty.
func (r RDD[T]) First(ctx context.Context) (T, error) {
	rows, err := r.Take(ctx, 1)
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("rdd.First: %w", ErrEmpty)
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return rows[0], nil
}

// IsEmpty reports whether there are no rows.
func (r RDD[T]) IsEmpty(ctx context.Context) (bool, error) {
	rows, err := r.Take(ctx, 1)
	return err == nil && len(rows) == 0, err
}

// Reduce merges all rows with f, which must be associative: those of a partition in their order, then the partitions' results in
// partition order. It returns ErrEmpty for no rows.
func Reduce[T any](ctx context.Context, r RDD[T], f func(T, T) T) (T, error) {
	var zero T
	if err := checkFuncs("Reduce", f); err != nil {
		return zero, err
	}
	r, err := inPieces(ctx, r)
	if err != nil {
		return zero, err
	}
	parts, err := runPartitions(ctx, r, "Reduce", partitionFunc[T, []T](reduceRows[T]{f}), nil)
	if err != nil {
		return zero, err
	}
	var acc []T
	for _, p := range parts {
		acc = reduceInto(acc, p, f)
	}
	if acc == nil {
		return zero, fmt.Errorf("rdd.Reduce: %w", ErrEmpty)
	}
	return acc[0], nil
}

type reduceRows[T any] struct{ F func(T, T) T }

func (a reduceRows[T]) run(_ *Task, _ int, in Stream[T]) (acc []T, err error) {
	err = each(in, func(rows []T) error { acc = reduceInto(acc, rows, a.F); return nil })
	return acc, err
}

// reduceInto merges rows into acc, which holds no or one row.
func reduceInto[T any](acc, rows []T, f func(T, T) T) []T {
	if len(rows) == 0 {
		return acc
	}
	if acc == nil {
		acc, rows = []T{rows[0]}, rows[1:]
	}
	sum := acc[0]
	for i := range rows {
		sum = f(sum, rows[i])
	}
	acc[0] = sum
	return acc
}

// Fold is Reduce that starts at zero in every partition and once more for merging their results.
func Fold[T any](ctx context.Context, r RDD[T], zero T, f func(T, T) T) (T, error) {
	return Aggregate(ctx, r, zero, f, f)
}

// Aggregate folds the rows of each partition into a U that starts as zero, then merges the partitions' results in partition
// order into one more zero. seq runs in tasks, comb on the driver. For large U see TreeAggregate.
func Aggregate[T, U any](ctx context.Context, r RDD[T], zero U, seq func(U, T) U, comb func(U, U) U) (U, error) {
	if err := checkFuncs("Aggregate", seq, comb); err != nil {
		return zero, err
	}
	r, err := inPieces(ctx, r)
	if err != nil {
		return zero, err
	}
	parts, err := runPartitions(ctx, r, "Aggregate", partitionFunc[T, U](aggregateRows[T, U]{zero, seq}), nil)
	if err != nil {
		return zero, err
	}
	acc, err := cloneValue(zero)
	if err != nil {
		return zero, err
	}
	for _, p := range parts {
		acc = comb(acc, p)
	}
	return acc, nil
}

type aggregateRows[T, U any] struct {
	Zero U
	Seq  func(U, T) U
}

func (a aggregateRows[T, U]) run(_ *Task, _ int, in Stream[T]) (U, error) {
	acc, err := cloneValue(a.Zero)
	if err != nil {
		return acc, err
	}
	err = each(in, func(rows []T) error {
		for i := range rows {
			acc = a.Seq(acc, rows[i])
		}
		return nil
	})
	return acc, err
}

// cloneValue copies a value through the row codec, so that folding into it in place, as into a slice, leaves the original alone.
func cloneValue[U any](v U) (U, error) {
	c, err := codec.Of[U]()
	if err != nil {
		return v, err
	}
	if c.Fixed() {
		return v, nil
	}
	b, err := c.Append(nil, []U{v})
	if err != nil {
		return v, err
	}
	rows, _, err := c.Decode(nil, b)
	if err != nil || len(rows) != 1 {
		return v, fmt.Errorf("copy a %T: %w", v, err)
	}
	return rows[0], nil
}

// Foreach calls f for every row, in tasks, for its side effects: at least once a row, since an attempt may be repeated.
func Foreach[T any](ctx context.Context, r RDD[T], f func(T)) error {
	if err := checkFuncs("Foreach", f); err != nil {
		return err
	}
	_, err := runPartitions(ctx, r, "Foreach", partitionFunc[T, struct{}](foreachRows[T]{f}), nil)
	return err
}

type foreachRows[T any] struct{ F func(T) }

func (a foreachRows[T]) run(_ *Task, _ int, in Stream[T]) (struct{}, error) {
	return struct{}{}, each(in, func(rows []T) error {
		for i := range rows {
			a.F(rows[i])
		}
		return nil
	})
}

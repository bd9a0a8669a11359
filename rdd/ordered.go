package rdd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/spark-go/spark-go/rdd/closure"
	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// A sort places rows by ranges of their keys, so that every key of a partition comes before all keys of the next one, and then sorts
// each partition by itself. Rows of equal keys always share a partition and stay in the order of the input. So the sorted sequence is a
// function of the data alone; the bounds of the ranges, found from a sample (see bounds.go), only decide where it is cut.
//
// Rows travel alone: the map side computes keys to place them, the reduce side computes them again to sort.

// SortBy sorts the rows by the key that f gives them, in the order of cmp.Compare (NaN before all other floats): all rows of a partition
// come before those of the next one. The sort is stable, also when descending. Partitions default to spark.default.parallelism, else
// to as many as r has.
//
// The first job reads r once more before it, to sample the keys: persist r where it is costly to compute. key is called about twice
// a row and should be cheap.
func SortBy[T any, K cmp.Ordered](r RDD[T], key func(T) K, ascending bool, partitions ...int) RDD[T] {
	sorted, _ := sortRows(r, "SortBy", sortKey[T, K](orderedKey[T, K]{key}), ascending, partitions, checkFuncs("SortBy", key))
	return sorted
}

// SortByFunc sorts the rows by a comparison: negative if a comes before b, positive if after, 0 if they are equal in the order. It must
// be transitive, and may be bound:
//
//	byAgeThenName := rdd.SortByFunc(people, func(a, b Person) int {
//		return cmp.Or(cmp.Compare(a.Age, b.Age), strings.Compare(a.Name, b.Name))
//	})
//
// Everything else is as in SortBy, which is faster where one number or string is the key.
func SortByFunc[T any](r RDD[T], compare func(a, b T) int, partitions ...int) RDD[T] {
	sorted, _ := sortRows(r, "SortByFunc", sortKey[T, T](comparedRow[T]{compare}), true, partitions, checkFuncs("SortByFunc", compare))
	return sorted
}

// SortByKey is SortBy of the keys of pairs. The result is partitioned by a RangePartitioner: Lookup and FilterByRange read only the
// partitions that they need, and other datasets can be placed alike.
func SortByKey[K cmp.Ordered, V any](r RDD[Pair[K, V]], ascending bool, partitions ...int) RDD[Pair[K, V]] {
	sorted, by := sortRows(r, "SortByKey", sortKey[Pair[K, V], K](pairKey[K, V]{}), ascending, partitions, nil)
	by.natural = true
	sorted.node.partition = by
	return sorted
}

// NewRangePartitioner samples the keys of r, in a job, and returns the partitioner that cuts them into n ranges of about as many rows
// each. Datasets placed by it with PartitionBy or RepartitionAndSortWithinPartitions are co-partitioned.
func NewRangePartitioner[K cmp.Ordered, V any](ctx context.Context, r RDD[Pair[K, V]], n int) (*RangePartitioner[K], error) {
	if n < 1 {
		return nil, fail("NewRangePartitioner", fmt.Errorf("%d partitions: ask for at least 1", n))
	}
	by := &RangePartitioner[K]{N: n, Compare: closure.Call2[K, K, int](compareOrdered[K]{}), natural: true}
	var err error
	by.Bounds, err = sampleBounds(ctx, r, "NewRangePartitioner", sortKey[Pair[K, V], K](pairKey[K, V]{}), by)
	return by, err
}

// FilterByRange keeps the rows whose keys lie from lo to hi, both included. Where r was placed by a RangePartitioner, as by SortByKey,
// only the partitions that may hold such keys are computed; the others are empty. It keeps the partitioner.
func FilterByRange[K cmp.Ordered, V any](r RDD[Pair[K, V]], lo, hi K) RDD[Pair[K, V]] {
	by, _ := r.node.partition.(*RangePartitioner[K])
	if by != nil && !by.natural {
		by = nil
	}
	return keepPartitioner(derive(r, "FilterByRange", filterByRangeOp[K, V]{r, lo, hi, by}, nil), r)
}

type filterByRangeOp[K cmp.Ordered, V any] struct {
	Parent RDD[Pair[K, V]]
	Lo, Hi K
	By     *RangePartitioner[K] // of the same order; nil if the rows may lie anywhere
}

func (o filterByRangeOp[K, V]) Compute(t *Task, p int) (Stream[Pair[K, V]], error) {
	if cmp.Compare(o.Lo, o.Hi) > 0 {
		return StreamOf[Pair[K, V]](nil), nil
	}
	if o.By != nil {
		first, last := o.By.Partition(o.Lo), o.By.Partition(o.Hi)
		if p < min(first, last) || p > max(first, last) {
			return StreamOf[Pair[K, V]](nil), nil
		}
	}
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &filterStream[Pair[K, V]]{in: in, keep: o.holds}, nil
}

func (o filterByRangeOp[K, V]) holds(row Pair[K, V]) bool {
	return cmp.Compare(o.Lo, row.Key) <= 0 && cmp.Compare(row.Key, o.Hi) <= 0
}

// RepartitionAndSortWithinPartitions places the rows by the partitioner and sorts each partition by key: cheaper than sorting after
// PartitionBy, since rows are sorted as they arrive. The sort is stable. If r is partitioned that way already no row moves.
func RepartitionAndSortWithinPartitions[K cmp.Ordered, V any](r RDD[Pair[K, V]], by Partitioner[K]) RDD[Pair[K, V]] {
	return repartitionAndSort(r, "RepartitionAndSortWithinPartitions", by, sortKey[Pair[K, V], K](pairKey[K, V]{}), nil)
}

// RepartitionAndSortWithinPartitionsFunc is RepartitionAndSortWithinPartitions for keys with an order of their own. It makes secondary
// sorts: with keys of two fields, a partitioner that looks at the first and a comparison of both, the rows of each first field come
// together, ordered by the second.
func RepartitionAndSortWithinPartitionsFunc[K comparable, V any](r RDD[Pair[K, V]], by Partitioner[K], compare func(a, b K) int) RDD[Pair[K, V]] {
	const kind = "RepartitionAndSortWithinPartitionsFunc"
	return repartitionAndSort(r, kind, by, sortKey[Pair[K, V], K](comparedKey[K, V]{compare}), checkFuncs(kind, compare))
}

func repartitionAndSort[K comparable, V any](r RDD[Pair[K, V]], kind string, by Partitioner[K], key sortKey[Pair[K, V], K], err error) RDD[Pair[K, V]] {
	if by == nil || by.NumPartitions() < 1 {
		err = cmp.Or(err, fail(kind, errors.New("the partitioner has no partitions: give one with at least 1")))
		by = HashPartitioner[K]{1}
	}
	in, dep, perr := placed(r, kind, by)
	op := sortOp[Pair[K, V], K]{In: in, Key: key}
	return RDD[Pair[K, V]]{placedNode(r.node.session, kind, op, by, cmp.Or(err, perr), dep)}
}

// sortRows makes the sorted dataset of r and the partitioner that cuts it.
func sortRows[T, K any](r RDD[T], kind string, key sortKey[T, K], ascending bool, n []int, err error) (RDD[T], *RangePartitioner[K]) {
	err = cmp.Or(err, rowCheck[T](kind), rowCheck[K](kind))
	partitions, nerr := sortPartitions(r.node, n)
	err = cmp.Or(err, fail(kind, nerr))
	s := r.node.session
	by := &RangePartitioner[K]{N: partitions, Compare: key.compare(), Descend: !ascending}
	op := sortOp[T, K]{Key: key, Descend: !ascending}
	if partitions == 1 && r.node.partitions == 1 {
		op.In = input[T]{Parent: r, Narrow: true}
		return RDD[T]{newNode(s, kind, op, 1, err, oneToOne(r.node))}, by
	}
	dep := &Shuffle{Node: r.node, ID: s.NextShuffleID(), Partitions: partitions}
	dep.Writer = &rangeWriter[T, K]{Parent: r, Shuffle: dep, By: by, Key: key}
	op.In = input[T]{Shuffle: dep}
	node := newNode(s, kind, op, partitions, err, dep)
	if partitions > 1 {
		by.source = &origin{node.id}
		node.prepare = func(ctx context.Context) (err error) {
			by.Bounds, err = sampleBounds(ctx, r, kind, key, by)
			by.ready = err == nil
			return err
		}
	}
	return RDD[T]{node}, by
}

// sortPartitions is the number of partitions of a sort: what was asked for, else spark.default.parallelism, else the parent's.
func sortPartitions(parent *Node, n []int) (int, error) {
	switch {
	case len(n) > 1:
		return 1, fmt.Errorf("%d partition counts given: give one", len(n))
	case len(n) == 1 && n[0] < 0:
		return 1, fmt.Errorf("%d partitions: ask for at least 1, or 0 for the default", n[0])
	case len(n) == 1 && n[0] > 0:
		return n[0], nil
	}
	return cmp.Or(parent.session.DefaultPartitions(), max(parent.partitions, 1)), nil
}

// sortKey is what a sort by K looks at in a row. Implementations travel.
type sortKey[T, K any] interface {
	// keys returns the keys of rows, in buf if it can.
	keys(rows []T, buf []K) []K
	// compare is the ascending order of keys, as a function that travels.
	compare() func(a, b K) int
	// prefixes sets out[i] to a number that orders keys[i] as far as it can; exact if that is all there is to it. It reports false
	// if keys can only be compared.
	prefixes(keys []K, out []uint64) (exact, ok bool)
	// sorted sorts a stream.
	sorted(t *Task, in Stream[T], descend bool) (Stream[T], error)
}

// orderedKey is a key that a function gives.
type orderedKey[T any, K cmp.Ordered] struct{ F func(T) K }

func (o orderedKey[T, K]) keys(rows []T, buf []K) []K {
	buf = resize(buf, len(rows))
	for i := range rows {
		buf[i] = o.F(rows[i])
	}
	return buf
}

func (o orderedKey[T, K]) compare() func(a, b K) int {
	return closure.Call2[K, K, int](compareOrdered[K]{})
}

func (o orderedKey[T, K]) prefixes(keys []K, out []uint64) (exact, ok bool) {
	order := codec.OrderOf[K]()
	order.Prefixes(keys, out)
	return order.Exact(), true
}

// sorted sorts rows alone where the prefix says all about the key, which is then computed once a row. Otherwise the key goes along,
// so that comparing two rows does not compute it.
func (o orderedKey[T, K]) sorted(t *Task, in Stream[T], descend bool) (Stream[T], error) {
	order := codec.OrderOf[K]()
	if order.Exact() {
		flip := flipIf(descend)
		return sortStream(t, in, shuffle.Order[T]{Exact: true, Prefix: func(row *T) uint64 { return order.Prefix(o.F(*row)) ^ flip }})
	}
	with, err := sortStream(t, &mapStream[T, Pair[K, T]]{in: in, f: keyByOp[K, T]{F: o.F}.pair}, pairOrder[K, T](descend))
	if err != nil {
		return nil, err
	}
	return &mapStream[Pair[K, T], T]{in: with, f: valueOf[K, T]}, nil
}

// pairKey is the key of a pair.
type pairKey[K cmp.Ordered, V any] struct{}

func (pairKey[K, V]) keys(rows []Pair[K, V], buf []K) []K { return pairKeys(rows, buf) }

func (pairKey[K, V]) compare() func(a, b K) int {
	return closure.Call2[K, K, int](compareOrdered[K]{})
}

func (pairKey[K, V]) prefixes(keys []K, out []uint64) (exact, ok bool) {
	order := codec.OrderOf[K]()
	order.Prefixes(keys, out)
	return order.Exact(), true
}

func (pairKey[K, V]) sorted(t *Task, in Stream[Pair[K, V]], descend bool) (Stream[Pair[K, V]], error) {
	return sortStream(t, in, pairOrder[K, V](descend))
}

// comparedKey is the key of a pair, ordered by a function.
type comparedKey[K comparable, V any] struct{ F func(a, b K) int }

func (c comparedKey[K, V]) keys(rows []Pair[K, V], buf []K) []K     { return pairKeys(rows, buf) }
func (c comparedKey[K, V]) compare() func(a, b K) int               { return c.F }
func (c comparedKey[K, V]) prefixes([]K, []uint64) (exact, ok bool) { return false, false }
func (c comparedKey[K, V]) sorted(t *Task, in Stream[Pair[K, V]], descend bool) (Stream[Pair[K, V]], error) {
	sign := signIf(descend)
	return sortStream(t, in, shuffle.Order[Pair[K, V]]{Compare: func(a, b *Pair[K, V]) int { return sign * sgn(c.F(a.Key, b.Key)) }})
}

// comparedRow makes the row its own key, ordered by a function.
type comparedRow[T any] struct{ F func(a, b T) int }

func (c comparedRow[T]) keys(rows []T, _ []T) []T                { return rows }
func (c comparedRow[T]) compare() func(a, b T) int               { return c.F }
func (c comparedRow[T]) prefixes([]T, []uint64) (exact, ok bool) { return false, false }
func (c comparedRow[T]) sorted(t *Task, in Stream[T], descend bool) (Stream[T], error) {
	sign := signIf(descend)
	return sortStream(t, in, shuffle.Order[T]{Compare: func(a, b *T) int { return sign * sgn(c.F(*a, *b)) }})
}

func pairKeys[K, V any](rows []Pair[K, V], buf []K) []K {
	buf = resize(buf, len(rows))
	for i := range rows {
		buf[i] = rows[i].Key
	}
	return buf
}

// pairOrder orders pairs by key.
func pairOrder[K cmp.Ordered, V any](descend bool) shuffle.Order[Pair[K, V]] {
	order, flip, sign := codec.OrderOf[K](), flipIf(descend), signIf(descend)
	return shuffle.Order[Pair[K, V]]{
		Prefix:  func(row *Pair[K, V]) uint64 { return order.Prefix(row.Key) ^ flip },
		Exact:   order.Exact(),
		Compare: func(a, b *Pair[K, V]) int { return sign * cmp.Compare(a.Key, b.Key) },
	}
}

// flipIf is what turns the order of prefixes round.
func flipIf(descend bool) uint64 {
	if descend {
		return ^uint64(0)
	}
	return 0
}

func signIf(descend bool) int {
	if descend {
		return -1
	}
	return 1
}

// sgn is the sign of a comparison's result, which could be the one int that has no negative.
func sgn(c int) int { return cmp.Compare(c, 0) }

// sortStream sorts a stream, through disk if it must.
func sortStream[T any](t *Task, in Stream[T], order shuffle.Order[T]) (Stream[T], error) {
	s, err := shuffle.NewSorter(t.ctx, t.ShuffleEnv(), order)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { s.Close() })
	if err := each(in, s.Add); err != nil {
		return nil, err
	}
	return s.Drain()
}

// sortOp sorts a partition.
type sortOp[T, K any] struct {
	In      input[T]
	Key     sortKey[T, K]
	Descend bool
}

func (o sortOp[T, K]) Compute(t *Task, p int) (Stream[T], error) {
	in, err := o.In.open(t, p)
	if err != nil {
		return nil, err
	}
	return o.Key.sorted(t, in, o.Descend)
}

// rangeWriter is the map side of a sort.
type rangeWriter[T, K any] struct {
	Parent  RDD[T]
	Shuffle *Shuffle
	By      *RangePartitioner[K]
	Key     sortKey[T, K]
}

// WriteMap writes the rows of partition p, each to the range of its key.
func (w *rangeWriter[T, K]) WriteMap(t *Task, p int) (shuffle.Output, error) {
	in, err := w.Parent.Compute(t, p)
	if err != nil {
		return shuffle.Output{}, err
	}
	place := newRangePlacer(w.By, w.Key)
	return writeRowsTo(t, w.Shuffle, p, w.By.N, in, place.place)
}

// rangePlacer is RangePartitioner.Partition for batches: it finds ranges by prefix, and compares keys only where that of a bound is
// the same.
type rangePlacer[T, K any] struct {
	by     *RangePartitioner[K]
	key    sortKey[T, K]
	bounds []uint64 // prefixes of by.Bounds
	exact  bool
	fast   bool
	buf    []K
	prefix []uint64
	out    []int32
}

func newRangePlacer[T, K any](by *RangePartitioner[K], key sortKey[T, K]) *rangePlacer[T, K] {
	r := &rangePlacer[T, K]{by: by, key: key, bounds: make([]uint64, len(by.Bounds))}
	r.exact, r.fast = key.prefixes(by.Bounds, r.bounds)
	return r
}

func (r *rangePlacer[T, K]) place(rows []T) ([]int32, error) {
	r.out = resize(r.out, len(rows))
	if len(r.by.Bounds) == 0 {
		first := 0
		if r.by.Descend {
			first = r.by.N - 1
		}
		for i := range r.out {
			r.out[i] = int32(first)
		}
		return r.out, nil
	}
	keys := r.key.keys(rows, r.buf)
	if !r.fast {
		for i := range keys {
			r.out[i] = int32(r.by.Partition(keys[i]))
		}
		return r.out, nil
	}
	r.buf = keys
	r.prefix = resize(r.prefix, len(rows))
	r.key.prefixes(keys, r.prefix)
	for i, x := range r.prefix {
		lo := lowerBound(r.bounds, x)
		if !r.exact && lo < len(r.bounds) && r.bounds[lo] == x {
			hi := lo + lowerBound(r.bounds[lo:], x+1)
			if x == ^uint64(0) {
				hi = len(r.bounds)
			}
			bounds := r.by.Bounds[lo:hi]
			lo += sort.Search(len(bounds), func(j int) bool { return r.by.Compare(keys[i], bounds[j]) <= 0 })
		}
		if r.by.Descend {
			lo = r.by.N - 1 - lo
		}
		r.out[i] = int32(lo)
	}
	return r.out, nil
}

// lowerBound is the number of elements of the ascending a that are below x.
func lowerBound(a []uint64, x uint64) int {
	base, n := 0, len(a)
	for n > 1 {
		half := n / 2
		if a[base+half-1] < x {
			base += half
		}
		n -= half
	}
	if n == 1 && a[base] < x {
		base++
	}
	return base
}

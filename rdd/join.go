package rdd

import (
	"cmp"
	"io"

	"github.com/spark-go/spark-go/shuffle"
)

// Joined is the value of a joined row: one value of each side.
type Joined[V, W any] = shuffle.Joined[V, W]

// Optional is the value of a side that may be missing in an outer join.
type Optional[V any] struct {
	Value V // the zero value where Valid is false
	Valid bool
}

// Get returns the value, and whether there is one.
func (o Optional[V]) Get() (V, bool) { return o.Value, o.Valid }

// Or returns the value, or otherwise where there is none.
func (o Optional[V]) Or(otherwise V) V {
	if o.Valid {
		return o.Value
	}
	return otherwise
}

// Join pairs every row of left with every row of right that has the same key. Keys come out in the order of their hashes, the pairs
// of one key by left row and then by right row, both in partition order.
//
// Both sides are placed by one partitioner, chosen as described at CoGroup; a side whose rows lie so already is not shuffled. Tasks
// hold the right rows of their partition, and of the left ones those that have a partner, and go on through disk when memory is used
// up: make the smaller dataset the right one. To join with one that is small enough to collect, broadcasting it is faster still.
func Join[K comparable, V, W any](left RDD[Pair[K, V]], right RDD[Pair[K, W]], partitions ...int) RDD[Pair[K, Joined[V, W]]] {
	const kind = "Join"
	by, err := meet[K](kind, partitions, left.node, right.node)
	l, ldep, lerr := placed(left, kind, by)
	r, rdep, rerr := placed(right, kind, by)
	return RDD[Pair[K, Joined[V, W]]]{placedNode(left.node.session, kind, joinOp[K, V, W]{l, r}, by, cmp.Or(err, lerr, rerr), ldep, rdep)}
}

// LeftOuterJoin is Join that also keeps the left rows whose key right lacks.
func LeftOuterJoin[K comparable, V, W any](left RDD[Pair[K, V]], right RDD[Pair[K, W]], partitions ...int) RDD[Pair[K, Joined[V, Optional[W]]]] {
	return outerJoin[K, V, W, V, Optional[W]](left, right, "LeftOuterJoin", partitions, present[V]{}, optional[W]{})
}

// RightOuterJoin is Join that also keeps the right rows whose key left lacks.
func RightOuterJoin[K comparable, V, W any](left RDD[Pair[K, V]], right RDD[Pair[K, W]], partitions ...int) RDD[Pair[K, Joined[Optional[V], W]]] {
	return outerJoin[K, V, W, Optional[V], W](left, right, "RightOuterJoin", partitions, optional[V]{}, present[W]{})
}

// FullOuterJoin is Join that also keeps the rows of either side whose key the other lacks.
func FullOuterJoin[K comparable, V, W any](left RDD[Pair[K, V]], right RDD[Pair[K, W]], partitions ...int) RDD[Pair[K, Joined[Optional[V], Optional[W]]]] {
	return outerJoin[K, V, W, Optional[V], Optional[W]](left, right, "FullOuterJoin", partitions, optional[V]{}, optional[W]{})
}

type joinOp[K comparable, V, W any] struct {
	Left  input[Pair[K, V]]
	Right input[Pair[K, W]]
}

func (o joinOp[K, V, W]) Compute(t *Task, p int) (Stream[Pair[K, Joined[V, W]]], error) {
	left, err := o.Left.open(t, p)
	if err != nil {
		return nil, err
	}
	right, err := o.Right.open(t, p)
	if err != nil {
		return nil, err
	}
	joined, err := shuffle.Join(t.ctx, t.ShuffleEnv(), left, right)
	if err != nil {
		return nil, err
	}
	if c, ok := joined.(io.Closer); ok {
		t.OnDone(func(bool) { c.Close() })
	}
	return joined, nil
}

func outerJoin[K comparable, V, W, A, B any](left RDD[Pair[K, V]], right RDD[Pair[K, W]], kind string, n []int, ls side[V, A], rs side[W, B]) RDD[Pair[K, Joined[A, B]]] {
	by, err := meet[K](kind, n, left.node, right.node)
	l, ldep, lerr := placed(left, kind, by)
	r, rdep, rerr := placed(right, kind, by)
	op := outerJoinOp[K, V, W, A, B]{coGroupOp[K, V, W]{l, r}, ls, rs}
	return RDD[Pair[K, Joined[A, B]]]{placedNode(left.node.session, kind, op, by, cmp.Or(err, lerr, rerr), ldep, rdep)}
}

// side says what one side of an outer join gives for the values of a key.
type side[V, A any] interface {
	// required says that keys which the side lacks give no row.
	required() bool
	rows(values []V) int
	row(values []V, i int) A
}

// present is a side without which there is no row.
type present[V any] struct{}

func (present[V]) required() bool          { return true }
func (present[V]) rows(values []V) int     { return len(values) }
func (present[V]) row(values []V, i int) V { return values[i] }

// optional is a side that gives one empty row where it has none.
type optional[V any] struct{}

func (optional[V]) required() bool { return false }

func (optional[V]) rows(values []V) int { return max(len(values), 1) }

func (optional[V]) row(values []V, i int) Optional[V] {
	if i < len(values) {
		return Optional[V]{values[i], true}
	}
	return Optional[V]{}
}

// outerJoinOp is the cross product of each key's values, and of an empty row where a side may lack them.
type outerJoinOp[K comparable, V, W, A, B any] struct {
	Groups coGroupOp[K, V, W]
	Left   side[V, A]
	Right  side[W, B]
}

func (o outerJoinOp[K, V, W, A, B]) Compute(t *Task, p int) (Stream[Pair[K, Joined[A, B]]], error) {
	in, err := o.Groups.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &outerJoinStream[K, V, W, A, B]{op: o, in: in}, nil
}

type outerJoinStream[K comparable, V, W, A, B any] struct {
	op     outerJoinOp[K, V, W, A, B]
	in     Stream[Pair[K, Grouped2[V, W]]]
	groups []Pair[K, Grouped2[V, W]] // not yet expanded
	l, r   int                       // the next pair of the first group
	out    []Pair[K, Joined[A, B]]
}

func (s *outerJoinStream[K, V, W, A, B]) Next() ([]Pair[K, Joined[A, B]], error) {
	s.out = s.out[:0]
	for len(s.out) < BatchRows {
		if len(s.groups) == 0 {
			groups, err := s.in.Next()
			if err == io.EOF && len(s.out) > 0 {
				return s.out, nil
			}
			if err != nil {
				return nil, err
			}
			s.groups = groups
		}
		if s.expand(&s.groups[0]) {
			s.groups, s.l, s.r = s.groups[1:], 0, 0
		}
	}
	return s.out, nil
}

// expand appends pairs of a group until it or the batch is full, and reports whether the group is.
func (s *outerJoinStream[K, V, W, A, B]) expand(g *Pair[K, Grouped2[V, W]]) bool {
	lefts, rights := s.op.Left.rows(g.Value.Left), s.op.Right.rows(g.Value.Right)
	for ; s.l < lefts && rights > 0; s.l, s.r = s.l+1, 0 {
		left := s.op.Left.row(g.Value.Left, s.l)
		for ; s.r < rights; s.r++ {
			if len(s.out) >= BatchRows {
				return false
			}
			s.out = append(s.out, Pair[K, Joined[A, B]]{Key: g.Key, Value: Joined[A, B]{Left: left, Right: s.op.Right.row(g.Value.Right, s.r)}})
		}
	}
	return true
}

// SubtractByKey keeps the rows of left whose key right lacks, in the order of their keys' hashes and then of the rows. By default it
// places the rows by left's partitioner, if it has one, else by hashing into as many partitions as left has (spark.default.parallelism
// if that is set). Only the keys of right cross the shuffle, each once a map task.
func SubtractByKey[K comparable, V, W any](left RDD[Pair[K, V]], right RDD[Pair[K, W]], partitions ...int) RDD[Pair[K, V]] {
	const kind = "SubtractByKey"
	by, err := choosePartitioner[K](left.node.session, partitions, left.node)
	if own := partitionerOf(left); own != nil && (len(partitions) == 0 || len(partitions) == 1 && partitions[0] == 0) {
		by = own
	}
	l, ldep, lerr := placed(left, kind, by)
	// The right side goes as bare keys: a dataset of its own, so that a right side that lies right is read where it is.
	bare := keepPartitioner(derive(right, "Keys", bareKeysOp[K, W]{right}, nil), right)
	r, rdep, rerr := placed(bare, kind, by)
	if dep, wide := rdep.(*Shuffle); wide {
		dep.Writer = &pairWriter[K, struct{}, struct{}]{Parent: bare, Shuffle: dep, By: by, Agg: keepFirst{}, MapSide: true}
	}
	err = cmp.Or(fail(kind, err), oneSession(kind, left.node, right.node), lerr, rerr)
	op := subtractOp[K, V]{coGroupOp[K, V, struct{}]{l, r}}
	return RDD[Pair[K, V]]{placedNode(left.node.session, kind, op, by, err, ldep, rdep)}
}

// bareKeysOp drops the values and keeps the form of pairs.
type bareKeysOp[K comparable, V any] struct{ Parent RDD[Pair[K, V]] }

func (o bareKeysOp[K, V]) Compute(t *Task, p int) (Stream[Pair[K, struct{}]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapStream[Pair[K, V], Pair[K, struct{}]]{in: in, f: bareKey[K, V]}, nil
}

func bareKey[K, V any](p Pair[K, V]) Pair[K, struct{}] { return Pair[K, struct{}]{Key: p.Key} }

// keepFirst leaves one row a key.
type keepFirst struct{}

func (keepFirst) Create(v struct{}) struct{}     { return v }
func (keepFirst) Merge(c, _ struct{}) struct{}   { return c }
func (keepFirst) Combine(c, _ struct{}) struct{} { return c }

// subtractOp expands the groups that have no right row.
type subtractOp[K comparable, V any] struct {
	Groups coGroupOp[K, V, struct{}]
}

func (o subtractOp[K, V]) Compute(t *Task, p int) (Stream[Pair[K, V]], error) {
	in, err := o.Groups.Compute(t, p)
	if err != nil {
		return nil, err
	}
	var out []Pair[K, V]
	left := func(g Pair[K, Grouped2[V, struct{}]]) []Pair[K, V] {
		out = out[:0]
		if len(g.Value.Right) == 0 {
			for _, v := range g.Value.Left {
				out = append(out, Pair[K, V]{Key: g.Key, Value: v})
			}
		}
		return out
	}
	return &flatMapStream[Pair[K, Grouped2[V, struct{}]], Pair[K, V]]{in: in, f: left}, nil
}

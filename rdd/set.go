package rdd

import (
	"errors"
	"io"
)

// Distinct keeps one of each set of equal rows. The optional number of partitions defaults as described at CombineByKey. Rows come
// out in an order that depends on the rows and the number of partitions alone.
//
// If the rows were placed by a partitioner already and the number of partitions stays, equal rows lie together, and no row moves.
func Distinct[T comparable](r RDD[T], partitions ...int) RDD[T] {
	marked := mark(r, "Distinct", struct{}{})
	return Keys(setCombine(marked, "Distinct", partitions, Aggregator[struct{}, struct{}](keepFirst{}), nil, r.node))
}

// Intersection keeps the rows that both datasets hold, each once. The optional number of partitions defaults to
// spark.default.parallelism, else to the larger number of the two.
func Intersection[T comparable](a, b RDD[T], partitions ...int) RDD[T] {
	err := oneSession("Intersection", a.node, b.node)
	both := setCombine(Union(mark[T, uint8](a, "Intersection", 1), mark[T, uint8](b, "Intersection", 2)), "Intersection", partitions, Aggregator[uint8, uint8](orBits{}), err, a.node, b.node)
	return derive(both, "Intersection", expandOp[T, uint8]{both, inBoth{}}, nil)
}

// Subtract keeps the rows of a, repeated ones too, that b does not hold. The optional number of partitions defaults to that of a.
func Subtract[T comparable](a, b RDD[T], partitions ...int) RDD[T] {
	if len(partitions) == 0 {
		partitions = []int{a.node.partitions}
	}
	err := oneSession("Subtract", a.node, b.node)
	marked := Union(mark(a, "Subtract", tally{Count: 1}), mark(b, "Subtract", tally{Taken: true}))
	tallies := setCombine(marked, "Subtract", partitions, Aggregator[tally, tally](addTallies{}), err, a.node, b.node)
	return derive(tallies, "Subtract", expandOp[T, tally]{tallies, leftOver{}}, nil)
}

// mark pairs each row with a mark that says where it came from. The rows stay where they are.
func mark[T, M any](r RDD[T], kind string, m M) RDD[Pair[T, M]] {
	return keepPartitioner(derive(r, kind, markOp[T, M]{r, m}, nil), r)
}

type markOp[T, M any] struct {
	Parent RDD[T]
	Mark   M
}

func (o markOp[T, M]) Compute(t *Task, p int) (Stream[Pair[T, M]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &mapStream[T, Pair[T, M]]{in: in, f: o.pair}, nil
}

func (o markOp[T, M]) pair(row T) Pair[T, M] { return Pair[T, M]{Key: row, Value: o.Mark} }

// setCombine folds the marks of equal rows. Where all inputs are placed by the same partitioner (of their keys, if they are pairs),
// equal rows lie in partitions of the same number, which are folded where they are; marked then has as many partitions.
func setCombine[T comparable, M any](marked RDD[Pair[T, M]], kind string, n []int, agg Aggregator[M, M], err error, inputs ...*Node) RDD[Pair[T, M]] {
	by, cerr := choosePartitioner[T](marked.node.session, n, inputs...)
	if err == nil {
		err = fail(kind, cerr)
	}
	if err == nil && samePlacement(inputs) && marked.node.partitions == inputs[0].partitions && (len(n) == 0 || n[0] == 0 || n[0] == inputs[0].partitions) {
		if err = keyCheck[T](kind); err == nil {
			return derive(marked, kind, localCombineOp[T, M, M]{marked, agg}, nil)
		}
	}
	return shuffleBy(marked, kind, by, agg, true, err)
}

// samePlacement reports whether equal partitioners placed the rows of all datasets.
func samePlacement(nodes []*Node) bool {
	for _, n := range nodes {
		if n.partition == nil || !samePartitioner(n.partition, nodes[0].partition) {
			return false
		}
	}
	return true
}

// orBits folds the bits of the datasets that hold a row.
type orBits struct{}

func (orBits) Create(v uint8) uint8     { return v }
func (orBits) Merge(c, v uint8) uint8   { return c | v }
func (orBits) Combine(c, d uint8) uint8 { return c | d }

// tally says how often the left dataset holds a row, and whether the right one does.
type tally struct {
	Count int64
	Taken bool
}

type addTallies struct{}

func (addTallies) Create(v tally) tally   { return v }
func (addTallies) Merge(c, v tally) tally { return tally{c.Count + v.Count, c.Taken || v.Taken} }
func (a addTallies) Combine(c, d tally) tally {
	return a.Merge(c, d)
}

// repeats tells how often a row comes out, from what was folded of its marks.
type repeats[M any] interface{ times(m M) int64 }

type inBoth struct{}

func (inBoth) times(bits uint8) int64 {
	if bits == 3 {
		return 1
	}
	return 0
}

type leftOver struct{}

func (leftOver) times(t tally) int64 {
	if t.Taken {
		return 0
	}
	return t.Count
}

// expandOp repeats each row as often as its mark says.
type expandOp[T, M any] struct {
	Parent RDD[Pair[T, M]]
	By     repeats[M]
}

func (o expandOp[T, M]) Compute(t *Task, p int) (Stream[T], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	repeated := &repeatStream[Pair[T, M]]{in: in, times: func(row Pair[T, M]) (int64, error) { return o.By.times(row.Value), nil }}
	return &mapStream[Pair[T, M], T]{in: repeated, f: keyOf[T, M]}, nil
}

// Union holds the rows of all datasets, repeated ones too: the partitions of the first, then those of the next. No row moves.
//
// If equal partitioners placed the rows of all of them, partition p of the result holds partition p of each, and the
// partitioner is kept, so that what follows by key needs no shuffle either.
func Union[T any](first RDD[T], others ...RDD[T]) RDD[T] {
	all := append([]RDD[T]{first}, others...)
	nodes := make([]*Node, len(all))
	for i := range all {
		nodes[i] = all[i].node
	}
	err := oneSession("Union", nodes[0], nodes[1:]...)
	deps := make([]Dependency, len(all))
	if samePlacement(nodes) {
		for i := range all {
			deps[i] = oneToOne(nodes[i])
		}
		return keepPartitioner(RDD[T]{newNode(first.node.session, "Union", stackOp[T]{all}, first.node.partitions, err, deps...)}, first)
	}
	total := 0
	for i, n := range nodes {
		from, to := total, total+n.partitions
		deps[i] = Narrow{Node: n, Of: func(p int) []int {
			if p < from || p >= to {
				return nil
			}
			return []int{p - from}
		}}
		total = to
	}
	return RDD[T]{newNode(first.node.session, "Union", unionOp[T]{all, partitionCounts(nodes)}, total, err, deps...)}
}

func partitionCounts(nodes []*Node) []int {
	counts := make([]int, len(nodes))
	for i, n := range nodes {
		counts[i] = n.partitions
	}
	return counts
}

// unionOp lists the partitions of its parents one after another.
type unionOp[T any] struct {
	Parents    []RDD[T]
	Partitions []int // of each parent: a task does not know them otherwise
}

func (o unionOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	for i, n := range o.Partitions {
		if p < n {
			return o.Parents[i].Compute(t, p)
		}
		p -= n
	}
	return nil, errors.New("compute a union: no such partition")
}

// stackOp puts partitions of the same number together.
type stackOp[T any] struct{ Parents []RDD[T] }

func (o stackOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	open := make([]func() (Stream[T], error), len(o.Parents))
	for i, r := range o.Parents {
		open[i] = func() (Stream[T], error) { return r.Compute(t, p) }
	}
	return &lazyStream[T]{open: open}, nil
}

// lazyStream yields the rows of several streams, each opened when the one before has ended.
type lazyStream[T any] struct {
	open []func() (Stream[T], error)
	cur  Stream[T]
}

func (s *lazyStream[T]) Next() ([]T, error) {
	for {
		if s.cur == nil {
			if len(s.open) == 0 {
				return nil, io.EOF
			}
			var err error
			if s.cur, err = s.open[0](); err != nil {
				return nil, err
			}
			s.open = s.open[1:]
		}
		rows, err := s.cur.Next()
		if err != io.EOF {
			return rows, err
		}
		s.cur = nil
	}
}

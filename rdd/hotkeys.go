package rdd

import (
	"context"
	"log/slog"
	"slices"

	"github.com/spark-go/spark-go/shuffle"
)

// A key that many rows have makes one partition of a join large, and its task the one that all others wait for. Map tasks notice such partitions
// while they write ([shuffle.Output].Heavy). Where a join's rows go on, row by row, into another shuffle, its heavy partitions are then computed by
// several tasks: each joins what some of the map tasks wrote for the heavy side with all of the other side. What they write are map outputs like
// others, so that nothing behind the shuffle knows of it. Spark's adaptive execution of SQL does the same (OptimizeSkewedJoin).
//
// How a partition is split follows from how many rows each map task wrote, not from sizes, times or the cluster: the same data, partition counts
// and settings give the same pieces and so the same bytes.
//
// Aggregations by key need no splitting: each map task folds its own rows, and a hot key is one row a task from there on.

const (
	splitHotKeys        = "spark.join.splitHotKeys"
	splitHotKeysMinRows = "spark.join.splitHotKeys.minRows"
	// hotFactor is how many times the mean of rows makes a partition worth splitting.
	hotFactor = 2.5
)

// rowByRow is an operation whose rows for a partition are those for its pieces, one after another: it looks neither at other rows nor at the
// partition's number.
type rowByRow interface{ rowByRow() }

func (mapOp[T, U]) rowByRow()              {}
func (filterOp[T]) rowByRow()              {}
func (flatMapOp[T, U]) rowByRow()          {}
func (flatMapSeqOp[T, U]) rowByRow()       {}
func (keyByOp[K, T]) rowByRow()            {}
func (keysOp[K, V]) rowByRow()             {}
func (valuesOp[K, V]) rowByRow()           {}
func (mapValuesOp[K, V, W]) rowByRow()     {}
func (flatMapValuesOp[K, V, W]) rowByRow() {}

// joining is an operation on two inputs that may be given one of them in pieces, each with the whole of the other.
type joining interface {
	// divisible says which inputs may be.
	divisible() (left, right bool)
}

func (joinOp[K, V, W]) divisible() (left, right bool) { return true, true }

// Rows without a partner come out once only if all of the other side was seen: what is cut into pieces is a side whose partners may not be missing.
func (o outerJoinOp[K, V, W, A, B]) divisible() (left, right bool) {
	return o.Left.required(), o.Right.required()
}

// reparented is a MapWriter that can read pieces of its parent instead.
type reparented interface {
	inPieces(pieces []piece) (*Node, MapWriter)
}

// piece is what one task computes of a partition: all, or what it is with some map outputs of one shuffle only.
type piece struct {
	Partition int
	Part      bool
	Shuffle   int
	From, To  int // of its map outputs
}

// splitHot makes n's preparation split the heavy partitions of joins whose rows n's shuffles take. It does nothing for other datasets.
func splitHot(n *Node) {
	for _, d := range n.Dependencies() {
		if sh, ok := d.(*Shuffle); ok {
			if _, ok := sh.Writer.(reparented); ok && joinBefore(sh.Node) != nil {
				n.prepare = n.splitHotPartitions
				return
			}
		}
	}
}

// joinBefore is the join that n's rows come from row by row, if both of its inputs are shuffled and nothing on the way is kept; else nil.
func joinBefore(n *Node) *Node {
	for {
		n.mu.Lock()
		kept := n.level != None || n.checkpoint != nil
		n.mu.Unlock()
		line := n.line.Load()
		if kept {
			return nil
		}
		switch line.op.(type) {
		case joining:
			for _, d := range line.deps {
				if _, ok := d.(*Shuffle); !ok {
					return nil
				}
			}
			return n
		case rowByRow:
			n = line.deps[0].On()
		default:
			return nil
		}
	}
}

// splitHotPartitions replaces n's dependencies on joins with heavy partitions by such on their pieces.
func (n *Node) splitHotPartitions(ctx context.Context) error {
	line := n.line.Load()
	split := &lineage{op: line.op, deps: append([]Dependency(nil), line.deps...), split: line.split, hosts: line.hosts}
	changed := false
	for i, d := range line.deps {
		sh, ok := d.(*Shuffle)
		if !ok {
			continue
		}
		writer, ok := sh.Writer.(reparented)
		if !ok {
			continue
		}
		pieces, err := findHot(ctx, sh.Node)
		if err != nil {
			return err
		}
		if pieces != nil {
			parent, w := writer.inPieces(pieces)
			split.deps[i] = &Shuffle{Node: parent, ID: sh.ID, Partitions: sh.Partitions, Writer: w, was: sh}
			changed = true
		}
	}
	if changed {
		n.line.CompareAndSwap(line, split) // else a checkpoint came between
	}
	return nil
}

// inPieces is r with the heavy partitions of the join that it comes from in pieces: for actions that fold all rows.
func inPieces[T any](ctx context.Context, r RDD[T]) (RDD[T], error) {
	if r.node == nil || r.node.session == nil {
		return r, nil // the action says what is wrong
	}
	if err := r.node.Err(); err != nil {
		return r, err
	}
	pieces, err := findHot(ctx, r.node)
	if err != nil || pieces == nil {
		return r, err
	}
	return piecesOf(r, pieces), nil
}

// findHot runs the map tasks of the join that n's rows come from and says in which pieces its partitions are best computed; nil if none is heavy, or if n
// does not come from a join row by row.
func findHot(ctx context.Context, n *Node) ([]piece, error) {
	join := joinBefore(n)
	if join == nil || n.session.Setting(splitHotKeys) != "true" {
		return nil, nil
	}
	line := join.line.Load()
	left, right := line.deps[0].(*Shuffle), line.deps[1].(*Shuffle)
	hot := hotPartitions{Partitions: join.partitions, MinRows: int64(settingOr(n.session, splitHotKeysMinRows, 1)), Left: left.ID, Right: right.ID}
	if hot.SplitLeft, hot.SplitRight = line.op.(joining).divisible(); !hot.SplitLeft && !hot.SplitRight {
		return nil, nil
	}
	look := newNode(join.session, "HotKeys", noRows{}, 1, nil, left, right)
	look.callSite = join.callSite
	found, err := runForResults[[]piece](ctx, look, "HotKeys", hot, nil)
	if err != nil || len(found[0]) == join.partitions {
		return nil, err
	}
	slog.Info("partitions of a join have far more rows than others and are computed by several tasks", "join", join.String(), "partitions", join.partitions, "tasks", len(found[0]))
	return found[0], nil
}

// noRows is a dataset that is made for its dependencies.
type noRows struct{}

// Compute implements Op.
func (noRows) Compute(*Task, int) (Stream[struct{}], error) { return StreamOf[struct{}](nil), nil }

// hotPartitions is the action that looks at the map outputs of a join's inputs.
type hotPartitions struct {
	Partitions            int
	MinRows               int64
	Left, Right           int // shuffles
	SplitLeft, SplitRight bool
}

// Run implements Action.
func (h hotPartitions) Run(t *Task, _ int) ([]byte, error) {
	left, err := t.runtime.MapOutputs(h.Left)
	if err != nil {
		return nil, err
	}
	right, err := t.runtime.MapOutputs(h.Right)
	if err != nil {
		return nil, err
	}
	return encodeResult(h.pieces(left, right))
}

// pieces lists what the tasks compute, in the order of the partitions and, within one, of the map tasks.
func (h hotPartitions) pieces(left, right []shuffle.Output) []piece {
	var list []piece
	l, r := inputOf(h.Left, left, h.Partitions), inputOf(h.Right, right, h.Partitions)
	for p := range h.Partitions {
		heavy, other := &l, &r
		may := h.SplitLeft
		if r.rows(p) > l.rows(p) {
			heavy, other, may = other, heavy, h.SplitRight
		}
		list = append(list, heavy.cut(p, heavy.into(p, may, other.rows(p), h.MinRows))...)
	}
	return list
}

// joinInput is one side of a join: how many rows there are where.
type joinInput struct {
	shuffle int
	outputs []shuffle.Output
	heavy   map[int]int64 // rows of the partitions that some map task found heavy
	mean    int64         // rows of a partition
}

func inputOf(id int, outputs []shuffle.Output, partitions int) joinInput {
	in := joinInput{shuffle: id, outputs: outputs, heavy: map[int]int64{}}
	for i := range outputs {
		in.mean += outputs[i].Rows
		for _, h := range outputs[i].Heavy {
			in.heavy[h.Partition] = 0
		}
	}
	in.mean /= int64(partitions)
	for p := range in.heavy {
		for i := range outputs {
			in.heavy[p] += outputs[i].RowsOf(p)
		}
	}
	return in
}

func (in *joinInput) rows(p int) int64 {
	if n, ok := in.heavy[p]; ok {
		return n
	}
	return in.mean
}

// into is how many pieces partition p is worth: each of about the rows of a usual partition, and in all at most half as many rows of the other side read
// again as there are on this one.
func (in *joinInput) into(p int, may bool, other, minRows int64) int {
	n := in.rows(p)
	if !may || float64(n) < hotFactor*float64(in.mean) || n < 2*minRows {
		return 1
	}
	pieces := n / max(in.mean, minRows, 1)
	if other > 0 {
		pieces = min(pieces, 1+n/(2*other))
	}
	return int(min(pieces, int64(len(in.outputs))))
}

// cut divides partition p into pieces of about equal rows.
func (in *joinInput) cut(p, pieces int) []piece {
	if pieces < 2 {
		return []piece{{Partition: p}}
	}
	var list []piece
	total, sum, from := in.rows(p), int64(0), 0
	for m := range in.outputs {
		sum += in.outputs[m].RowsOf(p)
		if sum*int64(pieces) >= total*int64(len(list)+1) || m == len(in.outputs)-1 {
			list = append(list, piece{Partition: p, Part: true, Shuffle: in.shuffle, From: from, To: m + 1})
			from = m + 1
		}
	}
	return list
}

// piecesOp computes a dataset's partitions in pieces.
type piecesOp[T any] struct {
	Parent   RDD[T]
	Pieces   []piece // whose shuffles are places in Shuffles
	Shuffles []*origin
}

func (o piecesOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	pc := o.Pieces[p]
	if pc.Part {
		pc.Shuffle = o.Shuffles[pc.Shuffle].number
	}
	t.piece = pc
	return o.Parent.Compute(t, pc.Partition)
}

// piecesOf is r with a partition for each piece.
func piecesOf[T any](r RDD[T], pieces []piece) RDD[T] {
	of, op := make([]int, len(pieces)), piecesOp[T]{Parent: r, Pieces: slices.Clone(pieces)}
	for i, p := range pieces {
		of[i] = p.Partition
		if !p.Part {
			continue
		}
		at := slices.IndexFunc(op.Shuffles, func(o *origin) bool { return o.number == p.Shuffle })
		if at < 0 {
			at = len(op.Shuffles)
			op.Shuffles = append(op.Shuffles, &origin{p.Shuffle})
		}
		op.Pieces[i].Shuffle = at
	}
	n := newNode(r.node.session, "SplitHotKeys", op, len(pieces), nil, Narrow{Node: r.node, Of: func(p int) []int { return of[p : p+1] }})
	n.callSite = r.node.callSite
	return RDD[T]{n}
}

// inPieces implements reparented.
func (w *pairWriter[K, V, C]) inPieces(pieces []piece) (*Node, MapWriter) {
	c := *w
	c.Parent = piecesOf(w.Parent, pieces)
	return c.Parent.node, &c
}

package clustering

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// start finds the first centres, relative to the shift, one after the other.
func (f *fitting) start(ctx context.Context) ([]float64, error) {
	switch {
	case f.InitialCenters != nil:
		return f.given()
	case f.InitMode == Random:
		return f.random(ctx)
	case f.InitMode == KMeansPlusPlus:
		return f.plusPlus(ctx)
	}
	return f.parallel(ctx)
}

func (f *fitting) given() ([]float64, error) {
	var centers []float64
	for i, c := range f.InitialCenters {
		if len(c) != f.cols {
			return nil, fmt.Errorf("centre %d of InitialCenters has %d numbers, the points have %d", i, len(c), f.cols)
		}
		centers = append(centers, f.relative(c)...)
	}
	return centers, nil
}

// random takes K points, all equally probable, and leaves out those that are equal.
func (f *fitting) random(ctx context.Context) ([]float64, error) {
	r := rand.New(rand.NewPCG(uint64(f.Seed), 0))
	chosen := map[int64]bool{}
	for int64(len(chosen)) < min(int64(f.K), f.rows) { // Floyd's way: K distinct numbers of f.rows
		j := f.rows - min(int64(f.K), f.rows) + int64(len(chosen))
		if n := r.Int64N(j + 1); !chosen[n] {
			chosen[n] = true
		} else {
			chosen[j] = true
		}
	}
	numbers := make([]int64, 0, len(chosen))
	for n := range chosen {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	points, err := f.take(ctx, numbers)
	if err != nil {
		return nil, err
	}
	return different(points, f.cols), nil
}

// take fetches points by their numbers, which ascend.
func (f *fitting) take(ctx context.Context, numbers []int64) ([]float64, error) {
	wanted := make([][]int64, len(f.starts))
	var partitions []int
	for _, n := range numbers {
		p, exact := slices.BinarySearch(f.starts, n)
		for p+1 < len(f.starts) && f.starts[p+1] == n && exact {
			p++ // empty partitions begin at the same number
		}
		if !exact {
			p--
		}
		if wanted[p] == nil {
			partitions = append(partitions, p)
		}
		wanted[p] = append(wanted[p], n-f.starts[p])
	}
	parts, err := rdd.RunPartitions(ctx, f.blocks, "KMeansTake", rdd.PartitionFunc[linalg.Block, []float64](takeRows{wanted, f.shift}), partitions)
	return slices.Concat(parts...), err
}

// takeRows copies points out of partitions.
type takeRows struct {
	Wanted [][]int64 // by partition, ascending
	Shift  []float64
}

// Run implements rdd.PartitionFunc.
func (o takeRows) Run(t *rdd.Task, p int, in rdd.Stream[linalg.Block]) ([]float64, error) {
	var out []float64
	wanted, first := o.Wanted[p], int64(0)
	return out, eachBlock(t, in, func(b *linalg.Block) error {
		for len(wanted) > 0 && wanted[0] < first+int64(b.Rows()) {
			at := len(out)
			out = append(out, make([]float64, b.Cols())...)
			copyRow(b, int(wanted[0]-first), out[at:], o.Shift)
			wanted = wanted[1:]
		}
		first += int64(b.Rows())
		return nil
	})
}

// different leaves out points that an earlier one equals.
func different(points []float64, d int) []float64 {
	var out []float64
	for at := 0; at < len(points); at += d {
		x := points[at : at+d]
		known := false
		for c := 0; c < len(out) && !known; c += d {
			known = slices.Equal(out[c:c+d], x)
		}
		if !known {
			out = append(out, x...)
		}
	}
	return out
}

// reach is, for the points of a block, which candidate is nearest and the square of its distance.
type reach struct {
	Nearest []int32
	Square  []float64
}

// reachOp finds the reach of the candidates from First on, and keeps what Before says of earlier ones where that is nearer.
type reachOp struct {
	Blocks rdd.RDD[linalg.Block]
	Before rdd.RDD[reach] // unless First is 0
	First  int
	Scan   scan
}

// Compute implements rdd.Op.
func (o reachOp) Compute(t *rdd.Task, p int) (rdd.Stream[reach], error) {
	blocks, err := o.Blocks.Compute(t, p)
	if err != nil {
		return nil, err
	}
	s := &reachStream{op: o, blocks: blocks}
	if o.First > 0 {
		if s.before, err = o.Before.Compute(t, p); err != nil {
			return nil, err
		}
	}
	return s, nil
}

type reachStream struct {
	op      reachOp
	blocks  rdd.Stream[linalg.Block]
	before  rdd.Stream[reach]
	pending []linalg.Block
	known   []reach
	out     [1]reach
}

// Next implements rdd.Stream.
func (s *reachStream) Next() ([]reach, error) {
	var err error
	for len(s.pending) == 0 {
		if s.pending, err = s.blocks.Next(); err != nil {
			return nil, err
		}
	}
	b := &s.pending[0]
	s.pending = s.pending[1:]
	r := reach{make([]int32, b.Rows()), make([]float64, b.Rows())}
	s.op.Scan.each(b, func(row int, _ []float64, nearest int, square float64) {
		r.Nearest[row], r.Square[row] = int32(s.op.First+nearest), square
	})
	if s.before != nil {
		for len(s.known) == 0 {
			if s.known, err = s.before.Next(); err != nil {
				return nil, outOfStep(err)
			}
		}
		before := s.known[0]
		s.known = s.known[1:]
		if len(before.Square) != len(r.Square) {
			return nil, outOfStep(io.ErrUnexpectedEOF)
		}
		for i, square := range before.Square {
			if square <= r.Square[i] {
				r.Nearest[i], r.Square[i] = before.Nearest[i], square
			}
		}
	}
	s.out[0] = r
	return s.out[:], nil
}

func outOfStep(err error) error {
	return fmt.Errorf("blocks were computed again and are not the same: make the points' dataset deterministic: %w", err)
}

func (f *fitting) reach(candidates []float64, first int, before rdd.RDD[reach]) rdd.RDD[reach] {
	op := reachOp{Blocks: f.blocks, Before: before, First: first}
	op.Scan = scan{Centers: candidates[first*f.cols:], K: len(candidates)/f.cols - first, Shift: f.shift}
	deps := []rdd.Dependency{rdd.Narrow{Node: f.blocks.Node()}}
	if first > 0 {
		deps = append(deps, rdd.Narrow{Node: before.Node()})
	} else {
		op.Before = rdd.RDD[reach]{}
	}
	return rdd.New(f.blocks.Session(), "KMeansReach", rdd.Op[reach](op), f.blocks.NumPartitions(), nil, deps...).Persist(rdd.MemoryAndDisk)
}

// drawOp yields the points that a pass of k-means|| draws.
type drawOp struct {
	Blocks rdd.RDD[linalg.Block]
	Reach  rdd.RDD[reach]
	Rate   float64 // probability of a point by its weighted squared distance
	Seed   int64
	Pass   int
	Shift  []float64
}

type drawn struct{ X []float64 }

// Compute implements rdd.Op.
func (o drawOp) Compute(t *rdd.Task, p int) (rdd.Stream[drawn], error) {
	var out []drawn
	r := rand.New(rand.NewPCG(uint64(o.Seed), uint64(o.Pass)<<32|uint64(p)))
	err := o.each(t, p, func(b *linalg.Block, row int, cost float64) bool {
		if r.Float64() < cost*o.Rate {
			x := make([]float64, b.Cols())
			copyRow(b, row, x, o.Shift)
			out = append(out, drawn{x})
		}
		return true
	})
	return rdd.StreamOf(out), err
}

// each calls f for the points of a partition with their weighted squared distances, until it returns false.
func (o drawOp) each(t *rdd.Task, p int, f func(b *linalg.Block, row int, cost float64) bool) error {
	blocks, err := o.Blocks.Compute(t, p)
	if err != nil {
		return err
	}
	reached, err := o.Reach.Compute(t, p)
	if err != nil {
		return err
	}
	var known []reach
	goOn := true
	return eachBlock(t, blocks, func(b *linalg.Block) error {
		for len(known) == 0 {
			if known, err = reached.Next(); err != nil {
				return outOfStep(err)
			}
		}
		for row, square := range known[0].Square {
			if goOn = goOn && f(b, row, b.Weight(row)*square); !goOn {
				break
			}
		}
		known = known[1:]
		return nil
	})
}

// costOp yields the sum of a partition's weighted squared distances, and the weights of the points nearest to each candidate.
type costOp struct {
	Draw drawOp
	K    int
}

// Compute implements rdd.Op.
func (o costOp) Compute(t *rdd.Task, p int) (rdd.Stream[tally], error) {
	out := tally{Mass: make([]float64, o.K)}
	blocks, err := o.Draw.Blocks.Compute(t, p)
	if err != nil {
		return nil, err
	}
	reached, err := o.Draw.Reach.Compute(t, p)
	if err != nil {
		return nil, err
	}
	var known []reach
	err = eachBlock(t, blocks, func(b *linalg.Block) error {
		for len(known) == 0 {
			if known, err = reached.Next(); err != nil {
				return outOfStep(err)
			}
		}
		for row, square := range known[0].Square {
			w := b.Weight(row)
			out.Cost += w * square
			out.Mass[known[0].Nearest[row]] += w
		}
		known = known[1:]
		return nil
	})
	return rdd.StreamOf([]tally{out}), err
}

// beside makes a dataset from blocks and their reach.
func beside[T any](f *fitting, r rdd.RDD[reach], kind string, op rdd.Op[T]) rdd.RDD[T] {
	return rdd.New(r.Session(), kind, op, r.NumPartitions(), nil, rdd.Narrow{Node: f.blocks.Node()}, rdd.Narrow{Node: r.Node()})
}

// costs returns the tally of each partition.
func (f *fitting) costs(ctx context.Context, r rdd.RDD[reach], candidates int) ([]tally, error) {
	op := costOp{drawOp{Blocks: f.blocks, Reach: r}, candidates}
	return beside(f, r, "KMeansCost", rdd.Op[tally](op)).Collect(ctx)
}

func total(parts []tally) (t tally) {
	for _, p := range parts {
		if t.Mass == nil {
			t.Mass = make([]float64, len(p.Mass))
		}
		t = mergeTallies(t, p)
	}
	return t
}

// first draws one point, all equally probable.
func (f *fitting) first(ctx context.Context) ([]float64, error) {
	r := rand.New(rand.NewPCG(uint64(f.Seed), 0))
	return f.take(ctx, []int64{r.Int64N(f.rows)})
}

// parallel is k-means||.
func (f *fitting) parallel(ctx context.Context) ([]float64, error) {
	candidates, err := f.first(ctx)
	if err != nil {
		return nil, err
	}
	reached := f.reach(candidates, 0, rdd.RDD[reach]{})
	defer func() { _ = reached.Unpersist(context.WithoutCancel(ctx), false) }()
	for pass := range f.InitSteps {
		parts, err := f.costs(ctx, reached, len(candidates)/f.cols)
		if err != nil {
			return nil, err
		}
		cost := total(parts).Cost
		if cost <= 0 {
			break // every point is a candidate
		}
		op := drawOp{Blocks: f.blocks, Reach: reached, Rate: 2 * float64(f.K) / cost, Seed: f.Seed, Pass: pass + 1, Shift: f.shift}
		more, err := beside(f, reached, "KMeansDraw", rdd.Op[drawn](op)).Collect(ctx)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			continue
		}
		known := len(candidates) / f.cols
		for _, x := range more {
			candidates = append(candidates, x.X...)
		}
		next := f.reach(candidates, known, reached)
		old := reached
		defer func() { _ = old.Unpersist(context.WithoutCancel(ctx), false) }()
		reached = next
	}
	parts, err := f.costs(ctx, reached, len(candidates)/f.cols)
	if err != nil {
		return nil, err
	}
	return seedCenters(candidates, total(parts).Mass, f.cols, f.K, f.unit(), f.Seed), nil
}

// plusPlus is k-means++ over all points: each centre is one point, drawn with a probability in proportion to its weighted squared
// distance from the centres so far.
func (f *fitting) plusPlus(ctx context.Context) ([]float64, error) {
	centers, err := f.first(ctx)
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(uint64(f.Seed), 1))
	reached := f.reach(centers, 0, rdd.RDD[reach]{})
	defer func() { _ = reached.Unpersist(context.WithoutCancel(ctx), false) }()
	for len(centers) < f.K*f.cols {
		parts, err := f.costs(ctx, reached, len(centers)/f.cols)
		if err != nil {
			return nil, err
		}
		cost := total(parts).Cost
		if cost <= 0 {
			break // every point is a centre
		}
		at, partition := r.Float64()*cost, -1
		for p, part := range parts {
			if part.Cost <= 0 {
				continue
			}
			if partition = p; at < part.Cost {
				break
			}
			at -= part.Cost
		}
		op := drawOp{Blocks: f.blocks, Reach: reached, Shift: f.shift}
		picked := beside(f, reached, "KMeansPick", rdd.Op[drawn](pickOp{op, partition, at}))
		x, err := picked.Collect(ctx)
		if err != nil {
			return nil, err
		}
		known := len(centers) / f.cols
		centers = append(centers, x[0].X...)
		old := reached
		reached = f.reach(centers, known, old)
		if _, err := reached.Count(ctx); err != nil { // before what it is made from goes
			return nil, err
		}
		_ = old.Unpersist(ctx, false)
	}
	return centers, nil
}

// pickOp yields the point of one partition at which the running sum of costs passes At.
type pickOp struct {
	Draw      drawOp
	Partition int
	At        float64
}

// Compute implements rdd.Op.
func (o pickOp) Compute(t *rdd.Task, p int) (rdd.Stream[drawn], error) {
	if p != o.Partition {
		return rdd.StreamOf[drawn](nil), nil
	}
	var out drawn
	at := o.At
	err := o.Draw.each(t, p, func(b *linalg.Block, row int, cost float64) bool {
		if cost <= 0 {
			return true
		}
		out.X = make([]float64, b.Cols()) // rounding may carry At past the end: then the last one counts
		copyRow(b, row, out.X, o.Draw.Shift)
		at -= cost
		return at >= 0
	})
	return rdd.StreamOf([]drawn{out}), err
}

package tree

import (
	"context"
	"math"
)

// node is a node of a tree. The nodes of a tree lie in preorder: the left child follows its parent.
type node struct {
	Feature    int32 // that the node asks for; -1: a leaf
	Bin        int32 // numeric: bins up to it go left
	Right      int32 // how many nodes further the right child is
	Set        int32 // categorical: where in Sets the categories that go left are; else -1
	Votes      int32 // of a leaf: where in Votes its classes are
	Voters     int32 // and how many
	Gain       float64
	Impurity   float64
	Weight     float64 // of the rows of the training
	Prediction float64
}

// vote is the weight of a class in a leaf.
type vote struct {
	Class  int32
	Weight float64
}

// grown is a tree, or a part of one.
type grown struct {
	Nodes []node
	Sets  []uint64
	Votes []vote
}

// open appends a node and returns where it is.
func (g *grown) open(p *problem, stats []float64, impurity float64) int {
	g.Nodes = append(g.Nodes, node{Feature: -1, Set: -1, Impurity: impurity, Weight: p.weight(stats), Prediction: p.prediction(stats)})
	return len(g.Nodes) - 1
}

// leaf makes the last node a leaf.
func (g *grown) leaf(p *problem, stats []float64) {
	if p.Regression {
		return
	}
	n := &g.Nodes[len(g.Nodes)-1]
	n.Votes = int32(len(g.Votes))
	for c, w := range stats[:len(stats)-1] {
		if w > 0 {
			g.Votes = append(g.Votes, vote{int32(c), w})
			n.Voters++
		}
	}
}

// decide makes a node one that splits.
func (g *grown) decide(at int, s *split) {
	n := &g.Nodes[at]
	n.Feature, n.Bin, n.Gain = s.feature, s.bin, s.gain
	if s.categories != nil {
		n.Set = int32(len(g.Sets))
		g.Sets = append(g.Sets, s.categories...)
	}
}

// close ends a node whose subtrees have been appended; the right one begins at right. In a single tree two leaves that predict the same
// become one. Spark does that in forests too, where it blurs the votes.
func (g *grown) close(p *problem, at, right int, stats []float64) {
	n := &g.Nodes[at]
	n.Right = int32(right - at)
	l, r := &g.Nodes[at+1], &g.Nodes[right]
	if !p.Merge || l.Feature >= 0 || r.Feature >= 0 || l.Prediction != r.Prediction {
		return
	}
	g.Votes = g.Votes[:l.Votes]
	if n.Set >= 0 {
		g.Sets = g.Sets[:n.Set]
	}
	n.Feature, n.Bin, n.Right, n.Set, n.Gain = -1, 0, 0, -1, 0
	g.Nodes = g.Nodes[:at+1]
	g.leaf(p, stats)
}

// graft appends a subtree.
func (g *grown) graft(s *grown) {
	for _, n := range s.Nodes {
		if n.Set >= 0 {
			n.Set += int32(len(g.Sets))
		}
		n.Votes += int32(len(g.Votes))
		g.Nodes = append(g.Nodes, n)
	}
	g.Sets = append(g.Sets, s.Sets...)
	g.Votes = append(g.Votes, s.Votes...)
}

// terminal tells whether a node cannot be split, whatever its rows are.
func (p *problem) terminal(stats []float64, impurity float64, depth int) bool {
	return depth >= p.MaxDepth || impurity <= p.noise(stats) || count(stats) < 2*p.MinCount || len(p.Usable) == 0
}

// noise is up to where an impurity may be a rounding error. A variance is the difference of two numbers as large as the mean square.
func (p *problem) noise(stats []float64) float64 {
	if p.Regression {
		return 1e-14 * stats[sumYY] / max(stats[sumWeight], math.SmallestNonzeroFloat64)
	}
	return 1e-14
}

// grower grows trees, and parts of trees, on rows that are all at hand, depth first.
type grower struct {
	*problem
	ctx     context.Context
	counter *counter
	finder  *finder
	chooser chooser
	seed    uint64
	cells   []float64 // histograms of the features that a node chooses from
	scratch []record
	levels  [][]float64 // by depth: statistics of the two children
	starts  []int       // where each usable feature begins in a histogram of all
	free    [][]float64 // histograms of all features that are not in use
	tick    int
	out     grown
}

func newGrower(ctx context.Context, p *problem, t *table) *grower {
	g := &grower{problem: p, ctx: ctx, counter: newCounter(p, t), finder: newFinder(p), chooser: newChooser(p.Usable)}
	total := 0
	for _, f := range p.Usable {
		g.starts = append(g.starts, total)
		total += p.Features[f].Bins * p.statSize()
	}
	g.starts = append(g.starts, total)
	return g
}

// tree grows a whole tree.
func (g *grower) tree(seed uint64) (grown, error) {
	g.seed = seed
	records := g.counter.draw(seed)
	g.counter.load(records)
	stats := make([]float64, g.statSize())
	g.counter.stats(stats, records)
	return g.subtree(records, 0, rootPath, stats)
}

// subtree grows what lies below a node.
func (g *grower) subtree(records []record, depth int, path uint64, stats []float64) (grown, error) {
	g.out = grown{}
	if len(g.scratch) < len(records) {
		g.scratch = make([]record, len(records))
	}
	err := g.grow(records, depth, path, stats, nil)
	return g.out, err
}

// subtract tells whether a histogram is better made by taking one from another: where nodes look at all features, for which the sums are
// exact enough. The sums of broken weights of classes are not: a class that a node lacks would keep a trace.
func (g *grower) subtract() bool {
	return g.Subset >= len(g.Usable) && (g.counts() || g.Regression)
}

// grow appends the node of the records and what lies below it. hist, if not nil, is the node's histogram of all features.
func (g *grower) grow(records []record, depth int, path uint64, stats, hist []float64) error {
	if g.tick++; g.tick&255 == 0 || len(records) > 4096 {
		if err := context.Cause(g.ctx); err != nil {
			return err
		}
	}
	impurity := g.impurity(stats)
	at := g.out.open(g.problem, stats, impurity)
	if g.terminal(stats, impurity, depth) {
		g.release(hist)
		g.out.leaf(g.problem, stats)
		return nil
	}
	g.finder.start(stats, impurity)
	if g.subtract() {
		if hist == nil {
			hist = g.all(records, stats)
		}
		for i, f := range g.Usable {
			g.finder.look(f, hist[g.starts[i]:g.starts[i+1]])
		}
	} else {
		g.counter.load(records)
		features := g.chooser.choose(g.Subset, g.seed, path)
		n := 0
		for _, f := range features {
			n += g.Features[f].Bins * g.statSize()
		}
		if len(g.cells) < n {
			g.cells = make([]float64, n)
		}
		g.counter.histograms(g.cells, features, records, stats)
		rest := g.cells
		for _, f := range features {
			g.finder.look(f, rest)
			rest = rest[g.Features[f].Bins*g.statSize():]
		}
	}
	s := &g.finder.best
	if s.feature < 0 {
		g.release(hist)
		g.out.leaf(g.problem, stats)
		return nil
	}
	g.out.decide(at, s)
	left, right := g.children(depth)
	copy(left, s.left)
	copy(right, s.right)
	n := g.counter.part(records, g.scratch, s)
	histLeft, histRight := g.siblings(records, n, left, right, depth+1, hist)
	if err := g.grow(records[:n], depth+1, leftPath(path), left, histLeft); err != nil {
		return err
	}
	next := len(g.out.Nodes)
	if err := g.grow(records[n:], depth+1, rightPath(path), right, histRight); err != nil {
		return err
	}
	g.out.close(g.problem, at, next, stats)
	return nil
}

// children is where the statistics of the children of a node at some depth are kept.
func (g *grower) children(depth int) (left, right []float64) {
	n := g.statSize()
	for len(g.levels) <= depth {
		g.levels = append(g.levels, make([]float64, 2*n))
	}
	both := g.levels[depth]
	return both[:n], both[n:]
}

// all makes the histogram of all features.
func (g *grower) all(records []record, stats []float64) []float64 {
	var hist []float64
	if n := len(g.free); n > 0 {
		hist, g.free = g.free[n-1], g.free[:n-1]
	} else {
		hist = make([]float64, g.starts[len(g.Usable)])
	}
	g.counter.load(records)
	g.counter.histograms(hist, g.Usable, records, stats)
	return hist
}

// release gives a histogram back.
func (g *grower) release(hist []float64) {
	if hist != nil {
		g.free = append(g.free, hist)
	}
}

// siblings makes the histograms of two children out of their parent's, which it takes over: that of the side with fewer rows from its
// rows, the other as the rest. Where there are fewer rows than bins neither is made: counting them again is cheaper.
func (g *grower) siblings(records []record, n int, left, right []float64, depth int, hist []float64) (l, r []float64) {
	if hist == nil {
		return nil, nil
	}
	few, fewer := records[:n], left
	many, rest := records[n:], right
	swap := len(few) > len(many)
	if swap {
		few, fewer, many, rest = many, rest, few, fewer
	}
	if len(many)*g.statSize() < g.starts[len(g.Usable)] || g.terminal(rest, g.impurity(rest), depth) {
		g.release(hist)
		return nil, nil
	}
	small := g.all(few, fewer)
	for i, v := range small {
		hist[i] -= v
	}
	if swap {
		return hist, small
	}
	return small, hist
}

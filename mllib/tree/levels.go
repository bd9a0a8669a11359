package tree

import (
	"context"
	"fmt"
	"slices"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/rdd"
)

// sprout is a tree on the driver while it grows level by level.
type sprout struct {
	growing
	chooser chooser
	known   []known // of the same nodes
	kept    int64   // bytes of the histograms that siblings of this level are made from
}

// known is what the driver knows of a node.
type known struct {
	stats []float64
	gain  float64
	rest  *grown // what a task grew below it
}

// open is a node that waits for its histograms.
type open struct {
	tree  *sprout
	at    int32
	depth int
	path  uint64
	// The node's sibling, with more rows, and the histogram of both together: the sibling's is what is left of it.
	sibling *open
	parent  []float64
	// Chosen for this level.
	features []int32
	cells    int
}

// front grows trees level by level on data that stays in its partitions: a job makes the histograms of all open nodes, the driver
// chooses the splits. Nodes with few rows leave the front: their rows are brought to one task, which grows what is below.
type front struct {
	*training
	tables rdd.RDD[table]
	finder *finder
	group  int
	share  int64 // of the memory limit, for the parents' histograms of one tree: the same however many trees grow together
	trees  []*sprout
	smalls []*open
}

// growLevels trains on data that is too large to be brought together.
func (t *training) growLevels(ctx context.Context) (*Forest, error) {
	tables := t.tables().Persist(rdd.MemoryAndDisk)
	defer func() { _ = tables.Unpersist(context.WithoutCancel(ctx), false) }()
	// Places take four bytes for each row and tree.
	together := min(t.settings.NumTrees, max(1, int(t.limit()/(4*max(1, slices.Max(t.rows))))))
	share := t.limit() / int64(together)
	way := "level by level"
	if t.Regression {
		way += fmt.Sprintf(" with %d bytes a tree", share) // which decides on the order of sums
	}
	h, err := t.harvest(ctx, way, func() ([]string, error) {
		return rdd.RunPartitions(ctx, tables, "ForestDigest", rdd.PartitionFunc[table, string](digestTables{}), nil)
	})
	if err != nil {
		return nil, fmt.Errorf("tree.%s: %w", t.name, err)
	}
	if h.keeper != nil {
		together = min(together, t.settings.CheckpointInterval)
	}
	for numbers := range slices.Chunk(h.missing(), together) {
		f := &front{training: t, tables: tables, finder: newFinder(&t.problem), group: numbers[0] + 1, share: share}
		for _, n := range numbers {
			f.trees = append(f.trees, &sprout{growing: growing{Tree: n, Seed: treeSeed(t.Seed, n)}, chooser: newChooser(t.Usable)})
		}
		if err := f.grow(ctx); err != nil {
			return nil, err
		}
		trees := make([]grown, len(numbers))
		for i, s := range f.trees {
			f.assemble(&trees[i], s, 0)
		}
		if err := h.bring(ctx, numbers, trees); err != nil {
			return nil, err
		}
	}
	return h.finish(ctx), nil
}

// digestTables names the rows of a partition.
type digestTables struct{}

// Run implements rdd.PartitionFunc.
func (digestTables) Run(t *rdd.Task, _ int, in rdd.Stream[table]) (string, error) {
	var all []string
	err := rdd.EachBatch(t, in, func(tables []table) error {
		for i := range tables {
			all = append(all, tables[i].digest())
		}
		return nil
	})
	return checkpoint.Digest(all), err
}

// limit is what the histograms of a step may take: MaxMemoryInMB, and where that changes no bit no more than a task's part of an executor's memory,
// half of it for the data.
func (t *training) limit() int64 {
	limit := int64(t.settings.MaxMemoryInMB) << 20
	if memory, tasks := rdd.ExecutorSize(t.batches.Session()); memory > 0 && t.exact() {
		limit = min(limit, max(memory/int64(2*tasks), 1<<20))
	}
	return limit
}

// exact says that sums do not depend on their order: they are counts. Then both ways of growing, and groups of nodes of any size, give the same bits, so
// that they may follow the memory of the executors.
func (t *training) exact() bool { return !t.Regression && !t.Weighted }

// grow grows the trees of the front to their end.
func (f *front) grow(ctx context.Context) error {
	var level []*open
	for _, s := range f.trees {
		level = append(level, f.add(s, 0, rootPath, nil))
	}
	for depth := 0; len(level) > 0; depth++ {
		for _, s := range f.trees {
			s.kept = 0
		}
		var next []*open
		n := len(level)
		for len(level) > 0 {
			// As many nodes as their histograms leave room for, but at least one.
			k, bytes := 0, int64(0)
			for k < len(level) {
				f.choose(level[k])
				if bytes += 8 * int64(level[k].cells); k > 0 && bytes > f.limit() {
					break
				}
				k++
			}
			children, err := f.split(ctx, level[:k])
			if err != nil {
				return err
			}
			next = append(next, children...)
			level = level[k:]
		}
		if err := f.finish(ctx); err != nil {
			return err
		}
		nodes := 0
		for _, s := range f.trees {
			nodes += len(s.Nodes)
		}
		f.log.Info("growing", "level", depth, "split", n, "nodes", nodes, "trees", f.trees[len(f.trees)-1].Tree+1, "of", f.settings.NumTrees, "seconds", f.seconds())
		level = next
	}
	return nil
}

// add appends a node to a tree.
func (f *front) add(s *sprout, depth int, path uint64, stats []float64) *open {
	s.Nodes = append(s.Nodes, asked{Set: -1})
	s.Slots = append(s.Slots, -1)
	s.known = append(s.known, known{stats: slices.Clone(stats)})
	return &open{tree: s, at: int32(len(s.Nodes) - 1), depth: depth, path: path}
}

// choose draws the features of a node.
func (f *front) choose(o *open) {
	o.features = slices.Clone(o.tree.chooser.choose(f.Subset, o.tree.Seed, o.path))
	o.cells = f.statSize()
	for _, n := range o.features {
		o.cells += f.Features[n].Bins * f.statSize()
	}
}

// step makes the step that wants the rows of the given nodes.
func (f *front) step(nodes []*open) *step {
	s := &step{Problem: f.problem, Group: f.group}
	for _, t := range f.trees {
		for i := range t.Slots {
			t.Slots[i] = -1
		}
	}
	for _, o := range nodes {
		o.tree.Slots[o.at] = int32(len(s.Slots))
		s.Slots = append(s.Slots, slot{Features: o.features, Start: s.Cells})
		s.Cells += o.cells
	}
	for _, t := range f.trees {
		// The driver goes on to append to the lists while a late task may still read them: appending leaves the part that it has alone,
		// and children are set on a copy.
		g := t.growing
		g.Nodes, g.Slots = slices.Clone(g.Nodes), slices.Clone(g.Slots)
		s.Trees = append(s.Trees, g)
	}
	return s
}

// split makes the histograms of the nodes and splits them. It returns the nodes that are open then.
func (f *front) split(ctx context.Context, nodes []*open) ([]*open, error) {
	session := f.tables.Session()
	shared, err := rdd.NewBroadcast(session, f.step(nodes))
	if err != nil {
		return nil, err
	}
	defer shared.Destroy(session)
	hists := rdd.New(session, "ForestHistograms", rdd.Op[cells](histogramOp{f.tables, shared}), f.tables.NumPartitions(), nil, rdd.Narrow{Node: f.tables.Node()})
	all, err := rdd.TreeReduce(ctx, hists, addCells)
	if err != nil {
		return nil, err
	}
	var next []*open
	start := 0
	for _, o := range nodes {
		hist := all.Data[start : start+o.cells]
		start += o.cells
		next = f.decide(next, o, hist)
		if o.sibling == nil {
			continue
		}
		for i, v := range hist {
			o.parent[i] -= v
		}
		o.sibling.features, o.sibling.cells = o.features, o.cells
		next = f.decide(next, o.sibling, o.parent)
	}
	return next, nil
}

// decide splits a node, or leaves it a leaf, and appends its children to those that are open.
func (f *front) decide(next []*open, o *open, hist []float64) []*open {
	k := &o.tree.known[o.at]
	if k.stats == nil {
		k.stats = slices.Clone(hist[:f.statSize()]) // a root
	}
	impurity := f.impurity(k.stats)
	if f.terminal(k.stats, impurity, o.depth) {
		return next
	}
	f.finder.start(k.stats, impurity)
	rest := hist[f.statSize():]
	for _, n := range o.features {
		size := f.Features[n].Bins * f.statSize()
		f.finder.look(n, rest[:size])
		rest = rest[size:]
	}
	s := &f.finder.best
	if s.feature < 0 {
		return next
	}
	k.gain = s.gain
	left := f.add(o.tree, o.depth+1, leftPath(o.path), s.left)
	right := f.add(o.tree, o.depth+1, rightPath(o.path), s.right)
	n := &o.tree.Nodes[o.at]
	n.Feature, n.Bin, n.Child = s.feature, s.bin, left.at
	if s.categories != nil {
		n.Set = int32(len(o.tree.Sets))
		o.tree.Sets = append(o.tree.Sets, s.categories...)
	}
	both := []*open{left, right}
	both = slices.DeleteFunc(both, func(c *open) bool {
		stats := c.tree.known[c.at].stats
		return f.terminal(stats, f.impurity(stats), c.depth) || f.small(c, stats, o.cells)
	})
	if len(both) == 2 && f.Subset >= len(f.Usable) && (f.counts() || f.Regression) && o.tree.kept+8*int64(o.cells) <= f.share {
		o.tree.kept += 8 * int64(o.cells)
		if count(s.left) > count(s.right) {
			left, right = right, left
		}
		left.sibling, left.parent = right, slices.Clone(hist)
		return append(next, left)
	}
	return append(next, both...)
}

// small takes a node off the front if sending its rows to one task costs less than another round of histograms from every partition
// for each level below it. cells is the size of such a histogram.
func (f *front) small(o *open, stats []float64, cells int) bool {
	bytes := int64(count(stats)) * int64(len(f.Usable)+8)
	rounds := int64(min(f.MaxDepth-o.depth, 8))
	if bytes > f.limit() || bytes > 8*int64(cells)*rounds*int64(len(f.rows)) {
		return false
	}
	f.smalls = append(f.smalls, o)
	return true
}

// finish grows the small nodes to their end.
func (f *front) finish(ctx context.Context) error {
	session := f.tables.Session()
	for len(f.smalls) > 0 {
		// As many rows at a time as memory allows, but at least one node.
		k, bytes := 0, int64(0)
		for k < len(f.smalls) {
			o := f.smalls[k]
			if bytes += int64(count(o.tree.known[o.at].stats)) * int64(len(f.Usable)+8); k > 0 && bytes > 4*f.limit() {
				break
			}
			k++
		}
		nodes := f.smalls[:k]
		f.smalls = f.smalls[k:]
		smalls := make([]small, len(nodes))
		for i, o := range nodes {
			o.features, o.cells = nil, 0
			smalls[i] = small{o.depth, o.path, o.tree.Seed, o.tree.known[o.at].stats}
		}
		if err := f.finishSome(ctx, session, nodes, smalls); err != nil {
			return err
		}
	}
	return nil
}

func (f *front) finishSome(ctx context.Context, session rdd.Session, nodes []*open, smalls []small) error {
	shared, err := rdd.NewBroadcast(session, f.step(nodes))
	if err != nil {
		return err
	}
	defer shared.Destroy(session)
	tasks, err := rdd.NewBroadcast(session, smalls)
	if err != nil {
		return err
	}
	defer tasks.Destroy(session)
	sent := rdd.New(session, "ForestRows", rdd.Op[rdd.Pair[int32, piece]](sendOp{f.tables, shared}), f.tables.NumPartitions(), nil, rdd.Narrow{Node: f.tables.Node()})
	parts := min(len(nodes), 2*f.tables.NumPartitions())
	got, err := rdd.RunPartitions(ctx, rdd.GroupByKey(sent, parts), "GrowSubtrees", rdd.PartitionFunc[rdd.Pair[int32, []piece], []finished](finish{shared, tasks}), nil)
	if err != nil {
		return err
	}
	for _, part := range got {
		for i := range part {
			if n := int(part[i].Slot); n < len(nodes) {
				nodes[n].tree.known[nodes[n].at].rest = &part[i].Tree
			}
		}
	}
	for _, o := range nodes {
		if o.tree.known[o.at].rest == nil {
			return fmt.Errorf("tree.%s: the rows of a node got lost: the data changes from reading to reading: persist it", f.name)
		}
	}
	return nil
}

// assemble puts a tree into preorder.
func (f *front) assemble(g *grown, s *sprout, at int32) {
	k, n := &s.known[at], &s.Nodes[at]
	if k.rest != nil {
		g.graft(k.rest)
		return
	}
	here := g.open(&f.problem, k.stats, f.impurity(k.stats))
	if n.Child == 0 {
		g.leaf(&f.problem, k.stats)
		return
	}
	q := split{feature: n.Feature, bin: n.Bin, gain: k.gain}
	if n.Set >= 0 {
		words := (f.Features[n.Feature].Arity + 63) / 64
		q.categories = s.Sets[n.Set : int(n.Set)+words]
	}
	g.decide(here, &q)
	f.assemble(g, s, n.Child)
	right := len(g.Nodes)
	f.assemble(g, s, n.Child+1)
	g.close(&f.problem, here, right, k.stats)
}

package tree

import (
	"context"
	"fmt"
	"sync"

	"github.com/spark-go/spark-go/rdd"
)

// asked is a node of a growing tree as tasks see it: a question with two children, which stand next to each other in the tree's list, or
// a node without children so far.
type asked struct {
	Feature int32
	Bin     int32
	Set     int32 // of categories that go left, in the list's Sets; else -1
	Child   int32 // the left one; 0: none
}

// growing is a tree as far as it has grown. Its list only ever gets longer, and a node that has children keeps them, so that a place in
// the list stays right: a row that stood at a node then is at that node or below it now.
type growing struct {
	Tree  int
	Seed  uint64
	Nodes []asked
	Sets  []uint64
	Slots []int32 // of each node: which of the step's slots wants its rows; -1: none
}

// slot is a node whose histograms a step makes: its statistics, then those of the bins of each of its features.
type slot struct {
	Features []int32
	Start    int // in the cells
}

// step is what one job does.
type step struct {
	Problem problem
	Group   int // of trees; places of another group are no use
	Trees   []growing
	Slots   []slot
	Cells   int
}

// rowsOf says which records of a tree are in which slots: those of the i-th slot of the tree, whose number is slots[i], are
// records[starts[i]:starts[i+1]], in the order of the rows.
func (s *step) rowsOf(c *counter, tree int, nodes []int32) (records []record, slots, starts []int32) {
	t := &s.Trees[tree]
	local := make([]int32, len(s.Slots))
	for i := range local {
		local[i] = -1
	}
	for _, n := range t.Slots {
		if n >= 0 {
			local[n] = int32(len(slots))
			slots = append(slots, n)
		}
	}
	starts = make([]int32, len(slots)+1)
	copies := make([]uint16, c.Rows)
	for row := range c.Rows {
		at := nodes[row]
		if at < 0 {
			continue // not in the bag
		}
		for t.Nodes[at].Child > 0 {
			n := &t.Nodes[at]
			at = n.Child
			if b := c.Bins[n.Feature].at(uint32(row)); n.Set >= 0 {
				if t.Sets[int(n.Set)+b>>6]>>(b&63)&1 == 0 {
					at++
				}
			} else if int32(b) > n.Bin {
				at++
			}
		}
		nodes[row] = at
		n := t.Slots[at]
		if n < 0 {
			continue
		}
		if c.Weights == nil || c.Weights[row] > 0 {
			copies[row] = uint16(c.Bag.copies(t.Seed, uint64(c.First)+uint64(row)))
		}
		if copies[row] > 0 {
			starts[local[n]+1]++
		} else {
			nodes[row] = -1
		}
	}
	for i := range slots {
		starts[i+1] += starts[i]
	}
	records = make([]record, starts[len(slots)])
	next := append([]int32(nil), starts...)
	for row, n := range copies {
		if n == 0 {
			continue
		}
		class := uint16(0)
		if c.Classes != nil {
			class = c.Classes[row]
		}
		i := local[t.Slots[nodes[row]]]
		records[next[i]] = recordOf(row, class, uint32(n))
		next[i]++
	}
	return records, slots, starts
}

// places says where each row of a table stands in the trees that are growing: at which node, by its number in the tree's list, or -1 if
// the tree does not see it. It spares
// the way down from the root, and is nothing that results depend on: it stays in the process where the table is kept, goes with it, and
// is empty wherever the table arrives anew.
type places struct {
	mu    sync.Mutex // held by the task that uses it
	group int        // which trees
	nodes [][]int32  // of each tree, for each row
}

// MarshalBinary leaves everything behind.
func (p *places) MarshalBinary() ([]byte, error) { return nil, nil }

// UnmarshalBinary makes empty places.
func (p *places) UnmarshalBinary([]byte) error { return nil }

// eachTree calls f with the records of each tree.
func (s *step) eachTree(ctx context.Context, c *counter, f func(records []record, slots, starts []int32) error) error {
	p := c.Places
	if p == nil || !p.mu.TryLock() {
		p = &places{} // another attempt of this task is at work
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	if p.group != s.Group || len(p.nodes) != len(s.Trees) {
		p.group, p.nodes = s.Group, make([][]int32, len(s.Trees))
	}
	for i := range s.Trees {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if p.nodes[i] == nil {
			p.nodes[i] = make([]int32, c.Rows)
		}
		for _, at := range p.nodes[i] {
			if int(at) >= len(s.Trees[i].Nodes) {
				// An attempt of an earlier step that comes late: the places are ahead of it.
				p.nodes[i] = make([]int32, c.Rows)
				break
			}
		}
		records, slots, starts := s.rowsOf(c, i, p.nodes[i])
		if err := f(records, slots, starts); err != nil {
			return err
		}
	}
	return nil
}

// oneTable reads the table of a partition.
func oneTable(t *rdd.Task, p int, tables rdd.RDD[table]) (*table, error) {
	in, err := tables.Compute(t, p)
	if err != nil {
		return nil, err
	}
	rows, err := in.Next()
	if err != nil {
		return nil, fmt.Errorf("train trees: read the bins of partition %d: %w", p, err)
	}
	return &rows[0], nil
}

// cells are histograms, one after the other.
type cells struct{ Data []float64 }

func addCells(a, b cells) cells {
	add(a.Data, b.Data)
	return a
}

// histogramOp makes the histograms of a step over each partition.
type histogramOp struct {
	Tables rdd.RDD[table]
	Step   rdd.Broadcast[*step]
}

// Compute implements rdd.Op.
func (o histogramOp) Compute(t *rdd.Task, p int) (rdd.Stream[cells], error) {
	tab, err := oneTable(t, p, o.Tables)
	if err != nil {
		return nil, err
	}
	s := o.Step.Value()
	c := newCounter(&s.Problem, tab)
	out := cells{make([]float64, s.Cells)}
	err = s.eachTree(t.Context(), c, func(records []record, slots, starts []int32) error {
		for i, n := range slots {
			if err := context.Cause(t.Context()); err != nil {
				return err
			}
			mine := records[starts[i]:starts[i+1]]
			slot := &s.Slots[n]
			to := out.Data[slot.Start:]
			stats := to[:c.size]
			c.load(mine)
			c.stats(stats, mine)
			c.histograms(to[c.size:], slot.Features, mine, stats)
		}
		return nil
	})
	return rdd.StreamOf([]cells{out}), err
}

// piece is the rows of a slot that one partition holds.
type piece struct {
	Rows    int
	Narrow  []uint8 // of each usable feature with few bins, the bins of all rows
	Wide    []uint16
	Classes []uint16
	Copies  []uint16
	Targets []float64
	Weights []float64
}

// sendOp sends the rows of each slot to where the rest of its tree grows.
type sendOp struct {
	Tables rdd.RDD[table]
	Step   rdd.Broadcast[*step]
}

// Compute implements rdd.Op.
func (o sendOp) Compute(t *rdd.Task, p int) (rdd.Stream[rdd.Pair[int32, piece]], error) {
	tab, err := oneTable(t, p, o.Tables)
	if err != nil {
		return nil, err
	}
	s := o.Step.Value()
	c := newCounter(&s.Problem, tab)
	var out []rdd.Pair[int32, piece]
	err = s.eachTree(t.Context(), c, func(records []record, slots, starts []int32) error {
		for i, n := range slots {
			if mine := records[starts[i]:starts[i+1]]; len(mine) > 0 {
				out = append(out, rdd.Pair[int32, piece]{Key: n, Value: pieceOf(&s.Problem, tab, mine)})
			}
		}
		return nil
	})
	return rdd.StreamOf(out), err
}

func pieceOf(p *problem, t *table, records []record) piece {
	out := piece{Rows: len(records), Copies: make([]uint16, len(records))}
	for _, f := range p.Usable {
		if b := t.Bins[f].Narrow; b != nil {
			for _, r := range records {
				out.Narrow = append(out.Narrow, b[rowOf(r)])
			}
		} else {
			for _, r := range records {
				out.Wide = append(out.Wide, t.Bins[f].Wide[rowOf(r)])
			}
		}
	}
	for i, r := range records {
		out.Copies[i] = uint16(copiesOf(r))
		if p.Regression {
			out.Targets = append(out.Targets, t.Targets[rowOf(r)])
		} else {
			out.Classes = append(out.Classes, uint16(classOf(r)))
		}
		if t.Weights != nil {
			out.Weights = append(out.Weights, t.Weights[rowOf(r)])
		}
	}
	return out
}

// assemble makes a table of pieces, and its records.
func assemble(p *problem, pieces []piece) (*table, []record) {
	rows := 0
	for i := range pieces {
		rows += pieces[i].Rows
	}
	t := newTable(p.Features, 0, p.Regression, p.Weighted)
	var copies []uint16
	for i := range pieces {
		x := &pieces[i]
		narrow, wide := x.Narrow, x.Wide
		for _, f := range p.Usable {
			if b := &t.Bins[f]; b.Narrow != nil {
				b.Narrow = append(b.Narrow, narrow[:x.Rows]...)
				narrow = narrow[x.Rows:]
			} else {
				b.Wide = append(b.Wide, wide[:x.Rows]...)
				wide = wide[x.Rows:]
			}
		}
		t.Classes = append(t.Classes, x.Classes...)
		t.Targets = append(t.Targets, x.Targets...)
		t.Weights = append(t.Weights, x.Weights...)
		copies = append(copies, x.Copies...)
	}
	t.Rows = rows
	t.pack(p.Features)
	records := make([]record, rows)
	for i := range records {
		class := uint16(0)
		if t.Classes != nil {
			class = t.Classes[i]
		}
		records[i] = recordOf(i, class, uint32(copies[i]))
	}
	return &t, records
}

// small is a node whose rows one task takes.
type small struct {
	Depth int
	Path  uint64
	Seed  uint64
	Stats []float64
}

// finished is what grew below it.
type finished struct {
	Slot int32
	Tree grown
}

// finish grows the rest of the trees whose rows came together.
type finish struct {
	Step   rdd.Broadcast[*step]
	Smalls rdd.Broadcast[[]small]
}

// Run implements rdd.PartitionFunc.
func (f finish) Run(t *rdd.Task, _ int, in rdd.Stream[rdd.Pair[int32, []piece]]) ([]finished, error) {
	p, smalls := &f.Step.Value().Problem, f.Smalls.Value()
	var out []finished
	var g *grower
	groups, err := rdd.ReadAll(in)
	if err != nil {
		return nil, err
	}
	for i := range groups {
		n := groups[i].Key
		tab, records := assemble(p, groups[i].Value)
		groups[i].Value = nil
		if g == nil {
			g = newGrower(t.Context(), p, tab)
		}
		g.counter.table, g.seed = tab, smalls[n].Seed
		grown, err := g.subtree(records, smalls[n].Depth, smalls[n].Path, smalls[n].Stats)
		if err != nil {
			return nil, err
		}
		out = append(out, finished{n, grown})
	}
	return out, nil
}

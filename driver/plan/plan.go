// Package plan cuts a lineage into stages.
//
// A stage is a chain of datasets whose partitions can be computed one by one, without rows of other partitions: it reaches from
// a target dataset back over narrow dependencies to inputs and to shuffles. Where it meets a shuffle, another stage must have
// written that shuffle's map outputs before. A plan has one stage that computes the job's result and one for every shuffle
// in the lineage, however many datasets read it.
//
// Planning is a pure function of the lineage, of which map outputs exist and of which datasets are cached. Its invariants:
//
//   - Stages are listed parents first, and the result stage last; of two parents the one nearer to the target comes first. The same
//     lineage always gets the same numbers.
//   - A stage is skipped when nothing needs it: all its map outputs exist, or everything that reads it is skipped, or a cached
//     dataset stands between it and its readers. Skipped stages stay in the plan, because a lost map output or a lost cached
//     block can make them needed while the job runs; that is the scheduler's decision.
//   - Of a stage whose map outputs exist in part, only the missing ones are computed.
//   - The walk uses no recursion and visits each dataset once for each stage that contains it: its cost is the size of the
//     stages. A chain of 100,000 narrow dependencies or of 10,000 shuffles is no special case.
package plan

import (
	"fmt"
	"slices"
	"strings"
)

// Result is the shuffle number of the result stage, which writes no shuffle.
const Result = -1

// Node is a dataset as the planner sees it. Two values for the same dataset must be equal and have the same ID.
type Node interface {
	ID() int
	Partitions() int
	String() string
	// Edges lists the dependencies in the order of the operation's arguments.
	Edges() []Edge
}

// BarrierNode is a Node whose partitions are computed by tasks that run all at the same time and wait for each other.
type BarrierNode interface {
	Node
	Barrier() bool
}

// Edge is a dependency: narrow, or on a shuffle.
type Edge struct {
	Parent  Node
	Wide    bool
	Shuffle int // with Wide: the shuffle's number, unique in the application
	Dep     any // with Wide: the dependency itself, for the reader of the plan; in lineages of rdd datasets an *rdd.Shuffle
}

// Stage is a set of tasks, one for each partition of Target, that run the same program.
type Stage struct {
	ID      int
	Shuffle int  // the shuffle whose map outputs the tasks write, or Result
	Dep     any  // Edge.Dep of that shuffle; nil for the result stage
	Target  Node // the last dataset of the stage
	Tasks   int  // partitions of Target

	// Parents are the stages, by ID, whose map outputs the tasks read.
	Parents []int
	// Behind are the further stages whose map outputs the tasks would read if cached blocks of their lineage were lost.
	Behind []int

	// Skipped says that no task has to run as things are.
	Skipped bool
	// Barrier says that the tasks must run all at the same time: the stage has a barrier dataset, cached or not.
	Barrier bool
	// Missing lists in ascending order the partitions to compute. It is nil for all of them, and in skipped stages.
	Missing []int
}

// Plan is the stages of one job.
type Plan struct {
	Stages []*Stage // parents first; the result stage is the last
}

// Result is the stage that computes the job's result.
func (p *Plan) Result() *Stage { return p.Stages[len(p.Stages)-1] }

// Options say what exists already. The zero value says that nothing does.
type Options struct {
	// First is the ID of the first stage; the others count up from it.
	First int
	// Partitions lists the partitions of the target that the job wants; nil means all.
	Partitions []int
	// Missing lists in ascending order the map outputs of a shuffle with the given number of map partitions that do not
	// exist; empty if all do. A nil function means that none exists.
	Missing func(shuffle, maps int) []int
	// Cached says whether every partition of a dataset is cached, so that the datasets before it are not needed. A nil
	// function means that none is.
	Cached func(Node) bool
}

// New plans the job that computes target.
func New(target Node, opts Options) *Plan {
	b := builder{opts: opts, byShuffle: map[int]*draft{}, stamps: map[int]int{}}
	b.discover(target)
	b.markNeeded()
	return b.finish()
}

// draft is a stage under construction; its readers and parents are known by pointer until numbers are given.
type draft struct {
	stage   Stage
	parents []*draft
	behind  []*draft
	next    int // how many of parents and behind the depth-first walk has entered
}

type builder struct {
	opts      Options
	byShuffle map[int]*draft
	order     []*draft // parents first

	// Scratch of walk. stamps says in which walk a dataset was last seen, so that the map is not cleared between walks.
	stamps map[int]int
	stamp  int
	stack  []Node
	hidden []Node
}

// discover finds all stages from the result stage back and orders them parents first.
func (b *builder) discover(target Node) {
	result := &draft{stage: Stage{Shuffle: Result, Target: target, Tasks: target.Partitions()}}
	b.walk(result)
	stack := []*draft{result}
	for len(stack) > 0 {
		d := stack[len(stack)-1]
		var child *draft
		for child == nil && d.next < len(d.parents)+len(d.behind) {
			c := d.parent(d.next)
			d.next++
			if c.stage.ID == unseen {
				child = c
			}
		}
		if child == nil {
			b.order = append(b.order, d)
			stack = stack[:len(stack)-1]
			continue
		}
		child.stage.ID = seen
		b.walk(child)
		stack = append(stack, child)
	}
	for i, d := range b.order {
		d.stage.ID = b.opts.First + i
	}
}

// Before numbers are given, a draft's ID says whether the depth-first walk has entered it.
const (
	seen   = 0
	unseen = -1
)

func (d *draft) parent(i int) *draft {
	if i < len(d.parents) {
		return d.parents[i]
	}
	return d.behind[i-len(d.parents)]
}

// walk finds the shuffles that a stage reads: first those on paths without a cached dataset, then those behind cached ones.
func (b *builder) walk(d *draft) {
	b.stamp++
	b.hidden = b.hidden[:0]
	found := map[int]bool{}
	barrier := func() { d.stage.Barrier = true }
	b.expand(d.stage.Target, func(n Node) bool {
		return b.opts.Cached != nil && b.opts.Cached(n)
	}, func(p *draft) {
		if !found[p.stage.Shuffle] {
			found[p.stage.Shuffle] = true
			d.parents = append(d.parents, p)
		}
	}, barrier)
	for _, n := range b.hidden {
		delete(b.stamps, n.ID())
	}
	for _, n := range b.hidden {
		b.expand(n, func(Node) bool { return false }, func(p *draft) {
			if !found[p.stage.Shuffle] {
				found[p.stage.Shuffle] = true
				d.behind = append(d.behind, p)
			}
		}, barrier)
	}
}

// expand visits the datasets of a stage that were not visited yet in this walk, in the order of the lineage; it does not go
// beyond those that hide what is before them but remembers them.
func (b *builder) expand(from Node, hides func(Node) bool, found func(*draft), barrier func()) {
	b.stack = append(b.stack[:0], from)
	for len(b.stack) > 0 {
		n := b.stack[len(b.stack)-1]
		b.stack = b.stack[:len(b.stack)-1]
		if b.stamps[n.ID()] == b.stamp {
			continue
		}
		b.stamps[n.ID()] = b.stamp
		if g, ok := n.(BarrierNode); ok && g.Barrier() {
			barrier()
		}
		if hides(n) {
			b.hidden = append(b.hidden, n)
			continue
		}
		edges := n.Edges()
		for _, e := range edges {
			if e.Wide {
				found(b.writer(e))
			}
		}
		for _, e := range slices.Backward(edges) {
			if !e.Wide {
				b.stack = append(b.stack, e.Parent)
			}
		}
	}
}

// writer is the stage that writes a shuffle: one, however many datasets read it.
func (b *builder) writer(e Edge) *draft {
	d := b.byShuffle[e.Shuffle]
	if d == nil {
		d = &draft{stage: Stage{ID: unseen, Shuffle: e.Shuffle, Dep: e.Dep, Target: e.Parent, Tasks: e.Parent.Partitions()}}
		b.byShuffle[e.Shuffle] = d
	}
	return d
}

// markNeeded goes from the result stage back to the stages whose map outputs are missing and whose readers run.
func (b *builder) markNeeded() {
	for _, d := range b.order {
		d.stage.Skipped = true
	}
	result := b.order[len(b.order)-1]
	result.stage.Skipped = false
	if b.opts.Partitions != nil {
		result.stage.Missing = slices.Compact(slices.Sorted(slices.Values(b.opts.Partitions)))
	}
	for _, d := range slices.Backward(b.order) { // readers first
		if d.stage.Skipped {
			continue
		}
		for _, p := range d.parents {
			if p.stage.Skipped {
				b.need(&p.stage)
			}
		}
	}
}

func (b *builder) need(s *Stage) {
	if b.opts.Missing == nil {
		s.Skipped = false
		return
	}
	missing := b.opts.Missing(s.Shuffle, s.Tasks)
	if len(missing) == 0 {
		return
	}
	s.Skipped = false
	if len(missing) < s.Tasks {
		s.Missing = slices.Clone(missing)
	}
}

func (b *builder) finish() *Plan {
	p := &Plan{Stages: make([]*Stage, len(b.order))}
	for i, d := range b.order {
		d.stage.Parents = numbers(d.parents)
		d.stage.Behind = numbers(d.behind)
		p.Stages[i] = &d.stage
	}
	return p
}

func numbers(ds []*draft) []int {
	if len(ds) == 0 {
		return nil
	}
	ids := make([]int, len(ds))
	for i, d := range ds {
		ids[i] = d.stage.ID
	}
	return ids
}

// String prints one line for each stage, then one for each edge: "stage 0 -> stage 1" says that stage 1 reads what stage 0
// writes, and "stage 0 .. stage 1" that it would if cached blocks were lost.
func (p *Plan) String() string {
	var s strings.Builder
	for _, st := range p.Stages {
		fmt.Fprintf(&s, "stage %d: %v, ", st.ID, st.Target)
		if st.Shuffle == Result {
			s.WriteString("result")
		} else {
			fmt.Fprintf(&s, "shuffle %d", st.Shuffle)
		}
		fmt.Fprintf(&s, ", %d tasks", st.Tasks)
		if st.Barrier {
			s.WriteString(" at the same time")
		}
		switch {
		case st.Skipped:
			s.WriteString(", skipped")
		case st.Missing != nil:
			fmt.Fprintf(&s, ", missing %v", st.Missing)
		}
		s.WriteByte('\n')
	}
	for _, st := range p.Stages {
		for _, id := range st.Parents {
			fmt.Fprintf(&s, "stage %d -> stage %d\n", id, st.ID)
		}
		for _, id := range st.Behind {
			fmt.Fprintf(&s, "stage %d .. stage %d\n", id, st.ID)
		}
	}
	return s.String()
}

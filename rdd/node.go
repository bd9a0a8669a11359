package rdd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/spark-go/spark-go/rdd/closure"
)

// Node is one dataset in the lineage, without its row type: what the planner and the scheduler see of it.
//
// On the driver a node knows its dependencies; on an executor it is only its operation, its identity and how it is cached.
type Node struct {
	id         int
	line       atomic.Pointer[lineage]
	partitions int
	session    Session
	partition  any // the Partitioner[K] that placed the rows, or nil
	kind       string
	callSite   string
	gang       bool // it is computed from a barrier dataset, or is one

	mu         sync.Mutex
	err        error // why no job can run on this dataset: a wrong function, a missing input, a level that cannot be changed
	name       string
	level      StorageLevel
	tracked    bool                        // the session is told when the dataset becomes unreachable
	prepare    func(context.Context) error // what must run before the first job, such as sampling; nil when done
	preparing  chan struct{}               // closed when the preparation in progress ends
	checkpoint *checkpoint                 // what Checkpoint or LocalCheckpoint asked for; nil if neither was called
}

// lineage is how a dataset is computed. A checkpoint replaces it as a whole, so that whoever looks at a dataset while that happens
// sees what was before or what is after, never a mixture.
type lineage struct {
	op    any // an Op[T]
	deps  []Dependency
	split func(p int) any      // the input split of a partition; nil for operations that read no input of their own
	hosts func(p int) []string // the hosts near a partition's input; nil where it does not matter
	// identity is nil until somebody asks. A checkpoint's lineage has that of the one whose place it takes.
	identity atomic.Pointer[Identity]
}

// Dependency is an edge of the lineage: Narrow or *Shuffle.
type Dependency interface {
	// On is the parent dataset.
	On() *Node
}

// Narrow says that a partition needs a few partitions of the parent and no shuffle.
type Narrow struct {
	Node *Node
	// Of lists the parent's partitions that partition p needs; nil means partition p alone (one to one).
	Of func(p int) []int
}

// On returns the parent.
func (d Narrow) On() *Node { return d.Node }

// Parents lists the parent's partitions that partition p needs.
func (d Narrow) Parents(p int) []int {
	if d.Of == nil {
		return []int{p}
	}
	return d.Of(p)
}

// Shuffle says that a partition needs some rows of every partition of the parent: the border between two stages.
type Shuffle struct {
	Node       *Node
	ID         int // unique in the application
	Partitions int // reduce partitions
	Writer     MapWriter

	was      *Shuffle                 // the same shuffle with another map side, which must stay reachable as long as this one
	identity atomic.Pointer[Identity] // nil until somebody asks
}

// On returns the parent.
func (d *Shuffle) On() *Node { return d.Node }

// ID is the number of the dataset, unique in the application.
func (n *Node) ID() int { return n.id }

// Session is the driver that the dataset lives in; nil in a task.
func (n *Node) Session() Session { return n.session }

// Partitions is the number of partitions.
func (n *Node) Partitions() int { return n.partitions }

// Dependencies lists the edges to the parents. A checkpointed dataset has none.
func (n *Node) Dependencies() []Dependency { return n.line.Load().deps }

// Err says why no job can run on this dataset or on one derived from it; nil for a sound one.
func (n *Node) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Kind names the operation that made the dataset, such as "Map".
func (n *Node) Kind() string { return n.kind }

// CallSite is the user's file and line that made the dataset.
func (n *Node) CallSite() string { return n.callSite }

// Name is what SetName gave, or the empty string.
func (n *Node) Name() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.name
}

// Level is how the dataset is kept once computed.
func (n *Node) Level() StorageLevel {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.level
}

// PreferredHosts lists the hosts near the input of partition p, best first; nil where it does not matter.
func (n *Node) PreferredHosts(p int) []string { return n.line.Load().preferred(p) }

func (l *lineage) preferred(p int) []string {
	if l.hosts == nil {
		return nil
	}
	return l.hosts(p)
}

func (n *Node) String() string {
	label := n.kind
	if name := n.Name(); name != "" {
		label = name + " " + n.kind
	}
	return fmt.Sprintf("%s[%d] at %s", label, n.id, n.callSite)
}

// newNode makes a dataset of the session. An error of the operation or of a parent makes it, and everything derived from it,
// unusable: transformations cannot fail, so the first action returns it.
func newNode(s Session, kind string, op any, partitions int, err error, deps ...Dependency) *Node {
	n := &Node{kind: kind, partitions: partitions, session: s, callSite: closure.UserPosition(), err: err}
	n.line.Store(&lineage{op: op, deps: deps})
	n.gang = n.Barrier()
	for _, d := range deps {
		n.gang = n.gang || d.On() != nil && d.On().gang
		if n.err == nil && d.On() != nil {
			n.err = d.On().Err()
		}
		if sh, ok := d.(*Shuffle); ok {
			trackShuffle(s, sh)
		}
	}
	if s != nil {
		n.id = s.NextDatasetID()
		splitHot(n)
	}
	return n
}

// derive makes a dataset with the same number of partitions as n, its only parent.
func (n *Node) derive(kind string, op any, err error) *Node {
	return newNode(n.session, kind, op, n.partitions, err, oneToOne(n))
}

func (n *Node) setName(name string) {
	n.mu.Lock()
	n.name = name
	n.mu.Unlock()
}

// fail makes an operation's error readable: `main.go:31: rdd.Map: cause`.
func fail(kind string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: rdd.%s: %w", closure.UserPosition(), kind, err)
}

// checkFuncs refuses functions that capture variables.
func checkFuncs(kind string, fs ...any) error {
	for _, f := range fs {
		if err := closure.CheckFunc(f); err != nil {
			return fail(kind, err)
		}
	}
	return nil
}

// Ancestors lists n and all datasets that it is computed from, parents first, without recursion. With throughShuffles false it
// stops at shuffle dependencies: the datasets of one stage.
func Ancestors(n *Node, throughShuffles bool) []*Node {
	return ancestors(n, throughShuffles, (*Node).Dependencies)
}

// ancestors is Ancestors for lineages as deps tells them; it is asked once for each dataset.
func ancestors(n *Node, throughShuffles bool, dependencies func(*Node) []Dependency) []*Node {
	type frame struct {
		node *Node
		deps []Dependency
		next int
	}
	var order []*Node
	seen := map[*Node]bool{n: true}
	stack := []frame{{node: n, deps: dependencies(n)}}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if top.next == len(top.deps) {
			order = append(order, top.node)
			stack = stack[:len(stack)-1]
			continue
		}
		d := top.deps[top.next]
		top.next++
		if _, wide := d.(*Shuffle); wide && !throughShuffles {
			continue
		}
		if p := d.On(); !seen[p] {
			seen[p] = true
			stack = append(stack, frame{node: p, deps: dependencies(p)})
		}
	}
	return order
}

// Prepare runs what the datasets above n must know before a job can be planned, parents first: range partitioners sample their
// keys, ZipWithIndex counts. Each preparation runs once, also under concurrent jobs; a failed one is tried again by the next job.
func Prepare(ctx context.Context, n *Node) error {
	for _, a := range Ancestors(n, true) {
		if err := a.Err(); err != nil {
			return err
		}
		if err := a.runPrepare(ctx); err != nil {
			return fmt.Errorf("prepare %v: %w", a, err)
		}
	}
	return nil
}

func (n *Node) runPrepare(ctx context.Context) error {
	for {
		n.mu.Lock()
		run, busy := n.prepare, n.preparing
		if run == nil {
			n.mu.Unlock()
			return nil
		}
		if busy == nil {
			busy = make(chan struct{})
			n.preparing = busy
			n.mu.Unlock()
			err := run(ctx)
			n.mu.Lock()
			if err == nil {
				n.prepare = nil
			}
			n.preparing = nil
			n.mu.Unlock()
			close(busy)
			return err
		}
		n.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

package rdd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/spark-go/spark-go/rdd/closure"
	"github.com/spark-go/spark-go/shuffle"
)

// Program is a stage as it travels: the datasets from the stage's inputs up to its border, and what to do there.
//
// Its bytes hold a flag, then every dataset, parents before children, as (number, level, operation), then the border: an Action or a
// MapWriter. A dataset inside an operation is its place in that list. A dataset that a user's function drags along is not in the
// list, which is how it is found and refused.
//
// A checkpoint may cut the lineage while the stage runs. Encode therefore fixes the lineage that its bytes were made of: splits,
// inputs and places are those of the same lineage until the next Encode.
type Program struct {
	target *Node
	final  any
	base   map[*Node]*Node
	fixed  map[*Node]encoded // of the last Encode; nil before
	kept   []*Node           // the persisted ones among them
}

// encoded is a dataset as it stands in a program: its place in the list and the lineage that was written.
type encoded struct {
	index uint64
	line  *lineage
}

// line is how n is computed in this program.
func (pr *Program) line(n *Node) *lineage {
	if e, ok := pr.fixed[n]; ok {
		return e.line
	}
	return n.line.Load()
}

// NewProgram is the stage that ends at target with final, an Action or a MapWriter.
func NewProgram(target *Node, final any) *Program {
	return &Program{target: target, final: final, base: make(map[*Node]*Node)}
}

// Encode writes the program to bytes, for DecodeProgram in a process of the same executable.
func (pr *Program) Encode() ([]byte, error) {
	enc := &programEncoder{fixed: map[*Node]encoded{}}
	nodes := ancestors(pr.target, false, func(n *Node) []Dependency {
		line := n.line.Load()
		enc.fixed[n] = encoded{absent, line}
		return line.deps
	})
	pr.fixed, pr.kept = enc.fixed, nil
	clear(pr.base)
	c := enc.codec()
	buf := append(make([]byte, 0, 64*len(nodes)+256), 0)
	buf = binary.AppendUvarint(buf, uint64(len(nodes)))
	var err error
	for i, n := range nodes {
		if err := n.Err(); err != nil {
			return nil, err
		}
		line := enc.fixed[n].line
		enc.fixed[n] = encoded{uint64(i), line}
		buf = binary.AppendUvarint(buf, uint64(n.id))
		level := n.Level()
		if level != None {
			pr.kept = append(pr.kept, n)
		}
		buf = append(buf, byte(level))
		if buf, err = c.Encode(buf, line.op); err != nil {
			return nil, fmt.Errorf("%s: rdd.%s: %w", n.callSite, n.kind, err)
		}
	}
	if buf, err = c.Encode(buf, pr.final); err != nil {
		return nil, fmt.Errorf("%v: %w", pr.target, err)
	}
	if enc.accumulators {
		buf[0] = 1
	}
	return buf, nil
}

type programEncoder struct {
	fixed        map[*Node]encoded
	accumulators bool
}

// absent is the place of a dataset that is not in the list yet.
const absent = ^uint64(0)

func (e *programEncoder) codec() *closure.Codec {
	return &closure.Codec{Handles: map[reflect.Type]closure.Handles{
		reflect.TypeFor[*Node]():     nodeHandles{encode: e.node},
		reflect.TypeFor[*variable](): variableHandles{encode: e.variable},
		reflect.TypeFor[*Shuffle]():  shuffleHandles{encode: shuffleNumber},
		reflect.TypeFor[*origin]():   originHandles{encode: originNumber},
	}}
}

func (e *programEncoder) node(n *Node) (uint64, error) {
	if n == nil {
		return 0, nil
	}
	at, ok := e.fixed[n]
	if !ok || at.index == absent {
		return 0, fmt.Errorf("dataset %v is used inside a function that runs in tasks: collect it and bind the result, or join the two datasets", n)
	}
	return at.index + 1, nil
}

func (e *programEncoder) variable(v *variable) (uint64, error) {
	if v == nil {
		return 0, nil
	}
	if v.withdrawn.Load() {
		return 0, fmt.Errorf("broadcast %d was destroyed", v.id)
	}
	e.accumulators = e.accumulators || v.kind == accumulatorVariable
	return uint64(v.id+1)<<1 | uint64(v.kind), nil // 0 is nil
}

// nodeHandles and variableHandles adapt typed functions to the task codec.
type nodeHandles struct {
	encode func(*Node) (uint64, error)
	decode func(uint64) (*Node, error)
}

func (h nodeHandles) EncodeHandle(v reflect.Value) (uint64, error) {
	return h.encode((*Node)(v.UnsafePointer()))
}

func (h nodeHandles) DecodeHandle(id uint64) (reflect.Value, error) {
	n, err := h.decode(id)
	return reflect.ValueOf(n), err
}

type variableHandles struct {
	encode func(*variable) (uint64, error)
	decode func(uint64) (*variable, error)
}

func (h variableHandles) EncodeHandle(v reflect.Value) (uint64, error) {
	return h.encode((*variable)(v.UnsafePointer()))
}

func (h variableHandles) DecodeHandle(id uint64) (reflect.Value, error) {
	v, err := h.decode(id)
	return reflect.ValueOf(v), err
}

// shuffleHandles let a shuffle travel as its number: that is all that a task knows of it.
type shuffleHandles struct {
	encode func(*Shuffle) (uint64, error)
}

func shuffleNumber(s *Shuffle) (uint64, error) { return uint64(s.ID), nil }

func (h shuffleHandles) EncodeHandle(v reflect.Value) (uint64, error) {
	return h.encode((*Shuffle)(v.UnsafePointer()))
}

func (shuffleHandles) DecodeHandle(id uint64) (reflect.Value, error) {
	return reflect.ValueOf(&Shuffle{ID: int(id)}), nil
}

// originHandles do the same for numbers that are names.
type originHandles struct {
	encode func(*origin) (uint64, error)
}

func originNumber(o *origin) (uint64, error) { return uint64(o.number), nil }

func (h originHandles) EncodeHandle(v reflect.Value) (uint64, error) {
	return h.encode((*origin)(v.UnsafePointer()))
}

func (originHandles) DecodeHandle(id uint64) (reflect.Value, error) {
	return reflect.ValueOf(&origin{int(id)}), nil
}

// walk visits the datasets that partition p of the stage's last dataset is computed from, each (dataset, partition) once, and stops
// below a dataset for which stop is true. Chains of one-to-one operations are passed in one step after the first visit.
func (pr *Program) walk(p int, visit func(n *Node, p int) (stop bool)) {
	type at struct {
		n *Node
		p int
	}
	seen := map[at]bool{}
	stack := []at{{pr.target, p}}
	for len(stack) > 0 {
		cur := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		cur.n = pr.landmark(cur.n)
		if seen[cur] {
			continue
		}
		seen[cur] = true
		if visit(cur.n, cur.p) {
			continue
		}
		deps := pr.line(cur.n).deps
		for i := len(deps) - 1; i >= 0; i-- {
			if d, ok := deps[i].(Narrow); ok {
				parents := d.Parents(cur.p)
				for j := len(parents) - 1; j >= 0; j-- {
					stack = append(stack, at{d.Node, parents[j]})
				}
			}
		}
	}
}

// landmark is the nearest dataset at or above n that is more than a one-to-one step: a source, a persisted dataset, one with several
// parents or none.
func (pr *Program) landmark(n *Node) *Node {
	if b, ok := pr.base[n]; ok {
		return b
	}
	cur := n
	for cur.Level() == None {
		line := pr.line(cur)
		if line.split != nil || len(line.deps) != 1 {
			break
		}
		d, ok := line.deps[0].(Narrow)
		if !ok || d.Of != nil {
			break
		}
		cur = d.Node
	}
	pr.base[n] = cur
	return cur
}

// Splits writes the input splits that partition p reads. They are sent even where a persisted dataset may spare the reading, since
// its blocks can be lost.
func (pr *Program) Splits(p int) ([]byte, error) {
	var buf []byte
	var err error
	c := &closure.Codec{}
	pr.walk(p, func(n *Node, p int) bool {
		line := pr.line(n)
		if line.split == nil || err != nil {
			return err != nil
		}
		buf = binary.AppendUvarint(buf, uint64(n.id))
		buf = binary.AppendUvarint(buf, uint64(p))
		if buf, err = c.Encode(buf, line.split(p)); err != nil {
			err = fmt.Errorf("%v: partition %d: %w", n, p, err)
		}
		return false
	})
	return buf, err
}

// Preferred lists where partition p is best computed: hosts near its input, nearest first.
func (pr *Program) Preferred(p int) (hosts []string) {
	pr.walk(p, func(n *Node, p int) bool {
		hosts = append(hosts, pr.line(n).preferred(p)...)
		return len(hosts) > 0
	})
	return hosts
}

// Persisted visits the persisted partitions that partition p is computed from, the cheapest ones to start from first, each once. Where visit says that
// one need not be computed, what is before it is left out.
func (pr *Program) Persisted(p int, visit func(dataset, partition int) (kept bool)) {
	pr.walk(p, func(n *Node, p int) bool { return n.Level() != None && visit(n.id, p) })
}

// Kept lists the persisted datasets of the last Encode, parents first.
func (pr *Program) Kept() []*Node { return pr.kept }

// Inputs lists the shuffles that the stage reads, in the order of the lineage.
func (pr *Program) Inputs() []*Shuffle {
	var all []*Shuffle
	for _, n := range ancestors(pr.target, false, func(n *Node) []Dependency { return pr.line(n).deps }) {
		for _, d := range pr.line(n).deps {
			if s, ok := d.(*Shuffle); ok {
				all = append(all, s)
			}
		}
	}
	return all
}

// Reads lists the shuffles and their reduce partitions that partition p reads.
func (pr *Program) Reads(p int) (inputs [][2]int) {
	pr.walk(p, func(n *Node, p int) bool {
		for _, d := range pr.line(n).deps {
			if s, ok := d.(*Shuffle); ok {
				inputs = append(inputs, [2]int{s.ID, p})
			}
		}
		return false
	})
	return inputs
}

func (t *Task) decodeSplits(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	t.splits = make(map[splitKey]any)
	c := &closure.Codec{}
	for len(b) > 0 {
		node, n := binary.Uvarint(b)
		part, m := binary.Uvarint(b[max(n, 0):])
		if n <= 0 || m <= 0 {
			return errors.New("decode splits: truncated")
		}
		v, rest, err := c.Decode(b[n+m:])
		if err != nil {
			return fmt.Errorf("decode splits: %w", err)
		}
		t.splits[splitKey{int(node), int(part)}] = v
		b = rest
	}
	return nil
}

// Executable is a program read back in an executor, ready to run tasks.
type Executable struct {
	action     Action
	writer     MapWriter
	variables  map[int]*variable
	bytes      []byte
	broadcasts Broadcasts
	perTask    bool
}

// Broadcasts finds the values of broadcasts in an executor's process.
type Broadcasts interface {
	// Broadcast returns the value published under id: itself in the driver's own process, what decode makes of its bytes, once
	// a process, elsewhere.
	Broadcast(ctx context.Context, id int, decode func([]byte) (any, error)) (any, error)
}

// DecodeProgram reads a program that Encode wrote in a process of the same executable.
func DecodeProgram(b []byte, broadcasts Broadcasts) (*Executable, error) {
	x := &Executable{bytes: b, broadcasts: broadcasts, variables: map[int]*variable{}}
	if len(b) == 0 {
		return nil, errors.New("decode program: no bytes")
	}
	x.perTask = b[0] == 1
	return x, x.decode(b[1:], nil)
}

func (x *Executable) decode(b []byte, task *Task) error {
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b)) {
		return errors.New("decode program: truncated")
	}
	b = b[n:]
	nodes := make([]*Node, 0, count)
	c := &closure.Codec{Handles: map[reflect.Type]closure.Handles{
		reflect.TypeFor[*Node](): nodeHandles{decode: func(id uint64) (*Node, error) {
			if id == 0 {
				return nil, nil
			}
			if id > uint64(len(nodes)) {
				return nil, fmt.Errorf("dataset %d of %d", id, len(nodes))
			}
			return nodes[id-1], nil
		}},
		reflect.TypeFor[*variable](): variableHandles{decode: func(h uint64) (*variable, error) {
			if h == 0 {
				return nil, nil
			}
			id := int(h>>1) - 1
			v, ok := x.variables[id]
			if !ok {
				v = &variable{id: id, kind: variableKind(h & 1), broadcasts: x.broadcasts, task: task, remote: true}
				x.variables[id] = v
			}
			return v, nil
		}},
		reflect.TypeFor[*Shuffle](): shuffleHandles{},
		reflect.TypeFor[*origin]():  originHandles{},
	}}
	var last any
	for i := uint64(0); i <= count; i++ {
		var node *Node
		if i < count {
			id, n := binary.Uvarint(b)
			if n <= 0 || len(b) < n+1 {
				return errors.New("decode program: truncated")
			}
			node = &Node{id: int(id), level: StorageLevel(b[n])}
			node.line.Store(&lineage{})
			nodes = append(nodes, node)
			b = b[n+1:]
		}
		v, rest, err := c.Decode(b)
		if err != nil {
			return fmt.Errorf("decode program: %w", err)
		}
		if node != nil {
			node.line.Load().op = v
		}
		last, b = v, rest
	}
	switch f := last.(type) {
	case Action:
		x.action = f
	case MapWriter:
		x.writer = f
	default:
		return fmt.Errorf("decode program: it ends with a %T", last)
	}
	return nil
}

// Result is what running a task gives.
type Result struct {
	Value   []byte          // of an action
	Output  *shuffle.Output // of a map writer
	Updates []Update
}

// Update is what a task added to an accumulator.
type Update struct {
	ID    int
	Value []byte
}

// Run computes the task's partition. Programs with accumulators are decoded anew for each task, so that what a failed attempt or a
// neighbour added is not counted.
func (x *Executable) Run(t *Task) (Result, error) {
	if x.perTask {
		own := &Executable{broadcasts: x.broadcasts, variables: map[int]*variable{}}
		if err := own.decode(x.bytes[1:], t); err != nil {
			return Result{}, err
		}
		x = own
	}
	var res Result
	if x.action != nil {
		v, err := x.action.Run(t, t.Partition)
		if err != nil {
			return Result{}, err
		}
		res.Value = v
	} else {
		out, err := x.writer.WriteMap(t, t.Partition)
		if err != nil {
			return Result{}, err
		}
		res.Output = &out
	}
	return res, x.updates(&res)
}

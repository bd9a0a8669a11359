package pipeline

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spark-go/spark-go/io/parquetio"
)

// column is one state of a column: what a source has, or what a stage made of others. A stage that replaces a column makes another state of the same name.
type column struct {
	Name string
	Kind Kind
	shape
}

// shape is what is known of a column once the stages before it are trained.
type shape struct {
	Elements []element // one for a number, those of a vector
	Labels   []string  // of the categories that its numbers stand for; may be nil
	Zeros    int       // elements that are 0 in most rows
}

// element is one number.
type element struct {
	Name       string
	Categories int // that it stands for; 0 for none
}

func (c *column) width() int {
	if c.Kind == Text {
		return 0
	}
	return len(c.Elements)
}

func single(name string) shape { return shape{Elements: []element{{Name: name}}} }

// graph is which stage reads and makes which columns.
type graph struct {
	columns []column
	source  []int // those of the rows
	nodes   []node
	current map[string]int // the newest state of each name
	names   []string
}

type node struct {
	stage   transformer
	in, out []int
	trained Trained // nil until it is
}

func newGraph(s Schema) (*graph, error) {
	g := &graph{current: map[string]int{}}
	for _, f := range s {
		if _, twice := g.current[f.Name]; twice {
			return nil, fmt.Errorf("the rows have two columns %q: rename one", f.Name)
		}
		g.source = append(g.source, g.add(column{Name: f.Name, Kind: f.Kind, shape: single(f.Name)}))
	}
	return g, nil
}

func (g *graph) add(c column) int {
	if _, ok := g.current[c.Name]; !ok {
		g.names = append(g.names, c.Name)
	}
	g.columns = append(g.columns, c)
	g.current[c.Name] = len(g.columns) - 1
	return len(g.columns) - 1
}

// find is the newest state of a column.
func (g *graph) find(name string) (int, error) {
	at := match(name, g.names)
	if at < 0 {
		return 0, fmt.Errorf("there is no column %q: there are %s", name, list(g.names))
	}
	return g.current[g.names[at]], nil
}

// connect adds a stage.
func (g *graph) connect(s transformer) error {
	p := s.ports()
	if p.out == nil && !p.one {
		p.out = p.in
	}
	switch {
	case len(p.in) == 0:
		return errors.New("it reads no column: name some in Inputs")
	case !p.one && len(p.out) != len(p.in):
		return fmt.Errorf("it has %d Inputs and %d Outputs: name one output for each input, or none to replace the inputs", len(p.in), len(p.out))
	}
	n := node{stage: s}
	made := make([]Kind, len(p.in))
	for i, name := range p.in {
		at, err := g.find(name)
		if err != nil {
			return err
		}
		c := &g.columns[at]
		if slices.Contains(n.in, at) {
			return fmt.Errorf("it reads column %q twice", c.Name)
		}
		if made[i], err = s.accept(c.Kind); err != nil {
			return fmt.Errorf("column %q is a %s: %w", c.Name, c.Kind, err)
		}
		n.in = append(n.in, at)
	}
	for i, name := range p.out {
		if !p.one && name == p.in[i] {
			name = g.columns[n.in[i]].Name
		}
		if name == "" {
			return errors.New("one of its Outputs has no name")
		}
		if slices.ContainsFunc(n.out, func(o int) bool { return g.columns[o].Name == name }) {
			return fmt.Errorf("it makes column %q twice", name)
		}
		n.out = append(n.out, g.add(column{Name: name, Kind: made[i]}))
	}
	g.nodes = append(g.nodes, n)
	return nil
}

// ports are the names of the columns that a stage reads and makes.
type ports struct {
	in, out []string // without out the stage replaces what it reads
	one     bool     // it makes one column of all
}

// errors of stages, as people see them.
func stageError(i int, s Stage, err error) error { // i counts from 0
	return fmt.Errorf("pipeline: stage %d, %s: %w", i+1, s.kind(), err)
}

// slot is where a machine keeps a column.
type slot struct {
	kind      Kind
	at, width int
	name      string
}

type text struct {
	s  string
	ok bool // false: missing
}

// registers hold one row: numbers and vectors in nums.
type registers struct {
	nums  []float64
	texts []text
}

// step is what a trained stage does with a row. One that allocates keeps what it allocated.
type step interface{ run(r *registers) error }

// ErrSkipped says that a row has a value that its stage was told to skip rows for.
var ErrSkipped = errors.New("the row is left out, as Skip says of values that are missing or were not seen in training")

// Plan is what tasks compile into a machine: the stages on the way to some columns.
type Plan struct {
	Columns []column
	Inputs  []int // columns of the rows, in the order in which batches have them
	Stages  []wired
}

// wired is a trained stage with the columns that it reads and makes.
type wired struct {
	Stage   Trained
	In, Out []int
}

// machine runs trained stages over rows, one at a time. It is for one goroutine.
type machine struct {
	registers
	inputs []slot
	slots  []slot // of all columns of the plan
	steps  []step
}

func (p *Plan) machine() *machine {
	m := &machine{slots: make([]slot, len(p.Columns))}
	place := func(id int) slot {
		c := p.Columns[id]
		s := slot{kind: c.Kind, width: c.width(), name: c.Name, at: len(m.nums)}
		if c.Kind == Text {
			s.at = len(m.texts)
			m.texts = append(m.texts, text{})
		} else {
			m.nums = append(m.nums, make([]float64, c.width())...)
		}
		m.slots[id] = s
		return s
	}
	for _, id := range p.Inputs {
		m.inputs = append(m.inputs, place(id))
	}
	for _, w := range p.Stages {
		in, out := make([]slot, len(w.In)), make([]slot, len(w.Out))
		for i, id := range w.In {
			in[i] = m.slots[id]
		}
		for i, id := range w.Out {
			out[i] = place(id)
		}
		m.steps = w.Stage.steps(m.steps, in, out)
	}
	return m
}

// run loads a row and runs the stages over it.
func (m *machine) run(b *parquetio.Batch, row int) error {
	m.load(b, row)
	return m.step()
}

func (m *machine) step() error {
	for _, s := range m.steps {
		if err := s.run(&m.registers); err != nil {
			return err
		}
	}
	return nil
}

// values are the registers of a column.
func (m *machine) values(id int) []float64 {
	s := m.slots[id]
	return m.nums[s.at : s.at+s.width : s.at+s.width]
}

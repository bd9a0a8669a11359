package programs_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// A program is a tree of operations on pairs. Each step makes one dataset of those of earlier steps; the last one is the result. Keys
// are int64 or, in the steps marked text, strings; values are int64.
type program []step

// step is one operation. What a field means depends on the operation; zero is left out of the text.
type step struct {
	op    string
	in    []int // numbers of earlier steps
	text  bool  // of the result
	n     int   // partitions; 0 for the default
	rows  int   // of a source
	keys  int   // how many different ones a source or map gives
	width int   // bytes by which text keys are padded
	arg   uint64
}

func (s step) String() string {
	b := []string{s.op}
	for _, i := range s.in {
		b = append(b, strconv.Itoa(i))
	}
	if s.text {
		b = append(b, "text")
	}
	for _, f := range []struct {
		name  string
		value uint64
	}{{"n", uint64(s.n)}, {"rows", uint64(s.rows)}, {"keys", uint64(s.keys)}, {"width", uint64(s.width)}, {"arg", s.arg}} {
		if f.value != 0 {
			b = append(b, fmt.Sprintf("%s=%d", f.name, f.value))
		}
	}
	return strings.Join(b, " ")
}

// String is the program as text, one numbered step a line, which parseProgram reads.
func (p program) String() string {
	var b strings.Builder
	for i, s := range p {
		fmt.Fprintf(&b, "%d: %v\n", i, s)
	}
	return b.String()
}

func parseProgram(text string) (program, error) {
	var p program
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		_, line, _ = strings.Cut(line, ": ")
		words := strings.Fields(line)
		if len(words) == 0 {
			return nil, fmt.Errorf("parse step %d: there is no operation", len(p))
		}
		s := step{op: words[0]}
		for _, w := range words[1:] {
			name, value, named := strings.Cut(w, "=")
			if w == "text" {
				s.text = true
				continue
			}
			if !named {
				name, value = "", w
			}
			x, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("parse step %d, %q: %w", len(p), w, err)
			}
			switch name {
			case "":
				if int(x) >= len(p) {
					return nil, fmt.Errorf("parse step %d: step %d comes later", len(p), x)
				}
				s.in = append(s.in, int(x))
			case "n":
				s.n = int(x)
			case "rows":
				s.rows = int(x)
			case "keys":
				s.keys = int(x)
			case "width":
				s.width = int(x)
			case "arg":
				s.arg = x
			default:
				return nil, fmt.Errorf("parse step %d: unknown field %q", len(p), name)
			}
		}
		p = append(p, s)
	}
	return p, lines.Err()
}

// What generated programs may grow to.
const (
	maxRows  = 250_000
	maxBytes = 32 << 20
)

// generator builds a program step by step, and knows from the model how large each dataset is.
type generator struct {
	rng    *rand.Rand
	large  bool
	steps  program
	tables []table
	kept   []bool // persisted or checkpointed already
}

// generate makes the program of a seed. Every fourth one has rows enough to spill.
func generate(seed uint64) program {
	g := &generator{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)), large: seed%4 == 0}
	g.source()
	if g.large && g.rng.IntN(2) == 0 {
		g.add(step{op: "totext", in: []int{0}, text: true, width: g.width(true)})
	}
	for want := 3 + g.rng.IntN(10); want > 0; {
		if g.operation() {
			want--
		}
	}
	return g.steps
}

// add appends a step whose result is not too large.
func (g *generator) add(s step) bool {
	t := evaluate(s, len(g.steps), g.inputs(s), evenCuts)
	if t.rows() > maxRows || t.bytes() > maxBytes || t.partitions() > 40 {
		return false
	}
	g.steps, g.tables = append(g.steps, s), append(g.tables, t)
	kept := s.op == "persist" || s.op == "checkpoint" || s.op == "localcheckpoint"
	if kept {
		g.kept[s.in[0]] = true
	}
	if s.op == "partitionby" { // which gives its input back if it lies right
		in := g.tables[s.in[0]]
		kept = g.kept[s.in[0]] || in.place() == hashed(s.n)
	}
	g.kept = append(g.kept, kept)
	return true
}

func (g *generator) inputs(s step) []table {
	in := make([]table, len(s.in))
	for i, j := range s.in {
		in[i] = g.tables[j]
	}
	return in
}

func (g *generator) source() int {
	s := step{op: "source", n: 1 + g.rng.IntN(6), arg: g.rng.Uint64N(1000)}
	switch {
	case g.large && len(g.steps) == 0:
		s.n, s.rows = 1+g.rng.IntN(3), 50_000+g.rng.IntN(100_000)
	case g.rng.IntN(12) == 0:
		s.rows = g.rng.IntN(4)
	default:
		s.rows = 1 + g.rng.IntN(6000)
	}
	s.keys = 1 + g.rng.IntN(2*s.rows+1)
	if g.rng.IntN(3) == 0 {
		s.keys = 1 + g.rng.IntN(20)
	}
	if g.rng.IntN(3) == 0 {
		s.op = "skewed"
	}
	g.add(s)
	return len(g.steps) - 1
}

// operation adds an operation, and sources and conversions that it needs; it reports false if it did not work out.
func (g *generator) operation() bool {
	last := len(g.steps) - 1
	in := last
	if g.rng.IntN(6) == 0 {
		in = g.rng.IntN(len(g.steps))
	}
	s := step{in: []int{in}, text: g.steps[in].text}
	arg := g.rng.Uint64N(1000)
	parts := 1 + g.rng.IntN(7)
	orDefault := parts
	if g.rng.IntN(3) == 0 {
		orDefault = 0
	}
	switch g.rng.IntN(24) {
	case 0, 1:
		s.op, s.keys, s.width, s.arg = "map", 1+g.rng.IntN(5000), g.width(s.text), arg
		if g.large {
			s.keys *= 10
		}
	case 2:
		s.op, s.arg = "filter", arg
	case 3:
		s.op, s.arg = "flatmap", arg
	case 4:
		s.op = "mappartitions"
	case 5, 6, 7, 8, 9:
		s.op = []string{"union", "join", "leftjoin", "cogroup"}[g.rng.IntN(4)]
		return g.meet(s, orDefault)
	case 10:
		s.op, s.n = "distinct", orDefault
	case 11, 12:
		s.op, s.n = []string{"sum", "first", "last", "least"}[g.rng.IntN(4)], orDefault
	case 13:
		s.op, s.n = "group", orDefault
	case 14, 15:
		s.op, s.n = []string{"sort", "sortdown"}[g.rng.IntN(2)], orDefault
	case 16:
		s.op, s.n = "partitionby", parts
	case 17:
		s.op, s.n = "repartition", parts
	case 18:
		s.op, s.n = "coalesce", parts
	case 19:
		s.op, s.arg = "sample", arg
	case 20:
		s.op = "index"
	case 21, 22:
		if g.kept[in] {
			return false
		}
		s.op, s.n = []string{"persist", "persist", "checkpoint", "localcheckpoint"}[g.rng.IntN(4)], 1+g.rng.IntN(3)
	case 23:
		s.op, s.text = "totext", !s.text
		s.width = g.width(s.text)
		if !s.text {
			s.op = "toint"
		}
	}
	return g.add(s)
}

// width is how wide the keys become: in large programs so that some structures grow beyond their memory.
func (g *generator) width(text bool) int {
	switch {
	case !text:
		return 0
	case g.large:
		return 40 + g.rng.IntN(200)
	}
	return g.rng.IntN(12)
}

// meet adds an operation of two inputs of the same kind.
func (g *generator) meet(s step, n int) bool {
	var others []int
	for i, t := range g.steps {
		if t.text == s.text {
			others = append(others, i)
		}
	}
	other := others[g.rng.IntN(len(others))]
	if g.rng.IntN(2) == 0 {
		other = g.source()
		if s.text {
			if !g.add(step{op: "totext", in: []int{other}, text: true, width: g.width(true)}) {
				return false
			}
			other++
		}
	}
	s.in = append(s.in, other)
	if g.rng.IntN(3) == 0 {
		slices.Reverse(s.in)
	}
	if s.op != "union" {
		s.n = n
		in := g.inputs(s)
		if in[0].place().kind == ranges || in[1].place().kind == ranges {
			s.n = max(s.n, 1) // where ranges are cut is not known to the model, so it cannot place other rows by them
		}
		if s.op != "cogroup" && crossRows(in[0], in[1]) > maxRows {
			return false
		}
	}
	return g.add(s)
}

package plan

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files instead of comparing with them")

// node is a dataset of a test lineage.
type node struct {
	id, partitions int
	name           string
	edges          []Edge
}

func (n *node) ID() int         { return n.id }
func (n *node) Partitions() int { return n.partitions }
func (n *node) Edges() []Edge   { return n.edges }
func (n *node) String() string  { return n.name }

// TestGolden plans the lineages of testdata. The first part of a file is the lineage, one dataset a line, the job's target last:
//
//	name partitions [parent | shuffle:parent]... [cached]
//	outputs shuffle: the map outputs that exist
//	want: partitions that the job wants
//	first n: the first stage's number
//
// The part after the line of dashes is the plan.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.golden")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 12 {
		t.Fatalf("found %d golden files, want at least 12", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".golden"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lineage, want, _ := strings.Cut(string(text), "----\n")
			target, opts, err := parse(lineage)
			if err != nil {
				t.Fatal(err)
			}
			p := New(target, opts)
			if *rewrite {
				if err := os.WriteFile(file, []byte(lineage+"----\n"+p.String()), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got := p.String(); got != want {
				t.Errorf("plan of\n%s----\n%s, want\n%s", lineage, got, want)
			}
			check(t, p, opts)
		})
	}
}

func parse(text string) (*node, Options, error) {
	var target *node
	var opts Options
	byName := map[string]*node{}
	cached := map[Node]bool{}
	outputs := map[int][]int{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case f[0] == "outputs":
			id, err := strconv.Atoi(strings.TrimSuffix(f[1], ":"))
			if err != nil {
				return nil, opts, err
			}
			outputs[id], err = ints(f[2:])
			if err != nil {
				return nil, opts, err
			}
		case f[0] == "want:":
			var err error
			if opts.Partitions, err = ints(f[1:]); err != nil {
				return nil, opts, err
			}
		case f[0] == "first":
			var err error
			if opts.First, err = strconv.Atoi(f[1]); err != nil {
				return nil, opts, err
			}
		default:
			n, err := strconv.Atoi(f[1])
			if err != nil {
				return nil, opts, err
			}
			target = &node{id: len(byName), partitions: n, name: f[0]}
			for _, e := range f[2:] {
				if e == "cached" {
					cached[target] = true
					continue
				}
				id, parent, wide := strings.Cut(e, ":")
				edge := Edge{Wide: wide}
				if !wide {
					parent = id
				} else if edge.Shuffle, err = strconv.Atoi(id); err != nil {
					return nil, opts, err
				}
				p, ok := byName[parent]
				if !ok {
					return nil, opts, fmt.Errorf("line %q: no dataset %s above it", line, parent)
				}
				edge.Parent = p
				target.edges = append(target.edges, edge)
			}
			byName[f[0]] = target
		}
	}
	opts.Cached = func(n Node) bool { return cached[n] }
	opts.Missing = func(shuffle, maps int) []int {
		var missing []int
		for m := range maps {
			if !slices.Contains(outputs[shuffle], m) {
				missing = append(missing, m)
			}
		}
		return missing
	}
	return target, opts, nil
}

func ints(fields []string) ([]int, error) {
	var list []int
	for _, f := range fields {
		n, err := strconv.Atoi(f)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// check holds a plan to the invariants of the package comment.
func check(t *testing.T, p *Plan, opts Options) {
	t.Helper()
	shuffles := map[int]bool{}
	for i, s := range p.Stages {
		if s.ID != opts.First+i {
			t.Errorf("stage %d has number %d, want %d", i, s.ID, opts.First+i)
		}
		for _, id := range slices.Concat(s.Parents, s.Behind) {
			if id >= s.ID || id < opts.First {
				t.Errorf("stage %d reads stage %d, which is not before it", s.ID, id)
			}
		}
		if shuffles[s.Shuffle] {
			t.Errorf("two stages for shuffle %d", s.Shuffle)
		}
		shuffles[s.Shuffle] = true
		if s.Skipped && s.Missing != nil {
			t.Errorf("stage %d is skipped and misses %v", s.ID, s.Missing)
		}
	}
	if r := p.Result(); r.Shuffle != Result || r.Skipped {
		t.Errorf("result stage is %+v", r)
	}
}

// chain makes n datasets in a row, each depending on the one before it.
func chain(n int, wide bool) *node {
	last := &node{id: 0, partitions: 1, name: "d0"}
	for i := 1; i < n; i++ {
		last = &node{id: i, partitions: 1, name: "d", edges: []Edge{{Parent: last, Wide: wide, Shuffle: i}}}
	}
	return last
}

// best is the shortest of a few runs: what the work costs when nothing else runs.
func best(f func()) time.Duration {
	shortest := time.Hour
	for range 5 {
		start := time.Now()
		f()
		shortest = min(shortest, time.Since(start))
	}
	return shortest
}

func TestDeepLineage(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		wide bool
	}{{"narrow", 100_000, false}, {"shuffles", 10_000, true}} {
		t.Run(c.name, func(t *testing.T) {
			small, large := chain(c.n/10, c.wide), chain(c.n, c.wide)
			stages := 1
			if c.wide {
				stages = c.n
			}
			if got := len(New(large, Options{}).Stages); got != stages {
				t.Errorf("%d stages, want %d", got, stages)
			}
			// Ten times the lineage may take ten times as long, and a wide margin for a busy machine; quadratic work takes 100 times.
			a, b := best(func() { New(small, Options{}) }), best(func() { New(large, Options{}) })
			if b > 50*a && b > 100*time.Millisecond {
				t.Errorf("%d datasets took %v, %d took %v", c.n/10, a, c.n, b)
			}
		})
	}
}

func TestPlanIsDeterministic(t *testing.T) {
	text, err := os.ReadFile("testdata/diamond.golden")
	if err != nil {
		t.Fatal(err)
	}
	lineage, _, _ := strings.Cut(string(text), "----\n")
	var first string
	for i := range 20 {
		target, opts, err := parse(lineage)
		if err != nil {
			t.Fatal(err)
		}
		got := New(target, opts).String()
		if i == 0 {
			first = got
		}
		if got != first {
			t.Fatalf("plan %d is\n%s, the first was\n%s", i, got, first)
		}
	}
}

func Example() {
	text := &node{id: 0, partitions: 4, name: "text"}
	words := &node{id: 1, partitions: 4, name: "words", edges: []Edge{{Parent: text}}}
	counts := &node{id: 2, partitions: 2, name: "counts", edges: []Edge{{Parent: words, Wide: true, Shuffle: 7}}}
	fmt.Print(New(counts, Options{}))
	// Output:
	// stage 0: words, shuffle 7, 4 tasks
	// stage 1: counts, result, 2 tasks
	// stage 0 -> stage 1
}

func benchmarkChain(b *testing.B, n int, wide bool) {
	target := chain(n, wide)
	b.ReportAllocs()
	for b.Loop() {
		New(target, Options{})
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "datasets/s")
}

func BenchmarkNarrowChain(b *testing.B)  { benchmarkChain(b, 100_000, false) }
func BenchmarkShuffleChain(b *testing.B) { benchmarkChain(b, 10_000, true) }

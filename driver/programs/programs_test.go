package programs_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// Random programs give the same rows, in the same order and partitions, in a plain model in memory and on every configuration of the
// engine: few and many threads, processes, hardly any memory, executors that are killed, speculation. A program that fails belongs in
// the table below, as the text that the failure shows.
//
//	go test ./driver/programs                                       a few programs
//	SPARK_GO_SLOW=1 go test ./driver/programs -timeout 2h -v        hundreds, and all configurations
//	go test ./driver/programs -programs.first=17 -programs.count=1  one
var (
	firstProgram  = flag.Uint64("programs.first", 1, "the seed of the first random program")
	countPrograms = flag.Int("programs.count", 0, "how many random programs; 0 means 12, and 300 with SPARK_GO_SLOW=1")
)

// kept are programs that failed once, and edges that chance hits seldom.
var kept = []struct{ name, program string }{
	{"key operations on nothing", `
		0: source n=3 keys=5
		1: sort 0 n=4
		2: sum 1
		3: skewed n=2 rows=9 keys=3
		4: cogroup 2 3 n=2
		5: sortdown 4
		6: index 5`},
	{"stacked unions of one range", `
		0: source n=4 rows=300 keys=70 arg=5
		1: sort 0 n=1
		2: filter 1 arg=3
		3: union 1 2
		4: sort 0 n=1 arg=9
		5: union 3 4
		6: group 5
		7: mappartitions 6`},
	{"empty partitions of a local checkpoint after a join", `
		0: source n=6 rows=3397 keys=2251 arg=701
		1: source n=6 rows=2 keys=4 arg=441
		2: join 0 1
		3: sample 2 arg=388
		4: join 1 3
		5: localcheckpoint 4`},
	{"empty partitions of a local checkpoint after a reduction", `
		0: source n=1 rows=6188 keys=5 arg=553
		1: totext 0 text width=97
		2: last 1 text n=5
		3: localcheckpoint 2 text`},
	{"blocks of a local checkpoint under a sample", `
		0: skewed n=5 rows=4000 keys=900
		1: totext 0 text width=9
		2: localcheckpoint 1 text
		3: sample 2 text arg=1
		4: first 3 text n=3
		5: join 4 2 text n=6
		6: sortdown 5 text n=3
		7: partitionby 6 text n=3`},
}

// dataset is a table of the engine.
type dataset struct {
	text  bool
	ints  rdd.RDD[row[int64]]
	texts rdd.RDD[row[string]]
}

// contents are the collected rows of a dataset.
type contents struct {
	ints  [][]row[int64]
	texts [][]row[string]
}

// rowsOf is an action that returns a partition's rows.
type rowsOf[K cmp.Ordered] struct{}

func (rowsOf[K]) Run(_ *rdd.Task, _ int, in rdd.Stream[row[K]]) ([]row[K], error) {
	return rdd.ReadAll(in)
}

func (d dataset) collect(ctx context.Context) (c contents, err error) {
	if d.text {
		c.texts, err = rdd.RunPartitions(ctx, d.texts, "Collect", rdd.PartitionFunc[row[string], []row[string]](rowsOf[string]{}), nil)
	} else {
		c.ints, err = rdd.RunPartitions(ctx, d.ints, "Collect", rdd.PartitionFunc[row[int64], []row[int64]](rowsOf[int64]{}), nil)
	}
	return c, err
}

// digest covers all rows in their order, and where partitions end.
func (c contents) digest() [sha256.Size]byte {
	var b []byte
	for _, rows := range c.ints {
		b = binary.AppendVarint(b, int64(len(rows)))
		for _, r := range rows {
			b = binary.AppendVarint(binary.AppendVarint(b, r.Key), r.Value)
		}
	}
	for _, rows := range c.texts {
		b = binary.AppendVarint(b, int64(len(rows)))
		for _, r := range rows {
			b = append(binary.AppendVarint(b, int64(len(r.Key))), r.Key...)
			b = binary.AppendVarint(b, r.Value)
		}
	}
	return sha256.Sum256(b)
}

// difference describes the first partition in which c is not what it should be; empty if it is.
func (c contents) difference(want contents) string {
	return cmp.Or(firstDifference(c.ints, want.ints), firstDifference(c.texts, want.texts))
}

func firstDifference[R comparable](got, want [][]R) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d partitions, want %d", len(got), len(want))
	}
	for p := range got {
		for i := range min(len(got[p]), len(want[p])) {
			if got[p][i] != want[p][i] {
				return fmt.Sprintf("partition %d of %d, row %d of %d: %.200v, want %.200v", p, len(got), i, len(got[p]), got[p][i], want[p][i])
			}
		}
		if len(got[p]) != len(want[p]) {
			return fmt.Sprintf("partition %d of %d: %d rows, want %d", p, len(got), len(got[p]), len(want[p]))
		}
	}
	return ""
}

// build makes the datasets of a program, one a step. Sources take rows slowly if told to; without local checkpoints, which do not
// outlive their executors, checkpoints take their place.
func build(sc *driver.Context, p program, slow time.Duration, localCheckpoints bool) []dataset {
	made := make([]dataset, len(p))
	for i, s := range p {
		if s.op == "localcheckpoint" && !localCheckpoints {
			s.op = "checkpoint"
		}
		switch {
		case s.op == "source" || s.op == "skewed":
			src := sourceRow{Keys: s.keys, Skewed: s.op == "skewed", Arg: s.arg, Slow: slow, Each: int64(max(s.rows/8, 1))}
			made[i].ints = rdd.Map(rdd.Range(sc, 0, int64(s.rows), 1, s.n), rdd.Call[int64, row[int64]](src))
		case s.op == "totext":
			made[i] = dataset{text: true, texts: rdd.Map(made[s.in[0]].ints, rdd.Call[row[int64], row[string]](toText{s.width}))}
		case s.op == "toint":
			made[i].ints = rdd.Map(made[s.in[0]].texts, rdd.Call[row[string], row[int64]](toInt{}))
		case s.text:
			var in []rdd.RDD[row[string]]
			for _, j := range s.in {
				in = append(in, made[j].texts)
			}
			made[i] = dataset{text: true, texts: buildOn(s, in)}
		default:
			var in []rdd.RDD[row[int64]]
			for _, j := range s.in {
				in = append(in, made[j].ints)
			}
			made[i].ints = buildOn(s, in)
		}
	}
	return made
}

func buildOn[K cmp.Ordered](s step, in []rdd.RDD[row[K]]) rdd.RDD[row[K]] {
	r := in[0]
	switch s.op {
	case "map":
		return rdd.Map(r, rdd.Call[row[K], row[K]](mapRow[K]{s.keys, s.width, s.arg}))
	case "filter":
		return rdd.Filter(r, rdd.Call[row[K], bool](keepRow[K]{s.arg}))
	case "flatmap":
		return rdd.FlatMap(r, rdd.Call[row[K], []row[K]](copies[K]{s.arg}))
	case "mappartitions":
		return rdd.MapPartitionsWithIndex(r, rdd.Call2(number[K]{}))
	case "union":
		return rdd.Union(r, in[1])
	case "sum", "first", "last", "least":
		return rdd.ReduceByKey(r, folds[s.op], s.n)
	case "group":
		return rdd.MapValues(rdd.GroupByKey(r, s.n), foldGroup)
	case "distinct":
		return rdd.Distinct(r, s.n)
	case "join":
		return rdd.MapValues(rdd.Join(r, in[1], s.n), foldJoined)
	case "leftjoin":
		return rdd.MapValues(rdd.LeftOuterJoin(r, in[1], s.n), foldLeftJoined)
	case "cogroup":
		return rdd.MapValues(rdd.CoGroup(r, in[1], s.n), foldCoGroup)
	case "sort", "sortdown":
		return rdd.SortByKey(r, s.op == "sort", s.n)
	case "partitionby":
		return rdd.PartitionBy(r, rdd.Partitioner[K](rdd.HashPartitioner[K]{N: s.n}))
	case "repartition":
		return rdd.Repartition(r, s.n)
	case "coalesce":
		return rdd.Coalesce(r, s.n)
	case "sample":
		return rdd.Sample(r, false, sampleFraction(s.arg), s.arg)
	case "index":
		return rdd.Map(rdd.ZipWithIndex(r), rdd.Call[rdd.Pair[row[K], int64], row[K]](indexed[K]{}))
	case "persist":
		return r.Persist([]rdd.StorageLevel{rdd.MemoryOnly, rdd.MemoryAndDisk, rdd.DiskOnly}[s.n%3])
	case "checkpoint":
		return r.Checkpoint()
	case "localcheckpoint":
		return r.LocalCheckpoint()
	}
	panic("no such operation: " + s.op)
}

// results are what a program gives in memory: a table a step. Where sorts cut their ranges is taken from the engine, if they can be
// cut there.
func results(p program, cuts map[int][]int) ([]table, error) {
	var err error
	cut := func(id, n, rows int, same func(int) bool) []int {
		sizes, known := cuts[id]
		if !known {
			return evenCuts(id, n, rows, same)
		}
		end := 0
		for _, size := range sizes {
			if end += size; size > 0 && end < rows && same(end) {
				err = cmp.Or(err, fmt.Errorf("step %d: equal keys lie in two partitions: sizes %v", id, sizes))
			}
		}
		if end != rows || len(sizes) != n {
			err = cmp.Or(err, fmt.Errorf("step %d: partitions of %v rows, want %d rows in %d", id, sizes, rows, n))
			return evenCuts(id, n, rows, same)
		}
		return sizes
	}
	tables := make([]table, 0, len(p))
	for i, s := range p {
		in := make([]table, len(s.in))
		for k, j := range s.in {
			in[k] = tables[j]
		}
		tables = append(tables, evaluate(s, i, in, cut))
	}
	return tables, err
}

func (t table) contents() contents { return contents{t.ints.rows, t.texts.rows} }

// sortedSizes are the sizes of the partitions of each sort.
func (c *setup) sortedSizes(ctx context.Context, p program) (map[int][]int, error) {
	cuts := map[int][]int{}
	made := build(c.sc, p, 0, true)
	for i, s := range p {
		if s.op != "sort" && s.op != "sortdown" {
			continue
		}
		got, err := made[i].collect(ctx)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
		sizes := []int{}
		for _, rows := range got.ints {
			sizes = append(sizes, len(rows))
		}
		for _, rows := range got.texts {
			sizes = append(sizes, len(rows))
		}
		cuts[i] = sizes
	}
	return cuts, nil
}

// blame finds the first step whose own result is wrong under a configuration.
func (c *setup) blame(t testing.TB, p program, tables []table) string {
	for i := range p {
		got, _, err := c.collect(t, p[:i+1])
		if err != nil {
			return fmt.Sprintf("alone, step %d fails first: %v", i, err)
		}
		if d := got.difference(tables[i].contents()); d != "" {
			return fmt.Sprintf("alone, step %d is wrong first: %s", i, d)
		}
	}
	return "no step is wrong when it is run again"
}

func TestPrograms(t *testing.T) {
	slow := os.Getenv("SPARK_GO_SLOW") != ""
	count := *countPrograms
	if count == 0 {
		count = 12
		if slow {
			count = 300
		}
	}
	setups := []*setup{{name: "one thread", master: "local[1]"}, {name: "threads", master: "local[4]"}, tiny("tiny memory", "local[2]"), {name: "processes", master: "local-cluster[2,1,128m]"}}
	if slow {
		setups = append(setups, slowSetups()...)
	} else {
		t.Log("SPARK_GO_SLOW=1 runs hundreds of programs, with kills and speculation too")
	}
	for _, c := range setups {
		c.start(t)
		defer c.stop()
	}
	for _, k := range kept {
		p, err := parseProgram(k.program)
		if err != nil {
			t.Fatalf("%s: %v", k.name, err)
		}
		compare(t, k.name, p, setups)
	}
	for i := range uint64(count) {
		seed := *firstProgram + i
		compare(t, fmt.Sprintf("seed %d", seed), generate(seed), setups)
	}
	for _, c := range setups {
		c.stop()
		t.Logf("%-28s %4d runs, %d did not count, %d executors lost, %d spilled %d MiB, %d speculative copies", c.name+":", c.runs, c.missed, c.lost, c.spills, c.spilled>>20, c.copies)
		switch {
		case c.hoard && c.spilled == 0:
			t.Errorf("%s: nothing was spilled", c.name)
		case c.kills && c.lost == 0:
			t.Errorf("%s: no executor was lost", c.name)
		case c.speculates && count >= 50 && c.copies == 0:
			t.Errorf("%s: no task was copied", c.name)
		}
	}
}

// compare runs a program everywhere.
func compare(t *testing.T, name string, p program, setups []*setup) {
	t.Helper()
	if again, err := parseProgram(p.String()); err != nil || again.String() != p.String() {
		t.Errorf("%s: the program is not read as it was written: %v\n%v", name, err, p)
	}
	failed := func(c *setup, what any) {
		t.Helper()
		t.Errorf("%s, %s (%s): %v\n%v", name, c.name, c.master, what, p)
	}
	cuts, err := setups[0].sortedSizes(t.Context(), p)
	if err != nil {
		failed(setups[0], err)
		return
	}
	tables, err := results(p, cuts)
	if err != nil {
		failed(setups[0], err)
	}
	want := tables[len(tables)-1].contents()
	digest := want.digest()
	for _, c := range setups {
		got, counts, err := c.collect(t, p)
		switch {
		case err != nil:
			failed(c, fmt.Errorf("%w\n%s", err, c.blame(t, p, tables)))
		case got.digest() != digest:
			failed(c, fmt.Sprintf("%s\n%s", got.difference(want), c.blame(t, p, tables)))
		case counts:
			c.runs++
		default:
			c.missed++
		}
	}
}

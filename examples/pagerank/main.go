// Command pagerank ranks the nodes of a directed graph by the chance that a walker is there who follows links at random and, with
// probability 1-damping, jumps to any node (Brin and Page 1998). Who is at a node without links jumps, too, so the ranks add up to 1.
// An edge that occurs several times counts so often.
//
// File graph.go lays the graph out over the partitions; this one iterates on it.
package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// options is the command line.
type options struct {
	input, src, dst string
	iterations      int
	damping, tol    float64
}

func main() {
	j := job.New("pagerank", "ranks the nodes of a directed graph by the links that lead to them")
	var o options
	j.Input(&o.input, "input", "examples/testdata/imports.parquet", "edges, one a row, as Parquet: a `URI`, directory, glob or comma list")
	j.String(&o.src, "src-col", "src", "`column` of the node that an edge starts at: whole numbers or text")
	j.String(&o.dst, "dst-col", "dst", "`column` of the node that an edge leads to")
	j.Int(&o.iterations, "iterations", 20, 0, "at most `N` iterations")
	j.Float(&o.damping, "damping", 0.85, 0, 1, "the probability `D` of following a link")
	j.Float(&o.tol, "tol", 0, 0, math.MaxFloat64, "stop when the ranks change by no more than `E` in all; 0 does all iterations")
	sc := j.Start()
	ctx := context.Background()

	src, err := job.IDKind(ctx, o.input, o.src)
	j.Check(err)
	dst, err := job.IDKind(ctx, o.input, o.dst)
	j.Check(err)
	switch {
	case src != dst:
		j.Fail("column %q of %s is %s and column %q %s: nodes are of one type", o.src, o.input, src, o.dst, dst)
	case src == parquetio.Int64:
		err = run[int64](ctx, j, sc, o)
	default:
		err = run[string](ctx, j, sc, o)
	}
	j.Check(err)
	j.Finish()
}

func run[N job.ID](ctx context.Context, j *job.Job, sc rdd.Session, o options) error {
	batches := parquetio.ReadColumns(sc, o.input, []parquetio.Select{{Name: o.src}, {Name: o.dst}})
	parts := layOut(rdd.FlatMap(batches, rdd.Call(edges[N]{})), j.Partitions())
	graph := rdd.Map(parts, rdd.Call(linksOf[N]{}))
	all, err := rdd.Fold(ctx, rdd.Map(graph, links.size), size{}, size.plus)
	if err != nil {
		return err
	}
	if all.Edges == 0 {
		return fmt.Errorf("%s holds no edges: name a Parquet input with --input", o.input)
	}
	j.Loaded()

	ranks, iterations, err := iterate(ctx, graph, all.Nodes, o)
	if err != nil {
		return err
	}
	named := rdd.FlatMap(rdd.Zip(parts, ranks), rdd.Call(name[N]{})).Cache()
	best, err := rdd.TakeOrderedFunc(ctx, named, 20, rdd.Call2(byRank[N]{}))
	if err != nil {
		return err
	}
	_, digest, err := job.Save(ctx, rdd.Map(rdd.SortByKey(named, true), rdd.Call(line[N]{})), "")
	if err != nil {
		return err
	}

	top := make([][]any, len(best))
	for i, r := range best {
		top[i] = []any{r.Key, r.Value}
	}
	j.Set("nodes", all.Nodes)
	j.Set("edges", all.Edges)
	j.Set("iterations", iterations)
	j.Set("partitions", graph.NumPartitions())
	j.Set("top", top)
	j.Set("sha256", digest)
	return nil
}

// iterate computes the ranks: one row a partition, with the ranks of its nodes in their order.
func iterate(ctx context.Context, graph rdd.RDD[links], nodes int, o options) (ranks rdd.RDD[[]float64], iterations int, err error) {
	ranks = rdd.Map(graph, rdd.Bind(1/float64(nodes), func(even float64, l links) []float64 { return slices.Repeat([]float64{even}, l.Nodes) }))
	for i := range o.iterations {
		shares := rdd.PartitionBy(rdd.FlatMap(rdd.Zip(graph, ranks), send), toPartition(graph.NumPartitions()))
		next := rdd.Map(rdd.Zip(graph, rdd.Glom(shares)), rdd.Bind(walk{o.damping, nodes}, walk.receive))
		if o.tol > 0 {
			next.Persist(rdd.MemoryAndDisk)
			change, err := rdd.Sum(ctx, rdd.Map(rdd.Zip(ranks, next), distance))
			if err != nil || change <= o.tol {
				return next, i + 1, err
			}
			if err := ranks.Unpersist(ctx, false); err != nil {
				return next, i + 1, err
			}
		}
		ranks = next
	}
	return ranks, o.iterations, nil
}

// share is what a partition passes on to another one in an iteration: a number for each node there that it links to, and how much
// rank lies at its nodes without links.
type share struct {
	Ranks    []float64
	Dangling float64
}

// send divides the rank of each node among its links. What goes to the same node is added up first, so that two partitions exchange
// a number a node and not one a link.
func send(in rdd.Pair[links, []float64]) []rdd.Pair[int32, share] {
	l, ranks := in.Key, in.Value
	sums := make([]float64, l.Ends[len(l.Ends)-1])
	linked := len(l.Start) - 1
	for i, rank := range ranks[:linked] {
		slots := l.Slots[l.Start[i]:l.Start[i+1]]
		each := rank / float64(len(slots))
		for _, s := range slots {
			sums[s] += each
		}
	}
	dangling := 0.0
	for _, rank := range ranks[linked:] {
		dangling += rank
	}
	out := make([]rdd.Pair[int32, share], len(l.Ends))
	from := int32(0)
	for p, to := range l.Ends {
		out[p] = rdd.Pair[int32, share]{Key: int32(p), Value: share{sums[from:to], dangling}}
		from = to
	}
	return out
}

// walk is what a step of the walker depends on.
type walk struct {
	Damping float64
	Nodes   int // of the whole graph
}

// receive makes the new ranks of a partition's nodes of what all partitions sent, in the order of their numbers.
func (w walk) receive(in rdd.Pair[links, []rdd.Pair[int32, share]]) []float64 {
	ranks := make([]float64, in.Key.Nodes)
	dangling := 0.0
	for p, s := range in.Value {
		dangling += s.Value.Dangling
		for k, node := range in.Key.Arrive[p] {
			ranks[node] += s.Value.Ranks[k]
		}
	}
	jump := (1 - w.Damping + w.Damping*dangling) / float64(w.Nodes)
	for i, r := range ranks {
		ranks[i] = jump + w.Damping*r
	}
	return ranks
}

// distance is how much the ranks of a partition changed, in all.
func distance(in rdd.Pair[[]float64, []float64]) float64 {
	sum := 0.0
	for i, r := range in.Key {
		sum += math.Abs(r - in.Value[i])
	}
	return sum
}

// ranked is a node with its rank.
type ranked[N job.ID] = rdd.Pair[N, float64]

// name puts the nodes of a partition beside their ranks.
type name[N job.ID] struct{}

func (name[N]) Call(in rdd.Pair[part[N], []float64]) []ranked[N] {
	rows := make([]ranked[N], len(in.Value))
	for i, r := range in.Value {
		rows[i] = ranked[N]{Key: in.Key.Nodes[i], Value: r}
	}
	return rows
}

// byRank puts the highest ranks first, and of equal ones the least node.
type byRank[N job.ID] struct{}

func (byRank[N]) Call(a, b ranked[N]) int {
	return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Key, b.Key))
}

// line is how a rank goes into the digest.
type line[N job.ID] struct{}

func (line[N]) Call(r ranked[N]) string {
	return string(strconv.AppendFloat(append(job.AppendID(nil, r.Key), '\t'), r.Value, 'g', -1, 64))
}

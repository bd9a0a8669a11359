package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// How the graph lies in the partitions.
//
// A hash of the node says to which partition it belongs, with all links that start there. Partitions meet twice: once, when each tells
// each other one which of its nodes it links to; and in every iteration, when it sends a number for each node of that list. Lists
// stay where they are, so that an iteration moves bare numbers: no nodes, and one number for all links of a partition to the same node.
//
// The functions that depend on the type of nodes are structs with a Call method, because a function literal in a generic function holds
// its type arguments and could not travel to other processes.

// part is one partition of the graph.
type part[N job.ID] struct {
	Nodes []N // those with links first, ascending; then those without
	Links links
}

// links is a partition without the names of its nodes, which are numbered as in part.Nodes.
type links struct {
	Nodes int
	Start []int32 // node i, if it has links, has Slots[Start[i]:Start[i+1]]
	Slots []int32 // for each link, the place of its target in the list of all targets
	Ends  []int32 // the targets of partition p are those before Ends[p], and not before Ends[p-1]
	// Arrive says for each partition to which nodes the numbers go that it sends.
	Arrive [][]int32
}

// size is what a graph, or a part of it, comes to.
type size struct{ Nodes, Edges int }

func (l links) size() size { return size{l.Nodes, len(l.Slots)} }

func (s size) plus(t size) size { return size{s.Nodes + t.Nodes, s.Edges + t.Edges} }

type linksOf[N job.ID] struct{}

func (linksOf[N]) Call(p part[N]) links { return p.Links }

// edges makes rows of a batch of the columns src and dst. Rows that lack one of them are no edges.
type edges[N job.ID] struct{}

func (edges[N]) Call(b parquetio.Batch) []rdd.Pair[N, N] {
	src, dst := &b.Columns[0], &b.Columns[1]
	from, to := job.IDs[N](src), job.IDs[N](dst)
	rows := make([]rdd.Pair[N, N], 0, b.Rows)
	for i := range b.Rows {
		if !src.IsNull(i) && !dst.IsNull(i) {
			rows = append(rows, rdd.Pair[N, N]{Key: from[i], Value: to[i]})
		}
	}
	return rows
}

// toPartition places rows by the number of their partition.
func toPartition(n int) rdd.Partitioner[int32] { return partitionNumber{n} }

type partitionNumber struct{ N int }

func (p partitionNumber) NumPartitions() int      { return p.N }
func (p partitionNumber) Partition(key int32) int { return int(key) }

// layOut makes one row a partition of the edges.
func layOut[N job.ID](edges rdd.RDD[rdd.Pair[N, N]], partitions []int) rdd.RDD[part[N]] {
	n := max(edges.NumPartitions(), 1)
	if len(partitions) > 0 {
		n = partitions[0]
	}
	sorted := rdd.RepartitionAndSortWithinPartitions(edges, rdd.Partitioner[N](rdd.HashPartitioner[N]{N: n}))
	outgoing := rdd.Map(rdd.Glom(sorted), rdd.Call(group[N]{n})).Persist(rdd.MemoryAndDisk)
	lists := rdd.PartitionBy(rdd.FlatMap(outgoing, rdd.Call(ask[N]{})), toPartition(n))
	return rdd.Map(rdd.Zip(outgoing, rdd.Glom(lists)), rdd.Call(connect[N]{})).Persist(rdd.MemoryAndDisk)
}

// outgoing is a partition's own half of part: it does not know yet who links to it.
type outgoing[N job.ID] struct {
	Sources []N // ascending
	Links   links
	Targets []N // all targets, those of a partition together
}

// group makes links of the edges of a partition, sorted by source.
type group[N job.ID] struct{ Partitions int }

func (g group[N]) Call(edges []rdd.Pair[N, N]) outgoing[N] {
	if len(edges) > math.MaxInt32 {
		panic(rdd.Abort{Err: fmt.Errorf("a partition has %d edges, more than 2^31: ask for more with --partitions", len(edges))})
	}
	o := outgoing[N]{Links: links{Slots: make([]int32, len(edges)), Ends: make([]int32, g.Partitions)}}
	place := rdd.HashPartitioner[N]{N: g.Partitions}
	leading := make([][]int32, g.Partitions) // the edges that lead to each partition
	for i, e := range edges {
		if i == 0 || e.Key != edges[i-1].Key {
			o.Sources = append(o.Sources, e.Key)
			o.Links.Start = append(o.Links.Start, int32(i))
		}
		p := place.Partition(e.Value)
		leading[p] = append(leading[p], int32(i))
	}
	o.Links.Start = append(o.Links.Start, int32(len(edges)))
	slot := map[N]int32{}
	for p, list := range leading {
		clear(slot)
		for _, i := range list {
			target := edges[i].Value
			s, ok := slot[target]
			if !ok {
				s = int32(len(o.Targets))
				slot[target] = s
				o.Targets = append(o.Targets, target)
			}
			o.Links.Slots[i] = s
		}
		o.Links.Ends[p] = int32(len(o.Targets))
	}
	return o
}

// ask tells each partition which of its nodes this one links to.
type ask[N job.ID] struct{}

func (ask[N]) Call(o outgoing[N]) []rdd.Pair[int32, []N] {
	rows := make([]rdd.Pair[int32, []N], len(o.Links.Ends))
	from := int32(0)
	for p, to := range o.Links.Ends {
		rows[p] = rdd.Pair[int32, []N]{Key: int32(p), Value: o.Targets[from:to]}
		from = to
	}
	return rows
}

// connect adds to a partition's sources the nodes that others link to, and remembers which node each number will go to.
type connect[N job.ID] struct{}

func (connect[N]) Call(in rdd.Pair[outgoing[N], []rdd.Pair[int32, []N]]) part[N] {
	p := part[N]{Nodes: slices.Clone(in.Key.Sources), Links: in.Key.Links}
	number := make(map[N]int32, len(p.Nodes))
	for i, n := range p.Nodes {
		number[n] = int32(i)
	}
	p.Links.Arrive = make([][]int32, len(in.Value))
	for q, list := range in.Value {
		arrive := make([]int32, len(list.Value))
		for k, n := range list.Value {
			i, ok := number[n]
			if !ok {
				i = int32(len(p.Nodes))
				number[n] = i
				p.Nodes = append(p.Nodes, n)
			}
			arrive[k] = i
		}
		p.Links.Arrive[q] = arrive
	}
	p.Links.Nodes = len(p.Nodes)
	return p
}

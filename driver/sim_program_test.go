package driver

import (
	"encoding/binary"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

// simProgram is a stage attempt as its tasks see it. A task of the simulation does not run the program; it reads what the program would
// read, and what it computes is a hash of that, so that a missing, stale or doubled input shows in the result.
type simProgram struct {
	s        *simulation
	target   *rdd.Node
	shuffle  *rdd.Shuffle // nil for results
	program  *rdd.Program
	job      int // of results
	commits  bool
	key      protocol.StageKey
	gang     int // tasks that wait for each other; 0 if none do
	barriers int // that each of them comes to
	sizes    []int64
	known    map[int][][2]int
}

func (p *simProgram) reads(partition int) [][2]int {
	in, ok := p.known[partition]
	if !ok {
		in = p.program.Reads(partition)
		p.known[partition] = in
	}
	return in
}

func (p *simProgram) persisted(partition int) (ids []protocol.BlockID) {
	if p.s.caches == 0 {
		return nil
	}
	p.program.Persisted(partition, func(dataset, partition int) bool {
		ids = append(ids, protocol.BlockID{Dataset: dataset, Partition: partition})
		return true
	})
	return ids
}

func (p *simProgram) value(partition int, values map[[2]int]simRows) simRows {
	v := simRows{hash: mix(uint64(p.target.ID())+1, uint64(partition))}
	for _, in := range p.reads(partition) {
		v = simRows{mix(mix(v.hash, uint64(in[0])<<20|uint64(in[1])), values[in].hash), v.from.and(values[in].from)}
	}
	return v
}

// simRows stands for rows.
type simRows struct {
	hash uint64
	from *origins
}

// origins are the versions of map outputs, by shuffle and map task, that something was computed from, as far as there may be several. The nil pointer is none.
type origins struct {
	versions map[[2]int]uint64
	mixed    bool // two versions of one map output are among them
}

// and joins what two things were computed from.
func (a *origins) and(b *origins) *origins {
	if a == nil || a == b {
		return b
	}
	if b == nil {
		return a
	}
	all := &origins{maps.Clone(a.versions), a.mixed || b.mixed}
	for k, v := range b.versions {
		if had, ok := all.versions[k]; ok && had != v {
			all.mixed = true
		}
		all.versions[k] = v
	}
	return all
}

// changed is the rows of a map output in a version; 0 stands for what it should be.
func (v simRows) changed(shuffle, partition int, version uint64) simRows {
	if version != 0 {
		v.hash = mix(v.hash, version)
	}
	v.from = v.from.and(&origins{versions: map[[2]int]uint64{{shuffle, partition}: version}})
	return v
}

// update is what a task adds to the accumulator: where it belongs.
func (p *simProgram) update(partition int) []byte {
	kind, id := uint64(0), p.job
	if p.shuffle != nil {
		kind, id = 1, p.shuffle.ID
	}
	return binary.LittleEndian.AppendUint64(nil, kind<<63|uint64(id)<<32|uint64(partition))
}

const simAccumulator = 1 << 20

// lineage is the datasets of a simulation, and what their partitions really hold.
type simLineage struct {
	datasets []rdd.RDD[rdd.Pair[int64, int64]]
	nodes    map[int]*rdd.Node
	shuffles map[int]*rdd.Shuffle
	readers  map[int]*rdd.Program // of each dataset
	truth    map[[2]int]uint64    // of version 0
	changing map[int]bool         // shuffles whose map tasks may write other rows each time
	caches   int
}

// describe makes datasets at random, with the operations of the library.
func (s *simulation) describe(rng *rand.Rand) {
	s.simLineage = simLineage{nodes: map[int]*rdd.Node{}, shuffles: map[int]*rdd.Shuffle{}, readers: map[int]*rdd.Program{}, truth: map[[2]int]uint64{}, changing: map[int]bool{}}
	var all []rdd.RDD[rdd.Pair[int64, int64]]
	some := func() rdd.RDD[rdd.Pair[int64, int64]] { return all[rng.IntN(len(all))] }
	var barriers *rand.Rand
	var eager *rand.Rand // much is cached, and much changes
	if s.w.seed%12 == 1 {
		eager = rand.New(rand.NewPCG(s.w.seed, 6))
	}
	if s.w.seed%4 == 3 {
		barriers = rand.New(rand.NewPCG(s.w.seed, 5))
	}
	for i := range 3 + rng.IntN(7) {
		n := 1 + rng.IntN(6)
		op := rng.IntN(10)
		if i == 0 {
			op = 0
		}
		var d rdd.RDD[rdd.Pair[int64, int64]]
		switch op {
		case 0:
			d = rdd.Map(rdd.Range(s.ctx, 0, 100, 1, n), simPair)
		case 1, 2, 3:
			d = rdd.PartitionBy(some(), rdd.Partitioner[int64](rdd.HashPartitioner[int64]{N: n}))
		case 4, 5:
			d = rdd.ReduceByKey(some(), simAdd, n)
		case 6:
			d = rdd.Union(some(), some())
		case 7:
			d = rdd.Coalesce(some(), n)
		default: // a task that reads two shuffles
			a := rdd.ReduceByKey(some(), simAdd, n)
			b := rdd.Repartition(some(), n)
			d = rdd.ZipPartitions(a, b, simZip)
		}
		if barriers != nil && barriers.IntN(4) == 0 {
			// The shuffle after it keeps the stage in a shape that is not refused.
			d = rdd.PartitionBy(rdd.MapPartitionsWithBarrier(d, simMeet), rdd.Partitioner[int64](rdd.HashPartitioner[int64]{N: n}))
		}
		if (rng.IntN(5) == 0 || eager != nil && eager.IntN(2) == 0) && barriers == nil { // tasks that find a cached block do not come to the barrier, and then others need not
			d = d.Persist([]rdd.StorageLevel{rdd.MemoryOnly, rdd.MemoryOnly2}[s.w.seed%2])
			s.caches++
		}
		all = append(all, d)
	}
	s.datasets = all
	for _, d := range all {
		for _, n := range rdd.Ancestors(d.Node(), true) {
			s.nodes[n.ID()] = n
			for _, dep := range n.Dependencies() {
				if sh, ok := dep.(*rdd.Shuffle); ok {
					s.shuffles[sh.ID] = sh
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.shuffles)) {
		s.changing[id] = !s.harmless && s.w.seed%3 == 1 && (eager != nil || s.changes.IntN(3) == 0)
	}
}

func simPair(i int64) rdd.Pair[int64, int64] { return rdd.Pair[int64, int64]{Key: i, Value: i} }

func simAdd(a, b int64) int64 { return a + b }

func simZip(a, _ iter.Seq[rdd.Pair[int64, int64]]) iter.Seq[rdd.Pair[int64, int64]] { return a }

func simMeet(_ *rdd.BarrierTask, in iter.Seq[rdd.Pair[int64, int64]]) (iter.Seq[rdd.Pair[int64, int64]], error) {
	return in, nil
}

// reader lists what the partitions of a dataset are computed from.
func (s *simulation) reader(n *rdd.Node) *rdd.Program {
	p := s.readers[n.ID()]
	if p == nil {
		p = rdd.NewProgram(n, nil)
		s.readers[n.ID()] = p
	}
	return p
}

func (s *simulation) readsOf(b protocol.BlockID) [][2]int {
	return s.reader(s.nodes[b.Dataset]).Reads(b.Partition)
}

// expected is what a partition of a dataset holds if map outputs are in given versions.
func (s *simulation) expected(n *rdd.Node, partition int, from *origins, known map[[2]int]uint64) uint64 {
	key := [2]int{n.ID(), partition}
	if v, ok := known[key]; ok {
		return v
	}
	h := mix(uint64(n.ID())+1, uint64(partition))
	for _, in := range s.reader(n).Reads(partition) {
		sum := uint64(0)
		sh := s.shuffles[in[0]]
		for m := range sh.Node.Partitions() {
			v := s.expected(sh.Node, m, from, known)
			if from != nil && from.versions[[2]int{sh.ID, m}] != 0 {
				v = mix(v, from.versions[[2]int{sh.ID, m}])
			}
			sum = mix(sum, mix(v, uint64(in[1])))
		}
		h = mix(mix(h, uint64(in[0])<<20|uint64(in[1])), sum)
	}
	known[key] = h
	return h
}

// simAction is the action of the simulation's jobs: their tasks never run it.
type simAction struct{ Job int }

func (simAction) Run(*rdd.Task, int) ([]byte, error) {
	return nil, fmt.Errorf("a simulated task was run")
}

// learn notes the program of a stage attempt when it is sent to the first executor.
func (s *simulation) learn(b *protocol.StageBinary) {
	if s.programs[b.Key] != nil {
		return
	}
	st := s.loop.stages[b.Key.Stage]
	p := &simProgram{s: s, program: st.program, known: map[int][][2]int{}, key: b.Key}
	if st.stage.Barrier {
		p.gang, p.barriers = len(b.Gang), 1+b.Key.Stage%2
		if p.gang != st.stage.Tasks {
			s.fail("stage %v has %d tasks and is sent for %d", b.Key, st.stage.Tasks, p.gang)
		}
	}
	if sh, ok := st.stage.Dep.(*rdd.Shuffle); ok {
		p.shuffle, p.target = sh, sh.Node
		p.sizes = make([]int64, sh.Partitions)
	} else {
		p.target = st.job.spec.Target
		p.job = st.job.id
		p.commits = s.jobs[p.job].commits
	}
	s.programs[b.Key] = p
}

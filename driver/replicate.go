package driver

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

// Cached blocks of levels with two copies (rdd.MemoryOnly2 and its like) are kept on two executors. Spark's executors push a block to others before its
// task ends. Here the loop, which knows who holds what, tells another executor to fetch it, in the way in which blocks of decommissioned executors are
// moved, and no task waits for that:
//
//   - A block of such a dataset that comes to an executor is looked at, and so are those of an executor that is lost or decommissioned
//     (spark.storage.replication.proactive). Eviction is not looked at: memory is short then.
//   - If fewer executors hold it than its level says, another one gets a copy from one of them: one on another host where there is one. Without
//     any the block waits for the next executor.
//   - A copy that fails is tried once more, elsewhere if possible (spark.storage.maxReplicationFailures), then the block is left with what it has. No job
//     fails for it: it is logged, and told by BlockReplicated.
//
// Executors that are being decommissioned hold nothing as far as this is concerned. What only they hold is moved (decommission.go), and
// looked at when it has arrived.
type replication struct {
	proactive bool
	tries     int

	levels map[int]rdd.StorageLevel         // of datasets that are kept on several executors, by number
	short  map[protocol.BlockID]*shortBlock // with too few copies, as far as is known
	queue  []protocol.BlockID               // of short, to be looked at
	idle   []protocol.BlockID               // of short, for which there is no executor
	copies map[int64]*replicating           // under way
	warned map[int]bool                     // datasets of which a block was given up
}

// replicasAtOnce is how many copies are made at once for each executor that can take some.
const replicasAtOnce = 2

// shortBlock is a block with too few copies. It is in the queue, idle, or being copied.
type shortBlock struct {
	failures int
	failed   []string // executors that could not take it
}

// replicating is a copy that an executor is making.
type replicating struct {
	block    protocol.BlockID
	from, to *member
	void     *protocol.Remove // what was removed meanwhile, and the copy is to be as well
}

func newReplication(c *conf.Conf) replication {
	return replication{
		proactive: c.Bool("spark.storage.replication.proactive"), tries: 1 + c.Int("spark.storage.maxReplicationFailures"),
		levels: map[int]rdd.StorageLevel{}, short: map[protocol.BlockID]*shortBlock{}, copies: map[int64]*replicating{}, warned: map[int]bool{},
	}
}

// blockCame notes that an executor has a block that it did not have before.
func (l *loop) blockCame(u *protocol.BlockUpdate) {
	if level := rdd.StorageLevel(u.Level); level.Replication() > 1 && !l.ctx.master.local {
		l.replicas.levels[u.ID.Dataset] = level
	}
	l.lookAtCopies(u.ID)
}

// lookAtCopies has the copies of a block counted, if it is one that should have several.
func (l *loop) lookAtCopies(id protocol.BlockID) {
	r := &l.replicas
	if r.levels[id.Dataset] == rdd.None || r.short[id] != nil {
		return
	}
	r.short[id] = &shortBlock{}
	r.queue = append(r.queue, id)
}

// replicatedOn lists the blocks that an executor holds of datasets that are kept on several.
func (l *loop) replicatedOn(executor string) (ids []protocol.BlockID) {
	if len(l.replicas.levels) == 0 {
		return nil
	}
	for id, holders := range l.blocks {
		if holders[executor] && l.replicas.levels[id.Dataset] != rdd.None {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareBlocks)
	return ids
}

// copiesGone has blocks looked at after an executor that held them was lost, or was told to go.
func (l *loop) copiesGone(ids []protocol.BlockID) {
	if l.replicas.proactive {
		for _, id := range ids {
			l.lookAtCopies(id)
		}
	}
}

// replicate begins the copies that can be made now.
func (l *loop) replicate() {
	r := &l.replicas
	for len(r.queue) > 0 && len(r.copies) < replicasAtOnce*len(l.takers()) {
		id := r.queue[0]
		r.queue = r.queue[1:]
		if s := r.short[id]; s != nil {
			l.replicateBlock(id, s)
		}
	}
}

// replicateBlock begins a copy of a block if it needs one.
func (l *loop) replicateBlock(id protocol.BlockID, s *shortBlock) {
	r := &l.replicas
	holders := l.staying(id)
	level := r.levels[id.Dataset]
	if len(holders) == 0 || len(holders) >= level.Replication() {
		delete(r.short, id)
		return
	}
	to := l.replicaTaker(id, holders, s.failed)
	if to == nil {
		r.idle = append(r.idle, id)
		return
	}
	n := l.leaving.next
	l.leaving.next++
	c := &replicating{block: id, from: holders[0], to: to}
	r.copies[n] = c
	if err := l.ctx.backend.Copy(to.Executor, &protocol.Copy{ID: n, Block: id, Addr: c.from.BlockAddr, Level: uint8(level)}); err != nil {
		l.replicated(c, cluster.Copied{ID: n, Error: err.Error()})
	}
}

// staying lists the executors that hold a block and are not about to go, by name.
func (l *loop) staying(id protocol.BlockID) (holders []*member) {
	for _, name := range slices.Sorted(maps.Keys(l.blocks[id])) {
		if m := l.members[name]; m != nil && m.leaves == nil {
			holders = append(holders, m)
		}
	}
	return holders
}

// replicaTaker chooses who gets a copy of a block: rather an executor that has not failed to take it than one that has, and among these rather one on a
// host without the block. Blocks are dealt out by number, so that the copies of one executor's blocks are spread.
func (l *loop) replicaTaker(id protocol.BlockID, holders []*member, failed []string) *member {
	var able []*member
	best := -1
	for _, m := range l.takers() {
		if slices.Contains(holders, m) {
			continue
		}
		rank := 0
		if !slices.Contains(failed, m.Executor) {
			rank += 2
		}
		if !slices.ContainsFunc(holders, func(h *member) bool { return h.Host == m.Host }) {
			rank++
		}
		if rank > best {
			able, best = able[:0], rank
		}
		if rank == best {
			able = append(able, m)
		}
	}
	if able == nil {
		return nil
	}
	return able[(id.Dataset+id.Partition)%len(able)]
}

// replicated takes the end of a copy.
func (l *loop) replicated(c *replicating, e cluster.Copied) {
	r := &l.replicas
	delete(r.copies, e.ID)
	if c.void != nil {
		if e.Error == "" {
			l.ctx.backend.Remove(*c.void)
			l.forgetDataset(c.void.ID)
		}
		return
	}
	s := r.short[c.block]
	e.Error = l.redact(e.Error)
	l.ctx.events.publish(BlockReplicated{Dataset: c.block.Dataset, Partition: c.block.Partition, From: c.from.Executor, To: c.to.Executor, Error: e.Error})
	switch {
	case e.Error == "":
		delete(r.short, c.block)
		if l.members[c.to.Executor] == c.to { // what a task has reported meanwhile may still be on its way
			l.updateBlocks(c.to.Executor, []protocol.BlockUpdate{{ID: c.block, Disk: 1}})
		}
		l.lookAtCopies(c.block)
	case e.Gone:
		delete(r.short, c.block) // who had it says so itself
	default:
		s.failures++
		s.failed = append(s.failed, c.to.Executor)
		if s.failures < r.tries {
			r.queue = append(r.queue, c.block)
			break
		}
		delete(r.short, c.block)
		level := slog.LevelInfo
		if !r.warned[c.block.Dataset] {
			r.warned[c.block.Dataset], level = true, slog.LevelWarn
		}
		slog.Log(context.Background(), level, "a cached block has fewer copies than its storage level asks for", "dataset", c.block.Dataset, "partition", c.block.Partition,
			"storage", r.levels[c.block.Dataset], "from", c.from.Executor, "to", c.to.Executor, "error", e.Error)
	}
}

// replicasLost gives up copies that an executor was making: others make them.
func (l *loop) replicasLost(to *member) {
	r := &l.replicas
	for _, n := range slices.Sorted(maps.Keys(r.copies)) {
		if c := r.copies[n]; c.to == to {
			delete(r.copies, n)
			if c.void == nil {
				r.queue = append(r.queue, c.block)
			}
		}
	}
}

// executorCame lets the blocks that wait for an executor be looked at.
func (r *replication) executorCame() {
	r.queue = append(r.queue, r.idle...)
	r.idle = nil
}

// forgetReplicas stops the copying of a dataset's blocks.
func (l *loop) forgetReplicas(dataset int) {
	r := &l.replicas
	if r.levels[dataset] == rdd.None {
		return
	}
	delete(r.levels, dataset)
	delete(r.warned, dataset)
	of := func(id protocol.BlockID) bool { return id.Dataset == dataset }
	maps.DeleteFunc(r.short, func(id protocol.BlockID, _ *shortBlock) bool { return of(id) })
	r.queue, r.idle = slices.DeleteFunc(r.queue, of), slices.DeleteFunc(r.idle, of)
	for _, c := range r.copies {
		if of(c.block) {
			c.void = &protocol.Remove{Kind: protocol.RemoveDataset, ID: dataset}
		}
	}
}

// replicasFor lists where a task on an executor finds the cached blocks that it is computed from, of datasets that are kept on several executors, besides its
// own store. Blocks that its executor holds are among them: a copy can turn out to be damaged. Tasks of barrier stages must not find blocks of others.
func (l *loop) replicasFor(st *stageState, executor string, partition int) (list []protocol.Replica) {
	if len(l.replicas.levels) == 0 || st.stage.Barrier {
		return nil
	}
	st.program.Persisted(partition, func(dataset, partition int) bool {
		id := protocol.BlockID{Dataset: dataset, Partition: partition}
		holders := l.blocks[id]
		if l.replicas.levels[dataset] == rdd.None {
			return holders[executor]
		}
		b := protocol.Replica{ID: id}
		for _, name := range slices.Sorted(maps.Keys(holders)) {
			if m := l.members[name]; m != nil && name != executor {
				b.Addrs = append(b.Addrs, m.BlockAddr)
			}
		}
		if len(b.Addrs) > 0 {
			list = append(list, b)
		}
		return len(holders) > 0
	})
	return list
}

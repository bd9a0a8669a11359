package driver

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/driver/conf"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
)

// Decommissioning takes an executor out of service without losing what it made (Spark's CoarseGrainedSchedulerBackend.decommissionExecutors and
// BlockManagerDecommissioner). It gets no more tasks, another host is launched in its place at once, and then the loop
//
//   - has the map outputs on its host and its cached blocks copied by the other executors, which fetch them: a few at a time, in turn among the executors
//     that stay. The scheduler learns the new place of each map output. A copy that fails is tried elsewhere, a few times.
//   - looks again when its tasks have ended, since they may have made more;
//   - has the host end when nothing is left and no task runs, or when forceKillTimeout is over.
//
// What was not moved is lost with the host, as in any other loss, and computed again when it is needed. If the executor dies on the way its map outputs are
// moved on; if its host does all of it is lost.

// Decommission takes executors out of service, such as those on a machine that is about to be shut down: they get no more tasks, may finish those that
// they run, and their map outputs and cached blocks are moved to other executors (see docs/operations.md). It returns when they have ended; ctx
// bounds the wait alone. Others are launched in their place at once, so that also the last one, or all, may be decommissioned. A name that is none of
// a live executor, as ExecutorAdded tells them, is an error before anything is done.
//
// With master local there is nothing to decommission: an error, as it is if spark.decommission.enabled is false.
func (c *Context) Decommission(ctx context.Context, executors ...string) error {
	if c.err != nil {
		return c.err
	}
	if c.master.local {
		return fmt.Errorf("decommission executors %s: with spark.master %s tasks run in the driver's own process", strings.Join(executors, ", "), c.conf.Get("spark.master"))
	}
	var err error
	var ends []<-chan struct{}
	if !c.loop.call(func() { ends, err = c.loop.decommission(executors, "the program asked for it") }) {
		return ErrStopped
	}
	if err != nil {
		return fmt.Errorf("decommission executors: %w", err)
	}
	for _, end := range ends {
		select {
		case <-end:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.stopped:
			return ErrStopped
		}
	}
	return nil
}

// member is a live executor.
type member struct {
	cluster.ExecutorAdded
	leaves *departure // nil unless it is decommissioned
}

// departures are the executors that are being decommissioned. The settings are those of spark.decommission and spark.storage.decommission.
type departures struct {
	enabled         bool
	outputs, blocks bool // are moved
	atOnce, tries   int
	killAfter       time.Duration // 0 for never

	hosts  map[string]*departure
	copies map[int64]*copying // under way
	next   int64              // number of a copy, of these and those of replication
	takers []*member          // who takes copies, by name; nil after a change among the executors
	turn   int                // of the takers
	homes  map[string]string  // the host of each executor there ever was: map outputs outlive executors
	left   map[string]bool    // hosts that are or were decommissioned
}

// departure is a host that goes, with its executor.
type departure struct {
	executor, host string
	addr           string // where the executor serves cached blocks
	killAt         time.Time
	look           bool // there may be more to move than is in todo
	todo           []*cargo
	stays          map[cargoKey]bool // cannot be moved
	underWay       int
	moved          struct{ outputs, blocks int }
	released       bool
	ended          chan struct{} // closed when the host has
}

// cargo is what is to be moved: a map output or a cached block.
type cargo struct {
	output   *sched.StoredOutput // nil for a block
	block    protocol.BlockID
	failures int
	last     string // the executor that could not take it
}

// cargoKey names cargo.
type cargoKey struct {
	shuffle, mapN int
	attempt       int64
	block         protocol.BlockID
}

func (c *cargo) key() cargoKey {
	if o := c.output; o != nil {
		return cargoKey{shuffle: o.Shuffle, mapN: o.Map, attempt: o.Attempt, block: protocol.BlockID{Dataset: -1}}
	}
	return cargoKey{block: c.block}
}

// copying is a copy that an executor or its host is making.
type copying struct {
	*cargo
	of   *departure
	to   *member
	void *protocol.Remove // what was removed meanwhile, and the copy is to be as well
}

func newDepartures(c *conf.Conf) departures {
	moves := c.Bool("spark.storage.decommission.enabled")
	return departures{
		enabled: c.Bool("spark.decommission.enabled"),
		outputs: moves && c.Bool("spark.storage.decommission.shuffleBlocks.enabled"), blocks: moves && c.Bool("spark.storage.decommission.rddBlocks.enabled"),
		atOnce: c.Int("spark.storage.decommission.shuffleBlocks.maxThreads"), tries: c.Int("spark.storage.decommission.maxReplicationFailuresPerBlock"),
		killAfter: c.Duration("spark.executor.decommission.forceKillTimeout"),
		hosts:     map[string]*departure{}, copies: map[int64]*copying{}, homes: map[string]string{}, left: map[string]bool{},
	}
}

// hasLeft says whether an executor's host is or was decommissioned, with the map outputs that the executor wrote.
func (d *departures) hasLeft(executor string) bool { return d.left[d.homes[executor]] }

// decommission begins with the decommissioning of executors, unless that was done before, and returns what is closed at the end of each.
func (l *loop) decommission(executors []string, reason string) (ends []<-chan struct{}, err error) {
	d := &l.leaving
	if !d.enabled {
		return nil, fmt.Errorf("spark.decommission.enabled is false")
	}
	for _, name := range executors {
		if l.members[name] == nil {
			return nil, fmt.Errorf("there is no executor %q: there are %s", name, strings.Join(slices.Sorted(maps.Keys(l.members)), ", "))
		}
	}
	for _, name := range executors {
		m := l.members[name]
		if m.leaves == nil {
			m.leaves = &departure{executor: name, host: m.Host, addr: m.BlockAddr, look: true, stays: map[cargoKey]bool{}, ended: make(chan struct{})}
			if d.killAfter > 0 {
				m.leaves.killAt = l.now().Add(d.killAfter)
			}
			d.hosts[m.Host], d.takers = m.leaves, nil
			d.left[m.Host] = true
			slog.Info("an executor is decommissioned", "executor", name, "host", m.Host, "reason", reason)
			l.ctx.events.publish(ExecutorDecommissioned{Executor: name, Reason: reason})
			l.handle(sched.ExecutorDecommissioned{Executor: name})
			l.copiesLost(func(c *copying) bool { return c.to == m })
			l.replicasLost(m)
			l.copiesGone(l.replicatedOn(name))
			l.ctx.backend.Decommission(name, reason)
		}
		ends = append(ends, m.leaves.ended)
	}
	return ends, nil
}

// decommissionAsked does what a host asks for.
func (l *loop) decommissionAsked(e cluster.DecommissionAsked) {
	if l.members[e.Executor] == nil {
		return // it has ended meanwhile
	}
	if _, err := l.decommission([]string{e.Executor}, e.Reason); err != nil {
		slog.Warn("an executor is not decommissioned", "executor", e.Executor, "asked", e.Reason, "error", err)
	}
}

// lookAgain notes that an executor may have more to move than before.
func (l *loop) lookAgain(executor string) {
	if m := l.members[executor]; m != nil && m.leaves != nil {
		m.leaves.look = true
	}
}

// depart goes on with everything that leaves.
func (l *loop) depart() {
	if len(l.leaving.hosts) == 0 {
		return
	}
	for _, host := range slices.Sorted(maps.Keys(l.leaving.hosts)) {
		if d := l.leaving.hosts[host]; !d.released {
			l.advance(d)
		}
	}
}

// advance does what can be done now for a host to leave.
func (l *loop) advance(d *departure) {
	if late := !d.killAt.IsZero() && !l.now().Before(d.killAt); late {
		l.release(d, "; the time that it had (spark.executor.decommission.forceKillTimeout) is over")
		return
	}
	idle := l.sched.Running(d.executor) == 0
	for {
		// The last look is when it runs nothing: what a task of a barrier stage wrote counts only when the last of them has ended, anywhere.
		if (d.look || idle) && len(d.todo) == 0 && d.underWay == 0 {
			d.look = false
			d.todo = l.toMove(d)
		}
		if len(d.todo) == 0 || d.underWay >= l.leaving.atOnce {
			break
		}
		c := d.todo[0]
		if l.isAt(d, c) {
			to := l.takerOf(c)
			if to == nil {
				return // one will come
			}
			l.move(d, c, to)
		}
		d.todo = d.todo[1:]
	}
	if idle && len(d.todo) == 0 && d.underWay == 0 {
		l.release(d, "")
	}
}

// toMove lists what lies on a host, that can be moved and must be.
func (l *loop) toMove(d *departure) []*cargo {
	var list []*cargo
	add := func(c *cargo) {
		if !d.stays[c.key()] && l.isAt(d, c) {
			list = append(list, c)
		}
	}
	if l.leaving.outputs {
		for _, o := range l.sched.OutputsOn(d.host) {
			add(&cargo{output: &o})
		}
	}
	if l.leaving.blocks {
		ids := slices.SortedFunc(maps.Keys(l.blocks), compareBlocks)
		for _, id := range ids {
			add(&cargo{block: id})
		}
	}
	return list
}

func compareBlocks(a, b protocol.BlockID) int {
	if a.Dataset != b.Dataset {
		return a.Dataset - b.Dataset
	}
	return a.Partition - b.Partition
}

// isAt says whether cargo is still where it was, and nowhere else.
func (l *loop) isAt(d *departure, c *cargo) bool {
	if o := c.output; o != nil {
		now, ok := l.sched.Outputs().Get(o.Shuffle, o.Map)
		return ok && now.Attempt == o.Attempt && now.Location == o.Location
	}
	holders := l.blocks[c.block]
	for name := range holders {
		if m := l.members[name]; m != nil && m.leaves == nil {
			return false
		}
	}
	return holders[d.executor]
}

// takers lists the executors that can take copies, by name.
func (l *loop) takers() []*member {
	d := &l.leaving
	if d.takers == nil {
		for _, name := range slices.Sorted(maps.Keys(l.members)) {
			if m := l.members[name]; m.leaves == nil {
				d.takers = append(d.takers, m)
			}
		}
	}
	return d.takers
}

// takerOf chooses the executor that copies something next; nil if there is none. They take turns, but none tries twice in a row if there are others,
// and none that gets it from another one.
func (l *loop) takerOf(c *cargo) *member {
	d, takers := &l.leaving, l.takers()
	for range takers {
		d.turn++
		if m := takers[d.turn%len(takers)]; (m.Executor != c.last || len(takers) == 1) && !l.gets(m, c) {
			return m
		}
	}
	return nil
}

// gets says whether a cached block is being copied to an executor.
func (l *loop) gets(m *member, c *cargo) bool {
	if c.output != nil {
		return false
	}
	for _, other := range l.leaving.copies {
		if other.to == m && other.output == nil && other.block == c.block {
			return true
		}
	}
	for _, other := range l.replicas.copies {
		if other.to == m && other.block == c.block {
			return true
		}
	}
	return false
}

// move has an executor copy something.
func (l *loop) move(d *departure, c *cargo, to *member) {
	id := l.leaving.next
	l.leaving.next++
	m := &protocol.Copy{ID: id, Block: c.block, Addr: d.addr}
	if o := c.output; o != nil {
		m = &protocol.Copy{ID: id, Shuffle: o.Shuffle, Output: &o.Output}
	}
	l.leaving.copies[id] = &copying{cargo: c, of: d, to: to}
	d.underWay++
	if err := l.ctx.backend.Copy(to.Executor, m); err != nil {
		l.copied(cluster.Copied{ID: id, Error: err.Error()})
	}
}

// copied takes the end of a copy.
func (l *loop) copied(e cluster.Copied) {
	if c := l.replicas.copies[e.ID]; c != nil {
		l.replicated(c, e)
		return
	}
	c := l.leaving.copies[e.ID]
	if c == nil {
		return
	}
	delete(l.leaving.copies, e.ID)
	d := c.of
	d.underWay--
	switch {
	case c.void != nil:
		if e.Error == "" {
			l.ctx.backend.Remove(*c.void)
			if c.void.Kind == protocol.RemoveDataset {
				l.forgetDataset(c.void.ID)
			}
		}
	case e.Error == "" && c.output != nil:
		out := c.output.Output
		out.Location = c.to.Location
		l.handle(sched.OutputMoved{From: d.executor, Shuffle: c.output.Shuffle, Output: out})
		d.moved.outputs++
		l.lookAgainAt(c.to.Host)
	case e.Error == "":
		if l.members[c.to.Executor] == c.to { // what a task has reported meanwhile may still be on its way
			l.updateBlocks(c.to.Executor, []protocol.BlockUpdate{{ID: c.block, Disk: 1}})
		}
		d.moved.blocks++
	default:
		c.failures++
		c.last = c.to.Executor
		slog.Info("a block of a decommissioned executor could not be copied", "executor", d.executor, "to", c.last, "failures", c.failures, "error", l.redact(e.Error))
		if e.Gone || c.failures >= l.leaving.tries {
			d.stays[c.key()] = true
		} else {
			d.todo = append(d.todo, c.cargo)
		}
	}
}

// lookAgainAt notes that a host may have more to move than before, if it leaves as well.
func (l *loop) lookAgainAt(host string) {
	if d := l.leaving.hosts[host]; d != nil {
		d.look = true
	}
}

// voidCopies notes that what is being copied is removed everywhere: a copy that is finished only now would stay.
func (l *loop) voidCopies(r protocol.Remove) {
	for _, c := range l.leaving.copies {
		if r.Kind == protocol.RemoveShuffle && c.output != nil && c.output.Shuffle == r.ID || r.Kind == protocol.RemoveDataset && c.output == nil && c.block.Dataset == r.ID {
			c.void = &r
		}
	}
}

// release has a host end.
func (l *loop) release(d *departure, why string) {
	d.released = true
	left := len(d.stays) + len(d.todo) + d.underWay
	reason := fmt.Sprintf("%d map outputs and %d cached blocks were moved, %d could not be%s", d.moved.outputs, d.moved.blocks, left, why)
	slog.Info("a decommissioned executor ends", "executor", d.executor, "host", d.host, "result", reason)
	l.ctx.backend.Release(d.host, reason)
}

// memberLost notes that an executor has ended. Its host may go on, and serve map outputs.
func (l *loop) memberLost(executor string) {
	l.replicasLost(l.members[executor])
	delete(l.members, executor)
	l.leaving.takers = nil
	l.copiesLost(func(c *copying) bool { return c.to.Executor == executor && c.output == nil })
}

// hostLost notes that a host is gone.
func (l *loop) hostLost(host string) {
	l.copiesLost(func(c *copying) bool { return c.to.Host == host })
	if d := l.leaving.hosts[host]; d != nil {
		delete(l.leaving.hosts, host)
		close(d.ended)
	}
}

// copiesLost gives up copies that nobody will report, or that would be lost again: others make them.
func (l *loop) copiesLost(lost func(*copying) bool) {
	for _, id := range slices.Sorted(maps.Keys(l.leaving.copies)) {
		if c := l.leaving.copies[id]; lost(c) {
			delete(l.leaving.copies, id)
			c.of.underWay--
			c.of.todo = append(c.of.todo, c.cargo)
		}
	}
}

// deadline is when the loop is to wake up if nothing happens before.
func (l *loop) deadline() (at time.Time, ok bool) {
	at, ok = l.sched.Deadline()
	for _, d := range l.leaving.hosts {
		if !d.released && !d.killAt.IsZero() && (!ok || d.killAt.Before(at)) {
			at, ok = d.killAt, true
		}
	}
	return at, ok
}

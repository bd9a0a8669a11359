package driver

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// process is a process on a machine: what it is about to do happens unless it is dead, and later if it is stopped.
type process struct {
	s       *simulation
	rng     *rand.Rand
	name    string
	machine string
	alive   bool
	paused  time.Duration // until when a signal stops it
	link    *simLink
	backlog []func() // what was to be done meanwhile
}

func (p *process) after(d time.Duration, f func()) {
	p.s.w.after(d, func() { p.do(f) })
}

func (p *process) do(f func()) {
	switch {
	case !p.alive:
	case p.paused > p.s.w.now || len(p.backlog) > 0:
		p.backlog = append(p.backlog, f)
		if len(p.backlog) == 1 {
			p.s.w.at(p.paused, 0, p.goOn)
		}
	default:
		f()
	}
}

// goOn does what was to be done while the process was stopped, in order.
func (p *process) goOn() {
	if p.paused > p.s.w.now {
		p.s.w.at(p.paused, 0, p.goOn)
		return
	}
	for i := 0; i < len(p.backlog) && p.alive; i++ {
		p.backlog[i]()
	}
	p.backlog = nil
}

// beat sends heartbeats.
func (p *process) beat(fill func(*protocol.Heartbeat)) {
	m := new(protocol.Heartbeat)
	fill(m)
	p.link.send(m)
	p.after(p.s.heartbeat, func() { p.beat(fill) })
}

// simHost is a host process: it keeps map outputs and runs one job process after the other.
type simHost struct {
	process
	number   int
	onEnd    func()
	exec     *simExec
	epoch    int
	files    map[fileKey]simRows // map outputs: what the map task computed
	exits    []time.Duration
	accepted bool
	leaving  bool  // it starts no more job processes
	slow     int64 // factor of how long tasks take
}

type fileKey struct {
	shuffle, mapN int
	attempt       int64
}

var _ cluster.Process = (*simHost)(nil)

func (s *simulation) newHost(id string, number int, ended func()) *simHost {
	h := &simHost{number: number, onEnd: ended, files: map[fileKey]simRows{}, slow: 1}
	h.process = process{s: s, rng: rand.New(rand.NewPCG(s.w.seed, 1<<32+uint64(number))), name: id, machine: id, alive: true}
	if s.faults.slow && h.rng.IntN(4) == 0 {
		h.slow = 10
	}
	s.hosts = append(s.hosts, h)
	s.hostByID[id] = h
	s.w.logf("START %s", id)
	h.after(between(h.rng, 5*time.Millisecond, 200*time.Millisecond), h.connect)
	return h
}

func (h *simHost) connect() {
	h.link = h.s.w.dial(h.machine, func(m protocol.Message) { h.do(func() { h.receive(m) }) }, func() { h.do(func() { h.die("its connection ended") }) })
	h.link.send(&protocol.RegisterHost{Host: h.name, PID: 1, BlockAddr: h.name})
}

func (h *simHost) receive(m protocol.Message) {
	switch m := m.(type) {
	case *protocol.Registered:
		h.accepted = true
		h.beat(func(*protocol.Heartbeat) {})
		h.startJob()
	case *protocol.Refused:
		h.die("refused: " + m.Reason)
	case *protocol.KillExecutor:
		if x := h.exec; x != nil && x.epoch == m.Epoch {
			x.exit(m.Reason, "")
		}
	case *protocol.Decommission:
		h.leaving = true
	case *protocol.Stop:
		h.die("stopped: " + m.Reason)
	case *protocol.Copy:
		h.copyOutput(m)
	case *protocol.Remove:
		if m.Kind == protocol.RemoveShuffle {
			maps.DeleteFunc(h.files, func(k fileKey, _ simRows) bool { return k.shuffle == m.ID })
		}
	default:
		h.s.fail("the driver sent %T to a host", m)
	}
}

// startJob starts the next job process.
func (h *simHost) startJob() {
	h.epoch++
	x := &simExec{
		host: h, epoch: h.epoch, stages: map[protocol.StageKey]*protocol.StageBinary{}, running: map[int64]*simTask{},
		blocks: map[protocol.BlockID]map[[2]int]simRows{},
	}
	name := fmt.Sprintf("%d.%d", h.number, h.epoch)
	x.process = process{s: h.s, rng: rand.New(rand.NewPCG(h.s.w.seed, 1<<33+uint64(h.number)<<12+uint64(h.epoch))), name: name, machine: h.machine, alive: true}
	h.exec = x
	x.after(between(x.rng, 20*time.Millisecond, 400*time.Millisecond), x.connect)
	h.after(time.Minute, func() {
		if !x.accepted { // stopped before it was up: go-plugin's StartTimeout
			x.exit("", "it did not start in time")
		}
	})
}

// jobEnded tells the driver and starts the next one, unless too many have ended.
func (h *simHost) jobEnded(x *simExec, killed, cause string) {
	now := h.s.w.now
	h.exits = append(h.exits, now)
	for now-h.exits[0] > time.Minute {
		h.exits = h.exits[1:]
	}
	m := &protocol.ExecutorExited{ID: x.name, Epoch: x.epoch, Killed: killed, Code: 1, Stderr: cause, Registered: x.accepted, Restarting: len(h.exits) <= 10 && !h.leaving}
	h.link.send(m)
	if m.Restarting {
		h.startJob()
	}
}

// die ends the host and what it started, and with it its map outputs.
func (h *simHost) die(cause string) {
	if !h.alive {
		return
	}
	h.s.w.logf("DEAD %s: %s", h.name, cause)
	h.alive = false
	if h.exec != nil {
		h.exec.exit("", "its host is dead")
	}
	if h.link != nil {
		h.link.close()
	}
	if !h.s.w.isCut(h.machine, driverMachine) && h.rng.IntN(3) > 0 { // else nobody tells the driver, and it has to find out
		h.s.w.after(between(h.rng, time.Millisecond, 2*time.Second), h.onEnd)
	}
}

// Done implements cluster.Process; the roster is told through Surroundings.
func (h *simHost) Done() <-chan struct{} { return nil }

// Cause implements cluster.Process.
func (h *simHost) Cause() string { return "the host was killed" }

// Release implements cluster.Process.
func (h *simHost) Release() {}

// Discard implements cluster.Process: the driver has it killed, where it can reach it.
func (h *simHost) Discard() {
	if h.alive && !h.s.w.isCut(h.machine, driverMachine) && h.rng.IntN(2) == 0 {
		h.die("given up by the driver")
	}
}

// simExec is a job process.
type simExec struct {
	process
	host     *simHost
	epoch    int
	accepted bool
	stages   map[protocol.StageKey]*protocol.StageBinary
	running  map[int64]*simTask
	blocks   map[protocol.BlockID]map[[2]int]simRows // cached partitions: what was read from shuffles for them
	updates  []protocol.BlockUpdate                  // not yet reported
}

func (x *simExec) connect() {
	x.link = x.s.w.dial(x.machine, func(m protocol.Message) { x.do(func() { x.receive(m) }) }, func() { x.do(func() { x.exit("", "its connection ended") }) })
	x.link.send(&protocol.RegisterExecutor{
		ID: x.name, Host: x.host.name, Epoch: x.epoch, PID: 1, Cores: x.s.cores, Digest: simDigest,
		BlockAddr: x.name, Location: shuffle.Location{Executor: x.name, Host: x.host.name, Addr: x.host.name},
	})
}

// copyOutput takes over a map output of another host.
func (h *simHost) copyOutput(m *protocol.Copy) {
	server := h.s.hostByID[m.Output.Location.Addr]
	key := fileKey{m.Shuffle, m.Output.Map, m.Output.Attempt}
	copyFrom(&h.process, &server.process, m.ID, func() (func(), bool) {
		v, ok := server.files[key]
		return func() {
			h.files[key] = v
			h.s.tally.movedOutputs++
		}, ok
	})
}

// copyBlock takes over a cached block of another executor.
func (x *simExec) copyBlock(m *protocol.Copy) {
	i := slices.IndexFunc(x.s.hosts, func(h *simHost) bool { return h.exec != nil && h.exec.name == m.Addr })
	if i < 0 {
		x.link.send(&protocol.Copied{ID: m.ID, Error: "nobody answers"})
		return
	}
	from := x.s.hosts[i].exec
	copyFrom(&x.process, &from.process, m.ID, func() (func(), bool) {
		kept, ok := from.blocks[m.Block]
		return func() {
			if x.blocks[m.Block] == nil {
				x.blocks[m.Block] = kept
				x.link.send(&protocol.BlockUpdates{Updates: append(x.updates, protocol.BlockUpdate{ID: m.Block, Disk: 1, Level: m.Level})})
				x.updates = nil
			}
			if m.Level > 0 {
				x.s.tally.replicated++
			} else {
				x.s.tally.movedBlocks++
			}
		}, ok
	})
}

// copyFrom asks a process for something, keeps it and reports that, or why not.
func copyFrom(to, from *process, id int64, open func() (keep func(), ok bool)) {
	w := to.s.w
	answered := false
	end := func(m protocol.Copied) {
		if !answered {
			answered = true
			to.link.send(&m)
		}
	}
	if from.alive && !w.isCut(to.machine, from.machine) {
		w.after(w.delay(to.rng), func() {
			from.do(func() {
				keep, ok := open()
				w.after(w.delay(to.rng), func() {
					if w.isCut(to.machine, from.machine) {
						return
					}
					to.do(func() {
						switch {
						case answered:
						case !ok:
							end(protocol.Copied{ID: id, Gone: true, Error: "not there"})
						case to.rng.IntN(20) == 0:
							end(protocol.Copied{ID: id, Error: "the disk is full"})
						default:
							keep()
							end(protocol.Copied{ID: id})
						}
					})
				})
			})
		})
	}
	to.after(between(to.rng, 3*time.Second, 20*time.Second), func() { end(protocol.Copied{ID: id, Error: "no answer"}) })
}

const simDigest = "digest"

func (x *simExec) receive(m protocol.Message) {
	switch m := m.(type) {
	case *protocol.Registered:
		x.accepted = true
		x.beat(func(b *protocol.Heartbeat) {
			if !x.s.w.fast {
				b.Running = slices.Sorted(maps.Keys(x.running))
			}
		})
	case *protocol.Refused:
		x.exit("", "refused: "+m.Reason)
	case *protocol.StageBinary:
		x.stages[m.Key] = m
	case *protocol.LaunchTasks:
		for i := range m.Tasks {
			x.start(&m.Tasks[i])
		}
	case *protocol.KillTask:
		if t := x.running[m.ID]; t != nil && !t.killed {
			t.killed = true
			if x.rng.IntN(4) > 0 || t.waits { // else it does not look
				x.after(between(x.rng, 0, 100*time.Millisecond), func() { t.end(protocol.TaskResult{Outcome: protocol.Killed, Error: m.Reason}) })
			}
		}
	case *protocol.Stop:
		x.exit("", "stopped: "+m.Reason)
	case *protocol.Copy:
		x.copyBlock(m)
	case *protocol.BarrierAnswer:
		for _, id := range m.IDs {
			if t := x.running[id]; t != nil && !t.killed {
				t.pass(m)
			}
		}
	case *protocol.CommitAnswer:
		if t := x.running[m.ID]; t != nil && t.asked {
			t.answered(m.Allowed)
		}
	case *protocol.Remove:
		switch m.Kind {
		case protocol.RemoveStage:
			delete(x.stages, protocol.StageKey{Stage: m.ID, Attempt: m.Attempt})
		case protocol.RemoveDataset:
			maps.DeleteFunc(x.blocks, func(id protocol.BlockID, _ map[[2]int]simRows) bool { return id.Dataset == m.ID })
		case protocol.RemoveBroadcast, protocol.RemoveShuffle:
		}
	default:
		x.s.fail("the driver sent %T to an executor", m)
	}
}

// exit ends the process; its host reports it and starts the next one.
func (x *simExec) exit(killed, cause string) {
	if !x.alive {
		return
	}
	x.s.w.logf("EXIT %s: %s%s", x.name, killed, cause)
	x.alive = false
	for _, id := range slices.Sorted(maps.Keys(x.running)) {
		x.s.gone(x.running[id])
	}
	x.running = nil
	if x.link != nil {
		x.link.close()
	}
	h := x.host
	if h.exec == x {
		h.after(between(h.rng, 0, 20*time.Millisecond), func() { h.jobEnded(x, killed, cause) })
	}
}

// evict drops a cached block, as a store short of memory does.
func (x *simExec) evict() {
	ids := slices.SortedFunc(maps.Keys(x.blocks), func(a, b protocol.BlockID) int {
		if a.Dataset != b.Dataset {
			return a.Dataset - b.Dataset
		}
		return a.Partition - b.Partition
	})
	if len(ids) == 0 || x.link == nil {
		return
	}
	id := ids[x.rng.IntN(len(ids))]
	delete(x.blocks, id)
	x.s.tally.evicted++
	x.s.mayBeShort[id] = true
	x.updates = append(x.updates, protocol.BlockUpdate{ID: id})
	if x.rng.IntN(2) == 0 {
		x.link.send(&protocol.BlockUpdates{Updates: x.updates})
		x.updates = nil
	}
}

func mix(h, x uint64) uint64 {
	h = (h ^ x) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

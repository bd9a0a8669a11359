package driver

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// simTask is a task attempt in a job process.
type simTask struct {
	protocol.TaskDesc
	exec   *simExec
	binary *protocol.StageBinary
	prog   *simProgram
	values map[[2]int]simRows // what was read from each reduce partition of a shuffle
	reads  [][2]int           // that are left
	at     int                // in the outputs of the first of them
	sum    simRows
	killed bool
	asked  bool
	passed int  // barriers
	waits  bool // at one
	slow   int64
}

func (x *simExec) start(d *protocol.TaskDesc) {
	if !x.alive {
		return
	}
	s := x.s
	st := x.stages[d.Stage]
	if st == nil {
		s.fail("task %d of stage %v came to %s before the stage", d.ID, d.Stage, x.name)
		return
	}
	if x.running[d.ID] != nil {
		s.fail("task %d came to %s twice", d.ID, x.name)
		return
	}
	t := &simTask{TaskDesc: *d, exec: x, binary: st, prog: s.programs[d.Stage], slow: 1}
	x.running[d.ID] = t
	if len(x.running) > x.s.cores {
		s.fail("%d tasks run on the %d cores of %s", len(x.running), s.cores, x.name)
		return
	}
	if s.w.fast {
		x.after(between(x.rng, time.Second, 2*time.Second), t.compute)
		return
	}
	t.slow = x.host.slow
	if s.faults.slow && x.rng.IntN(20) == 0 {
		t.slow *= 20
	}
	x.after(time.Duration(t.slow)*between(x.rng, 5*time.Millisecond, 300*time.Millisecond), t.read)
}

// read takes what the task needs from shuffles, in map order; what lies behind cached blocks of this process is not needed.
func (t *simTask) read() {
	x := t.exec
	t.values = map[[2]int]simRows{}
	for _, b := range t.prog.persisted(t.Partition) {
		for in, v := range x.blocks[b] {
			t.values[in] = v
		}
	}
	for _, b := range t.Replicas {
		if x.blocks[b.ID] == nil {
			t.readReplica(b)
		}
	}
	for _, in := range t.prog.reads(t.Partition) {
		if _, ok := t.values[in]; !ok && !slices.Contains(t.reads, in) {
			t.reads = append(t.reads, in)
		}
	}
	t.next()
}

// readReplica takes what another executor keeps, if that is there and can be reached.
func (t *simTask) readReplica(b protocol.Replica) {
	x := t.exec
	for _, h := range x.s.hosts {
		if from := h.exec; from != nil && from.alive && slices.Contains(b.Addrs, from.name) && !x.s.w.isCut(x.machine, from.machine) && from.blocks[b.ID] != nil {
			maps.Copy(t.values, from.blocks[b.ID])
			x.s.tally.readElsewhere++
			return
		}
	}
}

func (t *simTask) next() {
	x := t.exec
	if x.running[t.ID] != t {
		return
	}
	for len(t.reads) > 0 {
		in := t.reads[0]
		outs, ok := t.binary.Inputs[in[0]]
		if !ok {
			t.fetchFailed(in, -1, shuffle.Location{})
			return
		}
		if t.at == len(outs) {
			t.values[in] = t.sum
			t.reads, t.at, t.sum = t.reads[1:], 0, simRows{}
			continue
		}
		t.fetch(in, &outs[t.at], 0)
		return
	}
	t.meet()
}

// meet goes on to the next barrier, or to the end of the work.
func (t *simTask) meet() {
	x := t.exec
	d := time.Duration(t.slow) * between(x.rng, time.Millisecond, 200*time.Millisecond)
	if t.passed == t.prog.barriers {
		x.after(d, t.compute)
		return
	}
	x.after(d, func() {
		if x.running[t.ID] != t {
			return
		}
		t.waits = true
		if t.killed { // who waits looks
			t.end(protocol.TaskResult{Outcome: protocol.Killed, Error: "killed at a barrier"})
			return
		}
		x.s.arrived[barrierKey{t.prog.key, t.passed}]++
		x.link.send(&protocol.BarrierRequest{ID: t.ID, Round: t.passed, Gather: t.passed == 1, Message: []byte{byte(t.Partition)}})
	})
}

// barrierKey is a barrier of a stage attempt.
type barrierKey struct {
	stage protocol.StageKey
	round int
}

// pass goes on behind a barrier.
func (t *simTask) pass(m *protocol.BarrierAnswer) {
	s := t.exec.s
	n := s.arrived[barrierKey{t.prog.key, m.Round}]
	if m.Error != "" || m.Round != t.passed || !t.waits || n != t.prog.gang {
		s.fail("task %d passes barrier %d of stage %v with %d of %d tasks: %s", t.ID, m.Round, t.prog.key, n, t.prog.gang, m.Error)
		return
	}
	if m.Round == 1 && (len(m.Messages) != t.prog.gang || int(m.Messages[t.Partition][0]) != t.Partition) {
		s.fail("task %d gets the messages %q", t.ID, m.Messages)
		return
	}
	s.tally.barriers++
	t.passed++
	t.waits = false
	t.meet()
}

// fetch reads a map output, from this disk or from its host.
func (t *simTask) fetch(in [2]int, out *shuffle.Output, try int) {
	x := t.exec
	w := x.s.w
	server := x.s.hostByID[out.Location.Addr]
	key := fileKey{in[0], out.Map, out.Attempt}
	got := func(v simRows, ok bool) {
		if x.running[t.ID] != t {
			return
		}
		if !ok {
			t.fetchFailed(in, out.Map, out.Location)
			return
		}
		t.sum = simRows{mix(t.sum.hash, mix(v.hash, uint64(in[1]))), t.sum.from.and(v.from)}
		t.at++
		t.next()
	}
	if server == x.host {
		v, ok := server.files[key]
		got(v, ok)
		return
	}
	broken := func() { // the connection: tried again
		x.after(between(x.rng, 100*time.Millisecond, 3*time.Second), func() {
			if try == 3 {
				got(simRows{}, false)
			} else if x.running[t.ID] == t {
				t.fetch(in, out, try+1)
			}
		})
	}
	if !server.alive || w.isCut(x.machine, server.machine) {
		broken()
		return
	}
	open := true
	once := func(f func()) func() {
		return func() {
			if open {
				open = false
				f()
			}
		}
	}
	w.after(w.delay(x.rng), func() {
		server.do(func() {
			v, ok := server.files[key]
			w.after(w.delay(x.rng), func() {
				if !w.isCut(x.machine, server.machine) {
					x.do(once(func() { got(v, ok) }))
				}
			})
		})
	})
	x.after(between(x.rng, 10*time.Second, 30*time.Second), once(broken)) // the server died, is stopped, or is out of reach
}

func (t *simTask) fetchFailed(in [2]int, mapN int, from shuffle.Location) {
	t.exec.s.tally.fetches++
	t.end(protocol.TaskResult{
		Outcome: protocol.FetchFailed, Error: "the map output is gone",
		Fetch: &protocol.FetchFailure{Shuffle: in[0], Map: mapN, Reduce: in[1], Location: from},
	})
}

// compute ends the task's work, one way or another.
func (t *simTask) compute() {
	x := t.exec
	s := x.s
	if x.running[t.ID] != t {
		return
	}
	if s.trouble() {
		switch r := x.rng.Float64(); {
		case r < s.faults.taskFails:
			s.tally.failures++
			t.end(protocol.TaskResult{Outcome: protocol.Failed, Error: "chance"})
			return
		case r < s.faults.taskFails+s.faults.taskKills:
			s.tally.exits++
			x.exit("", "a task called os.Exit")
			return
		}
	}
	if t.prog.commits && !t.asked {
		t.asked = true
		x.link.send(&protocol.CommitRequest{ID: t.ID})
		return
	}
	t.succeed()
}

// answered goes on after a task has asked whether it may publish.
func (t *simTask) answered(allowed bool) {
	x := t.exec
	s := x.s
	if !allowed {
		s.tally.denied++
		t.end(protocol.TaskResult{Outcome: protocol.CommitDenied, Error: "denied"})
		return
	}
	x.after(time.Duration(t.slow)*between(x.rng, time.Millisecond, 100*time.Millisecond), func() {
		if x.running[t.ID] != t {
			return
		}
		if s.trouble() && x.rng.Float64() < s.faults.taskKills {
			x.exit("", "killed before it published")
			return
		}
		s.published[t.ID] = true
		if s.trouble() && x.rng.Float64() < s.faults.taskKills {
			x.exit("", "killed after it published")
			return
		}
		t.succeed()
	})
}

func (t *simTask) succeed() {
	x := t.exec
	v := t.prog.value(t.Partition, t.values)
	if sh := t.prog.shuffle; sh != nil && x.s.changing[sh.ID] {
		v = v.changed(sh.ID, t.Partition, uint64(x.s.changes.IntN(2))*uint64(t.ID+1))
	}
	r := protocol.TaskResult{Outcome: protocol.Succeeded}
	if t.prog.shuffle != nil {
		x.host.files[fileKey{t.prog.shuffle.ID, t.Partition, t.ID}] = v
		r.Output = &shuffle.Output{
			Map: t.Partition, Attempt: t.ID, Location: shuffle.Location{Executor: x.name, Host: x.host.name, Addr: x.host.name}, Sizes: t.prog.sizes,
			Sum: shuffle.Sum{Content: uint32(v.hash)},
		}
	} else {
		x.s.made[t.ID] = v
		r.Value = binary.LittleEndian.AppendUint64(nil, uint64(t.ID))
	}
	if !x.s.w.fast {
		r.Updates = []protocol.AccumulatorUpdate{{ID: simAccumulator, Value: t.prog.update(t.Partition)}}
		for _, b := range t.prog.persisted(t.Partition) {
			if x.blocks[b] != nil || x.rng.IntN(4) == 0 { // no room
				continue
			}
			kept := map[[2]int]simRows{}
			for _, in := range x.s.readsOf(b) {
				kept[in] = t.values[in]
			}
			x.blocks[b] = kept
			x.updates = append(x.updates, protocol.BlockUpdate{ID: b, Memory: 1, Level: uint8(x.s.nodes[b.Dataset].Level())})
		}
	}
	x.s.ended[t.ID] = protocol.Succeeded
	t.end(r)
}

// end reports the task.
func (t *simTask) end(r protocol.TaskResult) {
	x := t.exec
	if x.running[t.ID] != t {
		return
	}
	delete(x.running, t.ID)
	s := x.s
	s.ended[t.ID] = r.Outcome
	r.ID, r.Stage, r.Partition = t.ID, t.Stage, t.Partition
	r.Blocks, x.updates = x.updates, nil
	m := &protocol.TaskResults{Results: []protocol.TaskResult{r}}
	x.link.send(m)
	if s.trouble() && s.faults.duplicates && x.rng.IntN(20) == 0 {
		s.tally.duplicates++
		again := r
		again.Blocks = nil
		x.after(between(x.rng, 0, time.Second), func() { x.link.send(&protocol.TaskResults{Results: []protocol.TaskResult{again}}) })
	}
}

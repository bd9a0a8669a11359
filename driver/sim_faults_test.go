package driver

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

// scheduleFaults has each kind of trouble happen at random times.
func (s *simulation) scheduleFaults() {
	for _, f := range []struct {
		rate float64
		do   func()
	}{
		{s.faults.kills, s.killExec},
		{s.faults.hostKills, s.killHost},
		{s.faults.cuts, s.cutNetwork},
		{s.faults.stops, s.stopProcess},
		{s.faults.breaks, s.breakLink},
		{s.faults.deletes, s.deleteFiles},
		{s.faults.evicts, s.evictBlock},
		{s.faults.cancels, s.cancelJob},
		{s.faults.decommissions, s.decommission},
	} {
		if f.rate > 0 {
			s.repeat(f.rate, f.do)
		}
	}
}

func (s *simulation) repeat(rate float64, do func()) {
	s.w.after(time.Duration(s.rng.ExpFloat64()/rate*float64(time.Second)), func() {
		if s.trouble() {
			do()
			s.repeat(rate, do)
		}
	})
}

func (s *simulation) liveHosts() []*simHost {
	return slices.DeleteFunc(slices.Clone(s.hosts), func(h *simHost) bool { return !h.alive })
}

// someHost chooses a live host; nil if there is none.
func (s *simulation) someHost() *simHost {
	if live := s.liveHosts(); len(live) > 0 {
		return live[s.rng.IntN(len(live))]
	}
	return nil
}

func (s *simulation) killExec() {
	if h := s.someHost(); h != nil && h.exec != nil && h.exec.alive {
		s.tally.exits++
		h.exec.exit("", "killed by chance")
	}
}

func (s *simulation) killHost() {
	if h := s.someHost(); h != nil {
		s.tally.hosts++
		h.die("killed by chance")
	}
}

// cutNetwork separates two machines, or one from all others, for a time.
func (s *simulation) cutNetwork() {
	h := s.someHost()
	if h == nil {
		return
	}
	s.tally.cuts++
	others := []string{driverMachine}
	switch other := s.someHost(); {
	case s.rng.IntN(3) == 0:
		for _, o := range s.liveHosts() {
			if o != h {
				others = append(others, o.machine)
			}
		}
	case s.rng.IntN(2) == 0 && other != h:
		others = []string{other.machine}
	}
	for _, o := range others {
		s.w.cut(h.machine, o)
	}
	s.w.after(between(s.rng, 100*time.Millisecond, 3*s.timeout), func() {
		for _, o := range others {
			s.w.heal(h.machine, o)
		}
	})
}

func (s *simulation) stopProcess() {
	h := s.someHost()
	if h == nil {
		return
	}
	s.tally.stops++
	p := &h.process
	if x := h.exec; x != nil && s.rng.IntN(3) > 0 {
		p = &x.process
	}
	p.paused = s.w.now + between(s.rng, 100*time.Millisecond, 3*s.timeout)
	if s.rng.IntN(8) == 0 {
		p.paused = s.chaos + time.Hour // for good
	}
	s.w.logf("STOP %s until %v", p.name, p.paused)
}

func (s *simulation) breakLink() {
	h := s.someHost()
	if h == nil {
		return
	}
	l := h.link
	if x := h.exec; x != nil && s.rng.IntN(3) > 0 {
		l = x.link
	}
	if l != nil && !l.broken {
		s.tally.breaks++
		s.w.logf("BREAK the connection of %s", l.machine)
		l.breakUp()
	}
}

// deleteFiles takes map outputs from a host's disk: one, or all.
func (s *simulation) deleteFiles() {
	h := s.someHost()
	if h == nil || len(h.files) == 0 {
		return
	}
	keys := slices.SortedFunc(maps.Keys(h.files), func(a, b fileKey) int {
		return cmp.Or(cmp.Compare(a.shuffle, b.shuffle), cmp.Compare(a.mapN, b.mapN), cmp.Compare(a.attempt, b.attempt))
	})
	if s.rng.IntN(4) > 0 {
		i := s.rng.IntN(len(keys))
		keys = keys[i : i+1]
	}
	s.tally.deleted += len(keys)
	for _, k := range keys {
		s.w.logf("DELETE %+v on %s", k, h.name)
		delete(h.files, k)
	}
}

func (s *simulation) evictBlock() {
	if h := s.someHost(); h != nil && h.exec != nil && h.exec.alive {
		h.exec.evict()
	}
}

// decommission has an executor decommissioned, by signal or by call.
func (s *simulation) decommission() {
	h := s.someHost()
	switch {
	case h == nil || h.exec == nil || !h.exec.accepted:
	case s.rng.IntN(2) == 0:
		s.w.logf("SIGPWR to %s", h.name)
		h.do(func() { h.link.send(&protocol.Decommission{Reason: "signal"}) })
	default:
		s.w.logf("DECOMMISSION %s", h.exec.name)
		s.loop.queue.put(ask{func() { _, _ = s.loop.decommission([]string{h.exec.name}, "call") }, make(chan struct{})}) // an error if it is lost by then
		s.poke()
	}
}

func (s *simulation) cancelJob() {
	var open []*simJob
	for _, j := range s.order {
		if !j.over && !j.cancelled {
			open = append(open, j)
		}
	}
	if len(open) > 0 {
		s.cancel(open[s.rng.IntN(len(open))])
	}
}

// settle ends the trouble: the network is whole again. What is lost stays lost, and processes that were stopped for good are.
func (s *simulation) settle() {
	s.w.logf("SETTLE")
	for _, pair := range slices.SortedFunc(maps.Keys(s.w.cuts), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		s.w.heal(pair[0], pair[1])
	}
	for _, h := range s.hosts {
		h.slow = 1
	}
}

package sched

import (
	"cmp"
	"maps"
	"slices"

	"github.com/spark-go/spark-go/shuffle"
)

// ExecutorDecommissioned has an executor get no more tasks. Those that it runs may end, and its map outputs are read from it as before, until it
// is lost or they are moved. Unknown executors are ignored.
type ExecutorDecommissioned struct{ Executor string }

// OutputMoved says that a copy of a map output lies at another place, where it is read from now on. It is ignored if another attempt's output, or none,
// is registered by now.
//
// Attempts that were submitted before know the old place. They go on while that can be read: when From is lost, those that have tasks to launch are
// submitted again, which is no failure.
type OutputMoved struct {
	From    string // the decommissioned executor
	Shuffle int
	Output  shuffle.Output // with its new place
}

func (ExecutorDecommissioned) event() {}
func (OutputMoved) event()            {}

// decommission takes an executor out of the running.
func (s *Scheduler) decommission(name string) {
	if x := s.executors[name]; x != nil {
		s.withdraw(x)
		s.leaving[name] = x
	}
}

func (s *Scheduler) outputMoved(e *OutputMoved) {
	old, ok := s.outputs.Get(e.Shuffle, e.Output.Map)
	if !ok || old.Attempt != e.Output.Attempt {
		return
	}
	moved := e.Output
	moved.Rows, moved.Sum = old.Rows, old.Sum
	s.outputs.register(e.Shuffle, 0, moved.Map, moved)
	x, st := s.leaving[e.From], s.byShuffle[e.Shuffle]
	if x == nil || st == nil {
		return
	}
	for _, c := range st.children {
		if c.active != nil && slices.Contains(c.parents, st) && !slices.Contains(x.readers, c.active) {
			x.readers = append(x.readers, c.active)
		}
	}
}

// Running is how many task attempts an executor has. Those of a barrier stage that have ended are among them until it is known
// whether what they made counts.
func (s *Scheduler) Running(executor string) int {
	if x := cmp.Or(s.executors[executor], s.leaving[executor]); x != nil {
		n := len(x.running)
		for _, ts := range s.gangs {
			for _, h := range ts.gang.held {
				if h.task.executor == x {
					n++
				}
			}
		}
		return n
	}
	return 0
}

// StoredOutput is a map output and its shuffle.
type StoredOutput struct {
	Shuffle int
	shuffle.Output
}

// OutputsOn lists the map outputs on a host, whichever executor of it wrote them, by shuffle and map partition.
func (s *Scheduler) OutputsOn(host string) []StoredOutput {
	var list []StoredOutput
	names := s.lived[host]
	for _, id := range slices.Sorted(maps.Keys(s.outputs.shuffles)) {
		t := s.outputs.shuffles[id]
		if !slices.ContainsFunc(names, func(name string) bool { return t.on[name] > 0 }) {
			continue
		}
		for m, have := range t.have {
			if have && slices.Contains(names, t.outputs[m].Location.Executor) {
				list = append(list, StoredOutput{id, t.outputs[m]})
			}
		}
	}
	return list
}

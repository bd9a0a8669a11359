package sched

import (
	"slices"
	"time"
)

// Locality says how near to its input a task runs.
type Locality uint8

// From near to far. Tasks without a preferred place that is alive have NoPreference and never wait.
const (
	ProcessLocal Locality = iota // in the executor that caches its input
	NodeLocal                    // on the host that stores it
	NoPreference
	Any
)

var localityNames = [...]string{"PROCESS_LOCAL", "NODE_LOCAL", "NO_PREF", "ANY"}

func (l Locality) String() string { return localityNames[l] }

// Delay scheduling: a set with preferred places leaves slots elsewhere idle for a while, first for the sake of executors, then
// for the sake of hosts. The clock of that wait starts when the set is submitted, and starts again whenever the last free slot
// was taken: it measures how long slots have really been idle. Executors that are gone are not waited for.

// findPlaces asks where the tasks of a new set would like to run.
func (s *Scheduler) findPlaces(ts *taskSet) {
	prefer := ts.stage.jobs[0].prefer
	if prefer == nil {
		return
	}
	for i := range ts.tasks {
		places := prefer(ts.stage.Stage, ts.partition(i))
		if len(places) == 0 {
			continue
		}
		if ts.places == nil {
			ts.places = make([][]Place, len(ts.tasks))
			ts.byExecutor, ts.byHost = map[string][]int{}, map[string][]int{}
		}
		ts.places[i] = places
	}
}

// place enters a pending task into the lists of its preferred places.
func (s *Scheduler) place(ts *taskSet, i int) {
	ts.all = append(ts.all, i)
	for _, p := range ts.places[i] {
		if p.Executor != "" {
			if _, known := ts.byExecutor[p.Executor]; !known {
				ts.executors = append(ts.executors, p.Executor)
			}
			ts.byExecutor[p.Executor] = append(ts.byExecutor[p.Executor], i)
		}
		if host := s.hostOf(p); host != "" {
			if _, known := ts.byHost[host]; !known {
				ts.hosts = append(ts.hosts, host)
			}
			ts.byHost[host] = append(ts.byHost[host], i)
		}
	}
	s.await(ts, i)
}

// await enters a pending task into the list of those worth waiting for, or of those that run anywhere.
func (s *Scheduler) await(ts *taskSet, i int) {
	near := false
	if s.anyExecutor(ts.places[i]) {
		ts.wantsExec = append(ts.wantsExec, i)
		near = true
	}
	if s.anyHost(ts.places[i]) {
		ts.wantsHost = append(ts.wantsHost, i)
		near = true
	}
	if !near {
		ts.unplaced = append(ts.unplaced, i)
	}
}

func (s *Scheduler) hostOf(p Place) string {
	if e := s.executors[p.Executor]; e != nil {
		return e.host.name
	}
	return p.Host
}

func (s *Scheduler) anyExecutor(places []Place) bool {
	return slices.ContainsFunc(places, func(p Place) bool { return s.executors[p.Executor] != nil })
}

func (s *Scheduler) anyHost(places []Place) bool {
	return slices.ContainsFunc(places, func(p Place) bool { return s.hosts[s.hostOf(p)] != nil })
}

// limit is how far from their preferred places tasks of the set may run now.
func (s *Scheduler) limit(ts *taskSet) Locality {
	if ts.places == nil {
		return Any
	}
	l, _ := s.limitUntil(ts)
	return l
}

// limitUntil also says when the limit will be lifted by one step; 0 if it will not.
func (s *Scheduler) limitUntil(ts *taskSet) (Locality, time.Duration) {
	start := max(ts.since, s.freeSince)
	for n := len(ts.wantsExec); n > 0; n = len(ts.wantsExec) {
		if i := ts.wantsExec[n-1]; ts.tasks[i].pending && s.anyExecutor(ts.places[i]) {
			if s.now < start+s.set.LocalityWaitProcess {
				return ProcessLocal, start + s.set.LocalityWaitProcess
			}
			start += s.set.LocalityWaitProcess
			break
		}
		ts.wantsExec = ts.wantsExec[:n-1]
	}
	for n := len(ts.wantsHost); n > 0; n = len(ts.wantsHost) {
		if i := ts.wantsHost[n-1]; ts.tasks[i].pending && s.anyHost(ts.places[i]) {
			if s.now < start+s.set.LocalityWaitNode {
				return NodeLocal, start + s.set.LocalityWaitNode
			}
			break
		}
		ts.wantsHost = ts.wantsHost[:n-1]
	}
	return Any, 0
}

// replace looks again at the pending tasks that prefer an executor or its host, after it came or went.
func (s *Scheduler) replace(e *executor) {
	for _, ts := range s.sets {
		if ts.places == nil || ts.pending == 0 {
			continue
		}
		for _, list := range [][]int{ts.byExecutor[e.name], ts.byHost[e.host.name]} {
			for _, i := range list {
				if ts.tasks[i].pending {
					s.await(ts, i)
				}
			}
		}
		s.markDirty(ts)
	}
}

package sched

import (
	"maps"
	"slices"
	"time"
)

// Exclusion keeps tasks away from executors and hosts on which tasks have failed. Only failures that count are considered, not
// fetch failures, kills, commit denials and lost executors.
//
// It has three levels. A task avoids places where it failed itself. A stage attempt avoids executors where several of its tasks
// failed, and hosts where it avoids several executors. When an attempt has succeeded all the same, the failures are blamed
// on the executors, and too many of them exclude an executor from the whole application for a time.
type Exclusion struct {
	Enabled           bool          // spark.excludeOnFailure.enabled
	TaskPerExecutor   int           // spark.excludeOnFailure.task.maxTaskAttemptsPerExecutor
	TaskPerNode       int           // spark.excludeOnFailure.task.maxTaskAttemptsPerNode
	StagePerExecutor  int           // spark.excludeOnFailure.stage.maxFailedTasksPerExecutor
	StagePerNode      int           // spark.excludeOnFailure.stage.maxFailedExecutorsPerNode
	AppPerExecutor    int           // spark.excludeOnFailure.application.maxFailedTasksPerExecutor
	AppPerNode        int           // spark.excludeOnFailure.application.maxFailedExecutorsPerNode
	Timeout           time.Duration // spark.excludeOnFailure.timeout, of the application's level
	UnschedulableTime time.Duration // spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout: how long a stage barred everywhere waits for a new executor
}

func defaultExclusion() Exclusion {
	return Exclusion{
		TaskPerExecutor: 1, TaskPerNode: 2, StagePerExecutor: 2, StagePerNode: 2, AppPerExecutor: 2, AppPerNode: 2,
		Timeout: time.Hour, UnschedulableTime: 2 * time.Minute,
	}
}

// setExclusions is what one stage attempt avoids.
type setExclusions struct {
	rule       *Exclusion
	onExecutor map[taskAt]int // failures of a task on an executor
	onHost     map[taskAt]int
	failed     map[string][]int // on each executor, the tasks that failed there
	executors  map[string]bool  // avoided by all tasks
	hosts      map[string]bool
	perHost    map[string]int // avoided executors on each host
}

type taskAt struct {
	task  int
	place string
}

func (x *setExclusions) allowsAny(e *executor) bool {
	return !x.executors[e.name] && !x.hosts[e.host.name]
}

func (x *setExclusions) allows(i int, e *executor) bool {
	return x.allowsAny(e) && x.onExecutor[taskAt{i, e.name}] < x.rule.TaskPerExecutor && x.onHost[taskAt{i, e.host.name}] < x.rule.TaskPerNode
}

// exclude notes a failure.
func (s *Scheduler) exclude(ts *taskSet, t *task) {
	if !s.set.Exclusion.Enabled {
		return
	}
	x := ts.excluded
	if x == nil {
		x = &setExclusions{
			rule: &s.set.Exclusion, onExecutor: map[taskAt]int{}, onHost: map[taskAt]int{}, failed: map[string][]int{},
			executors: map[string]bool{}, hosts: map[string]bool{}, perHost: map[string]int{},
		}
		ts.excluded = x
	}
	e, h := t.executor.name, t.executor.host.name
	x.onExecutor[taskAt{t.index, e}]++
	x.onHost[taskAt{t.index, h}]++
	if !slices.Contains(x.failed[e], t.index) {
		x.failed[e] = append(x.failed[e], t.index)
	}
	if len(x.failed[e]) >= x.rule.StagePerExecutor && !x.executors[e] {
		x.executors[e] = true
		if x.perHost[h]++; x.perHost[h] >= x.rule.StagePerNode {
			x.hosts[h] = true
		}
	}
}

// appExclusions is what the application avoids.
type appExclusions struct {
	executors int // excluded ones
	hosts     map[string]time.Duration
}

// countExclusions blames the failures of an attempt that succeeded on the executors.
func (s *Scheduler) countExclusions(ts *taskSet) {
	if ts.excluded == nil {
		return
	}
	rule := &s.set.Exclusion
	for _, name := range slices.Sorted(maps.Keys(ts.excluded.failed)) {
		x := s.executors[name]
		if x == nil || x.excludedUntil > 0 {
			continue
		}
		x.failures = slices.DeleteFunc(x.failures, func(at time.Duration) bool { return at+rule.Timeout <= s.now })
		for range ts.excluded.failed[name] {
			x.failures = append(x.failures, s.now)
		}
		if len(x.failures) >= rule.AppPerExecutor {
			x.failures = nil
			s.excludeExecutor(x, s.now+rule.Timeout)
			s.excludeHost(x.host)
		}
	}
}

// excludeHost excludes all executors of a host, also those to come, if too many of them are.
func (s *Scheduler) excludeHost(h *host) {
	n := 0
	for _, x := range h.executors {
		if x.excludedUntil > 0 {
			n++
		}
	}
	if n < s.set.Exclusion.AppPerNode {
		return
	}
	if s.exclusion.hosts == nil {
		s.exclusion.hosts = map[string]time.Duration{}
	}
	until := s.now + s.set.Exclusion.Timeout
	s.exclusion.hosts[h.name] = until
	for _, x := range h.executors {
		s.excludeExecutor(x, until)
	}
}

// fullDiskTime is for how long an executor whose disks are full gets no tasks, while others do.
const fullDiskTime = time.Minute

// avoidFullDisk gives an executor whose disks are full no tasks for a time, whether or not exclusion is enabled: the failed task would most likely fail
// there again, and others too. The last one that takes tasks stays.
func (s *Scheduler) avoidFullDisk(x *executor) {
	if !x.gone && len(s.executors)-s.exclusion.executors > 1 {
		s.excludeExecutor(x, s.now+fullDiskTime)
	}
}

func (s *Scheduler) excludeExecutor(x *executor, until time.Duration) {
	if x.excludedUntil == 0 {
		s.exclusion.executors++
		x.excludedUntil = until
		s.emit(ExecutorExcluded{Executor: x.name, Until: s.base.Add(until)})
	}
}

// endExclusions lets executors back in whose time is over, and fails the jobs of stages that are barred everywhere too long.
func (s *Scheduler) endExclusions() {
	maps.DeleteFunc(s.exclusion.hosts, func(_ string, until time.Duration) bool { return until <= s.now })
	if s.exclusion.executors > 0 {
		for _, name := range slices.Sorted(maps.Keys(s.executors)) {
			if x := s.executors[name]; x.excludedUntil > 0 && x.excludedUntil <= s.now {
				x.excludedUntil = 0
				s.exclusion.executors--
				s.markFree(x)
			}
		}
	}
	if !s.set.Exclusion.Enabled {
		return
	}
	for _, ts := range slices.Clone(s.sets) {
		if ts.active() && ts.stuckSince >= 0 && s.stuck(ts) && s.now >= ts.stuckSince+s.set.Exclusion.UnschedulableTime {
			i := slices.IndexFunc(ts.tasks, func(st taskState) bool { return st.pending })
			s.abort(ts.stage, &UnschedulableError{Stage: ts.stage.ID, Partition: ts.partition(i), Executors: len(s.executors)})
		}
	}
}

// stuck says that a set wants slots, runs nothing, and takes none of the free ones, though no gang has them kept.
func (s *Scheduler) stuck(ts *taskSet) bool {
	return ts.gang == nil && ts.pending > 0 && len(ts.running) == 0 && s.freeSlots > 0 && !s.mustWait(ts)
}

// watchStuck starts and stops the clocks of sets that are barred from all free slots.
func (s *Scheduler) watchStuck() {
	if !s.set.Exclusion.Enabled {
		return
	}
	for _, ts := range s.sets {
		switch {
		case !s.stuck(ts):
			ts.stuckSince = -1
		case ts.stuckSince < 0:
			ts.stuckSince = s.now
		}
	}
}

// exclusionDeadline is when an exclusion or a wait ends next; 0 if none does.
func (s *Scheduler) exclusionDeadline() time.Duration {
	next := time.Duration(0)
	earlier := func(d time.Duration) {
		if next == 0 || d < next {
			next = d
		}
	}
	if s.exclusion.executors > 0 {
		for _, x := range s.executors {
			if x.excludedUntil > 0 {
				earlier(x.excludedUntil)
			}
		}
	}
	for _, ts := range s.sets {
		if s.set.Exclusion.Enabled && ts.stuckSince >= 0 && s.stuck(ts) {
			earlier(ts.stuckSince + s.set.Exclusion.UnschedulableTime)
		}
	}
	return next
}

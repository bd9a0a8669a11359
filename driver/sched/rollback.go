package sched

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spark-go/spark-go/driver/plan"
)

// RolledBack says that a map task has written other rows than the last time, and what of that which was computed from the former ones is taken back.
// The attempts and outputs themselves end with StageCompleted and OutputsUnregistered, the jobs with JobFinished.
type RolledBack struct {
	Stage     *plan.Stage
	Partition int   // of the map task
	Shuffles  []int // whose map outputs were forgotten, ascending
	Stages    []int // whose attempts were ended, ascending
	Jobs      []int // that failed, since a part of their result was handed on already; ascending
}

// CachedVoid says that cached blocks of all datasets that are computed from these shuffles hold the former rows. It comes with RolledBack and, where
// tasks of the attempts that were rolled back still ran then, again when the last of them has ended: no task that reads the shuffles is launched before.
type CachedVoid struct{ Shuffles []int }

func (RolledBack) action() {}
func (CachedVoid) action() {}

// ErrRolledBack ends stage attempts that read map outputs which have come out otherwise since.
var ErrRolledBack = errors.New("a map output that the stage reads was computed again and has other rows")

// shuffleLineage is which shuffle is computed from which, as the plans of all jobs have it.
type shuffleLineage struct {
	readers map[int]map[int]bool // the shuffles whose map tasks read a shuffle
	reads   map[int][]int        // the same, from the readers' side
}

// add notes that the map tasks of a shuffle read another.
func (l *shuffleLineage) add(shuffle, reader int) {
	readers := l.readers[shuffle]
	if readers == nil {
		readers = map[int]bool{}
		l.readers[shuffle] = readers
	}
	if !readers[reader] {
		readers[reader] = true
		l.reads[reader] = append(l.reads[reader], shuffle)
	}
}

// remove forgets a shuffle that nothing can reach.
func (l *shuffleLineage) remove(shuffle int) {
	for _, p := range l.reads[shuffle] {
		delete(l.readers[p], shuffle)
	}
	delete(l.reads, shuffle)
	delete(l.readers, shuffle)
}

// from lists a shuffle and all that are computed from it.
func (l *shuffleLineage) from(shuffle int) map[int]bool {
	all := map[int]bool{shuffle: true}
	stack := []int{shuffle}
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for reader := range l.readers[id] {
			if !all[reader] {
				all[reader] = true
				stack = append(stack, reader)
			}
		}
	}
	return all
}

// rollback is what is left to be done of the last ones.
type rollback struct {
	running int          // tasks of attempts that were rolled back
	touched map[int]bool // the shuffles that changed and all after them, while there are such tasks
	waiting []*stage     // that read them, and start when there are none
}

// rollBack takes back all that was computed from the map output of p that stands no more: a task of st has written another one.
func (s *Scheduler) rollBack(st *stage, p int) {
	if !s.set.Rollback || st.gone {
		return
	}
	touched := s.lineage.from(st.Shuffle)
	action := RolledBack{Stage: st.Stage, Partition: p}

	// What still runs is void, whether or not its attempt goes on.
	for _, t := range s.tasks {
		if c := t.set.stage; !t.set.void && c != st && c.readsAny(touched) {
			t.set.void = true
			s.rollback.running += len(t.set.running)
		}
	}
	stages := make([]*stage, 0, len(touched))
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		if c := s.byShuffle[id]; c != nil && c != st {
			stages = append(stages, c)
		}
	}
	var broken []*job
	for _, j := range s.jobs {
		switch {
		case !j.result.readsAny(touched):
		case j.remaining < j.wanted:
			broken = append(broken, j)
		default:
			stages = append(stages, j.result)
		}
	}
	slices.SortFunc(stages, func(a, b *stage) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(broken, byNumber)
	for _, c := range stages {
		if c.active != nil {
			action.Stages = append(action.Stages, c.ID)
		}
	}
	for _, j := range broken {
		action.Jobs = append(action.Jobs, j.id)
	}
	var forgotten []lost
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		if id == st.Shuffle {
			continue
		}
		if dropped := s.outputs.void(id); dropped != nil {
			action.Shuffles = append(action.Shuffles, id)
			forgotten = append(forgotten, dropped...)
		}
	}
	s.emit(action)
	for _, c := range stages {
		if c.active != nil || c.waiting {
			s.endAttempt(c, ErrRolledBack)
			s.later(c)
		}
		s.stopTasks(c, ErrRolledBack.Error())
		s.forgetCommits(c)
	}
	s.outputsLost(forgotten)
	for _, j := range broken {
		s.finishJob(j, &ChangedError{Stage: st.Stage, Partition: p, Result: j.result.ID, Delivered: j.wanted - j.remaining, Wanted: j.wanted})
	}
	maps.Copy(s.rollback.touched, touched)
	s.emit(CachedVoid{Shuffles: slices.Sorted(maps.Keys(touched))})
	if s.rollback.running == 0 {
		clear(s.rollback.touched)
	}
}

// readsAny says whether the tasks of a stage read one of some shuffles, or cached blocks that may have been computed from it.
func (st *stage) readsAny(shuffles map[int]bool) bool {
	in := func(p *stage) bool { return shuffles[p.Shuffle] }
	return slices.ContainsFunc(st.parents, in) || slices.ContainsFunc(st.behind, in)
}

// drains makes a stage wait until the tasks that were rolled back have ended: until then they may cache blocks that are not to be read.
func (s *Scheduler) drains(st *stage) bool {
	if s.rollback.running == 0 || !st.readsAny(s.rollback.touched) {
		return false
	}
	st.waiting = true
	if !slices.Contains(s.rollback.waiting, st) {
		s.rollback.waiting = append(s.rollback.waiting, st)
	}
	return true
}

// voidEnded takes note that a task which was rolled back has ended.
func (s *Scheduler) voidEnded() {
	if s.rollback.running--; s.rollback.running > 0 {
		return
	}
	s.emit(CachedVoid{Shuffles: slices.Sorted(maps.Keys(s.rollback.touched))})
	clear(s.rollback.touched)
	for _, st := range s.rollback.waiting {
		if st.waiting {
			s.later(st)
		}
	}
	clear(s.rollback.waiting)
	s.rollback.waiting = s.rollback.waiting[:0]
}

// ChangedError fails a job because a map output that its result was partly computed from has come out otherwise the second time.
type ChangedError struct {
	Stage             *plan.Stage // of the map task
	Partition         int
	Result            int // the stage of the result
	Delivered, Wanted int // partitions of the result
}

func (e *ChangedError) Error() string {
	name := ""
	if e.Stage.Target != nil {
		name = fmt.Sprintf(" (%v)", e.Stage.Target)
	}
	return fmt.Sprintf("partition %d of stage %d%s was computed again after a loss and came out otherwise, when %d of %d partitions of the result, in stage %d, had been computed from the former rows and handed on, "+
		"which cannot be taken back: a function before it does not give the same result for the same input; make it do so (seed random numbers by the partition, sort the keys of maps, do not look at the clock), "+
		"or checkpoint the dataset first, with Checkpoint and a directory that outlives executors",
		e.Partition, e.Stage.ID, name, e.Delivered, e.Wanted, e.Result)
}

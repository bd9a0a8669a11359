package sched

import "maps"

// Of the attempts that write one partition of a stage to the outside world, one at a time may commit. Who asks first holds the
// right; it passes on only if that attempt fails.
type commitKey struct {
	stage     int
	partition int
}

func (s *Scheduler) commitAsked(id TaskID) {
	t := s.tasks[id]
	if t == nil {
		return // lost or ended: nobody is there to be answered
	}
	key := commitKey{t.set.stage.ID, t.set.partition(t.index)}
	holder, held := s.commits[key]
	allowed := !t.set.stage.gone && !t.killed && (!held || holder == id)
	if allowed {
		s.commits[key] = id
	}
	s.emit(CommitAnswered{Task: id, Executor: t.executor.name, Allowed: allowed})
}

// freeCommit lets others commit after the holder failed.
func (s *Scheduler) freeCommit(t *task) {
	if len(s.commits) == 0 {
		return
	}
	key := commitKey{t.set.stage.ID, t.set.partition(t.index)}
	if holder, held := s.commits[key]; held && holder == t.id {
		delete(s.commits, key)
	}
}

func (s *Scheduler) forgetCommits(st *stage) {
	if len(s.commits) > 0 {
		maps.DeleteFunc(s.commits, func(k commitKey, _ TaskID) bool { return k.stage == st.ID })
	}
}

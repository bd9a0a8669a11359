package sched

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

func (sim *simulation) handle(event Event) error {
	if os.Getenv("SPARK_GO_SEED") != "" {
		sim.log = append(sim.log, fmt.Sprintf("%v %T%+v", sim.now.Sub(time.Unix(1e9, 0)), event, event))
	}
	sim.launched, sim.accepted = map[[2]int]int{}, map[[2]int]int{}
	for _, a := range sim.s.Handle(sim.now, event) {
		if os.Getenv("SPARK_GO_SEED") != "" {
			sim.log = append(sim.log, "> "+show(a))
		}
		if err := sim.act(event, a); err != nil {
			return fmt.Errorf("%T%+v: %s: %w", event, event, show(a), err)
		}
	}
	for _, some := range []map[[2]int]int{sim.launched, sim.accepted} {
		for key, n := range some {
			if want := sim.gangs[key]; n != want {
				return fmt.Errorf("after %T%+v: %d tasks of barrier stage %v, want all %d or none", event, event, n, key, want)
			}
		}
	}
	if err := sim.s.verify(); err != nil {
		return fmt.Errorf("after %T%+v: %w", event, event, err)
	}
	return nil
}

func (sim *simulation) act(event Event, a Action) error {
	switch a := a.(type) {
	case StageSubmitted:
		if _, running := sim.active[a.Stage.ID]; running {
			return errors.New("the stage has two active attempts")
		}
		sim.active[a.Stage.ID] = a.Attempt
		reads := map[int][]shuffle.Output{}
		st := sim.stageOf(a.Stage)
		for _, p := range st.parents {
			reads[p.Shuffle] = sim.s.Outputs().Of(p.Shuffle)
			if len(reads[p.Shuffle]) != p.Tasks {
				return fmt.Errorf("%d of %d outputs of shuffle %d are there", len(reads[p.Shuffle]), p.Tasks, p.Shuffle)
			}
		}
		for _, p := range st.behind {
			if out := sim.s.Outputs().Of(p.Shuffle); len(out) == p.Tasks {
				reads[p.Shuffle] = out
			} else {
				reads[p.Shuffle] = nil
			}
		}
		sim.reads[[2]int{a.Stage.ID, a.Attempt}] = reads
	case StageCompleted:
		if sim.active[a.Stage.ID] != a.Attempt {
			return errors.New("the attempt is not active")
		}
		if a.Err == nil && a.Stage.Barrier {
			sim.tally.gangs++
		}
		delete(sim.active, a.Stage.ID)
	case LaunchTask:
		x := sim.executors[a.Executor]
		if x == nil {
			return errors.New("the executor is lost")
		}
		if sim.leaving[a.Executor] {
			return errors.New("the executor is decommissioned")
		}
		if sim.now.Before(sim.excluded[a.Executor]) {
			return errors.New("the executor is excluded")
		}
		if len(x.running) == x.slots {
			return errors.New("the executor has no free slot")
		}
		if attempt, ok := sim.active[a.Stage]; !ok || attempt != a.StageAttempt {
			return errors.New("the attempt is not active")
		}
		for _, p := range sim.s.tasks[a.Task].set.stage.parents {
			for m, out := range sim.reads[[2]int{a.Stage, a.StageAttempt}][p.Shuffle] {
				if now := sim.s.outputs.shuffles[p.Shuffle]; !now.have[m] || now.outputs[m].Attempt != out.Attempt {
					return fmt.Errorf("map output %d of shuffle %d, which the task reads, is known to be lost", m, p.Shuffle)
				}
			}
		}
		x.running[a.Task] = true
		t := &simTask{LaunchTask: a, reads: sim.reads[[2]int{a.Stage, a.StageAttempt}]}
		t.stage = sim.s.tasks[a.Task].set.stage.Stage
		sim.tasks[a.Task] = t
		sim.tally.tasks++
		if t.stage.Barrier {
			sim.launched[[2]int{a.Stage, a.StageAttempt}]++
			if a.Speculative || a.Attempt > 0 {
				return errors.New("a task of a barrier stage has a second attempt")
			}
		}
		if a.Speculative {
			sim.tally.speculative++
		}
	case KillTask:
		if t := sim.tasks[a.Task]; t != nil {
			t.killed = true
		}
	case GangLaunched:
		for _, t := range sim.tasks {
			if t.Stage == a.Stage && !t.killed {
				return fmt.Errorf("task %d of attempt %d still runs", t.Task, t.StageAttempt)
			}
		}
		if a.Attempt > 0 {
			sim.tally.disbanded++
		}
		sim.gangs[[2]int{a.Stage, a.Attempt}] = len(a.Members)
	case BarrierPassed:
		for _, id := range a.Tasks {
			t := sim.tasks[id]
			if t == nil || !t.atBarrier || t.passed != a.Round || t.Executor != a.Executor || a.Err != nil {
				return errors.New("the task does not wait at this barrier")
			}
			for _, o := range sim.tasks {
				if o.Stage == t.Stage && o.StageAttempt == t.StageAttempt && o.passed == a.Round && !o.atBarrier {
					return fmt.Errorf("task %d has not come", o.Task)
				}
			}
			if a.Round == 1 && (len(a.Messages) != sim.gangs[[2]int{t.Stage, t.StageAttempt}] || string(a.Messages[t.Partition]) != strconv.Itoa(t.Partition)) {
				return fmt.Errorf("messages %q", a.Messages)
			}
		}
		for _, id := range a.Tasks {
			sim.tasks[id].passed++
			sim.tasks[id].atBarrier = false
		}
		sim.tally.barriers++
	case TaskEnded:
		if _, gang := sim.gangs[[2]int{a.Stage, a.StageAttempt}]; gang && a.Accepted {
			sim.accepted[[2]int{a.Stage, a.StageAttempt}]++
		}
		if a.Outcome == Succeeded && !a.Accepted && sim.s.rollback.running > 0 {
			sim.tally.late++
		}
		if e, ok := event.(TaskFinished); ok && e.Task == a.Task && a.Accepted {
			if attempt, ok := sim.active[a.Stage]; !ok || attempt != a.StageAttempt {
				sim.tally.zombies++
			}
		}
	case Result:
		j := sim.jobs[a.Job]
		if j == nil || !j.wanted[a.Partition] {
			return errors.New("the result is not wanted, or came before")
		}
		rows := a.Value.(*simRows)
		if rows.partition != a.Partition {
			return errors.New("the result is that of another partition")
		}
		if j.from = j.from.and(rows.from); j.from.mixed() {
			return errors.New("the results of the job were computed from two outputs of one map task")
		}
		j.wanted[a.Partition] = false
		j.left--
	case JobFinished:
		j := sim.jobs[a.Job]
		if j == nil {
			return errors.New("the job has finished before")
		}
		if a.Err == nil && j.left > 0 {
			return fmt.Errorf("%d results are missing", j.left)
		}
		var changed *ChangedError
		if errors.As(a.Err, &changed) && (j.left == len(j.wanted) || changed.Wanted != len(j.wanted) || changed.Delivered != len(j.wanted)-j.left) {
			return fmt.Errorf("%d of %d results are missing", j.left, len(j.wanted))
		}
		var slots *SlotsError
		if a.Err != nil && !sim.trouble && !errors.As(a.Err, &slots) {
			return errors.New("the job failed without trouble")
		}
		if a.Err == nil {
			sim.tally.succeeded++
		} else {
			sim.tally.failed++
		}
		delete(sim.jobs, a.Job)
	case RolledBack:
		e, ok := event.(TaskFinished)
		if !ok || !sim.changing[a.Stage.Shuffle] {
			return errors.New("nothing has changed")
		}
		if !a.Stage.Barrier && e.Output.Map != a.Partition {
			return errors.New("another output has changed")
		}
		sim.tally.changed++
		sim.tally.rolledBack += len(a.Shuffles)
		sim.tally.ended += len(a.Stages)
		sim.tally.broken += len(a.Jobs)
	case CommitAnswered:
		key := [2]int{sim.tasks[a.Task].Stage, sim.tasks[a.Task].Partition}
		if holder, held := sim.commits[key]; held && holder != a.Task && a.Allowed && sim.tasks[holder] != nil {
			return fmt.Errorf("task %d was allowed to commit as well", holder)
		}
		if a.Allowed {
			sim.commits[key] = a.Task
		} else {
			sim.tally.denied++
		}
	case ExecutorExcluded:
		sim.excluded[a.Executor] = a.Until
		sim.tally.excluded++
	}
	return nil
}

package driver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
)

// collect takes results as Context.await does.
func (s *simulation) collect() {
	for _, j := range s.order {
		if j.over {
			continue
		}
		results, done, err := j.next()
		for _, r := range results {
			p := r.i
			if j.spec.Partitions != nil {
				p = j.spec.Partitions[r.i]
			}
			if j.delivered[p] {
				s.fail("the result of partition %d of job %d came twice", p, j.id)
			}
			j.delivered[p] = true
			rows := s.made[int64(binary.LittleEndian.Uint64(r.value))]
			j.results[p] = rows.hash
			if j.from = j.from.and(rows.from); j.from != nil && j.from.mixed {
				s.fail("the results of job %d were computed from two versions of a map output", j.id)
			}
			if want := s.expected(j.spec.Target, p, nil, s.truth); j.from == nil && rows.hash != want {
				s.fail("partition %d of job %d is %x, not %x", p, j.id, rows.hash, want)
			}
		}
		if done {
			s.finished(j, err)
		}
	}
}

func (s *simulation) finished(j *simJob, err error) {
	j.over = true
	s.w.logf("JOB %d ends: %v", j.id, err)
	want := j.spec.Target.Partitions()
	if j.spec.Partitions != nil {
		want = len(j.spec.Partitions)
	}
	for p, n := range j.updates {
		if n != 1 {
			s.fail("the update of partition %d of job %d was counted %d times", p, j.id, n)
		}
	}
	if j.from != nil && !j.from.mixed {
		known := map[[2]int]uint64{}
		for p, got := range j.results {
			if want := s.expected(j.spec.Target, p, j.from, known); got != want {
				s.fail("partition %d of job %d is %x, not %x with the versions %v", p, j.id, got, want, j.from.versions)
			}
		}
	}
	if err == nil {
		s.tally.succeeded++
		if len(j.delivered) != want || len(j.updates) != want && !s.w.fast {
			s.fail("job %d succeeded with %d results and %d updates of %d partitions", j.id, len(j.delivered), len(j.updates), want)
		}
		if j.commits {
			for p, id := range j.accepted {
				if !s.published[id] {
					s.fail("job %d succeeded, and the attempt that counts for partition %d has published nothing", j.id, p)
				}
			}
		}
		return
	}
	s.tally.failed++
	var task *sched.TaskError
	var stage *sched.StageError
	var changed *sched.ChangedError
	var gang *sched.BarrierError
	var slots *sched.SlotsError
	var cancelled *sched.CancelledError
	var barred *sched.UnschedulableError
	switch {
	case errors.As(err, &task):
		if n := s.counted[[3]int{task.Stage, task.StageAttempt, task.Partition}]; n < s.set.MaxTaskFailures || n < task.Failures { // losses that nobody is to blame for are among them
			s.fail("job %d was failed by a task that failed %d times: %v", j.id, n, err)
		}
	case errors.As(err, &stage):
		if n := s.unread[stage.Stage] + 1; n < s.set.MaxStageAttempts {
			s.fail("job %d was failed by %d fetch failures in a row: %v", j.id, n, err)
		}
	case errors.As(err, &changed):
		s.tally.broken++
		if !s.changing[changed.Stage.Shuffle] || changed.Delivered == 0 || changed.Delivered != len(j.delivered) {
			s.fail("job %d was failed by a change: %v", j.id, err)
		}
	case errors.As(err, &gang):
		if n := s.unread[gang.Stage] + 1; n < s.set.MaxStageAttempts {
			s.fail("job %d was failed by %d attempts of a barrier stage in a row: %v", j.id, n, err)
		}
	case errors.As(err, &slots):
		s.tally.narrow++
		if slots.Need <= s.cores*s.executors && s.harmless {
			s.fail("job %d finds no slots: %v", j.id, err)
		}
		return // no fault is needed for that
	case errors.As(err, &cancelled):
		s.tally.cancelled++
		if !j.cancelled && !s.gaveUp {
			s.fail("job %d was not cancelled: %v", j.id, err)
		}
	case errors.As(err, &barred):
		if !s.set.Exclusion.Enabled {
			s.fail("job %d: %v", j.id, err)
		}
	case s.gaveUp:
	default:
		s.fail("job %d failed without a cause: %v", j.id, err)
	}
	if s.harmless {
		s.fail("job %d failed without trouble: %v", j.id, err)
	}
}

// merge counts an accumulator update.
func (s *simulation) merge(update []byte) error {
	v := binary.LittleEndian.Uint64(update)
	if v>>63 == 1 {
		s.shuffled[v]++
		return nil
	}
	j := s.jobs[int(v>>32)]
	if j == nil || j.over {
		s.fail("an update of job %d was counted after its end", v>>32)
		return nil
	}
	j.updates[int(v&0xffffffff)]++
	return nil
}

// watch holds the driver's events against what is known.
func (s *simulation) watch(e Event) {
	switch e := e.(type) {
	case BlockReplicated:
		s.w.logf("driver: block %d of dataset %d from %s to %s: %s", e.Partition, e.Dataset, e.From, e.To, e.Error)
		if e.Error != "" {
			s.mayBeShort[protocol.BlockID{Dataset: e.Dataset, Partition: e.Partition}] = true
		}
	case ExecutorAdded:
		s.w.logf("driver: executor %s on %s", e.Executor, e.Host)
	case ExecutorDecommissioned:
		s.w.logf("driver: decommissioned %s: %s", e.Executor, e.Reason)
		s.leaving[e.Executor] = true
		s.tally.told++
	case ExecutorRemoved:
		s.w.logf("driver: lost %s: %s", e.Executor, e.Reason)
		s.lost[e.Executor] = true
		s.tally.lost++
		for _, h := range s.hosts {
			if x := h.exec; x != nil && x.name == e.Executor && x.alive {
				s.tally.returned++
			}
		}
	case RolledBack:
		s.w.logf("driver: rolled back %+v", e)
		s.tally.changed++
		s.tally.rolledBack += len(e.Shuffles) + len(e.Stages)
		if !s.changing[e.Shuffle] {
			s.fail("rolled back what did not change: %+v", e)
		}
	case StageSubmitted:
		s.w.logf("driver: stage %d.%d %v", e.Stage, e.Attempt, e.Name)
		if attempt, ok := s.active[e.Stage]; ok {
			s.fail("stage %d has the active attempts %d and %d", e.Stage, attempt, e.Attempt)
		}
		s.active[e.Stage] = e.Attempt
		if e.Attempt > 0 {
			s.tally.resubmitted++
		}
	case StageCompleted:
		s.w.logf("driver: stage %d.%d ends: %s", e.Stage, e.Attempt, e.Error)
		if attempt, ok := s.active[e.Stage]; !ok || attempt != e.Attempt {
			s.fail("stage %d ends its attempt %d, which is not active", e.Stage, e.Attempt)
		}
		delete(s.active, e.Stage)
		switch {
		case e.Error == "":
			s.unread[e.Stage] = 0
		case strings.HasPrefix(e.Error, "barrier stage"), strings.Contains(e.Error, "read map output") && !strings.Contains(e.Error, "map output -1"):
			s.unread[e.Stage]++
		}
	case TaskStarted:
		s.w.logf("driver: task %d (stage %d.%d, partition %d) on %s, copy %v", e.Task, e.Stage, e.StageAttempt, e.Partition, e.Executor, e.Speculative)
		s.tally.tasks++
		s.placeOf[e.Task] = [2]int{e.Stage, e.Partition}
		s.started[protocol.StageKey{Stage: e.Stage, Attempt: e.StageAttempt}]++
		if e.Speculative {
			s.tally.copies++
		}
		if s.lost[e.Executor] || s.leaving[e.Executor] {
			s.fail("task %d is launched on %s, which is lost or leaves", e.Task, e.Executor)
		}
		if attempt, ok := s.active[e.Stage]; !ok || attempt != e.StageAttempt {
			s.fail("task %d is launched for attempt %d of stage %d, which is not active", e.Task, e.StageAttempt, e.Stage)
		}
	case TaskEnded:
		s.w.logf("driver: task %d ends: %s, accepted %v %s", e.Task, e.Outcome, e.Accepted, firstLine(e.Error))
		s.taskEnded(e)
	}
}

func (s *simulation) taskEnded(e TaskEnded) {
	said, spoke := s.ended[e.Task]
	want := map[string]protocol.Outcome{"succeeded": protocol.Succeeded, "failed": protocol.Failed, "fetch failed": protocol.FetchFailed, "killed": protocol.Killed, "commit denied": protocol.CommitDenied}
	if o, ok := want[e.Outcome]; ok {
		if !spoke || said != o {
			s.fail("task %d is taken as %s, and never said so", e.Task, e.Outcome)
		}
		p := s.programs[protocol.StageKey{Stage: e.Stage, Attempt: e.StageAttempt}]
		held := p != nil && p.gang > 0 && e.Outcome == "succeeded" // until the other tasks of the gang had ended
		if s.lost[e.Executor] && !held {
			s.fail("task %d ends as %s by word of %s, which is lost", e.Task, e.Outcome, e.Executor)
		}
	} else if !s.lost[e.Executor] {
		s.fail("task %d is taken as %s, and %s is not", e.Task, e.Outcome, e.Executor)
	}
	if e.Outcome == "failed" || e.Outcome == "lost" {
		s.counted[[3]int{e.Stage, e.StageAttempt, e.Partition}]++
	}
	if place := [2]int{e.Stage, e.Partition}; !e.Accepted && s.holders[place] == e.Task {
		delete(s.holders, place)
	}
	if e.Accepted {
		if e.Outcome != "succeeded" {
			s.fail("task %d counts and has %s", e.Task, e.Outcome)
		}
		s.counts[protocol.StageKey{Stage: e.Stage, Attempt: e.StageAttempt}]++
		if p := s.programs[protocol.StageKey{Stage: e.Stage, Attempt: e.StageAttempt}]; p != nil && p.shuffle == nil {
			s.jobs[p.job].accepted[e.Partition] = e.Task
		} else if p != nil {
			s.written[binary.LittleEndian.Uint64(p.update(e.Partition))]++
		}
	}
}

// leaks says what the driver still keeps of jobs that have ended.
func (s *simulation) leaks() error {
	l := s.loop
	load := l.sched.Load()
	executors := load.Executors
	load.Executors = 0
	if load != (sched.Load{}) {
		return fmt.Errorf("all jobs have ended, and the scheduler keeps %+v", load)
	}
	if n := len(l.jobs) + len(l.stages) + len(l.resultOf) + len(l.tasks) + len(l.launches) + len(l.updates); n > 0 {
		return fmt.Errorf("all jobs have ended, and the loop keeps %d jobs, %d stages, %d results, %d tasks, %d launches, %d updates",
			len(l.jobs), len(l.stages), len(l.resultOf), len(l.tasks), len(l.launches), len(l.updates))
	}
	// What a map task added counts when its output does: once, or once more for each time that the output was lost and written again.
	for v, n := range s.shuffled {
		if n > s.written[v] {
			return fmt.Errorf("what map task %d of shuffle %d added was counted %d times, and its output %d times", v&0xffffffff, v<<1>>33, n, s.written[v])
		}
	}
	for v := range s.written {
		if s.shuffled[v] == 0 && !s.w.fast {
			return fmt.Errorf("what map task %d of shuffle %d added was not counted", v&0xffffffff, v<<1>>33)
		}
	}
	for key, p := range s.programs {
		if p.gang > 0 && (s.started[key] != p.gang || s.counts[key] != 0 && s.counts[key] != p.gang) {
			return fmt.Errorf("of the %d tasks of barrier stage %v %d were launched and %d counted", p.gang, key, s.started[key], s.counts[key])
		}
	}
	alive := 0
	for _, h := range s.hosts {
		if h.alive && h.exec != nil && h.exec.alive && h.exec.accepted && !s.lost[h.exec.name] {
			alive++
		}
	}
	if executors != alive && !s.gaveUp {
		return fmt.Errorf("%d executors run, and the scheduler knows %d", alive, executors)
	}
	if len(l.leaving.hosts)+len(l.leaving.copies) > 0 {
		return fmt.Errorf("%d decommissioned hosts do not leave, with %d copies under way", len(l.leaving.hosts), len(l.leaving.copies))
	}
	if n := len(l.replicas.copies) + len(l.replicas.queue); n > 0 {
		return fmt.Errorf("%d copies of cached blocks are not made", n)
	}
	for id := range l.blocks {
		want := min(l.replicas.levels[id.Dataset].Replication(), len(l.takers()))
		if n := len(l.staying(id)); n > 0 && n < want && !s.mayBeShort[id] {
			return fmt.Errorf("block %v is on %d of %d executors", id, n, len(l.takers()))
		}
	}
	for name, has := range l.ready {
		if len(has) > 0 || s.lost[name] {
			return fmt.Errorf("the loop remembers %d stages of executor %s", len(has), name)
		}
	}
	for b, holders := range l.blocks {
		for name := range holders {
			if s.lost[name] {
				return fmt.Errorf("the loop takes block %v to be on %s, which is lost", b, name)
			}
		}
	}
	return nil
}

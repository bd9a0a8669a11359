package driver

import (
	"errors"
	"fmt"
	"time"
	"weak"

	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// encode writes the program of a stage attempt and notes the map outputs that it reads.
func (l *loop) encode(a sched.StageSubmitted) {
	st := l.stage(a.Stage)
	st.jobs = a.Jobs
	var program []byte
	err := guarded(func() (err error) {
		program, err = st.program.Encode()
		return err
	})
	if err != nil {
		st.failed = err
		return
	}
	for _, n := range st.program.Kept() {
		l.kept[n.ID()] = weak.Make(n)
	}
	inputs := map[int][]shuffle.Output{}
	for _, in := range st.program.Inputs() {
		// Behind cached blocks outputs may be missing. A task that needs them, its block being lost, must say so and not read the others alone.
		if outputs := l.sched.Outputs().Of(in.ID); len(outputs) == in.Node.Partitions() {
			inputs[in.ID] = outputs
		}
	}
	properties := map[string]string(nil)
	if j := l.jobs[a.Jobs[0]]; j != nil {
		properties = j.properties
	}
	st.binary = &protocol.StageBinary{
		Key: protocol.StageKey{Stage: a.Stage.ID, Attempt: a.Attempt}, Job: a.Jobs[0], Program: program, Inputs: inputs, Properties: properties,
	}
	l.ctx.events.publish(StageSubmitted{Stage: a.Stage.ID, Attempt: a.Attempt, Name: fmt.Sprint(a.Stage.Target), Tasks: len(a.Partitions), Jobs: a.Jobs, ProgramBytes: len(program), Time: time.Now()})
}

// launch adds a task to the round's launches.
func (l *loop) launch(a sched.LaunchTask) {
	st := l.stages[a.Stage]
	l.tasks[int64(a.Task)] = &taskState{stage: a.Stage}
	err := st.failed
	var splits []byte
	var replicas []protocol.Replica
	if err == nil {
		err = guarded(func() (err error) {
			replicas = l.replicasFor(st, a.Executor, a.Partition)
			splits, err = st.program.Splits(a.Partition)
			return err
		})
	}
	if err != nil {
		l.refuse(st, a, err)
		return
	}
	key := protocol.StageKey{Stage: a.Stage, Attempt: a.StageAttempt}
	has := l.ready[a.Executor]
	if has == nil {
		has = map[protocol.StageKey]bool{}
		l.ready[a.Executor] = has
	}
	if !has[key] {
		has[key] = true
		err := l.ctx.backend.SendStage(a.Executor, st.binary)
		var large *protocol.TooLargeError
		if errors.As(err, &large) {
			l.refuse(st, a, fmt.Errorf("the program of stage %d takes %d bytes, more than spark.rpc.message.maxSize allows: broadcast large values instead of binding them", a.Stage, large.Size))
			return
		}
	}
	if _, ok := l.launches[a.Executor]; !ok {
		l.order = append(l.order, a.Executor)
	}
	l.launches[a.Executor] = append(l.launches[a.Executor], protocol.TaskDesc{ID: int64(a.Task), Stage: key, Partition: a.Partition, Attempt: a.Attempt, Splits: splits, Replicas: replicas})
	l.ctx.events.publish(TaskStarted{Task: int64(a.Task), Stage: a.Stage, StageAttempt: a.StageAttempt, Partition: a.Partition, Attempt: a.Attempt, Executor: a.Executor, Locality: a.Locality.String(), Speculative: a.Speculative})
}

// refuse ends the jobs of a task that cannot be sent: it would fail the same way each time.
func (l *loop) refuse(st *stageState, a sched.LaunchTask, err error) {
	l.queue.put(results{a.Executor, []protocol.TaskResult{{ID: int64(a.Task), Outcome: protocol.Failed, Permanent: true, Error: err.Error()}}})
	for _, id := range st.jobs {
		l.fail(id, err)
	}
}

// flush sends the launches of a round, one message an executor.
func (l *loop) flush() {
	for _, e := range l.order {
		err := l.ctx.backend.Launch(e, l.launches[e])
		var large *protocol.TooLargeError
		if errors.As(err, &large) {
			for _, t := range l.launches[e] {
				cause := fmt.Errorf("the input of partition %d of stage %d takes %d bytes, more than spark.rpc.message.maxSize allows: use more partitions, or read it from files", t.Partition, t.Stage.Stage, large.Size)
				if st := l.stages[t.Stage.Stage]; st != nil {
					l.refuse(st, sched.LaunchTask{Task: sched.TaskID(t.ID), Executor: e}, cause)
				}
			}
		}
		delete(l.launches, e)
	}
	l.order = l.order[:0]
}

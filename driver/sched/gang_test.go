package sched

import (
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/shuffle"
)

// An executor that goes is not done while it holds what a task of a barrier stage made, and others of the stage run: it could not be moved yet.
func TestHeldTasksKeepTheirExecutor(t *testing.T) {
	s := cluster(Defaults(), 2, 1)
	at := time.Unix(0, 0)
	stages := []*plan.Stage{{ID: 0, Shuffle: 0, Tasks: 2, Barrier: true}, {ID: 1, Shuffle: plan.Result, Tasks: 1, Parents: []int{0}}}
	on := map[string]TaskID{}
	for _, a := range s.Handle(at, JobSubmitted{Job: 0, Plan: &plan.Plan{Stages: stages}}) {
		if l, ok := a.(LaunchTask); ok {
			on[l.Executor] = l.Task
		}
	}
	end := func(executor string) {
		s.Handle(at, TaskFinished{Task: on[executor], Outcome: Succeeded, Output: &shuffle.Output{Map: s.tasks[on[executor]].index, Location: shuffle.Location{Executor: executor}}})
	}
	s.Handle(at, ExecutorDecommissioned{Executor: "e0"})
	end("e0")
	if n, outputs := s.Running("e0"), len(s.OutputsOn("h0")); n != 1 || outputs != 0 {
		t.Errorf("one of two tasks has ended: %d run on e0, which has %d outputs, want 1 and 0", n, outputs)
	}
	end("e1")
	if n, outputs := s.Running("e0"), len(s.OutputsOn("h0")); n != 0 || outputs != 2 {
		t.Errorf("both have ended: %d run on e0, and its host has %d outputs, want 0 and 2", n, outputs)
	}
}

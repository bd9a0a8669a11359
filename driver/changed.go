package driver

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

// compare holds a map output against the last one of the same map task that counted, and tells of a difference. No operation of the engine's gives other rows,
// or another order, the second time: orders do not depend on arrival, samples are functions of their seed, and inputs that changed are errors. What differs
// comes from a function of the program: the clock, unseeded random numbers, the order of a Go map, state outside. Reduce tasks that read
// the former output and those that read this one would see different data, and nothing else would tell: so the scheduler, if this output comes to count,
// rolls back what was computed from the former one (package sched).
//
// What is not compared: outputs that an earlier run of the program has written, and cached blocks, which may be lost and computed again as well. Two stages
// that begin at one cached dataset may then have read different rows of it; a checkpoint has the same rows for all.
func (l *loop) compare(executor string, stage int, r *protocol.TaskResult) {
	st := l.stages[stage]
	if st == nil || st.stage.Dep == nil {
		return // the stage has ended: nobody reads the output of this attempt
	}
	former, again := l.sched.Outputs().Former(st.stage.Shuffle, r.Output.Map)
	if !again || !r.Output.Differs(&former) {
		return
	}
	name := fmt.Sprint(st.stage.Target)
	l.ctx.events.publish(OutputChanged{
		Shuffle: st.stage.Shuffle, Partition: r.Output.Map, Name: name, Executor: executor, Rows: r.Output.Rows, RowsBefore: former.Rows,
	})
	what := "it has other values, or another order"
	if former.Rows != r.Output.Rows {
		what = fmt.Sprintf("it has %d rows, the former one had %d", r.Output.Rows, former.Rows)
	}
	slog.Warn("a map task that ran again wrote another output: a function of the program gives other results each time",
		"dataset", name, "partition", r.Output.Map, "stage", stage, "executor", executor, "difference", what)
	if !l.ctx.conf.Bool("spark.shuffle.failOnChangedOutput") {
		return
	}
	for _, id := range st.jobs {
		l.fail(id, fmt.Errorf("partition %d of %s was computed again and its map output differs from the former one: %s: "+
			"a function before it does not give the same result for the same input; seed random numbers by the partition, sort the keys of maps, and do not look at the clock",
			r.Output.Map, name, what))
	}
}

// rolledBack tells what the scheduler has taken back.
func (l *loop) rolledBack(a sched.RolledBack) {
	name := fmt.Sprint(a.Stage.Target)
	if len(a.Shuffles)+len(a.Stages)+len(a.Jobs) > 0 {
		slog.Warn("what was computed from a map output that has come out otherwise is computed again; jobs that have handed on a part of their result fail",
			"dataset", name, "partition", a.Partition, "shuffles", a.Shuffles, "stages", a.Stages, "failed jobs", a.Jobs)
	}
	l.ctx.events.publish(RolledBack{Shuffle: a.Stage.Shuffle, Partition: a.Partition, Name: name, Shuffles: a.Shuffles, Stages: a.Stages, Jobs: a.Jobs})
}

// dropVoid drops the cached blocks of all datasets that read one of some shuffles. A checkpointed dataset reads none.
func (l *loop) dropVoid(shuffles []int) {
	void := make(map[int]bool, len(shuffles))
	for _, id := range shuffles {
		void[id] = true
	}
	for _, id := range slices.Sorted(maps.Keys(l.kept)) {
		n := l.kept[id].Value()
		if n == nil || !readsAny(n, void) {
			continue
		}
		l.ctx.backend.Remove(protocol.Remove{Kind: protocol.RemoveDataset, ID: id})
		l.forgetDataset(id)
	}
}

// readsAny says whether partitions of a dataset are computed from one of some shuffles in the stage that computes them.
func readsAny(n *rdd.Node, shuffles map[int]bool) bool {
	for _, a := range rdd.Ancestors(n, false) {
		for _, d := range a.Dependencies() {
			if sh, ok := d.(*rdd.Shuffle); ok && shuffles[sh.ID] {
				return true
			}
		}
	}
	return false
}

package driver

import (
	"fmt"
	"log/slog"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// compare holds a map output against the first one of the same map task. No operation of the engine's gives other rows, or another order,
// the second time: orders do not depend on arrival, samples are functions of their seed, and inputs that changed are errors. What differs
// comes from a function of the program: the clock, unseeded random numbers, the order of a Go map, state outside. Reduce tasks that read
// the first output and those that read this one then see different data, and nothing else would tell.
func (l *loop) compare(executor string, stage int, r *protocol.TaskResult) {
	st := l.stages[stage]
	if st == nil || st.stage.Dep == nil {
		return // the stage has ended: nobody reads the output of this attempt
	}
	outputs := l.written[st.stage.Shuffle]
	if outputs == nil {
		outputs = map[int]shuffle.Output{}
		l.written[st.stage.Shuffle] = outputs
	}
	first, again := outputs[r.Output.Map]
	if !again {
		outputs[r.Output.Map] = shuffle.Output{Rows: r.Output.Rows, Sum: r.Output.Sum}
		return
	}
	if !r.Output.Differs(&first) {
		return
	}
	name := fmt.Sprint(st.stage.Target)
	l.ctx.events.publish(OutputChanged{
		Shuffle: st.stage.Shuffle, Partition: r.Output.Map, Name: name, Executor: executor, Rows: r.Output.Rows, RowsBefore: first.Rows,
	})
	what := "it has other values, or another order"
	if first.Rows != r.Output.Rows {
		what = fmt.Sprintf("it has %d rows, the first one had %d", r.Output.Rows, first.Rows)
	}
	slog.Warn("a map task that ran again wrote another output: a function of the program gives other results each time, and the job's result may mix both",
		"dataset", name, "partition", r.Output.Map, "stage", stage, "executor", executor, "difference", what)
	if !l.ctx.conf.Bool("spark.shuffle.failOnChangedOutput") {
		return
	}
	for _, id := range st.jobs {
		l.fail(id, fmt.Errorf("partition %d of %s was computed again and its map output differs from the first one: %s: "+
			"a function before it does not give the same result for the same input; seed random numbers by the partition, sort the keys of maps, and do not look at the clock",
			r.Output.Map, name, what))
	}
}

package driver

import (
	"slices"
	"strings"

	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// prefer lists where a partition is best computed: where its cached blocks are, else near its input.
func (l *loop) prefer(s *plan.Stage, partition int) (places []sched.Place) {
	st := l.stage(s)
	if st.failed != nil {
		return nil
	}
	st.failed = guarded(func() error {
		places = l.places(st, partition)
		return nil
	})
	return places
}

func (l *loop) places(st *stageState, partition int) []sched.Place {
	var places []sched.Place
	st.program.Persisted(partition, func(dataset, partition int) bool {
		if places != nil {
			return true
		}
		for e := range l.blocks[protocol.BlockID{Dataset: dataset, Partition: partition}] {
			places = append(places, sched.Place{Executor: e})
		}
		return places != nil
	})
	if places != nil {
		slices.SortFunc(places, func(a, b sched.Place) int { return strings.Compare(a.Executor, b.Executor) })
		return places
	}
	for _, h := range st.program.Preferred(partition) {
		places = append(places, sched.Place{Host: h})
	}
	if places == nil && l.ctx.spread {
		places = l.nearMapOutputs(st, partition)
	}
	return places
}

// Reduce tasks look for the hosts of their input only where that costs little and a short way pays for a wait: shuffles of at most
// maxPlacedMaps by maxPlacedReduces (Spark's limits), with minPlacedBytes for an average reduce task.
const (
	maxPlacedMaps    = 1000
	maxPlacedReduces = 1000
	minPlacedBytes   = 1 << 20
)

// nearMapOutputs lists the hosts that hold much of what a reduce task reads.
func (l *loop) nearMapOutputs(st *stageState, partition int) []sched.Place {
	if st.stage.Tasks > maxPlacedReduces {
		return nil
	}
	for _, in := range st.program.Reads(partition) {
		near, known := st.near[in[0]]
		if !known {
			near = worthNearness(l.sched.Outputs().Of(in[0]))
			if st.near == nil {
				st.near = map[int]bool{}
			}
			st.near[in[0]] = near
		}
		if !near {
			continue
		}
		var places []sched.Place
		for _, h := range l.sched.Outputs().Hosts(in[0], in[1]) {
			places = append(places, sched.Place{Host: h})
		}
		if places != nil {
			return places
		}
	}
	return nil
}

// worthNearness says whether the reduce tasks of a shuffle read so much, and from so few map outputs, that their place matters.
func worthNearness(outputs []shuffle.Output) bool {
	if len(outputs) == 0 || len(outputs) > maxPlacedMaps {
		return false
	}
	total := int64(0)
	for i := range outputs {
		for _, n := range outputs[i].Sizes {
			total += n
		}
	}
	return total >= minPlacedBytes*int64(max(len(outputs[0].Sizes), 1))
}

package driver

import (
	"github.com/spark-go/spark-go/driver/plan"
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

// gather tells the tasks of a barrier stage of each other: where they run goes with the program, once to each executor.
func (l *loop) gather(a sched.GangLaunched) {
	st := l.stages[a.Stage]
	if st == nil || st.binary == nil || st.failed != nil {
		return // the launches are about to be refused
	}
	l.dropHalfCached(st.stage)
	st.binary.Gang = make([]protocol.Member, len(a.Members))
	for i, m := range a.Members {
		st.binary.Gang[i] = protocol.Member{Executor: m.Executor, Address: "localhost"}
		if x := l.members[m.Executor]; x != nil {
			st.binary.Gang[i].Address = protocol.MachineOf(x.BlockAddr)
		}
	}
	st.binary.MaxMessage = int64(l.maxGather / len(a.Members))
}

// dropHalfCached forgets the cached blocks of datasets of a barrier stage that are not cached as a whole, as when an executor was lost
// or an attempt ended half-way: tasks that read their block would not come to the barriers, at which the others wait.
func (l *loop) dropHalfCached(s *plan.Stage) {
	for _, n := range rdd.KeptInBarrier(plan.Dataset(s.Target)) {
		if l.cached(n.ID(), n.Partitions()) {
			continue
		}
		l.ctx.backend.Remove(protocol.Remove{Kind: protocol.RemoveDataset, ID: n.ID()})
		l.forgetDataset(n.ID())
	}
}

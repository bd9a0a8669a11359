package protocol

// How each message is written, and read back: the fields in order.

import (
	"slices"
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

func (m *RegisterHost) write(w *writer) {
	w.string(m.Host)
	w.int(m.PID)
	w.string(m.BlockAddr)
	w.string(m.Dir)
}

func (m *RegisterHost) read(r *reader) {
	*m = RegisterHost{Host: r.string(), PID: r.int(), BlockAddr: r.string(), Dir: r.string()}
}

func (m *RegisterExecutor) write(w *writer) {
	w.string(m.ID)
	w.string(m.Host)
	w.int(m.Epoch)
	w.int(m.PID)
	w.int(m.Cores)
	w.int64(m.Memory)
	w.string(m.Digest)
	w.string(m.BlockAddr)
	w.location(m.Location)
}

func (m *RegisterExecutor) read(r *reader) {
	*m = RegisterExecutor{
		ID: r.string(), Host: r.string(), Epoch: r.int(), PID: r.int(), Cores: r.int(), Memory: r.int64(), Digest: r.string(),
		BlockAddr: r.string(), Location: r.location(),
	}
}

func (m *Registered) write(w *writer) {
	w.int64(int64(m.Heartbeat))
	w.int64(m.MaxFrame)
	w.string(m.Digest)
	w.strings(m.Settings)
}

func (m *Registered) read(r *reader) {
	*m = Registered{Heartbeat: time.Duration(r.int64()), MaxFrame: r.int64(), Digest: r.string(), Settings: r.strings()}
}

func (m *Refused) write(w *writer) { w.string(m.Reason) }
func (m *Refused) read(r *reader)  { m.Reason = r.string() }

func (m *Heartbeat) write(w *writer) {
	w.uint(uint64(len(m.Running)))
	for _, id := range m.Running {
		w.int64(id)
	}
	w.uint(uint64(len(m.Rows)))
	for _, n := range m.Rows {
		w.int64(n)
	}
	w.int64(m.Heap)
	w.int64(m.Mapped)
}

func (m *Heartbeat) read(r *reader) {
	*m = Heartbeat{Running: list(r, 1, (*reader).int64), Rows: list(r, 1, (*reader).int64), Heap: r.int64(), Mapped: r.int64()}
}

func (m *StageBinary) write(w *writer) {
	w.stage(m.Key)
	w.int(m.Job)
	w.bytes(m.Program)
	ids := make([]int, 0, len(m.Inputs))
	for id := range m.Inputs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	w.uint(uint64(len(ids)))
	for _, id := range ids {
		w.int(id)
		outputs := m.Inputs[id]
		w.uint(uint64(len(outputs)))
		for i := range outputs {
			w.output(&outputs[i])
		}
	}
	w.strings(m.Properties)
	w.uint(uint64(len(m.Gang)))
	for _, g := range m.Gang {
		w.string(g.Executor)
		w.string(g.Address)
	}
	w.int64(m.MaxMessage)
}

func (m *StageBinary) read(r *reader) {
	*m = StageBinary{Key: r.stage(), Job: r.int(), Program: r.bytes()}
	if n := r.count(2); n > 0 {
		m.Inputs = map[int][]shuffle.Output{}
		for range n {
			id := r.int()
			m.Inputs[id] = list(r, 5, (*reader).output)
			if r.err != nil {
				return
			}
		}
	}
	m.Properties = r.strings()
	m.Gang = list(r, 2, func(r *reader) Member { return Member{Executor: r.string(), Address: r.string()} })
	m.MaxMessage = r.int64()
}

func (m *LaunchTasks) write(w *writer) {
	w.uint(uint64(len(m.Tasks)))
	for i := range m.Tasks {
		t := &m.Tasks[i]
		w.int64(t.ID)
		w.stage(t.Stage)
		w.int(t.Partition)
		w.int(t.Attempt)
		w.bytes(t.Splits)
		w.uint(uint64(len(t.Replicas)))
		for _, b := range t.Replicas {
			writeReplica(w, b)
		}
	}
}

func (m *LaunchTasks) read(r *reader) {
	m.Tasks = list(r, 7, func(r *reader) TaskDesc {
		return TaskDesc{ID: r.int64(), Stage: r.stage(), Partition: r.int(), Attempt: r.int(), Splits: r.bytes(), Replicas: list(r, 3, readReplica)}
	})
}

func writeReplica(w *writer, b Replica) {
	w.int(b.ID.Dataset)
	w.int(b.ID.Partition)
	w.uint(uint64(len(b.Addrs)))
	for _, a := range b.Addrs {
		w.string(a)
	}
}

func readReplica(r *reader) Replica {
	return Replica{ID: BlockID{Dataset: r.int(), Partition: r.int()}, Addrs: list(r, 1, (*reader).string)}
}

func (m *KillTask) write(w *writer) {
	w.int64(m.ID)
	w.string(m.Reason)
}

func (m *KillTask) read(r *reader) { *m = KillTask{ID: r.int64(), Reason: r.string()} }

func (m *TaskResults) write(w *writer) {
	w.uint(uint64(len(m.Results)))
	for i := range m.Results {
		m.Results[i].write(w)
	}
}

func (m *TaskResults) read(r *reader) {
	n := r.count(10)
	if n == 0 {
		m.Results = nil
		return
	}
	m.Results = make([]TaskResult, 0, min(n, 256))
	for range n {
		m.Results = append(m.Results, TaskResult{})
		m.Results[len(m.Results)-1].read(r)
		if r.err != nil {
			m.Results = nil
			return
		}
	}
}

// What of a TaskResult's optional parts follows, and whether its error is permanent.
const (
	hasOutput = 1 << iota
	hasFetch
	hasMore // error, updates or blocks
	isPermanent
	noParts = isPermanent << 1
)

func (t *TaskResult) write(w *writer) {
	parts := byte(0)
	if t.Output != nil {
		parts |= hasOutput
	}
	if t.Fetch != nil {
		parts |= hasFetch
	}
	if t.Error != "" || len(t.Updates) > 0 || len(t.Blocks) > 0 {
		parts |= hasMore
	}
	if t.Permanent {
		parts |= isPermanent
	}
	w.buf = append(w.buf, parts, byte(t.Outcome))
	w.int64(t.ID)
	w.stage(t.Stage)
	w.int(t.Partition)
	w.bytes(t.Value)
	if t.Output != nil {
		w.output(t.Output)
		w.uint(uint64(t.Output.Sum.Content)<<32 | uint64(t.Output.Sum.Layout))
		w.uint(uint64(t.Output.Sum.Counts))
	}
	if f := t.Fetch; f != nil {
		w.int(f.Shuffle)
		w.int(f.Map)
		w.int(f.Reduce)
		w.location(f.Location)
		w.string(f.Message)
	}
	if parts&hasMore != 0 {
		w.string(t.Error)
		w.uint(uint64(len(t.Updates)))
		for _, u := range t.Updates {
			w.int(u.ID)
			w.bytes(u.Value)
		}
		w.uint(uint64(len(t.Blocks)))
		for _, b := range t.Blocks {
			writeBlockUpdate(w, b)
		}
	}
	m := &t.Metrics
	w.time(m.Start)
	w.int64(int64(m.Run))
	counts := m.counts()
	// Most counts of most tasks are 0: a set of bits says which are not.
	set := uint64(0)
	for i, c := range counts {
		if *c != 0 {
			set |= 1 << i
		}
	}
	w.uint(set)
	for _, c := range counts {
		if *c != 0 {
			w.int64(*c)
		}
	}
}

func (t *TaskResult) read(r *reader) {
	parts := r.byte()
	if parts >= noParts {
		r.fail("a task result has unknown parts")
		return
	}
	t.Outcome = Outcome(r.byte())
	if t.Outcome > DiskFull {
		r.fail("a task result has an unknown outcome")
		return
	}
	t.Permanent = parts&isPermanent != 0
	t.ID = r.int64()
	t.Stage = r.stage()
	t.Partition = r.int()
	t.Value = r.bytes()
	if parts&hasOutput != 0 {
		o := r.output()
		sum := r.uint()
		o.Sum.Content, o.Sum.Layout = uint32(sum>>32), uint32(sum)
		o.Sum.Counts = uint32(r.uint())
		t.Output = &o
	}
	if parts&hasFetch != 0 {
		t.Fetch = &FetchFailure{Shuffle: r.int(), Map: r.int(), Reduce: r.int(), Location: r.location(), Message: r.string()}
	}
	if parts&hasMore != 0 {
		t.Error = r.string()
		t.Updates = list(r, 2, func(r *reader) AccumulatorUpdate { return AccumulatorUpdate{ID: r.int(), Value: r.bytes()} })
		t.Blocks = list(r, 5, readBlockUpdate)
	}
	m := &t.Metrics
	m.Start = r.time()
	m.Run = time.Duration(r.int64())
	set := r.uint()
	for i, c := range m.counts() {
		if set&(1<<i) != 0 {
			*c = r.int64()
		}
	}
}

// counts lists the counters in the order in which they travel.
func (m *TaskMetrics) counts() [17]*int64 {
	s := &m.Shuffle
	return [...]*int64{
		&m.ResultBytes, &m.RowsRead, &m.BytesRead, &m.RowsWritten, &m.BytesWritten, &m.CachedRead,
		&s.RowsWritten, &s.BytesWritten, &s.RowsRead, &s.BytesRead, &s.LocalBlocks, &s.RemoteBlocks,
		&s.SpilledRows, &s.SpilledBytes, &s.PeakMemory, &s.FetchWaitNanos, &s.WriteNanos,
	}
}

func writeBlockUpdate(w *writer, b BlockUpdate) {
	w.int(b.ID.Dataset)
	w.int(b.ID.Partition)
	w.int64(b.Memory)
	w.int64(b.Disk)
	w.buf = append(w.buf, b.Level)
}

func readBlockUpdate(r *reader) BlockUpdate {
	return BlockUpdate{ID: BlockID{Dataset: r.int(), Partition: r.int()}, Memory: r.int64(), Disk: r.int64(), Level: r.byte()}
}

func (m *BlockUpdates) write(w *writer) {
	w.uint(uint64(len(m.Updates)))
	for _, b := range m.Updates {
		writeBlockUpdate(w, b)
	}
}

func (m *BlockUpdates) read(r *reader) { m.Updates = list(r, 5, readBlockUpdate) }

func (m *Remove) write(w *writer) {
	w.buf = append(w.buf, byte(m.Kind))
	w.int(m.ID)
	w.int(m.Attempt)
}

func (m *Remove) read(r *reader) {
	*m = Remove{Kind: RemoveKind(r.byte()), ID: r.int(), Attempt: r.int()}
}

func (m *ExecutorExited) write(w *writer) {
	w.string(m.ID)
	w.int(m.Epoch)
	w.int(m.Code)
	w.int(m.Signal)
	w.string(m.Killed)
	w.string(m.Start)
	w.bool(m.Registered)
	w.bool(m.Restarting)
	w.string(m.Stderr)
}

func (m *ExecutorExited) read(r *reader) {
	*m = ExecutorExited{
		ID: r.string(), Epoch: r.int(), Code: r.int(), Signal: r.int(), Killed: r.string(), Start: r.string(), Registered: r.bool(),
		Restarting: r.bool(), Stderr: r.string(),
	}
}

func (m *KillExecutor) write(w *writer) {
	w.int(m.Epoch)
	w.string(m.Reason)
}

func (m *KillExecutor) read(r *reader) { *m = KillExecutor{Epoch: r.int(), Reason: r.string()} }

func (m *Log) write(w *writer) {
	w.time(m.Time)
	w.int(m.Level)
	w.string(m.Text)
}

func (m *Log) read(r *reader) { *m = Log{Time: r.time(), Level: r.int(), Text: r.string()} }

func (m *Stop) write(w *writer) { w.string(m.Reason) }
func (m *Stop) read(r *reader)  { m.Reason = r.string() }

func (m *CommitRequest) write(w *writer) { w.int64(m.ID) }
func (m *CommitRequest) read(r *reader)  { m.ID = r.int64() }

func (m *CommitAnswer) write(w *writer) {
	w.int64(m.ID)
	w.bool(m.Allowed)
}

func (m *CommitAnswer) read(r *reader) { *m = CommitAnswer{ID: r.int64(), Allowed: r.bool()} }

func (m *Decommission) write(w *writer) { w.string(m.Reason) }
func (m *Decommission) read(r *reader)  { m.Reason = r.string() }

func (m *Copy) write(w *writer) {
	w.int64(m.ID)
	w.bool(m.Output != nil)
	if m.Output != nil {
		w.int(m.Shuffle)
		w.output(m.Output)
		return
	}
	w.int(m.Block.Dataset)
	w.int(m.Block.Partition)
	w.string(m.Addr)
	w.buf = append(w.buf, m.Level)
}

func (m *Copy) read(r *reader) {
	*m = Copy{ID: r.int64()}
	if r.bool() {
		m.Shuffle = r.int()
		out := r.output()
		m.Output = &out
		return
	}
	m.Block, m.Addr, m.Level = BlockID{Dataset: r.int(), Partition: r.int()}, r.string(), r.byte()
}

func (m *Copied) write(w *writer) {
	w.int64(m.ID)
	w.bool(m.Gone)
	w.string(m.Error)
}

func (m *Copied) read(r *reader) { *m = Copied{ID: r.int64(), Gone: r.bool(), Error: r.string()} }

func (m *BarrierRequest) write(w *writer) {
	w.int64(m.ID)
	w.int(m.Round)
	w.bool(m.Gather)
	w.bytes(m.Message)
}

func (m *BarrierRequest) read(r *reader) {
	*m = BarrierRequest{ID: r.int64(), Round: r.int(), Gather: r.bool(), Message: r.bytes()}
}

func (m *BarrierAnswer) write(w *writer) {
	w.uint(uint64(len(m.IDs)))
	for _, id := range m.IDs {
		w.int64(id)
	}
	w.int(m.Round)
	w.uint(uint64(len(m.Messages)))
	for _, b := range m.Messages {
		w.bytes(b)
	}
	w.string(m.Error)
}

func (m *BarrierAnswer) read(r *reader) {
	*m = BarrierAnswer{IDs: list(r, 1, (*reader).int64), Round: r.int(), Messages: list(r, 1, (*reader).bytes), Error: r.string()}
}

package rdd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
)

// MapPartitionsWithBarrier is MapPartitionsWithTask for functions that talk to each other: all tasks of the stage run at the same
// time, one for each partition, and can wait for each other and exchange messages (see BarrierTask), as algorithms with an all-reduce and
// programs started with MPI need it. It is Spark's rdd.barrier().mapPartitions.
//
// The tasks start together or not at all: the cluster needs as many free slots as r has partitions, and a job that needs more than it
// will ever have is refused. If one of them fails or its executor is lost all are killed, and the stage runs again, up to
// spark.stage.maxConsecutiveAttempts (4) times in a row; nothing of a failed attempt counts, neither rows nor accumulators.
//
// The stage reaches to the next shuffle, and what follows in it must keep the partitions one to one: Union, Coalesce, Cartesian and Zip of
// two such datasets are refused before anything runs, and so are actions on some partitions alone, such as Take and First. Repartition,
// PartitionBy or Checkpoint come in between. Before the barrier, in its input, all operations are allowed.
func MapPartitionsWithBarrier[T, U any](r RDD[T], f func(*BarrierTask, iter.Seq[T]) (iter.Seq[U], error)) RDD[U] {
	return derive(r, barrierKind, barrierOp[T, U]{r, f}, checkFuncs(barrierKind, f))
}

const barrierKind = "MapPartitionsWithBarrier"

type barrierOp[T, U any] struct {
	Parent RDD[T]
	F      func(*BarrierTask, iter.Seq[T]) (iter.Seq[U], error)
}

// waitsForOthers marks operations that run in barrier stages.
func (barrierOp[T, U]) waitsForOthers() {}

func (o barrierOp[T, U]) Compute(t *Task, p int) (Stream[U], error) {
	b, err := t.barrierTask()
	if err != nil {
		return nil, err
	}
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	src := &seqSource[T]{in: in}
	out, err := o.F(b, src.seq)
	if err != nil {
		return nil, err
	}
	return newSeqStream(t, out, &src.err), nil
}

// BarrierTask is a task of a barrier stage: a Task that knows the others and can wait for them.
//
// Each task must come to the same number of barriers, of the same kinds in the same order, whatever its rows are: an attempt in which one
// ends while others wait fails at once, and one in which a task does not come fails after spark.barrier.sync.timeout (365 days). What
// reaches a barrier late is the slowest task; a task that dies ends the attempt, and so the waiting.
type BarrierTask struct {
	*Task
	members []BarrierMember
	limit   int
	runtime BarrierRuntime

	mu    sync.Mutex
	round int
	left  bool
}

// BarrierMember is a task of a barrier stage as the others see it. Its place in BarrierTask.Members is its partition.
type BarrierMember struct {
	Executor string // the name of its process
	// Address is the name or IP address of its machine, for connections of the program's own: "localhost" if all are on one machine.
	Address string
}

// BarrierRuntime is a Runtime whose driver lets the tasks of a barrier stage meet.
type BarrierRuntime interface {
	// Members lists the tasks of the stage by partition, and how many bytes each may bring to a barrier; none if it is no barrier stage.
	Members() (members []BarrierMember, limit int)
	// Meet waits until all tasks have come to a barrier, of which this one has passed round. With gather it brings a message and returns those
	// of all, by partition.
	Meet(ctx context.Context, round int, gather bool, message []byte) ([][]byte, error)
}

// barrierTask is the same for all barrier operations of a stage.
func (t *Task) barrierTask() (*BarrierTask, error) {
	if t.barrier != nil {
		return t.barrier, nil
	}
	if rt, ok := t.runtime.(BarrierRuntime); ok {
		if members, limit := rt.Members(); len(members) > 0 {
			t.barrier = &BarrierTask{Task: t, members: members, limit: limit, runtime: rt}
			return t.barrier, nil
		}
	}
	return nil, fmt.Errorf("stage %d is no barrier stage: %s works in jobs of a driver alone", t.Stage, barrierKind)
}

// NumTasks is the number of tasks of the stage: that of its partitions. This one's number is Partition.
func (b *BarrierTask) NumTasks() int { return len(b.members) }

// Members lists all tasks of the stage, by partition.
func (b *BarrierTask) Members() []BarrierMember { return slices.Clone(b.members) }

// Barrier waits until all tasks of the stage have come to it. It returns early, with an error, when ctx or the task is cancelled; a task that left
// a barrier cannot come to another one.
func (b *BarrierTask) Barrier(ctx context.Context) error {
	_, err := b.meet(ctx, false, nil)
	if err != nil {
		return fmt.Errorf("barrier: %w", err)
	}
	return nil
}

// AllGather waits as Barrier does and returns the messages of all tasks, by partition. The messages pass through the driver and are meant to be
// small: an address, a count, a sum. Those of all tasks may take 32 MiB together (less with a small spark.rpc.message.maxSize), each an equal part.
func (b *BarrierTask) AllGather(ctx context.Context, message []byte) ([][]byte, error) {
	if len(message) > b.limit {
		return nil, fmt.Errorf("all-gather: the message of partition %d has %d bytes, and each of %d tasks may send %d: send large values through a shuffle or files", b.Partition, len(message), len(b.members), b.limit)
	}
	messages, err := b.meet(ctx, true, bytes.Clone(message)) // tasks of one process must not share memory
	if err != nil {
		return nil, fmt.Errorf("all-gather: %w", err)
	}
	own := make([][]byte, len(messages))
	for i, m := range messages {
		own[i] = bytes.Clone(m)
	}
	return own, nil
}

var errLeftBarrier = errors.New("the task has left a barrier before all tasks were there")

func (b *BarrierTask) meet(ctx context.Context, gather bool, message []byte) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left {
		return nil, errLeftBarrier
	}
	messages, err := b.runtime.Meet(ctx, b.round, gather, message)
	if err == nil && gather && len(messages) != len(b.members) {
		err = fmt.Errorf("%d messages of %d tasks came back", len(messages), len(b.members))
	}
	if err != nil {
		b.left = true
		return nil, err
	}
	b.round++
	return messages, nil
}

// Barrier says that the tasks of the dataset wait for each other.
func (n *Node) Barrier() bool {
	_, ok := n.line.Load().op.(interface{ waitsForOthers() })
	return ok
}

// inBarrierStages tells of the datasets that n is computed from, n included, which are computed together with a barrier dataset, by its tasks.
func inBarrierStages(n *Node) (map[*Node]bool, error) {
	in := map[*Node]bool{}
	for _, a := range Ancestors(n, true) {
		in[a] = a.Barrier()
		found := 0
		for _, d := range a.Dependencies() {
			narrow, ok := d.(Narrow)
			if !ok || !in[narrow.Node] {
				continue
			}
			in[a] = true
			found++
			if found > 1 || narrow.Of != nil || a.partitions != narrow.Node.partitions {
				return nil, fmt.Errorf("%v in a barrier stage, with %v: the stage has one task for each partition of the barrier dataset, which must all run: put a shuffle in between (Repartition, PartitionBy) or a checkpoint", a, narrow.Node)
			}
		}
	}
	return in, nil
}

// checkBarriers refuses actions that would not run all tasks of a barrier stage, one for each partition.
func checkBarriers(n *Node, name string, partitions []int) error {
	if !n.gang {
		return nil
	}
	in, err := inBarrierStages(n)
	if err != nil {
		return err
	}
	if in[n] && partitions != nil && len(partitions) < n.partitions {
		return fmt.Errorf("%s of %v would run %d of the %d tasks of a barrier stage, which must all run: use Collect, or put a shuffle (Repartition, PartitionBy) or a checkpoint before it", name, n, len(partitions), n.partitions)
	}
	return nil
}

// KeptInBarrier lists the persisted datasets of a stage that ends with target whose blocks a barrier stage may use all together or not at all: a
// task that finds its block has nothing to wait for.
func KeptInBarrier(target *Node) (kept []*Node) {
	in, err := inBarrierStages(target)
	if err != nil {
		return nil
	}
	for _, n := range Ancestors(target, false) {
		if in[n] && n.Level() != None {
			kept = append(kept, n)
		}
	}
	return kept
}

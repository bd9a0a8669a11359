// Package rdd is the dataset that users program with: RDD[T], an immutable, partitioned collection of rows of type T that
// remembers how it is computed, so that whatever is lost can be computed again.
//
// Transformations (Map, Filter, ReduceByKey, Join …) are lazy: each adds a Node to the lineage and cannot fail; a mistake that
// is already visible, such as a function that captures variables, stays with the dataset and is returned by the first action.
// Actions (Collect, Count, Reduce …) take a context, run a job on the Session that the dataset came from, and return an error.
//
// # How an operation is made
//
// An operation is a plain generic struct that implements [Op]: its exported fields are its parents, the user's functions and
// its settings, and Compute turns the parents' streams into its own. It is never a closure: package closure writes the struct to
// bytes by the identity of its concrete type, and the same executable reads it back in an executor. A user's function must
// capture nothing; [Bind] gives it the values that it needs, which then travel with it.
//
// # How rows move
//
// A task pulls batches of up to [BatchRows] rows through the chain of operations of its stage: one indirect call a batch and
// operation. A batch belongs to the stream that returned it until the next call; who keeps rows copies them.
//
// # Invariants
//
//   - What a partition holds, and in which order, is a function of the input, the program, its seeds and its partition counts;
//     never of the number of executors, of timing, of memory or of failures.
//   - Results of partitions are merged in partition order.
//   - Random operations draw from one generator per partition, seeded by their seed and the partition's number.
//   - The lineage is walked without recursion: it may be 100,000 operations deep.
//
// # What is generic
//
// The compiler makes the code of a generic function anew for each type of rows, and of all methods of RDD[T] for each T that a
// program uses at all. So what need not know the row type is not generic: methods and actions are thin layers that take rows to bytes
// or count them, over functions on Node, blocks of bytes and the like that are compiled once. The least that one more row type costs a
// program is about 30 kB of code and two tenths of a second to compile it; a method added to RDD[T] is paid by every one.
package rdd

import (
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/spark-go/spark-go/shuffle"
)

// BatchRows is the number of rows that sources and shuffles aim at in a batch.
const BatchRows = 2048

// Pair is a keyed row.
type Pair[K, V any] = shuffle.Pair[K, V]

// Stream yields the rows of one partition in batches.
type Stream[T any] = shuffle.Stream[T]

// Op computes the partitions of a dataset of T. Implementations are structs whose exported fields travel to executors.
type Op[T any] interface {
	Compute(t *Task, partition int) (Stream[T], error)
}

// RDD is a dataset of rows of type T. The zero value is not usable; sources make them. It is a small value: copy it freely.
type RDD[T any] struct {
	node *Node
}

// New makes a dataset from an operation of one's own: how packages outside this one add transformations. The parents of the
// operation are given once more as dependencies.
func New[T any](s Session, kind string, op Op[T], partitions int, err error, deps ...Dependency) RDD[T] {
	return RDD[T]{newNode(s, kind, op, partitions, err, deps...)}
}

// Node returns the dataset's place in the lineage.
func (r RDD[T]) Node() *Node { return r.node }

// Session returns the session that the dataset lives in.
func (r RDD[T]) Session() Session { return r.node.session }

// NumPartitions is the number of partitions.
func (r RDD[T]) NumPartitions() int { return r.node.partitions }

// ID is the dataset's number, unique in the application.
func (r RDD[T]) ID() int { return r.node.id }

// Err says why no action on this dataset can succeed: a function that captures variables, an input that does not exist. It is
// nil for a sound dataset. Actions return the same error.
func (r RDD[T]) Err() error { return r.node.Err() }

// SetName labels the dataset in plans, logs and the web UI, and returns it.
func (r RDD[T]) SetName(name string) RDD[T] {
	r.node.setName(name)
	return r
}

// Compute streams the rows of one partition, from the cache where the dataset is persisted and the block is there. Operations
// call it on their parents.
func (r RDD[T]) Compute(t *Task, partition int) (Stream[T], error) {
	if r.node == nil {
		return nil, errors.New("compute the zero RDD: make datasets with a source such as rdd.Parallelize")
	}
	if r.node.level != None {
		return computeCached(r, t, partition)
	}
	return r.computeOp(t, partition)
}

func (r RDD[T]) computeOp(t *Task, partition int) (Stream[T], error) {
	op, ok := r.node.line.Load().op.(Op[T])
	if !ok {
		return nil, r.node.refuse(reflect.TypeFor[T](), partition)
	}
	return op.Compute(t, partition)
}

// refuse says why the dataset does not yield rows of type t.
func (n *Node) refuse(t reflect.Type, partition int) error {
	op := n.line.Load().op
	if lost, ok := op.(lostOp); ok {
		return lost.err(partition)
	}
	return fmt.Errorf("compute dataset %d: its operation %T does not yield %v", n.id, op, t)
}

// oneToOne is the dependency of operations whose partition p needs partition p of the parent.
func oneToOne(n *Node) Dependency { return Narrow{Node: n} }

// derive makes a dataset with the same number of partitions as its only parent.
func derive[T, U any](parent RDD[T], kind string, op Op[U], err error) RDD[U] {
	return RDD[U]{parent.node.derive(kind, op, err)}
}

// keepPartitioner says that r's rows lie where those of parent do.
func keepPartitioner[T, U any](r RDD[T], parent RDD[U]) RDD[T] {
	r.node.partition = parent.node.partition
	return r
}

// sliceStream yields the rows of a slice in batches.
type sliceStream[T any] struct{ rows []T }

func (s *sliceStream[T]) Next() ([]T, error) {
	if len(s.rows) == 0 {
		return nil, io.EOF
	}
	n := min(len(s.rows), BatchRows)
	b := s.rows[:n]
	s.rows = s.rows[n:]
	return b, nil
}

// StreamOf streams a slice that the caller will not change any more.
func StreamOf[T any](rows []T) Stream[T] { return &sliceStream[T]{rows} }

// ReadAll copies all rows of a stream into one slice.
func ReadAll[T any](s Stream[T]) ([]T, error) {
	var all []T
	err := each(s, func(rows []T) error { all = append(all, rows...); return nil })
	return all, err
}

// EachBatch calls f for every batch of a stream, until the task is cancelled: the loop of operations that fold a partition into something else. A
// batch is good until f returns.
func EachBatch[T any](t *Task, s Stream[T], f func([]T) error) error {
	return each(untilCancelled(t, s), f)
}

// each calls f for every batch.
func each[T any](s Stream[T], f func([]T) error) error {
	for {
		rows, err := s.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(rows); err != nil {
			return err
		}
	}
}

// resize returns a slice of n rows that reuses buf where it is large enough.
func resize[T any](buf []T, n int) []T {
	if cap(buf) < n {
		return make([]T, n)
	}
	return buf[:n]
}

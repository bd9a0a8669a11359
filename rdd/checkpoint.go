package rdd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// A checkpoint puts what a dataset holds in the place of how it was computed: the lineage before it is cut off and can be forgotten.
// Iterative programs need it, whose lineage would grow without end.
//
// Checkpoint and LocalCheckpoint only ask for it. The next job that succeeds and needed the dataset is followed by a second
// one, which keeps all its partitions; then the dataset's lineage is replaced. Jobs that run meanwhile go on with the lineage that
// they began with.
type checkpoint struct {
	local bool
	// keep runs the second job and returns the lineage to go on with, and where it lies; nil when done.
	keep func(ctx context.Context) (line *lineage, dir string, err error)
	busy bool // keep is running
	done bool
	dir  string // of a reliable one that is done
}

// pendingCheckpoints counts the datasets that ask for a checkpoint: without any, jobs need not look for them.
var pendingCheckpoints atomic.Int64

// Checkpoint has the dataset written to spark.checkpoint.dir, a directory that all executors reach, by the next job that
// computes it, and its lineage cut there. It returns the dataset. Writing computes the dataset a second time: persist it first. If it
// cannot be written, the action that the job belongs to returns the error and the next job tries again.
//
// The files are kept when the program ends. ReadCheckpoint reads them in another run.
func (r RDD[T]) Checkpoint() RDD[T] {
	n := r.node
	if n.session == nil {
		return r
	}
	root := n.session.Setting("spark.checkpoint.dir")
	var err error
	if root == "" {
		err = fail("Checkpoint", errors.New("there is no directory for it: set spark.checkpoint.dir"))
	} else if _, err = openCheckpoints(root); err != nil {
		err = fail("Checkpoint", err)
	} else {
		err = rowCheck[T]("Checkpoint")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.checkpoint != nil:
	case err != nil:
		if n.err == nil {
			n.err = err
		}
	default:
		n.checkpoint = &checkpoint{keep: func(ctx context.Context) (*lineage, string, error) {
			compress := checkpointCompression(n.session)
			dir, parts, err := writeCheckpoint(ctx, n, root, rowType[T](), func(dir string) Action { return writeAction[T]{r, dir, compress} })
			return &lineage{
				op:    &sourceOp[T, checkpointPart]{Self: r, Source: checkpointSource[T]{dir}},
				split: func(p int) any { return parts[p] },
			}, dir, err
		}}
		pendingCheckpoints.Add(1)
	}
	return r
}

// LocalCheckpoint has the lineage cut at the dataset by the next job that computes it, and relies on the persisted
// blocks from then on. It returns the dataset, persisted to memory and disk if it was to memory only or not at all. That is faster
// than Checkpoint and less safe: if an executor with some of the blocks is lost, or Unpersist is called, jobs on the dataset fail.
func (r RDD[T]) LocalCheckpoint() RDD[T] {
	n := r.node
	if n.session == nil {
		return r
	}
	err := rowCheck[T]("LocalCheckpoint")
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		if n.err == nil {
			n.err = err
		}
		return r
	}
	if c := n.checkpoint; c != nil && (c.local || c.busy || c.done) {
		return r
	}
	if n.checkpoint == nil {
		pendingCheckpoints.Add(1)
	}
	if n.level == None || n.level == MemoryOnly {
		n.level = MemoryAndDisk
		trackDataset(n)
	}
	n.checkpoint = &checkpoint{local: true, keep: func(ctx context.Context) (*lineage, string, error) {
		_, err := r.Count(ctx) // reads, and so keeps, all partitions
		return &lineage{op: lostOp[T]{fmt.Sprint(n)}}, "", err
	}}
	return r
}

// IsCheckpointed reports whether the lineage has been cut at the dataset.
func (r RDD[T]) IsCheckpointed() bool {
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	return r.node.checkpoint != nil && r.node.checkpoint.done
}

// CheckpointFile is the directory that Checkpoint wrote the dataset to; empty before and for local checkpoints.
func (r RDD[T]) CheckpointFile() string {
	r.node.mu.Lock()
	defer r.node.mu.Unlock()
	if r.node.checkpoint == nil {
		return ""
	}
	return r.node.checkpoint.dir
}

// AfterJob makes the checkpoints that the lineage of a successful job's target asks for: those nearest to the target, since nothing
// reads what is before them afterwards. Sessions call it at the end of Run.
func AfterJob(ctx context.Context, target *Node) error {
	if pendingCheckpoints.Load() == 0 {
		return nil
	}
	var found []*Node
	ancestors(target, true, func(n *Node) []Dependency {
		n.mu.Lock()
		asked := n.checkpoint
		if asked != nil && asked.keep != nil && !asked.busy {
			asked.busy = true
			found = append(found, n)
		}
		n.mu.Unlock()
		if asked != nil {
			return nil
		}
		return n.Dependencies()
	})
	var errs []error
	for _, n := range found {
		n.mu.Lock()
		c := n.checkpoint
		n.mu.Unlock()
		line, dir, err := c.keep(ctx)
		n.mu.Lock()
		c.busy = false
		if err == nil {
			n.line.Store(line)
			c.keep, c.done, c.dir = nil, true, dir
			pendingCheckpoints.Add(-1)
		}
		n.mu.Unlock()
		if err != nil {
			errs = append(errs, fmt.Errorf("checkpoint %v: %w", n, err))
		}
	}
	return errors.Join(errs...)
}

// writeCheckpoint has all partitions of n written below root by write, and returns where they are.
func writeCheckpoint(ctx context.Context, n *Node, root, rowType string, write func(dir string) Action) (dir string, parts []checkpointPart, err error) {
	store, err := openCheckpoints(root)
	if err != nil {
		return "", nil, err
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", nil, err
	}
	// Other programs, and other contexts of this one, may number a dataset alike.
	dir = fmt.Sprintf("%s/rdd-%d-%s", trimSlash(root), n.id, hex.EncodeToString(id[:]))
	parts = make([]checkpointPart, n.partitions)
	err = runAction(ctx, n, "Checkpoint", write(dir), nil, func(i int, b []byte) error { return json.Unmarshal(b, &parts[i]) })
	if err == nil {
		err = writeIndex(ctx, store, dir, index{1, rowType, parts})
	}
	if err != nil {
		// What is left of a failed attempt is of no use; that it cannot be removed either changes nothing about the error.
		_ = store.RemoveAll(context.WithoutCancel(ctx), dir)
	}
	return dir, parts, err
}

// lostOp stands where a lineage was cut by LocalCheckpoint.
type lostOp[T any] struct{ Dataset string }

func (o lostOp[T]) Compute(_ *Task, p int) (Stream[T], error) {
	return nil, fmt.Errorf("partition %d of %s was kept by LocalCheckpoint and its block is lost or unpersisted, and its lineage was cut: use Checkpoint, which survives that, or run the program again", p, o.Dataset)
}

// checkpointCompression is the codec that blocks of checkpoints are compressed with.
func checkpointCompression(s Session) string {
	if s.Setting("spark.checkpoint.compress") != "true" {
		return "none"
	}
	name := s.Setting("spark.io.compression.codec")
	if _, err := codec.CompressorOf(name); err != nil {
		return "lz4"
	}
	return name
}

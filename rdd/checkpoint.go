package rdd

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
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
	r.node.askCheckpoint(reflect.TypeFor[T](), checkpointRows[T]{r}.at)
	return r
}

// checkpointRows makes what writes and what reads a checkpoint of a dataset.
type checkpointRows[T any] struct{ of RDD[T] }

// at returns them for a directory: an action, and the operation that takes the place of the lineage.
func (c checkpointRows[T]) at(dir, compression string) (write Action, read any) {
	return writeAction[T]{c.of, dir, compression}, checkpointOp[T]{c.of.node, dir}
}

func (n *Node) askCheckpoint(row reflect.Type, at func(dir, compression string) (Action, any)) {
	if n.session == nil {
		return
	}
	root := n.session.Setting("spark.checkpoint.dir")
	var err error
	if root == "" {
		err = fail("Checkpoint", errors.New("there is no directory for it: set spark.checkpoint.dir"))
	} else if _, err = openCheckpoints(root); err != nil {
		err = fail("Checkpoint", err)
	} else {
		err = fail("Checkpoint", codec.Check(row))
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
			dir, again, err := newCheckpointDir(root, n)
			if err != nil {
				return nil, "", err
			}
			write, read := at(dir, checkpointCompression(n.session))
			var parts []checkpointPart
			if again {
				parts = earlierCheckpoint(n, dir, row)
			}
			if parts == nil {
				parts, err = writeCheckpoint(ctx, n, dir, row, write)
			}
			if err != nil {
				return nil, "", err
			}
			return &lineage{op: read, split: func(p int) any { return parts[p] }, hosts: hostsOfParts(ctx, dir, parts)}, dir, nil
		}}
		pendingCheckpoints.Add(1)
	}
}

// LocalCheckpoint has the lineage cut at the dataset by the next job that computes it, and relies on the persisted
// blocks from then on. It returns the dataset, persisted to memory and disk if it was to memory only or not at all. That is faster
// than Checkpoint and less safe: if an executor with some of the blocks is lost, or Unpersist is called, jobs on the dataset fail. A dataset that
// was persisted at one of the levels with two copies survives the loss of one executor.
func (r RDD[T]) LocalCheckpoint() RDD[T] {
	r.node.askLocalCheckpoint(reflect.TypeFor[T](), countAction[T]{r})
	return r
}

func (n *Node) askLocalCheckpoint(row reflect.Type, count Action) {
	if n.session == nil {
		return
	}
	err := fail("LocalCheckpoint", codec.Check(row))
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil {
		if n.err == nil {
			n.err = err
		}
		return
	}
	if c := n.checkpoint; c != nil && (c.local || c.busy || c.done) {
		return
	}
	if n.checkpoint == nil {
		pendingCheckpoints.Add(1)
	}
	switch n.level {
	case None, MemoryOnly:
		n.level = MemoryAndDisk
		trackDataset(n)
	case MemoryOnly2:
		n.level = MemoryAndDisk2
	}
	n.checkpoint = &checkpoint{local: true, keep: func(ctx context.Context) (*lineage, string, error) {
		_, err := countPartitions(ctx, n, "Count", count, nil) // reads, and so keeps, all partitions
		return &lineage{op: lostOp{fmt.Sprint(n)}}, "", err
	}}
}

// IsCheckpointed reports whether the lineage has been cut at the dataset.
func (r RDD[T]) IsCheckpointed() bool { return r.node.checkpointed() }

func (n *Node) checkpointed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.checkpoint != nil && n.checkpoint.done
}

// CheckpointFile is the directory that Checkpoint wrote the dataset to; empty before and for local checkpoints.
func (r RDD[T]) CheckpointFile() string { return r.node.checkpointDir() }

func (n *Node) checkpointDir() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.checkpoint == nil {
		return ""
	}
	return n.checkpoint.dir
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
		if KeepDir(n.session) != "" {
			_, _ = n.Identity() // from the lineage that will be cut; without it nothing after it is kept
		}
		line, dir, err := c.keep(ctx)
		n.mu.Lock()
		c.busy = false
		if err == nil {
			// It yields the same rows: what is computed from them stays what it was.
			line.identity.Store(n.line.Load().identity.Load())
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

// newCheckpointDir names the directory of a checkpoint of n: other programs, and other contexts of this one, may number a dataset
// alike. Sessions that keep what is finished name it by the dataset's identity: an earlier run may have written it.
func newCheckpointDir(root string, n *Node) (dir string, again bool, err error) {
	if k, ok := n.session.(Keeper); ok && k.KeepDir() != "" {
		if identity, err := n.Identity(); err == nil && !identity.Counted {
			sum := sha256.Sum256([]byte(k.KeptBy() + identity.String()))
			return fmt.Sprintf("%s/rdd-%x", trimSlash(root), sum[:16]), true, nil
		}
	}
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return "", false, err
	}
	return fmt.Sprintf("%s/rdd-%d-%s", trimSlash(root), n.id, hex.EncodeToString(id[:])), false, nil
}

// earlierCheckpoint is what an earlier run of the program has written to dir; nil if that is not there, or not what n would write.
func earlierCheckpoint(n *Node, dir string, row reflect.Type) []checkpointPart {
	parts, err := readIndex(dir, row.String())
	if err != nil || len(parts) != n.partitions {
		return nil
	}
	slog.Info("a checkpoint of an earlier run is taken over", "dataset", n, "dir", dir)
	return parts
}

// writeCheckpoint has all partitions of n written to dir by write, and returns where they are.
func writeCheckpoint(ctx context.Context, n *Node, dir string, row reflect.Type, write Action) ([]checkpointPart, error) {
	store, err := openCheckpoints(dir)
	if err != nil {
		return nil, err
	}
	parts := make([]checkpointPart, n.partitions)
	err = runAction(ctx, n, "Checkpoint", write, nil, func(i int, b []byte) error { return json.Unmarshal(b, &parts[i]) })
	if err == nil {
		err = writeIndex(ctx, store, dir, index{1, row.String(), parts})
	}
	if err != nil {
		// What is left of a failed attempt is of no use; that it cannot be removed either changes nothing about the error.
		_ = store.RemoveAll(context.WithoutCancel(ctx), dir)
	}
	return parts, err
}

// lostOp stands where a lineage was cut by LocalCheckpoint: it yields no rows of any type.
type lostOp struct{ Dataset string }

func (o lostOp) err(p int) error {
	return fmt.Errorf("partition %d of %s was kept by LocalCheckpoint and its block is lost or unpersisted, and its lineage was cut: use Checkpoint, which survives that, or run the program again", p, o.Dataset)
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

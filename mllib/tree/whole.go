package tree

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/spark-go/spark-go/rdd"
)

// growWhole brings the training data together, gives it to every executor, and has each task grow one tree.
func (t *training) growWhole(ctx context.Context) (*Forest, error) {
	session := t.batches.Session()
	parts, err := t.tables().Collect(ctx)
	if err != nil {
		return nil, err
	}
	whole := parts[0]
	if len(parts) > 1 {
		whole = newTable(t.Features, int(t.total), t.Regression, t.Weighted)
		for i := range parts {
			whole.join(&parts[i])
			parts[i] = table{}
		}
	}
	whole.Places = nil
	h, err := t.harvest(ctx, "whole trees", func() ([]string, error) { return []string{whole.digest()}, nil })
	if err != nil {
		return nil, fmt.Errorf("tree.%s: %w", t.name, err)
	}
	shared, err := rdd.NewBroadcast(session, &forestData{t.problem, whole})
	if err != nil {
		return nil, err
	}
	defer shared.Destroy(session)
	t.log.Info("gathered", "bytes", tableBytes(t.Features, t.total, t.Weighted), "seconds", t.seconds())

	// A job for every tenth of the trees, all at once: each that ends is a line in the log, and no core waits for the others.
	step := max(1, (t.settings.NumTrees+9)/10)
	if h.keeper != nil {
		step = min(step, t.settings.CheckpointInterval)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for numbers := range slices.Chunk(h.missing(), step) {
		wait.Go(func() {
			rows := rdd.Parallelize(session, numbers, len(numbers)).SetName("trees")
			got, err := rdd.RunPartitions(ctx, rows, "GrowTrees", rdd.PartitionFunc[int, grown](growTree{shared}), nil)
			if err == nil {
				err = h.bring(ctx, numbers, got)
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return h.finish(ctx), nil
}

// forestData is what tasks that grow whole trees need.
type forestData struct {
	Problem problem
	Table   table
}

// growTree grows the tree whose number is the partition's row.
type growTree struct {
	Data rdd.Broadcast[*forestData]
}

// Run implements rdd.PartitionFunc.
func (g growTree) Run(t *rdd.Task, _ int, in rdd.Stream[int]) (grown, error) {
	numbers, err := rdd.ReadAll(in)
	if err != nil {
		return grown{}, err
	}
	d := g.Data.Value()
	return newGrower(t.Context(), &d.Problem, &d.Table).tree(treeSeed(d.Problem.Seed, numbers[0]))
}

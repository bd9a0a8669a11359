package tree

import (
	"context"
	"sync"

	"github.com/spark-go/spark-go/rdd"
)

// growWhole brings the training data together, gives it to every executor, and has each task grow one tree.
func (t *training) growWhole(ctx context.Context) ([]grown, error) {
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
	shared, err := rdd.NewBroadcast(session, &forestData{t.problem, whole})
	if err != nil {
		return nil, err
	}
	defer shared.Destroy(session)
	t.log.Info("gathered", "bytes", tableBytes(t.Features, t.total, t.Weighted), "seconds", t.seconds())

	// A job for every tenth of the trees, all at once: each that ends is a line in the log, and no core waits for the others.
	n := t.settings.NumTrees
	step := max(1, (n+9)/10)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	trees := make([]grown, n)
	var wait sync.WaitGroup
	var mu sync.Mutex
	done, nodes := 0, 0
	for lo := 0; lo < n; lo += step {
		hi := min(lo+step, n)
		numbers := rdd.Range(session, int64(lo), int64(hi), 1, hi-lo).SetName("trees")
		wait.Go(func() {
			got, err := rdd.RunPartitions(ctx, numbers, "GrowTrees", rdd.PartitionFunc[int64, grown](growTree{shared}), nil)
			if err != nil {
				cancel(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			copy(trees[lo:hi], got)
			done += len(got)
			for i := range got {
				nodes += len(got[i].Nodes)
			}
			t.log.Info("growing", "trees", done, "of", n, "nodes", nodes, "seconds", t.seconds())
		})
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return trees, nil
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
func (g growTree) Run(t *rdd.Task, _ int, in rdd.Stream[int64]) (grown, error) {
	numbers, err := rdd.ReadAll(in)
	if err != nil {
		return grown{}, err
	}
	d := g.Data.Value()
	return newGrower(t.Context(), &d.Problem, &d.Table).tree(treeSeed(d.Problem.Seed, int(numbers[0])))
}

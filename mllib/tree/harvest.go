package tree

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/modelfile"
)

// The kind of the checkpoints, and the version of their content.
const (
	checkpointKind    = "tree.Forest"
	checkpointVersion = 1
)

// harvest is the trees of a forest that are finished, by this program or, according to a checkpoint, by one that ended before.
type harvest struct {
	*training
	keeper *checkpoint.Keeper
	before *Forest // of the checkpoint, or nil
	place  []int   // of each tree, where it is among those of before; else -1

	mu    sync.Mutex
	trees []grown
	done  []bool // trees that this program grew
	fresh int    // how many of them no checkpoint has
}

// harvest begins to collect the trees of a fit that grows them in some way. digest is of the data as it grows them on.
func (t *training) harvest(ctx context.Context, way string, digest func() ([]string, error)) (*harvest, error) {
	s := &t.settings
	h := &harvest{training: t, trees: make([]grown, s.NumTrees), done: make([]bool, s.NumTrees), place: slices.Repeat([]int{-1}, s.NumTrees)}
	var err error
	if h.keeper, err = checkpoint.OpenFor(ctx, t.batches.Session(), s.CheckpointDir, s.CheckpointInterval, "forest", checkpointKind, checkpointVersion); h.keeper == nil || err != nil {
		return h, err
	}
	digests, err := digest()
	if err != nil {
		return nil, err
	}
	for i := range t.Features {
		digests = append(digests, checkpoint.Digest(t.Features[i].Thresholds))
	}
	f, err := h.keeper.Resume(ctx,
		checkpoint.Of("trainer", t.name), checkpoint.Of("MaxDepth", s.MaxDepth), checkpoint.Of("MaxBins", s.MaxBins), checkpoint.Of("MinInstancesPerNode", s.MinInstancesPerNode),
		checkpoint.Of("MinWeightFractionPerNode", s.MinWeightFractionPerNode), checkpoint.Of("MinInfoGain", s.MinInfoGain), checkpoint.Of("SubsamplingRate", s.SubsamplingRate),
		checkpoint.Of("NoBootstrap", s.NoBootstrap), checkpoint.Of("FeatureSubsetStrategy", s.FeatureSubsetStrategy), checkpoint.Of("Impurity", s.Impurity),
		checkpoint.Of("MaxMemoryInMB", s.MaxMemoryInMB), checkpoint.Of("Seed", s.Seed), checkpoint.Of("Categorical", s.Categorical), checkpoint.Of("Weighted", s.Weighted),
		checkpoint.Of("rows", t.total), checkpoint.Of("features", len(t.Features)), checkpoint.Of("classes", t.NumClasses), checkpoint.Of("growth", way),
		checkpoint.Of("features a node", t.Subset), checkpoint.Of("merged leaves", t.Merge), checkpoint.Of("sums", []float64{t.Mean, t.MinWeight}), checkpoint.Data(digests...))
	if f == nil || err != nil {
		return h, err
	}
	if err := h.restore(f); err != nil {
		return nil, h.keeper.Refuse(err)
	}
	h.keeper.Resumed(ctx, "tree."+t.name, "trees", h.before.NumTrees())
	return h, nil
}

// restore takes over the trees of a checkpoint.
func (h *harvest) restore(file *modelfile.File) error {
	f, err := forestOf(file, file.Kind())
	if err != nil {
		return err
	}
	numbers, err := modelfile.GetArray[int32](file, "numbers")
	if err != nil {
		return err
	}
	want := h.forest(nil)
	if len(numbers) != f.NumTrees() || f.NumFeatures != want.NumFeatures || f.NumClasses != want.NumClasses || !slices.Equal(f.Arities, want.Arities) {
		return errors.New("it holds other trees than it says")
	}
	last := int32(-1)
	for at, n := range numbers {
		if n <= last {
			return fmt.Errorf("tree %d follows tree %d", n, last)
		}
		if last = n; int(n) < len(h.place) {
			h.place[n] = at
		}
	}
	h.before = f
	return nil
}

// missing lists the trees that are left to grow.
func (h *harvest) missing() []int {
	var out []int
	for n, at := range h.place {
		if at < 0 && !h.done[n] {
			out = append(out, n)
		}
	}
	return out
}

// bring adds finished trees, and saves all there are if the settings want that.
func (h *harvest) bring(ctx context.Context, numbers []int, trees []grown) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, n := range numbers {
		h.trees[n], h.done[n] = trees[i], true
	}
	h.fresh += len(numbers)
	done, nodes := 0, 0
	for n := range h.trees {
		if h.done[n] || h.place[n] >= 0 {
			done++
		}
		nodes += len(h.trees[n].Nodes)
	}
	h.log.Info("growing", "trees", done, "of", len(h.trees), "nodes", nodes, "seconds", h.seconds())
	if h.keeper == nil || h.fresh < h.settings.CheckpointInterval || done == len(h.trees) {
		return nil
	}
	h.fresh = 0
	return h.keeper.Save(ctx, func(f *modelfile.File) {
		forest, numbers := h.collect()
		forest.fill(f)
		modelfile.SetArray(f, "numbers", numbers)
	})
}

// collect makes a forest of the trees there are, and lists their numbers.
func (h *harvest) collect() (*Forest, []int32) {
	var numbers []int32
	for n := range h.trees {
		if h.done[n] || h.place[n] >= 0 {
			numbers = append(numbers, int32(n))
		}
	}
	if h.before == nil {
		trees := make([]grown, len(numbers))
		for i, n := range numbers {
			trees[i] = h.trees[n]
		}
		return h.forest(trees), numbers
	}
	f := h.forest(nil)
	for _, n := range numbers {
		if at := h.place[n]; at >= 0 {
			f.graft(h.before, at)
		} else {
			f.graft(h.forest(h.trees[n:n+1]), 0)
		}
	}
	return f, numbers
}

// finish is the forest of all trees.
func (h *harvest) finish(ctx context.Context) *Forest {
	f, _ := h.collect()
	h.keeper.Remove(ctx)
	return f
}

// graft appends a tree of another forest on the same features.
func (f *Forest) graft(o *Forest, tree int) {
	root, from := int32(len(f.Nodes)), o.Roots[tree]
	f.Roots = append(f.Roots, root)
	for i := from; i < o.end(tree); i++ {
		n, info := o.Nodes[i], o.Infos[i]
		if n.Feature >= 0 {
			n.Right += root - from
		}
		if n.Set >= 0 {
			words := (f.Arities[n.Feature] + 63) / 64
			n.Set = int32(len(f.Sets))
			f.Sets = append(f.Sets, o.Sets[o.Nodes[i].Set:o.Nodes[i].Set+words]...)
		}
		if n.Feature < 0 {
			info.Votes = int32(len(f.VoteClasses))
			f.VoteClasses = append(f.VoteClasses, o.VoteClasses[o.Infos[i].Votes:o.Infos[i].Votes+info.Voters]...)
			f.VoteWeights = append(f.VoteWeights, o.VoteWeights[o.Infos[i].Votes:o.Infos[i].Votes+info.Voters]...)
		}
		f.Nodes, f.Infos = append(f.Nodes, n), append(f.Infos, info)
	}
}

// digest names the rows of a table.
func (t *table) digest() string {
	parts := []any{[]int64{int64(t.Rows), t.First}, t.Classes, t.Targets, t.Weights}
	for i := range t.Bins {
		parts = append(parts, t.Bins[i].Narrow, t.Bins[i].Wide)
	}
	return checkpoint.Digest(parts...)
}

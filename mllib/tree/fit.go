package tree

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/spark-go/spark-go/rdd"
)

// training is one call of Fit.
type training struct {
	problem
	name     string
	settings Settings
	batches  rdd.RDD[Columns]
	rows     []int64 // of each partition
	total    int64
	log      *slog.Logger
	begun    time.Time
}

// fitClasses trains a forest for classes.
func fitClasses(ctx context.Context, name string, s Settings, batches rdd.RDD[Columns]) (*ClassificationModel, error) {
	s, err := s.withDefaults(name, true)
	if err != nil {
		return nil, err
	}
	forest, err := fit(ctx, name, s, batches, false)
	if err != nil {
		return nil, err
	}
	if n := len(s.Thresholds); n > 0 && n != forest.NumClasses {
		return nil, fmt.Errorf("tree.%s: Thresholds has %d numbers for %d classes: give one for each", name, n, forest.NumClasses)
	}
	return &ClassificationModel{Forest: *forest, Thresholds: s.Thresholds}, nil
}

// fitNumbers trains a forest for numbers.
func fitNumbers(ctx context.Context, name string, s Settings, batches rdd.RDD[Columns]) (*RegressionModel, error) {
	s, err := s.withDefaults(name, false)
	if err != nil {
		return nil, err
	}
	forest, err := fit(ctx, name, s, batches, true)
	if err != nil {
		return nil, err
	}
	return &RegressionModel{Forest: *forest}, nil
}

func fit(ctx context.Context, name string, s Settings, batches rdd.RDD[Columns], regression bool) (*Forest, error) {
	t := &training{name: name, settings: s, batches: batches, begun: time.Now(), log: slog.With("trainer", "tree."+name)}
	if err := t.prepare(ctx, regression); err != nil {
		return nil, err
	}
	grow := t.growLevels
	if t.whole(tableBytes(t.Features, t.total, t.Weighted)) {
		grow = t.growWhole
	}
	f, err := grow(ctx)
	if err != nil {
		return nil, err
	}
	t.log.Info("trained", "trees", f.NumTrees(), "nodes", f.NumNodes(), "depth", f.Depth(), "seconds", t.seconds())
	return f, nil
}

func (t *training) seconds() float64 { return math.Round(time.Since(t.begun).Seconds()*1000) / 1000 }

// whole tells whether the data should be brought together, so that each task grows whole trees and needs nothing from the others: if it
// fits, and if there are enough trees to share out. It follows from the data and the settings alone where it changes the order of sums; where it does not the
// data must also fit half of an executor's memory, in which it lies once, and while it arrives twice.
func (t *training) whole(bytes int64) bool {
	limit := int64(t.settings.MaxMemoryInMB) << 20
	if memory, _ := rdd.ExecutorSize(t.batches.Session()); memory > 0 {
		if t.exact() {
			limit = min(limit, memory/2)
		} else if bytes <= limit && bytes > memory/2 {
			t.log.Warn("the training data fits MaxMemoryInMB, but hardly the memory of the executors: lower it, or give executors more memory", "bytes", bytes, "executor", memory)
		}
	}
	return bytes <= limit && t.total < 1<<31 && (t.settings.NumTrees >= 4 || bytes <= 16<<20)
}

// prepare makes the first pass and decides on the bins.
func (t *training) prepare(ctx context.Context, regression bool) error {
	s := t.settings
	op := profileOp{Batches: t.batches, Regression: regression, Weighted: s.Weighted, NumClasses: s.NumClasses, Categorical: s.Categorical, Names: s.FeatureNames}
	profiles := rdd.New(t.batches.Session(), "ForestProfile", rdd.Op[profile](op), t.batches.NumPartitions(), nil, rdd.Narrow{Node: t.batches.Node()})
	p, err := rdd.TreeReduce(ctx, profiles, mergeProfiles)
	if err != nil && !errors.Is(err, rdd.ErrEmpty) {
		return err
	}
	for _, n := range p.Rows {
		t.total += n
	}
	features := len(p.Columns)
	switch {
	case math.IsNaN(p.Weight):
		return fmt.Errorf("tree.%s: rows of different partitions have different numbers of features: all rows need the same", t.name)
	case t.total == 0:
		return fmt.Errorf("tree.%s: there are no rows to train on: check the input and its filters", t.name)
	case p.Weight == 0:
		return fmt.Errorf("tree.%s: all %d rows have the weight 0: give some a weight above 0", t.name, t.total)
	case s.FeatureNames != nil && len(s.FeatureNames) != features:
		return fmt.Errorf("tree.%s: FeatureNames has %d names for %d features: give one for each", t.name, len(s.FeatureNames), features)
	}
	for f := range s.Categorical {
		if f >= features {
			return fmt.Errorf("tree.%s: Categorical names feature %d: there are %d, numbered from 0", t.name, f, features)
		}
	}
	t.rows = p.Rows
	t.Regression, t.Weighted, t.Entropy = regression, s.Weighted, s.Impurity == "entropy"
	if regression {
		t.Mean = p.Label / p.Weight
	} else {
		t.NumClasses = max(s.NumClasses, len(p.Classes))
	}
	if t.Features, err = p.features(t.name, s, t.NumClasses); err != nil {
		return err
	}
	for f := range t.Features {
		if s.Weighted || regression {
			t.Features[f].Bit = -1 // bits are for counting
		}
		if t.Features[f].Bins > 1 {
			t.Usable = append(t.Usable, int32(f))
		}
	}
	if t.Subset, err = s.subset(t.name, features, !regression); err != nil {
		return err
	}
	t.Subset = min(t.Subset, len(t.Usable))
	t.MaxDepth = s.MaxDepth
	t.MinCount, t.MinWeight, t.MinGain = float64(s.MinInstancesPerNode), s.MinWeightFractionPerNode*p.Weight, s.MinInfoGain
	t.Seed = s.Seed
	t.Merge = s.NumTrees == 1
	t.Bag = newBag(s.SubsamplingRate, !s.NoBootstrap)
	t.log.Info("binned", "rows", t.total, "features", features, "subset", t.Subset, "seconds", t.seconds())
	return nil
}

// tables is the dataset of one table a partition.
func (t *training) tables() rdd.RDD[table] {
	op := binOp{Batches: t.batches, Features: t.Features, Rows: t.rows, Regression: t.Regression, Weighted: t.Weighted, Mean: t.Mean}
	return rdd.New(t.batches.Session(), "ForestBins", rdd.Op[table](op), t.batches.NumPartitions(), nil, rdd.Narrow{Node: t.batches.Node()})
}

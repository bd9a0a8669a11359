// Package recommendation trains models that predict how a user would rate an item.
//
// # Alternating least squares
//
// A model gives every user and every item a vector of Rank numbers such that their dot product approximates the rating. With the
// items' vectors fixed, each user's vector is the solution of a small least squares problem, and the other way round: ALS solves
// one side, then the other, MaxIter times (Zhou, Wilkinson, Schreiber, Pan: Large-scale Parallel Collaborative Filtering for the
// Netflix Prize, 2008). The regularisation of a row is RegParam times the number of its ratings, as in Spark's
// org.apache.spark.ml.recommendation.ALS. With ImplicitPrefs ratings are strengths of observation, not opinions (Hu, Koren,
// Volinsky: Collaborative Filtering for Implicit Feedback Datasets, 2008).
//
// # How it is distributed
//
// Users and items are hashed into blocks, one partition each. A block knows the ratings of its rows and, for every block of the other
// side, which of its rows are rated from there: in a half-iteration each block sends each such row's vector once to each block that
// needs it, and solves its own rows from what it receives. An iteration is two shuffles and one job. Every CheckpointInterval
// iterations the vectors of the users come to the driver and go on from there: what was before can be forgotten.
//
// # Invariants
//
// The model is a function of the ratings, the settings and the number of blocks: rows start from a generator seeded by Seed and
// their id, and sums run in the order of the ids. Vectors are float32, sums float64.
package recommendation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/internal/progress"
	"github.com/spark-go/spark-go/rdd"
)

// ID is what users and items are named by.
type ID interface{ int32 | int64 | string }

// Rating is a user's opinion of an item.
type Rating[U, I ID] struct {
	User  U
	Item  I
	Value float32
}

// What Predict and PredictAll do about users and items that were not in the training data.
const (
	ColdStartNaN  = "nan"  // predict NaN
	ColdStartDrop = "drop" // leave the row out of PredictAll
)

// ALS holds the settings of alternating least squares for users named by U and items by I. The zero value of a field is its default,
// which is Spark's; where zero itself is meant, see the field. Spark's names of columns have no counterpart, because the rows are typed, nor
// has finalStorageLevel, because a model is plain data on the driver.
type ALS[U, I ID] struct {
	Rank          int     // length of the vectors, at least 1; default 10
	MaxIter       int     // iterations, at least 1; default 10
	RegParam      float64 // regularisation λ; default 0.1; a negative value means 0
	NumUserBlocks int     // at least 1; default 10
	NumItemBlocks int     // at least 1; default 10
	ImplicitPrefs bool    // ratings are strengths of observation
	Alpha         float64 // with ImplicitPrefs: confidence is 1 + Alpha·|rating|; default 1; a negative value means 0
	Nonnegative   bool    // vectors have no negative number
	Seed          int64   // of the first vectors; default 42

	// IntermediateStorageLevel is how the blocks of ratings, and the vectors between iterations, are kept; default MemoryAndDisk.
	IntermediateStorageLevel rdd.StorageLevel
	// CheckpointDir is a directory on any file system where the state of the fit is saved every CheckpointInterval iterations, as
	// als.checkpoint. A Fit with the same settings on the same ratings goes on from there, with the same result; another one is refused.
	// The file is removed when the model is there. Default none, but for
	// programs with spark.checkpoint.dir, whose fits are kept there.
	CheckpointDir string
	// CheckpointInterval is after how many iterations the lineage is cut and the state saved; default 10; -1 never. Cutting the lineage
	// needs no CheckpointDir.
	CheckpointInterval int
	// ColdStartStrategy is what the model does about unknown users and items: ColdStartNaN (the default) or ColdStartDrop.
	ColdStartStrategy string
	// BlockSize is how many users and items are scored at once by RecommendForAllUsers and its like, at least 1; default 4096.
	BlockSize int
}

// withDefaults fills in the defaults and checks the ranges.
func (a ALS[U, I]) withDefaults() (ALS[U, I], error) {
	a.Rank = cmp.Or(a.Rank, 10)
	a.MaxIter = cmp.Or(a.MaxIter, 10)
	a.NumUserBlocks = cmp.Or(a.NumUserBlocks, 10)
	a.NumItemBlocks = cmp.Or(a.NumItemBlocks, 10)
	a.Alpha = max(cmp.Or(a.Alpha, 1), 0)
	a.Seed = cmp.Or(a.Seed, 42)
	a.RegParam = max(cmp.Or(a.RegParam, 0.1), 0)
	a.IntermediateStorageLevel = cmp.Or(a.IntermediateStorageLevel, rdd.MemoryAndDisk)
	a.CheckpointInterval = cmp.Or(a.CheckpointInterval, checkpoint.Interval)
	a.ColdStartStrategy = cmp.Or(a.ColdStartStrategy, ColdStartNaN)
	a.BlockSize = cmp.Or(a.BlockSize, 4096)
	for _, p := range []struct {
		name string
		v    int
	}{{"Rank", a.Rank}, {"MaxIter", a.MaxIter}, {"NumUserBlocks", a.NumUserBlocks}, {"NumItemBlocks", a.NumItemBlocks}, {"BlockSize", a.BlockSize}} {
		if p.v < 1 || p.v > math.MaxInt32 {
			return a, fmt.Errorf("recommendation.ALS: %s is %d: choose 1 to %d", p.name, p.v, math.MaxInt32)
		}
	}
	switch {
	case math.IsNaN(a.RegParam) || math.IsInf(a.RegParam, 0):
		return a, fmt.Errorf("recommendation.ALS: RegParam is %v: choose a finite number", a.RegParam)
	case math.IsNaN(a.Alpha) || math.IsInf(a.Alpha, 0):
		return a, fmt.Errorf("recommendation.ALS: Alpha is %v: choose a finite number", a.Alpha)
	case a.ColdStartStrategy != ColdStartNaN && a.ColdStartStrategy != ColdStartDrop:
		return a, fmt.Errorf("recommendation.ALS: ColdStartStrategy is %q: choose %q or %q", a.ColdStartStrategy, ColdStartNaN, ColdStartDrop)
	case !a.IntermediateStorageLevel.Valid():
		return a, fmt.Errorf("recommendation.ALS: IntermediateStorageLevel is %v: choose one of package rdd", a.IntermediateStorageLevel)
	}
	if err := checkpoint.Check(a.CheckpointDir, a.CheckpointInterval); err != nil {
		return a, fmt.Errorf("recommendation.ALS: %w", err)
	}
	return a, nil
}

// Fit trains a model. It needs at least one rating, and all must be finite. Several ratings of an item by a user count each. It reads the
// ratings once, unless an executor is lost: ratings that another reading may find changed must be cached or checkpointed before. Each
// iteration is logged at level Info with the error of its users' step.
func (a ALS[U, I]) Fit(ctx context.Context, ratings rdd.RDD[Rating[U, I]]) (*Model[U, I], error) {
	a, err := a.withDefaults()
	if err != nil {
		return nil, err
	}
	keeper, err := checkpoint.OpenFor(ctx, ratings.Session(), a.CheckpointDir, a.CheckpointInterval, "als", modelKind, checkpointVersion)
	if err != nil {
		return nil, fmt.Errorf("train ALS: %w", err)
	}
	t := &training[U, I]{ALS: a, keeper: keeper}
	defer t.free(ctx)
	if err := t.distribute(ctx, ratings); err != nil {
		return nil, err
	}
	if err := t.resume(ctx); err != nil {
		return nil, err
	}
	for t.done < a.MaxIter {
		if err := t.iterate(ctx); err != nil {
			return nil, err
		}
	}
	return t.model(ctx)
}

// training is a fit on its way.
type training[U, I ID] struct {
	ALS[U, I]
	progress     *progress.Reporter
	byUser       rdd.RDD[block[U, I]]
	byItem       rdd.RDD[block[I, U]]
	ratings      int64
	users, items rdd.RDD[factors] // items only after the last iteration
	done         int              // iterations
	history      []float64        // objective after each
	held         []held           // what to forget at the end
	keeper       *checkpoint.Keeper
}

// held is a dataset that is kept.
type held interface {
	Unpersist(ctx context.Context, wait bool) error
}

// forget drops kept partitions. What cannot be dropped costs memory and no more.
func forget(ctx context.Context, d held) { _ = d.Unpersist(context.WithoutCancel(ctx), false) }

func (t *training[U, I]) free(ctx context.Context) {
	if t.progress != nil {
		t.progress.Done()
	}
	for _, d := range t.held {
		forget(ctx, d)
	}
}

// distribute makes the blocks.
func (t *training[U, I]) distribute(ctx context.Context, ratings rdd.RDD[Rating[U, I]]) error {
	measure := "rmse"
	if t.ImplicitPrefs {
		measure = "loss"
	}
	t.progress = progress.Start(ratings.Session(), "ALS", t.MaxIter, measure)
	t.byUser, t.byItem = blocksOf(ratings, t.NumUserBlocks, t.NumItemBlocks)
	t.byUser.Persist(t.IntermediateStorageLevel)
	t.byItem.Persist(t.IntermediateStorageLevel)
	t.held = append(t.held, t.byUser, t.byItem)
	sizes, err := rdd.RunPartitions(ctx, t.byItem, "ALS blocks", rdd.PartitionFunc[block[I, U], int64](sizeOf[I, U]{}), nil)
	if err != nil {
		return err
	}
	for _, n := range sizes {
		t.ratings += n
	}
	if t.ratings == 0 {
		return errors.New("train ALS: there are no ratings: check the input and its filters")
	}
	t.users = rdd.New(t.byUser.Session(), "ALSInit", rdd.Op[factors](initOp[U, I]{Blocks: t.byUser, Rank: t.Rank, Seed: t.Seed}), t.NumUserBlocks, nil, rdd.Narrow{Node: t.byUser.Node()})
	return nil
}

// sizeOf is the number of ratings of a block.
type sizeOf[R, C ID] struct{}

func (sizeOf[R, C]) Run(_ *rdd.Task, _ int, in rdd.Stream[block[R, C]]) (int64, error) {
	rows, err := in.Next()
	if err != nil {
		return 0, err
	}
	return int64(len(rows[0].Values)), nil
}

// iterate computes the items' vectors from the users', and the users' from those.
func (t *training[U, I]) iterate(ctx context.Context) error {
	set := solver{Rank: t.Rank, RegParam: t.RegParam, Implicit: t.ImplicitPrefs, Alpha: t.Alpha, Nonnegative: t.Nonnegative}
	items := halfStep(t.byUser, t.users, t.byItem, set)
	if t.done == t.MaxIter-1 {
		items.Persist(t.IntermediateStorageLevel) // read twice: by the users' step and as a result
		t.items = items
		t.held = append(t.held, items)
	}
	users := halfStep(t.byItem, items, t.byUser, set).Persist(t.IntermediateStorageLevel)
	fits, err := rdd.RunPartitions(ctx, users, "ALS iteration", rdd.PartitionFunc[factors, fit](fitOf{}), nil)
	if err != nil {
		forget(ctx, users)
		return err
	}
	forget(ctx, t.users)
	t.users = users
	t.done++
	var sum fit
	for _, f := range fits {
		sum.add(f)
	}
	t.history = append(t.history, sum.Loss)
	measure := sum.Loss
	if !t.ImplicitPrefs {
		measure = math.Sqrt(sum.Loss / float64(t.ratings))
	}
	t.progress.Iteration(t.done, measure)
	if t.done%t.CheckpointInterval == 0 && t.CheckpointInterval > 0 && t.done < t.MaxIter {
		return t.checkpoint(ctx)
	}
	return nil
}

type fitOf struct{}

func (fitOf) Run(_ *rdd.Task, _ int, in rdd.Stream[factors]) (fit, error) {
	rows, err := in.Next()
	if err != nil {
		return fit{}, err
	}
	return rows[0].Fit, nil
}

// model collects the result.
func (t *training[U, I]) model(ctx context.Context) (*Model[U, I], error) {
	t.held = append(t.held, t.users)
	m := &Model[U, I]{Rank: t.Rank, Settings: t.ALS, History: t.history}
	m.Settings.IntermediateStorageLevel, m.Settings.CheckpointInterval, m.Settings.CheckpointDir = 0, 0, ""
	var err error
	if m.UserIDs, m.UserFactors, err = collect(ctx, t.byUser, t.users); err != nil {
		return nil, err
	}
	if m.ItemIDs, m.ItemFactors, err = collect(ctx, t.byItem, t.items); err != nil {
		return nil, err
	}
	t.keeper.Remove(ctx)
	m.sort()
	return m, nil
}

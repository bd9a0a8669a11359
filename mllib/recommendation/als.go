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
// needs it, and solves its own rows from what it receives. An iteration is two shuffles; all of them are one job.
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

// ALS holds the settings of alternating least squares for users named by U and items by I. The zero value of a field is its default,
// which is Spark's; where zero itself is meant, see the field.
type ALS[U, I ID] struct {
	Rank          int     // length of the vectors; default 10
	MaxIter       int     // iterations; default 10
	RegParam      float64 // regularisation λ; default 0.1; a negative value means 0
	NumUserBlocks int     // default 10
	NumItemBlocks int     // default 10
	ImplicitPrefs bool    // ratings are strengths of observation
	Alpha         float64 // with ImplicitPrefs: confidence is 1 + Alpha·|rating|; default 1
	Nonnegative   bool    // vectors have no negative number
	Seed          int64   // of the first vectors; default 42
}

// withDefaults fills in the defaults and checks the ranges.
func (a ALS[U, I]) withDefaults() (ALS[U, I], error) {
	a.Rank = cmp.Or(a.Rank, 10)
	a.MaxIter = cmp.Or(a.MaxIter, 10)
	a.NumUserBlocks = cmp.Or(a.NumUserBlocks, 10)
	a.NumItemBlocks = cmp.Or(a.NumItemBlocks, 10)
	a.Alpha = cmp.Or(a.Alpha, 1)
	a.Seed = cmp.Or(a.Seed, 42)
	a.RegParam = max(cmp.Or(a.RegParam, 0.1), 0)
	for _, p := range []struct {
		name string
		v    int
	}{{"Rank", a.Rank}, {"MaxIter", a.MaxIter}, {"NumUserBlocks", a.NumUserBlocks}, {"NumItemBlocks", a.NumItemBlocks}} {
		if p.v < 1 {
			return a, fmt.Errorf("recommendation.ALS: %s is %d: at least 1", p.name, p.v)
		}
	}
	if math.IsNaN(a.RegParam) || math.IsInf(a.RegParam, 0) || !(a.Alpha >= 0) || math.IsInf(a.Alpha, 0) {
		return a, fmt.Errorf("recommendation.ALS: RegParam is %v and Alpha %v: both are finite and at least 0", a.RegParam, a.Alpha)
	}
	return a, nil
}

// Fit trains a model. It needs at least one rating; ratings must be finite.
func (a ALS[U, I]) Fit(ctx context.Context, ratings rdd.RDD[Rating[U, I]]) (*Model[U, I], error) {
	a, err := a.withDefaults()
	if err != nil {
		return nil, err
	}
	byUser := blocksOf(ratings, a.NumUserBlocks, a.NumItemBlocks, side[U, I, Rating[U, I]](userSide[U, I]{}))
	byItem := blocksOf(ratings, a.NumItemBlocks, a.NumUserBlocks, side[I, U, Rating[U, I]](itemSide[U, I]{}))
	defer func() {
		_ = byUser.Unpersist(context.WithoutCancel(ctx), false)
		_ = byItem.Unpersist(context.WithoutCancel(ctx), false)
	}()
	set := solver{Rank: a.Rank, RegParam: a.RegParam, Implicit: a.ImplicitPrefs, Alpha: a.Alpha, Nonnegative: a.Nonnegative}
	users := rdd.New(byUser.Session(), "ALSInit", rdd.Op[factors](initOp[U]{Blocks: byUser, Rank: a.Rank, Seed: a.Seed}), a.NumUserBlocks, nil, rdd.Narrow{Node: byUser.Node()})
	var items rdd.RDD[factors]
	for i := range a.MaxIter {
		items = halfStep(byUser, users, byItem, set, a.NumItemBlocks)
		if i == a.MaxIter-1 {
			// Read twice: by the last users' step and as a result.
			items.Persist(rdd.MemoryAndDisk)
			defer func() { _ = items.Unpersist(context.WithoutCancel(ctx), false) }()
		}
		users = halfStep(byItem, items, byUser, set, a.NumUserBlocks)
	}
	m := &Model[U, I]{Rank: a.Rank}
	if m.UserIDs, m.UserFactors, err = collect(ctx, byUser, users); err != nil {
		return nil, err
	}
	if m.ItemIDs, m.ItemFactors, err = collect(ctx, byItem, items); err != nil {
		return nil, err
	}
	if len(m.UserIDs) == 0 {
		return nil, errors.New("train ALS: there are no ratings: check the input and its filters")
	}
	return m, m.index()
}

package main

import (
	"context"
	"math"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/mllib/recommendation"
	"github.com/spark-go/spark-go/rdd"
)

// average is a mean in the making.
type average struct {
	Sum float64
	N   int64
}

func (a average) with(x float64) average { return average{a.Sum + x, a.N + 1} }
func (a average) plus(b average) average { return average{a.Sum + b.Sum, a.N + b.N} }
func (a average) value() float64         { return a.Sum / float64(a.N) } // NaN for nothing

// shared is a model that every executor fetches once.
type shared[U, I job.ID] = rdd.Broadcast[*recommendation.Model[U, I]]

// rootMeanSquareError compares predictions with the test ratings. Those of users and items without a vector make it NaN if
// keepCold is true, and are left out otherwise.
func rootMeanSquareError[U, I job.ID](ctx context.Context, model shared[U, I], test rdd.RDD[recommendation.Rating[U, I]], keepCold bool) (float64, error) {
	squares, err := rdd.Aggregate(ctx, test, average{}, rdd.Call2(addSquare[U, I]{model, keepCold}), average.plus)
	return math.Sqrt(squares.value()), err
}

type addSquare[U, I job.ID] struct {
	Model    shared[U, I]
	KeepCold bool
}

func (a addSquare[U, I]) Call(squares average, r recommendation.Rating[U, I]) average {
	predicted, known := a.Model.Value().Predict(r.User, r.Item)
	if !known && !a.KeepCold {
		return squares
	}
	d := predicted - float64(r.Value)
	return squares.with(d * d)
}

// recall is how much of what users took to in the test is among the n items recommended to them. What they rated in training is not
// recommended. It is the mean over the users who have a vector and a test rating above 0, of the items found over n or, if they took
// to fewer, over as many.
func recall[U, I job.ID](ctx context.Context, n int, model shared[U, I], train, test rdd.RDD[recommendation.Rating[U, I]]) (float64, error) {
	liked := rdd.Map(rdd.Filter(test, rdd.Call(positive[U, I]{})), rdd.Call(itemOfUser[U, I]{}))
	users := rdd.CoGroup(liked, rdd.Map(train, rdd.Call(itemOfUser[U, I]{})))
	found, err := rdd.Aggregate(ctx, users, average{}, rdd.Call2(addRecall[U, I]{model, n}), average.plus)
	return found.value(), err
}

type positive[U, I job.ID] struct{}

func (positive[U, I]) Call(r recommendation.Rating[U, I]) bool { return r.Value > 0 }

type itemOfUser[U, I job.ID] struct{}

func (itemOfUser[U, I]) Call(r recommendation.Rating[U, I]) rdd.Pair[U, I] {
	return rdd.Pair[U, I]{Key: r.User, Value: r.Item}
}

type addRecall[U, I job.ID] struct {
	Model shared[U, I]
	N     int
}

func (a addRecall[U, I]) Call(recalls average, user rdd.Pair[U, rdd.Grouped2[I, I]]) average {
	liked, rated := set(user.Value.Left), set(user.Value.Right)
	for item := range rated {
		delete(liked, item) // it cannot be recommended
	}
	best := a.Model.Value().Recommend(user.Key, a.N, rated)
	if len(liked) == 0 || len(best) == 0 {
		return recalls
	}
	found := 0
	for _, s := range best {
		if liked[s.ID] {
			found++
		}
	}
	return recalls.with(float64(found) / float64(min(a.N, len(liked))))
}

func set[T comparable](items []T) map[T]bool {
	s := make(map[T]bool, len(items))
	for _, x := range items {
		s[x] = true
	}
	return s
}

package recommendation

import (
	"cmp"
	"context"
	"fmt"
	"io"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Scored is an item, or a user, and the estimated rating.
type Scored[I ID] struct {
	ID     I
	Rating float64
}

// Recommendations is what is recommended to a user or for an item, best first, ties by id.
type Recommendations[R, C ID] struct {
	ID   R
	Best []Scored[C]
}

// Recommend returns the n items with the highest estimates for a user, those in except left out, ties by id. It is empty for a
// user that the model has not seen. Items without a finite estimate are never recommended.
func (m *Model[U, I]) Recommend(user U, n int, except map[I]bool) []Scored[I] {
	u, ok := find(m.UserIDs, user)
	if !ok || n <= 0 {
		return nil
	}
	top := linalg.NewTop(min(n, len(m.ItemIDs)))
	x := m.UserFactors[u*m.Rank : (u+1)*m.Rank]
	var block [64]float64
	least := top.Least()
	for first := 0; first < len(m.ItemIDs); first += len(block) {
		scores := block[:min(len(block), len(m.ItemIDs)-first)]
		linalg.Dots(scores, x, m.ItemFactors[first*m.Rank:])
		for i, v := range scores {
			// Few items get so far that it matters whether they are excepted.
			if v > least && !except[m.ItemIDs[first+i]] {
				top.Offer(int32(first+i), scores[i:i+1])
				least = top.Least()
			}
		}
	}
	return named(top.Take(), m.ItemIDs)
}

// RecommendUsers is Recommend the other way round: the n users with the highest estimates for an item.
func (m *Model[U, I]) RecommendUsers(item I, n int, except map[U]bool) []Scored[U] {
	return m.turned().Recommend(item, n, except)
}

func named[C ID](scores []linalg.Score, ids []C) []Scored[C] {
	best := make([]Scored[C], len(scores))
	for i, s := range scores {
		best[i] = Scored[C]{ids[s.Index], s.Value}
	}
	return best
}

// RecommendForAllUsers is the dataset of the n best items for each user of the model, by user: Recommend for all of them, computed by
// blocks of Settings.BlockSize users and items.
func (m *Model[U, I]) RecommendForAllUsers(s rdd.Session, n int) rdd.RDD[Recommendations[U, I]] {
	return recommendForAll(s, "RecommendForAllUsers", m, n)
}

// RecommendForAllItems is the dataset of the n best users for each item of the model, by item.
func (m *Model[U, I]) RecommendForAllItems(s rdd.Session, n int) rdd.RDD[Recommendations[I, U]] {
	return recommendForAll(s, "RecommendForAllItems", m.turned(), n)
}

// RecommendForUserSubset is RecommendForAllUsers for the given users: each once, those left out that the model has not seen.
func (m *Model[U, I]) RecommendForUserSubset(users rdd.RDD[U], n int) rdd.RDD[Recommendations[U, I]] {
	return recommendForSubset("RecommendForUserSubset", m, users, n)
}

// RecommendForItemSubset is RecommendForAllItems for the given items: each once, those left out that the model has not seen.
func (m *Model[U, I]) RecommendForItemSubset(items rdd.RDD[I], n int) rdd.RDD[Recommendations[I, U]] {
	return recommendForSubset("RecommendForItemSubset", m.turned(), items, n)
}

// share publishes a model to executors.
func share[R, C ID](s rdd.Session, kind string, m *Model[R, C], n int) (rdd.Broadcast[*Model[R, C]], error) {
	err := m.check()
	if err == nil && n < 1 {
		err = fmt.Errorf("%d recommendations: ask for at least 1", n)
	}
	var shared rdd.Broadcast[*Model[R, C]]
	if err == nil {
		shared, err = rdd.NewBroadcast(s, m)
	}
	if err != nil {
		err = fmt.Errorf("recommendation.%s: %w", kind, err)
	}
	return shared, err
}

// span is a range of rows of a model.
type span struct{ First, End int }

func recommendForAll[R, C ID](s rdd.Session, kind string, m *Model[R, C], n int) rdd.RDD[Recommendations[R, C]] {
	shared, err := share(s, kind, m, n)
	var splits []span
	if err == nil {
		size := cmp.Or(m.Settings.BlockSize, 4096)
		for first := 0; first < len(m.UserIDs); first += size {
			splits = append(splits, span{first, min(first+size, len(m.UserIDs))})
		}
	}
	return rdd.FromSource(s, kind, rdd.Source[Recommendations[R, C], span](spanSource[R, C]{shared, n}), splits, err)
}

type spanSource[R, C ID] struct {
	Model rdd.Broadcast[*Model[R, C]]
	N     int
}

func (s spanSource[R, C]) Open(t *rdd.Task, split span) (rdd.Stream[Recommendations[R, C]], error) {
	t.RowsRead += int64(split.End - split.First)
	rows := make([]int, 0, split.End-split.First)
	for i := split.First; i < split.End; i++ {
		rows = append(rows, i)
	}
	return &recommendStream[R, C]{task: t, model: s.Model.Value(), n: s.N, next: func() ([]int, error) {
		now := rows
		rows = nil
		if now == nil {
			return nil, io.EOF
		}
		return now, nil
	}}, nil
}

func recommendForSubset[R, C ID](kind string, m *Model[R, C], ids rdd.RDD[R], n int) rdd.RDD[Recommendations[R, C]] {
	distinct := rdd.Distinct(ids)
	shared, err := share(ids.Session(), kind, m, n)
	return rdd.New(ids.Session(), kind, rdd.Op[Recommendations[R, C]](subsetOp[R, C]{distinct, shared, n}), distinct.NumPartitions(), err, rdd.Narrow{Node: distinct.Node()})
}

type subsetOp[R, C ID] struct {
	Parent rdd.RDD[R]
	Model  rdd.Broadcast[*Model[R, C]]
	N      int
}

func (o subsetOp[R, C]) Compute(t *rdd.Task, p int) (rdd.Stream[Recommendations[R, C]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	m := o.Model.Value()
	var rows []int
	return &recommendStream[R, C]{task: t, model: m, n: o.N, next: func() ([]int, error) {
		// As many batches as fill a block: each block of columns is then prepared once for all of them.
		rows = rows[:0]
		for len(rows) < cmp.Or(m.Settings.BlockSize, 4096) {
			ids, err := in.Next()
			if err == io.EOF && len(rows) > 0 {
				return rows, nil
			}
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				if i, ok := find(m.UserIDs, id); ok {
					rows = append(rows, i)
				}
			}
		}
		return rows, nil
	}}, nil
}

// recommendStream scores the rows that next gives, block by block.
type recommendStream[R, C ID] struct {
	task  *rdd.Task
	model *Model[R, C]
	n     int
	next  func() ([]int, error)
	tops  []*linalg.Top
	out   []Recommendations[R, C]
}

func (s *recommendStream[R, C]) Next() ([]Recommendations[R, C], error) {
	rows, err := s.next()
	if err != nil {
		return nil, err
	}
	m := s.model
	for len(s.tops) < len(rows) {
		s.tops = append(s.tops, linalg.NewTop(min(s.n, len(m.ItemIDs))))
	}
	size := cmp.Or(m.Settings.BlockSize, 4096)
	var scores []float64
	four := make([]float32, 4*m.Rank)
	for first := 0; first < len(m.ItemIDs); first += size {
		end := min(first+size, len(m.ItemIDs))
		block := linalg.NewScoreBlock(m.ItemFactors[first*m.Rank:end*m.Rank], m.Rank)
		stride := block.Stride()
		if scores == nil {
			scores = make([]float64, 4*stride)
		}
		for i := 0; i < len(rows); i += 4 {
			if i%256 == 0 && s.task.Context().Err() != nil {
				return nil, context.Cause(s.task.Context())
			}
			some := rows[i:min(i+4, len(rows))]
			for k, r := range some {
				copy(four[k*m.Rank:(k+1)*m.Rank], m.UserFactors[r*m.Rank:])
			}
			block.Scores(scores, four[:len(some)*m.Rank])
			for k := range some {
				s.tops[i+k].Offer(int32(first), scores[k*stride:k*stride+end-first])
			}
		}
	}
	s.out = s.out[:0]
	for i, r := range rows {
		s.out = append(s.out, Recommendations[R, C]{m.UserIDs[r], named(s.tops[i].Take(), m.ItemIDs)})
	}
	return s.out, nil
}

// Prediction is a rating and its estimate.
type Prediction[U, I ID] struct {
	Rating[U, I]
	Predicted float64 // NaN if the model has not seen the user or the item
}

// PredictAll estimates the ratings of a dataset, whose values it takes along. Of users and items that the model has not seen the estimate
// is NaN; with Settings.ColdStartStrategy "drop" they are left out.
func (m *Model[U, I]) PredictAll(ratings rdd.RDD[Rating[U, I]]) rdd.RDD[Prediction[U, I]] {
	shared, err := share(ratings.Session(), "PredictAll", m, 1)
	return rdd.New(ratings.Session(), "PredictAll", rdd.Op[Prediction[U, I]](predictOp[U, I]{ratings, shared}), ratings.NumPartitions(), err, rdd.Narrow{Node: ratings.Node()})
}

type predictOp[U, I ID] struct {
	Parent rdd.RDD[Rating[U, I]]
	Model  rdd.Broadcast[*Model[U, I]]
}

func (o predictOp[U, I]) Compute(t *rdd.Task, p int) (rdd.Stream[Prediction[U, I]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &predictStream[U, I]{in: in, model: o.Model.Value()}, nil
}

type predictStream[U, I ID] struct {
	in    rdd.Stream[Rating[U, I]]
	model *Model[U, I]
	out   []Prediction[U, I]
}

func (s *predictStream[U, I]) Next() ([]Prediction[U, I], error) {
	rows, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	s.out = s.out[:0]
	drop := s.model.Settings.ColdStartStrategy == ColdStartDrop
	for _, r := range rows {
		if v, ok := s.model.Predict(r.User, r.Item); ok || !drop {
			s.out = append(s.out, Prediction[U, I]{r, v})
		}
	}
	return s.out, nil
}

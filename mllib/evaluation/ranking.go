package evaluation

import "math"

// Ranking measures ranked lists of recommendations against sets of what is relevant. It is plain data; its zero value, with K set, has seen nothing. Lists whose relevant set
// is empty count, with a measure of 0, as in Spark.
type Ranking struct {
	K                                                       int // how many places of a list count for the measures at K
	Lists                                                   int64
	PrecisionSum, RecallSum, AverageSum, AverageAtK, GainAt float64
}

// AddRanking counts one list of recommendations, best first, and what is relevant.
func AddRanking[T comparable](r *Ranking, recommended []T, relevant map[T]bool) {
	r.Lists++
	n := len(relevant)
	if n == 0 {
		return
	}
	hits, average, averageAtK, gain := 0, 0.0, 0.0, 0.0
	hitsAtK := 0
	for i, x := range recommended {
		if !relevant[x] {
			continue
		}
		hits++
		p := float64(hits) / float64(i+1)
		average += p
		if i < r.K {
			hitsAtK++
			averageAtK += p
			gain += 1 / math.Log(float64(i+2))
		}
	}
	ideal := 0.0
	for i := range min(n, r.K) {
		ideal += 1 / math.Log(float64(i+2))
	}
	r.PrecisionSum += float64(hitsAtK) / float64(r.K)
	r.RecallSum += float64(hitsAtK) / float64(n)
	r.AverageSum += average / float64(n)
	r.AverageAtK += averageAtK / float64(min(n, r.K))
	r.GainAt += gain / ideal
}

// Merge adds what o has seen with the same K.
func (r *Ranking) Merge(o *Ranking) {
	r.Lists += o.Lists
	r.PrecisionSum += o.PrecisionSum
	r.RecallSum += o.RecallSum
	r.AverageSum += o.AverageSum
	r.AverageAtK += o.AverageAtK
	r.GainAt += o.GainAt
}

func (r *Ranking) mean(sum float64) float64 { return sum / float64(r.Lists) }

// PrecisionAtK is the mean share of the first K places that hold something relevant; places beyond a shorter list do not.
func (r *Ranking) PrecisionAtK() float64 { return r.mean(r.PrecisionSum) }

// RecallAtK is the mean share of what is relevant that the first K places hold.
func (r *Ranking) RecallAtK() float64 { return r.mean(r.RecallSum) }

// MeanAveragePrecision is the mean over the lists of the mean precision at the relevant places.
func (r *Ranking) MeanAveragePrecision() float64 { return r.mean(r.AverageSum) }

// MeanAveragePrecisionAtK looks at the first K places only.
func (r *Ranking) MeanAveragePrecisionAtK() float64 { return r.mean(r.AverageAtK) }

// NDCGAtK is the mean discounted gain of the first K places against the best possible, with relevance 0 or 1.
func (r *Ranking) NDCGAtK() float64 { return r.mean(r.GainAt) }

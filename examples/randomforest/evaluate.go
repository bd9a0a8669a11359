package main

import (
	"context"

	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// score is how well the model does on the rows so far.
type score struct {
	Rows, Right int64
	Squares     float64
}

func (s score) plus(o score) score {
	return score{s.Rows + o.Rows, s.Right + o.Right, s.Squares + o.Squares}
}

// evaluate compares predictions with the labels of the test.
func evaluate(ctx context.Context, m rdd.Broadcast[model], test rdd.RDD[tree.Columns]) (score, error) {
	return rdd.Aggregate(ctx, test, score{}, rdd.Call2(addScore{m}), score.plus)
}

type addScore struct{ Model rdd.Broadcast[model] }

func (a addScore) Call(s score, c tree.Columns) score {
	m := a.Model.Value()
	features := make([]float64, len(c.Features))
	for i := range c.Rows {
		for f := range c.Features {
			features[f] = c.Features[f].At(i)
		}
		s.Rows++
		if m.Regression != nil {
			d := m.Regression.Predict(features) - c.Labels[i]
			s.Squares += d * d
		} else if m.Classes.Predict(features) == c.Labels[i] {
			s.Right++
		}
	}
	return s
}

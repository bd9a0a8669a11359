package evaluation

import "math"

// Regression measures predicted numbers. It is plain data; its zero value has seen nothing.
type Regression struct {
	Weight             float64
	SquareSum, AbsSum  float64 // of the errors
	LabelMean, LabelM2 float64
	PredictionSquares  float64 // Σ w·prediction²
	PredictionSum      float64
}

// Add counts a row.
func (r *Regression) Add(prediction, label, weight float64) {
	e := label - prediction
	r.SquareSum += weight * e * e
	r.AbsSum += weight * math.Abs(e)
	r.PredictionSum += weight * prediction
	r.PredictionSquares += weight * prediction * prediction
	if r.Weight += weight; r.Weight > 0 {
		d := label - r.LabelMean
		r.LabelMean += d * weight / r.Weight
		r.LabelM2 += weight * d * (label - r.LabelMean)
	}
}

// Merge adds what o has seen.
func (r *Regression) Merge(o *Regression) {
	if w := r.Weight + o.Weight; w > 0 {
		d := o.LabelMean - r.LabelMean
		r.LabelM2 += o.LabelM2 + d*d*r.Weight*o.Weight/w
		r.LabelMean += d * o.Weight / w
		r.Weight = w
	}
	r.SquareSum += o.SquareSum
	r.AbsSum += o.AbsSum
	r.PredictionSum += o.PredictionSum
	r.PredictionSquares += o.PredictionSquares
}

// MSE is the mean squared error.
func (r *Regression) MSE() float64 { return r.SquareSum / r.Weight }

// RMSE is the root of the mean squared error.
func (r *Regression) RMSE() float64 { return math.Sqrt(r.MSE()) }

// MAE is the mean absolute error.
func (r *Regression) MAE() float64 { return r.AbsSum / r.Weight }

// R2 is the share of the labels' variance that the predictions explain: 1 - squared errors / squared deviations from the mean.
func (r *Regression) R2() float64 { return 1 - r.SquareSum/r.LabelM2 }

// ExplainedVariance is the mean squared distance of the predictions from the mean of the labels, Spark's "var".
func (r *Regression) ExplainedVariance() float64 {
	return (r.PredictionSquares - 2*r.LabelMean*r.PredictionSum + r.LabelMean*r.LabelMean*r.Weight) / r.Weight
}

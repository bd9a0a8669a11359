package classification

import (
	"context"
	"errors"
	"fmt"

	"github.com/spark-go/spark-go/mllib/evaluation"
	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Evaluation is how well a model does on labelled rows: what Spark calls the summary of a model, on training data or other.
type Evaluation struct {
	*evaluation.Multiclass
	Binary *evaluation.Binary // of the margins of class 1; nil for more than two classes
}

// Evaluate measures the model on rows.
func (m *Model) Evaluate(ctx context.Context, rows rdd.RDD[linalg.Instance]) (*Evaluation, error) {
	return m.EvaluateBlocks(ctx, feature.Pack(rows, m.Settings.Weighted, 0))
}

// EvaluateBlocks measures the model on blocks.
func (m *Model) EvaluateBlocks(ctx context.Context, blocks rdd.RDD[linalg.Block]) (*Evaluation, error) {
	shared, err := rdd.NewBroadcast(blocks.Session(), *m)
	if err != nil {
		return nil, err
	}
	defer shared.Destroy(blocks.Session())
	parts, err := derive(blocks.Node(), rdd.Op[measured](measureOp{Blocks: blocks, Model: shared}), "EvaluateLogisticRegression").Collect(ctx)
	if err != nil {
		return nil, fmt.Errorf("evaluate logistic regression: %w", err)
	}
	all := measured{Multiclass: *evaluation.NewMulticlass(m.NumClasses)}
	groups := make([][]evaluation.Group, len(parts))
	for i := range parts {
		all.Multiclass.Merge(&parts[i].Multiclass)
		groups[i] = parts[i].Groups
	}
	if all.Multiclass.Weight() == 0 {
		return nil, errors.New("evaluate logistic regression: there are no rows: check the input and its filters")
	}
	e := &Evaluation{Multiclass: &all.Multiclass}
	if m.NumClasses == 2 {
		e.Binary = evaluation.NewBinary(evaluation.MergeGroups(groups...))
	}
	return e, nil
}

// measured is what a task finds in its partition.
type measured struct {
	Multiclass evaluation.Multiclass
	Groups     []evaluation.Group
}

type measureOp struct {
	Blocks rdd.RDD[linalg.Block]
	Model  rdd.Broadcast[Model]
}

// Compute implements rdd.Op.
func (o measureOp) Compute(t *rdd.Task, p int) (rdd.Stream[measured], error) {
	m := o.Model.Value()
	out := measured{Multiclass: *evaluation.NewMulticlass(m.NumClasses)}
	var scores, labels, weights []float64
	functions := len(m.Intercepts)
	margins, proba := []float64(nil), make([]float64, m.NumClasses)
	seen := 0
	err := eachBlock(t, o.Blocks, p, func(b *linalg.Block) error {
		if err := b.Check(); err != nil {
			return err
		}
		n := b.Rows()
		if n > 0 && b.Cols() != m.NumFeatures {
			return fmt.Errorf("partition %d has rows of %d features, the model %d", p, b.Cols(), m.NumFeatures)
		}
		if cap(margins) < n*functions {
			margins = make([]float64, n*functions)
		}
		margins = margins[:n*functions]
		for k := range functions {
			b.Gemv(margins[k*n:(k+1)*n], 0, m.Coefficients[k*m.NumFeatures:(k+1)*m.NumFeatures])
			addTo(margins[k*n:(k+1)*n], m.Intercepts[k])
		}
		ys, ws := b.Labels(), b.Weights()
		if n > 0 && ys == nil {
			return errors.New("the rows have no labels")
		}
		for i, y := range ys {
			if !(y >= 0 && int(y) < m.NumClasses) {
				return fmt.Errorf("row %d of partition %d has label %v: the model knows the classes 0 to %d", seen+i, p, y, m.NumClasses-1)
			}
			w := 1.0
			if m.Settings.Weighted && ws != nil {
				w = ws[i]
				weights = append(weights, w)
			}
			score, loss := m.measure(margins, i, n, int(y), proba)
			out.Multiclass.LossSum += w * loss
			out.Multiclass.Add(int(y), int(m.choose(proba)), w)
			if m.NumClasses == 2 {
				scores, labels = append(scores, score), append(labels, y)
			}
		}
		seen += n
		return nil
	})
	if err != nil {
		return nil, err
	}
	if m.NumClasses == 2 {
		out.Groups = evaluation.Groups(scores, labels, weights)
	}
	return rdd.StreamOf([]measured{out}), nil
}

// measure finds the probabilities of row i from its margins, its loss, and with two classes the score of class 1.
func (m *Model) measure(margins []float64, i, n, y int, proba []float64) (score, loss float64) {
	if len(m.Intercepts) == 1 {
		score = margins[i]
		proba[0], proba[1] = linalg.Sigmoid(-score), linalg.Sigmoid(score)
		return score, linalg.LogisticLoss(score, float64(y))
	}
	for k := range proba {
		proba[k] = margins[k*n+i]
	}
	if len(proba) == 2 {
		score = proba[1] - proba[0]
	}
	mine := proba[y]
	return score, linalg.Softmax(proba) - mine
}

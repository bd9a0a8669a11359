package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/evaluation"
	"github.com/spark-go/spark-go/rdd"
)

// Metric is a measure of predictions, under the name that Spark's evaluators have for it.
type Metric string

// The metrics. Of RMSE, MAE and LogLoss less is better, of all others more. Those of classes take each row's most probable class, or the one that thresholds choose.
const (
	AreaUnderROC Metric = "areaUnderROC" // of classifiers of two classes
	AreaUnderPR  Metric = "areaUnderPR"  // of classifiers of two classes; class 1 is what is looked for
	Accuracy     Metric = "accuracy"     // of classifiers
	F1           Metric = "f1"           // of classifiers: the mean over the classes, weighted by their rows
	LogLoss      Metric = "logLoss"      // of classifiers: the mean of -log of the true class's probability, which counts as at least 1e-15
	RMSE         Metric = "rmse"         // of regressors
	MAE          Metric = "mae"          // of regressors
	R2           Metric = "r2"           // of regressors
	Silhouette   Metric = "silhouette"   // of KMeans, with its distance; see [evaluation.Clusters]
)

var (
	binaryMetrics     = []Metric{AreaUnderROC, AreaUnderPR, Accuracy, F1, LogLoss}
	classMetrics      = []Metric{F1, Accuracy, LogLoss}
	regressionMetrics = []Metric{RMSE, MAE, R2}
	clusterMetrics    = []Metric{Silhouette}
)

// lessIsBetter tells that a smaller value is better.
func (m Metric) lessIsBetter() bool { return m == RMSE || m == MAE || m == LogLoss }

// Metrics lists those that measure the model. The first is the one that tuning goes by where none is named, Spark's default for such a model.
func (m *Model) Metrics() []Metric {
	switch _, classes, _ := shapeOf(m.Predictor); {
	case classes == 2:
		return slices.Clone(binaryMetrics)
	case classes > 0:
		return slices.Clone(classMetrics)
	case isClusters(m.Predictor):
		return slices.Clone(clusterMetrics)
	}
	return slices.Clone(regressionMetrics)
}

func isClusters(predictor any) bool {
	_, ok := predictor.(*clustering.Model)
	return ok
}

// Evaluate measures the model on rows with labels, by the given metrics or by all that [Model.Metrics] lists. The rows' weights count if it was trained with weights. A class that was not in the training data counts as
// predicted wrongly, with probability 0; rows that a stage was told to skip do not count.
func (m *Model) Evaluate(ctx context.Context, t Table, metrics ...Metric) (map[Metric]float64, error) {
	known := m.Metrics()
	if len(metrics) == 0 {
		metrics = known
	}
	for _, x := range metrics {
		if !slices.Contains(known, x) {
			return nil, fmt.Errorf("evaluate pipeline: metric %q does not measure this model: choose one of %q", x, known)
		}
	}
	w, err := m.wire()
	if err != nil {
		return nil, fmt.Errorf("evaluate pipeline: %w", err)
	}
	sources, inputs := w.inputs(w.features, w.label, w.weight)
	batches, err := t.columns(inputs)
	if err != nil {
		return nil, fmt.Errorf("evaluate pipeline: %w", err)
	}
	shared, err := rdd.NewBroadcast(batches.Session(), m)
	if err != nil {
		return nil, err
	}
	defer shared.Destroy(batches.Session())
	op := measureFunc{Model: shared, Sources: sources, Features: w.features, Label: w.label, Weight: w.weight}
	var found map[Metric]float64
	if isClusters(m.Predictor) {
		found, err = op.silhouette(ctx, batches)
	} else {
		found, err = op.measure(ctx, batches)
	}
	if err != nil {
		return nil, fmt.Errorf("evaluate pipeline: %w", err)
	}
	out := make(map[Metric]float64, len(metrics))
	for _, x := range metrics {
		out[x] = found[x]
	}
	return out, nil
}

// measured is what a task finds in its partition.
type measured struct {
	Rows    int64
	Classes evaluation.Multiclass // one more than there are, for those that were not in the training data
	Groups  []evaluation.Group
	Numbers evaluation.Regression
}

// measureFunc measures the predictions of a partition.
type measureFunc struct {
	Model                   rdd.Broadcast[*Model]
	Sources                 []int
	Features, Label, Weight int
}

// each calls f for every row with its prediction and its weight.
func (o measureFunc) each(t *rdd.Task, p int, in rdd.Stream[parquetio.Batch], f func(s *scorer, w float64) error) error {
	model := o.Model.Value()
	w, err := model.wire()
	if err != nil {
		return err
	}
	plan := w.plan(o.Sources, o.Features, o.Label, o.Weight)
	s := &scorer{model: model, m: plan.machine()}
	s.features = s.m.values(o.Features)
	return eachRow(t, p, in, s.m, func() error {
		weight := 1.0
		if o.Weight >= 0 {
			if weight = s.m.nums[s.m.slots[o.Weight].at]; !(weight >= 0) || math.IsInf(weight, 0) {
				return fmt.Errorf("column %q has weight %v: weights are finite and not negative", model.Weight, weight)
			}
		}
		predict(model.Predictor, s.features, &s.out)
		return f(s, weight)
	})
}

const leastProbability = 1e-15

// Run implements rdd.PartitionFunc.
func (o measureFunc) Run(t *rdd.Task, p int, in rdd.Stream[parquetio.Batch]) (out measured, err error) {
	model := o.Model.Value()
	_, classes, err := shapeOf(model.Predictor)
	if err != nil {
		return out, err
	}
	if classes > 0 {
		out.Classes = *evaluation.NewMulticlass(classes + 1)
	}
	var labels *labeler
	var scores, truths, weights, raw []float64
	logistic, _ := model.Predictor.(*classification.Model)
	err = o.each(t, p, in, func(s *scorer, w float64) error {
		if labels == nil {
			labels = newLabeler(s.m.slots[o.Label], model.Classes)
		}
		y, known, err := labels.label(&s.m.registers)
		if err != nil {
			return err
		}
		out.Rows++
		if classes == 0 {
			out.Numbers.Add(s.out.Value, y, w)
			return nil
		}
		probability := 0.0
		if known {
			probability = s.out.Probabilities[int(y)]
		} else {
			y = float64(classes)
		}
		out.Classes.Add(int(y), int(s.out.Value), w)
		out.Classes.LossSum -= w * math.Log(max(probability, leastProbability))
		if classes == 2 && known {
			score := s.out.Probabilities[1]
			if logistic != nil { // probabilities close to 1 are equal where margins still differ
				raw = logistic.PredictRaw(s.vector(), raw)
				score = raw[1] - raw[0]
			}
			scores, truths, weights = append(scores, score), append(truths, y), append(weights, w)
		}
		return nil
	})
	out.Groups = evaluation.Groups(scores, truths, weights)
	return out, err
}

var errNoRows = errors.New("there are no rows: check the input and its filters")

// measure puts together what the partitions have.
func (o measureFunc) measure(ctx context.Context, batches rdd.RDD[parquetio.Batch]) (map[Metric]float64, error) {
	if o.Label < 0 {
		return nil, errors.New("the model has no column of labels")
	}
	parts, err := rdd.RunPartitions(ctx, batches, "PipelineMeasure", rdd.PartitionFunc[parquetio.Batch, measured](o), nil)
	if err != nil {
		return nil, err
	}
	var all measured
	for i := range parts {
		p := &parts[i]
		if all.Rows += p.Rows; i == 0 {
			all.Classes = p.Classes
		} else {
			all.Classes.Merge(&p.Classes)
		}
		all.Numbers.Merge(&p.Numbers)
	}
	if all.Rows == 0 {
		return nil, errNoRows
	}
	if all.Classes.Classes == 0 {
		return map[Metric]float64{RMSE: all.Numbers.RMSE(), MAE: all.Numbers.MAE(), R2: all.Numbers.R2()}, nil
	}
	found := map[Metric]float64{Accuracy: all.Classes.Accuracy(), F1: all.Classes.WeightedF1(), LogLoss: all.Classes.LogLoss()}
	if all.Classes.Classes == 2+1 { // and one for labels that the model does not know
		groups := make([][]evaluation.Group, len(parts))
		for i := range parts {
			groups[i] = parts[i].Groups
		}
		b := evaluation.NewBinary(evaluation.MergeGroups(groups...))
		found[AreaUnderROC], found[AreaUnderPR] = b.AreaUnderROC(), b.AreaUnderPR()
	}
	return found, nil
}

// silhouette makes two passes: sums over the clusters, then the mean of the silhouettes.
func (o measureFunc) silhouette(ctx context.Context, batches rdd.RDD[parquetio.Batch]) (map[Metric]float64, error) {
	m := o.Model.Value().Predictor.(*clustering.Model)
	op := silhouetteFunc{measureFunc: o, Shift: make([]float64, m.Dim), Clusters: *evaluation.NewClusters(len(m.Centers), m.Dim, m.Distance == clustering.Cosine)}
	if m.Distance != clustering.Cosine { // squared distances are differences of sums
		for _, c := range m.Centers {
			for j, v := range c {
				op.Shift[j] += v / float64(len(m.Centers))
			}
		}
	}
	var all clusterSums
	for op.Second = false; ; op.Second = true {
		parts, err := rdd.RunPartitions(ctx, batches, "PipelineSilhouette", rdd.PartitionFunc[parquetio.Batch, clusterSums](op), nil)
		if err != nil {
			return nil, err
		}
		for i := range parts {
			op.Clusters.Merge(&parts[i].Clusters)
			all.Sum += parts[i].Sum
			all.Weight += parts[i].Weight
		}
		switch {
		case op.Second && all.Weight == 0:
			return nil, errNoRows
		case op.Second:
			return map[Metric]float64{Silhouette: all.Sum / all.Weight}, nil
		}
	}
}

type clusterSums struct {
	Clusters    evaluation.Clusters
	Sum, Weight float64 // of the silhouettes
}

type silhouetteFunc struct {
	measureFunc
	Shift    []float64
	Clusters evaluation.Clusters
	Second   bool
}

// Run implements rdd.PartitionFunc.
func (o silhouetteFunc) Run(t *rdd.Task, p int, in rdd.Stream[parquetio.Batch]) (out clusterSums, err error) {
	if !o.Second {
		out.Clusters = *evaluation.NewClusters(len(o.Clusters.Weights), o.Clusters.Dim, o.Clusters.Cosine)
	}
	x := make([]float64, len(o.Shift))
	err = o.each(t, p, in, func(s *scorer, w float64) error {
		for j, v := range s.features {
			x[j] = v - o.Shift[j]
		}
		if k := int(s.out.Value); o.Second {
			out.Sum += w * o.Clusters.Silhouette(x, k, w)
			out.Weight += w
		} else {
			out.Clusters.Add(x, k, w)
		}
		return nil
	})
	return out, err
}

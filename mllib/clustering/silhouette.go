package clustering

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/mllib/evaluation"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Silhouette says how well the model groups points: the mean of their silhouettes, from -1 to 1 (see [evaluation.Clusters]), with the
// model's distance, which is squared if it is the Euclidean one. It takes two passes over the points.
func (m *Model) Silhouette(ctx context.Context, points rdd.RDD[linalg.Vector]) (float64, error) {
	judge := judge{Model: *m, Shift: make([]float64, m.Dim)}
	if m.Distance != Cosine {
		for _, c := range m.Centers {
			for j, v := range c {
				judge.Shift[j] += v / float64(len(m.Centers))
			}
		}
	}
	judge.Clusters = *evaluation.NewClusters(len(m.Centers), m.Dim, m.Distance == Cosine)
	parts, err := rdd.RunPartitions(ctx, points, "Clusters", rdd.PartitionFunc[linalg.Vector, evaluation.Clusters](sumClusters{judge}), nil)
	if err != nil {
		return 0, fmt.Errorf("measure silhouettes: %w", err)
	}
	for _, p := range parts {
		judge.Clusters.Merge(&p)
	}
	means, err := rdd.RunPartitions(ctx, points, "Silhouette", rdd.PartitionFunc[linalg.Vector, [2]float64](judge), nil)
	if err != nil {
		return 0, fmt.Errorf("measure silhouettes: %w", err)
	}
	sum, n := 0.0, 0.0
	for _, p := range means {
		sum += p[0]
		n += p[1]
	}
	if n == 0 {
		return 0, fmt.Errorf("measure silhouettes: %w", errNoPoints)
	}
	return sum / n, nil
}

// judge is what measuring silhouettes takes to the tasks.
type judge struct {
	Model    Model
	Clusters evaluation.Clusters
	Shift    []float64
}

// each calls f for the points of a partition, less Shift, with their clusters.
func (o judge) each(in rdd.Stream[linalg.Vector], f func(x []float64, cluster int)) error {
	x := make([]float64, o.Model.Dim)
	s := predictStream{in: in, model: o.Model, x: make([]float64, o.Model.Dim)}
	return s.each(func(v []float64, cluster int) {
		for j, shift := range o.Shift {
			x[j] = v[j] - shift
		}
		f(x, cluster)
	})
}

// Run implements rdd.PartitionFunc: the sum of the silhouettes and their number.
func (o judge) Run(_ *rdd.Task, _ int, in rdd.Stream[linalg.Vector]) (out [2]float64, err error) {
	err = o.each(in, func(x []float64, cluster int) {
		out[0] += o.Clusters.Silhouette(x, cluster, 1)
		out[1]++
	})
	return out, err
}

// sumClusters is the first pass.
type sumClusters struct{ Judge judge }

// Run implements rdd.PartitionFunc.
func (o sumClusters) Run(_ *rdd.Task, _ int, in rdd.Stream[linalg.Vector]) (evaluation.Clusters, error) {
	sums := evaluation.NewClusters(len(o.Judge.Model.Centers), o.Judge.Model.Dim, o.Judge.Model.Distance == Cosine)
	err := o.Judge.each(in, func(x []float64, cluster int) { sums.Add(x, cluster, 1) })
	return *sums, err
}

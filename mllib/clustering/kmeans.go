// Package clustering groups points by their distance from each other.
//
// # K-means
//
// K centres are sought such that the sum of the squared distances of all points from their nearest centre is small. Lloyd's
// iterations alternate between assigning each point to its nearest centre and moving each centre to the mean of its points; they end
// when no centre moves further than Tol, or after MaxIter. Where they end depends on where they start: k-means|| (Bahmani, Moseley,
// Vattani, Kumar, Vassilvitskii: Scalable K-Means++, 2012) draws about 2·K candidates in each of InitSteps passes, each point with a
// probability in proportion to its squared distance from the candidates so far, and clusters the candidates, weighted by the number
// of points near them, on the driver. Parameters and their defaults are those of Spark's org.apache.spark.ml.clustering.KMeans.
//
// # How it is distributed
//
// Rows become blocks of about a mebibyte, dense or sparse, which are cached once. An iteration is one job: each task finds the nearest centres for its
// blocks, with kernels that run at the speed of a matrix product, and returns one sum, weight and cost a centre; these are merged in
// partition order, as a tree of AggregationDepth levels.
//
// # Invariants
//
//   - The model is a function of the rows, the settings and the partitions: the same bytes on any number of cores and executors,
//     whatever failed meanwhile.
//   - Dense points are taken relative to their mean, so that clusters far from the origin are told apart as well as those around it.
//   - Of centres at the same distance from a point, the first one counts. A centre that no point is nearest to stays where it is.
//   - Where fewer than K points differ there are fewer centres.
//   - Points are finite; with cosine distance none is the zero vector. An offending row is an error that names its partition and number.
package clustering

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/internal/progress"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// InitMode is how the first centres are found.
type InitMode string

// The modes. KMeansPlusPlus draws one centre after the other, at the cost of two jobs for each; Random takes K different rows.
const (
	KMeansParallel InitMode = "k-means||" // the default
	KMeansPlusPlus InitMode = "k-means++"
	Random         InitMode = "random"
)

// Distance is how far two points are apart.
type Distance string

// The distances. Cosine is 1 − cos of the angle between two points; centres then have length one.
const (
	Euclidean Distance = "euclidean" // the default
	Cosine    Distance = "cosine"
)

// KMeans holds the settings of k-means. The zero value of a field is its default, which is Spark's; where zero itself is meant, see
// the field.
type KMeans struct {
	K                int         // centres; default 2
	MaxIter          int         // iterations; default 20; a negative number means 0: the first centres are the model
	Tol              float64     // iterations end when no centre moves further than this; default 1e-4; a negative value means 0
	InitMode         InitMode    // default k-means||
	InitSteps        int         // passes of k-means||; default 2
	InitialCenters   [][]float64 // start from these instead, and take K from their number
	Distance         Distance    // default euclidean
	Seed             int64       // of the first centres; default 42
	AggregationDepth int         // levels of the tree that merges the tasks' sums; default 2
	MaxBlockBytes    int         // about the size of the blocks that points are packed into; default 1 MiB

	// CheckpointDir is a directory on any file system where the state of the fit is saved every CheckpointInterval iterations, as
	// kmeans.checkpoint. A Fit with the same settings on the same points in the same partitions goes on from there, with the same result;
	// another one is refused. The file is removed when the model is there. Default none, but for
	// programs with spark.checkpoint.dir, whose fits are kept there.
	CheckpointDir      string
	CheckpointInterval int // iterations between checkpoints; default 10; -1 never
}

// Check tells what is wrong with the settings, as Fit does.
func (k KMeans) Check() error {
	_, err := k.withDefaults()
	return err
}

// withDefaults fills in the defaults and checks the ranges.
func (k KMeans) withDefaults() (KMeans, error) {
	if len(k.InitialCenters) > 0 {
		if k.K != 0 && k.K != len(k.InitialCenters) {
			return k, fmt.Errorf("clustering.KMeans: K is %d and there are %d InitialCenters: leave K out", k.K, len(k.InitialCenters))
		}
		k.K = len(k.InitialCenters)
	}
	k.K = cmp.Or(k.K, 2)
	k.MaxIter = max(cmp.Or(k.MaxIter, 20), 0)
	k.Tol = max(cmp.Or(k.Tol, 1e-4), 0)
	k.InitMode = cmp.Or(k.InitMode, KMeansParallel)
	k.InitSteps = cmp.Or(k.InitSteps, 2)
	k.Distance = cmp.Or(k.Distance, Euclidean)
	k.Seed = cmp.Or(k.Seed, 42)
	k.AggregationDepth = cmp.Or(k.AggregationDepth, 2)
	k.CheckpointInterval = cmp.Or(k.CheckpointInterval, checkpoint.Interval)
	if err := checkpoint.Check(k.CheckpointDir, k.CheckpointInterval); err != nil {
		return k, fmt.Errorf("clustering.KMeans: %w", err)
	}
	for _, p := range []struct {
		name string
		v    int
	}{{"K", k.K}, {"InitSteps", k.InitSteps}, {"AggregationDepth", k.AggregationDepth}} {
		if p.v < 1 {
			return k, fmt.Errorf("clustering.KMeans: %s is %d: at least 1", p.name, p.v)
		}
	}
	switch {
	case k.MaxBlockBytes < 0:
		return k, fmt.Errorf("clustering.KMeans: MaxBlockBytes is %d: at least 1, or 0 for 1 MiB", k.MaxBlockBytes)
	case math.IsNaN(k.Tol) || math.IsInf(k.Tol, 0):
		return k, fmt.Errorf("clustering.KMeans: Tol is %v: a finite number, at least 0", k.Tol)
	case k.InitMode != KMeansParallel && k.InitMode != KMeansPlusPlus && k.InitMode != Random:
		return k, fmt.Errorf("clustering.KMeans: InitMode is %q: one of %q, %q and %q", k.InitMode, KMeansParallel, KMeansPlusPlus, Random)
	case k.Distance != Euclidean && k.Distance != Cosine:
		return k, fmt.Errorf("clustering.KMeans: Distance is %q: %q or %q", k.Distance, Euclidean, Cosine)
	}
	for i, c := range k.InitialCenters {
		if len(c) != len(k.InitialCenters[0]) {
			return k, fmt.Errorf("clustering.KMeans: InitialCenters: centre %d has %d numbers, centre 0 has %d", i, len(c), len(k.InitialCenters[0]))
		}
		for j, v := range c {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return k, fmt.Errorf("clustering.KMeans: InitialCenters: number %d of centre %d is %v: finite numbers", j, i, v)
			}
		}
		if k.Distance == Cosine && norm(c) == 0 {
			return k, fmt.Errorf("clustering.KMeans: InitialCenters: centre %d is the zero vector, which has no direction: cosine distance needs one", i)
		}
	}
	return k, nil
}

// Fit finds the centres of points, which are vectors of one size. It needs at least one.
func (k KMeans) Fit(ctx context.Context, points rdd.RDD[linalg.Vector]) (*Model, error) {
	return k.FitBlocks(ctx, feature.Pack(rdd.Map(points, asInstance), false, k.MaxBlockBytes))
}

func asInstance(v linalg.Vector) linalg.Instance { return linalg.Instance{Features: v} }

// FitWeighted is Fit for points with weights: a point of weight 2 counts as two. Labels are ignored.
func (k KMeans) FitWeighted(ctx context.Context, points rdd.RDD[linalg.Instance]) (*Model, error) {
	return k.FitBlocks(ctx, feature.Pack(points, true, k.MaxBlockBytes))
}

// FitBlocks is Fit for points that are blocks already, as feature.ReadBlocks makes them, with the weights that they have; labels and MaxBlockBytes are
// ignored. Blocks that are cached are not cached again.
func (k KMeans) FitBlocks(ctx context.Context, points rdd.RDD[linalg.Block]) (*Model, error) {
	k, err := k.withDefaults()
	if err != nil {
		return nil, err
	}
	if k.Distance == Cosine {
		points = scaled(points)
	}
	if points.Node().Level() == rdd.None {
		points = points.Persist(rdd.MemoryAndDisk)
		defer func() { _ = points.Unpersist(context.WithoutCancel(ctx), false) }()
	}
	m, err := k.fit(ctx, points)
	if err != nil {
		return nil, fmt.Errorf("train k-means: %w", err)
	}
	return m, nil
}

func (k KMeans) fit(ctx context.Context, blocks rdd.RDD[linalg.Block]) (*Model, error) {
	keeper, err := checkpoint.OpenFor(ctx, blocks.Session(), k.CheckpointDir, k.CheckpointInterval, "kmeans", Kind, checkpointVersion)
	if err != nil {
		return nil, err
	}
	report := progress.Start(blocks.Session(), "k-means", k.MaxIter, "cost")
	defer report.Done()
	parts, err := rdd.RunPartitions(ctx, blocks, "KMeansSurvey", rdd.PartitionFunc[linalg.Block, surveyed](surveyBlocks{}), nil)
	if err != nil {
		return nil, err
	}
	all, err := lookAt(parts)
	if err != nil {
		return nil, err
	}
	f := &fitting{KMeans: k, blocks: blocks, survey: all, keeper: keeper}
	if !f.unit() && !all.sparse {
		f.shift = all.mean()
	}
	s, err := f.iterate(ctx, report)
	if err != nil {
		return nil, err
	}
	last, err := f.assign(ctx, s.centers)
	if err != nil {
		return nil, fmt.Errorf("measure the cost: %w", err)
	}
	m := &Model{Dim: f.cols, Distance: k.Distance, Seed: k.Seed, Iterations: s.iterations, History: s.history}
	m.Cost, m.Sizes = f.cost(last.Cost), last.Count
	m.Centers = f.unshift(s.centers)
	keeper.Remove(ctx)
	return m, nil
}

// iterate moves the centres until they stay where they are.
func (f *fitting) iterate(ctx context.Context, report *progress.Reporter) (*state, error) {
	s, err := f.resume(ctx)
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = &state{}
		if s.centers, err = f.start(ctx); err != nil {
			return nil, fmt.Errorf("find the first centres: %w", err)
		}
	}
	for s.iterations < f.MaxIter {
		found, err := f.assign(ctx, s.centers)
		if err != nil {
			return nil, fmt.Errorf("iteration %d: %w", s.iterations+1, err)
		}
		next := moved(s.centers, found.Sums, found.Mass, f.cols, f.unit())
		far := f.farthest(s.centers, next)
		s.centers = next
		s.iterations++
		s.history = append(s.history, f.cost(found.Cost))
		report.Iteration(s.iterations, f.cost(found.Cost))
		if far <= f.Tol {
			break
		}
		if err := f.save(ctx, s); err != nil {
			return nil, fmt.Errorf("iteration %d: %w", s.iterations, err)
		}
	}
	return s, nil
}

// fitting is the state of a Fit on the driver. Centres lie one after the other, relative to shift.
type fitting struct {
	KMeans
	survey
	blocks rdd.RDD[linalg.Block]
	shift  []float64 // nil means none
	keeper *checkpoint.Keeper
}

func (f *fitting) unit() bool { return f.Distance == Cosine }

// cost turns a sum of squared distances into one of the distance in use: between vectors of length one, 1 − cos is half the square.
func (f *fitting) cost(squares float64) float64 {
	if f.unit() {
		return squares / 2
	}
	return squares
}

// farthest is the distance that the centre has moved that moved furthest.
func (f *fitting) farthest(from, to []float64) float64 {
	most := 0.0
	for c := 0; c < len(from); c += f.cols {
		most = max(most, linalg.SquaredDistance(from[c:c+f.cols], to[c:c+f.cols]))
	}
	if f.unit() {
		return most / 2
	}
	return math.Sqrt(most)
}

// relative turns centres of the user's coordinates into those that the blocks are scanned in.
func (f *fitting) relative(center []float64) []float64 {
	out := make([]float64, len(center))
	length := 1.0
	if f.unit() {
		length = norm(center)
	}
	for j, v := range center {
		if out[j] = v / length; f.shift != nil {
			out[j] = v - f.shift[j]
		}
	}
	return out
}

func (f *fitting) unshift(centers []float64) [][]float64 {
	out := make([][]float64, 0, len(centers)/max(1, f.cols))
	for at := 0; at < len(centers); at += f.cols {
		c := make([]float64, f.cols)
		copy(c, centers[at:])
		for j, v := range f.shift {
			c[j] += v
		}
		out = append(out, c)
	}
	return out
}

// assign runs one pass: each point to its nearest centre.
func (f *fitting) assign(ctx context.Context, centers []float64) (tally, error) {
	k := len(centers) / f.cols
	zero := tally{Sums: make([]float64, k*f.cols), Mass: make([]float64, k), Count: make([]int64, k)}
	scan := scan{Centers: centers, K: k, Shift: f.shift}
	return rdd.TreeAggregate(ctx, f.blocks, zero, rdd.Bind2(scan, addBlock), mergeTallies, f.AggregationDepth)
}

// tally is what a pass found for each centre.
type tally struct {
	Sums  []float64 // of the points, times their weights
	Mass  []float64 // the weights
	Count []int64
	Cost  float64 // of the centres of this pass, squared distances times weights
}

func mergeTallies(a, b tally) tally {
	for i, v := range b.Sums {
		a.Sums[i] += v
	}
	for i, v := range b.Mass {
		a.Mass[i] += v
	}
	for i, n := range b.Count {
		a.Count[i] += n
	}
	a.Cost += b.Cost
	return a
}

func addBlock(s scan, t tally, b linalg.Block) tally {
	d := b.Cols()
	s.each(&b, func(row int, x []float64, nearest int, square float64) {
		w := b.Weight(row)
		t.Count[nearest]++
		t.Mass[nearest] += w
		t.Cost += w * square
		sum := t.Sums[nearest*d : (nearest+1)*d]
		if w == 1 {
			for j, v := range x {
				sum[j] += v
			}
			return
		}
		for j, v := range x {
			sum[j] += w * v
		}
	})
	return t
}

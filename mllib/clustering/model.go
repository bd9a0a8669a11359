package clustering

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/modelfile"
	"github.com/spark-go/spark-go/rdd"
)

// Model is what KMeans found. It predicts without an engine.
type Model struct {
	Dim        int
	Centers    [][]float64 // of length one with cosine distance
	Distance   Distance
	Sizes      []int64   // points nearest to each centre
	Cost       float64   // sum of the squared distances (of 1 − cos with Cosine), times the weights
	Iterations int       // that were made
	History    []float64 // the cost before each iteration's move
	Seed       int64
}

// Predict returns the number of the centre that is nearest to a point; of equally near ones the first. The point has Dim finite numbers; with
// Cosine its length does not matter. It allocates nothing.
func (m *Model) Predict(x []float64) int {
	best, at := math.Inf(1), 0
	for c, center := range m.Centers {
		var d float64
		if m.Distance == Cosine {
			d = -linalg.DotFloat64(x, center)
		} else {
			d = linalg.SquaredDistance(x, center)
		}
		if d < best {
			best, at = d, c
		}
	}
	return at
}

// PredictAll returns the number of the nearest centre for each point, in the points' partitions. A point of another size fails the action.
func (m *Model) PredictAll(points rdd.RDD[linalg.Vector]) rdd.RDD[int32] {
	op := predictOp{points, m.Dim, m.Centers, m.Distance}
	return rdd.New(points.Session(), "KMeansPredict", rdd.Op[int32](op), points.NumPartitions(), nil, rdd.Narrow{Node: points.Node()})
}

type predictOp struct {
	Points   rdd.RDD[linalg.Vector]
	Dim      int
	Centers  [][]float64
	Distance Distance
}

// Compute implements rdd.Op.
func (o predictOp) Compute(t *rdd.Task, p int) (rdd.Stream[int32], error) {
	in, err := o.Points.Compute(t, p)
	return &predictStream{in: in, model: Model{Dim: o.Dim, Centers: o.Centers, Distance: o.Distance}, x: make([]float64, o.Dim)}, err
}

type predictStream struct {
	in    rdd.Stream[linalg.Vector]
	model Model
	x     []float64
	out   []int32
}

// Next implements rdd.Stream.
func (s *predictStream) Next() ([]int32, error) {
	s.out = s.out[:0]
	err := s.batch(func(_ []float64, cluster int) { s.out = append(s.out, int32(cluster)) })
	return s.out, err
}

// batch calls f for some points with their clusters; x is valid until f returns.
func (s *predictStream) batch(f func(x []float64, cluster int)) error {
	rows, err := s.in.Next()
	if err != nil {
		return err
	}
	for _, v := range rows {
		if v.Size != s.model.Dim {
			return fmt.Errorf("predict a cluster: the point has %d numbers, the model's centres have %d", v.Size, s.model.Dim)
		}
		x := v.Values
		if v.IsSparse() {
			clear(s.x)
			for i, j := range v.Index {
				s.x[j] = v.Values[i]
			}
			x = s.x
		}
		f(x, s.model.Predict(x))
	}
	return nil
}

func (s *predictStream) each(f func(x []float64, cluster int)) error {
	for {
		if err := s.batch(f); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// The kind of the model's files and its newest version.
const (
	Kind        = "clustering.KMeans"
	fileVersion = 1
)

// File is the model as a file.
func (m *Model) File() *modelfile.File {
	f := modelfile.New(Kind, fileVersion)
	f.Set("settings", map[string]any{"k": len(m.Centers), "dim": m.Dim, "distance": m.Distance, "seed": m.Seed})
	f.Set("metrics", map[string]any{"iterations": m.Iterations})
	flat := make([]float64, 0, len(m.Centers)*m.Dim)
	for _, c := range m.Centers {
		flat = append(flat, c...)
	}
	modelfile.SetArray(f, "centers", flat)
	modelfile.SetArray(f, "sizes", m.Sizes)
	modelfile.SetArray(f, "cost", []float64{m.Cost})
	modelfile.SetArray(f, "history", m.History)
	return f
}

// Save writes the model to a file.
func (m *Model) Save(ctx context.Context, uri string) error { return m.File().Save(ctx, uri) }

// SHA256 names the model, in hexadecimal: it is equal for equal models.
func (m *Model) SHA256() (string, error) { return m.File().Digest() }

// Load reads a model that Save wrote.
func Load(ctx context.Context, uri string) (*Model, error) {
	return modelfile.LoadAs(ctx, uri, Kind, fileVersion, FromFile)
}

// FromFile makes the model of what File returned.
func FromFile(f *modelfile.File) (*Model, error) {
	if err := f.Check(Kind, fileVersion); err != nil {
		return nil, err
	}
	var s struct {
		K, Dim   int
		Distance Distance
		Seed     int64
	}
	var metrics struct{ Iterations int }
	for _, v := range []struct {
		name string
		into any
	}{{"settings", &s}, {"metrics", &metrics}} {
		if err := f.Get(v.name, v.into); err != nil {
			return nil, err
		}
	}
	m := &Model{Dim: s.Dim, Distance: s.Distance, Seed: s.Seed, Iterations: metrics.Iterations}
	flat, err := modelfile.GetArray[float64](f, "centers")
	if err == nil {
		m.Sizes, err = modelfile.GetArray[int64](f, "sizes")
	}
	if err == nil {
		m.History, err = modelfile.GetArray[float64](f, "history")
	}
	var cost []float64
	if err == nil {
		cost, err = modelfile.GetArray[float64](f, "cost")
	}
	if err != nil {
		return nil, err
	}
	if s.K < 1 || s.Dim < 1 || len(flat)/s.K != s.Dim || len(flat)%s.K != 0 || len(m.Sizes) != s.K || len(cost) != 1 || s.Distance != Euclidean && s.Distance != Cosine {
		return nil, fmt.Errorf("its %d centres of %d numbers with distance %q do not go with %d numbers and %d sizes: the file is not of this program's making", s.K, s.Dim, s.Distance, len(flat), len(m.Sizes))
	}
	m.Cost = cost[0]
	for at := 0; at < len(flat); at += s.Dim {
		m.Centers = append(m.Centers, flat[at:at+s.Dim:at+s.Dim])
	}
	return m, nil
}

package clustering

import (
	"context"
	"fmt"
	"math"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/modelfile"
)

// The version of a checkpoint's content.
const checkpointVersion = 1

// state is how far the iterations have come: all that the rest of the fit depends on, beside points and settings.
type state struct {
	centers    []float64 // relative to the shift
	iterations int
	history    []float64
}

// save keeps the state, if the settings want that after this iteration.
func (f *fitting) save(ctx context.Context, s *state) error {
	if f.CheckpointInterval < 1 || s.iterations%f.CheckpointInterval != 0 || s.iterations >= f.MaxIter {
		return nil
	}
	return f.keeper.Save(ctx, func(file *modelfile.File) {
		file.Set("iteration", s.iterations)
		modelfile.SetArray(file, "centers", s.centers)
		modelfile.SetArray(file, "history", s.history)
	})
}

// resume returns the state of an earlier run of this fit, or nil.
func (f *fitting) resume(ctx context.Context) (*state, error) {
	if f.keeper == nil {
		return nil, nil
	}
	digests, err := checkpoint.Blocks(ctx, f.blocks)
	if err != nil {
		return nil, err
	}
	file, err := f.keeper.Resume(ctx,
		checkpoint.Of("K", f.K), checkpoint.Of("Tol", f.Tol), checkpoint.Of("InitMode", f.InitMode), checkpoint.Of("InitSteps", f.InitSteps), checkpoint.Of("InitialCenters", f.InitialCenters),
		checkpoint.Of("Distance", f.Distance), checkpoint.Of("Seed", f.Seed), checkpoint.Of("AggregationDepth", f.AggregationDepth),
		checkpoint.Of("points", f.rows), checkpoint.Of("numbers a point", f.cols), checkpoint.Of("partitions", len(digests)), checkpoint.Data(digests...))
	if file == nil {
		return nil, err
	}
	s, err := f.restore(file)
	if err != nil {
		return nil, f.keeper.Refuse(err)
	}
	f.keeper.Resumed(ctx, "k-means", "iteration", s.iterations)
	return s, nil
}

func (f *fitting) restore(file *modelfile.File) (s *state, err error) {
	s = &state{}
	if s.iterations, err = f.keeper.Iteration(file, f.MaxIter); err != nil {
		return nil, err
	}
	centers, err := modelfile.GetArray[float64](file, "centers")
	if err != nil {
		return nil, err
	}
	history, err := modelfile.GetArray[float64](file, "history")
	if err != nil {
		return nil, err
	}
	if n := len(centers); n == 0 || n%f.cols != 0 || n/f.cols > f.K || len(history) != s.iterations {
		return nil, fmt.Errorf("it has %d numbers of centres of %d and %d costs after iteration %d", n, f.cols, len(history), s.iterations)
	}
	for _, v := range centers {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("a centre has the number %v", v)
		}
	}
	s.centers, s.history = append([]float64(nil), centers...), append([]float64(nil), history...)
	return s, nil
}

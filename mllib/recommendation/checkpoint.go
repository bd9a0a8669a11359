package recommendation

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/mllib/internal/checkpoint"
	"github.com/spark-go/spark-go/mllib/modelfile"
	"github.com/spark-go/spark-go/rdd"
)

// The version of a checkpoint's content.
const checkpointVersion = 2

// checkpoint brings the vectors of the users to the driver and lets the training go on from there. Lineage, shuffles and kept vectors of
// the iterations before are then beyond reach. A model needs as much memory on the driver.
func (t *training[U, I]) checkpoint(ctx context.Context) error {
	blocks, err := t.users.Collect(ctx)
	if err == nil {
		err = t.keeper.Save(ctx, func(f *modelfile.File) { t.save(f, blocks) })
	}
	if err != nil {
		return fmt.Errorf("train ALS: checkpoint after %d iterations: %w", t.done, err)
	}
	forget(ctx, t.users)
	t.users = rdd.Parallelize(t.byUser.Session(), blocks, len(blocks))
	return nil
}

func (t *training[U, I]) save(f *modelfile.File, blocks []factors) {
	f.Set("iteration", t.done)
	lengths := make([]int64, len(blocks))
	var data []float32
	for i, b := range blocks {
		lengths[i] = int64(len(b.Data))
		data = append(data, b.Data...)
	}
	modelfile.SetArray(f, "history", t.history)
	modelfile.SetArray(f, "lengths", lengths)
	modelfile.SetArray(f, "factors", data)
}

// resume goes on from a checkpoint file, if there is one.
func (t *training[U, I]) resume(ctx context.Context) error {
	if t.keeper == nil {
		return nil
	}
	digests, err := rdd.RunPartitions(ctx, t.byUser, "ALS digest", rdd.PartitionFunc[block[U, I], string](digestOf[U, I]{}), nil)
	if err != nil {
		return err
	}
	f, err := t.keeper.Resume(ctx,
		checkpoint.Of("Rank", t.Rank), checkpoint.Of("RegParam", t.RegParam), checkpoint.Of("NumUserBlocks", t.NumUserBlocks), checkpoint.Of("NumItemBlocks", t.NumItemBlocks),
		checkpoint.Of("ImplicitPrefs", t.ImplicitPrefs), checkpoint.Of("Alpha", t.Alpha), checkpoint.Of("Nonnegative", t.Nonnegative), checkpoint.Of("Seed", t.Seed),
		checkpoint.Of("ratings", t.ratings), checkpoint.Data(digests...))
	if err == nil && f != nil {
		if err = t.restore(f); err != nil {
			err = t.keeper.Refuse(err)
		}
	}
	if err != nil {
		return fmt.Errorf("train ALS: %w", err)
	}
	if f != nil {
		t.keeper.Resumed(ctx, "ALS", "iteration", t.done)
	}
	return nil
}

func (t *training[U, I]) restore(f *modelfile.File) error {
	done, err := t.keeper.Iteration(f, t.MaxIter)
	if err != nil {
		return err
	}
	history, err := modelfile.GetArray[float64](f, "history")
	if err != nil {
		return err
	}
	lengths, err := modelfile.GetArray[int64](f, "lengths")
	if err != nil {
		return err
	}
	data, err := modelfile.GetArray[float32](f, "factors")
	if err != nil {
		return err
	}
	if done != len(history) || len(lengths) != t.NumUserBlocks {
		return fmt.Errorf("it has %d blocks after iteration %d of %d", len(lengths), done, len(history))
	}
	blocks := make([]factors, len(lengths))
	for i, n := range lengths {
		if n < 0 || n > int64(len(data)) {
			return fmt.Errorf("block %d has %d numbers of %d", i, n, len(data))
		}
		blocks[i].Data, data = data[:n:n], data[n:]
	}
	t.done, t.history = done, append([]float64(nil), history...)
	t.users = rdd.Parallelize(t.byUser.Session(), blocks, len(blocks))
	return nil
}

// digestOf is a digest of a block's ratings.
type digestOf[R, C ID] struct{}

func (digestOf[R, C]) Run(_ *rdd.Task, _ int, in rdd.Stream[block[R, C]]) (string, error) {
	rows, err := in.Next()
	if err != nil {
		return "", err
	}
	b := &rows[0]
	return checkpoint.Digest(b.IDs, b.ColIDs, b.Start, b.Cols, b.Values), nil
}

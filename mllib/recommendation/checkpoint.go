package recommendation

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/mllib/modelfile"
	"github.com/spark-go/spark-go/rdd"
)

const (
	checkpointKind    = "recommendation.ALS.checkpoint"
	checkpointVersion = 1
)

func (a ALS[U, I]) checkpointFile() string {
	return filesys.Join(a.CheckpointDir, "als.checkpoint")
}

// checkpoint brings the vectors of the users to the driver and lets the training go on from there. Lineage, shuffles and kept vectors of
// the iterations before are then beyond reach. A model needs as much memory on the driver.
func (t *training[U, I]) checkpoint(ctx context.Context) error {
	blocks, err := t.users.Collect(ctx)
	if err != nil {
		return fmt.Errorf("train ALS: checkpoint after %d iterations: %w", t.done, err)
	}
	if t.CheckpointDir != "" {
		if err := t.save(ctx, blocks); err != nil {
			return fmt.Errorf("train ALS: checkpoint after %d iterations: %w", t.done, err)
		}
	}
	forget(ctx, t.users)
	t.users = rdd.Parallelize(t.byUser.Session(), blocks, len(blocks))
	return nil
}

func (t *training[U, I]) save(ctx context.Context, blocks []factors) error {
	f := modelfile.New(checkpointKind, checkpointVersion)
	f.Set("identity", t.identity)
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
	t.checkpointing = true
	return f.Save(ctx, t.checkpointFile())
}

// resume goes on from a checkpoint file, if there is one.
func (t *training[U, I]) resume(ctx context.Context) error {
	if t.CheckpointDir == "" {
		return nil
	}
	var err error
	if t.identity, err = t.identify(ctx); err != nil {
		return err
	}
	f, err := modelfile.Load(ctx, t.checkpointFile(), checkpointKind, checkpointVersion)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var identity string
	if err == nil {
		err = f.Get("identity", &identity)
	}
	if err == nil && identity != t.identity {
		err = fmt.Errorf("%s is of a fit with other settings or ratings: remove it or choose another CheckpointDir", t.checkpointFile())
	}
	if err == nil {
		err = t.restore(f)
	}
	if err != nil {
		return fmt.Errorf("train ALS: go on from a checkpoint: %w", err)
	}
	slog.InfoContext(ctx, "ALS: going on from a checkpoint", "file", t.checkpointFile(), "iteration", t.done)
	return nil
}

func (t *training[U, I]) restore(f *modelfile.File) error {
	var done int
	if err := f.Get("iteration", &done); err != nil {
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
	if done < 1 || done != len(history) || len(lengths) != t.NumUserBlocks {
		return fmt.Errorf("it has %d blocks after iteration %d of %d", len(lengths), done, len(history))
	}
	if done >= t.MaxIter {
		return fmt.Errorf("it was made after iteration %d and MaxIter is %d: choose more, or remove %s", done, t.MaxIter, t.checkpointFile())
	}
	blocks := make([]factors, len(lengths))
	for i, n := range lengths {
		if n < 0 || n > int64(len(data)) {
			return fmt.Errorf("block %d has %d numbers of %d", i, n, len(data))
		}
		blocks[i].Data, data = data[:n:n], data[n:]
	}
	t.done, t.history, t.checkpointing = done, append([]float64(nil), history...), true
	t.users = rdd.Parallelize(t.byUser.Session(), blocks, len(blocks))
	return nil
}

// removeCheckpoint removes the file of a fit that has ended. The model is there: that the file stays is worth a warning.
func (t *training[U, I]) removeCheckpoint(ctx context.Context) {
	if !t.checkpointing {
		return
	}
	fsys, path, err := filesys.Get(ctx, t.checkpointFile())
	if err == nil {
		err = fsys.Remove(ctx, path)
	}
	if err != nil {
		slog.WarnContext(ctx, "ALS: the checkpoint of a finished fit is left", "file", t.checkpointFile(), "error", err)
	}
}

// identify is a digest of all that the vectors after an iteration depend on.
func (t *training[U, I]) identify(ctx context.Context) (string, error) {
	digests, err := rdd.RunPartitions(ctx, t.byUser, "ALS digest", rdd.PartitionFunc[block[U, I], string](digestOf[U, I]{}), nil)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, checkpointVersion, t.Rank, t.RegParam, t.NumUserBlocks, t.NumItemBlocks, t.ImplicitPrefs, t.Alpha, t.Nonnegative, t.Seed, digests)
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digestOf is a digest of a block's ratings.
type digestOf[R, C ID] struct{}

func (digestOf[R, C]) Run(_ *rdd.Task, _ int, in rdd.Stream[block[R, C]]) (string, error) {
	rows, err := in.Next()
	if err != nil {
		return "", err
	}
	b, h := &rows[0], sha256.New()
	hashIDs(h, b.IDs)
	hashIDs(h, b.ColIDs)
	for _, part := range []any{b.Start, b.Cols, b.Values} {
		// Writing to a hash cannot fail, and the types are fixed.
		_ = binary.Write(h, binary.LittleEndian, part)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func hashIDs[R ID](h io.Writer, ids []R) {
	fmt.Fprintln(h, len(ids))
	if texts, ok := any(ids).([]string); ok {
		for _, s := range texts {
			fmt.Fprintln(h, len(s), s)
		}
		return
	}
	_ = binary.Write(h, binary.LittleEndian, ids) // as above
}

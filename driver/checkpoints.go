package driver

import (
	"context"
	"errors"
	"io"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

func init() {
	rdd.RegisterCheckpointScheme("", func(path string) (rdd.CheckpointStore, error) {
		_, _, err := filesys.Get(context.Background(), path)
		return remoteCheckpoints{}, err
	})
}

// remoteCheckpoints are checkpoints on the file systems that inputs and outputs lie on. Those of this machine's disks are rdd's own.
type remoteCheckpoints struct{}

// Write implements rdd.CheckpointStore.
func (remoteCheckpoints) Write(ctx context.Context, path string, write func(io.Writer) error) error {
	if err := context.Cause(ctx); err != nil { // the directory may have been removed, and must not come back
		return err
	}
	w, err := filesys.Create(ctx, path)
	if err != nil {
		return err
	}
	if err := write(w); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Close()
}

// Open implements rdd.CheckpointStore.
func (remoteCheckpoints) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	f, err := filesys.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, 0, f.Size()), f}, nil
}

// RemoveAll implements rdd.CheckpointStore.
func (remoteCheckpoints) RemoveAll(ctx context.Context, path string) error {
	fsys, p, err := filesys.Get(ctx, path)
	if err != nil {
		return err
	}
	return fsys.RemoveAll(ctx, p)
}

// Hosts implements rdd.CheckpointLocator.
func (remoteCheckpoints) Hosts(ctx context.Context, paths []string, sizes []int64) [][]string {
	files := make([][]filesys.Range, len(paths))
	for i, path := range paths {
		files[i] = []filesys.Range{{URI: path, Length: sizes[i]}}
	}
	return filesys.PreferredHosts(ctx, files)
}

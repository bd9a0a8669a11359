package rdd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spark-go/spark-go/shuffle/disk"
)

// CheckpointStore is a file system that checkpoints can lie on. Paths are what spark.checkpoint.dir gives, scheme included, with
// names appended after slashes. Its methods may be called at the same time.
type CheckpointStore interface {
	// Write makes the file at path hold what write writes, all of it or nothing: readers never see a part. It makes the
	// directories above. Two writers of the same path write the same bytes.
	Write(ctx context.Context, path string, write func(io.Writer) error) error
	// Open reads a file; what is missing is an fs.ErrNotExist.
	Open(ctx context.Context, path string) (io.ReadCloser, error)
	// RemoveAll removes a directory with everything in it.
	RemoveAll(ctx context.Context, path string) error
}

// CheckpointLocator is a CheckpointStore that knows which hosts store its files.
type CheckpointLocator interface {
	// Hosts lists for each file, of so many bytes, the hosts that store most of it, best first; nil where they are not known. Nothing but the place of
	// tasks depends on it, so there are no errors.
	Hosts(ctx context.Context, paths []string, sizes []int64) [][]string
}

var checkpointSchemes struct {
	sync.RWMutex
	open map[string]func(path string) (CheckpointStore, error)
}

// RegisterCheckpointScheme makes directories of the scheme, such as "hdfs" for hdfs://host/dir, usable for checkpoints: open returns the
// store that a path lies on. Packages of file systems call it when they are initialised, so that executors know them too. The empty scheme stands for
// all that nobody has registered; package driver registers it, for the file systems of io/filesys.
func RegisterCheckpointScheme(scheme string, open func(path string) (CheckpointStore, error)) {
	checkpointSchemes.Lock()
	defer checkpointSchemes.Unlock()
	if checkpointSchemes.open == nil {
		checkpointSchemes.open = map[string]func(string) (CheckpointStore, error){}
	}
	checkpointSchemes.open[scheme] = open
}

// openCheckpoints finds the store of a path: the local file system without a scheme or with file://.
func openCheckpoints(path string) (CheckpointStore, error) {
	scheme, _, ok := strings.Cut(path, "://")
	if !ok || scheme == "file" {
		return localCheckpoints{}, nil
	}
	checkpointSchemes.RLock()
	open := checkpointSchemes.open[scheme]
	if open == nil {
		open = checkpointSchemes.open[""]
	}
	checkpointSchemes.RUnlock()
	if open == nil {
		return nil, fmt.Errorf("checkpoints on %s: no file system is registered for %s://: import its package, or use a local or file:// directory", path, scheme)
	}
	store, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoints on %s: %w", path, err)
	}
	return store, nil
}

func trimSlash(path string) string {
	if short := strings.TrimRight(path, "/"); short != "" && !strings.HasSuffix(short, ":") {
		return short
	}
	return path
}

// localCheckpoints is the file system of this host, or one that is mounted on all.
type localCheckpoints struct{}

func localPath(path string) (string, error) {
	if !strings.HasPrefix(path, "file://") {
		return path, nil
	}
	u, err := url.Parse(path)
	if err != nil {
		return "", err
	}
	if u.Host != "" && u.Host != "localhost" {
		return "", fmt.Errorf("open %s: it names the host %s: a local path has three slashes, as in file:///tmp", path, u.Host)
	}
	return u.Path, nil
}

func (localCheckpoints) Write(ctx context.Context, path string, write func(io.Writer) error) (err error) {
	defer func() {
		if disk.Full(err) {
			err = fmt.Errorf("%w: free space there, or point spark.checkpoint.dir to a larger disk", err)
		}
	}()
	path, err = localPath(path)
	if err == nil {
		err = context.Cause(ctx) // the directory may have been removed, and must not come back
	}
	if err != nil {
		return err
	}
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+name+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func (localCheckpoints) Open(_ context.Context, path string) (io.ReadCloser, error) {
	path, err := localPath(path)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (localCheckpoints) RemoveAll(_ context.Context, path string) error {
	path, err := localPath(path)
	if err != nil {
		return err
	}
	return os.RemoveAll(path)
}

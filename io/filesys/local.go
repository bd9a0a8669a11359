package filesys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func init() {
	Register("file", func(_ context.Context, authority string) (FS, error) {
		if authority != "" && !strings.EqualFold(authority, "localhost") {
			return nil, fmt.Errorf("file://%s: a file URI has no host: write file:///path with three slashes, or a plain path", authority)
		}
		return localFS{}, nil
	})
}

// localFS is the disk of this machine. A file is written beside its final
// place under a hidden name and renamed when closed, which is atomic within a directory.
type localFS struct{}

func absolute(path string) (string, error) {
	if path == "" {
		return "", errors.New("open file: the path is empty: name a file, a directory or a glob")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("make %s absolute: %w", path, err)
	}
	return filepath.ToSlash(abs), nil
}

type localFile struct {
	*os.File
	size    int64
	modTime time.Time
}

func (f localFile) Size() int64        { return f.size }
func (f localFile) ModTime() time.Time { return f.modTime }

func (localFS) Open(ctx context.Context, path string) (File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("open %s: it is a directory, not a file", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return localFile{f, info.Size(), info.ModTime()}, nil
}

type localWriter struct {
	file *os.File // nil once closed or aborted
	path string
}

func (localFS) Create(ctx context.Context, path string) (Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, name := filepath.Split(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "."+name+".tmp-*")
	if err != nil {
		return nil, fullDisk(err)
	}
	return &localWriter{file: f, path: path}, nil
}

func (w *localWriter) Write(p []byte) (int, error) {
	if w.file == nil {
		return 0, fmt.Errorf("write %s: %w", w.path, os.ErrClosed)
	}
	n, err := w.file.Write(p)
	return n, fullDisk(err)
}

// fullDisk adds the remedy to an error of a full disk.
func fullDisk(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: free space there, or write to another disk", err)
	}
	return err
}

func (w *localWriter) Close() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	// CreateTemp makes files that only the owner may read; outputs follow the
	// usual mode instead, so that other users' jobs can read them.
	err := f.Chmod(0o644)
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), w.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("finish %s: %w", w.path, fullDisk(err)), os.Remove(f.Name()))
	}
	return nil
}

func (w *localWriter) Abort() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func localInfo(path string, info fs.FileInfo) Info {
	i := Info{Path: path, ModTime: info.ModTime(), IsDir: info.IsDir()}
	if !i.IsDir {
		i.Size = info.Size()
	}
	return i
}

func (localFS) Stat(ctx context.Context, path string) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Info{}, err
	}
	return localInfo(path, info), nil
}

func (localFS) List(ctx context.Context, dir string) ([]Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(entries))
	for _, e := range entries {
		path := strings.TrimSuffix(dir, "/") + "/" + e.Name()
		info, err := os.Stat(path) // follows links, which e.Info would not
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile, or a dangling link
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, localInfo(path, info))
	}
	return infos, nil
}

func (localFS) Rename(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (localFS) Remove(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.Remove(path)
}

func (localFS) RemoveAll(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

func (localFS) MkdirAll(ctx context.Context, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return os.MkdirAll(path, 0o777)
}

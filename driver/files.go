package driver

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spark-go/spark-go/executor"
	"github.com/spark-go/spark-go/executor/blocks"
)

// sharedFile is a file of spark.files. Executors in other processes fetch it when a task first asks for it.
type sharedFile struct {
	path string
	info fs.FileInfo // as it was when the application started
	sum  func() (uint32, error)
}

// shareFiles checks spark.files, so that a missing file is an error at the start and not in the middle of a job.
func shareFiles(list string) (map[string]*sharedFile, error) {
	files := map[string]*sharedFile{}
	for _, name := range strings.Split(list, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		path, err := filepath.Abs(name)
		if err != nil {
			return nil, fmt.Errorf("spark.files: %w", err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("spark.files: %w: paths are those of the machine that the driver runs on", err)
		}
		if !info.Mode().IsRegular() {
			return nil, fmt.Errorf("spark.files: %s is not a file: name the files in a directory one by one, or pack them into an archive", name)
		}
		base := filepath.Base(path)
		if other, twice := files[base]; twice {
			return nil, fmt.Errorf("spark.files: %s and %s are both called %s on the executors: rename one", other.path, path, base)
		}
		f := &sharedFile{path: path, info: info}
		f.sum = sync.OnceValues(f.checksum)
		files[base] = f
	}
	return files, nil
}

func (f *sharedFile) checksum() (uint32, error) {
	r, err := os.Open(f.path)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	_, err = io.Copy(h, r)
	return h.Sum32(), err
}

// unchanged refuses a file that is not what it was at the start: executors would see different contents.
func (f *sharedFile) unchanged() error {
	now, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("spark.files: %w", err)
	}
	if now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime()) {
		return fmt.Errorf("spark.files: %s has changed since the application started", f.path)
	}
	return nil
}

// File is where a file of spark.files lies on this machine, by its name without directories. Tasks ask rdd.Task.File.
func (c *Context) File(name string) (string, error) {
	if c.err != nil {
		return "", c.err
	}
	f, ok := c.files[name]
	if !ok {
		return "", &executor.NoFileError{Name: name}
	}
	return f.path, nil
}

// taskFile is File for tasks in the driver's own process.
func (c *Context) taskFile(_ context.Context, name string) (string, error) {
	f, ok := c.files[name]
	if !ok {
		return "", &executor.NoFileError{Name: name}
	}
	return f.path, f.unchanged()
}

// driverBlocks serves executors in other processes: pieces of broadcasts and the files of spark.files.
type driverBlocks struct{ c *Context }

// Open implements blocks.Provider.
func (d driverBlocks) Open(name string) (io.ReadCloser, int64, error) {
	file, content, ok := executor.ParseFileBlock(name)
	if !ok {
		return broadcastBlocks(d).Open(name)
	}
	f := d.c.files[file]
	if f == nil {
		return nil, 0, fmt.Errorf("%w: %w", &executor.NoFileError{Name: file}, blocks.ErrNotFound)
	}
	if err := f.unchanged(); err != nil {
		return nil, 0, err
	}
	if !content {
		sum, err := f.sum()
		if err != nil {
			return nil, 0, fmt.Errorf("spark.files: %w", err)
		}
		head := executor.FileHead(f.info.Size(), sum)
		return io.NopCloser(strings.NewReader(head)), int64(len(head)), nil
	}
	r, err := os.Open(f.path)
	if err != nil {
		return nil, 0, fmt.Errorf("spark.files: %w", err)
	}
	return r, f.info.Size(), nil
}

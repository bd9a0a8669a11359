package executor

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// A file of spark.files travels as two named blocks: "filehead/NAME" is its length and CRC-32C as text, "file/NAME" its contents.

const (
	filePrefix     = "file/"
	fileHeadPrefix = "filehead/"
)

// NoFileError says that there is no shared file of a name.
type NoFileError struct{ Name string }

func (e *NoFileError) Error() string {
	return fmt.Sprintf("there is no file %q: give its path to spark.files (--files) and ask for it by its name without directories", e.Name)
}

// Permanent implements rdd.PermanentError: the files are fixed when the application starts.
func (*NoFileError) Permanent() bool { return true }

// ParseFileBlock reads the name of a block of a shared file: its contents, or their length and checksum.
func ParseFileBlock(name string) (file string, content, ok bool) {
	if file, ok = strings.CutPrefix(name, filePrefix); ok {
		return file, true, true
	}
	file, ok = strings.CutPrefix(name, fileHeadPrefix)
	return file, false, ok
}

// FileHead is the block that comes before a file's contents.
func FileHead(size int64, sum uint32) string { return fmt.Sprintf("%d %08x", size, sum) }

// files keeps copies of the shared files that tasks of this process have asked for.
type files struct {
	client *blocks.Client
	addr   string
	dirs   *disk.Dirs

	mu    sync.Mutex
	known map[string]*sharedFile
}

type sharedFile struct {
	mu   sync.Mutex
	path string
}

func newFiles(client *blocks.Client, addr string, dirs *disk.Dirs) *files {
	return &files{client: client, addr: addr, dirs: dirs, known: map[string]*sharedFile{}}
}

// get is where the process's copy of a file lies: the first task that asks fetches it for all.
func (f *files) get(ctx context.Context, name string) (string, error) {
	f.mu.Lock()
	s := f.known[name]
	if s == nil {
		s = &sharedFile{}
		f.known[name] = s
	}
	f.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != "" {
		return s.path, nil
	}
	path, err := f.fetch(ctx, name)
	if errors.Is(err, blocks.ErrNotFound) {
		return "", &NoFileError{Name: name}
	}
	if err != nil {
		return "", fmt.Errorf("fetch file %q from the driver: %w", name, err)
	}
	s.path = path
	return path, nil
}

func (f *files) fetch(ctx context.Context, name string) (path string, err error) {
	if name == "" || filepath.Base(name) != name || name == ".." || name == "." {
		return "", blocks.ErrNotFound
	}
	head, n, err := f.client.Open(ctx, f.addr, fileHeadPrefix+name)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(head)
	head.Close()
	if err != nil {
		return "", err
	}
	var size int64
	var sum uint32
	if _, err := fmt.Sscanf(string(text), "%d %08x", &size, &sum); err != nil {
		return "", fmt.Errorf("its head of %d bytes is malformed", n)
	}
	r, _, err := f.client.Open(ctx, f.addr, filePrefix+name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	out, err := f.dirs.Create("shared file", name)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := out.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			out.Remove()
		}
	}()
	h := crc32.New(castagnoli)
	copied, err := io.Copy(io.MultiWriter(out, h), r)
	if err != nil {
		return "", err
	}
	if copied != size || h.Sum32() != sum {
		return "", fmt.Errorf("%d bytes with checksum %08x arrived, not %d with %08x: the file may have changed since the application started", copied, h.Sum32(), size, sum)
	}
	return out.Name(), nil
}

package filesys

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

func init() {
	Register("mem", func(_ context.Context, authority string) (FS, error) { return NewMem(authority), nil })
}

var errIsDir = errors.New("it is a directory, not a file")

func clean(p string) string { return path.Clean(p) }

// memFS keeps files in memory. Each authority of mem:// is a file system of its
// own that lives as long as the process.
type memFS struct {
	name  string // the authority, for errors
	mu    sync.RWMutex
	files map[string]memContent
	dirs  map[string]time.Time
	clock int64 // the modification times: one nanosecond a change, so that changes show
}

type memContent struct {
	data    []byte // never changed once it is here
	modTime time.Time
}

// NewMem returns an empty file system in memory. The name shows in its errors as mem://name.
func NewMem(name string) FS {
	return &memFS{name: name, files: map[string]memContent{}, dirs: map[string]time.Time{"/": {}}}
}

func (m *memFS) now() time.Time {
	m.clock++
	return time.Unix(0, m.clock)
}

type memFile struct {
	*bytes.Reader
	modTime time.Time
}

func (memFile) Close() error         { return nil }
func (f memFile) ModTime() time.Time { return f.modTime }

func (m *memFS) fail(op, p string, err error) error {
	return &fs.PathError{Op: op, Path: "mem://" + m.name + p, Err: err}
}

func (m *memFS) Open(ctx context.Context, p string) (File, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, ok := m.files[clean(p)]
	if !ok {
		if _, dir := m.dirs[clean(p)]; dir {
			return nil, m.fail("open", p, errIsDir)
		}
		return nil, m.fail("open", p, fs.ErrNotExist)
	}
	return memFile{bytes.NewReader(c.data), c.modTime}, nil
}

type memWriter struct {
	fs   *memFS
	path string
	buf  bytes.Buffer
	done bool
}

func (m *memFS) Create(ctx context.Context, p string) (Writer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, dir := m.dirs[clean(p)]; dir {
		return nil, m.fail("create", p, errIsDir)
	}
	return &memWriter{fs: m, path: clean(p)}, nil
}

func (w *memWriter) Write(p []byte) (int, error) {
	if w.done {
		return 0, w.fs.fail("write", w.path, os.ErrClosed)
	}
	return w.buf.Write(p)
}

func (w *memWriter) Close() error {
	if w.done {
		return nil
	}
	w.done = true
	w.fs.mu.Lock()
	defer w.fs.mu.Unlock()
	if err := w.fs.mkdir(path.Dir(w.path)); err != nil {
		return err
	}
	w.fs.files[w.path] = memContent{w.buf.Bytes(), w.fs.now()}
	return nil
}

func (w *memWriter) Abort() error {
	w.done = true
	w.buf = bytes.Buffer{}
	return nil
}

// mkdir makes dir and its parents; the caller holds the lock.
func (m *memFS) mkdir(dir string) error {
	for ; dir != "/"; dir = path.Dir(dir) {
		if _, file := m.files[dir]; file {
			return m.fail("mkdir", dir, fs.ErrExist)
		}
		if _, ok := m.dirs[dir]; ok {
			return nil
		}
		m.dirs[dir] = m.now()
	}
	return nil
}

func (m *memFS) Stat(ctx context.Context, p string) (Info, error) {
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.stat(clean(p))
}

func (m *memFS) stat(p string) (Info, error) {
	if c, ok := m.files[p]; ok {
		return Info{Path: p, Size: int64(len(c.data)), ModTime: c.modTime}, nil
	}
	if t, ok := m.dirs[p]; ok {
		return Info{Path: p, ModTime: t, IsDir: true}, nil
	}
	return Info{}, m.fail("stat", p, fs.ErrNotExist)
}

func (m *memFS) List(ctx context.Context, dir string) ([]Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir = clean(dir)
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, ok := m.dirs[dir]; !ok {
		return nil, m.fail("list", dir, fs.ErrNotExist)
	}
	var infos []Info
	for p := range m.files {
		if path.Dir(p) == dir {
			info, _ := m.stat(p)
			infos = append(infos, info)
		}
	}
	for p := range m.dirs {
		if p != "/" && path.Dir(p) == dir {
			info, _ := m.stat(p)
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Path, b.Path) })
	return infos, nil
}

func (m *memFS) Rename(ctx context.Context, from, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	from, to = clean(from), clean(to)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.stat(from); err != nil {
		return err
	}
	if from == to {
		return nil
	}
	if strings.HasPrefix(to, from+"/") {
		return m.fail("rename", from, fs.ErrInvalid)
	}
	if info, err := m.stat(to); err == nil && info.IsDir {
		return m.fail("rename", to, fs.ErrExist)
	}
	if err := m.mkdir(path.Dir(to)); err != nil {
		return err
	}
	moved := func(p string) (string, bool) {
		if p == from {
			return to, true
		}
		rest, below := strings.CutPrefix(p, from+"/")
		return to + "/" + rest, below
	}
	for p, c := range m.files {
		if q, ok := moved(p); ok {
			delete(m.files, p)
			m.files[q] = c
		}
	}
	for p, t := range m.dirs {
		if q, ok := moved(p); ok {
			delete(m.dirs, p)
			m.dirs[q] = t
		}
	}
	return nil
}

func (m *memFS) Remove(ctx context.Context, p string) error {
	children, err := m.List(ctx, p)
	if err == nil && len(children) > 0 {
		return m.fail("remove", p, errors.New("the directory is not empty"))
	}
	if _, err := m.Stat(ctx, p); err != nil {
		return err
	}
	return m.RemoveAll(ctx, p)
}

func (m *memFS) RemoveAll(ctx context.Context, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p = clean(p)
	below := strings.TrimSuffix(p, "/") + "/"
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.files {
		if f == p || strings.HasPrefix(f, below) {
			delete(m.files, f)
		}
	}
	for d := range m.dirs {
		if d != "/" && (d == p || strings.HasPrefix(d, below)) {
			delete(m.dirs, d)
		}
	}
	return nil
}

func (m *memFS) MkdirAll(ctx context.Context, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.mkdir(clean(p))
}

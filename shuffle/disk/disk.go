// Package disk makes the temporary files of executors in the directories of spark.local.dir.
//
// Files go to the directories in turn. Where a file cannot be written on, because its disk is full or fails, what there is of it
// moves to the next directory and the writing goes on there: who writes does not notice. The directory that failed gets no files
// for a minute. Only when no directory takes the file the write fails, with an [Error] that says how full each of them is.
//
// So the path of a file is known for good when it is complete, and whoever tells others of it looks then.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// avoided is for how long a directory that failed gets no new files: long enough that not every task runs into it, and short enough that
// room made by others is found.
const avoided = time.Minute

// Dirs are the directories that files may go to. Views of the same directories made by Sub share what is known of them.
type Dirs struct {
	*state
	sub string
}

type state struct {
	roots []string
	fault func(path string, n int) error
	now   func() time.Time

	mu    sync.Mutex
	next  int
	until []time.Time // when each directory gets files again
}

// New returns directories in the order in which they are used; they are made when files are. No directory at all, or an empty path, means the
// system's directory for temporary files.
func New(paths ...string) *Dirs {
	if len(paths) == 0 {
		paths = []string{""}
	}
	d := &Dirs{state: &state{now: time.Now, until: make([]time.Time, len(paths))}}
	for _, p := range paths {
		if p == "" {
			p = os.TempDir()
		}
		d.roots = append(d.roots, filepath.Clean(p))
	}
	return d
}

// Faulty is New for tests of whoever writes: fault is asked before a file is made, with 0 bytes, and before each write. Its error is what the
// operating system would have said, such as syscall.ENOSPC.
func Faulty(fault func(path string, n int) error, paths ...string) *Dirs {
	d := New(paths...)
	d.fault = fault
	return d
}

// Sub returns a folder of each of the directories.
func (d *Dirs) Sub(name string) *Dirs { return &Dirs{state: d.state, sub: filepath.Join(d.sub, name)} }

// Paths are all directories, in order.
func (d *Dirs) Paths() []string {
	all := make([]string, len(d.roots))
	for i := range all {
		all[i] = d.path(i)
	}
	return all
}

func (d *Dirs) path(i int) string { return filepath.Join(d.roots[i], d.sub) }

// RemoveAll removes the directories with all files in them.
func (d *Dirs) RemoveAll() error {
	var errs []error
	for _, p := range d.Paths() {
		errs = append(errs, os.RemoveAll(p))
	}
	return errors.Join(errs...)
}

// Place makes a directory for what others write, such as user code, and returns its path. Note tells what became of that.
func (d *Dirs) Place() (string, error) {
	var last error
	for _, i := range d.order() {
		if last = os.MkdirAll(d.path(i), 0o700); last == nil {
			return d.path(i), nil
		}
		d.avoid(i, last)
	}
	return "", d.problem("directory", d.path(0), 0, last)
}

// Note takes in the error of a task: the directory whose disk it says to be full gets no files for a while. It reports whether all of them are
// full, so that the task fares no better here.
func (d *Dirs) Note(err error) bool {
	if !Full(err) {
		return false
	}
	var ours *Error
	if errors.As(err, &ours) {
		return true
	}
	var at *fs.PathError
	if !errors.As(err, &at) {
		return false
	}
	for i, root := range d.roots {
		if strings.HasPrefix(at.Path, root+string(filepath.Separator)) {
			d.avoid(i, err)
			return d.allAvoided()
		}
	}
	return false
}

func (d *Dirs) allAvoided() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for _, until := range d.until {
		if !until.After(now) {
			return false
		}
	}
	return true
}

// Full says whether an error is that of a full disk, or of a used-up quota.
func Full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// order lists the directories as the next file tries them: those that are to be avoided last, the longest avoided first.
func (d *Dirs) order() []int {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, n := d.now(), len(d.roots)
	order, late := make([]int, 0, n), []int(nil)
	for k := range n {
		i := (d.next + k) % n
		if !d.until[i].After(now) {
			order = append(order, i)
			continue
		}
		at := len(late)
		for at > 0 && d.until[late[at-1]].After(d.until[i]) {
			at--
		}
		late = append(late[:at], append([]int{i}, late[at:]...)...)
	}
	d.next = (d.next + 1) % n
	return append(order, late...)
}

func (d *Dirs) avoid(i int, err error) {
	d.mu.Lock()
	known := d.until[i].After(d.now())
	d.until[i] = d.now().Add(avoided)
	d.mu.Unlock()
	if !known && len(d.roots) > 1 {
		slog.Warn("a directory of spark.local.dir gets no files for a minute", "directory", d.roots[i], "error", err)
	}
}

// Error says that no directory takes a file.
type Error struct {
	What    string // "map output"
	Path    string // where it was written last
	Written int64  // bytes of it before
	Disks   []Usage
	Err     error
}

// Usage is how full the disk of a directory is.
type Usage struct {
	Dir        string
	Size, Free int64 // bytes; both 0 if it cannot be told
}

func (d *Dirs) problem(what, path string, written int64, err error) *Error {
	e := &Error{What: what, Path: path, Written: written, Err: err}
	for _, root := range d.roots {
		size, free := usage(root)
		e.Disks = append(e.Disks, Usage{Dir: root, Size: size, Free: free})
	}
	return e
}

// Error names the file, what was written of it, how full the disks are and the remedy.
func (e *Error) Error() string {
	var b strings.Builder
	err := e.Err
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // the path is named once
	}
	fmt.Fprintf(&b, "write %s %s: %v, after %s of it", e.What, e.Path, err, bytesText(e.Written))
	for _, u := range e.Disks {
		if u.Size > 0 {
			fmt.Fprintf(&b, "; the disk of %s has %s of %s free", u.Dir, bytesText(u.Free), bytesText(u.Size))
		} else {
			fmt.Fprintf(&b, "; of the disk of %s nothing is known", u.Dir)
		}
	}
	b.WriteString(": free space there, or point spark.local.dir to a larger disk, or to more than one, separated by commas")
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// bytesText writes a size with three digits or so.
func bytesText(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

// File is a file that is written from its beginning to its end and may be read meanwhile. It belongs to one goroutine at a time.
type File struct {
	dirs *Dirs
	what string
	name string // below a directory
	at   int    // the directory
	f    *os.File
	size int64
}

// Create makes a file, and the folders that it lies in. A file that is there already is emptied. What it is, such as "spill file", is for errors.
func (d *Dirs) Create(what, name string) (*File, error) {
	f := &File{dirs: d, what: what, name: name}
	err := f.create(d.order())
	if err != nil {
		return nil, err
	}
	return f, nil
}

// create opens the file in the first directory that takes it.
func (f *File) create(places []int) error {
	var last error
	for _, i := range places {
		path := filepath.Join(f.dirs.path(i), f.name)
		o, err := f.dirs.open(path)
		if err == nil {
			f.at, f.f = i, o
			return nil
		}
		last = err
		f.dirs.avoid(i, err)
	}
	return f.dirs.problem(f.what, filepath.Join(f.dirs.path(places[len(places)-1]), f.name), f.size, last)
}

func (d *Dirs) open(path string) (*os.File, error) {
	if d.fault != nil {
		if err := d.fault(path, 0); err != nil {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// Name is the path of the file, until it moves.
func (f *File) Name() string { return f.f.Name() }

// Dir is the directory that the file lies below: one of Dirs.Paths.
func (f *File) Dir() string { return f.dirs.path(f.at) }

// Size is how much was written.
func (f *File) Size() int64 { return f.size }

// Write appends p. An error means that no directory takes the file.
func (f *File) Write(p []byte) (int, error) {
	for {
		err := f.write(p)
		if err == nil {
			f.size += int64(len(p))
			return len(p), nil
		}
		if err := f.Move(err); err != nil {
			return 0, err
		}
	}
}

func (f *File) write(p []byte) error {
	if f.dirs.fault != nil {
		if err := f.dirs.fault(f.Name(), len(p)); err != nil {
			return &fs.PathError{Op: "write", Path: f.Name(), Err: err}
		}
	}
	_, err := f.f.WriteAt(p, f.size)
	return err
}

// Move goes on in another directory because of the given error: what was written moves there. Without another one the error is an [Error].
func (f *File) Move(cause error) error {
	f.dirs.avoid(f.at, cause)
	var others []int
	now := f.dirs.now()
	f.dirs.mu.Lock()
	for k := 1; k < len(f.dirs.roots); k++ {
		if i := (f.at + k) % len(f.dirs.roots); !f.dirs.until[i].After(now) {
			others = append(others, i)
		}
	}
	f.dirs.mu.Unlock()
	from := *f
	for _, i := range others {
		to := File{dirs: f.dirs, what: f.what, name: f.name}
		if to.create([]int{i}) != nil {
			continue
		}
		err := to.fill(&from)
		if err != nil {
			to.Remove()
			if errors.Is(err, errSource) {
				return f.dirs.problem(f.what, from.Name(), from.size, err)
			}
			f.dirs.avoid(i, err)
			continue
		}
		from.Remove()
		*f = to
		return nil
	}
	return f.dirs.problem(f.what, f.Name(), f.size, cause)
}

// errSource is that a file cannot be read that is to move.
var errSource = errors.New("read back what was written")

// fill writes what another file holds.
func (f *File) fill(from *File) error {
	buf := make([]byte, min(max(from.size, 1), 1<<20))
	for f.size < from.size {
		n := min(int64(len(buf)), from.size-f.size)
		if _, err := io.ReadFull(io.NewSectionReader(from.f, f.size, n), buf[:n]); err != nil {
			return fmt.Errorf("%w: %w", errSource, err)
		}
		if err := f.write(buf[:n]); err != nil {
			return err
		}
		f.size += n
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// Close closes the file, which stays. Closing it again does nothing.
func (f *File) Close() error {
	if err := f.f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return f.dirs.problem(f.what, f.Name(), f.size, err)
	}
	return nil
}

// Remove closes the file and removes it.
func (f *File) Remove() {
	f.f.Close()
	os.Remove(f.Name())
}

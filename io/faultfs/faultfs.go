// Package faultfs is a file system for tests that passes everything on to another one, and fails where rules say so: errors, delays, short
// reads and writes, answers that get lost after the work was done, by operation, path and number of the call.
//
//	faults := faultfs.Register("flaky", filesys.NewMem("flaky"),
//		faultfs.Rule{Op: faultfs.ReadAt, Path: "*.parquet", Nth: 3, Err: syscall.EIO})
//	data := parquetio.Read[Row](sc, "fault://flaky/input")
//	... faults.Fired(0) tells how often the rule struck: a test of recovery proves nothing if it never did.
//
// Rules are data and nothing is random: the same calls meet the same faults. Calls are counted in each process and, where goroutines
// call at once, in the order of arrival; a rule for one path and operation is exact then too. Programs that run in several processes register
// the file system before driver.New, which every process runs up to.
package faultfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

// Op is an operation of a file system, of an open file, or of a file being written.
type Op string

// The operations.
const (
	Open            Op = "open"
	ReadAt          Op = "readat"
	CloseRead       Op = "closeread"
	Create          Op = "create"
	Write           Op = "write"
	Close           Op = "close" // of a file being written
	Abort           Op = "abort"
	Stat            Op = "stat"
	List            Op = "list"
	Walk            Op = "walk"
	Rename          Op = "rename" // matched by the old name
	Remove          Op = "remove"
	RemoveAll       Op = "removeall"
	MkdirAll        Op = "mkdirall"
	Locations       Op = "locations"
	CreateExclusive Op = "createexclusive"
	CreatePending   Op = "createpending"
	Publish         Op = "publish"
	ListPending     Op = "pending"
	Discard         Op = "discard"
)

// ErrInjected is the error of rules that name none.
var ErrInjected = errors.New("fault injected by the test")

// Rule says which calls meet which fault.
type Rule struct {
	Op   Op     // "" for every operation
	Path string // "" for every path; a glob with a slash is held against the whole path, one without against its last element; dir/** is everything below dir
	// Nth is the first matching call that is struck, counted from 1; 0 means 1.
	Nth int
	// Times is how many calls are struck from then on; 0 means 1, negative all.
	Times int

	// Delay comes before the call; a cancelled context ends it.
	Delay time.Duration
	// Err is what the call returns, ErrInjected if all of Err, Delay and Short are unset.
	Err error
	// Late carries the call out before it fails, as when an answer gets lost on the way.
	Late bool
	// Short makes ReadAt and Write do only so many bytes before they fail, with io.ErrUnexpectedEOF or io.ErrShortWrite if Err is unset.
	Short int
}

// FS counts calls and applies rules.
type FS struct {
	base filesys.FS

	mu    sync.Mutex
	rules []Rule
	seen  []int // matching calls, by rule
	fired []int
	calls map[Op]int
}

var registered = struct {
	sync.Mutex
	byName map[string]*FS
}{byName: map[string]*FS{}}

func init() { filesys.Register("fault", opener) }

func opener(_ context.Context, name string) (filesys.FS, error) {
	registered.Lock()
	defer registered.Unlock()
	f := registered.byName[name]
	if f == nil {
		return nil, fmt.Errorf("no fault-injecting file system is named %q: call faultfs.Register first", name)
	}
	return f.View(), nil
}

// Register makes base reachable as fault://name/path, with faults. It replaces an earlier one of that name.
func Register(name string, base filesys.FS, rules ...Rule) *FS {
	f := New(base, rules...)
	registered.Lock()
	registered.byName[name] = f
	registered.Unlock()
	filesys.Register("fault", opener) // forgets what was opened under the name
	return f
}

// New wraps a file system. Use its View as file system.
func New(base filesys.FS, rules ...Rule) *FS {
	f := &FS{base: base, calls: map[Op]int{}}
	f.SetRules(rules...)
	return f
}

// SetRules replaces the rules; all counting begins anew.
func (f *FS) SetRules(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = slices.Clone(rules)
	f.seen, f.fired = make([]int, len(rules)), make([]int, len(rules))
	clear(f.calls)
}

// Fired is how often rule i struck.
func (f *FS) Fired(i int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired[i]
}

// Calls is how often an operation was called, struck or not.
func (f *FS) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// View is the file system that meets the faults. It has the optional interfaces of the wrapped one.
func (f *FS) View() filesys.FS {
	exclusive, isExclusive := f.base.(filesys.ExclusiveCreator)
	pending, isPending := f.base.(filesys.PendingFS)
	v := view{f}
	switch {
	case isExclusive && isPending:
		return struct {
			view
			exclusiveView
			pendingView
		}{v, exclusiveView{f, exclusive}, pendingView{f, pending}}
	case isExclusive:
		return struct {
			view
			exclusiveView
		}{v, exclusiveView{f, exclusive}}
	case isPending:
		return struct {
			view
			pendingView
		}{v, pendingView{f, pending}}
	}
	return v
}

// matches tells whether a rule concerns a call.
func (r Rule) matches(op Op, p string) bool {
	if r.Op != "" && r.Op != op {
		return false
	}
	if r.Path == "" {
		return true
	}
	if dir, ok := strings.CutSuffix(r.Path, "/**"); ok {
		return strings.HasPrefix(p, dir+"/")
	}
	if !strings.Contains(r.Path, "/") {
		p = path.Base(p)
	}
	ok, err := path.Match(r.Path, p)
	return ok && err == nil
}

// strike counts a call and returns the first rule that strikes it.
func (f *FS) strike(op Op, p string) (Rule, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	found := -1
	for i, r := range f.rules {
		if !r.matches(op, p) {
			continue
		}
		f.seen[i]++
		nth, times := max(r.Nth, 1), r.Times
		if times == 0 {
			times = 1
		}
		if found < 0 && f.seen[i] >= nth && (times < 0 || f.seen[i] < nth+times) {
			found = i
		}
	}
	if found < 0 {
		return Rule{}, false
	}
	f.fired[found]++
	return f.rules[found], true
}

// err is what a struck call returns; nil for one that is only late.
func (r Rule) err(op Op, p string) error {
	err := r.Err
	switch {
	case err != nil:
	case r.Short > 0 && op == Write:
		err = io.ErrShortWrite
	case r.Short > 0:
		err = io.ErrUnexpectedEOF
	case r.Delay > 0:
		return nil
	default:
		err = ErrInjected
	}
	return fmt.Errorf("%s fault:%s: %w", op, p, err)
}

// call does one call under the rules.
func (f *FS) call(ctx context.Context, op Op, p string, do func() error) error {
	r, struck := f.strike(op, p)
	if !struck {
		return do()
	}
	if err := wait(ctx, r.Delay); err != nil {
		return err
	}
	err := r.err(op, p)
	if err != nil && !r.Late {
		return err
	}
	return errors.Join(err, do())
}

func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// view is the file system of an FS.
type view struct{ f *FS }

type file struct {
	filesys.File
	f    *FS
	ctx  context.Context
	path string
}

func (v view) Open(ctx context.Context, p string) (filesys.File, error) {
	var opened filesys.File
	err := v.f.call(ctx, Open, p, func() (err error) {
		opened, err = v.f.base.Open(ctx, p)
		return err
	})
	if err != nil {
		if opened != nil {
			err = errors.Join(err, opened.Close())
		}
		return nil, err
	}
	return &file{opened, v.f, ctx, p}, nil
}

func (o *file) ReadAt(p []byte, off int64) (int, error) {
	r, struck := o.f.strike(ReadAt, o.path)
	if !struck {
		return o.File.ReadAt(p, off)
	}
	if err := wait(o.ctx, r.Delay); err != nil {
		return 0, err
	}
	err := r.err(ReadAt, o.path)
	if err != nil && r.Short == 0 && !r.Late {
		return 0, err
	}
	if r.Short > 0 {
		p = p[:min(len(p), r.Short)]
	}
	n, e := o.File.ReadAt(p, off)
	if err == nil {
		err = e
	}
	return n, err
}

func (o *file) Close() error {
	r, struck := o.f.strike(CloseRead, o.path)
	err := o.File.Close() // in any case: nothing may leak
	if struck {
		err = errors.Join(r.err(CloseRead, o.path), err)
	}
	return err
}

type writer struct {
	filesys.Writer
	f    *FS
	ctx  context.Context
	path string
}

func (v view) Create(ctx context.Context, p string) (filesys.Writer, error) {
	var w filesys.Writer
	err := v.f.call(ctx, Create, p, func() (err error) {
		w, err = v.f.base.Create(ctx, p)
		return err
	})
	if err != nil {
		if w != nil {
			err = errors.Join(err, w.Abort())
		}
		return nil, err
	}
	return &writer{w, v.f, ctx, p}, nil
}

func (w *writer) Write(p []byte) (int, error) {
	r, struck := w.f.strike(Write, w.path)
	if !struck {
		return w.Writer.Write(p)
	}
	if err := wait(w.ctx, r.Delay); err != nil {
		return 0, err
	}
	err := r.err(Write, w.path)
	if err != nil && r.Short == 0 && !r.Late {
		return 0, err
	}
	if r.Short > 0 {
		p = p[:min(len(p), r.Short)]
	}
	n, e := w.Writer.Write(p)
	if err == nil {
		err = e
	}
	return n, err
}

// Close struck without Late discards the file, as file systems do whose Close fails.
func (w *writer) Close() error {
	struck := false
	err := w.f.call(w.ctx, Close, w.path, func() error {
		struck = true
		return w.Writer.Close()
	})
	if !struck {
		err = errors.Join(err, w.Writer.Abort())
	}
	return err
}

func (w *writer) Abort() error {
	err := w.Writer.Abort() // in any case: nothing may leak
	if r, struck := w.f.strike(Abort, w.path); struck {
		err = errors.Join(r.err(Abort, w.path), err)
	}
	return err
}

func (v view) Stat(ctx context.Context, p string) (info filesys.Info, err error) {
	err = v.f.call(ctx, Stat, p, func() (err error) {
		info, err = v.f.base.Stat(ctx, p)
		return err
	})
	return info, err
}

func (v view) List(ctx context.Context, dir string) (infos []filesys.Info, err error) {
	err = v.f.call(ctx, List, dir, func() (err error) {
		infos, err = v.f.base.List(ctx, dir)
		return err
	})
	return infos, err
}

func (v view) Rename(ctx context.Context, from, to string) error {
	return v.f.call(ctx, Rename, from, func() error { return v.f.base.Rename(ctx, from, to) })
}

func (v view) Remove(ctx context.Context, p string) error {
	return v.f.call(ctx, Remove, p, func() error { return v.f.base.Remove(ctx, p) })
}

func (v view) RemoveAll(ctx context.Context, p string) error {
	return v.f.call(ctx, RemoveAll, p, func() error { return v.f.base.RemoveAll(ctx, p) })
}

func (v view) MkdirAll(ctx context.Context, p string) error {
	return v.f.call(ctx, MkdirAll, p, func() error { return v.f.base.MkdirAll(ctx, p) })
}

// Locations are those of the wrapped file system, none if it knows none.
func (v view) Locations(ctx context.Context, p string, offset, length int64) (blocks []filesys.Location, err error) {
	err = v.f.call(ctx, Locations, p, func() (err error) {
		if l, ok := v.f.base.(filesys.Locator); ok {
			blocks, err = l.Locations(ctx, p, offset, length)
		}
		return err
	})
	return blocks, err
}

// Walk lists through the wrapped file system's own Walk or, without one, directory by directory; the rules for List hold then.
func (v view) Walk(ctx context.Context, dir string) iter.Seq2[filesys.Info, error] {
	return func(yield func(filesys.Info, error) bool) {
		if err := v.f.call(ctx, Walk, dir, func() error { return nil }); err != nil {
			yield(filesys.Info{Path: dir}, err)
			return
		}
		if w, ok := v.f.base.(filesys.Walker); ok {
			w.Walk(ctx, dir)(yield)
			return
		}
		v.walk(ctx, dir, yield)
	}
}

func (v view) walk(ctx context.Context, dir string, yield func(filesys.Info, error) bool) bool {
	children, err := v.List(ctx, dir)
	if err != nil {
		yield(filesys.Info{Path: dir}, err)
		return false
	}
	for _, c := range children {
		if c.IsDir && !v.walk(ctx, c.Path, yield) || !c.IsDir && !yield(c, nil) {
			return false
		}
	}
	return true
}

type exclusiveView struct {
	faults *FS
	base   filesys.ExclusiveCreator
}

func (v exclusiveView) CreateExclusive(ctx context.Context, p string, content []byte) error {
	return v.faults.call(ctx, CreateExclusive, p, func() error { return v.base.CreateExclusive(ctx, p, content) })
}

type pendingView struct {
	faults *FS
	base   filesys.PendingFS
}

type pendingWriter struct {
	writer
	token func() string
}

func (w *pendingWriter) Token() string { return w.token() }

func (v pendingView) CreatePending(ctx context.Context, p string) (filesys.PendingWriter, error) {
	var w filesys.PendingWriter
	err := v.faults.call(ctx, CreatePending, p, func() (err error) {
		w, err = v.base.CreatePending(ctx, p)
		return err
	})
	if err != nil {
		if w != nil {
			err = errors.Join(err, w.Abort())
		}
		return nil, err
	}
	return &pendingWriter{writer{w, v.faults, ctx, p}, w.Token}, nil
}

func (v pendingView) Publish(ctx context.Context, p, token string) error {
	return v.faults.call(ctx, Publish, p, func() error { return v.base.Publish(ctx, p, token) })
}

func (v pendingView) Pending(ctx context.Context, dir string) (files []filesys.Pending, err error) {
	err = v.faults.call(ctx, ListPending, dir, func() (err error) {
		files, err = v.base.Pending(ctx, dir)
		return err
	})
	return files, err
}

func (v pendingView) Discard(ctx context.Context, p filesys.Pending) error {
	return v.faults.call(ctx, Discard, p.Path, func() error { return v.base.Discard(ctx, p) })
}

package filesys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var errCrash = errors.New("the process was killed")

// pendingMem is a file system in memory that publishes uploads, as S3 does.
type pendingMem struct {
	*memFS
	uploads   map[string]pendingUpload
	published map[string]string // by token, the path
	next      int
}

type pendingUpload struct {
	path string
	data []byte
}

func newPendingMem() *pendingMem {
	return &pendingMem{NewMem("pending").(*memFS), map[string]pendingUpload{}, map[string]string{}, 0}
}

type pendingMemWriter struct {
	fs    *pendingMem
	token string
}

func (w *pendingMemWriter) Write(p []byte) (int, error) {
	u := w.fs.uploads[w.token]
	u.data = append(u.data, p...)
	w.fs.uploads[w.token] = u
	return len(p), nil
}
func (w *pendingMemWriter) Close() error  { return nil }
func (w *pendingMemWriter) Abort() error  { delete(w.fs.uploads, w.token); return nil }
func (w *pendingMemWriter) Token() string { return w.token }

func (m *pendingMem) CreatePending(_ context.Context, p string) (PendingWriter, error) {
	m.next++
	token := fmt.Sprintf("upload-%d", m.next)
	m.uploads[token] = pendingUpload{path: p}
	return &pendingMemWriter{m, token}, nil
}

func (m *pendingMem) Publish(ctx context.Context, p, token string) error {
	u, ok := m.uploads[token]
	if !ok {
		if _, err := m.Stat(ctx, p); err == nil && m.published[token] == p {
			return nil
		}
		return m.fail("publish", p, fs.ErrNotExist)
	}
	w, err := m.Create(ctx, p)
	if err != nil {
		return err
	}
	_, _ = w.Write(u.data)
	delete(m.uploads, token)
	m.published[token] = p
	return w.Close()
}

func (m *pendingMem) Pending(_ context.Context, dir string) ([]Pending, error) {
	var found []Pending
	for _, token := range slices.Sorted(maps.Keys(m.uploads)) {
		if u := m.uploads[token]; strings.HasPrefix(u.path, strings.TrimSuffix(dir, "/")+"/") {
			found = append(found, Pending{Path: u.path, ID: token})
		}
	}
	return found, nil
}

func (m *pendingMem) Discard(_ context.Context, p Pending) error { delete(m.uploads, p.ID); return nil }

// crashFS is a file system whose process is killed at its n-th change: before it takes effect, after it, or (of RemoveAll) half-way. From then on nothing works.
type crashFS struct {
	FS
	at, how int
	mu      sync.Mutex
	changes int
	dead    bool
}

func (c *crashFS) gone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

const (
	before = iota
	after
	halfway
)

func (c *crashFS) change(do func() error, half func() error) error {
	c.mu.Lock() // publishing is concurrent; what the crash leaves behind is whole changes and one half
	defer c.mu.Unlock()
	if c.dead {
		return errCrash
	}
	c.changes++
	if c.changes != c.at {
		return do()
	}
	c.dead = true
	switch {
	case c.how == after:
		_ = do()
	case c.how == halfway && half != nil:
		_ = half()
	}
	return errCrash
}

func (c *crashFS) Open(ctx context.Context, p string) (File, error) {
	if c.gone() {
		return nil, errCrash
	}
	return c.FS.Open(ctx, p)
}

func (c *crashFS) Stat(ctx context.Context, p string) (Info, error) {
	if c.gone() {
		return Info{}, errCrash
	}
	return c.FS.Stat(ctx, p)
}

func (c *crashFS) List(ctx context.Context, p string) ([]Info, error) {
	if c.gone() {
		return nil, errCrash
	}
	return c.FS.List(ctx, p)
}

type crashWriter struct {
	Writer
	c *crashFS
}

func (w *crashWriter) Close() error { return w.c.change(w.Writer.Close, nil) }
func (w *crashWriter) Abort() error { return w.c.change(w.Writer.Abort, nil) }

func (c *crashFS) Create(ctx context.Context, p string) (Writer, error) {
	if c.gone() {
		return nil, errCrash
	}
	w, err := c.FS.Create(ctx, p)
	if err != nil {
		return nil, err
	}
	return &crashWriter{w, c}, nil
}

func (c *crashFS) Rename(ctx context.Context, from, to string) error {
	return c.change(func() error { return c.FS.Rename(ctx, from, to) }, nil)
}

func (c *crashFS) Remove(ctx context.Context, p string) error {
	return c.change(func() error { return c.FS.Remove(ctx, p) }, nil)
}

func (c *crashFS) RemoveAll(ctx context.Context, p string) error {
	return c.change(func() error { return c.FS.RemoveAll(ctx, p) }, func() error {
		for f, err := range walkFS(ctx, c.FS, p) { // the first file only
			if err != nil {
				return err
			}
			return c.FS.Remove(ctx, f.Path)
		}
		return nil
	})
}

// crashPending adds to a crashFS what a PendingFS has.
type crashPending struct {
	*crashFS
	p *pendingMem
}

type crashPendingWriter struct {
	crashWriter
	PendingWriter
}

func (w *crashPendingWriter) Close() error                { return w.crashWriter.Close() }
func (w *crashPendingWriter) Abort() error                { return w.crashWriter.Abort() }
func (w *crashPendingWriter) Write(p []byte) (int, error) { return w.PendingWriter.Write(p) }

func (c *crashPending) CreatePending(ctx context.Context, p string) (PendingWriter, error) {
	var w PendingWriter
	err := c.change(func() (err error) { w, err = c.p.CreatePending(ctx, p); return err }, nil)
	if err != nil {
		return nil, err
	}
	return &crashPendingWriter{crashWriter{w, c.crashFS}, w}, nil
}

func (c *crashPending) Publish(ctx context.Context, p, token string) error {
	return c.change(func() error { return c.p.Publish(ctx, p, token) }, nil)
}

func (c *crashPending) Pending(ctx context.Context, dir string) ([]Pending, error) {
	if c.gone() {
		return nil, errCrash
	}
	return c.p.Pending(ctx, dir)
}

func (c *crashPending) Discard(ctx context.Context, p Pending) error {
	return c.change(func() error { return c.p.Discard(ctx, p) }, nil)
}

// world is a store and the process that works on it.
type world struct {
	t     *testing.T
	store FS // what survives
	crash *crashFS
}

// crashScheme makes crash:// unknown again when the test ends.
func crashScheme(t *testing.T) {
	t.Cleanup(func() {
		registry.Lock()
		defer registry.Unlock()
		delete(registry.openers, "crash")
		delete(registry.open, "crash://x")
	})
}

const crashURI = "crash://x/dir/out"

// boot starts a process that dies at its n-th change; 0 for never.
func (w *world) boot(n, how int) {
	w.crash = &crashFS{FS: w.store, at: n, how: how}
	fsys := FS(w.crash)
	if p, ok := w.store.(*pendingMem); ok {
		fsys = &crashPending{w.crash, p}
	}
	Register("crash", func(context.Context, string) (FS, error) { return fsys, nil })
}

// job writes the named partitions; each attempt is made twice, and only the second is committed.
func (w *world) job(mode SaveMode, content string, partitions ...int) (id string, err error) {
	ctx := w.t.Context()
	o, err := NewOutput(ctx, crashURI, mode)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = o.Abort(ctx) // what the writers do; it must not harm
		}
		endLease(o.ID)
	}()
	var files []TaskFile
	for _, p := range partitions {
		for attempt := range 2 {
			tw, err := o.CreateTaskIn(ctx, p, []string{"", "k=1"}[p%2], ".txt")
			if err != nil {
				return o.ID, err
			}
			if _, err := fmt.Fprintf(tw, "%s %d %d", content, p, attempt); err != nil {
				return o.ID, err
			}
			if err := tw.Close(); err != nil {
				return o.ID, err
			}
			if attempt == 1 {
				files = append(files, tw.File(1))
			}
		}
	}
	return o.ID, o.Commit(ctx, files)
}

// visible is the content of what a reader would take for data.
func (w *world) visible() string {
	var all []string
	for f, err := range walkFS(context.Background(), w.store, "/dir/out") {
		if err != nil {
			break
		}
		if rel := strings.TrimPrefix(f.Path, "/dir/out/"); !hiddenPath(rel) {
			file, err := w.store.Open(context.Background(), f.Path)
			if err != nil {
				w.t.Fatal(err)
			}
			b, err := readAll(file, f.Path)
			if err != nil {
				w.t.Fatal(err)
			}
			all = append(all, string(b))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func (w *world) success() bool {
	_, err := w.store.Stat(context.Background(), "/dir/out/_SUCCESS")
	return err == nil
}

// leftovers lists what should not be there when nobody writes.
func (w *world) leftovers() string {
	var left []string
	if p, ok := w.store.(*pendingMem); ok { // whose directories count for nothing
		for f := range p.files {
			if strings.Contains(f, "/_temporary/") {
				left = append(left, f)
			}
		}
	} else if _, err := w.store.Stat(context.Background(), "/dir/out/_temporary"); err == nil {
		left = append(left, "_temporary")
	}
	if p, ok := w.store.(*pendingMem); ok {
		for token := range p.uploads {
			left = append(left, token)
		}
	}
	return strings.Join(left, " ")
}

// TestCrashes kills a job at each of its changes, and what recovers from that at each of its own.
func TestCrashes(t *testing.T) {
	crashScheme(t)
	defer func(n int) { publishers = n }(publishers)
	publishers = 1
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.DiscardHandler))
	const (
		old     = "a 0 1; a 1 1; a 2 1"
		written = "b 0 1; b 1 1"
	)
	for _, c := range []struct {
		name     string
		pending  bool
		mode     SaveMode
		old, new string
	}{
		{"fresh", false, ErrorIfExists, "", written},
		{"overwrite", false, Overwrite, old, written},
		{"append", false, Append, old, old + "; " + written},
		{"fresh uploads", true, ErrorIfExists, "", written},
		{"overwrite uploads", true, Overwrite, old, written},
		{"append uploads", true, Append, old, old + "; " + written},
	} {
		t.Run(c.name, func(t *testing.T) {
			fresh := func() *world {
				w := &world{t: t, store: NewMem("crash")}
				if c.pending {
					w.store = newPendingMem()
				}
				w.boot(0, before)
				if c.old != "" {
					if _, err := w.job(ErrorIfExists, "a", 0, 1, 2); err != nil {
						t.Fatal(err)
					}
				}
				return w
			}
			// check holds the directory against what readers may see; settled says that it was recovered.
			check := func(w *world, what string, settled bool) {
				t.Helper()
				got := w.visible()
				if w.success() && got != c.old && got != c.new {
					t.Errorf("%s: who waits for _SUCCESS sees %q", what, got)
				}
				w.boot(0, before)
				infos, err := Expand(t.Context(), crashURI)
				switch {
				case errors.Is(err, ErrUnfinished) && !settled:
				case errors.Is(err, fs.ErrNotExist) && c.old == "":
				case err != nil:
					t.Errorf("%s: Expand: %v", what, err)
				case got != c.old && got != c.new:
					t.Errorf("%s: Expand yields %d files: %q", what, len(infos), got)
				}
				if settled {
					if left := w.leftovers(); left != "" {
						t.Errorf("%s: left over: %s", what, left)
					}
					if got != c.old && got != c.new {
						t.Errorf("%s: after recovery: %q", what, got)
					}
					if (got != "") != w.success() {
						t.Errorf("%s: after recovery: _SUCCESS is %v with %q", what, w.success(), got)
					}
				}
			}
			recoverBy := map[string]func() error{
				"clean": func() error { _, err := Clean(t.Context(), crashURI, CleanOptions{}); return err },
				"next job": func() error {
					o, err := NewOutput(t.Context(), crashURI, Append)
					if err != nil {
						return err
					}
					return o.Abort(t.Context())
				},
			}
			crashes, seen := 0, map[string]bool{}
			for _, how := range []int{before, after, halfway} {
				for n := 1; ; n++ {
					w := fresh()
					w.boot(n, how)
					_, err := w.job(c.mode, "b", 0, 1)
					if !w.crash.dead {
						if err != nil || w.visible() != c.new || w.leftovers() != "" {
							t.Fatalf("without a crash: %v, %q, %q", err, w.visible(), w.leftovers())
						}
						break
					}
					crashes++
					what := fmt.Sprintf("%d changes, crash %d", n, how)
					check(w, what, false)
					for by, f := range recoverBy {
						// The recovery dies as well, at each of its changes, and is repeated.
						for m := 1; ; m++ {
							w := fresh()
							w.boot(n, how)
							id, jobErr := w.job(c.mode, "b", 0, 1)
							w.boot(m, how)
							err := f()
							for id := range leases.held {
								endLease(id)
							}
							what := fmt.Sprintf("%s, recovered by %s, crash at %d", what, by, m)
							died := w.crash.dead
							if died {
								check(w, what, false)
								w.boot(0, before)
								err = f()
							}
							if err != nil {
								t.Fatalf("%s: %v", what, err)
							}
							check(w, what, true)
							if jobErr == nil && w.visible() != c.new {
								t.Errorf("%s: job %s was committed and is gone: %q", what, id, w.visible())
							}
							seen[w.visible()] = true
							if !died {
								break
							}
						}
					}
				}
			}
			if crashes < 20 || len(seen) != 2 {
				t.Errorf("%d crashes with %d outcomes: old and new were expected", crashes, len(seen))
			}
		})
	}
}

func TestLostFileTakesCommitBack(t *testing.T) {
	crashScheme(t)
	for _, store := range []FS{NewMem("lost"), newPendingMem()} {
		w := &world{t: t, store: store}
		w.boot(0, before)
		if _, err := w.job(ErrorIfExists, "a", 0, 1, 2); err != nil {
			t.Fatal(err)
		}
		old := w.visible()
		ctx := t.Context()
		for _, who := range []string{"own", "next"} {
			o, err := NewOutput(ctx, crashURI, Overwrite)
			if err != nil {
				t.Fatal(err)
			}
			var files []TaskFile
			for p := range 3 {
				tw, err := o.CreateTask(ctx, p, "")
				if err != nil {
					t.Fatal(err)
				}
				if err := tw.Close(); err != nil {
					t.Fatal(err)
				}
				files = append(files, tw.File(0))
			}
			d, _ := openDir(ctx, o.URI)
			j, err := o.plan(ctx, d, files)
			if err != nil {
				t.Fatal(err)
			}
			// The last file goes before it is published.
			if p, ok := store.(*pendingMem); ok {
				delete(p.uploads, files[2].Token)
			} else if err := store.Remove(ctx, "/dir/out/_temporary/"+o.ID+"/"+path.Base(files[2].Temporary)); err != nil {
				t.Fatal(err)
			}
			if who == "own" {
				err = o.Commit(ctx, files)
				if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnfinished) {
					t.Errorf("commit: %v", err)
				}
				err = o.Abort(ctx)
			} else {
				err = d.put(ctx, d.temporary(o.ID, journalFile), j.encode())
				endLease(o.ID)
				var r CleanReport
				if err == nil {
					r, err = Clean(ctx, crashURI, CleanOptions{})
				}
				if !slices.Equal(r.TakenBack, []string{o.ID}) {
					t.Errorf("report: %+v", r)
				}
			}
			if err != nil || w.visible() != old || !w.success() || w.leftovers() != "" {
				t.Errorf("%s: %v: %q, left %q", who, err, w.visible(), w.leftovers())
			}
		}
	}
}

func TestLeases(t *testing.T) {
	crashScheme(t)
	ctx := t.Context()
	w := &world{t: t, store: NewMem("leases")}
	w.boot(0, before)
	o, err := NewOutput(ctx, crashURI, Append)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewOutput(ctx, crashURI, Append); !errors.Is(err, ErrBusy) {
		t.Errorf("a second job beside a living one: %v", err)
	}
	if _, err := Clean(ctx, crashURI, CleanOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("clean beside a living job: %v", err)
	}
	// A job of another machine is alive as long as its marker is young.
	d, _ := openDir(ctx, crashURI)
	m := thisProcess()
	m.ID, m.Host = newID(), "elsewhere"
	if dead, known := m.dead(); dead || known {
		t.Error("what runs elsewhere is known here")
	}
	now, err := d.now(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.alive(ctx, leftJob{m.ID, &m, now.Add(-time.Second)}); !errors.Is(err, ErrBusy) {
		t.Errorf("a young job elsewhere: %v", err)
	}
	if err := d.alive(ctx, leftJob{m.ID, &m, now.Add(-leaseExpiry)}); err != nil {
		t.Errorf("an old job elsewhere: %v", err)
	}
	m = thisProcess()
	m.PID = 1 << 30
	if dead, known := m.dead(); !dead || !known {
		t.Error("a process that is gone passes for alive")
	}
	// Taken for dead by another one, the job notices at its commit.
	if err := d.removeJob(ctx, o.ID); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(ctx, nil); !errors.Is(err, ErrTakenOver) {
		t.Errorf("commit of a job whose place was taken: %v", err)
	}
	if err := o.Abort(ctx); err != nil {
		t.Error(err)
	}
	// What is not ours stays.
	for _, name := range []string{"_temporary/0/task/part-00000", "_temporary/notes"} {
		if err := d.put(ctx, d.at(name), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Clean(ctx, crashURI, CleanOptions{})
	if err != nil || !slices.Equal(r.Foreign, []string{"_temporary/0", "_temporary/notes"}) {
		t.Errorf("foreign: %+v, %v", r, err)
	}
	if o, err = NewOutput(ctx, crashURI, ""); err != nil {
		t.Fatal(err)
	}
	endLease(o.ID)
	if r, err = Clean(ctx, crashURI, CleanOptions{OlderThan: time.Hour}); err != nil || !slices.Equal(r.Spared, []string{o.ID}) {
		t.Errorf("young: %+v, %v", r, err)
	}
	if r, err = Clean(ctx, crashURI, CleanOptions{}); err != nil || !slices.Equal(r.Removed, []string{o.ID}) {
		t.Errorf("removed: %+v, %v", r, err)
	}
}

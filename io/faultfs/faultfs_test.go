package faultfs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/faultfs"
	"github.com/spark-go/spark-go/io/filesys"
)

// The second read of every Parquet file fails, and works when it is tried again.
func ExampleRegister() {
	ctx := context.Background()
	faults := faultfs.Register("flaky", filesys.NewMem("flaky"),
		faultfs.Rule{Op: faultfs.ReadAt, Path: "*.parquet", Nth: 2, Err: syscall.EIO})
	if err := filesys.WriteFile(ctx, "fault://flaky/dir/a.parquet", []byte("content")); err != nil {
		fmt.Println(err)
	}
	for range 3 {
		b, err := filesys.ReadFile(ctx, "fault://flaky/dir/a.parquet")
		fmt.Printf("%q %v\n", b, errors.Is(err, syscall.EIO))
	}
	fmt.Println("struck", faults.Fired(0), "of", faults.Calls(faultfs.ReadAt))
	// Output:
	// "content" false
	// "" true
	// "content" false
	// struck 1 of 3
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name string
		rule faultfs.Rule
		want string // which of six calls fail: open /a/x, open /a/y, stat /a/x, open /a/x, open /b/x, open /a/x
	}{
		{"all", faultfs.Rule{Times: -1}, "xxxxxx"},
		{"first", faultfs.Rule{}, "x....."},
		{"operation", faultfs.Rule{Op: faultfs.Stat, Times: -1}, "..x..."},
		{"name", faultfs.Rule{Path: "x", Times: -1}, "x.xxxx"},
		{"path", faultfs.Rule{Path: "/a/*", Times: -1}, "xxxx.x"},
		{"below", faultfs.Rule{Path: "/b/**", Times: -1}, "....x."},
		{"from the second, twice", faultfs.Rule{Op: faultfs.Open, Path: "/a/x", Nth: 2, Times: 2}, "...x.x"},
		{"third only", faultfs.Rule{Op: faultfs.Open, Nth: 3}, "...x.."},
	} {
		base := filesys.NewMem("rules")
		for _, p := range []string{"/a/x", "/a/y", "/b/x"} {
			create(t, base, p, "content")
		}
		faults := faultfs.New(base, c.rule)
		f := faults.View()
		var got strings.Builder
		for i, p := range []string{"/a/x", "/a/y", "/a/x", "/a/x", "/b/x", "/a/x"} {
			var err error
			if i == 2 {
				_, err = f.Stat(t.Context(), p)
			} else {
				_, err = f.Open(t.Context(), p)
			}
			switch {
			case err == nil:
				got.WriteByte('.')
			case errors.Is(err, faultfs.ErrInjected):
				got.WriteByte('x')
			default:
				t.Error(err)
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.String(), c.want)
		}
		if n := strings.Count(c.want, "x"); faults.Fired(0) != n {
			t.Errorf("%s: fired %d times, want %d", c.name, faults.Fired(0), n)
		}
	}
}

func create(t *testing.T, f filesys.FS, p, content string) {
	t.Helper()
	w, err := f.Create(t.Context(), p)
	if err == nil {
		if _, err = w.Write([]byte(content)); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestKinds(t *testing.T) {
	ctx := t.Context()
	base := filesys.NewMem("kinds")
	create(t, base, "/file", "0123456789")
	faults := faultfs.New(base)
	f := faults.View()
	b := make([]byte, 8)

	faults.SetRules(faultfs.Rule{Op: faultfs.ReadAt, Short: 3})
	r, err := f.Open(ctx, "/file")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.ReadAt(b, 1); n != 3 || !errors.Is(err, io.ErrUnexpectedEOF) || string(b[:n]) != "123" {
		t.Errorf("a short read: %d %v %q", n, err, b[:n])
	}
	if n, err := r.ReadAt(b, 1); n != 8 || err != nil {
		t.Errorf("the read after it: %d %v", n, err)
	}

	faults.SetRules(faultfs.Rule{Op: faultfs.ReadAt, Delay: 20 * time.Millisecond})
	began := time.Now()
	if n, err := r.ReadAt(b, 1); n != 8 || err != nil || time.Since(began) < 20*time.Millisecond {
		t.Errorf("a late read: %d %v after %v", n, err, time.Since(began))
	}

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	faults.SetRules(faultfs.Rule{Op: faultfs.Stat, Delay: time.Hour})
	if _, err := f.Stat(cancelled, "/file"); !errors.Is(err, context.Canceled) {
		t.Errorf("a delay after the end of the context: %v", err)
	}

	faults.SetRules(faultfs.Rule{Op: faultfs.Rename, Late: true})
	if err := f.Rename(ctx, "/file", "/moved"); !errors.Is(err, faultfs.ErrInjected) {
		t.Errorf("a lost answer: %v", err)
	}
	if _, err := base.Stat(ctx, "/moved"); err != nil {
		t.Errorf("the answer was lost, but the work not done: %v", err)
	}

	faults.SetRules(faultfs.Rule{Op: faultfs.Close})
	w, err := f.Create(ctx, "/new")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); !errors.Is(err, faultfs.ErrInjected) {
		t.Errorf("close: %v", err)
	}
	if _, err := base.Stat(ctx, "/new"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file whose Close failed is there: %v", err)
	}

	faults.SetRules(faultfs.Rule{Op: faultfs.Write, Nth: 2, Short: 2})
	if w, err = f.Create(ctx, "/new"); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("abc"))
	if n, err := w.Write([]byte("def")); n != 2 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a short write: %d %v", n, err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

// store has the optional interfaces of an object store.
type store struct{ filesys.FS }

func (store) CreateExclusive(context.Context, string, []byte) error { return nil }

func (store) CreatePending(context.Context, string) (filesys.PendingWriter, error) { return nil, nil }

func (store) Publish(context.Context, string, string) error { return nil }

func (store) Pending(context.Context, string) ([]filesys.Pending, error) { return nil, nil }

func (store) Discard(context.Context, filesys.Pending) error { return nil }

func (store) Walk(context.Context, string) iter.Seq2[filesys.Info, error] {
	return func(func(filesys.Info, error) bool) {}
}

func TestOptionalInterfaces(t *testing.T) {
	plain := faultfs.New(filesys.NewMem("plain")).View()
	if _, ok := plain.(filesys.PendingFS); ok {
		t.Error("pending files over a file system without them")
	}
	if _, ok := plain.(filesys.ExclusiveCreator); ok {
		t.Error("exclusive files over a file system without them")
	}
	faults := faultfs.New(store{filesys.NewMem("store")}, faultfs.Rule{Op: faultfs.Publish}, faultfs.Rule{Op: faultfs.CreateExclusive})
	f := faults.View()
	if err := f.(filesys.PendingFS).Publish(t.Context(), "/x", ""); !errors.Is(err, faultfs.ErrInjected) {
		t.Errorf("publish: %v", err)
	}
	if err := f.(filesys.ExclusiveCreator).CreateExclusive(t.Context(), "/x", nil); !errors.Is(err, faultfs.ErrInjected) {
		t.Errorf("create exclusively: %v", err)
	}
	if _, _, err := filesys.Get(t.Context(), "fault://nobody/x"); err == nil {
		t.Error("a name that nobody registered was opened")
	}
}

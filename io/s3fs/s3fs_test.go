package s3fs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

func TestFiles(t *testing.T) {
	g := startGateway(t)
	use(t, g.addr, nil)
	b := makeBucket(t, "files")
	ctx := t.Context()
	for name, content := range map[string][]byte{
		"empty": nil, "small": []byte("abc"), "tail": pattern(tailSize), "tail+1": pattern(tailSize + 1),
		"a b/ü+%20&=?#ñ/日本.txt": []byte("utf-8"), "part": pattern(defaultPartSize), "parts": pattern(3*defaultPartSize + 12345),
	} {
		uri := "s3://files/dir/" + name
		if err := write(ctx, uri, content); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := filesys.ReadFile(ctx, uri)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%s: %d bytes, want %d: %v", name, len(got), len(content), err)
		}
		info, err := filesys.Stat(ctx, uri)
		if err != nil || info.Size != int64(len(content)) || info.IsDir {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		f, err := filesys.OpenUnchanged(ctx, uri, info.Size, info.ModTime)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		if n, err := f.ReadAt(buf, f.Size()); n != 0 || err != io.EOF {
			t.Errorf("%s: read at the end: %d, %v", name, n, err)
		}
		f.Close()
	}
	if n := uploads(t, b); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	list, err := b.List(ctx, "/dir")
	if want := "/dir/a b/ /dir/empty /dir/part /dir/parts /dir/small /dir/tail /dir/tail+1"; err != nil || names(list) != want {
		t.Errorf("list: %s, want %s: %v", names(list), want, err)
	}
	all, err := filesys.Expand(ctx, "s3://files/dir")
	if err != nil || len(all) != 7 {
		t.Fatalf("expand: %s, %v", names(all), err)
	}
	for _, i := range all { // a listing and an opening agree
		f, err := filesys.OpenUnchanged(ctx, i.URI, i.Size, i.ModTime)
		if err != nil {
			t.Errorf("%s: %v", i.URI, err)
			continue
		}
		f.Close()
	}
	for _, uri := range []string{"s3://files/none", "s3://files/dir/smal", "s3a://files/dir/small/x"} {
		if _, err := filesys.Stat(ctx, uri); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat %s: %v", uri, err)
		}
		if _, err := filesys.Open(ctx, uri); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s: %v", uri, err)
		}
	}
	if info, err := filesys.Stat(ctx, "s3://files/dir/a b"); err != nil || !info.IsDir {
		t.Errorf("a directory: %+v, %v", info, err)
	}
	if _, err := filesys.Open(ctx, "s3://files/dir"); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("open a directory: %v", err)
	}
	if _, err := b.List(ctx, "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list nothing: %v", err)
	}
	if err := b.CreateExclusive(ctx, "/dir/small", nil); !errors.Is(err, fs.ErrExist) {
		t.Errorf("exclusive on an existing file: %v", err)
	}
	if err := b.CreateExclusive(ctx, "/dir/new", []byte("x")); err != nil {
		t.Error(err)
	}
	if err := b.Rename(ctx, "/dir", "/renamed/a+b c"); err != nil {
		t.Fatal(err)
	}
	if got, err := filesys.ReadFile(ctx, "s3://files/renamed/a+b c/parts"); err != nil || len(got) != 3*defaultPartSize+12345 {
		t.Errorf("after rename: %d, %v", len(got), err)
	}
	if err := b.Remove(ctx, "/renamed"); err == nil {
		t.Error("a directory with content is removed")
	}
	if err := b.Remove(ctx, "/renamed/a+b c/new"); err != nil {
		t.Error(err)
	}
	if err := errors.Join(b.RemoveAll(ctx, "/renamed"), b.RemoveAll(ctx, "/renamed")); err != nil {
		t.Error(err)
	}
	if list, err := b.List(ctx, "/"); err != nil || len(list) != 0 {
		t.Errorf("in the end: %s, %v", names(list), err)
	}
}

func TestWriterLeavesNothing(t *testing.T) {
	g := startGateway(t)
	use(t, g.addr, nil)
	b := makeBucket(t, "aborts")
	big := pattern(defaultPartSize*2 + 5)
	w, err := filesys.Create(t.Context(), "s3://aborts/x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(big); err != nil {
		t.Fatal(err)
	}
	if uploads(t, b) != 1 {
		t.Fatal("no upload is under way")
	}
	if err := errors.Join(w.Abort(), w.Abort(), w.Close()); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if w, err = filesys.Create(ctx, "s3://aborts/x"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(big); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("close after cancel: %v", err)
	}
	if n := uploads(t, b); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
	if _, err := b.Stat(t.Context(), "/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is visible: %v", err)
	}
}

func TestPending(t *testing.T) {
	g := startGateway(t)
	use(t, g.addr, nil)
	b := makeBucket(t, "pending")
	ctx := t.Context()
	for _, content := range [][]byte{nil, []byte("x"), pattern(defaultPartSize + 1)} {
		w, err := b.CreatePending(ctx, "/d/f")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Stat(ctx, "/d/f"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("visible before it is published: %v", err)
		}
		p, err := b.Pending(ctx, "/d")
		if err != nil || len(p) != 1 || p[0].Path != "/d/f" {
			t.Fatalf("pending: %v, %v", p, err)
		}
		for range 2 { // the second time as after a lost answer
			if err := b.Publish(ctx, "/d/f", w.Token()); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := filesys.ReadFile(ctx, "s3://pending/d/f"); err != nil || !bytes.Equal(got, content) {
			t.Errorf("published: %d bytes of %d, %v", len(got), len(content), err)
		}
		if err := errors.Join(b.Remove(ctx, "/d/f"), b.Discard(ctx, p[0])); err != nil {
			t.Error(err)
		}
	}
	w, _ := b.CreatePending(ctx, "/d/g")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	p, _ := b.Pending(ctx, "/d")
	if err := b.Discard(ctx, p[0]); err != nil {
		t.Fatal(err)
	}
	if err := b.Publish(ctx, "/d/g", w.Token()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("publish what was discarded: %v", err)
	}
	if err := b.Publish(ctx, "/d/g", "{}"); err == nil {
		t.Error("a token of nothing is published")
	}
	if n := uploads(t, b); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func TestChangedFileIsDetected(t *testing.T) {
	g := startGateway(t)
	use(t, g.addr, nil)
	makeBucket(t, "changed")
	ctx := t.Context()
	uri := "s3://changed/f"
	if err := write(ctx, uri, pattern(1<<20)); err != nil {
		t.Fatal(err)
	}
	info, err := filesys.Stat(ctx, uri)
	if err != nil {
		t.Fatal(err)
	}
	f, err := filesys.Open(ctx, uri)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other := pattern(1 << 20)
	other[0]++
	if err := write(ctx, uri, other); err != nil { // of the same size, within the same second
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, 10), 0); !errors.Is(err, filesys.ErrChanged) {
		t.Errorf("read after the change: %v", err)
	}
	if _, err := filesys.OpenUnchanged(ctx, uri, info.Size, info.ModTime); !errors.Is(err, filesys.ErrChanged) {
		t.Errorf("opened after the change: %v", err)
	}
	again, err := filesys.Open(ctx, uri)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	fsys, p, _ := filesys.Get(ctx, uri)
	if err := fsys.Remove(ctx, p); err != nil {
		t.Fatal(err)
	}
	if _, err := again.ReadAt(make([]byte, 10), 0); !errors.Is(err, filesys.ErrChanged) {
		t.Errorf("read after the removal: %v", err)
	}
}

func TestReads(t *testing.T) {
	g := startGateway(t)
	p := startProxy(t, g.addr)
	use(t, p.addr, nil)
	makeBucket(t, "reads")
	ctx := t.Context()
	content := pattern(24 << 20)
	if err := write(ctx, "s3://reads/f", content); err != nil {
		t.Fatal(err)
	}
	open := func() filesys.File {
		p.set(nil)
		f, err := filesys.Open(ctx, "s3://reads/f")
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	t.Run("sequential", func(t *testing.T) {
		f := open()
		defer f.Close()
		got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if n, bytes := p.count(); n > 10 || bytes > int64(len(content))*11/10 {
			t.Errorf("%d requests for %d bytes", n, bytes)
		}
	})
	t.Run("at once", func(t *testing.T) {
		f := open()
		defer f.Close()
		got := make([]byte, len(content))
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
			t.Fatal(err)
		}
	})
	t.Run("footer and near pages", func(t *testing.T) {
		f := open()
		defer f.Close()
		buf := make([]byte, 4<<10)
		for off := f.Size() - 60<<10; off < f.Size(); off += 8 << 10 {
			if _, err := f.ReadAt(buf, off); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		for i := range 10 {
			if _, err := f.ReadAt(buf, 10<<20+int64(i)*20<<10); err != nil || !bytes.Equal(buf, content[10<<20+i*20<<10:][:len(buf)]) {
				t.Fatal(err)
			}
		}
		if n, bytes := p.count(); n != 2 || bytes > 400<<10 {
			t.Errorf("%d requests for %d bytes, want one for the tail and one for the pages", n, bytes)
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		f := open()
		defer f.Close()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(i)))
				for range 25 {
					off := rng.IntN(len(content))
					buf := make([]byte, 1+rng.IntN([]int{100, 1 << 16, 6 << 20}[rng.IntN(3)]))
					n, err := f.ReadAt(buf, int64(off))
					if want := content[off:min(len(content), off+len(buf))]; !bytes.Equal(buf[:n], want) || (n < len(buf)) != (err == io.EOF) || err != nil && err != io.EOF {
						t.Errorf("%d bytes at %d: %d, %v", len(buf), off, n, err)
						return
					}
				}
			})
		}
		wg.Wait()
	})
	t.Run("broken off", func(t *testing.T) {
		f := open()
		defer f.Close()
		fired := 0
		p.set(func(n int, r *http.Request) fault {
			if r.Method == http.MethodGet && n%2 == 1 {
				fired++
				return fault{cut: 100_000}
			}
			return fault{}
		})
		got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if fired == 0 {
			t.Error("nothing was cut")
		}
	})
}

func TestFaults(t *testing.T) {
	g := startGateway(t)
	p := startProxy(t, g.addr)
	defer func(d time.Duration) { longestPause = d }(longestPause)
	longestPause = 20 * time.Millisecond
	use(t, p.addr, map[string]string{"connection.timeout": "500ms"})
	b := makeBucket(t, "faults")
	ctx := t.Context()
	content := pattern(2*defaultPartSize + 3)
	for name, f := range map[string]fault{"500": {status: 500}, "503": {status: 503}, "lost": {lose: true}, "slow": {delay: 100 * time.Millisecond}, "hangs": {delay: time.Minute}} {
		t.Run(name, func(t *testing.T) {
			fired := 0
			p.set(func(n int, _ *http.Request) fault {
				if n%3 == 0 && fired < 4 {
					fired++
					return f
				}
				return fault{}
			})
			uri := "s3://faults/" + name
			if err := write(ctx, uri, content); err != nil {
				t.Fatal(err)
			}
			w, err := b.CreatePending(ctx, "/p"+name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := b.Publish(ctx, "/p"+name, w.Token()); err != nil {
				t.Fatal(err)
			}
			for _, u := range []string{uri, "s3://faults/p" + name} {
				if got, err := filesys.ReadFile(ctx, u); err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
			}
			if fired == 0 {
				t.Error("no fault fired")
			}
		})
	}
	t.Run("for good", func(t *testing.T) {
		b.opts.attempts = 2
		p.set(func(int, *http.Request) fault { return fault{status: 503} })
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := filesys.Open(ctx, "s3://faults/500")
		if err == nil || time.Since(start) > 5*time.Second {
			t.Errorf("open at a dead store: %v after %v", err, time.Since(start))
		}
	})
}

func TestRestart(t *testing.T) {
	g := startGateway(t)
	defer func(d time.Duration) { longestPause = d }(longestPause)
	longestPause = 300 * time.Millisecond
	use(t, g.addr, nil)
	makeBucket(t, "restart")
	ctx := t.Context()
	content := pattern(12 << 20)
	if err := write(ctx, "s3://restart/f", content); err != nil {
		t.Fatal(err)
	}
	f, err := filesys.Open(ctx, "s3://restart/f")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g.stop()
	back := make(chan struct{})
	go func() {
		defer close(back)
		time.Sleep(400 * time.Millisecond)
		g.start()
	}()
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("read over a restart: %d bytes, %v", len(got), err)
	}
	<-back
	if err := write(ctx, "s3://restart/g", content); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	g := startGateway(t)
	ctx := t.Context()
	expect := func(name string, is error, words ...string) {
		t.Helper()
		_, openErr := filesys.Open(ctx, "s3://nowhere/x")
		_, statErr := filesys.Stat(ctx, "s3://nowhere/x")
		_, listErr := filesys.Expand(ctx, "s3://nowhere/x")
		writeErr := filesys.WriteFile(ctx, "s3://nowhere/x", []byte("x"))
		for op, err := range map[string]error{"open": openErr, "stat": statErr, "list": listErr, "write": writeErr} {
			if err == nil || is != nil && !errors.Is(err, is) {
				t.Errorf("%s, %s: %v", name, op, err)
				continue
			}
			for _, w := range words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%s, %s: %q says nothing of %s", name, op, err, w)
				}
			}
		}
	}
	use(t, g.addr, nil)
	expect("bucket", ErrNoBucket, "nowhere", g.addr)
	use(t, g.addr, map[string]string{"secret.key": "wrong"})
	expect("secret", fs.ErrPermission, "secret")
	use(t, g.addr, map[string]string{"access.key": "nobody"})
	expect("access", fs.ErrPermission, "access key")
	use(t, freeAddr(t), map[string]string{"attempts.maximum": "1"})
	expect("address", nil, "endpoint")
	use(t, g.addr, map[string]string{"path.style.access": "maybe"})
	expect("setting", nil, "path.style.access", "true or false")
	use(t, g.addr, map[string]string{"bucket.nowhere.secret.key": "wrong"})
	expect("of one bucket", fs.ErrPermission)
	use(t, g.addr, map[string]string{"access.key": "", "secret.key": ""})
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	expect("none", nil, "AWS_ACCESS_KEY_ID")
	t.Setenv("AWS_ACCESS_KEY_ID", testAccess)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_ENDPOINT_URL", "http://"+g.addr)
	use(t, g.addr, map[string]string{"access.key": "", "secret.key": "", "endpoint": ""})
	expect("environment", ErrNoBucket)
}

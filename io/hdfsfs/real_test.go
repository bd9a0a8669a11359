package hdfsfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/hdfsfs"
)

// server returns the file system of the test servers and a fresh directory on it.
func server(t testing.TB) (*hdfsfs.FS, string) {
	t.Helper()
	uri, conf := os.Getenv("SPARK_GO_TEST_HDFS"), os.Getenv("SPARK_GO_TEST_HADOOP_CONF")
	if uri == "" {
		t.Skip(`no HDFS to test with: .ci/servers start && eval "$(.ci/servers env)"`)
	}
	f, err := hdfsfs.New("", hdfsfs.Options{ConfDir: conf})
	if err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("/test/%s-%d", path.Base(t.Name()), time.Now().UnixNano())
	t.Cleanup(func() {
		if err := f.RemoveAll(context.Background(), dir); err != nil {
			t.Error(err)
		}
		f.Close()
	})
	return f, dir
}

// control tells .ci/servers to do something with a server.
func control(t testing.TB, args ...string) {
	t.Helper()
	if out, err := exec.Command(os.Getenv("SPARK_GO_TEST_SERVERS"), args...).CombinedOutput(); err != nil {
		t.Fatalf(".ci/servers %v: %v: %s", args, err, out)
	}
}

func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	rng.Read(b)
	return b
}

func write(t testing.TB, f filesys.FS, p string, b []byte) {
	t.Helper()
	w, err := f.Create(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 {
		n := min(len(b), 100_000)
		if _, err := w.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, f filesys.FS, p string) []byte {
	t.Helper()
	r, err := f.Open(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b := make([]byte, r.Size())
	if n, err := r.ReadAt(b, 0); n < len(b) {
		t.Fatalf("read %d of %d: %v", n, len(b), err)
	}
	return b
}

func TestWriteAndRead(t *testing.T) {
	f, dir := server(t)
	for i, n := range []int{0, 1, 511, 512, 513, 70_000, 1 << 20, 1<<20 + 1, 16 << 20, 40<<20 + 12345} {
		for _, name := range []string{"plain", "with space", "größe ☃ 100%", "a+b=c;d,e#f?g"} {
			if n > 1<<20 && name != "plain" {
				continue
			}
			p := fmt.Sprintf("%s/sub/%s-%d", dir, name, n)
			want := content(uint64(i), n)
			write(t, f, p, want)
			if !bytes.Equal(read(t, f, p), want) {
				t.Fatalf("%s: other bytes", p)
			}
			info, err := f.Stat(t.Context(), p)
			if err != nil || info.Size != int64(n) || info.Path != p || info.IsDir || time.Since(info.ModTime) > time.Minute {
				t.Fatalf("stat %s: %+v, %v", p, info, err)
			}
		}
	}
	list, err := f.List(t.Context(), dir+"/sub")
	if err != nil || len(list) != 7*4+3 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for i := 1; i < len(list); i++ {
		if list[i-1].Path >= list[i].Path {
			t.Fatalf("%s before %s", list[i-1].Path, list[i].Path)
		}
	}
}

func TestContract(t *testing.T) {
	f, dir := server(t)
	ctx := t.Context()
	is := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := f.Open(ctx, dir+"/none")
	is("open a missing file", err, fs.ErrNotExist)
	_, err = f.Stat(ctx, dir+"/none")
	is("stat a missing file", err, fs.ErrNotExist)
	_, err = f.List(ctx, dir+"/none")
	is("list a missing directory", err, fs.ErrNotExist)
	is("remove a missing file", f.Remove(ctx, dir+"/none"), fs.ErrNotExist)
	ok("remove all of nothing", f.RemoveAll(ctx, dir+"/none"))
	is("rename a missing file", f.Rename(ctx, dir+"/none", dir+"/x"), fs.ErrNotExist)

	write(t, f, dir+"/a/one", []byte("one"))
	write(t, f, dir+"/a/one", []byte("two"))
	if got := read(t, f, dir+"/a/one"); string(got) != "two" {
		t.Errorf("a file written again: %q", got)
	}
	_, err = f.Open(ctx, dir+"/a")
	if err == nil {
		t.Error("a directory was opened")
	}
	_, err = f.List(ctx, dir+"/a/one")
	if err == nil {
		t.Error("a file was listed")
	}
	_, err = f.Create(ctx, dir+"/a")
	if err == nil {
		t.Error("a file was created over a directory")
	}
	if err := f.Remove(ctx, dir+"/a"); err == nil {
		t.Error("a directory with content was removed")
	}
	ok("rename into a new directory", f.Rename(ctx, dir+"/a/one", dir+"/b/c/one"))
	write(t, f, dir+"/a/three", []byte("three"))
	ok("rename over a file", f.Rename(ctx, dir+"/a/three", dir+"/b/c/one"))
	if got := read(t, f, dir+"/b/c/one"); string(got) != "three" {
		t.Errorf("a file renamed over another: %q", got)
	}
	ok("rename a directory", f.Rename(ctx, dir+"/b", dir+"/d/e"))
	if got := read(t, f, dir+"/d/e/c/one"); string(got) != "three" {
		t.Errorf("a renamed directory: %q", got)
	}
	ok("rename to itself", f.Rename(ctx, dir+"/d", dir+"/d"))
	ok("mkdir", f.MkdirAll(ctx, dir+"/m/n/o"))
	ok("mkdir again", f.MkdirAll(ctx, dir+"/m/n/o"))
	ok("remove an empty directory", f.Remove(ctx, dir+"/m/n/o"))

	// Nothing shows before Close, nothing after Abort.
	w, err := f.Create(ctx, dir+"/half")
	ok("create", err)
	for range 30 { // into the third block
		_, err = w.Write(content(1, 1<<20))
		ok("write", err)
	}
	_, err = f.Stat(ctx, dir+"/half")
	is("stat before Close", err, fs.ErrNotExist)
	ok("abort", w.Abort())
	ok("close after abort", w.Close())
	list, err := f.List(ctx, dir)
	ok("list", err)
	for _, i := range list {
		if !i.IsDir {
			t.Errorf("an aborted file left %s", i.Path)
		}
	}
	// A cancelled context ends the file.
	cancelled, cancel := context.WithCancel(ctx)
	w, err = f.Create(cancelled, dir+"/cancelled")
	ok("create", err)
	for range 5 {
		_, err = w.Write(content(1, 1<<20))
		ok("write", err)
	}
	cancel()
	is("close after cancel", w.Close(), context.Canceled)
	list, err = f.List(ctx, dir)
	ok("list", err)
	for _, i := range list {
		if !i.IsDir {
			t.Errorf("a cancelled file left %s", i.Path)
		}
	}
}

func TestConcurrentRandomReads(t *testing.T) {
	f, dir := server(t)
	want := content(7, 50<<20)
	write(t, f, dir+"/file", want)
	r, err := f.Open(t.Context(), dir+"/file")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var group sync.WaitGroup
	for g := range 12 {
		group.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			off := int64(0)
			for i := range 40 {
				n := 1 + rng.IntN(300_000)
				if i%3 == 0 {
					n = 1 + rng.IntN(3000)
				}
				if i%4 == 0 {
					off = rng.Int64N(int64(len(want)))
				}
				b := make([]byte, n)
				got, err := r.ReadAt(b, off)
				if err != nil && !errors.Is(err, io.EOF) {
					t.Errorf("read %d at %d: %v", n, off, err)
					return
				}
				if expected := min(n, len(want)-int(off)); got != expected || !bytes.Equal(b[:got], want[off:off+int64(got)]) {
					t.Errorf("read %d at %d: %d bytes, want %d, or others", n, off, got, expected)
					return
				}
				off = (off + int64(got)) % int64(len(want))
			}
		})
	}
	group.Wait()
	if n, err := r.ReadAt(make([]byte, 10), int64(len(want))); n != 0 || err != io.EOF {
		t.Errorf("read at the end: %d, %v", n, err)
	}
	if n, err := r.ReadAt(make([]byte, 10), int64(len(want))-4); n != 4 || err != io.EOF {
		t.Errorf("read over the end: %d, %v", n, err)
	}
}

func TestReplacedWhileOpen(t *testing.T) {
	f, dir := server(t)
	write(t, f, dir+"/file", content(1, 3<<20))
	r, err := f.Open(t.Context(), dir+"/file")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	write(t, f, dir+"/file", content(2, 3<<20))
	if _, err := r.ReadAt(make([]byte, 1000), 0); !errors.Is(err, filesys.ErrChanged) {
		t.Errorf("a file replaced after it was opened: %v", err)
	}
}

func TestLocations(t *testing.T) {
	f, dir := server(t)
	p := dir + "/with space ☃"
	write(t, f, p, content(1, 40<<20))
	blocks, err := f.Locations(t.Context(), p, 0, 40<<20)
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) != 3 || blocks[1].Offset != 16<<20 || blocks[2].Length != 8<<20 || len(blocks[0].Hosts) != 2 {
		t.Errorf("%+v", blocks)
	}
	if blocks, err = f.Locations(t.Context(), p, 17<<20, 10); err != nil || len(blocks) != 1 {
		t.Errorf("%+v, %v", blocks, err)
	}
}

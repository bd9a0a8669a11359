package hdfsfs_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/hdfsfs"
	"github.com/spark-go/spark-go/io/internal/storetest"
)

const benchBytes = 256 << 20

// plain is the client library as it is, without what this package puts around it.
func plain(b *testing.B) *hdfs.Client {
	b.Helper()
	c, err := hdfs.NewClient(hdfs.ClientOptions{Addresses: []string{strings.TrimPrefix(os.Getenv("SPARK_GO_TEST_HDFS"), "hdfs://")}, User: "root"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return c
}

func benchFile(b *testing.B) (f *hdfsfs.FS, dir, p string) {
	f, dir = server(b)
	p = dir + "/file"
	write(b, f, p, content(1, benchBytes))
	read(b, f, p) // the servers' first run is slow
	return f, dir, p
}

// BenchmarkRandomReads reads 64 KiB here and there.
func BenchmarkRandomReads(b *testing.B) {
	f, _, p := benchFile(b)
	r, err := f.Open(b.Context(), p)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 64<<10)
	off := int64(0)
	for b.Loop() {
		off = (off + 97<<20 + 12345) % (benchBytes - int64(len(buf)))
		if _, err := r.ReadAt(buf, off); err != nil {
			b.Fatal(err)
		}
	}
}

// copyOf reads a file from end to end with the plain client.
func copyOf(b *testing.B, c *hdfs.Client, p string, w io.Writer, buf []byte) {
	r, err := c.Open(p)
	if err != nil {
		b.Fatal(err)
	}
	for {
		n, err := io.ReadFull(r, buf)
		if _, err := w.Write(buf[:n]); err != nil {
			b.Fatal(err)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	r.Close()
}

// BenchmarkCompareRead reads a file in pieces of 1 MiB beside the plain client.
func BenchmarkCompareRead(b *testing.B) {
	f, _, p := benchFile(b)
	c, buf, plainBuf := plain(b), make([]byte, 1<<20), make([]byte, 1<<20)
	storetest.Compare(b, benchBytes, func() { copyOf(b, c, p, io.Discard, plainBuf) }, func() {
		r, err := f.Open(b.Context(), p)
		if err != nil {
			b.Fatal(err)
		}
		for off := int64(0); off < benchBytes; off += int64(len(buf)) {
			if _, err := r.ReadAt(buf, off); err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
	})
}

// closed closes a file, once its blocks are replicated.
func closed(w io.Closer) error {
	err := w.Close()
	for hdfs.IsErrReplicating(err) {
		time.Sleep(5 * time.Millisecond)
		err = w.Close()
	}
	return err
}

// BenchmarkCompareWrite writes a file beside the plain client.
func BenchmarkCompareWrite(b *testing.B) {
	f, dir := server(b)
	if err := f.MkdirAll(b.Context(), dir); err != nil {
		b.Fatal(err)
	}
	c, piece := plain(b), content(1, 1<<20)
	fill := func(w io.Writer, err error) {
		for i := 0; err == nil && i < benchBytes/len(piece); i++ {
			_, err = w.Write(piece)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	storetest.Compare(b, benchBytes, func() {
		w, err := c.Create(dir + "/plain")
		fill(w, err)
		if err = closed(w); err == nil {
			err = c.Remove(dir + "/plain")
		}
		if err != nil {
			b.Fatal(err)
		}
	}, func() {
		w, err := f.Create(b.Context(), dir+"/file")
		fill(w, err)
		if err := errors.Join(w.Close(), f.Remove(b.Context(), dir+"/file")); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkCompareParquet reads and copies tables beside the local disk and the plain client.
func BenchmarkCompareParquet(b *testing.B) {
	_, dir := server(b)
	c, buf := plain(b), make([]byte, 1<<20)
	storetest.CompareParquet(b, session(b), b.TempDir(), uri(b, dir), storetest.Plain{
		Read: func(f filesys.Info, w io.Writer) { copyOf(b, c, f.Path, w, buf) },
		Copy: func(f filesys.Info, to string) {
			r, err := c.Open(f.Path)
			if err == nil {
				err = c.MkdirAll(path.Dir(to), 0o755)
			}
			if err != nil {
				b.Error(err)
				return
			}
			defer r.Close()
			if err := c.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
				b.Error(err)
			}
			w, err := c.Create(to)
			if err != nil {
				b.Error(err)
				return
			}
			_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 1<<20))
			if err := errors.Join(err, closed(w)); err != nil {
				b.Error(err)
			}
		},
	})
}

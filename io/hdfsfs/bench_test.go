package hdfsfs_test

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/colinmarc/hdfs/v2"

	"github.com/spark-go/spark-go/io/hdfsfs"
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

func BenchmarkReadPlainClient(b *testing.B) {
	_, _, p := benchFile(b)
	c := plain(b)
	b.SetBytes(benchBytes)
	buf := make([]byte, 1<<20)
	for b.Loop() {
		r, err := c.Open(p)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, err = io.ReadFull(r, buf); err != nil {
				break
			}
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		r.Close()
	}
}

func BenchmarkRead(b *testing.B) {
	f, _, p := benchFile(b)
	b.SetBytes(benchBytes)
	buf := make([]byte, 1<<20)
	for b.Loop() {
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
	}
}

func BenchmarkWritePlainClient(b *testing.B) {
	f, dir := server(b)
	if err := f.MkdirAll(b.Context(), dir); err != nil {
		b.Fatal(err)
	}
	c := plain(b)
	b.SetBytes(benchBytes)
	piece := content(1, 1<<20)
	for b.Loop() {
		w, err := c.Create(dir + "/plain")
		if err != nil {
			b.Fatal(err)
		}
		for range benchBytes / len(piece) {
			if _, err := w.Write(piece); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		if err := c.Remove(dir + "/plain"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	f, dir := server(b)
	b.SetBytes(benchBytes)
	piece := content(1, 1<<20)
	for b.Loop() {
		w, err := f.Create(b.Context(), dir+"/file")
		if err != nil {
			b.Fatal(err)
		}
		for range benchBytes / len(piece) {
			if _, err := w.Write(piece); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		if err := f.Remove(b.Context(), dir+"/file"); err != nil {
			b.Fatal(err)
		}
	}
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

package hdfsfs_test

import (
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/hdfsfs"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

const benchBytes = 256 << 20

// countCPU reports the processor time of this process for each round: elapsed times say little on a busy machine.
func countCPU(b *testing.B) {
	b.Helper()
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	b.Cleanup(func() { b.ReportMetric(float64(spent()-before)/float64(b.N)/1e6, "cpu-ms/op") })
}

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
	countCPU(b)
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
	countCPU(b)
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
	countCPU(b)
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
		err = w.Close()
		for hdfs.IsErrReplicating(err) {
			err = w.Close()
		}
		if err != nil {
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
	countCPU(b)
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

type rating struct {
	User  int32   `parquet:"userId"`
	Item  int32   `parquet:"movieId"`
	Value float32 `parquet:"rating"`
	Time  int64   `parquet:"timestamp"`
}

// BenchmarkReadParquet reads 5 million ratings into structs in two tasks. Compare with the same from the local disk and with the plain
// client's copy of as many bytes.
func BenchmarkReadParquet(b *testing.B) {
	_, dir := server(b)
	sc := session(b)
	rows := make([]rating, 5_000_000)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range rows {
		rows[i] = rating{int32(i / 100), int32(rng.ExpFloat64() * 3000), float32(rng.IntN(10)) / 2, 1_500_000_000 + int64(rng.IntN(1e8))}
	}
	table := rdd.Parallelize(sc, rows, 4)
	local := b.TempDir() + "/table"
	remote := uri(b, dir+"/table")
	for _, to := range []string{local, remote} {
		if err := parquetio.Write(b.Context(), table, to); err != nil {
			b.Fatal(err)
		}
	}
	files, err := filesys.Expand(b.Context(), remote)
	if err != nil {
		b.Fatal(err)
	}
	var size int64
	for _, f := range files {
		size += f.Size
	}
	for name, from := range map[string]string{"local": local, "hdfs": remote} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			countCPU(b)
			for b.Loop() {
				if n, err := parquetio.Read[rating](sc, from, 2).Count(b.Context()); err != nil || n != int64(len(rows)) {
					b.Fatal(n, err)
				}
			}
			b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
	c := plain(b)
	b.Run("plain copy", func(b *testing.B) {
		b.SetBytes(size)
		countCPU(b)
		buf := make([]byte, 1<<20)
		for b.Loop() {
			for _, f := range files {
				r, err := c.Open(f.Path)
				if err != nil {
					b.Fatal(err)
				}
				for {
					if _, err = io.ReadFull(r, buf); err != nil {
						break
					}
				}
				r.Close()
			}
		}
	})
}

package parquetio

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

// cpuTime is what the process has used.
func cpuTime() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func benchFile[T any](b *testing.B, path string) {
	info := statFor(b, path)
	var rows int64
	splits := splitsOf(b, info)
	for _, s := range splits {
		rows += s.Rows
	}
	best := time.Hour
	for b.Loop() {
		start := cpuTime()
		for _, s := range splits {
			r, err := NewReader[T](b.Context(), s)
			if err != nil {
				b.Fatal(err)
			}
			for err == nil {
				_, err = r.Next()
			}
			if err != io.EOF {
				b.Fatal(err)
			}
			r.Close()
		}
		best = min(best, cpuTime()-start)
	}
	b.ReportMetric(float64(rows)/best.Seconds()/1e6, "best-Mrows/cpu-s")
}

// BenchmarkFile reads files that other readers read too: r5m.parquet (5 million ratings, Snappy, dictionaries), r5m_nodict.parquet and
// wide.parquet (28 columns of doubles), in a folder of the caller's. It counts CPU time, for busy machines.
func BenchmarkFile(b *testing.B) {
	dir := os.Getenv("SPARK_GO_BENCH_FILES")
	if dir == "" {
		b.Skip("SPARK_GO_BENCH_FILES names no folder")
	}
	type r struct {
		User *int32 `parquet:"userId"`
	}
	type z struct {
		User  int32   `parquet:"userId"`
		Item  int32   `parquet:"movieId"`
		Value float32 `parquet:"rating"`
	}
	b.Run("dict", func(b *testing.B) { benchFile[z](b, dir+"/r5m.parquet") })
	b.Run("plain", func(b *testing.B) { benchFile[z](b, dir+"/r5m_nodict.parquet") })
	type w struct{ C0, C1, C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12, C13, C14, C15, C16, C17, C18, C19, C20, C21, C22, C23, C24, C25, C26, C27 float64 }
	b.Run("wide", func(b *testing.B) { benchFile[w](b, dir+"/wide.parquet") })
	b.Run("wide2", func(b *testing.B) { benchFile[struct{ C3, C20 float64 }](b, dir+"/wide.parquet") })
}

// BenchmarkWriteRatings writes 5 million ratings from memory, by CPU time.
func BenchmarkWriteRatings(b *testing.B) {
	const n = 5_000_000
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]rating, n)
	for i := range rows {
		rows[i] = rating{int32(rng.ExpFloat64() * 20000), int32(rng.ExpFloat64() * 4000), float32(1+rng.IntN(10)) / 2}
	}
	for _, compression := range []string{"snappy", "lz4_raw", "zstd", "none"} {
		b.Run(compression, func(b *testing.B) {
			best := time.Hour
			for b.Loop() {
				start := cpuTime()
				w, err := NewFileWriter[rating](b.Context(), b.TempDir()+"/out.parquet", WriteOptions{Compression: compression})
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; i < n; i += BatchRows {
					if err := w.Write(rows[i:min(n, i+BatchRows)]); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
				best = min(best, cpuTime()-start)
				b.ReportMetric(float64(w.bytes)/n, "B/row")
			}
			b.ReportMetric(n/best.Seconds()/1e6, "best-Mrows/cpu-s")
		})
	}
}

// BenchmarkPlan reads the footers of many small files.
func BenchmarkPlan(b *testing.B) {
	const n = 10_000
	dir := b.TempDir()
	rows := []rating{{1, 2, 3}, {4, 5, 6}}
	var files []filesys.Info
	for i := range n {
		files = append(files, write(b, fmt.Sprintf("%s/%05d.parquet", dir, i), rows, 10))
	}
	best := time.Hour
	for b.Loop() {
		start := cpuTime()
		if _, err := PlanSplits(b.Context(), files, filesys.SplitOptions{}); err != nil {
			b.Fatal(err)
		}
		best = min(best, cpuTime()-start)
	}
	b.ReportMetric(n/best.Seconds(), "best-files/cpu-s")
}

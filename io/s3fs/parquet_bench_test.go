package s3fs_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/io/s3fs"
)

const benchRows = 2_000_000

// BenchmarkParquet reads and writes one file of ratings, on S3, on the local disk, and as mere bytes.
func BenchmarkParquet(b *testing.B) {
	s3fs.Use(b, s3fs.StartGateway(b))
	s3fs.MakeBucket(b, "parquet")
	ctx := context.Background()
	rows := make([]rating, benchRows)
	for i := range rows {
		h := uint64(i) * 0x9e3779b97f4a7c15
		rows[i] = rating{int64(h >> 46), int64(h >> 20 & 0xffff), float32(h % 10)}
	}
	write := func(b *testing.B, uri string) {
		w, err := parquetio.NewFileWriter[rating](ctx, uri, parquetio.WriteOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for from := 0; from < len(rows); from += 2048 {
			if err := w.Write(rows[from:min(from+2048, len(rows))]); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
	for name, uri := range map[string]string{"s3": "s3://parquet/f.parquet", "local": filepath.Join(b.TempDir(), "f.parquet")} {
		write(b, uri)
		info, err := filesys.Expand(ctx, uri)
		if err != nil {
			b.Fatal(err)
		}
		splits, err := parquetio.PlanSplits(ctx, info, filesys.SplitOptions{MaxPartitionBytes: 1 << 40})
		if err != nil {
			b.Fatal(err)
		}
		b.Run("read/"+name, func(b *testing.B) {
			b.SetBytes(info[0].Size)
			for b.Loop() {
				n := 0
				for _, part := range splits {
					for _, s := range part {
						r, err := parquetio.NewReader[rating](ctx, s)
						if err != nil {
							b.Fatal(err)
						}
						for {
							batch, err := r.Next()
							if err == io.EOF {
								break
							}
							if err != nil {
								b.Fatal(err)
							}
							n += len(batch)
						}
						_ = r.Close()
					}
				}
				if n != benchRows {
					b.Fatal(n)
				}
			}
			b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds()/1e6, "Mrow/s")
		})
		b.Run("bytes/"+name, func(b *testing.B) {
			b.SetBytes(info[0].Size)
			for b.Loop() {
				if _, err := filesys.ReadFile(ctx, uri); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("write/"+name, func(b *testing.B) {
			b.SetBytes(info[0].Size)
			for b.Loop() {
				write(b, uri)
			}
			b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds()/1e6, "Mrow/s")
		})
	}
}

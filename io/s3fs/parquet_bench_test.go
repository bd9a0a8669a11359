package s3fs_test

import (
	"io"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/internal/storetest"
	"github.com/spark-go/spark-go/io/s3fs"
)

// BenchmarkCompareParquet reads and copies tables beside the local disk and the plain client.
func BenchmarkCompareParquet(b *testing.B) {
	addr := s3fs.StartGateway(b)
	s3fs.Use(b, addr)
	s3fs.MakeBucket(b, "parquet")
	storetest.CompareParquet(b, session(b, addr), b.TempDir(), "s3://parquet", storetest.Plain{
		Read: func(f filesys.Info, w io.Writer) {
			s3fs.PlainGet(b, w, "parquet", strings.TrimPrefix(f.Path, "/"), f.Size)
		},
		Copy: func(f filesys.Info, to string) {
			s3fs.PlainCopy(b, "parquet", strings.TrimPrefix(f.Path, "/"), strings.TrimPrefix(to, "/"))
		},
	})
}

func session(t testing.TB, addr string, more ...driver.Option) *driver.Context {
	sc := driver.New(append(more, driver.Master("local[2]"), driver.Set("spark.hadoop.fs.s3a.endpoint", "http://"+addr),
		driver.Set("spark.hadoop.fs.s3a.access.key", s3fs.TestAccess), driver.Set("spark.hadoop.fs.s3a.secret.key", s3fs.TestSecret))...)
	t.Cleanup(func() { sc.Stop() })
	return sc
}

package s3fs_test

import (
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/internal/storetest"
	"github.com/spark-go/spark-go/io/s3fs"
)

// Every format, by jobs.
func TestFormats(t *testing.T) {
	addr := s3fs.StartGateway(t)
	s3fs.Use(t, addr)
	s3fs.MakeBucket(t, "formats")
	sc := driver.New(driver.Master("local[2]"), driver.Set("spark.hadoop.fs.s3a.endpoint", "http://"+addr),
		driver.Set("spark.hadoop.fs.s3a.access.key", s3fs.TestAccess), driver.Set("spark.hadoop.fs.s3a.secret.key", s3fs.TestSecret))
	defer sc.Stop()
	storetest.Formats(t, sc, "s3://formats/größe & 100% x/日本")
	if n := s3fs.Uploads(t, "formats"); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

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
	storetest.Formats(t, session(t, addr), "s3://formats/größe & 100% x/日本")
	if n := s3fs.Uploads(t, "formats"); n != 0 {
		t.Errorf("%d uploads are left", n)
	}
}

func TestCheckpoint(t *testing.T) {
	addr := s3fs.StartGateway(t)
	s3fs.Use(t, addr)
	s3fs.MakeBucket(t, "checkpoints")
	const dir = "s3://checkpoints/größe & 100% x"
	storetest.Checkpoint(t, session(t, addr, driver.Set("spark.checkpoint.dir", dir)), dir)
}

package storetest_test

import (
	"flag"
	"os"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/internal/storetest"
)

func TestMain(m *testing.M) {
	driver.Serve()
	flag.Parse()
	os.Exit(m.Run())
}

// The local disk, as a measure of the tests themselves.
func TestFormatsOnDisk(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	storetest.Formats(t, sc, t.TempDir()+"/größe & 100% x/日本")
}

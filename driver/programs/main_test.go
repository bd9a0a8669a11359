package programs_test

import (
	"os"
	"testing"

	"github.com/spark-go/spark-go/driver"
)

// The test binary is driver, host and job process.
func TestMain(m *testing.M) {
	driver.Serve()
	os.Exit(m.Run())
}

package driver_test

import (
	"os"
	"testing"

	"github.com/spark-go/spark-go/driver"
)

// The test binary is driver, host and job process.
func TestMain(m *testing.M) {
	driver.Serve()
	if dir := os.Getenv(resumedProgram); dir != "" {
		os.Exit(runResumed(dir))
	}
	os.Exit(m.Run())
}

package driver

import (
	"github.com/spark-go/spark-go/executor"
	"github.com/spark-go/spark-go/executor/host"
)

// Serve makes this process an executor if it was started as one, and returns at once otherwise. New calls it; a test binary whose
// tests use local-cluster calls it first thing in TestMain, so that its processes can be executors:
//
//	func TestMain(m *testing.M) {
//		driver.Serve()
//		os.Exit(m.Run())
//	}
func Serve() { host.MaybeServe(executor.NewJobRunner) }

package recommendation_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/spark-go/spark-go/driver"
)

// The test binary is driver, host and job process.
func TestMain(m *testing.M) {
	driver.Serve()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests provoke warnings
	os.Exit(m.Run())
}

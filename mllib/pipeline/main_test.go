package pipeline_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/spark-go/spark-go/driver"
)

func TestMain(m *testing.M) {
	driver.Serve()
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests provoke warnings
	os.Exit(m.Run())
}

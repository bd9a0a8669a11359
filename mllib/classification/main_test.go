package classification_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/spark-go/spark-go/driver"
)

func TestMain(m *testing.M) {
	driver.Serve()
	slog.SetLogLoggerLevel(slog.LevelWarn)
	os.Exit(m.Run())
}

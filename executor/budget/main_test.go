package budget_test

import (
	"log/slog"
	"os"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
)

// The test binary is driver, host and job process. With SPARK_GO_HEAP_PROFILES=DIR each writes heap profiles there while it grows.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SPARK_GO_HEAP_PROFILES"); dir != "" {
		go profileHeap(dir)
	}
	driver.Serve()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// profileHeap writes a heap profile of this process whenever it has grown by a twentieth.
func profileHeap(dir string) {
	var last uint64
	for range time.Tick(10 * time.Millisecond) {
		s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		metrics.Read(s)
		now := s[0].Value.Uint64() - s[1].Value.Uint64()
		if now < last+last/20 || now < 64<<20 {
			continue
		}
		last = now
		f, err := os.Create(dir + "/heap-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(int(now>>20)) + ".pprof")
		if err != nil {
			return
		}
		_ = pprof.Lookup("heap").WriteTo(f, 0)
		f.Close()
	}
}

package executor

import (
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// TestGCPercentFollowsTheHeap fills the heap and empties it.
func TestGCPercentFollowsTheHeap(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	TuneGC()
	wait := func(want uint64) {
		t.Helper()
		percent := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		for range 500 {
			runtime.GC()
			if metrics.Read(percent); percent[0].Value.Uint64() == want {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("GC percent is %d, want %d", percent[0].Value.Uint64(), want)
	}
	wait(gcSmall)
	large := make([]byte, 2*gcLarger)
	wait(gcLarge)
	runtime.KeepAlive(large)
	wait(gcSmall)
}

// TestGCPercent holds the border.
func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live      uint64
		now, want int
	}{
		{0, gcSmall, gcSmall},
		{gcLarger - 1, gcSmall, gcSmall},
		{gcLarger, gcSmall, gcLarge},
		{gcLarger - 1, gcLarge, gcLarge},
		{gcLarger*3/4 - 1, gcLarge, gcSmall},
	} {
		if got := gcPercent(c.live, c.now); got != c.want {
			t.Errorf("gcPercent(%d, %d) = %d, want %d", c.live, c.now, got, c.want)
		}
	}
}

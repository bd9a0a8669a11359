package executor

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to four times what is alive before it is collected. Tasks stream small batches through a small heap,
// which the default of 100 would collect many times a second; what may be large is counted by Memory.
const gcPercent = 300

// TuneGC makes the garbage collector of this process suit a runner, unless the environment says how it shall work (GOGC).
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

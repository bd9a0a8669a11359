package executor

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to three times what is alive before it is collected. Tasks stream small batches through a small heap,
// which the default of 100 would collect many times a second; what may be large is counted by Memory. At 300 a word count takes 5 % less
// time than at 200, and a fit whose blocks are cached a third more memory for nothing.
const gcPercent = 200

// TuneGC makes the garbage collector of this process suit a runner, unless the environment says how it shall work (GOGC).
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

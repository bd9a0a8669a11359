package executor

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// How far the heap may grow beyond what is alive before it is collected, in percent. Tasks stream small batches through a small heap,
// which the default of 100 would collect many times a second: at 200 a word count takes a tenth less time. A large heap is mostly
// cached blocks, whose garbage would only cost memory: a fit of ALS takes as long at 100, with 460 MB instead of 660.
const (
	gcSmall  = 200
	gcLarge  = 100
	gcLarger = 96 << 20 // bytes alive from which a heap is large
)

var tuneGC sync.Once

// TuneGC makes the garbage collector of this process suit a runner, unless the environment says how it shall work (GOGC).
func TuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	tuneGC.Do(func() {
		debug.SetGCPercent(gcSmall)
		g := &gcTuner{percent: gcSmall, now: []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/gogc:percent"}}}
		g.watch()
	})
}

// gcTuner sets the percentage after each collection, until somebody else does.
type gcTuner struct {
	percent int
	now     []metrics.Sample // bytes alive, percent
}

// watch has the next collection call collected: it finds an object that nothing holds.
func (g *gcTuner) watch() {
	sentinel := new([16]byte) // too large for the allocator of tiny objects, which would keep it
	runtime.AddCleanup(sentinel, func(g *gcTuner) { g.collected() }, g)
}

func (g *gcTuner) collected() {
	metrics.Read(g.now)
	if g.now[1].Value.Uint64() != uint64(g.percent) {
		return // the program has called debug.SetGCPercent
	}
	if p := gcPercent(g.now[0].Value.Uint64(), g.percent); p != g.percent {
		g.percent = p
		debug.SetGCPercent(p)
	}
	g.watch()
}

// gcPercent is the percentage for a heap of which live bytes are alive. A heap stays large until a quarter less is alive, so that one at
// the border does not change with each collection, which stops the world.
func gcPercent(live uint64, now int) int {
	border := uint64(gcLarger)
	if now == gcLarge {
		border -= gcLarger / 4
	}
	if live < border {
		return gcSmall
	}
	return gcLarge
}

package sched

import "github.com/spark-go/spark-go/shuffle"

// OutputsFound registers map outputs that no task of this application wrote: an earlier run of the program did. It comes before the first job
// that reads the shuffle; later ones are ignored, since tasks may be computing it.
type OutputsFound struct {
	Shuffle int
	Maps    int              // map partitions of the shuffle
	Outputs []shuffle.Output // any of them
}

func (OutputsFound) event() {}

func (s *Scheduler) outputsFound(e *OutputsFound) {
	if s.byShuffle[e.Shuffle] != nil {
		return
	}
	for _, out := range e.Outputs {
		if out.Map >= 0 && out.Map < e.Maps && !s.outputs.has(e.Shuffle, out.Map) {
			s.outputs.register(e.Shuffle, e.Maps, out.Map, out)
		}
	}
}

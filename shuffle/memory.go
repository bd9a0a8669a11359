package shuffle

import (
	"errors"
	"fmt"
	"syscall"
)

// memoryFloor is what every structure may hold without asking unless Env.Floor says so: small enough that a hundred of them do not
// matter, large enough that each makes progress when the executor's budget is used up. Tests lower it, to spill small data.
var memoryFloor int64 = 1 << 20

const (
	// The budget is asked for in steps, so that the executor's lock is not taken for every batch.
	memoryStep    = 1 << 20
	memoryMaxStep = 16 << 20
)

// budget is the memory of one structure: a floor that is free and what env.Memory granted on top.
type budget struct {
	mem     Memory
	metrics *Metrics
	floor   int64
	granted int64
}

func newBudget(env *Env) budget {
	mem := env.Memory
	if mem == nil {
		mem = Unlimited{}
	}
	floor := env.Floor
	if floor <= 0 {
		floor = memoryFloor
	}
	return budget{mem: mem, metrics: env.Metrics, floor: floor}
}

// fits reports whether the structure may hold total bytes, asking for more if it must. What was granted in vain is given back
// at once: others may have use for it.
func (b *budget) fits(total int64) bool {
	short := total - b.floor - b.granted
	if short <= 0 {
		return true
	}
	step := max(memoryStep, min(b.granted/4, memoryMaxStep))
	ask := max(short, step)
	got := b.mem.Acquire(ask)
	if got < short {
		b.mem.Release(got)
		return false
	}
	b.granted += got
	b.count(got)
	return true
}

// shrink gives back what is not needed to hold total bytes.
func (b *budget) shrink(total int64) {
	spare := b.granted - max(0, total-b.floor)
	if spare > 0 {
		b.mem.Release(spare)
		b.granted -= spare
		b.count(-spare)
	}
}

// close gives everything back; calling it again does nothing.
func (b *budget) close() { b.shrink(0) }

func (b *budget) count(delta int64) {
	if m := b.metrics; m != nil {
		m.held += delta
		m.PeakMemory = max(m.PeakMemory, m.held)
	}
}

// diskError adds the remedy to an error of writing under dir.
func diskError(action, dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("shuffle: %s in %s: %w: free space there or point spark.local.dir to a larger disk", action, dir, err)
	}
	return fmt.Errorf("shuffle: %s in %s: %w", action, dir, err)
}

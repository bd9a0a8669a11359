package shuffle

import (
	"fmt"
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
	press   PressedMemory // mem, if it is one
	pressed uint32        // the last that was heeded
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
	b := budget{mem: mem, metrics: env.Metrics, floor: floor}
	if press, ok := mem.(PressedMemory); ok {
		b.press, b.pressed = press, press.Pressure()
	}
	return b
}

// underPressure reports, once each time, that the process holds more than it should.
func (b *budget) underPressure() bool {
	if b.press == nil {
		return false
	}
	now := b.press.Pressure()
	if now == b.pressed {
		return false
	}
	b.pressed = now
	return true
}

// whole is fits for what cannot be divided: it may take all that the executor has. Memory that sets no such bound grants it.
func (b *budget) whole(total int64) bool {
	short := total - b.floor - b.granted
	if short <= 0 {
		return true
	}
	m, ok := b.mem.(WholeMemory)
	if !ok {
		return true
	}
	if !m.AcquireWhole(short) {
		// Other tasks may hold the rest, for a while: what would fit beside them most of the time is no reason to fail.
		all, _ := m.Budget()
		return total <= all/2
	}
	b.granted += short
	b.count(short)
	return true
}

// OneKeyError says that the values of one key, which must be in one place, are more than the memory of an executor can hold.
type OneKeyError struct {
	Partition int    // of the task
	Key       string // as text, cut off where it is long
	Values    int64  // bytes of its values so far
	Budget    int64  // bytes that the executor has for them and all else
	Others    int64  // bytes of it that other tasks held
}

// Permanent says that no other attempt can hold the values, and the job fails at once (rdd.PermanentError): they are more than all there is, or
// nobody else had any of it.
func (e *OneKeyError) Permanent() bool { return e.Values > e.Budget || e.Others == 0 }

// Error names the key, the sizes and the remedies.
func (e *OneKeyError) Error() string {
	return fmt.Sprintf("partition %d: the values of key %s take %d MiB so far, and the executor has %d MiB for all that its tasks and cached blocks hold: "+
		"fold them (ReduceByKey, AggregateByKey), stream them (MapGroups, FlatMapGroups), or give executors more memory", e.Partition, e.Key, e.Values>>20, e.Budget>>20)
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

package rdd

import "github.com/spark-go/spark-go/shuffle"

// Held is memory that an operation says it keeps besides the rows that it streams: what it gathers a partition in, or rows of many megabytes.
// Cached blocks and other structures of the executor make way for what is booked. Booking never fails and never waits: an operation that
// cannot work with less keeps what it must, and what was not granted shows in the books after the next garbage collection. Small things need no
// booking.
type Held struct {
	memory  shuffle.Memory
	granted int64
}

// Hold opens a booking, which ends with the task at the latest.
func (t *Task) Hold() *Held {
	h := &Held{memory: t.ShuffleEnv().Memory}
	t.OnDone(func(bool) { h.Release() })
	return h
}

// Add books n more bytes, before they are allocated.
func (h *Held) Add(n int64) {
	if h.memory == nil || n <= 0 {
		return
	}
	if m, ok := h.memory.(shuffle.WholeMemory); ok && m.AcquireWhole(n) {
		h.granted += n
		return
	}
	h.granted += h.memory.Acquire(n)
}

// Release ends the booking, which may begin anew.
func (h *Held) Release() {
	if h.granted > 0 {
		h.memory.Release(h.granted)
		h.granted = 0
	}
}

package executor

import (
	"runtime"
	"runtime/metrics"
	"sync/atomic"
)

// heap watches what the Go heap of a job process really holds. Memory counts what structures and cached blocks say of themselves; what user
// code keeps, buffers of rows on their way, and texts that keep the large block alive that they were cut from are in no book. They show
// after each garbage collection: what is alive then and was not granted is taken off what Memory grants. So the process stays within
// its memory whatever the cause, as long as there is something to spill.
type heap struct {
	limit int64 // what may be alive
	press int64 // what is alive when structures are asked to give memory back
	fixed int64 // of the process, not of the heap: stacks and the runtime's own tables

	extra    int64         // alive and not granted, at the last collection
	granted  int64         // at that time
	easing   atomic.Bool   // cached blocks are being put out
	pressure atomic.Uint32 // collections after which more than press was alive
	samples  []metrics.Sample
}

const (
	// heapLive is how much of the process's memory may be alive. The rest is for garbage: with less, collections would take more
	// time than tasks.
	heapLive = 0.80
	// heapPress is a little more, so that structures need not spill because of what was in flight during one collection.
	heapPress = 0.85
)

// watchHeap makes the budget heed the heap of this process, whose memory limit is given, until the process ends.
func (m *Memory) watchHeap(limit int64) {
	h := &heap{limit: int64(heapLive * float64(limit)), press: int64(heapPress * float64(limit))}
	for _, name := range []string{
		"/gc/heap/live:bytes", "/memory/classes/total:bytes", "/memory/classes/heap/released:bytes", "/memory/classes/heap/free:bytes",
		"/memory/classes/heap/objects:bytes", "/memory/classes/heap/unused:bytes",
	} {
		h.samples = append(h.samples, metrics.Sample{Name: name})
	}
	m.mu.Lock()
	m.heap = h
	m.mu.Unlock()
	m.afterCollection()
}

// afterCollection looks at the heap after each garbage collection from now on.
func (m *Memory) afterCollection() {
	// Nothing keeps the mark alive: the next collection finds that, and the next mark is made.
	runtime.AddCleanup(new(collectionMark), func(m *Memory) {
		m.collected()
		m.afterCollection()
	}, m)
}

// collectionMark is larger than the objects that the runtime packs together, which may outlive a collection.
type collectionMark struct{ _ [4]uint64 }

func (m *Memory) collected() {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.heap
	metrics.Read(h.samples)
	v := make([]int64, len(h.samples))
	for i, s := range h.samples {
		v[i] = int64(s.Value.Uint64())
	}
	over := h.look(v[0], v[1]-v[2]-v[3]-v[4]-v[5], m.execution+m.storage)
	if over > 0 && m.storage > 0 && m.evict != nil && h.easing.CompareAndSwap(false, true) {
		go func() { // it may write to disk
			defer h.easing.Store(false)
			m.evict(over)
		}()
	}
}

// look takes in what a collection found: bytes alive and, besides the heap, fixed; granted is what the books say. It returns how much
// too much is alive, if structures and cached blocks must give memory back.
func (h *heap) look(alive, fixed, granted int64) (over int64) {
	// What was given back while the collection ran looks as if nobody had been granted it.
	h.extra = max(0, alive-max(granted, h.granted))
	h.fixed, h.granted = fixed, granted
	if alive+fixed <= h.press {
		return 0
	}
	h.pressure.Add(1)
	return alive + fixed - h.limit
}

// room is what may be granted in all.
func (h *heap) room() int64 { return h.limit - h.fixed - h.extra }

// free is what may be granted besides taken. What was taken since the last collection, and what is granted now, is thought to keep as
// much in no book alive as what was taken before.
func (h *heap) free(taken int64) int64 {
	each := 0.0
	if h.granted > h.limit/8 { // else the heap is mostly what the process always has
		each = min(float64(h.extra)/float64(h.granted), 3)
	}
	left := h.room() - taken
	if grown := taken - h.granted; grown > 0 {
		left -= int64(each * float64(grown))
	}
	if left > 0 {
		left = int64(float64(left) / (1 + each))
	}
	return left
}

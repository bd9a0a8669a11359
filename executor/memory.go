package executor

import "sync"

// Memory is the unified budget of an executor: Spark's rule on our own accounting. Execution may take what storage does not use
// and evicts cached blocks down to a protected share; storage takes only what is free or what other datasets' blocks hold. Of n
// running tasks none gets more than 1/n of the execution memory, so that a late task can always work.
type Memory struct {
	mu        sync.Mutex
	total     int64
	protected int64 // bytes of storage that execution cannot evict
	execution int64
	storage   int64
	peak      int64
	tasks     map[*TaskMemory]struct{}
	evict     func(need int64) int64 // frees cached blocks; called without the lock
	heap      *heap                  // of the process; nil if it is not watched
}

// NewMemory makes a budget of total bytes with the given share of it protected for cached blocks.
func NewMemory(total int64, storageFraction float64) *Memory {
	return &Memory{total: total, protected: int64(float64(total) * storageFraction), tasks: map[*TaskMemory]struct{}{}}
}

// Used returns the bytes that execution and storage hold, and the highest sum so far.
func (m *Memory) Used() (execution, storage, peak int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.execution, m.storage, m.peak
}

// Total is the size of the budget.
func (m *Memory) Total() int64 { return m.total }

// Task opens the account of a task.
func (m *Memory) Task() *TaskMemory {
	t := &TaskMemory{m: m}
	m.mu.Lock()
	m.tasks[t] = struct{}{}
	m.mu.Unlock()
	return t
}

// TaskMemory is the execution memory of one task. It implements shuffle.Memory.
type TaskMemory struct {
	m    *Memory
	used int64
	peak int64
}

// Acquire asks for n bytes and returns what is granted, possibly less, at once.
func (t *TaskMemory) Acquire(n int64) int64 {
	m := t.m
	m.mu.Lock()
	defer m.mu.Unlock()
	share := m.total / int64(max(len(m.tasks), 1))
	want := min(n, share-t.used)
	if want <= 0 {
		return 0
	}
	free := m.free()
	if free < want && m.evict != nil {
		if spare := m.storage - m.sheltered(); spare > 0 {
			need := min(want-free, spare)
			m.mu.Unlock()
			m.evict(need)
			m.mu.Lock()
			free = m.free()
		}
	}
	got := max(min(want, free), 0)
	t.take(got)
	return got
}

// take books n bytes; the lock is held.
func (t *TaskMemory) take(n int64) {
	m := t.m
	t.used += n
	t.peak = max(t.peak, t.used)
	m.execution += n
	m.peak = max(m.peak, m.execution+m.storage)
}

// AcquireWhole implements shuffle.WholeMemory: what a structure cannot divide may take more than the task's share, all of the budget
// if need be.
func (t *TaskMemory) AcquireWhole(n int64) bool {
	m := t.m
	m.mu.Lock()
	defer m.mu.Unlock()
	for tries := 0; m.free() < n; tries++ {
		if tries > 0 || m.evict == nil {
			return false
		}
		need := n - m.free()
		m.mu.Unlock()
		m.evict(need)
		m.mu.Lock()
	}
	t.take(n)
	return true
}

// Budget implements shuffle.WholeMemory.
func (t *TaskMemory) Budget() (all, others int64) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	return t.m.total, t.m.execution - t.used
}

// Pressure implements shuffle.PressedMemory.
func (t *TaskMemory) Pressure() uint32 {
	if h := t.m.heap; h != nil {
		return h.pressure.Load()
	}
	return 0
}

// sheltered is what storage may keep from execution: less where the process has less to grant than the budget; the lock is held.
func (m *Memory) sheltered() int64 {
	if m.heap == nil || m.total == 0 {
		return m.protected
	}
	share := float64(m.protected) / float64(m.total)
	return min(m.protected, int64(share*float64(max(0, m.heap.room()))))
}

// free is what of the budget nobody has taken; the lock is held.
func (m *Memory) free() int64 {
	taken := m.execution + m.storage
	free := m.total - taken
	if m.heap != nil {
		free = min(free, m.heap.free(taken))
	}
	return free
}

// floor is what each structure of a task may hold without asking: 1 MiB, and less where that is much of the budget, since several
// structures of several tasks hold it besides what they were granted.
func floor(total int64) int64 { return min(max(total/64, 64<<10), 1<<20) }

// Release gives n bytes back.
func (t *TaskMemory) Release(n int64) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	n = min(n, t.used)
	t.used -= n
	t.m.execution -= n
}

// Close gives everything back that the task still holds and returns how much that was and the most it ever held.
func (t *TaskMemory) Close() (leaked, peak int64) {
	t.m.mu.Lock()
	defer t.m.mu.Unlock()
	leaked = t.used
	t.m.execution -= t.used
	t.used = 0
	delete(t.m.tasks, t)
	return leaked, t.peak
}

// reserve takes n bytes for storage if they are free.
func (m *Memory) reserve(n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.free() < n {
		return false
	}
	m.storage += n
	m.peak = max(m.peak, m.execution+m.storage)
	return true
}

// scarce says that more than a quarter of the budget is taken.
func (m *Memory) scarce() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free() < m.total/4*3
}

// missing says how many bytes must be freed before n fit.
func (m *Memory) missing(n int64) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return n - m.free()
}

func (m *Memory) unreserve(n int64) {
	m.mu.Lock()
	m.storage -= n
	m.mu.Unlock()
}

package rdd

// ExecutorSizer is implemented by sessions whose executors are processes with a memory of their own, which they are held to.
type ExecutorSizer interface {
	// ExecutorSize is the memory, in bytes, that tasks and cached blocks of an executor have together, and how many tasks it runs at a time.
	// No memory means that there is no bound.
	ExecutorSize() (memory int64, tasks int)
}

// ExecutorSize is the memory that tasks and cached blocks of an executor have together, in bytes, and how many tasks it runs at a time. The memory is 0
// where none is set aside for executors, as in local mode. What trainers choose by it must not change what they compute: results do
// not depend on the cluster.
func ExecutorSize(s Session) (memory int64, tasks int) {
	if e, ok := s.(ExecutorSizer); ok {
		return e.ExecutorSize()
	}
	return 0, 1
}

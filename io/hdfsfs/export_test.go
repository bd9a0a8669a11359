package hdfsfs

import "sync/atomic"

// WatchDataNodes returns a function that tells which DataNode was connected last.
func (f *FS) WatchDataNodes() func() string {
	var last atomic.Value
	last.Store("")
	f.dialled = func(address string) { last.Store(address) }
	return func() string { return last.Load().(string) }
}

package disk

import "syscall"

// usage is the size of the disk that holds a directory, and what is free of it for this process; zeros if that cannot be told.
func usage(dir string) (size, free int64) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0
	}
	block := int64(s.Bsize) //nolint:unconvert // it is an uint32 on macOS
	return int64(s.Blocks) * block, int64(s.Bavail) * block
}

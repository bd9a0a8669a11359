//go:build !linux

package driver

import "time"

// cpuClock returns the clock on the wall.
func cpuClock() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

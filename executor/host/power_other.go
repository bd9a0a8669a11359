//go:build !linux

package host

import "syscall"

const decommissionSignal = syscall.Signal(0)

package cluster

import "syscall"

// killJob kills the process group of a job process whose host is gone: the process itself has ended with its host, or is about to,
// but what user code started may be left.
func killJob(pid int) {
	if pid > 1 {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

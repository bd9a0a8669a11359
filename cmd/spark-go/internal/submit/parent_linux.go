package submit

import (
	"os/exec"
	"runtime"
	"syscall"
)

// followParent has the kernel interrupt the program if submit is killed. The kernel means the thread that started it, so the
// calling goroutine keeps its thread.
func followParent(cmd *exec.Cmd) {
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}

package host

import "syscall"

// childAttributes puts a child into a process group of its own, so that a Ctrl-C at the terminal reaches the driver alone and
// a whole group can be killed, and has the kernel send it a signal when this process dies. The kernel goes by the thread that
// started the child: whoever uses this stays on that thread until the child has ended.
func childAttributes(whenParentDies syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: whenParentDies}
}

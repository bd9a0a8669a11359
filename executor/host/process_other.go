//go:build !linux

package host

import "syscall"

// childAttributes puts a child into a process group of its own. There is no signal at the parent's death: the lifeline tells.
func childAttributes(syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

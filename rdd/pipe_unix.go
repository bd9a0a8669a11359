//go:build unix

package rdd

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// ownGroup has the process lead a group of its own, which is killed as a whole: a shell's children would otherwise outlive it.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		}
		return err
	}
}

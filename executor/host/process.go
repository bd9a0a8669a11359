package host

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// child is a started process and its end.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and was waited for
}

// startChild starts cmd in a process group of its own on a thread that lives as long as the child does (see childAttributes).
func startChild(cmd *exec.Cmd, whenParentDies syscall.Signal) (*child, error) {
	cmd.SysProcAttr = childAttributes(whenParentDies)
	c := &child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // what became of it is in ProcessState
			close(c.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// kill kills the child and everything in its process group.
func (c *child) kill() { killGroup(c.pid()) }

func killGroup(pid int) {
	if pid > 1 {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// end says how the child ended; only after done.
func (c *child) end() (code int, signal syscall.Signal) {
	if ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return -1, ws.Signal()
	}
	return c.cmd.ProcessState.ExitCode(), 0
}

// Process is a host that was launched.
type Process struct {
	child *child
	line  *os.File
}

// Launch starts a host on this machine: this program's own binary in the host's role. What the host's job processes print goes
// to stdout and stderr, to the latter through redact, if that is not nil, in whole lines. The host registers at spec.Driver by itself.
func Launch(spec *Spec, stdout, stderr io.Writer, redact func(string) string) (*Process, error) {
	parent, inherited, err := newLifeline()
	if err != nil {
		return nil, fmt.Errorf("launch host %s: %w", spec.Host, err)
	}
	defer inherited.Close()
	argv := append(slices.Clone(spec.Command), spec.Binary.Path, "spark-go-host", spec.Host, spec.App) // for people who look at the list of processes
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+roleHost)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	lines := &editedLines{dst: stderr, edit: redact}
	if redact != nil {
		cmd.Stderr = lines
	}
	cmd.ExtraFiles = []*os.File{inherited}
	cmd.WaitDelay = time.Second
	// SIGTERM and not SIGKILL: an orphaned host removes its folder.
	c, err := startChild(cmd, syscall.SIGTERM)
	if err != nil {
		parent.Close()
		return nil, fmt.Errorf("launch host %s: %w", spec.Host, err)
	}
	go func() {
		<-c.done
		lines.flush()
	}()
	p := &Process{child: c, line: parent}
	if err := sendSpec(parent, spec); err != nil {
		p.Kill()
		return nil, fmt.Errorf("launch host %s: %w", spec.Host, err)
	}
	return p, nil
}

// PID returns the host's process number.
func (p *Process) PID() int { return p.child.pid() }

// Done is closed when the host has ended.
func (p *Process) Done() <-chan struct{} { return p.child.done }

// Cause says how the host ended, after Done.
func (p *Process) Cause() string {
	code, signal := p.child.end()
	if signal != 0 {
		return fmt.Sprintf("the host process was killed by signal %d (%s)", signal, signal)
	}
	return fmt.Sprintf("the host process exited with code %d", code)
}

// Release tells the host that nobody needs it any more: it ends as if the driver had died.
func (p *Process) Release() { p.line.Close() }

// Kill kills the host with its process group and returns when it has ended. It does not remove its folder.
func (p *Process) Kill() {
	p.child.kill()
	<-p.child.done
	p.line.Close()
}

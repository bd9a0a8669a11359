package host

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// jobProcess is a job process as its host sees it.
type jobProcess struct {
	epoch      int
	registered atomic.Bool   // it came as far as the driver
	ended      chan struct{} // closed when it has ended, or could not be started, and all it left is removed

	mu     sync.Mutex
	child  *child // nil until it is started
	killed string // why it was killed
}

// kill kills the process, and one that is about to be started as soon as it is. The first reason is kept.
func (j *jobProcess) kill(reason string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.killed == "" {
		j.killed = reason
	}
	if j.child == nil {
		return
	}
	select {
	case <-j.child.done: // too late; the reason is not looked at any more
	default:
		j.child.kill()
	}
}

// started notes the process.
func (j *jobProcess) started(c *child) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.child = c
	if j.killed != "" {
		c.kill()
	}
}

// runJob runs one job process from start to end and says how it ended.
func (h *hostProcess) runJob(j *jobProcess) *protocol.ExecutorExited {
	epoch := j.epoch
	id := fmt.Sprintf("%s.%d", h.spec.Executor, epoch)
	exit := &protocol.ExecutorExited{ID: id, Epoch: epoch}
	dirs := disk.New(h.spec.DataDirs...)
	spills := fmt.Sprintf("spill-%d", epoch)
	socket := filepath.Join(h.spec.SockDir, "executor-"+id+".sock")
	defer func() { _ = dirs.Sub(spills).RemoveAll() }()
	defer os.Remove(socket)
	digest := h.settings.Digest
	binary := h.spec.Binary
	binary.Digest = digest
	spec := &jobSpec{
		App: h.spec.App, Executor: id, Host: h.spec.Host, Epoch: epoch, Driver: h.spec.Driver, Secret: h.spec.Secret,
		Cores: h.spec.Cores, Memory: h.spec.Memory, Binary: binary, DataDirs: h.spec.DataDirs, Spills: spills, Control: protocol.NewSecret(), Listen: protocol.UnixAddr(socket, h.spec.Encrypt), Timeout: h.spec.Timeout,
		Location: shuffle.Location{Executor: id, Host: h.spec.Disk, Addr: h.server.Addr(), Dir: h.outputs().Paths()[0]},
	}
	if h.spec.Listen != "" {
		spec.Listen = h.spec.Listen // another machine's: any free port of the same address
	}
	secure, err := protocol.TLSConfig(&spec.Control)
	if err != nil {
		exit.Start = err.Error()
		return exit
	}
	p, err := newPipes()
	if err != nil {
		exit.Start = err.Error()
		return exit
	}
	defer p.closeAll()

	var stderr tail
	var output sync.WaitGroup
	output.Go(func() { copyLines(os.Stdout, p.stdout, nil) })
	output.Go(func() { copyLines(os.Stderr, p.stderr, &stderr) })
	output.Go(func() { awaitEnd(p.line, func(byte) { j.registered.Store(true) }) })

	client := plugin.NewClient(clientConfig(func(cmd *exec.Cmd) (*jobRunner, error) {
		if err := checkBinary(binary.Path, digest); err != nil {
			return nil, err
		}
		run := exec.Command(binary.Path, h.spec.Args...)
		run.Env = append(executorEnv(cmd.Env, h.settings.Settings), roleVariable+"="+roleExecutor)
		run.Stdout, run.Stderr = p.childStdout, p.childStderr
		run.ExtraFiles = []*os.File{p.childLine, p.childHandshake}
		return &jobRunner{
			cmd: run, handshake: p.handshake, close: []io.Closer{p.childStdout, p.childStderr, p.childLine, p.childHandshake},
			started: func(c *child) error {
				j.started(c)
				return sendSpec(p.line, spec)
			},
		}, nil
	}, h.spec.SockDir, secure, os.Stdout, os.Stderr, h.log))
	if err := begin(h.ctx, client); err != nil {
		j.mu.Lock()
		c := j.child
		j.mu.Unlock()
		switch {
		case c == nil:
			exit.Start = err.Error()
		case !waitFor(c.done, 100*time.Millisecond):
			// It runs, but does not do what a job process does.
			j.kill(fmt.Sprintf("it does not answer as an executor: %v", err))
		}
	}
	if j.child != nil {
		<-j.child.done
		j.child.kill() // what it started
		code, signal := j.child.end()
		exit.Code, exit.Signal = code, int(signal)
		j.mu.Lock()
		if signal == syscall.SIGKILL {
			exit.Killed = j.killed
		}
		j.mu.Unlock()
	}
	p.closeChildEnds()
	done := make(chan struct{})
	go func() { output.Wait(); close(done) }()
	waitFor(done, 250*time.Millisecond) // longer only if something keeps the pipes open that left the process group
	client.Kill()                       // frees what go-plugin holds
	exit.Stderr = stderr.text()
	exit.Registered = j.registered.Load()
	return exit
}

// executorEnv adds the variables of spark.executorEnv.NAME.
func executorEnv(env []string, settings map[string]string) []string {
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if name, ok := strings.CutPrefix(key, "spark.executorEnv."); ok {
			env = append(env, name+"="+settings[key])
		}
	}
	return env
}

// begin starts the process, shakes hands with it and lets it begin.
func begin(ctx context.Context, client *plugin.Client) error {
	rpc, err := client.Client()
	if err != nil {
		return err
	}
	raw, err := rpc.Dispense(pluginName)
	if err != nil {
		return err
	}
	start, ok := raw.(func(context.Context) error)
	if !ok {
		return errNotStarter
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return start(ctx)
}

func waitFor(c <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
		return true
	case <-timer.C:
		return false
	}
}

// pipes connect a host and a job process.
type pipes struct {
	line, stdout, stderr, handshake                     *os.File
	childLine, childStdout, childStderr, childHandshake *os.File
}

func newPipes() (*pipes, error) {
	p := &pipes{}
	var err, err2, err3, err4 error
	p.line, p.childLine, err = newLifeline()
	p.stdout, p.childStdout, err2 = os.Pipe()
	p.stderr, p.childStderr, err3 = os.Pipe()
	p.handshake, p.childHandshake, err4 = os.Pipe()
	for _, e := range []error{err, err2, err3, err4} {
		if e != nil {
			p.closeAll()
			return nil, e
		}
	}
	return p, nil
}

func (p *pipes) closeChildEnds() {
	for _, f := range []*os.File{p.childLine, p.childStdout, p.childStderr, p.childHandshake} {
		f.Close() // of nil, or again: an error and nothing else
	}
}

func (p *pipes) closeAll() {
	p.closeChildEnds()
	for _, f := range []*os.File{p.line, p.stdout, p.stderr, p.handshake} {
		f.Close()
	}
}

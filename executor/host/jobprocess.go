package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// maxResultsFrame is about how many bytes of results go into one message.
const maxResultsFrame = 4 << 20

// session is a job process's life with the driver.
type session struct {
	spec   *jobSpec
	conn   *protocol.Conn
	runner Runner
	ctx    context.Context
	cancel context.CancelFunc

	wake chan struct{}

	mu      sync.Mutex
	running map[int64]bool
	results []protocol.TaskResult // not yet sent
	failed  map[protocol.StageKey]string
}

// lateProvider serves named blocks as soon as there is a Runner that has any.
type lateProvider struct {
	provider atomic.Pointer[blocks.Provider]
}

// Open opens a block of the runner.
func (p *lateProvider) Open(name string) (io.ReadCloser, int64, error) {
	if q := p.provider.Load(); q != nil {
		return (*q).Open(name)
	}
	return nil, 0, fmt.Errorf("block %q: %w", name, fs.ErrNotExist)
}

// serveJob is the main function of a job process from MaybeServe on. It returns the exit code.
func serveJob(role *jobRole, newRunner NewRunner) int {
	spec := &role.spec
	runtime.GOMAXPROCS(max(1, spec.Cores))
	debug.SetMemoryLimit(spec.Memory)

	// go-plugin's Serve talks on os.Stdout and then puts its own pipes in the place of os.Stdout and os.Stderr, whose end would
	// be lost when the process dies. They are given back before the first task runs.
	stdout, stderr := os.Stdout, os.Stderr
	os.Stdout = role.handshake
	for k, v := range role.plugin {
		_ = os.Setenv(k, v)
	}
	started := make(chan struct{})
	start := sync.OnceFunc(func() {
		os.Stdout, os.Stderr = stdout, stderr
		for k := range role.plugin {
			_ = os.Unsetenv(k)
		}
		close(started)
	})
	exit := make(chan int, 2)
	go func() {
		code := 0
		if err := runSession(role, newRunner, started); err != nil {
			fmt.Fprintf(stderr, "spark-go executor %s: %v\n", spec.Executor, err)
			code = 1
		}
		exit <- code
	}()
	go func() {
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig: cookie,
			Plugins:         plugin.PluginSet{pluginName: &starter{start: start}},
			GRPCServer:      plugin.DefaultGRPCServer,
			TLSProvider:     func() (*tls.Config, error) { return protocol.TLSConfig(&spec.Control) },
			Logger:          &pluginLog{log: slog.Default()},
		})
		exit <- 0 // the host has closed the control channel
	}()
	return <-exit
}

// runSession registers at the driver and runs tasks until the driver says to stop, which is no error.
func runSession(role *jobRole, newRunner NewRunner, started <-chan struct{}) error {
	spec := &role.spec
	digest, err := digestOf(spec.Binary)
	if err != nil {
		return err
	}
	provider := &lateProvider{}
	server, err := blocks.Serve(spec.Listen, spec.Secret, blocks.ServerConfig{Provider: provider, Timeout: spec.Timeout})
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	conn, accepted, err := register(ctx, spec.Driver, spec.Secret, &protocol.RegisterExecutor{
		ID: spec.Executor, Host: spec.Host, Epoch: spec.Epoch, PID: os.Getpid(), Cores: spec.Cores, Memory: spec.Memory, Digest: digest,
		BlockAddr: server.Addr(), Location: spec.Location,
	})
	if err != nil {
		return fmt.Errorf("register at the driver: %w", err)
	}
	if _, err := role.line.Write([]byte{1}); err != nil { // to the host: registered
		return fmt.Errorf("tell the host: %w", err)
	}
	s := &session{
		spec: spec, conn: conn, ctx: ctx, cancel: cancel, wake: make(chan struct{}, 1), running: map[int64]bool{}, failed: map[protocol.StageKey]string{},
	}
	<-started
	client := blocks.NewClient(spec.Secret, blocks.ClientConfig{Timeout: spec.Timeout})
	defer client.Close()
	dirs := disk.New(spec.DataDirs...)
	if s.runner, err = newRunner(RunnerConfig{
		Executor: spec.Executor, Host: spec.Host, Cores: spec.Cores, MemoryBytes: spec.Memory, Location: spec.Location, Secret: spec.Secret, Fetcher: client,
		Client: client, Outputs: dirs.Sub(blockFolder), Spills: dirs.Sub(spec.Spills), Settings: accepted.Settings, Report: s.report,
		AskCommit:  func(id int64) { _ = conn.Send(&protocol.CommitRequest{ID: id}) }, // without a connection the process ends
		AskBarrier: func(m protocol.BarrierRequest) { _ = conn.Send(&m) },
		Updates:    func(u []protocol.BlockUpdate) { _ = conn.Send(&protocol.BlockUpdates{Updates: u}) },
		EndProcess: func(reason string) { _ = conn.Send(&protocol.KillExecutor{Epoch: spec.Epoch, Reason: reason}) },
	}); err != nil {
		return fmt.Errorf("make the task runner: %w", err)
	}
	if p, ok := s.runner.(blocks.Provider); ok {
		provider.provider.Store(&p)
	}
	go s.sendResults()
	go heartbeat(ctx, conn, accepted.Heartbeat, s.fill)
	err = s.receive()
	closeErr := s.runner.Close()
	conn.CloseAfterFlush(200 * time.Millisecond)
	if errors.Is(err, errStopped) {
		return closeErr
	}
	return err
}

// receive does what the driver says. It returns errStopped when that was to stop.
func (s *session) receive() error {
	for {
		m, err := s.conn.Receive()
		if err != nil {
			return fmt.Errorf("the connection to the driver ended: %w", err)
		}
		switch m := m.(type) {
		case *protocol.StageBinary:
			if err := s.runner.AddStage(*m); err != nil {
				s.mu.Lock()
				s.failed[m.Key] = err.Error()
				s.mu.Unlock()
			}
		case *protocol.LaunchTasks:
			s.launch(m.Tasks)
		case *protocol.KillTask:
			s.runner.Kill(m.ID, m.Reason)
		case *protocol.CommitAnswer:
			s.runner.AnswerCommit(m.ID, m.Allowed)
		case *protocol.BarrierAnswer:
			s.runner.AnswerBarrier(*m)
		case *protocol.Remove:
			if m.Kind == protocol.RemoveStage {
				s.mu.Lock()
				delete(s.failed, protocol.StageKey{Stage: m.ID, Attempt: m.Attempt})
				s.mu.Unlock()
			}
			s.runner.Remove(*m)
		case *protocol.Copy:
			s.copyBlock(m)
		case *protocol.Stop:
			return errStopped
		case *protocol.Refused:
			return fmt.Errorf("refused by the driver: %s", m.Reason)
		default:
			return fmt.Errorf("the driver sent an executor what is not for executors: %T", m)
		}
	}
}

// copyBlock keeps a copy of a cached block.
func (s *session) copyBlock(m *protocol.Copy) {
	fetch := func() error { return errors.ErrUnsupported }
	if c, ok := s.runner.(BlockCopier); ok && m.Output == nil {
		fetch = c.CopyBlock(s.ctx, m.Block, m.Addr, m.Level)
	}
	go func() { _ = s.conn.Send(copied(m.ID, fetch())) }()
}

func copied(id int64, err error) *protocol.Copied {
	m := &protocol.Copied{ID: id, Gone: errors.Is(err, fs.ErrNotExist)}
	if err != nil {
		m.Error = err.Error()
	}
	return m
}

func (s *session) launch(tasks []protocol.TaskDesc) {
	s.mu.Lock()
	for _, t := range tasks {
		s.running[t.ID] = true
	}
	s.mu.Unlock()
	for _, t := range tasks {
		s.mu.Lock()
		cause, failed := s.failed[t.Stage]
		s.mu.Unlock()
		if failed {
			s.report(protocol.TaskResult{ID: t.ID, Stage: t.Stage, Partition: t.Partition, Outcome: protocol.Failed, Error: cause})
			continue
		}
		s.runner.Launch(t)
	}
}

// report queues the end of a task.
func (s *session) report(r protocol.TaskResult) {
	s.mu.Lock()
	delete(s.running, r.ID)
	s.results = append(s.results, r)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sendResults sends what has queued up, together.
func (s *session) sendResults() {
	var batch []protocol.TaskResult
	for {
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			return
		}
		s.mu.Lock()
		batch, s.results = s.results, batch[:0]
		s.mu.Unlock()
		for rest := batch; len(rest) > 0; {
			n, size := 0, 0
			for n < len(rest) && (n == 0 || size < maxResultsFrame) {
				size += resultSize(&rest[n])
				n++
			}
			if s.send(rest[:n]) != nil {
				return // the connection has ended: receive says so
			}
			rest = rest[n:]
		}
		clear(batch)
	}
}

// send sends results; one that does not fit a message is a failure of its task.
func (s *session) send(results []protocol.TaskResult) error {
	err := s.conn.Send(&protocol.TaskResults{Results: results})
	var large *protocol.TooLargeError
	if !errors.As(err, &large) {
		return err
	}
	if len(results) > 1 {
		for i := range results {
			if err := s.send(results[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	}
	r := &results[0]
	*r = protocol.TaskResult{
		ID: r.ID, Stage: r.Stage, Partition: r.Partition, Outcome: protocol.Failed, Permanent: true, Metrics: r.Metrics,
		Error: fmt.Sprintf("the result of partition %d cannot be sent: %v", r.Partition, large),
	}
	return s.conn.Send(&protocol.TaskResults{Results: results})
}

// resultSize is about what a result takes in a message.
func resultSize(r *protocol.TaskResult) int {
	n := 100 + len(r.Value) + len(r.Error)
	if r.Output != nil {
		n += 4 * len(r.Output.Sizes)
	}
	for i := range r.Updates {
		n += len(r.Updates[i].Value)
	}
	return n
}

// fill adds what the process is doing to a heartbeat.
func (s *session) fill(m *protocol.Heartbeat) {
	s.mu.Lock()
	for id := range s.running {
		m.Running = append(m.Running, id)
	}
	s.mu.Unlock()
	slices.Sort(m.Running)
	if c, ok := s.runner.(RowCounter); ok {
		m.Rows = c.RowsRead(m.Running)
	}
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/total:bytes"}}
	metrics.Read(samples)
	m.Heap, m.Mapped = int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())
}

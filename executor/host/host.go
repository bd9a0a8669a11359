package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spark-go/spark-go/executor/blocks"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// stopGrace is how long a job process may take to end after the driver has told it to stop.
const stopGrace = time.Second

// errStopped ends a host in order.
var errStopped = errors.New("stopped by the driver")

// hostProcess is the state of a host.
type hostProcess struct {
	spec     *Spec
	conn     *protocol.Conn
	logConn  atomic.Pointer[protocol.Conn] // conn, for goroutines that run from the start
	settings *protocol.Registered
	server   *blocks.Server
	client   *blocks.Client // of other hosts' servers
	log      *slog.Logger

	ctx  context.Context // ends with the cause when the host is to end
	stop context.CancelCauseFunc

	mu       sync.Mutex
	current  *jobProcess
	orphaned bool   // the driver has died
	asked    string // why this host should be decommissioned
	leaving  bool   // it launches no more job processes
}

// serveHost is the main function of a host. It returns the exit code.
func serveHost(spec *Spec, line *os.File) int {
	runtime.GOMAXPROCS(min(2, runtime.NumCPU()))
	ctx, stop := context.WithCancelCause(context.Background())
	h := &hostProcess{spec: spec, ctx: ctx, stop: stop}
	h.log = slog.New(&logHandler{send: func(l *protocol.Log) {
		if c := h.logConn.Load(); c == nil || c.Send(l) != nil {
			fmt.Fprintf(os.Stderr, "spark-go host %s: %s\n", spec.Host, l.Text)
		}
	}})
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM)
	if decommissionSignal != 0 {
		signal.Notify(signals, decommissionSignal)
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGPIPE)
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM { // from the kernel when the driver has died, or from whoever ends this host
				stop(errors.New("the host got SIGTERM"))
				return
			}
			h.decommission("the host got SIGPWR")
		}
	}()
	go func() {
		awaitEnd(line, nil)
		h.mu.Lock()
		h.orphaned = true
		h.mu.Unlock()
		stop(errors.New("the driver has ended"))
	}()
	err := h.run()
	h.cleanUp(err)
	if err != nil && !errors.Is(err, errStopped) {
		return 1
	}
	return 0
}

func (h *hostProcess) run() error {
	var roots []*Root
	defer func() {
		for _, r := range roots {
			r.Release()
		}
	}()
	for _, dir := range h.spec.Orphan {
		root, err := holdRoot(dir)
		if err != nil {
			return h.complain(err)
		}
		roots = append(roots, root)
	}
	if err := h.makeDirs(); err != nil {
		return h.complain(fmt.Errorf("make the host's folder: %w: set spark.local.dir to a place that can be written", err))
	}
	listen := h.spec.Listen
	if listen == "" {
		listen = protocol.UnixAddr(filepath.Join(h.spec.SockDir, h.spec.Host+".sock"), h.spec.Encrypt)
	}
	var err error
	h.server, err = blocks.Serve(listen, h.spec.Secret, blocks.ServerConfig{
		Files: func(id, mapID int, attempt int64, start, end int) (*os.File, int64, int64, error) {
			return shuffle.OpenBlockIn(h.outputs().Paths(), id, mapID, attempt, start, end)
		},
		Timeout: h.spec.Timeout, Log: h.log,
	})
	if err != nil {
		return h.complain(err)
	}
	if h.conn, h.settings, err = register(h.ctx, h.spec.Driver, h.spec.Secret, &protocol.RegisterHost{
		Host: h.spec.Host, PID: os.Getpid(), BlockAddr: h.server.Addr(), Dir: h.outputs().Paths()[0],
	}); err != nil {
		return h.complain(fmt.Errorf("register at the driver: %w", err))
	}
	h.logConn.Store(h.conn)
	h.mu.Lock()
	asked := h.asked
	h.mu.Unlock()
	if asked != "" {
		h.decommission(asked)
	}
	h.client = blocks.NewClient(h.spec.Secret, blocks.ClientConfig{Timeout: h.spec.Timeout})
	defer h.client.Close()
	go h.receive()
	go heartbeat(h.ctx, h.conn, h.settings.Heartbeat, nil)
	go h.supervise()
	<-h.ctx.Done()
	return context.Cause(h.ctx)
}

// complain prints why the host ends; nobody else can say it. A host that is told to end has nothing to complain about.
func (h *hostProcess) complain(err error) error {
	if h.ctx.Err() != nil {
		return context.Cause(h.ctx)
	}
	fmt.Fprintf(os.Stderr, "spark-go host %s: %v\n", h.spec.Host, err)
	return err
}

// blockFolder is the folder of map outputs in each of a host's directories.
const blockFolder = "blocks"

func (h *hostProcess) outputs() *disk.Dirs { return disk.New(h.spec.DataDirs...).Sub(blockFolder) }

// makeDirs makes the host's directories; of several it does with those that can be made.
func (h *hostProcess) makeDirs() error {
	var made []string
	var last error
	for _, dir := range h.spec.DataDirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			h.log.Warn("a directory of spark.local.dir is not used", "directory", dir, "error", err)
			last = err
			continue
		}
		made = append(made, dir)
	}
	if len(made) == 0 {
		return last
	}
	h.spec.DataDirs = made
	return nil
}

// receive does what the driver says until the connection ends.
func (h *hostProcess) receive() {
	for {
		m, err := h.conn.Receive()
		if err != nil {
			// A driver that died ends the lifeline in the same moment: that is the cause to go by.
			select {
			case <-h.ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
			h.stop(fmt.Errorf("the connection to the driver ended: %w", err))
			return
		}
		switch m := m.(type) {
		case *protocol.Stop:
			h.stop(errStopped)
		case *protocol.Refused:
			h.stop(fmt.Errorf("refused by the driver: %s", m.Reason))
		case *protocol.KillExecutor:
			h.mu.Lock()
			if j := h.current; j != nil && j.epoch == m.Epoch {
				j.kill(m.Reason)
			}
			h.mu.Unlock()
		case *protocol.Decommission:
			h.mu.Lock()
			h.leaving = true
			h.mu.Unlock()
		case *protocol.Copy:
			go func() { _ = h.conn.Send(copied(m.ID, h.copyOutput(m))) }()
		case *protocol.Remove:
			if m.Kind == protocol.RemoveShuffle {
				for _, dir := range h.outputs().Paths() {
					if err := shuffle.RemoveShuffle(dir, m.ID); err != nil {
						h.log.Warn("map outputs could not be removed", "shuffle", m.ID, "error", err)
					}
				}
			}
		default:
			h.log.Warn("the driver sent a host what is not for hosts", "message", fmt.Sprintf("%T", m))
		}
	}
}

// supervise runs one job process after the other until the host is to end, or too many of them have ended.
func (h *hostProcess) supervise() {
	limit, window := h.spec.MaxExits, h.spec.ExitWindow
	if limit <= 0 {
		limit = 10
	}
	if window <= 0 {
		window = time.Minute
	}
	var exits []time.Time // within the window
	unregistered := 0
	for epoch := 1; h.ctx.Err() == nil; epoch++ {
		j := &jobProcess{epoch: epoch, ended: make(chan struct{})}
		h.mu.Lock()
		if h.ctx.Err() != nil { // cleanUp may have looked already
			h.mu.Unlock()
			return
		}
		h.current = j
		h.mu.Unlock()
		exit := h.runJob(j)
		close(j.ended)
		if h.ctx.Err() != nil {
			return
		}
		now := time.Now()
		exits = append(exits, now)
		for now.Sub(exits[0]) > window {
			exits = exits[1:]
		}
		unregistered++
		if exit.Registered {
			unregistered = 0
		}
		h.mu.Lock()
		exit.Restarting = len(exits) <= limit && unregistered < maxUnregistered && !h.leaving
		h.mu.Unlock()
		_ = h.conn.Send(exit) // if the driver is gone, so will this host be
		if !exit.Restarting {
			return
		}
		if unregistered > 0 {
			select {
			case <-time.After(time.Duration(unregistered) * 100 * time.Millisecond):
			case <-h.ctx.Done():
			}
		}
	}
}

// cleanUp ends everything that the host started and removes everything that it made.
func (h *hostProcess) cleanUp(cause error) {
	h.mu.Lock()
	j := h.current
	h.mu.Unlock()
	if j != nil {
		// The driver has told a job process that it knows to stop as well.
		if errors.Is(cause, errStopped) && j.registered.Load() {
			select {
			case <-j.ended:
			case <-time.After(stopGrace):
			}
		}
		j.kill("the host ends")
		select {
		case <-j.ended:
		case <-time.After(stopGrace):
		}
	}
	if h.conn != nil {
		h.conn.CloseAfterFlush(100 * time.Millisecond)
	}
	if h.server != nil {
		_ = h.server.Close()
	}
	_ = disk.New(h.spec.DataDirs...).RemoveAll()
	h.mu.Lock()
	orphaned := h.orphaned
	h.mu.Unlock()
	if orphaned {
		for _, dir := range h.spec.Orphan {
			os.RemoveAll(dir)
		}
	}
}

// register dials the driver, says hello, and returns when the driver has accepted.
func register(ctx context.Context, addr string, secret protocol.Secret, hello protocol.Message) (*protocol.Conn, *protocol.Registered, error) {
	// A driver that is just starting may not listen yet, one behind a network may be out of reach for a moment.
	deadline := time.Now().Add(10 * time.Second)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		nc, err := protocol.Dial(ctx, addr, secret, protocol.Control)
		if err != nil {
			if errors.Is(err, protocol.ErrRefused) || ctx.Err() != nil || time.Now().After(deadline) {
				return nil, nil, err
			}
			time.Sleep(wait)
			continue
		}
		conn := protocol.NewConn(nc, protocol.Limits{})
		accepted, err := greet(conn, hello)
		if err != nil {
			conn.Close()
			return nil, nil, err
		}
		return conn, accepted, nil
	}
}

func greet(conn *protocol.Conn, hello protocol.Message) (*protocol.Registered, error) {
	if err := conn.Send(hello); err != nil {
		return nil, err
	}
	// The driver may still be computing its executable's digest.
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	m, err := conn.Receive()
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *protocol.Registered:
		conn.SetMaxFrame(int(m.MaxFrame))
		return m, conn.SetReadDeadline(time.Time{})
	case *protocol.Refused:
		return nil, fmt.Errorf("%w: %s", protocol.ErrRefused, m.Reason)
	}
	return nil, fmt.Errorf("the driver answers with %T instead of accepting", m)
}

// heartbeat says every so often that this process is alive.
func heartbeat(ctx context.Context, conn *protocol.Conn, every time.Duration, fill func(*protocol.Heartbeat)) {
	if every <= 0 {
		every = 10 * time.Second
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		m := new(protocol.Heartbeat)
		if fill != nil {
			fill(m)
		}
		if conn.Send(m) != nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

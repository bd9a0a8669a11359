package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

// Roster is who belongs to the application: it accepts hosts and executors, gives up those that end or fall silent, has others
// launched in their place, and says so as events.
//
// It is a state machine without clock, sockets and processes, which are its [Surroundings]: registries put it on real ones, and the
// simulation of a cluster on virtual ones. Its methods are called one after the other; only those that send may be called from
// anywhere.
type Roster struct {
	config *Config
	around Surroundings
	handle func(Event)
	digest func() (string, error) // of the executable; may take a moment

	mu     sync.RWMutex
	closed bool
	peers  map[string]*Peer // live executors and hosts, by name: for senders

	hosts  []*hostState // in the order of their launches; lost ones are taken out
	next   int          // number of the next host
	losses int          // of hosts
	failed bool
}

// Surroundings are what a Roster needs of the world.
type Surroundings interface {
	Now() time.Time
	// After calls f later, in turn with the roster's other methods.
	After(d time.Duration, f func())
	// Go calls f beside them, since it may take its time.
	Go(f func())
	// Launch starts the host with a number, and calls ended in turn when its process has ended.
	Launch(number int, ended func()) (Process, error)
}

// Process is a host that was started, wherever.
type Process interface {
	Done() <-chan struct{} // closed when it has ended
	Cause() string         // how it ended; after Done
	Release()              // tells it to end although it cannot be talked to
	Discard()              // ends it by force, with everything that it started and left; returns when it has ended
}

// Link is a connection to a host or an executor. Neither method waits for the other side.
type Link interface {
	Send(m protocol.Message) error
	Fail(cause error) // closes it
}

// Peer is a registered host or executor.
type Peer struct {
	name string
	conn Link
	host *hostState
	exec *execState // nil for hosts
	seen atomic.Int64
	busy atomic.Bool // the reader waits for the registry: silence is not the peer's
}

// Seen notes that something of the peer has arrived.
func (p *Peer) Seen(now time.Time) { p.seen.Store(now.UnixNano()) }

// hostState is what is known of a host.
type hostState struct {
	id       string
	proc     Process
	started  time.Time
	peer     *Peer      // nil until it registers
	exec     *execState // the live executor, nil if there is none
	epoch    int        // of the last executor that registered
	givenUp  string     // why it launches no more job processes
	lost     bool
	connLost string // why its connection ended
	asked    string // why it is to be decommissioned, until it has an executor
	leaving  bool   // it is being decommissioned: another one was launched in its place
	released string // why it was told to end
}

// execState is what is known of an executor.
type execState struct {
	info ExecutorAdded
	pid  int
	host *hostState
	peer *Peer
	gone string                   // why its connection ended
	exit *protocol.ExecutorExited // how its process ended
	wait bool                     // for the other one of the two
	lost bool
}

// NewRoster returns a roster without hosts. Digest returns the SHA-256 of the executable that executors must run.
func NewRoster(config Config, digest func() (string, error), around Surroundings, handle func(Event)) *Roster {
	config = config.withDefaults()
	return &Roster{config: &config, around: around, handle: handle, digest: digest, peers: map[string]*Peer{}}
}

// Register decides on the first message of a connection. It returns nil for a peer that was refused, which has been told.
func (r *Roster) Register(conn Link, m protocol.Message) *Peer {
	p, err := r.accept(conn, m)
	if err != nil {
		r.config.Log.Warn("a registration was refused", "reason", err.Error())
		_ = conn.Send(&protocol.Refused{Reason: err.Error()})
		return nil
	}
	return p
}

func (r *Roster) accept(conn Link, m protocol.Message) (*Peer, error) {
	digest, _ := r.digest()
	welcome := &protocol.Registered{Heartbeat: r.config.Heartbeat, MaxFrame: int64(r.config.MaxFrame), Digest: digest, Settings: r.config.Settings}
	switch m := m.(type) {
	case *protocol.RegisterHost:
		h := r.host(m.Host)
		switch {
		case h == nil:
			return nil, fmt.Errorf("host %q is not expected: it was lost, or never launched", m.Host)
		case h.peer != nil:
			return nil, fmt.Errorf("host %q has registered before", m.Host)
		}
		if err := conn.Send(welcome); err != nil {
			return nil, err
		}
		h.peer = r.newPeer(h.id, conn, h, nil)
		return h.peer, nil
	case *protocol.RegisterExecutor:
		h := r.host(m.Host)
		switch {
		case h == nil || h.peer == nil:
			return nil, fmt.Errorf("executor %s: its host %q is not registered: it was lost, or never launched", m.ID, m.Host)
		case m.Epoch <= h.epoch:
			return nil, fmt.Errorf("executor %s has epoch %d, and its host %q is at %d: it was given up", m.ID, m.Epoch, m.Host, h.epoch)
		case h.leaving:
			return nil, fmt.Errorf("executor %s: its host %q is being decommissioned", m.ID, m.Host)
		case m.Digest != digest:
			return nil, fmt.Errorf("executor %s runs another executable (SHA-256 %s) than the driver (%s): start all processes from one build", m.ID, m.Digest, digest)
		case m.Cores < 1:
			return nil, fmt.Errorf("executor %s offers %d cores", m.ID, m.Cores)
		}
		if old := h.exec; old != nil {
			// The host launches one after the other: the old one is dead, and this is the first to say so.
			r.loseExecutor(old, fmt.Sprintf("executor %s has taken its place", m.ID), false, true)
		}
		if err := conn.Send(welcome); err != nil {
			return nil, err
		}
		h.epoch = m.Epoch
		x := &execState{pid: m.PID, host: h, info: ExecutorAdded{
			Executor: m.ID, Host: h.id, PID: m.PID, Cores: m.Cores, Memory: m.Memory, BlockAddr: m.BlockAddr, Location: m.Location,
		}}
		h.exec = x
		x.peer = r.newPeer(m.ID, conn, h, x)
		r.handle(x.info)
		if h.asked != "" {
			r.handle(DecommissionAsked{Executor: m.ID, Reason: h.asked})
		}
		return x.peer, nil
	}
	return nil, fmt.Errorf("%T is no registration", m)
}

func (r *Roster) newPeer(name string, conn Link, h *hostState, x *execState) *Peer {
	p := &Peer{name: name, conn: conn, host: h, exec: x}
	p.Seen(r.around.Now())
	r.setLive(p)
	return p
}

func (r *Roster) host(id string) *hostState {
	for _, h := range r.hosts {
		if h.id == id {
			return h
		}
	}
	return nil
}

// Receive handles a message of a registered peer. What a lost executor still sent is dropped.
func (r *Roster) Receive(p *Peer, m protocol.Message) {
	if p.exec != nil {
		x := p.exec
		if x.lost {
			return
		}
		name := x.info.Executor
		switch m := m.(type) {
		case *protocol.TaskResults:
			r.handle(TaskResults{Executor: name, Results: m.Results})
		case *protocol.CommitRequest:
			r.handle(CommitAsked{Executor: name, Task: m.ID})
		case *protocol.BarrierRequest:
			r.handle(BarrierReached{Executor: name, Request: *m})
		case *protocol.BlockUpdates:
			r.handle(BlockUpdates{Executor: name, Updates: m.Updates})
		case *protocol.Heartbeat:
			r.handle(Heartbeat{Executor: name, Running: m.Running, Rows: m.Rows, Heap: m.Heap, Mapped: m.Mapped})
		case *protocol.Copied:
			r.handle(Copied(*m))
		case *protocol.KillExecutor: // its own wish: a task does not end
			r.killExecutor(x, m.Reason)
			r.loseExecutor(x, m.Reason, false, false)
		case *protocol.Log:
			r.handle(Log{From: "executor " + name, Time: m.Time, Level: m.Level, Text: m.Text})
		default:
			reason := fmt.Sprintf("it sent %T, which is not for drivers", m)
			r.killExecutor(x, reason)
			r.loseExecutor(x, reason, false, false)
		}
		return
	}
	if p.host.lost {
		return
	}
	switch m := m.(type) {
	case *protocol.Heartbeat:
	case *protocol.Log:
		r.handle(Log{From: p.host.id, Time: m.Time, Level: m.Level, Text: m.Text})
	case *protocol.ExecutorExited:
		r.executorExited(p.host, m)
	case *protocol.Copied:
		r.handle(Copied(*m))
	case *protocol.Decommission:
		p.host.asked = m.Reason
		if x := p.host.exec; x != nil {
			r.handle(DecommissionAsked{Executor: x.info.Executor, Reason: m.Reason})
		}
	default:
		r.loseHost(p.host, fmt.Sprintf("the host sent %T, which is not for drivers", m))
	}
}

// executorExited takes a host's word that its job process has ended.
func (r *Roster) executorExited(h *hostState, m *protocol.ExecutorExited) {
	if !m.Restarting && !h.leaving {
		h.givenUp = m.Cause()
		r.config.Log.Error("a host launches no more executors: too many have ended", "host", h.id, "last", m.ID, "cause", h.givenUp)
	}
	if x := h.exec; x != nil && x.info.Executor == m.ID {
		x.exit = m
		r.settle(x, false)
	} else if !m.Registered {
		r.config.Log.Warn("an executor ended before it registered", "executor", m.ID, "cause", m.Cause(), "restarting", m.Restarting)
	}
	if m.Epoch > h.epoch {
		h.epoch = m.Epoch
	}
	r.checkFailed()
}

// Ended handles the end of a registered peer's connection.
func (r *Roster) Ended(p *Peer, err error) {
	r.setGone(p)
	cause := "the connection was closed by the other side"
	if !errors.Is(err, io.EOF) {
		cause = "the connection ended: " + err.Error()
		if lost := p.host.lost || p.host.released != "" || p.exec != nil && p.exec.lost; !lost {
			r.config.Log.Warn("the connection to a peer ended", "peer", p.name, "error", err)
		}
	}
	if x := p.exec; x != nil {
		if !x.lost {
			x.gone = cause
			r.settle(x, false)
		}
		return
	}
	h := p.host
	if h.lost {
		return
	}
	h.connLost = cause
	// How the process ended says more, if it has ended.
	r.around.After(exitGrace/4, func() { r.loseHost(h, h.connLost) })
}

// settle loses an executor when both its connection and its process have ended, or after waiting for one of them long enough:
// results may still be on the way when the host reports the end, and the report when the connection has ended.
func (r *Roster) settle(x *execState, timeout bool) {
	if x.lost {
		return
	}
	if !timeout && (x.gone == "" || x.exit == nil) {
		if !x.wait {
			x.wait = true
			r.around.After(exitGrace, func() { r.settle(x, true) })
		}
		return
	}
	if x.exit != nil {
		r.loseExecutor(x, x.exit.Cause(), false, x.exit.Killed == "")
		return
	}
	// Alive and unconnected: its host is to replace it.
	r.killExecutor(x, x.gone)
	r.loseExecutor(x, x.gone, false, true)
}

// killExecutor asks the host to kill the process.
func (r *Roster) killExecutor(x *execState, reason string) {
	if p := x.host.peer; p != nil {
		_ = p.conn.Send(&protocol.KillExecutor{Epoch: x.host.epoch, Reason: reason})
	}
}

// loseExecutor gives an executor up for good.
func (r *Roster) loseExecutor(x *execState, reason string, outputs, fault bool) {
	if x.lost {
		return
	}
	x.lost = true
	if x.host.exec == x {
		x.host.exec = nil
	}
	r.setGone(x.peer)
	x.peer.conn.Fail(errors.New(reason))
	h := x.host
	r.handle(ExecutorLost{
		Executor: x.info.Executor, Host: h.id, Reason: cmp.Or(h.released, reason), OutputsLost: outputs, Fault: fault && !h.leaving, Decommissioned: h.leaving,
	})
}

// loseHost gives a host up for good and launches another one in its place.
func (r *Roster) loseHost(h *hostState, reason string) {
	if h.lost {
		return
	}
	h.lost = true
	reason = cmp.Or(h.released, reason)
	x := h.exec
	pid := 0
	if x != nil {
		pid = x.pid
		r.loseExecutor(x, reason, true, true)
	}
	r.setGone(h.peer)
	if h.peer != nil {
		h.peer.conn.Fail(errors.New(reason))
	}
	r.hosts = slices.DeleteFunc(r.hosts, func(o *hostState) bool { return o == h })
	r.handle(HostLost{Host: h.id, Reason: reason})
	r.around.Go(func() {
		h.proc.Discard()
		killJob(pid)
	})
	if h.leaving {
		r.checkFailed()
		return
	}
	r.losses++
	if h.givenUp == "" && r.losses <= r.config.MaxHostLosses {
		r.LaunchHosts(1)
	} else if h.givenUp == "" {
		r.config.Log.Error("a host was lost and is not replaced: too many were", "host", h.id, "lost", r.losses, "reason", reason)
	}
	r.checkFailed()
}

// Decommission implements Backend.
func (r *Roster) Decommission(executor, reason string) {
	for _, h := range r.hosts {
		if x := h.exec; x != nil && x.info.Executor == executor && !h.leaving {
			h.leaving = true
			_ = h.peer.conn.Send(&protocol.Decommission{Reason: reason}) // to one that is being lost: it will launch nothing
			r.LaunchHosts(1)
			return
		}
	}
}

// Release implements Backend. The host is told to end and has a moment for it.
func (r *Roster) Release(host, reason string) {
	h := r.host(host)
	if h == nil || h.peer == nil {
		return
	}
	h.released = reason
	if x := h.exec; x != nil {
		_ = x.peer.conn.Send(&protocol.Stop{Reason: reason})
	}
	_ = h.peer.conn.Send(&protocol.Stop{Reason: reason})
	r.around.After(stopTimeout, func() { r.loseHost(h, reason) })
}

// LaunchHosts starts hosts.
func (r *Roster) LaunchHosts(n int) {
	for range n {
		number := r.next
		r.next++
		h := &hostState{id: fmt.Sprintf("host-%d", number), started: r.around.Now()}
		var err error
		h.proc, err = r.around.Launch(number, func() { r.loseHost(h, h.proc.Cause()) })
		if err != nil {
			r.config.Log.Error("a host could not be launched", "error", err)
			r.fail(err)
			return
		}
		r.hosts = append(r.hosts, h)
	}
}

// Expire loses who was not heard of for longer than the timeout. It is to be called every now and then: every eighth of the timeout does.
func (r *Roster) Expire() {
	now := r.around.Now()
	silent := func(p *Peer) (time.Duration, bool) {
		d := now.Sub(time.Unix(0, p.seen.Load()))
		return d.Round(time.Millisecond), d > r.config.Timeout && !p.busy.Load()
	}
	for _, h := range slices.Clone(r.hosts) {
		if h.peer == nil {
			if now.Sub(h.started) > registerTimeout {
				r.loseHost(h, fmt.Sprintf("the host did not register within %v", registerTimeout))
			}
			continue
		}
		if d, ok := silent(h.peer); ok {
			r.loseHost(h, fmt.Sprintf("no heartbeat of the host for %v, longer than spark.network.timeout (%v)", d, r.config.Timeout))
			continue
		}
		if x := h.exec; x != nil {
			if d, ok := silent(x.peer); ok {
				reason := fmt.Sprintf("no heartbeat for %v, longer than spark.network.timeout (%v)", d, r.config.Timeout)
				r.killExecutor(x, reason)
				r.loseExecutor(x, reason, false, false)
			}
		}
	}
}

// checkFailed reports when nobody is left who could run tasks.
func (r *Roster) checkFailed() {
	cause := "all hosts were lost"
	for _, h := range r.hosts {
		if h.givenUp == "" && !h.leaving {
			return
		}
		cause = cmp.Or(h.givenUp, cause)
	}
	r.fail(fmt.Errorf("no executor is left and none will be launched, since too many ended: at last, %s", cause))
}

func (r *Roster) fail(err error) {
	if r.failed {
		return
	}
	r.failed = true
	r.handle(Failed{Err: err})
}

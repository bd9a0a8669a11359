package cluster

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

// loop handles what happens until quit.
func (r *registry) loop() {
	ticker := time.NewTicker(max(r.config.Timeout/8, 5*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-r.quit:
			return
		case now := <-ticker.C:
			r.expire(now)
		case v := <-r.in:
			switch v := v.(type) {
			case hello:
				v.answer <- r.register(v.conn, v.msg)
			case received:
				r.receive(v.from, v.msg)
			case ended:
				r.connEnded(v.peer, v.err)
			case exited:
				v.host.ended = true
				r.loseHost(v.host, v.host.proc.Cause())
			case graceEnd:
				if v.exec != nil {
					r.settle(v.exec, true)
				} else {
					r.loseHost(v.host, v.host.connLost)
				}
			}
		}
	}
}

// register decides on a registration.
func (r *registry) register(conn *protocol.Conn, m protocol.Message) *peer {
	p, err := r.accept(conn, m)
	if err != nil {
		r.config.Log.Warn("a registration was refused", "reason", err.Error())
		_ = conn.Send(&protocol.Refused{Reason: err.Error()})
		return nil
	}
	return p
}

func (r *registry) accept(conn *protocol.Conn, m protocol.Message) (*peer, error) {
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
		return x.peer, nil
	}
	return nil, fmt.Errorf("%T is no registration", m)
}

func (r *registry) newPeer(name string, conn *protocol.Conn, h *hostState, x *execState) *peer {
	p := &peer{name: name, conn: conn, host: h, exec: x}
	p.seen.Store(time.Now().UnixNano())
	r.setLive(p)
	return p
}

func (r *registry) host(id string) *hostState {
	for _, h := range r.hosts {
		if h.id == id {
			return h
		}
	}
	return nil
}

// receive handles a message. What a lost executor still sent is dropped.
func (r *registry) receive(p *peer, m protocol.Message) {
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
		case *protocol.BlockUpdates:
			r.handle(BlockUpdates{Executor: name, Updates: m.Updates})
		case *protocol.Heartbeat:
			r.handle(Heartbeat{Executor: name, Running: m.Running, Heap: m.Heap, Mapped: m.Mapped})
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
	default:
		r.loseHost(p.host, fmt.Sprintf("the host sent %T, which is not for drivers", m))
	}
}

// executorExited takes a host's word that its job process has ended.
func (r *registry) executorExited(h *hostState, m *protocol.ExecutorExited) {
	if !m.Restarting {
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

// connEnded handles the end of a connection.
func (r *registry) connEnded(p *peer, err error) {
	r.setGone(p)
	cause := "the connection was closed by the other side"
	if !errors.Is(err, io.EOF) {
		cause = "the connection ended: " + err.Error()
		if lost := p.host.lost || p.exec != nil && p.exec.lost; !lost {
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
	time.AfterFunc(exitGrace/4, func() { r.send(graceEnd{host: h}) })
}

// settle loses an executor when both its connection and its process have ended, or after waiting for one of them long enough:
// results may still be on the way when the host reports the end, and the report when the connection has ended.
func (r *registry) settle(x *execState, timeout bool) {
	if x.lost {
		return
	}
	if !timeout && (x.gone == "" || x.exit == nil) {
		if !x.wait {
			x.wait = true
			time.AfterFunc(exitGrace, func() { r.send(graceEnd{exec: x}) })
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
func (r *registry) killExecutor(x *execState, reason string) {
	if p := x.host.peer; p != nil {
		_ = p.conn.Send(&protocol.KillExecutor{Epoch: x.host.epoch, Reason: reason})
	}
}

// loseExecutor gives an executor up for good.
func (r *registry) loseExecutor(x *execState, reason string, outputs, fault bool) {
	if x.lost {
		return
	}
	x.lost = true
	if x.host.exec == x {
		x.host.exec = nil
	}
	r.setGone(x.peer)
	x.peer.conn.Fail(errors.New(reason))
	r.handle(ExecutorLost{Executor: x.info.Executor, Host: x.host.id, Reason: reason, OutputsLost: outputs, Fault: fault})
}

// loseHost gives a host up for good and launches another one in its place.
func (r *registry) loseHost(h *hostState, reason string) {
	if h.lost {
		return
	}
	h.lost = true
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
	r.running.Go(func() {
		h.proc.Discard()
		killJob(pid)
	})
	r.losses++
	if h.givenUp == "" && r.losses <= r.config.MaxHostLosses {
		r.launchHosts(1)
	} else if h.givenUp == "" {
		r.config.Log.Error("a host was lost and is not replaced: too many were", "host", h.id, "lost", r.losses, "reason", reason)
	}
	r.checkFailed()
}

// launchHosts starts hosts.
func (r *registry) launchHosts(n int) {
	for range n {
		number := r.next
		r.next++
		proc, err := r.launch(number)
		if err != nil {
			r.config.Log.Error("a host could not be launched", "error", err)
			r.fail(err)
			return
		}
		h := &hostState{id: fmt.Sprintf("host-%d", number), proc: proc, started: time.Now()}
		r.hosts = append(r.hosts, h)
		r.running.Go(func() {
			<-proc.Done()
			r.send(exited{h})
		})
	}
}

// expire loses who was not heard of.
func (r *registry) expire(now time.Time) {
	silent := func(p *peer) (time.Duration, bool) {
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
func (r *registry) checkFailed() {
	cause := "all hosts were lost"
	for _, h := range r.hosts {
		if h.givenUp == "" {
			return
		}
		cause = h.givenUp
	}
	r.fail(fmt.Errorf("no executor is left and none will be launched, since too many ended: at last, %s", cause))
}

func (r *registry) fail(err error) {
	if r.failed {
		return
	}
	r.failed = true
	r.handle(Failed{Err: err})
}

// stop ends everything: in order those that can be talked to, by force those that have not ended in time.
func (r *registry) stop() {
	if r.ln == nil {
		return
	}
	close(r.quit)
	<-r.done // from here on the state is this goroutine's
	for _, h := range r.hosts {
		if h.exec != nil {
			_ = h.exec.peer.conn.Send(&protocol.Stop{Reason: "the application has ended"})
		}
		if h.peer != nil {
			_ = h.peer.conn.Send(&protocol.Stop{Reason: "the application has ended"})
		} else {
			h.proc.Release()
		}
	}
	deadline := time.After(stopTimeout)
	timeout := false
	for _, h := range r.hosts {
		if !timeout {
			select {
			case <-h.proc.Done():
			case <-deadline:
				timeout = true
			}
		}
		h.proc.Discard() // one that has ended too: it frees what this side holds
		if h.exec != nil {
			killJob(h.exec.pid)
		}
	}
	_ = r.ln.Close()
	r.mu.Lock()
	r.closed = true
	peers := r.peers
	r.peers = map[string]*peer{}
	r.mu.Unlock()
	for _, p := range peers {
		p.conn.Fail(errors.New("the application has ended"))
	}
	r.running.Wait()
}

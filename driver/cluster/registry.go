package cluster

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
)

const (
	// exitGrace is how long the end of a connection waits for the report of how the process ended, and the other way round.
	exitGrace = time.Second
	// registerTimeout is how long a host may take from its launch to its registration.
	registerTimeout = 30 * time.Second
	// stopTimeout is how long hosts may take to end in order.
	stopTimeout = 1500 * time.Millisecond
	// maxTasksFrame is about how many bytes of tasks go into one message.
	maxTasksFrame = 4 << 20
)

// launched is a host that was started, wherever.
type launched interface {
	Done() <-chan struct{} // closed when it has ended
	Cause() string         // how it ended; after Done
	Release()              // tells it to end although it cannot be talked to
	Discard()              // ends it by force, with everything that it started and left; returns when it has ended
}

// registry accepts hosts and executors and keeps track of them. All state below the line belongs to its one goroutine, to which
// everything that happens is sent.
type registry struct {
	config  *Config
	secret  protocol.Secret
	digest  func() (string, error) // of the executable; may take a moment
	ln      *protocol.Listener
	handle  func(Event)
	launch  func(number int) (launched, error)
	in      chan any
	quit    chan struct{}  // closed to end the goroutine
	done    chan struct{}  // closed when it has ended
	running sync.WaitGroup // of the listener and of connections

	mu     sync.RWMutex
	closed bool
	peers  map[string]*peer // live executors and hosts, by name: for senders

	// ---
	hosts  []*hostState // in the order of their launches; lost ones are taken out
	next   int          // number of the next host
	losses int          // of hosts
	failed bool
}

// peer is a registered connection.
type peer struct {
	name string
	conn *protocol.Conn
	host *hostState
	exec *execState // nil for hosts
	seen atomic.Int64
	busy atomic.Bool // the reader waits for the registry: silence is not the peer's
}

// hostState is what is known of a host.
type hostState struct {
	id       string
	proc     launched
	started  time.Time
	peer     *peer      // nil until it registers
	exec     *execState // the live executor, nil if there is none
	epoch    int        // of the last executor that registered
	givenUp  string     // why it launches no more job processes
	lost     bool
	ended    bool   // the process has ended
	connLost string // why its connection ended
}

// execState is what is known of an executor.
type execState struct {
	info ExecutorAdded
	pid  int
	host *hostState
	peer *peer
	gone string                   // why its connection ended
	exit *protocol.ExecutorExited // how its process ended
	wait bool                     // for the other one of the two
	lost bool
}

// What is sent to the goroutine.
type (
	hello struct { // a registration
		conn   *protocol.Conn
		msg    protocol.Message
		answer chan<- *peer // nil if it was refused
	}
	received struct { // a message of a registered peer
		from *peer
		msg  protocol.Message
	}
	ended struct { // a connection
		peer *peer
		err  error
	}
	exited   struct{ host *hostState } // a host process
	graceEnd struct {                  // of waiting for how something ended
		host *hostState
		exec *execState
	}
)

func (r *registry) init(config *Config) {
	*r = registry{
		config: config, secret: protocol.NewSecret(), in: make(chan any, 64), quit: make(chan struct{}), done: make(chan struct{}), peers: map[string]*peer{},
	}
}

// listen makes the driver's listener.
func (r *registry) listen(addr string) error {
	ln, err := protocol.Listen(addr, r.secret, protocol.Control, r.config.Log)
	if err != nil {
		return err
	}
	r.ln = ln
	return nil
}

func (r *registry) addr() string { return r.ln.Addr() }

// start launches the first hosts and runs the goroutine.
func (r *registry) start(handle func(Event), launch func(int) (launched, error), hosts int) {
	r.handle, r.launch = handle, launch
	r.running.Go(func() { r.ln.Serve(r.serve) })
	go func() {
		defer close(r.done)
		r.launchHosts(hosts)
		r.loop()
	}()
}

// send gives something to the goroutine; false when it has ended.
func (r *registry) send(v any) bool {
	select {
	case r.in <- v:
		return true
	case <-r.done:
		return false
	}
}

// serve is the life of a connection that has proved the secret.
func (r *registry) serve(nc net.Conn) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		nc.Close()
		return
	}
	r.running.Add(1)
	r.mu.Unlock()
	defer r.running.Done()
	conn := protocol.NewConn(nc, protocol.Limits{MaxFrame: r.config.MaxFrame, FailOnFull: true, WriteStall: r.config.Timeout})
	defer conn.Close()
	p := r.admit(conn)
	if p == nil {
		conn.CloseAfterFlush(time.Second) // the refusal
		return
	}
	for {
		m, err := conn.Receive()
		if err != nil {
			r.send(ended{p, err})
			return
		}
		p.busy.Store(true)
		ok := r.send(received{p, m})
		p.seen.Store(time.Now().UnixNano())
		p.busy.Store(false)
		if !ok {
			return
		}
	}
}

// admit reads the registration and has it decided. It returns nil for a peer that was refused.
func (r *registry) admit(conn *protocol.Conn) *peer {
	if err := conn.SetReadDeadline(time.Now().Add(protocol.HandshakeTimeout)); err != nil {
		return nil
	}
	m, err := conn.Receive()
	if err != nil {
		r.config.Log.Warn("a peer was refused: it did not register", "error", err)
		return nil
	}
	switch m.(type) {
	case *protocol.RegisterHost, *protocol.RegisterExecutor:
	default:
		r.config.Log.Warn("a peer was refused: it did not register first", "message", fmt.Sprintf("%T", m))
		_ = conn.Send(&protocol.Refused{Reason: fmt.Sprintf("the first message must be a registration, not %T", m)})
		return nil
	}
	if _, err := r.digest(); err != nil { // waits until it is known
		_ = conn.Send(&protocol.Refused{Reason: err.Error()})
		return nil
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil
	}
	answer := make(chan *peer, 1)
	if !r.send(hello{conn, m, answer}) {
		return nil
	}
	select {
	case p := <-answer:
		return p
	case <-r.done:
		return nil
	}
}

// live returns a registered peer by name.
func (r *registry) live(name string) (*peer, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if p := r.peers[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("executor %s is gone", name)
}

func (r *registry) setLive(p *peer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[p.name] = p
}

func (r *registry) setGone(p *peer) {
	if p == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers[p.name] == p {
		delete(r.peers, p.name)
	}
}

// SendStage sends a stage attempt to an executor.
func (r *registry) SendStage(executor string, b *protocol.StageBinary) error {
	return r.sendTo(executor, b)
}

func (r *registry) sendTo(name string, m protocol.Message) error {
	p, err := r.live(name)
	if err != nil {
		return err
	}
	if err := p.conn.Send(m); err != nil {
		return fmt.Errorf("send %T to executor %s: %w", m, name, err)
	}
	return nil
}

// Launch sends tasks to an executor, in one message unless their splits are large.
func (r *registry) Launch(executor string, tasks []protocol.TaskDesc) error {
	for len(tasks) > 0 {
		n, size := 0, 0
		for n < len(tasks) && (n == 0 || size < maxTasksFrame) {
			size += 64 + len(tasks[n].Splits)
			n++
		}
		if err := r.sendTo(executor, &protocol.LaunchTasks{Tasks: tasks[:n]}); err != nil {
			return err
		}
		tasks = tasks[n:]
	}
	return nil
}

// Kill asks a task to end.
func (r *registry) Kill(executor string, task int64, reason string) error {
	return r.sendTo(executor, &protocol.KillTask{ID: task, Reason: reason})
}

// AnswerCommit tells a task whether it may publish.
func (r *registry) AnswerCommit(executor string, task int64, allowed bool) error {
	return r.sendTo(executor, &protocol.CommitAnswer{ID: task, Allowed: allowed})
}

// Remove sends a clean-up to those whom it concerns: map outputs are the hosts', everything else is the executors'.
func (r *registry) Remove(m protocol.Remove) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, p := range r.peers {
		if (p.exec == nil) == (m.Kind == protocol.RemoveShuffle) {
			_ = p.conn.Send(&m) // to one that is being lost: nothing is left to clean up
		}
	}
}

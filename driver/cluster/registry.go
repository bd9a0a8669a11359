package cluster

import (
	"errors"
	"fmt"
	"net"
	"sync"
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

// registry puts a Roster on sockets, processes and the clock: one goroutine owns it, to which everything that happens is sent.
type registry struct {
	Roster
	secret  protocol.Secret
	ln      *protocol.Listener
	launch  func(number int) (Process, error)
	in      chan any
	quit    chan struct{}  // closed to end the goroutine
	done    chan struct{}  // closed when it has ended
	running sync.WaitGroup // of the listener and of connections
}

// What is sent to the goroutine; functions are called.
type (
	hello struct { // a registration
		conn   *protocol.Conn
		msg    protocol.Message
		answer chan<- *Peer // nil if it was refused
	}
	received struct { // a message of a registered peer
		from *Peer
		msg  protocol.Message
	}
	ended struct { // a connection
		peer *Peer
		err  error
	}
)

func (r *registry) init(config *Config) {
	*r = registry{
		Roster: Roster{config: config, peers: map[string]*Peer{}},
		secret: protocol.NewSecret(), in: make(chan any, 64), quit: make(chan struct{}), done: make(chan struct{}),
	}
	r.around = realSurroundings{r}
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
func (r *registry) start(handle func(Event), launch func(int) (Process, error), hosts int) {
	r.handle, r.launch = handle, launch
	r.running.Go(func() { r.ln.Serve(r.serve) })
	go func() {
		defer close(r.done)
		r.LaunchHosts(hosts)
		r.loop()
	}()
}

// realSurroundings are the clock and processes.
type realSurroundings struct{ *registry }

func (s realSurroundings) Now() time.Time { return time.Now() }

func (s realSurroundings) After(d time.Duration, f func()) {
	time.AfterFunc(d, func() { s.send(f) })
}

func (s realSurroundings) Go(f func()) { s.running.Go(f) }

func (s realSurroundings) Launch(number int, ended func()) (Process, error) {
	p, err := s.launch(number)
	if err != nil {
		return nil, err
	}
	s.running.Go(func() {
		<-p.Done()
		s.send(ended)
	})
	return p, nil
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
		p.Seen(time.Now())
		p.busy.Store(false)
		if !ok {
			return
		}
	}
}

// admit reads the registration and has it decided. It returns nil for a peer that was refused.
func (r *registry) admit(conn *protocol.Conn) *Peer {
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
	answer := make(chan *Peer, 1)
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

// loop handles what happens until quit.
func (r *registry) loop() {
	ticker := time.NewTicker(max(r.config.Timeout/8, 5*time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-r.quit:
			return
		case <-ticker.C:
			r.Expire()
		case v := <-r.in:
			switch v := v.(type) {
			case hello:
				v.answer <- r.Register(v.conn, v.msg)
			case received:
				r.Receive(v.from, v.msg)
			case ended:
				r.Ended(v.peer, v.err)
			case func():
				v()
			}
		}
	}
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
	r.peers = map[string]*Peer{}
	r.mu.Unlock()
	for _, p := range peers {
		p.conn.Fail(errors.New("the application has ended"))
	}
	r.running.Wait()
}

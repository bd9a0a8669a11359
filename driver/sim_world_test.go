package driver

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/spark-go/spark-go/driver/cluster"
	"github.com/spark-go/spark-go/executor/protocol"
)

// world is a clock that jumps from event to event, and a network. Everything random comes from the seed: from the world's own
// generator, or, for what belongs to one connection, from that connection's, so that the order in which a map of peers is
// walked does not matter.
type world struct {
	now    time.Duration
	heap   []worldEvent
	seq    uint64
	seed   uint64
	rng    *rand.Rand
	start  time.Time
	roster *cluster.Roster
	links  []*simLink
	cuts   map[[2]string]bool
	inbox  []func()
	fast   bool // short, equal delays: for large clusters
	events int
	record func(format string, args ...any) // nil unless the seed is played for people
}

type worldEvent struct {
	at       time.Duration
	key, seq uint64
	do       func()
}

func (a *worldEvent) before(b *worldEvent) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	if a.key != b.key {
		return a.key < b.key
	}
	return a.seq < b.seq
}

func newWorld(seed uint64) *world {
	return &world{seed: seed, rng: rand.New(rand.NewPCG(seed, 2)), start: time.Unix(1e9, 0), cuts: map[[2]string]bool{}}
}

func (w *world) logf(format string, args ...any) {
	if w.record != nil {
		w.record("%10.3f "+format, append([]any{w.now.Seconds()}, args...)...)
	}
}

func (w *world) time() time.Time { return w.start.Add(w.now) }

// after has f called later.
func (w *world) after(d time.Duration, f func()) { w.at(w.now+max(d, 0), 0, f) }

func (w *world) at(at time.Duration, key uint64, f func()) {
	w.seq++
	w.heap = append(w.heap, worldEvent{max(at, w.now), key, w.seq, f})
	h := w.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

// step goes on to the next event; false if there is none.
func (w *world) step() bool {
	h := w.heap
	if len(h) == 0 {
		return false
	}
	e := h[0]
	n := len(h) - 1
	h[0], h[n] = h[n], worldEvent{}
	h = h[:n]
	w.heap = h
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h[c+1].before(&h[c]) {
			c++
		}
		if !h[c].before(&h[i]) {
			break
		}
		h[i], h[c] = h[c], h[i]
		i = c
	}
	w.now = e.at
	w.events++
	e.do()
	return true
}

// between draws a duration.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)+1))
}

// delay is how long a message is under way: mostly a moment, now and then much longer.
func (w *world) delay(rng *rand.Rand) time.Duration {
	switch {
	case w.fast:
		return between(rng, 100*time.Microsecond, 200*time.Microsecond)
	case rng.IntN(40) == 0:
		return between(rng, 10*time.Millisecond, 2*time.Second)
	}
	return between(rng, 50*time.Microsecond, 5*time.Millisecond)
}

// tell has f called in turn with all else that the roster is told: what was read from a connection waits for a moment, and is handled even if the
// connection is closed meanwhile.
func (w *world) tell(f func()) {
	w.inbox = append(w.inbox, f)
	if len(w.inbox) > 1 {
		return
	}
	d := between(w.rng, 0, 200*time.Microsecond)
	if !w.fast && w.rng.IntN(50) == 0 {
		d = between(w.rng, 0, 200*time.Millisecond)
	}
	w.after(d, func() {
		for len(w.inbox) > 0 {
			told := w.inbox
			w.inbox = nil
			for _, f := range told {
				f()
			}
		}
	})
}

const driverMachine = "driver"

func pairOf(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

func (w *world) isCut(a, b string) bool { return len(w.cuts) > 0 && w.cuts[pairOf(a, b)] }

func (w *world) cut(a, b string) {
	w.logf("CUT %s | %s", a, b)
	w.cuts[pairOf(a, b)] = true
}

// heal has what TCP held back go on its way.
func (w *world) heal(a, b string) {
	if !w.isCut(a, b) {
		return
	}
	w.logf("HEAL %s | %s", a, b)
	delete(w.cuts, pairOf(a, b))
	for _, l := range w.links {
		if !l.broken && !w.isCut(l.machine, driverMachine) {
			for _, lane := range []*simLane{&l.up, &l.down} {
				held := lane.held
				lane.held = nil
				for _, m := range held {
					l.transmit(lane, m)
				}
			}
		}
	}
}

// simLink is a connection between a process and the driver. Messages of one direction keep their order. A network that is cut holds them
// back; the connection may break meanwhile, and what was under way is lost.
type simLink struct {
	w        *world
	rng      *rand.Rand
	id       uint64
	machine  string
	up, down simLane
	broken   bool
	peer     *cluster.Peer            // once the driver has accepted it
	receive  func(m protocol.Message) // the process's
	ended    func()                   // tells the process
	closing  bool                     // the process is dead: what it sent last still arrives
	refused  bool
}

type simLane struct {
	last time.Duration
	sent int
	held []simMessage
}

type simMessage struct {
	number  int // in its lane: what was under way when the network was cut goes before what was sent afterwards
	deliver func()
}

func (l *simLink) enter(lane *simLane, deliver func()) {
	lane.sent++
	l.transmit(lane, simMessage{lane.sent, deliver})
}

var errLinkBroken = errors.New("the connection has ended")

// dial connects a process on a machine with the driver.
func (w *world) dial(machine string, receive func(protocol.Message), ended func()) *simLink {
	id := uint64(len(w.links) + 1)
	l := &simLink{w: w, rng: rand.New(rand.NewPCG(w.seed, 1000+id)), id: id, machine: machine, receive: receive, ended: ended}
	w.links = append(w.links, l)
	return l
}

func (l *simLink) transmit(lane *simLane, m simMessage) {
	w := l.w
	if w.isCut(l.machine, driverMachine) {
		if len(lane.held) == 0 {
			w.at(w.now+between(l.rng, 3*time.Second, 60*time.Second), l.id, func() { // TCP gives up
				if len(lane.held) > 0 {
					l.breakUp()
				}
			})
		}
		i, _ := slices.BinarySearchFunc(lane.held, m.number, func(m simMessage, n int) int { return m.number - n })
		lane.held = slices.Insert(lane.held, i, m)
		return
	}
	at := max(lane.last, w.now+w.delay(l.rng))
	lane.last = at
	w.at(at, l.id, func() {
		switch {
		case l.broken:
		case w.isCut(l.machine, driverMachine):
			l.transmit(lane, m)
		default:
			m.deliver()
		}
	})
}

// Send implements cluster.Link, for the driver.
func (l *simLink) Send(m protocol.Message) error {
	if l.broken || l.closing {
		return errLinkBroken
	}
	l.enter(&l.down, func() { l.receive(m) })
	return nil
}

// Fail implements cluster.Link: the driver closes the connection.
func (l *simLink) Fail(error) {
	l.breakUp()
}

// send is the process's.
func (l *simLink) send(m protocol.Message) {
	if l.broken || l.closing {
		return
	}
	l.enter(&l.up, func() { l.w.tell(func() { l.arrived(m) }) })
}

func (l *simLink) arrived(m protocol.Message) {
	if l.refused {
		return
	}
	if l.peer == nil {
		if l.peer = l.w.roster.Register(l, m); l.peer == nil {
			l.refused = true
		}
		return
	}
	l.peer.Seen(l.w.time())
	l.w.roster.Receive(l.peer, m)
}

// close is the end of the process: mostly what it had sent still arrives before the end of the connection does.
func (l *simLink) close() {
	if l.broken || l.closing {
		return
	}
	if l.rng.IntN(4) == 0 {
		l.ended = nil
		l.breakUp()
		return
	}
	l.enter(&l.up, func() {
		l.ended = nil
		l.breakUp()
	})
	l.closing = true
}

// breakUp ends the connection; both sides learn of it, each in its time.
func (l *simLink) breakUp() {
	if l.broken {
		return
	}
	l.broken = true
	l.up.held, l.down.held = nil, nil
	w := l.w
	w.at(w.now+w.delay(l.rng), l.id, func() {
		w.tell(func() {
			if l.peer != nil {
				w.roster.Ended(l.peer, errors.New("connection reset by peer"))
			}
		})
	})
	if l.ended != nil {
		w.at(w.now+w.delay(l.rng), l.id, l.ended)
	}
}

// The surroundings of the roster.

func (s *simulation) Now() time.Time { return s.w.time() }

func (s *simulation) After(d time.Duration, f func()) { s.w.after(d, f) }

func (s *simulation) Go(f func()) { s.w.after(0, f) }

// Launch starts a host on a machine of its own.
func (s *simulation) Launch(number int, ended func()) (cluster.Process, error) {
	h := s.newHost(fmt.Sprintf("host-%d", number), number, ended)
	return h, nil
}

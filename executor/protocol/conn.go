package protocol

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// DefaultMaxFrame is the default of spark.rpc.message.maxSize: 128 MiB.
const DefaultMaxFrame = 128 << 20

// A frame is: uint32 little endian, the length of what follows the five bytes of the header; one byte, the kind; the body.
const headerSize = 5

// keepBuffer is the largest write buffer that is kept for the next round.
const keepBuffer = 1 << 20

// Limits bound what a connection may cost. The zero value means the defaults.
type Limits struct {
	MaxFrame   int           // bytes of a frame's body, sent or received; default DefaultMaxFrame
	MaxQueued  int           // bytes waiting to be written, above which Send waits or fails; default 2 * MaxFrame
	FailOnFull bool          // fail the connection rather than let Send wait: for senders that serve many peers
	WriteStall time.Duration // how long the peer may take nothing before the connection fails; default 120 s
}

func (l Limits) withDefaults() Limits {
	if l.MaxFrame <= 0 {
		l.MaxFrame = DefaultMaxFrame
	}
	if l.MaxQueued <= 0 {
		l.MaxQueued = 2 * l.MaxFrame
	}
	if l.WriteStall <= 0 {
		l.WriteStall = 120 * time.Second
	}
	return l
}

// TooLargeError is returned by Send for a message over the limit; the connection goes on.
type TooLargeError struct {
	Size, Limit int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("message of %d bytes is larger than spark.rpc.message.maxSize (%d bytes): send less at once, or raise the limit", e.Size, e.Limit)
}

var (
	errClosed = errors.New("connection closed")
	errFull   = errors.New("the peer does not read: too much is waiting for it")
)

// Conn sends and receives messages over an authenticated connection. Send may be called from any goroutine: messages are
// encoded at once and queued, and one goroutine writes whatever has queued up, so that many small messages cost one system
// call. Receive is for one goroutine.
type Conn struct {
	nc     net.Conn
	in     *bufio.Reader
	limits Limits

	mu      sync.Mutex
	space   sync.Cond // signalled when the queue was taken, and on failure
	queue   writer    // frames that nobody has written yet
	spare   []byte
	err     error // why the connection ended
	closing bool  // end when the queue is empty

	wake chan struct{}
	done chan struct{} // closed when the writing goroutine has ended
}

// NewConn makes a Conn of a connection that has been authenticated, and owns it from then on.
func NewConn(nc net.Conn, limits Limits) *Conn {
	c := &Conn{nc: nc, in: bufio.NewReaderSize(nc, 64<<10), limits: limits.withDefaults(), wake: make(chan struct{}, 1), done: make(chan struct{})}
	c.space.L = &c.mu
	go c.flush()
	return c
}

// SetMaxFrame changes the limit on frames, for the process that learns it when it registers. It is called before the first Send
// and Receive that are to follow the new limit, by the goroutine that receives.
func (c *Conn) SetMaxFrame(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limits.MaxFrame, c.limits.MaxQueued = n, 2*n
}

// Send queues a message. It returns a *TooLargeError for one that is over the limit, and the cause if the connection has ended;
// nil does not mean that the peer got it.
func (c *Conn) Send(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && !c.closing && len(c.queue.buf) > c.limits.MaxQueued {
		if c.limits.FailOnFull {
			c.failLocked(errFull)
			break
		}
		c.space.Wait()
	}
	if c.err != nil {
		return c.err
	}
	if c.closing {
		return errClosed
	}
	start := len(c.queue.buf)
	c.queue.buf = append(c.queue.buf, 0, 0, 0, 0, byte(m.kind()))
	m.write(&c.queue)
	c.queue.locations, c.queue.lastIndex = nil, 0
	n := len(c.queue.buf) - start - headerSize
	if n > c.limits.MaxFrame {
		c.queue.buf = c.queue.buf[:start]
		return &TooLargeError{Size: n, Limit: c.limits.MaxFrame}
	}
	binary.LittleEndian.PutUint32(c.queue.buf[start:], uint32(n))
	c.signal()
	return nil
}

func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// flush writes what is queued until the connection ends.
func (c *Conn) flush() {
	defer close(c.done)
	for range c.wake {
		for {
			c.mu.Lock()
			if c.err != nil {
				c.mu.Unlock()
				return
			}
			buf := c.queue.buf
			if len(buf) == 0 {
				if c.closing {
					c.failLocked(errClosed)
					c.mu.Unlock()
					return
				}
				c.mu.Unlock()
				break
			}
			c.queue.buf, c.spare = c.spare, nil
			c.space.Broadcast()
			c.mu.Unlock()
			if err := c.writeAll(buf); err != nil {
				c.fail(fmt.Errorf("write to the peer: %w", err))
				return
			}
			if cap(buf) <= keepBuffer {
				c.mu.Lock()
				c.spare = buf[:0]
				c.mu.Unlock()
			}
		}
	}
}

// writeAll writes in pieces, so that the deadline is one on standing still and not on the whole.
func (c *Conn) writeAll(buf []byte) error {
	const piece = 1 << 20
	for len(buf) > 0 {
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.limits.WriteStall)); err != nil {
			return err
		}
		n, err := c.nc.Write(buf[:min(len(buf), piece)])
		if err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// Receive returns the next message. After an error the connection is of no use. Byte slices in the message share one buffer,
// which belongs to the caller; messages that are kept for long keep all of it.
func (c *Conn) Receive() (Message, error) {
	m, err := c.receive()
	if err != nil {
		c.mu.Lock()
		if c.err != nil && errors.Is(err, net.ErrClosed) {
			err = c.err // this side ended it: say why
		}
		c.mu.Unlock()
		return nil, err
	}
	return m, nil
}

func (c *Conn) receive() (Message, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(c.in, header[:]); err != nil {
		return nil, err
	}
	n, k := binary.LittleEndian.Uint32(header[:]), kind(header[4])
	if uint64(n) > uint64(c.limits.MaxFrame) {
		return nil, fmt.Errorf("the peer sends a message of %d bytes, larger than spark.rpc.message.maxSize (%d bytes)", n, c.limits.MaxFrame)
	}
	m := newMessage(k)
	if m == nil {
		return nil, fmt.Errorf("%w: unknown kind %d", errMalformed, k)
	}
	body, err := readBody(c.in, int(n))
	if err != nil {
		return nil, err
	}
	return m, decode(m, body)
}

// decode fills m from a body and refuses one with bytes left over.
func decode(m Message, body []byte) error {
	r := reader{buf: body}
	m.read(&r)
	if r.err == nil && len(r.buf) > 0 {
		r.fail(fmt.Sprintf("%d bytes are left over", len(r.buf)))
	}
	if r.err != nil {
		return fmt.Errorf("read %T: %w", m, r.err)
	}
	return nil
}

// readBody reads n bytes. Memory grows with what arrives, not with what was announced.
func readBody(r io.Reader, n int) ([]byte, error) {
	const step = 1 << 20
	body := make([]byte, 0, min(n, step))
	for len(body) < n {
		if len(body) == cap(body) {
			grown := make([]byte, len(body), min(n, 2*cap(body)))
			copy(grown, body)
			body = grown
		}
		end := min(n, cap(body))
		k, err := io.ReadFull(r, body[len(body):end])
		body = body[:len(body)+k]
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return body, nil
}

// SetReadDeadline bounds the next calls of Receive; the zero time removes the bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// Fail ends the connection at once and gives the reason to all who use it.
func (c *Conn) Fail(err error) { c.fail(err) }

func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *Conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.queue.buf, c.spare = nil, nil
	c.nc.Close()
	c.space.Broadcast()
	c.signal()
}

// Close ends the connection at once; what is queued is lost. It returns when nothing of the connection runs any more.
func (c *Conn) Close() {
	c.fail(errClosed)
	<-c.done
}

// CloseAfterFlush ends the connection when everything queued has been written, or after the given time.
func (c *Conn) CloseAfterFlush(wait time.Duration) {
	c.mu.Lock()
	c.closing = true
	c.space.Broadcast()
	c.mu.Unlock()
	c.signal()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		c.Close()
	}
}

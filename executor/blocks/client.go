package blocks

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// ClientConfig says how a client behaves. The zero value means the defaults.
type ClientConfig struct {
	Timeout   time.Duration // how long a server may send nothing; default DefaultTimeout
	Retries   int           // after an error of the connection, before the data begins; default 3, negative for none
	RetryWait time.Duration // before the first retry, then twice as long each time; default 100 ms
	MaxIdle   int           // connections kept for each server; default 8
}

// Client fetches blocks over connections that it keeps. It is safe for many goroutines.
type Client struct {
	secret protocol.Secret
	config ClientConfig

	mu     sync.Mutex
	closed bool
	idle   map[string][]net.Conn // by address, the most recently used last
}

var _ shuffle.Fetcher = (*Client)(nil)

// RemoteError is an error that the server met with a block it should have: trying again is of no use.
type RemoteError struct {
	Addr, Message string
}

func (e *RemoteError) Error() string { return fmt.Sprintf("block server %s: %s", e.Addr, e.Message) }

// NewClient returns a client for the servers of one application.
func NewClient(secret protocol.Secret, config ClientConfig) *Client {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.Retries == 0 {
		config.Retries = 3
	}
	if config.RetryWait <= 0 {
		config.RetryWait = 100 * time.Millisecond
	}
	if config.MaxIdle <= 0 {
		config.MaxIdle = 8
	}
	return &Client{secret: secret, config: config, idle: map[string][]net.Conn{}}
}

// Close closes the idle connections; those in use are closed with their readers.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conns := range c.idle {
		for _, nc := range conns {
			nc.Close()
		}
	}
	c.idle = nil
}

// Fetch returns the stored bytes of the reduce partitions [start, end) of a map output. Errors wrap ErrNotFound if its host does
// not have it any more. Reading short of the announced length is an error. The reader must be closed; ctx bounds all of it.
func (c *Client) Fetch(ctx context.Context, shuffleID int, out shuffle.Output, start, end int) (io.ReadCloser, error) {
	r, _, err := c.open(ctx, out.Location.Addr, &request{op: askMap, shuffle: shuffleID, mapN: out.Map, attempt: out.Attempt, start: start, end: end})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Check implements shuffle.Checker.
func (c *Client) Check(ctx context.Context, shuffleID int, out shuffle.Output, start, end int) (damage string, err error) {
	r, _, err := c.open(ctx, out.Location.Addr, &request{op: askCheck, shuffle: shuffleID, mapN: out.Map, attempt: out.Attempt, start: start, end: end})
	var remote *RemoteError
	switch {
	case errors.As(err, &remote):
		return remote.Message, nil
	case err != nil:
		return "", err
	}
	return "", r.Close()
}

// Open returns a named block and its length from the server at addr. Errors wrap ErrNotFound if it is not there. The reader must
// be closed; ctx bounds all of it.
func (c *Client) Open(ctx context.Context, addr, name string) (io.ReadCloser, int64, error) {
	return c.open(ctx, addr, &request{op: askName, name: name})
}

func (c *Client) open(ctx context.Context, addr string, q *request) (io.ReadCloser, int64, error) {
	msg, err := q.append(nil)
	if err != nil {
		return nil, 0, err
	}
	wait := c.config.RetryWait
	for try := 0; ; try++ {
		r, length, err := c.ask(ctx, addr, msg)
		if err == nil {
			return r, length, nil
		}
		var remote *RemoteError
		// A server that was silent for the whole timeout is not asked again: the driver holds it for lost about now.
		final := errors.As(err, &remote) || errors.Is(err, ErrNotFound) || errors.Is(err, protocol.ErrRefused) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
		if ctx.Err() != nil {
			err, final = ctx.Err(), true
		}
		if final || try >= c.config.Retries {
			return nil, 0, fmt.Errorf("fetch %v: %w", q, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		wait *= 2
	}
}

// ask sends a request, on a kept connection if there is one that still works.
func (c *Client) ask(ctx context.Context, addr string, msg []byte) (*reader, int64, error) {
	for {
		nc, kept, err := c.conn(ctx, addr)
		if err != nil {
			return nil, 0, err
		}
		r := &reader{ctx: ctx, client: c, addr: addr, nc: nc}
		r.stop = context.AfterFunc(ctx, func() { _ = nc.SetDeadline(time.Unix(1, 0)) })
		length, err := r.begin(msg)
		if err == nil {
			return r, length, nil
		}
		if kept && errors.Is(err, errNoAnswer) && ctx.Err() == nil {
			continue // the server had closed it: not a failure
		}
		return nil, 0, err
	}
}

func (c *Client) conn(ctx context.Context, addr string) (nc net.Conn, kept bool, err error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, false, fmt.Errorf("block client: %w", net.ErrClosed)
	}
	if conns := c.idle[addr]; len(conns) > 0 {
		nc = conns[len(conns)-1]
		c.idle[addr] = conns[:len(conns)-1]
		c.mu.Unlock()
		return nc, true, nil
	}
	c.mu.Unlock()
	nc, err = protocol.Dial(ctx, addr, c.secret, protocol.Blocks)
	return nc, false, err
}

func (c *Client) keep(addr string, nc net.Conn) {
	c.mu.Lock()
	if !c.closed && len(c.idle[addr]) < c.config.MaxIdle {
		c.idle[addr] = append(c.idle[addr], nc)
		nc = nil
	}
	c.mu.Unlock()
	if nc != nil {
		nc.Close()
	}
}

var errNoAnswer = errors.New("the server closed the connection without an answer")

// reader reads one block off a connection and gives that back when all of it was read.
type reader struct {
	ctx    context.Context // of the caller: it bounds the reading as well
	client *Client
	addr   string
	nc     net.Conn    // nil when given back or closed
	stop   func() bool // ends the watch on the context; false if that has ended
	left   int64
	err    error
}

// begin sends the request and reads the answer up to the data. After an error the connection is closed, or kept if it is in order.
func (r *reader) begin(msg []byte) (int64, error) {
	err := r.extend()
	if err == nil {
		if _, err = r.nc.Write(msg); err != nil {
			err = fmt.Errorf("%w: %w", errNoAnswer, err)
		}
	}
	var head [answerSize]byte
	if err == nil {
		var n int
		if n, err = io.ReadFull(r.nc, head[:]); err != nil && n == 0 {
			err = fmt.Errorf("%w: %w", errNoAnswer, err)
		}
	}
	if err != nil {
		r.drop()
		return 0, err
	}
	length := binary.LittleEndian.Uint64(head[1:])
	if head[0] == found {
		if length > 1<<62 {
			r.drop()
			return 0, fmt.Errorf("block server %s: impossible length %d", r.addr, length)
		}
		r.left = int64(length)
		if length == 0 {
			r.release()
		}
		return r.left, nil
	}
	if head[0] > failed || length > maxReason {
		r.drop()
		return 0, fmt.Errorf("block server %s: unknown answer %d", r.addr, head[0])
	}
	reason := make([]byte, length)
	if _, err := io.ReadFull(r.nc, reason); err != nil {
		r.drop()
		return 0, err
	}
	r.release()
	if head[0] == notFound {
		return 0, fmt.Errorf("block server %s: %w: %s", r.addr, ErrNotFound, reason)
	}
	return 0, &RemoteError{Addr: r.addr, Message: string(reason)}
}

// extend gives the server another timeout, unless the context has ended: then the deadline lies in the past and stays there.
func (r *reader) extend() error {
	if err := r.nc.SetDeadline(time.Now().Add(r.client.config.Timeout)); err != nil {
		return err
	}
	return r.ctx.Err()
}

// Read returns data of the block, io.EOF after its last byte, and another error if the connection ends before that.
func (r *reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		r.err = io.EOF
		return 0, io.EOF
	}
	n, err := 0, r.extend()
	if err == nil {
		n, err = r.nc.Read(p[:min(int64(len(p)), r.left)])
	}
	r.left -= int64(n)
	if r.left == 0 {
		r.release()
		return n, nil
	}
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if r.ctx.Err() != nil {
			err = r.ctx.Err()
		}
		r.err = fmt.Errorf("read a block from %s, %d bytes before its end: %w", r.addr, r.left, err)
		r.drop()
	}
	return n, r.err
}

// Close gives the connection back if the block was read to its end, and closes it otherwise.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = fmt.Errorf("block reader: %w", net.ErrClosed)
	}
	r.drop()
	return nil
}

func (r *reader) release() {
	nc := r.nc
	r.nc = nil
	if !r.stop() {
		nc.Close() // its deadline lies in the past
		return
	}
	r.client.keep(r.addr, nc)
}

func (r *reader) drop() {
	if r.nc == nil {
		return
	}
	r.stop()
	r.nc.Close()
	r.nc = nil
}

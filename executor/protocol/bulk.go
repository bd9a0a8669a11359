package protocol

import (
	"net"
	"sync"
)

// bulkSize is about how many bytes a bulkConn hands to the kernel, and takes from it, at once.
const bulkSize = 256 << 10

// bulkConn lies below a TLS connection that carries large blocks. TLS writes and reads records of 16 KiB, each with system calls and a
// wake-up of the other side; here the records of one Write go out together, and one read brings several. Buffers are borrowed, so that idle
// connections have none.
type bulkConn struct {
	net.Conn

	mu   sync.Mutex // of what follows
	held *[]byte    // records of a Write that has not ended; nil outside of one
	err  error      // of a write: what follows would be out of step

	buf *[]byte // that in lies in
	in  []byte  // read, and not taken yet
}

var bulkBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, bulkSize+1<<15)
	return &b
}}

// hold keeps back what is written until send.
func (c *bulkConn) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = bulkBuffers.Get().(*[]byte)
	*c.held = (*c.held)[:0]
}

// send writes what was kept back.
func (c *bulkConn) send() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	bulkBuffers.Put(c.held)
	c.held = nil
	return c.err
}

// flush writes what is kept back; the lock is held.
func (c *bulkConn) flush() {
	if c.err == nil && len(*c.held) > 0 {
		_, c.err = c.Conn.Write(*c.held)
	}
	*c.held = (*c.held)[:0]
}

// Write takes a record.
func (c *bulkConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	if c.held == nil {
		return c.Conn.Write(p)
	}
	*c.held = append(*c.held, p...)
	if len(*c.held) >= bulkSize {
		c.flush()
	}
	if c.err != nil {
		return 0, c.err
	}
	return len(p), nil
}

// Read is for one goroutine. A short read, as of a record's header while nothing comes, does without a buffer.
func (c *bulkConn) Read(p []byte) (int, error) {
	const short = 4 << 10
	if len(c.in) == 0 {
		if len(p) < short {
			return c.Conn.Read(p)
		}
		c.buf = bulkBuffers.Get().(*[]byte)
		n, err := c.Conn.Read((*c.buf)[:bulkSize])
		c.in = (*c.buf)[:n]
		if n == 0 {
			c.giveBack()
			return 0, err
		}
	}
	n := copy(p, c.in)
	if c.in = c.in[n:]; len(c.in) == 0 {
		c.giveBack()
	}
	return n, nil
}

func (c *bulkConn) giveBack() {
	bulkBuffers.Put(c.buf)
	c.buf, c.in = nil, nil
}

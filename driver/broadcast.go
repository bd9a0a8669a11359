package driver

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/spark-go/spark-go/executor"
	"github.com/spark-go/spark-go/executor/protocol"
)

// broadcast is a published value; its bytes are made when the first executor in another process asks for them.
type broadcast struct {
	value  any
	once   sync.Once
	encode func() ([]byte, error)
	pieces [][]byte
	err    error
}

// Publish implements rdd.Session.
func (c *Context) Publish(id int, value any, encode func() ([]byte, error)) error {
	if c.err != nil {
		return c.err
	}
	c.mu.Lock()
	c.broadcasts[id] = &broadcast{value: value, encode: encode}
	c.mu.Unlock()
	return nil
}

// Withdraw implements rdd.Session.
func (c *Context) Withdraw(id int) {
	c.mu.Lock()
	delete(c.broadcasts, id)
	c.mu.Unlock()
	if c.backend != nil {
		c.backend.Remove(protocol.Remove{Kind: protocol.RemoveBroadcast, ID: id})
	}
}

// Broadcast implements rdd.Broadcasts for tasks in the driver's own process: they share the value.
func (c *Context) Broadcast(_ context.Context, id int, _ func([]byte) (any, error)) (any, error) {
	c.mu.Lock()
	b := c.broadcasts[id]
	c.mu.Unlock()
	if b == nil {
		return nil, fmt.Errorf("broadcast %d was destroyed", id)
	}
	return b.value, nil
}

// broadcastBlocks serves the values of broadcasts to executors in other processes, in pieces.
type broadcastBlocks struct{ c *Context }

// Open implements blocks.Provider.
func (b broadcastBlocks) Open(name string) (io.ReadCloser, int64, error) {
	id, piece, err := executor.ParseBroadcastBlock(name)
	if err != nil {
		return nil, 0, err
	}
	c := b.c
	c.mu.Lock()
	v := c.broadcasts[id]
	c.mu.Unlock()
	if v == nil {
		return nil, 0, fmt.Errorf("broadcast %d was destroyed: %w", id, fs.ErrNotExist)
	}
	v.once.Do(func() {
		var value []byte
		if value, v.err = v.encode(); v.err == nil {
			v.pieces, v.err = executor.CutBroadcast(value, int(c.conf.Bytes("spark.broadcast.blockSize")), c.conf.Bool("spark.broadcast.compress"))
		}
	})
	if v.err != nil {
		return nil, 0, v.err
	}
	if piece >= len(v.pieces) {
		return nil, 0, fmt.Errorf("broadcast %d has %d pieces: %w", id, len(v.pieces), fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(v.pieces[piece])), int64(len(v.pieces[piece])), nil
}

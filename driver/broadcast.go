package driver

import (
	"context"
	"fmt"
	"sync"
)

// broadcast is a published value; its bytes are made when the first executor in another process asks for them.
type broadcast struct {
	value  any
	once   sync.Once
	encode func() ([]byte, error)
	bytes  []byte
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

// broadcastBytes returns a published value for other processes.
func (c *Context) broadcastBytes(id int) ([]byte, error) {
	c.mu.Lock()
	b := c.broadcasts[id]
	c.mu.Unlock()
	if b == nil {
		return nil, fmt.Errorf("broadcast %d was destroyed", id)
	}
	b.once.Do(func() { b.bytes, b.err = b.encode() })
	return b.bytes, b.err
}

package driver

import (
	"github.com/spark-go/spark-go/driver/sched"
	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

var _ rdd.Cleaner = (*Context)(nil)

// gone says that the program can reach something no more.
type gone struct {
	kind protocol.RemoveKind
	id   int
}

// DatasetGone implements rdd.Cleaner: the cached blocks are dropped.
func (c *Context) DatasetGone(id int) { c.gone(protocol.RemoveDataset, id) }

// ShuffleGone implements rdd.Cleaner: the map outputs are forgotten and their files removed.
func (c *Context) ShuffleGone(id int) { c.gone(protocol.RemoveShuffle, id) }

// VariableGone implements rdd.Cleaner: the value of a broadcast and the way to merge an accumulator are forgotten.
func (c *Context) VariableGone(id int) { c.gone(protocol.RemoveBroadcast, id) }

// gone hands the news to the loop and returns: the garbage collector's goroutine must not wait. A stopped loop has removed it all.
func (c *Context) gone(kind protocol.RemoveKind, id int) {
	if c.loop != nil {
		c.loop.queue.put(gone{kind, id})
	}
}

// clean removes what nothing can reach. No running job can: it would reach it.
func (l *loop) clean(g gone) {
	switch g.kind {
	case protocol.RemoveDataset:
		l.forgetDataset(g.id)
		delete(l.kept, g.id)
	case protocol.RemoveShuffle:
		l.handle(sched.ShuffleRemoved{Shuffle: g.id})
		l.voidCopies(protocol.Remove{Kind: protocol.RemoveShuffle, ID: g.id})
		l.ctx.keeping.release(g.id)
	case protocol.RemoveBroadcast:
		c := l.ctx
		c.mu.Lock()
		_, published := c.broadcasts[g.id]
		delete(c.broadcasts, g.id)
		delete(c.accumulators, g.id)
		c.mu.Unlock()
		if !published {
			return // an accumulator, of which executors keep nothing
		}
	}
	l.ctx.backend.Remove(protocol.Remove{Kind: g.kind, ID: g.id})
}

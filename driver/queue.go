package driver

import (
	"sync"

	"github.com/spark-go/spark-go/executor/protocol"
)

// queue hands events to the loop: a slice that grows rather than a channel that blocks whoever reports.
type queue struct {
	mu     sync.Mutex
	items  []any
	wake   chan struct{}
	closed bool
}

func (q *queue) put(items ...any) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	q.items = append(q.items, items...)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// stopLoop ends the loop.
type stopLoop struct{ done chan struct{} }

// results are reports of ended tasks.
type results struct {
	executor string
	tasks    []protocol.TaskResult
}

// noExecutors says that no executor is left and none will come.
type noExecutors struct{ err error }

// blockUpdates say what an executor caches.
type blockUpdates struct {
	executor string
	updates  []protocol.BlockUpdate
}

// ask runs a function on the loop, for questions about its state.
type ask struct {
	do   func()
	done chan struct{}
}

// call runs f on the loop and waits; it reports false when the loop has ended.
func (l *loop) call(f func()) bool {
	a := ask{f, make(chan struct{})}
	l.queue.put(a)
	select {
	case <-a.done:
		return true
	case <-l.ctx.stopped:
		return false
	}
}

package hdfsfs

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	maxSessions = 32               // of a file system that read or ask; each file being written has one of its own
	maxReaders  = 8                // of one file at different places, as long as others may be taken
	keepIdle    = 10 * time.Second // after which an idle session ends
	maxSkipped  = 512 << 10        // bytes; reading this much that nobody wants costs less than a new connection
)

// pool lends sessions. A reader of a file gets the one that stands where it wants to go on, if there is one.
type pool struct {
	fs *FS

	mu      sync.Mutex
	free    chan struct{} // closed and replaced when a session comes back
	idle    []*session    // the one used last is the last
	total   int           // idle and lent
	sweeper *time.Timer
}

func (p *pool) init(f *FS) {
	p.fs = f
	p.free = make(chan struct{})
}

// take lends a session for reading f at offset, or for anything if f is nil.
func (p *pool) take(ctx context.Context, f *file, offset int64) (*session, error) {
	for {
		p.mu.Lock()
		i, create := p.choose(f, offset)
		if i >= 0 {
			s := p.idle[i]
			p.idle = slices.Delete(p.idle, i, i+1)
			p.mu.Unlock()
			// A file that is open is read on even while its client cannot reach the NameNode: where its blocks lie is known.
			if s.usable() || f != nil && s.file == f && s.reader != nil {
				if s.file != f {
					s.drop()
				}
				return s, nil
			}
			p.discard(s)
			continue
		}
		if create {
			p.total++
			p.mu.Unlock()
			s, err := p.fs.open(ctx)
			if err != nil {
				p.gone()
				return nil, err
			}
			return s, nil
		}
		free := p.free
		p.mu.Unlock()
		select {
		case <-free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// choose finds the best idle session, or says whether to make another.
func (p *pool) choose(f *file, offset int64) (i int, create bool) {
	same, spare := -1, -1 // least recently used ones: of this file, without file
	readers := 0
	for i, s := range p.idle {
		switch {
		case s.file == nil:
			spare = i
		case f != nil && s.file == f:
			if offset >= s.pos && offset-s.pos <= maxSkipped || s.holds(offset) {
				return i, false
			}
			readers++
			if same < 0 {
				same = i
			}
		}
	}
	switch {
	case spare >= 0:
		return spare, false
	case same >= 0 && readers >= maxReaders:
		return same, false
	case p.total < maxSessions:
		return -1, true
	case same >= 0:
		return same, false
	case len(p.idle) > 0:
		return 0, false
	}
	return -1, false
}

// put takes a session back.
func (p *pool) put(s *session) {
	if !s.usable() && s.reader == nil {
		p.discard(s)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s.idle = time.Now()
	p.idle = append(p.idle, s)
	p.wake()
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(keepIdle, func() { p.expire(keepIdle) })
	}
}

// wake lets those look again that wait for a session; the caller holds the lock.
func (p *pool) wake() {
	close(p.free)
	p.free = make(chan struct{})
}

func (p *pool) discard(s *session) {
	s.close()
	p.gone()
}

func (p *pool) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	p.wake()
}

// forget closes the readers of a file that nobody reads any more.
func (p *pool) forget(f *file) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.idle {
		if s.file == f {
			s.drop()
		}
	}
}

// expire ends the sessions that were idle for so long.
func (p *pool) expire(age time.Duration) {
	p.mu.Lock()
	now := time.Now()
	var old []*session
	p.idle = slices.DeleteFunc(p.idle, func(s *session) bool {
		if now.Sub(s.idle) < age {
			return false
		}
		old = append(old, s)
		return true
	})
	p.total -= len(old)
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
	if len(p.idle) > 0 {
		p.sweeper = time.AfterFunc(keepIdle, func() { p.expire(keepIdle) })
	}
	p.wake()
	p.mu.Unlock()
	for _, s := range old {
		s.close()
	}
}

// scratchPool has buffers for bytes that nobody wants.
var scratchPool = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

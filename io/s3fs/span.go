package s3fs

import (
	"context"
	"slices"
	"sync"
)

// maxSpans bounds what a file keeps of what was read ahead.
const maxSpans = 6

// span is a contiguous piece of the object that was fetched by one request and is kept for a while, so that nearby
// small reads cost one request. Over slow connections, a read that goes on where a span ended is sequential: the next span is twice as long, up to
// options.maxReadAhead, and from the second one on it is fetched while its predecessor is still being read. It thus fetches in vain at most
// about what it has used. Several sequences in one file (columns of Parquet) do not disturb each other.
type span struct {
	off    int64
	buf    []byte
	streak int // spans before this one in its sequence
	ready  chan struct{}
	err    error // valid once ready

	// Guarded by file.mu.
	next bool // its successor was asked for
	gone bool // no longer in file.spans
	uses int  // by readers and by whoever fetches it
}

// buffers are the memory of spans that nobody uses any more: fresh memory costs more than what is read into it.
var buffers sync.Pool

func buffer(n int64) []byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		if int64(cap(*b)) >= n {
			return (*b)[:n]
		}
		buffers.Put(b)
	}
	return make([]byte, n)
}

// drop takes a span out of the file. The caller holds the lock.
func (f *file) drop(i int) {
	s := f.spans[i]
	f.spans = append(f.spans[:i], f.spans[i+1:]...)
	s.gone = true
	s.recycle()
}

// recycle gives the memory of a span back once nobody can see it. The caller holds the lock.
func (s *span) recycle() {
	if s.gone && s.uses == 0 && s.buf != nil {
		b := s.buf
		s.buf = nil
		buffers.Put(&b)
	}
}

// release ends a reader's use of a span. A sequence that has passed it will not come back.
func (f *file) release(s *span, to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.uses--
	if i := slices.Index(f.spans, s); i >= 0 && s.next && s.streak > 0 && to == s.end() {
		f.drop(i)
		return
	}
	s.recycle()
}

func (s *span) end() int64 { return s.off + int64(len(s.buf)) }

// spanFor finds the span that holds an offset, or starts to fetch it, and counts its use; nil if a read of n bytes had better be done directly.
func (f *file) spanFor(off, n, tail int64) *span {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.find(off)
	if s == nil {
		if n >= directSize {
			return nil
		}
		streak := 0
		for _, before := range f.spans {
			if off >= before.end() && off-before.end() < f.b.opts.readAhead {
				before.next = true
				streak = max(streak, before.streak+1)
			}
		}
		s = f.start(off, n, streak, tail)
	}
	s.uses++ // before its successor may push it out
	if !s.next && s.streak > 0 && f.b.slow() && off+n >= s.off+int64(len(s.buf))/2 && s.end() < tail {
		s.next = true
		f.start(s.end(), 0, s.streak+1, tail)
	}
	return s
}

// find returns the span that holds an offset, most recently used from now on. One that failed is forgotten: another try may be luckier.
func (f *file) find(off int64) *span {
	for i := len(f.spans) - 1; i >= 0; i-- {
		s := f.spans[i]
		if off < s.off || off >= s.end() {
			continue
		}
		select {
		case <-s.ready:
			if s.err != nil {
				f.drop(i)
				return nil
			}
		default:
		}
		copy(f.spans[i:], f.spans[i+1:])
		f.spans[len(f.spans)-1] = s
		return s
	}
	return nil
}

// start begins to fetch a span. The caller holds the lock.
func (f *file) start(off, n int64, streak int, tail int64) *span {
	length := max(n, min(f.b.opts.readAhead<<min(streak, 20), f.b.opts.maxReadAhead))
	if len(f.spans) >= maxSpans {
		f.drop(0)
	}
	s := &span{off: off, buf: buffer(min(length, tail-off)), streak: streak, ready: make(chan struct{}), uses: 1}
	f.spans = append(f.spans, s)
	f.wg.Go(func() {
		s.err = f.fetch(f.ctx, s.buf, s.off)
		close(s.ready)
		f.mu.Lock()
		s.uses--
		s.recycle()
		f.mu.Unlock()
	})
	return s
}

// fetch fills p from the object, with several requests if it is large and connections are slow.
func (f *file) fetch(ctx context.Context, p []byte, off int64) error {
	if len(p) <= pieceSize || !f.b.slow() {
		return f.get(ctx, p, off)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, maxPieces)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	for at := 0; at < len(p); at += pieceSize {
		slots <- struct{}{}
		piece, from := p[at:min(at+pieceSize, len(p))], off+int64(at)
		wg.Go(func() {
			defer func() { <-slots }()
			if err := f.get(ctx, piece, from); err != nil {
				mu.Lock()
				if first == nil {
					first = err
				}
				mu.Unlock()
				cancel()
			}
		})
	}
	wg.Wait()
	return first
}

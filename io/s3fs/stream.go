package s3fs

import (
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// maxStreams bounds the open responses of one file.
	maxStreams = 4
	// streamGap is what may lie between two reads of a sequence.
	streamGap = 64 << 10
	// firstRead is what a read at an object's beginning must ask for to be taken for the first of a sequence: less may be a look at the format's mark.
	firstRead = 4 << 10
)

// stream is a place of the object that somebody reads on from, by one response that goes to the object's end. Reads take their bytes from it without
// another copy in between, and nothing runs meanwhile: the kernel receives ahead as much as its buffer for the connection holds (tcp_rmem), and
// the store waits. A response that breaks off is asked for again from the byte it had come to. One that is not read to its end costs its connection.
type stream struct {
	pos  int64         // of the next byte
	body io.ReadCloser // nil: not asked for, a large read ended here
	busy bool          // a read is using it
}

// streamFor finds the stream that a read goes on with, or makes one for a read that goes on where another ended; nil if there is neither. The
// stream is the caller's alone until readStream is done with it.
func (f *file) streamFor(off int64, n int) *stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	slow := f.b.slow()
	sequence := off == 0 && n >= firstRead
	for i, s := range f.streams {
		gap := off - s.pos
		if s.busy || gap < 0 || gap > streamGap {
			continue
		}
		if s.body != nil && !slow {
			s.busy = true
			f.streams = append(slices.Delete(f.streams, i, i+1), s)
			return s
		}
		f.dropStream(i)
		sequence = true
		break
	}
	for _, s := range f.spans {
		if off >= s.off && off < s.end() {
			return nil
		}
		sequence = sequence || off >= s.end() && off-s.end() <= streamGap
	}
	if !sequence || slow || f.size-off <= f.b.opts.readAhead+tailSize {
		return nil
	}
	return f.addStream(&stream{pos: off, busy: true})
}

// passed remembers where a large read ended.
func (f *file) passed(end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end < f.size && !f.closed {
		f.addStream(&stream{pos: end})
	}
}

// addStream adds a stream in the place of the one that was not used for the longest time; nil if all are in use. The caller holds the lock.
func (f *file) addStream(s *stream) *stream {
	if len(f.streams) == maxStreams {
		i := slices.IndexFunc(f.streams, func(s *stream) bool { return !s.busy })
		if i < 0 {
			return nil
		}
		f.dropStream(i)
	}
	f.streams = append(f.streams, s)
	return s
}

// dropStream takes a stream out of the file; one in use ends with its read. The caller holds the lock.
func (f *file) dropStream(i int) {
	s := f.streams[i]
	f.streams = slices.Delete(f.streams, i, i+1)
	if !s.busy && s.body != nil {
		_ = s.body.Close()
	}
}

// readStream reads from a stream, what lies before off for nothing, and gives the stream back.
func (f *file) readStream(s *stream, p []byte, off int64) (int, error) {
	p = p[:min(int64(len(p)), f.size-off)]
	n, err := 0, f.skip(s, p, off)
	if err == nil {
		n, err = f.next(s, p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.busy = false
	if err != nil || f.closed || s.pos == f.size {
		if i := slices.Index(f.streams, s); i >= 0 {
			f.dropStream(i)
		} else if s.body != nil {
			_ = s.body.Close()
		}
	}
	return n, err
}

// skip takes a stream to off, by way of the caller's memory.
func (f *file) skip(s *stream, scratch []byte, off int64) error {
	for s.pos < off {
		if _, err := f.next(s, scratch[:min(int64(len(scratch)), off-s.pos)]); err != nil {
			return err
		}
	}
	return nil
}

// next fills p with the next bytes of a stream, which it asks for where that has not been done or the answer broke off.
func (f *file) next(s *stream, p []byte) (n int, err error) {
	for attempt := 1; ; attempt++ {
		if s.body == nil {
			s.body, err = f.request(f.ctx, s.pos, f.size)
		}
		if err == nil {
			var m int
			m, err = f.fill(f.ctx, s.body, p[n:])
			n += m
			s.pos += int64(m)
			if m > 0 {
				attempt = 1
			}
		}
		if err == nil {
			return n, nil
		}
		if s.body != nil {
			_ = s.body.Close()
			s.body = nil
		}
		if !broken(err) {
			return n, err
		}
		if attempt >= f.b.opts.attempts {
			return n, unwrapBroken(err)
		}
		if err = f.b.pause(f.ctx, attempt); err != nil {
			return n, err
		}
	}
}

const (
	// fastEnough is the speed in bytes a second from which on one connection is thought to be limited by what both ends can do.
	fastEnough = 100 << 20
	// judgedBy is how many bytes that is measured with: a machine that is busy for a moment is no slow connection.
	judgedBy = 64 << 20
	// slowFor is how long a verdict holds.
	slowFor = 30 * time.Second
)

// pace is how fast connections are while somebody waits for them.
type pace struct {
	sync.Mutex
	bytes     int64
	waited    time.Duration
	slowUntil time.Time
}

// slow tells whether one connection is slower than several would be.
func (b *bucket) slow() bool {
	b.pace.Lock()
	defer b.pace.Unlock()
	return time.Now().Before(b.pace.slowUntil)
}

// measure takes note of how long a reader waited for the bytes of one connection.
func (b *bucket) measure(n int, waited time.Duration) {
	b.pace.Lock()
	defer b.pace.Unlock()
	b.pace.bytes += int64(n)
	b.pace.waited += waited
	if b.pace.bytes < b.opts.judgedBy {
		return
	}
	if float64(b.pace.bytes) < b.opts.fastEnough*b.pace.waited.Seconds() {
		b.pace.slowUntil = time.Now().Add(slowFor)
	}
	b.pace.bytes, b.pace.waited = 0, 0
}

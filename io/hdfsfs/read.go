package hdfsfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"github.com/colinmarc/hdfs/v2"

	"github.com/spark-go/spark-go/io/filesys"
)

const (
	// windowSize is what is read when less is asked for: the footer of a Parquet file comes with its length, and most page headers
	// with their pages.
	windowSize = 256 << 10
	smallRead  = 64 << 10
	// clientChunk is less than the bytes of any checksum (512). Reads of at most this many bytes are compared by the client itself before it hands
	// them out.
	clientChunk = 511
)

// file is an open file: a name and what it meant when it was opened. Readers of it come and go with the sessions.
type file struct {
	fs      *FS
	ctx     context.Context // of the opening
	path    string
	id      uint64
	size    int64
	modTime time.Time
	secured atomic.Bool // the data is encrypted or signed on its way: checksums are the client's matter
	closed  atomic.Bool
}

// Open opens a file for reading. ReadAt may be called concurrently: each place of the file that is read on from has a connection of its own, up
// to 8, and a read that goes on where an earlier one ended goes on in its connection.
func (f *FS) Open(ctx context.Context, p string) (filesys.File, error) {
	o := &file{fs: f, ctx: ctx, path: p}
	err := f.do(ctx, func(c *hdfs.Client, _ bool) error {
		i, err := c.Stat(p)
		if err != nil {
			return err
		}
		if i.IsDir() {
			return errIsDir
		}
		o.id, o.size, o.modTime = fileID(i), i.Size(), i.ModTime()
		return nil
	})
	if err != nil {
		return nil, f.fail("open", p, err)
	}
	return o, nil
}

func (f *file) Size() int64        { return f.size }
func (f *file) ModTime() time.Time { return f.modTime }

func (f *file) Close() error {
	if !f.closed.Swap(true) {
		f.fs.pool.forget(f)
	}
	return nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.closed.Load() {
		return 0, f.fs.fail("read", f.path, os.ErrClosed)
	}
	if off < 0 {
		return 0, f.fs.fail("read", f.path, fmt.Errorf("offset %d: %w", off, fs.ErrInvalid))
	}
	if off >= f.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), f.size-off)]
	n, err := f.read(want, off)
	if err != nil {
		return n, f.fs.fail("read", f.path, err)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// read fills p, from other replicas and connections where some fail. The client goes through all replicas of a
// block once; what then fails is tried twice more with longer limits and fresh block locations, and as long as the NameNode is away.
func (f *file) read(p []byte, off int64) (int, error) {
	r := retry{fs: f.fs}
	done := 0
	for limit, tries := readLimit, 0; ; {
		n, lost, err := f.readOnce(p[done:], off+int64(done), limit)
		done += n
		if n > 0 {
			r, limit, tries = retry{fs: f.fs}, readLimit, 0
		}
		switch {
		case err == nil:
			return done, nil
		case f.ctx.Err() != nil:
			return done, f.ctx.Err()
		case isAnswer(err):
			return done, err
		case transient(err, lost):
			if !r.wait(f.ctx, err) {
				return done, err
			}
		case tries == 2:
			return done, fmt.Errorf("no replica can be read at %d: %w", off+int64(done), err)
		default:
			tries++
			limit = min(4*limit, maxLimit)
		}
	}
}

// readOnce reads with one session and tells how much it got. After an error it tells whether the NameNode's connection was lost.
func (f *file) readOnce(p []byte, off int64, limit time.Duration) (n int, lost bool, err error) {
	s, err := f.fs.pool.take(f.ctx, f, off)
	if err != nil {
		return 0, true, err
	}
	if n = s.fromWindow(f, p, off); n < len(p) {
		err = s.run(f.ctx, limit, func() error {
			rest, err := s.read(f, p[n:], off+int64(n))
			n += rest
			return err
		})
	}
	if err != nil {
		s.drop()
	}
	if f.closed.Load() {
		s.drop()
	}
	lost = !s.usable()
	f.fs.pool.put(s)
	return n, lost, err
}

// holds tells whether the byte at an offset was read ahead.
func (s *session) holds(off int64) bool { return off >= s.at && off < s.at+int64(len(s.window)) }

// fromWindow copies what was read ahead.
func (s *session) fromWindow(f *file, p []byte, off int64) int {
	if s.file != f || !s.holds(off) {
		return 0
	}
	return copy(p, s.window[off-s.at:])
}

// read fills p from the file's reader, which it opens if it is not open yet.
func (s *session) read(f *file, p []byte, off int64) (int, error) {
	if s.file != f || s.reader == nil {
		s.drop()
		r, err := s.client.Open(f.path)
		if err != nil {
			return 0, err
		}
		if i := r.Stat(); fileID(i) != f.id || i.Size() != f.size || !i.ModTime().Equal(f.modTime) {
			return 0, fmt.Errorf("%w: it had %d bytes of %s, now %d of %s: run the job again on files that stay as they are", filesys.ErrChanged,
				f.size, f.modTime.UTC().Format(time.RFC3339Nano), i.Size(), i.ModTime().UTC().Format(time.RFC3339Nano))
		}
		s.reader, s.file, s.pos = r, f, 0
	}
	if len(p) >= smallRead {
		return s.readAt(p, off)
	}
	start := off
	if f.size-off <= windowSize { // near the end, where formats begin to read: all that may be wanted next
		start = max(0, f.size-windowSize)
		if s.pos > start && s.pos <= off && s.pos > 0 { // but not what was read already
			start = s.pos
		}
	}
	if cap(s.window) < windowSize {
		s.window = make([]byte, 0, windowSize)
	}
	s.at, s.window = start, s.window[:min(windowSize, f.size-start)]
	n, err := s.readAt(s.window, start)
	s.window = s.window[:n]
	if got := s.fromWindow(f, p, off); got == len(p) {
		return got, nil
	} else if err == nil { // more than a window from start: cannot be, a small read is smaller
		err = io.ErrUnexpectedEOF
	}
	return 0, err
}

// readAt fills p from the reader's stream. The reader is where it was, or moved: forwards over bytes that are thrown away, or by a new connection.
func (s *session) readAt(p []byte, off int64) (int, error) {
	if gap := off - s.pos; gap > 0 && gap <= maxSkipped && s.pos > 0 {
		scratch := scratchPool.Get().(*[]byte)
		for gap > 0 {
			n, err := s.readSome((*scratch)[:min(int64(len(*scratch)), gap)])
			gap -= int64(n)
			if err != nil {
				scratchPool.Put(scratch)
				return 0, err
			}
		}
		scratchPool.Put(scratch)
	} else if gap != 0 {
		if _, err := s.reader.Seek(off, io.SeekStart); err != nil {
			return 0, err
		}
		s.pos = off
	}
	done := 0
	for done < len(p) {
		n, err := s.readSome(p[done:])
		done += n
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
	}
	return done, nil
}

// errUnchecked says that bytes came through a connection that does not compare checksums.
var errUnchecked = errors.New("the connection turned out to be encrypted")

// readSome reads some bytes. Through a connection that cannot see the checksums it takes them in pieces that the client compares first.
func (s *session) readSome(p []byte) (int, error) {
	if len(p) > clientChunk && (s.file.secured.Load() || !s.plain()) {
		p = p[:clientChunk]
	}
	n, err := s.reader.Read(p)
	if !s.plain() && n > 0 {
		s.file.secured.Store(true)
		if n > clientChunk {
			return 0, errUnchecked
		}
	}
	s.pos += int64(n)
	return n, err
}

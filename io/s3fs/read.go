package s3fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/spark-go/spark-go/io/filesys"
)

const (
	// tailSize is what opening reads of the end of an object: small objects come whole, and of Parquet files the footer.
	tailSize = 64 << 10
	// pieceSize is what one request reads at most: a larger read is several at the same time.
	pieceSize = 8 << 20
	// maxPieces bounds the concurrent requests of one read.
	maxPieces = 8
	// directSize is where reads go straight into the caller's memory and past the spans.
	directSize = 4 << 20
	// maxSpans bounds what a file keeps of what was read ahead.
	maxSpans = 6
)

// file is an open object.
//
// Reads are served from spans, contiguous pieces of the object that were fetched by one request and are kept for a while, so that nearby
// small reads cost one request. A read that goes on where a span ended is sequential: the next span is twice as long, up to
// options.maxReadAhead, and from the second one on it is fetched while its predecessor is still being read. A stream thus fetches in vain at most
// about what it has used. Several streams in one file (columns of Parquet) do not disturb each other.
type file struct {
	b       *bucket
	path    string
	etag    string
	size    int64
	modTime time.Time
	tail    []byte // the last bytes

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	spans []*span // most recently used last
}

type span struct {
	off    int64
	buf    []byte
	streak int // spans before this one in its stream
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

// release ends a reader's use of a span. A stream that has passed it will not come back.
func (f *file) release(s *span, to int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.uses--
	if i := slices.Index(f.spans, s); i >= 0 && s.streak > 0 && to == s.end() {
		f.drop(i)
		return
	}
	s.recycle()
}

func (s *span) end() int64 { return s.off + int64(len(s.buf)) }

// Open implements filesys.FS. The context governs all reads of the file too.
func (b *bucket) Open(ctx context.Context, path string) (filesys.File, error) {
	k := key(path)
	if k == "" {
		return nil, b.fail("open", path, errors.New("it is a bucket, not a file"))
	}
	f := &file{b: b, path: path}
	for attempt := 1; ; attempt++ {
		err := f.open(ctx, k)
		if err == nil {
			break
		}
		if !broken(err) || attempt >= b.opts.attempts {
			if err = b.fail("open", path, unwrapBroken(err)); errors.Is(err, fs.ErrNotExist) {
				if info, e := b.Stat(ctx, path); e == nil && info.IsDir {
					err = b.fail("open", path, errors.New("it is a directory, not a file"))
				}
			}
			return nil, err
		}
		if err := b.pause(ctx, attempt); err != nil {
			return nil, b.fail("open", path, err)
		}
	}
	f.ctx, f.cancel = context.WithCancel(ctx)
	return f, nil
}

// open reads the tail, which tells the size and the entity tag as well.
func (f *file) open(ctx context.Context, k string) error {
	out, err := f.b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &f.b.name, Key: &k, Range: aws.String("bytes=-" + strconv.Itoa(tailSize))})
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable { // an empty object has no tail
		head, err := f.b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &f.b.name, Key: &k})
		if err != nil {
			return err
		}
		f.size, f.etag, f.modTime, f.tail = aws.ToInt64(head.ContentLength), aws.ToString(head.ETag), modTime(head.LastModified, head.ETag), nil
		return nil
	}
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if out.ContentLength == nil || *out.ContentLength < 0 {
		return errors.New("the store does not say how long its answer is")
	}
	n := *out.ContentLength
	f.size = n
	if r := aws.ToString(out.ContentRange); r != "" {
		_, total, _ := strings.Cut(r, "/")
		if f.size, err = strconv.ParseInt(total, 10, 64); err != nil || n > f.size {
			return fmt.Errorf("the store answers a range request with Content-Range %q of %d bytes", r, n)
		}
	}
	f.etag, f.modTime = aws.ToString(out.ETag), modTime(out.LastModified, out.ETag)
	// A store that ignores the range sends everything.
	if skip := n - tailSize; skip > 0 {
		if _, err := io.CopyN(io.Discard, out.Body, skip); err != nil {
			return brokenError{err}
		}
		n = tailSize
	}
	f.tail = make([]byte, n)
	if _, err := io.ReadFull(out.Body, f.tail); err != nil {
		return brokenError{err}
	}
	return nil
}

func statusOf(err error) int {
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}

// brokenError is the error of a response that broke off: the client retries requests, not their bodies.
type brokenError struct{ err error }

func (e brokenError) Error() string { return e.err.Error() }
func (e brokenError) Unwrap() error { return e.err }

func broken(err error) bool {
	var b brokenError
	return errors.As(err, &b) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

func unwrapBroken(err error) error {
	var b brokenError
	if errors.As(err, &b) {
		if errors.Is(b.err, io.EOF) || errors.Is(b.err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the store sent less than it announced: %w", io.ErrUnexpectedEOF)
		}
		return b.err
	}
	return err
}

// pause waits before the next attempt.
func (b *bucket) pause(ctx context.Context, attempt int) error {
	limit := min(b.opts.maxBackoff, 50*time.Millisecond<<min(attempt, 16))
	t := time.NewTimer(time.Duration(rand.Int64N(int64(limit) + 1)))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *file) Size() int64        { return f.size }
func (f *file) ModTime() time.Time { return f.modTime }

// Close ends what is being fetched.
func (f *file) Close() error {
	f.cancel()
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.spans) > 0 {
		f.drop(len(f.spans) - 1)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, f.b.fail("read", f.path, fmt.Errorf("offset %d is negative", off))
	}
	n := 0
	for n < len(p) {
		if off >= f.size {
			return n, io.EOF
		}
		m, err := f.read(p[n:], off)
		n += m
		off += int64(m)
		if err != nil {
			return n, f.b.fail("read", f.path, err)
		}
	}
	return n, nil
}

// read reads some bytes of the object, at least one.
func (f *file) read(p []byte, off int64) (int, error) {
	tail := f.size - int64(len(f.tail))
	if off >= tail {
		return copy(p, f.tail[off-tail:]), nil
	}
	p = p[:min(int64(len(p)), tail-off)]
	s := f.spanFor(off, int64(len(p)), tail)
	if s == nil {
		return len(p), f.fetch(f.ctx, p, off)
	}
	var n int
	var err error
	select {
	case <-s.ready:
		if err = s.err; err == nil {
			n = copy(p, s.buf[off-s.off:])
		}
	case <-f.ctx.Done():
		err = context.Cause(f.ctx)
	}
	f.release(s, off+int64(n))
	return n, err
}

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
	if !s.next && s.streak > 0 && off+n >= s.off+int64(len(s.buf))/2 && s.end() < tail {
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

// fetch fills p from the object, with several requests if it is large.
func (f *file) fetch(ctx context.Context, p []byte, off int64) error {
	if len(p) <= pieceSize {
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

// get fills p by one request, and others for the rest when it breaks off.
func (f *file) get(ctx context.Context, p []byte, off int64) error {
	k := key(f.path)
	for attempt := 1; ; attempt++ {
		n, err := f.getOnce(ctx, k, p, off)
		if err == nil {
			return nil
		}
		if !broken(err) {
			return err
		}
		if n > 0 {
			p, off, attempt = p[n:], off+int64(n), 1
		}
		if attempt >= f.b.opts.attempts {
			return unwrapBroken(err)
		}
		if err := f.b.pause(ctx, attempt); err != nil {
			return err
		}
	}
}

func (f *file) getOnce(ctx context.Context, k string, p []byte, off int64) (int, error) {
	rng := "bytes=" + strconv.FormatInt(off, 10) + "-" + strconv.FormatInt(off+int64(len(p))-1, 10)
	out, err := f.b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &f.b.name, Key: &k, Range: &rng, IfMatch: &f.etag})
	if err != nil {
		if s := statusOf(err); s == http.StatusPreconditionFailed || s == http.StatusRequestedRangeNotSatisfiable || errors.Is(f.b.explain(err), fs.ErrNotExist) {
			return 0, changed()
		}
		return 0, err
	}
	defer out.Body.Close()
	if want := "bytes " + rng[len("bytes="):] + "/" + strconv.FormatInt(f.size, 10); aws.ToString(out.ContentRange) != want {
		return 0, fmt.Errorf("the store answers a request for %s with the range %q, not %q", rng, aws.ToString(out.ContentRange), want)
	}
	n, err := io.ReadFull(out.Body, p)
	if err != nil {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		return n, brokenError{err}
	}
	return n, nil
}

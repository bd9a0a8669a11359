package s3fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
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
	// pieceSize is what one request reads at most of a direct read over slow connections: it is several at the same time.
	pieceSize = 8 << 20
	// maxPieces bounds the concurrent requests of one read.
	maxPieces = 8
	// directSize is where reads go straight into the caller's memory and past the spans.
	directSize = 4 << 20
)

// file is an open object. Its bytes come in three ways:
//
//   - Small reads here and there are served from spans (span.go), pieces that one request fetches.
//   - A read that goes on where an earlier one ended, or begins at the object's beginning, makes a stream (stream.go): one request for all that follows, read
//     as its bytes are wanted. The kernel's receive buffer is what reads ahead.
//   - Large reads elsewhere go straight into the caller's memory.
//
// Where one connection is slow, as those to a store across a network may be, several are used at a time: streams give way to spans that are fetched
// ahead, and large reads to concurrent requests of 8 MiB.
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

	mu      sync.Mutex
	closed  bool
	spans   []*span   // most recently used last
	streams []*stream // likewise
}

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
	f.closed = true
	for len(f.streams) > 0 {
		f.dropStream(len(f.streams) - 1)
	}
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
	if s := f.streamFor(off, len(p)); s != nil {
		return f.readStream(s, p, off)
	}
	tail := f.size - int64(len(f.tail))
	if off >= tail {
		return copy(p, f.tail[off-tail:]), nil
	}
	p = p[:min(int64(len(p)), tail-off)]
	s := f.spanFor(off, int64(len(p)), tail)
	if s == nil {
		err := f.fetch(f.ctx, p, off)
		if err != nil {
			return 0, err
		}
		f.passed(off + int64(len(p)))
		return len(p), nil
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

// get fills p by one request, and others for the rest when it breaks off.
func (f *file) get(ctx context.Context, p []byte, off int64) error {
	for attempt := 1; ; attempt++ {
		n, err := f.getOnce(ctx, p, off)
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

func (f *file) getOnce(ctx context.Context, p []byte, off int64) (int, error) {
	body, err := f.request(ctx, off, off+int64(len(p)))
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return f.fill(ctx, body, p)
}

// request asks for the bytes from off to end. Its body may break off.
func (f *file) request(ctx context.Context, off, end int64) (io.ReadCloser, error) {
	k := key(f.path)
	from, to := strconv.FormatInt(off, 10), strconv.FormatInt(end-1, 10)
	rng := "bytes=" + from + "-"
	if end < f.size { // without an end a store may know that all of the object is wanted, and hand it over as it is
		rng += to
	}
	out, err := f.b.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &f.b.name, Key: &k, Range: &rng, IfMatch: &f.etag})
	if err != nil {
		if s := statusOf(err); s == http.StatusPreconditionFailed || s == http.StatusRequestedRangeNotSatisfiable || errors.Is(f.b.explain(err), fs.ErrNotExist) {
			return nil, changed()
		}
		return nil, err
	}
	if want := "bytes " + from + "-" + to + "/" + strconv.FormatInt(f.size, 10); aws.ToString(out.ContentRange) != want {
		out.Body.Close()
		return nil, fmt.Errorf("the store answers a request for %s with the range %q, not %q", rng, aws.ToString(out.ContentRange), want)
	}
	return out.Body, nil
}

// fill reads len(p) bytes of a response. An error that comes with the last of them is one of their checksum.
func (f *file) fill(ctx context.Context, body io.Reader, p []byte) (n int, err error) {
	began := time.Now()
	for n < len(p) && err == nil {
		var m int
		m, err = body.Read(p[n:])
		n += m
	}
	switch {
	case n == len(p) && (err == nil || errors.Is(err, io.EOF)):
		f.b.measure(n, time.Since(began))
		return n, nil
	case ctx.Err() != nil:
		return n, context.Cause(ctx)
	case n == len(p):
		return n, err
	}
	return n, brokenError{err}
}

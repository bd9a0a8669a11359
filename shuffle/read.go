package shuffle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	maxRequests             = 5        // fetches at once
	defaultMaxBytesInFlight = 48 << 20 // Spark's spark.reducer.maxSizeInFlight
	readAhead               = 512 << 10
)

// Read returns the rows of the reduce partitions [start, end) of a shuffle: partition after partition and, within each, the
// outputs of the map tasks in the order given, whatever the order in which they arrive.
//
// Outputs on this host are read from their files. Others come through env.Fetcher, up to five requests at a time, with at most
// env.MaxBytesInFlight bytes fetched and not yet consumed; what exceeds half of that by itself is streamed. A damaged block is
// fetched once more; then, and when an output is missing, the error is a [*FetchError].
//
// The stream ends with ctx's cause when ctx is done. Dropping it unfinished is allowed: it implements io.Closer for those who
// want its file closed before ctx ends.
func Read[T any](ctx context.Context, env *Env, shuffleID int, outs []Output, start, end int) (Stream[T], error) {
	blocks, err := newBlockReader[T](env.Key)
	if err != nil {
		return nil, err
	}
	r, err := newReader(ctx, env, shuffleID, outs, start, end)
	if err != nil {
		return nil, err
	}
	return &rowReader[T]{reader: r, blocks: blocks}, nil
}

// rowReader is the Stream of Read: a reader of blocks, and their rows.
type rowReader[T any] struct {
	*reader
	blocks *blockReader[T]
	rows   []T
}

// Next implements Stream.
func (r *rowReader[T]) Next() ([]T, error) {
	block, err := r.block()
	if err != nil {
		return nil, err
	}
	r.rows, err = r.blocks.decode(r.rows[:0], block)
	if err = r.decoded(len(r.rows), block, err); err != nil {
		return nil, err
	}
	return r.rows, nil
}

func newReader(ctx context.Context, env *Env, shuffleID int, outs []Output, start, end int) (*reader, error) {
	if start < 0 || end < start {
		return nil, fmt.Errorf("shuffle: read partitions [%d,%d) of shuffle %d: no such range", start, end, shuffleID)
	}
	for i := range outs {
		o := &outs[i]
		if len(o.Sizes) < end {
			return nil, fmt.Errorf("shuffle: read partitions [%d,%d) of shuffle %d: map output %d has %d", start, end, shuffleID, o.Map, len(o.Sizes))
		}
		for _, n := range o.Sizes[start:end] {
			if n < 0 || n > 1<<62 {
				return nil, fmt.Errorf("shuffle: read partitions [%d,%d) of shuffle %d: map output %d claims a size of %d", start, end, shuffleID, o.Map, n)
			}
		}
		if env.Fetcher == nil && !env.local(o) {
			return nil, fmt.Errorf("shuffle: read map output %d of shuffle %d from %s: there is no fetcher for other hosts", o.Map, shuffleID, o.Location.Addr)
		}
	}
	limit := env.MaxBytesInFlight
	if limit <= 0 {
		limit = defaultMaxBytesInFlight
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r := &reader{ctx: ctx, cancel: cancel, env: env, shuffle: shuffleID, outs: outs, limit: limit, arrived: make(chan *request, maxRequests)}
	r.plan(start, end)
	return r, nil
}

func (e *Env) local(o *Output) bool {
	return o.Location.Host != "" && o.Location.Host == e.Location.Host
}

// request is the range of partitions of one map output that is read at once.
type request struct {
	out        *Output
	start, end int
	size       int64
	remote     bool
	whole      bool // held in memory; else streamed block by block
	started    bool
	done       bool
	buf        []byte
	err        error
}

// group is a range of partitions whose requests are made together: one partition, or a few small ones.
type group struct {
	start, end int
	requests   []*request // in map order, without the empty ones
}

// reader yields the blocks of Read, whole and verified, without knowing the type of their rows. Everything but the fetch goroutines runs in the caller's goroutine; those end by themselves.
type reader struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	env     *Env
	shuffle int
	outs    []Output
	limit   int64

	groups   []group
	fetches  []*request // the remote ones that are fetched whole, in the order of their use
	active   int
	inFlight int64
	arrived  chan *request

	part    int // the partition being read, in groups[0]
	at      int // the next of its requests
	source  source
	current *request
	scratch []byte
	err     error
}

func (r *reader) plan(start, end int) {
	for a := start; a < end; {
		b, total := a, int64(0)
		for b < end {
			n := int64(0)
			for i := range r.outs {
				n += r.outs[i].Sizes[b]
			}
			if b > a && total+n > r.limit/2 {
				break
			}
			total += n
			b++
		}
		g := group{start: a, end: b}
		if total > 0 {
			for i := range r.outs {
				q := &request{out: &r.outs[i], start: a, end: b, remote: !r.env.local(&r.outs[i])}
				for _, n := range q.out.Sizes[a:b] {
					q.size += n
				}
				if q.size == 0 {
					continue
				}
				q.whole = b-a > 1 || q.remote && q.size <= r.limit/2
				g.requests = append(g.requests, q)
				if q.whole && q.remote {
					r.fetches = append(r.fetches, q)
				}
			}
			r.groups = append(r.groups, g)
		}
		a = b
	}
	if len(r.groups) > 0 {
		r.part = r.groups[0].start
	}
}

// block returns the next block, valid until the next call, or io.EOF.
func (r *reader) block() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	block, err := r.nextBlock()
	if err != nil {
		r.err = err
		r.stop()
		return nil, err
	}
	return block, nil
}

func (r *reader) nextBlock() ([]byte, error) {
	for {
		if err := context.Cause(r.ctx); err != nil {
			return nil, err
		}
		r.pump()
		if r.source == nil {
			if err := r.open(); err != nil {
				return nil, err
			}
		}
		block, err := r.source.next()
		if err == io.EOF {
			r.closeSource()
			continue
		}
		if err != nil {
			return nil, r.fail(r.diagnose(r.current, err))
		}
		return block, nil
	}
}

// decoded counts the rows of a block, or fails the reader if the block could not be decoded.
func (r *reader) decoded(rows int, block []byte, err error) error {
	if err != nil {
		r.err = r.fail(err)
		r.stop()
		return r.err
	}
	if m := r.env.Metrics; m != nil {
		m.RowsRead += int64(rows)
		m.BytesRead += int64(len(block))
	}
	if n := r.env.RowsSoFar; n != nil {
		n.Add(int64(rows))
	}
	return nil
}

// fail turns an error about the current request into a FetchError, unless the reader was cancelled.
func (r *reader) fail(err error) error {
	if cause := context.Cause(r.ctx); cause != nil {
		return cause
	}
	return &FetchError{Shuffle: r.shuffle, Map: r.current.out.Map, Reduce: r.part, Location: r.current.out.Location, Err: err}
}

// checkTime is how long a holder may take to read its blocks again.
const checkTime = 30 * time.Second

// diagnose adds to the error about a block that has come damaged twice where that happened: whoever holds it compares what lies on its disk with the checksums
// once more (Spark: ShuffleChecksumHelper.diagnoseCorruption).
func (r *reader) diagnose(q *request, err error) error {
	if !errors.Is(err, errCorrupt) {
		return err
	}
	if !q.remote {
		return fmt.Errorf("%w: damaged on the disk of this host, in %s", err, DataFile(q.out.Location.Dir, WriterID{r.shuffle, q.out.Map, q.out.Attempt}))
	}
	holder, ok := r.env.Fetcher.(Checker)
	if !ok {
		return err
	}
	ctx, cancel := context.WithTimeout(r.ctx, checkTime)
	defer cancel()
	switch damage, cause := holder.Check(ctx, r.shuffle, *q.out, q.start, q.end); {
	case cause != nil:
		return fmt.Errorf("%w; whether on the disk of its host or on the way cannot be said: %w", err, cause)
	case damage != "":
		return fmt.Errorf("%w: damaged on the disk of its host: %s", err, damage)
	}
	return fmt.Errorf("%w: damaged on the way, for it is whole on the disk of its host: look at the network and the memory of both hosts", err)
}

// VerifyBlocks reads n bytes of blocks and holds them against their checksums.
func VerifyBlocks(in io.Reader, n int64) error {
	s := &streamSource{in: io.NopCloser(in), left: n, buf: make([]byte, 1<<20), retried: true}
	for {
		if _, err := s.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// open makes the next non-empty segment the source: the current partition of the next request.
func (r *reader) open() error {
	for len(r.groups) > 0 {
		g := &r.groups[0]
		for ; r.part < g.end; r.part++ {
			for r.at < len(g.requests) {
				q := g.requests[r.at]
				r.at++
				n := q.out.Sizes[r.part]
				if n == 0 {
					continue
				}
				r.current = q
				return r.openSegment(q, n)
			}
			r.at = 0
		}
		for _, q := range g.requests { // a whole group is consumed
			r.release(q)
		}
		r.groups = r.groups[1:]
		if len(r.groups) > 0 {
			r.part = r.groups[0].start
		}
		r.pump()
	}
	return io.EOF
}

func (r *reader) openSegment(q *request, n int64) error {
	if m := r.env.Metrics; m != nil {
		if q.remote {
			m.RemoteBlocks++
		} else {
			m.LocalBlocks++
		}
	}
	if !q.whole {
		if r.scratch == nil {
			r.scratch = make([]byte, min(readAhead, n))
		}
		r.source = &streamSource{open: func() (io.ReadCloser, error) { return r.stream(r.ctx, q) }, left: n, buf: r.scratch}
		return nil
	}
	if err := r.await(q); err != nil {
		return err
	}
	from := int64(0)
	for _, s := range q.out.Sizes[q.start:r.part] {
		from += s
	}
	r.source = &memorySource{buf: q.buf[from : from+n]}
	return nil
}

// await waits until q has been fetched.
func (r *reader) await(q *request) error {
	began := time.Now()
	if !q.remote && !q.done {
		q.buf, q.err = r.fetch(r.ctx, q)
		q.done = true
	}
	for !q.done {
		// What was fetched before q and is not given back is of q's own group, which fits the limit: q starts as soon as fewer
		// than maxRequests are active.
		if r.pump(); q.done {
			break
		}
		select {
		case got := <-r.arrived:
			r.active--
			got.done = true
		case <-r.ctx.Done():
			return context.Cause(r.ctx)
		}
	}
	if m := r.env.Metrics; m != nil {
		m.FetchWaitNanos += int64(time.Since(began))
	}
	if q.err != nil {
		return r.fail(r.diagnose(q, q.err))
	}
	return nil
}

// pump starts fetches in the order of their use while the limits allow.
func (r *reader) pump() {
	for {
		select {
		case got := <-r.arrived:
			r.active--
			got.done = true
			continue
		default:
		}
		if len(r.fetches) == 0 || r.active == maxRequests {
			return
		}
		q := r.fetches[0]
		if r.inFlight > 0 && r.inFlight+q.size > r.limit {
			return
		}
		r.fetches = r.fetches[1:]
		q.started = true
		r.active++
		r.inFlight += q.size
		go func() {
			q.buf, q.err = r.fetch(r.ctx, q)
			r.arrived <- q // never blocks: it has room for every active request
		}()
	}
}

// fetch reads a whole request and verifies its blocks; a damaged one is read once more.
func (r *reader) fetch(ctx context.Context, q *request) ([]byte, error) {
	for try := 0; ; try++ {
		buf, err := r.fetchOnce(ctx, q)
		if err == nil || try > 0 || !errors.Is(err, errCorrupt) {
			return buf, err
		}
	}
}

func (r *reader) fetchOnce(ctx context.Context, q *request) ([]byte, error) {
	rc, err := r.stream(ctx, q)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	buf := make([]byte, q.size)
	if n, err := io.ReadFull(rc, buf); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("%w: %d bytes came, %d were written", errCorrupt, n, q.size)
	} else if err != nil {
		return nil, err
	}
	at := buf
	for p := q.start; p < q.end; p++ {
		n := q.out.Sizes[p]
		for s := (&memorySource{buf: at[:n]}); ; {
			block, err := s.next()
			if err == io.EOF {
				break
			}
			if err == nil {
				err = verify(block)
			}
			if err != nil {
				return nil, err
			}
		}
		at = at[n:]
	}
	return buf, nil
}

// stream opens the bytes of a request.
func (r *reader) stream(ctx context.Context, q *request) (io.ReadCloser, error) {
	if q.remote {
		rc, err := r.env.Fetcher.Fetch(ctx, r.shuffle, *q.out, q.start, q.end)
		if err != nil {
			return nil, err
		}
		return closeWith(ctx, rc, rc), nil
	}
	f, off, n, err := OpenBlock(q.out.Location.Dir, r.shuffle, q.out.Map, q.out.Attempt, q.start, q.end)
	if err != nil {
		return nil, err
	}
	if n != q.size {
		f.Close()
		return nil, fmt.Errorf("%w: the files hold %d bytes, %d were written", errCorrupt, n, q.size)
	}
	return closeWith(ctx, io.NewSectionReader(f, off, n), f), nil
}

// release gives up the memory of a request.
func (r *reader) release(q *request) {
	if q.started {
		r.inFlight -= q.size
		q.started = false
	}
	q.buf = nil
}

func (r *reader) closeSource() {
	r.source.close()
	r.source = nil
	if q := r.current; q.end-q.start == 1 {
		r.release(q)
	}
}

// Close stops the fetches and closes the open file; the stream cannot be used after.
func (r *reader) Close() error {
	if r.err == nil {
		r.err = errors.New("shuffle: read from a closed stream")
	}
	r.stop()
	return nil
}

func (r *reader) stop() {
	if r.source != nil {
		r.source.close()
		r.source = nil
	}
	r.cancel(r.err)
	r.groups, r.fetches, r.current = nil, nil, nil
}

// ctxReadCloser closes what it reads from when its context ends, so that no read outlasts it.
type ctxReadCloser struct {
	io.Reader
	closer io.Closer
	stop   func() bool
}

func closeWith(ctx context.Context, r io.Reader, c io.Closer) io.ReadCloser {
	return &ctxReadCloser{Reader: r, closer: c, stop: context.AfterFunc(ctx, func() { c.Close() })}
}

func (c *ctxReadCloser) Close() error {
	if c.stop() {
		return c.closer.Close()
	}
	return nil
}

// source yields the blocks of one segment, whole and of checked sizes.
type source interface {
	next() ([]byte, error) // io.EOF after the last block; the block is valid until the next call
	close()
}

// memorySource yields blocks whose checksums were verified on arrival.
type memorySource struct{ buf []byte }

func (s *memorySource) next() ([]byte, error) {
	if len(s.buf) == 0 {
		return nil, io.EOF
	}
	if len(s.buf) < blockHeader {
		return nil, fmt.Errorf("%w: %d bytes where a block should be", errCorrupt, len(s.buf))
	}
	h := parseHeader(s.buf)
	if err := h.check(int64(len(s.buf) - blockHeader)); err != nil {
		return nil, err
	}
	n := blockHeader + h.stored
	block := s.buf[:n:n]
	s.buf = s.buf[n:]
	return block, nil
}

func (s *memorySource) close() {}

// streamSource yields blocks as they come, and verifies them. After a damaged block it opens its input once more and goes on
// where it was.
type streamSource struct {
	open    func() (io.ReadCloser, error)
	in      io.ReadCloser
	left    int64 // bytes not yet read into buf
	read    int64 // bytes of blocks returned
	buf     []byte
	pos     int // buf[pos:end] is read and not returned
	end     int
	retried bool
}

func (s *streamSource) next() ([]byte, error) {
	block, err := s.nextBlock()
	if err == nil || err == io.EOF || s.retried || !errors.Is(err, errCorrupt) {
		return block, err
	}
	s.retried = true
	s.close()
	s.left += int64(s.end - s.pos)
	s.pos, s.end = 0, 0
	return s.nextBlock()
}

func (s *streamSource) nextBlock() ([]byte, error) {
	follow := s.left + int64(s.end-s.pos)
	if follow == 0 {
		return nil, io.EOF
	}
	if follow < blockHeader {
		return nil, fmt.Errorf("%w: %d bytes where a block should be", errCorrupt, follow)
	}
	if err := s.need(blockHeader); err != nil {
		return nil, err
	}
	h := parseHeader(s.buf[s.pos:])
	if err := h.check(follow - blockHeader); err != nil {
		return nil, err
	}
	n := blockHeader + h.stored
	if err := s.need(n); err != nil {
		return nil, err
	}
	block := s.buf[s.pos : s.pos+n : s.pos+n]
	if err := verify(block); err != nil {
		return nil, err
	}
	s.pos += n
	s.read += int64(n)
	return block, nil
}

// need reads until buf holds n bytes from pos on, and as many more as there is room for.
func (s *streamSource) need(n int) error {
	if s.end-s.pos >= n {
		return nil
	}
	if s.in == nil {
		in, err := s.open()
		if err != nil {
			return err
		}
		s.in = in
		if _, err := io.CopyN(io.Discard, in, s.read); err != nil {
			return noEOF(err)
		}
	}
	if len(s.buf) < n {
		grown := make([]byte, n)
		copy(grown, s.buf[s.pos:s.end])
		s.buf = grown
	} else {
		copy(s.buf, s.buf[s.pos:s.end])
	}
	s.pos, s.end = 0, s.end-s.pos
	room := int(min(int64(len(s.buf)-s.end), s.left))
	got, err := io.ReadAtLeast(s.in, s.buf[s.end:s.end+room], n-s.end)
	s.end += got
	s.left -= int64(got)
	return noEOF(err)
}

// noEOF turns an early end into damage.
func noEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: the bytes end early", errCorrupt)
	}
	return err
}

func (s *streamSource) close() {
	if s.in != nil {
		s.in.Close()
		s.in = nil
	}
}

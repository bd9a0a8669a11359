package parquetio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
)

// Reader reads the rows of one split into structs. It is for one goroutine.
type Reader[T any] struct {
	rows  []T
	batch *batchReader
}

// NewReader opens the split's file and matches its columns with T's fields. The
// reader must be closed.
func NewReader[T any](ctx context.Context, s Split) (*Reader[T], error) {
	b, err := newBatchReader(ctx, s, func(root *node) (*plan, error) {
		return compilePlan(root, reflect.TypeFor[T]())
	})
	if err != nil {
		return nil, err
	}
	return &Reader[T]{batch: b}, nil
}

// Next returns the next rows, at least one and at most BatchRows, or io.EOF. The
// slice is good until the next call; what its rows point to is good for ever.
func (r *Reader[T]) Next() (rows []T, err error) {
	defer guard(r.batch.file.uri, &err)
	n, err := r.batch.start(BatchRows)
	if err != nil {
		return nil, err
	}
	if cap(r.rows) < n {
		r.rows = make([]T, min(BatchRows, r.batch.split.Rows))
	}
	rows = r.rows[:n]
	// What the last batch left must not show through in fields without a column.
	clear(rows)
	if err := r.batch.plan.root.fill(viewOf(reflect.ValueOf(rows))); err != nil {
		return nil, r.batch.fail(err)
	}
	r.batch.advance(n)
	return rows, nil
}

// Close releases the file. It may be called more than once.
func (r *Reader[T]) Close() error { return r.batch.close() }

// batchReader walks through the row groups of a split, a batch at a time, whatever
// the rows become.
type batchReader struct {
	split  Split
	file   *file
	plan   *plan
	chunk  []*chunk // one for each column of the plan
	group  int      // to open next
	left   int64    // rows of the open row group still to be read
	row    int64    // number in the file of the next row
	err    error
	closed bool
}

func newBatchReader(ctx context.Context, s Split, compile func(*node) (*plan, error)) (b *batchReader, err error) {
	f, err := openFile(ctx, s)
	if err != nil {
		return nil, err
	}
	b = &batchReader{split: s, file: f, group: s.First}
	defer func() {
		if err != nil {
			_ = f.close()
		}
	}()
	defer guard(s.URI, &err)
	if b.plan, err = compile(f.root); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.URI, err)
	}
	groups := f.meta.groups
	if s.First < 0 || s.Last > len(groups) || s.First > s.Last {
		return nil, fmt.Errorf("read %s: the split asks for row groups %d to %d of %d", s.URI, s.First, s.Last, len(groups))
	}
	for _, c := range b.plan.columns {
		b.chunk = append(b.chunk, &chunk{ctx: ctx, file: f.source, fileEnd: s.Size - 8, node: c.info(), readSize: max(minRead, maxBuffered/len(b.plan.columns))})
	}
	for _, g := range groups[:s.First] {
		b.row += g.rows
	}
	return b, nil
}

// start prepares the next batch of at most limit rows: it opens the next row
// group where needed and gathers the columns that are not read directly.
func (b *batchReader) start(limit int) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	for b.left == 0 {
		if err := b.nextGroup(); err != nil {
			return 0, b.fail(err)
		}
	}
	n := int(min(int64(limit), b.left))
	for _, c := range b.plan.columns {
		if c.direct() {
			continue
		}
		if err := c.gather(n); err != nil {
			return 0, b.fail(err)
		}
	}
	return n, nil
}

func (b *batchReader) nextGroup() error {
	for _, c := range b.plan.columns {
		if b.group > b.split.First {
			if err := c.finish(); err != nil {
				return err
			}
		}
	}
	if b.group >= b.split.Last {
		return io.EOF
	}
	if err := b.openGroup(&b.file.meta.groups[b.group]); err != nil {
		return err
	}
	b.left = b.file.meta.groups[b.group].rows
	b.group++
	return nil
}

func (b *batchReader) advance(n int) {
	b.left -= int64(n)
	b.row += int64(n)
}

// fail makes err the reader's last word, and tells the file and the row in it.
func (b *batchReader) fail(err error) error {
	if b.err = err; err == io.EOF {
		return err
	}
	var null *nullError
	if errors.As(err, &null) {
		null.row += b.row
	}
	b.err = fmt.Errorf("read %s: %w", b.split.URI, err)
	return b.err
}

func (b *batchReader) close() error {
	if b.closed {
		return nil
	}
	for _, c := range b.plan.columns {
		c.close()
	}
	err := b.file.close()
	b.err = io.EOF
	b.file = &file{uri: b.split.URI} // for messages
	b.closed = true
	return err
}

// Reading: a row group whose columns are small is fetched whole, neighbours in one piece; of a large one, each column keeps a part.
const (
	minRead     = 64 << 10
	maxBuffered = 32 << 20 // bytes of the file in memory
	maxGap      = 64 << 10 // between columns that are fetched in one piece
)

// openGroup starts the columns' chunks of a row group.
func (b *batchReader) openGroup(g *rowGroup) error {
	fetched := make([][]byte, len(b.chunk))
	at := make([]int64, len(b.chunk))
	if err := b.fetch(g, fetched, at); err != nil {
		return err
	}
	for i, c := range b.plan.columns {
		if err := b.chunk[i].start(&g.columns[c.info().leaf], fetched[i], at[i]); err != nil {
			return fmt.Errorf("column %q: %w", c.info().path, err)
		}
		c.open(b.chunk[i])
	}
	return nil
}

// fetch reads the chunks of a row group if they are small enough to be in memory at once.
func (b *batchReader) fetch(g *rowGroup, fetched [][]byte, at []int64) error {
	type span struct{ from, to int64 }
	order := make([]int, 0, len(b.chunk))
	total := int64(0)
	spans := make([]span, len(b.chunk))
	for i, c := range b.plan.columns {
		meta := &g.columns[c.info().leaf]
		if meta.encrypted || meta.filePath != "" {
			return nil // start says so
		}
		spans[i] = span{meta.start(), meta.start() + meta.compressed}
		total += meta.compressed
		order = append(order, i)
	}
	if total > maxBuffered {
		return nil
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(spans[i].from, spans[j].from) })
	for len(order) > 0 {
		from, to, n := spans[order[0]].from, spans[order[0]].to, 1
		for n < len(order) && spans[order[n]].from <= to+maxGap {
			to = max(to, spans[order[n]].to)
			n++
		}
		buf := grow(nil, int(to-from))
		if err := readFull(b.chunk[0].ctx, b.file.source, buf, from); err != nil {
			return err
		}
		for _, i := range order[:n] {
			fetched[i], at[i] = buf, from
		}
		order = order[n:]
	}
	return nil
}

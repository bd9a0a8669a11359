package parquetio

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/spark-go/spark-go/io/filesys"
)

// Reader reads the rows of one split into structs. It is for one goroutine.
type Reader[T any] struct {
	rows  []T
	batch *batchReader
}

// NewReader opens the split's file and matches its columns with T's fields. The
// reader must be closed.
func NewReader[T any](ctx context.Context, s Split) (*Reader[T], error) {
	return NewReaderWhere[T](ctx, s, Predicate{})
}

// NewReaderWhere is NewReader for the rows for which the predicate is true. What row groups and pages it can, it skips unread.
func NewReaderWhere[T any](ctx context.Context, s Split, where Predicate) (*Reader[T], error) {
	b, err := newBatchReader(ctx, s, where, func(root *node) (*plan, error) {
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
	if !r.batch.plan.complete {
		// What the last batch left must not show through in fields without a column.
		clear(rows)
	}
	if err := r.batch.plan.root.fill(viewOf(reflect.ValueOf(rows))); err != nil {
		return nil, r.batch.fail(err)
	}
	if r.batch.kept < n {
		rows = keepOnly(rows, r.batch.keep)
	}
	r.batch.advance(n)
	return rows, nil
}

// keepOnly moves the elements that are kept to the front.
func keepOnly[V any](values []V, keep []bool) []V {
	n := 0
	for i, k := range keep {
		if k {
			values[n] = values[i]
			n++
		}
	}
	return values[:n]
}

// Skipped tells what the predicate has saved so far.
func (r *Reader[T]) Skipped() Skipped { return r.batch.skipped }

// Close releases the file. It may be called more than once.
func (r *Reader[T]) Close() error { return r.batch.close() }

// batchReader walks through the row groups of a split, a batch at a time, whatever
// the rows become.
type batchReader struct {
	ctx     context.Context
	split   Split
	file    *file
	plan    *plan
	test    *test        // nil for all rows
	conds   []*condition // of test, with a column each
	columns []leafColumn // of the plan, then of the conditions
	chunk   []*chunk     // one for each column
	current *fetched     // of the open row group
	spare   *fetched     // whose buffers the row group after the next is fetched into
	ahead   *fetched     // the next row group, being fetched; nil if it is not
	asked   bool         // whether to fetch the next row group was decided
	remote  bool         // reads wait for another machine
	budget  int64        // bytes of the file in memory
	cancel  context.CancelFunc
	group   int              // to open next
	left    int64            // rows of the open row group still to be read
	row     int64            // number in the file of the next row
	at      int64            // number in the row group of the next row
	ranges  []rowRange       // what is still to be read of the row group after left
	partial bool             // not all of the row group is read
	pages   [][]pageLocation // of the columns, if partial
	keep    []bool           // of the batch
	kept    int
	skipped Skipped
	err     error
	closed  bool
}

func newBatchReader(ctx context.Context, s Split, where Predicate, compile func(*node) (*plan, error)) (b *batchReader, err error) {
	ctx, cancel := context.WithCancel(ctx)
	f, err := openFile(ctx, s)
	if err != nil {
		cancel()
		return nil, err
	}
	b = &batchReader{ctx: ctx, cancel: cancel, split: s, file: f, group: s.First, remote: !filesys.IsLocal(s.URI), budget: maxBuffered, current: &fetched{}, spare: &fetched{}}
	defer func() {
		if err != nil {
			cancel()
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
	if where.Op != "" {
		if b.test, err = compileTest(f.root, where, false); err != nil {
			return nil, fmt.Errorf("read %s: %w", s.URI, err)
		}
		b.conds = b.test.conditions(nil)
	}
	b.columns = slices.Clone(b.plan.columns)
	for _, c := range b.conds {
		b.columns = append(b.columns, c.column)
	}
	for _, c := range b.columns {
		b.chunk = append(b.chunk, &chunk{ctx: ctx, file: f.source, fileEnd: s.Size - 8, node: c.info()})
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
	for {
		for b.left == 0 {
			if err := b.nextRange(); err != nil {
				return 0, b.fail(err)
			}
		}
		n := int(min(int64(limit), b.left))
		some, err := b.choose(n)
		if err == nil && !some {
			err = b.skip(b.plan.columns, n)
			b.advance(n)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return 0, b.fail(err)
		}
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
}

// choose decides which of the next n rows are read.
func (b *batchReader) choose(n int) (some bool, err error) {
	b.kept = n
	if b.test == nil {
		return true, nil
	}
	for _, c := range b.conds {
		if err := c.column.gather(n); err != nil {
			return false, err
		}
	}
	b.keep = slices.Grow(b.keep[:0], n)[:n]
	b.test.mask(b.keep)
	b.kept = 0
	for _, k := range b.keep {
		if k {
			b.kept++
		}
	}
	b.skipped.Rows += int64(b.kept)
	b.skipped.RowsFiltered += int64(n - b.kept)
	return b.kept > 0, nil
}

func (b *batchReader) skip(columns []leafColumn, n int) error {
	for _, c := range columns {
		if err := c.skip(n); err != nil {
			return err
		}
	}
	return nil
}

// nextRange goes to the next rows of the row group that may match, or to the next row group.
func (b *batchReader) nextRange() error {
	if len(b.ranges) == 0 {
		return b.nextGroup()
	}
	r := b.ranges[0]
	b.ranges = b.ranges[1:]
	for i, c := range b.columns {
		if err := b.moveTo(i, c, r.from); err != nil {
			return err
		}
	}
	b.row += r.from - b.at
	b.at, b.left = r.from, r.to-r.from
	return nil
}

// moveTo takes column i to a row of the row group, past whole pages if it has an offset index.
func (b *batchReader) moveTo(i int, c leafColumn, row int64) error {
	from := b.at
	if pages := b.pages[i]; len(pages) > 0 {
		in := func(row int64) int {
			k, found := slices.BinarySearchFunc(pages, row, func(p pageLocation, row int64) int { return cmp.Compare(p.row, row) })
			if !found {
				k--
			}
			return k
		}
		if k := in(row); k > in(max(0, from-1)) {
			if err := c.seek(pages, k); err != nil {
				return err
			}
			from = pages[k].row
		}
	}
	for from < row {
		n := min(row-from, BatchRows)
		if err := c.skip(int(n)); err != nil {
			return err
		}
		from += n
	}
	return nil
}

func (b *batchReader) nextGroup() error {
	if b.group > b.split.First {
		for _, c := range b.columns {
			if b.partial {
				c.close()
			} else if err := c.finish(); err != nil {
				return err
			}
		}
	}
	b.partial = false
	for {
		if b.group >= b.split.Last {
			return io.EOF
		}
		g := &b.file.meta.groups[b.group]
		b.group++
		read, err := b.prune(g)
		if err != nil {
			return err
		}
		if !read {
			b.row += g.rows
			b.partial = true
			continue
		}
		if err := b.openGroup(g); err != nil {
			return err
		}
		b.at = 0
		if !b.partial {
			b.left = g.rows
		}
		return nil
	}
}

// prune decides what of a row group is read.
func (b *batchReader) prune(g *rowGroup) (read bool, err error) {
	b.partial, b.ranges, b.left = false, nil, 0
	if b.test == nil {
		return true, nil
	}
	b.skipped.RowGroups++
	if !b.test.mayGroup(b.file.meta, g) {
		b.skipped.ByStatistics++
		return false, nil
	}
	if may, err := b.test.mayBloom(b, g); err != nil || !may {
		if err == nil {
			b.skipped.ByBloomFilter++
		}
		return false, err
	}
	if b.ranges, err = b.test.ranges(b, g); err != nil {
		return false, err
	}
	var rows int64
	for _, r := range b.ranges {
		rows += r.to - r.from
	}
	switch rows {
	case g.rows:
		b.ranges = nil
		return true, nil
	case 0:
		b.skipped.ByColumnIndex++
		return false, nil
	}
	b.skipped.RowsByPage += g.rows - rows
	b.partial = true
	b.pages = make([][]pageLocation, len(b.columns))
	for i, c := range b.columns {
		if b.pages[i], err = b.readPages(&g.columns[c.info().leaf]); err != nil {
			return false, fmt.Errorf("column %q: %w", c.info().path, err)
		}
	}
	return true, nil
}

func (b *batchReader) advance(n int) {
	b.left -= int64(n)
	b.row += int64(n)
	b.at += int64(n)
	if !b.asked && (b.group > b.split.First+1 || b.at >= b.left) {
		b.asked = true
		b.fetchAhead()
	}
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
	for _, c := range b.columns {
		c.close()
	}
	b.cancel()
	if b.ahead != nil {
		<-b.ahead.done
	}
	err := b.file.close()
	b.err = io.EOF
	b.file = &file{uri: b.split.URI} // for messages
	b.closed = true
	return err
}

package shuffle

import (
	"io"
)

// merger merges sorted runs with a loser tree: one comparison per level and row. Of equal rows, that of the earlier run comes first.
type merger[T any] struct {
	order   Order[T]
	cursors []cursor[T]
	losers  []int // losers[0] is the winner
	out     []T
	started bool
}

// cursor is where the merge is in one run.
type cursor[T any] struct {
	in       Stream[T]
	rows     []T
	prefixes []uint64
	pos      int
	done     bool
}

// merge returns the merge of runs of the spill file, and of the rows in memory as the last run if withMemory.
func (s *Sorter[T]) merge(runs []extent, withMemory bool) (Stream[T], error) {
	m := &merger[T]{order: s.order}
	for _, at := range runs {
		blocks, err := newBlockReader[T](s.env.Key)
		if err != nil {
			return nil, err
		}
		open := func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(s.spill.f, at.off, at.n)), nil
		}
		in := &runReader[T]{spill: s.spill, blocks: blocks, source: &streamSource{open: open, left: at.n, buf: make([]byte, min(at.n, runBytes))}}
		m.cursors = append(m.cursors, cursor[T]{in: in})
	}
	if withMemory && s.n > 0 {
		m.cursors = append(m.cursors, cursor[T]{in: s.sorted()})
	}
	return m, nil
}

// runReader is the stream of one run.
type runReader[T any] struct {
	spill  *spillFile
	blocks *blockReader[T]
	source *streamSource
	rows   []T
}

func (r *runReader[T]) Next() ([]T, error) {
	block, err := r.source.next()
	if err == io.EOF {
		return nil, err
	}
	if err == nil {
		r.rows, err = r.blocks.decode(r.rows[:0], block)
	}
	if err != nil {
		return nil, r.spill.readError(err)
	}
	return r.rows, nil
}

// advance moves a cursor to its next row.
func (m *merger[T]) advance(c *cursor[T]) error {
	if c.pos++; c.pos < len(c.rows) {
		return nil
	}
	rows, err := c.in.Next()
	if err == io.EOF {
		c.done, c.rows = true, nil
		return nil
	}
	if err != nil {
		return err
	}
	c.rows, c.pos = rows, 0
	c.prefixes = c.prefixes[:0]
	if m.order.Prefix != nil {
		for i := range rows {
			c.prefixes = append(c.prefixes, m.order.Prefix(&rows[i]))
		}
	}
	return nil
}

// before says whether the row of run i comes before that of run j.
func (m *merger[T]) before(i, j int) bool {
	a, b := &m.cursors[i], &m.cursors[j]
	if a.done || b.done {
		return !a.done
	}
	if m.order.Prefix != nil {
		if x, y := a.prefixes[a.pos], b.prefixes[b.pos]; x != y {
			return x < y
		}
	}
	if !m.order.Exact {
		if c := m.order.Compare(&a.rows[a.pos], &b.rows[b.pos]); c != 0 {
			return c < 0
		}
	}
	return i < j
}

// start fills the tree.
func (m *merger[T]) start() error {
	m.started = true
	m.out = make([]T, 0, drainRows)
	k := len(m.cursors)
	for i := range m.cursors {
		if err := m.advance(&m.cursors[i]); err != nil {
			return err
		}
	}
	// winners[n] is the best run below node n; leaves are the nodes k to 2k-1.
	winners := make([]int, 2*k)
	m.losers = make([]int, k)
	for n := 2*k - 1; n > 0; n-- {
		if n >= k {
			winners[n] = n - k
			continue
		}
		a, b := winners[2*n], winners[2*n+1]
		if m.before(b, a) {
			a, b = b, a
		}
		winners[n], m.losers[n] = a, b
	}
	m.losers[0] = winners[1]
	return nil
}

// Next implements Stream.
func (m *merger[T]) Next() ([]T, error) {
	if !m.started {
		if err := m.start(); err != nil {
			return nil, err
		}
	}
	out := m.out[:0]
	for len(out) < cap(out) {
		w := m.losers[0]
		c := &m.cursors[w]
		if c.done {
			break
		}
		out = append(out, c.rows[c.pos])
		if err := m.advance(c); err != nil {
			return nil, err
		}
		for n := (w + len(m.cursors)) / 2; n > 0; n /= 2 {
			if m.before(m.losers[n], w) {
				w, m.losers[n] = m.losers[n], w
			}
		}
		m.losers[0] = w
	}
	m.out = out
	if len(out) == 0 {
		return nil, io.EOF
	}
	return out, nil
}

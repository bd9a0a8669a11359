package shuffle

import (
	"context"
	"errors"
	"io"
	"math/bits"
	"slices"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// Order is a total preorder of rows.
type Order[T any] struct {
	// Prefix returns a number that orders rows as far as 64 bits can: Prefix(a) < Prefix(b) implies that a comes before b. Sorting
	// is by radix on it. Nil means that rows can only be compared. [codec.Order] gives prefixes of numbers and strings.
	Prefix func(row *T) uint64
	// Exact says that rows of equal prefixes are equal in the order: Compare is not called then, and may be nil.
	Exact bool
	// Compare is negative if a comes before b, positive if after, and 0 if they are equal in the order.
	Compare func(a, b *T) int
}

// Sorter sorts rows, stably: rows equal in the order keep the order in which they were added. What exceeds the budget is written as
// sorted runs, which are merged as the result is read. A Sorter belongs to one goroutine.
//
// Rows stay where they were put; (prefix, position) entries are sorted in their place, a first cut by the leading bits at once,
// and each part of it just before it is read, so that the first rows come out early and the work is done in the cache.
type Sorter[T any] struct {
	ctx     context.Context
	env     *Env
	order   Order[T]
	codec   *codec.Codec[T]
	budget  budget
	spill   *spillFile
	blocks  *blockWriter // nil until something is spilled
	pieces  []sortPiece[T]
	n       int
	or, and uint64 // of all prefixes in memory
	size    int64
	heap    int64
	perHeap float64
	sampled int
	runs    []extent // of the spill file, in the order of arrival
	closed  bool
	err     error
}

// sortPiece is a range of rows with their prefixes.
type sortPiece[T any] struct {
	rows     []T
	prefixes []uint64
}

const (
	sortBits  = 12
	sortLen   = 1 << sortBits
	runBytes  = 64 << 10  // encoded bytes of a block in a run
	mergeCost = 256 << 10 // what reading one run takes
	mergeMax  = 64        // runs merged at once
	mergeMin  = 8
)

// NewSorter returns a Sorter. It fails if T cannot travel or the order has neither an exact prefix nor Compare.
func NewSorter[T any](ctx context.Context, env *Env, order Order[T]) (*Sorter[T], error) {
	if order.Compare == nil && (order.Prefix == nil || !order.Exact) {
		return nil, errors.New("shuffle: sort: the order needs Compare, or a Prefix that is Exact")
	}
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	s := &Sorter[T]{ctx: ctx, env: env, order: order, codec: c, budget: newBudget(env), spill: newSpillFile(env, "sort"), size: c.MemSize(make([]T, 1))}
	s.clear()
	return s, nil
}

func (s *Sorter[T]) clear() {
	s.pieces, s.n, s.or, s.and, s.heap = nil, 0, 0, ^uint64(0), 0
}

// Add takes rows. The slice is not kept; what the rows point to is.
func (s *Sorter[T]) Add(rows []T) error {
	if s.err == nil {
		s.err = s.add(rows)
	}
	return s.err
}

func (s *Sorter[T]) add(rows []T) error {
	if s.budget.underPressure() && s.budget.granted > 0 {
		if err := s.spillRun(); err != nil {
			return err
		}
	}
	for len(rows) > 0 {
		if s.n&(sortLen-1) == 0 {
			// One more piece must fit; the first one grows as it must, since many sorters stay small.
			var p sortPiece[T]
			if s.n > 0 {
				if !s.budget.fits(s.bytes(sortLen)) {
					if err := s.spillRun(); err != nil {
						return err
					}
					continue
				}
				p = sortPiece[T]{make([]T, 0, sortLen), make([]uint64, 0, sortLen)}
			}
			s.pieces = append(s.pieces, p)
		}
		n := min(len(rows), sortLen-s.n&(sortLen-1), addRows)
		if s.sampled <= 0 && !s.codec.Fixed() {
			s.perHeap = float64(s.codec.MemSize(rows[:n])-int64(n)*s.size) / float64(n)
			s.sampled = 16 * addRows
		}
		if s.n > 0 && !s.budget.fits(s.bytes(n)) {
			s.trim()
			if err := s.spillRun(); err != nil {
				return err
			}
			continue
		}
		p := &s.pieces[len(s.pieces)-1]
		p.rows = append(p.rows, rows[:n]...)
		if prefix := s.order.Prefix; prefix != nil {
			for i := range n {
				x := prefix(&rows[i])
				p.prefixes = append(p.prefixes, x)
				s.or |= x
				s.and &= x
			}
		}
		s.n += n
		s.sampled -= n
		s.heap += int64(s.perHeap * float64(n))
		rows = rows[n:]
	}
	return nil
}

// trim drops a piece that was begun and got nothing.
func (s *Sorter[T]) trim() {
	if k := len(s.pieces); k > 0 && len(s.pieces[k-1].rows) == 0 {
		s.pieces = s.pieces[:k-1]
	}
}

// bytes is what n more rows will take, sorted and all.
func (s *Sorter[T]) bytes(n int) int64 {
	return int64(s.n+n)*(s.size+8+entrySize) + s.heap + int64(s.perHeap*float64(n))
}

const entrySize = 16

func (s *Sorter[T]) row(i uint32) *T {
	return &s.pieces[i>>sortBits].rows[i&(sortLen-1)]
}

// spillRun writes what is in memory as a sorted run.
func (s *Sorter[T]) spillRun() error {
	if s.n == 0 {
		return nil
	}
	per := (s.size*int64(s.n) + s.heap) / int64(s.n)
	w, err := s.newRun(per)
	if err != nil {
		return err
	}
	in := s.sorted()
	for {
		rows, err := in.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = w.add(rows)
		}
		if err != nil {
			return err
		}
	}
	run, err := w.finish()
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run)
	s.clear()
	s.budget.shrink(0)
	return nil
}

// runWriter writes one run.
type runWriter[T any] struct {
	s    *Sorter[T]
	at   extent
	rows int // per block
	wait []T
	buf  []byte
}

func (s *Sorter[T]) newRun(rowBytes int64) (*runWriter[T], error) {
	if s.blocks == nil {
		var err error
		if s.blocks, err = newBlockWriter(s.env.SpillCompression, s.env.Key); err != nil {
			return nil, err
		}
	}
	n := int(min(max(runBytes/max(rowBytes, 1), 1), blockMaxRows))
	return &runWriter[T]{s: s, at: extent{off: s.spill.size}, rows: n, wait: make([]T, 0, n)}, nil
}

func (w *runWriter[T]) add(rows []T) error {
	for len(rows) > 0 {
		n := min(len(rows), w.rows-len(w.wait))
		w.wait = append(w.wait, rows[:n]...)
		rows = rows[n:]
		if len(w.wait) == w.rows {
			if err := w.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *runWriter[T]) write() error {
	if err := context.Cause(w.s.ctx); err != nil {
		return err
	}
	buf, err := w.s.blocks.append(w.buf[:0], w.s.codec.Rows(w.wait))
	if err != nil {
		return err
	}
	w.buf = buf
	at, err := w.s.spill.append(buf, len(w.wait))
	w.at.n += at.n
	w.wait = w.wait[:0]
	return err
}

func (w *runWriter[T]) finish() (extent, error) {
	var err error
	if len(w.wait) > 0 {
		err = w.write()
	}
	return w.at, err
}

// Drain returns the rows in order. Nothing can be added any more. The stream gives memory and disk back at its end; Close does so
// early.
func (s *Sorter[T]) Drain() (Stream[T], error) {
	if s.err != nil {
		return nil, s.err
	}
	s.err = errDrained
	var in Stream[T]
	var err error
	if len(s.runs) == 0 {
		in = s.sorted()
	} else {
		in, err = s.merged()
	}
	if err != nil {
		s.err = err
		return nil, err
	}
	return &sortStream[T]{s, in}, nil
}

// Close gives memory and disk back, drained or not. Calling it again does nothing.
func (s *Sorter[T]) Close() {
	if s.err == nil {
		s.err = errDrained
	}
	s.closed = true
	s.clear()
	s.spill.close()
	s.budget.close()
}

// sortStream gives everything back at the end.
type sortStream[T any] struct {
	s  *Sorter[T]
	in Stream[T]
}

func (d *sortStream[T]) Next() ([]T, error) {
	if d.in == nil {
		return nil, d.s.err
	}
	err := context.Cause(d.s.ctx)
	if d.s.closed {
		err = errors.New("shuffle: read from a closed sorter")
	}
	var rows []T
	if err == nil {
		rows, err = d.in.Next()
	}
	if err != nil {
		d.s.err = err
		d.in = nil
		d.s.Close()
		return nil, err
	}
	return rows, nil
}

// merged reduces the runs to as many as can be merged at once, and returns their merge.
func (s *Sorter[T]) merged() (Stream[T], error) {
	width := mergeMax
	if need := int64(min(len(s.runs), mergeMax)) * mergeCost; !s.budget.fits(s.bytes(0) + need) {
		// What is in memory makes way for the merge.
		if err := s.spillRun(); err != nil {
			return nil, err
		}
		for width > mergeMin && !s.budget.fits(int64(width)*mergeCost) {
			width /= 2
		}
	}
	for len(s.runs) > width {
		// Neighbours only: rows that are equal in the order stay in the order of their runs.
		var next []extent
		for group := range slices.Chunk(s.runs, width) {
			m, err := s.merge(group, false)
			if err != nil {
				return nil, err
			}
			rows, err := m.Next()
			if err != nil {
				return nil, err
			}
			w, err := s.newRun(max(1, s.codec.MemSize(rows)/int64(len(rows))))
			for err == nil {
				if err = w.add(rows); err == nil {
					rows, err = m.Next()
				}
			}
			if err != io.EOF {
				return nil, err
			}
			run, err := w.finish()
			if err != nil {
				return nil, err
			}
			next = append(next, run)
		}
		s.runs = next
	}
	return s.merge(s.runs, true)
}

// sorted returns the rows in memory in order.
func (s *Sorter[T]) sorted() *sortedRows[T] {
	r := &sortedRows[T]{s: s, entries: make([]entry, s.n)}
	if s.order.Prefix == nil {
		for i := range r.entries {
			r.entries[i].idx = uint32(i)
		}
		r.ends = []uint32{uint32(s.n)}
	} else {
		diff := uint64(0)
		if s.n > 0 {
			diff = s.or ^ s.and
		}
		shift := max(bits.Len64(diff)-11, 0)
		r.ends = make([]uint32, 1<<11)
		for _, p := range s.pieces {
			for _, x := range p.prefixes {
				r.ends[x>>shift&(1<<11-1)]++
			}
		}
		sum := uint32(0)
		for i, n := range r.ends {
			r.ends[i] = sum
			sum += n
		}
		i := uint32(0)
		for k := range s.pieces {
			p := &s.pieces[k]
			for _, x := range p.prefixes {
				d := x >> shift & (1<<11 - 1)
				r.entries[r.ends[d]] = entry{x, i}
				r.ends[d]++
				i++
			}
			p.prefixes = nil // the entries have them
		}
	}
	if !s.order.Exact {
		r.tie = func(run []entry) {
			slices.SortFunc(run, func(a, b entry) int {
				if c := s.order.Compare(s.row(a.idx), s.row(b.idx)); c != 0 {
					return c
				}
				return int(a.idx) - int(b.idx)
			})
		}
	}
	return r
}

// sortedRows is the stream of rows sorted in memory.
type sortedRows[T any] struct {
	s       *Sorter[T]
	entries []entry
	ends    []uint32 // of the parts of entries by leading bits
	part    int      // the next part to sort
	at, to  uint32   // entries[at:to] are sorted and not yet returned
	tie     func([]entry)
	tmp     []entry
	out     []T
}

func (r *sortedRows[T]) Next() ([]T, error) {
	if r.out == nil {
		r.out = make([]T, 0, min(drainRows, len(r.entries)))
	}
	out := r.out[:0]
	for len(out) < cap(out) {
		if r.at == r.to {
			for r.part < len(r.ends) && r.ends[r.part] == r.to {
				r.part++
			}
			if r.part == len(r.ends) {
				break
			}
			r.to = r.ends[r.part]
			part := r.entries[r.at:r.to]
			if len(r.tmp) < len(part) {
				r.tmp = make([]entry, len(part)+len(part)/4)
			}
			radixSort(part, r.tmp, r.tie)
		}
		n := min(r.to-r.at, uint32(cap(out)-len(out)))
		for _, e := range r.entries[r.at : r.at+n] {
			out = append(out, *r.s.row(e.idx))
		}
		r.at += n
	}
	r.out = out
	if len(out) == 0 {
		return nil, io.EOF
	}
	return out, nil
}

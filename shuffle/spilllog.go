package shuffle

import (
	"io"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// spillLog writes rows of evicted buckets to the spill file of a structure, a block at a time.
type spillLog[R any] struct {
	kind    int8
	spill   *spillFile
	extents *[fan][]spilled
	stage   *int64
	codec   *codec.Codec[R]
	blocks  *blockWriter
	staged  [fan][]R
	rows    int // staged at most per bucket
	taken   int64
	rowSize int64
	buf     []byte
}

func newSpillLog[K comparable, R any](k *keyed[K], kind int8) (*spillLog[R], error) {
	c, err := codecOf[R]()
	if err != nil {
		return nil, err
	}
	blocks, err := newBlockWriter(k.env.SpillCompression, k.env.Key)
	if err != nil {
		return nil, err
	}
	return &spillLog[R]{kind: kind, codec: c, spill: k.spill, extents: &k.extents, stage: &k.stage, blocks: blocks}, nil
}

// put adds a row to a bucket.
func (l *spillLog[R]) put(bucket int, row R) error {
	if l.rows == 0 {
		l.rowSize = max(1, l.codec.MemSize([]R{row}))
		l.rows = int(min(max(*l.stage/fan/l.rowSize, 1), blockMaxRows))
	}
	s := l.staged[bucket]
	if s == nil {
		s = make([]R, 0, l.rows)
		if l.rows > 1 { // else it is written at once
			l.taken += int64(l.rows) * l.rowSize
		}
	}
	s = append(s, row)
	l.staged[bucket] = s
	if len(s) < l.rows {
		return nil
	}
	return l.write(bucket)
}

func (l *spillLog[R]) write(bucket int) error {
	s := l.staged[bucket]
	buf, err := l.blocks.append(l.buf[:0], l.codec.Rows(s))
	if err != nil {
		return err
	}
	if cap(buf) <= 2*blockBytes {
		l.buf = buf
	}
	at, err := l.spill.append(buf, len(s))
	if err != nil {
		return err
	}
	l.extents[bucket] = append(l.extents[bucket], spilled{l.kind, at})
	clear(s)
	l.staged[bucket] = s[:0]
	return nil
}

// flush writes what is staged and gives up its memory.
func (l *spillLog[R]) flush() error {
	for b := range l.staged {
		if len(l.staged[b]) > 0 {
			if err := l.write(b); err != nil {
				return err
			}
		}
		l.staged[b] = nil
	}
	l.taken, l.rows = 0, 0
	return nil
}

// replay reads blocks of the spill file back.
type replay[R any] struct {
	spill  *spillFile
	blocks *blockReader[R]
	rows   []R
}

func newReplay[R any](spill *spillFile) (*replay[R], error) {
	blocks, err := newBlockReader[R](spill.key)
	if err != nil {
		return nil, err
	}
	return &replay[R]{spill: spill, blocks: blocks}, nil
}

// each calls f with the rows of every block in an extent. buf is scratch.
func (r *replay[R]) each(at extent, buf *[]byte, f func([]R) error) error {
	if int64(cap(*buf)) < at.n {
		*buf = make([]byte, at.n)
	}
	b := (*buf)[:at.n]
	if err := r.spill.read(b, at.off); err != nil {
		return err
	}
	for s := (&memorySource{buf: b}); ; {
		rows, err := r.rowsOf(s)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(rows); err != nil {
			return err
		}
	}
}

// rowsOf returns the rows of the next block, or io.EOF.
func (r *replay[R]) rowsOf(s *memorySource) ([]R, error) {
	block, err := s.next()
	if err == io.EOF {
		return nil, err
	}
	if err == nil {
		err = verify(block)
	}
	if err == nil {
		r.rows, err = r.blocks.decode(r.rows[:0], block)
	}
	if err != nil {
		return nil, r.spill.readError(err)
	}
	return r.rows, nil
}

// extentRows streams the rows of one kind that were spilled of a bucket.
type extentRows[R any] struct {
	replay  *replay[R]
	extents []spilled
	kind    int8
	buf     []byte
	source  *memorySource // of the first of extents; nil before it is read
}

// Next implements Stream.
func (e *extentRows[R]) Next() ([]R, error) {
	for {
		if e.source == nil {
			for len(e.extents) > 0 && e.extents[0].kind != e.kind {
				e.extents = e.extents[1:]
			}
			if len(e.extents) == 0 {
				return nil, io.EOF
			}
			at := e.extents[0].at
			e.extents = e.extents[1:]
			if int64(cap(e.buf)) < at.n {
				e.buf = make([]byte, at.n)
			}
			if err := e.replay.spill.read(e.buf[:at.n], at.off); err != nil {
				return nil, err
			}
			e.source = &memorySource{buf: e.buf[:at.n]}
		}
		rows, err := e.replay.rowsOf(e.source)
		if err != io.EOF {
			return rows, err
		}
		e.source = nil
	}
}

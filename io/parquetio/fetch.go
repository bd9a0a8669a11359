package parquetio

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
)

// Reading: a row group whose columns are small is fetched whole, neighbours in one piece; of a large one, each column keeps a part. Of a file on
// another machine the pieces are fetched at once, and the next row group while one is decoded, where both are small: then neither waits
// for the other, and what is in memory is bounded as before.
const (
	minRead     = 64 << 10
	maxBuffered = 32 << 20 // bytes of the file in memory
	maxGap      = 64 << 10 // between columns that are fetched in one piece
	maxAtOnce   = 4        // pieces of a file on another machine
)

// fetched is the bytes of a row group's columns.
type fetched struct {
	buffers [][]byte // one for each piece, used again
	window  [][]byte // of each column the piece that holds it; nil if the columns are too large
	at      []int64  // where in the file that begins
	size    int64
	done    chan struct{} // closed when all is there, if it is fetched ahead
	err     error
}

// piece is columns of a row group that lie together.
type piece struct {
	from, to int64
	columns  []int
}

// pieces plans what is fetched of a row group; nil if that is too much to be in memory at once, or not here.
func (b *batchReader) pieces(g *rowGroup) (pieces []piece, size int64) {
	order := make([]int, 0, len(b.chunk))
	span := make([]piece, len(b.chunk))
	for i, c := range b.columns {
		meta := &g.columns[c.info().leaf]
		if meta.encrypted || meta.filePath != "" {
			return nil, 0 // start says so
		}
		span[i] = piece{from: meta.start(), to: meta.start() + meta.compressed}
		size += meta.compressed
		order = append(order, i)
	}
	if size > b.budget {
		return nil, 0
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(span[i].from, span[j].from) })
	for _, i := range order {
		if n := len(pieces) - 1; n >= 0 && span[i].from <= pieces[n].to+maxGap {
			pieces[n].to = max(pieces[n].to, span[i].to)
			pieces[n].columns = append(pieces[n].columns, i)
			continue
		}
		pieces = append(pieces, piece{span[i].from, span[i].to, []int{i}})
	}
	return pieces, size
}

// openGroup starts the columns' chunks of a row group, the one before b.group.
func (b *batchReader) openGroup(g *rowGroup) error {
	b.asked = false
	if a := b.ahead; a != nil {
		<-a.done // which comes early if the context ends
		b.ahead, b.current, b.spare = nil, a, b.current
		if a.err != nil {
			return a.err
		}
	} else {
		var pieces []piece
		size := b.budget // of what the columns keep if they fetch for themselves
		if !b.partial {
			if p, n := b.pieces(g); p != nil {
				pieces, size = p, n
			}
		}
		b.current.size, b.spare = size, &fetched{}
		if err := b.fetch(pieces, b.current); err != nil {
			return err
		}
	}
	size := minRead
	if !b.partial {
		size = max(minRead, int(b.budget)/max(1, len(b.columns)))
	}
	for i, c := range b.columns {
		b.chunk[i].readSize = size
		if err := b.chunk[i].start(&g.columns[c.info().leaf], b.current.window[i], b.current.at[i]); err != nil {
			return fmt.Errorf("column %q: %w", c.info().path, err)
		}
		c.open(b.chunk[i])
	}
	return nil
}

// fetchAhead begins to fetch the next row group if there is one that is wanted for certain, and room for it.
func (b *batchReader) fetchAhead() {
	if !b.remote || b.test != nil || b.group >= b.split.Last {
		return
	}
	pieces, size := b.pieces(&b.file.meta.groups[b.group])
	if pieces == nil || b.current.size+size > b.budget {
		return
	}
	a := b.spare
	a.size, a.done = size, make(chan struct{})
	b.ahead = a
	go func() {
		defer close(a.done)
		a.err = b.fetch(pieces, a)
	}()
}

// fetch reads pieces of a row group.
func (b *batchReader) fetch(pieces []piece, into *fetched) error {
	into.window, into.at = make([][]byte, len(b.chunk)), make([]int64, len(b.chunk))
	for i, p := range pieces {
		if i == len(into.buffers) {
			into.buffers = append(into.buffers, nil)
		}
		into.buffers[i] = grow(into.buffers[i], int(p.to-p.from))
		for _, c := range p.columns {
			into.window[c], into.at[c] = into.buffers[i], p.from
		}
	}
	if !b.remote || len(pieces) < 2 {
		for i, p := range pieces {
			if err := readFull(b.ctx, b.file.source, into.buffers[i], p.from); err != nil {
				return err
			}
		}
		return nil
	}
	errs := make([]error, len(pieces))
	slots := make(chan struct{}, maxAtOnce)
	var wg sync.WaitGroup
	for i, p := range pieces {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = readFull(b.ctx, b.file.source, into.buffers[i], p.from)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

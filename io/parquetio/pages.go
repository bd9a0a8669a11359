package parquetio

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/format"
)

// page is a part of a column chunk, decoded. Its slices are good until the next page is read.
type page struct {
	entries  int    // values and nulls
	rep, def []byte // a level for each entry; nil where the column has no such levels
	count    int    // values that are not null

	values encoding.Values // count values, or as many indexes into the dictionary
	// dictionary is set where values are indexes.
	dictionary parquet.Dictionary
}

// pages yields the pages of a column chunk, then io.EOF.
type pages interface {
	next() (page, error)
	close() error
}

// openPages opens a column chunk with the reader that reads its codec right.
func (f *file) openPages(group int, n *node) (pages, error) {
	meta := f.parquet.Metadata()
	chunk := &meta.RowGroups[group].Columns[n.leaf]
	if chunk.FilePath != "" {
		return nil, fmt.Errorf("its data lies in another file, %s, which is not supported: rewrite the data as one file", chunk.FilePath)
	}
	codec := chunk.MetaData.Codec
	switch codec {
	case format.Lz4:
		return nil, errors.New("it is compressed with the deprecated LZ4 codec, which is not supported: rewrite the file with snappy, zstd or lz4_raw")
	case format.Lz4Raw:
		// parquet-go v0.32.0 returns wrong values for LZ4_RAW without an error.
		return f.arrowPages(group, n)
	}
	if codec != meta.RowGroups[0].Columns[n.leaf].MetaData.Codec {
		// parquet-go decompresses every chunk of a column by the codec of the first.
		return f.arrowPages(group, n)
	}
	columns := f.parquet.RowGroups()[group].ColumnChunks()
	if n.leaf >= len(columns) {
		return nil, fmt.Errorf("row group %d lacks the column", group)
	}
	return &goPages{pages: columns[n.leaf].Pages(), maxRep: n.maxRep, maxDef: n.maxDef}, nil
}

// goPages reads pages with parquet-go.
type goPages struct {
	pages          parquet.Pages
	current        parquet.Page
	maxRep, maxDef byte
}

func (g *goPages) next() (page, error) {
	g.release()
	p, err := g.pages.ReadPage()
	if err != nil {
		return page{}, err
	}
	g.current = p
	out := page{entries: int(p.NumValues()), values: p.Data(), dictionary: p.Dictionary()}
	out.count = out.entries
	if g.maxRep > 0 {
		out.rep = p.RepetitionLevels()
		if len(out.rep) != out.entries {
			return page{}, fmt.Errorf("a page of %d entries has %d repetition levels", out.entries, len(out.rep))
		}
	}
	if g.maxDef > 0 {
		out.def = p.DefinitionLevels()
		if len(out.def) != out.entries {
			return page{}, fmt.Errorf("a page of %d entries has %d definition levels", out.entries, len(out.def))
		}
		out.count = bytes.Count(out.def, []byte{g.maxDef})
	}
	return out, nil
}

func (g *goPages) release() {
	if g.current != nil {
		parquet.Release(g.current)
		g.current = nil
	}
}

func (g *goPages) close() error {
	g.release()
	return g.pages.Close()
}

// leafColumn is a column being read, whatever its Go type.
type leafColumn interface {
	info() *node
	// open starts a column chunk.
	open(pages)
	// gather reads the entries of the next n rows into memory.
	gather(n int) error
	// levels are those of the gathered entries.
	levels() (rep, def []byte)
	// finish checks that the chunk has no more entries than its rows, and closes it.
	finish() error
	close() error
	// direct tells that parts read the column's pages themselves, without gather.
	direct() bool
	// keepLevels makes the column one to gather.
	keepLevels()
}

// leaf reads a column into values of type V.
type leaf[V any] struct {
	node    *node
	convert converter[V]
	ofPages bool // see direct

	src   pages
	page  page
	dense []V     // the page's values, or:
	index []int32 // their places in
	dict  []V     // the chunk's dictionary
	// dictionary is what dict was made from.
	dictionary parquet.Dictionary
	scratch    []V
	pos, vpos  int // entries and values of the page that are used up

	reps, defs []byte // gathered
	vals       []V
}

func (l *leaf[V]) info() *node               { return l.node }
func (l *leaf[V]) direct() bool              { return l.ofPages }
func (l *leaf[V]) keepLevels()               { l.ofPages = false }
func (l *leaf[V]) levels() (rep, def []byte) { return l.reps, l.defs }

func (l *leaf[V]) open(src pages) {
	l.src = src
	l.page, l.pos, l.vpos = page{}, 0, 0
	l.dict, l.dictionary = nil, nil
}

func (l *leaf[V]) close() error {
	if l.src == nil {
		return nil
	}
	src := l.src
	l.src = nil
	l.page, l.dense, l.index = page{}, nil, nil
	return src.close()
}

func (l *leaf[V]) finish() error {
	for l.pos == l.page.entries {
		if err := l.load(); err == io.EOF {
			return l.close()
		} else if err != nil {
			return err
		}
	}
	return l.fail(errors.New("it has more values than its row group has rows: the file is damaged"))
}

var errShort = errors.New("it has fewer values than its row group has rows: the file is damaged")

// load moves to the next page. The error is io.EOF or names the column.
func (l *leaf[V]) load() error {
	err := l.loadPage()
	if err == io.EOF {
		return err
	}
	return l.fail(err)
}

// fail adds the column's name to an error.
func (l *leaf[V]) fail(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("column %q: %w", l.node.path, err)
}

func (l *leaf[V]) loadPage() error {
	p, err := l.src.next()
	if err != nil {
		return err
	}
	l.page, l.pos, l.vpos = p, 0, 0
	l.dense, l.index = nil, nil
	if p.dictionary == nil {
		l.scratch, l.dense, err = l.convert(l.scratch, p.values, p.count)
		if err != nil {
			return err
		}
		if len(l.dense) < p.count {
			return fmt.Errorf("a page of %d values holds %d: the file is damaged", p.count, len(l.dense))
		}
		l.dense = l.dense[:p.count]
		return nil
	}
	if p.dictionary != l.dictionary {
		// The table outlives the page: it has memory of its own (scratch nil), or that of the dictionary.
		data := p.dictionary.Page()
		_, table, err := l.convert(nil, data.Data(), int(data.NumValues()))
		if err != nil {
			return fmt.Errorf("read dictionary: %w", err)
		}
		l.dict, l.dictionary = table, p.dictionary
	}
	l.index = p.values.Int32()
	if len(l.index) < p.count {
		return fmt.Errorf("a page of %d values holds %d: the file is damaged", p.count, len(l.index))
	}
	l.index = l.index[:p.count]
	return nil
}

func (l *leaf[V]) badIndex(k int32) error {
	return l.fail(fmt.Errorf("a value is number %d of a dictionary of %d: the file is damaged", k, len(l.dict)))
}

// take stores the next k values from slot at on.
func (l *leaf[V]) take(dst strided[V], at, k int) error {
	if l.index != nil {
		if bad, ok := dst.look(at, l.index[l.vpos:l.vpos+k], l.dict); !ok {
			return l.badIndex(bad)
		}
	} else {
		dst.put(at, l.dense[l.vpos:l.vpos+k])
	}
	l.vpos += k
	return nil
}

// appendTo is take to the end of a slice.
func (l *leaf[V]) appendTo(vals []V, k int) ([]V, error) {
	if l.index != nil {
		for _, i := range l.index[l.vpos : l.vpos+k] {
			if uint(i) >= uint(len(l.dict)) {
				return vals, l.badIndex(i)
			}
			vals = append(vals, l.dict[i])
		}
	} else {
		vals = append(vals, l.dense[l.vpos:l.vpos+k]...)
	}
	l.vpos += k
	return vals, nil
}

// gather reads the entries of n rows. In a repeated column a row ends where
// the next begins, maybe some pages later.
func (l *leaf[V]) gather(n int) error {
	l.reps, l.defs, l.vals = l.reps[:0], l.defs[:0], l.vals[:0]
	for rows := 0; rows < n || l.node.maxRep > 0; {
		if l.pos == l.page.entries {
			err := l.load()
			if err == io.EOF && rows == n {
				return nil
			}
			if err == io.EOF {
				return l.fail(errShort)
			}
			if err != nil {
				return err
			}
			continue
		}
		left := l.page.entries - l.pos
		k := min(left, n-rows)
		if l.node.maxRep > 0 {
			rep := l.page.rep[l.pos:]
			if rows == 0 && len(l.reps) == 0 && rep[0] != 0 {
				return l.fail(errors.New("its first entry continues a row that is not there: the file is damaged"))
			}
			for k = 0; k < left; k++ {
				if rep[k] == 0 {
					if rows == n {
						break
					}
					rows++
				}
			}
			l.reps = append(l.reps, rep[:k]...)
		} else {
			rows += k
		}
		values := k
		if l.node.maxDef > 0 {
			def := l.page.def[l.pos : l.pos+k]
			l.defs = append(l.defs, def...)
			values = bytes.Count(def, []byte{l.node.maxDef})
		}
		var err error
		if l.vals, err = l.appendTo(l.vals, values); err != nil {
			return err
		}
		l.pos += k
		if l.node.maxRep > 0 && k < left {
			return nil
		}
	}
	return nil
}

package parquetio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// leafColumn is a column being read, whatever its Go type.
type leafColumn interface {
	info() *node
	// open starts a column chunk.
	open(src *chunk)
	// gather reads the entries of the next n rows into memory.
	gather(n int) error
	// levels are those of the gathered entries.
	levels() (rep, def []byte)
	// skip passes over the next n rows.
	skip(n int) error
	// seek goes to a page that begins a row.
	seek(pages []pageLocation, i int) error
	// finish checks that the chunk has no more entries than its rows, and closes it.
	finish() error
	close()
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

	src   *chunk // nil between column chunks
	page  page
	dense []V     // the page's values, or:
	index []int32 // their places in
	dict  []V     // the chunk's dictionary
	// dictionary is what dict was made from.
	dictionary *dictionary
	scratch    []V
	pos, vpos  int // entries and values of the page that are used up

	reps, defs []byte // gathered
	vals       []V
}

func (l *leaf[V]) info() *node               { return l.node }
func (l *leaf[V]) direct() bool              { return l.ofPages }
func (l *leaf[V]) keepLevels()               { l.ofPages = false }
func (l *leaf[V]) levels() (rep, def []byte) { return l.reps, l.defs }

func (l *leaf[V]) open(src *chunk) {
	l.src = src
	l.page, l.pos, l.vpos = page{}, 0, 0
	l.dict, l.dictionary = nil, nil
}

func (l *leaf[V]) close() {
	l.src = nil
	l.page, l.dense, l.index = page{}, nil, nil
}

func (l *leaf[V]) finish() error {
	for l.pos == l.page.entries {
		if err := l.load(); err == io.EOF {
			l.close()
			return nil
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
	if p.dict == nil {
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
	if p.dict != l.dictionary {
		// The table outlives the page: it has memory of its own (scratch nil), or that of the dictionary.
		_, table, err := l.convert(nil, p.dict.values, p.dict.count)
		if err != nil {
			return fmt.Errorf("read dictionary: %w", err)
		}
		l.dict, l.dictionary = table, p.dict
	}
	l.index = p.index
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

func (l *leaf[V]) skip(n int) error {
	if l.node.maxRep > 0 {
		return l.gather(n)
	}
	for n > 0 {
		if l.pos == l.page.entries {
			if err := l.load(); err == io.EOF {
				return l.fail(errShort)
			} else if err != nil {
				return err
			}
			continue
		}
		k := min(n, l.page.entries-l.pos)
		l.vpos += k
		if l.page.def != nil {
			l.vpos += bytes.Count(l.page.def[l.pos:l.pos+k], []byte{l.node.maxDef}) - k
		}
		l.pos += k
		n -= k
	}
	return nil
}

func (l *leaf[V]) seek(pages []pageLocation, i int) error {
	l.page, l.pos, l.vpos = page{}, 0, 0
	return l.fail(l.src.skipTo(pages, i))
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
		switch {
		case l.page.def != nil:
			def := l.page.def[l.pos : l.pos+k]
			l.defs = append(l.defs, def...)
			values = bytes.Count(def, []byte{l.node.maxDef})
		case l.node.maxDef > 0:
			for range k {
				l.defs = append(l.defs, l.node.maxDef)
			}
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

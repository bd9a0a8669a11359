package parquetio

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/bloom"
)

// Skipped counts what a predicate saved a reader.
type Skipped struct {
	RowGroups     int64 // looked at
	ByStatistics  int64 // of them, skipped by their statistics
	ByBloomFilter int64 // skipped by a Bloom filter
	ByColumnIndex int64 // skipped since no page can match
	RowsByPage    int64 // rows of the other row groups in skipped pages
	RowsFiltered  int64 // rows that were read of the predicate's columns and did not match
	Rows          int64 // rows returned
}

// statBounds are what is known of some values of a column: a row group's or a page's.
type statBounds struct {
	min, max any // in the forms that conditions compare; nil if unknown
	nulls    int64
	values   int64 // nulls included
}

// may tells whether the condition can hold for a value.
func (c *condition) may(b statBounds) bool {
	if c.op == "null" {
		if c.negate {
			return b.nulls < 0 || b.nulls < b.values
		}
		return b.nulls != 0
	}
	if b.nulls >= 0 && b.nulls == b.values {
		return false
	}
	if b.min == nil || b.max == nil {
		return true
	}
	_, floats := b.min.(float64) // NaNs may be there that no bound shows
	within := func(i int) bool {
		lo, hi := c.compare(b.min, i), c.compare(b.max, i)
		return lo <= 0 && (hi == 0 || hi == 1)
	}
	single := func(i int) bool { return c.compare(b.min, i) == 0 && c.compare(b.max, i) == 0 }
	op := c.op
	if c.negate {
		if floats {
			return true
		}
		op = map[string]string{"=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "in": "not in"}[op]
	}
	switch op {
	case "=":
		return within(0)
	case "<>":
		return floats || !single(0)
	case "<":
		return c.compare(b.min, 0) == -1
	case "<=":
		return c.compare(b.min, 0) <= 0
	case ">":
		return c.compare(b.max, 0) == 1
	case ">=":
		o := c.compare(b.max, 0)
		return o == 0 || o == 1
	case "in":
		for i := range c.values {
			if within(i) {
				return true
			}
		}
		return false
	case "not in":
		for i := range c.values {
			if single(i) {
				return false
			}
		}
	}
	return true
}

// bound decodes a bound of statistics into the form that conditions compare; nil if it tells nothing.
func bound(n *node, b []byte) any {
	if b == nil {
		return nil
	}
	switch n.kind {
	case parquet.Boolean:
		if len(b) == 1 {
			return int64(b[0] & 1)
		}
	case parquet.Int32:
		if len(b) == 4 {
			v := int64(int32(binary.LittleEndian.Uint32(b)))
			if strings.HasPrefix(n.typ, "uint") {
				v = int64(uint32(v))
			}
			return integerBound(n, v)
		}
	case parquet.Int64:
		if len(b) == 8 {
			v := binary.LittleEndian.Uint64(b)
			if n.typ == "uint64" {
				return v
			}
			return integerBound(n, int64(v))
		}
	case parquet.Float:
		if len(b) == 4 {
			return floatBound(float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		}
	case parquet.Double:
		if len(b) == 8 {
			return floatBound(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	case parquet.ByteArray:
		if strings.HasPrefix(n.typ, "decimal") {
			break // writers may have cut them off
		}
		return string(b)
	case parquet.FixedLenByteArray:
		if strings.HasPrefix(n.typ, "decimal") {
			if d, err := bigEndianDecimal(b, int32(n.scale)); err == nil && len(b) == n.size {
				return d
			}
			break
		}
		if n.typ == fmt.Sprintf("[%d]byte", n.size) {
			return string(b)
		}
	}
	return nil
}

func floatBound(v float64) any {
	if v != v {
		return nil
	}
	return v
}

func integerBound(n *node, v int64) any {
	switch t := n.typ; {
	case strings.HasPrefix(t, "decimal"):
		return NewDecimal(v, int32(n.scale))
	case t == "date":
		return moment{v, time.Unix(v*86400, 0)}
	case t == "timestamp(ms)":
		return moment{v, time.UnixMilli(v)}
	case t == "timestamp(us)":
		return moment{v, time.UnixMicro(v)}
	case t == "timestamp(ns)":
		return moment{v, time.Unix(v/1e9, v%1e9)}
	}
	return v
}

// moment is a bound that literals of two kinds compare with.
type moment struct {
	number int64
	time   time.Time
}

// groupBounds are a column chunk's statistics.
func groupBounds(n *node, c *columnChunk, total bool) statBounds {
	b := statBounds{nulls: c.stats.nulls, values: c.values}
	switch {
	case total && (n.kind == parquet.Float || n.kind == parquet.Double):
	case c.stats.hasMin && c.stats.hasMax:
		b.min, b.max = bound(n, c.stats.min), bound(n, c.stats.max)
	case c.stats.oldOK && oldBounds(n):
		b.min, b.max = bound(n, c.stats.oldMin), bound(n, c.stats.oldMax)
	}
	return b
}

// oldBounds tells whether the statistics of old writers are in the column's order: they compared bytes as signed, and everything else too.
func oldBounds(n *node) bool {
	return (n.kind == parquet.Int32 || n.kind == parquet.Int64) && !strings.HasPrefix(n.typ, "uint")
}

// mayGroup tells whether rows of a row group can match, by its statistics.
func (t *test) mayGroup(f *footer, g *rowGroup) bool {
	return t.may(func(c *condition) bool {
		leaf := c.node.leaf
		return c.may(groupBounds(c.node, &g.columns[leaf], leaf < len(f.totals) && f.totals[leaf]))
	})
}

// may combines what is known of conditions.
func (t *test) may(of func(*condition) bool) bool {
	switch t.op {
	case "and":
		for _, a := range t.args {
			if !a.may(of) {
				return false
			}
		}
		return true
	case "or":
		for _, a := range t.args {
			if a.may(of) {
				return true
			}
		}
		return false
	}
	if t.cond.node == nil {
		return t.cond.known == 1
	}
	return of(t.cond)
}

// rowRange is some rows of a row group, to excluded.
type rowRange struct{ from, to int64 }

// pageIndex is a column chunk's column and offset index.
type pageIndex struct {
	pages []pageLocation
	nulls []bool // pages of nulls alone
	count []int64
	min   [][]byte
	max   [][]byte
}

// maxIndex bounds an index, which is read at once.
const maxIndex = 64 << 20

// readPages reads a column chunk's offset index; nil if there is none.
func (b *batchReader) readPages(c *columnChunk) ([]pageLocation, error) {
	if c.offsetIndexOffset <= 0 || c.offsetIndexLength <= 0 || c.offsetIndexLength > maxIndex {
		return nil, nil
	}
	raw := make([]byte, c.offsetIndexLength)
	if err := readFull(b.ctx, b.file.source, raw, c.offsetIndexOffset); err != nil {
		return nil, fmt.Errorf("read offset index: %w", err)
	}
	var pages []pageLocation
	r := compact{b: raw}
	r.structure(".l", func(int16, byte) {
		n, _ := r.list()
		for range n {
			var p pageLocation
			r.structure(".iii", func(id int16, _ byte) {
				switch id {
				case 1:
					p.offset = r.int()
				case 2:
					p.size = r.int32()
				case 3:
					p.row = r.int()
				}
			})
			pages = append(pages, p)
			if r.err != nil {
				return
			}
		}
	})
	if r.err != nil {
		return nil, fmt.Errorf("read offset index: %w", r.err)
	}
	for i, p := range pages {
		if i == 0 && p.row != 0 || i > 0 && p.row <= pages[i-1].row {
			return nil, fmt.Errorf("its offset index has page %d begin at row %d: the file is damaged", i, p.row)
		}
	}
	return pages, nil
}

// readIndex reads a column chunk's column index; it has no pages if there is none.
func (b *batchReader) readIndex(c *columnChunk) (x pageIndex, err error) {
	if c.columnIndexOffset <= 0 || c.columnIndexLength <= 0 || c.columnIndexLength > maxIndex {
		return x, nil
	}
	if x.pages, err = b.readPages(c); err != nil || x.pages == nil {
		return x, err
	}
	raw := make([]byte, c.columnIndexLength)
	if err := readFull(b.ctx, b.file.source, raw, c.columnIndexOffset); err != nil {
		return x, fmt.Errorf("read column index: %w", err)
	}
	r := compact{b: raw}
	r.structure(".lll.l", func(id int16, _ byte) {
		switch id {
		case 1:
			x.nulls = r.bools()
		case 2:
			x.min = r.binaries()
		case 3:
			x.max = r.binaries()
		case 5:
			x.count = r.ints()
		}
	})
	if r.err != nil {
		return pageIndex{}, fmt.Errorf("read column index: %w", r.err)
	}
	if n := len(x.pages); len(x.nulls) != n || len(x.min) != n || len(x.max) != n || x.count != nil && len(x.count) != n {
		return pageIndex{}, nil // no use, and no harm: it is read without
	}
	return x, nil
}

// ranges are the rows of a row group that can match, by the column indexes.
func (t *test) ranges(b *batchReader, g *rowGroup) ([]rowRange, error) {
	whole := []rowRange{{0, g.rows}}
	switch t.op {
	case "and", "or":
		out := whole
		if t.op == "or" {
			out = nil
		}
		for _, a := range t.args {
			r, err := a.ranges(b, g)
			if err != nil {
				return nil, err
			}
			if t.op == "and" {
				out = intersect(out, r)
			} else {
				out = union(out, r)
			}
		}
		return out, nil
	}
	c := t.cond
	if c.node == nil {
		if c.known == 1 {
			return whole, nil
		}
		return nil, nil
	}
	x, err := b.readIndex(&g.columns[c.node.leaf])
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", c.node.path, err)
	}
	if x.pages == nil {
		return whole, nil
	}
	leaf := c.node.leaf
	noBounds := leaf < len(b.file.meta.totals) && b.file.meta.totals[leaf] && (c.node.kind == parquet.Float || c.node.kind == parquet.Double)
	var out []rowRange
	for i, p := range x.pages {
		end := g.rows
		if i+1 < len(x.pages) {
			end = x.pages[i+1].row
		}
		s := statBounds{nulls: -1, values: end - p.row}
		if x.count != nil {
			s.nulls = x.count[i]
		}
		if x.nulls[i] {
			s.nulls = s.values
		} else if !noBounds {
			s.min, s.max = bound(c.node, x.min[i]), bound(c.node, x.max[i])
		}
		if c.may(s) {
			out = union(out, []rowRange{{p.row, end}})
		}
	}
	return out, nil
}

func intersect(a, b []rowRange) (out []rowRange) {
	for len(a) > 0 && len(b) > 0 {
		if r := (rowRange{max(a[0].from, b[0].from), min(a[0].to, b[0].to)}); r.from < r.to {
			out = append(out, r)
		}
		if a[0].to < b[0].to {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

func union(a, b []rowRange) (out []rowRange) {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y rowRange) int { return cmp.Compare(x.from, y.from) })
	for _, r := range all {
		if k := len(out) - 1; k >= 0 && r.from <= out[k].to {
			out[k].to = max(out[k].to, r.to)
		} else {
			out = append(out, r)
		}
	}
	return out
}

// mayBloom tells whether rows of a row group can match, by its Bloom filters.
func (t *test) mayBloom(b *batchReader, g *rowGroup) (may bool, err error) {
	may = t.may(func(c *condition) bool {
		if c.negate || c.op != "=" && c.op != "in" || err != nil {
			return true
		}
		found, e := c.bloom(b, &g.columns[c.node.leaf])
		if e != nil {
			err = fmt.Errorf("column %q: read Bloom filter: %w", c.node.path, e)
		}
		return found
	})
	return may || err != nil, err
}

// bloom asks the filter of a column chunk for the literals.
func (c *condition) bloom(b *batchReader, k *columnChunk) (bool, error) {
	if k.bloomOffset <= 0 {
		return true, nil
	}
	var hashes []uint64
	for _, v := range c.values {
		h, ok := v.hash(c.node)
		if !ok {
			return true, nil
		}
		hashes = append(hashes, h)
	}
	head := make([]byte, min(64, b.file.source.Size()-k.bloomOffset))
	if err := readFull(b.ctx, b.file.source, head, k.bloomOffset); err != nil {
		return true, err
	}
	r := compact{b: head}
	size, kinds := int64(0), [5]int16{}
	r.structure(".ittt", func(id int16, _ byte) {
		if id == 1 {
			size = r.int()
			return
		}
		r.structure(".ttt", func(kind int16, typ byte) { kinds[id] = kind; r.skip(typ) })
	})
	if r.err != nil {
		return true, r.err
	}
	begin := k.bloomOffset + int64(r.pos)
	if kinds[2] != 1 || kinds[3] != 1 || kinds[4] != 1 {
		return true, nil // of a kind that came later
	}
	if size <= 0 || size%bloom.BlockSize != 0 || size > maxIndex || begin+size > b.file.source.Size() {
		return true, fmt.Errorf("it has %d bytes at %d: the file is damaged", size, begin)
	}
	bits := make([]byte, size)
	if err := readFull(b.ctx, b.file.source, bits, begin); err != nil {
		return true, err
	}
	for _, h := range hashes {
		found, err := bloom.CheckSplitBlock(bytes.NewReader(bits), size, h)
		if err != nil || found {
			return true, err
		}
	}
	return false, nil
}

// hash is that of the literal in the column's plain encoding, if the literal is a value of the column.
func (l Literal) hash(n *node) (uint64, bool) {
	var x bloom.XXH64
	v := l.Int
	switch {
	case l.Kind == "text" && (n.kind == parquet.ByteArray || n.kind == parquet.FixedLenByteArray):
		return x.Sum64([]byte(l.Text)), true
	case l.Kind == "float" && n.kind == parquet.Double && l.Float != 0 && l.Float == l.Float: // zero has two forms
		return x.Sum64Uint64(math.Float64bits(l.Float)), true
	case l.Kind == "float" && n.kind == parquet.Float && l.Float != 0 && float64(float32(l.Float)) == l.Float:
		return x.Sum64Uint32(math.Float32bits(float32(l.Float))), true
	case l.Kind == "uint" && l.Uint <= math.MaxInt64:
		v = int64(l.Uint)
	case l.Kind != "int":
		return 0, false
	}
	if strings.HasPrefix(n.typ, "decimal") {
		return 0, false
	}
	switch {
	case n.kind == parquet.Int64 && (n.typ != "uint64" || v >= 0):
		return x.Sum64Uint64(uint64(v)), true
	case n.kind == parquet.Int32 && v == int64(int32(v)) && (v >= 0 || !strings.HasPrefix(n.typ, "uint")):
		return x.Sum64Uint32(uint32(v)), true
	}
	return 0, false
}

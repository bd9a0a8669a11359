package parquetio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// footer is the metadata at the end of a file, as far as reading needs it. Field numbers below are
// those of parquet.thrift in the format's repository.
type footer struct {
	schema    []schemaElement
	rows      int64
	groups    []rowGroup
	createdBy string
	totals    []bool // per leaf: ordered by IEEE 754's total order
}

type schemaElement struct {
	name       string
	physical   int8 // -1 for a group
	size       int32
	repetition int8 // 0 required, 1 optional, 2 repeated; -1 for the root
	children   int32
	converted  int8 // -1 if there is none
	scale      int32
	precision  int32
	logical    logicalType
}

// logicalType is a logical type's annotation: kind is its field number in the union, 0 if there is none.
type logicalType struct {
	kind      int16
	unit      int16 // 1 milli, 2 micro, 3 nano
	utc       bool
	scale     int32
	precision int32
	bits      int8
	signed    bool
}

// The logical types.
const (
	logicalString    = 1
	logicalMap       = 2
	logicalList      = 3
	logicalEnum      = 4
	logicalDecimal   = 5
	logicalDate      = 6
	logicalTime      = 7
	logicalTimestamp = 8
	logicalInt       = 10
	logicalNull      = 11
	logicalJSON      = 12
	logicalUUID      = 14
	logicalFloat16   = 15
)

// The older converted types.
const (
	convertedUTF8        = 0
	convertedMap         = 1
	convertedMapKeyValue = 2
	convertedList        = 3
	convertedEnum        = 4
	convertedDecimal     = 5
	convertedJSON        = 19
	convertedInterval    = 21
)

// The repetitions.
const (
	optionalField = 1
	repeatedField = 2
)

type rowGroup struct {
	columns []columnChunk
	rows    int64
	sorting []sortingColumn
}

type sortingColumn struct {
	column     int32
	descending bool
	nullsFirst bool
}

type columnChunk struct {
	filePath   string
	encrypted  bool
	physical   int8
	codec      int32
	values     int64 // nulls included
	compressed int64
	dataOffset int64
	dictOffset int64
	stats      statistics

	bloomOffset                          int64
	bloomLength                          int32
	offsetIndexOffset, columnIndexOffset int64
	offsetIndexLength, columnIndexLength int32
}

// start is where the chunk's bytes begin.
func (c *columnChunk) start() int64 {
	if c.dictOffset > 0 && c.dictOffset < c.dataOffset {
		return c.dictOffset
	}
	return c.dataOffset
}

// statistics of a column chunk; min and max in the plain encoding.
type statistics struct {
	oldMin, oldMax   []byte // in an order that depends on the writer
	min, max         []byte
	hasMin, hasMax   bool
	nulls            int64 // -1 if unknown
	hasOldMin, oldOK bool
}

// readFooter parses the end of a file.
func readFooter(ctx context.Context, r io.ReaderAt, size int64) (*footer, error) {
	tail := make([]byte, min(size, tailBytes))
	if err := readFull(ctx, r, tail, size-int64(len(tail))); err != nil {
		return nil, fmt.Errorf("read footer: %w", err)
	}
	end := tail[len(tail)-8:]
	switch magic := string(end[4:]); magic {
	case "PAR1":
	case "PARE":
		return nil, errors.New("its footer is encrypted (Parquet modular encryption), which is not supported: write the data without encryption")
	default:
		return nil, fmt.Errorf("is it a Parquet file, and whole? it ends with %q, not with PAR1", magic)
	}
	n := int64(binary.LittleEndian.Uint32(end))
	if n > size-12 {
		return nil, fmt.Errorf("is it a Parquet file, and whole? the file of %d bytes claims a footer of %d", size, n)
	}
	raw := tail[:len(tail)-8]
	if int64(len(raw)) >= n {
		raw = raw[int64(len(raw))-n:]
	} else {
		raw = make([]byte, n)
		if err := readFull(ctx, r, raw, size-8-n); err != nil {
			return nil, fmt.Errorf("read footer: %w", err)
		}
	}
	c := compact{b: raw}
	f := c.footer()
	if c.err != nil {
		return nil, fmt.Errorf("is it a Parquet file, and whole? read footer: %w", c.err)
	}
	return f, nil
}

// tailBytes is how much of a file's end is fetched at once, in the hope that it holds the footer.
const tailBytes = 64 << 10

func readFull(ctx context.Context, r io.ReaderAt, p []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)
}

func (c *compact) footer() *footer {
	f := &footer{}
	c.structure("..lil.sl", func(id int16, _ byte) {
		switch id {
		case 2:
			n, _ := c.list()
			f.schema = make([]schemaElement, 0, min(n, 1024))
			for range n {
				f.schema = append(f.schema, c.schemaElement())
				if c.err != nil {
					break
				}
			}
		case 3:
			f.rows = c.int()
		case 4:
			n, _ := c.list()
			for range n {
				f.groups = append(f.groups, c.rowGroup())
				if c.err != nil {
					break
				}
			}
		case 6:
			f.createdBy = c.string()
		case 7:
			n, _ := c.list()
			for range n {
				total := false
				c.structure(".tt", func(id int16, _ byte) { total = id == 2; c.skip(thriftStruct) })
				f.totals = append(f.totals, total)
				if c.err != nil {
					break
				}
			}
		}
	})
	return f
}

func (c *compact) schemaElement() schemaElement {
	e := schemaElement{physical: -1, repetition: -1, converted: -1}
	c.structure(".iiisiiii.t", func(id int16, _ byte) {
		switch id {
		case 1:
			e.physical = int8(c.int32())
		case 2:
			e.size = c.int32()
		case 3:
			e.repetition = int8(c.int32())
		case 4:
			e.name = c.string()
		case 5:
			e.children = c.int32()
		case 6:
			e.converted = int8(c.int32())
		case 7:
			e.scale = c.int32()
		case 8:
			e.precision = c.int32()
		case 10:
			e.logical = c.logicalType()
		}
	})
	return e
}

func (c *compact) logicalType() (l logicalType) {
	// The members' numbers go on growing; each is a struct, most of them empty.
	c.structure("."+strings.Repeat("t", 63), func(id int16, _ byte) {
		l.kind = id
		kinds := ""
		switch id {
		case logicalDecimal:
			kinds = ".ii"
		case logicalTime, logicalTimestamp:
			kinds = ".bt"
		case logicalInt:
			kinds = ".yb"
		}
		c.structure(kinds, func(f int16, typ byte) {
			switch {
			case id == logicalDecimal && f == 1:
				l.scale = c.int32()
			case id == logicalDecimal:
				l.precision = c.int32()
			case id == logicalInt && f == 1:
				l.bits = int8(c.byte())
			case id == logicalInt:
				l.signed = typ == thriftTrue
			case f == 1:
				l.utc = typ == thriftTrue
			default:
				c.structure(".ttt", func(unit int16, typ byte) { l.unit = unit; c.skip(typ) })
			}
		})
	})
	return l
}

func (c *compact) rowGroup() (g rowGroup) {
	c.structure(".l.il", func(id int16, _ byte) {
		switch id {
		case 1:
			n, _ := c.list()
			g.columns = make([]columnChunk, 0, min(n, 1024))
			for range n {
				g.columns = append(g.columns, c.columnChunk())
				if c.err != nil {
					break
				}
			}
		case 3:
			g.rows = c.int()
		case 4:
			n, _ := c.list()
			for range n {
				var s sortingColumn
				c.structure(".ibb", func(id int16, typ byte) {
					switch id {
					case 1:
						s.column = c.int32()
					case 2:
						s.descending = typ == thriftTrue
					case 3:
						s.nullsFirst = typ == thriftTrue
					}
				})
				g.sorting = append(g.sorting, s)
				if c.err != nil {
					break
				}
			}
		}
	})
	return g
}

func (c *compact) columnChunk() (k columnChunk) {
	k.physical = -1
	k.stats.nulls = -1
	c.structure(".s.tiiiits", func(id int16, typ byte) {
		switch id {
		case 1:
			k.filePath = c.string()
		case 3:
			c.columnMeta(&k)
		case 4:
			k.offsetIndexOffset = c.int()
		case 5:
			k.offsetIndexLength = c.int32()
		case 6:
			k.columnIndexOffset = c.int()
		case 7:
			k.columnIndexLength = c.int32()
		case 8, 9:
			k.encrypted = true
			c.skip(typ)
		}
	})
	return k
}

func (c *compact) columnMeta(k *columnChunk) {
	c.structure(".i..ii.i.i.it.ii", func(id int16, _ byte) {
		switch id {
		case 1:
			k.physical = int8(c.int32())
		case 4:
			k.codec = c.int32()
		case 5:
			k.values = c.int()
		case 7:
			k.compressed = c.int()
		case 9:
			k.dataOffset = c.int()
		case 11:
			k.dictOffset = c.int()
		case 12:
			k.stats = c.statistics()
		case 14:
			k.bloomOffset = c.int()
		case 15:
			k.bloomLength = c.int32()
		}
	})
}

func (c *compact) statistics() (s statistics) {
	s.nulls = -1
	c.structure(".ssi.ss", func(id int16, _ byte) {
		switch id {
		case 1:
			s.oldMax, s.oldOK = slices.Clone(c.bytes()), true
		case 2:
			s.oldMin, s.hasOldMin = slices.Clone(c.bytes()), true
		case 3:
			s.nulls = c.int()
		case 5:
			s.max, s.hasMax = slices.Clone(c.bytes()), true
		case 6:
			s.min, s.hasMin = slices.Clone(c.bytes()), true
		}
	})
	s.oldOK = s.oldOK && s.hasOldMin
	return s
}

// pageHeader goes before each page.
type pageHeader struct {
	typ                      int32
	uncompressed, compressed int32
	crc                      uint32
	hasCRC                   bool
	described                bool // the part that goes with typ is there

	values, nulls, rows      int32
	encoding, defEnc, repEnc int32
	defLength, repLength     int32 // of version 2
	plain                    bool  // version 2: not compressed
}

// The page types.
const (
	dataPage       = 0
	indexPage      = 1
	dictionaryPage = 2
	dataPageV2     = 3
)

func (c *compact) pageHeader() (h pageHeader) {
	c.structure(".iiiit.tt", func(id int16, _ byte) {
		switch id {
		case 1:
			h.typ = c.int32()
		case 2:
			h.uncompressed = c.int32()
		case 3:
			h.compressed = c.int32()
		case 4:
			h.crc, h.hasCRC = uint32(c.int32()), true
		case 5:
			h.described = h.described || h.typ == dataPage
			c.structure(".iiii", func(id int16, _ byte) {
				*[]*int32{&h.values, &h.encoding, &h.defEnc, &h.repEnc}[id-1] = c.int32()
			})
		case 7:
			h.described = h.described || h.typ == dictionaryPage
			c.structure(".ii", func(id int16, _ byte) {
				*[]*int32{&h.values, &h.encoding}[id-1] = c.int32()
			})
		case 8:
			h.described = h.described || h.typ == dataPageV2
			c.structure(".iiiiiib", func(id int16, typ byte) {
				if id == 7 {
					h.plain = typ == thriftFalse
					return
				}
				*[]*int32{&h.values, &h.nulls, &h.rows, &h.encoding, &h.defLength, &h.repLength}[id-1] = c.int32()
			})
		}
	})
	if c.err == nil && (h.uncompressed < 0 || h.compressed < 0 || h.values < 0 || h.nulls < 0 || h.rows < 0 || h.defLength < 0 || h.repLength < 0) {
		c.fail(errThriftBad)
	}
	return h
}

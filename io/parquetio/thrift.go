package parquetio

import (
	"encoding/binary"
	"errors"
)

// compact reads the Thrift compact protocol, in which Parquet keeps its metadata, from bytes that may be damaged: no
// length that the bytes cannot hold is believed, nothing nests without bound, and the first error
// stays. What a reader does not know is skipped, as newer writers need.
type compact struct {
	b     []byte
	pos   int
	err   error
	depth int
}

// The protocol's types.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

const maxThriftDepth = 64

var (
	errThriftShort  = errors.New("the metadata ends too early")
	errThriftBad    = errors.New("the metadata is malformed")
	errThriftNested = errors.New("the metadata is nested too deeply")
)

func (c *compact) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.pos = len(c.b)
}

func (c *compact) byte() byte {
	if c.pos >= len(c.b) {
		c.fail(errThriftShort)
		return 0
	}
	b := c.b[c.pos]
	c.pos++
	return b
}

func (c *compact) uvarint() uint64 {
	v, n := binary.Uvarint(c.b[c.pos:])
	if n <= 0 {
		if n < 0 {
			c.fail(errThriftBad)
		} else {
			c.fail(errThriftShort)
		}
		return 0
	}
	c.pos += n
	return v
}

// int reads a zigzag integer of any width.
func (c *compact) int() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (c *compact) int32() int32 {
	v := c.int()
	if v != int64(int32(v)) {
		c.fail(errThriftBad)
		return 0
	}
	return int32(v)
}

// bytes returns a part of the input itself.
func (c *compact) bytes() []byte {
	n := c.uvarint()
	if n > uint64(len(c.b)-c.pos) {
		c.fail(errThriftShort)
		return nil
	}
	b := c.b[c.pos : c.pos+int(n) : c.pos+int(n)]
	c.pos += int(n)
	return b
}

func (c *compact) string() string { return string(c.bytes()) }

// structure calls read for each field whose number has a kind in kinds, which is that of its type: i integer, b
// boolean, s bytes, l list, t struct. All others are skipped, also those of another type: some
// writers use numbers of their own.
func (c *compact) structure(kinds string, read func(id int16, typ byte)) {
	if c.depth++; c.depth > maxThriftDepth {
		c.fail(errThriftNested)
	}
	defer func() { c.depth-- }()
	id := int16(0)
	for c.err == nil {
		b := c.byte()
		typ := b & 15
		if typ == 0 {
			return
		}
		if delta := b >> 4; delta != 0 {
			id += int16(delta)
		} else {
			id = int16(c.int())
		}
		switch {
		case c.err != nil:
		case id > 0 && int(id) < len(kinds) && kinds[id] != '.' && kinds[id] == kindOf[typ]:
			read(id, typ)
		default:
			c.skip(typ)
		}
	}
}

// kindOf is the kind of each type, in the words of structure.
const kindOf = ".bbyiii.sl..t..."

// list reads the header of a list; each element takes at least a byte.
func (c *compact) list() (n int, typ byte) {
	b := c.byte()
	size := uint64(b >> 4)
	if size == 15 {
		size = c.uvarint()
	}
	if size > uint64(len(c.b)-c.pos) {
		c.fail(errThriftShort)
		return 0, 0
	}
	return int(size), b & 15
}

func (c *compact) skip(typ byte) {
	switch typ {
	case thriftTrue, thriftFalse:
	case thriftByte:
		c.byte()
	case thriftI16, thriftI32, thriftI64:
		c.uvarint()
	case thriftDouble:
		if len(c.b)-c.pos < 8 {
			c.fail(errThriftShort)
			return
		}
		c.pos += 8
	case thriftBinary:
		c.bytes()
	case thriftList, thriftSet:
		n, elem := c.list()
		c.skipElements(n, elem)
	case thriftMap:
		n := c.uvarint()
		if n == 0 {
			return
		}
		if n > uint64(len(c.b)-c.pos) {
			c.fail(errThriftShort)
			return
		}
		kv := c.byte()
		for range n {
			c.skipElements(1, kv>>4)
			c.skipElements(1, kv&15)
			if c.err != nil {
				return
			}
		}
	case thriftStruct:
		c.structure("", nil)
	default:
		c.fail(errThriftBad)
	}
}

// skipElements skips elements of a list, where booleans take a byte.
func (c *compact) skipElements(n int, typ byte) {
	if c.depth++; c.depth > maxThriftDepth {
		c.fail(errThriftNested)
	}
	defer func() { c.depth-- }()
	for range n {
		if typ == thriftTrue || typ == thriftFalse {
			c.byte()
		} else {
			c.skip(typ)
		}
		if c.err != nil {
			return
		}
	}
}

// bools reads a list of booleans.
func (c *compact) bools() []bool {
	n, _ := c.list()
	out := make([]bool, n)
	for i := range out {
		out[i] = c.byte() == thriftTrue
	}
	return out
}

// ints reads a list of integers.
func (c *compact) ints() []int64 {
	n, _ := c.list()
	out := make([]int64, n)
	for i := range out {
		out[i] = c.int()
	}
	return out
}

// binaries reads a list of byte strings, parts of the input.
func (c *compact) binaries() [][]byte {
	n, _ := c.list()
	out := make([][]byte, n)
	for i := range out {
		out[i] = c.bytes()
	}
	return out
}

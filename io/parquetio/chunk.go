package parquetio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
	"github.com/parquet-go/parquet-go/encoding/delta"
)

// page is a part of a column chunk, decoded. Its slices are good until the next page is read.
type page struct {
	entries int    // values and nulls
	rep     []byte // a level for each entry; nil in a column that does not repeat
	def     []byte // likewise; nil also if no entry is null
	count   int    // values that are not null

	values encoding.Values // count values, or
	index  []int32         // their places in the dictionary
	dict   *dictionary
}

// dictionary is the table that a column chunk's indexes point into. It stays as it is.
type dictionary struct {
	values encoding.Values
	count  int
}

// location is where a page begins, from the file's offset index.
type pageLocation struct {
	offset int64
	size   int32
	row    int64
}

// chunk reads the pages of one column chunk. Its buffers serve one chunk after another.
type chunk struct {
	ctx  context.Context
	file io.ReaderAt
	node *node
	meta *columnChunk

	fileEnd  int64 // where the pages of the file end at the latest
	pos, end int64 // of the pages that are still to be read
	seen     int64 // entries of the pages read
	dict     *dictionary

	window   []byte // bytes of the file
	at       int64  // from this offset on
	shared   bool   // window belongs to the row group
	sought   bool   // pages were left out, so their values cannot be counted
	readSize int

	plain    []byte // decompressed
	rep, def []byte
	index    []int32
	data     []byte
	offsets  []uint32
	values32 []int32
	values64 []int64
}

// start begins a chunk. fetched may hold bytes of the file from offset at on.
func (c *chunk) start(meta *columnChunk, fetched []byte, at int64) error {
	c.meta, c.dict, c.seen = meta, nil, 0
	c.pos = meta.start()
	c.end = min(c.pos+meta.compressed+oldSlack, c.fileEnd)
	c.sought = false
	switch {
	case fetched != nil:
		c.window, c.at, c.shared = fetched, at, true
	case c.shared:
		c.window, c.shared = nil, false
	default:
		c.window = c.window[:0]
	}
	switch {
	case meta.filePath != "":
		return fmt.Errorf("its data lies in another file, %s, which is not supported: rewrite the data as one file", meta.filePath)
	case meta.encrypted:
		return errors.New("it is encrypted (Parquet modular encryption), which is not supported: write the data without encryption")
	case int8(c.node.kind) != meta.physical:
		return fmt.Errorf("it is of type %v in the schema and %v in a row group: the file is damaged", c.node.kind, parquet.Kind(meta.physical))
	}
	return nil
}

// oldSlack is how many bytes longer a chunk may be than the footer says: old writers left out the header of
// the dictionary (PARQUET-816). The number of values tells where the chunk ends.
const oldSlack = 100

// peek returns n bytes at pos, or fewer at the chunk's end.
func (c *chunk) peek(n int) ([]byte, error) {
	n = int(min(int64(n), c.end-c.pos))
	if from := c.pos - c.at; from >= 0 && from+int64(n) <= int64(len(c.window)) {
		return c.window[from : from+int64(n)], nil
	}
	size := int(min(int64(max(n, c.readSize)), c.end-c.pos))
	kept := 0
	var fresh []byte
	if from := c.pos - c.at; from >= 0 && from < int64(len(c.window)) {
		// Keep what is there: a remote read costs more than the copy.
		fresh = grow(nil, size)
		kept = copy(fresh, c.window[from:])
	} else if c.shared {
		fresh = grow(nil, size)
	} else {
		fresh = grow(c.window, size)
	}
	c.window, c.shared = fresh[:0], false
	if err := readFull(c.ctx, c.file, fresh[kept:], c.pos+int64(kept)); err != nil {
		return nil, err
	}
	c.window, c.at = fresh, c.pos
	return fresh[:n], nil
}

// maxHeader bounds a page header, which may hold two long values as statistics.
const maxHeader = 64 << 20

// header reads the page header at pos and moves behind it.
func (c *chunk) header() (pageHeader, error) {
	for n := 256; ; n *= 4 {
		b, err := c.peek(n)
		if err != nil {
			return pageHeader{}, err
		}
		parser := compact{b: b}
		h := parser.pageHeader()
		if parser.err == nil {
			c.pos += int64(parser.pos)
			return h, nil
		}
		if len(b) < n || n > maxHeader {
			return pageHeader{}, fmt.Errorf("read page header at %d: %w", c.pos, parser.err)
		}
	}
}

// body reads the bytes of a page, still compressed.
func (c *chunk) body(h pageHeader) ([]byte, error) {
	size := int64(h.compressed)
	if c.pos+size > c.end {
		return nil, fmt.Errorf("a page of %d bytes at %d lies beyond the end of its column chunk: the file is damaged", size, c.pos)
	}
	b, err := c.peek(int(size))
	if err != nil {
		return nil, err
	}
	c.pos += size
	if h.hasCRC && crc32.ChecksumIEEE(b) != h.crc {
		return nil, fmt.Errorf("the checksum of the page at %d is %08x, not %08x: the file is damaged", c.pos-size, crc32.ChecksumIEEE(b), h.crc)
	}
	return b, nil
}

// skipTo moves to one of the pages that the chunk's offset index lists.
func (c *chunk) skipTo(pages []pageLocation, i int) error {
	last := pages[len(pages)-1]
	end := last.offset + int64(last.size)
	if pages[i].offset < c.meta.start() || pages[i].offset > end || end > c.end {
		return fmt.Errorf("its offset index points outside its column chunk: the file is damaged")
	}
	if c.dict == nil && c.pos == c.meta.start() && pages[0].offset > c.pos {
		if err := c.readDictionary(); err != nil {
			return err
		}
	}
	c.pos, c.end, c.sought = pages[i].offset, end, true
	return nil
}

// readDictionary reads the chunk's first page if that is a dictionary.
func (c *chunk) readDictionary() error {
	h, err := c.header()
	if err != nil || h.typ != dictionaryPage {
		return err // what comes next is sought by its offset
	}
	return c.loadDictionary(h)
}

// next returns the next data page, or io.EOF.
func (c *chunk) next() (page, error) {
	for c.pos < c.end && (c.sought || c.seen < c.meta.values) {
		h, err := c.header()
		if err != nil {
			return page{}, err
		}
		if h.typ == indexPage {
			c.pos += int64(h.compressed)
			continue
		}
		if !h.described {
			return page{}, fmt.Errorf("a page is of type %d and has no header of that type: the file is damaged, or has a feature that is not supported", h.typ)
		}
		if h.typ == dictionaryPage {
			if c.dict != nil {
				return page{}, errors.New("it has two dictionaries: the file is damaged")
			}
			if err := c.loadDictionary(h); err != nil {
				return page{}, err
			}
			continue
		}
		c.seen += int64(h.values)
		return c.dataPage(h)
	}
	return page{}, io.EOF
}

func (c *chunk) loadDictionary(h pageHeader) error {
	b, err := c.body(h)
	if err != nil {
		return err
	}
	var own []byte // the table outlives the buffers
	if c.meta.codec == codecNone {
		own = append(grow(nil, 0), b...)
	} else if own, err = decompress(c.meta.codec, nil, b, int(h.uncompressed)); err != nil {
		return fmt.Errorf("decompress dictionary: %w", err)
	}
	if h.encoding != encodingPlain && h.encoding != encodingPlainDictionary {
		return fmt.Errorf("its dictionary has encoding %d, which is not supported", h.encoding)
	}
	scratch := chunk{node: c.node}
	values, err := scratch.values(encodingPlain, own, int(h.values))
	if err != nil {
		return fmt.Errorf("read dictionary: %w", err)
	}
	c.dict = &dictionary{values, int(h.values)}
	return nil
}

func (c *chunk) dataPage(h pageHeader) (page, error) {
	b, err := c.body(h)
	if err != nil {
		return page{}, err
	}
	p := page{entries: int(h.values)}
	repWidth, defWidth := uint(bits.Len8(c.node.maxRep)), uint(bits.Len8(c.node.maxDef))
	if h.typ == dataPageV2 {
		levels := int64(h.repLength) + int64(h.defLength)
		if levels > int64(len(b)) || levels > int64(h.uncompressed) {
			return page{}, errShortRuns
		}
		rep, def, rest := b[:h.repLength], b[h.repLength:levels], b[levels:]
		if err := c.levels(&p, rep, def, repWidth, defWidth); err != nil {
			return page{}, err
		}
		if b = rest; !h.plain && c.meta.codec != codecNone {
			if b, err = c.decompress(b, int(h.uncompressed)-int(levels)); err != nil {
				return page{}, err
			}
		}
	} else {
		if c.meta.codec != codecNone {
			if b, err = c.decompress(b, int(h.uncompressed)); err != nil {
				return page{}, err
			}
		}
		var rep, def []byte
		if rep, b, err = c.levelBytes(&c.rep, b, repWidth, h.repEnc, p.entries); err != nil {
			return page{}, err
		}
		if def, b, err = c.levelBytes(&c.def, b, defWidth, h.defEnc, p.entries); err != nil {
			return page{}, err
		}
		oldRep, oldDef := h.repEnc == encodingBitPacked && repWidth > 0, h.defEnc == encodingBitPacked && defWidth > 0
		if oldRep {
			p.rep, rep, repWidth = c.rep, nil, 0
		}
		if oldDef {
			p.def, def, defWidth = c.def, nil, 0
		}
		if err := c.levels(&p, rep, def, repWidth, defWidth); err != nil {
			return page{}, err
		}
	}
	p.count = p.entries
	if p.def != nil {
		p.count = bytes.Count(p.def, []byte{c.node.maxDef})
	}
	if h.encoding == encodingPlainDictionary || h.encoding == encodingDictionary {
		return p, c.indexes(&p, b)
	}
	p.values, err = c.values(h.encoding, b, p.count)
	return p, err
}

func (c *chunk) decompress(b []byte, size int) ([]byte, error) {
	out, err := decompress(c.meta.codec, c.plain, b, size)
	if err != nil {
		return nil, fmt.Errorf("decompress page: %w", err)
	}
	c.plain = out
	return out, nil
}

// levelBytes cuts the levels of a version 1 page off its bytes. Those of the deprecated encoding it decodes into old.
func (c *chunk) levelBytes(old *[]byte, b []byte, width uint, enc int32, n int) (levels, rest []byte, err error) {
	if width == 0 {
		return nil, b, nil
	}
	if enc == encodingBitPacked {
		var size int
		if *old, size, err = decodeOldLevels(*old, b, width, n); err != nil {
			return nil, nil, err
		}
		return nil, b[size:], nil
	}
	if enc != encodingRLE {
		return nil, nil, fmt.Errorf("its levels have encoding %d, which is not supported", enc)
	}
	if len(b) < 4 {
		return nil, nil, errShortRuns
	}
	size := binary.LittleEndian.Uint32(b)
	if uint64(size) > uint64(len(b)-4) {
		return nil, nil, errShortRuns
	}
	return b[4 : 4+size], b[4+size:], nil
}

// levels decodes the levels of a page. Widths of 0 mean that there are none, or that they are decoded.
func (c *chunk) levels(p *page, rep, def []byte, repWidth, defWidth uint) (err error) {
	if repWidth > 0 {
		// No row begins at the top level, so it never is the only one.
		if c.rep, _, err = decodeLevels(c.rep, rep, repWidth, p.entries, 255); err != nil {
			return err
		}
		p.rep = c.rep
	}
	if defWidth > 0 {
		var all bool
		if c.def, all, err = decodeLevels(c.def, def, defWidth, p.entries, c.node.maxDef); err != nil {
			return err
		}
		if !all {
			p.def = c.def
		}
	}
	for _, l := range p.rep {
		if l > c.node.maxRep {
			return fmt.Errorf("a repetition level is %d, the greatest is %d: the file is damaged", l, c.node.maxRep)
		}
	}
	for _, l := range p.def {
		if l > c.node.maxDef {
			return fmt.Errorf("a definition level is %d, the greatest is %d: the file is damaged", l, c.node.maxDef)
		}
	}
	return nil
}

func (c *chunk) indexes(p *page, b []byte) (err error) {
	if c.dict == nil {
		if p.count == 0 { // indexes of nothing need no table
			c.dict = &dictionary{}
		} else {
			return errors.New("its values are indexes into a dictionary that is missing: the file is damaged")
		}
	}
	p.dict = c.dict
	width := uint(0)
	if len(b) > 0 {
		width, b = uint(b[0]), b[1:]
	}
	c.index, err = decodeIndexes(c.index, b, width, p.count)
	p.index = c.index
	return err
}

// The encodings' numbers in the format.
const (
	encodingPlain           = 0
	encodingPlainDictionary = 2
	encodingRLE             = 3
	encodingBitPacked       = 4
	encodingDelta           = 5
	encodingDeltaLength     = 6
	encodingDeltaBytes      = 7
	encodingDictionary      = 8
	encodingByteStreamSplit = 9
)

// width is how many bytes a value takes in the plain encoding, 0 if that depends on it.
func (n *node) width() int {
	switch n.kind {
	case parquet.Int32, parquet.Float:
		return 4
	case parquet.Int64, parquet.Double:
		return 8
	case parquet.Int96:
		return 12
	case parquet.FixedLenByteArray:
		return n.size
	}
	return 0
}

var errShortPage = errors.New("a page has fewer bytes than its values take: the file is damaged")

// values decodes n values.
func (c *chunk) values(enc int32, b []byte, n int) (encoding.Values, error) {
	kind, width := c.node.kind, c.node.width()
	switch enc {
	case encodingPlain:
		switch {
		case kind == parquet.Boolean:
			if len(b) < (n+7)/8 {
				return encoding.Values{}, errShortPage
			}
			return encoding.BooleanValues(b[:(n+7)/8]), nil
		case kind == parquet.ByteArray:
			return c.plainByteArrays(b, n)
		case int64(n)*int64(width) > int64(len(b)):
			return encoding.Values{}, errShortPage
		}
		return c.fixed(b[:n*width]), nil
	case encodingByteStreamSplit:
		if width == 0 || kind == parquet.Int96 || int64(n)*int64(width) > int64(len(b)) {
			return encoding.Values{}, errShortPage
		}
		c.data = grow(c.data, n*width)
		for j := range width {
			stream := b[j*n : (j+1)*n]
			for i, v := range stream {
				c.data[i*width+j] = v
			}
		}
		return c.fixed(c.data), nil
	case encodingRLE:
		if kind != parquet.Boolean || len(b) < 4 {
			break
		}
		levels, _, err := decodeLevels(c.data[:0], b[4:], 1, n, 255)
		if err != nil {
			return encoding.Values{}, err
		}
		c.data = levels
		packed := make([]byte, (n+7)/8)
		for i, v := range levels {
			packed[i/8] |= v & 1 << (i % 8)
		}
		return encoding.BooleanValues(packed), nil
	case encodingDelta, encodingDeltaLength, encodingDeltaBytes:
		return c.delta(enc, b, n)
	}
	return encoding.Values{}, fmt.Errorf("encoding %d of type %v is not supported", enc, kind)
}

// fixed makes values of plain bytes.
func (c *chunk) fixed(b []byte) encoding.Values {
	switch c.node.kind {
	case parquet.Int32:
		return encoding.Int32ValuesFromBytes(b)
	case parquet.Int64:
		return encoding.Int64ValuesFromBytes(b)
	case parquet.Float:
		return encoding.FloatValuesFromBytes(b)
	case parquet.Double:
		return encoding.DoubleValuesFromBytes(b)
	case parquet.Int96:
		return encoding.Int96ValuesFromBytes(b)
	}
	return encoding.FixedLenByteArrayValues(b, c.node.size)
}

func (c *chunk) plainByteArrays(b []byte, n int) (encoding.Values, error) {
	if int64(n)*4 > int64(len(b)) {
		return encoding.Values{}, errShortPage
	}
	data, offsets := c.data[:0], c.offsets[:0]
	if cap(data) < len(b) {
		data = make([]byte, 0, len(b))
	}
	if cap(offsets) < n+1 {
		offsets = make([]uint32, 0, n+1)
	}
	offsets = append(offsets, 0)
	for range n {
		if len(b) < 4 {
			return encoding.Values{}, errShortPage
		}
		size := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if uint64(size) > uint64(len(b)) {
			return encoding.Values{}, errShortPage
		}
		data = append(data, b[:size]...)
		offsets = append(offsets, uint32(len(data)))
		b = b[size:]
	}
	c.data, c.offsets = data, offsets
	return encoding.ByteArrayValues(data, offsets), nil
}

// deltaCount is how many values a delta encoding claims to hold, for which the library would make room.
func deltaCount(b []byte) (uint64, error) {
	var head [3]uint64 // block size, miniblocks, values
	for i := range head {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errShortPage
		}
		head[i], b = v, b[n:]
	}
	// The library makes room for a block at a time.
	if head[0] > 1<<20 || head[1] == 0 || head[1] > head[0] {
		return 0, fmt.Errorf("its deltas come in blocks of %d values in %d parts: the file is damaged", head[0], head[1])
	}
	return head[2], nil
}

func (c *chunk) delta(enc int32, b []byte, n int) (v encoding.Values, err error) {
	if n == 0 {
		return c.values(encodingPlain, nil, 0)
	}
	claimed, err := deltaCount(b)
	if err != nil {
		return v, err
	}
	if claimed != uint64(n) {
		return v, fmt.Errorf("a page of %d values claims %d: the file is damaged", n, claimed)
	}
	kind := c.node.kind
	switch {
	case enc == encodingDelta && kind == parquet.Int32:
		c.values32, err = new(delta.BinaryPackedEncoding).DecodeInt32(c.values32[:0], b)
		v = encoding.Int32Values(c.values32)
	case enc == encodingDelta && kind == parquet.Int64:
		c.values64, err = new(delta.BinaryPackedEncoding).DecodeInt64(c.values64[:0], b)
		v = encoding.Int64Values(c.values64)
	case enc == encodingDeltaLength && kind == parquet.ByteArray:
		c.data, c.offsets, err = new(delta.LengthByteArrayEncoding).DecodeByteArray(c.data[:0], b, c.offsets[:0])
		v = encoding.ByteArrayValues(c.data, c.offsets)
	case enc == encodingDeltaBytes && kind == parquet.ByteArray:
		c.data, c.offsets, err = new(delta.ByteArrayEncoding).DecodeByteArray(c.data[:0], b, c.offsets[:0])
		v = encoding.ByteArrayValues(c.data, c.offsets)
	case enc == encodingDeltaBytes && kind == parquet.FixedLenByteArray:
		c.data, err = new(delta.ByteArrayEncoding).DecodeFixedLenByteArray(c.data[:0], b, c.node.size)
		v = encoding.FixedLenByteArrayValues(c.data, c.node.size)
	default:
		return v, fmt.Errorf("encoding %d of type %v is not supported", enc, kind)
	}
	return v, err
}

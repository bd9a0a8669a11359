package textio

import (
	"compress/bzip2"
	"errors"
	"fmt"
	"io"
	"math"
)

// A bzip2 file is a row of streams, each a header of four bytes and then blocks, which begin at any bit with a number of 48 bits and end where the next begins or the
// stream ends. A block holds up to 900 kB and decodes by itself; so a task may begin at any block, as Hadoop's BZip2Codec does.
//
// The numbers may occur within a block by chance. bzip2Range therefore holds a place for a block only if all of it decodes with the right checksum, and the range
// before, which knows where the blocks are because each begins where the one before it ends, makes sure that the place found for the range after it is such a beginning. A
// disagreement is an error. (It takes data in which somebody hid a whole block, checksum and all.)
const (
	bzip2Block  = 0x314159265359
	bzip2End    = 0x177245385090
	bzip2Number = 48      // bits of these
	bzip2Least  = 1 << 18 // bytes below which a range is hardly worth its task: a block of text has some 200 kB
)

// bzip2Range decompresses the blocks that begin in a byte range of a file, and then, for the line that goes on there, those that follow.
type bzip2Range struct {
	src  io.ReaderAt
	size int64 // of the file
	from int64 // bytes
	to   int64

	buf  []byte // of the file, from base on
	base int64

	bit   int64 // where the next block, or end of a stream, begins
	last  int64 // where the block before it began
	begun bool  // bit is known
	level byte  // of compression, '1' to '9': how large blocks may be
	crc   uint32
	known bool // crc is of all blocks of the stream so far

	store    []byte // for out
	out      []byte // decompressed, not given out yet
	read     int64  // decompressed bytes so far
	boundary int64
	err      error
}

func newBzip2Range(src io.ReaderAt, size, from, to int64) *bzip2Range {
	return &bzip2Range{src: src, size: size, from: from, to: to, level: '1', boundary: math.MaxInt64}
}

// Close implements io.Closer.
func (r *bzip2Range) Close() error { return nil }

// end implements ranged.
func (r *bzip2Range) end() int64 { return r.boundary }

// Read implements io.Reader.
func (r *bzip2Range) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err == nil {
			r.err = r.next()
		}
		if r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// next decodes a block, or goes on to the next stream.
func (r *bzip2Range) next() error {
	if !r.begun {
		r.begun = true
		if r.from == 0 {
			return r.header(0)
		}
		at, err := r.find(8*r.from, 8*r.to)
		if err != nil {
			return err
		}
		r.bit, r.last = at, at
		if at < 0 { // no block begins in the range
			r.boundary = 0
			return io.EOF
		}
	}
	number, err := r.bits(r.bit, bzip2Number)
	if err != nil {
		return err
	}
	switch number {
	case bzip2Block:
		return r.block()
	case bzip2End:
		want, err := r.bits(r.bit+bzip2Number, 32)
		if err != nil {
			return err
		}
		if r.known && uint32(want) != r.crc {
			return fmt.Errorf("bzip2: the stream that ends at byte %d has another checksum than it says", r.bit/8)
		}
		at := (r.bit + bzip2Number + 32 + 7) / 8
		if at < r.size {
			return r.header(at)
		}
		if err := r.bound(8 * r.size); err != nil {
			return err
		}
		return io.EOF
	}
	return fmt.Errorf("bzip2: neither a block nor an end is at bit %d", r.bit)
}

// header reads the beginning of a stream.
func (r *bzip2Range) header(at int64) error {
	b, err := r.view(at, 4)
	if err != nil {
		return err
	}
	if string(b[:3]) != "BZh" || b[3] < '1' || b[3] > '9' {
		return fmt.Errorf("bzip2: no stream begins at byte %d", at)
	}
	r.bit, r.level, r.crc, r.known = 8*(at+4), b[3], 0, true
	return nil
}

// bound is called where the range's blocks end, with the bit at which the next one begins. It makes sure that the next range would find that one too.
func (r *bzip2Range) bound(next int64) error {
	if r.boundary != math.MaxInt64 {
		return nil
	}
	r.boundary = r.read
	at, err := r.find(8*r.to, next)
	if err == nil && at >= 0 {
		err = fmt.Errorf("bzip2: what looks like a block at bit %d lies in the one at bit %d: decompress the file, or compress it again with another block size", at, r.last)
	}
	return err
}

// block decodes the block at r.bit.
func (r *bzip2Range) block() error {
	if r.bit >= 8*r.to {
		if err := r.bound(r.bit); err != nil {
			return err
		}
	}
	crc, err := r.bits(r.bit+bzip2Number, 32)
	if err != nil {
		return err
	}
	out, end, err := r.decode(r.bit)
	if err != nil {
		return err
	}
	r.crc = (r.crc<<1 | r.crc>>31) ^ uint32(crc)
	r.last, r.bit = r.bit, end
	r.out = out
	r.read += int64(len(out))
	return nil
}

// find returns the first bit from on, before to, at which a block begins, or -1.
func (r *bzip2Range) find(from, to int64) (int64, error) {
	const step = 1 << 18
	for at := from / 8; 8*at < to; at += step {
		b, err := r.view(at, int(min(step+8, r.size-at)))
		if err != nil {
			return 0, err
		}
		for i := 0; i+2 < len(b) && i < step; i++ {
			shifts := secondByte[b[i+1]] & thirdByte[b[i+2]]
			if shifts == 0 {
				continue
			}
			for s := range int64(8) {
				bit := 8*(at+int64(i)) + s
				if shifts&(1<<s) == 0 || bit < from || bit >= to || bit+bzip2Number > 8*r.size {
					continue
				}
				if number, err := r.bits(bit, bzip2Number); err != nil {
					return 0, err
				} else if number != bzip2Block {
					continue
				}
				if _, _, err := r.decode(bit); err == nil {
					return bit, nil
				} else if !isDamage(err) {
					return 0, err
				}
			}
			if b, err = r.view(at, len(b)); err != nil { // decode may have moved the buffer
				return 0, err
			}
		}
	}
	return -1, nil
}

// secondByte and thirdByte tell for a byte at which shifts, as bits of a mask, it can be the second or third that a block's number touches.
var secondByte, thirdByte = shiftsOf(32), shiftsOf(24)

func shiftsOf(down int) (table [256]byte) {
	for s := range 8 {
		table[bzip2Block>>(down+s)&0xff] |= 1 << s
	}
	return table
}

// isDamage tells what the data are to blame for.
func isDamage(err error) bool {
	_, structural := errors.AsType[bzip2.StructuralError](err)
	return structural || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errNoNext)
}

var (
	errNoNext  = errors.New("bzip2: neither a block nor an end follows a block")
	errShorter = errors.New("the file is shorter than it was when it was listed")
)

// decode returns the data of the block at a bit, good until the next call, and where it ends. How large the block may be, the stream's
// header says, which a range in the middle has not seen: a block that does not decode as a small one is tried as a large one, for which the library needs nine times the memory.
func (r *bzip2Range) decode(bit int64) (data []byte, end int64, err error) {
	r.drop(bit / 8)
	data, end, err = r.decodeAs(bit, r.level)
	if err != nil && isDamage(err) && r.level < '9' {
		if data, end, err = r.decodeAs(bit, '9'); err == nil {
			r.level = '9'
		}
	}
	return data, end, err
}

// decodeAs decodes the block at a bit.
//
// The block is handed to the standard library as the beginning of a stream of its own. The library takes no byte more than it needs from an io.ByteReader, and
// must see a whole block before it can give out any of it; so after the first bytes the end is one of the eight bits before the place that was reached, the one where a
// number stands. The input is made to end behind that number: the library checks the block's sum before it finds that there is no more.
func (r *bzip2Range) decodeAs(bit int64, level byte) (data []byte, end int64, err error) {
	in := &bitReader{r: r, header: [4]byte{'B', 'Z', 'h', level}, bit: bit, limit: 8 * r.size}
	z := bzip2.NewReader(in)
	out := r.store[:0]
	for {
		if len(out) == cap(out) {
			out = append(out, make([]byte, max(1<<20, cap(out)))...)[:len(out)]
			r.store = out[:0]
		}
		n, err := z.Read(out[len(out):cap(out)])
		if in.err != nil {
			return nil, 0, in.err
		}
		if n > 0 && len(out) == 0 {
			if end, err = r.follows(in.bit); err != nil {
				return nil, 0, err
			}
			in.limit = end + bzip2Number
		}
		out = out[:len(out)+n]
		switch {
		case err == nil:
		case end > 0 && errors.Is(err, io.ErrUnexpectedEOF):
			return out, end, nil
		default:
			return nil, 0, err
		}
	}
}

// follows finds where a number stands at one of the last eight bits before bit.
func (r *bzip2Range) follows(bit int64) (int64, error) {
	for at := bit - 7; at <= bit; at++ {
		if number, err := r.bits(at, bzip2Number); err == nil && (number == bzip2Block || number == bzip2End) {
			return at, nil
		} else if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
	}
	return 0, errNoNext
}

// bitReader hands on a file's bits from some bit on, after the header of a stream.
type bitReader struct {
	r      *bzip2Range
	header [4]byte
	begun  int   // bytes of the header
	bit    int64 // not handed on yet
	limit  int64 // where it ends; what follows within a byte does no harm
	err    error // of the file
}

// ReadByte implements io.ByteReader.
func (in *bitReader) ReadByte() (byte, error) {
	if in.begun < len(in.header) {
		in.begun++
		return in.header[in.begun-1], nil
	}
	if in.bit >= in.limit {
		return 0, io.EOF
	}
	at := in.bit/8 - in.r.base
	if at < 0 || at+1 >= int64(len(in.r.buf)) {
		b, err := in.r.view(in.bit/8, int(min(2, in.r.size-in.bit/8)))
		if err != nil {
			in.err = err
			return 0, err
		}
		at = in.bit/8 - in.r.base
		if len(b) < 2 { // the file's last byte
			c := b[0] << (in.bit % 8)
			in.bit += 8
			return c, nil
		}
	}
	b := in.r.buf[at : at+2]
	c := byte((uint(b[0])<<8 | uint(b[1])) >> (8 - in.bit%8))
	in.bit += 8
	return c, nil
}

// Read implements io.Reader, for bzip2.NewReader; it is not called.
func (in *bitReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := in.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// bits returns n bits, at most 56, of the file.
func (r *bzip2Range) bits(bit int64, n int) (uint64, error) {
	skip := int(bit % 8)
	b, err := r.view(bit/8, (skip+n+7)/8)
	if err != nil {
		return 0, err
	}
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v >> (8*len(b) - skip - n) & (1<<n - 1), nil
}

// view returns n bytes of the file, good until the next call. io.ErrUnexpectedEOF says that it has not so many.
func (r *bzip2Range) view(at int64, n int) ([]byte, error) {
	if at < 0 || at+int64(n) > r.size {
		return nil, io.ErrUnexpectedEOF
	}
	if at < r.base || at > r.base+int64(len(r.buf)) {
		r.base, r.buf = at, r.buf[:0]
	}
	for have := r.base + int64(len(r.buf)); have < at+int64(n); have = r.base + int64(len(r.buf)) {
		more := int(min(blockSize, r.size-have))
		r.buf = append(r.buf, make([]byte, more)...)
		m, err := r.src.ReadAt(r.buf[len(r.buf)-more:], have)
		r.buf = r.buf[:len(r.buf)-more+m]
		if m < more {
			if err == nil || err == io.EOF {
				err = errShorter
			}
			return nil, err
		}
	}
	i := int(at - r.base)
	return r.buf[i : i+n], nil
}

// drop forgets what lies before a byte.
func (r *bzip2Range) drop(at int64) {
	if n := at - r.base; n > 0 && n <= int64(len(r.buf)) {
		r.buf = r.buf[:copy(r.buf, r.buf[n:])]
		r.base = at
	}
}

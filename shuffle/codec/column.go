package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"unsafe"
)

// maxDepth bounds the nesting of recursive values, on both sides, so that neither a cycle nor hostile bytes exhaust the stack.
const maxDepth = 10_000

// maxEmpty bounds the count of values that take no bytes on the wire (struct{} and its like), which nothing else bounds.
const maxEmpty = 1 << 31

// memVisits bounds the pointers that one MemSize follows, so that it ends on values that contain themselves.
const memVisits = 1 << 18

// run is n values in memory, the first at p, the next ones vec.stride bytes further each.
type run struct {
	p unsafe.Pointer
	n int
}

// vec is what a column encodes: n values in runs, each value off bytes into its place. A slice of rows is one run; the
// elements of a column of slices are a run per slice, so that they are encoded where they lie.
type vec struct {
	runs   []run
	stride uintptr
	off    uintptr
	n      int
}

// column encodes and decodes all values of one place in the row type.
type column interface {
	// encode appends the column of v to dst.
	encode(e *encoder, dst []byte, v vec) ([]byte, error)
	// decode reads n values into memory at p, p+stride, … (n > 0). The caller has checked n against the bytes present.
	decode(d *decoder, p unsafe.Pointer, stride uintptr, n int) error
	// heap estimates the bytes that the value at p holds beyond itself.
	heap(p unsafe.Pointer, visits *int) int64
}

// encoder is the scratch memory of one Append.
type encoder struct {
	runs  []run    // a stack: each slice, map or pointer column pushes the runs of its elements and pops them after
	lens  []uint64 // lengths of the column at hand, written before its elements are visited
	tmp   []byte   // bytes of the marshaler column at hand
	depth int
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func (e *encoder) release() {
	e.pop(0)
	e.lens, e.tmp, e.depth = e.lens[:0], e.tmp[:0], 0
	if cap(e.tmp) > 1<<20 {
		e.tmp = nil
	}
	if cap(e.runs) > 1<<16 {
		e.runs, e.lens = nil, nil
	}
	encoders.Put(e)
}

// pop drops the runs above mark and forgets them: nothing pooled may keep the caller's rows alive.
func (e *encoder) pop(mark int) {
	clear(e.runs[mark:])
	e.runs = e.runs[:mark]
}

// decoder is the unread part of a block.
type decoder struct {
	buf   []byte
	depth int
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

func (d *decoder) release() {
	*d = decoder{}
	decoders.Put(d)
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("codec: decode a block: "+format+": the bytes are damaged or of another row type", args...)
}

// take returns the next n bytes.
func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.buf)) {
		return nil, corrupt("%d bytes wanted, %d present", n, len(d.buf))
	}
	b := d.buf[:n:n]
	d.buf = d.buf[n:]
	return b, nil
}

func (d *decoder) uvarint() (uint64, error) {
	x, k := binary.Uvarint(d.buf)
	if k <= 0 {
		return 0, corrupt("no number where one belongs")
	}
	d.buf = d.buf[k:]
	return x, nil
}

// limit is the largest count of values of plan p that the bytes present can hold.
func (d *decoder) limit(p *plan) uint64 {
	if p.minBits == 0 {
		return maxEmpty
	}
	return uint64(len(d.buf)) * 8 / p.minBits
}

// fits returns n as an int if the bytes present can hold n values of plan p.
func (d *decoder) fits(n uint64, p *plan) (int, error) {
	if m := d.limit(p); n > m {
		return 0, corrupt("%d values of %s, bytes for %d at most", n, p.typ, m)
	}
	return int(n), nil
}

// extend returns dst longer by n bytes, whose content is undefined. It panics with the runtime's out-of-memory only.
func extend(dst []byte, n int) []byte {
	return slices.Grow(dst, n)[:len(dst)+n]
}

// widthOf returns the bytes that lengths up to maxLen take.
func widthOf(maxLen uint64) int {
	switch {
	case maxLen <= math.MaxUint8:
		return 1
	case maxLen <= math.MaxUint16:
		return 2
	case maxLen <= math.MaxUint32:
		return 4
	default:
		return 8
	}
}

// appendLens appends the width byte and lens.
func appendLens(dst []byte, lens []uint64, maxLen uint64) []byte {
	w := widthOf(maxLen)
	return putLens(append(dst, byte(w)), lens, w)
}

// putLens appends lens, w bytes each.
func putLens(dst []byte, lens []uint64, w int) []byte {
	at := len(dst)
	dst = extend(dst, len(lens)*w)
	out := dst[at:]
	switch w {
	case 1:
		for i, l := range lens {
			out[i] = byte(l)
		}
	case 2:
		for i, l := range lens {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(l))
		}
	case 4:
		for i, l := range lens {
			binary.LittleEndian.PutUint32(out[4*i:], uint32(l))
		}
	default:
		for i, l := range lens {
			binary.LittleEndian.PutUint64(out[8*i:], l)
		}
	}
	return dst
}

// lens is a column of lengths inside the block.
type lens struct {
	b []byte
	w int
}

func (d *decoder) lens(n int) (lens, error) {
	if len(d.buf) == 0 {
		return lens{}, corrupt("no lengths")
	}
	w := int(d.buf[0])
	if w != 1 && w != 2 && w != 4 && w != 8 {
		return lens{}, corrupt("lengths of %d bytes", w)
	}
	d.buf = d.buf[1:]
	if uint64(n) > uint64(len(d.buf))/uint64(w) {
		return lens{}, corrupt("%d lengths of %d bytes, %d bytes present", n, w, len(d.buf))
	}
	l := lens{d.buf[:n*w], w}
	d.buf = d.buf[n*w:]
	return l, nil
}

func (l lens) at(i int) uint64 {
	switch l.w {
	case 1:
		return uint64(l.b[i])
	case 2:
		return uint64(binary.LittleEndian.Uint16(l.b[2*i:]))
	case 4:
		return uint64(binary.LittleEndian.Uint32(l.b[4*i:]))
	default:
		return binary.LittleEndian.Uint64(l.b[8*i:])
	}
}

// elements returns the sum of the element counts in n lengths that mark nil by 0, if it is within limit.
func (l lens) elements(n int, limit uint64) (int, error) {
	var total uint64
	for i := range n {
		if c := l.at(i); c > 1 {
			// c ≤ limit+1 ≤ 2^63 and total ≤ limit: the sum cannot wrap.
			if c-1 > limit-total {
				return 0, corrupt("more than %d elements", limit)
			}
			total += c - 1
		}
	}
	return int(total), nil
}

package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/parquet-go/bitpack"
)

// This file decodes the hybrid of run lengths and bit packing in which levels, booleans and
// dictionary indexes are kept. Every function decodes as many values as asked for, so
// a run's claimed length allocates nothing.

var errShortRuns = errors.New("its levels or indexes end too early: the file is damaged")

// runs splits a hybrid into runs.
type runs struct {
	src   []byte
	width uint
}

// next returns the next run of at most limit values: repeated ones (packed is nil) or bit-packed.
func (r *runs) next(limit int) (n int, value uint32, packed []byte, err error) {
	head, k := binary.Uvarint(r.src)
	if k <= 0 {
		return 0, 0, nil, errShortRuns
	}
	r.src = r.src[k:]
	if head&1 == 0 {
		size := int(r.width+7) / 8
		if len(r.src) < size {
			return 0, 0, nil, errShortRuns
		}
		for i := range size {
			value |= uint32(r.src[i]) << (8 * i)
		}
		r.src = r.src[size:]
		return int(min(head>>1, uint64(limit))), value, nil, nil
	}
	groups := head >> 1
	if r.width == 0 {
		return int(min(groups, uint64(limit)/8+1)) * 8, 0, nil, nil
	}
	// Writers may cut off the last group.
	size := min(groups, uint64(len(r.src))) * uint64(r.width) // no overflow: width is at most 32
	packed = r.src[:min(size, uint64(len(r.src)))]
	r.src = r.src[len(packed):]
	n = len(packed) * 8 / int(r.width)
	if n == 0 && groups > 0 {
		return 0, 0, nil, errShortRuns
	}
	return n, 0, packed, nil
}

// decodeIndexes decodes n values of up to 32 bits.
func decodeIndexes(dst []int32, src []byte, width uint, n int) ([]int32, error) {
	if width > 32 {
		return dst, fmt.Errorf("its dictionary indexes are %d bits wide: the file is damaged", width)
	}
	if cap(dst) < n {
		dst = make([]int32, n)
	}
	dst = dst[:n]
	r := runs{src, width}
	for at := 0; at < n; {
		k, value, packed, err := r.next(n - at)
		if err != nil {
			return dst, err
		}
		k = min(k, n-at)
		run := dst[at : at+k]
		if packed == nil {
			for i := range run {
				run[i] = int32(value)
			}
		} else {
			unpack(run, packed, width)
		}
		at += k
	}
	return dst, nil
}

// unpack unpacks len(dst) values, which src holds. The library reads beyond what it
// needs, so the end of a buffer that lacks the room goes through a copy.
func unpack(dst []int32, src []byte, width uint) {
	whole := src[:cap(src)]
	safe := len(dst)
	if need := bitpack.ByteCount(uint(len(dst)) * width); len(whole) < need+bitpack.PaddingInt32 {
		safe = max(0, (len(whole)-bitpack.PaddingInt32)*8/int(width)) &^ 7
	}
	if safe > 0 {
		bitpack.Unpack(dst[:safe], whole, width)
	}
	if safe < len(dst) {
		rest := src[safe/8*int(width):]
		tail := make([]byte, len(rest)+2*bitpack.PaddingInt32)
		copy(tail, rest)
		bitpack.Unpack(dst[safe:], tail, width)
	}
}

// decodeLevels decodes n levels of up to 8 bits. all is true if they are one run of top.
func decodeLevels(dst, src []byte, width uint, n int, top byte) (levels []byte, all bool, err error) {
	r := runs{src, width}
	for at := 0; at < n; {
		k, value, packed, err := r.next(n - at)
		if err != nil {
			return dst, false, err
		}
		k = min(k, n-at)
		if at == 0 {
			if k == n && packed == nil && value == uint32(top) {
				return dst, true, nil
			}
			if cap(dst) < n+8 {
				dst = make([]byte, n+8)
			}
			dst = dst[:n+8] // room for writing eight at a time
		}
		run := dst[at : at+k]
		switch {
		case packed == nil:
			for i := range run {
				run[i] = byte(value)
			}
		case width == 1:
			for i, b := range packed[:(k+7)/8] {
				binary.LittleEndian.PutUint64(dst[at+8*i:], spreadBits[b])
			}
		default:
			unpackBytes(run, packed, width)
		}
		at += k
	}
	return dst[:n], false, nil
}

// spreadBits has a byte for each bit.
var spreadBits = func() (t [256]uint64) {
	for b := range t {
		for i := range 8 {
			t[b] |= uint64(b>>i&1) << (8 * i)
		}
	}
	return t
}()

func unpackBytes(dst, src []byte, width uint) {
	var bits uint64
	have := uint(0)
	for i := range dst {
		for have < width {
			bits |= uint64(src[0]) << have
			src = src[1:]
			have += 8
		}
		dst[i] = byte(bits & (1<<width - 1))
		bits >>= width
		have -= width
	}
}

// decodeOldLevels decodes the deprecated BIT_PACKED levels, most significant bits first, and
// returns the number of bytes that they take.
func decodeOldLevels(dst, src []byte, width uint, n int) ([]byte, int, error) {
	size := (n*int(width) + 7) / 8
	if size > len(src) {
		return dst, 0, errShortRuns
	}
	if cap(dst) < n {
		dst = make([]byte, n)
	}
	dst = dst[:n]
	for i := range dst {
		v := byte(0)
		for b := i * int(width); b < (i+1)*int(width); b++ {
			v = v<<1 | src[b/8]>>(7-b%8)&1
		}
		dst[i] = v
	}
	return dst, size, nil
}

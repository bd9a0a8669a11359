package parquetio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
	"github.com/pierrec/lz4/v4"
)

// The codecs' numbers in the format.
const (
	codecNone   = 0
	codecSnappy = 1
	codecGzip   = 2
	codecLZO    = 3
	codecBrotli = 4
	codecLZ4    = 5 // deprecated: LZ4 blocks, framed by Hadoop or not at all
	codecZstd   = 6
	codecLZ4Raw = 7
)

var errUncompressed = errors.New("what it decompresses to is not of the size that its header says: the file is damaged")

// maxExpansion bounds what a codec makes of a byte, so that a few bytes cannot claim gigabytes of
// memory before they are looked at: LZ4's most is 255, Snappy's 64 for each three.
const maxExpansion = 256

// decompress returns size bytes made of src, in dst if it has the room.
func decompress(codec int32, dst, src []byte, size int) ([]byte, error) {
	if size == 0 { // writers differ in what nothing is compressed to: nothing, or an empty stream
		return dst[:0], nil
	}
	var library compress.Codec
	switch codec {
	case codecSnappy:
		library = &parquet.Snappy
	case codecGzip:
		library = &parquet.Gzip
	case codecBrotli:
		library = &parquet.Brotli
	case codecZstd:
		library = &parquet.Zstd
	case codecLZ4, codecLZ4Raw:
		if size > maxExpansion*(len(src)+1) {
			return nil, errUncompressed
		}
		dst = grow(dst, size)
		if codec == codecLZ4 && hadoopLZ4(dst, src) {
			return dst, nil
		}
		n, err := lz4.UncompressBlock(src, dst)
		if err == nil && n != size {
			err = errUncompressed
		}
		return dst, err
	case codecLZO:
		return nil, errors.New("it is compressed with LZO, which is not supported: rewrite the file with snappy or zstd")
	default:
		return nil, fmt.Errorf("it is compressed with codec %d, which is not supported: rewrite the file with snappy or zstd", codec)
	}
	if size <= maxExpansion*(len(src)+1) {
		dst = grow(dst, size)
	}
	out, err := library.Decode(dst[:cap(dst)], src)
	if err == nil && len(out) != size {
		err = errUncompressed
	}
	return out, err
}

// grow returns a slice of n bytes with room after it that unpack may read.
func grow(b []byte, n int) []byte {
	if cap(b) < n+slack {
		b = make([]byte, n+slack)
	}
	return b[:n]
}

// slack is room after a buffer's bytes for reading some words at once.
const slack = 32

// hadoopLZ4 decompresses what Hadoop's codec wrote: blocks, each after its two lengths, big-endian. It is
// false if src is not so.
func hadoopLZ4(dst, src []byte) bool {
	for len(src) > 0 {
		if len(src) < 8 {
			return false
		}
		plain, packed := binary.BigEndian.Uint32(src), binary.BigEndian.Uint32(src[4:])
		src = src[8:]
		if uint64(packed) > uint64(len(src)) || uint64(plain) > uint64(len(dst)) {
			return false
		}
		n, err := lz4.UncompressBlock(src[:packed], dst[:plain])
		if err != nil || n != int(plain) {
			return false
		}
		src, dst = src[packed:], dst[plain:]
	}
	return len(dst) == 0
}

// snappyCodec writes Snappy faster than the library's codec, which searches for better matches: half the time for
// files some percent larger, as other writers do.
type snappyCodec struct{}

func (snappyCodec) String() string                            { return "SNAPPY" }
func (snappyCodec) CompressionCodec() format.CompressionCodec { return format.Snappy }
func (snappyCodec) Encode(dst, src []byte) ([]byte, error) {
	return s2.EncodeSnappy(dst[:cap(dst)], src), nil
}
func (snappyCodec) Decode(dst, src []byte) ([]byte, error) { return s2.Decode(dst[:cap(dst)], src) }

// fastZstd writes zstd at about level 1, the default of Arrow's writers.
var fastZstd = &zstd.Codec{Level: zstd.SpeedFastest}

// lz4Codec writes LZ4 blocks without framing.
type lz4Codec struct{}

func (lz4Codec) String() string                            { return "LZ4_RAW" }
func (lz4Codec) CompressionCodec() format.CompressionCodec { return format.Lz4Raw }
func (lz4Codec) Encode(dst, src []byte) ([]byte, error) {
	if bound := lz4.CompressBlockBound(len(src)); cap(dst) < bound {
		dst = make([]byte, bound)
	}
	dst = dst[:cap(dst)]
	n, err := lz4.CompressBlock(src, dst, nil)
	return dst[:n], err
}

// Decode serves the writer, which reads its pages again for Bloom filters. A block does not tell its size, but dst does: the library keeps
// dst if what is returned is of the same length, so nothing else may be returned where dst has the room.
func (lz4Codec) Decode(dst, src []byte) ([]byte, error) {
	size := cap(dst)
	if size == 0 {
		size = 4*len(src) + 64
	}
	for ; ; size *= 2 {
		dst = slices.Grow(dst[:0], size)[:size]
		n, err := lz4.UncompressBlock(src, dst)
		if err == nil || size > maxExpansion*(len(src)+1) {
			return dst[:n], err
		}
	}
}

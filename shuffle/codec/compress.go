package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressChunk is how many raw bytes are compressed at a time: little enough for the second-level cache, and a bound on
// what a decoder must believe at once.
const compressChunk = 1 << 20

// Compressor frames bytes, compressed or not. A frame states its raw length and is self-delimiting:
//
//	frame = method byte, uvarint(raw length), chunks
//	chunk = uvarint(stored length << 1 | compressed), stored bytes; holds 1 MiB of raw bytes, the last one less
//
// A chunk that compression does not shorten is stored as it is. Any compressor decodes the frames of all others.
// Safe for concurrent use.
type Compressor struct {
	method byte
}

const (
	methodNone byte = iota
	methodLZ4
	methodZstd
)

// CompressorOf returns the compressor of the given name: "none", "lz4" (block format, for the network and for disks) or "zstd" (fastest
// level, for what is kept long), or an error that lists them.
func CompressorOf(name string) (Compressor, error) {
	switch name {
	case "none":
		return Compressor{methodNone}, nil
	case "lz4":
		return Compressor{methodLZ4}, nil
	case "zstd":
		return Compressor{methodZstd}, nil
	}
	return Compressor{}, fmt.Errorf("codec: choose a compressor: unknown name %q: use none, lz4 or zstd", name)
}

// String returns the name.
func (c Compressor) String() string {
	switch c.method {
	case methodLZ4:
		return "lz4"
	case methodZstd:
		return "zstd"
	}
	return "none"
}

var (
	lz4Compressors = sync.Pool{New: func() any { return new(lz4.Compressor) }}

	// One encoder and decoder serve all goroutines: EncodeAll and DecodeAll keep their state apart and start no goroutine.
	zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithSingleSegment(true), zstd.WithLowerEncoderMem(true))
	})
	zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(2*compressChunk))
	})
)

// Append appends src to dst as one frame and returns the longer slice.
func (c Compressor) Append(dst, src []byte) ([]byte, error) {
	start := len(dst)
	dst = append(dst, c.method)
	dst = binary.AppendUvarint(dst, uint64(len(src)))
	for len(src) > 0 {
		raw := src[:min(len(src), compressChunk)]
		src = src[len(raw):]
		var err error
		if dst, err = c.appendChunk(dst, raw); err != nil {
			return dst[:start], fmt.Errorf("codec: compress %d bytes with %s: %w", len(raw), c, err)
		}
	}
	return dst, nil
}

// chunkHead is the longest head of a chunk: uvarint(2·compressChunk+1).
const chunkHead = 4

func (c Compressor) appendChunk(dst, raw []byte) ([]byte, error) {
	at := len(dst)
	n := 0
	switch c.method {
	case methodLZ4:
		// Compressed straight to its place, behind room for the longest head.
		dst = extend(dst, chunkHead+lz4.CompressBlockBound(len(raw)))
		z := lz4Compressors.Get().(*lz4.Compressor)
		k, err := z.CompressBlock(raw, dst[at+chunkHead:])
		lz4Compressors.Put(z)
		if err != nil {
			return dst, err
		}
		n = k
	case methodZstd:
		z, err := zstdEncoder()
		if err != nil {
			return dst, err
		}
		dst = extend(dst, chunkHead)
		dst = z.EncodeAll(raw, dst)
		n = len(dst) - at - chunkHead
	}
	if n == 0 || n >= len(raw) {
		dst = binary.AppendUvarint(dst[:at], uint64(len(raw))<<1)
		return append(dst, raw...), nil
	}
	body := dst[at+chunkHead : at+chunkHead+n]
	dst = binary.AppendUvarint(dst[:at], uint64(n)<<1|1)
	return append(dst, body...), nil // moves down by the head's spare bytes
}

var errFrame = errors.New("the bytes are damaged or not a frame")

// Decode appends the raw bytes of the frame at the start of frame to dst and returns them with the bytes after the frame. Memory
// is taken as content turns up, never on the word of the frame alone. On an error dst is returned as it was.
func (c Compressor) Decode(dst, frame []byte) (raw, rest []byte, err error) {
	out, rest, err := decodeFrame(dst, frame)
	if err != nil {
		return dst, frame, fmt.Errorf("codec: decompress a frame of %d bytes: %w", len(frame), err)
	}
	return out, rest, nil
}

func decodeFrame(dst, b []byte) (out, rest []byte, err error) {
	if len(b) == 0 || b[0] > methodZstd {
		return nil, nil, errFrame
	}
	method := b[0]
	total, k := binary.Uvarint(b[1:])
	if k <= 0 {
		return nil, nil, errFrame
	}
	b = b[1+k:]
	// No method but zstd can turn a byte into more than 255; what goes beyond is taken chunk by chunk.
	if total <= 255*uint64(len(b)) {
		dst = slices.Grow(dst, int(total))
	}
	for total > 0 {
		size := min(total, compressChunk)
		total -= size
		head, k := binary.Uvarint(b)
		if k <= 0 || head>>1 > uint64(len(b)-k) {
			return nil, nil, errFrame
		}
		stored := b[k : k+int(head>>1)]
		b = b[k+len(stored):]
		if head&1 == 0 {
			if uint64(len(stored)) != size {
				return nil, nil, errFrame
			}
			dst = append(dst, stored...)
			continue
		}
		dst = slices.Grow(dst, int(size))
		at := len(dst)
		room := dst[at : at+int(size) : at+int(size)]
		n := 0
		switch method {
		case methodLZ4:
			n, err = lz4.UncompressBlock(stored, room)
		case methodZstd:
			var z *zstd.Decoder
			if z, err = zstdDecoder(); err == nil {
				var got []byte
				if got, err = z.DecodeAll(stored, room[:0]); err == nil {
					n = len(got)
				}
			}
		default:
			err = errFrame
		}
		if err != nil {
			return nil, nil, err
		}
		if n != int(size) {
			return nil, nil, errFrame
		}
		dst = dst[:at+n]
	}
	return dst, b, nil
}

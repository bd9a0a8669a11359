package shuffle

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/spark-go/spark-go/shuffle/codec"
	"github.com/spark-go/spark-go/shuffle/seal"
)

// A block is a batch of rows as stored in map outputs and spills: a header and the encoded rows, compressed or not. The header
// is, little endian: CRC-32C of all that follows, stored bytes, encoded bytes before compression, and rows with the compression
// method in the top byte; four times uint32. Where the executor has a key the stored bytes are sealed (package seal), and what of the header
// comes after the checksum with them.
const (
	blockHeader  = 16
	blockBytes   = 256 << 10 // encoded bytes a block aims at: with its rows decoded it fits the second-level cache
	blockMaxRows = 16 << 10
	// blockMaxRaw bounds one block. Only single rows come near.
	blockMaxRaw = 1<<31 - 1

	methodPlain byte = 0 // the encoded rows as they are
	methodFrame byte = 1 // a frame of codec.Compressor
	// methodSealed says that either is encrypted.
	methodSealed byte = 2
)

// header is a decoded block header.
type header struct {
	sum    uint32
	stored int
	raw    int
	rows   int
	method byte
}

func parseHeader(b []byte) header {
	last := binary.LittleEndian.Uint32(b[12:])
	return header{
		sum:    binary.LittleEndian.Uint32(b),
		stored: int(binary.LittleEndian.Uint32(b[4:])),
		raw:    int(binary.LittleEndian.Uint32(b[8:])),
		rows:   int(last & 0xffffff),
		method: byte(last >> 24),
	}
}

// check says whether the header can be one, given how many bytes of the segment follow it. Sizes are bounded here, before
// anything is allocated by them.
func (h header) check(follow int64) error {
	if int64(h.stored) > follow {
		return fmt.Errorf("%w: a block of %d bytes where %d are left", errCorrupt, h.stored, follow)
	}
	if h.method > methodFrame|methodSealed || h.rows == 0 || h.rows > blockMaxRows || h.raw > blockMaxRaw || h.stored > blockMaxRaw {
		return fmt.Errorf("%w: a block of %d rows and %d bytes", errCorrupt, h.rows, h.raw)
	}
	return nil
}

// blockWriter encodes rows of one type into blocks. Like all that only passes rows on it does not know their type: what does is
// compiled anew for each row type of a program.
type blockWriter struct {
	comp codec.Compressor
	raw  []byte
	// Compression is left off for a while after blocks that shrank by less than a quarter, which took longer to compress than to
	// write: what is incompressible tends to stay so.
	skip, poor int

	key  *seal.Key    // nil if blocks are not encrypted
	seal *seal.Writer // nil before the first block

	sum  Sum   // of all blocks so far
	part int32 // which the next block belongs to
}

// newBlockWriter returns a writer of blocks compressed with the named method, and encrypted if there is a key.
func newBlockWriter(compression string, key *seal.Key) (*blockWriter, error) {
	if compression == "" {
		compression = "lz4"
	}
	comp, err := codec.CompressorOf(compression)
	if err != nil {
		return nil, fmt.Errorf("shuffle: %w", err)
	}
	return &blockWriter{comp: comp, key: key}, nil
}

// head is how much of a block stands in front of its encoded rows.
func (w *blockWriter) head() int {
	if w.key == nil {
		return blockHeader
	}
	return blockHeader + seal.Prefix
}

// codecOf returns the codec of rows that are shuffled.
func codecOf[T any]() (*codec.Codec[T], error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, fmt.Errorf("shuffle: %w", err)
	}
	return c, nil
}

// append adds rows, at least one and at most blockMaxRows, to dst as one block, or as several if they are huge.
func (w *blockWriter) append(dst []byte, rows codec.Rows) ([]byte, error) {
	raw, err := rows.Append(w.raw[:0])
	if err != nil {
		return dst, fmt.Errorf("shuffle: encode rows: %w", err)
	}
	if cap(raw) <= 4*blockBytes {
		w.raw = raw
	}
	if n := rows.Len(); len(raw) > blockMaxRaw/2 && n > 1 {
		if dst, err = w.append(dst, rows.Slice(0, n/2)); err != nil {
			return dst, err
		}
		return w.append(dst, rows.Slice(n/2, n))
	}
	if len(raw) > blockMaxRaw {
		return dst, fmt.Errorf("shuffle: encode a row of %d bytes: %d is the limit", len(raw), blockMaxRaw)
	}
	w.sum.Content = crc32.Update(w.sum.Content, castagnoli, raw)
	var place [8]byte
	binary.LittleEndian.PutUint32(place[:], uint32(w.part))
	binary.LittleEndian.PutUint32(place[4:], uint32(rows.Len()))
	w.sum.Layout = crc32.Update(w.sum.Layout, castagnoli, place[:])
	if w.key != nil && w.seal == nil {
		if w.seal, err = w.key.NewWriter(); err != nil {
			return dst, fmt.Errorf("shuffle: encode rows: %w", err)
		}
	}
	at, head := len(dst), w.head()
	dst = append(dst, make([]byte, head)...)
	method := methodPlain
	if len(raw) < 128 {
		dst = append(dst, raw...)
	} else if w.skip > 0 {
		w.skip--
		dst = append(dst, raw...)
	} else {
		if dst, err = w.comp.Append(dst, raw); err != nil {
			return dst[:at], fmt.Errorf("shuffle: encode rows: %w", err)
		}
		method = methodFrame
		if saved := len(raw) - (len(dst) - at - head); saved < len(raw)/4 {
			w.poor = min(w.poor+1, 4)
			w.skip = 1<<w.poor - 1
		} else {
			w.poor = 0
		}
	}
	b := dst[at:]
	stored := len(b) - blockHeader
	if w.key != nil {
		stored = len(b) - head + seal.Overhead
		method |= methodSealed
	}
	if stored > blockMaxRaw {
		return dst[:at], fmt.Errorf("shuffle: encode a row of %d bytes: %d is the limit", len(raw), blockMaxRaw)
	}
	binary.LittleEndian.PutUint32(b[4:], uint32(stored))
	binary.LittleEndian.PutUint32(b[8:], uint32(len(raw)))
	binary.LittleEndian.PutUint32(b[12:], uint32(rows.Len())|uint32(method)<<24)
	if w.key != nil {
		dst = w.seal.Seal(dst, at+blockHeader, b[4:blockHeader])
		b = dst[at:]
	}
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return dst, nil
}

// blockReader decodes blocks.
type blockReader[T any] struct {
	codec *codec.Codec[T]
	blockBytesReader
}

// newBlockReader returns a reader of blocks that were encrypted with the key, or of plain ones if it is nil.
func newBlockReader[T any](key *seal.Key) (*blockReader[T], error) {
	c, err := codecOf[T]()
	r := &blockReader[T]{codec: c}
	if key != nil {
		r.seal = key.NewReader()
	}
	return r, err
}

// decode appends the rows of one whole block to dst. The rows share nothing with block. A block that is encrypted is decrypted in its place: it cannot
// be decoded again.
func (r *blockReader[T]) decode(dst []T, block []byte) ([]T, error) {
	raw, err := r.open(block)
	if err != nil {
		return dst, err
	}
	had := len(dst)
	dst, rest, err := r.codec.Decode(dst, raw)
	if err = r.decoded(block, len(dst)-had, len(rest), err); err != nil {
		return dst[:had], err
	}
	return dst, nil
}

// blockBytesReader is the part of a blockReader that does not know the rows' type.
type blockBytesReader struct {
	raw  []byte
	seal *seal.Reader // nil if blocks are not encrypted
}

// errNotSealed keeps whoever can write to the disk from handing rows of his own to an application that encrypts its blocks.
var errNotSealed = fmt.Errorf("%w: a block is not encrypted, and all are that this application writes", errCorrupt)

// errSealed is that blocks come from an application with spark.io.encryption.enabled.
var errSealed = fmt.Errorf("%w: a block is encrypted, and this application has no key", errCorrupt)

// open returns the encoded rows of a block, valid until the next call.
func (r *blockBytesReader) open(block []byte) ([]byte, error) {
	h := parseHeader(block)
	raw := block[blockHeader:]
	var err error
	switch sealed := h.method&methodSealed != 0; {
	case sealed && r.seal == nil:
		return nil, errSealed
	case !sealed && r.seal != nil:
		return nil, errNotSealed
	case sealed:
		if raw, err = r.seal.Open(raw, block[4:blockHeader]); err != nil {
			return nil, fmt.Errorf("%w: %w", errCorrupt, err)
		}
	}
	if h.method&methodFrame != 0 {
		var rest []byte
		raw, rest, err = codec.Compressor{}.Decode(r.raw[:0], raw)
		if err != nil {
			return nil, fmt.Errorf("%w: decompress block: %w", errCorrupt, err)
		}
		if len(rest) != 0 {
			return nil, fmt.Errorf("%w: decompress block: %d bytes left", errCorrupt, len(rest))
		}
		if cap(raw) <= 4*blockBytes {
			r.raw = raw
		}
	}
	if len(raw) != h.raw {
		return nil, fmt.Errorf("%w: a block of %d bytes has %d", errCorrupt, h.raw, len(raw))
	}
	return raw, nil
}

// decoded checks what decoding the bytes of open gave: rows, and bytes left.
func (r *blockBytesReader) decoded(block []byte, rows, left int, err error) error {
	if err != nil {
		return fmt.Errorf("%w: decode block: %w", errCorrupt, err)
	}
	if h := parseHeader(block); rows != h.rows || left != 0 {
		return fmt.Errorf("%w: a block of %d rows has %d and %d bytes left", errCorrupt, h.rows, rows, left)
	}
	return nil
}

// verify holds a whole block against its checksum.
func verify(block []byte) error {
	if got, want := crc32.Checksum(block[4:], castagnoli), binary.LittleEndian.Uint32(block); got != want {
		return fmt.Errorf("%w: checksum of a block is %08x, not %08x", errCorrupt, got, want)
	}
	return nil
}

package textio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/spark-go/spark-go/io/filesys"
)

// body is the decompressed content of a split, and of what follows it.
//
// A line belongs to the split in which the byte before it lies; the file's first line belongs to the first split. So readers of a split that does not begin its file
// drop everything to the end of the first line that they see. In a file without compression they begin one byte before
// the split, and so get just those lines that begin in it. In a compressed file they begin with the first block or
// frame that begins in the split: the split's bytes are what those hold.
type body struct {
	io.ReadCloser
	uri   string
	file  io.Closer
	begin int64 // position of the first byte
	fixed int64 // lines that begin here or later belong to the next split, where that is known from the start
	least int64 // end is no less, because the file's first line begins behind a mark
	parts ranged
}

// ranged decompresses a range of a file.
type ranged interface {
	io.ReadCloser
	// end is how many of the bytes belong to the range: known at the latest when a byte more than those has been read, and math.MaxInt64 until then.
	end() int64
}

// openBody opens the file of a split.
func openBody(ctx context.Context, s Split) (*body, error) {
	f, err := s.Open(ctx)
	if err != nil {
		return nil, err
	}
	b := &body{uri: s.URI, file: f, fixed: math.MaxInt64}
	src := &checked{f, ctx}
	c := codecOf(s.URI)
	switch {
	case c == none:
		b.begin, b.fixed = max(0, s.Offset-1), s.Offset+s.Length
		b.ReadCloser = io.NopCloser(io.NewSectionReader(src, b.begin, f.Size()-b.begin))
	case f.Size() == 0:
		b.ReadCloser = io.NopCloser(bytes.NewReader(nil))
	case s.Offset == 0 && s.Length >= s.Size:
		b.ReadCloser, err = c.reader(io.NewSectionReader(src, 0, f.Size()))
	case c == bz2:
		b.parts = newBzip2Range(src, f.Size(), s.Offset, s.Offset+s.Length)
	case c == zst:
		b.parts, err = newZstdRange(src, f.Size(), s.Offset, s.Offset+s.Length)
	default:
		err = fmt.Errorf("a %s file cannot be read from byte %d on", c, s.Offset)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("read %s: %w", s.URI, explain(err, s.URI))
	}
	if b.parts != nil {
		b.ReadCloser = b.parts
	}
	return b, nil
}

// end is the position from which on lines belong to the next split, as far as it is known: before a line is given out, a byte of it must have been read.
func (b *body) end() int64 { return max(b.bound(), b.least) }

// bound is where the lines of the next split begin by the splits alone: readers of that split begin one byte before.
func (b *body) bound() int64 {
	if b.parts == nil {
		return b.fixed
	}
	if e := b.parts.end(); e != math.MaxInt64 {
		return e + 1
	}
	return math.MaxInt64
}

// fill reads into p until it is full. err is io.EOF at the end of the file, and not without reason: decompressors tell a file that is cut short
// by io.ErrUnexpectedEOF, which must not pass for the end as io.ReadFull would let it.
func (b *body) fill(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := b.Read(p[n:])
		n += m
		if err == io.EOF {
			return n, err
		}
		if err != nil {
			return n, fmt.Errorf("read %s: %w", b.uri, explain(err, b.uri))
		}
	}
	return n, nil
}

// Close releases the file.
func (b *body) Close() error {
	return errors.Join(b.ReadCloser.Close(), b.file.Close())
}

// cutFile divides a file into splits of about target bytes of it.
func cutFile(ctx context.Context, f filesys.Info, target int64) []Split {
	s := whole(f)
	if s.Size == 0 {
		return nil
	}
	switch codecOf(f.Path) {
	case none:
		return s.at(filesys.Cut(f.Size, target))
	case bz2:
		return s.at(filesys.Cut(f.Size, max(target, bzip2Least)))
	case zst:
		if f.Size > target+target/10 {
			return s.at(cutFrames(zstdFrames(ctx, s), f.Size, target))
		}
	}
	return []Split{s}
}

// at cuts a split of a whole file into those that begin at the offsets, of which the first is 0.
func (s Split) at(offsets []int64) []Split {
	splits := make([]Split, len(offsets))
	for i, from := range offsets {
		to := s.Size
		if i+1 < len(offsets) {
			to = offsets[i+1]
		}
		splits[i] = s
		splits[i].Offset, splits[i].Length = from, to-from
	}
	return splits
}

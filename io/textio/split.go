package textio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
)

// SplitReader reads the bytes of one split, decompressed, for formats that cut them into records themselves. It shows a window of unread
// bytes, which its user consumes from the front and asks to be lengthened when a record does not end in it. A split that does
// not begin its file begins with the first line that starts in it; a record belongs to the split in which its first byte lies, so
// the window reaches beyond the split's end for as long as its user asks. It is for one goroutine.
//
// A UTF-8 byte order mark at the start of the file is left out; one of UTF-16 is an error.
type SplitReader struct {
	split    Split
	body     *body
	buf      []byte
	from, to int   // of the unread bytes in buf
	pos      int64 // of buf[from] in the decompressed file
	end      int64 // records that start here or later belong to the next split
	err      error
}

// OpenSplit opens the file of a split. The reader must be closed.
func OpenSplit(ctx context.Context, s Split) (*SplitReader, error) {
	r, err := OpenUnaligned(ctx, s)
	if err == nil && s.Offset > 0 {
		if err = r.SkipLine(); err != nil {
			_ = r.Close()
			return nil, err
		}
	}
	return r, err
}

// OpenUnaligned is OpenSplit for records that may span lines. In a split that does not begin its file, the window begins one byte before the place from which on lines would belong to the split;
// its user must find the first record that begins behind that byte, and consume what is before it.
func OpenUnaligned(ctx context.Context, s Split) (*SplitReader, error) {
	in, err := openBody(ctx, s)
	if err != nil {
		return nil, err
	}
	r := &SplitReader{split: s, body: in, pos: in.begin, end: in.end()}
	r.buf = *buffers.Get().(*[]byte)
	if s.Offset == 0 {
		if err := r.skipMark(); err != nil {
			_ = r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close releases the file. It may be called more than once, and of nil.
func (r *SplitReader) Close() error {
	if r == nil || r.body == nil {
		return nil
	}
	err := r.body.Close()
	if len(r.buf) == blockSize { // not one that grew
		buf := r.buf
		buffers.Put(&buf)
	}
	r.body, r.buf, r.from, r.to, r.err = nil, nil, 0, 0, io.EOF
	return err
}

// Window returns the unread bytes at hand. They are good until the next call of More.
func (r *SplitReader) Window() []byte { return r.buf[r.from:r.to] }

// Consume moves the window's start on by n bytes.
func (r *SplitReader) Consume(n int) {
	r.from += n
	r.pos += int64(n)
}

// Offset is where in the decompressed file the window begins. In a split that does not begin its compressed file it counts from the first
// block or frame that begins in the split, because nothing tells how much those before it hold.
func (r *SplitReader) Offset() int64 { return r.pos }

// Done tells that the window begins at or after the split's end: what starts there belongs to the next split.
func (r *SplitReader) Done() bool { return r.pos >= r.end }

// Past is by how many bytes the window begins behind the place at which readers of the next split begin; 0 if it does not.
func (r *SplitReader) Past() int64 { return max(0, r.pos-(r.body.bound()-1)) }

// Skip drops the lines that begin in the first n bytes that the reader saw: those that Past counts in the split before.
func (r *SplitReader) Skip(n int64) error {
	for r.pos < r.body.begin+n {
		if _, err := r.Line(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// AtEnd tells that the file ends with the window.
func (r *SplitReader) AtEnd() bool { return r.err == io.EOF }

// More lengthens the window, or returns io.EOF if the file ends with it. A window of more than 1 GiB is refused.
func (r *SplitReader) More() error {
	if r.err != nil {
		return r.err
	}
	r.to = copy(r.buf, r.buf[r.from:r.to])
	r.from = 0
	if r.to == len(r.buf) {
		if r.to >= maxLine {
			r.err = fmt.Errorf("read %s: the record at byte %d is longer than %d bytes: is a quote left open, or is this no text file?", r.split.URI, r.pos, maxLine)
			return r.err
		}
		grown := make([]byte, 2*len(r.buf))
		copy(grown, r.buf)
		r.buf = grown
	}
	had := r.to
	n, err := r.body.fill(r.buf[r.to:])
	r.to += n
	r.err, r.end = err, r.body.end()
	if err != nil && err != io.EOF {
		return err
	}
	if r.to == had {
		return r.err
	}
	return nil
}

// Line returns the next line, without its end, as part of the window, and consumes it; io.EOF at the end of the split.
func (r *SplitReader) Line() ([]byte, error) {
	if r.Done() {
		return nil, io.EOF
	}
	seen := 0
	for {
		w := r.Window()
		if i := bytes.IndexByte(w[seen:], '\n'); i >= 0 {
			n := seen + i
			r.Consume(n + 1)
			return bytes.TrimSuffix(w[:n], []byte{'\r'}), nil
		}
		seen = len(w)
		if err := r.More(); err == io.EOF {
			if w = r.Window(); len(w) == 0 {
				return nil, io.EOF
			}
			r.Consume(len(w))
			return bytes.TrimSuffix(w, []byte{'\r'}), nil
		} else if err != nil {
			return nil, err
		}
	}
}

// SkipLine drops the rest of the line that began in the split before: what OpenUnaligned leaves of OpenSplit, but for files' beginnings.
func (r *SplitReader) SkipLine() error {
	for {
		w := r.Window()
		if i := bytes.IndexByte(w, '\n'); i >= 0 {
			r.Consume(i + 1)
			return nil
		}
		r.Consume(len(w))
		if r.Done() {
			return nil
		}
		if err := r.More(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (r *SplitReader) skipMark() error {
	if err := r.More(); err != nil && err != io.EOF {
		return err
	}
	w := r.Window()
	if bytes.HasPrefix(w, []byte("\xef\xbb\xbf")) {
		r.Consume(3)
		r.body.least = 4 // the first line began before the mark
		r.end = r.body.end()
	} else if bytes.HasPrefix(w, []byte("\xff\xfe")) || bytes.HasPrefix(w, []byte("\xfe\xff")) {
		return fmt.Errorf("read %s: the file is UTF-16: convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8", r.split.URI)
	}
	return nil
}

// mostCounted bounds what is read again to give a line its number.
const mostCounted = 1 << 30

// LineAt returns the number, from 1, of the line of the split's file that holds the byte at offset, as [SplitReader.Offset] counts. It reads the file up to
// there; 0 means that this is more than 1 GiB, or that it cannot be read.
func LineAt(ctx context.Context, s Split, offset int64) int64 {
	before := s
	before.Offset, before.Length = 0, s.Size
	if s.part() > 0 {
		before.Length = s.Offset
	}
	in, err := openBody(ctx, before)
	if err != nil {
		return 0
	}
	defer func() { _ = in.Close() }() // what was read was read
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	line, limit := int64(1), offset
	if s.part() > 0 {
		limit = math.MaxInt64 // until it is known where the split begins
	}
	for pos := int64(0); pos < limit; {
		n, err := in.Read(*buf)
		if s.part() > 0 && in.end() != math.MaxInt64 {
			limit = in.end() - 1 + offset
		}
		counted := min(int64(n), limit-pos)
		line += int64(bytes.Count((*buf)[:counted], []byte{'\n'}))
		pos += counted
		if pos < limit && (err != nil || pos > mostCounted) {
			return 0
		}
	}
	return line
}

// part is where a split that does not begin its compressed file begins in it; else 0.
func (s Split) part() int64 {
	if codecOf(s.URI) == none {
		return 0
	}
	return s.Offset
}

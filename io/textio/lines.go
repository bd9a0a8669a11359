package textio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
)

const (
	blockSize = 256 << 10
	// BatchRows is the most lines that LineReader.Next returns at once.
	BatchRows = 2048
	// maxLine bounds a line, so that a binary file read by mistake is an
	// error and not the end of the process.
	maxLine = 1 << 30
)

var buffers = sync.Pool{New: func() any { b := make([]byte, blockSize); return &b }}

// LineReader reads the lines of one split. It is for one goroutine.
type LineReader struct {
	split Split
	body  *body

	block string // the lines still to be given out, each with its end
	pos   int64  // offset in the decompressed file of block's first byte
	end   int64  // lines that start here or later belong to the next split
	buf   []byte
	kept  int // bytes at the start of buf that begin an unfinished line
	lines []string
	err   error
}

// NewLineReader opens the file of a split. The reader must be closed.
func NewLineReader(ctx context.Context, s Split) (*LineReader, error) {
	in, err := openBody(ctx, s)
	if err != nil {
		return nil, err
	}
	r := &LineReader{split: s, body: in, pos: in.begin, end: in.end()}
	r.buf = *buffers.Get().(*[]byte)
	r.lines = make([]string, 0, BatchRows)
	if s.Offset > 0 {
		if err := r.skipLine(); err != nil {
			_ = r.Close()
			return nil, err
		}
	}
	return r, nil
}

// Close releases the file. It may be called more than once.
func (r *LineReader) Close() error {
	if r.body == nil {
		return nil
	}
	err := r.body.Close()
	if len(r.buf) == blockSize { // not one that grew for a long line
		buf := r.buf
		buffers.Put(&buf)
	}
	r.body, r.block, r.err = nil, "", io.EOF
	r.buf = nil
	return err
}

// Next returns the next lines, at least one and at most BatchRows, or
// io.EOF. The slice is good until the next call, the strings for ever.
func (r *LineReader) Next() ([]string, error) {
	lines := r.lines[:0]
	for len(lines) == 0 {
		for r.block == "" {
			if r.err != nil {
				return nil, r.err
			}
			if r.pos >= r.end {
				r.err = io.EOF
				return nil, r.err
			}
			r.fill()
		}
		lines = r.cut(lines)
	}
	r.lines = lines
	return lines, nil
}

// cut takes lines out of the block.
func (r *LineReader) cut(lines []string) []string {
	block := r.block
	limit := r.end - r.pos
	from := 0
	for from < len(block) && len(lines) < cap(lines) {
		if int64(from) >= limit {
			r.err = io.EOF // the rest belongs to the next split
			from = len(block)
			break
		}
		n := strings.IndexByte(block[from:], '\n')
		if n < 0 { // the last line of the file, without an end
			lines = append(lines, strings.TrimSuffix(block[from:], "\r"))
			from = len(block)
			break
		}
		line := block[from : from+n]
		if n > 0 && line[n-1] == '\r' {
			line = line[:n-1]
		}
		lines = append(lines, line)
		from += n + 1
	}
	r.block = block[from:]
	r.pos += int64(from)
	return lines
}

// fill reads a buffer full, or as much more as a whole line needs, and makes
// the complete lines the new block. At the end of the file what is left is a line.
func (r *LineReader) fill() {
	n := r.kept
	for {
		n = r.read(n)
		if r.err != nil && r.err != io.EOF {
			return
		}
		if r.err == io.EOF {
			r.block, r.kept = string(r.buf[:n]), 0
			return
		}
		if last := bytes.LastIndexByte(r.buf[r.kept:n], '\n'); last >= 0 {
			last += r.kept + 1
			r.block = string(r.buf[:last])
			r.kept = copy(r.buf, r.buf[last:n])
			return
		}
		if n >= maxLine {
			r.err = fmt.Errorf("read %s: the line at byte %d is longer than %d bytes: is this a text file?", r.split.URI, r.pos, maxLine)
			return
		}
		r.kept = n // so far without a line end
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
}

// read fills the buffer from n on and returns where the data ends; r.err says why it is not full.
func (r *LineReader) read(n int) int {
	m, err := r.body.fill(r.buf[n:])
	r.err, r.end = err, r.body.end()
	return n + m
}

// skipLine drops the rest of the line that began in the split before.
func (r *LineReader) skipLine() error {
	for r.pos < r.end && r.err == nil {
		n := r.read(0)
		i := bytes.IndexByte(r.buf[:n], '\n')
		if i < 0 {
			r.pos += int64(n)
			continue
		}
		r.pos += int64(i) + 1
		r.kept = copy(r.buf, r.buf[i+1:n])
		if r.err == io.EOF { // the file ended within this buffer
			r.block, r.kept = string(r.buf[:r.kept]), 0
		}
		break
	}
	if r.err != nil && r.err != io.EOF {
		return r.err
	}
	return nil
}

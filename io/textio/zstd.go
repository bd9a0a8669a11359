package textio

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"
)

// A zstd file is a row of frames, each of which decodes by itself; frames of some magic numbers hold no data and are skipped. Nothing in the middle of a file tells where a frame
// begins, so a file can be cut where it says so itself:
//
//   - in the seekable format of the zstd project (contrib/seekable_format), by a table of the frames' sizes in a skipped frame at the end;
//   - as pzstd writes, by a skipped frame before each frame that holds its size.
//
// The table is not believed: the range before one that begins at a frame makes sure that a frame begins there.
const (
	zstdMagic     = 0xFD2FB528
	skipMagic     = 0x184D2A50 // to 0x184D2A5F
	tableMagic    = 0x184D2A5E
	seekableMagic = 0x8F92EAB1
	tableFooter   = 9
	skipHeader    = 8
	// mostFrames bounds the frames of a file of pzstd, because finding each takes a read.
	mostFrames = 1 << 12
)

// zstdFrames returns where the frames of a file begin, or only 0 where that is not known.
func zstdFrames(ctx context.Context, s Split) []int64 {
	whole := []int64{0}
	f, err := s.Open(ctx)
	if err != nil {
		return whole // who reads it will say so
	}
	defer f.Close()
	src := &checked{f, ctx}
	if frames := seekTable(src, s.Size); frames != nil {
		return frames
	}
	if frames := skippedSizes(src, s.Size); frames != nil {
		return frames
	}
	return whole
}

// seekTable reads the table of the seekable format; nil if there is none that fits the file.
func seekTable(src io.ReaderAt, size int64) []int64 {
	footer := make([]byte, tableFooter)
	if size < skipHeader+tableFooter {
		return nil
	}
	if _, err := src.ReadAt(footer, size-tableFooter); err != nil && err != io.EOF || binary.LittleEndian.Uint32(footer[5:]) != seekableMagic {
		return nil
	}
	n, flags := int64(binary.LittleEndian.Uint32(footer)), footer[4]
	entry := int64(8)
	if flags&0x80 != 0 { // with checksums
		entry = 12
	}
	length := n*entry + tableFooter
	begin := size - length - skipHeader
	if flags&0x7c != 0 || n == 0 || begin < 0 {
		return nil
	}
	table := make([]byte, length+skipHeader)
	if _, err := src.ReadAt(table, begin); err != nil && err != io.EOF {
		return nil
	}
	if binary.LittleEndian.Uint32(table) != tableMagic || int64(binary.LittleEndian.Uint32(table[4:])) != length {
		return nil
	}
	frames := make([]int64, n)
	at := int64(0)
	for i := range frames {
		frames[i] = at
		at += int64(binary.LittleEndian.Uint32(table[skipHeader+int64(i)*entry:]))
	}
	if at != begin {
		return nil
	}
	return frames
}

// skippedSizes follows the sizes that pzstd writes; nil if there are none, or they do not lead to the file's end.
func skippedSizes(src io.ReaderAt, size int64) []int64 {
	var frames []int64
	var head [12]byte
	for at := int64(0); at != size; {
		if len(frames) == mostFrames || at > size-int64(len(head)) {
			return nil
		}
		if _, err := src.ReadAt(head[:], at); err != nil && err != io.EOF {
			return nil
		}
		if binary.LittleEndian.Uint32(head[:]) != skipMagic || binary.LittleEndian.Uint32(head[4:]) != 4 {
			return nil
		}
		frames = append(frames, at)
		at += int64(len(head)) + int64(binary.LittleEndian.Uint32(head[8:]))
	}
	return frames
}

// cutFrames chooses among the frames those that begin a split of about target bytes.
func cutFrames(frames []int64, size, target int64) []int64 {
	offsets := frames[:1:1]
	for _, at := range frames[1:] {
		if at-offsets[len(offsets)-1] >= target && size-at > target/10 {
			offsets = append(offsets, at)
		}
	}
	return offsets
}

// zstdRange decompresses the frames that begin in a byte range of a file, and then, for the line that goes on there, those that follow.
type zstdRange struct {
	src      *bufio.Reader
	at       int64 // of the file, where src goes on
	size     int64
	to       int64
	decoder  *zstd.Decoder
	frame    *zstdFrame // being decoded, or nil
	read     int64      // decompressed bytes so far
	boundary int64
}

func newZstdRange(src io.ReaderAt, size, from, to int64) (*zstdRange, error) {
	d, err := zstd.NewReader(nil, zstdOptions...)
	if err != nil {
		return nil, err
	}
	return &zstdRange{
		src: bufio.NewReaderSize(io.NewSectionReader(src, from, size-from), blockSize), at: from, size: size, to: to, decoder: d, boundary: math.MaxInt64,
	}, nil
}

// Close implements io.Closer.
func (r *zstdRange) Close() error {
	r.decoder.Close()
	return nil
}

// end implements ranged.
func (r *zstdRange) end() int64 { return r.boundary }

// Read implements io.Reader.
func (r *zstdRange) Read(p []byte) (int, error) {
	for {
		if r.frame == nil {
			if err := r.next(); err != nil {
				return 0, err
			}
		}
		n, err := r.decoder.Read(p)
		r.read += int64(n)
		if err == io.EOF {
			if !r.frame.ended() {
				return n, io.ErrUnexpectedEOF
			}
			r.frame, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next begins the next frame that holds data.
func (r *zstdRange) next() error {
	for {
		if r.at >= r.to && r.boundary == math.MaxInt64 {
			if r.at > r.to {
				return fmt.Errorf("zstd: no frame begins at byte %d as the file's own table says", r.to)
			}
			r.boundary = r.read
		}
		if r.at == r.size {
			return io.EOF
		}
		head, err := r.src.Peek(skipHeader)
		if len(head) < 4 || err != nil && err != io.EOF {
			return short(err)
		}
		magic := binary.LittleEndian.Uint32(head)
		switch {
		case magic == zstdMagic:
			r.frame = &zstdFrame{r: r}
			return r.decoder.Reset(r.frame)
		case magic&^0xf != skipMagic:
			return fmt.Errorf("zstd: no frame begins at byte %d", r.at)
		case len(head) < skipHeader:
			return io.ErrUnexpectedEOF
		}
		if err := r.discard(skipHeader + int64(binary.LittleEndian.Uint32(head[4:]))); err != nil {
			return err
		}
	}
}

func (r *zstdRange) discard(n int64) error {
	for n > 0 {
		m, err := r.src.Discard(int(min(n, 1<<30)))
		r.at += int64(m)
		n -= int64(m)
		if err != nil {
			return short(err)
		}
	}
	return nil
}

// short is the error for a file that ends too early.
func short(err error) error {
	if err == nil || err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// zstdFrame reads the bytes of one frame and finds its end, which takes no decoding: blocks say how long they are.
type zstdFrame struct {
	r     *zstdRange
	begun bool
	last  bool  // the last block is being read, or was
	sum   int64 // bytes after the last block: the checksum
	left  int64 // of the header, block or checksum at hand
}

func (f *zstdFrame) ended() bool { return f.begun && f.last && f.left == 0 && f.sum == 0 }

// Read implements io.Reader.
func (f *zstdFrame) Read(p []byte) (int, error) {
	for f.left == 0 {
		if f.ended() {
			return 0, io.EOF
		}
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.src.Read(p[:min(int64(len(p)), f.left)])
	f.r.at += int64(n)
	f.left -= int64(n)
	if n == 0 && err != nil {
		return 0, short(err)
	}
	return n, nil
}

// next finds how long the next part of the frame is.
func (f *zstdFrame) next() error {
	if !f.begun {
		head, err := f.r.src.Peek(5)
		if err != nil {
			return short(err)
		}
		flags := head[4]
		single := flags>>5&1 == 1
		f.left = 5 + []int64{0, 1, 2, 4}[flags&3] + []int64{0, 2, 4, 8}[flags>>6]
		switch {
		case !single:
			f.left++ // the window
		case flags>>6 == 0:
			f.left++ // the content's size
		}
		if flags>>2&1 == 1 {
			f.sum = 4
		}
		f.begun = true
		return nil
	}
	if f.last {
		f.left, f.sum = f.sum, 0
		return nil
	}
	head, err := f.r.src.Peek(3)
	if err != nil {
		return short(err)
	}
	block := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
	f.last = block&1 == 1
	f.left = 3 + block>>3
	if block>>1&3 == 1 { // one byte, repeated
		f.left = 4
	}
	return nil
}

// seekable writes the seekable format: frames of a few MiB, and their table at the end. A file of one frame has no table.
type seekable struct {
	w       io.Writer
	encoder *zstd.Encoder
	table   []byte
	written int64 // bytes of the frame so far
	taken   int64 // the same before compression
	open    bool
}

// frameBytes is what a frame holds: enough for compression to lose nothing, few enough that files of some ten MiB make several tasks.
const frameBytes = 8 << 20

func newSeekable(w io.Writer) (*seekable, error) {
	s := &seekable{w: w}
	var err error
	s.encoder, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	return s, err
}

// Write implements io.Writer.
func (s *seekable) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		if !s.open {
			s.encoder.Reset(&countedWriter{s.w, &s.written})
			s.open = true
		}
		n, err := s.encoder.Write(p[done:min(int64(len(p)), int64(done)+frameBytes-s.taken)])
		done += n
		s.taken += int64(n)
		if err == nil && s.taken == frameBytes {
			err = s.flush()
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// flush ends the frame.
func (s *seekable) flush() error {
	if !s.open {
		return nil
	}
	s.open = false
	if err := s.encoder.Close(); err != nil {
		return err
	}
	s.table = binary.LittleEndian.AppendUint32(s.table, uint32(s.written))
	s.table = binary.LittleEndian.AppendUint32(s.table, uint32(s.taken))
	s.written, s.taken = 0, 0
	return nil
}

// Close ends the file.
func (s *seekable) Close() error {
	if len(s.table) == 0 && !s.open { // an empty file is an empty frame
		s.encoder.Reset(s.w)
		return s.encoder.Close()
	}
	if err := s.flush(); err != nil {
		return err
	}
	n := len(s.table) / 8
	if n == 1 {
		return nil
	}
	tail := binary.LittleEndian.AppendUint32(nil, tableMagic)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(len(s.table)+tableFooter))
	tail = append(tail, s.table...)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(n))
	tail = append(tail, 0)
	tail = binary.LittleEndian.AppendUint32(tail, seekableMagic)
	_, err := s.w.Write(tail)
	return err
}

// countedWriter adds up what is written.
type countedWriter struct {
	w io.Writer
	n *int64
}

// Write implements io.Writer.
func (c *countedWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}

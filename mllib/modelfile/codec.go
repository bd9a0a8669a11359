package modelfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// bufferSize is how many bytes of an array are converted at once.
const bufferSize = 64 << 10

// Write writes the file's bytes. The same content gives the same bytes.
func (f *File) Write(w io.Writer) error {
	sum := sha256.New()
	if err := f.body(io.MultiWriter(w, sum)); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	if _, err := w.Write(sum.Sum(nil)); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	return nil
}

// body writes everything before the checksum.
func (f *File) body(w io.Writer) error {
	if f.err != nil {
		return f.err
	}
	head, arrays, err := f.encodeHeader()
	if err != nil {
		return err
	}
	size := int64(prefixSize + len(head) + sha256.Size)
	for _, a := range arrays {
		size += a.size() + padding(a.size())
	}
	prefix := append(make([]byte, 0, prefixSize), magic...)
	prefix = binary.LittleEndian.AppendUint32(prefix, Format)
	prefix = binary.LittleEndian.AppendUint32(prefix, uint32(len(head)))
	prefix = binary.LittleEndian.AppendUint64(prefix, uint64(size))
	b := bufio.NewWriterSize(w, bufferSize)
	_, _ = b.Write(prefix) // Flush tells
	_, _ = b.Write(head)
	buf := make([]byte, bufferSize)
	for _, a := range arrays {
		if err := a.write(b, buf); err != nil {
			return err
		}
		_, _ = b.Write(make([]byte, padding(a.size())))
	}
	return b.Flush()
}

// Read reads a file of the given size; see [Load].
func Read(in io.ReaderAt, size int64, kind string, newest int) (*File, error) {
	var prefix [prefixSize]byte
	if n, err := in.ReadAt(prefix[:], 0); n < prefixSize && size >= prefixSize {
		return nil, err
	}
	if !bytes.HasPrefix(prefix[:min(size, prefixSize)], []byte(magic)) {
		return nil, errors.New("it is not a model: such files begin with sgmodel")
	}
	format := binary.LittleEndian.Uint32(prefix[8:])
	headSize := int64(binary.LittleEndian.Uint32(prefix[12:]))
	if length := binary.LittleEndian.Uint64(prefix[16:]); size < prefixSize+sha256.Size || format == Format && length != uint64(size) {
		return nil, fmt.Errorf("it is cut short or damaged: it has %d bytes and should have %d: copy it again or train it again", size, length)
	}
	sum := &hashingReader{in: bufio.NewReaderSize(io.NewSectionReader(in, 0, size-sha256.Size), bufferSize), hash: sha256.New()}
	f, err := decode(sum, format, headSize, size, kind, newest)
	// The checksum comes before any other complaint: what a damaged file says about itself means nothing.
	if cerr := sum.check(in, size); cerr != nil {
		return nil, cerr
	}
	return f, err
}

// hashingReader hashes what is read through it.
type hashingReader struct {
	in   io.Reader
	hash hash.Hash
}

func (h *hashingReader) Read(b []byte) (int, error) {
	n, err := h.in.Read(b)
	h.hash.Write(b[:n])
	return n, err
}

// check reads the rest and compares the checksum.
func (h *hashingReader) check(in io.ReaderAt, size int64) error {
	if _, err := io.Copy(io.Discard, h); err != nil {
		return err
	}
	var stored [sha256.Size]byte
	if n, err := in.ReadAt(stored[:], size-sha256.Size); n < len(stored) {
		return err
	}
	if !bytes.Equal(h.hash.Sum(nil), stored[:]) {
		return errors.New("its checksum does not match: it is damaged: copy it again or train it again")
	}
	return nil
}

// decode reads everything before the checksum.
func decode(r io.Reader, format uint32, headSize, size int64, kind string, newest int) (*File, error) {
	if format != Format {
		return nil, fmt.Errorf("its format has version %d, this program reads version %d: use a newer release", format, Format)
	}
	left := size - prefixSize - sha256.Size
	if headSize > left || headSize > mostHeader || padding(headSize) != 0 {
		return nil, fmt.Errorf("its header claims %d bytes of %d", headSize, left)
	}
	if _, err := io.CopyN(io.Discard, r, prefixSize); err != nil {
		return nil, err
	}
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	left -= headSize
	var h header
	if err := json.Unmarshal(head, &h); err != nil {
		return nil, fmt.Errorf("its header: %w", err)
	}
	if h.Kind == "" || h.Version < 1 {
		return nil, fmt.Errorf("its header names kind %q, version %d", h.Kind, h.Version)
	}
	f := New(h.Kind, h.Version)
	f.engine = h.Engine
	if kind != "" {
		if err := f.Check(kind, newest); err != nil {
			return nil, err
		}
	}
	if h.Values != nil {
		f.values = h.Values
	}
	if err := f.readArrays(r, h.Arrays, left); err != nil {
		return nil, err
	}
	return f, nil
}

// readArrays reads the arrays, which must take exactly left bytes.
func (f *File) readArrays(r io.Reader, infos []arrayInfo, left int64) error {
	buf := make([]byte, bufferSize)
	for _, info := range infos {
		reader := readers[info.Type]
		if reader == nil {
			return fmt.Errorf("its array %q holds %s, which this program does not know", info.Name, info.Type)
		}
		if info.Bytes < 0 || info.Bytes > left-padding(info.Bytes) {
			return fmt.Errorf("its array %q claims %d bytes of %d", info.Name, info.Bytes, left)
		}
		if f.arrays[info.Name] != nil {
			return fmt.Errorf("it has two arrays %q", info.Name)
		}
		a, err := reader(r, info.Count, info.Bytes, buf)
		if err != nil {
			return fmt.Errorf("its array %q: %w", info.Name, err)
		}
		if _, err := io.CopyN(io.Discard, r, padding(info.Bytes)); err != nil {
			return err
		}
		f.arrays[info.Name] = a
		left -= info.Bytes + padding(info.Bytes)
	}
	if left != 0 {
		return fmt.Errorf("%d bytes follow its arrays", left)
	}
	return nil
}

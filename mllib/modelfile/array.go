package modelfile

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// Element is what arrays consist of.
type Element interface {
	float64 | float32 | int64 | int32 | uint8 | string
}

// SetArray puts an array into the file. It is not copied: it must not change until the file is written.
func SetArray[E Element](f *File, name string, values []E) {
	f.arrays[name] = elements[E](values)
	if name == "" || !utf8.ValidString(name) {
		f.fail(fmt.Errorf("model file: array name %q: use a text that is not empty", name))
	}
}

// GetArray returns an array. It is an error if the file has none of that name, or one of another type. The array belongs to the file: all
// callers get the same one.
func GetArray[E Element](f *File, name string) ([]E, error) {
	a, ok := f.arrays[name]
	if !ok {
		return nil, fmt.Errorf("model file of kind %s: there is no array %q: it has %s", f.kind, name, strings.Join(sortedNames(f.arrays), ", "))
	}
	values, ok := a.(elements[E])
	if !ok {
		return nil, fmt.Errorf("model file of kind %s: array %q holds %s, not %s", f.kind, name, a.typ(), typeName[E]())
	}
	return values, nil
}

// HasArray tells whether there is an array of that name.
func (f *File) HasArray(name string) bool { return f.arrays[name] != nil }

// array is an elements[E], whatever E is.
type array interface {
	typ() string
	len() int
	// size is the number of bytes in the file, without padding.
	size() int64
	write(w io.Writer, buf []byte) error
}

type elements[E Element] []E

func typeName[E Element]() string { return fmt.Sprintf("%T", *new(E)) }

// width is the bytes of an element, or of its length for texts.
func width[E Element]() int {
	switch any(*new(E)).(type) {
	case uint8:
		return 1
	case float32, int32, string:
		return 4
	}
	return 8
}

func (a elements[E]) typ() string { return typeName[E]() }
func (a elements[E]) len() int    { return len(a) }

func (a elements[E]) size() int64 {
	n := int64(len(a)) * int64(width[E]())
	if texts, ok := any([]E(a)).([]string); ok {
		for _, s := range texts {
			n += int64(len(s))
		}
	}
	return n
}

// write writes the elements through buf, which has a length of at least 8.
func (a elements[E]) write(w io.Writer, buf []byte) error {
	step := len(buf) / width[E]()
	for from := 0; from < len(a); from += step {
		part := a[from:min(from+step, len(a))]
		if err := put(buf, []E(part)); err != nil {
			return err
		}
		if _, err := w.Write(buf[:len(part)*width[E]()]); err != nil {
			return err
		}
	}
	if texts, ok := any([]E(a)).([]string); ok {
		for _, s := range texts {
			if _, err := io.WriteString(w, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func put[E Element](buf []byte, values []E) error {
	le := binary.LittleEndian
	switch v := any(values).(type) {
	case []float64:
		for i, x := range v {
			le.PutUint64(buf[8*i:], math.Float64bits(x))
		}
	case []int64:
		for i, x := range v {
			le.PutUint64(buf[8*i:], uint64(x))
		}
	case []float32:
		for i, x := range v {
			le.PutUint32(buf[4*i:], math.Float32bits(x))
		}
	case []int32:
		for i, x := range v {
			le.PutUint32(buf[4*i:], uint32(x))
		}
	case []uint8:
		copy(buf, v)
	case []string:
		for i, s := range v {
			if len(s) > math.MaxInt32 {
				return fmt.Errorf("a text of %d bytes: at most %d are possible", len(s), math.MaxInt32)
			}
			le.PutUint32(buf[4*i:], uint32(len(s)))
		}
	}
	return nil
}

// readers make an array from its bytes, by the name of its type.
var readers = map[string]func(r io.Reader, count, size int64, buf []byte) (array, error){
	typeName[float64](): read[float64],
	typeName[float32](): read[float32],
	typeName[int64]():   read[int64],
	typeName[int32]():   read[int32],
	typeName[uint8]():   read[uint8],
	typeName[string]():  read[string],
}

// read reads count elements that take size bytes. The caller has checked that r has size bytes.
func read[E Element](r io.Reader, count, size int64, buf []byte) (array, error) {
	w := int64(width[E]())
	_, isText := any(*new(E)).(string)
	if count < 0 || count > size/w || !isText && count*w != size {
		return nil, fmt.Errorf("it has %d elements of %s in %d bytes", count, typeName[E](), size)
	}
	values := make([]E, count)
	var lengths []int32
	if isText {
		lengths = make([]int32, count)
	}
	for from := int64(0); from < count; {
		n := min(int64(len(buf))/w, count-from)
		if _, err := io.ReadFull(r, buf[:n*w]); err != nil {
			return nil, err
		}
		if isText {
			take(lengths[from:from+n], buf)
		} else {
			take(values[from:from+n], buf)
		}
		from += n
	}
	if isText {
		texts, err := readTexts(r, lengths, size-count*w)
		return elements[string](texts), err
	}
	return elements[E](values), nil
}

// take decodes len(values) elements from buf.
func take[E Element](values []E, buf []byte) {
	le := binary.LittleEndian
	switch v := any(values).(type) {
	case []float64:
		for i := range v {
			v[i] = math.Float64frombits(le.Uint64(buf[8*i:]))
		}
	case []int64:
		for i := range v {
			v[i] = int64(le.Uint64(buf[8*i:]))
		}
	case []float32:
		for i := range v {
			v[i] = math.Float32frombits(le.Uint32(buf[4*i:]))
		}
	case []int32:
		for i := range v {
			v[i] = int32(le.Uint32(buf[4*i:]))
		}
	case []uint8:
		copy(v, buf)
	}
}

// readTexts reads texts of the given lengths, which together must be total. They share their memory.
func readTexts(r io.Reader, lengths []int32, total int64) ([]string, error) {
	sum := int64(0)
	for _, n := range lengths {
		if n < 0 {
			return nil, fmt.Errorf("a text has length %d", n)
		}
		sum += int64(n)
	}
	if sum != total {
		return nil, fmt.Errorf("its texts have %d bytes in %d", sum, total)
	}
	b := make([]byte, total)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	all := string(b)
	texts := make([]string, len(lengths))
	for i, n := range lengths {
		texts[i], all = all[:n], all[n:]
	}
	return texts, nil
}

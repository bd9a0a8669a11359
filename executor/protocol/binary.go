package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spark-go/spark-go/shuffle"
)

// errMalformed is wrapped by every error about a body that no sender of ours wrote.
var errMalformed = errors.New("malformed message")

// writer appends the fields of one message. Integers are varints, strings and bytes follow their length. Locations, which
// repeat from output to output, are written once and then by their number.
type writer struct {
	buf       []byte
	locations map[shuffle.Location]uint64
	last      shuffle.Location // the one written before, and its number
	lastIndex uint64
}

func (w *writer) uint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *writer) int(v int)     { w.buf = binary.AppendVarint(w.buf, int64(v)) }
func (w *writer) int64(v int64) { w.buf = binary.AppendVarint(w.buf, v) }
func (w *writer) string(s string) {
	w.uint(uint64(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *writer) bytes(b []byte) {
	w.uint(uint64(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *writer) bool(b bool) {
	if b {
		w.buf = append(w.buf, 1)
	} else {
		w.buf = append(w.buf, 0)
	}
}

// time writes nanoseconds since 1970; 0 stands for the zero time.
func (w *writer) time(t time.Time) {
	if t.IsZero() {
		w.int64(0)
		return
	}
	w.int64(t.UnixNano())
}

func (w *writer) strings(m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	w.uint(uint64(len(keys)))
	for _, k := range keys {
		w.string(k)
		w.string(m[k])
	}
}

func (w *writer) location(l shuffle.Location) {
	if w.lastIndex > 0 && l == w.last {
		w.uint(w.lastIndex)
		return
	}
	if i, ok := w.locations[l]; ok {
		w.uint(i)
		w.last, w.lastIndex = l, i
		return
	}
	if w.locations == nil {
		w.locations = map[shuffle.Location]uint64{}
	}
	w.last, w.lastIndex = l, uint64(len(w.locations)+1)
	w.locations[l] = w.lastIndex
	w.uint(0)
	w.string(l.Executor)
	w.string(l.Host)
	w.string(l.Addr)
	w.string(l.Dir)
}

func (w *writer) output(o *shuffle.Output) {
	w.int(o.Map)
	w.int64(o.Attempt)
	w.location(o.Location)
	w.int64(o.Rows)
	w.uint(uint64(len(o.Sizes)))
	for _, s := range o.Sizes {
		w.uint(uint64(s))
	}
	w.uint(uint64(len(o.Heavy)))
	for _, h := range o.Heavy {
		w.int(h.Partition)
		w.int64(h.Rows)
	}
}

func (w *writer) stage(k StageKey) {
	w.int(k.Stage)
	w.int(k.Attempt)
}

// reader takes the fields of one message off its body. After the first error it returns zero values; the error stays.
// Byte slices that it returns share the body.
type reader struct {
	buf       []byte
	err       error
	locations []shuffle.Location
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errMalformed, what)
	}
	r.buf = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail("a number is cut short or too large")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) int64() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail("a number is cut short or too large")
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) int() int {
	v := r.int64()
	if v < math.MinInt || v > math.MaxInt {
		r.fail("a number does not fit an int")
		return 0
	}
	return int(v)
}

func (r *reader) byte() byte {
	if len(r.buf) == 0 {
		r.fail("it ends too early")
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return b
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail("a truth value is neither 0 nor 1")
	}
	return b == 1
}

// count reads how many elements follow, each of at least size bytes; more than the body can hold are refused here, before
// anything is allocated for them.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.buf)/size) {
		r.fail("a list is longer than the message")
		return 0
	}
	return int(n)
}

func (r *reader) bytes() []byte {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes()) }

func (r *reader) time() time.Time {
	n := r.int64()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

func (r *reader) strings() map[string]string {
	n := r.count(2)
	if n == 0 {
		return nil
	}
	m := make(map[string]string, min(n, 1024))
	for range n {
		k := r.string()
		m[k] = r.string()
		if r.err != nil {
			return nil
		}
	}
	return m
}

func (r *reader) location() shuffle.Location {
	i := r.uint()
	if i > 0 {
		if i > uint64(len(r.locations)) {
			r.fail("a location refers to one that was not sent")
			return shuffle.Location{}
		}
		return r.locations[i-1]
	}
	l := shuffle.Location{Executor: r.string(), Host: r.string(), Addr: r.string(), Dir: r.string()}
	r.locations = append(r.locations, l)
	return l
}

func (r *reader) output() shuffle.Output {
	o := shuffle.Output{Map: r.int(), Attempt: r.int64(), Location: r.location(), Rows: r.int64()}
	if n := r.count(1); n > 0 {
		o.Sizes = make([]int64, n)
	}
	for i := range o.Sizes {
		o.Sizes[i] = int64(r.uint())
	}
	o.Heavy = list(r, 2, func(r *reader) shuffle.Heavy { return shuffle.Heavy{Partition: r.int(), Rows: r.int64()} })
	return o
}

func (r *reader) stage() StageKey { return StageKey{Stage: r.int(), Attempt: r.int()} }

// list reads n elements, growing with what is really there: what a frame claims costs no more memory than it carries.
func list[T any](r *reader, minSize int, read func(*reader) T) []T {
	n := r.count(minSize)
	if n == 0 {
		return nil
	}
	l := make([]T, 0, min(n, 1024))
	for range n {
		v := read(r)
		if r.err != nil {
			return nil
		}
		l = append(l, v)
	}
	return l
}

package codec

import (
	"bytes"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"unsafe"
)

// sliceHeader is how a slice lies in memory; its pointer field keeps the write barrier in stores through it.
type sliceHeader struct {
	p        unsafe.Pointer
	len, cap int
}

// emptyArray is what empty, non-nil slices point to.
var emptyArray [0]uint64

// newArray returns zeroed memory for n values of t, typed for the garbage collector.
func newArray(t reflect.Type, n int) unsafe.Pointer {
	return reflect.MakeSlice(reflect.SliceOf(t), n, n).UnsafePointer()
}

// sliceColumn holds slices: lengths (0 for nil), then the elements of all of them as one column.
type sliceColumn struct {
	elem *plan
}

func (c *sliceColumn) encode(e *encoder, dst []byte, v vec) ([]byte, error) {
	mark := len(e.runs)
	e.lens = e.lens[:0]
	var longest uint64
	total := 0
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			h := (*sliceHeader)(unsafe.Add(r.p, off))
			off += v.stride
			var l uint64
			if h.p != nil {
				l = uint64(h.len) + 1
				if h.len > 0 {
					e.runs = append(e.runs, run{h.p, h.len})
					total += h.len
				}
			}
			longest = max(longest, l)
			e.lens = append(e.lens, l)
		}
	}
	dst = appendLens(dst, e.lens, longest)
	if total == 0 {
		return dst, nil
	}
	if c.elem.minBits == 0 && total > maxEmpty {
		return nil, tooMany(c.elem, total)
	}
	dst, err := c.elem.encode(e, dst, vec{runs: e.runs[mark:], stride: c.elem.size, n: total})
	e.pop(mark)
	return dst, err
}

func (c *sliceColumn) decode(d *decoder, p unsafe.Pointer, stride uintptr, n int) error {
	l, err := d.lens(n)
	if err != nil {
		return err
	}
	total, err := l.elements(n, d.limit(c.elem))
	if err != nil {
		return err
	}
	var array unsafe.Pointer
	switch {
	case total == 0:
	case c.elem.packed:
		// The elements are on the wire as they lie in memory: one copy, without zeroing first. The array is typed as
		// bytes, which is right for pointer-free elements, and is as aligned as any allocation of its size.
		b, err := d.take(uint64(total) * uint64(c.elem.size))
		if err != nil {
			return err
		}
		array = unsafe.Pointer(unsafe.SliceData(append([]byte(nil), b...)))
	default:
		array = newArray(c.elem.typ, total)
		if err := c.elem.decode(d, array, c.elem.size, total); err != nil {
			return err
		}
	}
	var at uintptr
	off := uintptr(0)
	for i := range n {
		h := (*sliceHeader)(unsafe.Add(p, off))
		off += stride
		switch m := l.at(i); m {
		case 0:
			*h = sliceHeader{}
		case 1:
			*h = sliceHeader{p: unsafe.Pointer(&emptyArray)}
		default:
			k := int(m - 1)
			*h = sliceHeader{unsafe.Add(array, at), k, k}
			at += uintptr(k) * c.elem.size
		}
	}
	return nil
}

func (c *sliceColumn) heap(p unsafe.Pointer, visits *int) int64 {
	h := (*sliceHeader)(p)
	sum := int64(h.cap) * int64(c.elem.size)
	if c.elem.fixed || h.len == 0 {
		return sum
	}
	n := min(h.len, memSample)
	var sampled int64
	for i := range n {
		if *visits--; *visits < 0 {
			return sum
		}
		sampled += c.elem.col.heap(unsafe.Add(h.p, uintptr(i*h.len/n)*c.elem.size), visits)
	}
	return sum + int64(float64(sampled)*float64(h.len)/float64(n))
}

// pointerColumn holds pointers: a bit per value that is not nil, then the values pointed to.
type pointerColumn struct {
	elem *plan
}

func (c *pointerColumn) encode(e *encoder, dst []byte, v vec) ([]byte, error) {
	mark := len(e.runs)
	at := len(dst)
	dst = extend(dst, (v.n+7)/8)
	present := dst[at:]
	clear(present)
	i := 0
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			if q := *(*unsafe.Pointer)(unsafe.Add(r.p, off)); q != nil {
				present[i>>3] |= 1 << (i & 7)
				e.runs = append(e.runs, run{q, 1})
			}
			off += v.stride
			i++
		}
	}
	n := len(e.runs) - mark
	if n == 0 {
		return dst, nil
	}
	dst, err := c.elem.encode(e, dst, vec{runs: e.runs[mark:], stride: c.elem.size, n: n})
	e.pop(mark)
	return dst, err
}

func (c *pointerColumn) decode(d *decoder, p unsafe.Pointer, stride uintptr, n int) error {
	present, err := d.take((uint64(n) + 7) / 8)
	if err != nil {
		return err
	}
	if n&7 != 0 && present[len(present)-1]>>(n&7) != 0 {
		return corrupt("values past the end of a bitmap")
	}
	count := 0
	for _, b := range present {
		count += bits.OnesCount8(b)
	}
	if _, err := d.fits(uint64(count), c.elem); err != nil {
		return err
	}
	var array unsafe.Pointer
	if count > 0 {
		array = newArray(c.elem.typ, count)
		if err := c.elem.decode(d, array, c.elem.size, count); err != nil {
			return err
		}
	}
	var at, off uintptr
	for i := range n {
		var q unsafe.Pointer
		if present[i>>3]>>(i&7)&1 != 0 {
			q = unsafe.Add(array, at)
			at += c.elem.size
		}
		*(*unsafe.Pointer)(unsafe.Add(p, off)) = q
		off += stride
	}
	return nil
}

func (c *pointerColumn) heap(p unsafe.Pointer, visits *int) int64 {
	q := *(*unsafe.Pointer)(p)
	if q == nil {
		return 0
	}
	if *visits--; *visits < 0 {
		return 0
	}
	sum := int64(c.elem.size)
	if !c.elem.fixed {
		sum += c.elem.col.heap(q, visits)
	}
	return sum
}

// mapColumn holds maps: lengths (0 for nil), the keys of all maps as one column, then the values. The entries of one map
// are in the order of their keys, which is what makes equal maps equal bytes.
type mapColumn struct {
	typ       reflect.Type
	key, elem *plan
}

func (c *mapColumn) encode(e *encoder, dst []byte, v vec) ([]byte, error) {
	e.lens = e.lens[:0]
	var longest uint64
	total := 0
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			m := reflect.NewAt(c.typ, unsafe.Add(r.p, off)).Elem()
			off += v.stride
			var l uint64
			if !m.IsNil() {
				total += m.Len()
				l = uint64(m.Len()) + 1
			}
			longest = max(longest, l)
			e.lens = append(e.lens, l)
		}
	}
	dst = appendLens(dst, e.lens, longest)
	if total == 0 {
		return dst, nil
	}
	keys := reflect.MakeSlice(reflect.SliceOf(c.key.typ), total, total)
	elems := reflect.MakeSlice(reflect.SliceOf(c.elem.typ), total, total)
	kp, ep := keys.UnsafePointer(), elems.UnsafePointer()
	kruns, eruns := make([]run, total), make([]run, total)
	at := 0
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			m := reflect.NewAt(c.typ, unsafe.Add(r.p, off)).Elem()
			off += v.stride
			first := at
			for it := m.MapRange(); it.Next(); at++ {
				keys.Index(at).SetIterKey(it)
				elems.Index(at).SetIterValue(it)
			}
			order, err := c.sorted(e, kp, ep, first, at)
			if err != nil {
				return nil, err
			}
			for i, from := range order {
				kruns[first+i] = run{unsafe.Add(kp, uintptr(from)*c.key.size), 1}
				eruns[first+i] = run{unsafe.Add(ep, uintptr(from)*c.elem.size), 1}
			}
		}
	}
	dst, err := c.key.encode(e, dst, vec{runs: kruns, stride: c.key.size, n: total})
	if err != nil {
		return nil, err
	}
	return c.elem.encode(e, dst, vec{runs: eruns, stride: c.elem.size, n: total})
}

// sorted returns the positions first … end-1 of keys (at kp) in the order of their keys: texts and integers by value,
// anything else by its encoded bytes, and keys of equal bytes (several NaN) by the bytes of their values.
func (c *mapColumn) sorted(e *encoder, kp, ep unsafe.Pointer, first, end int) ([]int, error) {
	order := make([]int, end-first)
	for i := range order {
		order[i] = first + i
	}
	at := func(i int) unsafe.Pointer { return unsafe.Add(kp, uintptr(i)*c.key.size) }
	switch k := c.key.typ.Kind(); {
	case c.key.marshals():
	case k == reflect.String:
		slices.SortFunc(order, func(i, j int) int { return strings.Compare(*(*string)(at(i)), *(*string)(at(j))) })
		return order, nil
	case c.key.fixed && c.key.size == 8 && k >= reflect.Int && k <= reflect.Uint64:
		slices.SortFunc(order, func(i, j int) int { return cmpUint(*(*uint64)(at(i)), *(*uint64)(at(j))) })
		return order, nil
	case c.key.fixed && c.key.size == 4 && k >= reflect.Int && k <= reflect.Uint64:
		slices.SortFunc(order, func(i, j int) int {
			return cmpUint(uint64(*(*uint32)(at(i))), uint64(*(*uint32)(at(j))))
		})
		return order, nil
	}
	enc := make([][]byte, len(order))
	for i, j := range order {
		b, err := c.key.encode(e, nil, vec{runs: []run{{at(j), 1}}, stride: c.key.size, n: 1})
		if err != nil {
			return nil, err
		}
		if b, err = c.elem.encode(e, b, vec{runs: []run{{unsafe.Add(ep, uintptr(j)*c.elem.size), 1}}, stride: c.elem.size, n: 1}); err != nil {
			return nil, err
		}
		enc[i] = b // key, then value: the order of keys decides first
	}
	slices.SortFunc(order, func(i, j int) int { return bytes.Compare(enc[i-first], enc[j-first]) })
	return order, nil
}

func cmpUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (c *mapColumn) decode(d *decoder, p unsafe.Pointer, stride uintptr, n int) error {
	l, err := d.lens(n)
	if err != nil {
		return err
	}
	limit := uint64(maxEmpty)
	if b := c.key.minBits + c.elem.minBits; b > 0 {
		limit = uint64(len(d.buf)) * 8 / b
	}
	if c.key.minBits == 0 {
		// Keys without content are all equal: a map holds one at most, so n lengths hold n entries at most.
		limit = min(limit, uint64(n))
	}
	total, err := l.elements(n, limit)
	if err != nil {
		return err
	}
	var keys, elems reflect.Value
	if total > 0 {
		keys = reflect.MakeSlice(reflect.SliceOf(c.key.typ), total, total)
		if err := c.key.decode(d, keys.UnsafePointer(), c.key.size, total); err != nil {
			return err
		}
		if _, err := d.fits(uint64(total), c.elem); err != nil {
			return err
		}
		elems = reflect.MakeSlice(reflect.SliceOf(c.elem.typ), total, total)
		if err := c.elem.decode(d, elems.UnsafePointer(), c.elem.size, total); err != nil {
			return err
		}
	}
	at := 0
	off := uintptr(0)
	for i := range n {
		m := reflect.NewAt(c.typ, unsafe.Add(p, off)).Elem()
		off += stride
		k := l.at(i)
		if k == 0 {
			m.SetZero()
			continue
		}
		made := reflect.MakeMapWithSize(c.typ, int(k-1))
		for range k - 1 {
			key := keys.Index(at)
			if c.key.cyclic && !key.Comparable() {
				return corrupt("a map key that cannot be compared")
			}
			made.SetMapIndex(key, elems.Index(at))
			at++
		}
		if made.Len() != int(k-1) {
			return corrupt("a map key that is there twice")
		}
		m.Set(made)
	}
	return nil
}

// mapEntryBytes is what an entry of a Go map costs beside its key and value: control byte, load factor, groups.
const mapEntryBytes = 8

func (c *mapColumn) heap(p unsafe.Pointer, visits *int) int64 {
	m := reflect.NewAt(c.typ, p).Elem()
	if m.IsNil() {
		return 0
	}
	sum := int64(48) + int64(m.Len())*int64(c.key.size+c.elem.size+mapEntryBytes)
	if c.key.fixed && c.elem.fixed || m.Len() == 0 {
		return sum
	}
	var seen int
	var sampled int64
	key, elem := reflect.New(c.key.typ), reflect.New(c.elem.typ)
	for it := m.MapRange(); seen < memSample && it.Next(); seen++ {
		if *visits--; *visits < 0 {
			return sum
		}
		key.Elem().SetIterKey(it)
		elem.Elem().SetIterValue(it)
		if !c.key.fixed {
			sampled += c.key.col.heap(key.UnsafePointer(), visits)
		}
		if !c.elem.fixed {
			sampled += c.elem.col.heap(elem.UnsafePointer(), visits)
		}
	}
	return sum + int64(float64(sampled)*float64(m.Len())/float64(seen))
}

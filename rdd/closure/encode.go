package closure

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"
	"unsafe"
)

// Handles tells how values of one pointer type travel: as identifiers that the
// two processes agree upon, such as those of lineage nodes.
type Handles interface {
	EncodeHandle(v reflect.Value) (id uint64, err error)
	DecodeHandle(id uint64) (reflect.Value, error)
}

// Codec encodes and decodes values. The zero Codec has no handles. A Codec may
// be used by several goroutines if its Handles may.
type Codec struct {
	// Handles tells of some pointer types how their values travel, wherever they
	// are met; pointers of all other types are followed.
	Handles map[reflect.Type]Handles
}

// The first byte of a pointer, map, function or interface.
const (
	tagNil     = 0
	tagNew     = 1 // the content follows
	tagSeen    = 2 // the number of an earlier pointer, map or bound function follows
	tagHandle  = 3 // an identifier for Handles follows
	tagBound   = 4 // of a function: a binder follows
	tagUTC     = 5 // of a *time.Location
	tagLocal   = 6
	timeLength = 12
)

// identity names an object within one Encode: a struct and its first field
// share an address, so the type belongs to it.
type identity struct {
	p unsafe.Pointer
	t reflect.Type
}

type encoder struct {
	c     *Codec
	buf   []byte
	depth int
	// seen numbers the objects in the order in which they were completed, from 1;
	// 0 marks those that are being encoded.
	seen map[identity]int
	done int
}

// Encode appends v to dst: its concrete type, then its content. On an error it
// returns dst unchanged; the error names the path of the field at fault.
func (c *Codec) Encode(dst []byte, v any) ([]byte, error) {
	e := encoder{c: c, buf: dst}
	if err := e.value(v); err != nil {
		return dst, fmt.Errorf("encode %T: %w", v, err)
	}
	return e.buf, nil
}

// value writes an interface value.
func (e *encoder) value(v any) error {
	if v == nil {
		e.buf = append(e.buf, tagNil)
		return nil
	}
	t := reflect.TypeOf(v)
	p := planOf(t)
	ref, err := p.ref()
	if err != nil {
		return err
	}
	e.buf = append(append(e.buf, tagNew), ref...)
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Func || t.Kind() == reflect.Map {
		// These are pointer-shaped: the interface's data word is the value.
		return p.enc(e, unsafe.Pointer(&(*words)(unsafe.Pointer(&v)).data))
	}
	// reflect knows whether the interface holds the value or points to it.
	box := reflect.New(t)
	box.Elem().Set(reflect.ValueOf(v))
	return p.enc(e, box.UnsafePointer())
}

// raw appends size bytes of memory, which hold no pointers.
func (e *encoder) raw(p unsafe.Pointer, size int) {
	e.buf = append(e.buf, unsafe.Slice((*byte)(p), size)...)
}

func (e *encoder) elems(elem *plan, p unsafe.Pointer, n int, size uintptr) error {
	for i := range n {
		if err := elem.enc(e, unsafe.Add(p, uintptr(i)*size)); err != nil {
			return at(err, fmt.Sprintf("[%d]", i))
		}
	}
	return nil
}

func (e *encoder) down() error {
	if e.depth++; e.depth > maxDepth {
		return errDepth
	}
	return nil
}

// object writes the tag of an object that may be met again and says whether its
// content must follow; then close must follow that.
func (e *encoder) object(id identity, tag byte) (bool, error) {
	if n, ok := e.seen[id]; ok {
		if n == 0 {
			return false, errCycle
		}
		e.buf = binary.AppendUvarint(append(e.buf, tagSeen), uint64(n-1))
		return false, nil
	}
	if e.seen == nil {
		e.seen = map[identity]int{}
	}
	e.seen[id] = 0
	e.buf = append(e.buf, tag)
	return true, e.down()
}

func (e *encoder) close(id identity) {
	e.depth--
	e.done++
	e.seen[id] = e.done
}

func (b planner) slice(p *plan) {
	t := p.t
	elem, size := b.plan(t.Elem()), t.Elem().Size()
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		// All slices share one layout; the element type only scales it.
		s := *(*[]byte)(v)
		data, n := unsafe.Pointer(unsafe.SliceData(s)), len(s)
		if data == nil {
			e.buf = append(e.buf, 0)
			return nil
		}
		e.buf = binary.AppendUvarint(e.buf, uint64(n)+1)
		if elem.raw {
			e.buf = slices.Grow(e.buf, n*int(size))
			e.raw(data, n*int(size))
			return nil
		}
		if err := e.down(); err != nil {
			return err
		}
		err := e.elems(elem, data, n, size)
		e.depth--
		return err
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error { return d.slice(t, elem, v) }
}

func (b planner) pointer(p *plan) {
	t, elem := p.t, b.plan(p.t.Elem())
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		q := *(*unsafe.Pointer)(v)
		if q == nil {
			e.buf = append(e.buf, tagNil)
			return nil
		}
		if h := e.c.Handles[t]; h != nil {
			id, err := h.EncodeHandle(reflect.NewAt(t, v).Elem())
			if err != nil {
				return err
			}
			e.buf = binary.AppendUvarint(append(e.buf, tagHandle), id)
			return nil
		}
		if elem.refuse != "" {
			return refused(t, elem.refuse)
		}
		id := identity{q, t}
		if fresh, err := e.object(id, tagNew); !fresh || err != nil {
			return err
		}
		if err := elem.enc(e, q); err != nil {
			return err
		}
		e.close(id)
		return nil
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error { return d.pointer(t, elem, v) }
}

func (b planner) iface(p *plan) {
	t := p.t
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		x := reflect.NewAt(t, v).Elem()
		if x.IsNil() {
			e.buf = append(e.buf, tagNil)
			return nil
		}
		if err := e.down(); err != nil {
			return err
		}
		err := e.value(x.Elem().Interface())
		e.depth--
		return err
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error { return d.iface(t, v) }
}

// mapping writes the entries in the order of their keys' encodings, so that
// equal maps give equal bytes.
func (b planner) mapping(p *plan) {
	t := p.t
	key, value := b.plan(t.Key()), b.plan(t.Elem())
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		q := *(*unsafe.Pointer)(v)
		if q == nil {
			e.buf = append(e.buf, tagNil)
			return nil
		}
		id := identity{q, t}
		if fresh, err := e.object(id, tagNew); !fresh || err != nil {
			return err
		}
		if err := e.entries(reflect.NewAt(t, v).Elem(), key, value); err != nil {
			return err
		}
		e.close(id)
		return nil
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error { return d.mapping(t, key, value, v) }
}

func (e *encoder) entries(m reflect.Value, key, value *plan) error {
	n := m.Len()
	e.buf = binary.AppendUvarint(e.buf, uint64(n))
	// Each key is first encoded on its own, for the order; its bytes must not
	// depend on what else has been met.
	type entry struct {
		start, end, i int
		objects       bool // whether the key holds pointers or maps, whose numbers differ in place
	}
	var (
		alone = encoder{c: e.c, depth: e.depth}
		order = make([]entry, 0, n)
		keys  = reflect.MakeSlice(reflect.SliceOf(key.t), n, n)
		vals  = reflect.MakeSlice(reflect.SliceOf(value.t), n, n)
	)
	for it := m.MapRange(); it.Next() && len(order) < n; {
		i, start := len(order), len(alone.buf)
		k := keys.Index(i)
		k.SetIterKey(it)
		vals.Index(i).SetIterValue(it)
		clear(alone.seen)
		alone.done = 0
		if err := key.enc(&alone, k.Addr().UnsafePointer()); err != nil {
			return at(err, "[key]")
		}
		order = append(order, entry{start, len(alone.buf), i, alone.done > 0})
	}
	if len(order) != n {
		return errors.New("the map changed while it was encoded: encode it before it is handed to other goroutines")
	}
	bytesOf := func(x entry) []byte { return alone.buf[x.start:x.end] }
	slices.SortFunc(order, func(a, b entry) int { return bytes.Compare(bytesOf(a), bytesOf(b)) })
	for i := 1; i < n; i++ {
		if bytes.Equal(bytesOf(order[i-1]), bytesOf(order[i])) {
			return fmt.Errorf("its keys are not told apart by their content (equal %s): use keys that differ by value", key.t)
		}
	}
	for _, x := range order {
		if !x.objects {
			e.buf = append(e.buf, bytesOf(x)...)
		} else if err := key.enc(e, keys.Index(x.i).Addr().UnsafePointer()); err != nil {
			return at(err, "[key]")
		}
		if err := value.enc(e, vals.Index(x.i).Addr().UnsafePointer()); err != nil {
			return at(err, keySegment(keys.Index(x.i)))
		}
	}
	return nil
}

// keySegment names an entry in the path of an error.
func keySegment(k reflect.Value) string {
	switch {
	case k.Kind() == reflect.String:
		return fmt.Sprintf("[%.40s]", k.String())
	case k.CanInt():
		return fmt.Sprintf("[%d]", k.Int())
	case k.CanUint():
		return fmt.Sprintf("[%d]", k.Uint())
	}
	return "[" + k.Type().String() + "]"
}

// staticRefs holds the encoded references to functions, which are as many as
// the program has function values in its read-only data, per signature.
var staticRefs sync.Map // identity → []byte

func (b planner) function(p *plan) {
	t := p.t
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		fv := *(*unsafe.Pointer)(v)
		if fv == nil {
			e.buf = append(e.buf, tagNil)
			return nil
		}
		if ref, ok := staticRefs.Load(identity{fv, t}); ok {
			e.buf = append(append(e.buf, tagNew), ref.([]byte)...)
			return nil
		}
		im, err := loadImage()
		if err != nil {
			return err
		}
		if im.holds(fv) {
			ref := binary.AppendUvarint(nil, im.link(fv))
			ref = binary.LittleEndian.AppendUint64(ref, funcCheck(*(*uintptr)(fv), t.String()))
			staticRefs.Store(identity{fv, t}, ref)
			e.buf = append(append(e.buf, tagNew), ref...)
			return nil
		}
		bound := binderOf(fv)
		if bound == nil {
			return captureError(fv)
		}
		return e.bound(bound)
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error { return d.function(t, v) }
}

// bound writes a function made by Bind or Call.
func (e *encoder) bound(b binder) error {
	if err := b.check(); err != nil {
		return err
	}
	t := reflect.TypeOf(b)
	id := identity{(*words)(unsafe.Pointer(&b)).data, t}
	if fresh, err := e.object(id, tagBound); !fresh || err != nil {
		return err
	}
	ref, err := planOf(t).ref()
	if err != nil {
		return err
	}
	e.buf = append(e.buf, ref...)
	content := b.content()
	if err := planOf(reflect.TypeOf(content).Elem()).enc(e, (*words)(unsafe.Pointer(&content)).data); err != nil {
		if f := b.function(); f != nil {
			return fmt.Errorf("what is bound to function %s: %w", captureError(funcPointer(f)).Func, err)
		}
		return fmt.Errorf("the value given to Call: %w", err)
	}
	e.close(id)
	return nil
}

// encodeType writes a reflect.Type. Copying a descriptor would make another type.
func encodeType(e *encoder, v unsafe.Pointer) error {
	q := *(*unsafe.Pointer)(v)
	if q == nil {
		e.buf = append(e.buf, tagNil)
		return nil
	}
	ref, err := planOf(typeAt(q)).ref()
	e.buf = append(append(e.buf, tagNew), ref...)
	return err
}

// encodeTime writes seconds, nanoseconds and location. MarshalBinary would keep
// only the location's offset of that moment.
func encodeTime(e *encoder, v unsafe.Pointer) error {
	t := *(*time.Time)(v)
	e.buf = binary.LittleEndian.AppendUint64(e.buf, uint64(t.Unix()))
	e.buf = binary.LittleEndian.AppendUint32(e.buf, uint32(t.Nanosecond()))
	loc := t.Location()
	return planOf(reflect.TypeFor[*time.Location]()).enc(e, unsafe.Pointer(&loc))
}

// location treats UTC and Local, which are package variables, as such: Local is
// the time zone of the process that decodes it.
func (b planner) location(p *plan) {
	b.pointer(p)
	enc, dec := p.enc, p.dec
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		switch *(**time.Location)(v) {
		case time.UTC:
			e.buf = append(e.buf, tagUTC)
			return nil
		case time.Local:
			e.buf = append(e.buf, tagLocal)
			return nil
		}
		return enc(e, v)
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error {
		if len(d.b) > 0 && (d.b[0] == tagUTC || d.b[0] == tagLocal) {
			*(**time.Location)(v) = time.UTC
			if d.b[0] == tagLocal {
				*(**time.Location)(v) = time.Local
			}
			d.b = d.b[1:]
			return nil
		}
		return dec(d, v)
	}
}

func (b planner) binary(p *plan) {
	t := p.t
	p.enc = func(e *encoder, v unsafe.Pointer) (err error) {
		defer recovered(&err, t, "MarshalBinary")
		content, err := reflect.NewAt(t, v).Interface().(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return fmt.Errorf("(%s) MarshalBinary: %w", t, err)
		}
		e.buf = append(binary.AppendUvarint(e.buf, uint64(len(content))), content...)
		return nil
	}
	p.dec = func(d *decoder, v unsafe.Pointer) (err error) {
		content, err := d.bytes()
		if err != nil {
			return err
		}
		defer recovered(&err, t, "UnmarshalBinary")
		// A copy, because the receiver may keep what it is given.
		if err := reflect.NewAt(t, v).Interface().(encoding.BinaryUnmarshaler).UnmarshalBinary(bytes.Clone(content)); err != nil {
			return fmt.Errorf("(%s) UnmarshalBinary: %w", t, err)
		}
		return nil
	}
}

// recovered turns a panic in a user's method into an error.
func recovered(err *error, t reflect.Type, method string) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("(%s) %s panicked: %v", t, method, r)
	}
}

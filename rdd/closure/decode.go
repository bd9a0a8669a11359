package closure

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"
)

var errShort = errors.New("the input ends early")

type decoder struct {
	c     *Codec
	b     []byte
	depth int
	done  []object // by number, see encoder.seen
}

// object is a decoded pointer, map or bound function, of the type that its
// encoder numbered it under.
type object struct {
	p unsafe.Pointer
	t reflect.Type
}

// Decode reads one value that Encode wrote, and returns what follows it in b.
// It keeps no part of b. Input that Encode did not write gives an error.
func (c *Codec) Decode(b []byte) (v any, rest []byte, err error) {
	d := decoder{c: c, b: b}
	v, err = d.value()
	if err != nil {
		return nil, b, fmt.Errorf("decode a value: %w", err)
	}
	return v, d.b, nil
}

func (d *decoder) value() (any, error) {
	tag, err := d.tag()
	if err != nil || tag == tagNil {
		return nil, err
	}
	if tag != tagNew {
		return nil, errTag(tag)
	}
	p, err := d.typeRef()
	if err != nil {
		return nil, err
	}
	if p.t.Kind() == reflect.Interface {
		return nil, fmt.Errorf("no value has the interface type %s", p.t)
	}
	if p.refuse != "" {
		return nil, refused(p.t, p.refuse)
	}
	if p.min > len(d.b) {
		return nil, errShort
	}
	box := reflect.New(p.t)
	if err := p.dec(d, box.UnsafePointer()); err != nil {
		return nil, at(err, p.t.String())
	}
	return box.Elem().Interface(), nil
}

func (d *decoder) tag() (byte, error) {
	if len(d.b) == 0 {
		return 0, errShort
	}
	tag := d.b[0]
	d.b = d.b[1:]
	return tag, nil
}

func errTag(tag byte) error { return fmt.Errorf("tag %d is not allowed here", tag) }

// only reads a tag that must be the given one.
func (d *decoder) only(want byte) error {
	tag, err := d.tag()
	if err == nil && tag != want {
		err = errTag(tag)
	}
	return err
}

func (d *decoder) uvarint() (uint64, error) {
	x, n := binary.Uvarint(d.b)
	if n <= 0 {
		return 0, errors.New("a number is cut off or too long")
	}
	d.b = d.b[n:]
	return x, nil
}

// take returns the next n bytes, which remain the caller's of Decode.
func (d *decoder) take(n uint64) ([]byte, error) {
	if n > uint64(len(d.b)) {
		return nil, errShort
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s, nil
}

func (d *decoder) bytes() ([]byte, error) {
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	return d.take(n)
}

// raw fills size bytes of memory, which hold no pointers.
func (d *decoder) raw(p unsafe.Pointer, size int) error {
	s, err := d.take(uint64(size))
	copy(unsafe.Slice((*byte)(p), size), s)
	return err
}

func (d *decoder) elems(elem *plan, p unsafe.Pointer, n int, size uintptr) error {
	for i := range n {
		if err := elem.dec(d, unsafe.Add(p, uintptr(i)*size)); err != nil {
			return at(err, fmt.Sprintf("[%d]", i))
		}
	}
	return nil
}

func (d *decoder) down() error {
	if d.depth++; d.depth > maxDepth {
		return errDepth
	}
	return nil
}

// count reads a number of elements and checks that the input can hold them, so
// that what is allocated for them is bounded by the input.
func (d *decoder) count(n uint64, least int) (int, error) {
	if least == 0 {
		if n > math.MaxInt {
			return 0, fmt.Errorf("length %d is too large", n)
		}
		return int(n), nil
	}
	if n > uint64(len(d.b)/least) {
		return 0, errShort
	}
	return int(n), nil
}

func decodeBool(d *decoder, v unsafe.Pointer) error {
	b, err := d.tag()
	if err != nil {
		return err
	}
	if b > 1 {
		return fmt.Errorf("%d is not a bool", b)
	}
	*(*bool)(v) = b == 1
	return nil
}

func (d *decoder) slice(t reflect.Type, elem *plan, v unsafe.Pointer) error {
	x, err := d.uvarint()
	if err != nil || x == 0 {
		return err
	}
	n, err := d.count(x-1, elem.min)
	if err != nil {
		return err
	}
	s := reflect.MakeSlice(t, n, n)
	reflect.NewAt(t, v).Elem().Set(s)
	if elem.raw {
		return d.raw(s.UnsafePointer(), n*int(t.Elem().Size()))
	}
	if err := d.down(); err != nil {
		return err
	}
	err = d.elems(elem, s.UnsafePointer(), n, t.Elem().Size())
	d.depth--
	return err
}

// seen reads the number of an object that was decoded before, of type t.
func (d *decoder) seen(t reflect.Type) (unsafe.Pointer, error) {
	n, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	if n >= uint64(len(d.done)) || d.done[n].t != t {
		return nil, fmt.Errorf("object %d is not a %v that came before", n, t)
	}
	return d.done[n].p, nil
}

func (d *decoder) pointer(t reflect.Type, elem *plan, v unsafe.Pointer) error {
	tag, err := d.tag()
	if err != nil {
		return err
	}
	handles := d.c.Handles[t]
	isHandle := handles != nil
	if isHandle && tag != tagNil && tag != tagHandle {
		return errTag(tag)
	}
	switch tag {
	case tagNil:
		return nil
	case tagSeen:
		*(*unsafe.Pointer)(v), err = d.seen(t)
		return err
	case tagHandle:
		if !isHandle {
			return errTag(tag)
		}
		id, err := d.uvarint()
		if err != nil {
			return err
		}
		h, err := handles.DecodeHandle(id)
		if err != nil {
			return err
		}
		if !h.IsValid() || h.Type() != t {
			return fmt.Errorf("handle %d is not a %s", id, t)
		}
		reflect.NewAt(t, v).Elem().Set(h)
		return nil
	case tagNew:
	default:
		return errTag(tag)
	}
	if elem.refuse != "" {
		return refused(t, elem.refuse)
	}
	if elem.min > len(d.b) {
		return errShort
	}
	if err := d.down(); err != nil {
		return err
	}
	q := reflect.New(t.Elem()).UnsafePointer()
	if err := elem.dec(d, q); err != nil {
		return err
	}
	d.depth--
	d.done = append(d.done, object{q, t})
	*(*unsafe.Pointer)(v) = q
	return nil
}

func (d *decoder) iface(t reflect.Type, v unsafe.Pointer) error {
	if err := d.down(); err != nil {
		return err
	}
	x, err := d.value()
	if err != nil || x == nil {
		d.depth--
		return err
	}
	d.depth--
	if xt := reflect.TypeOf(x); !xt.Implements(t) {
		return fmt.Errorf("a %s is not a %s", xt, t)
	}
	reflect.NewAt(t, v).Elem().Set(reflect.ValueOf(x))
	return nil
}

func (d *decoder) mapping(t reflect.Type, key, value *plan, v unsafe.Pointer) error {
	tag, err := d.tag()
	if err != nil {
		return err
	}
	switch tag {
	case tagNil:
		return nil
	case tagSeen:
		*(*unsafe.Pointer)(v), err = d.seen(t)
		return err
	case tagNew:
	default:
		return errTag(tag)
	}
	x, err := d.uvarint()
	if err != nil {
		return err
	}
	n, err := d.count(x, key.min+value.min)
	if err != nil {
		return err
	}
	if n > 1 && t.Key().Size() == 0 {
		return errors.New("a key occurs twice")
	}
	if err := d.down(); err != nil {
		return err
	}
	m := reflect.MakeMapWithSize(t, n)
	k, zeroK := reflect.New(t.Key()).Elem(), reflect.Zero(t.Key())
	e, zeroE := reflect.New(t.Elem()).Elem(), reflect.Zero(t.Elem())
	for range n {
		k.Set(zeroK)
		e.Set(zeroE)
		if err := key.dec(d, k.Addr().UnsafePointer()); err != nil {
			return at(err, "[key]")
		}
		if !k.Comparable() {
			return at(fmt.Errorf("a %s cannot be a key", k.Elem().Type()), "[key]")
		}
		if err := value.dec(d, e.Addr().UnsafePointer()); err != nil {
			return at(err, "[value]")
		}
		m.SetMapIndex(k, e)
	}
	if m.Len() != n {
		return errors.New("a key occurs twice")
	}
	d.depth--
	// A map is a pointer to its table.
	q := m.UnsafePointer()
	d.done = append(d.done, object{q, t})
	*(*unsafe.Pointer)(v) = q
	return nil
}

func (d *decoder) typeRef() (*plan, error) {
	addr, err := d.uvarint()
	if err != nil {
		return nil, err
	}
	check, err := d.take(4)
	if err != nil {
		return nil, err
	}
	return typeByRef(addr, binary.LittleEndian.Uint32(check))
}

func (d *decoder) function(t reflect.Type, v unsafe.Pointer) error {
	tag, err := d.tag()
	if err != nil {
		return err
	}
	switch tag {
	case tagNil:
		return nil
	case tagSeen:
		n, err := d.uvarint()
		if err != nil {
			return err
		}
		if n >= uint64(len(d.done)) || d.done[n].t.Kind() != reflect.Func || !d.done[n].t.ConvertibleTo(t) {
			return fmt.Errorf("object %d is not a %s that came before", n, t)
		}
		*(*unsafe.Pointer)(v) = d.done[n].p
		return nil
	case tagNew:
		addr, err := d.uvarint()
		if err != nil {
			return err
		}
		check, err := d.take(8)
		if err != nil {
			return err
		}
		im, err := loadImage()
		if err != nil {
			return err
		}
		fv, err := im.staticFunc(addr, t.String(), binary.LittleEndian.Uint64(check))
		if err != nil {
			return err
		}
		*(*unsafe.Pointer)(v) = fv
		return nil
	case tagBound:
		return d.bound(t, v)
	}
	return errTag(tag)
}

// bound makes a bound function anew.
func (d *decoder) bound(t reflect.Type, v unsafe.Pointer) error {
	p, err := d.typeRef()
	if err != nil {
		return err
	}
	// The method set of binder is unexported, so only this package's binders have it.
	if p.t.Kind() != reflect.Pointer || !p.t.Implements(reflect.TypeFor[binder]()) {
		return fmt.Errorf("a %s is not a bound function", p.t)
	}
	// What travels is every binder's second field.
	if planOf(p.t.Elem().Field(1).Type).min > len(d.b) {
		return errShort
	}
	if err := d.down(); err != nil {
		return err
	}
	b := reflect.New(p.t.Elem()).Interface().(binder)
	content := b.content()
	if err := planOf(reflect.TypeOf(content).Elem()).dec(d, (*words)(unsafe.Pointer(&content)).data); err != nil {
		return err
	}
	d.depth--
	if err := b.check(); err != nil {
		return err
	}
	fn := b.fn()
	ft := reflect.TypeOf(fn)
	if ft != t && !ft.ConvertibleTo(t) {
		return fmt.Errorf("a bound %s is not a %s", ft, t)
	}
	q := funcPointer(fn)
	d.done = append(d.done, object{q, ft})
	*(*unsafe.Pointer)(v) = q
	return nil
}

func decodeType(d *decoder, v unsafe.Pointer) error {
	tag, err := d.tag()
	if err != nil || tag == tagNil {
		return err
	}
	if tag != tagNew {
		return errTag(tag)
	}
	p, err := d.typeRef()
	if err != nil {
		return err
	}
	*(*unsafe.Pointer)(v) = typePointer(p.t)
	return nil
}

func decodeTime(d *decoder, v unsafe.Pointer) error {
	s, err := d.take(timeLength)
	if err != nil {
		return err
	}
	sec, nsec := int64(binary.LittleEndian.Uint64(s)), binary.LittleEndian.Uint32(s[8:])
	if nsec >= 1e9 {
		return fmt.Errorf("%d nanoseconds are more than a second", nsec)
	}
	loc := (*time.Location)(nil)
	if err := planOf(reflect.TypeFor[*time.Location]()).dec(d, unsafe.Pointer(&loc)); err != nil {
		return err
	}
	if loc == nil {
		return errors.New("a time has no location")
	}
	*(*time.Time)(v) = time.Unix(sec, int64(nsec)).In(loc)
	return nil
}

package codec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"
	"unsafe"
)

// registered maps the names of types that interfaces may hold to the types. A name that stands for two types (declared in two
// functions) maps to nil.
var registered = struct {
	sync.RWMutex
	byName map[string]reflect.Type
	names  map[reflect.Type]string
}{byName: map[string]reflect.Type{}, names: map[reflect.Type]string{}}

// Register lets interface values in rows hold a T. Call it before the first job, in every process: an init function or a
// package variable is the place. Basic types, []byte, time.Time and time.Duration are registered from the start.
// Registering a type again is harmless. Two types that share one name (declared in two functions) cannot be
// told apart on the other side; rows that hold either are refused with an error.
func Register[T any]() { register(reflect.TypeFor[T]()) }

func register(t reflect.Type) {
	registered.Lock()
	defer registered.Unlock()
	if _, ok := registered.names[t]; ok {
		return
	}
	name := typeName(t)
	registered.names[t] = name
	if _, taken := registered.byName[name]; taken {
		registered.byName[name] = nil
		return
	}
	registered.byName[name] = t
}

func init() {
	Register[bool]()
	Register[int]()
	Register[int8]()
	Register[int16]()
	Register[int32]()
	Register[int64]()
	Register[uint]()
	Register[uint8]()
	Register[uint16]()
	Register[uint32]()
	Register[uint64]()
	Register[float32]()
	Register[float64]()
	Register[complex64]()
	Register[complex128]()
	Register[string]()
	Register[[]byte]()
	Register[time.Time]()
	Register[time.Duration]()
}

// typeName names t with full package paths, which reflect's own String leaves out.
func typeName(t reflect.Type) string {
	if t.Name() != "" {
		if t.PkgPath() == "" {
			return t.Name()
		}
		return t.PkgPath() + "." + t.Name()
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + typeName(t.Elem())
	case reflect.Slice:
		return "[]" + typeName(t.Elem())
	case reflect.Array:
		return "[" + strconv.Itoa(t.Len()) + "]" + typeName(t.Elem())
	case reflect.Map:
		return "map[" + typeName(t.Key()) + "]" + typeName(t.Elem())
	default:
		return t.String()
	}
}

// nameOfRegistered returns the name under which t travels.
func nameOfRegistered(t reflect.Type) (string, error) {
	registered.RLock()
	defer registered.RUnlock()
	name, ok := registered.names[t]
	if !ok {
		return "", fmt.Errorf("codec: encode an interface value: its dynamic type %s is not registered: call codec.Register[%s]() in an init function", typeName(t), t)
	}
	if registered.byName[name] == nil {
		return "", fmt.Errorf("codec: encode an interface value: two registered types are named %s: give one another name or declare it outside its function", name)
	}
	return name, nil
}

func registeredType(name string) (reflect.Type, error) {
	registered.RLock()
	defer registered.RUnlock()
	if t := registered.byName[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("codec: decode an interface value: type %q is not registered in this process: call codec.Register in an init function, or the bytes are damaged", name)
}

// ifaceColumn holds interface values: the names of their dynamic types in order of first use, a tag per value (0 for nil, k
// for the k-th name), then a column per dynamic type.
type ifaceColumn struct {
	typ reflect.Type
}

var errDeep = errors.New("codec: nested deeper than " + strconv.Itoa(maxDepth) + " levels (a long linked list, or a value that contains itself): hold the items in a slice and link them by index")

func (c *ifaceColumn) encode(e *encoder, dst []byte, v vec) ([]byte, error) {
	if e.depth++; e.depth > maxDepth {
		return nil, errDeep
	}
	defer func() { e.depth-- }()
	var types []reflect.Type
	var counts []int
	tags := make([]uint64, 0, v.n)
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			x := reflect.NewAt(c.typ, unsafe.Add(r.p, off)).Elem()
			off += v.stride
			if x.IsNil() {
				tags = append(tags, 0)
				continue
			}
			t := x.Elem().Type()
			k := slices.Index(types, t)
			if k < 0 {
				k = len(types)
				types, counts = append(types, t), append(counts, 0)
			}
			counts[k]++
			tags = append(tags, uint64(k+1))
		}
	}
	dst = appendUvarint(dst, len(types))
	values := make([]reflect.Value, len(types))
	for k, t := range types {
		name, err := nameOfRegistered(t)
		if err != nil {
			return nil, err
		}
		dst = appendUvarint(dst, len(name))
		dst = append(dst, name...)
		values[k] = reflect.MakeSlice(reflect.SliceOf(t), 0, counts[k])
	}
	dst = appendLens(dst, tags, uint64(len(types)))
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			x := reflect.NewAt(c.typ, unsafe.Add(r.p, off)).Elem()
			off += v.stride
			if !x.IsNil() {
				k := slices.Index(types, x.Elem().Type())
				values[k] = reflect.Append(values[k], x.Elem())
			}
		}
	}
	for k, t := range types {
		p, err := planOf(t)
		if err != nil {
			return nil, err
		}
		if p.minBits == 0 && counts[k] > maxEmpty {
			return nil, tooMany(p, counts[k])
		}
		if dst, err = p.encode(e, dst, vec{runs: []run{{values[k].UnsafePointer(), counts[k]}}, stride: p.size, n: counts[k]}); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (c *ifaceColumn) decode(d *decoder, p unsafe.Pointer, stride uintptr, n int) error {
	if d.depth++; d.depth > maxDepth {
		return errDeep
	}
	defer func() { d.depth-- }()
	count, err := d.uvarint()
	if err != nil {
		return err
	}
	if count > uint64(len(d.buf)) || count > uint64(n) {
		return corrupt("%d dynamic types for %d values", count, n)
	}
	types := make([]reflect.Type, count)
	for k := range types {
		size, err := d.uvarint()
		if err != nil {
			return err
		}
		name, err := d.take(size)
		if err != nil {
			return err
		}
		t, err := registeredType(string(name))
		if err != nil {
			return err
		}
		if !t.Implements(c.typ) {
			return corrupt("a %s in a field of type %s", t, c.typ)
		}
		types[k] = t
	}
	tags, err := d.lens(n)
	if err != nil {
		return err
	}
	counts := make([]int, count)
	for i := range n {
		k := tags.at(i)
		if k > count {
			return corrupt("dynamic type %d of %d", k, count)
		}
		if k > 0 {
			counts[k-1]++
		}
	}
	values := make([]reflect.Value, count)
	for k, t := range types {
		tp, err := planOf(t)
		if err != nil {
			return err
		}
		m, err := d.fits(uint64(counts[k]), tp)
		if err != nil {
			return err
		}
		values[k] = reflect.MakeSlice(reflect.SliceOf(t), m, m)
		if m > 0 {
			if err := tp.decode(d, values[k].UnsafePointer(), tp.size, m); err != nil {
				return err
			}
		}
	}
	next := make([]int, count)
	off := uintptr(0)
	for i := range n {
		x := reflect.NewAt(c.typ, unsafe.Add(p, off)).Elem()
		off += stride
		if k := tags.at(i); k == 0 {
			x.SetZero()
		} else {
			x.Set(values[k-1].Index(next[k-1]))
			next[k-1]++
		}
	}
	return nil
}

func (c *ifaceColumn) heap(p unsafe.Pointer, visits *int) int64 {
	x := reflect.NewAt(c.typ, p).Elem()
	if x.IsNil() {
		return 0
	}
	if *visits--; *visits < 0 {
		return 0
	}
	t := x.Elem().Type()
	dyn, err := planOf(t)
	if err != nil {
		return int64(t.Size())
	}
	copied := reflect.New(t)
	copied.Elem().Set(x.Elem())
	sum := int64(dyn.size)
	if !dyn.fixed {
		sum += dyn.col.heap(copied.UnsafePointer(), visits)
	}
	return sum
}

package closure

import (
	"context"
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// A plan is how values of one type travel. Plans are made once per type and are
// immutable afterwards. Within a plan, another type's plan is consulted only
// when values move, since in a recursive type it may not be complete before.
type plan struct {
	t      reflect.Type
	refuse string // why no value of the type can travel, and what to do; "" if some can
	// raw says that a value's bytes in memory are what travels: it holds no
	// pointers, no padding and no bools (whose bytes a decoder must check).
	raw bool
	min int // the fewest bytes that a value takes when encoded
	enc func(e *encoder, p unsafe.Pointer) error
	dec func(d *decoder, p unsafe.Pointer) error

	check uint32                 // the hash of the type's name
	ref   func() ([]byte, error) // the encoded reference to the type
}

var plans sync.Map // reflect.Type → *plan

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	b := planner{}
	p := b.plan(t)
	for t, p := range b {
		plans.LoadOrStore(t, p)
	}
	return p
}

// planner holds the plans under construction.
type planner map[reflect.Type]*plan

func (b planner) plan(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	if p, ok := b[t]; ok {
		return p
	}
	p := &plan{t: t, min: 1, check: typeCheck(t)}
	b[t] = p
	p.ref = sync.OnceValues(func() ([]byte, error) { return encodeTypeRef(t, p.check) })
	if p.refuse = refusal(t); p.refuse != "" {
		p.enc = func(*encoder, unsafe.Pointer) error { return refused(t, p.refuse) }
		p.dec = func(*decoder, unsafe.Pointer) error { return refused(t, p.refuse) }
		return p
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		p.min, p.enc, p.dec = 13, encodeTime, decodeTime
		return p
	case t == reflect.TypeFor[*time.Location]():
		b.location(p)
		return p
	case t == rtypeType:
		p.enc, p.dec = encodeType, decodeType
		return p
	case isBinary(t):
		b.binary(p)
		return p
	case t.Size() == 0:
		p.setRaw(0)
		return p
	}
	switch t.Kind() {
	case reflect.Bool:
		p.enc = func(e *encoder, v unsafe.Pointer) error {
			e.buf = append(e.buf, *(*byte)(v))
			return nil
		}
		p.dec = decodeBool
	case reflect.String:
		p.enc = func(e *encoder, v unsafe.Pointer) error {
			s := *(*string)(v)
			e.buf = append(binary.AppendUvarint(e.buf, uint64(len(s))), s...)
			return nil
		}
		p.dec = func(d *decoder, v unsafe.Pointer) error {
			s, err := d.bytes()
			*(*string)(v) = string(s)
			return err
		}
	case reflect.Struct:
		b.structure(p)
	case reflect.Array:
		b.array(p)
	case reflect.Slice:
		b.slice(p)
	case reflect.Pointer:
		b.pointer(p)
	case reflect.Map:
		b.mapping(p)
	case reflect.Interface:
		b.iface(p)
	case reflect.Func:
		b.function(p)
	case reflect.Chan, reflect.UnsafePointer:
		why := "a channel lives in one process: make it inside the function, or pass the data itself"
		if t.Kind() == reflect.UnsafePointer {
			why = "an address means nothing in another process: pass the data itself"
		}
		p.enc = func(e *encoder, v unsafe.Pointer) error {
			if *(*unsafe.Pointer)(v) != nil {
				return refused(t, why)
			}
			e.buf = append(e.buf, 0)
			return nil
		}
		p.dec = func(d *decoder, _ unsafe.Pointer) error {
			return d.only(0)
		}
	default: // numbers
		p.setRaw(int(t.Size()))
	}
	return p
}

// setRaw makes p the plan of a type of size bytes that travels as it lies in memory.
func (p *plan) setRaw(size int) {
	p.raw, p.min = true, size
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		e.raw(v, size)
		return nil
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error { return d.raw(v, size) }
}

// A step of a struct's plan: one field, or a run of raw fields without a gap.
type step struct {
	offset uintptr
	size   int // of a run; 0 for a field
	plan   *plan
	name   string
}

// structure walks the fields in order. Blank fields travel like others, so that
// every value that takes memory takes bytes.
func (b planner) structure(p *plan) {
	t := p.t
	var steps []step
	sum, least, raw := uintptr(0), 0, true
	for i := range t.NumField() {
		f := t.Field(i)
		fp := b.plan(f.Type)
		sum += f.Type.Size()
		least += fp.min
		raw = raw && fp.raw
		if fp.raw {
			if f.Type.Size() == 0 {
				continue
			}
			if n := len(steps) - 1; n >= 0 && steps[n].size > 0 && steps[n].offset+uintptr(steps[n].size) == f.Offset {
				steps[n].size += int(f.Type.Size())
				continue
			}
			steps = append(steps, step{offset: f.Offset, size: int(f.Type.Size()), name: f.Name})
			continue
		}
		steps = append(steps, step{offset: f.Offset, plan: fp, name: f.Name})
	}
	if raw && sum == t.Size() {
		p.setRaw(int(sum))
		return
	}
	p.min = least
	p.enc = func(e *encoder, v unsafe.Pointer) error {
		for i := range steps {
			s := &steps[i]
			if s.size > 0 {
				e.raw(unsafe.Add(v, s.offset), s.size)
			} else if err := s.plan.enc(e, unsafe.Add(v, s.offset)); err != nil {
				return at(err, "."+s.name)
			}
		}
		return nil
	}
	p.dec = func(d *decoder, v unsafe.Pointer) error {
		for i := range steps {
			s := &steps[i]
			if s.size > 0 {
				if err := d.raw(unsafe.Add(v, s.offset), s.size); err != nil {
					return at(err, "."+s.name)
				}
			} else if err := s.plan.dec(d, unsafe.Add(v, s.offset)); err != nil {
				return at(err, "."+s.name)
			}
		}
		return nil
	}
}

func (b planner) array(p *plan) {
	elem, n, size := b.plan(p.t.Elem()), p.t.Len(), p.t.Elem().Size()
	if elem.raw {
		p.setRaw(int(p.t.Size()))
		return
	}
	p.min = n * elem.min
	p.enc = func(e *encoder, v unsafe.Pointer) error { return e.elems(elem, v, n, size) }
	p.dec = func(d *decoder, v unsafe.Pointer) error { return d.elems(elem, v, n, size) }
}

// refusal says why values of a type cannot travel, and what to do; "" if they
// can. It knows the types of the standard library that stand for a resource of
// one process or that rely on the identity of an address.
func refusal(t reflect.Type) string {
	if t.Kind() == reflect.Interface {
		return "" // its values are asked
	}
	if t.Implements(reflect.TypeFor[context.Context]()) {
		return "a context belongs to one process: take the task's own context inside the function"
	}
	name := t.Name()
	switch pkg := t.PkgPath(); pkg {
	case "os":
		if name == "File" || name == "Root" || name == "Process" {
			return "open it inside the function"
		}
	case "os/exec":
		return "start it inside the function"
	case "net":
		if strings.HasSuffix(name, "Conn") || strings.HasSuffix(name, "Listener") || name == "conn" || name == "Resolver" {
			return "open it inside the function"
		}
	case "database/sql", "crypto/tls":
		if name == "DB" || name == "Tx" || name == "Conn" || name == "Stmt" || name == "Rows" {
			return "open it inside the function"
		}
	case "sync":
		return "a copy in another process guards nothing: keep it out of what travels"
	case "reflect":
		if t.Kind() == reflect.Struct {
			return "pass the value itself"
		}
	case "runtime", "unique", "weak", "hash/maphash":
		if t.Kind() == reflect.Struct {
			return "it means something only in this process: make it inside the function"
		}
	default:
		if strings.HasPrefix(pkg, "internal/") && t.Kind() == reflect.Struct {
			return "it is part of a resource of this process: make the value that holds it inside the function"
		}
	}
	return ""
}

var (
	rtypeType       = reflect.TypeOf(reflect.TypeFor[int]()) // *reflect.rtype
	marshalerType   = reflect.TypeFor[encoding.BinaryMarshaler]()
	unmarshalerType = reflect.TypeFor[encoding.BinaryUnmarshaler]()
)

// isBinary says whether a type travels through MarshalBinary and
// UnmarshalBinary: both must be its own, not an embedded field's.
func isBinary(t reflect.Type) bool {
	if t.Name() == "" || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return false
	}
	pt := reflect.PointerTo(t)
	if !pt.Implements(marshalerType) || !pt.Implements(unmarshalerType) {
		return false
	}
	// The linker drops the methods of types that the program never makes an
	// interface value of, and a call to one is fatal. Honest senders have no such
	// values. (Constant names here keep it from keeping all methods of all types.)
	m, _ := pt.MethodByName("MarshalBinary")
	u, _ := pt.MethodByName("UnmarshalBinary")
	if !isLinked(m) || !isLinked(u) {
		return false
	}
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.Anonymous {
				continue
			}
			for _, m := range []reflect.Type{marshalerType, unmarshalerType} {
				if f.Type.Implements(m) || reflect.PointerTo(f.Type).Implements(m) {
					return false
				}
			}
		}
	}
	return true
}

// isLinked says whether the linker kept a method.
func isLinked(m reflect.Method) bool {
	f := runtime.FuncForPC(m.Func.Pointer())
	return f != nil && f.Name() != "runtime.unreachableMethod"
}

// encodeTypeRef returns the reference to a type: the address of its descriptor
// in the executable and a hash of its name.
func encodeTypeRef(t reflect.Type, check uint32) ([]byte, error) {
	im, err := loadImage()
	if err != nil {
		return nil, err
	}
	p := typePointer(t)
	if !im.holds(p) {
		return nil, fmt.Errorf("the type %s exists only at run time, not in the executable: declare it in the program", t)
	}
	ref := binary.AppendUvarint(nil, im.link(p))
	return binary.LittleEndian.AppendUint32(ref, check), nil
}

func typeCheck(t reflect.Type) uint32 {
	h := hash64(hash64(fnvOffset, t.PkgPath()), t.String())
	return uint32(h ^ h>>32)
}

// typesByAddr holds the plans of types that were decoded before, by linked address.
var typesByAddr sync.Map // uint64 → *plan

// typeByRef returns the plan of the type with its descriptor at a linked address.
func typeByRef(addr uint64, check uint32) (*plan, error) {
	v, ok := typesByAddr.Load(addr)
	if !ok {
		im, err := loadImage()
		if err != nil {
			return nil, err
		}
		types, err := loadTypes()
		if err != nil {
			return nil, err
		}
		if _, ok := slices.BinarySearch(types, addr); !ok {
			return nil, fmt.Errorf("no type of the executable is at %#x: driver and executors must run the same executable", addr)
		}
		v, _ = typesByAddr.LoadOrStore(addr, planOf(typeAt(im.at(addr))))
	}
	p := v.(*plan)
	if p.check != check {
		return nil, fmt.Errorf("the type at %#x is %s, not the sender's: driver and executors must run the same executable", addr, p.t)
	}
	return p, nil
}

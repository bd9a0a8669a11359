package codec

import (
	"context"
	"encoding/binary"
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// plan is a compiled type: its column and what its containers must know of it.
type plan struct {
	typ  reflect.Type
	size uintptr
	col  column
	// minBits is the least space a value takes in a block, in bits: decoders check counts by it. 0 only if size is 0.
	minBits uint64
	fixed   bool // pointer-free and of fixed size
	packed  bool // on the wire a run of values is as it lies in memory
	blank   bool // some memory of a value is never written by decode
	// recursive values contain values of the same type; each level is counted against maxDepth.
	recursive bool
	cyclic    bool // values may contain themselves: recursive, or with interfaces inside
	done      bool
}

func (p *plan) encode(e *encoder, dst []byte, v vec) ([]byte, error) {
	if !p.recursive {
		return p.col.encode(e, dst, v)
	}
	if e.depth++; e.depth > maxDepth {
		return nil, errDeep
	}
	dst, err := p.col.encode(e, dst, v)
	e.depth--
	return dst, err
}

func (p *plan) decode(d *decoder, at unsafe.Pointer, stride uintptr, n int) error {
	if !p.recursive {
		return p.col.decode(d, at, stride, n)
	}
	if d.depth++; d.depth > maxDepth {
		return errDeep
	}
	err := p.col.decode(d, at, stride, n)
	d.depth--
	return err
}

// marshals reports whether values write themselves.
func (p *plan) marshals() bool {
	_, ok := p.col.(*marshalColumn)
	return ok
}

func tooMany(p *plan, n int) error {
	return fmt.Errorf("codec: encode %d values of %s: more than %d values without content", n, p.typ, maxEmpty)
}

func appendUvarint(dst []byte, n int) []byte { return binary.AppendUvarint(dst, uint64(n)) }

// plans caches the plan of each root type. A root is compiled on its own, never from the plans of other roots: what
// a recursive type's columns look like depends on where the recursion was entered, and must not depend on what this process
// compiled before.
var plans sync.Map // reflect.Type → *plan or error

func planOf(t reflect.Type) (*plan, error) {
	if x, ok := plans.Load(t); ok {
		if p, ok := x.(*plan); ok {
			return p, nil
		}
		return nil, x.(error)
	}
	c := compiler{seen: map[reflect.Type]*plan{}}
	p, err := c.compile(t, rootName(t))
	if err != nil {
		plans.Store(t, err)
		return nil, err
	}
	plans.Store(t, p)
	return p, nil
}

func rootName(t reflect.Type) string {
	if t.Name() != "" && t.PkgPath() != "" {
		return t.String()
	}
	return ""
}

// compiler compiles one root type.
type compiler struct {
	seen map[reflect.Type]*plan
}

// compile returns the plan of t. path leads from the root type to t, for errors.
func (c *compiler) compile(t reflect.Type, path string) (*plan, error) {
	if p, ok := c.seen[t]; ok {
		if !p.done {
			p.recursive, p.cyclic = true, true
		}
		return p, nil
	}
	p := &plan{typ: t, size: t.Size()}
	c.seen[t] = p
	if err := c.fill(p, path); err != nil {
		return nil, err
	}
	if p.minBits == 0 && p.size > 0 {
		if s, ok := p.col.(*structColumn); ok {
			s.fields = append(s.fields, structField{plan: hollow})
		} else {
			p.col = hollowColumn{}
		}
		p.minBits = 8
	}
	p.done = true
	return p, nil
}

var hollow = &plan{typ: reflect.TypeFor[struct{}](), col: hollowColumn{}, minBits: 8, fixed: true, done: true}

func number(p *plan) {
	p.col = &fixedColumn{fields: []fixedField{{width: p.size}}, width: p.size}
	p.minBits, p.fixed, p.packed = uint64(p.size)*8, true, true
}

func (c *compiler) fill(p *plan, path string) error {
	t := p.typ
	if why := refusal(t); why != "" {
		return refuse(path, t, why)
	}
	if m := marshalerOf(t); m != nil {
		p.col, p.minBits = m, 8
		return nil
	}
	switch t.Kind() {
	case reflect.Bool:
		p.col = &fixedColumn{fields: []fixedField{{width: 1, boolean: true}}, width: 1}
		p.minBits, p.fixed = 8, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		number(p)
	case reflect.String:
		p.col, p.minBits = stringColumn{}, 8
	case reflect.Slice:
		elem, err := c.compile(t.Elem(), path+"[]")
		if err != nil {
			return err
		}
		p.col, p.minBits = &sliceColumn{elem}, 8
		p.cyclic = p.cyclic || elem.cyclic
	case reflect.Pointer:
		elem, err := c.compile(t.Elem(), path)
		if err != nil {
			return err
		}
		p.col, p.minBits = &pointerColumn{elem}, 1
		p.cyclic = p.cyclic || elem.cyclic
	case reflect.Map:
		key, err := c.compile(t.Key(), path+"[key]")
		if err != nil {
			return err
		}
		elem, err := c.compile(t.Elem(), path+"[value]")
		if err != nil {
			return err
		}
		p.col, p.minBits = &mapColumn{typ: t, key: key, elem: elem}, 8
		p.cyclic = p.cyclic || key.cyclic || elem.cyclic
	case reflect.Interface:
		p.col, p.minBits, p.cyclic = &ifaceColumn{t}, 8, true
	case reflect.Array:
		return c.array(p, path)
	case reflect.Struct:
		return c.structure(p, path)
	default:
		return refuse(path, t, "no way to write a "+t.Kind().String())
	}
	return nil
}

// maxFlat bounds the fields into which an array of small structs is taken apart.
const maxFlat = 64

func (c *compiler) array(p *plan, path string) error {
	n := p.typ.Len()
	elem, err := c.compile(p.typ.Elem(), path+"[]")
	if err != nil {
		return err
	}
	p.fixed, p.blank, p.cyclic = elem.fixed && elem.done, elem.blank, p.cyclic || elem.cyclic
	f, plain := elem.col.(*fixedColumn)
	switch {
	case n == 0:
		p.col, p.fixed = &fixedColumn{}, true
		return nil
	case elem.packed:
		number(p)
		return nil
	case plain && n*len(f.fields) <= maxFlat:
		all := &fixedColumn{}
		for i := range n {
			for _, x := range f.fields {
				x.off += uintptr(i) * elem.size
				all.fields = append(all.fields, x)
			}
		}
		all.width = uintptr(n) * f.width
		p.col, p.minBits = all, uint64(all.width)*8
	default:
		p.col = &arrayColumn{n, elem}
		// An array of 2^50 elements of 8 bits would not fit an address space: no overflow.
		p.minBits = uint64(n) * elem.minBits
	}
	return nil
}

func (c *compiler) structure(p *plan, path string) error {
	t := p.typ
	s := &structColumn{}
	fixed := &fixedColumn{}
	p.fixed = true
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "_" {
			p.blank = p.blank || f.Type.Size() > 0
			continue
		}
		name := path + "." + f.Name
		if path == "" {
			name = f.Name
		}
		sub, err := c.compile(f.Type, name)
		if err != nil {
			return err
		}
		p.blank = p.blank || sub.blank
		p.cyclic = p.cyclic || sub.cyclic
		p.fixed = p.fixed && sub.fixed && sub.done
		p.minBits += sub.minBits
		if !sub.done {
			s.fields = append(s.fields, structField{f.Offset, sub})
			continue
		}
		switch col := sub.col.(type) {
		case *fixedColumn:
			fixed.add(f.Offset, col)
		case *structColumn:
			if col.fixed != nil {
				fixed.add(f.Offset, col.fixed)
			}
			for _, x := range col.fields {
				s.fields = append(s.fields, structField{f.Offset + x.off, x.plan})
			}
		default:
			s.fields = append(s.fields, structField{f.Offset, sub})
		}
	}
	if len(s.fields) == 0 {
		p.col = fixed
		p.packed = p.fixed && len(fixed.fields) == 1 && fixed.width == p.size && !fixed.fields[0].boolean && !p.blank
		return nil
	}
	if fixed.width > 0 {
		s.fixed = fixed
	}
	p.col = s
	return nil
}

// add takes in the fields of an embedded or nested struct at off.
func (c *fixedColumn) add(off uintptr, sub *fixedColumn) {
	for _, f := range sub.fields {
		f.off += off
		c.fields = append(c.fields, f)
	}
	c.width += sub.width
}

func refuse(path string, t reflect.Type, why string) error {
	if path == "" || path == t.String() {
		return fmt.Errorf("codec: %s cannot travel between processes: %s", t, why)
	}
	return fmt.Errorf("codec: %s: a %s cannot travel between processes: %s", path, t, why)
}

var (
	contextType = reflect.TypeFor[context.Context]()
	closer      = reflect.TypeFor[interface{ Close() error }]()
)

// refusal says why values of t stay in their process and what to send instead; "" lets them travel.
func refusal(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Chan:
		return "a channel joins goroutines of one process: send the values in a slice"
	case reflect.Func:
		return "a function has no bytes: send the data that it works on and call it on the other side"
	case reflect.UnsafePointer, reflect.Uintptr:
		return "an address means nothing in another process: send the value it points to, or use uint64 for a number"
	case reflect.Interface:
		if t.Implements(contextType) {
			return "a context belongs to one call: take the context of the task instead"
		}
	}
	if t.PkgPath() == "" {
		return ""
	}
	name := t.Name()
	switch t.PkgPath() {
	case "sync":
		return "a lock guards memory of one process: leave it out of the row"
	case "sync/atomic":
		return "an atomic guards memory of one process: use the plain type in the row"
	case "unique", "weak":
		return "a handle means something in its own process only: send the value"
	case "hash/maphash":
		return "its seed differs in each process: send the key, or a hash of another package"
	case "reflect":
		return "a type or value of reflection refers to this process: send a concrete type"
	case "os":
		if name == "File" || name == "Process" || name == "Root" {
			return "it is open in this process only: send its path and open it in the task"
		}
	case "net", "net/http", "database/sql":
		if t.Kind() == reflect.Struct && (reflect.PointerTo(t).Implements(closer) || name == "Client" || name == "Transport" || name == "Server") {
			return "a connection is open in this process only: send its address and connect in the task"
		}
	case "time":
		if name == "Timer" || name == "Ticker" {
			return "a timer runs in this process only: send its time.Duration"
		}
	case "testing":
		if name == "T" || name == "B" || name == "F" {
			return "a running test cannot be in two processes: leave it out of the row"
		}
	}
	return ""
}

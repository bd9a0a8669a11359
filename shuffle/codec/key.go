package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"sync"
	"unsafe"
)

// KeyOps hashes and compares keys of type K, with the same answer in every process. Keys that are Equal hash equally.
// Floats group as a user expects: -0 equals +0, and NaN equals NaN. Values with marshalling methods of their own (time.Time,
// netip.Addr) are compared by the bytes they marshal to. Interface values are compared by dynamic type, then value; one whose
// dynamic type cannot be compared (a slice) equals nothing, itself included. Safe for concurrent use.
type KeyOps[K comparable] struct {
	kind  leafKind // of the only leaf; leafMany if there are more
	size  uintptr
	plain bool // == does
	plan  *keyPlan
}

// KeysOf returns the key operations of K, or an error naming the part of K that cannot be a key: pointers and channels are
// equal by address, which differs in each process.
func KeysOf[K comparable]() (*KeyOps[K], error) {
	t := reflect.TypeFor[K]()
	if x, ok := keyOps.Load(t); ok {
		return x.(*KeyOps[K]), nil
	}
	p, err := keyPlanOf(t)
	if err != nil {
		return nil, err
	}
	o := &KeyOps[K]{kind: leafMany, size: t.Size(), plain: p.plain, plan: p}
	if len(p.leaves) == 1 && p.leaves[0].off == 0 {
		o.kind = p.leaves[0].kind
	}
	x, _ := keyOps.LoadOrStore(t, o)
	return x.(*KeyOps[K]), nil
}

var keyOps sync.Map // reflect.Type → *KeyOps[K]

// hidden returns p as a pointer that escape analysis does not follow, so that a key passed by value stays on the stack.
// That holds because keyPlan.hash and keyPlan.equal keep no pointer to the key that they are given: they read it,
// and what a marshalling method keeps is a copy.
//
//go:nosplit
func hidden(p unsafe.Pointer) unsafe.Pointer {
	x := uintptr(p)
	return *(*unsafe.Pointer)(unsafe.Pointer(&x))
}

// Hash returns the hash of k. All 64 bits are usable.
func (o *KeyOps[K]) Hash(k K) uint64 {
	p := unsafe.Pointer(&k)
	switch o.kind {
	case leafString:
		return HashString(*(*string)(p))
	case leafInt64:
		return HashUint64(*(*uint64)(p))
	case leafInt32:
		return HashUint64(uint64(*(*int32)(p)))
	case leafUint32:
		return HashUint64(uint64(*(*uint32)(p)))
	}
	return o.plan.hash(hidden(p))
}

// Equal reports whether a and b are one key.
func (o *KeyOps[K]) Equal(a, b K) bool {
	if o.plain {
		return a == b
	}
	return o.plan.equal(hidden(unsafe.Pointer(&a)), hidden(unsafe.Pointer(&b)))
}

// HashRows sets out[i] to the hash of keys[i]. out must be as long as keys.
func (o *KeyOps[K]) HashRows(keys []K, out []uint64) {
	if len(keys) == 0 {
		return
	}
	o.hashStrided(unsafe.Pointer(unsafe.SliceData(keys)), o.size, out[:len(keys)])
}

// HashField sets out[i] to the hash of the key that lies offset bytes into rows[i], as unsafe.Offsetof gives it. out must be as
// long as rows. A key that does not lie within R is a panic.
func HashField[R any, K comparable](o *KeyOps[K], rows []R, offset uintptr, out []uint64) {
	size := unsafe.Sizeof(*new(R))
	if offset > size || o.size > size-offset {
		panic("codec: HashField: the key lies outside its row")
	}
	if len(rows) == 0 {
		return
	}
	o.hashStrided(unsafe.Add(unsafe.Pointer(unsafe.SliceData(rows)), offset), size, out[:len(rows)])
}

// Text reports whether keys are texts, which HashTexts takes.
func (o *KeyOps[K]) Text() bool { return o.kind == leafString }

// TextOf returns the text of a key that is one.
func (o *KeyOps[K]) TextOf(k K) string {
	if o.kind != leafString {
		panic("codec: TextOf: the key is no text")
	}
	return *(*string)(unsafe.Pointer(&k))
}

// HashTexts is HashField for keys that are texts. It also sets words[i] to the TextWord of each. words must be as long as rows.
func HashTexts[R any, K comparable](o *KeyOps[K], rows []R, offset uintptr, out, words []uint64) {
	size := unsafe.Sizeof(*new(R))
	if o.kind != leafString || offset > size || o.size > size-offset {
		panic("codec: HashTexts: the key is no text within its row")
	}
	if len(rows) == 0 {
		return
	}
	hashTexts(unsafe.Add(unsafe.Pointer(unsafe.SliceData(rows)), offset), size, out[:len(rows)], words)
}

func (o *KeyOps[K]) hashStrided(p unsafe.Pointer, stride uintptr, out []uint64) {
	var off uintptr
	switch o.kind {
	case leafString:
		hashStrings(p, stride, out)
	case leafInt64:
		for i := range out {
			out[i] = HashUint64(*(*uint64)(unsafe.Add(p, off)))
			off += stride
		}
	case leafInt32:
		for i := range out {
			out[i] = HashUint64(uint64(*(*int32)(unsafe.Add(p, off))))
			off += stride
		}
	case leafUint32:
		for i := range out {
			out[i] = HashUint64(uint64(*(*uint32)(unsafe.Add(p, off))))
			off += stride
		}
	default:
		for i := range out {
			out[i] = o.plan.hash(unsafe.Add(p, off))
			off += stride
		}
	}
}

type leafKind uint8

const (
	leafMany leafKind = iota
	leafInt8
	leafInt16
	leafInt32
	leafInt64 // also uint64 and 8 plain bytes
	leafUint8 // also bool
	leafUint16
	leafUint32
	leafBytes // pointer-free memory without padding, longer than a word
	leafFloat32
	leafFloat64
	leafString
	leafArray
	leafIface
	leafMarshal
)

// leaf is one part of a key.
type leaf struct {
	kind leafKind
	off  uintptr
	size uintptr
	n    int      // leafArray: elements
	sub  *keyPlan // leafArray: of an element
	typ  reflect.Type
}

// keyPlan is a key type taken apart.
type keyPlan struct {
	leaves []leaf
	plain  bool // equal by ==
}

var keyPlans sync.Map // reflect.Type → *keyPlan or error

func keyPlanOf(t reflect.Type) (*keyPlan, error) {
	if x, ok := keyPlans.Load(t); ok {
		if p, ok := x.(*keyPlan); ok {
			return p, nil
		}
		return nil, x.(error)
	}
	p := &keyPlan{plain: true}
	if err := p.add(t, 0, rootName(t)); err != nil {
		keyPlans.Store(t, err)
		return nil, err
	}
	p.coalesce()
	keyPlans.Store(t, p)
	return p, nil
}

func (p *keyPlan) leaf(kind leafKind, off uintptr, t reflect.Type) {
	p.leaves = append(p.leaves, leaf{kind: kind, off: off, size: t.Size(), typ: t})
}

func (p *keyPlan) add(t reflect.Type, off uintptr, path string) error {
	if m := marshalerOf(t); m != nil {
		p.plain = false
		p.leaf(leafMarshal, off, t)
		return nil
	}
	k := t.Kind()
	switch k {
	case reflect.Bool, reflect.Uint8:
		p.leaf(leafUint8, off, t)
	case reflect.Int8:
		p.leaf(leafInt8, off, t)
	case reflect.Int16:
		p.leaf(leafInt16, off, t)
	case reflect.Uint16:
		p.leaf(leafUint16, off, t)
	case reflect.Int32:
		p.leaf(leafInt32, off, t)
	case reflect.Uint32:
		p.leaf(leafUint32, off, t)
	case reflect.Int, reflect.Int64, reflect.Uint, reflect.Uint64:
		p.leaf(leafInt64, off, t)
	case reflect.Float32:
		p.plain = false
		p.leaf(leafFloat32, off, t)
	case reflect.Float64:
		p.plain = false
		p.leaf(leafFloat64, off, t)
	case reflect.Complex64:
		p.plain = false
		f := reflect.TypeFor[float32]()
		p.leaf(leafFloat32, off, f)
		p.leaf(leafFloat32, off+4, f)
	case reflect.Complex128:
		p.plain = false
		f := reflect.TypeFor[float64]()
		p.leaf(leafFloat64, off, f)
		p.leaf(leafFloat64, off+8, f)
	case reflect.String:
		p.leaf(leafString, off, t)
	case reflect.Interface:
		p.plain = false
		p.leaf(leafIface, off, t)
	case reflect.Array:
		sub, err := keyPlanOf(t.Elem())
		if err != nil {
			return err
		}
		if t.Len() == 0 {
			return nil
		}
		p.plain = p.plain && sub.plain
		if len(sub.leaves) == 1 && sub.leaves[0].word() && sub.leaves[0].size == t.Elem().Size() {
			p.leaf(leafBytes, off, t)
			return nil
		}
		p.leaves = append(p.leaves, leaf{kind: leafArray, off: off, size: t.Elem().Size(), n: t.Len(), sub: sub, typ: t})
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Name == "_" {
				continue
			}
			name := path + "." + f.Name
			if path == "" {
				name = f.Name
			}
			if err := p.add(f.Type, off+f.Offset, name); err != nil {
				return err
			}
		}
	default:
		where := path
		if where == "" || where == t.String() {
			where = "the key"
		}
		return fmt.Errorf("codec: %s: a %s cannot be a key: it is equal by address, which differs in each process: key by the value it stands for", where, t)
	}
	return nil
}

// word reports whether equal leaves are equal bytes.
func (l *leaf) word() bool { return l.kind >= leafInt8 && l.kind <= leafBytes }

// coalesce joins neighbouring integers into one run of bytes, and runs of a word's size into words.
func (p *keyPlan) coalesce() {
	var out []leaf
	for _, l := range p.leaves {
		if k := len(out); k > 0 && l.word() && out[k-1].word() && out[k-1].off+out[k-1].size == l.off {
			out[k-1].kind = leafBytes
			out[k-1].size += l.size
			continue
		}
		out = append(out, l)
	}
	for i := range out {
		if out[i].kind == leafBytes {
			switch out[i].size {
			case 1:
				out[i].kind = leafUint8
			case 2:
				out[i].kind = leafUint16
			case 4:
				out[i].kind = leafUint32
			case 8:
				out[i].kind = leafInt64
			}
		}
	}
	p.leaves = out
}

func (p *keyPlan) hash(at unsafe.Pointer) uint64 {
	if len(p.leaves) == 1 {
		return p.leaves[0].hash(unsafe.Add(at, p.leaves[0].off))
	}
	h := uint64(len(p.leaves))
	for i := range p.leaves {
		l := &p.leaves[i]
		h = combine(h, l.hash(unsafe.Add(at, l.off)))
	}
	return h
}

func (l *leaf) hash(p unsafe.Pointer) uint64 {
	switch l.kind {
	case leafInt8:
		return HashUint64(uint64(*(*int8)(p)))
	case leafInt16:
		return HashUint64(uint64(*(*int16)(p)))
	case leafInt32:
		return HashUint64(uint64(*(*int32)(p)))
	case leafInt64:
		return HashUint64(*(*uint64)(p))
	case leafUint8:
		return HashUint64(uint64(*(*uint8)(p)))
	case leafUint16:
		return HashUint64(uint64(*(*uint16)(p)))
	case leafUint32:
		return HashUint64(uint64(*(*uint32)(p)))
	case leafBytes:
		return hashMemory(p, int(l.size))
	case leafFloat32:
		return hashFloat32(*(*float32)(p))
	case leafFloat64:
		return hashFloat64(*(*float64)(p))
	case leafString:
		return HashString(*(*string)(p))
	case leafArray:
		h := uint64(l.n)
		for i := range l.n {
			h = combine(h, l.sub.hash(unsafe.Add(p, uintptr(i)*l.size)))
		}
		return h
	case leafMarshal:
		return HashBytes(marshalled(l.typ, p))
	default: // leafIface
		return hashIface(l.typ, p)
	}
}

func (p *keyPlan) equal(a, b unsafe.Pointer) bool {
	for i := range p.leaves {
		l := &p.leaves[i]
		if !l.equal(unsafe.Add(a, l.off), unsafe.Add(b, l.off)) {
			return false
		}
	}
	return true
}

func (l *leaf) equal(a, b unsafe.Pointer) bool {
	switch l.kind {
	case leafFloat32:
		x, y := *(*float32)(a), *(*float32)(b)
		return x == y || x != x && y != y
	case leafFloat64:
		x, y := *(*float64)(a), *(*float64)(b)
		return x == y || x != x && y != y
	case leafString:
		return *(*string)(a) == *(*string)(b)
	case leafArray:
		for i := range l.n {
			at := uintptr(i) * l.size
			if !l.sub.equal(unsafe.Add(a, at), unsafe.Add(b, at)) {
				return false
			}
		}
		return true
	case leafMarshal:
		return bytes.Equal(marshalled(l.typ, a), marshalled(l.typ, b))
	case leafIface:
		return equalIface(l.typ, a, b)
	default:
		return string(unsafe.Slice((*byte)(a), l.size)) == string(unsafe.Slice((*byte)(b), l.size))
	}
}

// marshalled returns the bytes of the value at p, of a copy of it since its method may keep its receiver. A value that
// refuses to be marshalled counts as empty.
func marshalled(t reflect.Type, p unsafe.Pointer) (b []byte) {
	defer func() {
		if recover() != nil {
			b = nil
		}
	}()
	copied := reflect.New(t)
	copied.Elem().Set(reflect.NewAt(t, p).Elem())
	b, err := marshalerOf(t).marshal(nil, copied.Interface())
	if err != nil {
		return nil
	}
	return b
}

// dynamic returns the value in the interface of type t at p, copied to memory that its plan can read.
func dynamic(t reflect.Type, p unsafe.Pointer) reflect.Value {
	x := reflect.NewAt(t, p).Elem().Elem()
	if !x.IsValid() {
		return x
	}
	copied := reflect.New(x.Type())
	copied.Elem().Set(x)
	return copied.Elem()
}

func hashIface(t reflect.Type, p unsafe.Pointer) uint64 {
	x := dynamic(t, p)
	if !x.IsValid() {
		return HashUint64(0)
	}
	name := typeName(x.Type())
	sub, err := keyPlanOf(x.Type())
	if err != nil {
		return HashString(name)
	}
	return hashName(name, sub.hash(x.Addr().UnsafePointer()))
}

func equalIface(t reflect.Type, a, b unsafe.Pointer) bool {
	x, y := dynamic(t, a), dynamic(t, b)
	if !x.IsValid() || !y.IsValid() {
		return x.IsValid() == y.IsValid()
	}
	if x.Type() != y.Type() {
		return false
	}
	sub, err := keyPlanOf(x.Type())
	if err != nil {
		return x.Comparable() && y.Comparable() && x.Equal(y)
	}
	return sub.equal(x.Addr().UnsafePointer(), y.Addr().UnsafePointer())
}

package parquetio

import (
	"fmt"
	"reflect"
	"unsafe"
)

// This is the one file of the package that uses package unsafe. Column values go to a field of
// consecutive structs, and neither generics nor reflection can address
// "field f of element i" at the speed at which pages decode: reflect.Value.Set
// costs some 5 to 10 ns a value, a strided store a third of one.
//
// Why it holds:
//   - base points into an allocation that holds n elements stride bytes apart: it comes from a
//     slice of n elements, moved only by field offsets within the element type, which reflect gives.
//   - at checks the index, so every address lies within that allocation. base, an
//     unsafe.Pointer, keeps the allocation alive.
//   - the element's type is the field's, or one of the same memory layout, which typed
//     checks: kinds are equal and hold pointers at the same places. Stores go
//     through a *V, so that the compiler emits the write barriers of V.

// view is one field of each of n consecutive elements.
type view struct {
	base   unsafe.Pointer
	stride uintptr
	n      int
	typ    reflect.Type
}

// viewOf is the elements of a slice themselves.
func viewOf(slice reflect.Value) view {
	t := slice.Type().Elem()
	return view{slice.UnsafePointer(), t.Size(), slice.Len(), t}
}

// field is a field of a view's structs.
func (v view) field(index int) view {
	f := v.typ.Field(index)
	if v.n == 0 { // base may point past the allocation, and nothing will be stored
		return view{nil, v.stride, 0, f.Type}
	}
	return view{unsafe.Add(v.base, f.Offset), v.stride, v.n, f.Type}
}

// value is element i for reflection.
func (v view) value(i int) reflect.Value {
	if uint(i) >= uint(v.n) {
		panic(errIndex)
	}
	return reflect.NewAt(v.typ, unsafe.Add(v.base, uintptr(i)*v.stride)).Elem()
}

// strided is a view whose elements are known to be stored like a V.
type strided[V any] struct {
	base   unsafe.Pointer
	stride uintptr
	n      int
}

func typed[V any](v view) strided[V] {
	if want := reflect.TypeFor[V](); v.typ != want && !sameLayout(v.typ, want) {
		panic(fmt.Sprintf("parquetio: a field of type %v is not stored like a %v", v.typ, want))
	}
	return strided[V]{v.base, v.stride, v.n}
}

// errIndex is a mistake of this package, which the reader turns into an error.
const errIndex = "parquetio: a value has no slot"

// at is the place of element i.
func (s strided[V]) at(i int) *V {
	if uint(i) >= uint(s.n) {
		panic(errIndex)
	}
	return (*V)(unsafe.Add(s.base, uintptr(i)*s.stride))
}

// put stores values from element at on.
func (s strided[V]) put(at int, values []V) {
	if len(values) == 0 {
		return
	}
	if at < 0 || at+len(values) > s.n {
		panic(errIndex)
	}
	p := unsafe.Add(s.base, uintptr(at)*s.stride)
	for i := range values {
		*(*V)(p) = values[i]
		if i+1 < len(values) { // never point past the last element
			p = unsafe.Add(p, s.stride)
		}
	}
}

// look stores dict[index[i]] from element at on. It returns the first index that the dictionary lacks and false.
func (s strided[V]) look(at int, index []int32, dict []V) (bad int32, ok bool) {
	if len(index) == 0 {
		return 0, true
	}
	if at < 0 || at+len(index) > s.n {
		panic(errIndex)
	}
	p := unsafe.Add(s.base, uintptr(at)*s.stride)
	for i, k := range index {
		if uint(k) >= uint(len(dict)) {
			return k, false
		}
		*(*V)(p) = dict[k]
		if i+1 < len(index) {
			p = unsafe.Add(p, s.stride)
		}
	}
	return 0, true
}

// sameLayout tells whether values of two types are stored alike, so that a store through a pointer to one is
// a store of the other: type UserID int32 and int32, type Vector []float64 and []float64.
func sameLayout(a, b reflect.Type) bool {
	if a == b {
		return true
	}
	if a.Kind() != b.Kind() || a.Size() != b.Size() {
		return false
	}
	switch a.Kind() {
	case reflect.Slice, reflect.Pointer:
		return sameLayout(a.Elem(), b.Elem())
	case reflect.Array:
		return a.Len() == b.Len() && sameLayout(a.Elem(), b.Elem())
	case reflect.Struct, reflect.Map, reflect.Chan, reflect.Func, reflect.Interface:
		return false
	}
	return true
}

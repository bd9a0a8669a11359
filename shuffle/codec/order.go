package codec

import (
	"cmp"
	"math"
	"math/bits"
	"reflect"
	"unsafe"
)

// Order maps keys to 64-bit prefixes that sort as cmp.Compare sorts the keys: cmp.Less(a, b) implies Prefix(a) <= Prefix(b),
// and Prefix(a) < Prefix(b) implies cmp.Less(a, b). Sorts can thus work on prefixes, by radix, and look at keys only where
// prefixes tie, or never if the order is Exact. The zero value is not usable; get one from OrderOf.
type Order[K cmp.Ordered] struct {
	kind reflect.Kind
}

// OrderOf returns the order of K.
func OrderOf[K cmp.Ordered]() Order[K] { return Order[K]{reflect.TypeFor[K]().Kind()} }

// Exact reports whether keys with equal prefixes are equal: so for all integers and floats (NaNs are equal to each
// other, and -0 to +0, as cmp.Compare has them), not for strings.
func (o Order[K]) Exact() bool { return o.kind != reflect.String }

// Prefix returns the prefix of k: integers with their sign bit flipped, floats in the order of their values with NaN lowest,
// the first eight bytes of strings as a big-endian number.
func (o Order[K]) Prefix(k K) uint64 {
	p := unsafe.Pointer(&k)
	switch o.kind {
	case reflect.String:
		return stringPrefix(*(*string)(p))
	case reflect.Float32:
		return floatPrefix(float64(*(*float32)(p)))
	case reflect.Float64:
		return floatPrefix(*(*float64)(p))
	case reflect.Int, reflect.Int64:
		return signed(*(*int64)(p))
	case reflect.Int32:
		return signed(int64(*(*int32)(p)))
	case reflect.Int16:
		return signed(int64(*(*int16)(p)))
	case reflect.Int8:
		return signed(int64(*(*int8)(p)))
	case reflect.Uint32:
		return uint64(*(*uint32)(p))
	case reflect.Uint16:
		return uint64(*(*uint16)(p))
	case reflect.Uint8:
		return uint64(*(*uint8)(p))
	default: // uint, uint64, uintptr
		return *(*uint64)(p)
	}
}

// Prefixes sets out[i] to the prefix of keys[i]. out must be as long as keys.
func (o Order[K]) Prefixes(keys []K, out []uint64) {
	if len(keys) > 0 {
		o.strided(unsafe.Pointer(unsafe.SliceData(keys)), unsafe.Sizeof(keys[0]), out[:len(keys)])
	}
}

// PrefixField sets out[i] to the prefix of the key that lies offset bytes into rows[i], as unsafe.Offsetof gives it. out must
// be as long as rows. A key that does not lie within R is a panic.
func PrefixField[R any, K cmp.Ordered](o Order[K], rows []R, offset uintptr, out []uint64) {
	size := unsafe.Sizeof(*new(R))
	if offset > size || unsafe.Sizeof(*new(K)) > size-offset {
		panic("codec: PrefixField: the key lies outside its row")
	}
	if len(rows) > 0 {
		o.strided(unsafe.Add(unsafe.Pointer(unsafe.SliceData(rows)), offset), size, out[:len(rows)])
	}
}

// strided sets out[i] to the prefix of the key at p + i·stride.
func (o Order[K]) strided(p unsafe.Pointer, stride uintptr, out []uint64) {
	var off uintptr
	switch o.kind {
	case reflect.String:
		for i := range out {
			out[i] = stringPrefix(*(*string)(unsafe.Add(p, off)))
			off += stride
		}
	case reflect.Int, reflect.Int64:
		for i := range out {
			out[i] = signed(*(*int64)(unsafe.Add(p, off)))
			off += stride
		}
	case reflect.Int32:
		for i := range out {
			out[i] = signed(int64(*(*int32)(unsafe.Add(p, off))))
			off += stride
		}
	case reflect.Float64:
		for i := range out {
			out[i] = floatPrefix(*(*float64)(unsafe.Add(p, off)))
			off += stride
		}
	default:
		for i := range out {
			out[i] = o.Prefix(*(*K)(unsafe.Add(p, off)))
			off += stride
		}
	}
}

func signed(x int64) uint64 { return uint64(x) ^ 1<<63 }

// floatPrefix maps -Inf to 0x000fffffffffffff and up, which leaves 0 to NaN.
func floatPrefix(f float64) uint64 {
	if f != f {
		return 0
	}
	b := math.Float64bits(f + 0) // -0 + 0 is +0
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

func stringPrefix(s string) uint64 {
	return bits.ReverseBytes64(loadShort(unsafe.Pointer(unsafe.StringData(s)), min(len(s), 8))) // bytes past the end count as 0
}

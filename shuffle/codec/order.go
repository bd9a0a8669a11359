package codec

import (
	"cmp"
	"encoding/binary"
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
	out = out[:len(keys)]
	for i, k := range keys {
		out[i] = o.Prefix(k)
	}
}

// PrefixField sets out[i] to the prefix of the key that lies offset bytes into rows[i], as unsafe.Offsetof gives it. out must
// be as long as rows. A key that does not lie within R is a panic.
func PrefixField[R any, K cmp.Ordered](o Order[K], rows []R, offset uintptr, out []uint64) {
	size := unsafe.Sizeof(*new(R))
	if offset > size || unsafe.Sizeof(*new(K)) > size-offset {
		panic("codec: PrefixField: the key lies outside its row")
	}
	out = out[:len(rows)]
	for i := range rows {
		// Within rows[i] by the check above.
		out[i] = o.Prefix(*(*K)(unsafe.Add(unsafe.Pointer(&rows[i]), offset)))
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
	if len(s) >= 8 {
		return binary.BigEndian.Uint64([]byte(s[:8]))
	}
	p := unsafe.Pointer(unsafe.StringData(s))
	n := len(s)
	// Loads stay within the n bytes at p; the bytes past the end count as 0.
	switch {
	case n >= 4:
		return uint64(bits.ReverseBytes32(load32(p, 0)))<<32 | uint64(bits.ReverseBytes32(load32(p, n-4)))<<(8*(8-n))
	case n > 0:
		x := uint64(s[0]) << 56
		if n > 1 {
			x |= uint64(s[1]) << 48
		}
		if n > 2 {
			x |= uint64(s[2]) << 40
		}
		return x
	}
	return 0
}

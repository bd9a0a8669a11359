package codec

import (
	"math"
	"math/bits"
	"unsafe"
)

// The multipliers are odd 64-bit numbers with about as many ones as zeros, drawn once. Changing one moves every row
// to another partition: golden tests hold them.
const (
	mul0 = 0xb3f1a96d5c27e84b
	mul1 = 0x94d8ce2b71f5a63d
	mul2 = 0xe6a53b9c1d74f28f
	mul3 = 0xa9c4167ef2b85d63
	mul4 = 0xd17b5ae8934c6f25
)

// nanHash64 and nanHash32 are the bits under which every NaN is hashed.
const (
	nanHash64 = 0x7ff8000000000001
	nanHash32 = 0x7fc00001
)

// mix folds the 128-bit product of a and b: each bit of the result depends on all bits of both.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// spread evens out what one mix of regular numbers leaves in the low bits, which tables and partitions are picked by.
func spread(h uint64) uint64 {
	h *= mul3
	return h ^ h>>32
}

// HashUint64 hashes an integer. KeysOf hashes integers of every width by it, sign-extended if they have a sign.
func HashUint64(x uint64) uint64 {
	return spread(mix(x^mul0, mul1))
}

// HashBytes hashes b as KeysOf[string] hashes the same text.
func HashBytes(b []byte) uint64 { return hashMemory(unsafe.Pointer(unsafe.SliceData(b)), len(b)) }

// HashString hashes a text: eight bytes at a time, in up to four independent lanes, so that long texts are hashed at
// memory speed. The value is the same in every process and release.
func HashString(s string) uint64 { return hashMemory(unsafe.Pointer(unsafe.StringData(s)), len(s)) }

// hashMemory hashes the n bytes at p.
//
//go:norace
//go:nocheckptr
func hashMemory(p unsafe.Pointer, n int) uint64 {
	if n <= 8 {
		var x uint64
		if wideLoads && n > 0 && uintptr(p)&pageMask <= pageMask-7 {
			x = *(*uint64)(p) & (^uint64(0) >> ((64 - uint(n)*8) & 63)) // loadShort, which is too large to be inlined
		} else {
			x = loadBytes(p, n)
		}
		return hashWord(x, n)
	}
	if n <= 16 {
		// Two words, which may overlap.
		return mix(mix(load64(p, 0)^mul0, load64(p, n-8)^mul1^uint64(n)*mul4)^mul2, mul3)
	}
	return hashLong(p, n)
}

// hashWord hashes a text of n ≤ 8 bytes, given as a number.
func hashWord(x uint64, n int) uint64 {
	return spread(mix(x^mul0, mul1^uint64(n)*mul4))
}

// hashStrings sets out[i] to the hash of the string at p + i·stride, short ones without a call.
//
//go:norace
//go:nocheckptr
func hashStrings(p unsafe.Pointer, stride uintptr, out []uint64) {
	var off uintptr
	for i := range out {
		s := *(*string)(unsafe.Add(p, off))
		off += stride
		q, n := unsafe.Pointer(unsafe.StringData(s)), len(s)
		if wideLoads && uint(n-1) < 8 && uintptr(q)&pageMask <= pageMask-7 {
			out[i] = hashWord(*(*uint64)(q)&(^uint64(0)>>((64-uint(n)*8)&63)), n) // as in loadShort
			continue
		}
		out[i] = hashMemory(q, n)
	}
}

// hashTexts is hashStrings that also sets words[i] to the word of each text; see TextWord. The two share the load.
//
//go:norace
//go:nocheckptr
func hashTexts(p unsafe.Pointer, stride uintptr, out, words []uint64) {
	var off uintptr
	words = words[:len(out)]
	for i := range out {
		s := *(*string)(unsafe.Add(p, off))
		off += stride
		q, n := unsafe.Pointer(unsafe.StringData(s)), len(s)
		if wideLoads && uint(n-1) < 7 && uintptr(q)&pageMask <= pageMask-7 {
			x := *(*uint64)(q) & (^uint64(0) >> ((64 - uint(n)*8) & 63)) // as in loadShort
			words[i] = x | uint64(n)<<56
			out[i] = hashWord(x, n)
			continue
		}
		words[i] = TextWord(s)
		out[i] = hashMemory(q, n)
	}
}

// TextWord returns the first seven bytes of a text and, in the highest byte, its length, 255 for all that are longer. Up to ShortText
// it stands for one text alone; up to MiddleText it does so together with TextTail. So a table sees that such keys are equal without
// following a pointer to their bytes.
func TextWord(s string) uint64 {
	n := len(s)
	return loadShort(unsafe.Pointer(unsafe.StringData(s)), min(n, 7)) | uint64(min(n, 255))<<56
}

// TextTail returns the last eight bytes of a text of 8 to 15 bytes.
func TextTail(s string) uint64 {
	return load64(unsafe.Pointer(unsafe.StringData(s[:8])), len(s)-8)
}

// The greatest words of texts of at most 7 and at most 15 bytes; see TextWord.
const (
	ShortText  = 8<<56 - 1
	MiddleText = 16<<56 - 1
)

func hashLong(p unsafe.Pointer, n int) uint64 {
	x := uint64(n) * mul4
	at := 0
	if n > 64 {
		y, z, w := x^mul1, x^mul2, x^mul3
		for ; n-at > 64; at += 64 {
			x = mix(load64(p, at)^mul0, load64(p, at+8)^x)
			y = mix(load64(p, at+16)^mul1, load64(p, at+24)^y)
			z = mix(load64(p, at+32)^mul2, load64(p, at+40)^z)
			w = mix(load64(p, at+48)^mul3, load64(p, at+56)^w)
		}
		x ^= mix(y^mul0, z^mul1) ^ w
	}
	for ; n-at > 16; at += 16 {
		x = mix(load64(p, at)^mul0, load64(p, at+8)^x)
	}
	// The last 16 bytes, which may overlap what was read before.
	return mix(mix(load64(p, n-16)^mul1, load64(p, n-8)^x)^mul2, mul3)
}

func hashFloat64(f float64) uint64 {
	switch {
	case f == 0:
		return HashUint64(0) // +0 and -0
	case f != f:
		return HashUint64(nanHash64)
	}
	return HashUint64(math.Float64bits(f))
}

func hashFloat32(f float32) uint64 {
	switch {
	case f == 0:
		return HashUint64(0)
	case f != f:
		return HashUint64(nanHash32)
	}
	return HashUint64(uint64(math.Float32bits(f)))
}

// combine adds the hash of the next field to h.
func combine(h, field uint64) uint64 { return mix(h^field^mul2, mul4) + field }

// hashName tells equal values of different dynamic types apart.
func hashName(name string, h uint64) uint64 {
	return combine(HashString(name), h)
}

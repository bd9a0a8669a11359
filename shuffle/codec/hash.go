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

// HashUint64 hashes an integer. KeysOf hashes integers of every width by it, sign-extended if they have a sign.
func HashUint64(x uint64) uint64 {
	h := mix(x^mul0, mul1)
	return h ^ h>>32
}

// HashBytes hashes b as KeysOf[string] hashes the same text.
func HashBytes(b []byte) uint64 { return hashMemory(unsafe.Pointer(unsafe.SliceData(b)), len(b)) }

// HashString hashes a text: eight bytes at a time, in up to four independent lanes, so that long texts are hashed at
// memory speed. The value is the same in every process and release.
func HashString(s string) uint64 { return hashMemory(unsafe.Pointer(unsafe.StringData(s)), len(s)) }

// hashMemory hashes the n bytes at p. Every load below stays within them.
func hashMemory(p unsafe.Pointer, n int) uint64 {
	var a, b uint64
	seed := uint64(n) * mul4
	switch {
	case n > 16:
		return hashLong(p, n)
	case n >= 8:
		a, b = load64(p, 0), load64(p, n-8)
	case n >= 4:
		a, b = uint64(load32(p, 0)), uint64(load32(p, n-4))
	case n > 0:
		// All bytes of 1, 2 and 3: first, middle, last.
		a = uint64(*(*byte)(p))<<16 | uint64(*(*byte)(unsafe.Add(p, n>>1)))<<8 | uint64(*(*byte)(unsafe.Add(p, n-1)))
	}
	return mix(mix(a^mul0, b^mul1^seed)^mul2, mul3)
}

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

func load64(p unsafe.Pointer, off int) uint64 { return *(*uint64)(unsafe.Add(p, off)) }
func load32(p unsafe.Pointer, off int) uint32 { return *(*uint32)(unsafe.Add(p, off)) }

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

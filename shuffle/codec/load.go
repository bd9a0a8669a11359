package codec

import "unsafe"

// pageMask cuts an address to its place in a page. Pages are 4 KiB or a multiple of that everywhere.
const pageMask = 4095

func load64(p unsafe.Pointer, off int) uint64 { return *(*uint64)(unsafe.Add(p, off)) }
func load32(p unsafe.Pointer, off int) uint32 { return *(*uint32)(unsafe.Add(p, off)) }

// loadShort returns the n bytes at p, n ≤ 8, as a little-endian number: the texts of most keys. Where wideLoads allows, it loads
// eight bytes and drops those past the end, which spares the branches on n that no processor predicts. That holds because
// memory is mapped by pages, so a load that starts at a readable byte and stays in its page cannot fault, and because the foreign
// bytes don't reach the result; the Go runtime hashes and compares strings in the same way.
//
//go:norace
//go:nocheckptr
func loadShort(p unsafe.Pointer, n int) uint64 {
	if wideLoads && n > 0 && uintptr(p)&pageMask <= pageMask-7 {
		return *(*uint64)(p) & (^uint64(0) >> ((64 - uint(n)*8) & 63))
	}
	return loadBytes(p, n)
}

// loadBytes is loadShort within the n bytes, n ≤ 8.
func loadBytes(p unsafe.Pointer, n int) uint64 {
	switch {
	case n == 8:
		return load64(p, 0)
	case n >= 4:
		// The two words overlap in equal bytes.
		return uint64(load32(p, 0)) | uint64(load32(p, n-4))<<(uint(n-4)*8&63)
	case n > 0:
		first, middle, last := *(*byte)(p), *(*byte)(unsafe.Add(p, n>>1)), *(*byte)(unsafe.Add(p, n-1))
		return uint64(first) | uint64(middle)<<(uint(n>>1)*8&63) | uint64(last)<<(uint(n-1)*8&63)
	}
	return 0 // p may be nil
}

// copySlack is how many bytes after a text's end copyText may overwrite.
const copySlack = 16

// copyText copies the n bytes at src to dst. The copySlack bytes at dst+n must be the caller's too; what they hold is lost.
//
//go:norace
//go:nocheckptr
func copyText(dst, src unsafe.Pointer, n int) {
	if n == 0 {
		return // src may be nil
	}
	if wideLoads && n <= 16 && uintptr(src)&pageMask <= pageMask-15 {
		// As in loadShort: the load stays in its page.
		*(*[2]uint64)(dst) = *(*[2]uint64)(src)
		return
	}
	copy(unsafe.Slice((*byte)(dst), n), unsafe.Slice((*byte)(src), n))
}

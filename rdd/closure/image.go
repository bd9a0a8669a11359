package closure

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"unsafe"
)

// marker is the anchor between the running program and its file: it is a string
// constant, so it lies in the read-only data of both, and the difference of its
// two addresses is where the program was loaded.
const marker = "spark-go/rdd/closure: anchor 5f1b7c0de49a4d3f8a26b91e03c7d854"

// section is one section of an executable file.
type section struct {
	name       string
	addr, size uint64 // as linked
	data       io.ReaderAt
}

func (s section) contains(addr, size uint64) bool {
	return addr >= s.addr && addr-s.addr <= s.size && size <= s.size-(addr-s.addr)
}

// layout is what the codec needs to know of an executable file.
type layout struct {
	text     []section // machine code
	readonly []section // constants, type descriptors, static function values
}

// image is the running program as seen through its file. Addresses in it are
// those of the file ("linked"); at turns one into a pointer.
type image struct {
	layout
	anchor     unsafe.Pointer // the marker in memory
	anchorAddr uint64         // the marker in the file
	low, high  uint64         // all read-only sections lie between these
}

// loadImage reads the layout of the running executable once.
var loadImage = sync.OnceValues(func() (*image, error) {
	f, err := openExecutable()
	if err != nil {
		return nil, fmt.Errorf("open the running executable: %w", err)
	}
	defer f.Close()
	l, err := readLayout(f)
	if err != nil {
		return nil, fmt.Errorf("read the sections of the running executable: %w", err)
	}
	im := &image{layout: l, anchor: unsafe.Pointer(unsafe.StringData(marker)), low: math.MaxUint64}
	for _, s := range l.readonly {
		im.low, im.high = min(im.low, s.addr), max(im.high, s.addr+s.size)
	}
	im.anchorAddr, err = l.find(marker)
	if err != nil {
		return nil, fmt.Errorf("match the running program with its executable: %w", err)
	}
	for _, p := range []unsafe.Pointer{typePointer(reflect.TypeFor[image]()), funcPointer(Digest)} {
		if !im.holds(p) {
			return nil, errors.New("match the running program with its executable: a known type or function is not in the file's read-only sections: is the file packed or replaced?")
		}
	}
	return im, nil
})

// find returns the address of a string in the read-only sections.
func (l layout) find(s string) (uint64, error) {
	buf := make([]byte, 1<<20)
	for _, sec := range l.readonly {
		for off := uint64(0); off+uint64(len(s)) <= sec.size; {
			n, err := sec.data.ReadAt(buf[:min(uint64(len(buf)), sec.size-off)], int64(off))
			if err != nil && (err != io.EOF || n == 0) {
				return 0, fmt.Errorf("read section %s: %w", sec.name, err)
			}
			if i := bytes.Index(buf[:n], []byte(s)); i >= 0 {
				return sec.addr + off + uint64(i), nil
			}
			if n < len(s) {
				break
			}
			off += uint64(n - len(s) + 1)
		}
	}
	return 0, errors.New("the marker string is not in its read-only sections: is the file packed or replaced?")
}

// link returns the address in the file of p.
func (im *image) link(p unsafe.Pointer) uint64 {
	return im.anchorAddr + uint64(uintptr(p)) - uint64(uintptr(im.anchor))
}

// at returns the pointer to a linked address, which the caller has checked to
// lie in one of the image's sections. The image is never moved or unmapped.
func (im *image) at(addr uint64) unsafe.Pointer {
	return unsafe.Add(im.anchor, int(addr-im.anchorAddr))
}

// inReadonly says whether size bytes at a linked address are read-only data.
func (im *image) inReadonly(addr, size uint64) bool {
	for i := range im.readonly {
		if im.readonly[i].contains(addr, size) {
			return true
		}
	}
	return false
}

// holds says whether p points to a word in the image's read-only data.
func (im *image) holds(p unsafe.Pointer) bool {
	addr := im.link(p)
	return addr >= im.low && addr < im.high && im.inReadonly(addr, uint64(unsafe.Sizeof(uintptr(0))))
}

// typelinks returns, for each module of the program, where its type descriptors
// start and the offsets of those that are in its type table. The runtime keeps
// it reachable for packages such as this, with this signature, by promise (see
// runtime.reflect_typelinks). The same table in the file would not do: an
// external linker merges its section with others in position-independent
// programs, and later releases than Go 1.26 do not write one.
//
//go:linkname typelinks reflect.typelinks
func typelinks() (sections []unsafe.Pointer, offsets [][]int32)

// loadTypes returns the linked addresses of all type descriptors of the image
// that a value can have, sorted. Every named type T has *T in the type table,
// and every unnamed one (but for interfaces, which no value has as its dynamic
// type) is in it itself; so the table and what its pointer types point to is
// all of them. Nothing outside this set is ever used as a type.
var loadTypes = sync.OnceValues(func() ([]uint64, error) {
	im, err := loadImage()
	if err != nil {
		return nil, err
	}
	sections, offsets := typelinks()
	var types []uint64
	for i, base := range sections {
		for _, off := range offsets[i] {
			p := unsafe.Add(base, off)
			if !im.holds(p) {
				continue // of a plugin, which other processes may not have loaded
			}
			types = append(types, im.link(p))
			if t := typeAt(p); t.Kind() == reflect.Pointer {
				if e := typePointer(t.Elem()); im.holds(e) {
					types = append(types, im.link(e))
				}
			}
		}
	}
	slices.Sort(types)
	types = slices.Compact(types)
	for _, t := range []reflect.Type{reflect.TypeFor[image](), reflect.TypeFor[*layout](), reflect.TypeFor[int](), reflect.TypeFor[[]byte]()} {
		if _, ok := slices.BinarySearch(types, im.link(typePointer(t))); !ok {
			return nil, fmt.Errorf("list the types of the executable: %s is missing: the type table of %s is not understood: build with go1.26", t, runtime.Version())
		}
	}
	return types, nil
})

// words is the layout of an interface value: its type (or method table) and its
// data. reflect itself relies on it; it has not changed since Go 1.4.
type words struct{ tab, data unsafe.Pointer }

// typePointer returns the address of a type descriptor: a reflect.Type holds a
// *rtype, which is that address.
func typePointer(t reflect.Type) unsafe.Pointer {
	return (*words)(unsafe.Pointer(&t)).data
}

// typeAt is the inverse of typePointer. p must be the address of a descriptor.
func typeAt(p unsafe.Pointer) reflect.Type {
	var v any
	(*words)(unsafe.Pointer(&v)).tab = p
	return reflect.TypeOf(v)
}

// funcPointer returns the function value of f, which must be a func: functions
// are pointer-shaped, so the interface's data word is the function value, a
// pointer to a record that starts with the code's address.
func funcPointer(f any) unsafe.Pointer {
	return (*words)(unsafe.Pointer(&f)).data
}

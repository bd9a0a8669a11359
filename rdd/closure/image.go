package closure

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
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
	typelink section   // 32-bit offsets of type descriptors from the first of them
}

// image is the running program as seen through its file. Addresses in it are
// those of the file ("linked"); at turns one into a pointer.
type image struct {
	layout
	anchor     unsafe.Pointer // the marker in memory
	anchorAddr uint64         // the marker in the file
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
	im := &image{layout: l, anchor: unsafe.Pointer(unsafe.StringData(marker))}
	im.anchorAddr, err = l.find(marker)
	if err != nil {
		return nil, fmt.Errorf("match the running program with its executable: %w", err)
	}
	// The file is closed from here on; the type offsets are all that is still needed of it.
	links := make([]byte, l.typelink.size)
	if _, err := io.ReadFull(io.NewSectionReader(l.typelink.data, 0, int64(l.typelink.size)), links); err != nil {
		return nil, fmt.Errorf("read the type table of the running executable: %w", err)
	}
	im.typelink.data = bytes.NewReader(links)
	for _, p := range []unsafe.Pointer{typePointer(reflect.TypeFor[anchorA]()), funcPointer(Digest)} {
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
	return im.inReadonly(im.link(p), uint64(unsafe.Sizeof(uintptr(0))))
}

// descriptor is the head of a run-time type descriptor. Of it only ptrToThis is
// read, and only of the two anchor types, to learn where offsets in the type
// table count from.
type descriptor struct {
	size, ptrBytes uintptr
	hash           uint32
	flags          [4]uint8
	equal, gcData  unsafe.Pointer
	str, ptrToThis int32
}

type (
	anchorA struct{ _ int }
	anchorB struct{ _ string }
)

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
	base := func(t reflect.Type) uint64 {
		d := (*descriptor)(typePointer(t))
		return im.link(typePointer(reflect.PointerTo(t))) - uint64(d.ptrToThis)
	}
	a, b := base(reflect.TypeFor[anchorA]()), base(reflect.TypeFor[anchorB]())
	if a != b || !im.inReadonly(a, 8) {
		return nil, fmt.Errorf("find the type descriptors: the layout of %s is not known to this version: build with go1.26", runtime.Version())
	}
	links := make([]byte, im.typelink.size)
	if _, err := im.typelink.data.ReadAt(links, 0); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read the type table: %w", err)
	}
	size := uint64(unsafe.Sizeof(descriptor{}))
	types := make([]uint64, 0, len(links)/4*3/2)
	for ; len(links) >= 4; links = links[4:] {
		addr := a + uint64(int32(binary.NativeEndian.Uint32(links)))
		if addr%8 != 0 || !im.inReadonly(addr, size) {
			return nil, fmt.Errorf("read the type table: entry %#x is outside the read-only sections: the layout of %s is not known to this version: build with go1.26", addr, runtime.Version())
		}
		types = append(types, addr)
		if t := typeAt(im.at(addr)); t.Kind() == reflect.Pointer {
			if e := typePointer(t.Elem()); im.holds(e) {
				types = append(types, im.link(e))
			}
		}
	}
	slices.Sort(types)
	types = slices.Compact(types)
	for _, t := range []reflect.Type{reflect.TypeFor[anchorA](), reflect.TypeFor[*anchorB](), reflect.TypeFor[int]()} {
		if _, ok := slices.BinarySearch(types, im.link(typePointer(t))); !ok {
			return nil, fmt.Errorf("read the type table: %s is not in it: the layout of %s is not known to this version: build with go1.26", t, runtime.Version())
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

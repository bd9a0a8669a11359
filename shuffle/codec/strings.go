package codec

import (
	"encoding/binary"
	"unsafe"
)

// stringColumn holds texts: their lengths, then all bytes end to end.
type stringColumn struct{}

func (stringColumn) encode(_ *encoder, dst []byte, v vec) ([]byte, error) {
	var total, longest uint64
	for _, r := range v.runs {
		s := v.off
		for range r.n {
			l := uint64(len(*(*string)(unsafe.Add(r.p, s))))
			total += l
			longest = max(longest, l)
			s += v.stride
		}
	}
	w := widthOf(longest)
	dst = append(dst, byte(w))
	dst = binary.AppendUvarint(dst, total)
	at := len(dst)
	dst = extend(dst, v.n*w+int(total))
	// The caller must not change rows while they are encoded; if it does, the checks of slicing below panic
	// in the caller's own goroutine rather than write outside dst.
	lens, text := dst[at:at+v.n*w], dst[at+v.n*w:]
	i := 0
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			s := *(*string)(unsafe.Add(r.p, off))
			off += v.stride
			switch w {
			case 1:
				lens[i] = byte(len(s))
			case 2:
				binary.LittleEndian.PutUint16(lens[2*i:], uint16(len(s)))
			case 4:
				binary.LittleEndian.PutUint32(lens[4*i:], uint32(len(s)))
			default:
				binary.LittleEndian.PutUint64(lens[8*i:], uint64(len(s)))
			}
			i++
			text = text[copyText(text, s):]
		}
	}
	return dst, nil
}

// copyText copies s to the start of dst, which must hold it, and returns len(s). Texts up to 16 bytes are moved as two
// words that may overlap, which costs a third of a call to memmove.
func copyText(dst []byte, s string) int {
	n := len(s)
	if n > 16 {
		return copy(dst[:n], s)
	}
	dst = dst[:n]
	p := unsafe.Pointer(unsafe.StringData(s))
	q := unsafe.Pointer(unsafe.SliceData(dst))
	// Every access below stays within the n bytes at p and q.
	switch {
	case n >= 8:
		a, b := *(*uint64)(p), *(*uint64)(unsafe.Add(p, n-8))
		*(*uint64)(q), *(*uint64)(unsafe.Add(q, n-8)) = a, b
	case n >= 4:
		a, b := *(*uint32)(p), *(*uint32)(unsafe.Add(p, n-4))
		*(*uint32)(q), *(*uint32)(unsafe.Add(q, n-4)) = a, b
	case n > 0:
		dst[0], dst[n>>1], dst[n-1] = s[0], s[n>>1], s[n-1]
	}
	return n
}

func (stringColumn) decode(d *decoder, p unsafe.Pointer, stride uintptr, n int) error {
	l, text, err := d.texts(n)
	if err != nil {
		return err
	}
	all := string(text) // the one copy: the column's strings are substrings of it
	at, off := 0, uintptr(0)
	if l.w == 1 {
		for _, c := range l.b {
			end := at + int(c)
			if end > len(all) {
				return corrupt("texts longer than their column")
			}
			*(*string)(unsafe.Add(p, off)) = all[at:end]
			at = end
			off += stride
		}
	} else {
		for i := range n {
			c := l.at(i)
			if c > uint64(len(all)-at) {
				return corrupt("texts longer than their column")
			}
			end := at + int(c)
			*(*string)(unsafe.Add(p, off)) = all[at:end]
			at = end
			off += stride
		}
	}
	if at != len(all) {
		return corrupt("texts shorter than their column")
	}
	return nil
}

// texts reads the head of a column of texts: width byte, total, n lengths, total bytes.
func (d *decoder) texts(n int) (lens, []byte, error) {
	if len(d.buf) == 0 {
		return lens{}, nil, corrupt("no lengths")
	}
	w := d.buf[0]
	if w != 1 && w != 2 && w != 4 && w != 8 {
		return lens{}, nil, corrupt("lengths of %d bytes", w)
	}
	d.buf = d.buf[1:]
	total, err := d.uvarint()
	if err != nil {
		return lens{}, nil, err
	}
	if uint64(n) > uint64(len(d.buf))/uint64(w) {
		return lens{}, nil, corrupt("%d lengths of %d bytes, %d bytes present", n, w, len(d.buf))
	}
	b, err := d.take(uint64(n) * uint64(w))
	if err != nil {
		return lens{}, nil, err
	}
	text, err := d.take(total)
	return lens{b, int(w)}, text, err
}

func (stringColumn) heap(p unsafe.Pointer, _ *int) int64 { return int64(len(*(*string)(p))) }

package codec

import (
	"encoding/binary"
	"errors"
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
	size := v.n*w + int(total)
	dst = extend(dst, size+copySlack)
	lens, text := dst[at:at+v.n*w], unsafe.Pointer(&dst[at+v.n*w])
	i, done := 0, 0
	for _, r := range v.runs {
		off := v.off
		for range r.n {
			s := *(*string)(unsafe.Add(r.p, off))
			off += v.stride
			if len(s) > int(total)-done {
				// Nothing may be written past the room that was measured.
				return nil, errors.New("codec: encode rows: a text grew meanwhile: rows must not change while they are encoded")
			}
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
			// done+len(s) ≤ total, and copySlack bytes follow.
			copyText(unsafe.Add(text, done), unsafe.Pointer(unsafe.StringData(s)), len(s))
			done += len(s)
		}
	}
	return dst[:at+size], nil
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

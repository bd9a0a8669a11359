package closure

import (
	"debug/macho"
	"errors"
	"io"
)

// readMachO returns the layout of a Mach-O executable. __DATA_CONST is writable
// only while the program is loaded.
func readMachO(r io.ReaderAt) (layout, error) {
	f, err := macho.NewFile(r)
	if err != nil {
		return layout{}, err
	}
	const (
		typeMask = 0xff // of a section's flags: its kind
		zeroFill = 1
	)
	var l layout
	for _, s := range f.Sections {
		if s.Size == 0 || s.Flags&typeMask == zeroFill {
			continue
		}
		sec := section{name: s.Seg + "," + s.Name, addr: s.Addr, size: s.Size, data: s.ReaderAt}
		switch {
		case s.Name == "__text":
			l.text = append(l.text, sec)
		case s.Name == "__typelink":
			l.typelink = sec
		case s.Seg == "__TEXT" && s.Name == "__rodata", s.Seg == "__DATA_CONST":
			l.readonly = append(l.readonly, sec)
		}
	}
	if len(l.text) == 0 || len(l.readonly) == 0 || l.typelink.size == 0 {
		return layout{}, errors.New("it has no sections for its code, read-only data and type table: build it with go build, without packers")
	}
	return l, nil
}

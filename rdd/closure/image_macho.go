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
		kindMask     = 0xff // of a section's flags
		zeroFill     = 1
		instructions = 0x80000400 // pure, or some
	)
	var l layout
	for _, s := range f.Sections {
		if s.Size == 0 || s.Flags&kindMask == zeroFill {
			continue
		}
		sec := section{name: s.Seg + "," + s.Name, addr: s.Addr, size: s.Size, data: s.ReaderAt}
		switch {
		case s.Flags&instructions != 0:
			l.text = append(l.text, sec)
		case s.Seg == "__TEXT", s.Seg == "__DATA_CONST":
			l.readonly = append(l.readonly, sec)
		}
	}
	if len(l.text) == 0 || len(l.readonly) == 0 {
		return layout{}, errors.New("it has no sections for its code and read-only data: build it with go build, without packers")
	}
	return l, nil
}

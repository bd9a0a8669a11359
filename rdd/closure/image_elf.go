package closure

import (
	"debug/elf"
	"errors"
	"io"
	"strings"
)

// readELF returns the layout of an ELF executable. Position-independent
// programs keep pointers, and with them type descriptors and static function
// values, in .data.rel.ro*, or since Go 1.27 in .go.*, which are writable only while the program is loaded.
func readELF(r io.ReaderAt) (layout, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return layout{}, err
	}
	var l layout
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type == elf.SHT_NOBITS || s.Size == 0 || s.Flags&(elf.SHF_TLS|elf.SHF_COMPRESSED) != 0 {
			continue
		}
		sec := section{name: s.Name, addr: s.Addr, size: s.Size, data: s.ReaderAt}
		switch {
		case s.Flags&elf.SHF_EXECINSTR != 0:
			l.text = append(l.text, sec)
		case s.Flags&elf.SHF_WRITE == 0, strings.HasPrefix(s.Name, ".data.rel.ro"), s.Name == ".go.type", s.Name == ".go.func":
			l.readonly = append(l.readonly, sec)
		}
	}
	if len(l.text) == 0 || len(l.readonly) == 0 {
		return layout{}, errors.New("it has no section headers for its code and read-only data: build it with go build (its -ldflags \"-s -w\" and strip are fine), without packers")
	}
	return l, nil
}

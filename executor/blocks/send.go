package blocks

import (
	"io"
	"net"
	"os"
	"sync"
)

// pieces are buffers for what sendfile cannot send: encrypted connections write large pieces at once.
var pieces = sync.Pool{New: func() any {
	b := make([]byte, 256<<10)
	return &b
}}

// copyFilePiece sends up to n bytes of a file from offset on, and returns how many.
func copyFilePiece(nc net.Conn, f *os.File, offset, n int64) (int64, error) {
	buf := pieces.Get().(*[]byte)
	defer pieces.Put(buf)
	read, err := f.ReadAt((*buf)[:min(n, int64(len(*buf)))], offset)
	if read == 0 {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	sent, err := nc.Write((*buf)[:read])
	return int64(sent), err
}

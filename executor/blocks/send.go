package blocks

import (
	"io"
	"net"
	"os"
)

// copyFilePiece sends n bytes of a file from offset on.
func copyFilePiece(nc net.Conn, f *os.File, offset, n int64) (int64, error) {
	sent, err := io.Copy(nc, io.NewSectionReader(f, offset, n))
	if err == nil && sent < n {
		err = io.ErrUnexpectedEOF
	}
	return sent, err
}

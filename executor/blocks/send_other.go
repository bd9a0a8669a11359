//go:build !linux

package blocks

import (
	"net"
	"os"
)

func sendFilePiece(nc net.Conn, f *os.File, offset, n int64) (int64, error) {
	return copyFilePiece(nc, f, offset, n)
}

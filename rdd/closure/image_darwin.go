package closure

import (
	"io"
	"os"
)

// openExecutable opens the file that this process was started from.
func openExecutable() (*os.File, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

func readLayout(r io.ReaderAt) (layout, error) { return readMachO(r) }

//go:build !linux && !darwin

package closure

import (
	"errors"
	"io"
	"os"
	"runtime"
)

func openExecutable() (*os.File, error) {
	return nil, errors.New("shipping functions is not supported on " + runtime.GOOS + ": use linux or darwin")
}

func readLayout(io.ReaderAt) (layout, error) { return layout{}, errors.ErrUnsupported }

package host

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// lifelineFD is the lifeline's descriptor in the child: the first after standard error.
const lifelineFD = 3

// maxSpec bounds what a child reads as its specification.
const maxSpec = 4 << 20

// newLifeline makes a pair of connected sockets: one end stays with the parent, the other goes to a child. The parent sends the
// child's specification, and then nothing: each side reads until the other one has ended.
func newLifeline() (parent, child *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("make a lifeline: %w", err)
	}
	// Not blocking, so that Close interrupts a Read in this process.
	if err := syscall.SetNonblock(fds[0], true); err != nil {
		_ = syscall.Close(fds[0])
		_ = syscall.Close(fds[1])
		return nil, nil, fmt.Errorf("make a lifeline: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "lifeline"), os.NewFile(uintptr(fds[1]), "lifeline"), nil
}

// sendSpec writes a specification to a child.
func sendSpec(line *os.File, spec any) error {
	body, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("write specification: %w", err)
	}
	if err := line.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return fmt.Errorf("send specification: %w", err)
	}
	if _, err := line.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		return fmt.Errorf("send specification: %w", err)
	}
	return nil
}

// takeLifeline takes the inherited end and reads the specification from it.
func takeLifeline(spec any) (*os.File, error) {
	syscall.CloseOnExec(lifelineFD)
	if err := syscall.SetNonblock(lifelineFD, true); err != nil {
		return nil, fmt.Errorf("take the lifeline: %w", err)
	}
	line := os.NewFile(lifelineFD, "lifeline")
	err := readSpec(line, spec)
	if err != nil {
		line.Close()
		return nil, err
	}
	return line, nil
}

func readSpec(line *os.File, spec any) error {
	if err := line.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	var size [4]byte
	if _, err := io.ReadFull(line, size[:]); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxSpec {
		return errors.New("read specification: it is too long to be one")
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(line, body); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	if err := json.Unmarshal(body, spec); err != nil {
		return fmt.Errorf("read specification: %w", err)
	}
	return line.SetReadDeadline(time.Time{})
}

// awaitEnd returns when the other end of a lifeline has ended, or this one was closed. What arrives before that is given to got.
func awaitEnd(line *os.File, got func(byte)) {
	var b [1]byte
	for {
		n, err := line.Read(b[:])
		if n == 1 && got != nil {
			got(b[0])
		}
		if err != nil {
			return
		}
	}
}

package host

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle"
)

// Spec is what a host needs to know when it starts. It travels through the lifeline.
type Spec struct {
	App      string          // the application, for logs
	Host     string          // the host's identity at the driver; never used twice
	Executor string          // the job processes are Executor.1, Executor.2, …
	Driver   string          // address of the driver's listener
	Secret   protocol.Secret // of the application
	Args     []string        // of the user's program, without its name
	Binary   Executable      // what job processes run
	Cores    int
	Memory   int64 // bytes

	// Disk is the identity of the disks that hold DataDirs: processes with the same one open each other's map outputs
	// themselves instead of asking the block server. Usually the host's identity, or the machine's.
	Disk    string
	SockDir string // where sockets are made; exists, private
	// DataDirs are for map outputs and spills, on one or more disks: made, as far as that is possible, and removed by the host.
	DataDirs []string
	Orphan   []string // folders to remove as well when the driver has died

	// Listen is the address of the block server; empty means a socket in SockDir, whose connections are encrypted if Encrypt is set.
	// Job processes serve at any free port of the same host.
	Listen  string
	Encrypt bool
	// Timeout is spark.network.timeout: how long a block server or one of its clients may neither send nor take anything; 0 means 120 s.
	Timeout time.Duration

	// Command is put before the executable and its arguments, such as `nsenter --net=/run/netns/a`; it is to become them, as exec does.
	Command []string `json:"-"`

	// MaxExits in ExitWindow is how many ends of job processes the host bears before it launches no more; 0 means 10 a minute.
	MaxExits   int
	ExitWindow time.Duration
}

// maxUnregistered is how many job processes in a row may end before they registered: a fourth would not fare better.
const maxUnregistered = 3

// jobSpec is what a job process needs to know; from the host, through the lifeline.
type jobSpec struct {
	App      string
	Executor string
	Host     string
	Epoch    int
	Driver   string
	Secret   protocol.Secret
	Cores    int
	Memory   int64
	Location shuffle.Location
	Binary   Executable
	Listen   string // for named blocks
	Timeout  time.Duration
	DataDirs []string
	Spills   string          // the folder of this job process in them
	Control  protocol.Secret // of the control channel: made by the host for this job process and never stored
}

// Executable identifies the file that a process runs.
type Executable struct {
	Path     string
	Device   uint64
	Inode    uint64
	Size     int64
	Modified int64  // nanoseconds since 1970
	Digest   string // SHA-256 in hexadecimal, if it is known
}

// Self returns the executable of this process, without its digest.
func Self() (Executable, error) {
	path, err := os.Executable()
	if err != nil {
		return Executable{}, fmt.Errorf("find this program's executable: %w", err)
	}
	e, err := stat(path)
	if err != nil {
		return Executable{}, fmt.Errorf("find this program's executable: %w: it was removed or replaced since the start; build it again and run that", err)
	}
	return e, nil
}

// stat identifies the file at path.
func stat(path string) (Executable, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Executable{}, err
	}
	e := Executable{Path: path, Size: info.Size(), Modified: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		e.Device, e.Inode = uint64(st.Dev), st.Ino //nolint:unconvert // it is an int32 on macOS
	}
	return e, nil
}

// sameFile reports whether two identities are those of one file that was not changed in between.
func (e Executable) sameFile(o Executable) bool {
	e.Digest, o.Digest = "", ""
	return e == o
}

// Hash computes the digest of the file.
func (e Executable) Hash() (string, error) {
	f, err := os.Open(e.Path)
	if err != nil {
		return "", fmt.Errorf("compute the executable's digest: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, f, make([]byte, 256<<10)); err != nil {
		return "", fmt.Errorf("compute the digest of %s: %w", e.Path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ownDigest is the digest of this process's executable. A parent that has just checked it saves the work: the file is the same one.
var ownDigest = sync.OnceValues(func() (string, error) {
	self, err := Self()
	if err != nil {
		return "", err
	}
	return self.Hash()
})

func digestOf(known Executable) (string, error) {
	if known.Digest != "" {
		if self, err := Self(); err == nil && self.sameFile(known) {
			return known.Digest, nil
		}
	}
	return ownDigest()
}

package host

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A root is a private folder of one application: its sockets, and the hosts' folders. Every process that uses one holds a shared
// lock on a file in it. A root that nobody holds belongs to an application whose processes were all killed at once: the next
// application removes it.
const (
	rootPrefix = "sparkgo-" // short: the paths of sockets are limited to about a hundred bytes
	lockName   = "lock"
)

// Root is a held root.
type Root struct {
	Dir  string
	lock *os.File
}

// NewRoot makes a root in dir, and removes those that died there.
func NewRoot(dir string) (*Root, error) {
	sweepRoots(dir)
	for range 100 {
		path := filepath.Join(dir, rootPrefix+rand.Text()[:8])
		err := os.Mkdir(path, 0o700)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("make the application's folder: %w: set spark.local.dir to a place that can be written", err)
		}
		// Locked before it has the name that others look for.
		lock, err := lockFile(filepath.Join(path, "new"), syscall.LOCK_SH)
		if err == nil {
			err = os.Rename(filepath.Join(path, "new"), filepath.Join(path, lockName))
		}
		if err != nil {
			os.RemoveAll(path)
			return nil, fmt.Errorf("lock the application's folder: %w", err)
		}
		return &Root{Dir: path, lock: lock}, nil
	}
	return nil, fmt.Errorf("make the application's folder in %s: all names are taken", dir)
}

// holdRoot holds a root that another process made.
func holdRoot(dir string) (*Root, error) {
	lock, err := lockFile(filepath.Join(dir, lockName), syscall.LOCK_SH|syscall.LOCK_NB)
	if err != nil {
		return nil, fmt.Errorf("hold the application's folder: %w", err)
	}
	return &Root{Dir: dir, lock: lock}, nil
}

// Release lets go of the root.
func (r *Root) Release() { r.lock.Close() }

// Remove removes the root with everything in it and lets go of it.
func (r *Root) Remove() error {
	err := os.RemoveAll(r.Dir)
	r.lock.Close()
	if err != nil {
		return fmt.Errorf("remove the application's folder: %w", err)
	}
	return nil
}

func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return f, nil
}

// sweepRoots removes roots in dir that nobody holds. What it cannot look at it leaves alone.
func sweepRoots(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), rootPrefix) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Getuid() {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if err := os.RemoveAll(path); err == nil {
				slog.Info("removed the folder of an application that was killed", "folder", path)
			}
		}
		lock.Close()
	}
}

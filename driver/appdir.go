package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const appDirPrefix = "spark-go-"

// makeAppDir makes the application's private directory below root. It holds a lock that ends with the process, by which the
// next application knows what a killed one left behind, and removes it.
func makeAppDir(root string) (dir string, lock *os.File, err error) {
	if root == "" {
		root = os.TempDir()
	}
	removeLeftovers(root)
	if dir, err = os.MkdirTemp(root, appDirPrefix); err != nil {
		return "", nil, fmt.Errorf("make the application's directory: %w: set spark.local.dir to a place that can be written", err)
	}
	if lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("lock the application's directory: %w", err)
	}
	return dir, lock, nil
}

// removeLeftovers removes the directories of applications that were killed: those whose lock nobody holds.
func removeLeftovers(root string) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), appDirPrefix) {
			continue
		}
		f, err := os.OpenFile(filepath.Join(root, e.Name(), "lock"), os.O_RDWR, 0)
		if err != nil {
			continue // not ours, or just being made
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			os.RemoveAll(filepath.Join(root, e.Name()))
		}
		f.Close()
	}
}

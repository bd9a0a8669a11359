package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// full lets each directory hold so many bytes in all files ever written there.
type full map[string]int

func (f full) fault(path string, n int) error {
	for dir := range f {
		if strings.HasPrefix(path, dir+"/") {
			if f[dir] -= n; f[dir] < 0 {
				return syscall.ENOSPC
			}
		}
	}
	return nil
}

func TestFileMovesToADiskWithRoom(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	room := full{a: 3 << 20}
	d := Faulty(room.fault, a, b).Sub("spill-1")
	f, err := d.Create("spill file", "folder/x.spill")
	if err != nil {
		t.Fatal(err)
	}
	want := []byte(nil)
	for i := range 50 {
		p := bytes.Repeat([]byte{byte(i)}, 100_000)
		if _, err := f.Write(p); err != nil {
			t.Fatal(err)
		}
		want = append(want, p...)
	}
	if f.Dir() != filepath.Join(b, "spill-1") || f.Name() != filepath.Join(b, "spill-1/folder/x.spill") || f.Size() != int64(len(want)) {
		t.Errorf("the file lies in %s as %s, %d bytes", f.Dir(), f.Name(), f.Size())
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes are not what was written: %v", len(got), err)
	}
	if _, err := os.Stat(filepath.Join(a, "spill-1/folder/x.spill")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the full disk still holds the file: %v", err)
	}
	// For a minute all files go to the other one, then they take turns again.
	now := time.Now()
	d.now = func() time.Time { return now }
	for i, want := range []string{b, b, b} {
		if g := create(t, d); g != want {
			t.Errorf("file %d after the disk was full is in %s", i, g)
		}
	}
	now, room[a] = now.Add(avoided), 3<<20
	if g, h := create(t, d), create(t, d); g == h {
		t.Errorf("after a minute files are in %s and %s", g, h)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	f.Remove()
	if err := d.RemoveAll(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{a, b} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v %v", dir, left, err)
		}
	}
}

// create makes a file and tells in which directory.
func create(t *testing.T, d *Dirs) string {
	t.Helper()
	f, err := d.Create("map output", "y")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Remove()
	return filepath.Dir(f.Dir())
}

func TestNoDiskTakesTheFile(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	d := Faulty(full{a: 1000, b: 1500}.fault, a, b)
	f, err := d.Create("map output", "x")
	for err == nil {
		_, err = f.Write(make([]byte, 100))
	}
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, syscall.ENOSPC) || !Full(err) || len(e.Disks) != 2 || e.Written != f.Size() || e.Disks[0].Size == 0 {
		t.Fatalf("%#v", err)
	}
	for _, part := range []string{"write map output " + f.Name(), "no space left on device, after 1500 bytes of it", "the disk of " + a + " has ", "the disk of " + b + " has ", " free", "spark.local.dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %q", part, err)
		}
	}
	if strings.Count(err.Error(), f.Name()) != 1 {
		t.Errorf("the path is there more than once: %q", err)
	}
	if !d.Note(fmt.Errorf("sort: %w", err)) {
		t.Error("a task that no disk takes may as well be tried here again")
	}
	f.Remove()
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(a), "*", "x")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	// The next task tries again, where the failure is longest ago.
	if g := create(t, New(a, b)); g == "" {
		t.Error("no place")
	}
}

func TestNotesWhatOthersMeet(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	d := New(a, b)
	for _, err := range []error{nil, io.EOF, syscall.ENOSPC, &fs.PathError{Path: a + "/x", Err: syscall.EIO}, &fs.PathError{Path: "/elsewhere/x", Err: syscall.ENOSPC}} {
		if d.Note(err) {
			t.Errorf("%v: all disks are full", err)
		}
	}
	if d.Note(&fs.PathError{Path: a + "/x", Err: syscall.ENOSPC}) {
		t.Error("one full disk of two is all")
	}
	for range 4 {
		if p, err := d.Sub("task").Place(); err != nil || p != b+"/task" {
			t.Errorf("place %s, %v", p, err)
		}
	}
	if !d.Note(&fs.PathError{Path: b + "/x", Err: syscall.EDQUOT}) {
		t.Error("two full disks of two are not all")
	}
}

func TestPlacesThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(file).Place(); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "spark.local.dir") {
		t.Error(err)
	}
	if _, err := New(file).Create("map output", "x"); err == nil || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
	good := t.TempDir()
	f, err := New(file, good).Create("map output", "x")
	if err != nil || f.Dir() != good {
		t.Fatal(f, err)
	}
	f.Remove()
}

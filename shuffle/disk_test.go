package shuffle

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/spark-go/spark-go/shuffle/disk"
)

// small has the first directory hold so many bytes in all files ever written there, and the others any number.
func small(bytes int, dirs ...string) *disk.Dirs {
	return disk.Faulty(func(path string, n int) error {
		if !strings.HasPrefix(path, dirs[0]+"/") {
			return nil
		}
		if bytes -= n; bytes < 0 {
			return syscall.ENOSPC
		}
		return nil
	}, dirs...)
}

func leftIn(t *testing.T, dirs ...string) (files []string) {
	t.Helper()
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// A disk that is full in the middle of a spill or a map output changes no row where there is another one, and is an error without a file
// left where there is none.
func TestFullDisk(t *testing.T) {
	lowerFloor(t, 64<<10)
	rows := floatRows(20_000, 20_000)
	a, b := t.TempDir(), t.TempDir()
	sum := Aggregator[float64, float64](sumFloat{})
	want := combineAll(t, &Env{}, sum, rows)

	full := small(100_000, a, b)
	env := &Env{Spills: full, Memory: &limited{}, SpillCompression: "none", Metrics: &Metrics{}}
	got := combineAll(t, env, sum, rows)
	sameRows(t, got, want)
	if env.Metrics.SpilledBytes < 200_000 {
		t.Errorf("spilled %d bytes: the disk was not full", env.Metrics.SpilledBytes)
	}
	for name, env := range map[string]*Env{
		"spill":      {Spills: small(100_000, a), Memory: &limited{}, SpillCompression: "none"},
		"map output": {Outputs: small(100_000, a), Spills: disk.New(b), Compression: "none"},
	} {
		_, err := writeAll(env, rows)
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "spark.local.dir") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := leftIn(t, a, b); len(left) > 0 {
		t.Errorf("left: %v", left)
	}

	// The data file moves, or with no room for the index, data and index do.
	plain := &Env{Outputs: disk.New(a), Compression: "none"}
	out, err := writeAll(plain, rows)
	if err != nil {
		t.Fatal(err)
	}
	size := int(out.Sizes[0] + out.Sizes[1])
	all := readOutput(t, out)
	for _, room := range []int{0, size / 2, size - 1} {
		env := &Env{Outputs: small(room, t.TempDir(), b), Compression: "none"}
		out, err := writeAll(env, rows)
		if err != nil || out.Location.Dir != b {
			t.Fatalf("with room for %d bytes: output in %q, %v", room, out.Location.Dir, err)
		}
		sameRows(t, readOutput(t, out), all)
		f, _, n, err := OpenBlockIn([]string{a, b}, 1, 2, 4, 0, 2)
		if err != nil || n != int64(size) {
			t.Fatalf("the block server has %d bytes, %v", n, err)
		}
		f.Close()
	}
}

// The index may find no room that the data still found.
func TestIndexFindsNoRoom(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(a, "shuffle-1", "2-4.index.tmp"), 0o700); err != nil { // nobody can write a file there
		t.Fatal(err)
	}
	rows := floatRows(1000, 1000)
	out, err := writeAll(&Env{Outputs: disk.New(a, b)}, rows)
	if err != nil || out.Location.Dir != b {
		t.Fatalf("output in %q, %v", out.Location.Dir, err)
	}
	if n := len(readOutput(t, out)); n != len(rows) {
		t.Errorf("%d rows", n)
	}
	if left := leftIn(t, a); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := os.MkdirAll(filepath.Join(b, "shuffle-1", "2-4.index.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := RemoveShuffle(b, 1); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(b, "shuffle-1", "2-4.index.tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := writeAll(&Env{Outputs: disk.New(b)}, rows); err == nil || !strings.Contains(err.Error(), "index of write map output "+b) {
		t.Error(err)
	}
	if left := leftIn(t, b); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// writeAll is the map output 2 of shuffle 1, attempt 4, with two partitions.
func writeAll(env *Env, rows []Pair[string, float64]) (Output, error) {
	w, err := NewWriter[Pair[string, float64]](context.Background(), env, WriterID{1, 2, 4}, 2)
	if err != nil {
		return Output{}, err
	}
	defer w.Abort()
	parts := make([]int32, len(rows))
	for i := range parts {
		parts[i] = int32(i % 2)
	}
	if err := w.Write(rows, parts); err != nil {
		return Output{}, err
	}
	return w.Commit()
}

func readOutput(t *testing.T, out Output) []Pair[string, float64] {
	t.Helper()
	out.Location.Host = "here"
	s, err := Read[Pair[string, float64]](context.Background(), &Env{Location: Location{Host: "here"}}, 1, []Output{out}, 0, 2)
	return collect(t, s, err)
}

func sameRows(t *testing.T, got, want []Pair[string, float64]) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%d rows are not the %d wanted", len(got), len(want))
	}
}

package filesys

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every backend keeps the same contract, so one test runs against each.
func TestContract(t *testing.T) {
	ctx := t.Context()
	for name, root := range map[string]string{
		"local": t.TempDir(),
		"file":  "file://" + t.TempDir(),
		"mem":   "mem://contract/root",
	} {
		t.Run(name, func(t *testing.T) {
			fsys, dir, err := Get(ctx, root)
			if err != nil {
				t.Fatal(err)
			}
			file := dir + "/sub dir/größe.txt"
			w, err := fsys.Create(ctx, file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(w, "hello"); err != nil {
				t.Fatal(err)
			}
			if _, err := fsys.Stat(ctx, file); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file shows before Close: %v", err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := w.Abort(); err != nil {
				t.Errorf("abort after close: %v", err)
			}
			f, err := fsys.Open(ctx, file)
			if err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 3)
			if n, err := f.ReadAt(buf, 3); n != 2 || err != io.EOF || string(buf[:n]) != "lo" || f.Size() != 5 {
				t.Errorf("ReadAt = %d, %v, %q, size %d", n, err, buf[:n], f.Size())
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}

			w, err = fsys.Create(ctx, dir+"/aborted")
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
			children, err := fsys.List(ctx, dir)
			if err != nil || len(children) != 1 || children[0].Name() != "sub dir" || !children[0].IsDir {
				t.Errorf("List = %v, %v", children, err)
			}
			if _, err := fsys.Open(ctx, dir+"/sub dir"); err == nil {
				t.Error("a directory opens as a file")
			}
			if err := fsys.Remove(ctx, dir+"/sub dir"); err == nil {
				t.Error("Remove takes a directory that is not empty")
			}
			if err := fsys.Rename(ctx, file, dir+"/new/place"); err != nil {
				t.Fatal(err)
			}
			if _, err := fsys.Open(ctx, file); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the old name opens after Rename: %v", err)
			}
			if err := fsys.Rename(ctx, dir+"/new", dir+"/moved"); err != nil {
				t.Fatal(err)
			}
			if b, err := ReadFile(ctx, Join(root, "moved", "place")); err != nil || string(b) != "hello" {
				t.Errorf("ReadFile = %q, %v", b, err)
			}
			if err := fsys.Rename(ctx, dir+"/none", dir+"/x"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Rename of nothing: %v", err)
			}
			if _, err := fsys.List(ctx, dir+"/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("List of nothing: %v", err)
			}
			if err := fsys.RemoveAll(ctx, dir+"/none"); err != nil {
				t.Errorf("RemoveAll of nothing: %v", err)
			}
			if err := fsys.MkdirAll(ctx, dir+"/a/b/c"); err != nil {
				t.Error(err)
			}
			if err := fsys.Remove(ctx, dir+"/a/b/c"); err != nil {
				t.Error(err)
			}
			if err := fsys.RemoveAll(ctx, dir+"/moved"); err != nil {
				t.Error(err)
			}
			if ok, err := Exists(ctx, Join(root, "moved/place")); ok || err != nil {
				t.Errorf("Exists = %v, %v", ok, err)
			}
			cancelled, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := fsys.Stat(cancelled, dir); !errors.Is(err, context.Canceled) {
				t.Errorf("Stat with a cancelled context: %v", err)
			}
		})
	}
}

func TestUnknownScheme(t *testing.T) {
	_, err := Open(t.Context(), "gopher://host/x")
	if !errors.Is(err, ErrUnknownScheme) {
		t.Fatal(err)
	}
	for _, want := range []string{`"gopher"`, "import the package that registers it", "file, mem"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
	if _, err := Open(t.Context(), "file://otherhost/x"); err == nil || !strings.Contains(err.Error(), "three slashes") {
		t.Errorf("a host in a file URI: %v", err)
	}
}

func TestParse(t *testing.T) {
	wd, _ := os.Getwd()
	for _, c := range []struct{ uri, scheme, authority, path, back string }{
		{"/a/b", "file", "", "/a/b", "/a/b"},
		{"a b", "file", "", wd + "/a b", wd + "/a b"},
		{"c:d", "file", "", wd + "/c:d", wd + "/c:d"},
		{"file:///a/../b", "file", "", "/b", "file:///b"},
		{"file:/a", "file", "", "/a", "file:///a"},
		{"HDFS://nn:8020/x%20y/", "hdfs", "nn:8020", "/x%20y", "hdfs://nn:8020/x%20y"},
		{"s3://bucket", "s3", "bucket", "/", "s3://bucket/"},
	} {
		l, err := parse(c.uri)
		if err != nil || l.scheme != c.scheme || l.authority != c.authority || l.path != c.path || l.uri(l.path) != c.back {
			t.Errorf("parse(%q) = %+v, %v", c.uri, l, err)
		}
	}
	if _, err := parse(""); err == nil {
		t.Error("an empty URI parses")
	}
}

func TestExpand(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir()
	for _, root := range []string{dir, "mem://expand/data"} {
		for _, f := range []string{
			"a1.txt", "a2.txt", "b1.txt", "c.csv", "_SUCCESS", ".hidden", "odd[1].txt", "x,y.txt",
			"y=1/m=2/p.txt", "y=1/_temporary/t.txt", "_k=3/q.txt", "deep/er/z.txt",
		} {
			if err := WriteFile(ctx, Join(root, f), []byte(f)); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct{ pattern, want string }{
			{"a1.txt", "a1.txt"},
			{"?1.txt", "a1.txt b1.txt"},
			{"[a]*", "a1.txt a2.txt"},
			{"[^a]?.txt", "b1.txt"},
			{"{b,a}1.txt", "a1.txt b1.txt"},
			{"{a{1,2},c}.{txt,csv}", "a1.txt a2.txt c.csv"},
			{"*.csv", "c.csv"},
			{"_*", "_SUCCESS _k=3/q.txt"},
			{"_SUCCESS", "_SUCCESS"},
			{"y=*/*", "y=1/m=2/p.txt"},
			{"y=1", "y=1/m=2/p.txt"},
			{"*/*/z.txt", "deep/er/z.txt"},
			{"odd[1].txt", "odd[1].txt"},
			{`odd\[1*`, "odd[1].txt"},
			{"deep", "deep/er/z.txt"},
			{"", "_k=3/q.txt a1.txt a2.txt b1.txt c.csv deep/er/z.txt odd[1].txt x,y.txt y=1/m=2/p.txt"},
		} {
			infos, err := Expand(ctx, Join(root, c.pattern))
			var got []string
			for _, i := range infos {
				got = append(got, strings.TrimPrefix(i.URI, root+"/"))
				if b, err := ReadFile(ctx, i.URI); err != nil || int64(len(b)) != i.Size {
					t.Errorf("%s: %v", i.URI, err)
				}
			}
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("Expand(%q) = %q, %v, want %q", c.pattern, got, err, c.want)
			}
		}
		for _, bad := range []string{"none", "none*", "[", "none/*"} {
			if _, err := Expand(ctx, Join(root, bad)); err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("Expand(%q): %v", bad, err)
			}
		}
		infos, err := Expand(ctx, Join(root, "b1.txt")+", "+Join(root, "{a1,c}.*")+","+Join(root, `x\,y.txt`)+",")
		if err != nil || len(infos) != 4 || infos[0].Name() != "b1.txt" || infos[3].Name() != "x,y.txt" {
			t.Errorf("comma list: %v, %v", infos, err)
		}
	}
}

func TestOpenUnchanged(t *testing.T) {
	ctx := t.Context()
	for _, uri := range []string{filepath.Join(t.TempDir(), "f"), "mem://unchanged/f"} {
		if err := WriteFile(ctx, uri, []byte("abc")); err != nil {
			t.Fatal(err)
		}
		info, err := Stat(ctx, uri)
		if err != nil {
			t.Fatal(err)
		}
		f, err := OpenUnchanged(ctx, info.URI, info.Size, info.ModTime)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		if f, err := OpenUnchanged(ctx, uri, info.Size, info.ModTime.Add(-time.Second)); !errors.Is(err, ErrChanged) {
			t.Errorf("changed time: %v, %v", f, err)
		}
		if f, err := OpenUnchanged(ctx, uri, info.Size+1, info.ModTime); !errors.Is(err, ErrChanged) {
			t.Errorf("changed size: %v, %v", f, err)
		}
	}
}

func TestSplits(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		o           SplitOptions
		total, want int64
	}{
		{SplitOptions{}, 0, 4 * mb},
		{SplitOptions{}, 64 * mb, 4 * mb},
		{SplitOptions{}, 508 * mb, 16 * mb},
		{SplitOptions{}, 1 << 40, 128 * mb},
		{SplitOptions{MinPartitions: 4}, 10, 3},
		{SplitOptions{MinPartitions: 2}, 1 << 40, 128 * mb},
		{SplitOptions{MaxPartitionBytes: 10}, 1000, 10},
	} {
		if got := c.o.Target(c.total, 1); got != c.want {
			t.Errorf("%+v.Target(%d) = %d, want %d", c.o, c.total, got, c.want)
		}
	}
	if got := Cut(105, 50); !slices.Equal(got, []int64{0, 50}) {
		t.Errorf("Cut = %v", got)
	}
	if got := Cut(120, 50); !slices.Equal(got, []int64{0, 50, 100}) {
		t.Errorf("Cut = %v", got)
	}
	if got := Cut(0, 50); got != nil {
		t.Errorf("Cut of nothing = %v", got)
	}
	pieces := []Piece{{0, 10}, {1, 10}, {2, 50}, {3, 1}, {4, 1}, {5, 1}, {6, 30}}
	if got := (SplitOptions{OpenCostBytes: 4}).Pack(pieces, 40); !slices.Equal(got, []int{2, 3, 6, 7}) {
		t.Errorf("Pack = %v", got)
	}
	if got := (SplitOptions{OpenCostBytes: 100}).Pack([]Piece{{0, 10}, {0, 10}, {0, 10}, {1, 10}, {1, 10}}, 120); !slices.Equal(got, []int{3, 5}) {
		t.Errorf("Pack of two files = %v", got)
	}
	// Row groups of 1.2 MB in files of 25 MB: opening a file must not fill the target, or each would be a task of its own.
	var groups []Piece
	for i := range 80 {
		groups = append(groups, Piece{i / 20, 1_240_000})
	}
	if o := (SplitOptions{}); len(o.Pack(groups, o.Target(80*1_240_000, 4))) != 28 {
		t.Errorf("80 row groups in 4 files make %d tasks, want 28", len(o.Pack(groups, o.Target(80*1_240_000, 4))))
	}
	if got := (SplitOptions{MinPartitions: 2}).Pack(pieces, 60); !slices.Equal(got, []int{2, 6, 7}) {
		t.Errorf("Pack into few = %v", got)
	}
	if got := (SplitOptions{}).Pack(nil, 40); got != nil {
		t.Errorf("Pack of nothing = %v", got)
	}
}

func TestOutput(t *testing.T) {
	ctx := t.Context()
	for _, uri := range []string{filepath.Join(t.TempDir(), "out"), "mem://output/out"} {
		write := func(mode SaveMode, partitions ...int) error {
			o, err := NewOutput(ctx, uri, mode)
			if err != nil {
				return err
			}
			var files []TaskFile
			for _, p := range partitions {
				for attempt := range 2 { // both attempts finish, the second counts
					w, err := o.CreateTask(ctx, p, ".txt")
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.WriteString(w, strings.Repeat("x", attempt)); err != nil {
						t.Fatal(err)
					}
					if err := w.Close(); err != nil {
						t.Fatal(err)
					}
					if attempt == 1 {
						files = append(files, w.File(1))
					}
				}
			}
			if got, err := Expand(ctx, uri); err != nil && !errors.Is(err, fs.ErrNotExist) || mode == ErrorIfExists && len(got) > 0 {
				t.Errorf("before commit: %v, %v", got, err)
			}
			slices.Reverse(files)
			return o.Commit(ctx, files)
		}
		names := func() string {
			fsys, dir, err := Get(ctx, uri)
			if err != nil {
				t.Fatal(err)
			}
			infos, err := fsys.List(ctx, dir)
			if err != nil {
				t.Fatal(err)
			}
			var s []string
			for _, i := range infos {
				s = append(s, i.Name())
			}
			return strings.Join(s, " ")
		}
		for _, step := range []struct {
			mode  SaveMode
			parts []int
			want  string
			fails bool
		}{
			{"", []int{0, 1}, "_SUCCESS part-00000.txt part-00001.txt", false},
			{ErrorIfExists, []int{0}, "_SUCCESS part-00000.txt part-00001.txt", true},
			{Append, []int{0, 2}, "_SUCCESS part-00000.txt part-00001.txt part-00002.txt part-00004.txt", false},
			{Ignore, nil, "_SUCCESS part-00000.txt part-00001.txt part-00002.txt part-00004.txt", false},
			{Overwrite, []int{0}, "_SUCCESS part-00000-1.txt", false},
			{Overwrite, []int{0}, "_SUCCESS part-00000.txt", false},
			{"upsert", nil, "_SUCCESS part-00000.txt", true},
		} {
			err := write(step.mode, step.parts...)
			if (err != nil) != step.fails || names() != step.want {
				t.Errorf("%s: mode %q: %v: %s, want %s", uri, step.mode, err, names(), step.want)
			}
		}
		if b, err := ReadFile(ctx, Join(uri, "part-00000.txt")); err != nil || string(b) != "x" {
			t.Errorf("part 0 = %q, %v", b, err)
		}
		o, err := NewOutput(ctx, uri, Overwrite)
		if err != nil {
			t.Fatal(err)
		}
		w, err := o.CreateTask(ctx, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Close(), o.Abort(ctx)); err != nil {
			t.Fatal(err)
		}
		if names() != "_SUCCESS part-00000.txt" {
			t.Errorf("after abort: %s", names())
		}
		if err := o.Commit(ctx, []TaskFile{{Partition: 1}, {Partition: 1}}); err == nil {
			t.Error("two files for one partition are committed")
		}
	}
	if _, err := NewOutput(ctx, "filesys_test.go", Overwrite); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file as output directory: %v", err)
	}
}

func FuzzExpand(f *testing.F) {
	ctx := f.Context()
	if err := WriteFile(ctx, "mem://fuzz/a/b.txt", nil); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"a/{b,c}.txt", "[a-z]/*", `\{a`, "{{,}{,}}", "a,b", "}{"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, pattern string) {
		_, _ = Expand(ctx, "mem://fuzz/"+pattern)
	})
}

func TestSplitSettings(t *testing.T) {
	for text, want := range map[string]int64{"7": 7, "64k": 64 << 10, "128m": 128 << 20, " 1GB ": 1 << 30, "2t": 2 << 40, "0": 1} {
		o, err := SplitSettings(func(key string) string {
			if key == "spark.files.maxPartitionBytes" {
				return text
			}
			return ""
		}, 3)
		if err != nil || o != (SplitOptions{MaxPartitionBytes: want, MinPartitions: 3}) {
			t.Errorf("%q: %+v, %v", text, o, err)
		}
	}
	for _, bad := range []string{"m", "1x", "-1", "1.5g", "99999999999t", "1km"} {
		if _, err := SplitSettings(func(string) string { return bad }, 0); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

package textio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spark-go/spark-go/io/filesys"
)

// put writes a file and returns its listing.
func put(tb testing.TB, uri string, content []byte) filesys.Info {
	tb.Helper()
	if err := filesys.WriteFile(tb.Context(), uri, content); err != nil {
		tb.Fatal(err)
	}
	info, err := filesys.Stat(tb.Context(), uri)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func readLines(tb testing.TB, s Split) []string {
	tb.Helper()
	r, err := NewLineReader(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	var lines []string
	for {
		batch, err := r.Next()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			tb.Fatal(err)
		}
		if len(batch) == 0 || len(batch) > BatchRows {
			tb.Fatalf("a batch of %d lines", len(batch))
		}
		lines = append(lines, batch...)
	}
}

// expected cuts a text the slow and obvious way.
func expected(text string) []string {
	if text == "" {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	return lines
}

func compress(tb testing.TB, name string, text []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	switch codecOf(name) {
	case gz: // two members, as concatenated .gz files have
		for _, part := range [][]byte{text[:len(text)/2], text[len(text)/2:]} {
			w := gzip.NewWriter(&b)
			_, _ = w.Write(part)
			_ = w.Close()
		}
	case zst:
		w, err := zstd.NewWriter(&b)
		if err != nil {
			tb.Fatal(err)
		}
		_, _ = w.Write(text)
		_ = w.Close()
	default:
		return text
	}
	return b.Bytes()
}

func TestLinesOfEverySplit(t *testing.T) {
	texts := map[string]string{
		"empty":       "",
		"one newline": "\n",
		"no end":      "a\nb",
		"crlf":        "a\r\nb\r\n\r\nc\r",
		"empty lines": "\n\n\na\n\n",
		"utf8":        "größe\n日本\n\xff\xfe\n",
	}
	for name, text := range texts {
		info := put(t, "mem://splits/"+name, []byte(text))
		for target := int64(1); target <= int64(len(text))+1; target++ {
			var got []string
			for _, p := range PlanLines([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: target, OpenCostBytes: 1}) {
				for _, s := range p {
					got = append(got, readLines(t, s)...)
				}
			}
			if want := expected(text); !slices.Equal(got, want) {
				t.Errorf("%s in splits of %d bytes: %q, want %q", name, target, got, want)
			}
		}
	}
}

func TestLongLinesAndBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for range 300 {
		n := rng.IntN(20_000)
		if rng.IntN(20) == 0 {
			n = rng.IntN(3 * blockSize)
		}
		if rng.IntN(2) == 0 {
			n = rng.IntN(30)
		}
		b.WriteString(strings.Repeat(string(rune('a'+rng.IntN(26))), n))
		b.WriteString([]string{"\n", "\r\n"}[rng.IntN(2)])
	}
	for range 3 * BatchRows {
		b.WriteString("short\n")
	}
	b.WriteString("the end")
	text := b.String()
	for _, name := range []string{"t.txt", "t.gz", "t.zst"} {
		info := put(t, filepath.Join(t.TempDir(), name), compress(t, name, []byte(text)))
		for _, n := range []int{1, 7, 50} {
			var got []string
			partitions := PlanLines([]filesys.Info{info}, filesys.SplitOptions{MinPartitions: n})
			if want := n; name == "t.txt" && len(partitions) != want || name != "t.txt" && len(partitions) != 1 {
				t.Errorf("%s: %d partitions, want %d", name, len(partitions), n)
			}
			for _, p := range partitions {
				for _, s := range p {
					got = append(got, readLines(t, s)...)
				}
			}
			if !slices.Equal(got, expected(text)) {
				t.Errorf("%s in %d partitions: %d lines differ from the %d expected", name, n, len(got), len(expected(text)))
			}
		}
		f, err := ReadFile(t.Context(), whole(info))
		if err != nil || f.Content != text || f.Path != info.URI {
			t.Errorf("%s as a whole: %d bytes, %v", name, len(f.Content), err)
		}
	}
}

func TestPlan(t *testing.T) {
	var files []filesys.Info
	for i := range 100 {
		files = append(files, filesys.Info{Path: fmt.Sprint(i), URI: fmt.Sprint(i), Size: 1000})
	}
	if got := len(PlanLines(files, filesys.SplitOptions{})); got != 25 {
		t.Errorf("100 small files make %d partitions, want 25 (four files, three open costs each)", got)
	}
	if got := len(PlanFiles(files, filesys.SplitOptions{MinPartitions: 2})); got != 2 {
		t.Errorf("100 small files asked into 2 make %d partitions", got)
	}
	if got := len(PlanLines([]filesys.Info{{Size: 0}, {Path: "x.gz"}}, filesys.SplitOptions{})); got != 0 {
		t.Errorf("empty files make %d partitions", got)
	}
	big := []filesys.Info{{Path: "x", Size: 500 << 20}, {Path: "y.gz", Size: 500 << 20}}
	if got := len(PlanLines(big, filesys.SplitOptions{})); got != 17 {
		t.Errorf("a big file and a compressed one make %d partitions", got)
	}
}

func TestDamagedInput(t *testing.T) {
	text := []byte(strings.Repeat("line of text\n", 50_000))
	for _, name := range []string{"cut.gz", "cut.zst"} {
		whole := compress(t, name, text)
		for _, content := range [][]byte{whole[:len(whole)-9], whole[:5], []byte("not compressed at all")} {
			info := put(t, "mem://damaged/"+name, content)
			split := PlanLines([]filesys.Info{info}, filesys.SplitOptions{})[0][0]
			r, err := NewLineReader(t.Context(), split)
			for err == nil {
				_, err = r.Next()
			}
			if r != nil {
				r.Close()
			}
			if err == io.EOF || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("%s of %d bytes: %v", name, len(content), err)
			}
			if _, err := ReadFile(t.Context(), split); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s of %d bytes as a whole: %v", name, len(content), err)
			}
		}
	}
	info := put(t, "mem://damaged/changed", []byte("a\nb\n"))
	split := whole(info)
	put(t, "mem://damaged/changed", []byte("x\ny\n"))
	if _, err := NewLineReader(t.Context(), split); !errors.Is(err, filesys.ErrChanged) {
		t.Errorf("a changed file: %v", err)
	}
}

func TestCancel(t *testing.T) {
	info := put(t, "mem://cancel/f", bytes.Repeat([]byte("line\n"), 1_000_000))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := NewLineReader(ctx, whole(info))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestPartWriter(t *testing.T) {
	ctx := t.Context()
	for compression, ext := range map[string]string{"": "", "gzip": ".gz", "zstd": ".zst"} {
		dir := filepath.Join(t.TempDir(), "out")
		o, err := filesys.NewOutput(ctx, dir, filesys.ErrorIfExists)
		if err != nil {
			t.Fatal(err)
		}
		var files []filesys.TaskFile
		for p := range 2 {
			w, err := NewPartWriter(ctx, o, p, SaveOptions{Compression: compression})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Write([]string{"a", "", fmt.Sprint(p)}); err != nil {
				t.Fatal(err)
			}
			f, err := w.Close()
			if err != nil {
				t.Fatal(err)
			}
			info, err := filesys.Stat(ctx, f.Temporary)
			if err != nil || f.Bytes != info.Size || f.Rows != 3 {
				t.Errorf("%+v: %v", f, err)
			}
			files = append(files, f)
			lost, err := NewPartWriter(ctx, o, p, SaveOptions{Compression: compression})
			if err != nil {
				t.Fatal(err)
			}
			if err := lost.Abort(); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Commit(ctx, files); err != nil {
			t.Fatal(err)
		}
		infos, err := filesys.Expand(ctx, dir)
		if err != nil || len(infos) != 2 || infos[1].Name() != "part-00001"+ext {
			t.Fatalf("%v, %v", infos, err)
		}
		if got := readLines(t, whole(infos[1])); !slices.Equal(got, []string{"a", "", "1"}) {
			t.Errorf("%q", got)
		}
	}
	if _, err := NewPartWriter(ctx, filesys.Output{}, 0, SaveOptions{Compression: "rar"}); err == nil {
		t.Error("rar is accepted")
	}
}

func FuzzSplits(f *testing.F) {
	f.Add([]byte("a\r\nb\n\nc"), 3)
	f.Fuzz(func(t *testing.T, text []byte, target int) {
		info := put(t, "mem://fuzz/f", text)
		var got []string
		for _, p := range PlanLines([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: int64(max(1, target)), OpenCostBytes: 1}) {
			for _, s := range p {
				got = append(got, readLines(t, s)...)
			}
		}
		if !slices.Equal(got, expected(string(text))) {
			t.Errorf("splits of %d bytes: %q, want %q", target, got, expected(string(text)))
		}
	})
}

func BenchmarkLines(b *testing.B) {
	for _, width := range []int{10, 100, 1000} {
		for _, ext := range []string{"", ".gz", ".zst"} {
			if ext != "" && width != 100 {
				continue
			}
			b.Run(fmt.Sprintf("%dbytes%s", width, ext), func(b *testing.B) {
				line := strings.Repeat("x", width-1) + "\n"
				text := bytes.Repeat([]byte(line), (64<<20)/width)
				info := put(b, filepath.Join(b.TempDir(), "f"+ext), compress(b, "f"+ext, text))
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				var rows int
				for b.Loop() {
					r, err := NewLineReader(b.Context(), whole(info))
					if err != nil {
						b.Fatal(err)
					}
					for {
						lines, err := r.Next()
						if err == io.EOF {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
						rows += len(lines)
					}
					r.Close()
				}
				b.ReportMetric(float64(rows)/b.Elapsed().Seconds()/1e6, "Mrows/s")
			})
		}
	}
}

func BenchmarkPartWriter(b *testing.B) {
	lines := make([]string, BatchRows)
	for i := range lines {
		lines[i] = strings.Repeat("x", 99)
	}
	o, err := filesys.NewOutput(b.Context(), filepath.Join(b.TempDir(), "out"), filesys.ErrorIfExists)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(100 * 100 * BatchRows)
	for b.Loop() {
		w, err := NewPartWriter(b.Context(), o, 0, SaveOptions{})
		if err != nil {
			b.Fatal(err)
		}
		for range 100 {
			if err := w.Write(lines); err != nil {
				b.Fatal(err)
			}
		}
		f, err := w.Close()
		if err != nil {
			b.Fatal(err)
		}
		fsys, path, _ := filesys.Get(b.Context(), f.Temporary)
		_ = fsys.Remove(b.Context(), path)
	}
	b.ReportMetric(100*BatchRows*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

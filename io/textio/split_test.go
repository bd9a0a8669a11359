package textio

import (
	"bytes"
	"compress/bzip2"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/io/filesys"
)

// splitLines reads the lines of a split by SplitReader.
func splitLines(tb testing.TB, s Split) []string {
	tb.Helper()
	r, err := OpenSplit(tb.Context(), s)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	var lines []string
	for {
		at := r.Offset()
		l, err := r.Line()
		if err == io.EOF {
			return lines
		}
		if err != nil {
			tb.Fatal(err)
		}
		if codecOf(s.URI) == none && s.Offset == 0 {
			if n := LineAt(tb.Context(), s, at); n != int64(len(lines))+1 {
				tb.Errorf("the line at byte %d of %s is number %d, LineAt says %d", at, s.URI, len(lines)+1, n)
			}
		}
		lines = append(lines, string(l))
	}
}

func TestSplitReaderAgreesWithLineReader(t *testing.T) {
	texts := map[string]string{
		"empty": "", "newline": "\n", "noend": "a\nb", "crlf": "a\r\nb\r\n\r\nc\r", "emptylines": "\n\n\na\n\n", "utf8": "größe\n日本\n\xff\xfe\n",
		"long": strings.Repeat("x", 3*blockSize) + "\nshort\n" + strings.Repeat("y", blockSize-1) + "\n" + strings.Repeat("z", blockSize),
	}
	for name, text := range texts {
		targets := []int64{1, 2, 3, 5, 1 << 20}
		if name == "long" {
			targets = []int64{blockSize / 2, blockSize, blockSize + 1, 1 << 30}
		}
		for _, ext := range []string{"", ".gz", ".zst"} {
			info := put(t, "mem://splitreader/"+name+ext, compress(t, name+ext, []byte(text)))
			for _, target := range targets {
				var got []string
				for _, p := range PlanLines([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: target, OpenCostBytes: target}) {
					for _, s := range p {
						got = append(got, splitLines(t, s)...)
					}
				}
				if want := expected(text); !slices.Equal(got, want) {
					t.Errorf("%s%s in splits of %d bytes: %d lines, want %d", name, ext, target, len(got), len(want))
				}
			}
		}
	}
}

func TestSplitReaderMarks(t *testing.T) {
	info := put(t, "mem://splitreader/mark", []byte("\xef\xbb\xbfa\n\xef\xbb\xbfb\n"))
	var got []string
	for _, p := range PlanLines([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: 1, OpenCostBytes: 1}) {
		got = append(got, splitLines(t, p[0])...)
	}
	if !slices.Equal(got, []string{"a", "\xef\xbb\xbfb"}) {
		t.Errorf("%q", got)
	}
	info = put(t, "mem://splitreader/utf16", []byte("\xff\xfea\x00\n\x00"))
	if _, err := OpenSplit(t.Context(), whole(info)); err == nil || !strings.Contains(err.Error(), "UTF-16") {
		t.Error(err)
	}
}

func TestSplitReaderErrors(t *testing.T) {
	text := []byte(strings.Repeat("line of text\n", 50_000))
	for _, name := range []string{"cut.gz", "cut.zst"} {
		packed := compress(t, name, text)
		info := put(t, "mem://splitreader/"+name, packed[:len(packed)-9])
		r, err := OpenSplit(t.Context(), whole(info))
		for err == nil {
			_, err = r.Line()
		}
		if r != nil {
			r.Close()
		}
		if err == io.EOF || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: %v", name, err)
		}
	}
	info := put(t, "mem://splitreader/f", text)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := OpenSplit(ctx, whole(info))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cancel()
	for err == nil {
		_, err = r.Line()
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	put(t, "mem://splitreader/f", []byte("x"))
	if _, err := OpenSplit(t.Context(), whole(info)); !errors.Is(err, filesys.ErrChanged) {
		t.Error(err)
	}
}

// bzip2 of "a\nb\n", which the standard library cannot write.
const bzipped = "425a68393141592653593c854112000001410000103000200030cc0c7a8271772453850903c8541120"

func TestBzip2(t *testing.T) {
	content, err := hex.DecodeString(bzipped)
	if err != nil {
		t.Fatal(err)
	}
	twice := append(bytes.Clone(content), content...) // as pbzip2 writes
	if text, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(twice))); err != nil || string(text) != "a\nb\na\nb\n" {
		t.Fatalf("%q, %v", text, err)
	}
	info := put(t, "mem://splitreader/t.bz2", twice)
	want := []string{"a", "b", "a", "b"}
	if got := splitLines(t, whole(info)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := readLines(t, whole(info)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	info = put(t, "mem://splitreader/t.bz2", twice[:len(twice)-5])
	if _, err := ReadFile(t.Context(), whole(info)); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

func TestMergeBad(t *testing.T) {
	s := func(uri string, offset, count int64) splitBad {
		return splitBad{URI: uri, Offset: offset, Count: count}
	}
	a := []splitBad{s("a", 0, 1), s("b", 10, 5)}
	for i, c := range [][2][]splitBad{
		{nil, a},
		{{s("a", 0, 1)}, a},
		{{s("a", 5, 2), s("b", 10, 7)}, {s("a", 0, 1), s("a", 5, 2), s("b", 10, 7)}},
		{{s("b", 10, 3), s("c", 0, 1)}, {s("a", 0, 1), s("b", 10, 5), s("c", 0, 1)}},
	} {
		for _, got := range [][]splitBad{mergeBad(a, c[0]), mergeBad(c[0], a)} {
			if fmt.Sprint(got) != fmt.Sprint(c[1]) {
				t.Errorf("%d: %v, want %v", i, got, c[1])
			}
		}
	}
	if len(a) != 2 || a[1].Count != 5 {
		t.Error("merging changed what others see")
	}
}

func BenchmarkSplitReader(b *testing.B) {
	info := put(b, "mem://splitreader/bench", bytes.Repeat([]byte("a line of forty characters, more or less\n"), 500_000))
	b.SetBytes(info.Size)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		r, err := OpenSplit(b.Context(), whole(info))
		for err == nil {
			_, err = r.Line()
		}
		r.Close()
		if err != io.EOF {
			b.Fatal(err)
		}
	}
	b.ReportMetric(500_000*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

package textio

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/spark-go/spark-go/io/filesys"
)

// frames compresses parts, each into a frame, and appends the table of the seekable format, with checksums if asked.
func frames(tb testing.TB, parts []string, sums bool) (file []byte, ends []int64) {
	tb.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		tb.Fatal(err)
	}
	defer w.Close()
	var table []byte
	for _, p := range parts {
		packed := w.EncodeAll([]byte(p), nil)
		file = append(file, packed...)
		ends = append(ends, int64(len(file)))
		table = binary.LittleEndian.AppendUint32(table, uint32(len(packed)))
		table = binary.LittleEndian.AppendUint32(table, uint32(len(p)))
		if sums {
			table = append(table, 1, 2, 3, 4)
		}
	}
	file = binary.LittleEndian.AppendUint32(file, tableMagic)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(table)+tableFooter))
	file = append(file, table...)
	file = binary.LittleEndian.AppendUint32(file, uint32(len(parts)))
	flags := byte(0)
	if sums {
		flags = 0x80
	}
	return binary.LittleEndian.AppendUint32(append(file, flags), seekableMagic), ends
}

func TestZstdSplits(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var random, long strings.Builder
	for range 500 {
		fmt.Fprintf(&random, "%x\n", rng.Uint64()>>rng.IntN(64))
		long.WriteString("no end in sight ")
	}
	for name, parts := range map[string][]string{
		"lines":     {"a\nb\n", "c\n", "\n", "d\r\n"},
		"cut lines": {"a", "b\nc", "", "\n\n", "d", "", "e\n"},
		"one":       {"a\nb"},
		"mark":      {"\xef", "\xbb\xbf", "a\n", "b\n"},
		"long":      {long.String(), long.String() + "\n", "\nb", strings.Repeat("x", 2*blockSize), "\nc\n"},
		"blocks":    {strings.Repeat(strings.Repeat("y", 999)+"\n", 300), random.String(), random.String()[:1000], random.String()},
	} {
		text := strings.Join(parts, "")
		for _, sums := range []bool{false, true} {
			if sums && len(parts) > 4 {
				continue
			}
			file, ends := frames(t, parts, sums)
			info := put(t, "mem://zstd/"+name+".zst", file)
			want := expected(strings.TrimPrefix(text, "\xef\xbb\xbf"))
			read := func(splits []Split) (lines []string) {
				if name != "mark" {
					return linesOf(t, splits)
				}
				for _, s := range splits {
					lines = append(lines, splitLines(t, s)...) // LineReader keeps the mark
				}
				return lines
			}
			for sets := range 1 << (len(parts) - 1) { // each set of ends at which to cut
				var at []int64
				for i, e := range ends[:len(ends)-1] {
					if sets>>i&1 == 1 && (len(at) == 0 || at[len(at)-1] < e) {
						at = append(at, e)
					}
				}
				if got := read(splitsAt(info, at...)); !slices.Equal(got, want) {
					t.Fatalf("%s cut at %v: %d lines, want %d", name, at, len(got), len(want))
				}
			}
			for target := int64(1); target < 2*info.Size; target += max(1, target/3) {
				var got []string
				partitions := PlanLines([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: target, OpenCostBytes: 1})
				for _, p := range partitions {
					got = append(got, read(p)...)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s planned for %d bytes: %d lines, want %d", name, target, len(got), len(want))
				}
				if frames := len(slices.Compact(slices.Clone(ends))); target == 1 && len(partitions) < frames-1 {
					t.Errorf("%s: %d partitions for %d frames", name, len(partitions), frames)
				}
			}
		}
	}
}

// TestZstdOfPzstd reads what pzstd wrote: seq 40000 | pzstd -1 -p 3 --stdout would be one frame, so three were joined.
func TestZstdOfPzstd(t *testing.T) {
	content, err := os.ReadFile("testdata/seq.zst")
	if err != nil {
		t.Fatal(err)
	}
	info := put(t, "mem://zstd/seq.zst", content)
	var got []string
	partitions := PlanLines([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: 1000, OpenCostBytes: 1})
	for _, p := range partitions {
		got = append(got, linesOf(t, p)...)
	}
	if len(partitions) != 3 || len(got) != 3000 || got[2999] != "3000" {
		t.Errorf("%d partitions, %d lines", len(partitions), len(got))
	}
}

func TestZstdDamage(t *testing.T) {
	file, ends := frames(t, []string{"a\nb", "c\n", "d\n\n", "e"}, false)
	damaged(t, "d.zst", file, ends[:3], []string{"a", "bc", "d", "", "e"})

	// A table that lies costs the job, not rows.
	info := put(t, "mem://zstd/lies.zst", file)
	for _, at := range []int64{ends[0] - 1, ends[0] + 1} {
		var failed error
		for _, s := range splitsAt(info, at) {
			if _, err := tryLines(t, s); err != nil {
				failed = err
			}
		}
		if failed == nil || !strings.Contains(failed.Error(), "no frame begins") {
			t.Errorf("cut at byte %d: %v", at, failed)
		}
	}
}

// TestSeekable writes files that split, and that any reader of zstd reads.
func TestSeekable(t *testing.T) {
	line := strings.Repeat("0123456789abcde", 10) + "\n"
	for _, n := range []int{0, 1, 1000, frameBytes/len(line) + 1, 3 * frameBytes / len(line)} {
		var file bytes.Buffer
		w, err := newSeekable(&file)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if _, err := w.Write([]byte(line)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		d, err := zstd.NewReader(&file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(d)
		d.Close()
		if err != nil || string(text) != strings.Repeat(line, n) {
			t.Errorf("%d lines: the library reads %d bytes, %v", n, len(text), err)
		}
	}
}

// TestSavedZstdSplits: what Save writes is read by several tasks.
func TestSavedZstdSplits(t *testing.T) {
	ctx := t.Context()
	o, err := filesys.NewOutput(ctx, "mem://zstd/saved", filesys.ErrorIfExists)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewPartWriter(ctx, o, 0, SaveOptions{Compression: "zstd"})
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3 * frameBytes / 1000 {
		b := make([]byte, 500)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		want = append(want, fmt.Sprintf("%x", b))
	}
	if err := w.Write(want); err != nil {
		t.Fatal(err)
	}
	f, err := w.Close()
	if err == nil {
		err = o.Commit(ctx, []filesys.TaskFile{f})
	}
	if err != nil {
		t.Fatal(err)
	}
	infos, err := filesys.Expand(ctx, "mem://zstd/saved")
	if err != nil {
		t.Fatal(err)
	}
	partitions := PlanLines(infos, filesys.SplitOptions{MaxPartitionBytes: 1 << 20, OpenCostBytes: 1})
	var got []string
	for _, p := range partitions {
		for _, s := range p {
			got = append(got, readLines(t, s)...)
		}
	}
	if len(partitions) < 3 || !slices.Equal(got, want) {
		t.Errorf("%d lines in %d partitions, want %d", len(got), len(partitions), len(want))
	}
}

// FuzzZstdTable: no table makes a split that loses or doubles lines.
func FuzzZstdTable(f *testing.F) {
	for _, sums := range []bool{false, true} {
		file, _ := frames(f, []string{"a\nb", "", "c\n", "d\n"}, sums)
		f.Add(file, uint8(1))
	}
	content, err := os.ReadFile("testdata/seq.zst")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content, uint8(200))
	f.Fuzz(func(t *testing.T, content []byte, target uint8) {
		info := put(t, "mem://zstd/fuzz.zst", content)
		if info.Size == 0 {
			return
		}
		want, wantErr := tryLines(t, whole(info))
		var got []string
		var failed error
		for _, p := range PlanLines([]filesys.Info{info}, filesys.SplitOptions{MaxPartitionBytes: int64(target) + 1, OpenCostBytes: 1}) {
			for _, s := range p {
				lines, err := tryLines(t, s)
				got = append(got, lines...)
				if err != nil {
					failed = err
				}
			}
		}
		if failed == nil && (wantErr != nil || !slices.Equal(got, want)) {
			t.Errorf("%d lines in splits; as a whole %d, %v", len(got), len(want), wantErr)
		}
	})
}

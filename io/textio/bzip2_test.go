package textio

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/io/filesys"
)

// bitWriter appends bits, the most significant first.
type bitWriter struct {
	b []byte
	n int // bits
}

func (w *bitWriter) write(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

// bzip2Stream writes streams of given blocks, which no library for Go does, and which shows what the reader must not take for blocks.
type bzip2Stream struct {
	bitWriter
	crc uint32
}

func (w *bzip2Stream) begin() {
	w.write('B'<<24|'Z'<<16|'h'<<8|'1', 32)
	w.crc = 0
}

func (w *bzip2Stream) end() {
	w.write(bzip2End, 48)
	w.write(uint64(w.crc), 32)
	for w.n%8 != 0 {
		w.write(0, 1)
	}
}

// sum is bzip2's checksum: CRC-32 with the most significant bit first.
func sum(data []byte) uint32 {
	crc := ^uint32(0)
	for _, c := range data {
		crc ^= uint32(c) << 24
		for range 8 {
			if crc>>31 == 1 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return ^crc
}

// text writes a block of some data.
func (w *bzip2Stream) text(data []byte) {
	var runs []byte // four equal bytes are followed by the number of further ones
	for i := 0; i < len(data); {
		n := 1
		for i+n < len(data) && n < 259 && data[i+n] == data[i] {
			n++
		}
		runs = append(runs, bytes.Repeat(data[i:i+1], min(n, 4))...)
		if n >= 4 {
			runs = append(runs, byte(n-4))
		}
		i += n
	}
	order := make([]int, len(runs)) // rotations
	for i := range order {
		order[i] = i
	}
	twice := append(bytes.Clone(runs), runs...)
	slices.SortStableFunc(order, func(a, b int) int { return bytes.Compare(twice[a:a+len(runs)], twice[b:b+len(runs)]) })
	column := make([]byte, len(runs))
	for i, at := range order {
		column[i] = twice[at+len(runs)-1]
	}
	present := slices.Compact(slices.Sorted(slices.Values(column)))
	front := slices.Clone(present)
	var symbols []int
	zeros := 0
	flush := func() {
		for ; zeros > 0; zeros = (zeros - 1) / 2 { // in the digits 1 and 2
			symbols = append(symbols, (zeros-1)%2)
		}
	}
	for _, c := range column {
		i := bytes.IndexByte(front, c)
		if i == 0 {
			zeros++
			continue
		}
		flush()
		symbols = append(symbols, i+1)
		copy(front[1:], front[:i])
		front[0] = c
	}
	flush()
	w.block(data, slices.Index(order, 0), present, symbols)
}

// block writes a block of symbols, of which the last possible one ends it.
func (w *bzip2Stream) block(data []byte, first int, present []byte, symbols []int) {
	crc := sum(data)
	w.crc = bits.RotateLeft32(w.crc, 1) ^ crc
	w.write(bzip2Block, 48)
	w.write(uint64(crc), 32)
	w.write(0, 1)
	w.write(uint64(first), 24)
	var used uint16
	var within [16]uint16
	for _, c := range present {
		used |= 1 << (15 - c>>4)
		within[c>>4] |= 1 << (15 - c&15)
	}
	w.write(uint64(used), 16)
	for _, v := range within {
		if v != 0 {
			w.write(uint64(v), 16)
		}
	}
	groups := (len(symbols) + 1 + 49) / 50
	w.write(2, 3) // trees, of which the first is used
	w.write(uint64(groups), 15)
	for range groups {
		w.write(0, 1)
	}
	n := len(present) + 2
	long := bits.Len(uint(n - 1))
	short := 1<<long - n // codes of a bit less
	for range 2 {
		length := long
		if short > 0 {
			length--
		}
		w.write(uint64(length), 5)
		for i := range n {
			if i == short && i > 0 {
				w.write(0b10, 2) // one more
			}
			w.write(0, 1)
		}
	}
	for _, s := range append(slices.Clone(symbols), n-1) {
		if s < short {
			w.write(uint64(s), long-1)
		} else {
			w.write(uint64(s+short), long)
		}
	}
}

// hiding writes a block whose codes are the given bytes, each but 0xff: so it can hold anything.
func (w *bzip2Stream) hiding(codes []byte) (data []byte) {
	present := make([]byte, 254)
	for i := range present {
		present[i] = byte(i)
	}
	front := slices.Clone(present)
	symbols := make([]int, len(codes))
	var column []byte
	for i := 0; i < len(codes); i++ {
		symbols[i] = int(codes[i])
		if codes[i] > 1 {
			at := codes[i] - 1
			c := front[at]
			copy(front[1:], front[:at])
			front[0] = c
			column = append(column, c)
			continue
		}
		run, digit := 0, 1
		for ; i < len(codes) && codes[i] < 2; i++ {
			symbols[i] = int(codes[i])
			run += digit * (int(codes[i]) + 1)
			digit *= 2
		}
		i--
		column = append(column, bytes.Repeat(front[:1], run)...)
	}
	// The order in which the column is read, then the runs of equal bytes.
	order := make([]int, len(column))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(column[a]) - int(column[b]) })
	at := order[0]
	equal, lastByte := 0, -1
	for range column {
		c := column[at]
		at = order[at]
		if equal == 4 {
			data = append(data, bytes.Repeat([]byte{byte(lastByte)}, int(c))...)
			equal, lastByte = 0, -1
			continue
		}
		if int(c) == lastByte {
			equal++
		} else {
			equal, lastByte = 1, int(c)
		}
		data = append(data, c)
	}
	w.block(data, 0, present, symbols)
	return data
}

// splitsAt cuts a file at the given places.
func splitsAt(info filesys.Info, at ...int64) []Split {
	return whole(info).at(append([]int64{0}, at...))
}

// linesOf reads splits both ways, which must agree.
func linesOf(t *testing.T, splits []Split) []string {
	t.Helper()
	var lines, again []string
	for _, s := range splits {
		lines = append(lines, readLines(t, s)...)
		again = append(again, splitLines(t, s)...)
	}
	if !slices.Equal(lines, again) {
		t.Fatalf("LineReader gives %q, SplitReader %q", lines, again)
	}
	return lines
}

// everySplit reads a file cut at each place, and in splits of many sizes, and holds the lines to those of the whole.
func everySplit(t *testing.T, info filesys.Info, want []string) {
	t.Helper()
	if got := linesOf(t, splitsAt(info)); !slices.Equal(got, want) {
		t.Fatalf("%s as a whole: %d lines, want %d", info.URI, len(got), len(want))
	}
	step := max(1, info.Size/50)
	for at := int64(1); at < info.Size; at += step {
		if got := linesOf(t, splitsAt(info, at)); !slices.Equal(got, want) {
			t.Fatalf("%s cut at byte %d: %d lines, want %d", info.URI, at, len(got), len(want))
		}
	}
	for _, size := range []int64{1, 7, 31, 127, 300} {
		if info.Size/size > 2000 {
			continue
		}
		if got := linesOf(t, whole(info).at(filesys.Cut(info.Size, size))); !slices.Equal(got, want) {
			t.Fatalf("%s in splits of %d bytes: %d lines, want %d", info.URI, size, len(got), len(want))
		}
	}
}

func TestBzip2Splits(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	number := []byte{0x31, 0x41, 0x59, 0x26, 0x53, 0x59}
	ending := []byte{0x17, 0x72, 0x45, 0x38, 0x50, 0x90}
	for name, fill := range map[string]func(w *bzip2Stream) string{
		"blocks": func(w *bzip2Stream) (all string) {
			w.begin()
			for i := range 5 {
				part := strings.Repeat("line ", i) + "\nshort\n\nlonger than that, and cut by the block's e"
				w.text([]byte(part))
				all += part
			}
			w.end()
			return all
		},
		"streams": func(w *bzip2Stream) (all string) {
			for i := range 4 {
				w.begin()
				for j := range i {
					part := fmt.Sprintf("stream %d\nblock %d\n", i, j)
					w.text([]byte(part))
					all += part
				}
				w.end() // the first is empty
			}
			w.begin()
			w.end()
			return all
		},
		"long line": func(w *bzip2Stream) (all string) {
			w.begin()
			for range 6 {
				w.text([]byte("no end in sight "))
				all += "no end in sight "
			}
			w.text([]byte("\n"))
			w.text([]byte("\n"))
			w.text([]byte("\r\nb"))
			w.end()
			return all + "\n\n\r\nb"
		},
		"lines end with blocks": func(w *bzip2Stream) (all string) {
			w.begin()
			for i := range 6 {
				part := fmt.Sprintf("%d\n", i)
				w.text([]byte(part))
				all += part
			}
			w.end()
			return all
		},
		"numbers by chance": func(w *bzip2Stream) (all string) {
			w.begin()
			for range 3 {
				codes := []byte{}
				for range 20 {
					codes = append(codes, byte(rng.IntN(255)))
				}
				codes = append(append(append(codes, number...), 7, 9, 100), ending...)
				all += string(w.hiding(append(codes, number...)))
				w.text([]byte("a line\nand its half "))
				all += "a line\nand its half "
			}
			w.end()
			return all
		},
		"nothing": func(w *bzip2Stream) string {
			w.begin()
			w.end()
			return ""
		},
	} {
		var w bzip2Stream
		text := fill(&w)
		if got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(w.b))); err != nil || string(got) != text {
			t.Fatalf("%s: this test's writer is wrong: %q, want %q: %v", name, got, text, err)
		}
		everySplit(t, put(t, "mem://bzip2/"+name+".bz2", w.b), expected(text))
	}
}

// TestBzip2FindsNumbersEverywhere: at each of the eight shifts, and where one read of the search ends.
func TestBzip2FindsNumbersEverywhere(t *testing.T) {
	var block bzip2Stream
	block.text([]byte("text"))
	for _, before := range []int{0, 1, 7, 1<<18 - 9, 1<<18 - 2, 1<<18 - 1, 1 << 18, 3<<18 - 3} {
		for shift := range 8 {
			w := bitWriter{b: make([]byte, before, before+100), n: 8 * before}
			w.write(0, shift)
			for i := range block.n {
				w.write(uint64(block.b[i/8]>>(7-i%8)&1), 1)
			}
			w.write(bzip2End, 48)
			w.write(0, 40)
			r := newBzip2Range(bytes.NewReader(w.b), int64(len(w.b)), 0, 0)
			want := int64(8*before + shift)
			if at, err := r.find(0, 8*r.size); at != want || err != nil {
				t.Errorf("found at bit %d, it is at %d: %v", at, want, err)
			}
			if at, err := r.find(want+1, 8*r.size); at != -1 || err != nil {
				t.Errorf("found again at bit %d: %v", at, err)
			}
			if at, err := r.find(0, want); at != -1 || err != nil {
				t.Errorf("found beyond the range at bit %d: %v", at, err)
			}
		}
	}
}

// TestBzip2HiddenBlock: data that hold a whole block must not be read twice, and not be lost.
func TestBzip2HiddenBlock(t *testing.T) {
	var inner bzip2Stream
	inner.text([]byte("wrong\nrows\n"))
	inner.write(bzip2End, 48)
	if bytes.IndexByte(inner.b, 0xff) >= 0 {
		t.Fatal("choose another text: the code 0xff ends a block")
	}
	var w bzip2Stream
	w.begin()
	w.text([]byte("a\nb\n"))
	w.hiding(slices.Concat(bytes.Repeat([]byte{77}, 9), inner.b, bytes.Repeat([]byte{99}, 5)))
	w.text([]byte("c\nd\n"))
	w.end()
	text, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(w.b)))
	if err != nil {
		t.Fatal(err)
	}
	info := put(t, "mem://bzip2/hidden.bz2", w.b)
	refused := 0
	for at := int64(1); at < info.Size; at += 3 {
		var got []string
		var failed error
		for _, s := range splitsAt(info, at) {
			lines, err := tryLines(t, s)
			got = append(got, lines...)
			failed = errors.Join(failed, err)
		}
		switch {
		case failed == nil && !slices.Equal(got, expected(string(text))):
			t.Errorf("cut at byte %d: %q, want %q", at, got, expected(string(text)))
		case failed != nil && !strings.Contains(failed.Error(), "looks like a block"):
			t.Error(failed)
		case failed != nil:
			refused++
		}
	}
	if refused == 0 {
		t.Error("the hidden block was never met")
	}
}

// tryLines reads the lines of a split as far as it can.
func tryLines(t *testing.T, s Split) ([]string, error) {
	t.Helper()
	r, err := NewLineReader(t.Context(), s)
	var lines []string
	for err == nil {
		var batch []string
		batch, err = r.Next()
		lines = append(lines, batch...)
	}
	if r != nil {
		r.Close()
	}
	if err == io.EOF {
		err = nil
	}
	return lines, err
}

// damaged changes each byte of a file, and cuts it everywhere: all lines of the splits together are right, or there is an error.
func damaged(t *testing.T, name string, content []byte, cuts []int64, want []string) {
	t.Helper()
	for i := 0; i < 2*len(content); i += 2 {
		bad := bytes.Clone(content)
		if i < len(content) {
			bad[i] ^= byte(1 << (i % 8))
		} else {
			bad = bad[:i-len(content)]
		}
		info := put(t, "mem://damage/"+name, bad)
		at := slices.DeleteFunc(slices.Clone(cuts), func(at int64) bool { return at >= info.Size })
		var got []string
		var failed error
		if info.Size == 0 {
			continue
		}
		for _, s := range splitsAt(info, at...) {
			lines, err := tryLines(t, s)
			got = append(got, lines...)
			failed = errors.Join(failed, err)
		}
		if failed == nil && !slices.Equal(got, want) {
			// Cut between streams or frames it is a whole file, of less.
			if less, err := tryLines(t, whole(info)); i >= len(content) && err == nil && slices.Equal(got, less) {
				continue
			}
			t.Fatalf("%s, damaged at byte %d of %d: %q without an error, want %q", name, i, len(content), got, want)
		}
		if failed != nil && !strings.Contains(failed.Error(), "damaged") {
			t.Errorf("the error does not say so: %v", failed)
		}
	}
}

func TestBzip2Damage(t *testing.T) {
	var w bzip2Stream
	var all string
	for i := range 2 {
		w.begin()
		for j := range 2 {
			part := fmt.Sprintf("%d\n%d", i, j)
			w.text([]byte(part))
			all += part
		}
		w.end()
	}
	n := int64(len(w.b))
	damaged(t, "d.bz2", w.b, []int64{n / 5, n / 2, n - 9}, expected(all))
}

// TestBzip2OfTheTool reads what bzip2 itself wrote: seq 60000 | bzip2 -1, in four blocks.
func TestBzip2OfTheTool(t *testing.T) {
	content, err := os.ReadFile("testdata/seq.bz2")
	if err != nil {
		t.Fatal(err)
	}
	info := put(t, "mem://bzip2/seq.bz2", content)
	for _, n := range []int64{3, 40} {
		lines := linesOf(t, whole(info).at(filesys.Cut(info.Size, info.Size/n)))
		for i, l := range lines {
			if l != fmt.Sprint(i+1) {
				t.Fatalf("in %d splits, line %d is %q", n, i+1, l)
			}
		}
		if len(lines) != 60_000 {
			t.Errorf("in %d splits there are %d lines", n, len(lines))
		}
	}
	// The place of a line in the middle.
	last := splitsAt(info, info.Size/2)[1]
	r, err := OpenSplit(t.Context(), last)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	at := r.Offset()
	line, err := r.Line()
	if n := LineAt(t.Context(), last, at); err != nil || fmt.Sprint(n) != string(line) || n < 10_000 {
		t.Errorf("line %q is number %d, %v", line, n, err)
	}
}

func FuzzBzip2Find(f *testing.F) {
	var w bzip2Stream
	w.begin()
	w.text([]byte("a\nb\n"))
	w.text([]byte("c\nd\n"))
	w.end()
	f.Add(w.b, uint16(20))
	f.Add(w.b[:40], uint16(3))
	f.Add(binary.BigEndian.AppendUint64(nil, bzip2Block<<9), uint16(1))
	f.Fuzz(func(t *testing.T, content []byte, at uint16) {
		if len(content) == 0 || len(content) > 1<<16 {
			return
		}
		info := put(t, "mem://bzip2/fuzz.bz2", content)
		want, wantErr := tryLines(t, whole(info))
		cut := int64(at) % info.Size
		if cut == 0 {
			return
		}
		var got []string
		var failed error
		for _, s := range splitsAt(info, cut) {
			lines, err := tryLines(t, s)
			got = append(got, lines...)
			failed = errors.Join(failed, err)
		}
		if failed == nil && (wantErr != nil || !slices.Equal(got, want)) {
			t.Errorf("cut at byte %d: %q; as a whole: %q, %v", cut, got, want, wantErr)
		}
		if wantErr == nil && failed != nil && !strings.Contains(failed.Error(), "looks like a block") {
			t.Errorf("cut at byte %d: %v; as a whole: %q", cut, failed, want)
		}
	})
}

// BenchmarkBzip2 reads a file in four splits, and as a whole.
func BenchmarkBzip2(b *testing.B) {
	content, err := os.ReadFile("testdata/seq.bz2")
	if err != nil {
		b.Fatal(err)
	}
	info := put(b, "mem://bzip2/bench.bz2", content)
	for _, n := range []int64{1, 4} {
		b.Run(fmt.Sprintf("splits=%d", n), func(b *testing.B) {
			b.SetBytes(info.Size)
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				for _, s := range whole(info).at(filesys.Cut(info.Size, info.Size/n)) {
					rows += len(readLines(b, s))
				}
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
)

func compressors(t testing.TB) []Compressor {
	t.Helper()
	var all []Compressor
	for _, name := range []string{"none", "lz4", "zstd"} {
		c, err := CompressorOf(name)
		if err != nil {
			t.Fatal(err)
		}
		if c.String() != name {
			t.Errorf("compressor %s calls itself %s", name, c)
		}
		all = append(all, c)
	}
	return all
}

func TestCompressors(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, compressChunk+77)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	text := []byte(strings.Repeat("a word and another word; ", 100_000))
	for _, c := range compressors(t) {
		for name, raw := range map[string][]byte{
			"empty": {}, "one byte": {7}, "zeros": make([]byte, 3*compressChunk+5), "text": text, "noise": noise,
			"mixed": append(append([]byte{}, noise...), text...), "exact": text[:compressChunk],
		} {
			frame, err := c.Append([]byte("before"), raw)
			if err != nil {
				t.Fatalf("%s %s: %v", c, name, err)
			}
			frame = frame[len("before"):]
			if limit := len(raw) + 6 + 4*(len(raw)/compressChunk+1); len(frame) > limit {
				t.Errorf("%s %s: %d bytes became %d, more than %d", c, name, len(raw), len(frame), limit)
			}
			if name == "text" && c.String() != "none" && len(frame) > len(raw)/20 {
				t.Errorf("%s %s: %d bytes became %d", c, name, len(raw), len(frame))
			}
			// Any compressor reads any frame.
			got, rest, err := compressors(t)[0].Decode([]byte("x"), append(frame, "after"...))
			if err != nil || string(rest) != "after" || string(got[:1]) != "x" || !bytes.Equal(got[1:], raw) {
				t.Errorf("%s %s: decodes to %d bytes, rest %q, %v", c, name, len(got)-1, rest, err)
			}
			for _, cut := range []int{0, 1, 2, len(frame) / 2, len(frame) - 1} {
				if cut >= len(frame) {
					continue
				}
				if _, _, err := c.Decode(nil, frame[:cut]); err == nil {
					t.Errorf("%s %s: a frame cut to %d of %d bytes decodes", c, name, cut, len(frame))
				}
			}
		}
	}
	if _, err := CompressorOf("snappy"); err == nil || !strings.Contains(err.Error(), "none, lz4 or zstd") {
		t.Errorf("unknown name: %v", err)
	}
}

func TestCompressorsAreConcurrent(t *testing.T) {
	for _, c := range compressors(t) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				raw := []byte(strings.Repeat(fmt.Sprint("row ", i, " "), 5000))
				frame, err := c.Append(nil, raw)
				if err != nil {
					t.Error(err)
				}
				got, _, err := c.Decode(nil, frame)
				if err != nil || !bytes.Equal(got, raw) {
					t.Errorf("%s: %v", c, err)
				}
			})
		}
		wg.Wait()
	}
}

// TestHostileFrames claims lengths that are not there; memory must not be taken on their word.
func TestHostileFrames(t *testing.T) {
	z := compressors(t)[2]
	bomb, _ := z.Append(nil, make([]byte, compressChunk))
	for _, frame := range [][]byte{
		{9, 0},
		{1, 0x80},
		append(binary.AppendUvarint([]byte{1}, 1<<62), 5, 1, 2),
		append(binary.AppendUvarint([]byte{2}, 1<<40), bomb[4:]...),
		append(binary.AppendUvarint([]byte{0}, 4), 3, 1), // compressed, in a frame without compression
	} {
		for _, c := range compressors(t) {
			got, rest, err := c.Decode([]byte("kept"), frame)
			if err == nil || string(got) != "kept" || len(rest) != len(frame) {
				t.Errorf("%x: %v", frame[:min(len(frame), 12)], err)
			}
		}
	}
}

func FuzzDecompress(f *testing.F) {
	for _, c := range compressors(f) {
		frame, err := c.Append(nil, []byte(strings.Repeat("abcabcabd", 50)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
	}
	c := compressors(f)[0]
	f.Fuzz(func(t *testing.T, frame []byte) {
		raw, rest, err := c.Decode(nil, frame)
		if err == nil && len(rest) > len(frame) {
			t.Error("rest is longer than the frame")
		}
		_ = raw
	})
}

func FuzzCompress(f *testing.F) {
	f.Add([]byte("some text some text some text"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, c := range compressors(t) {
			frame, err := c.Append(nil, raw)
			if err != nil {
				t.Fatal(err)
			}
			if got, rest, err := c.Decode(nil, frame); err != nil || len(rest) != 0 || !bytes.Equal(got, raw) {
				t.Fatalf("%s: %v", c, err)
			}
		}
	})
}

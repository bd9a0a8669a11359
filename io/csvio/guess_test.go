package csvio

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/spark-go/spark-go/io/textio"
)

type note struct {
	ID   int32
	Text *string
	Who  string
}

// notes makes rows whose texts hold line breaks, quotes, delimiters and what looks like rows, and their CSV.
func notes(n int, o Options) ([]note, string) {
	rng := rand.New(rand.NewPCG(7, 8))
	words := []string{"said", "\"quoted\"", "a,b", "\n", "line\r\nbreak", "7,8,9\n", "", "#", "3\" pipe", "end.\n\n", "words of a longer kind"}
	rows := make([]note, n)
	for i := range rows {
		var b strings.Builder
		for range rng.IntN(12) {
			b.WriteString(words[rng.IntN(len(words))] + " ")
		}
		if i == n/2 {
			b.WriteString(strings.Repeat("a very long text,\nof many lines\n", 5000))
		}
		text := b.String()
		rows[i] = note{int32(i), &text, fmt.Sprintf("user %d", rng.IntN(100))}
	}
	head, add, err := encoder[note]{o}.Begin()
	if err != nil {
		panic(err)
	}
	out, err := add(slices.Clone(head), rows)
	if err != nil {
		panic(err)
	}
	return rows, string(out)
}

// TestLineBreaksInQuotesAcrossSplits: a file is cut anywhere, and its rows are those of the whole.
func TestLineBreaksInQuotesAcrossSplits(t *testing.T) {
	for name, o := range map[string]Options{"plain": {}, "header": {Header: true}, "escape": {Escape: '\\', Comment: '#', Header: true}, "blanks": {TrimSpace: true, Delimiter: '\t'}} {
		o, err := o.check()
		if err != nil {
			t.Fatal(err)
		}
		want, text := notes(3000, o)
		if o.Comment != 0 {
			text = strings.Repeat("# it's \"half a quote, as comments hold\n", 2000) + text
		}
		for _, target := range []int64{5_003, 40_009, 100_003} {
			got, err := readGuessing[note](t, "notes", text, o, target, 0)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s in splits of %d bytes: %d rows, %v", name, target, len(got), err)
			}
		}
	}
}

// TestLineBreaksInQuotesAcrossFrames: also where the splits are of a compressed file.
func TestLineBreaksInQuotesAcrossFrames(t *testing.T) {
	o, err := Options{Header: true}.check()
	if err != nil {
		t.Fatal(err)
	}
	want, text := notes(1000, o)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var file []byte
	for part := range slices.Chunk([]byte(text), 10_001) { // as pzstd writes
		packed := w.EncodeAll(part, nil)
		file = binary.LittleEndian.AppendUint32(file, 0x184D2A50)
		file = binary.LittleEndian.AppendUint32(file, 4)
		file = append(binary.LittleEndian.AppendUint32(file, uint32(len(packed))), packed...)
	}
	for _, target := range []int64{1, 10_000} {
		got, err := readGuessing[note](t, "notes.csv.zst", string(file), o, target, 0)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("in splits of %d bytes: %d rows of %d, %v", target, len(got), len(want), err)
		}
	}
	// The line of a row that is wrong, in a frame in the middle.
	bad := strings.Replace(text, "\n900,", "\nninehundred,", 1)
	line := 1 + strings.Count(bad[:strings.Index(bad, "\nninehundred")+1], "\n")
	file = file[:0]
	for part := range slices.Chunk([]byte(bad), 10_001) {
		packed := w.EncodeAll(part, nil)
		file = append(file, 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0)
		file = append(binary.LittleEndian.AppendUint32(file, uint32(len(packed))), packed...)
	}
	_, err = readGuessing[note](t, "bad.csv.zst", string(file), o, 1, 0)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("line %d, column 1", line)) {
		t.Errorf("%v, the bad line is number %d", err, line)
	}
}

// TestGuessRefuses: where it cannot be told what is in quotes, there is an error and no wrong row.
func TestGuessRefuses(t *testing.T) {
	type one struct{ Text string }
	// Texts of lines that could as well be rows.
	text := strings.Repeat("\""+strings.Repeat("row\n", 100_000)+"\"\n", 4)
	whole, err := readAll[one](t, "fooled", text, Options{MultiLine: true}, 1000)
	if err != nil || len(whole) != 4 {
		t.Fatalf("%d rows, %v", len(whole), err)
	}
	_, err = readGuessing[one](t, "fooled", text, Options{}, 150_001, 0)
	if err == nil || !strings.Contains(err.Error(), "MultiLine") {
		t.Errorf("the guess was wrong without an error: %v", err)
	}
	if _, err := readAll[one](t, "fooled", text, Options{MultiLine: true, SingleLine: true}, 1); err == nil {
		t.Error("both options are taken")
	}
}

// TestGuessNeverWrong cuts small files, of which a guess has little to go by, everywhere.
func TestGuessNeverWrong(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	pieces := []string{"a", "b,", "\"", "\"\"", "\n", "\r\n", ",", "\"x\n\",1\n", "#c\n", "y,2\n", "\\\""}
	refused, right := 0, 0
	for range 300 {
		var b strings.Builder
		for range 1 + rng.IntN(12) {
			b.WriteString(pieces[rng.IntN(len(pieces))])
		}
		text := b.String()
		for _, o := range []Options{{}, {Comment: '#', Escape: '\\', Header: true}} {
			o.Ragged = true
			o.BadLines = textio.SkipBadLines()
			want, wantErr := readAll[four](t, "small", text, Options{Comment: o.Comment, Escape: o.Escape, Header: o.Header, Ragged: true, BadLines: o.BadLines, MultiLine: true}, 1)
			for target := int64(1); target < int64(len(text)); target += 2 {
				for _, walk := range []int64{0, walkMost} {
					got, err := readGuessing[four](t, "small", text, o, target, walk)
					switch {
					case err != nil && wantErr == nil && (walk > 0 || !strings.Contains(err.Error(), "MultiLine")):
						t.Errorf("%q in splits of %d bytes: %v", text, target, err)
					case err != nil && wantErr == nil:
						refused++
					case err == nil && (wantErr != nil || !reflect.DeepEqual(got, want)):
						t.Errorf("%q in splits of %d bytes: %q, as a whole %q, %v", text, target, values4(got), values4(want), wantErr)
					case walk == 0:
						right++
					}
				}
			}
		}
	}
	if refused == 0 || right == 0 {
		t.Errorf("%d were refused and %d read", refused, right)
	}
}

// BenchmarkGuess finds where a split begins: what each task but the first adds twice to its work.
func BenchmarkGuess(b *testing.B) {
	o, err := Options{}.check()
	if err != nil {
		b.Fatal(err)
	}
	_, text := notes(2000, o)
	d, err := newDecoder[note](o)
	if err != nil {
		b.Fatal(err)
	}
	w := []byte(text[1000 : 1000+guessLeast])
	b.SetBytes(guessLeast)
	for b.Loop() {
		if _, sure := d.guess(w, false); !sure {
			b.Fatal("not sure")
		}
	}
}

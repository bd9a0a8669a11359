package rdd

import (
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
)

var fieldLines = []string{
	"", " ", "a", "a ", " a", "to be or not", "\ttabs\tand\vothers\f\r\n", "\x00 is \x1f no\x1cspace \x7f",
	strings.Repeat("x", 63), strings.Repeat("x", 64), strings.Repeat("x", 65), strings.Repeat("x", 200) + " y",
	strings.Repeat("x", 63) + " y", strings.Repeat("x", 64) + " y", strings.Repeat(" ", 64) + "y", strings.Repeat("ab ", 100),
	"ümlaute sind kein ASCII\u00a0und\u2003trennen", strings.Repeat("plain ", 20) + "\u0085 caf\u00e9", "\xff\xa0 broken \x85",
}

// Whatever appendFields does at once must be what strings.Fields does byte by byte.
func TestAppendFields(t *testing.T) {
	for _, line := range fieldLines {
		checkFields(t, line)
	}
	// Every white space at every place around the ends of words and blocks.
	for n := range 140 {
		for _, c := range "\t\n\v\f\r \b\x0e\x1f!" {
			b := []byte(strings.Repeat("z", 140))
			b[n] = byte(c)
			checkFields(t, string(b))
			checkFields(t, string(b[:n+1]))
			checkFields(t, string(b[n:]))
		}
	}
}

func checkFields(t *testing.T, line string) {
	t.Helper()
	got := appendFields([]string{"before"}, line)
	if want := append([]string{"before"}, strings.Fields(line)...); !slices.Equal(got, want) {
		t.Fatalf("appendFields(%q) = %q, want %q", line, got, want)
	}
}

func FuzzAppendFields(f *testing.F) {
	for _, line := range fieldLines {
		f.Add(line)
	}
	f.Fuzz(checkFields)
}

func TestSplitsFields(t *testing.T) {
	for _, f := range []any{strings.Fields, strings.FieldsSeq} {
		if !splitsFields(f) {
			t.Errorf("%T is not known", f)
		}
	}
	for _, f := range []any{strings.Lines, strings.ToUpper, func(s string) []string { return strings.Split(s, " ") }, func(s string) iter.Seq[string] { return strings.SplitSeq(s, " ") }} {
		if splitsFields(f) {
			t.Errorf("%T is taken for strings.Fields", f)
		}
	}
	if s := fieldsOf[string, int](StreamOf([]string{"a"}), strings.ToUpper); s != nil {
		t.Error("a stream of words for another function")
	}
	lines := StreamOf(fieldLines)
	words := fieldsOf[string, string](lines, strings.FieldsSeq)
	var got, want []string
	for {
		rows, err := words.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rows...)
	}
	for _, line := range fieldLines {
		want = append(want, strings.Fields(line)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("words %q, want %q", got, want)
	}
}

func BenchmarkFields(b *testing.B) {
	line := "it fw ce ds mm lo sa tdd ez zh su eu"
	b.SetBytes(int64(len(line)))
	for _, c := range []struct {
		name string
		f    func([]string, string) []string
	}{{"appendFields", appendFields}, {"FieldsSeq", func(out []string, s string) []string {
		for w := range strings.FieldsSeq(s) {
			out = append(out, w)
		}
		return out
	}}} {
		b.Run(c.name, func(b *testing.B) {
			var out []string
			for b.Loop() {
				out = c.f(out[:0], line)
			}
			b.ReportMetric(float64(b.N)*float64(len(out))/b.Elapsed().Seconds()/1e6, "Mwords/s")
		})
	}
}

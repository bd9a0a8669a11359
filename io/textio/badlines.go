package textio

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spark-go/spark-go/rdd"
)

// BadLines says what becomes of lines (records, where one may span lines) that do not hold what they should. The zero value fails the job at the first, with
// an error that names file, line, column, value and reason.
type BadLines struct {
	skip bool
	keep int
	log  *rdd.Accumulator[[]splitBad]
}

// SkipBadLines leaves bad lines out.
func SkipBadLines() BadLines { return BadLines{skip: true} }

// CollectBadLines leaves bad lines out and counts them; Lines shows the first keep of each split of a file. A line
// counts once, however often tasks are retried and the dataset is computed. Use a value
// for one dataset: cut into other splits, the same file would count again.
func CollectBadLines(s rdd.Session, name string, keep int) (BadLines, error) {
	log, err := rdd.NewAccumulator(s, name, nil, mergeBad)
	if err != nil {
		return BadLines{}, err
	}
	return BadLines{skip: true, keep: max(0, keep), log: &log}, nil
}

// Count is how many lines the jobs so far left out, read on the driver. It is 0 except after CollectBadLines.
func (b BadLines) Count() int64 {
	if b.log == nil {
		return 0
	}
	var n int64
	for _, s := range b.log.Value() {
		n += s.Count
	}
	return n
}

// Lines returns the lines that were kept, by file and offset.
func (b BadLines) Lines() []BadLine {
	if b.log == nil {
		return nil
	}
	var lines []BadLine
	for _, s := range b.log.Value() {
		lines = append(lines, s.First...)
	}
	return lines
}

// BadLine is a line that was left out.
type BadLine struct {
	URI    string
	Offset int64  // of the line's first byte in the decompressed file, or in what is decompressed from byte From of the file on
	From   int64  // where the split begins, if the file is compressed and it does not begin it; else 0
	Line   int64  // number in the file, from 1; 0 where the split does not begin its file
	Column int    // number of the field, from 1; 0 for the line as a whole
	Reason string // what is wrong
	Text   string // the first 200 bytes
}

// String is the line's place and what is wrong with it.
func (b BadLine) String() string {
	var s strings.Builder
	s.WriteString(b.URI)
	switch {
	case b.Line > 0:
		fmt.Fprintf(&s, ": line %d", b.Line)
	case b.From > 0:
		fmt.Fprintf(&s, ": byte %d of what is decompressed from byte %d on", b.Offset, b.From)
	default:
		fmt.Fprintf(&s, ": byte %d", b.Offset)
	}
	if b.Column > 0 {
		fmt.Fprintf(&s, ", column %d", b.Column)
	}
	s.WriteString(": " + b.Reason)
	return s.String()
}

// mostText is how much of a bad line is shown.
const mostText = 200

// splitBad is what was left out of a split so far.
type splitBad struct {
	URI    string
	Offset int64
	Count  int64
	First  []BadLine
}

func bySplit(a, b splitBad) int {
	return cmp.Or(strings.Compare(a.URI, b.URI), cmp.Compare(a.Offset, b.Offset))
}

// mergeBad joins two lists in the order of their splits. Of two counts of one split the larger stands: they
// count the same lines, one of them perhaps not to the end.
func mergeBad(a, b []splitBad) []splitBad {
	if len(a) == 0 {
		return b
	}
	out := slices.Clone(a) // others may be looking at a
	for _, s := range b {
		i, found := slices.BinarySearchFunc(out, s, bySplit)
		switch {
		case !found:
			out = slices.Insert(out, i, s)
		case s.Count > out[i].Count:
			out[i] = s
		}
	}
	return out
}

// BadTally applies BadLines to one split. Readers of formats make one a split.
type BadTally struct {
	policy BadLines
	split  Split
	sum    splitBad
	fresh  bool // sum is not in the log yet
}

// Tally begins a split.
func (b BadLines) Tally(s Split) BadTally {
	return BadTally{policy: b, split: s, sum: splitBad{URI: s.URI, Offset: s.Offset}}
}

// Split is what the tally is of.
func (t *BadTally) Split() Split { return t.split }

// Add takes note of a bad line; if the policy is to fail, it returns the error. Line counts from the split's first line, from 1; Add
// makes of it the number in the file. text is the line or more.
func (t *BadTally) Add(ctx context.Context, b BadLine, text []byte) error {
	if t.policy.skip && t.policy.log == nil {
		return nil
	}
	b.URI, b.From = t.split.URI, t.split.part()
	if t.split.Offset > 0 {
		b.Line = 0
	}
	if !t.policy.skip {
		if b.Line == 0 {
			b.Line = LineAt(ctx, t.split, b.Offset)
		}
		return fmt.Errorf("read %v: correct the file, or leave such lines out by BadLines in the options", b)
	}
	t.sum.Count++
	t.fresh = true
	if len(t.sum.First) < t.policy.keep {
		b.Text = string(text[:min(len(text), mostText)])
		t.sum.First = append(t.sum.First, b)
	}
	return nil
}

// Flush tells the driver. Readers call it before they give out a batch and at the end.
func (t *BadTally) Flush() {
	if t.fresh && t.policy.log != nil {
		s := t.sum
		s.First = slices.Clone(s.First)
		t.policy.log.Add([]splitBad{s})
		t.fresh = false
	}
}

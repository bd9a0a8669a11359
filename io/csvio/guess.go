package csvio

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spark-go/spark-go/io/textio"
)

// A task that begins in the middle of a file does not know whether it begins inside quotes. It guesses: for each state in which the file could be at that place it cuts the next
// 64 KiB or more into records, and takes the state in which those look best: as many fields as there are columns, nothing behind closing quotes, no quotes within fields that
// have none around them. The idea is that of Ge and others, "Speculative Distributed CSV Data Parsing for Big Data Analytics" (SIGMOD 2019).
//
// A guess is nothing to rely on, so it is proved: the task before, which knows where its own last record ends, makes the same guess, of the same bytes, and fails the
// job if it is wrong. The first task begins where the file begins; so if no task fails, all began where a record begins.
const (
	guessLeast = 64 << 10
	guessMost  = 4 << 20
	guessRows  = 8 // that make a guess sure
	// walkMost is how far into a file the records before a split are counted off instead, which needs no guess: so
	// files of some kilobytes, of which a guess would have little to go by, can be cut as small as one likes.
	walkMost = 1 << 20
)

// origin finds where the first record begins that begins in the split and after the first byte that in shows, in bytes from there.
func (d *decoder[T]) origin(in *textio.SplitReader, s textio.Split) (int64, error) {
	if s.Offset <= d.walk {
		return d.walked(s)
	}
	for size := guessLeast; ; size *= 2 {
		for len(in.Window()) < size && !in.AtEnd() {
			if err := in.More(); err != nil && err != io.EOF {
				return 0, err
			}
		}
		// No more than size: how much lies in the buffer must not decide.
		w := in.Window()
		last := in.AtEnd() && len(w) <= size
		w = w[:min(size, len(w))]
		n, sure := d.guess(w, last)
		if sure || last || size >= guessMost {
			return int64(n), nil
		}
	}
}

// walked is origin by way of all records before the split.
func (d *decoder[T]) walked(s textio.Split) (int64, error) {
	before := s
	before.Offset, before.Length = 0, s.Offset
	w := &decoder[T]{options: d.options, scanner: newScanner(d.options)}
	var err error
	if w.in, err = textio.OpenSplit(d.ctx, before); err != nil {
		return 0, err
	}
	defer func() { _ = w.Close() }() // what was read was read
	for {
		if _, err := w.record(false); err == io.EOF {
			return w.in.Past(), nil
		} else if err != nil {
			return 0, err
		}
		w.consume()
	}
}

// guess returns after how many bytes of w, at least one, a record begins.
func (d *decoder[T]) guess(w []byte, last bool) (at int, sure bool) {
	if len(w) == 0 {
		return 0, true
	}
	s := d.scanner
	s.fields = nil
	filler := byte('a')
	for filler == s.delim || filler == s.quote || filler == s.escape || filler == d.options.Comment {
		filler++
	}
	// What could lie before w, so that the states need no code of their own.
	states := [][]byte{
		{filler},                            // in a field without quotes
		{},                                  // before a record
		{filler, s.delim},                   // before a field
		{s.quote, filler},                   // in quotes
		{s.quote, filler, s.quote},          // behind a quote in quotes
		{s.quote, filler, s.escape},         // behind an escape in quotes
		{d.options.Comment, filler, filler}, // in a comment
	}
	if d.options.Comment == 0 {
		states = states[:6]
	}
	const room = 3
	data := append(make([]byte, room, room+len(w)), w...)
	type guess struct{ at, score, rows int }
	guesses := make([]guess, len(states))
	best := 0
	for i, before := range states {
		from := room - len(before)
		copy(data[from:], before)
		g := &guesses[i]
		g.at, g.score, g.rows = d.try(&s, data[from:], last)
		g.at -= len(before)
		if g.at <= 0 { // no record ends in w
			g.at = len(w)
		}
		if g.score > guesses[best].score {
			best = i
		}
	}
	sure = guesses[best].rows >= guessRows
	for _, g := range guesses {
		if g.at != guesses[best].at && g.score > guesses[best].score-guessRows {
			sure = false
		}
	}
	return guesses[best].at, sure
}

// try cuts data into records: where the first one ends, how well the others look, and how many they are.
func (d *decoder[T]) try(s *scanner, data []byte, last bool) (at, score, rows int) {
	const oddWidth, oddQuotes = 4, 8
	for i := 0; i < len(data); {
		if size := d.blank(data[i:], last); size > 0 {
			i += size
			if at == 0 {
				at = i
			}
			continue
		} else if size < 0 {
			return at, score, rows
		}
		size, _, how := s.scan(data[i:], last)
		if how == cut {
			return at, score, rows
		}
		record := data[i : i+size]
		i += size
		switch {
		case how != whole:
			score -= oddQuotes
		case at == 0: // it began before
		case len(s.fields) != d.width && !d.options.Ragged:
			score -= oddWidth
		case oddlyQuoted(record, s):
			score -= oddQuotes
		default:
			score++
		}
		if at == 0 {
			at = i
		} else {
			rows++
		}
	}
	return at, score, rows
}

// oddlyQuoted tells that a field without quotes around it holds one.
func oddlyQuoted(record []byte, s *scanner) bool {
	for _, f := range s.fields {
		if !f.quoted && bytes.IndexByte(record[f.from:f.to], s.quote) >= 0 {
			return true
		}
	}
	return false
}

// blank is the length of the empty line or comment at the start of w, of which there is some; 0 if it begins a record, -1 if more must be seen.
func (d *decoder[T]) blank(w []byte, last bool) int {
	switch c := w[0]; {
	case c == '\n':
		return 1
	case c == '\r' && len(w) > 1 && w[1] == '\n':
		return 2
	case c == '\r' && len(w) == 1 && last:
		return 1
	case c == '\r' && len(w) == 1:
		return -1
	case c == d.options.Comment && c != 0:
		if i := bytes.IndexByte(w, '\n'); i >= 0 {
			return i + 1
		}
		if last {
			return len(w)
		}
		return -1
	}
	return 0
}

// guessed tells that splits of the file begin where they guess.
func (d *decoder[T]) guessed(s textio.Split) bool {
	return !d.options.SingleLine && !d.options.NoQuotes && (s.Offset > 0 || s.Length < s.Size)
}

// prove makes sure that the next split begins where this one ends.
func (d *decoder[T]) prove() error {
	s := d.tally.Split()
	next := s
	next.Offset, next.Length = s.Offset+s.Length, s.Size-s.Offset-s.Length
	if d.proved || next.Length <= 0 || next.Offset <= d.walk || !d.guessed(s) {
		return nil
	}
	d.proved = true
	in, err := textio.OpenUnaligned(d.ctx, next)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // what was read was read
	at, err := d.origin(in, next)
	if err != nil {
		return err
	}
	if at != d.in.Past() {
		return fmt.Errorf("read %s: which line breaks behind byte %d are in quotes cannot be told from the text there: set Options.MultiLine, for one task a file, or Options.SingleLine if no record spans lines",
			s.URI, next.Offset)
	}
	return nil
}

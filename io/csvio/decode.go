package csvio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/spark-go/spark-go/io/textio"
)

// decoder reads the records of splits into rows, which it uses again from batch to batch.
type decoder[T any] struct {
	options Options
	fields  []field
	columns []column // of the fields
	scanner scanner

	reads []read // of the file at hand
	width int    // columns of its records; 0 until known
	names []string

	rows    []T
	filled  bool // the last batch was full
	arena   *arena
	scratch []byte
	ctx     context.Context
	in      *textio.SplitReader
	tally   textio.BadTally
	line    int64 // of the next record, from the split's first

	size, lines int // of the record that begins the window

	headed string // the file whose header was read last
	behind int64  // by how much it reached into the split before which it was read
	proved bool   // where the next split begins
	walk   int64  // walkMost
}

// read puts a column of the file into a field.
type read struct {
	at     int // the column's number
	column column
	field  *field
}

// Open implements textio.Decoder.
func (d *decoder[T]) Open(ctx context.Context, s textio.Split) error {
	if d.options.Header && s.Offset > 0 && (d.headed != s.URI || d.behind > 0) {
		first := s // the header stands before
		first.Offset, first.Length = 0, s.Offset
		err := d.begin(ctx, first)
		if err = errors.Join(err, d.Close()); err != nil {
			return err
		}
	}
	return d.begin(ctx, s)
}

func (d *decoder[T]) begin(ctx context.Context, s textio.Split) error {
	in, err := textio.OpenUnaligned(ctx, s)
	if err != nil {
		return err
	}
	d.ctx, d.in, d.line, d.proved, d.tally = ctx, in, 1, false, d.options.BadLines.Tally(s)
	switch {
	case s.Offset > 0:
		return d.skip(s)
	case d.options.Header:
		d.headed = s.URI
		err = d.header(s.URI)
		d.behind = in.Past()
		d.proved = d.behind > 0 // the next split begins behind the header
	}
	return err
}

// skip goes to the first record that belongs to a split in the middle of a file.
func (d *decoder[T]) skip(s textio.Split) error {
	past := int64(0)
	if d.options.Header {
		past = d.behind // comments before the header may fill a split
	}
	if !d.guessed(s) {
		if err := d.in.SkipLine(); err != nil {
			return err
		}
		return d.in.Skip(past)
	}
	n := past // the header ends beyond where the split begins
	if n == 0 {
		var err error
		if n, err = d.origin(d.in, s); err != nil {
			return err
		}
	}
	for n > 0 {
		w := d.in.Window()
		if len(w) == 0 {
			if err := d.in.More(); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
			continue
		}
		k := min(n, int64(len(w)))
		d.in.Consume(int(k))
		n -= k
	}
	d.proved = past > 0 && d.in.Past() > 0
	return nil
}

// header reads the header, also if it lies beyond the split's end.
func (d *decoder[T]) header(uri string) error {
	how, err := d.record(true)
	if err == io.EOF {
		return nil // an empty file has no rows
	}
	if err != nil {
		return err
	}
	if how != whole {
		return fmt.Errorf("read %s: line %d: the header is not CSV: %s", uri, d.line, reasons[how])
	}
	w := d.in.Window()
	names := make([]string, len(d.scanner.fields))
	for i, f := range d.scanner.fields {
		names[i] = string(d.text(w, f))
	}
	d.consume()
	if err := d.match(names); err != nil {
		return fmt.Errorf("read %s: %w", uri, err)
	}
	return nil
}

// match decides which column goes into which field. names is nil for files without a header.
func (d *decoder[T]) match(names []string) error {
	d.names, d.reads = names, d.reads[:0]
	if names == nil {
		d.names = d.options.Columns
	}
	if len(d.names) == 0 { // by place
		d.width = len(d.fields)
		for i := range d.fields {
			d.reads = append(d.reads, read{i, d.columns[i], &d.fields[i]})
		}
		return nil
	}
	d.width = len(d.names)
	for i := range d.fields {
		f := &d.fields[i]
		at, err := f.find(d.names)
		if err != nil {
			return err
		}
		d.reads = append(d.reads, read{at, d.columns[i], f})
	}
	return nil
}

// Close implements textio.Decoder.
func (d *decoder[T]) Close() error { return d.in.Close() }

// record finds the next record, which then begins the window, all of it: d.size bytes.
func (d *decoder[T]) record(beyond bool) (outcome, error) {
	for {
		if d.in.Done() && !beyond {
			return 0, io.EOF
		}
		w := d.in.Window()
		if len(w) == 0 {
			if err := d.in.More(); err != nil {
				return 0, err
			}
			continue
		}
		how := cut
		if n := d.blank(w, d.in.AtEnd()); n > 0 {
			d.in.Consume(n)
			d.line++
			continue
		} else if n == 0 {
			d.size, d.lines, how = d.scanner.scan(w, d.in.AtEnd())
		}
		if how != cut {
			return how, nil
		}
		if err := d.in.More(); err != nil && err != io.EOF {
			return 0, err
		}
	}
}

// consume goes on behind the record.
func (d *decoder[T]) consume() {
	d.in.Consume(d.size)
	d.line += int64(d.lines)
}

// text is the text of a field, good until the next one is asked for.
func (d *decoder[T]) text(w []byte, f span) []byte {
	if !f.escaped {
		return w[f.from:f.to]
	}
	d.scratch = d.scanner.unescape(d.scratch[:0], w[f.from:f.to])
	return d.scratch
}

const (
	fewRows    = 64
	batchRows  = 2048
	batchBytes = 1 << 20 // of text, beyond which a batch ends
)

// grow makes room for a batch: small at first, since looking up the places of all fields costs more than reading a small file.
func (d *decoder[T]) grow() {
	most := max(fewRows, min(batchRows, batchBytes/max(1, int(reflect.TypeFor[T]().Size()))))
	switch {
	case d.rows == nil:
		d.rows = make([]T, fewRows)
	case d.filled && len(d.rows) < most:
		d.rows = make([]T, most)
	default:
		return
	}
	v := reflect.ValueOf(d.rows)
	for i, c := range d.columns {
		c.bind(v, d.fields[i].path)
	}
}

// Next implements textio.Decoder.
func (d *decoder[T]) Next() ([]T, error) {
	d.grow()
	clear(d.rows)
	d.arena.buf = d.arena.buf[:0]
	n := 0
	for begin := d.in.Offset(); n < len(d.rows) && (n == 0 || d.in.Offset()-begin < batchBytes); d.consume() {
		how, err := d.record(false)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		var bad textio.BadLine
		if how != whole {
			bad.Reason = reasons[how]
		} else if bad.Reason, bad.Column = d.fill(n); bad.Reason == "" {
			n++
			continue
		}
		bad.Line, bad.Offset = d.line, d.in.Offset()
		tally := &d.tally
		if how == unclosed && !d.options.SingleLine {
			// To leave this one out would be to leave out the rest of the file.
			fatal := textio.BadLines{}.Tally(d.tally.Split())
			tally = &fatal
		}
		if err := tally.Add(d.ctx, bad, d.in.Window()[:d.size]); err != nil {
			return nil, err
		}
	}
	d.tally.Flush()
	if n == 0 {
		if err := d.prove(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	}
	d.filled = n == len(d.rows)
	texts := string(d.arena.buf)
	for _, c := range d.columns {
		c.finish(n, texts)
	}
	return d.rows[:n], nil
}

var reasons = map[outcome]string{
	unclosed:  "a quote is opened and never closed: double the quotes that are text, or set Options.NoQuotes if quotes mean nothing in this file",
	afterward: "text follows a closing quote: double the quotes that are text",
}

// fill parses the record into row n. It returns what is wrong, and with which column, from 1.
func (d *decoder[T]) fill(n int) (reason string, at int) {
	w := d.in.Window()
	spans := d.scanner.fields
	if len(spans) != d.width && !d.options.Ragged {
		return fmt.Sprintf("%d fields instead of %d", len(spans), d.width), 0
	}
	for i := range d.reads {
		r := &d.reads[i]
		var text []byte
		quoted, null := false, true
		if r.at < len(spans) {
			f := spans[r.at]
			if text, null, quoted = w[f.from:f.to], false, f.quoted; f.escaped {
				text = d.text(w, f)
			}
		}
		if err := r.column.set(n, text, quoted, null); err != nil {
			return d.complain(r, text, err), r.at + 1
		}
	}
	return "", 0
}

// complain words what is wrong with a field.
func (d *decoder[T]) complain(r *read, text []byte, err error) string {
	name := ""
	if r.at < len(d.names) {
		name = fmt.Sprintf("%q: ", d.names[r.at])
	}
	if err == errNull {
		return fmt.Sprintf("%sit is null, field %s is a %v: make the field a pointer, or tag it nullzero for zero", name, r.field.label, r.field.typ)
	}
	shown := fmt.Sprintf("%.60q", text)
	return fmt.Sprintf("%s%s %v for field %s, a %v", name, shown, err, r.field.label, r.field.typ)
}

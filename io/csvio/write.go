package csvio

import (
	"bytes"
	"context"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// Write writes a dataset of structs into a directory, one file a partition (part-00000.csv, with .gz or .zst if compressed). Nothing shows under its
// final name before every task is done; the file _SUCCESS comes last. See filesys.Output for what happens on failure.
//
// Fields are written so that Read with the same options gives them back: floats in the fewest digits that do, times in RFC 3339 with nanoseconds or as
// TimeFormats says, nil as NullValue, and texts in quotes where they need them, which an empty text does to differ from null.
// What cannot be read back, such as line breaks under SingleLine, is an error.
func Write[T any](ctx context.Context, r rdd.RDD[T], uri string, o Options) error {
	o, err := o.check()
	if err != nil {
		return fmt.Errorf("write %s: %w", uri, err)
	}
	save := textio.SaveOptions{Mode: o.Mode, Compression: o.Compression}
	return textio.SaveRows(ctx, r, uri, "WriteCSV", ".csv", textio.Encoder[T](encoder[T]{o}), save)
}

type encoder[T any] struct{ Options Options }

// Begin implements textio.Encoder.
func (e encoder[T]) Begin() (head []byte, appendRows func([]byte, []T) ([]byte, error), err error) {
	fields, err := fieldsOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, nil, err
	}
	if names := e.Options.Columns; len(names) > 0 {
		ordered := make([]*field, len(names))
		for i := range fields {
			at, err := fields[i].find(names)
			if err != nil {
				return nil, nil, err
			}
			ordered[at] = &fields[i]
		}
		if at := slices.Index(ordered, nil); at >= 0 {
			return nil, nil, fmt.Errorf("no field of %v is the column %q of Options.Columns", reflect.TypeFor[T](), names[at])
		}
		all := make([]field, len(ordered))
		for i, f := range ordered {
			all[i] = *f
		}
		fields = all
	}
	w := &writer{options: e.Options, null: []byte(e.Options.NullValue)}
	for _, b := range []byte{e.Options.Delimiter, '\n', '\r'} {
		w.special[b] = true
	}
	if !e.Options.NoQuotes {
		w.special[e.Options.Quote] = true
	}
	for i := range fields {
		c, err := newOutput(fields[i], e.Options)
		if err != nil {
			return nil, nil, err
		}
		c.only = len(fields) == 1
		w.columns = append(w.columns, c)
	}
	if e.Options.Header {
		seen := map[string]string{}
		for i := range fields {
			if other, twice := seen[fields[i].column()]; twice {
				return nil, nil, fmt.Errorf("fields %s and %s are both the column %q: name them apart by tags, `csv:\"NAME\"`", other, fields[i].label, fields[i].column())
			}
			seen[fields[i].column()] = fields[i].label
			if i > 0 {
				head = append(head, e.Options.Delimiter)
			}
			name := fields[i].column()
			if head, err = w.close(append(head, name...), len(head), i == 0, true, false); err != nil {
				return nil, nil, fmt.Errorf("the name of column %q: %w", name, err)
			}
		}
		head = append(head, '\n')
	}
	return head, func(dst []byte, rows []T) ([]byte, error) {
		return w.append(dst, reflect.ValueOf(rows))
	}, nil
}

// output writes one field.
type output struct {
	field
	text    bool // strings and bytes, which may be empty without being null
	pointer bool
	only    bool // there is no other column
	append  func(dst []byte, v reflect.Value) ([]byte, error)
}

func newOutput(f field, o Options) (output, error) {
	if _, err := newColumn(f, o, nil); err != nil { // the types that can be read are those that can be written
		return output{}, err
	}
	out := output{field: f}
	t := f.typ
	if t.Kind() == reflect.Pointer && !isText(t) {
		t, out.pointer = t.Elem(), true
	}
	plain := func(a func(dst []byte, v reflect.Value) []byte) func([]byte, reflect.Value) ([]byte, error) {
		return func(dst []byte, v reflect.Value) ([]byte, error) { return a(dst, v), nil }
	}
	switch {
	case t == timeType:
		layout := time.RFC3339Nano
		if len(o.TimeFormats) > 0 {
			layout = o.TimeFormats[0]
		}
		if f.layout != "" {
			layout = f.layout
		}
		out.append = plain(func(dst []byte, v reflect.Value) []byte {
			return v.Addr().Interface().(*time.Time).AppendFormat(dst, layout)
		})
		return out, nil
	case t == durationType:
		out.append = plain(func(dst []byte, v reflect.Value) []byte { return append(dst, time.Duration(v.Int()).String()...) })
		return out, nil
	case isText(t):
		if !reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
			return output{}, fmt.Errorf("field %s: %v has no method MarshalText: it can be read, not written", f.label, t)
		}
		out.text = true
		out.append = func(dst []byte, v reflect.Value) ([]byte, error) {
			b, err := v.Addr().Interface().(encoding.TextMarshaler).MarshalText()
			return append(dst, b...), err
		}
		return out, nil
	}
	switch t.Kind() {
	case reflect.String:
		out.text = true
		out.append = plain(func(dst []byte, v reflect.Value) []byte { return append(dst, v.String()...) })
	case reflect.Slice:
		out.text = true
		out.append = plain(func(dst []byte, v reflect.Value) []byte { return append(dst, v.Bytes()...) })
	case reflect.Bool:
		out.append = plain(func(dst []byte, v reflect.Value) []byte { return strconv.AppendBool(dst, v.Bool()) })
	case reflect.Float32, reflect.Float64:
		bits := t.Bits()
		out.append = plain(func(dst []byte, v reflect.Value) []byte { return appendFloat(dst, v.Float(), bits) })
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		out.append = plain(func(dst []byte, v reflect.Value) []byte { return strconv.AppendInt(dst, v.Int(), 10) })
	default:
		out.append = plain(func(dst []byte, v reflect.Value) []byte { return strconv.AppendUint(dst, v.Uint(), 10) })
	}
	return out, nil
}

// appendFloat writes whole numbers of common size without an exponent, everything in the fewest digits.
func appendFloat(dst []byte, x float64, bits int) []byte {
	if x > -1e15 && x < 1e15 && (x == 0 || x > 1e-5 || x < -1e-5) {
		return strconv.AppendFloat(dst, x, 'f', -1, bits)
	}
	return strconv.AppendFloat(dst, x, 'g', -1, bits)
}

// writer appends rows for one goroutine.
type writer struct {
	options Options
	columns []output
	null    []byte
	special [256]bool // what only quotes make text
	scratch []byte
}

func (w *writer) append(dst []byte, rows reflect.Value) ([]byte, error) {
	var err error
	for i := range rows.Len() {
		row := rows.Index(i)
		for j := range w.columns {
			c := &w.columns[j]
			if j > 0 {
				dst = append(dst, w.options.Delimiter)
			}
			if dst, err = w.field(dst, c, row.FieldByIndex(c.path), j == 0); err != nil {
				return nil, fmt.Errorf("field %s: %w", c.label, err)
			}
		}
		dst = append(dst, '\n')
	}
	return dst, nil
}

func (w *writer) field(dst []byte, c *output, v reflect.Value, first bool) ([]byte, error) {
	if c.pointer || v.Kind() == reflect.Pointer {
		if v.IsNil() {
			if !c.only || len(w.null) > 0 {
				return append(dst, w.null...), nil
			}
			// The line would be empty, and no row. Numbers' nulls can have quotes.
			if c.text || w.options.NoQuotes {
				return nil, fmt.Errorf("null in the only column would be an empty line, which is no row: set Options.NullValue")
			}
			return append(dst, w.options.Quote, w.options.Quote), nil
		}
		if c.pointer {
			v = v.Elem()
		}
	}
	from := len(dst)
	dst, err := c.append(dst, v)
	if err != nil {
		return nil, err
	}
	return w.close(dst, from, first, c.text, c.text && !c.pointer && !c.only)
}

// close puts quotes around what was appended from on, where it needs them. bare says that an empty one could do
// without.
func (w *writer) close(dst []byte, from int, first, text, bare bool) ([]byte, error) {
	b := dst[from:]
	need := bytes.Equal(b, w.null)
	if need && !text {
		return nil, fmt.Errorf("the value %s is Options.NullValue, and would be read as null", b)
	}
	if len(b) > 0 {
		c, last := b[0], b[len(b)-1]
		need = need || c == ' ' || c == '\t' || last == ' ' || last == '\t' ||
			first && (c == w.options.Comment || bytes.HasPrefix(b, []byte("\xef\xbb\xbf")))
	} else {
		need = true
	}
	escapes := false
	for _, c := range b {
		if w.special[c] {
			need = true
			if c == '\n' && w.options.SingleLine {
				return nil, fmt.Errorf("the text %.60q holds a line break, which Options.SingleLine rules out", b)
			}
			escapes = escapes || c == w.options.Quote
		}
	}
	if !need {
		return dst, nil
	}
	if w.options.NoQuotes {
		if len(b) == 0 && (bare || len(w.null) > 0) {
			return dst, nil
		}
		return nil, fmt.Errorf("the text %.60q needs quotes, which Options.NoQuotes rules out", b)
	}
	q, e := w.options.Quote, w.options.Escape
	w.scratch = append(w.scratch[:0], b...)
	dst = append(dst[:from], q)
	if !escapes && (e == q || bytes.IndexByte(w.scratch, e) < 0) {
		dst = append(dst, w.scratch...)
	} else {
		for _, c := range w.scratch {
			if c == q || c == e {
				dst = append(dst, e)
			}
			dst = append(dst, c)
		}
	}
	return append(dst, q), nil
}

package csvio

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// What is wrong with a field's text, to stand between the text and the field's type.
var (
	errNull   = errors.New("is null")
	errSyntax = errors.New("is no value")
	errRange  = errors.New("is out of range")
)

// isText tells whether texts become values of the type by its own method.
func isText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// column puts texts into one field of the rows of a batch.
type column interface {
	// bind looks up the places of the field in a batch of rows.
	bind(rows reflect.Value, path []int)
	// set parses a text into the field of a row; null says that the record has no such field.
	set(row int, text []byte, quoted, null bool) error
	// finish completes n rows, with the texts of the batch.
	finish(n int, texts string)
}

// arena gathers the texts of a batch.
type arena struct{ buf []byte }

// nulls tells which texts are null.
type nulls struct {
	value  []byte
	zero   bool // nulls are zeros
	string bool // an empty text is one unless value is empty
}

func (n *nulls) is(text []byte, quoted bool) bool {
	if n.string {
		return !quoted && bytes.Equal(text, n.value)
	}
	return len(text) == 0 || bytes.Equal(text, n.value)
}

// newColumn makes the column of a field.
func newColumn(f field, o Options, a *arena) (column, error) {
	t, pointer := f.typ, false
	if t.Kind() == reflect.Pointer && !isText(t) {
		t, pointer = t.Elem(), true
	}
	n := nulls{value: []byte(o.NullValue), zero: f.nullZero}
	if f.layout != "" && t != timeType {
		return nil, fmt.Errorf("field %s: format= in the tag is for times, the field is a %v", f.label, f.typ)
	}
	switch {
	case t == timeType:
		return newValues(n, pointer, t, newTimes(f, o).parse), nil
	case t == durationType:
		return newValues(n, pointer, t, parseDuration), nil
	case isText(t):
		n.string = o.NullValue != "" // otherwise empty is null, as for numbers
		return &texts{nulls: n, pointer: pointer, elem: t}, nil
	}
	switch t.Kind() {
	case reflect.String:
		n.string = true
		if !pointer && o.NullValue == "" {
			n.zero = true
		}
		return &stringColumn{nulls: n, pointer: pointer, elem: t, arena: a}, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			n.string = true
			if !pointer && o.NullValue == "" {
				n.zero = true
			}
			return newValues(n, pointer, t, func(b []byte) ([]byte, error) { return slices.Clone(b), nil }), nil
		}
	case reflect.Bool:
		return newValues(n, pointer, t, parseBool), nil
	case reflect.Int:
		return newValues(n, pointer, t, parseInt[int]), nil
	case reflect.Int8:
		return newValues(n, pointer, t, parseInt[int8]), nil
	case reflect.Int16:
		return newValues(n, pointer, t, parseInt[int16]), nil
	case reflect.Int32:
		return newValues(n, pointer, t, parseInt[int32]), nil
	case reflect.Int64:
		return newValues(n, pointer, t, parseInt[int64]), nil
	case reflect.Uint:
		return newValues(n, pointer, t, parseUint[uint]), nil
	case reflect.Uint8:
		return newValues(n, pointer, t, parseUint[uint8]), nil
	case reflect.Uint16:
		return newValues(n, pointer, t, parseUint[uint16]), nil
	case reflect.Uint32:
		return newValues(n, pointer, t, parseUint[uint32]), nil
	case reflect.Uint64:
		return newValues(n, pointer, t, parseUint[uint64]), nil
	case reflect.Float32:
		return newValues(n, pointer, t, parseFloat32), nil
	case reflect.Float64:
		return newValues(n, pointer, t, parseFloat64), nil
	}
	return nil, fmt.Errorf("field %s is a %v: columns are strings, []byte, bools, numbers, times, durations, what implements encoding.TextUnmarshaler, and pointers to these; tag it \"-\" to leave it out",
		f.label, f.typ)
}

// values is the column of a type whose values parse makes.
type values[V any] struct {
	nulls
	parse   func([]byte) (V, error)
	pointer bool
	elem    reflect.Type // V, or a type made of it

	at    []*V            // plain fields
	ptr   []**V           // pointers to V
	named []reflect.Value // pointers to a type made of V
	slab  []V             // what pointers of this batch point to
}

func newValues[V any](n nulls, pointer bool, elem reflect.Type, parse func([]byte) (V, error)) column {
	return &values[V]{nulls: n, pointer: pointer, elem: elem, parse: parse}
}

func (c *values[V]) bind(rows reflect.Value, path []int) {
	c.at, c.ptr, c.named = nil, nil, nil
	for i := range rows.Len() {
		f := rows.Index(i).FieldByIndex(path)
		switch {
		case !c.pointer:
			c.at = append(c.at, f.Addr().Convert(reflect.TypeFor[*V]()).Interface().(*V))
		case f.Type() == reflect.TypeFor[*V]():
			c.ptr = append(c.ptr, f.Addr().Interface().(**V))
		default:
			c.named = append(c.named, f)
		}
	}
}

func (c *values[V]) set(row int, text []byte, quoted, null bool) error {
	if null || c.is(text, quoted) {
		switch {
		case c.ptr != nil:
			*c.ptr[row] = nil
		case c.named != nil:
			c.named[row].SetZero()
		case c.zero:
			var zero V
			*c.at[row] = zero
		default:
			return errNull
		}
		return nil
	}
	v, err := c.parse(text)
	if err != nil {
		return err
	}
	if !c.pointer {
		*c.at[row] = v
		return nil
	}
	if c.ptr == nil {
		p := reflect.New(c.elem)
		p.Elem().Set(reflect.ValueOf(v).Convert(c.elem))
		c.named[row].Set(p.Convert(c.named[row].Type()))
		return nil
	}
	if c.slab == nil {
		c.slab = make([]V, 0, len(c.ptr))
	}
	c.slab = append(c.slab[:len(c.slab):cap(c.slab)], v)
	*c.ptr[row] = &c.slab[len(c.slab)-1]
	return nil
}

func (c *values[V]) finish(int, string) {
	// The rows of this batch keep their part of the slab, the next batch goes on behind it while there is room.
	if cap(c.slab)-len(c.slab) < len(c.ptr) {
		c.slab = nil
	} else {
		c.slab = c.slab[len(c.slab):]
	}
}

// stringColumn gathers its texts in the arena of the batch.
type stringColumn struct {
	nulls
	pointer bool
	elem    reflect.Type
	arena   *arena

	at    []*string
	ptr   []reflect.Value
	spans []textSpan
}

type textSpan struct{ from, to int } // from < 0 for nil

func (c *stringColumn) bind(rows reflect.Value, path []int) {
	c.at, c.ptr = nil, nil
	c.spans = make([]textSpan, rows.Len())
	for i := range rows.Len() {
		if f := rows.Index(i).FieldByIndex(path); c.pointer {
			c.ptr = append(c.ptr, f)
		} else {
			c.at = append(c.at, f.Addr().Convert(reflect.TypeFor[*string]()).Interface().(*string))
		}
	}
}

func (c *stringColumn) set(row int, text []byte, quoted, null bool) error {
	if null || c.is(text, quoted) {
		switch {
		case c.pointer:
			c.spans[row] = textSpan{-1, -1}
		case c.zero:
			c.spans[row] = textSpan{}
		default:
			return errNull
		}
		return nil
	}
	from := len(c.arena.buf)
	c.arena.buf = append(c.arena.buf, text...)
	c.spans[row] = textSpan{from, len(c.arena.buf)}
	return nil
}

func (c *stringColumn) finish(n int, texts string) {
	for i, s := range c.spans[:n] {
		switch {
		case !c.pointer:
			*c.at[i] = texts[s.from:s.to]
		case s.from < 0:
			c.ptr[i].SetZero()
		default:
			p := reflect.New(c.elem)
			p.Elem().SetString(texts[s.from:s.to])
			c.ptr[i].Set(p.Convert(c.ptr[i].Type()))
		}
	}
}

// texts is the column of a type with a method of its own.
type texts struct {
	nulls
	pointer bool
	elem    reflect.Type
	at      []reflect.Value
}

func (c *texts) bind(rows reflect.Value, path []int) {
	c.at = nil
	for i := range rows.Len() {
		c.at = append(c.at, rows.Index(i).FieldByIndex(path))
	}
}

func (c *texts) set(row int, text []byte, quoted, null bool) error {
	f := c.at[row]
	f.SetZero()
	if null || c.is(text, quoted) {
		if !c.pointer && !c.zero {
			return errNull
		}
		return nil
	}
	p := f.Addr()
	if c.pointer {
		p = reflect.New(c.elem)
		f.Set(p)
	}
	if err := p.Interface().(encoding.TextUnmarshaler).UnmarshalText(text); err != nil {
		return fmt.Errorf("is no value (%w)", err)
	}
	return nil
}

func (c *texts) finish(int, string) {}

// times parses times by several layouts.
type times struct {
	layouts []string
	swap    bool // no text fits two of them, so the order is free
}

var defaultTimes = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", time.DateTime, time.DateOnly}

func newTimes(f field, o Options) times {
	switch {
	case f.layout != "":
		return times{layouts: append([]string{f.layout}, o.TimeFormats...)}
	case len(o.TimeFormats) > 0:
		return times{layouts: o.TimeFormats}
	}
	return times{slices.Clone(defaultTimes), true}
}

func (t times) parse(text []byte) (time.Time, error) {
	s := string(text)
	for i, layout := range t.layouts {
		v, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if i > 0 && t.swap { // a file rarely mixes formats
			t.layouts[0], t.layouts[i] = t.layouts[i], t.layouts[0]
		}
		if _, offset := v.Zone(); offset == 0 {
			v = v.UTC()
		}
		return v, nil
	}
	return time.Time{}, fmt.Errorf("is no time in the format %s,", strings.Join(t.layouts, " or "))
}

func parseDuration(text []byte) (time.Duration, error) {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return 0, errSyntax
	}
	return d, nil
}

func parseBool(text []byte) (bool, error) {
	if len(text) <= 5 {
		switch strings.ToLower(string(text)) {
		case "true", "t", "1":
			return true, nil
		case "false", "f", "0":
			return false, nil
		}
	}
	return false, errSyntax
}

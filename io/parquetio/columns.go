package parquetio

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// Kind is the Go type in which a column's values are wanted when no struct type says so.
type Kind string

// The kinds. Auto chooses: integers, dates, times and timestamps are Int64 (days, or the file's
// unit since 1970 or midnight), floating-point numbers Float64, text and bytes String.
const (
	Auto    Kind = ""
	Int64   Kind = "int64"
	Float64 Kind = "float64" // takes integers and booleans too; one that float64 cannot hold exactly is an error
	String  Kind = "string"
	Bool    Kind = "bool"
)

// Select names a column to read, as programs do whose columns are flags. Name is matched as
// a field's name is; a dotted name leads into structs.
type Select struct {
	Name string
	Kind Kind
}

// Batch is some consecutive rows of a few columns, the unit in which programs
// read columns that they know only at run time. Batches are plain data: they travel, and may be kept.
type Batch struct {
	Rows    int
	Columns []Column // in the order in which they were selected
}

// Column is one column of a batch. Exactly one of the value slices is in use, as
// Kind says; it has a value for each row, or in a column of lists for
// each element.
type Column struct {
	Name     string
	Kind     Kind
	Int64s   []int64
	Float64s []float64
	Strings  []string
	Bools    []bool
	// Offsets is nil but for lists: those of row i are the values from Offsets[i] to Offsets[i+1].
	Offsets []int32
	// Valid is nil if no row is null; else a null row has false here and a zero
	// value, or an empty list.
	Valid []bool
}

// IsNull tells whether a row is null.
func (c *Column) IsNull(row int) bool { return c.Valid != nil && !c.Valid[row] }

// IsList tells whether the rows are lists.
func (c *Column) IsList() bool { return c.Offsets != nil }

// Bounds is where the values of a row begin and end: one value, or those of its list.
func (c *Column) Bounds(row int) (from, to int) {
	if c.Offsets == nil {
		return row, row + 1
	}
	return int(c.Offsets[row]), int(c.Offsets[row+1])
}

// KindOf is what Auto chooses for a field; ok is false if its values fit none of the kinds. For a list it is
// that of the elements.
func KindOf(f Field) (k Kind, ok bool) {
	if f.Type == "list" && len(f.Fields) == 1 {
		f = f.Fields[0]
	}
	switch t := f.Type; {
	case t == "bool":
		return Bool, true
	case t == "string" || t == "bytes":
		return String, true
	case strings.HasPrefix(t, "float"):
		return Float64, true
	case strings.HasPrefix(t, "int") && t != "int96" && t != "interval", strings.HasPrefix(t, "uint"),
		t == "date", strings.HasPrefix(t, "time"):
		return Int64, true
	}
	return Auto, false
}

// ColumnReader reads columns of one split in batches. It is for one goroutine.
type ColumnReader struct {
	batch *batchReader
	take  []func(rows int) (Column, error)
}

// columnRows is the most rows of a Batch.
const columnRows = 8192

// NewColumnReader opens the split's file and finds the columns. The reader must be closed.
func NewColumnReader(ctx context.Context, s Split, columns ...Select) (*ColumnReader, error) {
	return NewColumnReaderWhere(ctx, s, Predicate{}, columns...)
}

// NewColumnReaderWhere is NewColumnReader for the rows for which the predicate is true.
func NewColumnReaderWhere(ctx context.Context, s Split, where Predicate, columns ...Select) (*ColumnReader, error) {
	r := &ColumnReader{}
	b, err := newBatchReader(ctx, s, where, func(root *node) (p *plan, err error) {
		p, r.take, err = compileColumns(root, columns)
		return p, err
	})
	if err != nil {
		return nil, err
	}
	r.batch = b
	return r, nil
}

// compileColumns finds the columns, and returns what cuts each from a batch.
func compileColumns(root *node, columns []Select) (*plan, []func(int) (Column, error), error) {
	if len(columns) == 0 {
		return nil, nil, errors.New("no column is selected: name at least one")
	}
	p := &plan{}
	var takes []func(int) (Column, error)
	for _, c := range columns {
		l, take, err := selectColumn(root, c)
		if err != nil {
			return nil, nil, err
		}
		if l != nil { // nil for a partition column
			p.columns = append(p.columns, l)
		}
		takes = append(takes, take)
	}
	return p, takes, nil
}

// Next returns the next rows, at least one, or io.EOF.
func (r *ColumnReader) Next() (b Batch, err error) {
	defer guard(r.batch.file.uri, &err)
	n, err := r.batch.start(columnRows)
	if err != nil {
		return Batch{}, err
	}
	b = Batch{Rows: n, Columns: make([]Column, len(r.take))}
	for i, take := range r.take {
		if b.Columns[i], err = take(n); err != nil {
			return Batch{}, r.batch.fail(err)
		}
		if r.batch.kept < n {
			b.Columns[i].filter(r.batch.keep)
		}
	}
	b.Rows = r.batch.kept
	r.batch.advance(n)
	return b, nil
}

// Skipped tells what the predicate has saved so far.
func (r *ColumnReader) Skipped() Skipped { return r.batch.skipped }

// filter drops rows.
func (c *Column) filter(keep []bool) {
	values := keep
	if c.Offsets != nil {
		values = make([]bool, c.Offsets[len(keep)])
		offsets := []int32{0}
		for i, k := range keep {
			if !k {
				continue
			}
			for j := c.Offsets[i]; j < c.Offsets[i+1]; j++ {
				values[j] = true
			}
			offsets = append(offsets, offsets[len(offsets)-1]+c.Offsets[i+1]-c.Offsets[i])
		}
		c.Offsets = offsets
	}
	if c.Valid != nil {
		c.Valid = keepOnly(c.Valid, keep)
	}
	switch c.Kind {
	case Int64:
		c.Int64s = keepOnly(c.Int64s, values)
	case Float64:
		c.Float64s = keepOnly(c.Float64s, values)
	case String:
		c.Strings = keepOnly(c.Strings, values)
	case Bool:
		c.Bools = keepOnly(c.Bools, values)
	}
}

// Close releases the file. It may be called more than once.
func (r *ColumnReader) Close() error { return r.batch.close() }

// find looks a column up by its name, or by a dotted path of names.
func find(root *node, name string) (*node, error) {
	names := make([]string, len(root.children))
	for i, c := range root.children {
		names[i] = c.name
	}
	i, err := match(name, names)
	if err != nil {
		return nil, err
	}
	if i >= 0 {
		return root.children[i], nil
	}
	if head, rest, ok := strings.Cut(name, "."); ok {
		if i, err := match(head, names); err == nil && i >= 0 && root.children[i].shape == structure {
			return find(root.children[i], rest)
		}
	}
	return nil, fmt.Errorf("there is no column %q: the columns are: %s", name, strings.Join(names, ", "))
}

func selectColumn(root *node, s Select) (leafColumn, func(int) (Column, error), error) {
	n, err := find(root, s.Name)
	if err != nil {
		if v, ok := root.partition(s.Name); ok {
			take, err := selectConstant(v, s.Kind)
			return nil, take, err
		}
		return nil, nil, err
	}
	value := n
	var of *node
	if n.shape == list {
		of, value = n, n.children[0]
	}
	wrong := func() error {
		kind := string(s.Kind)
		if s.Kind == Auto {
			kind = "int64, float64, string or bool"
		}
		return fmt.Errorf("column %q is %s in the file and cannot be read as %s: read it into a struct", n.path, describe(n), kind)
	}
	if value.shape != scalar || value.noReason != "" || value.maxRep > 1 {
		return nil, nil, wrong()
	}
	kind := s.Kind
	if kind == Auto {
		var ok bool
		if kind, ok = KindOf(value.field()); !ok {
			return nil, nil, wrong()
		}
	}
	column := Column{Name: n.path, Kind: kind}
	switch kind {
	case Int64:
		return collect(value, of, column, int64Of(value), func(c *Column, v []int64) { c.Int64s = v }, wrong)
	case Float64:
		return collect(value, of, column, float64Of(value), func(c *Column, v []float64) { c.Float64s = v }, wrong)
	case String:
		var convert converter[string]
		if value.typ == "string" || value.typ == "bytes" {
			convert = stringValues
		}
		return collect(value, of, column, convert, func(c *Column, v []string) { c.Strings = v }, wrong)
	case Bool:
		var convert converter[bool]
		if value.typ == "bool" {
			convert = booleans
		}
		return collect(value, of, column, convert, func(c *Column, v []bool) { c.Bools = v }, wrong)
	}
	return nil, nil, fmt.Errorf("column %q: unknown kind %q: use %s, %s, %s or %s", n.path, kind, Int64, Float64, String, Bool)
}

func describe(n *node) string {
	if n.shape == list {
		return "list of " + describe(n.children[0])
	}
	return n.typ
}

func int64Of(n *node) converter[int64] {
	if n.typ == "uint64" {
		return each(uint64s, func(v uint64) (int64, error) {
			if v > 1<<63-1 {
				return 0, fmt.Errorf("%d is greater than an int64 can be: ask for %s", v, Float64)
			}
			return int64(v), nil
		})
	}
	if n.kind == parquet.Int64 {
		if p, ok := leafOf(n, reflect.TypeFor[int64]()).(*leaf[int64]); ok {
			return p.convert
		}
		return nil
	}
	return numeric[int64](n.typ, reflect.Int64)
}

func float64Of(n *node) converter[float64] {
	inexact := func(v any) error {
		return fmt.Errorf("%d has no exact float64: ask for %s", v, Int64)
	}
	switch {
	case n.typ == "float64":
		return same(float64s)
	case n.typ == "bool":
		return func(s []float64, v encoding.Values, n int) ([]float64, []float64, error) {
			_, flags, err := booleans(nil, v, n)
			s = s[:0]
			for _, b := range flags {
				x := 0.0
				if b {
					x = 1
				}
				s = append(s, x)
			}
			return s, s, err
		}
	case n.typ == "uint64":
		return each(uint64s, func(v uint64) (float64, error) {
			if v > 1<<53 {
				return 0, inexact(v)
			}
			return float64(v), nil
		})
	case n.kind == parquet.Int64 && int64Of(n) != nil:
		return each(int64s, func(v int64) (float64, error) {
			if v > 1<<53 || v < -1<<53 {
				return 0, inexact(v)
			}
			return float64(v), nil
		})
	case n.typ == "date" || n.typ == "time(ms)":
		return widen[int32, float64](int32s)
	}
	return numeric[float64](n.typ, reflect.Float64)
}

// collect makes the reader of a column and what cuts a Column from its gathered entries.
func collect[V any](value, of *node, c Column, convert converter[V], set func(*Column, []V), wrong func() error) (leafColumn, func(int) (Column, error), error) {
	if convert == nil {
		return nil, nil, wrong()
	}
	l := &leaf[V]{node: value, convert: convert}
	return l, func(rows int) (Column, error) {
		out := c
		vals := l.vals
		l.vals = make([]V, 0, cap(vals)) // vals go to whoever keeps the batch
		var err error
		if of == nil {
			vals = spread(&out, vals, l.defs, value.maxDef, rows)
		} else {
			err = out.lists(l.reps, l.defs, value, of, rows)
		}
		set(&out, vals)
		return out, err
	}, nil
}

// spread puts values at the rows that are not null.
func spread[V any](c *Column, vals []V, defs []byte, maxDef byte, rows int) []V {
	if len(vals) == rows {
		return vals
	}
	out := make([]V, rows)
	c.Valid = make([]bool, rows)
	next := 0
	for i, d := range defs {
		if d == maxDef {
			out[i] = vals[next]
			c.Valid[i] = true
			next++
		}
	}
	return out
}

// lists finds where the lists of the rows begin in the values.
func (c *Column) lists(reps, defs []byte, value, of *node, rows int) error {
	c.Offsets = make([]int32, 0, rows+1)
	values := int32(0)
	for i, d := range defs {
		if reps[i] == 0 {
			if d < of.def && c.Valid == nil {
				c.Valid = make([]bool, rows)
				for j := range c.Offsets {
					c.Valid[j] = true
				}
			}
			if c.Valid != nil {
				c.Valid[len(c.Offsets)] = d >= of.def
			}
			c.Offsets = append(c.Offsets, values)
		}
		switch {
		case d == value.maxDef:
			values++
		case d >= of.elemDef:
			return fmt.Errorf("column %q has a null element in a list, which no Batch can hold: read it into a struct with a slice of pointers", value.path)
		}
	}
	c.Offsets = append(c.Offsets, values)
	return checkSlots(len(c.Offsets)-1, rows)
}

// selectConstant makes columns of a partition value; Auto reads them as text.
func selectConstant(v partitionValue, kind Kind) (func(int) (Column, error), error) {
	c := Column{Name: v.name, Kind: kind}
	if kind == Auto {
		c.Kind = String
	}
	types := map[Kind]reflect.Type{
		Int64: reflect.TypeFor[int64](), Float64: reflect.TypeFor[float64](), String: reflect.TypeFor[string](), Bool: reflect.TypeFor[bool](),
	}
	t, ok := types[c.Kind]
	if !ok {
		return nil, fmt.Errorf("column %q: unknown kind %q: use %s, %s, %s or %s", v.name, kind, Int64, Float64, String, Bool)
	}
	value := reflect.Zero(t)
	if !v.null {
		var err error
		if value, err = v.parse(t); err != nil {
			return nil, err
		}
	}
	return func(rows int) (Column, error) {
		out := c
		if v.null {
			out.Valid = make([]bool, rows)
		}
		switch c.Kind {
		case Int64:
			out.Int64s = slices.Repeat([]int64{value.Int()}, rows)
		case Float64:
			out.Float64s = slices.Repeat([]float64{value.Float()}, rows)
		case Bool:
			out.Bools = slices.Repeat([]bool{value.Bool()}, rows)
		default:
			out.Strings = slices.Repeat([]string{value.String()}, rows)
		}
		return out, nil
	}, nil
}

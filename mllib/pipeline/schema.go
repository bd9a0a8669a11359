package pipeline

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/spark-go/spark-go/io/parquetio"
)

// Kind is what the values of a column are.
type Kind string

// The kinds. Whole numbers, floating-point numbers and booleans (0 and 1) are Number; a NaN or a null is missing. Only stages make vectors.
const (
	Number Kind = "number"
	Text   Kind = "text"
	Vector Kind = "vector"
)

// Field is a column of a Schema.
type Field struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

// Schema is the columns of rows, those that a pipeline can use: texts and numbers. Names of columns are matched as fields of a Go struct are with those of a Parquet file: exactly, else without
// regard to case and underscores.
type Schema []Field

// SchemaOf lists the fields of a struct: strings, numbers, booleans, and pointers to them, where nil is missing. The tag `parquet:"name"` gives a field another
// name, `parquet:"-"` leaves it out, as does another type; fields of embedded structs count as the struct's own.
func SchemaOf[T any]() (Schema, error) {
	fields, err := fieldsOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	s := make(Schema, len(fields))
	for i, f := range fields {
		s[i] = f.Field
	}
	return s, nil
}

// ParquetSchema lists the columns of Parquet files: uri is a file, a directory, a glob or a comma list.
func ParquetSchema(ctx context.Context, uri string) (Schema, error) {
	file, err := parquetio.ReadSchema(ctx, uri)
	if err != nil {
		return nil, err
	}
	var s Schema
	for _, f := range file.Fields {
		switch k, ok := parquetio.KindOf(f); {
		case !ok || f.Type == "list":
		case k == parquetio.String:
			s = append(s, Field{f.Name, Text})
		case f.Type == "date", strings.HasPrefix(f.Type, "time"): // no numbers to compute with
		default:
			s = append(s, Field{f.Name, Number})
		}
	}
	return s, nil
}

// Names lists the columns.
func (s Schema) Names() []string {
	names := make([]string, len(s))
	for i, f := range s {
		names[i] = f.Name
	}
	return names
}

// Field finds a column by its name.
func (s Schema) Field(name string) (Field, bool) {
	i := match(name, s.Names())
	if i < 0 {
		return Field{}, false
	}
	return s[i], true
}

// match finds a name: -1 if there is none, or more than one that differs in case and underscores alone.
func match(name string, names []string) int {
	found, n := -1, 0
	for i, other := range names {
		if other == name {
			return i
		}
		if fold(other) == fold(name) {
			found = i
			n++
		}
	}
	if n != 1 {
		return -1
	}
	return found
}

func fold(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "") }

// structField is a field of a struct that is a column.
type structField struct {
	Field
	index []int
	null  bool // it is a pointer
}

// fieldsOf lists the fields of a struct that can be columns.
func fieldsOf(t reflect.Type) ([]structField, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("the rows of a pipeline are structs, not %v: name their columns by fields", t)
	}
	var all []structField
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Anonymous || throughPointer(t, f.Index) {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		typ, null := f.Type, false
		if typ.Kind() == reflect.Pointer {
			typ, null = typ.Elem(), true
		}
		switch k := typ.Kind(); {
		case k == reflect.String:
			all = append(all, structField{Field{name, Text}, f.Index, null})
		case k >= reflect.Bool && k <= reflect.Float64 && k != reflect.Uintptr:
			all = append(all, structField{Field{name, Number}, f.Index, null})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%v has no exported field of text or numbers: rows of a pipeline have some", t)
	}
	return all, nil
}

// throughPointer tells whether a field lies in an embedded pointer, which may be nil.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() == reflect.Pointer {
			return true
		}
	}
	return false
}

// choose finds the fields of columns that rows must have.
func choose(t reflect.Type, columns Schema) ([]structField, error) {
	fields, err := fieldsOf(t)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	out := make([]structField, len(columns))
	for i, c := range columns {
		at := match(c.Name, names)
		switch {
		case at < 0:
			return nil, fmt.Errorf("%v has no field for column %q: name one of its fields %s so, by its name or a tag `parquet:%q`", t, c.Name, list(names), c.Name)
		case fields[at].Kind != c.Kind:
			return nil, fmt.Errorf("field %q of %v is a %s, column %q a %s: give the field another type", names[at], t, fields[at].Kind, c.Name, c.Kind)
		}
		out[i] = fields[at]
	}
	return out, nil
}

// number is the value of a field of kind Number.
func number(v reflect.Value) float64 {
	switch k := v.Kind(); {
	case k == reflect.Bool:
		if v.Bool() {
			return 1
		}
		return 0
	case k <= reflect.Int64:
		return float64(v.Int())
	case k <= reflect.Uint64:
		return float64(v.Uint())
	default:
		return v.Float()
	}
}

// list is names for people.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

var errNoTable = errors.New("there is no table: make one with Rows or ReadParquet")

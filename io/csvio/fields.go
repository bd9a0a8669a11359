package csvio

import (
	"fmt"
	"reflect"
	"strings"
)

// field is a field of the row type.
type field struct {
	name     string // from the tag, or ""
	goName   string
	label    string // for people: main.Person.Age
	path     []int  // of reflect.Value.FieldByIndex
	typ      reflect.Type
	nullZero bool
	layout   string // of times
}

// column is the name under which the field is written.
func (f *field) column() string {
	if f.name != "" {
		return f.name
	}
	return f.goName
}

// fieldsOf lists the fields that are columns.
func fieldsOf(t reflect.Type) ([]field, error) {
	if t.Kind() != reflect.Struct || t == timeType {
		return nil, fmt.Errorf("rows are structs, not %v: name a struct whose fields are the columns", t)
	}
	fields, err := appendFields(nil, t, nil)
	if err == nil && len(fields) == 0 {
		err = fmt.Errorf("%v has no exported field for a column", t)
	}
	return fields, err
}

func appendFields(fields []field, t reflect.Type, path []int) ([]field, error) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("csv")
		if tag == "-" || !f.IsExported() && !(f.Anonymous && f.Type.Kind() == reflect.Struct) {
			continue
		}
		here := append(path[:len(path):len(path)], i)
		name, options, _ := strings.Cut(tag, ",")
		c := field{name: name, goName: f.Name, label: fmt.Sprintf("%v.%s", t, f.Name), path: here, typ: f.Type}
		if f.Anonymous && f.Type.Kind() == reflect.Struct && name == "" && f.Type != timeType && !isText(f.Type) {
			var err error
			if fields, err = appendFields(fields, f.Type, here); err != nil {
				return nil, err
			}
			continue
		}
		for options != "" {
			if layout, ok := strings.CutPrefix(options, "format="); ok { // the rest, as layouts may hold commas
				c.layout = layout
				break
			}
			var o string
			o, options, _ = strings.Cut(options, ",")
			if o != "nullzero" {
				return nil, fmt.Errorf("field %s: unknown option %q in the tag: use nullzero or format=LAYOUT", c.label, o)
			}
			c.nullZero = true
		}
		fields = append(fields, c)
	}
	return fields, nil
}

// find returns the place of the field's column.
func (f *field) find(names []string) (int, error) {
	folds := []func(string) string{func(s string) string { return s }}
	want := f.name
	if want == "" {
		want = f.goName
		folds = append(folds, strings.ToLower, func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "") })
	}
	for _, fold := range folds {
		found := -1
		for i, n := range names {
			if fold(n) != fold(want) {
				continue
			}
			if found >= 0 {
				return 0, fmt.Errorf("field %s: columns %d and %d, %q and %q, both match %q: name one in the field's tag, `csv:\"NAME\"`", f.label, found+1, i+1, names[found], n, want)
			}
			found = i
		}
		if found >= 0 {
			return found, nil
		}
	}
	return 0, fmt.Errorf("field %s: there is no column %q: there are: %s; correct the tag `csv:\"NAME\"`, or tag the field \"-\" to leave it out", f.label, want, list(names))
}

// list shows names, not all of many.
func list(names []string) string {
	const most = 100
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

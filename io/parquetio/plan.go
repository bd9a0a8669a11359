package parquetio

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// slots says which entries of a column have a place in the elements at hand: those
// that start something (repetition level at most rep) that is there (definition level at least def).
// For the rows themselves both are 0, and each entry of an unrepeated column is a row.
type slots struct{ rep, def byte }

// part fills one field (of each of n elements) from its columns.
type part interface {
	fill(dst view) error
}

// scalarParts makes the parts of a column, in the type the column is read into.
type scalarParts interface {
	leafColumn
	plain(s slots, nullZero bool) part // field V
	pointer(s slots) part              // field *V
	slice(l *node, s slots, nullZero bool) part
}

// plan is how the rows of a file with some schema become values of a struct type.
type plan struct {
	root     part
	columns  []leafColumn
	complete bool // every field is filled
}

// compilePlan matches the fields of a struct type with the columns of a schema.
func compilePlan(root *node, t reflect.Type) (*plan, error) {
	if t.Kind() != reflect.Struct || t == timeType {
		return nil, fmt.Errorf("rows are read into structs, not into %v: name a struct whose fields are the columns", t)
	}
	p := &plan{}
	var err error
	p.root, err = p.structure(root, t, slots{}, false)
	p.complete = err == nil && fillsAll(p.root, t)
	return p, err
}

// fillsAll tells whether a part leaves nothing of a value as it was.
func fillsAll(p part, t reflect.Type) bool {
	switch p := p.(type) {
	case *present:
		return fillsAll(p.part, t)
	case *structPart:
		if len(p.members) < t.NumField() {
			return false
		}
		for _, m := range p.members {
			if !fillsAll(m.part, t.Field(m.index).Type) {
				return false
			}
		}
	}
	return true
}

// add makes a part for node n and a field of type t. s are the slots of the
// elements whose field it is.
func (p *plan) add(n *node, t reflect.Type, s slots, nullZero bool) (part, error) {
	if t.Kind() == reflect.Pointer {
		return p.pointer(n, t, s)
	}
	switch n.shape {
	case scalar:
		l, err := scalarLeaf(n, t)
		if err != nil {
			return nil, err
		}
		p.columns = append(p.columns, l)
		return l.plain(s, nullZero), nil
	case structure:
		if t.Kind() != reflect.Struct || t == timeType {
			break
		}
		inner, err := p.structure(n, t, s, nullZero)
		if err != nil || !n.optional || nullZero {
			return inner, err
		}
		return &present{node: n, levels: p.levelsOf(n), slots: s, part: inner, field: t}, nil
	case list:
		if t.Kind() == reflect.Slice {
			return p.slice(n, t, s, nullZero)
		}
	case mapping:
		switch t.Kind() {
		case reflect.Map:
			return p.mapping(n, t, s)
		case reflect.Slice: // of structs of key and value, in the file's order
			entries := *n
			entries.shape = list
			entries.children = []*node{{shape: structure, typ: "struct", name: n.name, path: n.path, def: n.elemDef, leaf: -1, children: n.children}}
			return p.slice(&entries, t, s, nullZero)
		}
	}
	return nil, fmt.Errorf("column %q is a %s in the file, the field is %v: fields that can take it: %s", n.path, n.typ, t, goTypes(n))
}

// tag is what a field's parquet tag says.
type tag struct {
	name     string // "" to match by the field's name
	skip     bool
	nullZero bool
}

func tagOf(f reflect.StructField) tag {
	text, ok := f.Tag.Lookup("parquet")
	if !ok {
		return tag{}
	}
	if text == "-" {
		return tag{skip: true}
	}
	parts := strings.Split(text, ",")
	return tag{name: parts[0], nullZero: slices.Contains(parts[1:], "nullzero")}
}

type member struct {
	index int
	part  part
}

type structPart struct{ members []member }

func (s *structPart) fill(dst view) error {
	for _, m := range s.members {
		if err := m.part.fill(dst.field(m.index)); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) structure(n *node, t reflect.Type, s slots, nullZero bool) (part, error) {
	names := make([]string, len(n.children))
	for i, c := range n.children {
		names[i] = c.name
	}
	out := &structPart{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := tagOf(f)
		if tag.skip || !f.IsExported() && !(f.Anonymous && f.Type.Kind() == reflect.Struct) {
			continue
		}
		if f.Anonymous && tag.name == "" && f.Type.Kind() == reflect.Struct && f.Type != timeType {
			// The fields of an embedded struct count as the struct's own.
			inner, err := p.structure(n, f.Type, s, nullZero)
			if err != nil {
				return nil, err
			}
			out.members = append(out.members, member{i, inner})
			continue
		}
		var at int
		var err error
		if tag.name != "" {
			at = slices.Index(names, tag.name)
		} else {
			at, err = match(f.Name, names)
		}
		if err != nil {
			return nil, fmt.Errorf("field %v.%s: %w: name one in the field's tag, `parquet:\"NAME\"`", t, f.Name, err)
		}
		if at < 0 {
			name := f.Name
			if tag.name != "" {
				name = tag.name
			}
			if v, ok := n.partition(name); ok {
				inner, err := constant(v, f.Type, nullZero || tag.nullZero)
				if err != nil {
					return nil, fmt.Errorf("field %v.%s: %w", t, f.Name, err)
				}
				out.members = append(out.members, member{i, inner})
				continue
			}
			return nil, missing(n, t, f, tag, names)
		}
		inner, err := p.add(n.children[at], f.Type, s, nullZero || tag.nullZero)
		if err != nil {
			return nil, fmt.Errorf("field %v.%s: %w", t, f.Name, err)
		}
		out.members = append(out.members, member{i, inner})
	}
	if len(out.members) == 0 {
		return nil, fmt.Errorf("%v has no exported field to read a column into: the columns are: %s", t, strings.Join(names, ", "))
	}
	return out, nil
}

func missing(n *node, t reflect.Type, f reflect.StructField, tag tag, names []string) error {
	where := "the file"
	if n.path != "" {
		where = fmt.Sprintf("group %q", n.path)
	}
	want := f.Name
	if tag.name != "" {
		want = tag.name
	}
	return fmt.Errorf("field %v.%s: %s has no column %q: it has: %s; correct the tag `parquet:\"NAME\"`, or tag the field \"-\" to leave it out",
		t, f.Name, where, want, strings.Join(names, ", "))
}

// levelsOf returns the first column below n that the plan reads, whose levels tell about n.
func (p *plan) levelsOf(n *node) leafColumn {
	for _, c := range p.columns {
		if n.has(c.info().leaf) {
			c.keepLevels()
			return c
		}
	}
	return nil
}

func (p *plan) pointer(n *node, t reflect.Type, s slots) (part, error) {
	elem := t.Elem()
	if n.shape == scalar && elem.Kind() != reflect.Pointer {
		l, err := scalarLeaf(n, elem)
		if err != nil {
			return nil, err
		}
		p.columns = append(p.columns, l)
		return l.pointer(s), nil
	}
	inner := s
	if n.optional {
		inner.def = n.def
	}
	required := *n
	required.optional = false // a null is a nil pointer here, not an error below
	part, err := p.add(&required, elem, inner, false)
	if err != nil {
		return nil, err
	}
	return &pointerPart{node: n, levels: p.levelsOf(n), slots: s, inner: inner, elem: elem, part: part}, nil
}

func (p *plan) slice(n *node, t reflect.Type, s slots, nullZero bool) (part, error) {
	elem, item := t.Elem(), n.children[0]
	if item.shape == scalar && elem.Kind() != reflect.Pointer {
		l, err := scalarLeaf(item, elem)
		if err != nil {
			return nil, err
		}
		p.columns = append(p.columns, l)
		return l.slice(n, s, nullZero), nil
	}
	part, err := p.add(item, elem, slots{n.rep, n.elemDef}, nullZero)
	if err != nil {
		return nil, err
	}
	return &slicePart{node: n, levels: p.levelsOf(n), slots: s, slice: t, part: part}, nil
}

func (p *plan) mapping(n *node, t reflect.Type, s slots) (part, error) {
	inner := slots{n.rep, n.elemDef}
	key, err := p.add(n.children[0], t.Key(), inner, false)
	if err != nil {
		return nil, err
	}
	value, err := p.add(n.children[1], t.Elem(), inner, false)
	if err != nil {
		return nil, err
	}
	return &mapPart{node: n, levels: p.levelsOf(n), slots: s, typ: t, key: key, value: value}, nil
}

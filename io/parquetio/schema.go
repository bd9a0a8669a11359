package parquetio

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// Schema describes what a Parquet file holds.
type Schema struct {
	Fields    []Field
	Rows      int64
	RowGroups int
}

// Field describes a column, or a group of columns.
type Field struct {
	Name string
	// Type is the type in Go's words where there is one: bool, int8 to int64,
	// uint8 to uint64, float16, float32, float64, string, bytes, [16]byte for a
	// UUID (and [n]byte for other fixed sizes), date, time(ms|us|ns),
	// timestamp(ms|us|ns), int96 (Spark's old timestamps), decimal(precision,scale),
	// interval; list, map and struct for groups.
	Type string
	// Optional tells that values may be null. Most writers say so of every column.
	Optional bool
	// Fields are a struct's members, a list's element, or a map's key and value.
	Fields []Field
}

// Field returns the field of that name, which is matched as the fields of a Go struct
// are: exactly, else without regard to case and underscores.
func (s Schema) Field(name string) (Field, bool) {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	i, err := match(name, names)
	if err != nil || i < 0 {
		return Field{}, false
	}
	return s.Fields[i], true
}

// String lists the fields, one a line, groups' members indented.
func (s Schema) String() string {
	var b strings.Builder
	writeFields(&b, s.Fields, "")
	return b.String()
}

func writeFields(b *strings.Builder, fields []Field, indent string) {
	for _, f := range fields {
		fmt.Fprintf(b, "%s%s %s", indent, f.Name, f.Type)
		if f.Optional {
			b.WriteString(", optional")
		}
		b.WriteByte('\n')
		writeFields(b, f.Fields, indent+"  ")
	}
}

// shape tells the kinds of schema nodes apart.
type shape uint8

const (
	scalar shape = iota
	structure
	list
	mapping
)

// node is a field of the file's schema with what reading it takes. Levels are Dremel's: an
// entry of a column carries a definition level, which says how much of the
// path to the leaf is there, and a repetition level, which says at which list it continues.
type node struct {
	shape    shape
	name     string
	path     string // dotted, for people
	optional bool
	def      byte // definition level from which on the node itself is there
	typ      string

	// list and mapping
	rep     byte // repetition level of a further element
	elemDef byte // definition level from which on there is an element

	children []*node

	// scalar
	leaf     int // the column's number in the file
	kind     parquet.Kind
	size     int // of a fixed_len_byte_array
	logical  format.LogicalTypeValue
	maxRep   byte
	maxDef   byte
	noReason string // if set, why the column cannot be read
}

func (n *node) field() Field {
	f := Field{Name: n.name, Type: n.typ, Optional: n.optional}
	for _, c := range n.children {
		f.Fields = append(f.Fields, c.field())
	}
	return f
}

// has tells whether a column is n or below it.
func (n *node) has(leaf int) bool {
	if n.shape == scalar {
		return n.leaf == leaf
	}
	return slices.ContainsFunc(n.children, func(c *node) bool { return c.has(leaf) })
}

// schemaOf reads the schema tree of a file. The root is a structure.
func schemaOf(f *parquet.File) (*node, error) {
	metadata := f.Metadata()
	b := schemaBuilder{elements: metadata.Schema}
	root, err := b.next("", 0, 0)
	if err != nil {
		return nil, err
	}
	if b.pos != len(b.elements) {
		return nil, fmt.Errorf("the schema has %d elements of which %d belong to no group", len(b.elements), len(b.elements)-b.pos)
	}
	if root.shape == scalar {
		return nil, fmt.Errorf("the schema is a bare column, not a group of columns")
	}
	root.path = ""
	return root, nil
}

type schemaBuilder struct {
	elements []format.SchemaElement
	pos      int
	leaves   int
	depth    int
}

// next reads the element at pos and what is below it. rep and def are the levels of the parent.
func (b *schemaBuilder) next(prefix string, rep, def int) (*node, error) {
	if b.pos >= len(b.elements) {
		return nil, fmt.Errorf("the schema ends within a group")
	}
	if b.depth++; b.depth > 64 {
		return nil, fmt.Errorf("the schema is nested more than 64 deep")
	}
	defer func() { b.depth-- }()
	e := &b.elements[b.pos]
	isRoot := b.pos == 0
	b.pos++

	n := &node{name: e.Name, leaf: -1, logical: e.LogicalType.Value}
	n.path = e.Name
	if prefix != "" {
		n.path = prefix + "." + e.Name
	}
	repeated := false
	if !isRoot && e.RepetitionType.Valid {
		switch e.RepetitionType.V {
		case format.Optional:
			n.optional = true
			def++
		case format.Repeated:
			repeated = true
			rep++
			def++
		}
	}
	n.def = byte(def)
	if rep > 255 || def > 255 {
		return nil, fmt.Errorf("column %s is nested too deeply", n.path)
	}

	if e.Type.Valid {
		n.shape = scalar
		n.leaf = b.leaves
		b.leaves++
		n.kind = parquet.Kind(e.Type.V)
		n.maxRep, n.maxDef = byte(rep), byte(def)
		if e.TypeLength.Valid {
			n.size = int(e.TypeLength.V)
		}
		n.scalarType(e)
	} else {
		n.shape, n.typ = structure, "struct"
		path := n.path
		if isRoot {
			path = ""
		}
		for range max(0, int(e.NumChildren.V)) {
			c, err := b.next(path, rep, def)
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, c)
		}
		annotation := deprecated.ConvertedType(-1)
		if e.ConvertedType.Valid {
			annotation = e.ConvertedType.V
		}
		switch _, isList := n.logical.(*format.ListType); {
		case isRoot:
		case isList || annotation == deprecated.List:
			n.asList()
		default:
			_, isMap := n.logical.(*format.MapType)
			if isMap || annotation == deprecated.Map || annotation == deprecated.MapKeyValue {
				n.asMap()
			}
		}
	}
	if !repeated || isRoot {
		return n, nil
	}
	// A repeated field is a list of its own right; where it is what a LIST or MAP
	// group is made of, that group takes its child and drops this wrapper.
	elem := *n
	wrapper := &node{
		shape: list, typ: "list", name: n.name, path: n.path, leaf: -1,
		def: byte(def - 1), rep: byte(rep), elemDef: byte(def), children: []*node{&elem},
	}
	return wrapper, nil
}

// asList makes a group annotated LIST a list, by the backward compatibility rules of the format:
// the repeated child is the element itself if it is no group, has several
// members, or is named array or NAME_tuple; else its only member is.
func (n *node) asList() {
	if len(n.children) != 1 || n.children[0].shape != list {
		return // not what the annotation promises: it stays a struct
	}
	w := n.children[0]
	elem := w.children[0]
	n.shape, n.typ, n.rep, n.elemDef = list, "list", w.rep, w.elemDef
	if elem.shape == structure && len(elem.children) == 1 && elem.name != "array" && elem.name != n.name+"_tuple" {
		elem = elem.children[0]
	}
	n.children = []*node{elem}
}

func (n *node) asMap() {
	if len(n.children) != 1 || n.children[0].shape != list {
		return
	}
	w := n.children[0]
	entry := w.children[0]
	if entry.shape == mapping || entry.shape != structure || len(entry.children) != 2 {
		return
	}
	n.shape, n.typ, n.rep, n.elemDef = mapping, "map", w.rep, w.elemDef
	n.children = entry.children
}

var intTypes = map[deprecated.ConvertedType]string{
	deprecated.Int8: "int8", deprecated.Int16: "int16", deprecated.Int32: "int32", deprecated.Int64: "int64",
	deprecated.Uint8: "uint8", deprecated.Uint16: "uint16", deprecated.Uint32: "uint32", deprecated.Uint64: "uint64",
	deprecated.Date: "date", deprecated.TimeMillis: "time(ms)", deprecated.TimeMicros: "time(us)",
	deprecated.TimestampMillis: "timestamp(ms)", deprecated.TimestampMicros: "timestamp(us)",
}

// scalarType names a column's type by its logical type, its older converted type, or
// else its physical type.
func (n *node) scalarType(e *format.SchemaElement) {
	converted := deprecated.ConvertedType(-1)
	if e.ConvertedType.Valid {
		converted = e.ConvertedType.V
	}
	if d, ok := n.logical.(*format.DecimalType); ok {
		n.typ = fmt.Sprintf("decimal(%d,%d)", d.Precision, d.Scale)
		return
	}
	if converted == deprecated.Decimal {
		n.typ = fmt.Sprintf("decimal(%d,%d)", e.Precision.V, e.Scale.V)
		return
	}
	switch n.kind {
	case parquet.Boolean:
		n.typ = "bool"
	case parquet.Int32, parquet.Int64:
		n.typ = "int32"
		if n.kind == parquet.Int64 {
			n.typ = "int64"
		}
		switch l := n.logical.(type) {
		case *format.IntType:
			n.typ = fmt.Sprintf("int%d", l.BitWidth)
			if !l.IsSigned {
				n.typ = "u" + n.typ
			}
		case *format.DateType:
			n.typ = "date"
		case *format.TimeType:
			n.typ = "time(" + unit(l.Unit) + ")"
		case *format.TimestampType:
			n.typ = "timestamp(" + unit(l.Unit) + ")"
		default:
			if t, ok := intTypes[converted]; ok {
				n.typ = t
			}
		}
		// An annotation that does not go with the physical type is ignored, as the format asks.
		is64 := strings.HasSuffix(n.typ, "64") || strings.HasPrefix(n.typ, "timestamp") || n.typ == "time(us)" || n.typ == "time(ns)"
		if is64 != (n.kind == parquet.Int64) {
			n.typ = map[bool]string{true: "int64", false: "int32"}[n.kind == parquet.Int64]
		}
	case parquet.Int96:
		n.typ = "int96"
	case parquet.Float:
		n.typ = "float32"
	case parquet.Double:
		n.typ = "float64"
	case parquet.ByteArray:
		n.typ = "bytes"
		switch n.logical.(type) {
		case *format.StringType, *format.EnumType, *format.JsonType:
			n.typ = "string"
		case nil:
			if converted == deprecated.UTF8 || converted == deprecated.Enum || converted == deprecated.Json {
				n.typ = "string"
			}
		}
	case parquet.FixedLenByteArray:
		n.typ = fmt.Sprintf("[%d]byte", n.size)
		if _, ok := n.logical.(*format.Float16Type); ok && n.size == 2 {
			n.typ = "float16"
		}
		if converted == deprecated.Interval {
			n.typ = "interval"
		}
		if n.size <= 0 {
			n.noReason = "its fixed size is missing from the schema"
		}
	default:
		n.typ = "unknown"
		n.noReason = fmt.Sprintf("its physical type %d is unknown", n.kind)
	}
	if _, ok := n.logical.(*format.NullType); ok {
		n.typ = "null"
	}
}

func unit(u format.TimeUnit) string {
	switch u.Value.(type) {
	case *format.MilliSeconds:
		return "ms"
	case *format.MicroSeconds:
		return "us"
	}
	return "ns"
}

// match finds the name in a list: exactly, else the only one that is equal without regard to case and
// underscores (so userId finds user_id and USERID); -1 if there is none.
func match(name string, names []string) (int, error) {
	for i, n := range names {
		if n == name {
			return i, nil
		}
	}
	for _, fold := range []func(string) string{strings.ToLower, func(s string) string {
		return strings.ReplaceAll(strings.ToLower(s), "_", "")
	}} {
		found := -1
		for i, n := range names {
			if fold(n) == fold(name) {
				if found >= 0 {
					return -1, fmt.Errorf("columns %q and %q both match %q", names[found], n, name)
				}
				found = i
			}
		}
		if found >= 0 {
			return found, nil
		}
	}
	return -1, nil
}

package parquetio

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
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
	i, err := match(name, s.Names())
	if err != nil || i < 0 {
		return Field{}, false
	}
	return s.Fields[i], true
}

// Names lists the fields' names in their order.
func (s Schema) Names() []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
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

	constants []partitionValue // of the root: columns that the file's path holds

	// scalar
	leaf             int // the column's number in the file
	kind             parquet.Kind
	size             int // of a fixed_len_byte_array
	precision, scale int // of a decimal
	logical          logicalType
	maxRep           byte
	maxDef           byte
	noReason         string // if set, why the column cannot be read
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

// schemaOf makes the schema tree of a file. The root is a structure.
func schemaOf(elements []schemaElement) (*node, error) {
	b := schemaBuilder{elements: elements}
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
	elements []schemaElement
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

	n := &node{name: e.name, leaf: -1, logical: e.logical}
	n.path = e.name
	if prefix != "" {
		n.path = prefix + "." + e.name
	}
	repeated := false
	if !isRoot {
		switch e.repetition {
		case optionalField:
			n.optional = true
			def++
		case repeatedField:
			repeated = true
			rep++
			def++
		}
	}
	n.def = byte(def)
	if rep > 255 || def > 255 {
		return nil, fmt.Errorf("column %s is nested too deeply", n.path)
	}

	if e.physical >= 0 {
		n.shape = scalar
		n.leaf = b.leaves
		b.leaves++
		n.kind = parquet.Kind(e.physical)
		n.maxRep, n.maxDef = byte(rep), byte(def)
		n.size = int(e.size)
		n.scalarType(e)
	} else {
		n.shape, n.typ = structure, "struct"
		path := n.path
		if isRoot {
			path = ""
		}
		for range max(0, int(e.children)) {
			c, err := b.next(path, rep, def)
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, c)
		}
		switch {
		case isRoot:
		case e.logical.kind == logicalList || e.converted == convertedList:
			n.asList()
		case e.logical.kind == logicalMap || e.converted == convertedMap || e.converted == convertedMapKeyValue:
			n.asMap()
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
	if entry.shape == structure && len(entry.children) == 1 { // keys alone make a list
		n.shape, n.typ, n.rep, n.elemDef = list, "list", w.rep, w.elemDef
		n.children = entry.children
		return
	}
	if entry.shape != structure || len(entry.children) != 2 {
		return
	}
	n.shape, n.typ, n.rep, n.elemDef = mapping, "map", w.rep, w.elemDef
	n.children = entry.children
	n.children[0].name, n.children[1].name = "key", "value" // writers' names for them differ, and mean nothing
}

// convertedTypes are the integers' converted types, 9 to 18.
var convertedTypes = map[int8]string{
	6: "date", 7: "time(ms)", 8: "time(us)", 9: "timestamp(ms)", 10: "timestamp(us)",
	11: "uint8", 12: "uint16", 13: "uint32", 14: "uint64", 15: "int8", 16: "int16", 17: "int32", 18: "int64",
}

// scalarType names a column's type by its logical type, its older converted type, or
// else its physical type.
func (n *node) scalarType(e *schemaElement) {
	n.typ = n.physicalType()
	switch n.kind {
	case parquet.Int32, parquet.Int64:
		n.integerType(e)
	case parquet.ByteArray:
		switch e.logical.kind {
		case logicalString, logicalEnum, logicalJSON:
			n.typ = "string"
		case 0:
			if e.converted == convertedUTF8 || e.converted == convertedEnum || e.converted == convertedJSON {
				n.typ = "string"
			}
		}
	case parquet.FixedLenByteArray:
		switch {
		case n.size <= 0 || n.size > maxFixedSize:
			n.noReason = fmt.Sprintf("its fixed size is %d in the schema", n.size)
		case e.logical.kind == logicalFloat16 && n.size == 2:
			n.typ = "float16"
		case e.converted == convertedInterval && n.size == 12:
			n.typ = "interval"
		}
	case parquet.Boolean, parquet.Int96, parquet.Float, parquet.Double:
	default:
		n.noReason = fmt.Sprintf("its physical type %d is unknown", n.kind)
	}
	if e.logical.kind == logicalDecimal || e.converted == convertedDecimal {
		n.precision, n.scale = int(e.logical.precision), int(e.logical.scale)
		if e.logical.kind != logicalDecimal {
			n.precision, n.scale = int(e.precision), int(e.scale)
		}
		switch {
		case n.kind != parquet.Int32 && n.kind != parquet.Int64 && n.kind != parquet.ByteArray && n.kind != parquet.FixedLenByteArray:
			// An annotation that does not go with the physical type is ignored.
		case n.precision < 1 || n.scale < 0 || n.scale > maxScale:
			n.noReason = fmt.Sprintf("it is a decimal of precision %d and scale %d", n.precision, n.scale)
		default:
			n.typ = fmt.Sprintf("decimal(%d,%d)", n.precision, n.scale)
		}
	}
	if e.logical.kind == logicalNull {
		n.typ = "null"
	}
}

// maxFixedSize bounds fixed_len_byte_array: real ones have some tens of bytes.
const maxFixedSize = 1 << 20

// physicalType is what a column holds if no annotation says more.
func (n *node) physicalType() string {
	switch n.kind {
	case parquet.Boolean:
		return "bool"
	case parquet.Int32:
		return "int32"
	case parquet.Int64:
		return "int64"
	case parquet.Int96:
		return "int96"
	case parquet.Float:
		return "float32"
	case parquet.Double:
		return "float64"
	case parquet.ByteArray:
		return "bytes"
	case parquet.FixedLenByteArray:
		return fmt.Sprintf("[%d]byte", n.size)
	}
	return "unknown"
}

func (n *node) integerType(e *schemaElement) {
	typ := n.typ
	switch l := e.logical; l.kind {
	case logicalInt:
		if l.bits != 8 && l.bits != 16 && l.bits != 32 && l.bits != 64 {
			return
		}
		typ = fmt.Sprintf("int%d", l.bits)
		if !l.signed {
			typ = "u" + typ
		}
	case logicalDate:
		typ = "date"
	case logicalTime:
		typ = "time(" + unit(l.unit) + ")"
	case logicalTimestamp:
		typ = "timestamp(" + unit(l.unit) + ")"
	default:
		if t, ok := convertedTypes[e.converted]; ok {
			typ = t
		}
	}
	// An annotation that does not go with the physical type is ignored, as the format asks.
	is64 := strings.HasSuffix(typ, "64") || strings.HasPrefix(typ, "timestamp") || typ == "time(us)" || typ == "time(ns)"
	if is64 == (n.kind == parquet.Int64) {
		n.typ = typ
	}
}

func unit(u int16) string {
	switch u {
	case 1:
		return "ms"
	case 2:
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

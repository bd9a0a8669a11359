package parquetio

import (
	"fmt"
	"io"
	"math/big"
	"reflect"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// The library under the writer takes decimals as integers and as bytes, but knows nothing of Decimal. Rows with fields of that type are copied into a shadow: the
// same struct with an int32, int64 or array of bytes in the place of each Decimal, by precision, as Spark stores them.

// rowWriter is what FileWriter needs of the library.
type rowWriter[T any] interface {
	Write(rows []T) (int, error)
	Close() error
}

// shadow is the type that stands for another when rows are written.
type shadow struct {
	typ  reflect.Type
	copy func(dst, src reflect.Value) error // nil if the types are the same
}

func (s shadow) set(dst, src reflect.Value) error {
	if s.copy == nil {
		dst.Set(src)
		return nil
	}
	return s.copy(dst, src)
}

// shadowOf finds the shadow of a type.
func shadowOf(t reflect.Type) (shadow, error) {
	switch {
	case t.Kind() == reflect.Pointer:
		e, err := shadowOf(t.Elem())
		if err != nil || e.copy == nil {
			return shadow{typ: t}, err
		}
		return shadow{reflect.PointerTo(e.typ), func(dst, src reflect.Value) error {
			if src.IsNil() {
				return nil
			}
			dst.Set(reflect.New(e.typ))
			return e.copy(dst.Elem(), src.Elem())
		}}, nil
	case t.Kind() == reflect.Slice:
		e, err := shadowOf(t.Elem())
		if err != nil || e.copy == nil {
			return shadow{typ: t}, err
		}
		typ := reflect.SliceOf(e.typ)
		return shadow{typ, func(dst, src reflect.Value) error {
			dst.Set(reflect.MakeSlice(typ, src.Len(), src.Len()))
			for i := range src.Len() {
				if err := e.copy(dst.Index(i), src.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}}, nil
	case t.Kind() == reflect.Map:
		e, err := shadowOf(t.Elem())
		if err != nil || e.copy == nil {
			return shadow{typ: t}, err
		}
		typ := reflect.MapOf(t.Key(), e.typ)
		return shadow{typ, func(dst, src reflect.Value) error {
			dst.Set(reflect.MakeMap(typ))
			for each := src.MapRange(); each.Next(); {
				v := reflect.New(e.typ).Elem()
				if err := e.copy(v, each.Value()); err != nil {
					return err
				}
				dst.SetMapIndex(each.Key(), v)
			}
			return nil
		}}, nil
	case t.Kind() == reflect.Struct && t != timeType && t != decimalType && t != intervalType:
		return shadowOfStruct(t)
	}
	return shadow{typ: t}, nil
}

// member is how a field gets into the shadow.
type shadowMember struct {
	from []int
	to   int
	name string
	shadow
}

func shadowOfStruct(t reflect.Type) (shadow, error) {
	var fields []reflect.StructField
	var members []shadowMember
	changed := false
	var walk func(t reflect.Type, index []int) error
	walk = func(t reflect.Type, index []int) error {
		for i := range t.NumField() {
			f := t.Field(i)
			at := append(index[:len(index):len(index)], i)
			if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Type != timeType && f.Type != decimalType {
				if err := walk(f.Type, at); err != nil {
					return err
				}
				continue
			}
			if !f.IsExported() || tagOf(f).skip {
				continue
			}
			var s shadow
			var err error
			if f.Type == decimalType || f.Type == reflect.PointerTo(decimalType) {
				s, err = shadowOfDecimal(f)
			} else {
				s, err = shadowOf(f.Type)
			}
			if err != nil {
				return fmt.Errorf("field %v.%s: %w", t, f.Name, err)
			}
			changed = changed || s.copy != nil
			members = append(members, shadowMember{at, len(fields), f.Name, s})
			fields = append(fields, reflect.StructField{Name: f.Name, Type: s.typ, Tag: f.Tag})
		}
		return nil
	}
	if err := walk(t, nil); err != nil || !changed {
		return shadow{typ: t}, err
	}
	return shadow{reflect.StructOf(fields), func(dst, src reflect.Value) error {
		for _, m := range members {
			if err := m.set(dst.Field(m.to), src.FieldByIndex(m.from)); err != nil {
				return fmt.Errorf("field %s: %w", m.name, err)
			}
		}
		return nil
	}}, nil
}

// shadowOfDecimal finds how a field of type Decimal or *Decimal is stored.
func shadowOfDecimal(f reflect.StructField) (shadow, error) {
	scale, precision, err := decimalTag(f)
	if err != nil {
		return shadow{}, err
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(precision)), nil)
	fit := func(src reflect.Value) (Decimal, error) {
		d := src.Interface().(Decimal)
		r, err := d.rescale(int32(scale))
		if err == nil && r.Unscaled(new(big.Int)).CmpAbs(limit) >= 0 {
			err = fmt.Errorf("%v has more than %d digits before the point", d, precision-scale)
		}
		if err != nil {
			err = fmt.Errorf("it does not fit in decimal(%d,%d): %w", precision, scale, err)
		}
		return r, err
	}
	var s shadow
	switch {
	case precision <= 9:
		s = shadow{reflect.TypeFor[int32](), func(dst, src reflect.Value) error {
			d, err := fit(src)
			dst.SetInt(int64(d.Lo))
			return err
		}}
	case precision <= 18:
		s = shadow{reflect.TypeFor[int64](), func(dst, src reflect.Value) error {
			d, err := fit(src)
			dst.SetInt(int64(d.Lo))
			return err
		}}
	default:
		size := decimalBytes(limit)
		s = shadow{reflect.ArrayOf(size, reflect.TypeFor[byte]()), func(dst, src reflect.Value) error {
			d, err := fit(src)
			for i := size - 1; i >= 0; i-- { // big endian
				dst.Index(i).SetUint(d.Lo & 0xff)
				d.Lo, d.Hi = d.Lo>>8|uint64(d.Hi)<<56, d.Hi>>8
			}
			return err
		}}
	}
	if f.Type.Kind() != reflect.Pointer {
		return s, nil
	}
	return shadow{reflect.PointerTo(s.typ), func(dst, src reflect.Value) error {
		if src.IsNil() {
			return nil
		}
		dst.Set(reflect.New(s.typ))
		return s.copy(dst.Elem(), src.Elem())
	}}, nil
}

// decimalBytes is how many bytes hold all numbers whose absolute value is below limit.
func decimalBytes(limit *big.Int) int {
	return new(big.Int).Sub(limit, big.NewInt(1)).BitLen()/8 + 1
}

// mostDigits is the precision of SQL's largest decimal.
const mostDigits = 38

// decimalTag reads decimal(SCALE:PRECISION).
func decimalTag(f reflect.StructField) (scale, precision int, err error) {
	_, options, _ := strings.Cut(f.Tag.Get("parquet"), ",")
	for o := range strings.SplitSeq(options, ",") {
		if !strings.HasPrefix(o, "decimal(") {
			continue
		}
		if n, err := fmt.Sscanf(o, "decimal(%d:%d)", &scale, &precision); n != 2 || err != nil || precision < 1 || precision > mostDigits || scale < 0 || scale > precision {
			return 0, 0, fmt.Errorf("the tag %s is no decimal(SCALE:PRECISION) with a precision of 1 to %d and a scale of 0 to the precision", o, mostDigits)
		}
		return scale, precision, nil
	}
	return 0, 0, fmt.Errorf("a Decimal is written with so many digits as its tag says: add `parquet:\"NAME,decimal(SCALE:PRECISION)\"`, such as decimal(2:10) for eight digits before the point and two after it")
}

// The library would take the minimum and maximum of decimals in byte arrays by comparing bytes without sign, so that readers would skip what they should read. decimalNode
// makes it write none for row groups, and for pages, whose index must have some, those of the type: they exclude nothing.
type decimalNode struct{ parquet.Node }

// Fields implements parquet.Node.
func (n decimalNode) Fields() []parquet.Field { return decimalFields(n.Node) }

type decimalField struct{ parquet.Field }

// Fields implements parquet.Node.
func (f decimalField) Fields() []parquet.Field { return decimalFields(f.Field) }

// Type implements parquet.Node.
func (f decimalField) Type() parquet.Type {
	t := f.Field.Type()
	if d, ok := byteDecimal(f.Field); ok {
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Precision)), nil)
		return decimalInBytes{t, limit.Sub(limit, big.NewInt(1))}
	}
	return t
}

func decimalFields(n parquet.Node) []parquet.Field {
	fields := slices.Clone(n.Fields())
	for i := range fields {
		fields[i] = decimalField{fields[i]}
	}
	return fields
}

// byteDecimal tells that a column holds decimals in byte arrays.
func byteDecimal(n parquet.Node) (*format.DecimalType, bool) {
	if !n.Leaf() || n.Type().Kind() != parquet.FixedLenByteArray || n.Type().LogicalType() == nil {
		return nil, false
	}
	d, ok := n.Type().LogicalType().Value.(*format.DecimalType)
	return d, ok
}

// decimalInBytes is the type of such a column, and most its largest number.
type decimalInBytes struct {
	parquet.Type
	most *big.Int
}

// NewColumnIndexer implements parquet.Type.
func (t decimalInBytes) NewColumnIndexer(int) parquet.ColumnIndexer {
	least, most := make([]byte, t.Length()), make([]byte, t.Length())
	t.most.FillBytes(most)
	for i, b := range new(big.Int).Sub(t.most, big.NewInt(1)).FillBytes(least) { // -x is ^(x-1)
		least[i] = ^b
	}
	return &allDecimals{least: least, most: most}
}

// allDecimals is an index of pages that tells of each only whether it has values.
type allDecimals struct {
	least, most []byte
	index       format.ColumnIndex
}

// Reset implements parquet.ColumnIndexer.
func (a *allDecimals) Reset() { a.index = format.ColumnIndex{} }

// IndexPage implements parquet.ColumnIndexer.
func (a *allDecimals) IndexPage(numValues, numNulls int64, _, _ parquet.Value) {
	least, most := a.least, a.most
	if numValues == numNulls {
		least, most = []byte{}, []byte{}
	}
	a.index.NullPages = append(a.index.NullPages, numValues == numNulls)
	a.index.NullCounts = append(a.index.NullCounts, numNulls)
	a.index.MinValues = append(a.index.MinValues, least)
	a.index.MaxValues = append(a.index.MaxValues, most)
}

// ColumnIndex implements parquet.ColumnIndexer.
func (a *allDecimals) ColumnIndex() format.ColumnIndex { return a.index }

// byteDecimals lists the columns that hold decimals in byte arrays.
func byteDecimals(schema *parquet.Schema) (paths [][]string) {
	for _, path := range schema.Columns() {
		if leaf, ok := schema.Lookup(path...); ok {
			if _, ok := byteDecimal(leaf.Node); ok {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// shadowWriter writes the shadows of rows.
type shadowWriter[T any] struct {
	w      *parquet.GenericWriter[any]
	schema *parquet.Schema
	shadow shadow
	rows   []parquet.Row
}

// shadowRows is how many rows are copied at a time.
const shadowRows = 256

func newShadowWriter[T any](out io.Writer, s shadow, schema *parquet.Schema, config *parquet.WriterConfig) *shadowWriter[T] {
	config.Schema = parquet.NewSchema(schema.Name(), decimalNode{schema})
	config.SkipPageBounds = byteDecimals(schema)
	return &shadowWriter[T]{w: parquet.NewGenericWriter[any](out, config), schema: schema, shadow: s, rows: make([]parquet.Row, shadowRows)}
}

// Write implements rowWriter.
func (w *shadowWriter[T]) Write(rows []T) (int, error) {
	values := reflect.ValueOf(rows)
	for done := 0; done < len(rows); {
		n := min(len(rows)-done, shadowRows)
		// Rows of the library point into the copies.
		copies := reflect.MakeSlice(reflect.SliceOf(w.shadow.typ), n, n)
		for i := range n {
			if err := w.shadow.copy(copies.Index(i), values.Index(done+i)); err != nil {
				return done, err
			}
			w.rows[i] = w.schema.Deconstruct(w.rows[i][:0], copies.Index(i).Addr().Interface())
		}
		if _, err := w.w.WriteRows(w.rows[:n]); err != nil {
			return done, err
		}
		done += n
	}
	return len(rows), nil
}

// Close implements rowWriter.
func (w *shadowWriter[T]) Close() error { return w.w.Close() }

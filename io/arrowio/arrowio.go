// Package arrowio turns rows into Arrow record batches and back, and reads and writes Arrow IPC files (Feather version 2), the
// formats in which Python, R and databases take and give tables without copying cell by cell.
//
//	batch, err := arrowio.FromRows(rows)              // []Rating to a record batch
//	rows, err := arrowio.ToRows[Rating](batch)        // and back
//	err = arrowio.WriteFile(ctx, "s3://b/x.arrow", batch)
//
// Fields are named as parquetio names columns: by the tag `parquet:"name"`, else by the field. They become
//
//	bool, integers, floats, string     the Arrow type of the same name
//	[]byte                             binary
//	time.Time                          timestamp in microseconds, UTC (what is finer is cut off)
//	time.Duration                      duration in nanoseconds
//	parquetio.Decimal                  decimal128(38, SCALE), the scale being that of the first row
//	[]T, struct                        list, struct
//	*T                                 the same, nullable
//
// Invariants: a null where the field is no pointer is an error, as is a column that is missing or of another type; nothing is
// converted with loss. Rows own their memory: they stay good when the batch is released. Batches from FromRows are
// allocated by Go and need no Release.
//
// It is a package of its own so that programs without Arrow do not link it.
package arrowio

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/spark-go/spark-go/io/parquetio"
)

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	decimalType  = reflect.TypeFor[parquetio.Decimal]()
)

// SchemaOf is the Arrow schema of a row type, with decimals of scale 0.
func SchemaOf[T any]() (*arrow.Schema, error) { return schemaOf(reflect.TypeFor[T](), reflect.Value{}) }

func schemaOf(t reflect.Type, first reflect.Value) (*arrow.Schema, error) {
	if t.Kind() != reflect.Struct || t == timeType || t == decimalType {
		return nil, fmt.Errorf("rows are structs, not %v: name a struct whose fields are the columns", t)
	}
	fields, err := fieldsOf(t, first, 0)
	if err != nil {
		return nil, err
	}
	return arrow.NewSchema(fields, nil), nil
}

// name is a field's column; ok is false for those left out.
func name(f reflect.StructField) (string, bool) {
	tag, _, _ := strings.Cut(f.Tag.Get("parquet"), ",")
	if !f.IsExported() || tag == "-" {
		return "", false
	}
	if tag == "" {
		tag = f.Name
	}
	return tag, true
}

func fieldsOf(t reflect.Type, first reflect.Value, depth int) ([]arrow.Field, error) {
	if depth > 32 {
		return nil, fmt.Errorf("%v is nested more than 32 deep: a type that holds itself cannot be a row", t)
	}
	var fields []arrow.Field
	for i := range t.NumField() {
		f := t.Field(i)
		column, ok := name(f)
		if !ok {
			continue
		}
		var value reflect.Value
		if first.IsValid() {
			value = first.Field(i)
		}
		typ, err := typeOf(f.Type, value, depth)
		if err != nil {
			return nil, fmt.Errorf("field %v.%s: %w", t, f.Name, err)
		}
		fields = append(fields, arrow.Field{Name: column, Type: typ, Nullable: f.Type.Kind() == reflect.Pointer})
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("%v has no exported field to make a column of", t)
	}
	return fields, nil
}

var basic = map[reflect.Kind]arrow.DataType{
	reflect.Bool: arrow.FixedWidthTypes.Boolean,
	reflect.Int8: arrow.PrimitiveTypes.Int8, reflect.Int16: arrow.PrimitiveTypes.Int16, reflect.Int32: arrow.PrimitiveTypes.Int32,
	reflect.Int64: arrow.PrimitiveTypes.Int64, reflect.Int: arrow.PrimitiveTypes.Int64,
	reflect.Uint8: arrow.PrimitiveTypes.Uint8, reflect.Uint16: arrow.PrimitiveTypes.Uint16, reflect.Uint32: arrow.PrimitiveTypes.Uint32,
	reflect.Uint64: arrow.PrimitiveTypes.Uint64, reflect.Uint: arrow.PrimitiveTypes.Uint64,
	reflect.Float32: arrow.PrimitiveTypes.Float32, reflect.Float64: arrow.PrimitiveTypes.Float64,
	reflect.String: arrow.BinaryTypes.String,
}

func typeOf(t reflect.Type, first reflect.Value, depth int) (arrow.DataType, error) {
	switch t {
	case timeType:
		return arrow.FixedWidthTypes.Timestamp_us, nil
	case durationType:
		return arrow.FixedWidthTypes.Duration_ns, nil
	case decimalType:
		scale := int32(0)
		if first.IsValid() {
			scale = first.Interface().(parquetio.Decimal).Scale
		}
		return &arrow.Decimal128Type{Precision: 38, Scale: scale}, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Pointer {
			break
		}
		if first.IsValid() {
			first = first.Elem()
		}
		return typeOf(t.Elem(), first, depth)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return arrow.BinaryTypes.Binary, nil
		}
		elem, err := typeOf(t.Elem(), reflect.Value{}, depth+1)
		if err != nil {
			return nil, err
		}
		return arrow.ListOfField(arrow.Field{Name: "item", Type: elem, Nullable: t.Elem().Kind() == reflect.Pointer}), nil
	case reflect.Struct:
		fields, err := fieldsOf(t, first, depth+1)
		if err != nil {
			return nil, err
		}
		return arrow.StructOf(fields...), nil
	}
	if b, ok := basic[t.Kind()]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("a %v has no Arrow type here", t)
}

// FromRows makes a record batch of rows.
func FromRows[T any](rows []T) (arrow.RecordBatch, error) {
	values := reflect.ValueOf(rows)
	var first reflect.Value
	if len(rows) > 0 {
		first = values.Index(0)
	}
	schema, err := schemaOf(reflect.TypeFor[T](), first)
	if err != nil {
		return nil, fmt.Errorf("make record batch: %w", err)
	}
	b := array.NewRecordBuilder(memory.NewGoAllocator(), schema)
	defer b.Release()
	b.Reserve(len(rows))
	t := reflect.TypeFor[T]()
	column := 0
	for i := range t.NumField() {
		f := t.Field(i)
		if _, ok := name(f); !ok {
			continue
		}
		add := appender(b.Field(column), f.Type)
		for r := range rows {
			if err := add(values.Index(r).Field(i)); err != nil {
				return nil, fmt.Errorf("make record batch: row %d, field %v.%s: %w", r, t, f.Name, err)
			}
		}
		column++
	}
	return b.NewRecordBatch(), nil
}

// appender adds values of a type to a builder that was made for it.
func appender(b array.Builder, t reflect.Type) func(reflect.Value) error {
	if t.Kind() == reflect.Pointer {
		add := appender(b, t.Elem())
		return func(v reflect.Value) error {
			if v.IsNil() {
				b.AppendNull()
				return nil
			}
			return add(v.Elem())
		}
	}
	done := func(f func(v reflect.Value)) func(reflect.Value) error {
		return func(v reflect.Value) error { f(v); return nil }
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		return done(func(v reflect.Value) { b.Append(v.Bool()) })
	case *array.Int8Builder:
		return done(func(v reflect.Value) { b.Append(int8(v.Int())) })
	case *array.Int16Builder:
		return done(func(v reflect.Value) { b.Append(int16(v.Int())) })
	case *array.Int32Builder:
		return done(func(v reflect.Value) { b.Append(int32(v.Int())) })
	case *array.Int64Builder:
		return done(func(v reflect.Value) { b.Append(v.Int()) })
	case *array.Uint8Builder:
		return done(func(v reflect.Value) { b.Append(uint8(v.Uint())) })
	case *array.Uint16Builder:
		return done(func(v reflect.Value) { b.Append(uint16(v.Uint())) })
	case *array.Uint32Builder:
		return done(func(v reflect.Value) { b.Append(uint32(v.Uint())) })
	case *array.Uint64Builder:
		return done(func(v reflect.Value) { b.Append(v.Uint()) })
	case *array.Float32Builder:
		return done(func(v reflect.Value) { b.Append(float32(v.Float())) })
	case *array.Float64Builder:
		return done(func(v reflect.Value) { b.Append(v.Float()) })
	case *array.StringBuilder:
		return done(func(v reflect.Value) { b.Append(v.String()) })
	case *array.BinaryBuilder:
		return done(func(v reflect.Value) { b.Append(v.Bytes()) })
	case *array.DurationBuilder:
		return done(func(v reflect.Value) { b.Append(arrow.Duration(v.Int())) })
	case *array.TimestampBuilder:
		return done(func(v reflect.Value) { b.Append(arrow.Timestamp(v.Interface().(time.Time).UnixMicro())) })
	case *array.Decimal128Builder:
		scale := b.Type().(*arrow.Decimal128Type).Scale
		return func(v reflect.Value) error {
			d := v.Interface().(parquetio.Decimal)
			if d.Scale != scale {
				return fmt.Errorf("decimal %v has scale %d, the first has %d: a column has one scale", d, d.Scale, scale)
			}
			b.Append(decimal128.New(d.Hi, d.Lo))
			return nil
		}
	case *array.ListBuilder:
		add := appender(b.ValueBuilder(), t.Elem())
		return func(v reflect.Value) error {
			b.Append(true) // a nil slice is an empty list
			for i := range v.Len() {
				if err := add(v.Index(i)); err != nil {
					return err
				}
			}
			return nil
		}
	case *array.StructBuilder:
		var adds []func(reflect.Value) error
		var index []int
		for i := range t.NumField() {
			if _, ok := name(t.Field(i)); ok {
				adds = append(adds, appender(b.FieldBuilder(len(adds)), t.Field(i).Type))
				index = append(index, i)
			}
		}
		return func(v reflect.Value) error {
			b.Append(true)
			for k, i := range index {
				if err := adds[k](v.Field(i)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return func(reflect.Value) error {
		return fmt.Errorf("an Arrow builder of type %v is not expected here", b.Type())
	}
}

package arrowio

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/spark-go/spark-go/io/parquetio"
)

// ToRows makes rows of a record batch. Integers go to any integer type that can hold all values of the column's type, floats to wider ones, dates and timestamps
// to time.Time, dictionaries to what they stand for. Columns that T does not name are left.
func ToRows[T any](b arrow.RecordBatch) ([]T, error) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("read record batch: rows are structs, not %v", t)
	}
	var names []string
	for _, f := range b.Schema().Fields() {
		names = append(names, f.Name)
	}
	type use struct {
		set    set
		field  int
		column string
	}
	var uses []use
	for i := range t.NumField() {
		f := t.Field(i)
		column, ok := name(f)
		if !ok {
			continue
		}
		k := slices.Index(names, column)
		if k < 0 {
			return nil, fmt.Errorf("read record batch: field %v.%s: there is no column %q: the columns are: %s", t, f.Name, column, strings.Join(names, ", "))
		}
		get, err := getter(b.Column(k), f.Type)
		if err == nil && int64(b.Column(k).Len()) != b.NumRows() {
			err = fmt.Errorf("it has %d values for %d rows", b.Column(k).Len(), b.NumRows())
		}
		if err != nil {
			return nil, fmt.Errorf("read record batch: field %v.%s, column %q: %w", t, f.Name, column, err)
		}
		uses = append(uses, use{get, i, column})
	}
	if len(uses) == 0 {
		return nil, fmt.Errorf("read record batch: %v has no exported field to put a column into", t)
	}
	rows := make([]T, b.NumRows())
	values := reflect.ValueOf(rows)
	for _, u := range uses {
		for r := range rows {
			if err := u.set(values.Index(r).Field(u.field), r); err != nil {
				return nil, fmt.Errorf("read record batch: field %v.%s, column %q, row %d: %w", t, t.Field(u.field).Name, u.column, r, err)
			}
		}
	}
	return rows, nil
}

// backed makes sure that the memory of an array holds as many values as it claims, before room is made for them.
func backed(a arrow.Array) error {
	d := a.Data()
	need := int64(d.Offset()) + int64(d.Len())
	have := int64(math.MaxInt64) // of types that are refused anyway
	bytes := func(i int) int64 {
		if i >= len(d.Buffers()) || d.Buffers()[i] == nil {
			return 0
		}
		return int64(d.Buffers()[i].Len())
	}
	switch t := d.DataType().(type) {
	case *arrow.StructType:
		have = 0
		for i, c := range d.Children() {
			if n := int64(c.Len()); i == 0 || n < have {
				have = n
			}
		}
	case *arrow.DictionaryType:
		have = bytes(1) * 8 / int64(t.IndexType.(arrow.FixedWidthDataType).BitWidth())
	case *arrow.FixedSizeListType:
		have = int64(d.Children()[0].Len()) / max(1, int64(t.Len()))
	case arrow.OffsetsDataType:
		have = bytes(1)/int64(t.OffsetTypeTraits().BytesRequired(1)) - 1
	case arrow.FixedWidthDataType:
		have = bytes(1) * 8 / int64(max(1, t.BitWidth()))
	}
	if need > 0 && need > have {
		return fmt.Errorf("the file is damaged: it claims %d values, and there is memory for %d", need, have)
	}
	return nil
}

// set stores element i of an array.
type set func(dst reflect.Value, i int) error

// getter finds how elements of an array are stored in values of a type.
func getter(a arrow.Array, t reflect.Type) (set, error) {
	if err := backed(a); err != nil {
		return nil, err
	}
	if d, ok := a.(*array.Dictionary); ok {
		get, err := getter(d.Dictionary(), t)
		return func(dst reflect.Value, i int) error {
			if d.IsNull(i) {
				return null(dst)
			}
			return get(dst, d.GetValueIndex(i))
		}, err
	}
	if t.Kind() == reflect.Pointer {
		get, err := getter(a, t.Elem())
		return func(dst reflect.Value, i int) error {
			if a.IsNull(i) {
				dst.SetZero()
				return nil
			}
			dst.Set(reflect.New(t.Elem()))
			return get(dst.Elem(), i)
		}, err
	}
	get, err := plain(a, t)
	if err != nil {
		return nil, err
	}
	return func(dst reflect.Value, i int) error {
		if a.IsNull(i) {
			return null(dst)
		}
		return get(dst, i)
	}, nil
}

func null(dst reflect.Value) error {
	if dst.Kind() == reflect.Pointer {
		dst.SetZero()
		return nil
	}
	return fmt.Errorf("it is null, which a field of type %v cannot hold: make it a pointer", dst.Type())
}

func plain(a arrow.Array, t reflect.Type) (set, error) {
	mismatch := fmt.Errorf("it is %v, which a field of type %v cannot take", a.DataType(), t)
	done := func(ok bool, f func(dst reflect.Value, i int)) (set, error) {
		if !ok {
			return nil, mismatch
		}
		return func(dst reflect.Value, i int) error { f(dst, i); return nil }, nil
	}
	kind := t.Kind()
	special := t == timeType || t == durationType || t == decimalType
	switch a := a.(type) {
	case *array.Boolean:
		return done(kind == reflect.Bool, func(dst reflect.Value, i int) { dst.SetBool(a.Value(i)) })
	case *array.String:
		return done(kind == reflect.String, func(dst reflect.Value, i int) { dst.SetString(strings.Clone(a.Value(i))) })
	case *array.LargeString:
		return done(kind == reflect.String, func(dst reflect.Value, i int) { dst.SetString(strings.Clone(a.Value(i))) })
	case *array.Binary:
		return done(kind == reflect.Slice && t.Elem().Kind() == reflect.Uint8, func(dst reflect.Value, i int) { dst.SetBytes(slices.Clone(a.Value(i))) })
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return done(t == timeType, func(dst reflect.Value, i int) { dst.Set(reflect.ValueOf(a.Value(i).ToTime(unit))) })
	case *array.Date32:
		return done(t == timeType, func(dst reflect.Value, i int) { dst.Set(reflect.ValueOf(a.Value(i).ToTime())) })
	case *array.Duration:
		unit := a.DataType().(*arrow.DurationType).Unit.Multiplier()
		return done(t == durationType, func(dst reflect.Value, i int) { dst.SetInt(int64(a.Value(i)) * int64(unit)) })
	case *array.Decimal128:
		scale := a.DataType().(*arrow.Decimal128Type).Scale
		return done(t == decimalType && scale >= 0, func(dst reflect.Value, i int) {
			v := a.Value(i)
			dst.Set(reflect.ValueOf(parquetio.Decimal{Hi: v.HighBits(), Lo: v.LowBits(), Scale: scale}))
		})
	case *array.Float32:
		return done((kind == reflect.Float32 || kind == reflect.Float64), func(dst reflect.Value, i int) { dst.SetFloat(float64(a.Value(i))) })
	case *array.Float64:
		return done(kind == reflect.Float64, func(dst reflect.Value, i int) { dst.SetFloat(a.Value(i)) })
	case array.ListLike:
		if kind != reflect.Slice {
			return nil, mismatch
		}
		get, err := getter(a.ListValues(), t.Elem())
		return func(dst reflect.Value, i int) error {
			from, to := a.ValueOffsets(i)
			if from < 0 || to < from || to > int64(a.ListValues().Len()) {
				return fmt.Errorf("the file is damaged: a list goes from %d to %d of %d values", from, to, a.ListValues().Len())
			}
			n := int(to - from)
			dst.Set(reflect.MakeSlice(t, n, n))
			for j := range n {
				if err := get(dst.Index(j), int(from)+j); err != nil {
					return err
				}
			}
			return nil
		}, err
	case *array.Struct:
		if kind != reflect.Struct || special {
			return nil, mismatch
		}
		return structGetter(a, t)
	}
	if special {
		return nil, mismatch
	}
	return integers(a, t, mismatch)
}

func structGetter(a *array.Struct, t reflect.Type) (set, error) {
	typ := a.DataType().(*arrow.StructType)
	var gets []set
	var index []int
	for i := range t.NumField() {
		f := t.Field(i)
		column, ok := name(f)
		if !ok {
			continue
		}
		k, ok := typ.FieldIdx(column)
		if !ok {
			return nil, fmt.Errorf("field %v.%s: there is no member %q in %v", t, f.Name, column, typ)
		}
		get, err := getter(a.Field(k), f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %v.%s: %w", t, f.Name, err)
		}
		gets, index = append(gets, get), append(index, i)
	}
	return func(dst reflect.Value, i int) error {
		for k, f := range index {
			if err := gets[k](dst.Field(f), i); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// integers stores integer arrays in integer fields that can hold all of their type's values.
func integers(a arrow.Array, t reflect.Type, mismatch error) (set, error) {
	var signed func(i int) int64
	var unsigned func(i int) uint64
	var low int64
	var high uint64
	switch a := a.(type) {
	case *array.Int8:
		signed, low, high = func(i int) int64 { return int64(a.Value(i)) }, math.MinInt8, math.MaxInt8
	case *array.Int16:
		signed, low, high = func(i int) int64 { return int64(a.Value(i)) }, math.MinInt16, math.MaxInt16
	case *array.Int32:
		signed, low, high = func(i int) int64 { return int64(a.Value(i)) }, math.MinInt32, math.MaxInt32
	case *array.Int64:
		signed, low, high = a.Value, math.MinInt64, math.MaxInt64
	case *array.Uint8:
		unsigned, high = func(i int) uint64 { return uint64(a.Value(i)) }, math.MaxUint8
	case *array.Uint16:
		unsigned, high = func(i int) uint64 { return uint64(a.Value(i)) }, math.MaxUint16
	case *array.Uint32:
		unsigned, high = func(i int) uint64 { return uint64(a.Value(i)) }, math.MaxUint32
	case *array.Uint64:
		unsigned, high = a.Value, math.MaxUint64
	default:
		return nil, mismatch
	}
	v := reflect.New(t).Elem()
	switch {
	case v.CanInt() && high <= math.MaxInt64 && !v.OverflowInt(low) && !v.OverflowInt(int64(high)):
		return func(dst reflect.Value, i int) error {
			if signed != nil {
				dst.SetInt(signed(i))
			} else {
				dst.SetInt(int64(unsigned(i)))
			}
			return nil
		}, nil
	case v.CanUint() && unsigned != nil && !v.OverflowUint(high):
		return func(dst reflect.Value, i int) error { dst.SetUint(unsigned(i)); return nil }, nil
	}
	return nil, mismatch
}

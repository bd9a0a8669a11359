package parquetio

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding"
)

// converter turns n values of a page into values of a Go type. out is scratch, grown as needed, or the
// page's own memory where nothing needs converting. Strings and byte slices
// get memory that nobody reuses, one allocation a page or dictionary.
type converter[V any] func(scratch []V, values encoding.Values, n int) (newScratch, out []V, err error)

type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~int | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uint | ~float32 | ~float64
}

// each makes a converter of a function of one value.
func each[P, V any](values func(*encoding.Values) []P, f func(P) (V, error)) converter[V] {
	return func(s []V, v encoding.Values, n int) ([]V, []V, error) {
		src := values(&v)
		src = src[:min(n, len(src))]
		s = slices.Grow(s[:0], len(src))[:len(src)]
		for i, p := range src {
			var err error
			if s[i], err = f(p); err != nil {
				return s, nil, err
			}
		}
		return s, s, nil
	}
}

// widen is each for conversions between numbers that lose nothing.
func widen[P, V number](values func(*encoding.Values) []P) converter[V] {
	return func(s []V, v encoding.Values, n int) ([]V, []V, error) {
		src := values(&v)
		src = src[:min(n, len(src))]
		s = slices.Grow(s[:0], len(src))[:len(src)]
		for i, p := range src {
			s[i] = V(p)
		}
		return s, s, nil
	}
}

// same is for values that are stored in pages as Go wants them.
func same[V any](values func(*encoding.Values) []V) converter[V] {
	return func(s []V, v encoding.Values, n int) ([]V, []V, error) {
		src := values(&v)
		return s, src[:min(n, len(src))], nil
	}
}

func int32s(v *encoding.Values) []int32     { return v.Int32() }
func int64s(v *encoding.Values) []int64     { return v.Int64() }
func uint32s(v *encoding.Values) []uint32   { return v.Uint32() }
func uint64s(v *encoding.Values) []uint64   { return v.Uint64() }
func float32s(v *encoding.Values) []float32 { return v.Float() }
func float64s(v *encoding.Values) []float64 { return v.Double() }

// numeric is the converter from a numeric column type to V without loss, or nil.
func numeric[V number](from string, kind reflect.Kind) converter[V] {
	if !slices.Contains(lossless[kind], from) {
		return nil
	}
	switch from {
	case "uint8", "uint16", "uint32":
		return widen[uint32, V](uint32s)
	case "uint64":
		return widen[uint64, V](uint64s)
	case "int8", "int16", "int32", "date", "time(ms)":
		return widen[int32, V](int32s)
	case "float32":
		return widen[float32, V](float32s)
	case "float64":
		return widen[float64, V](float64s)
	case "float16":
		return func(s []V, v encoding.Values, n int) ([]V, []V, error) {
			data, _ := v.FixedLenByteArray()
			s = s[:0]
			for i := 0; i+1 < len(data) && len(s) < n; i += 2 {
				s = append(s, V(halfFloat(uint16(data[i])|uint16(data[i+1])<<8)))
			}
			return s, s, nil
		}
	}
	return widen[int64, V](int64s) // int64, time and timestamp
}

// lossless lists the column types whose every value a Go kind can hold.
var lossless = func() map[reflect.Kind][]string {
	i8, i16, i32 := []string{"int8"}, []string{"int8", "int16", "uint8"}, []string{"int8", "int16", "uint8", "int32", "uint16"}
	u8, u16, u32 := []string{"uint8"}, []string{"uint8", "uint16"}, []string{"uint8", "uint16", "uint32"}
	i64 := append(slices.Concat(i32, []string{"int64", "uint32"}), "date", "time(ms)", "time(us)", "time(ns)", "timestamp(ms)", "timestamp(us)", "timestamp(ns)")
	u64 := slices.Concat(u32, []string{"uint64"})
	return map[reflect.Kind][]string{
		reflect.Int8: i8, reflect.Int16: i16, reflect.Int32: append(slices.Clone(i32), "date", "time(ms)"), reflect.Int64: i64, reflect.Int: i64,
		reflect.Uint8: u8, reflect.Uint16: u16, reflect.Uint32: u32, reflect.Uint64: u64, reflect.Uint: u64,
		reflect.Float32: {"float16", "float32", "int8", "int16", "uint8", "uint16"},
		reflect.Float64: {"float16", "float32", "float64", "int8", "int16", "int32", "uint8", "uint16", "uint32"},
	}
}()

// halfFloat widens an IEEE 754 half-precision number.
func halfFloat(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0: // zero or subnormal: frac * 2^-24
		f := float32(frac) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

func booleans(s []bool, v encoding.Values, n int) ([]bool, []bool, error) {
	bits := v.Boolean()
	n = min(n, 8*len(bits))
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = bits[i/8]>>(i%8)&1 != 0
	}
	return s, s, nil
}

func stringValues(s []string, v encoding.Values, n int) ([]string, []string, error) {
	data, offsets := v.ByteArray()
	text := string(data)
	n = max(0, min(n, len(offsets)-1))
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = text[offsets[i]:offsets[i+1]]
	}
	return s, s, nil
}

func byteSlices(s [][]byte, v encoding.Values, n int) ([][]byte, [][]byte, error) {
	data, offsets := v.ByteArray()
	data = slices.Clone(data)
	n = max(0, min(n, len(offsets)-1))
	s = slices.Grow(s[:0], n)[:n]
	for i := range s {
		s[i] = data[offsets[i]:offsets[i+1]:offsets[i+1]]
	}
	return s, s, nil
}

func fixedSlices(s [][]byte, v encoding.Values, n int) ([][]byte, [][]byte, error) {
	data, size := v.FixedLenByteArray()
	data = slices.Clone(data)
	s = s[:0]
	for i := 0; i+size <= len(data) && len(s) < n; i += size {
		s = append(s, data[i:i+size:i+size])
	}
	return s, s, nil
}

func fixedStrings(s []string, v encoding.Values, n int) ([]string, []string, error) {
	data, size := v.FixedLenByteArray()
	text := string(data)
	s = s[:0]
	for i := 0; i+size <= len(text) && len(s) < n; i += size {
		s = append(s, text[i:i+size])
	}
	return s, s, nil
}

func fixed16(s [][16]byte, v encoding.Values, n int) ([][16]byte, [][16]byte, error) {
	data, _ := v.FixedLenByteArray()
	s = s[:0]
	for ; len(data) >= 16 && len(s) < n; data = data[16:] {
		s = append(s, [16]byte(data))
	}
	return s, s, nil
}

// times is the converter from a date or timestamp column to time.Time in UTC, or nil. A
// timestamp without a time zone is taken as UTC.
func times(from string) converter[time.Time] {
	switch from {
	case "date":
		return each(int32s, func(d int32) (time.Time, error) { return time.Unix(int64(d)*86400, 0).UTC(), nil })
	case "timestamp(ms)":
		return each(int64s, func(t int64) (time.Time, error) { return time.UnixMilli(t).UTC(), nil })
	case "timestamp(us)":
		return each(int64s, func(t int64) (time.Time, error) { return time.UnixMicro(t).UTC(), nil })
	case "timestamp(ns)":
		return each(int64s, func(t int64) (time.Time, error) {
			return time.Unix(t/1e9, t%1e9).UTC(), nil
		})
	case "int96":
		return func(s []time.Time, v encoding.Values, n int) ([]time.Time, []time.Time, error) {
			src := v.Int96()
			src = src[:min(n, len(src))]
			s = slices.Grow(s[:0], len(src))[:len(src)]
			for i, t := range src {
				s[i] = int96Time(int64(uint64(t[1])<<32|uint64(t[0])), int32(t[2]))
			}
			return s, s, nil
		}
	}
	return nil
}

// int96Time is the time of so many nanoseconds in a Julian day. Spark, whose clock has microseconds in an int64, lets days that do
// not fit in an int32 overflow on writing, and gets them back by overflowing again on reading; so do we.
func int96Time(nanos int64, day int32) time.Time {
	const julianEpoch = 2440588
	const maxDays = math.MaxInt64 / 86_400_000_000
	days := int64(day) - julianEpoch
	if days > -maxDays && days < maxDays {
		return time.Unix(days*86400+nanos/1e9, nanos%1e9).UTC()
	}
	return time.UnixMicro(days*86_400_000_000 + nanos/1000).UTC()
}

// durations is the converter from a time-of-day column to the time since midnight, or nil.
func durations(from string) converter[time.Duration] {
	switch from {
	case "time(ms)":
		return each(int32s, func(t int32) (time.Duration, error) { return time.Duration(t) * time.Millisecond, nil })
	case "time(us)":
		return each(int64s, func(t int64) (time.Duration, error) { return time.Duration(t) * time.Microsecond, nil })
	case "time(ns)":
		return each(int64s, func(t int64) (time.Duration, error) { return time.Duration(t), nil })
	}
	return nil
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
)

// goTypes says which Go types can take a column, for error messages.
func goTypes(n *node) string {
	switch n.shape {
	case structure:
		return "a struct"
	case list:
		return "a slice"
	case mapping:
		return "a map"
	}
	switch t := n.typ; {
	case n.noReason != "":
		return "none: " + n.noReason
	case t == "date" || strings.HasPrefix(t, "timestamp"):
		return "time.Time or int64"
	case t == "int96":
		return "time.Time"
	case strings.HasPrefix(t, "time("):
		return "time.Duration or int64"
	case t == "string" || t == "bytes":
		return "string or []byte"
	case t == "[16]byte":
		return "[16]byte or []byte"
	case strings.HasSuffix(t, "]byte"):
		return "[]byte"
	case strings.HasPrefix(t, "decimal"):
		return "parquetio.Decimal or float64"
	case t == "interval":
		return "parquetio.Interval or []byte"
	case t == "null":
		return "a pointer to " + n.physicalType()
	case t == "float16":
		return "float32 or float64"
	case t == "float32":
		return "float32 or float64"
	case t == "int32" || t == "int16" || t == "int8":
		return t + ", or a wider integer, or float64"
	case t == "int64":
		return "int64 or int"
	case t == "uint64":
		return "uint64 or uint"
	}
	return n.typ
}

// scalarLeaf makes the parts that read a column into fields of type t, or
// returns an error that says why t cannot take it.
func scalarLeaf(n *node, t reflect.Type) (scalarParts, error) {
	var p scalarParts
	if n.noReason == "" {
		p = leafOf(n, t)
	}
	if p == nil {
		return nil, fmt.Errorf("column %q is %s in the file, the field is %v: fields that can take it: %s", n.path, n.typ, t, goTypes(n))
	}
	return p, nil
}

func leafOf(n *node, t reflect.Type) scalarParts {
	if n.typ == "null" { // no value will come, so any type does that could take one
		m := *n
		m.typ = n.physicalType()
		n = &m
	}
	switch {
	case t == timeType:
		return newLeaf(n, times(n.typ))
	case strings.HasPrefix(n.typ, "decimal"):
		switch {
		case t == decimalType:
			return newLeaf(n, decimals(n))
		case t.Kind() == reflect.Float64:
			return newLeaf(n, decimalFloats(n))
		}
		return nil
	case n.typ == "interval" && t == intervalType:
		return newLeaf(n, intervals)
	case t == durationType && strings.HasPrefix(n.typ, "time("):
		return newLeaf(n, durations(n.typ))
	}
	switch k := t.Kind(); k {
	case reflect.Bool:
		if n.typ == "bool" {
			return newLeaf(n, booleans)
		}
	case reflect.Int32:
		if n.kind == parquet.Int32 && !strings.HasPrefix(n.typ, "u") && slices.Contains(lossless[k], n.typ) {
			return newLeaf(n, same(int32s))
		}
		return newLeaf(n, numeric[int32](n.typ, k))
	case reflect.Int64, reflect.Int:
		if n.kind == parquet.Int64 && slices.Contains(lossless[k], n.typ) && k == reflect.Int64 {
			return newLeaf(n, same(int64s))
		}
		if k == reflect.Int {
			return newLeaf(n, numeric[int](n.typ, k))
		}
		return newLeaf(n, numeric[int64](n.typ, k))
	case reflect.Float32:
		if n.typ == "float32" {
			return newLeaf(n, same(float32s))
		}
		return newLeaf(n, numeric[float32](n.typ, k))
	case reflect.Float64:
		if n.typ == "float64" {
			return newLeaf(n, same(float64s))
		}
		return newLeaf(n, numeric[float64](n.typ, k))
	case reflect.Int8:
		return newLeaf(n, numeric[int8](n.typ, k))
	case reflect.Int16:
		return newLeaf(n, numeric[int16](n.typ, k))
	case reflect.Uint8:
		return newLeaf(n, numeric[uint8](n.typ, k))
	case reflect.Uint16:
		return newLeaf(n, numeric[uint16](n.typ, k))
	case reflect.Uint32:
		return newLeaf(n, numeric[uint32](n.typ, k))
	case reflect.Uint64:
		return newLeaf(n, numeric[uint64](n.typ, k))
	case reflect.Uint:
		return newLeaf(n, numeric[uint](n.typ, k))
	case reflect.String:
		if n.typ == "string" || n.typ == "bytes" {
			return newLeaf(n, stringValues)
		}
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 {
			return nil
		}
		if n.typ == "string" || n.typ == "bytes" {
			return newLeaf(n, byteSlices)
		}
		if n.kind == parquet.FixedLenByteArray && (n.typ == fmt.Sprintf("[%d]byte", n.size) || n.typ == "interval") {
			return newLeaf(n, fixedSlices)
		}
	case reflect.Array:
		if n.typ == "[16]byte" && t.Len() == 16 && t.Elem().Kind() == reflect.Uint8 {
			return newLeaf(n, fixed16)
		}
	}
	return nil
}

// newLeaf is nil where there is no converter, so that callers test one thing.
func newLeaf[V any](n *node, c converter[V]) scalarParts {
	if c == nil {
		return nil
	}
	return &leaf[V]{node: n, convert: c}
}

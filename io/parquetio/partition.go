package parquetio

import (
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// hiveNull is the name of the directory of nulls, as Hive and Spark write it.
const hiveNull = "__HIVE_DEFAULT_PARTITION__"

// partitionValue is one element key=value of a file's path.
type partitionValue struct {
	name, text string
	null       bool
}

// partitionValues takes them from a path. Hive escapes what file systems do not take by %XX.
func partitionValues(uri string) (values []partitionValue) {
	elements := strings.Split(uri, "/")
	for _, e := range elements[:len(elements)-1] {
		name, text, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			continue
		}
		values = append(values, partitionValue{name: unescape(name), text: unescape(text), null: text == hiveNull})
	}
	return values
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

// escape makes the value of a directory's name, escaping what Hive escapes.
func escape(s string) string {
	if s == "" {
		return hiveNull
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c == 0x7f || strings.IndexByte("\"#%'*/:=?\\{}[]^", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	if t := b.String(); strings.Trim(t, ".") != "" {
		return t
	}
	return strings.ReplaceAll(s, ".", "%2E") // no . and ..
}

// partition finds a partition column of the file.
func (n *node) partition(name string) (partitionValue, bool) {
	names := make([]string, len(n.constants))
	for i, c := range n.constants {
		names[i] = c.name
	}
	i, err := match(name, names)
	if err != nil || i < 0 {
		return partitionValue{}, false
	}
	return n.constants[i], true
}

// mayPath tells whether files under a path can match, by its partition values alone.
func mayPath(values []partitionValue, p Predicate, negate bool) bool {
	switch p.Op {
	case "":
		return !negate
	case "not":
		return len(p.Args) != 1 || mayPath(values, p.Args[0], !negate)
	case "and", "or":
		and := p.Op == "and" != negate
		for _, a := range p.Args {
			if mayPath(values, a, negate) != and {
				return !and
			}
		}
		return and
	}
	v, ok := (&node{constants: values}).partition(p.Column)
	if !ok {
		return true
	}
	c := condition{op: p.Op, negate: negate, values: p.Values}
	return c.partition(p, v) != nil || c.known == 1 // a mistake is told when the file is opened
}

func parseTime(text string) (t time.Time, err error) {
	for _, layout := range []string{time.DateOnly, time.DateTime, time.RFC3339Nano} {
		if t, err = time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return t, fmt.Errorf("%q is no date and no time such as 2026-01-31 or 2026-01-31 12:00:00", text)
}

// parse makes a value of a field's type.
func (v partitionValue) parse(t reflect.Type) (reflect.Value, error) {
	out := reflect.New(t).Elem()
	var err error
	switch k := t.Kind(); {
	case t == timeType:
		var at time.Time
		at, err = parseTime(v.text)
		out.Set(reflect.ValueOf(at))
	case t == decimalType:
		var d Decimal
		d, err = ParseDecimal(v.text)
		out.Set(reflect.ValueOf(d))
	case k == reflect.String:
		out.SetString(v.text)
	case k == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(v.text)
		out.SetBool(b)
	case out.CanInt():
		var i int64
		i, err = strconv.ParseInt(v.text, 10, t.Bits())
		out.SetInt(i)
	case out.CanUint():
		var u uint64
		u, err = strconv.ParseUint(v.text, 10, t.Bits())
		out.SetUint(u)
	case out.CanFloat():
		var f float64
		f, err = strconv.ParseFloat(v.text, t.Bits())
		out.SetFloat(f)
	default:
		return out, fmt.Errorf("partition column %q comes from the path and cannot be read into a field of type %v: use a string, number, bool or time.Time", v.name, t)
	}
	if err != nil {
		return out, fmt.Errorf("partition column %q is %q in the path, which a field of type %v cannot take: %w", v.name, v.text, t, err)
	}
	return out, nil
}

// constantPart fills a field with a value from the path.
type constantPart struct {
	value reflect.Value
	text  []string // batch of copies, for the most usual types
	ints  []int32
	longs []int64
}

func (p *constantPart) fill(dst view) error {
	switch p.value.Kind() {
	case reflect.String:
		if p.text == nil {
			p.text = repeated(p.value.String())
		}
		putConstant(typed[string](dst), p.text)
	case reflect.Int32:
		if p.ints == nil {
			p.ints = repeated(int32(p.value.Int()))
		}
		putConstant(typed[int32](dst), p.ints)
	case reflect.Int64:
		if p.longs == nil {
			p.longs = repeated(p.value.Int())
		}
		putConstant(typed[int64](dst), p.longs)
	default:
		for i := range dst.n {
			dst.value(i).Set(p.value)
		}
	}
	return nil
}

func repeated[V any](v V) []V {
	out := make([]V, BatchRows)
	for i := range out {
		out[i] = v
	}
	return out
}

func putConstant[V any](dst strided[V], values []V) {
	for at := 0; at < dst.n; at += len(values) {
		dst.put(at, values[:min(len(values), dst.n-at)])
	}
}

// constant makes the part of a field whose column is in the path.
func constant(v partitionValue, t reflect.Type, nullZero bool) (part, error) {
	if v.null {
		if t.Kind() != reflect.Pointer && !nullZero {
			return nil, fmt.Errorf("partition column %q is null in the path, which a field of type %v cannot hold: make it a pointer, or tag it nullzero", v.name, t)
		}
		return &constantPart{value: reflect.Zero(t)}, nil
	}
	if t.Kind() == reflect.Pointer {
		value, err := v.parse(t.Elem())
		if err != nil {
			return nil, err
		}
		at := reflect.New(t.Elem()) // shared by all rows, which must not be written through
		at.Elem().Set(value)
		return &constantPart{value: at}, nil
	}
	value, err := v.parse(t)
	return &constantPart{value: value}, err
}

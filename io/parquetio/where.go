package parquetio

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
)

// Predicate says which rows to read. The zero Predicate takes all. It is plain data and travels to the tasks.
//
// Comparisons with null are neither true nor false, as in SQL: a row is read only if the predicate is true, and the negation of
// an unknown is unknown. NaN is unequal to every number and neither less nor greater.
type Predicate struct {
	Op     string // "", and, or, not, =, <>, <, <=, >, >=, in, null
	Column string // matched as a field's name is; dotted names lead into structs
	Values []Literal
	Args   []Predicate
}

// Literal is a value that a column is compared with. Col makes them.
type Literal struct {
	Kind    string // int, uint, float, text, bool, time, decimal
	Int     int64  // also the bool, and the time's seconds since 1970
	Uint    uint64 // also the time's nanoseconds
	Float   float64
	Text    string
	Decimal Decimal
}

// Operand is a Go type that columns are compared in.
type Operand interface {
	bool | int | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64 | string | time.Time | Decimal | [16]byte
}

// Col names a column with the Go type that it is compared in, so that the compiler checks what it is compared with:
//
//	parquetio.Col[int32]("userId").Eq(7)
//	parquetio.Col[time.Time]("at").Ge(start)
//
// Integers compare with integer and decimal columns of any width, float64 with every number that it holds exactly, time.Time with dates and timestamps. Whether
// the file's column can be compared so is checked when it is opened.
func Col[V Operand](name string) ColumnOf[V] { return ColumnOf[V]{name} }

// ColumnOf is a column to make predicates of.
type ColumnOf[V Operand] struct{ name string }

func (c ColumnOf[V]) compare(op string, vs ...V) Predicate {
	p := Predicate{Op: op, Column: c.name}
	for _, v := range vs {
		p.Values = append(p.Values, literal(v))
	}
	return p
}

// Eq is column = v.
func (c ColumnOf[V]) Eq(v V) Predicate { return c.compare("=", v) }

// Ne is column <> v; not true of nulls.
func (c ColumnOf[V]) Ne(v V) Predicate { return c.compare("<>", v) }

// Lt is column < v.
func (c ColumnOf[V]) Lt(v V) Predicate { return c.compare("<", v) }

// Le is column <= v.
func (c ColumnOf[V]) Le(v V) Predicate { return c.compare("<=", v) }

// Gt is column > v.
func (c ColumnOf[V]) Gt(v V) Predicate { return c.compare(">", v) }

// Ge is column >= v.
func (c ColumnOf[V]) Ge(v V) Predicate { return c.compare(">=", v) }

// In is true of each of the values.
func (c ColumnOf[V]) In(vs ...V) Predicate { return c.compare("in", vs...) }

// IsNull is true of nulls alone.
func (c ColumnOf[V]) IsNull() Predicate { return Predicate{Op: "null", Column: c.name} }

// And is true where all are; with no argument, always.
func And(ps ...Predicate) Predicate { return Predicate{Op: "and", Args: ps} }

// Or is true where one is; with no argument, never.
func Or(ps ...Predicate) Predicate { return Predicate{Op: "or", Args: ps} }

// Not is true where p is false.
func Not(p Predicate) Predicate { return Predicate{Op: "not", Args: []Predicate{p}} }

func literal(v any) Literal {
	switch v := v.(type) {
	case time.Time:
		return Literal{Kind: "time", Int: v.Unix(), Uint: uint64(v.Nanosecond())}
	case Decimal:
		return Literal{Kind: "decimal", Decimal: v}
	case [16]byte:
		return Literal{Kind: "text", Text: string(v[:])}
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Bool:
		l := Literal{Kind: "bool"}
		if r.Bool() {
			l.Int = 1
		}
		return l
	case reflect.String:
		return Literal{Kind: "text", Text: r.String()}
	case reflect.Float32, reflect.Float64:
		return Literal{Kind: "float", Float: r.Float()}
	default:
		if r.CanUint() {
			return Literal{Kind: "uint", Uint: r.Uint()}
		}
		return Literal{Kind: "int", Int: r.Int()}
	}
}

func (l Literal) String() string {
	switch l.Kind {
	case "int":
		return strconv.FormatInt(l.Int, 10)
	case "uint":
		return strconv.FormatUint(l.Uint, 10)
	case "float":
		return strconv.FormatFloat(l.Float, 'g', -1, 64)
	case "bool":
		return strconv.FormatBool(l.Int != 0)
	case "time":
		return time.Unix(l.Int, int64(l.Uint)).UTC().Format(time.RFC3339Nano)
	case "decimal":
		return l.Decimal.String()
	}
	return strconv.Quote(l.Text)
}

// String writes the predicate as SQL does.
func (p Predicate) String() string {
	var args []string
	for _, a := range p.Args {
		args = append(args, a.String())
	}
	for _, v := range p.Values {
		args = append(args, v.String())
	}
	switch p.Op {
	case "":
		return "true"
	case "and", "or":
		return "(" + strings.Join(args, " "+p.Op+" ") + ")"
	case "not":
		return "not " + strings.Join(args, "")
	case "null":
		return p.Column + " is null"
	case "in":
		return p.Column + " in (" + strings.Join(args, ", ") + ")"
	}
	return p.Column + " " + p.Op + " " + strings.Join(args, "")
}

// test is a predicate against a file's schema: and and or over conditions, negations pushed down.
type test struct {
	op   string // and, or, condition
	args []*test
	cond *condition
}

// condition compares one column.
type condition struct {
	op     string // =, <>, <, <=, >, >=, in, null
	negate bool
	node   *node // nil for a partition column
	// compare is the order of a value and literal i: -1, 0, 1, or 2 if there is none, as for NaN.
	compare func(v any, i int) int
	values  []Literal
	column  maskColumn
	known   int8 // of a partition column: 1 if true, 0 if not
}

// compileTest matches a predicate with a schema. Columns that only other conditions need to be right are added to columns.
func compileTest(root *node, p Predicate, negate bool) (*test, error) {
	switch p.Op {
	case "":
		p = And()
	case "not":
		if len(p.Args) != 1 {
			return nil, fmt.Errorf("predicate: not of %d predicates", len(p.Args))
		}
		return compileTest(root, p.Args[0], !negate)
	}
	if p.Op == "and" || p.Op == "or" {
		t := &test{op: p.Op}
		if negate {
			t.op = map[string]string{"and": "or", "or": "and"}[p.Op]
		}
		for _, a := range p.Args {
			sub, err := compileTest(root, a, negate)
			if err != nil {
				return nil, err
			}
			t.args = append(t.args, sub)
		}
		return t, nil
	}
	if !slices.Contains([]string{"=", "<>", "<", "<=", ">", ">=", "in", "null"}, p.Op) {
		return nil, fmt.Errorf("predicate: unknown operation %q", p.Op)
	}
	if p.Op != "null" && p.Op != "in" && len(p.Values) != 1 {
		return nil, fmt.Errorf("predicate %v: %d values", p, len(p.Values))
	}
	c := &condition{op: p.Op, negate: negate, values: p.Values}
	t := &test{op: "condition", cond: c}
	n, err := find(root, p.Column)
	if err != nil {
		if value, ok := root.partition(p.Column); ok {
			return t, c.partition(p, value)
		}
		return nil, fmt.Errorf("predicate %v: %w", p, err)
	}
	if n.shape != scalar || n.maxRep > 0 || n.noReason != "" {
		return nil, fmt.Errorf("predicate %v: column %q is %s, which has no single value in a row", p, n.path, describe(n))
	}
	c.node = n
	return t, c.bind(p)
}

// partition decides the condition by the value in the file's path.
func (c *condition) partition(p Predicate, v partitionValue) error {
	var got any
	var err error
	if !v.null && len(p.Values) > 0 {
		switch p.Values[0].Kind {
		case "int", "uint":
			got, err = strconv.ParseInt(v.text, 10, 64)
		case "float", "decimal":
			got, err = strconv.ParseFloat(v.text, 64)
		case "bool":
			var b bool
			b, err = strconv.ParseBool(v.text)
			got = int64(0)
			if b {
				got = int64(1)
			}
		case "time":
			var at time.Time
			at, err = parseTime(v.text)
			got = at
		default:
			got = v.text
		}
		if err != nil {
			return fmt.Errorf("predicate %v: the path has %s=%s: %w", p, v.name, v.text, err)
		}
	}
	c.compare = func(v any, i int) int { return c.values[i].order(v) }
	if c.holds(got, !v.null) {
		c.known = 1
	}
	return nil
}

// order compares a value in one of the forms that columns are decoded into with a literal.
func (l Literal) order(v any) int {
	switch v := v.(type) {
	case int64:
		switch l.Kind {
		case "int", "bool":
			return cmp.Compare(v, l.Int)
		case "uint":
			if v < 0 {
				return -1
			}
			return cmp.Compare(uint64(v), l.Uint)
		case "float":
			return orderIntFloat(v, l.Float)
		case "decimal":
			return NewDecimal(v, 0).Cmp(l.Decimal)
		}
	case moment:
		if l.Kind == "time" {
			return l.order(v.time)
		}
		return l.order(v.number)
	case uint64:
		switch l.Kind {
		case "int":
			if l.Int < 0 {
				return 1
			}
			return cmp.Compare(v, uint64(l.Int))
		case "uint":
			return cmp.Compare(v, l.Uint)
		case "float":
			if v <= math.MaxInt64 {
				return orderIntFloat(int64(v), l.Float)
			}
			return orderFloats(float64(v), l.Float)
		}
	case float64:
		switch l.Kind {
		case "float":
			return orderFloats(v, l.Float)
		case "int":
			if v != v {
				return unordered
			}
			return -orderIntFloat(l.Int, v)
		case "uint":
			return orderFloats(v, float64(l.Uint))
		case "decimal":
			return orderFloats(v, l.Decimal.Float64())
		}
	case string:
		return strings.Compare(v, l.Text)
	case time.Time:
		return v.Compare(time.Unix(l.Int, int64(l.Uint)))
	case Decimal:
		switch l.Kind {
		case "decimal":
			return v.Cmp(l.Decimal)
		case "int":
			return v.Cmp(NewDecimal(l.Int, 0))
		case "uint":
			return v.Cmp(Decimal{Lo: l.Uint})
		case "float":
			return orderFloats(v.Float64(), l.Float)
		}
	}
	return unordered
}

const unordered = 2

func orderFloats(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	}
	return unordered
}

// orderIntFloat compares exactly.
func orderIntFloat(a int64, b float64) int {
	switch {
	case b != b:
		return unordered
	case b >= 1<<63:
		return -1
	case b < -1<<63:
		return 1
	}
	whole := math.Floor(b)
	if c := cmp.Compare(a, int64(whole)); c != 0 {
		return c
	}
	if b > whole {
		return -1
	}
	return 0
}

// holds decides the condition for a value.
func (c *condition) holds(v any, there bool) bool {
	if c.op == "null" {
		return !there != c.negate
	}
	return there && c.compares(func(i int) int { return c.compare(v, i) })
}

// compares decides a comparison by the order of the value and the literals.
func (c *condition) compares(order func(i int) int) bool {
	result := false
	if c.op == "in" {
		for i := range c.values {
			if order(i) == 0 {
				result = true
				break
			}
		}
		return result != c.negate
	}
	o := order(0)
	switch c.op {
	case "=":
		result = o == 0
	case "<>":
		result = o != 0
	case "<":
		result = o == -1
	case "<=":
		result = o <= 0
	case ">":
		result = o == 1
	case ">=":
		result = o == 0 || o == 1
	}
	return result != c.negate
}

// maskColumn reads a condition's column and decides the condition for the gathered rows.
type maskColumn interface {
	leafColumn
	mask(keep []bool)
}

// conditionLeaf is a column whose values a condition is decided on.
type conditionLeaf[V any] struct {
	*leaf[V]
	cond  *condition
	holds func(v V) bool
}

func (l *conditionLeaf[V]) mask(keep []bool) {
	ifNull := l.cond.holds(nil, false)
	if l.node.maxDef == 0 || len(l.vals) == len(keep) {
		for i, v := range l.vals {
			keep[i] = l.holds(v)
		}
		return
	}
	next := 0
	for i, d := range l.defs {
		if d == l.node.maxDef {
			keep[i] = l.holds(l.vals[next])
			next++
		} else {
			keep[i] = ifNull
		}
	}
}

// bind finds how the column's values are compared with the literals, and makes the column's reader.
func (c *condition) bind(p Predicate) error {
	n := c.node
	kinds := map[string]bool{}
	for _, v := range c.values {
		kinds[v.Kind] = true
	}
	only := func(allowed ...string) bool {
		for k := range kinds {
			if !slices.Contains(allowed, k) {
				return false
			}
		}
		return true
	}
	c.compare = func(v any, i int) int { return c.values[i].order(v) }
	ok := false
	switch t := n.typ; {
	case t == "bool":
		if ok = only("bool"); ok {
			bind(c, booleans, func(v bool) any {
				if v {
					return int64(1)
				}
				return int64(0)
			})
		}
	case strings.HasPrefix(t, "decimal"):
		if ok = only("decimal", "int", "uint", "float"); ok {
			bind(c, decimals(n), func(v Decimal) any { return v })
		}
	case (t == "date" || t == "int96" || strings.HasPrefix(t, "timestamp")) && only("time"):
		ok = true
		bind(c, times(t), func(v time.Time) any { return v })
	case t == "uint64":
		if ok = only("int", "uint", "float"); ok {
			bind(c, same(uint64s), func(v uint64) any { return v })
		}
	case strings.HasPrefix(t, "float"):
		if ok = only("float", "int", "uint", "decimal"); ok {
			bind(c, numeric[float64](t, reflect.Float64), func(v float64) any { return v })
		}
	case n.kind == parquet.Int32 || n.kind == parquet.Int64:
		if ok = only("int", "uint", "float", "decimal"); ok {
			bind(c, int64Of(n), func(v int64) any { return v })
			c.integers()
		}
	case n.kind == parquet.ByteArray:
		if ok = only("text"); ok {
			bind(c, stringValues, func(v string) any { return v })
		}
	case n.kind == parquet.FixedLenByteArray:
		if ok = only("text"); ok {
			bind(c, fixedStrings, func(v string) any { return v })
		}
	}
	if !ok {
		return fmt.Errorf("predicate %v: column %q is %s in the file, which cannot be compared with that: compare in a type that can take it (%s)", p, n.path, n.typ, goTypes(n))
	}
	return nil
}

func bind[V any](c *condition, convert converter[V], form func(V) any) {
	l := &conditionLeaf[V]{leaf: &leaf[V]{node: c.node, convert: convert}, cond: c}
	l.keepLevels()
	l.holds = func(v V) bool {
		if c.op == "null" {
			return c.negate
		}
		x := form(v)
		return c.compares(func(i int) int { return c.compare(x, i) })
	}
	c.column = l
}

// integers replaces the comparison of an int64 column with one int64 by a faster one.
func (c *condition) integers() {
	l, ok := c.column.(*conditionLeaf[int64])
	if !ok || len(c.values) != 1 || c.values[0].Kind != "int" || c.op == "in" {
		return
	}
	bound := c.values[0].Int
	l.holds = func(v int64) bool { return c.compares(func(int) int { return cmp.Compare(v, bound) }) }
}

// conditions lists those that read columns.
func (t *test) conditions(out []*condition) []*condition {
	if t == nil {
		return out
	}
	if t.op == "condition" && t.cond.node != nil {
		return append(out, t.cond)
	}
	for _, a := range t.args {
		out = a.conditions(out)
	}
	return out
}

// mask decides the gathered rows.
func (t *test) mask(keep []bool) {
	switch t.op {
	case "condition":
		if t.cond.node == nil {
			for i := range keep {
				keep[i] = t.cond.known == 1
			}
			return
		}
		t.cond.column.mask(keep)
	default:
		and := t.op == "and"
		for i := range keep {
			keep[i] = and
		}
		one := make([]bool, len(keep))
		for _, a := range t.args {
			a.mask(one)
			for i, k := range one {
				if and {
					keep[i] = keep[i] && k
				} else {
					keep[i] = keep[i] || k
				}
			}
		}
	}
}

package parquetio

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
)

// nullError is a null where the field cannot hold one. row counts from the batch's
// first until the reader makes it the file's, from 0.
type nullError struct {
	node  *node
	row   int64
	field reflect.Type
	elem  bool // in a list
}

func (e *nullError) Error() string {
	what := "is null"
	if e.elem {
		what = "has a null element"
	}
	return fmt.Sprintf("column %q %s in row %d, which a field of type %v cannot hold: make it a pointer (*%v), or tag it `parquet:\"%s,nullzero\"` to read nulls as zero values",
		e.node.path, what, e.row, e.field, e.field, e.node.name)
}

// rowOf is the row in which entry i of gathered levels lies.
func rowOf(rep []byte, i int) int {
	if rep == nil {
		return i
	}
	return bytes.Count(rep[:i+1], []byte{0}) - 1
}

func (l *leaf[V]) null(row int) error {
	return &nullError{node: l.node, row: int64(row), field: reflect.TypeFor[V](), elem: l.node.maxRep > 0}
}

// plainPart reads a column into fields of its type.
type plainPart[V any] struct {
	*leaf[V]
	slots    slots
	nullZero bool
}

func (l *leaf[V]) plain(s slots, nullZero bool) part {
	l.ofPages = l.ofPages || s == slots{} && l.node.maxRep == 0
	return &plainPart[V]{l, s, nullZero}
}

func (p *plainPart[V]) fill(dst view) error {
	out := typed[V](dst)
	if p.ofPages {
		return p.fillDirect(out)
	}
	values, slot := 0, 0
	for i := range p.entries() {
		def := p.defAt(i)
		there := def == p.node.maxDef
		if p.repAt(i) <= p.slots.rep && def >= p.slots.def {
			if there {
				*out.at(slot) = p.vals[values]
			} else if !p.nullZero {
				return p.null(rowOf(p.reps, i))
			} else {
				*out.at(slot) = *new(V)
			}
			slot++
		}
		if there {
			values++
		}
	}
	return checkSlots(slot, out.n)
}

// fillDirect takes values from the pages straight to the rows.
func (p *plainPart[V]) fillDirect(out strided[V]) error {
	for row := 0; row < out.n; {
		if p.pos == p.page.entries {
			if err := p.load(); err == io.EOF {
				return p.fail(errShort)
			} else if err != nil {
				return err
			}
			continue
		}
		k := min(p.page.entries-p.pos, out.n-row)
		if p.page.count == p.page.entries { // no nulls in the page
			if err := p.take(out, row, k); err != nil {
				return err
			}
			p.pos += k
			row += k
			continue
		}
		// Runs of values, and of nulls between them.
		def := p.page.def[p.pos : p.pos+k]
		for i := 0; i < k; {
			run := i
			for run < k && def[run] == p.node.maxDef {
				run++
			}
			if err := p.take(out, row+i, run-i); err != nil {
				return err
			}
			for i = run; i < k && def[i] != p.node.maxDef; i++ {
				if !p.nullZero {
					return p.null(row + i)
				}
				*out.at(row + i) = *new(V)
			}
		}
		p.pos += k
		row += k
	}
	return nil
}

func (l *leaf[V]) entries() int {
	switch {
	case l.node.maxDef > 0:
		return len(l.defs)
	case l.node.maxRep > 0:
		return len(l.reps)
	}
	return len(l.vals)
}

func (l *leaf[V]) repAt(i int) byte {
	if l.node.maxRep == 0 {
		return 0
	}
	return l.reps[i]
}

func (l *leaf[V]) defAt(i int) byte {
	if l.node.maxDef == 0 {
		return 0
	}
	return l.defs[i]
}

func checkSlots(got, want int) error {
	if got != want {
		return fmt.Errorf("its columns disagree on the number of elements, %d and %d: the file is damaged", got, want)
	}
	return nil
}

// pointerLeafPart reads a column into pointers to its type, nil for null. The values of a
// batch share one allocation.
type pointerLeafPart[V any] struct {
	*leaf[V]
	slots slots
}

func (l *leaf[V]) pointer(s slots) part { return &pointerLeafPart[V]{l, s} }

func (p *pointerLeafPart[V]) fill(dst view) error {
	out := typed[*V](dst)
	vals := append(make([]V, 0, len(p.vals)), p.vals...)
	values, slot := 0, 0
	for i := range p.entries() {
		def := p.defAt(i)
		there := def == p.node.maxDef
		if p.repAt(i) <= p.slots.rep && def >= p.slots.def {
			*out.at(slot) = nil
			if there {
				*out.at(slot) = &vals[values]
			}
			slot++
		}
		if there {
			values++
		}
	}
	return checkSlots(slot, out.n)
}

// sliceLeafPart reads a list of scalars. The elements of a batch's lists share one
// allocation; each list's capacity ends where the next begins.
type sliceLeafPart[V any] struct {
	*leaf[V]
	list     *node
	slots    slots
	nullZero bool
}

func (l *leaf[V]) slice(n *node, s slots, nullZero bool) part {
	return &sliceLeafPart[V]{l, n, s, nullZero}
}

func (p *sliceLeafPart[V]) fill(dst view) error {
	out := typed[[]V](dst)
	elems := make([]V, 0, len(p.vals))
	values, slot, start := 0, -1, 0
	end := func() {
		if slot >= 0 && *out.at(slot) != nil {
			*out.at(slot) = elems[start:len(elems):len(elems)]
		}
	}
	for i := range p.reps {
		def := p.defs[i]
		if p.reps[i] < p.list.rep {
			end()
			if def >= p.slots.def && p.reps[i] <= p.slots.rep {
				slot++
				*out.at(slot) = nil
				if def >= p.list.def { // there, if maybe empty
					*out.at(slot) = elems[len(elems):]
				}
				start = len(elems)
			}
		}
		switch {
		case def == p.node.maxDef:
			elems = append(elems, p.vals[values])
			values++
		case def >= p.list.elemDef:
			if !p.nullZero {
				return p.null(rowOf(p.reps, i))
			}
			elems = append(elems, *new(V)) // may move elems: end() sets what has been cut
		}
	}
	end()
	return checkSlots(slot+1, out.n)
}

// present refuses null groups in front of a struct field that is no pointer.
type present struct {
	node   *node
	levels leafColumn
	slots  slots
	part   part
	field  reflect.Type
}

func (p *present) fill(dst view) error {
	rep, def := p.levels.levels()
	for i, d := range def {
		if (rep == nil || rep[i] <= p.slots.rep) && d >= p.slots.def && d < p.node.def {
			return &nullError{node: p.node, row: int64(rowOf(rep, i)), field: p.field, elem: p.slots.rep > 0}
		}
	}
	return p.part.fill(dst)
}

// pointerPart reads a group or a list into pointers, nil for null.
type pointerPart struct {
	node   *node
	levels leafColumn
	slots  slots // of the pointers
	inner  slots // of what they point to
	elem   reflect.Type
	part   part
}

func (p *pointerPart) fill(dst view) error {
	rep, def := p.levels.levels()
	there := make([]bool, 0, dst.n)
	count := 0
	n := len(def)
	if def == nil { // nothing above or below may be null
		n = dst.n
	}
	for i := range n {
		d := byte(0)
		if def != nil {
			d = def[i]
		}
		if (rep == nil || rep[i] <= p.slots.rep) && d >= p.slots.def {
			there = append(there, d >= p.inner.def)
			if d >= p.inner.def {
				count++
			}
		}
	}
	if err := checkSlots(len(there), dst.n); err != nil {
		return err
	}
	elems := reflect.MakeSlice(reflect.SliceOf(p.elem), count, count)
	if err := p.part.fill(viewOf(elems)); err != nil {
		return err
	}
	next := 0
	for i, ok := range there {
		if ok {
			dst.value(i).Set(elems.Index(next).Addr().Convert(dst.typ))
			next++
		} else {
			dst.value(i).SetZero()
		}
	}
	return nil
}

// bounds finds the lists of n slots in the levels of a column below: slot i holds the elements from[i] to
// from[i+1]; null[i] tells that there is no list.
func bounds(c leafColumn, list *node, s slots, n int) (from []int, null []bool, err error) {
	rep, def := c.levels()
	from, null = make([]int, 0, n+1), make([]bool, 0, n)
	elems := 0
	for i, d := range def {
		if rep[i] < list.rep && rep[i] <= s.rep && d >= s.def {
			from = append(from, elems)
			null = append(null, d < list.def)
		}
		if rep[i] <= list.rep && d >= list.elemDef {
			elems++
		}
	}
	return append(from, elems), null, checkSlots(len(null), n)
}

// slicePart reads a list of anything but plain scalars.
type slicePart struct {
	node   *node
	levels leafColumn
	slots  slots
	slice  reflect.Type
	part   part
}

func (p *slicePart) fill(dst view) error {
	from, null, err := bounds(p.levels, p.node, p.slots, dst.n)
	if err != nil {
		return err
	}
	total := from[len(from)-1]
	elems := reflect.MakeSlice(p.slice, total, total)
	if err := p.part.fill(viewOf(elems)); err != nil {
		return err
	}
	for i := range dst.n {
		if null[i] {
			dst.value(i).SetZero()
		} else {
			dst.value(i).Set(elems.Slice3(from[i], from[i+1], from[i+1]))
		}
	}
	return nil
}

// mapPart reads a map. Of equal keys the last counts.
type mapPart struct {
	node       *node
	levels     leafColumn
	slots      slots
	typ        reflect.Type
	key, value part
}

func (p *mapPart) fill(dst view) error {
	from, null, err := bounds(p.levels, p.node, p.slots, dst.n)
	if err != nil {
		return err
	}
	total := from[len(from)-1]
	keys := reflect.MakeSlice(reflect.SliceOf(p.typ.Key()), total, total)
	values := reflect.MakeSlice(reflect.SliceOf(p.typ.Elem()), total, total)
	if err := p.key.fill(viewOf(keys)); err != nil {
		return err
	}
	if err := p.value.fill(viewOf(values)); err != nil {
		return err
	}
	for i := range dst.n {
		if null[i] {
			dst.value(i).SetZero()
			continue
		}
		m := reflect.MakeMapWithSize(p.typ, from[i+1]-from[i])
		for j := from[i]; j < from[i+1]; j++ {
			m.SetMapIndex(keys.Index(j), values.Index(j))
		}
		dst.value(i).Set(m)
	}
	return nil
}

package codec

import (
	"fmt"
	"reflect"
	"unsafe"
)

// maxExpanded bounds the values of which one batch of recursive rows consists once shared values are written out: a few dozen
// nodes that share their children pairwise expand to more than any memory.
const maxExpanded = 1 << 31

// checkTrees refuses rows that contain themselves, before the columns are written level by level, where a cycle would only
// show by its growth. It visits each pointer, slice and map once.
func checkTrees(p *plan, base unsafe.Pointer, n int) error {
	w := walker{state: map[visit]int64{}}
	total := int64(0)
	for i := range n {
		size, err := w.walk(reflect.NewAt(p.typ, unsafe.Add(base, uintptr(i)*p.size)).Elem(), 0)
		if err != nil {
			return err
		}
		if total += size; total > maxExpanded {
			return tooLarge(p.typ)
		}
	}
	return nil
}

func tooLarge(t reflect.Type) error {
	return fmt.Errorf("codec: encode rows of %s: shared pointers expand to more than %d values: link items by index instead", t, maxExpanded)
}

// visit is a reference under inspection. Slices of one array differ by length.
type visit struct {
	p   unsafe.Pointer
	len int
	typ reflect.Type
}

// walker remembers the size of what a reference leads to; -1 while it is still being walked.
type walker struct {
	state map[visit]int64
}

// mayCycle caches by type whether a value can lead back to itself.
func mayCycle(t reflect.Type) bool {
	p, err := planOf(t)
	return err == nil && p.cyclic
}

func (w *walker) walk(v reflect.Value, depth int) (int64, error) {
	if depth > maxDepth {
		return 0, errDeep
	}
	t := v.Type()
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface, reflect.Struct, reflect.Array:
	default:
		return 1, nil
	}
	if !mayCycle(t) {
		return 1, nil
	}
	p, err := planOf(t)
	if err != nil {
		return 1, nil //nolint:nilerr // what has no plan is refused elsewhere, and has no cycles to look for
	}
	if p.marshals() {
		return 1, nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return 1, nil
		}
		return w.enter(visit{v.UnsafePointer(), 0, t}, func() (int64, error) { return w.walk(v.Elem(), depth+1) })
	case reflect.Interface:
		if v.IsNil() {
			return 1, nil
		}
		return w.walk(v.Elem(), depth+1)
	case reflect.Slice:
		if v.Len() == 0 {
			return 1, nil
		}
		return w.enter(visit{v.UnsafePointer(), v.Len(), t}, func() (int64, error) { return w.all(v, depth+1) })
	case reflect.Array:
		return w.all(v, depth)
	case reflect.Map:
		if v.Len() == 0 {
			return 1, nil
		}
		return w.enter(visit{v.UnsafePointer(), 0, t}, func() (int64, error) {
			sum := int64(1)
			for it := v.MapRange(); it.Next(); {
				for _, x := range []reflect.Value{it.Key(), it.Value()} {
					n, err := w.walk(x, depth+1)
					if err != nil {
						return 0, err
					}
					sum += n
				}
			}
			return sum, nil
		})
	default: // struct
		sum := int64(1)
		for i := range t.NumField() {
			n, err := w.walk(v.Field(i), depth)
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
}

func (w *walker) all(v reflect.Value, depth int) (int64, error) {
	sum := int64(1)
	for i := range v.Len() {
		n, err := w.walk(v.Index(i), depth)
		if err != nil {
			return 0, err
		}
		if sum += n; sum > maxExpanded {
			return 0, tooLarge(v.Type())
		}
	}
	return sum, nil
}

// enter walks a reference once.
func (w *walker) enter(at visit, inside func() (int64, error)) (int64, error) {
	if n, ok := w.state[at]; ok {
		if n < 0 {
			return 0, fmt.Errorf("codec: encode a %s: the value contains itself through a cycle of references: link items by index or name instead", at.typ)
		}
		return n, nil
	}
	w.state[at] = -1
	n, err := inside()
	if err != nil {
		return 0, err
	}
	if n > maxExpanded {
		return 0, tooLarge(at.typ)
	}
	w.state[at] = n
	return n, nil
}

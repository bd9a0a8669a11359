// Package codec turns rows into bytes and back, and hashes, compares and orders their keys.
//
// # Concept
//
// A codec is compiled once per row type by reflection and then runs without it. A block is a batch of rows laid out by
// columns: the row count, then one column per leaf of the type. Nothing in a block is an address, a type descriptor or
// a platform width, so the same rows give the same bytes in every process, and blocks compress well because like stands
// beside like. The wire (all integers little endian):
//
//	block      = uvarint(rows) column
//	fixed      = values of each pointer-free field, one field after the other, padding left out
//	string     = lens bytes                       all texts of the column, end to end
//	slice      = lens column(elements)            elements of all slices as one flattened column; length 0 is nil, n+1 is n elements
//	map        = lens column(keys) column(values) entries of each map sorted by key
//	pointer    = bitmap column(values present)
//	interface  = type names, tags, one column per dynamic type
//	marshaler  = lens bytes                       what MarshalBinary (or GobEncode) gave
//	struct     = fixed fields together, then the others in field order
//	lens       = one byte of width w (1, 2, 4 or 8), then w bytes per value
//
// # Invariants
//
//   - Equal rows give equal bytes: padding and blank fields never travel, map entries are sorted.
//   - What Append wrote Decode restores: bit for bit for numbers, nil kept apart from empty. Two pointers to one value
//     become two values. A time.Time goes through MarshalBinary, which drops its monotonic reading.
//   - Decode trusts nothing: every count is checked against the bytes that are present before memory is taken for it,
//     and damaged bytes give an error, never a panic. Against damage that keeps the shape, blocks are checksummed by
//     whoever stores them.
//   - Rows of one Decode share backing memory: one string for all texts of a column, one array for all elements of a
//     slice column (capacities are cut, so appending to one row's slice never writes into another's). Keeping one row of
//     a block keeps the column's backing alive; strings.Clone what outlives its block.
//   - Hashes and prefixes are the same in every process and release: tests pin their values.
//
// # What travels
//
// Booleans, numbers, strings, arrays, slices, maps, pointers, structs with their unexported and embedded fields, types
// with a MarshalBinary and UnmarshalBinary (or GobEncode and GobDecode) of their own, and interfaces whose dynamic types
// are basic or were given to [Register]. Recursive types travel up to 10,000 levels deep; values in pointer cycles are refused.
// Channels, functions, uintptr, unsafe.Pointer, locks and handles of this process do not: [Of] says which field and what to do.
//
// # Unsafe code
//
// The package reads and writes fields through unsafe pointers at offsets that reflection reported for the row's
// own type, always inside a value that the caller's slice or this package's allocation keeps alive; positions are
// computed from the base for each access, so that no pointer past the end of an object is ever held. Stores that may
// hold pointers are typed, so that the garbage collector's write barrier sees them; plain copies touch pointer-free bytes only.
package codec

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"unsafe"
)

// Codec writes rows of type T as columnar blocks and reads them back. It is safe for concurrent use.
//
// Its methods only take rows apart into address and number: what they do is compiled once, not once for each row type.
type Codec[T any] struct {
	plan *plan
}

// Of returns the codec of T, compiled at the first call. A T that cannot travel is an error that names the field's path,
// the reason and the remedy.
func Of[T any]() (*Codec[T], error) {
	p, err := planOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	return &Codec[T]{p}, nil
}

// Check says why values of t cannot travel, as Of does; nil if they can.
func Check(t reflect.Type) error {
	_, err := planOf(t)
	return err
}

// Append appends one self-delimiting block holding rows to dst and returns the longer slice. On an error (a value in a
// pointer cycle, nesting deeper than 10,000 levels, an interface holding a type that was not registered, a MarshalBinary
// that refuses) it returns dst unchanged.
func (c *Codec[T]) Append(dst []byte, rows []T) ([]byte, error) {
	return c.plan.append(dst, unsafe.Pointer(unsafe.SliceData(rows)), len(rows))
}

// Decode appends the rows of the block at the start of block to dst, and returns them with the bytes after the block.
// The rows do not refer to block. Damaged bytes give an error and dst unchanged.
func (c *Codec[T]) Decode(dst []T, block []byte) (rows []T, rest []byte, err error) {
	n, columns, err := c.plan.count(block)
	if n == 0 || err != nil {
		return dst, columns, err
	}
	grown := slices.Grow(dst, n)[:len(dst)+n]
	rest, err = c.plan.read(unsafe.Pointer(&grown[len(dst)]), n, columns)
	if err != nil {
		return dst, block, err
	}
	return grown, rest, nil
}

// Fixed reports whether rows are of fixed size and free of pointers: such rows need no memory beyond their slice.
func (c *Codec[T]) Fixed() bool { return c.plan.fixed }

// MemSize estimates the bytes that rows hold in memory, with what they point to. Texts or arrays shared by several rows
// are counted for each. Inputs larger than 256 rows are sampled evenly, the same rows each time.
func (c *Codec[T]) MemSize(rows []T) int64 {
	return c.plan.memSize(unsafe.Pointer(unsafe.SliceData(rows)), len(rows))
}

// Rows are rows that are about to be encoded, without their type: code that works on them is compiled once, not once for each row
// type. They are valid as long as the slice that they were made of is not changed.
type Rows struct {
	plan *plan
	base unsafe.Pointer
	n    int
}

// Rows returns rows without their type.
func (c *Codec[T]) Rows(rows []T) Rows {
	return Rows{c.plan, unsafe.Pointer(unsafe.SliceData(rows)), len(rows)}
}

// Len is the number of rows.
func (r Rows) Len() int { return r.n }

// Slice returns the rows [from, to), which panics if there are none such.
func (r Rows) Slice(from, to int) Rows {
	if from < 0 || to < from || to > r.n {
		panic("codec: Rows.Slice: out of range")
	}
	if from == to {
		return Rows{r.plan, nil, 0}
	}
	// from < n: the address lies within the rows.
	return Rows{r.plan, unsafe.Add(r.base, uintptr(from)*r.plan.size), to - from}
}

// Append appends the rows to dst as Codec.Append does.
func (r Rows) Append(dst []byte) ([]byte, error) { return r.plan.append(dst, r.base, r.n) }

// append appends the block of the n rows at base.
func (p *plan) append(dst []byte, base unsafe.Pointer, n int) ([]byte, error) {
	out := binary.AppendUvarint(dst, uint64(n))
	if n == 0 {
		return out, nil
	}
	if p.minBits == 0 && n > maxEmpty {
		return dst, fmt.Errorf("codec: encode %d rows of %s: more than %d values without content: write smaller batches", n, p.typ, maxEmpty)
	}
	e := encoders.Get().(*encoder)
	defer e.release()
	if p.cyclic {
		if err := checkTrees(p, base, n); err != nil {
			return dst, err
		}
	}
	e.runs = append(e.runs, run{base, n})
	out, err := p.encode(e, out, vec{runs: e.runs, stride: p.size, n: n})
	if err != nil {
		return dst, err
	}
	return out, nil
}

// count returns the number of rows of the block at the start of block, checked against the bytes present, and the bytes of their
// columns; block itself with an error.
func (p *plan) count(block []byte) (int, []byte, error) {
	count, k := binary.Uvarint(block)
	if k <= 0 {
		return 0, block, corrupt("no row count")
	}
	d := decoder{buf: block[k:]}
	n, err := d.fits(count, p)
	if err != nil {
		return 0, block, err
	}
	return n, d.buf, nil
}

// read decodes n rows to memory at base, n > 0, and returns the bytes after their columns.
func (p *plan) read(base unsafe.Pointer, n int, columns []byte) ([]byte, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	d.buf = columns
	if p.blank {
		reflect.SliceAt(p.typ, base, n).Clear()
	}
	if err := p.decode(d, base, p.size, n); err != nil {
		return nil, err
	}
	return d.buf, nil
}

// memSample is how many rows MemSize looks at; estimates of larger inputs are scaled from this many rows taken evenly.
const memSample = 256

func (p *plan) memSize(base unsafe.Pointer, rows int) int64 {
	total := int64(rows) * int64(p.size)
	if p.fixed || rows == 0 {
		return total
	}
	n := min(rows, memSample)
	visits := memVisits
	var heap int64
	for i := range n {
		// Two 32-bit factors at most: n ≤ 256 and a slice index fits 48 bits, so the product cannot overflow.
		heap += p.col.heap(unsafe.Add(base, uintptr(i*rows/n)*p.size), &visits)
	}
	return total + int64(float64(heap)*float64(rows)/float64(n))
}

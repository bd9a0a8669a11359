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
	"sync"
	"unsafe"
)

// Codec writes rows of type T as columnar blocks and reads them back. It is safe for concurrent use.
type Codec[T any] struct {
	plan *plan
}

// codecs caches one *Codec[T] per row type, so that Of costs one lookup after the first call.
var codecs sync.Map // reflect.Type → *Codec[T]

// Of returns the codec of T, compiled at the first call. A T that cannot travel is an error that names the field's path,
// the reason and the remedy.
func Of[T any]() (*Codec[T], error) {
	t := reflect.TypeFor[T]()
	if c, ok := codecs.Load(t); ok {
		return c.(*Codec[T]), nil
	}
	p, err := planOf(t)
	if err != nil {
		return nil, err
	}
	c, _ := codecs.LoadOrStore(t, &Codec[T]{plan: p})
	return c.(*Codec[T]), nil
}

// Append appends one self-delimiting block holding rows to dst and returns the longer slice. On an error (a value in a
// pointer cycle, nesting deeper than 10,000 levels, an interface holding a type that was not registered, a MarshalBinary
// that refuses) it returns dst unchanged.
func (c *Codec[T]) Append(dst []byte, rows []T) ([]byte, error) {
	out := binary.AppendUvarint(dst, uint64(len(rows)))
	if len(rows) == 0 {
		return out, nil
	}
	if c.plan.minBits == 0 && len(rows) > maxEmpty {
		return dst, fmt.Errorf("codec: encode %d rows of %s: more than %d values without content: write smaller batches", len(rows), c.plan.typ, maxEmpty)
	}
	base := unsafe.Pointer(unsafe.SliceData(rows))
	e := encoders.Get().(*encoder)
	defer e.release()
	if c.plan.cyclic {
		if err := checkTrees(c.plan, base, len(rows)); err != nil {
			return dst, err
		}
	}
	e.runs = append(e.runs, run{base, len(rows)})
	out, err := c.plan.encode(e, out, vec{runs: e.runs, stride: c.plan.size, n: len(rows)})
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Decode appends the rows of the block at the start of block to dst, and returns them with the bytes after the block.
// The rows do not refer to block. Damaged bytes give an error and dst unchanged.
func (c *Codec[T]) Decode(dst []T, block []byte) (rows []T, rest []byte, err error) {
	count, k := binary.Uvarint(block)
	if k <= 0 {
		return dst, block, corrupt("no row count")
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.buf = block[k:]
	n, err := d.fits(count, c.plan)
	if err != nil {
		return dst, block, err
	}
	if n == 0 {
		return dst, d.buf, nil
	}
	old := len(dst)
	grown := slices.Grow(dst, n)[:old+n]
	if c.plan.blank {
		clear(grown[old:])
	}
	if err := c.plan.decode(d, unsafe.Pointer(&grown[old]), c.plan.size, n); err != nil {
		return dst, block, err
	}
	return grown, d.buf, nil
}

// Fixed reports whether rows are of fixed size and free of pointers: such rows need no memory beyond their slice.
func (c *Codec[T]) Fixed() bool { return c.plan.fixed }

// memSample is how many rows MemSize looks at; estimates of larger inputs are scaled from this many rows taken evenly.
const memSample = 256

// MemSize estimates the bytes that rows hold in memory, with what they point to. Texts or arrays shared by several rows
// are counted for each. Inputs larger than 256 rows are sampled evenly, the same rows each time.
func (c *Codec[T]) MemSize(rows []T) int64 {
	total := int64(len(rows)) * int64(c.plan.size)
	if c.plan.fixed || len(rows) == 0 {
		return total
	}
	n := min(len(rows), memSample)
	visits := memVisits
	var heap int64
	for i := range n {
		// Two 32-bit factors at most: n ≤ 256 and a slice index fits 48 bits, so the product cannot overflow.
		heap += c.plan.col.heap(unsafe.Pointer(&rows[i*len(rows)/n]), &visits)
	}
	return total + int64(float64(heap)*float64(len(rows))/float64(n))
}

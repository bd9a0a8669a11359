package codec

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

func bytesOf[T any](rows []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(rows))), uintptr(len(rows))*unsafe.Sizeof(*new(T)))
}

// randomType builds types that no one thought of.
func randomType(r *rand.Rand, depth int) reflect.Type {
	basic := []reflect.Type{
		reflect.TypeFor[bool](), reflect.TypeFor[int8](), reflect.TypeFor[uint16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](),
		reflect.TypeFor[float32](), reflect.TypeFor[float64](), reflect.TypeFor[complex64](), reflect.TypeFor[string](), reflect.TypeFor[string](),
		reflect.TypeFor[struct{}](), reflect.TypeFor[any](), reflect.TypeFor[tree](), reflect.TypeFor[[]byte](),
	}
	if depth == 0 {
		return basic[r.IntN(len(basic))]
	}
	switch r.IntN(7) {
	case 0:
		return reflect.SliceOf(randomType(r, depth-1))
	case 1:
		return reflect.PointerTo(randomType(r, depth-1))
	case 2:
		return reflect.ArrayOf(r.IntN(4), randomType(r, depth-1))
	case 3:
		key := randomType(r, 0)
		for !key.Comparable() {
			key = randomType(r, 0)
		}
		if key == reflect.TypeFor[tree]() {
			key = reflect.TypeFor[string]() // trees as keys are equal by their addresses
		}
		return reflect.MapOf(key, randomType(r, depth-1))
	case 4, 5:
		fields := make([]reflect.StructField, r.IntN(6))
		for i := range fields {
			fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: randomType(r, depth-1)}
		}
		return reflect.StructOf(fields)
	default:
		return basic[r.IntN(len(basic))]
	}
}

// randomValue fills v, which reflect.DeepEqual must be able to compare: no NaN.
func randomValue(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> r.IntN(64))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.Complex64, reflect.Complex128:
		v.SetComplex(complex(r.NormFloat64(), r.Float64()))
	case reflect.String:
		n := r.IntN(12)
		if r.IntN(20) == 0 {
			n = r.IntN(400)
		}
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		v.SetString(string(b))
	case reflect.Slice:
		switch n := r.IntN(6); n {
		case 0:
			v.SetZero()
		default:
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range v.Len() {
				randomValue(r, v.Index(i), depth-1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			randomValue(r, v.Index(i), depth-1)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				randomValue(r, f, depth-1)
			}
		}
	case reflect.Pointer:
		if depth > 0 && r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			randomValue(r, v.Elem(), depth-1)
		}
	case reflect.Map:
		n := r.IntN(5)
		if n == 0 {
			return
		}
		v.Set(reflect.MakeMap(v.Type()))
		for range n - 1 {
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			randomValue(r, k, depth-1)
			randomValue(r, e, depth-1)
			v.SetMapIndex(k, e)
		}
	case reflect.Interface:
		choices := []any{nil, 1, "x", 2.5, int8(3), true}
		if x := choices[r.IntN(len(choices))]; x != nil {
			v.Set(reflect.ValueOf(x))
		}
	}
}

// TestRandomTypes round-trips random rows of random types, and decodes them cut short and damaged.
func TestRandomTypes(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for i := range 1500 {
		typ := randomType(r, 3)
		p, err := planOf(typ)
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		n := 1 + r.IntN(20)
		rows := reflect.MakeSlice(reflect.SliceOf(typ), n, n)
		for j := range n {
			randomValue(r, rows.Index(j), 5)
		}
		if p.cyclic {
			if err := checkTrees(p, rows.UnsafePointer(), n); err != nil {
				t.Fatalf("%s: %v", typ, err)
			}
		}
		v := vec{runs: []run{{rows.UnsafePointer(), n}}, stride: p.size, n: n}
		block, err := p.encode(new(encoder), nil, v)
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if uint64(len(block))*8 < p.minBits*uint64(n) {
			t.Fatalf("%s: %d rows in %d bytes, promised at least %d bits each", typ, n, len(block), p.minBits)
		}
		got := reflect.MakeSlice(reflect.SliceOf(typ), n, n)
		d := &decoder{buf: block}
		if err := p.decode(d, got.UnsafePointer(), p.size, n); err != nil || len(d.buf) != 0 {
			t.Fatalf("case %d %s: %v, %d bytes left", i, typ, err, len(d.buf))
		}
		if !reflect.DeepEqual(got.Interface(), rows.Interface()) {
			t.Fatalf("case %d %s:\n got %#v\nwant %#v", i, typ, got, rows)
		}
		again, err := p.encode(new(encoder), nil, vec{runs: []run{{got.UnsafePointer(), n}}, stride: p.size, n: n})
		if err != nil || !bytes.Equal(again, block) {
			t.Fatalf("case %d %s: the decoded rows encode to other bytes", i, typ)
		}
		for range 20 {
			bad := bytes.Clone(block)
			if len(bad) == 0 {
				continue
			}
			for range 1 + r.IntN(3) {
				bad[r.IntN(len(bad))] = byte(r.Uint32())
			}
			bad = bad[:r.IntN(len(bad)+1)]
			d := &decoder{buf: bad}
			m, err := d.fits(uint64(n), p)
			if err != nil || m == 0 {
				continue
			}
			_ = p.decode(d, reflect.MakeSlice(reflect.SliceOf(typ), n, n).UnsafePointer(), p.size, n)
		}
	}
}

type fuzzRow struct {
	S    string
	F    []float32
	M    map[string][]int16
	P    *fuzzRow
	I    any
	B    bool
	Rest [2]struct {
		_ int
		N []struct{}
	}
}

func fuzzDecode[T any](f *testing.F, seeds ...T) func(block []byte) {
	c, err := Of[T]()
	if err != nil {
		f.Fatal(err)
	}
	block, err := c.Append(nil, seeds)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(block)
	f.Add(block[:len(block)/2])
	return func(block []byte) {
		rows, rest, err := c.Decode(nil, block)
		if err != nil || len(rows) > 1<<20 {
			return // rows without content may be many
		}
		if len(rest) > len(block) {
			panic("rest is longer than the block")
		}
		if _, err := c.Append(nil, rows); err != nil {
			panic(err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	decoders := []func([]byte){
		fuzzDecode(f, fuzzRow{S: "a", F: []float32{1}, M: map[string][]int16{"k": {1}}, P: &fuzzRow{I: 1}, I: "x"}, fuzzRow{}),
		fuzzDecode(f, word{"abc", 1}, word{"d", 2}),
		fuzzDecode(f, kv{1, rating{2, 3}}),
		fuzzDecode[any](f, nil, 1, []any{"x", map[string]any{"y": 2}}),
		fuzzDecode(f, &tree{1, &tree{}, nil}),
		fuzzDecode(f, map[any][]struct{}{1: {{}}, "x": nil}),
		fuzzDecode(f, stamped{}),
		fuzzDecode(f, nothing{}),
		fuzzDecode(f, hollowRow{}),
	}
	f.Fuzz(func(_ *testing.T, block []byte) {
		for _, decode := range decoders {
			decode(block)
		}
	})
}

func TestHostileCounts(t *testing.T) {
	huge := binary.AppendUvarint(nil, math.MaxUint64)
	many := append(binary.AppendUvarint(nil, 1<<40), make([]byte, 100)...)
	wide := append([]byte{1, 8}, bytes.Repeat([]byte{0xff}, 40)...)
	long := append([]byte{1, 1, 0xff}, make([]byte, 20)...)
	for _, block := range [][]byte{nil, {0x80}, huge, many, wide, long} {
		refuses[word](t, block)
		refuses[[]int64](t, block)
		refuses[any](t, block)
		refuses[map[string]int](t, block)
		refuses[[]struct{ A, B string }](t, block)
	}
	for _, block := range [][]byte{nil, {0x80}, huge, many} {
		refuses[int64](t, block)
		refuses[*int64](t, block)
	}
	refuses[bool](t, []byte{1, 2})
	refuses[*int8](t, []byte{1, 2, 5})
	refuses[nothing](t, huge)
	refuses[hollowRow](t, many)
	refuses[map[struct{}]int8](t, []byte{1, 1, 3, 0, 0})
	refuses[map[int8]int8](t, []byte{1, 1, 3, 7, 7, 0, 0}) // one key twice
}

func refuses[T any](t *testing.T, block []byte) {
	t.Helper()
	c, err := Of[T]()
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]T, 1)
	got, rest, err := c.Decode(dst, block)
	if err == nil {
		t.Errorf("%T: accepts %x", dst, block)
	} else if !strings.HasPrefix(err.Error(), "codec: ") {
		t.Errorf("%T: error %q does not name the package", dst, err)
	}
	if len(got) != 1 || len(rest) != len(block) {
		t.Errorf("%T: an error changed dst or rest", dst)
	}
}

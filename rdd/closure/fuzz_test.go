package closure

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"unsafe"
)

// seeds are encodings of most kinds of values.
func seeds(t testing.TB) [][]byte {
	type all struct {
		mixed
		L  *list
		T  tree
		S  []shape
		A  map[any]any
		B  func(float64) float64
		H  *node
		R  reflect.Type
		On [3]bool
	}
	p := &point{1, 2}
	values := []any{
		nil, 1, "text",
		[]float64{1, 2},
		[]string{"a", ""},
		double, p,
		Bind(*p, point.Scale), helper(2), Call2(&adder{1}), Bind(p, (*point).Move),
		all{
			mixed{A: 1, On: true, Tags: []string{"x"}, M: map[string]int{"a": 1, "b": 2}, Any: p, F: Bind(1, func(e, x int) int { return e + x })},
			&list{1, &list{2, nil}},
			tree{Kids: []tree{{}, {}}, By: map[string]*tree{"k": {}}},
			[]shape{p, *p, nil, p},
			map[any]any{1: "x", "y": p},
			Bind(p, (*point).Move), &node{7}, reflect.TypeFor[all](),
			[3]bool{true},
		},
	}
	c := Codec{Handles: map[reflect.Type]Handles{reflect.TypeFor[*node](): nodes{7: {7}}}}
	var out [][]byte
	for _, v := range values {
		b, err := c.Encode(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// tryDecode decodes hostile bytes. Whatever comes out must be a sound value:
// walking all of it again must not fault either.
func tryDecode(t testing.TB, b []byte) {
	c := Codec{Handles: map[reflect.Type]Handles{reflect.TypeFor[*node](): nodes{7: {7}}}}
	v, rest, err := c.Decode(b)
	if err != nil {
		if v != nil || len(rest) != len(b) {
			t.Errorf("an error came with a value %v or without all of the input", v)
		}
		return
	}
	again, err := c.Encode(nil, v)
	if err != nil {
		return // such as two keys that differ by address alone
	}
	w, _, err := c.Decode(again)
	if err != nil {
		t.Fatalf("decode what was encoded from %x: %v", b, err)
	}
	if twice, err := c.Encode(nil, w); err != nil || !bytes.Equal(again, twice) {
		t.Fatalf("encoding is not stable for %x (%v)", b, err)
	}
}

// FuzzDecode changes valid encodings. If kind is not 0 the input is instead the
// content of a value of any type of the executable, which random bytes would
// hardly find the reference of.
func FuzzDecode(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(uint16(0), b)
		f.Add(uint16(100), b)
	}
	types, err := loadTypes()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		if kind > 0 {
			b = append(typeRefAt(types[int(kind)%len(types)]), b...)
		}
		tryDecode(t, b)
	})
}

func typeRefAt(addr uint64) []byte {
	im, _ := loadImage()
	ref := binary.AppendUvarint([]byte{tagNew}, addr)
	return binary.LittleEndian.AppendUint32(ref, typeCheck(typeAt(im.at(addr))))
}

// Every type of the executable must have a plan that copes with zeros, ones and
// noise: a hostile sender may name any of them.
func TestDecodeEveryType(t *testing.T) {
	types, err := loadTypes()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	decoded, binders := 0, 0
	im, err := loadImage()
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range types {
		ref := typeRefAt(addr)
		for _, fill := range []int{0, 1, 2, -1, -1, -1} {
			b := bytes.Clone(ref)
			for range 200 {
				x := fill
				if fill < 0 {
					x = random.IntN(256) >> random.IntN(8)
				}
				b = append(b, byte(x))
			}
			var c Codec
			if _, _, err := c.Decode(b); err == nil {
				decoded++
			}
			tryDecode(t, b)
			// The same as the binder of a function.
			if typ := typeAt(im.at(addr)); typ.Kind() == reflect.Pointer && typ.Implements(reflect.TypeFor[binder]()) {
				ft := reflect.New(typ.Elem()).Interface().(binder).fn()
				outer, err := planOf(reflect.TypeOf(ft)).ref()
				if err != nil {
					continue // a signature that nothing encodes
				}
				binders++
				tryDecode(t, slices.Concat([]byte{tagNew}, outer, []byte{tagBound}, b[1:]))
			}
		}
	}
	if binders == 0 {
		t.Error("no binder was tried")
	}
	if len(types) < 1000 || decoded < len(types) {
		t.Errorf("%d of %d types decoded: this test shows little", decoded, len(types))
	}
}

func TestDecodeDamaged(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for _, seed := range seeds(t) {
		for n := range seed {
			if _, _, err := new(Codec).Decode(seed[:n]); err == nil {
				t.Errorf("%d of %d bytes decoded", n, len(seed))
			}
		}
		for range 5000 {
			b := bytes.Clone(seed)
			for range 1 + random.IntN(3) {
				i := random.IntN(len(b))
				switch random.IntN(4) {
				case 0:
					b[i] = byte(random.IntN(8))
				case 1:
					b[i] ^= 1 << random.IntN(8)
				case 2:
					b = append(b[:i], b[min(len(b), i+1+random.IntN(4)):]...)
				default:
					b = append(b[:i:i], append([]byte{0xff, 0xff, 0xff, 0x7f}, b[i:]...)...)
				}
				if len(b) == 0 {
					break
				}
			}
			tryDecode(t, b)
		}
	}
}

// Sound references to the wrong thing must be refused before use.
func TestDecodeForgedReferences(t *testing.T) {
	im, err := loadImage()
	if err != nil {
		t.Fatal(err)
	}
	fv := funcPointer(double)
	code := *(*uintptr)(fv)
	function := func(addr, check uint64) []byte {
		ref, _ := planOf(reflect.TypeOf(double)).ref()
		b := append(append([]byte{tagNew}, ref...), tagNew)
		return binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, addr), check)
	}
	signature := "func(int) int"
	good := funcCheck(code, signature)
	if v, _, err := new(Codec).Decode(function(im.link(fv), good)); err != nil || v.(func(int) int)(2) != 4 {
		t.Fatal(err)
	}
	heap := &funcval{code: code}
	for name, b := range map[string][]byte{
		"off by one":       function(im.link(fv)+1, good),
		"next word":        function(im.link(fv)+8, good),
		"machine code":     function(im.anchorAddr+uint64(code)-uint64(uintptr(im.anchor)), good),
		"other signature":  function(im.link(fv), funcCheck(code, "func(string) string")),
		"zero":             function(0, good),
		"end":              function(^uint64(7), good),
		"type as function": function(im.link(typePointer(reflect.TypeFor[point]())), good),
		"heap":             function(im.link(unsafe.Pointer(heap)), good),
		"marker":           function(im.anchorAddr&^7, good),
	} {
		if v, _, err := new(Codec).Decode(b); err == nil {
			t.Errorf("%s: decoded %T", name, v)
		}
	}
}

// Lengths that the input cannot hold must not be allocated.
func TestDecodeAllocatesByInput(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<40)
	for _, v := range []any{[]float64{1}, "x", []string{"a"}, map[string]int{"a": 1}, [][]byte{{1}}, []*[1 << 20]string{nil}, []struct{}{{}}, map[struct{}]struct{}{{}: {}}, &[1 << 16]string{}} {
		ref, err := planOf(reflect.TypeOf(v)).ref()
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"", "\x01"} {
			b := append(append(append(append([]byte{tagNew}, ref...), tag...), huge...), make([]byte, 64)...)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err = new(Codec).Decode(b)
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
				t.Errorf("%T: %d bytes allocated for %d", v, n, len(b))
			}
			if _, ok := v.([]struct{}); err == nil && !ok && tag == "" {
				t.Errorf("%T: decoded", v)
			}
		}
	}
}

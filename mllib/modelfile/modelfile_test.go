package modelfile_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/mllib/modelfile"
)

const kind = "example.Line"

type settings struct {
	RegParam float64
	Names    []string
}

func line() *modelfile.File {
	f := modelfile.New(kind, 2)
	f.Set("settings", settings{RegParam: 0.1, Names: []string{"a", "b"}})
	f.Set("seed", int64(math.MaxInt64))
	modelfile.SetArray(f, "slopes", []float64{1.5, math.NaN(), math.Inf(1), 0, math.SmallestNonzeroFloat64})
	modelfile.SetArray(f, "f32", []float32{1, 2.5})
	modelfile.SetArray(f, "i64", []int64{math.MinInt64, 7})
	modelfile.SetArray(f, "i32", []int32{math.MinInt32, 7, 9})
	modelfile.SetArray(f, "u8", []uint8{0, 255, 3})
	modelfile.SetArray(f, "texts", []string{"", "π", "x\x00y", strings.Repeat("long", 40000)})
	modelfile.SetArray(f, "none", []string(nil))
	return f
}

func encode(t testing.TB, f *modelfile.File) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(b []byte, kind string, newest int) (*modelfile.File, error) {
	return modelfile.Read(bytes.NewReader(b), int64(len(b)), kind, newest)
}

func same[E modelfile.Element](t *testing.T, f *modelfile.File, name string, want []E) {
	t.Helper()
	got, err := modelfile.GetArray[E](f, name)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s: got %v, %v; want %v", name, got, err, want)
	}
}

func TestRoundTrip(t *testing.T) {
	b := encode(t, line())
	f, err := read(b, kind, 2)
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind() != kind || f.Version() != 2 || f.Engine() == "" {
		t.Errorf("kind %s, version %d, engine %q", f.Kind(), f.Version(), f.Engine())
	}
	var s settings
	var seed int64
	if err := f.Get("settings", &s); err != nil || s.RegParam != 0.1 || len(s.Names) != 2 {
		t.Errorf("settings %+v, %v", s, err)
	}
	if err := f.Get("seed", &seed); err != nil || seed != math.MaxInt64 {
		t.Errorf("seed %d, %v", seed, err)
	}
	slopes, err := modelfile.GetArray[float64](f, "slopes")
	if err != nil || len(slopes) != 5 || slopes[0] != 1.5 || !math.IsNaN(slopes[1]) || !math.IsInf(slopes[2], 1) || slopes[4] != math.SmallestNonzeroFloat64 {
		t.Errorf("slopes %v, %v", slopes, err)
	}
	same(t, f, "f32", []float32{1, 2.5})
	same(t, f, "i64", []int64{math.MinInt64, 7})
	same(t, f, "i32", []int32{math.MinInt32, 7, 9})
	same(t, f, "u8", []uint8{0, 255, 3})
	same(t, f, "texts", []string{"", "π", "x\x00y", strings.Repeat("long", 40000)})
	same(t, f, "none", []string{})
	if !bytes.Equal(encode(t, f), b) {
		t.Error("what was read is written as other bytes")
	}
	if !f.Has("seed") || f.Has("slopes") || !f.HasArray("slopes") || f.HasArray("seed") {
		t.Error("Has and HasArray disagree with the content")
	}
	if _, err := modelfile.GetArray[float32](f, "slopes"); err == nil || !strings.Contains(err.Error(), `array "slopes" holds float64, not float32`) {
		t.Errorf("another type: %v", err)
	}
	if _, err := modelfile.GetArray[float32](f, "slope"); err == nil || !strings.Contains(err.Error(), "f32, i32, i64, none, slopes") {
		t.Errorf("no such array: %v", err)
	}
	if err := f.Get("sed", &seed); err == nil || !strings.Contains(err.Error(), "it has seed, settings") {
		t.Errorf("no such value: %v", err)
	}
}

// TestOrderDoesNotShow: the bytes do not depend on the order in which things were set.
func TestOrderDoesNotShow(t *testing.T) {
	a, b := modelfile.New(kind, 1), modelfile.New(kind, 1)
	a.Set("x", 1)
	a.Set("y", map[string]int{"p": 1, "q": 2})
	modelfile.SetArray(a, "m", []int32{1})
	modelfile.SetArray(a, "n", []int32{2})
	modelfile.SetArray(b, "n", []int32{2})
	modelfile.SetArray(b, "m", []int32{1})
	b.Set("y", map[string]int{"q": 2, "p": 1})
	b.Set("x", 1)
	if !bytes.Equal(encode(t, a), encode(t, b)) {
		t.Error("the bytes differ")
	}
	x, err := a.Digest()
	y, err2 := b.Digest()
	if x != y || err != nil || err2 != nil || len(x) != 64 {
		t.Errorf("digests %s, %v and %s, %v", x, err, y, err2)
	}
	modelfile.SetArray(b, "m", []int32{3})
	if z, _ := b.Digest(); z == x {
		t.Error("another model has the same digest")
	}
}

// reseal corrects length and checksum after a change.
func reseal(b []byte) []byte {
	binary.LittleEndian.PutUint64(b[16:], uint64(len(b)))
	sum := sha256.Sum256(b[:len(b)-32])
	copy(b[len(b)-32:], sum[:])
	return b
}

func TestRefused(t *testing.T) {
	good := encode(t, line())
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	end := 24 + binary.LittleEndian.Uint32(good[12:])
	inHeader := func(before, after string) []byte {
		head := bytes.Replace(good[24:end], []byte(before), []byte(after), 1)
		head = append(head, bytes.Repeat([]byte(" "), -len(head)&7)...)
		b := slices.Concat(good[:24], head, good[end:])
		binary.LittleEndian.PutUint32(b[12:], uint32(len(head)))
		return reseal(b)
	}
	for _, c := range []struct {
		name, want string
		b          []byte
		kind       string
	}{
		{"empty", "not a model", nil, kind},
		{"foreign", "not a model", []byte("PAR1 and so on and on and on and on and on and on and on and on"), kind},
		{"only the beginning", "not a model", good[:4], kind},
		{"cut in the prefix", "cut short", good[:20], kind},
		{"cut in the header", "cut short", good[:60], kind},
		{"cut at the end", "cut short", good[:len(good)-1], kind},
		{"longer", "cut short or damaged", append(bytes.Clone(good), 0), kind},
		{"a bit in the header", "checksum", change(func(b []byte) []byte { b[30] ^= 4; return b }), kind},
		{"a bit in an array", "checksum", change(func(b []byte) []byte { b[len(b)-100] ^= 4; return b }), kind},
		{"a bit in the checksum", "checksum", change(func(b []byte) []byte { b[len(b)-1] ^= 4; return b }), kind},
		{"the header's length", "checksum", change(func(b []byte) []byte { b[15] = 255; return b }), kind},
		{"newer format", "use a newer release", change(func(b []byte) []byte { b[8] = 2; return reseal(b) }), kind},
		{"another kind", "it holds a example.Line, not a example.Tree", good, "example.Tree"},
		{"newer content", `as version 7 of example.Line, this program reads up to version 2: use a newer release`, inHeader(`"version":2`, `"version":7`), kind},
		{"an array too long", "claims", inHeader(`"type":"int32","count":3,"bytes":12`, `"type":"int32","count":3,"bytes":9223372036854775807`), kind},
		{"too many elements", "elements", inHeader(`"type":"int32","count":3,"bytes":12`, `"type":"int32","count":9,"bytes":12`), kind},
		{"an unknown type", "does not know", inHeader(`"type":"int32"`, `"type":"int16"`), kind},
		{"two of a name", "two arrays", inHeader(`"i32"`, `"i64"`), kind},
		{"no JSON", "its header", inHeader(`{"kind"`, `["kind"`), kind},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := read(c.b, c.kind, 2)
			if err == nil || f != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	if f, err := read(inHeader(`"version":2`, `"version":7`), "", 0); err != nil || f.Version() != 7 {
		t.Errorf("any kind and version: %v", err)
	}
}

func TestSetErrorsComeOutOfSave(t *testing.T) {
	f := modelfile.New(kind, 1)
	f.Set("loss", math.NaN())
	uri := "mem://modelfile/nan"
	if err := f.Save(context.Background(), uri); err == nil || !strings.Contains(err.Error(), `header value "loss"`) {
		t.Errorf("got %v", err)
	}
	if ok, _ := filesys.Exists(context.Background(), uri); ok {
		t.Error("a file was left")
	}
	if _, err := f.Digest(); err == nil {
		t.Error("Digest knows no error")
	}
	if err := modelfile.New("", 0).Write(&bytes.Buffer{}); err == nil {
		t.Error("a file without kind was written")
	}
	if err := modelfile.CanSave(context.Background(), "nowhere://x/y"); err == nil {
		t.Error("an unknown scheme can be saved to")
	}
	if err := modelfile.CanSave(context.Background(), uri); err != nil {
		t.Error(err)
	}
}

func Example() {
	ctx := context.Background()
	f := modelfile.New("example.Line", 1)
	f.Set("settings", map[string]any{"regParam": 0.1})
	modelfile.SetArray(f, "coefficients", []float64{2, -1})
	if err := f.Save(ctx, "mem://models/line"); err != nil {
		fmt.Println(err)
	}

	f, err := modelfile.Load(ctx, "mem://models/line", "example.Line", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	coefficients, err := modelfile.GetArray[float64](f, "coefficients")
	fmt.Println(f.Kind(), coefficients, err)
	digest, _ := f.Digest()
	fmt.Println(digest[:16])

	_, err = modelfile.Load(ctx, "mem://models/line", "example.Tree", 1)
	fmt.Println(err)
	// Output:
	// example.Line [2 -1] <nil>
	// 296f6e4edc88a229
	// load model mem://models/line: it holds a example.Line, not a example.Tree
}

// FuzzRead: no bytes make Read panic or allocate beyond their size, and what it accepts is written as the same bytes.
func FuzzRead(f *testing.F) {
	b := encode(f, line())
	f.Add(b, true)
	f.Add(b[:100], false)
	small := modelfile.New("k", 1)
	small.Set("v", 1)
	modelfile.SetArray(small, "t", []string{"a", "bc"})
	modelfile.SetArray(small, "d", []float64{1})
	f.Add(encode(f, small), true)
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal && len(b) > 60 { // get past length and checksum
			b = reseal(bytes.Clone(b))
		}
		m, err := read(b, "", 0)
		if err != nil {
			if m != nil {
				t.Error("an error and a file")
			}
			return
		}
		again, err := read(encode(t, m), "", 0)
		if err != nil {
			t.Fatalf("what was read cannot be written and read: %v", err)
		}
		x, _ := m.Digest()
		if y, _ := again.Digest(); x != y {
			t.Error("the digest changed")
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	f := modelfile.New(kind, 1)
	modelfile.SetArray(f, "x", make([]float64, 1<<20))
	b.SetBytes(8 << 20)
	for b.Loop() {
		var n counter
		if err := f.Write(&n); err != nil {
			b.Fatal(err)
		}
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// TestParts puts a model into the file of a larger one and takes it out again.
func TestParts(t *testing.T) {
	inner := modelfile.New("test.Inner", 3)
	inner.Set("settings", map[string]int{"k": 7})
	modelfile.SetArray(inner, "numbers", []float64{1, 2})
	outer := modelfile.New("test.Outer", 1)
	outer.Set("settings", "outer")
	modelfile.SetArray(outer, "numbers", []float64{3})
	outer.SetPart("a", inner)
	outer.SetPart("b", modelfile.New("test.Empty", 1))
	uri := "mem://modelfile/parts"
	if err := outer.Save(context.Background(), uri); err != nil {
		t.Fatal(err)
	}
	f, err := modelfile.Load(context.Background(), uri, "test.Outer", 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Part("a")
	if err != nil {
		t.Fatal(err)
	}
	want, _ := inner.Digest()
	if sum, err := got.Digest(); sum != want || err != nil {
		t.Errorf("the part has digest %s, %v, the model %s", sum, err, want)
	}
	if err := got.Check("test.Inner", 3); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		err  error
		says string
	}{
		{got.Check("test.Other", 3), "it holds a test.Inner"},
		{got.Check("test.Inner", 2), "use a newer release"},
		{func() error { _, err := f.Part("c"); return err }(), `"c/part"`},
		{func() error { outer.SetPart("x/y", inner); return outer.Save(context.Background(), uri) }(), "no slash"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%v does not say %q", c.err, c.says)
		}
	}
}

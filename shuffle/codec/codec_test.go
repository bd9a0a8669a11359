package codec

import (
	"bytes"
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// roundTrip encodes rows twice, checks that the bytes agree, and returns them decoded behind other rows and before other bytes.
func roundTrip[T any](t *testing.T, rows []T) []T {
	t.Helper()
	c, err := Of[T]()
	if err != nil {
		t.Fatal(err)
	}
	prefix := []byte("before")
	block, err := c.Append(prefix, rows)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Append(nil, rows)
	if err != nil || !bytes.Equal(again, block[len(prefix):]) {
		t.Fatalf("two encodings of %T differ (%v)", rows, err)
	}
	block = append(block, "after"...)
	dst := make([]T, 1, 3)
	got, rest, err := c.Decode(dst, block[len(prefix):])
	if err != nil {
		t.Fatalf("decode %T: %v", rows, err)
	}
	if string(rest) != "after" {
		t.Fatalf("%T: rest %q", rows, rest)
	}
	clear(block) // rows must not refer to the block
	if len(got) != 1+len(rows) {
		t.Fatalf("%T: %d rows, want %d", rows, len(got)-1, len(rows))
	}
	if size := c.MemSize(rows); size < int64(len(rows))*int64(reflect.TypeFor[T]().Size()) {
		t.Errorf("%T: MemSize %d is less than the rows themselves", rows, size)
	}
	return got[1:]
}

func check[T any](t *testing.T, rows ...T) {
	t.Helper()
	if got := roundTrip(t, rows); len(rows) > 0 && !reflect.DeepEqual(got, rows) {
		t.Errorf("%T:\n got %#v\nwant %#v", rows, got, rows)
	}
}

type (
	named    string
	celsius  float32
	embedded struct {
		id   uint16
		Tags []string
	}
	mixed struct {
		embedded
		*inner
		_      int32
		flag   bool
		Name   named
		Temp   celsius
		Matrix [2][3]float64
		pad    [3]struct {
			a int8
			b int64
		}
		Words [2]string
		Blob  []byte
		Deep  [][]map[named][]float64
		Ptr   **int
		c64   complex64
		c128  complex128
		empty struct{}
	}
	inner struct{ X, y int }
	tree  struct {
		Value       float64
		Left, right *tree
	}
	node struct {
		Name     string
		Children []node
		Index    map[string]*node
	}
	// Recursion entered through an embedded field.
	outer  struct{ Items []middle }
	middle struct {
		outer
		N int
	}
	stamped struct {
		time.Time // promotes MarshalBinary, which must not speak for the struct
		Price     float64
	}
	hollowRow                    struct{ _ [100]byte }
	nothing                      struct{}
	generic[K comparable, V any] struct {
		Key   K
		Value []V
		Next  *generic[K, V]
	}
)

func TestRoundTrip(t *testing.T) {
	check[bool](t, true, false, true)
	check[int8](t, -128, 127, 0)
	check[int](t, math.MinInt64, math.MaxInt64)
	check[uint16](t, 0, 65535)
	check[float64](t, math.Inf(1), math.Copysign(0, -1), 1e-300)
	check(t, complex(1, -2), complex(0, 3))
	check(t, "", "a", "hello, world", strings.Repeat("x", 300), strings.Repeat("y", 70_000))
	check(t, named("n"))
	check(t, []byte(nil), []byte{}, []byte("abc"))
	check(t, []float64{1, 2, 3}, nil, []float64{}, []float64{4})
	check(t, [][]string{{"a", ""}, nil, {}}, nil, [][]string{})
	check(t, map[string]int{"b": 2, "a": 1}, nil, map[string]int{})
	check(t, map[int32][]string{-1: {"x"}, 5: nil}, map[int32][]string{7: {}})
	check(t, map[inner]bool{{1, 2}: true, {0, 5}: false})
	check(t, map[float64]string{1: "a", math.Inf(-1): "b"})
	check(t, map[[2]string]map[bool]int{{"a", "b"}: {true: 1}})
	check(t, map[struct{}]int{{}: 4}, nil)
	check(t, nothing{}, nothing{}, nothing{})
	check(t, hollowRow{}, hollowRow{})
	check(t, [0]string{}, [0]string{})
	check(t, [3]string{"a", "b", "c"}, [3]string{})
	check(t, [][]struct{}{{{}, {}}, nil, {}})
	check(t, []hollowRow{{}, {}}, nil)
	check(t, [2][2]struct {
		a bool
		b int64
	}{{{true, 1}, {false, 2}}, {{true, 3}, {}}})
	n := 5
	p := &n
	check(t, mixed{
		embedded: embedded{7, []string{"t", "u"}}, inner: &inner{1, 2}, flag: true, Name: "x", Temp: 36.6,
		Matrix: [2][3]float64{{1, 2, 3}, {4, 5, 6}}, Words: [2]string{"p", "q"}, Blob: []byte{1}, c64: 1i, c128: 2,
		Deep: [][]map[named][]float64{{{"k": {1}}, nil}, {}}, Ptr: &p,
	}, mixed{}, mixed{Words: [2]string{"", "z"}})
	check(t, &tree{1, &tree{2, nil, &tree{3, nil, nil}}, nil}, nil, &tree{Value: 4})
	check(t, node{"root", []node{{Name: "a"}, {Name: "b", Children: []node{}}}, map[string]*node{"x": {Name: "deep"}, "nil": nil}})
	check(t, outer{[]middle{{outer{[]middle{{N: 1}}}, 2}}}, outer{})
	check(t, middle{N: 3, outer: outer{[]middle{{N: 1}}}})
	check(t, generic[string, float32]{"k", []float32{1}, &generic[string, float32]{Key: "next"}})
	type local struct {
		A int
		B string
	}
	check(t, local{1, "x"})
	check(t, generic[int, local]{1, []local{{2, "y"}}, nil})
	check[any](t, nil, 1, "two", 3.0, []byte("four"), int8(5), true)
	check[int](t)
}

func TestMarshalers(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	check(t, at, time.Time{}, at.Add(time.Hour))
	check(t, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0"), netip.Addr{})
	check(t, *big.NewInt(-12345), *new(big.Int).Lsh(big.NewInt(1), 300), *big.NewInt(0))
	check(t, big.NewInt(3), nil)
	check(t, stamped{at, 9.5})
	check(t, map[netip.Addr]int{netip.MustParseAddr("::1"): 1, netip.MustParseAddr("::2"): 2})

	now := time.Now()
	got := roundTrip(t, []time.Time{now})[0]
	if !got.Equal(now) || strings.Contains(got.String(), "m=") {
		t.Errorf("time.Now came back as %v, want the same instant without a monotonic reading", got)
	}
}

func TestNaNAndZeroBits(t *testing.T) {
	rows := []float64{math.NaN(), math.Copysign(0, -1), math.Float64frombits(0xfff8000000000123)}
	for i, x := range roundTrip(t, rows) {
		if math.Float64bits(x) != math.Float64bits(rows[i]) {
			t.Errorf("row %d: bits %x, want %x", i, math.Float64bits(x), math.Float64bits(rows[i]))
		}
	}
	m := map[float64]int{math.NaN(): 1}
	m[math.NaN()] = 2
	m[3] = 3
	if got := roundTrip(t, []map[float64]int{m})[0]; len(got) != 3 || got[3] != 3 {
		t.Errorf("map with two NaN keys: %v", got)
	}
}

type shape interface{ Area() float64 }

type square struct{ Side float64 }

func (s square) Area() float64 { return s.Side * s.Side }

type circle struct{ R float64 }

func (c *circle) Area() float64 { return 3 * c.R * c.R }

type unknown struct{ square }

func init() {
	Register[square]()
	Register[*circle]()
	Register[[]any]()
	Register[map[string]any]()
	Register[*tree]()
}

func TestInterfaces(t *testing.T) {
	check[shape](t, square{2}, nil, &circle{1}, square{3}, &circle{2})
	check[any](t, []any{1, []any{"x", nil}, map[string]any{"k": []any{2.5}}}, &tree{1, &tree{}, nil})
	check(t, map[any]string{1: "int", "1": "string", int64(1): "int64", nil: "nil"})
	check(t, struct {
		Err  error
		Last any
	}{nil, time.Second})

	c, err := Of[shape]()
	if err != nil {
		t.Fatal(err)
	}
	dst := []byte("kept")
	got, err := c.Append(dst, []shape{square{1}, unknown{}})
	if err == nil || !strings.Contains(err.Error(), "codec.Register[codec.unknown]()") {
		t.Errorf("unregistered type: %v", err)
	}
	if string(got) != "kept" {
		t.Errorf("Append changed dst on an error: %q", got)
	}
}

func TestRegisterRefusesOneNameForTwoTypes(t *testing.T) {
	one := func() any {
		type twin struct{ A int }
		Register[twin]()
		return twin{1}
	}
	two := func() any {
		type twin struct{ B string }
		Register[twin]()
		return twin{"x"}
	}
	c, _ := Of[any]()
	rows := []any{one(), two()}
	if _, err := c.Append(nil, rows); err == nil || !strings.Contains(err.Error(), "two registered types") {
		t.Errorf("error %v, want one that says that two types share a name", err)
	}
}

func TestRefusals(t *testing.T) {
	type withChan struct{ In struct{ Done chan int } }
	type withFile struct{ Log *os.File }
	type withMutex struct {
		mu sync.Mutex
		N  map[string][]struct{ Fn func() }
	}
	for _, c := range []struct {
		name string
		err  error
		want []string
	}{
		{"chan", second(Of[withChan]()), []string{"withChan.In.Done", "chan int", "send the values"}},
		{"func", second(Of[map[string]func()]()), []string{"[value]", "func()"}},
		{"file", second(Of[withFile]()), []string{"withFile.Log", "os.File", "path"}},
		{"mutex", second(Of[withMutex]()), []string{"withMutex.mu", "sync.Mutex", "leave it out"}},
		{"atomic", second(Of[struct{ N atomic.Int64 }]()), []string{"N", "plain type"}},
		{"context", second(Of[[]context.Context]()), []string{"context.Context", "task"}},
		{"uintptr", second(Of[uintptr]()), []string{"uintptr", "uint64"}},
	} {
		for _, w := range c.want {
			if c.err == nil || !strings.Contains(c.err.Error(), w) {
				t.Errorf("%s: error %v, want one with %q", c.name, c.err, w)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestCycles(t *testing.T) {
	c, err := Of[*tree]()
	if err != nil {
		t.Fatal(err)
	}
	loop := &tree{Value: 1}
	loop.Left = &tree{2, nil, loop}
	if _, err := c.Append(nil, []*tree{loop}); err == nil || !strings.Contains(err.Error(), "cycle") {
		t.Errorf("pointer cycle: %v", err)
	}
	// A shared subtree is no cycle: it is written twice.
	shared := &tree{Value: 3}
	check(t, &tree{4, shared, shared})

	// Sharing that doubles at each level would expand without end.
	d := &tree{}
	for range 60 {
		d = &tree{1, d, d}
	}
	if _, err := c.Append(nil, []*tree{d}); err == nil || !strings.Contains(err.Error(), "expand") {
		t.Errorf("doubling: %v", err)
	}
	list := &tree{}
	for range maxDepth + 1 {
		list = &tree{Left: list}
	}
	if _, err := c.Append(nil, []*tree{list}); err == nil || !strings.Contains(err.Error(), "deeper") {
		t.Errorf("long list: %v", err)
	}
	list = &tree{}
	for range 3000 {
		list = &tree{Left: list}
	}
	check(t, list)

	self := []any{1, nil}
	self[1] = self
	a, _ := Of[any]()
	if _, err := a.Append(nil, []any{self}); err == nil || !strings.Contains(err.Error(), "itself") {
		t.Errorf("slice in itself: %v", err)
	}
	_ = a.MemSize([]any{self})
	_ = c.MemSize([]*tree{loop, d})
}

// TestPaddingDoesNotTravel decodes into dirty memory and encodes rows whose padding and blank fields differ.
func TestPaddingDoesNotTravel(t *testing.T) {
	type padded struct {
		A int8
		B int64
		_ int32
		C bool
	}
	c, err := Of[padded]()
	if err != nil {
		t.Fatal(err)
	}
	if !c.Fixed() {
		t.Error("padded is of fixed size")
	}
	clean := []padded{{A: 1, B: 2, C: true}}
	dirty := make([]padded, 1)
	raw := bytesOf(dirty)
	for i := range raw {
		raw[i] = 0xee
	}
	dirty[0].A, dirty[0].B, dirty[0].C = 1, 2, true
	x, _ := c.Append(nil, clean)
	y, _ := c.Append(nil, dirty)
	if !bytes.Equal(x, y) {
		t.Errorf("padding travels: %x, %x", x, y)
	}
	for i := range raw {
		raw[i] = 0xee
	}
	got, _, err := c.Decode(dirty[:0], x)
	if err != nil || !reflect.DeepEqual(got, clean) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDecodedSlicesDoNotOverlap(t *testing.T) {
	got := roundTrip(t, [][]int32{{1, 2}, {3, 4}})
	_ = append(got[0], 99)
	if got[1][0] != 3 {
		t.Error("appending to one row's slice wrote into the next row's")
	}
}

func TestFixedAndMemSize(t *testing.T) {
	if c, _ := Of[rec100](); !c.Fixed() || c.MemSize(make([]rec100, 10)) != 1000 {
		t.Error("rec100 is 100 bytes")
	}
	if c, _ := Of[word](); c.Fixed() {
		t.Error("a word is not of fixed size")
	}
	for _, c := range []reflect.Type{reflect.TypeFor[time.Time](), reflect.TypeFor[[2]string](), reflect.TypeFor[*int](), reflect.TypeFor[tree]()} {
		if p, _ := planOf(c); p.fixed {
			t.Errorf("%s is not of fixed size", c)
		}
	}
	lines, _ := Of[string]()
	rows := make([]string, 10_000)
	var want int64
	for i := range rows {
		rows[i] = strings.Repeat("x", 50+i%100)
		want += int64(16 + len(rows[i]))
	}
	if got := lines.MemSize(rows); math.Abs(float64(got-want)) > 0.05*float64(want) {
		t.Errorf("MemSize %d, want about %d", got, want)
	}
	v, _ := Of[[][]float64]()
	if got := v.MemSize([][][]float64{{make([]float64, 100), nil}}); got != 24+48+800 {
		t.Errorf("MemSize of nested slices %d, want %d", got, 24+48+800)
	}
	m, _ := Of[map[string]int]()
	if got := m.MemSize([]map[string]int{{"abc": 1}}); got < 27 || got > 200 {
		t.Errorf("MemSize of a small map %d", got)
	}
}

func TestNoAllocationsPerRow(t *testing.T) {
	if !wideLoads {
		t.Skip("sanitizers allocate")
	}
	allocs(t, benchKV(1000), 0)
	allocs(t, benchRecords(1000), 0)
	allocs(t, benchWords(1000), 1)        // the block's one string
	allocs(t, benchVectors(1000)[:50], 1) // the block's one array
	allocs(t, benchLines(100), 1)
}

func allocs[T any](t *testing.T, rows []T, perBlock float64) {
	t.Helper()
	c, err := Of[T]()
	if err != nil {
		t.Fatal(err)
	}
	buf, _ := c.Append(nil, rows)
	out, _, _ := c.Decode(nil, buf)
	// A garbage collection in between empties the pools: that is an allocation per collection, not per row.
	if n := testing.AllocsPerRun(50, func() { buf, _ = c.Append(buf[:0], rows) }); n > 1 {
		t.Errorf("encode %T: %v allocations a block", rows, n)
	}
	if n := testing.AllocsPerRun(50, func() { out, _, _ = c.Decode(out[:0], buf) }); n > perBlock+1 {
		t.Errorf("decode %T: %v allocations a block, want %v", rows, n, perBlock)
	}
}

// TestGoldenBlock pins the wire format.
func TestGoldenBlock(t *testing.T) {
	type row struct {
		Name string
		N    int16
		Xs   []uint8
		P    *bool
	}
	yes := true
	c, err := Of[row]()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := c.Append(nil, []row{{"ab", 1, []byte{9}, &yes}, {"", -1, nil, nil}})
	want := "\x02" + // rows
		"\x01\x00\xff\xff" + // N
		"\x01\x02\x02\x00ab" + // Name: width, total, lengths, text
		"\x01\x02\x00\x09" + // Xs: width, lengths+1, elements
		"\x01\x01" // P: bitmap, values
	if string(got) != want {
		t.Errorf("block\n%q, want\n%q", got, want)
	}
}

func TestManyRowsAndRuns(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rows := make([][]mixedSmall, 700)
	for i := range rows {
		rows[i] = make([]mixedSmall, r.IntN(5))
		for j := range rows[i] {
			rows[i][j] = mixedSmall{int8(i), r.Uint64(), strings.Repeat("s", r.IntN(20)), r.IntN(2) == 0}
		}
	}
	check(t, rows...)
	flat := make([]mixedSmall, 5*fixedChunk+3)
	for i := range flat {
		flat[i] = mixedSmall{int8(i), r.Uint64(), "", i%3 == 0}
	}
	check(t, flat...)
}

type mixedSmall struct {
	A int8
	B uint64
	S string
	F bool
}

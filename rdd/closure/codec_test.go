package closure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

type point struct{ X, y float64 }

type mixed struct {
	A    int8
	b    int64
	On   bool
	name string
	Tags []string
	M    map[string]int
	Any  any
	next *mixed
	_    int16
	F    func(int) int
	z    complex128
}

type list struct {
	V    int
	Next *list
}

type tree struct {
	Kids []tree
	By   map[string]*tree
	Any  any
}

type shape interface{ Area() float64 }

func (p point) Area() float64 { return p.X * p.y }

type generic[T any] struct {
	v  T
	vs []T
}

type ptrShaped struct{ p *int }

type counter struct{ n atomic.Int64 }

type text struct{ s string }

func (t text) MarshalBinary() ([]byte, error) { return []byte("~" + t.s), nil }
func (t *text) UnmarshalBinary(b []byte) error {
	if len(b) == 0 || b[0] != '~' {
		return errors.New("no tilde")
	}
	t.s = string(b[1:])
	return nil
}

// stamped promotes text's methods, which know nothing of N.
type stamped struct {
	text
	N int
}

func roundTrip(t testing.TB, v any) any {
	t.Helper()
	var c Codec
	b, err := c.Encode(nil, v)
	if err != nil {
		t.Fatalf("encode %T: %v", v, err)
	}
	b2, err := c.Encode([]byte("head"), v)
	if err != nil || !bytes.Equal(b2[4:], b) {
		t.Fatalf("a second encoding of %T differs (%v)", v, err)
	}
	got, rest, err := c.Decode(append(b, "rest"...))
	if err != nil {
		t.Fatalf("decode %T: %v", v, err)
	}
	if string(rest) != "rest" {
		t.Fatalf("decode %T left %q", v, rest)
	}
	// What was decoded encodes to the same bytes.
	b3, err := c.Encode(nil, got)
	if err != nil || !bytes.Equal(b, b3) {
		t.Fatalf("encoding the decoded %T differs (%v)", v, err)
	}
	return got
}

func TestRoundTrip(t *testing.T) {
	type local struct {
		a, b int
		s    struct{ t []byte }
	}
	n := 7
	berlin := time.FixedZone("here", 7200)
	values := []any{
		nil, true, int8(-3), 42, uint64(math.MaxUint64), float32(1.5), math.Inf(1), 2i, uintptr(9), "", "héllo",
		[]float64{1, 2, 3},
		[]float64{},
		[]float64(nil),
		[3]int16{1, 2, 3},
		[]string{"a", "", "c"},
		[2]string{"x"},
		[]bool{true, false},
		[][]int{{1}, nil, {}},
		[]struct{}{{}, {}},
		[0]int{},
		struct{}{},
		map[string]int{"a": 1, "b": 2, "c": 3},
		map[int][]string{3: {"x"}, 1: nil},
		map[point]bool{{1, 2}: true},
		map[string]int(nil),
		map[any]any{1: "x", "y": 2.5, point{1, 2}: nil},
		map[struct{}]int{{}: 1},
		&n,
		ptrShaped{&n},
		[1]*int{&n},
		(*int)(nil),
		point{1, 2},
		&point{3, 4},
		[]shape{point{1, 2}, &point{3, 4}, nil},
		local{1, 2, struct{ t []byte }{[]byte("q")}},
		&local{},
		[]any{local{a: 1}, nil, []any{1}},
		generic[int]{1, []int{2}},
		generic[local]{v: local{b: 3}},
		&generic[[]string]{v: []string{"k"}},
		struct {
			min float32
			on  bool
		}{1, true},
		mixed{A: 1, b: 2, On: true, name: "n", Tags: []string{"t"}, M: map[string]int{"k": 1}, Any: 3, next: &mixed{}, z: 1i},
		&list{1, &list{2, &list{3, nil}}},
		tree{Kids: []tree{{}, {Kids: []tree{{}}}}, By: map[string]*tree{"x": {}}, Any: &tree{}},
		time.Time{},
		time.Unix(1, 2).UTC(), time.Unix(1, 2), time.Unix(5, 6).In(berlin),
		struct{ time.Time }{time.Unix(1, 0).UTC()},
		time.UTC, netip.MustParseAddr("fe80::1%eth0"), net.ParseIP("10.0.0.1"), big.NewInt(1).Lsh(big.NewInt(1), 200),
		text{"x"},
		stamped{text{"x"}, 5},
		&stamped{text{"y"}, 6}, reflect.TypeFor[local](),
		struct{ T reflect.Type }{reflect.TypeFor[[]int]()},
		error(nil), fmt.Errorf("wrapped: %w", io.EOF), (chan int)(nil), (*os.File)(nil), (func())(nil), unsafe.Pointer(nil),
		strings.NewReader("abc"),
	}
	for _, v := range values {
		t.Run(fmt.Sprintf("%T", v), func(t *testing.T) {
			if got := roundTrip(t, v); !reflect.DeepEqual(got, v) {
				t.Errorf("got %#v, want %#v", got, v)
			}
		})
	}
}

func TestAtomicsTravelByValue(t *testing.T) {
	c := &counter{}
	c.n.Store(5)
	if got := roundTrip(t, c).(*counter); got.n.Load() != 5 {
		t.Errorf("got %d", got.n.Load())
	}
}

func TestMonotonicTimeIsDropped(t *testing.T) {
	now := time.Now()
	if got := roundTrip(t, now).(time.Time); got != now.Round(0) {
		t.Errorf("got %#v, want %#v", got, now.Round(0))
	}
}

func TestSharedObjectsStayShared(t *testing.T) {
	type holder struct {
		A, B *point
		M, N map[string]*point
		F, G func(int) int
		P    *float64
	}
	p := &point{1, 2}
	m := map[string]*point{"p": p}
	f := Bind(p, func(p *point, x int) int { return x + int(p.X) })
	got := roundTrip(t, holder{A: p, B: p, M: m, N: m, F: f, G: f, P: &p.X}).(holder)
	if got.A != got.B || got.M["p"] != got.A {
		t.Error("a shared pointer was duplicated")
	}
	got.M["q"] = nil
	if len(got.N) != 2 {
		t.Error("a shared map was duplicated")
	}
	if funcPointer(got.F) != funcPointer(got.G) || got.F(1) != 2 {
		t.Error("a shared bound function was duplicated")
	}
	got.A.X = 10
	if got.F(1) != 11 {
		t.Error("the bound function has its own copy of a shared pointer")
	}
	if *got.P != 1 {
		t.Error("a pointer into a struct must be a copy")
	}
}

type resources struct {
	Log struct {
		out *os.File
		in  io.Reader
	}
	Conn net.Conn
	Ctx  context.Context
	C    chan int
	mu   *sync.Mutex
	m    map[string]any
	list []any
	f    func(int) int
}

func TestRefused(t *testing.T) {
	file := os.Stdout
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	captured := 3
	with := func(set func(*resources)) any {
		var r resources
		set(&r)
		return r
	}
	loop := &list{V: 1}
	loop.Next = &list{V: 2, Next: loop}
	selfMap := map[string]any{}
	selfMap["self"] = selfMap
	selfSlice := make([]any, 1)
	selfSlice[0] = selfSlice
	var builder strings.Builder
	builder.WriteString("x")
	deep := &list{}
	for range maxDepth {
		deep = &list{Next: deep}
	}
	one, two := new(int), new(int)
	for _, c := range []struct {
		name string
		v    any
		want string
	}{
		{"file", with(func(r *resources) { r.Log.out = file }), "Log.out (*os.File) cannot travel: open it inside the function"},
		{"file in interface", with(func(r *resources) { r.Log.in = file }), "Log.in (*os.File) cannot travel"},
		{"conn", with(func(r *resources) { r.Conn = &net.TCPConn{} }), "Conn (*net.TCPConn) cannot travel: open it"},
		{"pipe", with(func(r *resources) { r.Conn = client }), "Conn"},
		{"context", with(func(r *resources) { r.Ctx = t.Context() }), "Ctx (*context.cancelCtx) cannot travel: a context belongs"},
		{"background", with(func(r *resources) { r.Ctx = context.Background() }), "Ctx (context.backgroundCtx) cannot travel"},
		{"channel", with(func(r *resources) { r.C = make(chan int) }), "C (chan int) cannot travel"},
		{"mutex", with(func(r *resources) { r.mu = new(sync.Mutex) }), "mu (*sync.Mutex) cannot travel"},
		{"in map", with(func(r *resources) { r.m = map[string]any{"k": []any{1, file}} }), "m[k][1] (*os.File)"},
		{"in slice", with(func(r *resources) { r.list = []any{1, struct{ wg sync.WaitGroup }{}} }), "list[1].wg (sync.WaitGroup)"},
		{"capturing", with(func(r *resources) { r.f = func(x int) int { captured++; return x } }), "captures variables: bind what it needs with rdd.Bind"},
		{"in env", with(func(r *resources) {
			r.f = Bind(with(func(r *resources) { r.Log.out = file }), func(any, int) int { return 0 })
		}), "env.Log.out (*os.File) cannot travel"},
		{"reflect.Value", struct{ v reflect.Value }{reflect.ValueOf(1)}, "v (reflect.Value)"},
		{"unsafe.Pointer", unsafe.Pointer(loop), "(unsafe.Pointer) cannot travel"},
		{"cycle", loop, "Next.Next: it contains itself"},
		{"map cycle", selfMap, "[self]: it contains itself"},
		{"slice cycle", selfSlice, "[0][0][0]"},
		{"builder", &builder, "it contains itself"},
		{"deep", deep, "nested more than 10000 levels deep"},
		{"run-time type", reflect.New(reflect.StructOf([]reflect.StructField{{Name: "Q", Type: reflect.TypeFor[int8]()}})).Elem().Interface(), "exists only at run time"},
		{"pointer keys", map[*int]int{one: 1, two: 2}, "not told apart"},
		{"nan keys", map[float64]int{math.NaN(): 1, math.Float64frombits(math.Float64bits(math.NaN())): 2}, "not told apart"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var codec Codec
			b, err := codec.Encode([]byte("x"), c.v)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v\nwant …%s…", err, c.want)
			}
			if string(b) != "x" || len(err.Error()) > 600 {
				t.Errorf("dst %q, error of %d bytes", b, len(err.Error()))
			}
		})
	}
}

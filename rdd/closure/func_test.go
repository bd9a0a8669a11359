package closure

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func double(x int) int { return 2 * x }

func apply[T any](x T) T { return x }

func inGeneric[T any]() func(T) string {
	return func(x T) string { return fmt.Sprintf("%T", x) }
}

func (p point) Scale(k float64) float64 { return k * p.X }

func (p *point) Move(k float64) float64 { p.X += k; return p.X }

type mapper func(int) int

// scaler is a generic helper in the form that can travel.
type scaler[T int | float64] struct {
	By   T
	skip map[T]bool
}

func (s scaler[T]) Call(x T) T {
	if s.skip[x] {
		return x
	}
	return s.By * x
}

type adder struct{ n int }

func (a *adder) Call(x, y int) string { return fmt.Sprint(a.n + x + y) }

type parser struct{ base int }

func (p parser) Call(s string) (int, error) {
	if s == "" {
		return 0, errors.New("empty")
	}
	return p.base + len(s), nil
}

func helper[T int | float64](by T) func(T) T { return Call(scaler[T]{By: by}) }

type op[T, U any] struct {
	Parent *node
	F      func(T) U
}

type node struct{ id int }

type nodes map[int]*node

func (n nodes) EncodeHandle(v reflect.Value) (uint64, error) {
	return uint64(v.Interface().(*node).id), nil
}

func (n nodes) DecodeHandle(id uint64) (reflect.Value, error) {
	if n[int(id)] == nil {
		return reflect.Value{}, fmt.Errorf("no node %d", id)
	}
	return reflect.ValueOf(n[int(id)]), nil
}

var global = 100

func TestCheckFunc(t *testing.T) {
	captured := []float64{1}
	var nilFunc func(int) int
	p := point{1, 2}
	made := reflect.MakeFunc(reflect.TypeFor[func()](), func([]reflect.Value) []reflect.Value { return nil }).Interface()
	for _, c := range []struct {
		name string
		f    any
		want string // part of the error; "" for none
	}{
		{"literal", func(x int) int { return x + global }, ""},
		{"named", double, ""},
		{"named type", mapper(double), ""},
		{"instance", apply[int], ""},
		{"instance of pointer", apply[*point], ""},
		{"instance of local type", apply[struct{ q int }], ""},
		{"method expression", point.Scale, ""},
		{"pointer method expression", (*point).Move, ""},
		{"interface method expression", shape.Area, ""},
		{"generic method expression", scaler[int].Call, ""},
		{"standard library", strings.ToUpper, ""},
		{"bind", Bind(3, func(e, x int) int { return e + x }), ""},
		{"bind bound", Bind(3, Bind2("x", func(string, int, int) int { return 1 })), ""},
		{"call", Call(scaler[int]{By: 2}), ""},
		{"generic helper", helper(2.5), ""},
		{"bind method", Bind(p, point.Scale), ""},
		{"capturing", func(int) float64 { return captured[0] }, "TestCheckFunc.func"},
		{"capturing", func(int) float64 { return captured[0] }, "captures variables: bind what it needs with rdd.Bind"},
		{"method value", p.Scale, "method value github.com/spark-go/spark-go/rdd/closure.point.Scale captures its receiver: bind it with rdd.Bind(receiver, point.Scale)"},
		{"pointer method value", p.Move, "rdd.Bind(receiver, (*point).Move)"},
		{"literal in generic", inGeneric[int](), "give a struct with a Call method through rdd.Call"},
		{"literal in generic, pointers", inGeneric[*int](), "give a struct with a Call method through rdd.Call"},
		{"bind capturing", Bind(3, func(e, x int) int { return len(captured) }), "captures variables"},
		{"bind nil", Bind[int](3, nilFunc2), "nil: give Bind a function"},
		{"call nil", Call[int, int](nil), "nil: give it a value with a Call method"},
		{"reflection", made, "made by reflection"},
		{"nil func", nilFunc, "the function is nil"},
		{"nil", nil, "of type <nil>: give a func"},
		{"not a func", 3, "of type int: give a func"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := CheckFunc(c.f)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v\nwant …%s…", err, c.want)
			}
		})
	}
	var ce *CaptureError
	if err := CheckFunc(func() int { return len(captured) }); !errors.As(err, &ce) || ce.Line == 0 || !strings.HasSuffix(ce.File, "func_test.go") {
		t.Errorf("got %#v", err)
	}
}

var nilFunc2 func(int, int) int

func TestFunctionsTravel(t *testing.T) {
	if got := roundTrip(t, op[int, int]{F: double}).(op[int, int]); got.F(4) != 8 {
		t.Error("named function")
	}
	if got := roundTrip(t, apply[string]).(func(string) string); got("x") != "x" {
		t.Error("instance")
	}
	if got := roundTrip(t, mapper(Bind(3, func(e, x int) int { return e * x }))).(mapper); got(4) != 12 {
		t.Error("bound, of a named type")
	}
	if got := roundTrip(t, Bind(point{2, 0}, point.Scale)).(func(float64) float64); got(3) != 6 {
		t.Error("bound method expression")
	}
	if got := roundTrip(t, Bind2([]string{"a"}, func(e []string, x int, y string) string { return e[0] + y })).(func(int, string) string); got(1, "b") != "ab" {
		t.Error("Bind2")
	}
	if got := roundTrip(t, Bind3(1, func(e, x, y, z int) int { return e + x + y + z })).(func(int, int, int) int); got(2, 3, 4) != 10 {
		t.Error("Bind3")
	}
	if got := roundTrip(t, Bind0("e", func(e string) string { return e })).(func() string); got() != "e" {
		t.Error("Bind0")
	}
	if got := roundTrip(t, BindErr(1, func(e int, s string) (int, error) { return e, errors.New(s) })).(func(string) (int, error)); func() string { _, err := got("no"); return err.Error() }() != "no" {
		t.Error("BindErr")
	}
	if got := roundTrip(t, BindErr2(1, func(e, x, y int) (int, error) { return e + x + y, nil })).(func(int, int) (int, error)); func() int { n, _ := got(2, 3); return n }() != 6 {
		t.Error("BindErr2")
	}
	sum := roundTrip(t, BindDo(&point{}, func(p *point, x float64) { p.X += x })).(func(float64))
	sum(1)
	if got := roundTrip(t, helper(2.5)).(func(float64) float64); got(2) != 5 {
		t.Error("generic helper")
	}
	if got := roundTrip(t, Call(scaler[int]{By: 2, skip: map[int]bool{7: true}})).(func(int) int); got(7) != 7 || got(8) != 16 {
		t.Error("Call with unexported fields")
	}
	if got := roundTrip(t, Call2(&adder{10})).(func(int, int) string); got(1, 2) != "13" {
		t.Error("Call2")
	}
	if got := roundTrip(t, CallErr(parser{1})).(func(string) (int, error)); func() int { n, _ := got("abc"); return n }() != 4 {
		t.Error("CallErr")
	}
	nested := Bind(Bind(3, func(e, x int) int { return e + x }), func(f func(int) int, x int) int { return 10 * f(x) })
	if got := roundTrip(t, nested).(func(int) int); got(4) != 70 {
		t.Error("bound function in an environment")
	}
}

// Type arguments of one shape share code; each bound function must still be
// taken for its own.
func TestBindersOfOneShape(t *testing.T) {
	type a struct{ n int }
	type b struct{ n int }
	fa := Bind(&a{1}, func(e *a, x *a) *a { return &a{e.n + x.n} })
	fb := Bind(&b{10}, func(e *b, x *b) *b { return &b{e.n + x.n} })
	if got := roundTrip(t, fa).(func(*a) *a)(&a{2}); got.n != 3 {
		t.Error(got)
	}
	if got := roundTrip(t, fb).(func(*b) *b)(&b{2}); got.n != 12 {
		t.Error(got)
	}
}

func TestHandles(t *testing.T) {
	all := nodes{7: {7}}
	c := Codec{Handles: map[reflect.Type]Handles{reflect.TypeFor[*node](): all}}
	type job struct {
		op[int, int]
		Others []*node
		Any    any
	}
	b, err := c.Encode(nil, job{op[int, int]{all[7], double}, []*node{nil, all[7]}, all[7]})
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := c.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.(job); got.Parent != all[7] || got.Others[0] != nil || got.Others[1] != all[7] || got.Any != all[7] {
		t.Errorf("got %+v", got)
	}
	delete(all, 7)
	if _, _, err := c.Decode(b); err == nil || !strings.Contains(err.Error(), "no node 7") {
		t.Errorf("got %v", err)
	}
	if _, _, err := new(Codec).Decode(b); err == nil {
		t.Error("a codec without handles took one")
	}
}

// Bound functions must be recognised however the collector moves through them
// and whatever takes the place of dead ones.
func TestBindUnderCollection(t *testing.T) {
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	})
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			var kept []func(int) int
			for i := range 2000 {
				f := Bind(&[]int{w, i}, func(e *[]int, x int) int { return (*e)[0]*1_000_000 + (*e)[1] + x })
				capturing := func(x int) int { return x + i } // of the same size class
				if CheckFunc(f) != nil || CheckFunc(capturing) == nil {
					t.Error("a function was mistaken")
					return
				}
				if i%50 == 0 {
					kept = append(kept, f)
				}
			}
			for i, f := range kept {
				var c Codec
				b, err := c.Encode(nil, f)
				if err != nil {
					t.Error(err)
					return
				}
				v, _, err := c.Decode(b)
				if err != nil {
					t.Error(err)
					return
				}
				if got := v.(func(int) int)(1); got != w*1_000_000+i*50+1 {
					t.Errorf("worker %d, function %d: got %d", w, i, got)
				}
			}
		})
	}
	workers.Wait()
	close(stop)
	wg.Wait()
}

// What a bound function holds must die with it.
func TestBindDoesNotRetain(t *testing.T) {
	freed := make(chan struct{}, 1)
	func() {
		env := &[1 << 16]byte{}
		runtime.AddCleanup(env, func(struct{}) { freed <- struct{}{} }, struct{}{})
		if err := CheckFunc(Bind(env, func(e *[1 << 16]byte, i int) byte { return e[i] })); err != nil {
			t.Error(err)
		}
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			return
		default:
			runtime.Gosched()
		}
	}
	t.Error("the environment is still reachable")
}

func TestPosition(t *testing.T) {
	if got := Position(0); !strings.HasPrefix(got, "func_test.go:") {
		t.Error(got)
	}
	if got := UserPosition(); !strings.HasPrefix(got, "func_test.go:") {
		t.Error(got)
	}
	if got := Position(1000); got != "unknown" {
		t.Error(got)
	}
}

func TestDigest(t *testing.T) {
	a, err := Digest()
	if err != nil || len(a) != 64 {
		t.Fatal(a, err)
	}
}

func TestBigSlicesAreCopied(t *testing.T) {
	env := make([]float64, 1<<20)
	for i := range env {
		env[i] = float64(i)
	}
	var c Codec
	b, err := c.Encode(nil, Bind(env, func(e []float64, i int) float64 { return e[i] }))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}) || len(b) > 8<<20+200 {
		t.Errorf("%d bytes", len(b))
	}
	v, _, err := c.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.(func(int) float64)(1<<20 - 1); got != 1<<20-1 {
		t.Error(got)
	}
}

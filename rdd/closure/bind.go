package closure

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A binder is what a bound function is a method value of: the environment and
// the function of Bind, or the value of Call. Its concrete type carries the type
// arguments, so that a decoder can make the same function again.
//
// A func value does not tell its receiver's type, and cannot be given one. But
// its code address tells which method of which shape of binder it is, and with
// that where the receiver is, and each receiver starts with itself as an
// interface value. So the only thing to remember is the handful of code
// addresses that the method values have: nothing per function, nothing weak,
// nothing to clean up, and no address that could be reused for something else.
type binder interface {
	content() any  // pointer to what travels
	function() any // the function that the binder calls; nil for Call
	fn() any       // the bound function, made anew
	check() error  // whether content is complete
}

// header is the first field of every binder.
type header struct{ self binder }

// boundCode is the set of code addresses of binders' method values. It grows by
// one for each shape of type arguments that the program uses.
var boundCode struct {
	sync.Mutex
	set atomic.Pointer[map[uintptr]struct{}]
}

// funcval is a function value whose captured variables begin with a pointer.
// Method values of generic types are { code, receiver, dictionary }.
type funcval struct {
	code uintptr
	recv unsafe.Pointer
}

// register notes the code address of fn, which must be a method value with the
// receiver recv. Should a compiler ever lay it out otherwise, fn stays unknown
// and CheckFunc refuses it.
func register(fn any, recv unsafe.Pointer) {
	fv := (*funcval)(funcPointer(fn))
	if isBoundCode(fv.code) || fv.recv != recv {
		return
	}
	boundCode.Lock()
	defer boundCode.Unlock()
	set := map[uintptr]struct{}{fv.code: {}}
	if old := boundCode.set.Load(); old != nil {
		maps.Copy(set, *old)
	}
	boundCode.set.Store(&set)
}

func isBoundCode(code uintptr) bool {
	set := boundCode.set.Load()
	if set == nil {
		return false
	}
	_, ok := (*set)[code]
	return ok
}

// binderOf returns the binder that the function value at fv is a method value
// of, or nil. The first word of any function value is its code address; only
// where that is a binder's method is there a receiver to read.
func binderOf(fv unsafe.Pointer) binder {
	if !isBoundCode(*(*uintptr)(fv)) {
		return nil
	}
	return (*header)((*funcval)(fv).recv).self
}

// bindParts is what travels of a function made by Bind.
type bindParts[E, F any] struct {
	env E
	f   F
}

// callParts is what travels of a function made by Call.
type callParts[C any] struct{ call C }

func checkParts(f any) error {
	if funcPointer(f) == nil {
		return errors.New("the bound function is nil: give Bind a function")
	}
	return nil
}

func checkCall(c any) error {
	if c == nil {
		return errors.New("the value given to Call is nil: give it a value with a Call method")
	}
	return nil
}

// Bind returns a function that calls f with env before its own argument. f must
// capture nothing; env travels by value with the function: each process that
// decodes it has a copy, so what f changes in env stays where it ran.
//
// A method expression binds a receiver: Bind(m, Model.Predict) instead of
// m.Predict.
//
//go:noinline
func Bind[E, T, U any](env E, f func(E, T) U) func(T) U {
	b := &bound1[E, T, U]{p: bindParts[E, func(E, T) U]{env, f}}
	return b.bind()
}

// Bind2 is Bind for functions of two arguments.
//
//go:noinline
func Bind2[E, A, B, U any](env E, f func(E, A, B) U) func(A, B) U {
	b := &bound2[E, A, B, U]{p: bindParts[E, func(E, A, B) U]{env, f}}
	return b.bind()
}

// Bind3 is Bind for functions of three arguments.
//
//go:noinline
func Bind3[E, A, B, C, U any](env E, f func(E, A, B, C) U) func(A, B, C) U {
	b := &bound3[E, A, B, C, U]{p: bindParts[E, func(E, A, B, C) U]{env, f}}
	return b.bind()
}

// Bind0 is Bind for functions without further arguments.
//
//go:noinline
func Bind0[E, U any](env E, f func(E) U) func() U {
	b := &bound0[E, U]{p: bindParts[E, func(E) U]{env, f}}
	return b.bind()
}

// BindErr is Bind for functions that also return an error.
//
//go:noinline
func BindErr[E, T, U any](env E, f func(E, T) (U, error)) func(T) (U, error) {
	b := &boundErr[E, T, U]{p: bindParts[E, func(E, T) (U, error)]{env, f}}
	return b.bind()
}

// BindErr2 is BindErr for functions of two arguments.
//
//go:noinline
func BindErr2[E, A, B, U any](env E, f func(E, A, B) (U, error)) func(A, B) (U, error) {
	b := &boundErr2[E, A, B, U]{p: bindParts[E, func(E, A, B) (U, error)]{env, f}}
	return b.bind()
}

// BindDo is Bind for functions that return nothing.
//
//go:noinline
func BindDo[E, T any](env E, f func(E, T)) func(T) {
	b := &boundDo[E, T]{p: bindParts[E, func(E, T)]{env, f}}
	return b.bind()
}

// Call returns c's method Call as a function. It is how a generic function of
// the user's gives an operation a function: a literal there would capture a
// hidden dictionary, while the type of c carries the type arguments. All fields
// of c, unexported ones too, travel by value.
//
//go:noinline
func Call[T, U any](c interface{ Call(T) U }) func(T) U {
	b := &called1[T, U]{p: callParts[interface{ Call(T) U }]{c}}
	return b.bind()
}

// Call2 is Call for methods of two arguments.
//
//go:noinline
func Call2[A, B, U any](c interface{ Call(A, B) U }) func(A, B) U {
	b := &called2[A, B, U]{p: callParts[interface{ Call(A, B) U }]{c}}
	return b.bind()
}

// CallErr is Call for methods that also return an error.
//
//go:noinline
func CallErr[T, U any](c interface{ Call(T) (U, error) }) func(T) (U, error) {
	b := &calledErr[T, U]{p: callParts[interface{ Call(T) (U, error) }]{c}}
	return b.bind()
}

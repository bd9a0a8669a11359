package closure

import "unsafe"

// The binders: one type for each shape of function that Bind and Call make.
// They differ in signature alone, which Go's type parameters cannot range over.

type bound0[E, U any] struct {
	header
	p bindParts[E, func(E) U]
}

func (b *bound0[E, U]) call() U { return b.p.f(b.p.env) }

func (b *bound0[E, U]) bind() func() U {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *bound0[E, U]) content() any  { return &b.p }
func (b *bound0[E, U]) function() any { return b.p.f }
func (b *bound0[E, U]) fn() any       { return b.bind() }
func (b *bound0[E, U]) check() error  { return checkParts(b.p.f) }

type bound1[E, T, U any] struct {
	header
	p bindParts[E, func(E, T) U]
}

func (b *bound1[E, T, U]) call(x T) U { return b.p.f(b.p.env, x) }

func (b *bound1[E, T, U]) bind() func(T) U {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *bound1[E, T, U]) content() any  { return &b.p }
func (b *bound1[E, T, U]) function() any { return b.p.f }
func (b *bound1[E, T, U]) fn() any       { return b.bind() }
func (b *bound1[E, T, U]) check() error  { return checkParts(b.p.f) }

type bound2[E, A, B, U any] struct {
	header
	p bindParts[E, func(E, A, B) U]
}

func (b *bound2[E, A, B, U]) call(x A, y B) U { return b.p.f(b.p.env, x, y) }

func (b *bound2[E, A, B, U]) bind() func(A, B) U {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *bound2[E, A, B, U]) content() any  { return &b.p }
func (b *bound2[E, A, B, U]) function() any { return b.p.f }
func (b *bound2[E, A, B, U]) fn() any       { return b.bind() }
func (b *bound2[E, A, B, U]) check() error  { return checkParts(b.p.f) }

type bound3[E, A, B, C, U any] struct {
	header
	p bindParts[E, func(E, A, B, C) U]
}

func (b *bound3[E, A, B, C, U]) call(x A, y B, z C) U { return b.p.f(b.p.env, x, y, z) }

func (b *bound3[E, A, B, C, U]) bind() func(A, B, C) U {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *bound3[E, A, B, C, U]) content() any  { return &b.p }
func (b *bound3[E, A, B, C, U]) function() any { return b.p.f }
func (b *bound3[E, A, B, C, U]) fn() any       { return b.bind() }
func (b *bound3[E, A, B, C, U]) check() error  { return checkParts(b.p.f) }

type boundErr[E, T, U any] struct {
	header
	p bindParts[E, func(E, T) (U, error)]
}

func (b *boundErr[E, T, U]) call(x T) (U, error) { return b.p.f(b.p.env, x) }

func (b *boundErr[E, T, U]) bind() func(T) (U, error) {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *boundErr[E, T, U]) content() any  { return &b.p }
func (b *boundErr[E, T, U]) function() any { return b.p.f }
func (b *boundErr[E, T, U]) fn() any       { return b.bind() }
func (b *boundErr[E, T, U]) check() error  { return checkParts(b.p.f) }

type boundErr2[E, A, B, U any] struct {
	header
	p bindParts[E, func(E, A, B) (U, error)]
}

func (b *boundErr2[E, A, B, U]) call(x A, y B) (U, error) { return b.p.f(b.p.env, x, y) }

func (b *boundErr2[E, A, B, U]) bind() func(A, B) (U, error) {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *boundErr2[E, A, B, U]) content() any  { return &b.p }
func (b *boundErr2[E, A, B, U]) function() any { return b.p.f }
func (b *boundErr2[E, A, B, U]) fn() any       { return b.bind() }
func (b *boundErr2[E, A, B, U]) check() error  { return checkParts(b.p.f) }

type boundDo[E, T any] struct {
	header
	p bindParts[E, func(E, T)]
}

func (b *boundDo[E, T]) call(x T) { b.p.f(b.p.env, x) }

func (b *boundDo[E, T]) bind() func(T) {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *boundDo[E, T]) content() any  { return &b.p }
func (b *boundDo[E, T]) function() any { return b.p.f }
func (b *boundDo[E, T]) fn() any       { return b.bind() }
func (b *boundDo[E, T]) check() error  { return checkParts(b.p.f) }

type called1[T, U any] struct {
	header
	p callParts[interface{ Call(T) U }]
}

func (b *called1[T, U]) call(x T) U { return b.p.call.Call(x) }

func (b *called1[T, U]) bind() func(T) U {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *called1[T, U]) content() any  { return &b.p }
func (b *called1[T, U]) function() any { return nil }
func (b *called1[T, U]) fn() any       { return b.bind() }
func (b *called1[T, U]) check() error  { return checkCall(b.p.call) }

type called2[A, B, U any] struct {
	header
	p callParts[interface{ Call(A, B) U }]
}

func (b *called2[A, B, U]) call(x A, y B) U { return b.p.call.Call(x, y) }

func (b *called2[A, B, U]) bind() func(A, B) U {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *called2[A, B, U]) content() any  { return &b.p }
func (b *called2[A, B, U]) function() any { return nil }
func (b *called2[A, B, U]) fn() any       { return b.bind() }
func (b *called2[A, B, U]) check() error  { return checkCall(b.p.call) }

type calledErr[T, U any] struct {
	header
	p callParts[interface{ Call(T) (U, error) }]
}

func (b *calledErr[T, U]) call(x T) (U, error) { return b.p.call.Call(x) }

func (b *calledErr[T, U]) bind() func(T) (U, error) {
	b.self = b
	fn := b.call
	register(fn, unsafe.Pointer(b))
	return fn
}

func (b *calledErr[T, U]) content() any  { return &b.p }
func (b *calledErr[T, U]) function() any { return nil }
func (b *calledErr[T, U]) fn() any       { return b.bind() }
func (b *calledErr[T, U]) check() error  { return checkCall(b.p.call) }

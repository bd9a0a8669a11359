package rdd

import "github.com/spark-go/spark-go/rdd/closure"

// Bind gives a function the value that it needs: the result calls f(env, x), and env travels with it, by value. A function given to
// a dataset operation must not capture variables; Bind is how it gets them:
//
//	good := rdd.Filter(ratings, rdd.Bind(*min, func(min float32, r Rating) bool { return r.Value >= min }))
//
// Several values go in a struct. What f changes in env stays in the process where it ran.
func Bind[E, T, U any](env E, f func(E, T) U) func(T) U { return closure.Bind(env, f) }

// Bind0 is Bind for functions that need nothing but the bound value.
func Bind0[E, U any](env E, f func(E) U) func() U { return closure.Bind0(env, f) }

// Bind2 is Bind for functions of two arguments, such as those of Reduce.
func Bind2[E, A, B, U any](env E, f func(E, A, B) U) func(A, B) U { return closure.Bind2(env, f) }

// Bind3 is Bind for functions of three arguments.
func Bind3[E, A, B, C, U any](env E, f func(E, A, B, C) U) func(A, B, C) U {
	return closure.Bind3(env, f)
}

// BindErr is Bind for functions that also return an error.
func BindErr[E, T, U any](env E, f func(E, T) (U, error)) func(T) (U, error) {
	return closure.BindErr(env, f)
}

// BindErr2 is Bind for functions of two arguments that also return an error, such as those of MapPartitionsWithTask.
func BindErr2[E, A, B, U any](env E, f func(E, A, B) (U, error)) func(A, B) (U, error) {
	return closure.BindErr2(env, f)
}

// BindDo is Bind for functions that return nothing, such as those of Foreach.
func BindDo[E, T any](env E, f func(E, T)) func(T) { return closure.BindDo(env, f) }

// Call makes a function of a value with a Call method, whose fields travel. It is the way out for generic code: a function literal
// inside a generic function captures its type arguments and cannot travel, a generic struct can.
func Call[T, U any](c interface{ Call(T) U }) func(T) U { return closure.Call(c) }

// Call2 is Call for two arguments.
func Call2[A, B, U any](c interface{ Call(A, B) U }) func(A, B) U { return closure.Call2(c) }

// CallErr is Call for methods that also return an error.
func CallErr[T, U any](c interface{ Call(T) (U, error) }) func(T) (U, error) {
	return closure.CallErr(c)
}

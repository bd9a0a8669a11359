package rdd

import "github.com/spark-go/spark-go/rdd/closure"

// Bind gives a function the value that it needs: the result calls f(env, x), and env travels with it, by value. A function given to
// a dataset operation must not capture variables; Bind is how it gets them:
//
//	good := rdd.Filter(ratings, rdd.Bind(*min, func(min float32, r Rating) bool { return r.Value >= min }))
//
// Several values go in a struct.
func Bind[E, T, U any](env E, f func(E, T) U) func(T) U { return closure.Bind(env, f) }

// Bind2 is Bind for functions of two arguments, such as those of Reduce.
func Bind2[E, A, B, U any](env E, f func(E, A, B) U) func(A, B) U { return closure.Bind2(env, f) }

// Call makes a function of a value with a Call method, whose fields travel. It is the way out for generic code: a function literal
// inside a generic function captures its type arguments and cannot travel, a generic struct can.
func Call[T, U any](c interface{ Call(T) U }) func(T) U { return closure.Call(c) }

// Call2 is Call for two arguments.
func Call2[A, B, U any](c interface{ Call(A, B) U }) func(A, B) U { return closure.Call2(c) }

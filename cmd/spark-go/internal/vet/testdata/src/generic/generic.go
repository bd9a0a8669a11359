// Package generic has functions given to operations inside generic functions.
package generic

import "github.com/spark-go/spark-go/rdd"

func BadLiteral[T any](r rdd.RDD[T]) rdd.RDD[rdd.Pair[T, int]] {
	return rdd.Map(r, func(x T) rdd.Pair[T, int] { return rdd.Pair[T, int]{Key: x, Value: 1} }) // want `function given to rdd.Map is a literal in the generic function BadLiteral, which captures a hidden type dictionary: give a struct with a Call method through rdd.Call`
}

func BadLiteralWithoutT[T any](r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { return x + 1 }) // want `is a literal in the generic function BadLiteralWithoutT`
}

func BadCapturing[T any](r rdd.RDD[T], n int) rdd.RDD[int] {
	return rdd.Map(r, func(T) int { return n }) // want `captures n \(int\), and is a literal in the generic function BadCapturing`
}

func BadBound[T any](r rdd.RDD[T], n int) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(n, func(n int, _ T) int { return n })) // want `function given to rdd.Bind is a literal in the generic function BadBound`
}

type table[K comparable] struct{ n int }

func (t table[K]) BadMethodOfGeneric(r rdd.RDD[K]) rdd.RDD[int] {
	return rdd.Map(r, func(K) int { return 1 }) // want `is a literal in the generic function BadMethodOfGeneric`
}

func (t table[K]) size(k K) int { return t.n }

func BadInstance[T any](r rdd.RDD[T]) rdd.RDD[T] {
	return rdd.Map(r, identity[T]) // want `is instantiated with type parameters of the enclosing function`
}

func BadInferredInstance[T any](r rdd.RDD[T]) rdd.RDD[T] {
	return rdd.Map(r, identity) // want `is instantiated with type parameters`
}

func BadMethodExpression[K comparable](r rdd.RDD[table[K]], k K) {
	f := rdd.Map(rdd.Map(r, count), func(x int) int { return x }) // want `is instantiated` `is a literal in the generic function`
	_ = f
}

func BadMethodValue[K comparable](r rdd.RDD[K], t table[K]) rdd.RDD[int] {
	return rdd.Map(r, t.size) // want `is the method value t.size, which captures t \(table\[K\]\): in a generic function, give a struct`
}

func count[K comparable](t table[K]) int { return t.n }

func identity[T any](x T) T { return x }

func GoodInstance(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(rdd.Map(r, identity[int]), identity)
}

func GoodInstanceInGeneric[T any](r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, identity[int])
}

func GoodNamed[T any](r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, increment)
}

func increment(x int) int { return x + 1 }

func GoodCall[T any](r rdd.RDD[T]) rdd.RDD[rdd.Pair[T, int]] {
	return rdd.Map(r, rdd.Call(paired[T]{1}))
}

type paired[T any] struct{ N int }

func (p paired[T]) Call(x T) rdd.Pair[T, int] { return rdd.Pair[T, int]{Key: x, Value: p.N} }

func GoodParameter[T, U any](r rdd.RDD[T], f func(T) U) rdd.RDD[U] {
	return rdd.Map(r, f)
}

// Package flow gives functions to operations by way of variables and other functions.
package flow

import "github.com/spark-go/spark-go/rdd"

type predicate func(int) bool

var parse = func(s string) int { return len(s) }

func BadVariable(r rdd.RDD[int], n int) rdd.RDD[int] {
	add := func(x int) int { return x + n } // want `function given to rdd.Map captures n \(int\)`
	return rdd.Map(r, add)
}

func BadDeclaredVariable(r rdd.RDD[int], n int) rdd.RDD[int] {
	var keep predicate = func(x int) bool { return x > n } // want `function given to rdd.Filter captures n`
	return rdd.Filter(r, keep)
}

func BadConversion(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Filter(r, predicate(func(x int) bool { return x > n })) // want `captures n`
}

func BadBranches(r rdd.RDD[int], n int, up bool) rdd.RDD[int] {
	f := func(x int) int { return x }
	if up {
		f = func(x int) int { return x + n } // want `captures n`
	}
	return rdd.Map(r, f)
}

func BadMaker(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Filter(r, atLeast(3))
}

func atLeast(min int) func(int) bool {
	return func(x int) bool { return x >= min } // want `function given to rdd.Filter through atLeast captures min \(int\): bind it with rdd.Bind`
}

func BadHelper(r rdd.RDD[int], n int) rdd.RDD[int] {
	return keepTwice(r, func(x int) bool { return x > n }) // want `function given to keepTwice, which gives it to keep, captures n`
}

func keepTwice(r rdd.RDD[int], f func(int) bool) rdd.RDD[int] { return keep(keep(r, f), f) }

func keep(r rdd.RDD[int], f func(int) bool) rdd.RDD[int] { return rdd.Filter(r, f) }

func BadRecursive(r rdd.RDD[int]) rdd.RDD[int] {
	var fact func(int) int
	fact = func(x int) int { // want `captures fact \(func\(int\) int\): it calls itself through a variable; declare it as a function`
		if x == 0 {
			return 1
		}
		return x * fact(x-1)
	}
	return rdd.Map(r, fact)
}

func BadBothUses(a, b rdd.RDD[int], n int) {
	f := func(x int) int { return x + n } // want `function given to rdd.Map captures n`
	rdd.Map(a, f)
	rdd.Map(b, f)
}

func GoodVariable(r rdd.RDD[int]) rdd.RDD[int] {
	add := func(x int) int { return x + 1 }
	return rdd.Map(r, add)
}

func GoodBoundVariable(r rdd.RDD[int], n int) rdd.RDD[int] {
	add := rdd.Bind(n, func(n, x int) int { return x + n })
	return rdd.Map(r, add)
}

func GoodPackageVariable(r rdd.RDD[string]) rdd.RDD[int] { return rdd.Map(r, parse) }

func GoodParameter(r rdd.RDD[int], f func(int) int) rdd.RDD[int] { return rdd.Map(r, f) }

func GoodField(r rdd.RDD[int], s struct{ f func(int) int }) rdd.RDD[int] { return rdd.Map(r, s.f) }

func GoodElement(r rdd.RDD[int], fs []func(int) int) rdd.RDD[int] { return rdd.Map(r, fs[0]) }

func GoodMaker(r rdd.RDD[int]) rdd.RDD[int] { return rdd.Filter(r, above(3)) }

func above(n int) func(int) bool {
	return rdd.Bind(n, func(n, x int) bool { return x > n })
}

func GoodHelper(r rdd.RDD[int]) rdd.RDD[int] {
	return keep(r, func(x int) bool { return x > 2 })
}

func GoodCapturingVariableForDriver(r rdd.RDD[int], n int) (rdd.RDD[int], int) {
	add := func(x int) int { return x + n }
	return rdd.Map(r, increment), add(3)
}

func increment(x int) int { return x + 1 }

func GoodNil(r rdd.RDD[int]) rdd.RDD[int] { return rdd.Map[int, int](r, nil) }

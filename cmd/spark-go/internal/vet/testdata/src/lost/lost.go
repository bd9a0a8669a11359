// Package lost assigns to variables that executors do not share.
package lost

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/spark-go/spark-go/rdd"
)

var (
	total  int
	counts = map[string]int{}
	hits   atomic.Int64
	raw    int64
	once   sync.Once
	model  []float64
)

func BadSum(ctx context.Context, r rdd.RDD[int]) int {
	sum := 0
	rdd.Foreach(ctx, r, func(x int) { sum += x }) // want `captures sum \(int\): what it assigns to sum on an executor does not come back; use an accumulator or an action such as rdd.Reduce`
	return sum
}

func BadCount(r rdd.RDD[string]) rdd.RDD[string] {
	n := 0
	return rdd.Map(r, func(s string) string { n++; return s }) // want `captures n \(int\): what it assigns to n`
}

func BadMapEntry(r rdd.RDD[string]) rdd.RDD[string] {
	seen := map[string]bool{}
	return rdd.Filter(r, func(s string) bool { seen[s] = true; return true }) // want `what it assigns to seen`
}

func BadAppend(ctx context.Context, r rdd.RDD[int]) (all []int) {
	rdd.Foreach(ctx, r, func(x int) { all = append(all, x) }) // want `what it assigns to all`
	return all
}

func BadThroughPointer(r rdd.RDD[int], p *struct{ n int }) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { p.n = x; return x }) // want `what it assigns to p`
}

func BadDelete(r rdd.RDD[string], m map[string]int) rdd.RDD[string] {
	return rdd.Map(r, func(s string) string { delete(m, s); return s }) // want `what it assigns to m`
}

func BadInnerLiteral(r rdd.RDD[int]) rdd.RDD[int] {
	var n int
	_ = n
	return rdd.Map(r, func(x int) int { // want `what it assigns to n`
		func() { n = x }()
		return x
	})
}

func BadPackageVariable(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int {
		total += x // want `function given to rdd.Map changes package variable total: each executor has its own, so the change is lost; use an accumulator`
		return x
	})
}

func BadPackageMap(r rdd.RDD[string]) rdd.RDD[string] {
	return rdd.Map(r, func(s string) string {
		counts[s]++ // want `changes package variable counts`
		return s
	})
}

func BadPackageAtomic(r rdd.RDD[string]) rdd.RDD[string] {
	return rdd.Map(r, func(s string) string {
		hits.Add(1) // want `changes package variable hits`
		return s
	})
}

func BadPackageAtomicFunction(r rdd.RDD[string]) rdd.RDD[string] {
	return rdd.Map(r, func(s string) string {
		atomic.AddInt64(&raw, 1) // want `changes package variable raw`
		return s
	})
}

func BadDeclared(s string) string {
	counts[s] = 1 // want `function given to rdd.Map changes package variable counts`
	return s
}

func useDeclared(r rdd.RDD[string]) rdd.RDD[string] { return rdd.Map(r, BadDeclared) }

func BadInBind(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(n, func(n, x int) int {
		total = n // want `function given to rdd.Bind changes package variable total`
		return x
	}))
}

func GoodRead(r rdd.RDD[string]) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { return counts[s] + total + int(hits.Load()) })
}

func GoodOnce(r rdd.RDD[int]) rdd.RDD[float64] {
	return rdd.Map(r, func(x int) float64 {
		once.Do(func() { model = []float64{1} })
		return model[x]
	})
}

func GoodOnDriver(r rdd.RDD[int]) rdd.RDD[int] {
	total++
	return rdd.Map(r, func(x int) int { y := x; y++; return y })
}

func GoodOwnEnvironment(r rdd.RDD[int], buf []int) rdd.RDD[int] {
	return rdd.Map(r, rdd.Bind(buf, func(buf []int, x int) int { buf[0] = x; return x }))
}

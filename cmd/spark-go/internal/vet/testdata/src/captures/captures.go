// Package captures has literals that capture variables, and literals that do not.
package captures

import (
	"context"
	"iter"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/rdd"
)

type Rating struct {
	User  int
	Value float32
}

const floor = 0.5

var stopWords = map[string]bool{"the": true}

func BadOne(r rdd.RDD[Rating], min float32) rdd.RDD[Rating] {
	return rdd.Filter(r, func(x Rating) bool { return x.Value > min }) // want `^function given to rdd.Filter captures min \(float32\): bind it with rdd.Bind$`
}

func BadTwo(r rdd.RDD[Rating], min, max float32) rdd.RDD[Rating] {
	return rdd.Filter(r, func(x Rating) bool { return x.Value > min && x.Value < max }) // want `captures min \(float32\) and max \(float32\): bind them with rdd.Bind$`
}

func BadThree(r rdd.RDD[float64], a, b float64, c []int) rdd.RDD[float64] {
	return rdd.Map(r, func(x float64) float64 { return a*x + b + float64(c[0]) }) // want `captures a \(float64\), b \(float64\) and c \(\[\]int\): bind them`
}

func BadSlice(r rdd.RDD[[]float64]) rdd.RDD[float64] {
	w := []float64{1, 2}
	return rdd.Map(r, func(x []float64) float64 { // want `function given to rdd.Map captures w \(\[\]float64\): bind it with rdd.Bind`
		return x[0] * w[0]
	})
}

func BadMethodOperation(r rdd.RDD[int], k int) rdd.RDD[int] {
	return r.Filter(func(x int) bool { return x%k == 0 }) // want `function given to RDD.Filter captures k \(int\)`
}

func BadFlatMap(r rdd.RDD[string], sep string) rdd.RDD[string] {
	return rdd.FlatMap(r, func(s string) []string { return strings.Split(s, sep) }) // want `rdd.FlatMap captures sep \(string\)`
}

func BadBinary(r rdd.RDD[rdd.Pair[string, int]], cap int) rdd.RDD[rdd.Pair[string, int]] {
	return rdd.ReduceByKey(r, func(a, b int) int { return min(a+b, cap) }) // want `rdd.ReduceByKey captures cap \(int\): bind it with rdd.Bind2`
}

func BadSecondFunction(r rdd.RDD[rdd.Pair[string, int]], cap int) rdd.RDD[rdd.Pair[string, int]] {
	return rdd.AggregateByKey(r, 0,
		func(a, b int) int { return a + b },
		func(a, b int) int { return min(a+b, cap) }, // want `rdd.AggregateByKey captures cap \(int\): bind it with rdd.Bind2`
	)
}

func BadPartitions(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.MapPartitions(r, func(rows iter.Seq[int]) iter.Seq[int] { // want `rdd.MapPartitions captures n \(int\)`
		return func(yield func(int) bool) {
			for x := range rows {
				if !yield(x + n) {
					return
				}
			}
		}
	})
}

func BadAction(ctx context.Context, r rdd.RDD[float64], p float64) (float64, error) {
	return rdd.Reduce(ctx, r, func(a, b float64) float64 { return math.Pow(a, p) + b }) // want `rdd.Reduce captures p \(float64\): bind it with rdd.Bind2`
}

func BadLoopVariable(r rdd.RDD[int]) {
	for i := range 10 {
		rdd.Map(r, func(x int) int { return x * i }) // want `captures i \(int\)`
	}
}

func BadShapeWithoutBind(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.MapPartitionsWithTask(r, func(t *rdd.Task, rows iter.Seq[int]) (iter.Seq[int], error) { // want `captures n \(int\): no rdd.Bind takes a function of this shape; give a struct with a Call method through rdd.Call`
		_ = n
		return rows, nil
	})
}

func BadForeach(ctx context.Context, r rdd.RDD[int], prefix string) error {
	return rdd.Foreach(ctx, r, func(x int) { println(prefix, x) }) // want `rdd.Foreach captures prefix \(string\): bind it with rdd.BindDo`
}

func BadFallible(r rdd.RDD[string], base int) rdd.RDD[int64] {
	return rdd.TryMap(r, func(s string) (int64, error) { return strconv.ParseInt(s, base, 64) }) // want `captures base \(int\): bind it with rdd.BindErr`
}

func BadTwoResults(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Collate(r, func(x int) (int, bool) { return n, true }) // want `captures n \(int\): no rdd.Bind takes`
}

func BadInsideBind(r rdd.RDD[Rating], min, max float32) rdd.RDD[Rating] {
	return rdd.Filter(r, rdd.Bind(min, func(min float32, x Rating) bool { // want `function given to rdd.Bind captures max \(float32\): add it to the environment`
		return x.Value > min && x.Value < max
	}))
}

func BadStandaloneBind(min int) func(int) bool {
	n := 3
	return rdd.Bind(min, func(min, x int) bool { return x > min+n }) // want `function given to rdd.Bind captures n \(int\): add it`
}

func BadMap(r rdd.RDD[string], ids map[string]int) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { return ids[s] }) // want `captures ids \(map\[string\]int\)`
}

func BadBroadcast(r rdd.RDD[string], ids rdd.Broadcast[map[string]int]) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { return ids.Value()[s] }) // want `captures ids \(rdd.Broadcast\[map\[string\]int\]\): bind it with rdd.Bind`
}

func BadAccumulator(r rdd.RDD[string], bad *rdd.Accumulator[int]) rdd.RDD[int] {
	return rdd.Map(r, func(s string) int { // want `captures bad \(\*rdd.Accumulator\[int\]\): bind it with rdd.Bind`
		bad.Add(1)
		return 0
	})
}

func BadNestedLiteral(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { // want `captures n \(int\)`
		add := func(y int) int { return y + n }
		return add(x)
	})
}

func BadParenthesised(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Map(r, (func(x int) int { return x + n })) // want `captures n \(int\)`
}

func BadExplicitInstance(r rdd.RDD[int], n int) rdd.RDD[int] {
	return rdd.Map[int, int](r, func(x int) int { return x + n }) // want `captures n \(int\)`
}

func BadNamedResult(r rdd.RDD[int]) (out rdd.RDD[int], n int) {
	n = 4
	out = rdd.Map(r, func(x int) int { return x + n }) // want `captures n \(int\)`
	return out, n
}

func BadTypeSwitchVariable(r rdd.RDD[int], v any) rdd.RDD[int] {
	switch v := v.(type) {
	case int:
		return rdd.Map(r, func(x int) int { return x + v }) // want `captures v \(int\)`
	}
	return r
}

func BadStructField(r rdd.RDD[rdd.Pair[string, int]], n int) rdd.RDD[rdd.Pair[string, int]] {
	return rdd.CombineByKey(r, rdd.Combiner[int, int]{
		Create: func(v int) int { return v + n }, // want `function given to rdd.CombineByKey captures n \(int\)`
		Merge:  func(a, b int) int { return a + b },
	})
}

func BadPartitioner(n int) rdd.Partitioner[int] {
	return rdd.NewPartitioner(n, func(k int) int { return k % n }) // want `function given to rdd.NewPartitioner captures n \(int\)`
}

func BadOtherPackage(r rdd.RDD[float64], scale float64) []float64 {
	return clustering.Fit(r, func(a, b float64) float64 { return scale * (a - b) }) // want `function given to clustering.Fit captures scale \(float64\): bind it with rdd.Bind2`
}

type trainer struct {
	rate float64
	w    []float64
	next *trainer
}

func (t *trainer) BadReceiver(r rdd.RDD[float64]) rdd.RDD[float64] {
	return rdd.Map(r, func(x float64) float64 { return x * t.rate }) // want `captures t \(\*trainer\) for t.rate \(float64\): bind the field with rdd.Bind`
}

func (t *trainer) BadReceiverFields(r rdd.RDD[float64]) rdd.RDD[float64] {
	return rdd.Map(r, func(x float64) float64 { return x*t.rate + t.w[0] }) // want `captures t \(\*trainer\) for t.rate \(float64\) and t.w \(\[\]float64\): bind the fields with rdd.Bind`
}

func (t *trainer) BadWholeReceiver(r rdd.RDD[float64]) rdd.RDD[float64] {
	return rdd.Map(r, func(x float64) float64 { return score(t, x) }) // want `captures t \(\*trainer\): bind it with rdd.Bind`
}

func score(t *trainer, x float64) float64 { return x * t.rate }

func BadAddress(r rdd.RDD[int]) rdd.RDD[int] {
	var seed int
	return rdd.Map(r, func(x int) int { return bump(&seed) + x }) // want `captures seed \(int\): bind it with rdd.Bind; the address of seed is taken`
}

func bump(p *int) int { *p++; return *p }

func GoodNoCapture(r rdd.RDD[Rating]) rdd.RDD[Rating] {
	return rdd.Filter(r, func(x Rating) bool { return x.Value > 3 })
}

func GoodConstants(r rdd.RDD[Rating]) rdd.RDD[Rating] {
	const local = 2
	return rdd.Filter(r, func(x Rating) bool { return x.Value > floor+local })
}

func GoodPackageVariable(r rdd.RDD[string]) rdd.RDD[string] {
	return rdd.Filter(r, func(s string) bool { return !stopWords[s] })
}

func GoodOtherPackageVariable(r rdd.RDD[error]) rdd.RDD[error] {
	return rdd.Filter(r, func(err error) bool { return err != context.Canceled })
}

func GoodBind(r rdd.RDD[Rating], min float32) rdd.RDD[Rating] {
	return rdd.Filter(r, rdd.Bind(min, func(min float32, x Rating) bool { return x.Value > min }))
}

func GoodBindStruct(r rdd.RDD[Rating], min, max float32) rdd.RDD[Rating] {
	return rdd.Filter(r, rdd.Bind(struct{ min, max float32 }{min, max}, func(env struct{ min, max float32 }, x Rating) bool {
		return x.Value > env.min && x.Value < env.max
	}))
}

func GoodBind2(ctx context.Context, r rdd.RDD[float64], p float64) (float64, error) {
	return rdd.Reduce(ctx, r, rdd.Bind2(p, func(p, a, b float64) float64 { return math.Pow(a, p) + b }))
}

func GoodOwnLocals(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) (sum int) {
		total := 0
		add := func(y int) { total += y }
		for i := range x {
			add(i)
		}
		sum = total
		return sum
	})
}

func GoodLocalType(r rdd.RDD[int]) rdd.RDD[int] {
	type point struct{ x, y int }
	return rdd.Map(r, func(x int) int { return point{x: x, y: x}.y })
}

func GoodFieldKeysNamedLikeVariables(r rdd.RDD[int]) rdd.RDD[Rating] {
	User := 3
	_ = User
	return rdd.Map(r, func(x int) Rating { return Rating{User: x} })
}

func GoodShadowed(r rdd.RDD[int], n int) rdd.RDD[int] {
	_ = n
	return rdd.Map(r, func(n int) int { return n + 1 })
}

func GoodLabels(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int {
	outer:
		for i := range x {
			for range i {
				break outer
			}
		}
		return x
	})
}

func GoodDriverLoop(ctx context.Context, r rdd.RDD[int]) (sum int) {
	for x := range rdd.Iter(ctx, r) {
		sum += x
	}
	return sum
}

func GoodDriverIterator(s rdd.Session, n int) rdd.RDD[int] {
	return rdd.FromSeq(s, func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	})
}

func GoodDriverCallbacks(r rdd.RDD[int], n int, hosts []string) rdd.RDD[int] {
	r = rdd.Preferring(r, func(p int) []string { return hosts[p:] })
	return rdd.Transform(r, func(r rdd.RDD[int]) rdd.RDD[int] { _ = n; return r.Cache() })
}

func GoodNoDataset(limit float64) int {
	return clustering.Tune(3, func(a, b float64) bool { return a < b && a < limit })
}

func GoodOptions(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.SortBy(r, func(x int) int { return -x }, rdd.Descending())
}

func GoodTaskCallback(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.MapPartitionsWithTask(r, func(t *rdd.Task, rows iter.Seq[int]) (iter.Seq[int], error) {
		n := 3
		t.OnDone(func(bool) { n++ })
		_ = n
		return rows, nil
	})
}

func GoodOwnFunctions(xs []string, sep string) []string {
	each := func(f func(string) string) (out []string) {
		for _, x := range xs {
			out = append(out, f(x))
		}
		return out
	}
	return each(func(s string) string { return s + sep })
}

func GoodAddresses(r rdd.RDD[int]) rdd.RDD[*string] {
	return rdd.Map(r, func(x int) *string {
		var local [3]string
		part := local[:]
		env := &os.Args[0]
		return map[bool]*string{true: env, false: &part[x]}[x > 3]
	})
}

func BadMethodOfExpression(r rdd.RDD[string]) rdd.RDD[string] {
	return rdd.Map(r, strings.NewReplacer("a", "b").Replace) // want `is the method value strings.NewReplacer\("a", "b"\).Replace, which captures`
}

func BadPointerToLibrary(r rdd.RDD[int]) rdd.RDD[int] {
	args := &os.Args
	return rdd.Map(r, func(x int) int { return len(*args) }) // want `captures args \(\*\[\]string\): bind it`
}

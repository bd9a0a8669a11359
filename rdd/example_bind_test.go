package rdd_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleBind() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	type line struct{ Slope, Offset float64 } // several values go in a struct
	f := line{Slope: 2, Offset: 1}
	ys := rdd.Map(rdd.Parallelize(sc, []float64{0, 1, 2}, 2), rdd.Bind(f, func(f line, x float64) float64 { return f.Slope*x + f.Offset }))
	fmt.Println(ys.Collect(context.Background()))

	// Without Bind the function would capture f, and an executor could not have it.
	_, err := rdd.Map(ys, func(x float64) float64 { return x * f.Slope }).Collect(context.Background())
	fmt.Println(err != nil)
	// Output:
	// [1 3 5] <nil>
	// true
}

func ExampleBind0() {
	greet := rdd.Bind0("world", func(name string) string { return "hello, " + name })
	fmt.Println(greet())
	// Output: hello, world
}

func ExampleBind3() {
	inside := rdd.Bind3(10, func(limit, x, y, z int) bool { return x+y+z <= limit })
	fmt.Println(inside(1, 2, 3), inside(4, 5, 6))
	// Output: true false
}

func ExampleBindErr() {
	parse := rdd.BindErr(16, func(base int, s string) (int64, error) { return strconv.ParseInt(s, base, 64) })
	fmt.Println(parse("ff"))
	// Output: 255 <nil>
}

func ExampleBindErr2() {
	divide := rdd.BindErr2(errors.New("by zero"), func(cause error, a, b int) (int, error) {
		if b == 0 {
			return 0, cause
		}
		return a / b, nil
	})
	fmt.Println(divide(6, 3))
	fmt.Println(divide(6, 0))
	// Output:
	// 2 <nil>
	// 0 by zero
}

func ExampleBindDo() {
	show := rdd.BindDo("row", func(label string, x int) { fmt.Println(label, x) })
	show(7)
	// Output: row 7
}

// clip keeps sums of any number type below a limit.
type clip[T int | float64] struct{ Most T }

func (c clip[T]) Call(a, b T) T { return min(a+b, c.Most) }

func ExampleCall2() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Reduce(context.Background(), rdd.Parallelize(sc, []float64{1, 2, 3}, 2), rdd.Call2(clip[float64]{Most: 4.5})))
	// Output: 4.5 <nil>
}

// parser reads numbers of a base.
type parser struct{ Base int }

func (p parser) Call(s string) (int64, error) { return strconv.ParseInt(s, p.Base, 64) }

func ExampleCallErr() {
	parse := rdd.CallErr(parser{Base: 2})
	fmt.Println(parse("101"))
	// Output: 5 <nil>
}

func ExampleRDD_SetName() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Map(rdd.Range(sc, 0, 3, 1, 1), square).SetName("squares").Node().Name())
	// Output: squares
}

package closure_test

import (
	"errors"
	"fmt"

	"github.com/spark-go/spark-go/rdd/closure"
)

type rating struct {
	User, Item int32
	Value      float32
}

// What a function needs is bound to it and travels by value.
func ExampleBind() {
	least := float32(3)
	good := closure.Bind(least, func(least float32, r rating) bool { return r.Value >= least })

	var codec closure.Codec
	b, err := codec.Encode(nil, good)
	if err != nil {
		fmt.Println(err)
		return
	}
	// In another process that runs the same executable:
	v, _, err := codec.Decode(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(v.(func(rating) bool)(rating{Value: 4}), v.(func(rating) bool)(rating{Value: 2}))
	// Output: true false
}

func ExampleBind2() {
	weighted := closure.Bind2(0.5, func(w, a, b float64) float64 { return a + w*b })
	fmt.Println(weighted(1, 4))
	// Output: 3
}

// index is a function with type parameters, in the form that can travel.
type index[K comparable] struct{ position map[K]int }

func (x index[K]) Call(k K) int { return x.position[k] }

func indexer[K comparable](labels ...K) func(K) int {
	x := index[K]{map[K]int{}}
	for i, l := range labels {
		x.position[l] = i
	}
	return closure.Call(x)
}

// A generic function gives a value with a Call method where others would write
// a literal.
func ExampleCall() {
	f := indexer("red", "green", "blue")
	fmt.Println(f("blue"), closure.CheckFunc(f))
	// Output: 2 <nil>
}

func ExampleCheckFunc() {
	weights := []float64{1, 2}
	err := closure.CheckFunc(func(x float64) float64 { return x * weights[0] })
	var capture *closure.CaptureError
	fmt.Println(errors.As(err, &capture))
	fmt.Println(err)
	// Output:
	// true
	// the function github.com/spark-go/spark-go/rdd/closure_test.ExampleCheckFunc.func1 (example_test.go:65) captures variables: bind what it needs with rdd.Bind
}

// Values that belong to one process are refused with their path.
func ExampleCodec_Encode() {
	type environment struct{ Updates chan int }
	_, err := new(closure.Codec).Encode(nil, environment{make(chan int)})
	fmt.Println(err)
	// Output: encode closure_test.environment: Updates (chan int) cannot travel: a channel lives in one process: make it inside the function, or pass the data itself
}

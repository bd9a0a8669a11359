package rdd_test

import (
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleRDD_ToDebugString() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"a", "b", "a"}, 3).SetName("words").Cache()
	ones := rdd.Map(words, func(w string) rdd.Pair[string, int] { return rdd.Pair[string, int]{Key: w, Value: 1} })
	counts := rdd.ReduceByKey(ones, func(a, b int) int { return a + b }, 2)
	fmt.Println(rdd.Values(counts).ToDebugString())
	// Output:
	// (2) Values[3] at example_debug_test.go:16 []
	//  |  ReduceByKey[2] at example_debug_test.go:15 []
	//  +-(3) Map[1] at example_debug_test.go:14 []
	//     |  words Parallelize[0] at example_debug_test.go:13 [MEMORY_ONLY]
}

package rdd_test

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleSum() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Sum(context.Background(), rdd.Range(sc, 1, 101, 1, 4)))
	// Output: 5050 <nil>
}

func ExampleStats() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	s, err := rdd.Stats(context.Background(), rdd.Parallelize(sc, []float64{2, 4, 4, 4, 5, 5, 7, 9}, 3))
	fmt.Println(s, err)
	fmt.Printf("%.4f\n", s.SampleVariance())
	// Output:
	// (count: 8, mean: 5, stdev: 2, max: 9, min: 2) <nil>
	// 4.5714
}

func ExampleStatCounter() {
	var a, b rdd.StatCounter
	a.Add(1)
	a.Add(2)
	b.Add(6)
	a.Merge(b)
	fmt.Println(a.Count(), a.Mean(), a.Sum())
	// Output: 3 3 9
}

func ExampleMean() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Mean(context.Background(), rdd.Parallelize(sc, []int{1, 2, 6}, 2)))
	// Output: 3 <nil>
}

func ExampleVariance() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Variance(context.Background(), rdd.Parallelize(sc, []int{1, 3, 5, 7}, 2)))
	// Output: 5 <nil>
}

func ExampleSampleVariance() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.SampleVariance(context.Background(), rdd.Parallelize(sc, []int{1, 2, 3}, 2)))
	// Output: 1 <nil>
}

func ExampleStdev() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Stdev(context.Background(), rdd.Parallelize(sc, []int{2, 4, 4, 4, 5, 5, 7, 9}, 2)))
	// Output: 2 <nil>
}

func ExampleSampleStdev() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.SampleStdev(context.Background(), rdd.Parallelize(sc, []int{1, 2, 3}, 2)))
	// Output: 1 <nil>
}

func ExampleHistogram() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Histogram(context.Background(), rdd.Range(sc, 0, 51, 1, 3), 2))
	// Output: [0 25 50] [25 26] <nil>
}

func ExampleHistogramBuckets() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Parallelize(sc, []float64{1, 10, 19, 20, 40, 50, 99}, 2)
	fmt.Println(rdd.HistogramBuckets(context.Background(), r, []float64{1, 10, 20, 50}))
	// Output: [1 2 3] <nil>
}

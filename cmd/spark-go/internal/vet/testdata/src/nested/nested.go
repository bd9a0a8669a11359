// Package nested uses datasets and the driver inside functions.
package nested

import (
	"context"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

var (
	users rdd.RDD[int]
	sc    = driver.New(driver.Name("nested"))
)

func BadCapturedDataset(ctx context.Context, r, other rdd.RDD[int]) rdd.RDD[int64] {
	return rdd.Map(r, func(x int) int64 { // want `captures other \(rdd.RDD\[int\]\) and ctx \(context.Context\): other is a dataset, which cannot travel to executors; functions cannot use datasets; join the two, or collect one and broadcast it; ctx is a context`
		n, _ := rdd.Filter(other, func(y int) bool { return x == y }).Count(ctx)
		return n
	})
}

func BadPackageDataset(r rdd.RDD[int]) rdd.RDD[bool] {
	return rdd.Map(r, func(x int) bool {
		_ = users // want `function given to rdd.Map uses dataset users \(rdd.RDD\[int\]\): datasets exist on the driver only`
		return true
	})
}

func BadPackageContext(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int {
		return sc.DefaultPartitions() // want `uses sc \(\*driver.Context\), which exists on the driver only`
	})
}

func BadNewDriver(r rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int {
		return driver.New().DefaultPartitions() // want `starts a driver: only the program's main may`
	})
}

func BadSlices(r rdd.RDD[int], parts []rdd.RDD[int]) rdd.RDD[int] {
	return rdd.Map(r, func(x int) int { return len(parts) }) // want `parts\[…\] is a dataset`
}

func GoodSequential(ctx context.Context, r rdd.RDD[int]) (rdd.RDD[int], error) {
	rows, err := users.Collect(ctx)
	if err != nil {
		return r, err
	}
	sc.AddListener(func(event string) { println(event, len(rows)) })
	return rdd.Map(r, rdd.Bind(rows, func(rows []int, x int) int { return rows[x] })), nil
}

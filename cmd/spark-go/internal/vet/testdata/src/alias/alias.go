// Package alias knows package rdd by another name.
package alias

import spark "github.com/spark-go/spark-go/rdd"

func BadRenamed(r spark.RDD[int], n int) spark.RDD[int] {
	return spark.Map(r, func(x int) int { return x + n }) // want `function given to rdd.Map captures n \(int\): bind it with rdd.Bind`
}

func GoodRenamed(r spark.RDD[int], n int) spark.RDD[int] {
	return spark.Map(r, spark.Bind(n, func(n, x int) int { return x + n }))
}

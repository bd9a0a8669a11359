// Package clustering stands for a package of the module above rdd.
package clustering

import "github.com/spark-go/spark-go/rdd"

func Fit[T any](r rdd.RDD[T], distance func(a, b T) float64) []T { return nil }
func Tune(trials int, better func(a, b float64) bool) int        { return 0 }

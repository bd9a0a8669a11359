package fixes

import "github.com/spark-go/spark-go/rdd"

func typeNotImported(r dataset) dataset {
	start := now()
	return rdd.Map(r, func(x int) int { return x + start.Day() }) // want `captures start`
}

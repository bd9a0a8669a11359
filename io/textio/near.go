package textio

import (
	"context"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

// near places tasks on the hosts that store what they read.
func near[T any](r rdd.RDD[T], partitions [][]Split) rdd.RDD[T] {
	ranges := make([][]filesys.Range, len(partitions))
	for i, splits := range partitions {
		for _, s := range splits {
			ranges[i] = append(ranges[i], filesys.Range{URI: s.URI, Offset: s.Offset, Length: s.Length})
		}
	}
	hosts := filesys.PreferredHosts(context.Background(), ranges)
	return rdd.Preferring(r, func(p int) []string { return hosts[p] })
}

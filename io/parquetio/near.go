package parquetio

import (
	"context"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

// near places tasks on the hosts that store their row groups. Where in its file a split begins follows from the splits before it, because
// row groups lie one after the other; what was left out between them only blurs the choice.
func near[T any](r rdd.RDD[T], partitions [][]Split) rdd.RDD[T] {
	begin := map[string]int64{}
	ranges := make([][]filesys.Range, len(partitions))
	for i, splits := range partitions {
		for _, s := range splits {
			ranges[i] = append(ranges[i], filesys.Range{URI: s.URI, Offset: begin[s.URI], Length: s.Bytes})
			begin[s.URI] += s.Bytes
		}
	}
	hosts := filesys.PreferredHosts(context.Background(), ranges)
	return rdd.Preferring(r, func(p int) []string { return hosts[p] })
}

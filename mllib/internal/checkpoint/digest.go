package checkpoint

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Digest names the content of some slices, each of numbers of a fixed size or of texts, and its length.
func Digest(slices ...any) string {
	h := sha256.New()
	for _, s := range slices {
		if texts, ok := s.([]string); ok {
			fmt.Fprintln(h, len(texts))
			for _, t := range texts {
				fmt.Fprintln(h, len(t), t)
			}
			continue
		}
		fmt.Fprintln(h, binary.Size(s))
		_ = binary.Write(h, binary.LittleEndian, s) // a hash takes everything, and the types are fixed
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Blocks digests the partitions of a dataset of blocks, one digest each.
func Blocks(ctx context.Context, blocks rdd.RDD[linalg.Block]) ([]string, error) {
	return rdd.RunPartitions(ctx, blocks, "CheckpointDigest", rdd.PartitionFunc[linalg.Block, string](digestBlocks{}), nil)
}

type digestBlocks struct{}

// Run implements rdd.PartitionFunc.
func (digestBlocks) Run(t *rdd.Task, _ int, in rdd.Stream[linalg.Block]) (string, error) {
	var all []string
	err := rdd.EachBatch(t, in, func(blocks []linalg.Block) error {
		for i := range blocks {
			d, s := &blocks[i].Dense, &blocks[i].Sparse
			shape := []int64{int64(d.Rows), int64(d.Cols), int64(s.Rows), int64(s.Cols)}
			all = append(all, Digest(shape, d.F64, d.F32, d.Labels, d.Weights, s.Start, s.Index, s.Values, s.Labels, s.Weights))
		}
		return nil
	})
	return Digest(all), err
}

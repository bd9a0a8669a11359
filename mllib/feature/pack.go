package feature

import (
	"fmt"
	"io"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Pack makes a dataset of blocks of rows, each of about the given bytes (0 means 1 MiB), with weights if weighted is true. Blocks of rows that are mostly zeros are sparse. The rows of a
// partition have the same number of features.
func Pack(rows rdd.RDD[linalg.Instance], weighted bool, bytes int) rdd.RDD[linalg.Block] {
	op := packOp{Rows: rows, Weighted: weighted, Bytes: bytes}
	return rdd.New(rows.Session(), "Pack", rdd.Op[linalg.Block](op), rows.NumPartitions(), nil, rdd.Narrow{Node: rows.Node()})
}

type packOp struct {
	Rows     rdd.RDD[linalg.Instance]
	Weighted bool
	Bytes    int
}

// Compute implements rdd.Op.
func (o packOp) Compute(t *rdd.Task, p int) (rdd.Stream[linalg.Block], error) {
	in, err := o.Rows.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &packStream{in: in, pack: linalg.Packer{Weighted: o.Weighted, Bytes: o.Bytes}, partition: p}, nil
}

type packStream struct {
	in        rdd.Stream[linalg.Instance]
	pack      linalg.Packer
	partition int
	rows      []linalg.Instance
	ended     bool
}

// Next implements rdd.Stream.
func (s *packStream) Next() ([]linalg.Block, error) {
	for !s.ended {
		for len(s.rows) > 0 {
			err := s.pack.Add(&s.rows[0])
			if err != nil {
				return nil, fmt.Errorf("partition %d: %w", s.partition, err)
			}
			s.rows = s.rows[1:]
			if s.pack.Full() {
				b, _ := s.pack.Take()
				return []linalg.Block{b}, nil
			}
		}
		var err error
		if s.rows, err = s.in.Next(); err == io.EOF {
			s.ended = true
		} else if err != nil {
			return nil, err
		}
	}
	if b, ok := s.pack.Take(); ok {
		return []linalg.Block{b}, nil
	}
	return nil, io.EOF
}

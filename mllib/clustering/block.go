package clustering

import (
	"errors"
	"fmt"
	"math"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// survey is what the first pass learns of the points.
type survey struct {
	rows   int64
	cols   int
	sparse bool    // some are
	starts []int64 // number of the first point of each partition
	sums   []float64
}

func (s survey) mean() []float64 {
	m := make([]float64, len(s.sums))
	for j, v := range s.sums {
		m[j] = v / float64(s.rows)
	}
	return m
}

var (
	errNoPoints  = errors.New("there are no points: check the input and its filters")
	errNoColumns = errors.New("points have no numbers: name the columns that they consist of")
)

func colsError(p, cols, other, want int) error {
	return fmt.Errorf("points of partition %d have %d numbers, those of partition %d %d: all points have as many", p, cols, other, want)
}

// lookAt checks, counts and sums the points.
func lookAt(parts []surveyed) (survey, error) {
	var s survey
	first := -1
	for p, part := range parts {
		s.starts = append(s.starts, s.rows)
		if part.Rows == 0 {
			continue
		}
		if first < 0 {
			first, s.cols, s.sums = p, part.Cols, make([]float64, part.Cols)
		}
		if part.Cols != s.cols {
			return s, colsError(p, part.Cols, first, s.cols)
		}
		s.rows += part.Rows
		s.sparse = s.sparse || part.Sparse
		for j, v := range part.Sums {
			s.sums[j] += v
		}
	}
	switch {
	case s.rows == 0:
		return s, errNoPoints
	case s.cols == 0:
		return s, errNoColumns
	}
	return s, nil
}

// surveyed is the survey of a partition.
type surveyed struct {
	Rows   int64
	Cols   int
	Sparse bool
	Sums   []float64
}

// surveyBlocks refuses what cannot be clustered and surveys the rest.
type surveyBlocks struct{}

// Run implements rdd.PartitionFunc.
func (surveyBlocks) Run(t *rdd.Task, p int, in rdd.Stream[linalg.Block]) (surveyed, error) {
	var s surveyed
	var x []float64
	return s, eachBlock(t, in, func(b *linalg.Block) error {
		if err := b.Check(); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		if s.Rows == 0 {
			s.Cols = b.Cols()
			s.Sums, x = make([]float64, s.Cols), make([]float64, s.Cols)
		}
		if b.Cols() != s.Cols {
			return colsError(p, b.Cols(), p, s.Cols)
		}
		s.Sparse = s.Sparse || b.Sparse.Rows > 0
		for i := range b.Rows() {
			b.CopyRow(i, x)
			bad := 0.0
			for j, v := range x {
				s.Sums[j] += v
				bad += v * 0 // NaN for NaN and infinities
			}
			if w := b.Weight(i); !(w >= 0) || math.IsInf(w, 0) {
				return fmt.Errorf("point %d of partition %d has the weight %v: weights are finite and at least 0", s.Rows, p, w)
			}
			if bad != 0 {
				return notFinite(s.Rows, p, x)
			}
			s.Rows++
		}
		return nil
	})
}

func notFinite(row int64, p int, x []float64) error {
	for j, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("point %d of partition %d has %v as its number %d: drop or fill such rows first", row, p, v, j)
		}
	}
	return nil
}

// unitOp scales points to length one.
type unitOp struct{ Blocks rdd.RDD[linalg.Block] }

func scaled(blocks rdd.RDD[linalg.Block]) rdd.RDD[linalg.Block] {
	return rdd.New(blocks.Session(), "KMeansUnit", rdd.Op[linalg.Block](unitOp{blocks}), blocks.NumPartitions(), nil, rdd.Narrow{Node: blocks.Node()})
}

// Compute implements rdd.Op.
func (o unitOp) Compute(t *rdd.Task, p int) (rdd.Stream[linalg.Block], error) {
	in, err := o.Blocks.Compute(t, p)
	return &unitStream{in: in, partition: p}, err
}

type unitStream struct {
	in        rdd.Stream[linalg.Block]
	partition int
	row       int
}

// Next implements rdd.Stream.
func (s *unitStream) Next() ([]linalg.Block, error) {
	blocks, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	out := make([]linalg.Block, len(blocks))
	for i := range blocks {
		if out[i], err = s.scale(&blocks[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *unitStream) scale(b *linalg.Block) (out linalg.Block, err error) {
	if err := b.Check(); err != nil {
		return out, fmt.Errorf("partition %d: %w", s.partition, err)
	}
	out = *b // the block itself may be cached
	x := make([]float64, b.Cols())
	dense, sparse := &out.Dense, &out.Sparse
	dense.F64, dense.F32, sparse.Values = nil, nil, nil
	for i := range b.Rows() {
		b.CopyRow(i, x)
		length := norm(x)
		if !(length > 0) || math.IsInf(length, 0) {
			if err := notFinite(int64(s.row), s.partition, x); err != nil {
				return out, err
			}
			return out, fmt.Errorf("point %d of partition %d has length %v and thus no direction: cosine distance needs one", s.row, s.partition, length)
		}
		s.row++
		if dense.Rows > 0 {
			for _, v := range x {
				dense.F64 = append(dense.F64, v/length)
			}
			continue
		}
		index, _ := b.Sparse.Row(i)
		for _, j := range index {
			sparse.Values = append(sparse.Values, x[j]/length)
		}
	}
	return out, nil
}

func eachBlock(t *rdd.Task, in rdd.Stream[linalg.Block], f func(*linalg.Block) error) error {
	return rdd.EachBatch(t, in, func(blocks []linalg.Block) error {
		for i := range blocks {
			if err := f(&blocks[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

package clustering

import (
	"context"
	"fmt"
	"io"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// scan finds the nearest centres for the points of blocks. It travels to the tasks.
type scan struct {
	Centers []float64 // K vectors, one after the other, relative to Shift
	K       int
	Shift   []float64 // subtracted from each point; nil means nothing
}

// tileRows is how many points are looked at together: few enough that they stay in the nearest cache.
const tileRows = 64

// each calls f for every point with its coordinates less Shift, valid until f returns, its nearest centre and the square of the distance.
func (s scan) each(b *block, f func(row int, x []float64, nearest int, square float64)) {
	d := b.cols()
	panels := linalg.NewPanels(s.Centers, s.K, d)
	tile := make([]float64, tileRows*d)
	var index [tileRows]int32
	var score [tileRows]float64
	for first := 0; first < b.rows(); first += tileRows {
		n := min(tileRows, b.rows()-first)
		for i := range n {
			b.copyRow(first+i, tile[i*d:(i+1)*d], s.Shift)
		}
		panels.Nearest(tile[:n*d], index[:n], score[:n])
		for i := range n {
			x, c := tile[i*d:(i+1)*d], int(index[i])
			f(first+i, x, c, linalg.SquaredDistance(x, s.Centers[c*d:(c+1)*d]))
		}
	}
}

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

// surveyed is the part of a partition.
type surveyed struct {
	Rows   int64
	Cols   int
	Sparse bool
	Sums   []float64
}

type surveyBlocks struct{}

// Run implements rdd.PartitionFunc.
func (surveyBlocks) Run(_ *rdd.Task, p int, in rdd.Stream[block]) (surveyed, error) {
	var s surveyed
	var x []float64
	return s, eachBlock(in, func(b *block) error {
		if s.Rows == 0 {
			s.Cols = b.cols()
			s.Sums, x = make([]float64, s.Cols), make([]float64, s.Cols)
		}
		if b.cols() != s.Cols {
			return colsError(p, b.cols(), p, s.Cols)
		}
		s.Rows += int64(b.rows())
		if b.Sparse.Rows > 0 {
			s.Sparse = true
			return nil
		}
		for i := range b.rows() {
			b.copyRow(i, x, nil)
			for j, v := range x {
				s.Sums[j] += v
			}
		}
		return nil
	})
}

func colsError(p, cols, other, want int) error {
	return fmt.Errorf("points of partition %d have %d numbers, those of partition %d %d: all points have as many", p, cols, other, want)
}

func eachBlock(in rdd.Stream[block], f func(*block) error) error {
	for {
		rows, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range rows {
			if err := f(&rows[i]); err != nil {
				return err
			}
		}
	}
}

// lookAt makes the blocks, and counts and sums their points.
func lookAt(ctx context.Context, blocks rdd.RDD[block]) (survey, error) {
	parts, err := rdd.RunPartitions(ctx, blocks, "KMeansSurvey", rdd.PartitionFunc[block, surveyed](surveyBlocks{}), nil)
	if err != nil {
		return survey{}, err
	}
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

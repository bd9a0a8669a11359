package classification

import (
	"fmt"
	"math"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/stat"
	"github.com/spark-go/spark-go/rdd"
)

// derive makes the dataset of an operation on partitions of another.
func derive[U any](parent *rdd.Node, op rdd.Op[U], kind string) rdd.RDD[U] {
	return rdd.New(parent.Session(), kind, op, parent.Partitions(), nil, rdd.Narrow{Node: parent})
}

// eachBlock calls f for every block of a partition until the task is cancelled.
func eachBlock(t *rdd.Task, blocks rdd.RDD[linalg.Block], p int, f func(b *linalg.Block) error) error {
	in, err := blocks.Compute(t, p)
	if err != nil {
		return err
	}
	return rdd.EachBatch(t, in, func(batch []linalg.Block) error {
		for i := range batch {
			if err := t.Context().Err(); err != nil { // a batch may take seconds
				return err
			}
			if err := f(&batch[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// overview is what the first job learns of a dataset.
type overview struct {
	Columns stat.Summary
	Classes []float64 // weight of each label
	Rows    int64
	Dense   bool // some block is dense
}

func (o *overview) merge(p *overview) error {
	if err := o.Columns.Merge(&p.Columns); err != nil {
		return err
	}
	for len(o.Classes) < len(p.Classes) {
		o.Classes = append(o.Classes, 0)
	}
	for k, w := range p.Classes {
		o.Classes[k] += w
	}
	o.Rows += p.Rows
	o.Dense = o.Dense || p.Dense
	return nil
}

// mostClasses bounds labels: one that is larger was not meant to number a class.
const mostClasses = 1 << 20

// overviewOp looks at each partition.
type overviewOp struct {
	Blocks   rdd.RDD[linalg.Block]
	Weighted bool
	Names    []string
}

// Compute implements rdd.Op.
func (o overviewOp) Compute(t *rdd.Task, p int) (rdd.Stream[overview], error) {
	var v overview
	err := eachBlock(t, o.Blocks, p, func(b *linalg.Block) error {
		if err := o.look(&v, b); err != nil {
			return fmt.Errorf("partition %d: %w", p, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rdd.StreamOf([]overview{v}), nil
}

func (o overviewOp) look(v *overview, b *linalg.Block) error {
	if err := b.Check(); err != nil {
		return err
	}
	rows := b.Rows()
	if rows == 0 {
		return nil
	}
	labels, weights := b.Labels(), b.Weights()
	if labels == nil {
		return fmt.Errorf("there are no labels: training needs one a row")
	}
	if !o.Weighted {
		unweighted := *b // the block itself may be cached
		unweighted.Dense.Weights, unweighted.Sparse.Weights = nil, nil
		b = &unweighted
	} else if weights == nil {
		return fmt.Errorf("the rows have no weights: give each one, or leave Weighted unset")
	}
	for i, y := range labels {
		row := v.Rows + int64(i)
		if !(y >= 0 && y < mostClasses) || y != math.Trunc(y) {
			return fmt.Errorf("row %d has label %v: labels are the numbers of classes, 0, 1, 2, …: index them first, as stat.CountLabels does", row, y)
		}
		w := 1.0
		if o.Weighted {
			if w = weights[i]; !(w >= 0) || math.IsInf(w, 0) {
				return fmt.Errorf("row %d has weight %v: weights are finite and not negative", row, w)
			}
		}
		for int(y) >= len(v.Classes) {
			v.Classes = append(v.Classes, 0)
		}
		v.Classes[int(y)] += w
	}
	var here stat.Summary
	if err := here.Add(b); err != nil {
		return err
	}
	for j, m2 := range here.M2 {
		if math.IsNaN(m2) || math.IsInf(m2, 0) || math.IsNaN(here.Mean[j]) {
			return o.notFinite(v.Rows, b, j)
		}
	}
	v.Rows += int64(rows)
	v.Dense = v.Dense || b.Dense.Rows > 0
	return v.Columns.Merge(&here)
}

// notFinite finds the row that made column j of a block a NaN.
func (o overviewOp) notFinite(before int64, b *linalg.Block, j int) error {
	e := make([]float64, b.Cols())
	e[j] = 1
	y := make([]float64, 1)
	for i := range b.Rows() {
		if b.Dense.Rows > 0 {
			buf := make([]float64, b.Dense.Cols)
			y[0] = b.Dense.Row(i, buf)[j]
		} else {
			y[0] = 0
			index, values := b.Sparse.Row(i)
			for k, c := range index {
				if int(c) == j && values != nil {
					y[0] = values[k]
				}
			}
		}
		if math.IsNaN(y[0]) || math.IsInf(y[0], 0) {
			return fmt.Errorf("row %d has %v in column %s: drop such rows or fill them in", before+int64(i), y[0], column(o.Names, j))
		}
	}
	return fmt.Errorf("the squares of column %s overflow float64: scale it", column(o.Names, j))
}

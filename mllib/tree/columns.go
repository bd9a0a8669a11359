package tree

import (
	"fmt"
	"io"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Columns is some consecutive rows, column by column: how wide data reaches the trainers without a slice for each row. All columns have
// Rows values.
type Columns struct {
	Rows     int
	Labels   []float64
	Weights  []float64 // nil unless Settings.Weighted is set
	Features []Column
}

// Column is the values of a feature: float32 where that holds all of them, which halves the memory, else float64.
type Column struct {
	Float32s []float32
	Float64s []float64
}

// ColumnOf makes a column of values, as float32 if no bit is lost. Only the float64 form refers to the values.
func ColumnOf(values []float64) Column {
	for _, v := range values {
		if float64(float32(v)) != v && v == v {
			return Column{Float64s: values}
		}
	}
	narrow := make([]float32, len(values))
	for i, v := range values {
		narrow[i] = float32(v)
	}
	return Column{Float32s: narrow}
}

// Len is the number of values.
func (c *Column) Len() int { return len(c.Float32s) + len(c.Float64s) }

// At is value i.
func (c *Column) At(i int) float64 {
	if c.Float32s != nil {
		return float64(c.Float32s[i])
	}
	return c.Float64s[i]
}

// check says what is wrong with the shape of a batch.
func (c *Columns) check(features int, weighted bool) error {
	if len(c.Labels) != c.Rows {
		return fmt.Errorf("a batch of %d rows has %d labels", c.Rows, len(c.Labels))
	}
	if weighted && len(c.Weights) != c.Rows {
		return fmt.Errorf("a batch of %d rows has %d weights: give each row one, or leave Weighted unset", c.Rows, len(c.Weights))
	}
	if len(c.Features) != features {
		return fmt.Errorf("a row has %d features, another %d: all rows need the same", len(c.Features), features)
	}
	for f := range c.Features {
		if n := c.Features[f].Len(); n != c.Rows {
			return fmt.Errorf("a batch of %d rows has %d values of feature %d", c.Rows, n, f)
		}
	}
	return nil
}

// ColumnsOf turns rows into columns, up to 8192 rows at a time.
func ColumnsOf(rows rdd.RDD[linalg.Instance]) rdd.RDD[Columns] {
	return rdd.New(rows.Session(), "ColumnsOf", rdd.Op[Columns](columnsOp{rows}), rows.NumPartitions(), nil, rdd.Narrow{Node: rows.Node()})
}

const batchRows = 8192

type columnsOp struct{ Rows rdd.RDD[linalg.Instance] }

// Compute implements rdd.Op.
func (o columnsOp) Compute(t *rdd.Task, p int) (rdd.Stream[Columns], error) {
	in, err := o.Rows.Compute(t, p)
	return &columnsStream{in: in}, err
}

type columnsStream struct {
	in   rdd.Stream[linalg.Instance]
	rest []linalg.Instance
	err  error
	one  [1]Columns
}

// Next implements rdd.Stream.
func (s *columnsStream) Next() ([]Columns, error) {
	var c Columns
	var features [][]float64
	for c.Rows < batchRows {
		if len(s.rest) == 0 {
			if s.err == nil {
				s.rest, s.err = s.in.Next()
			}
			if s.err != nil {
				break
			}
			continue
		}
		r := &s.rest[0]
		s.rest = s.rest[1:]
		if c.Rows == 0 {
			features = make([][]float64, r.Features.Size)
		}
		if err := r.Features.Check(); err != nil {
			return nil, fmt.Errorf("a row's features: %w", err)
		}
		if r.Features.Size != len(features) {
			return nil, fmt.Errorf("a row has %d features, the one before it %d: all rows need the same", r.Features.Size, len(features))
		}
		if r.Features.IsSparse() {
			for f := range features {
				features[f] = append(features[f], 0)
			}
			for i, f := range r.Features.Index {
				features[f][c.Rows] = r.Features.Values[i]
			}
		} else {
			for f, v := range r.Features.Values {
				features[f] = append(features[f], v)
			}
		}
		c.Labels = append(c.Labels, r.Label)
		c.Weights = append(c.Weights, r.Weight)
		c.Rows++
	}
	if s.err != nil && s.err != io.EOF || c.Rows == 0 {
		return nil, s.err
	}
	c.Features = make([]Column, len(features))
	for f := range features {
		c.Features[f] = ColumnOf(features[f])
	}
	s.one[0] = c
	return s.one[:], nil
}

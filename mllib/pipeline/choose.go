package pipeline

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// Split deals the rows out by chance to a table to train on, which gets about the given share of them, and one to test on. The same seed and partitions give the same rows.
func (t Table) Split(train float64, seed int64) (training, test Table) {
	if !(train > 0 && train < 1) && t.err == nil {
		t.err = fmt.Errorf("split a table: the share to train on is %v: give a number above 0 and below 1", train)
	}
	of := part{train, 1}
	return t.choose(nil, chooseOp{Of: of, Seed: seed}), t.choose(nil, chooseOp{Of: of, Seed: seed, Test: true})
}

// DropMissing leaves out the rows that have no value (nil, null or NaN) in one of some columns, such as the label.
func (t Table) DropMissing(columns ...string) Table {
	var required Schema
	for _, name := range columns {
		f, ok := t.schema.Field(name)
		if !ok && t.err == nil {
			t.err = fmt.Errorf("drop rows without a value: there is no column %q: there are %s", name, list(t.schema.Names()))
		}
		required = append(required, f)
	}
	return t.choose(required, chooseOp{})
}

// Coalesce puts the rows into at most n partitions, neighbours together.
func (t Table) Coalesce(n int) Table {
	out := t
	out.read = func(columns Schema) (rdd.RDD[parquetio.Batch], error) {
		batches, err := t.columns(columns)
		if err == nil && batches.NumPartitions() > n {
			batches = rdd.Coalesce(batches, n)
			err = batches.Err()
		}
		return batches, err
	}
	return out
}

// Count is the number of rows.
func (t Table) Count(ctx context.Context) (int64, error) {
	batches, err := t.columns(t.schema[:min(1, len(t.schema))])
	if err != nil {
		return 0, err
	}
	return rdd.Aggregate(ctx, batches, 0, func(n int64, b parquetio.Batch) int64 { return n + int64(b.Rows) }, func(a, b int64) int64 { return a + b })
}

// choose makes a table of some rows, of which it takes required columns to know.
func (t Table) choose(required Schema, op chooseOp) Table {
	out := t
	out.read = func(columns Schema) (rdd.RDD[parquetio.Batch], error) {
		op, wanted := op, slices.Clone(columns)
		for i := range columns {
			op.Columns = append(op.Columns, i)
		}
		for _, c := range required {
			at := slices.Index(wanted, c)
			if at < 0 {
				at = len(wanted)
				wanted = append(wanted, c)
			}
			op.Required = append(op.Required, at)
		}
		var err error
		if op.Batches, err = t.columns(wanted); err != nil {
			return op.Batches, err
		}
		return op.dataset(), nil
	}
	return out
}

// part is the rows whose number, drawn from 0 to 1, lies from From up to but not including To. Of its zero value nothing is drawn.
type part struct{ From, To float64 }

// chooseOp chooses columns and rows of batches. What is drawn for a row follows from the seed, the partition and the place of the row there.
type chooseOp struct {
	Batches  rdd.RDD[parquetio.Batch]
	Columns  []int
	Required []int // rows that have no value in one of these columns are left out
	Of       part
	Test     bool // rows of the part; else all others
	Seed     int64
}

func (o chooseOp) dataset() rdd.RDD[parquetio.Batch] {
	return rdd.New(o.Batches.Session(), "ChooseRows", rdd.Op[parquetio.Batch](o), o.Batches.NumPartitions(), nil, rdd.Narrow{Node: o.Batches.Node()})
}

// Compute implements rdd.Op.
func (o chooseOp) Compute(t *rdd.Task, p int) (rdd.Stream[parquetio.Batch], error) {
	in, err := o.Batches.Compute(t, p)
	return &chooseStream{op: o, in: in, seed: mix(mix(uint64(o.Seed)) + uint64(p))}, err
}

type chooseStream struct {
	op   chooseOp
	in   rdd.Stream[parquetio.Batch]
	seed uint64 // of the partition
	seen uint64
	out  []parquetio.Batch
	keep []int32
}

// mix spreads the bits of a number (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Next implements rdd.Stream.
func (s *chooseStream) Next() ([]parquetio.Batch, error) {
	batches, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	s.out = s.out[:0]
	for i := range batches {
		b := &batches[i]
		chosen := parquetio.Batch{Rows: b.Rows}
		for _, c := range s.op.Columns {
			chosen.Columns = append(chosen.Columns, b.Columns[c])
		}
		if s.op.Of.To > 0 || len(s.op.Required) > 0 {
			s.keep = s.keep[:0]
			for row := range b.Rows {
				if s.chosen(b, row) {
					s.keep = append(s.keep, int32(row))
				}
			}
			chosen.Rows = len(s.keep)
			for c := range chosen.Columns {
				pick(&chosen.Columns[c], s.keep)
			}
		}
		s.seen += uint64(b.Rows)
		s.out = append(s.out, chosen)
	}
	return s.out, nil
}

// chosen tells whether to keep a row.
func (s *chooseStream) chosen(b *parquetio.Batch, row int) bool {
	for _, i := range s.op.Required {
		if c := &b.Columns[i]; c.IsNull(row) || c.Float64s != nil && math.IsNaN(c.Float64s[row]) {
			return false
		}
	}
	if s.op.Of.To == 0 {
		return true
	}
	x := float64(mix(s.seed+s.seen+uint64(row))>>11) / (1 << 53)
	return (x >= s.op.Of.From && x < s.op.Of.To) == s.op.Test
}

// pick keeps some rows of a column, whose slices are shared with others.
func pick(c *parquetio.Column, rows []int32) {
	c.Float64s, c.Strings, c.Valid = picked(c.Float64s, rows), picked(c.Strings, rows), picked(c.Valid, rows)
}

func picked[V any](values []V, rows []int32) []V {
	if values == nil {
		return nil
	}
	out := make([]V, len(rows))
	for i, row := range rows {
		out[i] = values[row]
	}
	return out
}

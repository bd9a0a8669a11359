package pipeline

import (
	"context"
	"fmt"
	"math"
	"reflect"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

var nan = math.NaN()

// Table is the rows that a pipeline trains on or scores: a dataset of structs, or Parquet files. A pipeline reads only the columns that it uses.
type Table struct {
	schema Schema
	read   func(columns Schema) (rdd.RDD[parquetio.Batch], error)
	err    error
	kept   bool // its columns are cached already
}

// Rows makes a table of a dataset of structs; see [SchemaOf].
func Rows[T any](rows rdd.RDD[T]) Table {
	schema, err := SchemaOf[T]()
	if err == nil {
		err = rows.Err()
	}
	return Table{schema: schema, err: err, read: func(columns Schema) (rdd.RDD[parquetio.Batch], error) {
		if _, err := choose(reflect.TypeFor[T](), columns); err != nil {
			return rdd.RDD[parquetio.Batch]{}, err
		}
		op := columnsOp[T]{Rows: rows, Columns: columns}
		return rdd.New(rows.Session(), "Columns", rdd.Op[parquetio.Batch](op), rows.NumPartitions(), nil, rdd.Narrow{Node: rows.Node()}), nil
	}}
}

// ReadParquet makes a table of Parquet files: uri is a file, a directory, a glob or a comma list. Structs come straight from the columns' pages.
func ReadParquet(ctx context.Context, s rdd.Session, uri string, minPartitions ...int) (Table, error) {
	schema, err := ParquetSchema(ctx, uri)
	if err != nil {
		return Table{}, err
	}
	return Table{schema: schema, read: func(columns Schema) (rdd.RDD[parquetio.Batch], error) {
		selected := make([]parquetio.Select, len(columns))
		for i, c := range columns {
			f, ok := schema.Field(c.Name)
			if !ok || f.Kind != c.Kind {
				return rdd.RDD[parquetio.Batch]{}, fmt.Errorf("%s has no column %q of kind %s: it has %s", uri, c.Name, c.Kind, list(schema.Names()))
			}
			selected[i] = parquetio.Select{Name: f.Name, Kind: parquetio.Float64}
			if c.Kind == Text {
				selected[i].Kind = parquetio.String
			}
		}
		batches := parquetio.ReadColumns(s, uri, selected, minPartitions...)
		return batches, batches.Err()
	}}, nil
}

// Schema is the columns of the table.
func (t Table) Schema() Schema { return t.schema }

// columns reads some columns of the table, in that order.
func (t Table) columns(columns Schema) (rdd.RDD[parquetio.Batch], error) {
	if t.err != nil {
		return rdd.RDD[parquetio.Batch]{}, t.err
	}
	if t.read == nil {
		return rdd.RDD[parquetio.Batch]{}, errNoTable
	}
	return t.read(columns)
}

// columnsOp turns structs into columns, so that all that follows is compiled once whatever the rows are.
type columnsOp[T any] struct {
	Rows    rdd.RDD[T]
	Columns Schema
}

// Compute implements rdd.Op.
func (o columnsOp[T]) Compute(t *rdd.Task, p int) (rdd.Stream[parquetio.Batch], error) {
	in, err := o.Rows.Compute(t, p)
	if err != nil {
		return nil, err
	}
	fields, err := choose(reflect.TypeFor[T](), o.Columns)
	if err != nil {
		return nil, err
	}
	s := &columnsStream[T]{in: in}
	s.take = taker{fields: fields, of: func(i int) reflect.Value { return reflect.ValueOf(&s.rows[i]).Elem() }}
	return s, nil
}

type columnsStream[T any] struct {
	in   rdd.Stream[T]
	rows []T
	take taker
	one  [1]parquetio.Batch
}

// Next implements rdd.Stream.
func (s *columnsStream[T]) Next() (_ []parquetio.Batch, err error) {
	for {
		if s.rows, err = s.in.Next(); err != nil {
			return nil, err
		}
		if len(s.rows) > 0 {
			s.one[0] = s.take.batch(len(s.rows))
			return s.one[:], nil
		}
	}
}

// taker takes columns out of structs.
type taker struct {
	fields []structField
	of     func(row int) reflect.Value
}

func (t taker) batch(rows int) parquetio.Batch {
	b := parquetio.Batch{Rows: rows, Columns: make([]parquetio.Column, len(t.fields))}
	for i, f := range t.fields {
		c := &b.Columns[i]
		c.Name = f.Name
		if c.Kind = parquetio.Float64; f.Kind == Text {
			c.Kind = parquetio.String
			c.Strings = make([]string, rows)
		} else {
			c.Float64s = make([]float64, rows)
		}
		for row := range rows {
			v := t.of(row).FieldByIndex(f.index)
			if f.null {
				if v.IsNil() {
					if c.Valid == nil {
						c.Valid = make([]bool, rows)
						for k := range c.Valid {
							c.Valid[k] = true
						}
					}
					c.Valid[row] = false
					continue
				}
				v = v.Elem()
			}
			if f.Kind == Text {
				c.Strings[row] = v.String()
			} else {
				c.Float64s[row] = number(v)
			}
		}
	}
	return b
}

// eachRow calls f for every row of a partition, loaded into the registers of a machine; errors name the row.
func eachRow(t *rdd.Task, p int, in rdd.Stream[parquetio.Batch], m *machine, f func() error) error {
	seen := int64(0)
	return rdd.EachBatch(t, in, func(batches []parquetio.Batch) error {
		for i := range batches {
			b := &batches[i]
			for row := range b.Rows {
				err := m.run(b, row)
				if err == nil {
					err = f()
				}
				if err != nil && err != ErrSkipped {
					return fmt.Errorf("row %d of partition %d: %w", seen+int64(row), p, err)
				}
			}
			seen += int64(b.Rows)
		}
		return nil
	})
}

// load copies a row of a batch into registers.
func (m *machine) load(b *parquetio.Batch, row int) {
	for i, s := range m.inputs {
		c := &b.Columns[i]
		switch null := c.IsNull(row); {
		case s.kind == Text && null:
			m.texts[s.at] = text{}
		case s.kind == Text:
			m.texts[s.at] = text{c.Strings[row], true}
		case null:
			m.nums[s.at] = nan
		default:
			m.nums[s.at] = c.Float64s[row]
		}
	}
}

// stream maps the rows of a partition.
type stream[T any] struct {
	in      rdd.Stream[parquetio.Batch]
	m       *machine
	p       int
	seen    int64
	rest    []parquetio.Batch
	row     int
	out     []T
	collect func(out []T) ([]T, error)
}

// Next implements rdd.Stream.
func (s *stream[T]) Next() (_ []T, err error) {
	s.out = s.out[:0]
	for {
		if len(s.rest) == 0 {
			if len(s.out) > 0 {
				return s.out, nil
			}
			if s.rest, err = s.in.Next(); err != nil {
				return nil, err
			}
			continue
		}
		b := &s.rest[0]
		for s.row < b.Rows && len(s.out) < rdd.BatchRows {
			err := s.m.run(b, s.row)
			if err == nil {
				s.out, err = s.collect(s.out)
			}
			if err != nil && err != ErrSkipped {
				return nil, fmt.Errorf("row %d of partition %d: %w", s.seen+int64(s.row), s.p, err)
			}
			s.row++
		}
		if s.row == b.Rows {
			s.seen += int64(b.Rows)
			s.rest, s.row = s.rest[1:], 0
		}
		if len(s.out) >= rdd.BatchRows {
			return s.out, nil
		}
	}
}

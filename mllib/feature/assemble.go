// Package feature turns tables into what trainers take.
//
// # Blocks
//
// [Assembler] is Spark's VectorAssembler for tables whose columns are known only when the program runs: it puts numeric columns of
// Parquet batches side by side into row-major blocks, without a struct or vector a row in between.
//
// # Invariants
//
//   - Blocks hold the rows in their order, one block a batch.
//   - Nothing is made up: a null, which a matrix cannot hold, is an error that names the column, or drops its row if that is asked for.
package feature

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// Invalid is what to do with rows that have a null.
type Invalid string

// The ways, Spark's.
const (
	Error Invalid = "error" // fail and name the column, the default
	Skip  Invalid = "skip"  // leave the row out
)

// Assembler says which columns become the matrix.
type Assembler struct {
	// Features are the columns: numbers, booleans (0 and 1) or lists of numbers that have one length in all rows. Empty means every column of
	// numbers or booleans that is not excluded, a label or a weight.
	Features []string
	Exclude  []string
	Label    string // column of labels, numbers; empty means none
	Weight   string // column of weights, numbers; empty means that each is 1
	Invalid  Invalid
}

// Read makes blocks of Parquet files: uri is a file, a directory, a glob or a comma list. It reads the schema of the first file now, and
// returns the names of the feature columns besides.
func (a Assembler) Read(ctx context.Context, s rdd.Session, uri string, minPartitions ...int) (rdd.RDD[linalg.DenseBlock], []string, error) {
	none := rdd.RDD[linalg.DenseBlock]{}
	schema, err := parquetio.ReadSchema(ctx, uri)
	if err != nil {
		return none, nil, err
	}
	op := assembleOp{Invalid: cmp.Or(a.Invalid, Error), Float32: true, Label: -1, Weight: -1}
	if op.Invalid != Error && op.Invalid != Skip {
		return none, nil, fmt.Errorf("feature.Assembler: Invalid is %q: %q or %q", a.Invalid, Error, Skip)
	}
	if len(a.Features) == 0 {
		if a.Features, err = a.all(uri, schema); err != nil {
			return none, nil, err
		}
	}
	var columns []parquetio.Select
	for _, name := range a.Features {
		f, err := number(uri, schema, name)
		if err != nil {
			return none, nil, err
		}
		op.Float32 = op.Float32 && exact32(f)
		columns = append(columns, parquetio.Select{Name: name, Kind: parquetio.Float64})
	}
	op.Features = len(columns)
	for _, extra := range []struct {
		name string
		at   *int
	}{{a.Label, &op.Label}, {a.Weight, &op.Weight}} {
		if extra.name == "" {
			continue
		}
		f, err := number(uri, schema, extra.name)
		if err == nil && f.Type == "list" {
			err = fmt.Errorf("column %q of %s is a list: name a column of numbers", extra.name, uri)
		}
		if err != nil {
			return none, nil, err
		}
		*extra.at = len(columns)
		columns = append(columns, parquetio.Select{Name: extra.name, Kind: parquetio.Float64})
	}
	op.Batches = parquetio.ReadColumns(s, uri, columns, minPartitions...)
	return rdd.New(s, "Assemble", rdd.Op[linalg.DenseBlock](op), op.Batches.NumPartitions(), op.Batches.Err(), rdd.Narrow{Node: op.Batches.Node()}), a.Features, nil
}

// all lists the columns that can be features.
func (a Assembler) all(uri string, schema parquetio.Schema) ([]string, error) {
	out := append(slices.Clone(a.Exclude), a.Label, a.Weight)
	var names []string
	for _, name := range a.Exclude {
		if _, ok := schema.Field(name); !ok {
			return nil, fmt.Errorf("%s has no column %q that could be excluded: it has %s", uri, name, strings.Join(columnNames(schema), ", "))
		}
	}
	for _, f := range schema.Fields {
		if numeric(f) && f.Type != "list" && !slices.Contains(out, f.Name) {
			names = append(names, f.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no column of numbers left for features: it has %s", uri, strings.Join(columnNames(schema), ", "))
	}
	return names, nil
}

func columnNames(s parquetio.Schema) []string {
	names := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		names[i] = f.Name
	}
	return names
}

// numeric tells whether a column, or a list's elements, can be read as float64.
func numeric(f parquetio.Field) bool {
	if f.Type == "list" && len(f.Fields) == 1 {
		f = f.Fields[0]
	}
	switch f.Type {
	case "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64":
		return true
	}
	return false
}

// exact32 tells whether float32 holds every value of the column.
func exact32(f parquetio.Field) bool {
	if f.Type == "list" {
		f = f.Fields[0]
	}
	switch f.Type {
	case "bool", "int8", "int16", "uint8", "uint16", "float16", "float32":
		return true
	}
	return false
}

func number(uri string, schema parquetio.Schema, name string) (parquetio.Field, error) {
	f, ok := schema.Field(name)
	if !ok {
		return f, fmt.Errorf("%s has no column %q: name one of %s", uri, name, strings.Join(columnNames(schema), ", "))
	}
	if !numeric(f) {
		return f, fmt.Errorf("column %q of %s is %s: name a column of numbers", name, uri, f.Type)
	}
	return f, nil
}

// assembleOp turns batches into blocks.
type assembleOp struct {
	Batches       rdd.RDD[parquetio.Batch]
	Features      int // the first columns of a batch
	Label, Weight int // columns of a batch, or -1
	Float32       bool
	Invalid       Invalid
}

// Compute implements rdd.Op.
func (o assembleOp) Compute(t *rdd.Task, p int) (rdd.Stream[linalg.DenseBlock], error) {
	in, err := o.Batches.Compute(t, p)
	return &assembleStream{op: o, in: in, partition: p}, err
}

type assembleStream struct {
	op        assembleOp
	in        rdd.Stream[parquetio.Batch]
	partition int
	row       int // of the partition
	cols      int // features, known from the first row on
	out       [1]linalg.DenseBlock
}

// Next implements rdd.Stream.
func (s *assembleStream) Next() ([]linalg.DenseBlock, error) {
	for {
		batches, err := s.in.Next()
		if err != nil {
			return nil, err
		}
		// A batch is a row of its dataset, so one comes at a time.
		if len(batches) != 1 {
			return nil, fmt.Errorf("assemble features: %d batches came at once: read them with parquetio.ReadColumns", len(batches))
		}
		if s.out[0], err = s.block(batches[0]); err != nil {
			return nil, err
		}
		s.row += batches[0].Rows
		if s.out[0].Rows > 0 {
			return s.out[:], nil
		}
	}
}

func (s *assembleStream) block(b parquetio.Batch) (out linalg.DenseBlock, err error) {
	keep, err := s.valid(b)
	if err != nil {
		return out, err
	}
	if out.Rows = b.Rows; keep != nil {
		out.Rows = len(keep)
	}
	if out.Rows == 0 {
		return out, nil
	}
	if out.Cols, err = s.width(b, keep); err != nil {
		return out, err
	}
	if s.op.Float32 {
		out.F32 = fill[float32](b.Columns[:s.op.Features], keep, out.Rows, out.Cols)
	} else {
		out.F64 = fill[float64](b.Columns[:s.op.Features], keep, out.Rows, out.Cols)
	}
	if s.op.Label >= 0 {
		out.Labels = fill[float64](b.Columns[s.op.Label:s.op.Label+1], keep, out.Rows, 1)
	}
	if s.op.Weight >= 0 {
		out.Weights = fill[float64](b.Columns[s.op.Weight:s.op.Weight+1], keep, out.Rows, 1)
	}
	return out, nil
}

// valid lists the rows without nulls; nil means all.
func (s *assembleStream) valid(b parquetio.Batch) (keep []int32, err error) {
	var bad []bool
	for c := range b.Columns {
		column := &b.Columns[c]
		if column.Valid == nil {
			continue
		}
		for i, ok := range column.Valid[:b.Rows] {
			if ok {
				continue
			}
			if s.op.Invalid == Error {
				return nil, fmt.Errorf("assemble features: column %q is null in row %d of partition %d: drop or fill such rows first, or ask for %q", column.Name, s.row+i, s.partition, Skip)
			}
			if bad == nil {
				bad = make([]bool, b.Rows)
			}
			bad[i] = true
		}
	}
	if bad == nil {
		return nil, nil
	}
	keep = make([]int32, 0, b.Rows)
	for i, isBad := range bad {
		if !isBad {
			keep = append(keep, int32(i))
		}
	}
	return keep, nil
}

// width is the number of features, the same in every row.
func (s *assembleStream) width(b parquetio.Batch, keep []int32) (int, error) {
	cols := 0
	for c := range b.Columns[:s.op.Features] {
		column := &b.Columns[c]
		if !column.IsList() {
			cols++
			continue
		}
		n := -1
		for k := range b.Rows {
			if keep != nil {
				if k >= len(keep) {
					break
				}
				k = int(keep[k])
			}
			from, to := column.Bounds(k)
			if n < 0 {
				n = to - from
			}
			if to-from != n {
				return 0, fmt.Errorf("assemble features: the list %q has %d numbers in row %d of partition %d, %d before: all lists of a column of features are of one length", column.Name, to-from, s.row+k, s.partition, n)
			}
		}
		cols += n
	}
	if s.cols > 0 && cols != s.cols {
		return 0, fmt.Errorf("assemble features: the rows from %d on of partition %d have %d features, those before %d: all lists of a column of features are of one length", s.row, s.partition, cols, s.cols)
	}
	s.cols = cols
	return cols, nil
}

// fill lays columns out as rows.
func fill[F float32 | float64](columns []parquetio.Column, keep []int32, rows, cols int) []F {
	x := make([]F, rows*cols)
	at := 0
	for c := range columns {
		column := &columns[c]
		width := 1
		if column.IsList() {
			from, to := column.Bounds(0)
			if keep != nil {
				from, to = column.Bounds(int(keep[0]))
			}
			width = to - from
		}
		for i := range rows {
			from := i
			if keep != nil {
				from = int(keep[i])
			}
			if width == 1 && !column.IsList() {
				x[i*cols+at] = F(column.Float64s[from])
				continue
			}
			from, to := column.Bounds(from)
			for j, v := range column.Float64s[from:to] {
				x[i*cols+at+j] = F(v)
			}
		}
		at += width
	}
	return x
}

package feature

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// blockBytes is the size of a block's features.
const blockBytes = 1 << 20

// ReadBlocks makes a dataset of blocks of the rows of Parquet files: uri is a file, a directory, a glob or a comma list. Blocks hold float32 where that is exact
// for all columns of features, else float64. A null is an error that names its column.
func ReadBlocks(ctx context.Context, s rdd.Session, uri string, c Columns, minPartitions ...int) (rdd.RDD[linalg.Block], error) {
	none := rdd.RDD[linalg.Block]{}
	schema, err := parquetio.ReadSchema(ctx, uri)
	if err != nil {
		return none, err
	}
	if err := c.check(schema, uri); err != nil {
		return none, err
	}
	if c.Sparse && c.Size == 0 {
		if c.Size, err = SparseSize(ctx, s, uri, c.List); err != nil {
			return none, err
		}
	}
	op := blocksOp{Columns: c, Single: c.single(schema)}
	selected, features := c.selected(schema)
	op.Features = features
	op.Batches = parquetio.ReadColumns(s, uri, selected, minPartitions...)
	return rdd.New(s, "ReadBlocks", rdd.Op[linalg.Block](op), op.Batches.NumPartitions(), nil, rdd.Narrow{Node: op.Batches.Node()}), nil
}

// blocksOp makes blocks of batches of columns: first those of the features, then the label's and the weight's if there are any.
type blocksOp struct {
	Batches  rdd.RDD[parquetio.Batch]
	Columns  Columns
	Features int // columns
	Single   bool
}

// Compute implements rdd.Op.
func (o blocksOp) Compute(t *rdd.Task, p int) (rdd.Stream[linalg.Block], error) {
	in, err := o.Batches.Compute(t, p)
	if err != nil {
		return nil, err
	}
	s := &blockStream{op: o, in: in, partition: p}
	if len(o.Columns.Texts) > 0 {
		s.texts = make(map[string]float64, len(o.Columns.Texts))
		for i, name := range o.Columns.Texts {
			s.texts[name] = float64(i)
		}
	}
	if len(o.Columns.Numbers) > 0 {
		s.numbers = make(map[float64]float64, len(o.Columns.Numbers))
		for i, x := range o.Columns.Numbers {
			s.numbers[x] = float64(i)
		}
		if other, ok := OtherNegative(o.Columns.Numbers); ok {
			s.numbers[other] = 0
		}
	}
	if o.Columns.From != 0 || o.Columns.To != 0 {
		s.random = rand.New(rand.NewPCG(o.Columns.Seed, uint64(p)))
	}
	return s, nil
}

type blockStream struct {
	op        blocksOp
	in        rdd.Stream[parquetio.Batch]
	partition int
	texts     map[string]float64
	numbers   map[float64]float64
	random    *rand.Rand
	width     int   // of lists
	seen      int64 // rows before the batch
	out       []linalg.Block
}

// Next implements rdd.Stream.
func (s *blockStream) Next() ([]linalg.Block, error) {
	for {
		batches, err := s.in.Next()
		if err != nil {
			return nil, err
		}
		s.out = s.out[:0]
		for i := range batches {
			if err := s.batch(&batches[i]); err != nil {
				return nil, err
			}
			s.seen += int64(batches[i].Rows)
		}
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
}

// batch appends the blocks of a batch.
func (s *blockStream) batch(b *parquetio.Batch) error {
	for i := range b.Columns {
		if c := &b.Columns[i]; c.Valid != nil {
			if row := slices.Index(c.Valid, false); row >= 0 {
				return fmt.Errorf("row %d of partition %d has no value in column %q: drop such rows or fill them in", s.seen+int64(row), s.partition, c.Name)
			}
		}
	}
	rows := s.choose(b.Rows)
	labels, weights, err := s.labels(b, rows)
	if err != nil {
		return err
	}
	switch c := &s.op.Columns; {
	case c.Sparse:
		return s.sparse(&b.Columns[0], rows, labels, weights)
	case c.List != "":
		return s.lists(&b.Columns[0], rows, labels, weights)
	case s.op.Single:
		dense(s, b.Columns[:s.op.Features], rows, labels, weights, func(d *linalg.DenseBlock, n int) []float32 { d.F32 = make([]float32, n); return d.F32 })
	default:
		dense(s, b.Columns[:s.op.Features], rows, labels, weights, func(d *linalg.DenseBlock, n int) []float64 { d.F64 = make([]float64, n); return d.F64 })
	}
	return nil
}

// choose lists the rows to keep.
func (s *blockStream) choose(n int) []int32 {
	rows := make([]int32, 0, n)
	for i := range n {
		if s.random != nil {
			if x := s.random.Float64(); x < s.op.Columns.From || x >= s.op.Columns.To {
				continue
			}
		}
		rows = append(rows, int32(i))
	}
	return rows
}

// labels returns the labels and weights of the rows.
func (s *blockStream) labels(b *parquetio.Batch, rows []int32) (labels, weights []float64, err error) {
	next := s.op.Features
	if s.op.Columns.Label != "" {
		c := &b.Columns[next]
		next++
		labels = make([]float64, len(rows))
		for k, i := range rows {
			known, value := true, any(nil)
			switch {
			case c.Kind == parquetio.String:
				if labels[k], known = s.texts[c.Strings[i]]; !known {
					value = c.Strings[i]
				}
			case s.numbers != nil:
				if labels[k], known = s.numbers[c.Float64s[i]]; !known {
					value = c.Float64s[i]
				}
			default:
				labels[k] = c.Float64s[i]
			}
			if !known {
				return nil, nil, fmt.Errorf("row %d of partition %d has label %v in column %q, which the training data does not have: drop such rows, or train with all labels", s.seen+int64(i), s.partition, value, c.Name)
			}
		}
	}
	if s.op.Columns.Weight != "" {
		weights = make([]float64, len(rows))
		for k, i := range rows {
			weights[k] = b.Columns[next].Float64s[i]
		}
	}
	return labels, weights, nil
}

// part cuts labels or weights, which may be nil.
func part(x []float64, from, to int) []float64 {
	if x == nil {
		return nil
	}
	return x[from:to:to]
}

// dense makes blocks of columns of numbers. Rows are written in tiles that stay in the cache while each column passes.
func dense[F linalg.Float](s *blockStream, columns []parquetio.Column, rows []int32, labels, weights []float64, alloc func(*linalg.DenseBlock, int) []F) {
	n := len(columns)
	const tile = 32
	step := max(tile, blockBytes/(8*max(n, 1))/tile*tile)
	for from := 0; from < len(rows); from += step {
		to := min(from+step, len(rows))
		d := linalg.DenseBlock{Rows: to - from, Cols: n, Labels: part(labels, from, to), Weights: part(weights, from, to)}
		x := alloc(&d, d.Rows*n)
		for lo := from; lo < to; lo += tile {
			some := rows[lo:min(lo+tile, to)]
			out := x[(lo-from)*n:]
			straight := int(some[len(some)-1]-some[0]) == len(some)-1
			for j := range columns {
				values := columns[j].Float64s
				if straight {
					for k, v := range values[some[0] : int(some[0])+len(some)] {
						out[k*n+j] = F(v)
					}
					continue
				}
				for k, i := range some {
					out[k*n+j] = F(values[i])
				}
			}
		}
		s.out = append(s.out, linalg.Block{Dense: d})
	}
}

// lists makes blocks of lists of numbers.
func (s *blockStream) lists(c *parquetio.Column, rows []int32, labels, weights []float64) error {
	text := c.Kind == parquetio.String // bytes
	length := func(i int32) int {
		if text {
			return len(c.Strings[i])
		}
		lo, hi := c.Bounds(int(i))
		return hi - lo
	}
	if s.width == 0 && len(rows) > 0 {
		s.width = length(rows[0])
	}
	n := s.width
	step := max(32, blockBytes/(8*max(n, 1)))
	for from := 0; from < len(rows); from += step {
		to := min(from+step, len(rows))
		d := linalg.DenseBlock{Rows: to - from, Cols: n, Labels: part(labels, from, to), Weights: part(weights, from, to)}
		if s.op.Single {
			d.F32 = make([]float32, 0, d.Rows*n)
		} else {
			d.F64 = make([]float64, 0, d.Rows*n)
		}
		for _, i := range rows[from:to] {
			if length(i) != n {
				return fmt.Errorf("row %d of partition %d has %d numbers in column %q, the rows before have %d: all need the same", s.seen+int64(i), s.partition, length(i), c.Name, n)
			}
			if text {
				for _, v := range []byte(c.Strings[i]) {
					d.F32 = append(d.F32, float32(v))
				}
				continue
			}
			lo, hi := c.Bounds(int(i))
			if !s.op.Single {
				d.F64 = append(d.F64, c.Float64s[lo:hi]...)
				continue
			}
			for _, v := range c.Float64s[lo:hi] {
				d.F32 = append(d.F32, float32(v))
			}
		}
		s.out = append(s.out, linalg.Block{Dense: d})
	}
	return nil
}

// sparse makes blocks of lists of the numbers of features.
func (s *blockStream) sparse(c *parquetio.Column, rows []int32, labels, weights []float64) error {
	const step = 4096
	for from := 0; from < len(rows); from += step {
		to := min(from+step, len(rows))
		b := linalg.CSRBlock{Rows: to - from, Cols: s.op.Columns.Size, Start: make([]int32, 1, to-from+1), Labels: part(labels, from, to), Weights: part(weights, from, to)}
		for _, i := range rows[from:to] {
			lo, hi := c.Bounds(int(i))
			begin := len(b.Index)
			for _, v := range c.Int64s[lo:hi] {
				if v < 1 || v > int64(s.op.Columns.Size) {
					return fmt.Errorf("row %d of partition %d has feature %d in column %q: features are numbered from 1 to %d", s.seen+int64(i), s.partition, v, c.Name, s.op.Columns.Size)
				}
				b.Index = append(b.Index, int32(v-1))
			}
			mine := b.Index[begin:]
			slices.Sort(mine)
			for k := 1; k < len(mine); k++ {
				if mine[k] == mine[k-1] {
					return fmt.Errorf("row %d of partition %d has feature %d twice in column %q: name each once", s.seen+int64(i), s.partition, mine[k]+1, c.Name)
				}
			}
			b.Start = append(b.Start, int32(len(b.Index)))
		}
		s.out = append(s.out, linalg.Block{Sparse: b})
	}
	return nil
}

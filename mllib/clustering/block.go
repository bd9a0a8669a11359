package clustering

import (
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// block is some consecutive points, as one matrix.
type block linalg.Block

func (b *block) rows() int { return b.Dense.Rows + b.Sparse.Rows }

func (b *block) cols() int { return max(b.Dense.Cols, b.Sparse.Cols) }

func (b *block) weight(row int) float64 { return weightOf((*linalg.Block)(b).Weights(), row) }

// copyRow writes a point into x, which has a number a column, less shift unless that is nil.
func (b *block) copyRow(row int, x, shift []float64) {
	switch {
	case b.Sparse.Rows > 0:
		clear(x)
		index, values := b.Sparse.Row(row)
		for i, j := range index {
			if x[j] = 1; values != nil {
				x[j] = values[i]
			}
		}
	case b.Dense.F32 != nil:
		from := b.Dense.F32[row*len(x) : (row+1)*len(x)]
		if shift == nil {
			for j, v := range from {
				x[j] = float64(v)
			}
			return
		}
		for j, v := range from {
			x[j] = float64(v) - shift[j]
		}
	default:
		from := b.Dense.F64[row*len(x) : (row+1)*len(x)]
		if shift == nil {
			copy(x, from)
			return
		}
		for j, v := range from {
			x[j] = v - shift[j]
		}
	}
}

// packing says how points become blocks.
type packing struct {
	Bytes int  // of a block, about
	Unit  bool // points are scaled to length one
}

func blocksOf[T any](points rdd.RDD[T], kind string, op rdd.Op[block]) rdd.RDD[block] {
	return rdd.New(points.Session(), kind, op, points.NumPartitions(), nil, rdd.Narrow{Node: points.Node()})
}

// The sources of blocks.
type (
	vectorsOp struct {
		Points rdd.RDD[linalg.Vector]
		Pack   packing
	}
	weightedOp struct {
		Points rdd.RDD[WeightedVector]
		Pack   packing
	}
	denseOp struct {
		Points rdd.RDD[linalg.Block]
		Pack   packing
	}
)

// Compute implements rdd.Op.
func (o vectorsOp) Compute(t *rdd.Task, p int) (rdd.Stream[block], error) {
	in, err := o.Points.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &packStream[linalg.Vector]{in: in, packer: packer{packing: o.Pack, partition: p}, add: (*packer).addVector}, nil
}

// Compute implements rdd.Op.
func (o weightedOp) Compute(t *rdd.Task, p int) (rdd.Stream[block], error) {
	in, err := o.Points.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &packStream[WeightedVector]{in: in, packer: packer{packing: o.Pack, partition: p}, add: (*packer).addWeighted}, nil
}

// Compute implements rdd.Op.
func (o denseOp) Compute(t *rdd.Task, p int) (rdd.Stream[block], error) {
	in, err := o.Points.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &packStream[linalg.Block]{in: in, packer: packer{packing: o.Pack, partition: p}, add: (*packer).addBlock}, nil
}

// packStream yields one block at a time.
type packStream[T any] struct {
	in     rdd.Stream[T]
	packer packer
	add    func(*packer, T) error
	out    [1]block
	ended  bool
}

// Next implements rdd.Stream.
func (s *packStream[T]) Next() ([]block, error) {
	for {
		if len(s.packer.full) > 0 {
			s.out[0], s.packer.full = s.packer.full[0], s.packer.full[1:]
			return s.out[:], nil
		}
		if s.ended {
			return nil, io.EOF
		}
		rows, err := s.in.Next()
		if err == io.EOF {
			s.ended = true
			s.packer.flush()
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if err := s.add(&s.packer, r); err != nil {
				return nil, err
			}
		}
	}
}

// packer collects points into blocks.
type packer struct {
	packing
	partition int
	row       int // of the partition, the next to come
	cur       block
	full      []block
}

func (p *packer) fail(format string, args ...any) error {
	return fmt.Errorf("point %d of partition %d %w", p.row, p.partition, fmt.Errorf(format, args...))
}

func (p *packer) flush() {
	if p.cur.rows() > 0 {
		p.full = append(p.full, p.cur)
	}
	p.cur = block{}
}

func (p *packer) addVector(v linalg.Vector) error { return p.add(v, 1) }

func (p *packer) addWeighted(v WeightedVector) error { return p.add(v.Vector, v.Weight) }

// add appends a point. A block is sparse if its points are.
func (p *packer) add(v linalg.Vector, weight float64) error {
	if err := v.Check(); err != nil {
		return p.fail("is malformed: %w", err)
	}
	scale, err := p.check(v.Values, v.Size, weight)
	if err != nil {
		return err
	}
	sparse := v.IsSparse()
	if p.cur.rows() > 0 && (p.cur.Sparse.Rows > 0) != sparse {
		p.flush()
	}
	var size int
	if sparse {
		b := &p.cur.Sparse
		if b.Rows == 0 {
			b.Cols, b.Start = v.Size, []int32{0}
		}
		b.Rows++
		b.Index = append(b.Index, v.Index...)
		for _, x := range v.Values {
			b.Values = append(b.Values, x/scale)
		}
		b.Start = append(b.Start, int32(len(b.Index)))
		b.Weights = appendWeight(b.Weights, b.Rows, weight)
		size = 12 * len(b.Index)
	} else {
		b := &p.cur.Dense
		if b.Rows == 0 {
			b.Cols, b.F64 = v.Size, make([]float64, 0, max(v.Size, p.Bytes/8))
		}
		b.Rows++
		for _, x := range v.Values {
			b.F64 = append(b.F64, x/scale)
		}
		b.Weights = appendWeight(b.Weights, b.Rows, weight)
		size = 8 * (len(b.F64) + v.Size)
	}
	p.row++
	if size > p.Bytes {
		p.flush()
	}
	return nil
}

// appendWeight adds the weight of the last of so many rows; as long as each is 1, there is no slice.
func appendWeight(weights []float64, rows int, w float64) []float64 {
	if weights == nil {
		if w == 1 {
			return nil
		}
		for range rows - 1 {
			weights = append(weights, 1)
		}
	}
	return append(weights, w)
}

// check refuses a point that cannot be clustered and returns what its numbers are to be divided by.
func (p *packer) check(values []float64, size int, weight float64) (scale float64, err error) {
	if p.cur.rows() > 0 && p.cur.cols() != size {
		return 0, p.fail("has %d numbers, the one before %d: all points have as many", size, p.cur.cols())
	}
	if !(weight >= 0) || math.IsInf(weight, 0) {
		return 0, p.fail("has the weight %v: weights are finite and at least 0", weight)
	}
	sum := 0.0
	for _, v := range values {
		sum += v * 0 // NaN for NaN and infinities
	}
	if sum != 0 {
		for j, v := range values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return 0, p.fail("has %v as its number %d: drop or fill such rows first", v, j)
			}
		}
	}
	if !p.Unit {
		return 1, nil
	}
	if scale = norm(values); scale == 0 || math.IsInf(scale, 0) {
		return 0, p.fail("has length %v and thus no direction: cosine distance needs one", scale)
	}
	return scale, nil
}

// addBlock takes a block as it is, or scales its rows.
func (p *packer) addBlock(b linalg.Block) error {
	if err := b.Check(); err != nil {
		return fmt.Errorf("a block of partition %d: %w", p.partition, err)
	}
	if b.Rows() == 0 {
		return nil
	}
	if b.Sparse.Rows > 0 {
		return p.addSparse(b.Sparse)
	}
	d := b.Dense
	buf := make([]float64, d.Cols)
	var scaled []float64
	if p.Unit {
		scaled = make([]float64, 0, d.Rows*d.Cols)
	}
	for i := range d.Rows {
		x := d.Row(i, buf)
		scale, err := p.check(x, d.Cols, weightOf(d.Weights, i))
		if err != nil {
			return err
		}
		if p.Unit {
			for _, v := range x {
				scaled = append(scaled, v/scale)
			}
		}
		p.row++
	}
	d.Labels = nil
	if p.Unit {
		d.F64, d.F32 = scaled, nil
	}
	p.flush()
	p.full = append(p.full, block{Dense: d})
	return nil
}

func (p *packer) addSparse(b linalg.CSRBlock) error {
	var scaled []float64
	for i := range b.Rows {
		index, values := b.Row(i)
		if values == nil {
			values = slices.Repeat([]float64{1}, len(index))
		}
		scale, err := p.check(values, b.Cols, weightOf(b.Weights, i))
		if err != nil {
			return err
		}
		if p.Unit {
			for _, v := range values {
				scaled = append(scaled, v/scale)
			}
		}
		p.row++
	}
	b.Labels = nil
	if p.Unit {
		b.Values = scaled
	}
	p.flush()
	p.full = append(p.full, block{Sparse: b})
	return nil
}

// weightOf is the weight of a row; without weights each is 1.
func weightOf(weights []float64, row int) float64 {
	if weights == nil {
		return 1
	}
	return weights[row]
}

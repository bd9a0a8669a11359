package linalg

import "fmt"

// Instance is a labelled row as linear models and trees train on.
type Instance struct {
	Label    float64 // of a class: 0, 1, 2, …
	Weight   float64 // looked at only where a trainer is told that rows are weighted
	Features Vector
}

// Block is a DenseBlock or a CSRBlock: the one that has rows.
type Block struct {
	Dense  DenseBlock
	Sparse CSRBlock
}

// Rows is the number of rows.
func (b *Block) Rows() int { return max(b.Dense.Rows, b.Sparse.Rows) }

// Cols is the number of columns.
func (b *Block) Cols() int { return max(b.Dense.Cols, b.Sparse.Cols) }

// Labels has one number a row; nil where there are none.
func (b *Block) Labels() []float64 {
	if b.Dense.Rows > 0 {
		return b.Dense.Labels
	}
	return b.Sparse.Labels
}

// Weights has one number a row; nil means that each is 1.
func (b *Block) Weights() []float64 {
	if b.Dense.Rows > 0 {
		return b.Dense.Weights
	}
	return b.Sparse.Weights
}

// Weight is that of row i.
func (b *Block) Weight(i int) float64 {
	w := b.Weights()
	if w == nil {
		return 1
	}
	return w[i]
}

// CopyRow writes row i into x, which has Cols elements.
func (b *Block) CopyRow(i int, x []float64) {
	if b.Dense.Rows > 0 {
		if row := b.Dense.Row(i, x); b.Dense.F32 == nil {
			copy(x, row)
		}
		return
	}
	clear(x)
	index, values := b.Sparse.Row(i)
	for k, j := range index {
		if x[j] = 1; values != nil {
			x[j] = values[k]
		}
	}
}

// Check tells what is wrong with the shape of b.
func (b *Block) Check() error {
	if b.Dense.Rows > 0 && b.Sparse.Rows > 0 {
		return fmt.Errorf("a block has %d dense and %d sparse rows: it has rows of one kind", b.Dense.Rows, b.Sparse.Rows)
	}
	if b.Dense.Rows > 0 {
		return b.Dense.Check()
	}
	if b.Sparse.Rows > 0 {
		return b.Sparse.Check()
	}
	return nil
}

// Gemv sets y[i] to the inner product of row from+i and w.
func (b *Block) Gemv(y []float64, from int, w []float64) {
	if b.Dense.Rows > 0 {
		b.Dense.Gemv(y, from, w)
	} else {
		b.Sparse.Gemv(y, from, w)
	}
}

// GemvT adds r[i] times row from+i to g.
func (b *Block) GemvT(g []float64, from int, r []float64) {
	if b.Dense.Rows > 0 {
		b.Dense.GemvT(g, from, r)
	} else {
		b.Sparse.GemvT(g, from, r)
	}
}

// Packer gathers rows into blocks. Its zero value packs rows of any, but equal, length without weights.
type Packer struct {
	Weighted bool
	Bytes    int // a block is full at this size; 0 means 1 MiB

	block Block
	size  int
	cols  int
	seen  int64
}

// Add copies a row. Full tells when to take the block.
func (p *Packer) Add(r *Instance) error {
	v := &r.Features
	if err := v.Check(); err != nil {
		return fmt.Errorf("row %d: %w", p.seen, err)
	}
	if p.seen == 0 {
		p.cols = v.Size
	}
	if v.Size != p.cols {
		return fmt.Errorf("row %d has %d features, the rows before have %d: all rows need the same", p.seen, v.Size, p.cols)
	}
	p.seen++
	d, s := &p.block.Dense, &p.block.Sparse
	switch {
	case d.Rows > 0 || s.Rows == 0 && !v.IsSparse():
		d.Cols = p.cols
		d.Rows++
		at := len(d.F64)
		if v.IsSparse() {
			d.F64 = append(d.F64, make([]float64, p.cols)...)
			for k, j := range v.Index {
				d.F64[at+int(j)] = v.Values[k]
			}
		} else {
			d.F64 = append(d.F64, v.Values...)
		}
		d.Labels = append(d.Labels, r.Label)
		if p.Weighted {
			d.Weights = append(d.Weights, r.Weight)
		}
		p.size += 8*p.cols + 16
	default:
		s.Cols = p.cols
		s.Rows++
		if s.Start == nil {
			s.Start = []int32{0}
		}
		if v.IsSparse() {
			s.Index = append(s.Index, v.Index...)
			s.Values = append(s.Values, v.Values...)
			p.size += 12*len(v.Index) + 20
		} else {
			for j, x := range v.Values {
				if x != 0 {
					s.Index = append(s.Index, int32(j))
					s.Values = append(s.Values, x)
					p.size += 12
				}
			}
			p.size += 20
		}
		s.Start = append(s.Start, int32(len(s.Index)))
		s.Labels = append(s.Labels, r.Label)
		if p.Weighted {
			s.Weights = append(s.Weights, r.Weight)
		}
	}
	return nil
}

// Full tells that the block should be taken.
func (p *Packer) Full() bool {
	limit := p.Bytes
	if limit <= 0 {
		limit = 1 << 20
	}
	return p.size >= limit
}

// Take returns the rows since the last Take, if there are any. Sparse rows become a dense block where that is smaller.
func (p *Packer) Take() (b Block, ok bool) {
	b, p.block, p.size = p.block, Block{}, 0
	if s := &b.Sparse; s.Rows > 0 && 12*len(s.Index) > 8*s.Rows*s.Cols {
		d := DenseBlock{Rows: s.Rows, Cols: s.Cols, F64: make([]float64, s.Rows*s.Cols), Labels: s.Labels, Weights: s.Weights}
		for i := range s.Rows {
			index, values := s.Row(i)
			for k, j := range index {
				d.F64[i*s.Cols+int(j)] = values[k]
			}
		}
		b = Block{Dense: d}
	}
	return b, b.Rows() > 0
}

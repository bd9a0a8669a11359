package classification

import (
	"context"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/lapack/lapack64"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// whitening is a change of coordinates u = Lᵀ·x for each function, in which the objective's curvature is about the same in all directions: L·Lᵀ is its Hessian by
// the coefficients and the intercept of that function, at some point, on a sample of the rows. The nil one changes nothing.
type whitening struct {
	size  int
	lower []blas64.Triangular // one a function
}

// vector gathers the coefficients and the intercept of function k.
func (w *whitening) vector(x []float64, k int) []float64 {
	d, functions := w.size-1, len(w.lower)
	v := make([]float64, w.size)
	copy(v, x[k*d:(k+1)*d])
	v[d] = x[functions*d+k]
	return v
}

func (w *whitening) store(x []float64, k int, v []float64) {
	d, functions := w.size-1, len(w.lower)
	copy(x[k*d:(k+1)*d], v[:d])
	x[functions*d+k] = v[d]
}

// forward turns x into its coordinates, in place.
func (w *whitening) forward(x []float64) []float64 {
	if w != nil {
		for k, l := range w.lower {
			v := w.vector(x, k)
			blas64.Trmv(blas.Trans, l, blas64.Vector{N: w.size, Inc: 1, Data: v})
			w.store(x, k, v)
		}
	}
	return x
}

// back returns x in a slice of its own.
func (w *whitening) back(u []float64) []float64 {
	x := append([]float64(nil), u...)
	if w != nil {
		for k, l := range w.lower {
			v := w.vector(x, k)
			blas64.Trsv(blas.Trans, l, blas64.Vector{N: w.size, Inc: 1, Data: v})
			w.store(x, k, v)
		}
	}
	return x
}

// gradient turns the derivatives by x into those by u, in place.
func (w *whitening) gradient(g []float64) {
	if w != nil {
		for k, l := range w.lower {
			v := w.vector(g, k)
			blas64.Trsv(blas.NoTrans, l, blas64.Vector{N: w.size, Inc: 1, Data: v})
			w.store(g, k, v)
		}
	}
}

// correlate makes the coordinates of the search for the neighbourhood of x.
func (t *trainer) correlate(ctx context.Context, x []float64) error {
	n := t.features + 1
	op := productsOp{Blocks: t.blocks, Weighted: t.set.Weighted, Center: t.center, Scale: make([]float64, t.features)}
	for j, s := range t.std {
		if s > 0 {
			op.Scale[j] = 1 / s
		}
	}
	op.Coefficients, op.Intercepts = t.unscale(append([]float64(nil), x...))
	// So many rows suffice: more would cost more than they save.
	want := min(max(8_000_000_000/int64(n*n*t.functions), int64(4*n)), 65536)
	op.Stride = int(max(1, t.view.Rows/want))
	parts := derive(t.blocks.Node(), rdd.Op[products](op), "LogisticRegressionProducts")
	p, err := rdd.TreeAggregate(ctx, parts, products{Pairs: make([]float64, t.functions*n*n)}, addProducts, addProducts, t.set.AggregationDepth)
	if err != nil || !(p.Weight > 0) {
		return err
	}
	w := &whitening{size: n}
	for k := range t.functions {
		l, ok := t.factor(p.Pairs[k*n*n:(k+1)*n*n], p.Weight)
		if !ok {
			return nil // stay with the coordinates that there are
		}
		w.lower = append(w.lower, l)
	}
	t.whiten = w
	return nil
}

// factor makes the Hessian of the sums of products of one function, and its Cholesky factor.
func (t *trainer) factor(h []float64, weight float64) (blas64.Triangular, bool) {
	n := t.features + 1
	for i := range h {
		h[i] /= weight
	}
	typical := max(h[n*n-1], 1e-12) // the mean of p·(1-p): the curvature of a feature of deviation 1 that it does not depend on
	if t.set.NoIntercept {
		for j := range n {
			h[(n-1)*n+j] = 0
		}
		h[n*n-1] = typical
	}
	for j := range n - 1 {
		// A feature that the sample missed has some curvature.
		h[j*n+j] = max(h[j*n+j], 1e-3*typical) + t.l2[j]
	}
	for j := range n {
		h[j*n+j] *= 1 + 1e-7
	}
	l, ok := lapack64.Potrf(blas64.Symmetric{N: n, Stride: n, Data: h, Uplo: blas.Lower})
	return l, ok
}

// productsOp sums, for each function, the products of all pairs of scaled features, and of them with 1, times p·(1-p), over a sample of the rows: every Stride-th of each partition.
type productsOp struct {
	Blocks                   rdd.RDD[linalg.Block]
	Weighted                 bool
	Stride                   int
	Center                   []float64 // what is taken off each feature
	Scale                    []float64 // what each is multiplied by then
	Coefficients, Intercepts []float64 // of the features as they are
}

// products is what productsOp gathers.
type products struct {
	Weight float64
	Pairs  []float64 // a full matrix for each function, the 1 last
}

func addProducts(a, b products) products {
	a.Weight += b.Weight
	for i, x := range b.Pairs {
		a.Pairs[i] += x
	}
	return a
}

// sampleRows is how many rows are multiplied at a time.
const sampleRows = 32

// sample is the rows that wait for that.
type sample struct {
	op     *productsOp
	n      int
	z      []float64 // scaled rows
	curved []float64 // w·p·(1-p), sampleRows numbers for each function
	rows   int
	column []float64
	out    products
	sparse []float64 // as out.Pairs, of sparse rows that are not centred yet
}

// Compute implements rdd.Op.
func (o productsOp) Compute(t *rdd.Task, p int) (rdd.Stream[products], error) {
	n, functions := len(o.Scale)+1, len(o.Intercepts)
	s := &sample{op: &o, n: n, z: make([]float64, sampleRows*n), curved: make([]float64, sampleRows*functions), column: make([]float64, sampleRows)}
	s.out.Pairs = make([]float64, functions*n*n)
	raw, proba, one := make([]float64, n-1), make([]float64, functions), make([]float64, 1)
	next := 0 // rows until the next one of the sample
	err := eachBlock(t, o.Blocks, p, func(b *linalg.Block) error {
		for ; next < b.Rows(); next += o.Stride {
			for k := range functions {
				b.Gemv(one, next, o.Coefficients[k*(n-1):(k+1)*(n-1)])
				proba[k] = one[0] + o.Intercepts[k]
			}
			if functions == 1 {
				proba[0] = linalg.Sigmoid(proba[0])
			} else {
				linalg.Softmax(proba)
			}
			w := 1.0
			if o.Weighted {
				w = b.Weights()[next]
			}
			s.out.Weight += w
			for k, q := range proba {
				proba[k] = w * q * (1 - q)
			}
			if b.Dense.Rows > 0 {
				s.dense(b.Dense.Row(next, raw), proba)
			} else {
				s.csr(b, next, proba)
			}
		}
		next -= b.Rows()
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.flush()
	s.centre()
	return rdd.StreamOf([]products{s.out}), nil
}

// dense adds a row.
func (s *sample) dense(row, curved []float64) {
	z := s.z[s.rows*s.n : (s.rows+1)*s.n]
	for j, x := range row {
		z[j] = (x - s.op.Center[j]) * s.op.Scale[j]
	}
	z[s.n-1] = 1
	for k, c := range curved {
		s.curved[k*sampleRows+s.rows] = c
	}
	if s.rows++; s.rows == sampleRows {
		s.flush()
	}
}

func (s *sample) flush() {
	n, r := s.n, s.rows
	for k := range s.op.Intercepts {
		for j := range n {
			for i := range r {
				s.column[i] = s.z[i*n+j] * s.curved[k*sampleRows+i]
			}
			at := (k*n + j) * n
			linalg.GemvTFloat64(s.out.Pairs[at:at+n], s.z[:r*n], s.column[:r])
		}
	}
	s.rows = 0
}

// csr adds a sparse row, not centred: that would make it dense.
func (s *sample) csr(b *linalg.Block, row int, curved []float64) {
	n := s.n
	if s.sparse == nil {
		s.sparse = make([]float64, len(s.out.Pairs))
	}
	index, values := b.Sparse.Row(row)
	at := func(k int) (int, float64) {
		switch {
		case k == len(index):
			return n - 1, 1
		case values == nil:
			return int(index[k]), s.op.Scale[index[k]]
		}
		return int(index[k]), values[k] * s.op.Scale[index[k]]
	}
	for f, c := range curved {
		pairs := s.sparse[f*n*n : (f+1)*n*n]
		for k := range len(index) + 1 {
			i, x := at(k)
			x *= c
			for l := range k + 1 {
				j, y := at(l)
				pairs[i*n+j] += x * y
			}
		}
	}
}

// centre takes the means off the products of sparse rows: Σ c·(z-m)(z-m)ᵀ = Σ c·zzᵀ - m·sᵀ - s·mᵀ + Σc·mmᵀ, where s = Σ c·z is the last row.
func (s *sample) centre() {
	if s.sparse == nil {
		return
	}
	n := s.n
	m := make([]float64, n)
	for j := range n - 1 {
		m[j] = s.op.Center[j] * s.op.Scale[j]
	}
	for f := range s.op.Intercepts {
		from, to := s.sparse[f*n*n:(f+1)*n*n], s.out.Pairs[f*n*n:(f+1)*n*n]
		last := from[(n-1)*n:]
		total := last[n-1]
		for i := range n {
			for j := range i + 1 {
				v := from[i*n+j]
				if i < n-1 {
					v += total*m[i]*m[j] - m[i]*last[j] - m[j]*last[i]
				} else if j < n-1 {
					v -= total * m[j]
				}
				to[i*n+j] += v
			}
		}
	}
}

// roundIterations is how long the search keeps its coordinates: after 8, 16, 32, … iterations they are made anew, for where it has come to.
func roundIterations(round int) int { return 8 << min(round, 20) }

package linalg

// errShape is the panic of kernels whose arguments do not fit together.
const errShape = "linalg: the lengths of matrix and vectors do not fit"

func checkShape(numbers, rows, cols int) {
	if numbers != rows*cols {
		panic(errShape)
	}
}

// GemvFloat32 sets y[i] to the inner product of row i of x and w, where x is a row-major matrix of len(y) rows and len(w) columns.
func GemvFloat32(y []float64, x []float32, w []float64) {
	checkShape(len(x), len(y), len(w))
	if len(x) == 0 {
		clear(y)
		return
	}
	if vectorised {
		gemv32(&y[0], &x[0], &w[0], len(y), len(w))
		return
	}
	gemvPlain(y, x, w)
}

// GemvFloat64 is GemvFloat32 for a matrix of float64.
func GemvFloat64(y, x, w []float64) {
	checkShape(len(x), len(y), len(w))
	if len(x) == 0 {
		clear(y)
		return
	}
	if vectorised {
		gemv64(&y[0], &x[0], &w[0], len(y), len(w))
		return
	}
	gemvPlain(y, x, w)
}

func gemvPlain[F Float](y []float64, x []F, w []float64) {
	n := len(w)
	for i := range y {
		y[i] = dotPlain(x[i*n:(i+1)*n], w)
	}
}

// GemvTFloat32 adds r[i] times row i of x to g, row after row, where x is a row-major matrix of len(r) rows and len(g) columns.
func GemvTFloat32(g []float64, x []float32, r []float64) {
	checkShape(len(x), len(r), len(g))
	if len(x) == 0 {
		return
	}
	if vectorised {
		gemvT32(&g[0], &x[0], &r[0], len(r), len(g))
		return
	}
	gemvTPlain(g, x, r)
}

// GemvTFloat64 is GemvTFloat32 for a matrix of float64.
func GemvTFloat64(g, x, r []float64) {
	checkShape(len(x), len(r), len(g))
	if len(x) == 0 {
		return
	}
	if vectorised {
		gemvT64(&g[0], &x[0], &r[0], len(r), len(g))
		return
	}
	gemvTPlain(g, x, r)
}

func gemvTPlain[F Float](g []float64, x []F, r []float64) {
	n := len(g)
	for len(r) >= 4 { // four rows at a time load and store g once; the order of the additions is that of the rows
		r0, r1, r2, r3 := r[0], r[1], r[2], r[3]
		x0, x1, x2, x3 := x[:n], x[n:2*n], x[2*n:3*n], x[3*n:4*n]
		for j := range g {
			s := float64(r0*float64(x0[j])) + g[j]
			s = float64(r1*float64(x1[j])) + s
			s = float64(r2*float64(x2[j])) + s
			g[j] = float64(r3*float64(x3[j])) + s
		}
		x, r = x[4*n:], r[4:]
	}
	for i, ri := range r {
		for j, xj := range x[i*n : (i+1)*n] {
			g[j] = float64(ri*float64(xj)) + g[j]
		}
	}
}

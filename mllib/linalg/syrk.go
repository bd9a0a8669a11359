package linalg

// The kernels for the normal equations of small least squares problems. The rows that a problem consists of are gathered into one
// tall block of float64, and a block times its transpose then runs at the speed of the arithmetic, where adding one row's outer
// product after the other runs at that of the memory.
//
// Each element of a product is one sum in the order of the rows, and products are rounded before they are added, so plain Go and
// assembly give the same bits on every machine, however the rows are cut into blocks.

// RoundUp4 is the smallest multiple of four that is at least n: the number of columns that a block for n columns has.
func RoundUp4(n int) int { return (n + 3) &^ 3 }

// Gather copies rows of src into dst and widens them: row i of dst is row rows[i] of src, both with n numbers a row. n is a multiple
// of four.
func Gather(dst []float64, src []float32, n int, rows []int32) {
	if len(rows) == 0 || n == 0 {
		return
	}
	if n < 0 || n%4 != 0 {
		panic("linalg: gather rows whose length is no multiple of four")
	}
	dst = dst[:n*len(rows)]
	last := len(src)/n - 1
	for _, r := range rows {
		if uint(r) > uint(last) {
			panic("linalg: gather a row that does not exist")
		}
	}
	if gatherAssembly(dst, src, n, rows) {
		return
	}
	for i, r := range rows {
		to, from := dst[i*n:(i+1)*n], src[int(r)*n:(int(r)+1)*n]
		for k, v := range from {
			to[k] = float64(v)
		}
	}
}

// ScaleRows sets row i of dst to w[i] times row i of src; rows have n numbers, a multiple of four.
func ScaleRows(dst, src []float64, n int, w []float64) {
	if len(w) == 0 || n == 0 {
		return
	}
	if n < 0 || n%4 != 0 {
		panic("linalg: scale rows whose length is no multiple of four")
	}
	dst, src = dst[:n*len(w)], src[:n*len(w)]
	if scaleAssembly(dst, src, n, w) {
		return
	}
	for i, f := range w {
		to, from := dst[i*n:(i+1)*n], src[i*n:(i+1)*n]
		for k, v := range from {
			to[k] = f * v
		}
	}
}

// AddGram adds Yᵀ·X to the lower triangle of the n×n row-major matrix c, where y and x hold as many rows of n numbers, n a multiple of
// four. y and x may be the same block. Of the elements above the diagonal, those in the 4×4 tiles on the diagonal are computed too, the
// others are left alone.
func AddGram(c []float64, n int, y, x []float64) {
	if n <= 0 || n%4 != 0 || len(x)%n != 0 || len(y) != len(x) {
		panic("linalg: a Gram matrix of blocks of wrong shape")
	}
	c = c[:n*n]
	if len(x) == 0 || gramAssembly(c, n, y, x) {
		return
	}
	for ; len(x) > 0; x, y = x[n:], y[n:] {
		for i, v := range y[:n] {
			w := i | 3
			row, other := c[i*n:i*n+w+1], x[:w+1]
			for j, o := range other {
				row[j] = float64(v*o) + row[j]
			}
		}
	}
}

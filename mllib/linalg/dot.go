package linalg

// The kernels of this file and of gemv.go and logistic.go have a fixed order of operations: sums run in four lanes, element k in lane k mod 4, which are
// added as (0+1)+(2+3), and products are rounded before they are added. Every machine and both implementations, plain Go and assembly,
// thus give the same bits. (A conversion around a product keeps the compiler from fusing it with the addition.)

// Float is what dense blocks hold.
type Float interface{ float32 | float64 }

// DotFloat64 is the inner product of two vectors of equal length.
func DotFloat64(x, y []float64) float64 {
	var s [1]float64
	GemvFloat64(s[:], x, y)
	return s[0]
}

// Axpy adds a·x to y, which is as long as x.
func Axpy(a float64, x, y []float64) {
	r := [1]float64{a}
	GemvTFloat64(y, x, r[:])
}

func dotPlain[F Float](x []F, w []float64) float64 {
	var l0, l1, l2, l3 float64
	w = w[:len(x)]
	for len(x) >= 4 && len(w) >= 4 {
		l0 = float64(float64(x[0])*w[0]) + l0
		l1 = float64(float64(x[1])*w[1]) + l1
		l2 = float64(float64(x[2])*w[2]) + l2
		l3 = float64(float64(x[3])*w[3]) + l3
		x, w = x[4:], w[4:]
	}
	switch len(x) {
	case 3:
		l2 = float64(float64(x[2])*w[2]) + l2
		fallthrough
	case 2:
		l1 = float64(float64(x[1])*w[1]) + l1
		fallthrough
	case 1:
		l0 = float64(float64(x[0])*w[0]) + l0
	}
	return (l0 + l1) + (l2 + l3)
}

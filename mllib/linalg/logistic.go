package linalg

import "math"

// LogisticRows turns the margins m of rows into the derivatives of the logistic loss, in place, and sums the losses: with p = 1/(1+exp(-m))
//
//	loss = Σ w·(log(1+exp(m)) - y·m),   m ← w·(p - y),   sum = Σ w·(p - y)
//
// for labels y, which are 0 or 1, and weights w, nil for ones. It is right to a few ulps for margins of any size.
func LogisticRows(m, y, w []float64) (loss, sum float64) {
	n := len(m)
	if len(y) != n || w != nil && len(w) != n {
		panic(errShape)
	}
	var lanes [8]float64 // 4 of the losses, 4 of the derivatives
	done := 0
	if vectorised && n >= 4 {
		done = n &^ 3
		var weights *float64
		if w != nil {
			weights = &w[0]
		}
		logisticRows(&m[0], &y[0], weights, done, &lanes)
	}
	for i := done; i < n; i++ {
		l, d := logisticRow(m[i], y[i])
		if w != nil {
			l, d = l*w[i], d*w[i]
		}
		m[i] = d
		lanes[i&3] += l
		lanes[4+i&3] += d
	}
	return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]), (lanes[4] + lanes[5]) + (lanes[6] + lanes[7])
}

// Constants of the exponential: 1.5·2⁵² rounds a small number to an integer in the lowest bits; log 2 in two parts, the first with zeros at its end.
const (
	roundMagic = 6755399441055744.0
	log2e      = 1.4426950408889634
	ln2Hi      = 6.93147180369123816490e-01
	ln2Lo      = 1.90821492927058770002e-10
	expLimit   = 708.0 // exp(-708) is the last that is not subnormal
)

// expNeg is exp(-a) for a ≥ 0, for a above 708 that of 708, which is 3e-308: a Taylor polynomial after reduction to |r| ≤ log(2)/2, even and odd
// powers apart so that both halves run at once.
func expNeg(a float64) float64 {
	if !(a < expLimit) { // a NaN too: who wants it back keeps it
		a = expLimit
	}
	t := float64(a*log2e) + roundMagic
	k := t - roundMagic
	r := float64(k*ln2Lo) - (a - float64(k*ln2Hi))
	q := float64(r * r)
	even := float64(q*(1.0/479001600)) + 1.0/3628800
	even = float64(q*even) + 1.0/40320
	even = float64(q*even) + 1.0/720
	even = float64(q*even) + 1.0/24
	even = float64(q*even) + 1.0/2
	even = float64(q*even) + 1
	odd := float64(q*(1.0/6227020800)) + 1.0/39916800
	odd = float64(q*odd) + 1.0/362880
	odd = float64(q*odd) + 1.0/5040
	odd = float64(q*odd) + 1.0/120
	odd = float64(q*odd) + 1.0/6
	odd = float64(q*odd) + 1
	// The bits of t count its integer from those of the magic number.
	scale := math.Float64frombits(uint64(1023-int64(math.Float64bits(t)-math.Float64bits(roundMagic))) << 52)
	return (even + float64(r*odd)) * scale
}

// log1pSmall is log(1+e) for 0 ≤ e ≤ 1: 2·atanh(s) with s = e/(2+e) ≤ 1/3, as a series in s².
func log1pSmall(e float64) float64 {
	s := e / (e + 2)
	z := float64(s * s)
	z2 := float64(z * z)
	even := float64(z2*(1.0/33)) + 1.0/29
	even = float64(z2*even) + 1.0/25
	even = float64(z2*even) + 1.0/21
	even = float64(z2*even) + 1.0/17
	even = float64(z2*even) + 1.0/13
	even = float64(z2*even) + 1.0/9
	even = float64(z2*even) + 1.0/5
	even = float64(z2*even) + 1
	odd := float64(z2*(1.0/35)) + 1.0/31
	odd = float64(z2*odd) + 1.0/27
	odd = float64(z2*odd) + 1.0/23
	odd = float64(z2*odd) + 1.0/19
	odd = float64(z2*odd) + 1.0/15
	odd = float64(z2*odd) + 1.0/11
	odd = float64(z2*odd) + 1.0/7
	odd = float64(z2*odd) + 1.0/3
	return (s + s) * (even + float64(z*odd))
}

// logisticRow is the loss of a margin and its derivative.
func logisticRow(m, y float64) (loss, derivative float64) {
	e := expNeg(math.Abs(m))
	p := 1 / (e + 1)
	positive := m
	if m < 0 {
		p = float64(e * p)
		positive = 0
	}
	return (log1pSmall(e) + positive) - float64(y*m), p - y
}

// Sigmoid is 1/(1+exp(-m)), the same on every machine.
func Sigmoid(m float64) float64 {
	if m != m {
		return m
	}
	if m < -expLimit { // where e alone would stay at the smallest normal number
		return math.Exp(m)
	}
	e := expNeg(math.Abs(m))
	if m < 0 {
		return e / (e + 1)
	}
	return 1 / (e + 1)
}

// Softmax replaces margins by probabilities, and returns log Σ exp(margin), the same on every machine.
func Softmax(m []float64) (logSum float64) {
	top := math.Inf(-1)
	for _, x := range m {
		top = max(top, x)
	}
	if math.IsInf(top, 0) || top != top {
		return softmaxExtreme(m, top)
	}
	sum := 0.0
	for i, x := range m {
		m[i] = expNeg(top - x)
		sum += m[i]
	}
	for i := range m {
		m[i] /= sum
	}
	return top + logOf(sum)
}

// logOf is the logarithm of a number of at least 1, the same on every machine.
func logOf(x float64) float64 {
	f, e := math.Frexp(x)
	return float64(float64(e-1)*(ln2Hi+ln2Lo)) + log1pSmall(2*f-1)
}

// softmaxExtreme shares probability equally among infinite margins, as the limit does. A NaN makes all of them NaN.
func softmaxExtreme(m []float64, top float64) float64 {
	n := 0
	for _, x := range m {
		if x == top {
			n++
		}
	}
	for i, x := range m {
		switch {
		case top != top:
			m[i] = top
		case x == top:
			m[i] = 1 / float64(n)
		default:
			m[i] = 0
		}
	}
	return top
}

// LogisticLoss is log(1+exp(m)) - y·m, for y 0 or 1 and a margin m, which may be infinite.
func LogisticLoss(m, y float64) float64 {
	if math.IsInf(m, 0) {
		if (m > 0) == (y > 0) {
			return 0
		}
		return math.Inf(1)
	}
	loss, _ := logisticRow(m, y)
	return loss
}

package linalg

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func checkLogistic(t *testing.T, m, y, w []float64) {
	t.Helper()
	got, want := append([]float64(nil), m...), append([]float64(nil), m...)
	loss, sum := LogisticRows(got, y, w)
	plainly(func() {
		l, s := LogisticRows(want, y, w)
		if !sameBits(got, want) || !sameBits([]float64{loss, sum}, []float64{l, s}) {
			t.Errorf("margins %v: %v, loss %v, sum %v; in plain Go %v, %v, %v", m, got, loss, sum, want, l, s)
		}
	})
}

func TestLogisticRowsSameBits(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 23 {
		m, y, w := numbers(r, n), make([]float64, n), make([]float64, n)
		for i := range m {
			y[i], w[i] = float64(r.IntN(2)), r.ExpFloat64()
		}
		checkLogistic(t, m, y, nil)
		checkLogistic(t, m, y, w)
	}
	checkLogistic(t, []float64{1e308, -1e308, math.Inf(1), math.Inf(-1), 708, -709, 5e-324, -5e-324}, []float64{0, 0, 1, 0, 1, 0, 1, 0}, nil)
}

func FuzzLogisticRows(f *testing.F) {
	f.Add(0.5, -700.0, 1e9, 0.0, uint8(5))
	f.Fuzz(func(t *testing.T, a, b, c, d float64, y uint8) {
		m := []float64{a, b, c, d, a}
		for _, x := range m {
			if x != x {
				t.Skip("margins are numbers: rows are")
			}
		}
		checkLogistic(t, m, []float64{float64(y & 1), float64(y >> 1 & 1), float64(y >> 2 & 1), float64(y >> 3 & 1), 1}, nil)
	})
}

// TestLogisticRowIsRight compares with 200 bits of precision.
func TestLogisticRowIsRight(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	worstLoss, worstP := 0.0, 0.0
	for i := range 2000 {
		m := r.NormFloat64() * math.Pow(10, float64(i%6-3))
		if math.Abs(m) > 600 {
			continue
		}
		e := bigExp(-m)
		one := big.NewFloat(1).SetPrec(200)
		p, _ := new(big.Float).Quo(one, new(big.Float).Add(one, e)).Float64()
		l, d := logisticRow(m, 0)
		if p > 0 {
			worstP = max(worstP, math.Abs(d-p)/p)
		}
		if s := Sigmoid(m); math.Abs(s-p) > 8e-16*p {
			t.Errorf("Sigmoid(%g) = %g, want %g", m, s, p)
		}
		// exp(loss) = 1 + exp(m)
		want := math.Log1p(math.Exp(-math.Abs(m))) + max(m, 0)
		worstLoss = max(worstLoss, math.Abs(l-want)/want)
	}
	if worstP > 6e-16 || worstLoss > 1e-15 {
		t.Errorf("relative errors: %g of probabilities, %g of losses", worstP, worstLoss)
	}
	for _, m := range []float64{1e300, math.Inf(1)} {
		if l, d := logisticRow(-m, 0); l > 1e-300 || d > 1e-300 {
			t.Errorf("a margin of %g: loss %g, derivative %g", -m, l, d)
		}
	}
	if Sigmoid(math.Inf(1)) != 1 || Sigmoid(-800) > 1e-300 || !math.IsNaN(Sigmoid(math.NaN())) {
		t.Error("Sigmoid is wrong at its ends")
	}
}

func bigExp(x float64) *big.Float {
	const prec = 1200
	sum, term := big.NewFloat(1).SetPrec(prec), big.NewFloat(1).SetPrec(prec)
	bx := new(big.Float).SetPrec(prec).SetFloat64(x / 1024)
	for i := 1; i < 60; i++ {
		term.Mul(term, bx)
		term.Quo(term, new(big.Float).SetPrec(prec).SetInt64(int64(i)))
		sum.Add(sum, term)
	}
	for range 10 {
		sum.Mul(sum, sum)
	}
	return sum
}

func TestSoftmax(t *testing.T) {
	m := []float64{1, 2, 3}
	if l := Softmax(m); math.Abs(l-3.4076059644443806) > 1e-15 || math.Abs(m[2]-0.6652409557748219) > 1e-15 {
		t.Errorf("%v, %v", m, l)
	}
	for _, m := range [][]float64{{1e308, -1e308, 0}, {math.Inf(1), 0, 3}, {math.Inf(-1), 5, math.Inf(-1)}} {
		Softmax(m)
		if m[0]+m[1]+m[2] != 1 {
			t.Errorf("probabilities %v", m)
		}
	}
	m = []float64{math.Inf(1), math.Inf(1), 0}
	if Softmax(m); m[0] != 0.5 || m[2] != 0 {
		t.Errorf("two infinite margins: %v", m)
	}
}

func BenchmarkLogisticRows(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	from, m, y := numbers(r, 512), make([]float64, 512), make([]float64, 512)
	run := func(b *testing.B) {
		for b.Loop() {
			copy(m, from)
			LogisticRows(m, y, nil)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*512), "ns/row")
	}
	b.Run("vector", run)
	b.Run("plain", func(b *testing.B) { plainly(func() { run(b) }) })
}

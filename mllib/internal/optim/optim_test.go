package optim_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/internal/optim"
)

func rosenbrock(_ context.Context, x, g []float64) (float64, error) {
	f := 0.0
	clear(g)
	for i := 0; i+1 < len(x); i += 2 {
		a, b := 1-x[i], x[i+1]-x[i]*x[i]
		f += a*a + 100*b*b
		g[i] = -2*a - 400*b*x[i]
		g[i+1] = 200 * b
	}
	return f, nil
}

// quadratic is Σ c·(x-t)²/2 with curvatures c from 1 to 100.
func quadratic(target []float64) optim.Objective {
	return func(_ context.Context, x, g []float64) (float64, error) {
		f := 0.0
		for i := range x {
			c := math.Pow(100, float64(i)/float64(len(x)-1))
			g[i] = c * (x[i] - target[i])
			f += g[i] * (x[i] - target[i]) / 2
		}
		return f, nil
	}
}

func near(t *testing.T, r *optim.Result, err error, want []float64, tol float64) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if math.Abs(r.X[i]-want[i]) > tol {
			t.Fatalf("variable %d is %g, want %g after %d iterations: %s", i, r.X[i], want[i], r.Iterations, r.Reason)
		}
	}
	for i := 1; i < len(r.History); i++ {
		if r.History[i] > r.History[i-1]+1e-9*math.Abs(r.History[i-1]) {
			t.Fatalf("iteration %d raises the value from %g to %g", i, r.History[i-1], r.History[i])
		}
	}
	if !r.Converged || r.Iterations != len(r.History)-1 || r.Value != r.History[r.Iterations] {
		t.Fatalf("%+v", r)
	}
}

func TestRosenbrock(t *testing.T) {
	x0, one := make([]float64, 20), make([]float64, 20)
	for i := range x0 {
		x0[i], one[i] = []float64{-1.2, 1}[i%2], 1
	}
	r, err := optim.Minimize(context.Background(), rosenbrock, x0, optim.Settings{MaxIter: 200, Tol: 1e-8})
	near(t, r, err, one, 1e-6)
	if r.Iterations > 60 || r.Evaluations > 90 {
		t.Errorf("%d iterations, %d evaluations", r.Iterations, r.Evaluations)
	}
}

func target() []float64 {
	r := rand.New(rand.NewPCG(1, 1))
	t := make([]float64, 30)
	for i := range t {
		t[i] = 3 * r.NormFloat64()
	}
	return t
}

func TestQuadratic(t *testing.T) {
	want := target()
	r, err := optim.Minimize(context.Background(), quadratic(want), make([]float64, 30), optim.Settings{MaxIter: 500, Tol: 1e-9})
	near(t, r, err, want, 1e-6)
}

// TestL1 compares with the closed form: soft thresholding.
func TestL1(t *testing.T) {
	a := target()
	l1, want := make([]float64, 30), make([]float64, 30)
	for i := range a {
		c := math.Pow(100, float64(i)/29)
		l1[i] = c * float64(i%4)
		want[i] = math.Copysign(max(math.Abs(a[i])-l1[i]/c, 0), a[i])
	}
	x0 := make([]float64, 30)
	x0[3], x0[7] = 5, -5
	r, err := optim.Minimize(context.Background(), quadratic(a), x0, optim.Settings{MaxIter: 500, Tol: 1e-9, L1: l1})
	near(t, r, err, want, 1e-6)
	for i := range want {
		if want[i] == 0 && r.X[i] != 0 {
			t.Errorf("variable %d is %g and not zero", i, r.X[i])
		}
	}
}

// TestBounds compares with the closed form: clamping.
func TestBounds(t *testing.T) {
	a := target()
	lower, upper, want := make([]float64, 30), make([]float64, 30), make([]float64, 30)
	for i := range a {
		lower[i], upper[i] = -1, 2
		if i%5 == 0 {
			lower[i] = math.Inf(-1)
		}
		want[i] = min(max(a[i], lower[i]), upper[i])
	}
	x0 := make([]float64, 30)
	x0[0] = 100
	r, err := optim.Minimize(context.Background(), quadratic(a), x0, optim.Settings{MaxIter: 500, Tol: 1e-9, Lower: lower, Upper: upper})
	near(t, r, err, want, 1e-6)
	for i := range want {
		if r.X[i] < lower[i] || r.X[i] > upper[i] {
			t.Errorf("variable %d is %g", i, r.X[i])
		}
	}
	// The bounded minimum of Rosenbrock's valley lies on the bound.
	r, err = optim.Minimize(context.Background(), rosenbrock, []float64{-1.2, 1}, optim.Settings{MaxIter: 500, Tol: 1e-9, Upper: []float64{0.5, 3}})
	near(t, r, err, []float64{0.5, 0.25}, 1e-6)
}

func TestEnds(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stopped here")
	calls := 0
	_, err := optim.Minimize(ctx, func(c context.Context, x, g []float64) (float64, error) {
		if calls++; calls == 5 {
			cancel(stop)
		}
		return rosenbrock(c, x, g)
	}, []float64{-1.2, 1}, optim.Settings{MaxIter: 100})
	if !errors.Is(err, stop) || calls != 5 {
		t.Errorf("cancelled: %v after %d calls", err, calls)
	}
	bad := func(context.Context, []float64, []float64) (float64, error) { return math.NaN(), nil }
	if _, err := optim.Minimize(context.Background(), bad, []float64{0}, optim.Settings{}); err == nil || !strings.Contains(err.Error(), "NaN at the start") {
		t.Errorf("NaN: %v", err)
	}
	if _, err := optim.Minimize(context.Background(), rosenbrock, []float64{0, 0}, optim.Settings{L1: []float64{1}}); err == nil {
		t.Error("a penalty too few was accepted")
	}
	r, err := optim.Minimize(context.Background(), rosenbrock, []float64{-1.2, 1}, optim.Settings{MaxIter: 3, Tol: 1e-9})
	if err != nil || r.Converged || r.Iterations != 3 || r.Reason != optim.TooManySteps {
		t.Errorf("three iterations: %+v, %v", r, err)
	}
	// Without a tolerance the search ends when rounding hides all progress.
	r, err = optim.Minimize(context.Background(), rosenbrock, []float64{-1.2, 1}, optim.Settings{MaxIter: 1000})
	if err != nil || !r.Converged || math.Abs(r.X[0]-1) > 1e-9 {
		t.Errorf("no tolerance: %+v, %v", r, err)
	}
}

// TestWallOfInfinity: a step into a region without a value is shortened.
func TestWallOfInfinity(t *testing.T) {
	f := func(_ context.Context, x, g []float64) (float64, error) { // x - log x, infinite for x ≤ 0
		g[0] = 1 - 1/x[0]
		return x[0] - math.Log(x[0]), nil
	}
	r, err := optim.Minimize(context.Background(), f, []float64{100}, optim.Settings{MaxIter: 100, Tol: 1e-10})
	near(t, r, err, []float64{1}, 1e-7)
}

func ExampleMinimize() {
	r, err := optim.Minimize(context.Background(), func(_ context.Context, x, g []float64) (float64, error) {
		g[0] = 2 * (x[0] - 3)
		return (x[0] - 3) * (x[0] - 3), nil
	}, []float64{0}, optim.Settings{MaxIter: 100, Tol: 1e-6, Upper: []float64{2}})
	fmt.Println(r.X, r.Value, r.Reason, err)
	// Output: [2] 1 the gradient is small <nil>
}

package classification_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

type settings = classification.LogisticRegression

// readAll reads a Parquet file.
func readAll[T any](t testing.TB, uri string) []T {
	t.Helper()
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	rows, err := parquetio.Read[T](sc, uri).Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func adultRows(t testing.TB) []linalg.Instance {
	var rows []linalg.Instance
	for _, r := range readAll[adult](t, "testdata/adult.parquet") {
		rows = append(rows, instance(r))
	}
	if len(rows) != 2000 {
		t.Fatalf("%d rows", len(rows))
	}
	return rows
}

type iris struct {
	Label          int32
	F1, F2, F3, F4 float64
}

func irisRows(t testing.TB) []linalg.Instance {
	var rows []linalg.Instance
	for _, r := range readAll[iris](t, "testdata/iris.parquet") {
		rows = append(rows, linalg.Instance{Label: float64(r.Label), Features: linalg.Dense(r.F1, r.F2, r.F3, r.F4)})
	}
	if len(rows) != 150 {
		t.Fatalf("%d rows", len(rows))
	}
	return rows
}

func dense(rows []linalg.Instance) []linalg.Instance {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Features = linalg.Dense(rows[i].Features.ToDense()...)
	}
	return rows
}

func fit(t testing.TB, sc *driver.Context, s settings, rows []linalg.Instance) *classification.Model {
	t.Helper()
	m, err := s.Fit(context.Background(), rdd.Parallelize(sc, rows, 3))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func local(t testing.TB) *driver.Context {
	sc := driver.New(driver.Master("local[2]"))
	t.Cleanup(sc.Stop)
	return sc
}

func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*math.Max(1, math.Abs(want))) {
		t.Errorf("%s is %.10g, want %.10g", what, got, want)
	}
}

func norm2(x []float64) (s float64) {
	for _, v := range x {
		s += v * v
	}
	return s
}

// TestReference compares with scikit-learn 1.9.1: testdata/reference.py.
func TestReference(t *testing.T) {
	sc := local(t)
	rows := adultRows(t)
	weighted := slices.Clone(rows)
	for i := range weighted {
		weighted[i].Weight = float64(1 + i%3)
	}
	for _, c := range []struct {
		name                        string
		set                         settings
		rows                        []linalg.Instance
		objective, norm2, intercept float64
		nonzero                     int
	}{
		{"L2", settings{RegParam: 0.01, NoStandardization: true}, rows, 0.3749918586, 5.74783586, -1.42897963, 117},
		{"dense", settings{RegParam: 0.01, NoStandardization: true}, dense(rows), 0.3749918586, 5.74783586, -1.42897963, 117},
		{"no intercept", settings{RegParam: 0.01, NoStandardization: true, NoIntercept: true}, rows, 0.3773181350, 6.07794226, 0, 117},
		{"standardised", settings{RegParam: 0.01}, rows, 0.3250097140, 156.25282481, -1.57210681, 117},
		{"weighted", settings{RegParam: 0.01, NoStandardization: true, Weighted: true}, weighted, 0.3751462137, 5.83839793, -1.48149259, 117},
		{"L1", settings{RegParam: 0.01, ElasticNetParam: 1, NoStandardization: true, Tol: 1e-8, MaxIter: 1000}, rows, 0.4369552742, 0, 0, 0}, // not the only minimum: groups of columns sum to 1
		{"elastic net", settings{RegParam: 0.01, ElasticNetParam: 0.5, NoStandardization: true, Tol: 1e-8, MaxIter: 1000}, rows, 0.4167268077, 4.73467568, -1.81154469, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := fit(t, sc, c.set, c.rows)
			t.Logf("%d iterations, %d evaluations, %s", m.Summary.Iterations, m.Summary.Evaluations, m.Summary.Reason)
			near(t, "objective", m.Summary.Objective(), c.objective, 1e-8)
			if c.norm2 == 0 {
				return
			}
			near(t, "norm2", norm2(m.Coefficients), c.norm2, 2e-5)
			near(t, "intercept", m.Intercepts[0], c.intercept, 1e-5)
			nonzero := 0
			for _, w := range m.Coefficients {
				if w != 0 {
					nonzero++
				}
			}
			if nonzero != c.nonzero {
				t.Errorf("%d coefficients are not zero, want %d", nonzero, c.nonzero)
			}
		})
	}
}

func TestMultinomialReference(t *testing.T) {
	sc := local(t)
	rows := irisRows(t)
	for _, c := range []struct {
		lambda, objective        float64
		coefficients, intercepts []float64
	}{
		{
			0.1, 0.6786940675,
			[]float64{0.3935928, 0.0152276, 0.636347, 0.8094077, -0.4208437, 0.4121693, -0.8070739, -0.7998788, 0.0272509, -0.4273969, 0.1707268, -0.0095289},
			[]float64{0.07154119, -0.32681013, 0.25526894},
		},
		{
			0.001, 0.1540528218,
			[]float64{0.4145671, -2.1674549, 5.3665094, 5.735483, -1.6108351, 2.6883268, -4.3859541, -4.3196331, 1.1962679, -0.5208719, -0.9805553, -1.4158499},
			[]float64{-1.90401245, -0.74200779, 2.64602024},
		},
	} {
		m := fit(t, sc, settings{RegParam: c.lambda, NoStandardization: true}, rows)
		near(t, "objective", m.Summary.Objective(), c.objective, 1e-8)
		for i, want := range c.coefficients {
			near(t, "coefficient", m.Coefficients[i], want, 1e-5)
		}
		for i, want := range c.intercepts {
			near(t, "intercept", m.Intercepts[i], want, 1e-5)
		}
	}
}

// TestMultinomialOfTwoClasses: a softmax over two functions is a sigmoid of their difference; the penalty on both halves is half that on one.
func TestMultinomialOfTwoClasses(t *testing.T) {
	sc := local(t)
	rows := adultRows(t)
	two := fit(t, sc, settings{RegParam: 0.02, Family: classification.Multinomial}, rows)
	one := fit(t, sc, settings{RegParam: 0.01}, rows)
	for j, w := range one.Coefficients {
		near(t, "difference", two.Coefficients[123+j]-two.Coefficients[j], w, 1e-4)
	}
	near(t, "intercepts", two.Intercepts[1]-two.Intercepts[0], one.Intercepts[0], 1e-4)
	p, q := two.PredictProba(rows[7].Features, nil), one.PredictProba(rows[7].Features, nil)
	near(t, "probability", p[1], q[1], 1e-5)
}

// TestWeightsAreDuplicates: a row of weight 2 counts like two rows.
func TestWeightsAreDuplicates(t *testing.T) {
	sc := local(t)
	rows := irisRows(t)
	var twice []linalg.Instance
	for i := range rows {
		rows[i].Weight = float64(i % 3)
		for range i % 3 {
			twice = append(twice, rows[i])
		}
	}
	for _, s := range []settings{{RegParam: 0.05, NoStandardization: true}, {RegParam: 0.02, ElasticNetParam: 0.3, NoStandardization: true, Tol: 1e-8, MaxIter: 500}} {
		w := s
		w.Weighted = true
		a, b := fit(t, sc, w, rows), fit(t, sc, s, twice)
		for i := range a.Coefficients {
			near(t, "coefficient", a.Coefficients[i], b.Coefficients[i], 1e-4)
		}
		near(t, "objective", a.Summary.Objective(), b.Summary.Objective(), 1e-9)
	}
}

// gradient is that of the mean loss at a binary model, computed row by row.
func gradient(m *classification.Model, rows []linalg.Instance) (w []float64, b float64) {
	w = make([]float64, m.NumFeatures)
	for _, r := range rows {
		d := (m.PredictProba(r.Features, nil)[1] - r.Label) / float64(len(rows))
		for j, x := range r.Features.ToDense() {
			w[j] += d * x
		}
		b += d
	}
	return w, b
}

// TestOptimality holds elastic nets to the conditions that hold at their minimum and nowhere else, computed without anything of the trainer.
func TestOptimality(t *testing.T) {
	sc := local(t)
	rows := adultRows(t)
	for _, alpha := range []float64{0, 0.1, 0.9, 1} {
		const lambda = 0.005
		m := fit(t, sc, settings{RegParam: lambda, ElasticNetParam: alpha, NoStandardization: true, Tol: 1e-7, MaxIter: 2000}, rows)
		g, b := gradient(m, rows)
		near(t, "derivative by the intercept", b, 0, 1e-6)
		for j, w := range m.Coefficients {
			d := g[j] + lambda*(1-alpha)*w
			switch {
			case w != 0:
				near(t, "derivative", d+lambda*alpha*math.Copysign(1, w), 0, 1e-6)
			case math.Abs(d) > lambda*alpha+1e-6 && g[j] != 0:
				t.Errorf("alpha %g: coefficient %d is 0 at a derivative of %g", alpha, j, d)
			}
		}
	}
}

// TestStandardization: with it, scaling a feature scales its coefficient the other way and changes nothing else.
func TestStandardization(t *testing.T) {
	sc := local(t)
	rows := irisRows(t)
	scaled := irisRows(t)
	for i := range scaled {
		scaled[i].Features.Values[2] *= 1000
		scaled[i].Features.Values[2] += 5e6 // moving it is the intercepts' affair
	}
	for _, s := range []settings{{RegParam: 0.01}, {RegParam: 0.01, ElasticNetParam: 0.5, Tol: 1e-8, MaxIter: 1000}} {
		a, b := fit(t, sc, s, rows), fit(t, sc, s, scaled)
		near(t, "objective", b.Summary.Objective(), a.Summary.Objective(), 1e-8)
		for i := range a.Coefficients {
			f := 1.0
			if i%4 == 2 {
				f = 1000
			}
			near(t, "coefficient", b.Coefficients[i]*f, a.Coefficients[i], 1e-4)
		}
	}
	a := fit(t, sc, settings{RegParam: 0.01, NoStandardization: true}, rows)
	b := fit(t, sc, settings{RegParam: 0.01, NoStandardization: true}, scaled)
	if math.Abs(a.Summary.Objective()-b.Summary.Objective()) < 1e-3 {
		t.Error("without standardization the scale of a feature makes no difference")
	}
}

func TestBounds(t *testing.T) {
	sc := local(t)
	rows := adultRows(t)
	zero, one := [][]float64{make([]float64, 123)}, [][]float64{slices.Repeat([]float64{0.8}, 123)}
	m := fit(t, sc, settings{
		RegParam: 0.01, NoStandardization: true, LowerBoundsOnCoefficients: zero, UpperBoundsOnCoefficients: one,
		UpperBoundsOnIntercepts: []float64{-2.5}, Tol: 1e-7, MaxIter: 2000,
	}, rows)
	g, b := gradient(m, rows)
	atBound := 0
	for j, w := range m.Coefficients {
		d := g[j] + 0.01*w
		switch {
		case w < 0 || w > 0.8+1e-12:
			t.Errorf("coefficient %d is %g", j, w)
		case w == 0:
			atBound++
			if d < -1e-6 {
				t.Errorf("coefficient %d stays at 0 though its derivative is %g", j, d)
			}
		case w > 0.8-1e-12:
			atBound++
			if d > 1e-6 {
				t.Errorf("coefficient %d stays at 0.8 though its derivative is %g", j, d)
			}
		default:
			near(t, "derivative", d, 0, 1e-6)
		}
	}
	if atBound < 20 || m.Intercepts[0] > -2.5 || b > 1e-6 {
		t.Errorf("%d coefficients at a bound, intercept %g with derivative %g", atBound, m.Intercepts[0], b)
	}
	_, err := settings{RegParam: 1, ElasticNetParam: 0.5, LowerBoundsOnCoefficients: zero}.Fit(context.Background(), rdd.Parallelize(sc, rows, 2))
	if err == nil || !strings.Contains(err.Error(), "bounds do not go with an L1 penalty") {
		t.Errorf("bounds and L1: %v", err)
	}
	_, err = settings{LowerBoundsOnCoefficients: [][]float64{{1}}}.Fit(context.Background(), rdd.Parallelize(sc, rows, 2))
	if err == nil || !strings.Contains(err.Error(), "LowerBoundsOnCoefficients has a row of 1 number: give 123") {
		t.Errorf("a short row of bounds: %v", err)
	}
}

// TestInitialModel: training that goes on from a model ends at once where that was the minimum.
func TestInitialModel(t *testing.T) {
	sc := local(t)
	rows := irisRows(t)
	for _, s := range []settings{{RegParam: 0.01}, {RegParam: 0.01, ElasticNetParam: 0.5, Tol: 1e-4}} {
		m := fit(t, sc, s, rows)
		s.Initial = m
		again := fit(t, sc, s, rows)
		if again.Summary.Iterations > 1 {
			t.Errorf("%d iterations from the minimum", again.Summary.Iterations)
		}
		near(t, "objective", again.Summary.Objective(), m.Summary.Objective(), 1e-7)
	}
	s := settings{MaxIter: -1, Initial: fit(t, sc, settings{RegParam: 0.01}, rows)}
	m := fit(t, sc, s, rows)
	for i := range m.Coefficients {
		near(t, "coefficient", m.Coefficients[i], s.Initial.Coefficients[i], 1e-9)
	}
}

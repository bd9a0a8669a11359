package classification_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleLogisticRegression() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	rows := rdd.Parallelize(sc, []linalg.Instance{
		{Label: 0, Features: linalg.Dense(1, 0)},
		{Label: 0, Features: linalg.Dense(2, 1)},
		{Label: 1, Features: linalg.Dense(1, 1)},
		{Label: 1, Features: linalg.Dense(5, 4)},
		{Label: 1, Features: linalg.Dense(6, 3)},
		{Label: 0, Features: linalg.Dense(4, 2)},
	}, 2)
	model, err := classification.LogisticRegression{RegParam: 0.1}.Fit(ctx, rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%.4f %.4f\n", model.Coefficients, model.Intercepts)
	fmt.Printf("%.3f %v\n", model.PredictProba(linalg.Dense(5, 5), nil), model.Predict(linalg.Dense(5, 5)))
	e, err := model.Evaluate(ctx, rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("accuracy %.3f, area under ROC %.3f\n", e.Accuracy(), e.Binary.AreaUnderROC())
	// Output:
	// [0.0644 0.6192] [-1.3222]
	// [0.109 0.891] 1
	// accuracy 0.667, area under ROC 0.778
}

// TestSameModelEverywhere trains on one core, on four and on one to three executors.
func TestSameModelEverywhere(t *testing.T) {
	rows := adultRows(t)[:600]
	digests := map[string][]string{}
	for _, master := range []string{"local[1]", "local[4]", "local-cluster[1,1,256m]", "local-cluster[2,1,256m]", "local-cluster[3,2,256m]"} {
		sc := driver.New(driver.Master(master))
		for name, s := range map[string]settings{"L2": {RegParam: 0.01, MaxIter: 8}, "L1": {RegParam: 0.01, ElasticNetParam: 0.5, MaxIter: 8}, "softmax": {RegParam: 0.01, Family: classification.Multinomial, MaxIter: 5}} {
			m, err := s.Fit(context.Background(), rdd.Parallelize(sc, rows, 7))
			if err != nil {
				t.Fatal(err)
			}
			d, err := m.SHA256()
			if err != nil {
				t.Fatal(err)
			}
			digests[name] = append(digests[name], d)
		}
		sc.Stop()
	}
	for name, all := range digests {
		if len(slices.Compact(slices.Clone(all))) != 1 || len(all[0]) != 64 {
			t.Errorf("%s: %v", name, all)
		}
	}
}

// slowRow delays a row a little, so that a fit takes long enough to be disturbed.
func slowRow(r linalg.Instance) linalg.Instance {
	time.Sleep(50 * time.Microsecond)
	return r
}

// pidOf is where a task runs.
func pidOf(int64) int { return os.Getpid() }

// TestKilledExecutor kills an executor while it trains: the model is that of an undisturbed fit.
func TestKilledExecutor(t *testing.T) {
	rows := adultRows(t)
	s := settings{RegParam: 0.001, MaxIter: 12}
	sum := func(sc *driver.Context) string {
		m, err := s.Fit(context.Background(), rdd.Map(rdd.Parallelize(sc, rows, 6), slowRow))
		if err != nil {
			t.Fatal(err)
		}
		d, _ := m.SHA256()
		return d
	}
	calm := driver.New(driver.Master("local[2]"))
	want := sum(calm)
	calm.Stop()

	sc := driver.New(driver.Master("local-cluster[2,1,256m]"))
	defer sc.Stop()
	var lost atomic.Int64
	stages := make(chan int, 1000)
	sc.AddListener(func(e driver.Event) {
		switch e := e.(type) {
		case driver.ExecutorRemoved:
			lost.Add(1)
		case driver.StageSubmitted:
			select {
			case stages <- e.Stage:
			default:
			}
		}
	})
	pids, err := rdd.Map(rdd.Range(sc, 0, 2, 1, 2), pidOf).Collect(context.Background())
	if err != nil || pids[0] == os.Getpid() {
		t.Fatalf("tasks ran in %v: %v", pids, err)
	}
	for len(stages) > 0 {
		<-stages
	}
	go func() {
		for range 5 { // in the middle of the iterations
			<-stages
		}
		syscall.Kill(pids[0], syscall.SIGKILL)
	}()
	if got := sum(sc); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if lost.Load() == 0 {
		t.Error("no executor was lost: the test proved nothing")
	}
}

func TestCancelEndsTheFit(t *testing.T) {
	sc := local(t)
	rows := rdd.Map(rdd.Parallelize(sc, adultRows(t), 4), slowRow)
	ctx, cancel := context.WithCancel(context.Background())
	var cancelled time.Time
	time.AfterFunc(60*time.Millisecond, func() { cancelled = time.Now(); cancel() })
	_, err := settings{MaxIter: 100000, Tol: -1}.FitBlocks(ctx, rdd.New(sc, "Slow", rdd.Op[linalg.Block](slowBlocks{rows}), 4, nil, rdd.Narrow{Node: rows.Node()}).Persist(rdd.DiskOnly))
	if after := time.Since(cancelled); !errors.Is(err, context.Canceled) || after > time.Second {
		t.Errorf("ended %v after it was cancelled: %v", after, err)
	}
}

// slowBlocks packs each row into a block of its own.
type slowBlocks struct{ Rows rdd.RDD[linalg.Instance] }

func (o slowBlocks) Compute(t *rdd.Task, p int) (rdd.Stream[linalg.Block], error) {
	in, err := o.Rows.Compute(t, p)
	if err != nil {
		return nil, err
	}
	rows, err := rdd.ReadAll(in)
	if err != nil {
		return nil, err
	}
	var blocks []linalg.Block
	for i := range rows {
		var pack linalg.Packer
		if err := pack.Add(&rows[i]); err != nil {
			return nil, err
		}
		b, _ := pack.Take()
		blocks = append(blocks, b)
	}
	return rdd.StreamOf(blocks), nil
}

// TestConstantFeatures: their coefficients are zero, and they change nothing else.
func TestConstantFeatures(t *testing.T) {
	sc := local(t)
	rows := irisRows(t)
	with := irisRows(t)
	for i := range with {
		with[i].Features = linalg.Dense(append([]float64{7}, append(with[i].Features.Values, 0)...)...)
	}
	for _, s := range []settings{{RegParam: 0.01}, {RegParam: 0.01, NoIntercept: true}, {RegParam: 0.01, ElasticNetParam: 1}} {
		a, b := fit(t, sc, s, rows), fit(t, sc, s, with)
		for k := range 3 {
			if b.Coefficients[6*k] != 0 || b.Coefficients[6*k+5] != 0 {
				t.Errorf("class %d: coefficients %v", k, b.Coefficients[6*k:6*k+6])
			}
			for j := range 4 {
				near(t, "coefficient", b.Coefficients[6*k+1+j], a.Coefficients[4*k+j], 1e-6)
			}
		}
	}
	// Nothing but constants: the classes' shares.
	for i := range rows {
		rows[i].Features = linalg.Dense(1, 2)
	}
	m := fit(t, sc, settings{}, rows)
	p := m.PredictProba(linalg.Dense(9, 9), nil)
	near(t, "probability", p[0], 50.0/150, 1e-7)
}

func TestSingleClass(t *testing.T) {
	sc := local(t)
	for _, c := range []struct {
		set   settings
		label float64
		want  []float64
	}{
		{settings{}, 0, []float64{math.Inf(-1)}},
		{settings{}, 1, []float64{math.Inf(1)}},
		{settings{}, 2, []float64{0, 0, math.Inf(1)}},
		{settings{Family: classification.Multinomial, RegParam: 0.1, ElasticNetParam: 0.5}, 0, []float64{math.Inf(1), 0}},
	} {
		m := fit(t, sc, c.set, []linalg.Instance{{Label: c.label, Features: linalg.Dense(1)}, {Label: c.label, Features: linalg.Dense(2)}})
		if !slices.Equal(m.Intercepts, c.want) || norm2(m.Coefficients) != 0 || m.Predict(linalg.Dense(5)) != c.label || m.PredictProba(linalg.Dense(5), nil)[int(c.label)] != 1 {
			t.Errorf("label %g: intercepts %v, prediction %g with %v", c.label, m.Intercepts, m.Predict(linalg.Dense(5)), m.PredictProba(linalg.Dense(5), nil))
		}
	}
}

// TestSeparableClasses: without regularisation the coefficients grow without end; the fit ends all the same, with numbers.
func TestSeparableClasses(t *testing.T) {
	sc := local(t)
	m := fit(t, sc, settings{}, []linalg.Instance{{Label: 0, Features: linalg.Dense(1)}, {Label: 0, Features: linalg.Dense(2)}, {Label: 1, Features: linalg.Dense(3)}, {Label: 1, Features: linalg.Dense(4)}})
	if m.Predict(linalg.Dense(2)) != 0 || m.Predict(linalg.Dense(3)) != 1 || math.IsNaN(m.Coefficients[0]) || m.Summary.Objective() > 1e-3 {
		t.Errorf("%+v", m)
	}
}

func TestBadRowsAreNamed(t *testing.T) {
	sc := local(t)
	good := linalg.Instance{Label: 1, Features: linalg.Dense(1, 2, 3)}
	sparse, err := linalg.Sparse(3, []int32{1}, []float64{math.Inf(-1)})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		set  settings
		row  linalg.Instance
		want string
	}{
		{"NaN", settings{}, linalg.Instance{Features: linalg.Dense(1, 2, math.NaN())}, "partition 0: row 1 has NaN in column number 2, counted from 0"},
		{"names", settings{FeatureNames: []string{"age", "height", "weight"}}, linalg.Instance{Features: linalg.Dense(1, math.Inf(1), 0)}, `row 1 has +Inf in column "height"`},
		{"sparse", settings{}, linalg.Instance{Features: sparse}, "-Inf in column number 1"},
		{"short", settings{}, linalg.Instance{Features: linalg.Dense(1, 2)}, "row 1 has 2 features, the rows before have 3"},
		{"fraction", settings{}, linalg.Instance{Label: 0.5, Features: linalg.Dense(1, 2, 4)}, "row 1 has label 0.5: labels are the numbers of classes"},
		{"negative", settings{}, linalg.Instance{Label: -1, Features: linalg.Dense(1, 2, 4)}, "row 1 has label -1"},
		{"no label", settings{}, linalg.Instance{Label: math.NaN(), Features: linalg.Dense(1, 2, 4)}, "row 1 has label NaN"},
		{"weight", settings{Weighted: true}, linalg.Instance{Weight: -2, Features: linalg.Dense(1, 2, 4)}, "row 1 has weight -2"},
		{"weights", settings{Weighted: true}, linalg.Instance{Label: 0, Features: linalg.Dense(1, 2, 4)}, "all weights are 0"},
		{"huge", settings{}, linalg.Instance{Features: linalg.Dense(1e200, 2, 4)}, "the squares of column number 0, counted from 0 overflow"},
		{"binomial", settings{Family: classification.Binomial}, linalg.Instance{Label: 2, Features: linalg.Dense(1, 2, 4)}, "there are 3 classes"},
		{"classes", settings{NumClasses: 2}, linalg.Instance{Label: 2, Features: linalg.Dense(1, 2, 4)}, "there is a label 2"},
		{"thresholds", settings{Thresholds: []float64{0.5, 0.5}}, linalg.Instance{Label: 2, Features: linalg.Dense(1, 2, 4)}, "2 thresholds for 3 classes"},
		{"name", settings{FeatureNames: []string{"age"}}, linalg.Instance{Features: linalg.Dense(1, 2, 4)}, "1 name for 3 features"},
		{"initial", settings{Initial: &classification.Model{NumFeatures: 1, Intercepts: []float64{0}}}, linalg.Instance{Features: linalg.Dense(1, 2, 4)}, "the initial model has 1 feature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.set.Fit(context.Background(), rdd.Parallelize(sc, []linalg.Instance{good, c.row}, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "train logistic regression") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := (settings{}).Fit(context.Background(), rdd.Parallelize(sc, []linalg.Instance{}, 2)); err == nil || !strings.Contains(err.Error(), "there are no rows") {
		t.Errorf("no rows: %v", err)
	}
}

func TestSettingsAreChecked(t *testing.T) {
	sc := local(t)
	for want, s := range map[string]settings{
		"RegParam is -1: give a finite number, at least 0": {RegParam: -1},
		"RegParam is NaN": {RegParam: math.NaN()},
		"ElasticNetParam is 1.5: give a number from 0 to 1": {ElasticNetParam: 1.5},
		"Tol is +Inf": {Tol: math.Inf(1)},
		`Family is "poisson": give auto, binomial or multinomial`: {Family: "poisson"},
		"Threshold is 2":         {Threshold: 2},
		"AggregationDepth is -1": {AggregationDepth: -1},
		"MaxBlockSizeInMB is -3": {MaxBlockSizeInMB: -3},
		"Thresholds are [0 0]":   {Thresholds: []float64{0, 0}},
		"NoIntercept is true":    {NoIntercept: true, LowerBoundsOnIntercepts: []float64{0}},
	} {
		_, err := s.Fit(context.Background(), rdd.Parallelize(sc, []linalg.Instance{}, 1))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestThresholds(t *testing.T) {
	sc := local(t)
	rows := irisRows(t)
	m := fit(t, sc, settings{RegParam: 0.01}, rows)
	v := rows[3].Features
	p := m.PredictProba(v, nil)
	near(t, "sum of probabilities", p[0]+p[1]+p[2], 1, 1e-12)
	best := slices.Index(p, slices.Max(p))
	if m.Predict(v) != float64(best) {
		t.Errorf("prediction %g of %v", m.Predict(v), p)
	}
	m.Thresholds = []float64{1, 1, 1}
	m.Thresholds[(best+1)%3] = 1e-9
	if m.Predict(v) != float64((best+1)%3) {
		t.Errorf("with thresholds %v of %v: %g", m.Thresholds, p, m.Predict(v))
	}
	m.Thresholds[(best+1)%3], m.Thresholds[(best+2)%3] = 1, 0
	if m.Predict(v) != float64((best+2)%3) {
		t.Errorf("with thresholds %v of %v: %g", m.Thresholds, p, m.Predict(v))
	}
	two := fit(t, sc, settings{RegParam: 0.01, Threshold: 0.9}, adultRows(t))
	for _, r := range adultRows(t)[:50] {
		if (two.PredictProba(r.Features, nil)[1] > 0.9) != (two.Predict(r.Features) == 1) {
			t.Fatal("the threshold does not decide")
		}
	}
}

func TestModelFile(t *testing.T) {
	sc := local(t)
	ctx := context.Background()
	rows := irisRows(t)
	m := fit(t, sc, settings{RegParam: 0.01, FeatureNames: []string{"a", "b", "c", "d"}, LabelNames: []string{"x", "y", "z"}, Thresholds: []float64{0.3, 0.3, 0.4}}, rows)
	if err := m.Save(ctx, "mem://classification/model"); err != nil {
		t.Fatal(err)
	}
	got, err := classification.Load(ctx, "mem://classification/model")
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.SHA256()
	b, err2 := got.SHA256()
	if a != b || err != nil || err2 != nil {
		t.Errorf("digests %s and %s, %v, %v", a, b, err, err2)
	}
	for _, r := range rows {
		if !slices.Equal(m.PredictProba(r.Features, nil), got.PredictProba(r.Features, nil)) || m.Predict(r.Features) != got.Predict(r.Features) {
			t.Fatal("the loaded model predicts otherwise")
		}
	}
	if got.FeatureNames[3] != "d" || got.LabelNames[2] != "z" || got.Summary.Iterations != m.Summary.Iterations || got.Settings != m.Settings {
		t.Errorf("%+v", got)
	}
	file, err := filesys.ReadFile(ctx, "mem://classification/model")
	if err != nil {
		t.Fatal(err)
	}
	file[len(file)/2] ^= 1
	if err := filesys.WriteFile(ctx, "mem://classification/damaged", file); err != nil {
		t.Fatal(err)
	}
	if _, err := classification.Load(ctx, "mem://classification/damaged"); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a damaged file: %v", err)
	}
	constant := fit(t, sc, settings{}, []linalg.Instance{{Label: 1, Features: linalg.Dense(1)}})
	if err := constant.Save(ctx, "mem://classification/constant"); err != nil {
		t.Fatal(err)
	}
	if got, err = classification.Load(ctx, "mem://classification/constant"); err != nil || !math.IsInf(got.Intercepts[0], 1) {
		t.Errorf("an infinite intercept: %+v, %v", got, err)
	}
}

func TestPredictAllocatesNothing(t *testing.T) {
	sc := local(t)
	rows := irisRows(t)
	out := make([]float64, 0, 3)
	for _, m := range []*classification.Model{
		fit(t, sc, settings{RegParam: 0.01}, rows),
		fit(t, sc, settings{RegParam: 0.01, Thresholds: []float64{1, 2, 3}}, rows),
	} {
		n := testing.AllocsPerRun(100, func() {
			for i := range rows {
				m.Predict(rows[i].Features)
				out = m.PredictProba(rows[i].Features, out)
				out = m.PredictRaw(rows[i].Features, out)
			}
		})
		if n != 0 {
			t.Errorf("%g allocations", n)
		}
	}
}

func BenchmarkPredict(b *testing.B) {
	m := &classification.Model{NumClasses: 2, NumFeatures: 28, Coefficients: make([]float64, 28), Intercepts: make([]float64, 1), Threshold: 0.5}
	v := linalg.Dense(make([]float64, 28)...)
	b.ReportAllocs()
	for b.Loop() {
		m.Predict(v)
	}
}

package classification

import (
	"context"
	"fmt"
	"math"

	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/modelfile"
)

// Model is a trained logistic regression: plain data, which predicts without any engine. Methods are safe for concurrent use.
type Model struct {
	NumClasses, NumFeatures int
	// Coefficients has one row of NumFeatures numbers for a binomial model, whose margin is that of class 1, and one for each class of a multinomial
	// one; Intercepts one number a row. They are for the features as they came.
	Coefficients, Intercepts []float64
	// Threshold and Thresholds are as in LogisticRegression.
	Threshold    float64
	Thresholds   []float64
	FeatureNames []string // of the columns; may be nil
	LabelNames   []string // of the classes; may be nil
	Settings     Settings
	Summary      Summary
}

// Settings are those that a model was trained with.
type Settings struct {
	RegParam        float64 `json:"regParam"`
	ElasticNetParam float64 `json:"elasticNetParam"`
	MaxIter         int     `json:"maxIter"`
	Tol             float64 `json:"tol"`
	Family          Family  `json:"family"`
	Standardization bool    `json:"standardization"`
	FitIntercept    bool    `json:"fitIntercept"`
	Weighted        bool    `json:"weighted"`
}

// Summary tells how training went.
type Summary struct {
	ObjectiveHistory []float64 // at the start and after each iteration
	Iterations       int
	Evaluations      int // of the objective: one job each
	Rows             int64
	WeightSum        float64
	Converged        bool
	Reason           string // why training ended
	Seconds          float64
}

// Objective is the value that was reached, penalties included; NaN if there was nothing to minimise.
func (s *Summary) Objective() float64 {
	if len(s.ObjectiveHistory) == 0 {
		return math.NaN()
	}
	return s.ObjectiveHistory[len(s.ObjectiveHistory)-1]
}

// newModel makes a model with all that is known before the search.
func (t *trainer) newModel() *Model {
	family := Multinomial
	if t.functions == 1 {
		family = Binomial
	}
	m := &Model{
		NumClasses: t.classes, NumFeatures: t.features,
		Coefficients: make([]float64, t.functions*t.features), Intercepts: make([]float64, t.functions),
		Threshold: t.set.Threshold, Thresholds: t.set.Thresholds,
		FeatureNames: t.set.FeatureNames, LabelNames: t.set.LabelNames,
		Settings: Settings{t.set.RegParam, t.set.ElasticNetParam, t.set.MaxIter, t.set.Tol, family, !t.set.NoStandardization, !t.set.NoIntercept, t.set.Weighted},
		Summary:  Summary{Rows: t.view.Rows, WeightSum: t.weight},
	}
	present, only := 0, 0
	for k, w := range t.view.Classes {
		if w > 0 {
			present, only = present+1, k
		}
	}
	if present == 1 && !t.set.NoIntercept && !t.set.bounded() {
		if t.functions == 1 {
			m.Intercepts[0] = math.Inf(2*only - 1)
		} else {
			m.Intercepts[only] = math.Inf(1)
		}
		m.Summary.Converged = true
	}
	return m
}

// constant tells that the model knows one class only.
func (m *Model) constant() bool { return !m.finite() }

func (m *Model) finite() bool {
	for _, b := range m.Intercepts {
		if math.IsInf(b, 0) {
			return false
		}
	}
	return true
}

// only is the class of a constant model.
func (m *Model) only() int {
	for k, b := range m.Intercepts {
		if math.IsInf(b, 1) {
			if len(m.Intercepts) == 1 {
				return 1
			}
			return k
		}
	}
	return 0
}

func (m *Model) margin(k int, v *linalg.Vector) float64 {
	return v.Dot(m.Coefficients[k*m.NumFeatures:(k+1)*m.NumFeatures]) + m.Intercepts[k]
}

// shape panics if a vector is not for this model: a mistake in the program, as an index out of range is.
func (m *Model) shape(v *linalg.Vector) {
	if v.Size != m.NumFeatures {
		panic(fmt.Sprintf("classification: a vector of %d features for a model of %d", v.Size, m.NumFeatures))
	}
}

// PredictRaw appends the margin of each class to out[:0] and returns it: of two classes, -m and m. It allocates nothing if out has room for NumClasses numbers.
func (m *Model) PredictRaw(v linalg.Vector, out []float64) []float64 {
	m.shape(&v)
	out = out[:0]
	if len(m.Intercepts) == 1 {
		x := m.margin(0, &v)
		return append(out, -x, x)
	}
	for k := range m.Intercepts {
		out = append(out, m.margin(k, &v))
	}
	return out
}

// PredictProba appends the probability of each class to out[:0] and returns it, as PredictRaw does margins.
func (m *Model) PredictProba(v linalg.Vector, out []float64) []float64 {
	out = m.PredictRaw(v, out)
	if len(m.Intercepts) == 1 {
		p := linalg.Sigmoid(out[1])
		out[0], out[1] = linalg.Sigmoid(out[0]), p
		return out
	}
	linalg.Softmax(out)
	return out
}

// Predict returns the class of a row. It allocates nothing for models of up to 64 classes.
func (m *Model) Predict(v linalg.Vector) float64 {
	var buf [64]float64
	if len(m.Thresholds) > 0 {
		return m.choose(m.PredictProba(v, buf[:0]))
	}
	m.shape(&v)
	if len(m.Intercepts) == 1 {
		if linalg.Sigmoid(m.margin(0, &v)) > m.Threshold {
			return 1
		}
		return 0
	}
	best, top := 0, math.Inf(-1)
	for k := range m.Intercepts {
		if x := m.margin(k, &v); x > top {
			best, top = k, x
		}
	}
	return float64(best)
}

// choose picks the class of given probabilities by the thresholds.
func (m *Model) choose(p []float64) float64 {
	if len(m.Thresholds) == 0 {
		if len(m.Intercepts) == 1 {
			if p[1] > m.Threshold {
				return 1
			}
			return 0
		}
		best := 0
		for k := range p {
			if p[k] > p[best] {
				best = k
			}
		}
		return float64(best)
	}
	best, top := 0, math.Inf(-1)
	for k, t := range m.Thresholds {
		score := p[k] / t
		if t == 0 { // Spark: a class of threshold 0 wins if it is possible at all
			score = math.Inf(1)
			if p[k] == 0 {
				score = 0
			}
		}
		if score > top {
			best, top = k, score
		}
	}
	return float64(best)
}

// Kind and newest version of the files of this model; see package modelfile.
const (
	Kind        = "classification.LogisticRegression"
	fileVersion = 1
)

type fileShape struct {
	NumClasses  int     `json:"numClasses"`
	NumFeatures int     `json:"numFeatures"`
	Threshold   float64 `json:"threshold"`
}

type fileMetrics struct {
	Iterations  int     `json:"iterations"`
	Evaluations int     `json:"evaluations"`
	Rows        int64   `json:"rows"`
	WeightSum   float64 `json:"weightSum"`
	Converged   bool    `json:"converged"`
	Reason      string  `json:"reason"`
}

// File is the model as a file, without the seconds that training took.
func (m *Model) File() *modelfile.File {
	f := modelfile.New(Kind, fileVersion)
	f.Set("shape", fileShape{m.NumClasses, m.NumFeatures, m.Threshold})
	f.Set("settings", m.Settings)
	s := &m.Summary
	f.Set("metrics", fileMetrics{s.Iterations, s.Evaluations, s.Rows, s.WeightSum, s.Converged, s.Reason})
	modelfile.SetArray(f, "coefficients", m.Coefficients)
	modelfile.SetArray(f, "intercepts", m.Intercepts)
	modelfile.SetArray(f, "thresholds", m.Thresholds)
	modelfile.SetArray(f, "featureNames", m.FeatureNames)
	modelfile.SetArray(f, "labelNames", m.LabelNames)
	modelfile.SetArray(f, "objectiveHistory", s.ObjectiveHistory)
	return f
}

// Save writes the model to one file.
func (m *Model) Save(ctx context.Context, uri string) error { return m.File().Save(ctx, uri) }

// SHA256 names the model: equal for equal data, partitions and settings.
func (m *Model) SHA256() (string, error) { return m.File().Digest() }

// Load reads a model that Save wrote.
func Load(ctx context.Context, uri string) (*Model, error) {
	return modelfile.LoadAs(ctx, uri, Kind, fileVersion, FromFile)
}

// FromFile makes the model of what File returned.
func FromFile(f *modelfile.File) (*Model, error) {
	if err := f.Check(Kind, fileVersion); err != nil {
		return nil, err
	}
	m := &Model{}
	var shape fileShape
	var metrics fileMetrics
	for name, into := range map[string]any{"shape": &shape, "settings": &m.Settings, "metrics": &metrics} {
		if err := f.Get(name, into); err != nil {
			return nil, err
		}
	}
	m.NumClasses, m.NumFeatures, m.Threshold = shape.NumClasses, shape.NumFeatures, shape.Threshold
	s := &m.Summary
	s.Iterations, s.Evaluations, s.Rows, s.WeightSum, s.Converged, s.Reason = metrics.Iterations, metrics.Evaluations, metrics.Rows, metrics.WeightSum, metrics.Converged, metrics.Reason
	for _, a := range []struct {
		name string
		into *[]float64
	}{
		{"coefficients", &m.Coefficients}, {"intercepts", &m.Intercepts}, {"thresholds", &m.Thresholds}, {"objectiveHistory", &s.ObjectiveHistory},
	} {
		var err error
		if *a.into, err = modelfile.GetArray[float64](f, a.name); err != nil {
			return nil, err
		}
	}
	var err error
	if m.FeatureNames, err = modelfile.GetArray[string](f, "featureNames"); err != nil {
		return nil, err
	}
	if m.LabelNames, err = modelfile.GetArray[string](f, "labelNames"); err != nil {
		return nil, err
	}
	functions := len(m.Intercepts)
	if m.NumClasses < 2 || m.NumFeatures < 0 || functions != m.NumClasses && (functions != 1 || m.NumClasses != 2) || len(m.Coefficients) != functions*m.NumFeatures ||
		len(m.Thresholds) != 0 && len(m.Thresholds) != m.NumClasses {
		return nil, fmt.Errorf("its %d coefficients and %d intercepts do not fit %d classes and %d features", len(m.Coefficients), functions, m.NumClasses, m.NumFeatures)
	}
	return m, nil
}

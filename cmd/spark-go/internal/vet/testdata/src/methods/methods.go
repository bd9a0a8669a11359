// Package methods gives methods to operations.
package methods

import (
	"os"
	"strings"

	"github.com/spark-go/spark-go/rdd"
)

type model struct{ w []float64 }

func (m model) Predict(x float64) float64      { return m.w[0] * x }
func (m *model) Score(x float64) float64       { return m.w[0] * x }
func (m model) Merge(a, b float64) float64     { return a + b }
func (m model) Split(x float64) (int, float64) { return 0, x }

type predictor interface{ Predict(float64) float64 }

type store struct{ f *os.File }

func (s *store) Save(x float64) float64 { return x }

var global model

func BadValue(r rdd.RDD[float64], m model) rdd.RDD[float64] {
	return rdd.Map(r, m.Predict) // want `function given to rdd.Map is the method value m.Predict, which captures m \(model\): bind the method, rdd.Bind\(m, model.Predict\)`
}

func BadPointer(r rdd.RDD[float64], m *model) rdd.RDD[float64] {
	return rdd.Map(r, m.Score) // want `bind the method, rdd.Bind\(m, \(\*model\).Score\)`
}

func BadAddressOfValue(r rdd.RDD[float64], m model) rdd.RDD[float64] {
	return rdd.Map(r, m.Score) // want `bind the method, rdd.Bind\(&m, \(\*model\).Score\)`
}

func BadInterface(r rdd.RDD[float64], p predictor) rdd.RDD[float64] {
	return rdd.Map(r, p.Predict) // want `rdd.Bind\(p, predictor.Predict\)`
}

func BadBinary(r rdd.RDD[rdd.Pair[int, float64]], m model) rdd.RDD[rdd.Pair[int, float64]] {
	return rdd.ReduceByKey(r, m.Merge) // want `rdd.Bind2\(m, model.Merge\)`
}

func BadGlobal(r rdd.RDD[float64]) rdd.RDD[float64] {
	return rdd.Map(r, global.Predict) // want `the method value global.Predict, which captures global \(model\)`
}

func BadLibrary(r rdd.RDD[string], rep *strings.Replacer) rdd.RDD[string] {
	return rdd.Map(r, rep.Replace) // want `rep.once is a lock \(sync.Once\)`
}

func BadUntravelled(r rdd.RDD[float64], s *store) rdd.RDD[float64] {
	return rdd.Map(r, s.Save) // want `is the method value s.Save, which captures s \(\*store\): s.f is an open file \(\*os.File\)`
}

func BadInBind(r rdd.RDD[float64], m model) rdd.RDD[float64] {
	return rdd.Map(r, rdd.Bind(1.5, m.Merge)) // want `function given to rdd.Bind is the method value m.Merge, which captures m \(model\): add it to the environment`
}

func GoodExpression(r rdd.RDD[model]) rdd.RDD[[]float64] {
	return rdd.Map(r, model.weights)
}

func (m model) weights() []float64 { return m.w }

func GoodBound(r rdd.RDD[float64], m *model) rdd.RDD[float64] {
	return rdd.Map(r, rdd.Bind(m, (*model).Score))
}

func GoodFunction(r rdd.RDD[string]) rdd.RDD[string] {
	return rdd.Map(r, strings.ToUpper)
}

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/modelfile"
	"github.com/spark-go/spark-go/mllib/tree"
)

// Kind and newest version of the files of models; see package modelfile.
const (
	FileKind    = "pipeline.Model"
	fileVersion = 1
)

// fileColumns is the header value "schema".
type fileColumns struct {
	Columns  Schema `json:"columns"`
	Features string `json:"features"`
	Label    string `json:"label,omitempty"`
	Weight   string `json:"weight,omitempty"`
	Stages   int    `json:"stages"`
}

// estimatorPart is the name of the part that is the trained estimator.
const estimatorPart = "estimator"

// File is the model as a file: a part for each stage, and the estimator's own file as another.
func (m *Model) File() *modelfile.File {
	f := modelfile.New(FileKind, fileVersion)
	f.Set("schema", fileColumns{m.Schema, m.Features, m.Label, m.Weight, len(m.Stages)})
	modelfile.SetArray(f, "featureNames", m.FeatureNames)
	modelfile.SetArray(f, "classes", m.Classes)
	for i, s := range m.Stages {
		f.SetPart("stage"+strconv.Itoa(i+1), s.file())
	}
	if p, ok := m.Predictor.(interface{ File() *modelfile.File }); ok {
		f.SetPart(estimatorPart, p.File())
	}
	return f
}

// Load reads a model that Save wrote. It needs no engine.
func Load(ctx context.Context, uri string) (*Model, error) {
	return modelfile.LoadAs(ctx, uri, FileKind, fileVersion, FromFile)
}

// FromFile makes the model of what File returned.
func FromFile(f *modelfile.File) (*Model, error) {
	if err := f.Check(FileKind, fileVersion); err != nil {
		return nil, err
	}
	var c fileColumns
	if err := f.Get("schema", &c); err != nil {
		return nil, err
	}
	m := &Model{Schema: c.Columns, Features: c.Features, Label: c.Label, Weight: c.Weight}
	var err error
	if m.FeatureNames, err = modelfile.GetArray[string](f, "featureNames"); err != nil {
		return nil, err
	}
	if m.Classes, err = modelfile.GetArray[string](f, "classes"); err != nil {
		return nil, err
	}
	for i := range c.Stages {
		p, err := f.Part("stage" + strconv.Itoa(i+1))
		if err != nil {
			return nil, err
		}
		s, err := trainedOf(p)
		if err != nil {
			return nil, fmt.Errorf("its stage %d: %w", i+1, err)
		}
		m.Stages = append(m.Stages, s)
	}
	p, err := f.Part(estimatorPart)
	if err != nil {
		return nil, err
	}
	if m.Predictor, err = predictorOf(p); err != nil {
		return nil, fmt.Errorf("its estimator: %w", err)
	}
	_, err = m.wire()
	return m, err
}

func predictorOf(f *modelfile.File) (any, error) {
	switch f.Kind() {
	case classification.Kind:
		return classification.FromFile(f)
	case tree.ClassificationKind:
		return tree.ClassificationModelOf(f)
	case tree.RegressionKind:
		return tree.RegressionModelOf(f)
	case clustering.Kind:
		return clustering.FromFile(f)
	}
	return nil, fmt.Errorf("it is a %s, which this program does not know: use a newer release", f.Kind())
}

// stageVersion is the version of the content of all stages.
const stageVersion = 1

const stagePrefix = "pipeline."

// stageFile starts the file of a trained stage.
func stageFile(s Stage) *modelfile.File {
	f := modelfile.New(stagePrefix+s.kind(), stageVersion)
	f.Set("settings", s)
	return f
}

// trainedOf makes a trained stage of its file.
func trainedOf(f *modelfile.File) (Trained, error) {
	for _, t := range []struct {
		stage Stage
		load  func(*modelfile.File, Stage) (Trained, error)
	}{
		{&StringIndexer{}, loadStringIndexer},
		{&OneHotEncoder{}, loadOneHotEncoder},
		{&Imputer{}, loadImputer},
		{&VectorAssembler{}, func(_ *modelfile.File, s Stage) (Trained, error) { return s.(*VectorAssembler), nil }},
		{&StandardScaler{}, loadScaler},
		{&MinMaxScaler{}, loadScaler},
	} {
		if f.Kind() != stagePrefix+t.stage.kind() {
			continue
		}
		if err := f.Check(f.Kind(), stageVersion); err != nil {
			return nil, err
		}
		if err := f.Get("settings", t.stage); err != nil {
			return nil, err
		}
		if err := t.stage.check(); err != nil {
			return nil, err
		}
		return t.load(f, t.stage)
	}
	return nil, fmt.Errorf("it is a %s, which this program does not know: use a newer release", f.Kind())
}

// errShape is of files that no program wrote so.
var errShape = errors.New("its numbers do not go with its columns: the file was not written by this package")

func (m *StringIndexerModel) file() *modelfile.File {
	f := stageFile(&m.StringIndexer)
	for i, labels := range m.Labels {
		modelfile.SetArray(f, "labels"+strconv.Itoa(i), labels)
	}
	return f
}

func loadStringIndexer(f *modelfile.File, s Stage) (Trained, error) {
	m := &StringIndexerModel{StringIndexer: *s.(*StringIndexer)}
	for i := range m.Inputs {
		labels, err := modelfile.GetArray[string](f, "labels"+strconv.Itoa(i))
		if err != nil {
			return nil, err
		}
		m.Labels = append(m.Labels, labels)
	}
	return m, nil
}

func (m *StringIndexerModel) fits(in []column) error { return shapesFit(len(m.Labels) == len(in)) }

func (m *OneHotEncoderModel) file() *modelfile.File {
	f := stageFile(&m.OneHotEncoder)
	f.Set("categories", m.Categories)
	return f
}

func loadOneHotEncoder(f *modelfile.File, s Stage) (Trained, error) {
	m := &OneHotEncoderModel{OneHotEncoder: *s.(*OneHotEncoder)}
	return m, f.Get("categories", &m.Categories)
}

func (m *OneHotEncoderModel) fits(in []column) error {
	ok := len(m.Categories) == len(in)
	for _, n := range m.Categories {
		ok = ok && n >= 1 && n <= mostCategories
	}
	return shapesFit(ok)
}

func (m *ImputerModel) file() *modelfile.File {
	f := stageFile(&m.Imputer)
	modelfile.SetArray(f, "numbers", m.Numbers)
	modelfile.SetArray(f, "texts", m.Texts)
	return f
}

func loadImputer(f *modelfile.File, s Stage) (Trained, error) {
	m := &ImputerModel{Imputer: *s.(*Imputer)}
	var err error
	if m.Numbers, err = modelfile.GetArray[float64](f, "numbers"); err != nil {
		return nil, err
	}
	m.Texts, err = modelfile.GetArray[string](f, "texts")
	return m, err
}

func (m *ImputerModel) fits(in []column) error {
	return shapesFit(len(m.Numbers) == len(in) && len(m.Texts) == len(in))
}

func (s *VectorAssembler) file() *modelfile.File { return stageFile(s) }

func (s *VectorAssembler) fits([]column) error { return nil }

func (m *ScalerModel) file() *modelfile.File {
	f := stageFile(m.stage())
	modelfile.SetArray(f, "offset", m.Offset)
	modelfile.SetArray(f, "factor", m.Factor)
	modelfile.SetArray(f, "shift", []float64{m.Shift})
	return f
}

func loadScaler(f *modelfile.File, s Stage) (Trained, error) {
	m := &ScalerModel{}
	m.Standard, _ = s.(*StandardScaler)
	m.MinMax, _ = s.(*MinMaxScaler)
	var shift []float64
	for _, a := range []struct {
		name string
		into *[]float64
	}{{"offset", &m.Offset}, {"factor", &m.Factor}, {"shift", &shift}} {
		var err error
		if *a.into, err = modelfile.GetArray[float64](f, a.name); err != nil {
			return nil, err
		}
	}
	if len(shift) != 1 {
		return nil, errShape
	}
	m.Shift = shift[0]
	return m, nil
}

func (m *ScalerModel) fits(in []column) error {
	n := 0
	for _, c := range in {
		n += len(c.Elements)
	}
	return shapesFit(len(m.Offset) == n && len(m.Factor) == n)
}

func shapesFit(ok bool) error {
	if !ok {
		return errShape
	}
	return nil
}

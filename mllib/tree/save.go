package tree

import (
	"context"

	"github.com/spark-go/spark-go/mllib/modelfile"
)

// The kinds of files, and the versions of their content.
const (
	ClassificationKind = "tree.ClassificationModel"
	RegressionKind     = "tree.RegressionModel"
	fileVersion        = 1
)

// schema is what the header of a file says about the features.
type schema struct {
	NumFeatures  int      `json:"numFeatures"`
	NumClasses   int      `json:"numClasses,omitempty"`
	FeatureNames []string `json:"featureNames,omitempty"`
}

// column is one field of all nodes.
func column[T, E any](all []T, field func(*T) E) []E {
	out := make([]E, len(all))
	for i := range all {
		out[i] = field(&all[i])
	}
	return out
}

// file is the forest as a file: one array for each field of the nodes.
func (f *Forest) file(kind string) *modelfile.File {
	w := modelfile.New(kind, fileVersion)
	f.fill(w)
	return w
}

func (f *Forest) fill(w *modelfile.File) {
	w.Set("settings", f.Settings)
	w.Set("seed", f.Settings.Seed)
	w.Set("schema", schema{f.NumFeatures, f.NumClasses, f.FeatureNames})
	w.Set("metrics", map[string]int{"trees": f.NumTrees(), "nodes": f.NumNodes(), "depth": f.Depth()})
	modelfile.SetArray(w, "arities", f.Arities)
	modelfile.SetArray(w, "roots", f.Roots)
	modelfile.SetArray(w, "threshold", column(f.Nodes, func(n *Node) float64 { return n.Threshold }))
	modelfile.SetArray(w, "feature", column(f.Nodes, func(n *Node) int32 { return n.Feature }))
	modelfile.SetArray(w, "right", column(f.Nodes, func(n *Node) int32 { return n.Right }))
	modelfile.SetArray(w, "set", column(f.Nodes, func(n *Node) int32 { return n.Set }))
	modelfile.SetArray(w, "prediction", column(f.Infos, func(n *Info) float64 { return n.Prediction }))
	modelfile.SetArray(w, "impurity", column(f.Infos, func(n *Info) float64 { return n.Impurity }))
	modelfile.SetArray(w, "gain", column(f.Infos, func(n *Info) float64 { return n.Gain }))
	modelfile.SetArray(w, "weight", column(f.Infos, func(n *Info) float64 { return n.Weight }))
	modelfile.SetArray(w, "votes", column(f.Infos, func(n *Info) int32 { return n.Votes }))
	modelfile.SetArray(w, "voters", column(f.Infos, func(n *Info) int32 { return n.Voters }))
	modelfile.SetArray(w, "sets", column(f.Sets, func(s *uint64) int64 { return int64(*s) }))
	modelfile.SetArray(w, "voteClasses", f.VoteClasses)
	modelfile.SetArray(w, "voteWeights", f.VoteWeights)
}

// reader gets arrays until something is wrong.
type reader struct {
	file *modelfile.File
	err  error
}

func array[E modelfile.Element](r *reader, name string) []E {
	if r.err != nil {
		return nil
	}
	a, err := modelfile.GetArray[E](r.file, name)
	r.err = err
	return a
}

// forestOf reads what file wrote.
func forestOf(w *modelfile.File, kind string) (*Forest, error) {
	if err := w.Check(kind, fileVersion); err != nil {
		return nil, err
	}
	f, s := &Forest{}, schema{}
	if err := w.Get("settings", &f.Settings); err != nil {
		return nil, err
	}
	if err := w.Get("schema", &s); err != nil {
		return nil, err
	}
	f.NumFeatures, f.NumClasses, f.FeatureNames = s.NumFeatures, s.NumClasses, s.FeatureNames
	r := &reader{file: w}
	f.Arities, f.Roots = array[int32](r, "arities"), array[int32](r, "roots")
	threshold, feature, right, set := array[float64](r, "threshold"), array[int32](r, "feature"), array[int32](r, "right"), array[int32](r, "set")
	prediction, impurity, gain, weight := array[float64](r, "prediction"), array[float64](r, "impurity"), array[float64](r, "gain"), array[float64](r, "weight")
	votes, voters, sets := array[int32](r, "votes"), array[int32](r, "voters"), array[int64](r, "sets")
	f.VoteClasses, f.VoteWeights = array[int32](r, "voteClasses"), array[float64](r, "voteWeights")
	if r.err != nil {
		return nil, r.err
	}
	n := len(threshold)
	for _, m := range []int{len(feature), len(right), len(set), len(prediction), len(impurity), len(gain), len(weight), len(votes), len(voters)} {
		if m != n {
			return nil, errShape
		}
	}
	f.Nodes, f.Infos = make([]Node, n), make([]Info, n)
	f.Sets = column(sets, func(s *int64) uint64 { return uint64(*s) })
	for i := range f.Nodes {
		f.Nodes[i] = Node{threshold[i], feature[i], right[i], set[i]}
		f.Infos[i] = Info{prediction[i], impurity[i], gain[i], weight[i], votes[i], voters[i], -1}
	}
	if err := f.check(); err != nil {
		return nil, err
	}
	for t := range f.Roots {
		leaf := int32(0)
		for i := f.Roots[t]; i < f.end(t); i++ {
			if f.Nodes[i].Feature < 0 {
				f.Infos[i].Leaf = leaf
				leaf++
			}
		}
	}
	return f, nil
}

// File is the model as a file.
func (m *ClassificationModel) File() *modelfile.File {
	w := m.file(ClassificationKind)
	modelfile.SetArray(w, "thresholds", m.Thresholds)
	return w
}

// Save writes the model to one file, on any file system. The same model gives the same bytes.
func (m *ClassificationModel) Save(ctx context.Context, uri string) error {
	return m.File().Save(ctx, uri)
}

// SHA256 names the model: it is equal for equal data, seed and settings, whatever the cluster did meanwhile.
func (m *ClassificationModel) SHA256() (string, error) { return m.File().Digest() }

// LoadClassificationModel reads a model that Save wrote.
func LoadClassificationModel(ctx context.Context, uri string) (*ClassificationModel, error) {
	return modelfile.LoadAs(ctx, uri, ClassificationKind, fileVersion, ClassificationModelOf)
}

// ClassificationModelOf makes the model of what File returned.
func ClassificationModelOf(w *modelfile.File) (*ClassificationModel, error) {
	f, err := forestOf(w, ClassificationKind)
	if err != nil {
		return nil, err
	}
	m := &ClassificationModel{Forest: *f}
	thresholds, err := modelfile.GetArray[float64](w, "thresholds")
	if err != nil {
		return nil, err
	}
	if len(thresholds) > 0 {
		m.Thresholds = thresholds
	}
	if m.NumClasses < 1 || len(thresholds) > 0 && len(thresholds) != m.NumClasses {
		return nil, errShape
	}
	return m, nil
}

// File is the model as a file.
func (m *RegressionModel) File() *modelfile.File { return m.file(RegressionKind) }

// Save writes the model to one file, on any file system. The same model gives the same bytes.
func (m *RegressionModel) Save(ctx context.Context, uri string) error {
	return m.File().Save(ctx, uri)
}

// SHA256 names the model: it is equal for equal data, seed and settings, whatever the cluster did meanwhile.
func (m *RegressionModel) SHA256() (string, error) { return m.File().Digest() }

// LoadRegressionModel reads a model that Save wrote.
func LoadRegressionModel(ctx context.Context, uri string) (*RegressionModel, error) {
	return modelfile.LoadAs(ctx, uri, RegressionKind, fileVersion, RegressionModelOf)
}

// RegressionModelOf makes the model of what File returned.
func RegressionModelOf(w *modelfile.File) (*RegressionModel, error) {
	f, err := forestOf(w, RegressionKind)
	if err != nil {
		return nil, err
	}
	return &RegressionModel{Forest: *f}, nil
}

package tree

import (
	"errors"
	"fmt"
)

// Forest is what models of this package consist of: trees as plain data. It needs no engine.
type Forest struct {
	NumFeatures  int
	NumClasses   int      // 0: the forest predicts numbers
	FeatureNames []string // may be nil
	Arities      []int32  // of each feature: how many categories it has; 0 for numeric ones
	Roots        []int32  // where in Nodes each tree begins
	Nodes        []Node   // in preorder
	Infos        []Info   // of the same nodes: what only training and people want to know
	Sets         []uint64 // of categories, ⌈arity/64⌉ words each
	VoteClasses  []int32  // of all leaves, those of each leaf ascending
	VoteWeights  []float64
	Settings     Settings // of the training, with their defaults
}

// Node is a question or a leaf. The left child of node i is node i+1.
type Node struct {
	Threshold float64 // numeric: values up to and including it go left; NaN goes right
	Feature   int32   // that is asked for; -1: a leaf
	Right     int32   // the right child
	Set       int32   // categorical: where in Sets bit c says that category c goes left; else -1
}

// Info is what is known of a node besides.
type Info struct {
	Prediction float64 // class or mean of the rows of the training
	Impurity   float64
	Gain       float64 // of the split; 0 in leaves
	Weight     float64 // of the rows of the training, bootstrap copies counted
	Votes      int32   // of a leaf: where in VoteClasses and VoteWeights its classes are
	Voters     int32   // and how many
	Leaf       int32   // number of the leaf in its tree, from the left; -1 in inner nodes
}

// forest makes the model of grown trees.
func (t *training) forest(trees []grown) *Forest {
	f := &Forest{NumFeatures: len(t.Features), NumClasses: t.NumClasses, FeatureNames: t.settings.FeatureNames, Settings: t.settings}
	f.Settings.CheckpointDir, f.Settings.CheckpointInterval = "", 0
	if t.Regression {
		f.NumClasses = 0
	}
	for i := range t.Features {
		f.Arities = append(f.Arities, int32(t.Features[i].Arity))
	}
	for i := range trees {
		g := &trees[i]
		root := int32(len(f.Nodes))
		f.Roots = append(f.Roots, root)
		leaf := int32(0)
		for k := range g.Nodes {
			n := &g.Nodes[k]
			out := Node{Feature: n.Feature, Set: -1}
			info := Info{Prediction: n.Prediction, Impurity: n.Impurity, Gain: n.Gain, Weight: n.Weight, Leaf: -1}
			switch {
			case n.Feature < 0:
				info.Votes, info.Voters, info.Leaf = int32(len(f.VoteClasses)), n.Voters, leaf
				leaf++
				for _, v := range g.Votes[n.Votes : n.Votes+n.Voters] {
					f.VoteClasses = append(f.VoteClasses, v.Class)
					f.VoteWeights = append(f.VoteWeights, v.Weight)
				}
			case n.Set >= 0:
				out.Right = root + int32(k) + n.Right
				out.Set = int32(len(f.Sets))
				words := (t.Features[n.Feature].Arity + 63) / 64
				f.Sets = append(f.Sets, g.Sets[n.Set:int(n.Set)+words]...)
			default:
				out.Right = root + int32(k) + n.Right
				out.Threshold = t.Features[n.Feature].Thresholds[n.Bin]
			}
			f.Nodes, f.Infos = append(f.Nodes, out), append(f.Infos, info)
		}
	}
	return f
}

// leaf walks from a node to the leaf of the features.
func (f *Forest) leaf(at int32, features []float64) int32 {
	for {
		n := &f.Nodes[at]
		if n.Feature < 0 {
			return at
		}
		x := features[n.Feature]
		left := x <= n.Threshold
		if n.Set >= 0 {
			left = f.inSet(n, x)
		}
		if left {
			at++
		} else {
			at = n.Right
		}
	}
}

// inSet tells whether a category goes left. What is no category of the training goes right.
func (f *Forest) inSet(n *Node, x float64) bool {
	c := int32(x)
	if !(x >= 0) || c >= f.Arities[n.Feature] || float64(c) != x {
		return false
	}
	return f.Sets[n.Set+c>>6]>>(c&63)&1 != 0
}

// NumTrees is the number of trees.
func (f *Forest) NumTrees() int { return len(f.Roots) }

// NumNodes is the number of nodes of all trees, leaves included.
func (f *Forest) NumNodes() int { return len(f.Nodes) }

// Depth is the most splits on the way to a leaf, over all trees.
func (f *Forest) Depth() int {
	depth := 0
	for t := range f.Roots {
		depth = max(depth, f.TreeDepth(t))
	}
	return depth
}

// TreeDepth is the most splits on the way to a leaf of one tree.
func (f *Forest) TreeDepth(tree int) int {
	deepest := int32(0)
	depths := make([]int32, f.end(tree)-f.Roots[tree])
	for k := range depths {
		deepest = max(deepest, depths[k])
		if n := &f.Nodes[int(f.Roots[tree])+k]; n.Feature >= 0 {
			depths[k+1] = depths[k] + 1
			depths[n.Right-f.Roots[tree]] = depths[k] + 1
		}
	}
	return int(deepest)
}

// end is where the nodes of a tree end.
func (f *Forest) end(tree int) int32 {
	if tree+1 < len(f.Roots) {
		return f.Roots[tree+1]
	}
	return int32(len(f.Nodes))
}

// PredictLeaf writes the number of the leaf in each tree, counted from the left, to dst.
func (f *Forest) PredictLeaf(dst []int32, features []float64) {
	for t, root := range f.Roots {
		dst[t] = f.Infos[f.leaf(root, features)].Leaf
	}
}

// FeatureImportances says how much each feature contributes: the gains of its splits, weighted by the rows of the node, summed up
// and normalised to 1 in each tree, then averaged over the trees and normalised to 1 (Spark's TreeEnsembleModel.featureImportances,
// after Hastie, Tibshirani, Friedman: The Elements of Statistical Learning, 2nd edition, 2001). It is all zeros if no tree splits.
func (f *Forest) FeatureImportances() []float64 {
	total := make([]float64, f.NumFeatures)
	one := make([]float64, f.NumFeatures)
	for t := range f.Roots {
		clear(one)
		for i := f.Roots[t]; i < f.end(t); i++ {
			if n := &f.Nodes[i]; n.Feature >= 0 {
				one[n.Feature] += float64(f.Infos[i].Gain * f.Infos[i].Weight)
			}
		}
		if normalise(one) {
			add(total, one)
		}
	}
	normalise(total)
	return total
}

// normalise divides by the sum, if there is one.
func normalise(x []float64) bool {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	if sum <= 0 {
		return false
	}
	for i := range x {
		x[i] /= sum
	}
	return true
}

// ClassificationModel predicts classes.
type ClassificationModel struct {
	Forest
	Thresholds []float64 // as in Settings; may be nil
}

// PredictRaw writes the votes for each class to dst, which has NumClasses numbers: every tree gives 1, divided among the classes as the
// weights in its leaf. It allocates nothing.
func (m *ClassificationModel) PredictRaw(dst, features []float64) {
	clear(dst)
	for _, root := range m.Roots {
		leaf := &m.Infos[m.leaf(root, features)]
		for v := leaf.Votes; v < leaf.Votes+leaf.Voters; v++ {
			dst[m.VoteClasses[v]] += m.VoteWeights[v] / leaf.Weight
		}
	}
}

// PredictProbability writes the probability of each class to dst: the votes, divided by their sum. It allocates nothing.
func (m *ClassificationModel) PredictProbability(dst, features []float64) {
	m.PredictRaw(dst, features)
	if !normalise(dst) {
		for c := range dst {
			dst[c] = 1 / float64(len(dst))
		}
	}
}

// Predict is the class of the largest probability, or of the largest probability ÷ threshold; the first of equal ones. It allocates
// nothing for up to 64 classes.
func (m *ClassificationModel) Predict(features []float64) float64 {
	var few [64]float64
	votes := few[:]
	if m.NumClasses > len(few) {
		votes = make([]float64, m.NumClasses)
	}
	votes = votes[:m.NumClasses]
	m.PredictRaw(votes, features)
	return m.class(votes)
}

// class decides by the votes.
func (m *ClassificationModel) class(votes []float64) float64 {
	best, most := 0, -1.0
	for c, v := range votes {
		if m.Thresholds != nil {
			switch t := m.Thresholds[c]; {
			case t > 0:
				v /= t
			case v > 0:
				return float64(c) // as Spark: a threshold of 0 wins against all
			}
		}
		if v > most {
			best, most = c, v
		}
	}
	return float64(best)
}

// RegressionModel predicts numbers.
type RegressionModel struct {
	Forest
}

// Predict is the mean of what the trees predict. It allocates nothing.
func (m *RegressionModel) Predict(features []float64) float64 {
	sum := 0.0
	for _, root := range m.Roots {
		sum += m.Infos[m.leaf(root, features)].Prediction
	}
	return sum / float64(len(m.Roots))
}

var errShape = errors.New("the arrays of the forest do not fit together: the file was not written by this package")

// check holds a loaded forest to its shape, so that predictions neither fail nor run in circles.
func (f *Forest) check() error {
	n := int32(len(f.Nodes))
	if len(f.Infos) != len(f.Nodes) || len(f.Arities) != f.NumFeatures || len(f.VoteClasses) != len(f.VoteWeights) || len(f.Roots) == 0 || f.Roots[0] != 0 {
		return errShape
	}
	for t := range f.Roots {
		if f.Roots[t] >= f.end(t) {
			return errShape
		}
		for i := f.Roots[t]; i < f.end(t); i++ {
			x, info := &f.Nodes[i], &f.Infos[i]
			switch {
			case x.Feature >= int32(f.NumFeatures):
				return fmt.Errorf("node %d asks for feature %d of %d: %w", i, x.Feature, f.NumFeatures, errShape)
			case x.Feature >= 0 && (x.Right <= i+1 || x.Right >= f.end(t) || x.Right > n):
				return fmt.Errorf("node %d has the right child %d: %w", i, x.Right, errShape)
			case x.Feature >= 0 && x.Set >= 0 && int64(x.Set)+int64(f.Arities[x.Feature]+63)/64 > int64(len(f.Sets)):
				return fmt.Errorf("node %d has no set of categories: %w", i, errShape)
			case info.Votes < 0 || info.Voters < 0 || int64(info.Votes)+int64(info.Voters) > int64(len(f.VoteClasses)):
				return fmt.Errorf("node %d has no votes: %w", i, errShape)
			}
		}
	}
	for _, c := range f.VoteClasses {
		if c < 0 || int(c) >= f.NumClasses {
			return fmt.Errorf("a vote for class %d of %d: %w", c, f.NumClasses, errShape)
		}
	}
	return nil
}

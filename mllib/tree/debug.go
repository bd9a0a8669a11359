package tree

import (
	"fmt"
	"strconv"
	"strings"
)

// ToDebugString draws the trees as Spark does.
func (m *ClassificationModel) ToDebugString() string {
	var b strings.Builder
	if m.NumTrees() == 1 {
		fmt.Fprintf(&b, "DecisionTreeClassificationModel: depth=%d, numNodes=%d, numClasses=%d, numFeatures=%d\n", m.Depth(), m.NumNodes(), m.NumClasses, m.NumFeatures)
	} else {
		fmt.Fprintf(&b, "RandomForestClassificationModel: numTrees=%d, numClasses=%d, numFeatures=%d\n", m.NumTrees(), m.NumClasses, m.NumFeatures)
	}
	m.draw(&b)
	return b.String()
}

// ToDebugString draws the trees as Spark does.
func (m *RegressionModel) ToDebugString() string {
	var b strings.Builder
	if m.NumTrees() == 1 {
		fmt.Fprintf(&b, "DecisionTreeRegressionModel: depth=%d, numNodes=%d, numFeatures=%d\n", m.Depth(), m.NumNodes(), m.NumFeatures)
	} else {
		fmt.Fprintf(&b, "RandomForestRegressionModel: numTrees=%d, numFeatures=%d\n", m.NumTrees(), m.NumFeatures)
	}
	m.draw(&b)
	return b.String()
}

func (f *Forest) draw(b *strings.Builder) {
	if len(f.Roots) == 1 {
		f.drawAt(b, 0, "  ")
		return
	}
	for t, root := range f.Roots {
		fmt.Fprintf(b, "  Tree %d (weight 1.0):\n", t)
		f.drawAt(b, root, "    ")
	}
}

func (f *Forest) drawAt(b *strings.Builder, i int32, pad string) {
	n := &f.Nodes[i]
	if n.Feature < 0 {
		fmt.Fprintf(b, "%sPredict: %s\n", pad, scalaDouble(f.Infos[i].Prediction))
		return
	}
	name := featureName(f.FeatureNames, int(n.Feature))
	left, right := "<= "+scalaDouble(n.Threshold), "> "+scalaDouble(n.Threshold)
	if n.Set >= 0 {
		var in []string
		for c := range f.Arities[n.Feature] {
			if f.Sets[n.Set+c>>6]>>(c&63)&1 != 0 {
				in = append(in, scalaDouble(float64(c)))
			}
		}
		set := "{" + strings.Join(in, ",") + "}"
		left, right = "in "+set, "not in "+set
	}
	fmt.Fprintf(b, "%sIf (%s %s)\n", pad, name, left)
	f.drawAt(b, i+1, pad+" ")
	fmt.Fprintf(b, "%sElse (%s %s)\n", pad, name, right)
	f.drawAt(b, n.Right, pad+" ")
}

// scalaDouble writes a number as Scala does: always with a point.
func scalaDouble(x float64) string {
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

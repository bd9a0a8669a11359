package tree

import (
	"fmt"
	"math"
	"slices"

	"github.com/spark-go/spark-go/rdd"
)

// profile is what the first pass over the data finds out: of a partition, and merged in partition order, of all.
type profile struct {
	Rows    []int64 // of each partition
	Weight  float64
	Classes []float64 // weight of each class
	Label   float64   // Σ weight·label, of a regression
	Columns []summary
}

// profileOp computes the profile of each partition.
type profileOp struct {
	Batches     rdd.RDD[Columns]
	Regression  bool
	Weighted    bool
	NumClasses  int // 0: any
	Categorical map[int]int
	Names       []string
}

// Compute implements rdd.Op.
func (o profileOp) Compute(t *rdd.Task, p int) (rdd.Stream[profile], error) {
	in, err := o.Batches.Compute(t, p)
	if err != nil {
		return nil, err
	}
	out := profile{Rows: []int64{0}}
	var sketches []sketch
	err = rdd.EachBatch(t, in, func(batches []Columns) error {
		for i := range batches {
			b := &batches[i]
			if sketches == nil {
				sketches = make([]sketch, len(b.Features))
			}
			if err := o.add(&out, sketches, b, p); err != nil {
				return fmt.Errorf("train trees: partition %d: %w", p, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.Columns = make([]summary, len(sketches))
	for f := range sketches {
		out.Columns[f] = sketches[f].summary()
	}
	return rdd.StreamOf([]profile{out}), nil
}

// add takes in a batch.
func (o profileOp) add(out *profile, sketches []sketch, b *Columns, partition int) error {
	if err := b.check(len(sketches), o.Weighted); err != nil {
		return err
	}
	if b.Rows == 0 {
		return nil
	}
	first := out.Rows[0]
	for i, label := range b.Labels {
		weight := 1.0
		if o.Weighted {
			if weight = b.Weights[i]; !(weight >= 0) || math.IsInf(weight, 0) {
				return fmt.Errorf("row %d has the weight %v: weights are finite and at least 0", first+int64(i), weight)
			}
		}
		out.Weight += weight
		if o.Regression {
			if math.IsNaN(label) || math.IsInf(label, 0) {
				return fmt.Errorf("row %d has the label %v: labels are finite: filter such rows out", first+int64(i), label)
			}
			out.Label += float64(weight * label)
			continue
		}
		limit := 1 << 16
		if o.NumClasses > 0 {
			limit = o.NumClasses
		}
		c := int(label)
		if !(label >= 0 && label < float64(limit)) || float64(c) != label {
			return fmt.Errorf("row %d has the label %v: classes are whole numbers from 0 to %d: index other labels first", first+int64(i), label, limit-1)
		}
		if c >= len(out.Classes) {
			out.Classes = append(out.Classes, make([]float64, c+1-len(out.Classes))...)
		}
		out.Classes[c] += weight
	}
	for f := range b.Features {
		var i int
		arity := o.Categorical[f]
		if x := b.Features[f].Float32s; x != nil {
			i = sketchColumn(&sketches[f], x, b, o.Weighted, partition, first, arity)
		} else {
			i = sketchColumn(&sketches[f], b.Features[f].Float64s, b, o.Weighted, partition, first, arity)
		}
		if i >= 0 {
			return o.refuse(f, b.Features[f].At(i), first+int64(i))
		}
	}
	out.Rows[0] += int64(b.Rows)
	return nil
}

// sketchColumn adds values to a sketch and returns the row of one that cannot be trained on, or -1.
func sketchColumn[V float32 | float64](s *sketch, x []V, b *Columns, weighted bool, partition int, first int64, arity int) int {
	if arity > 0 {
		for i, v := range x {
			if c := int(v); !(v >= 0) || c >= arity || V(c) != v {
				return i
			}
		}
		return -1
	}
	for i := 0; i < len(x); {
		v, weight := x[i], 1.0
		if v != v {
			return i
		}
		if weighted {
			s.add(float64(v), b.Weights[i], uint64(partition)<<40+uint64(first)+uint64(i))
			i++
			continue
		}
		// Equal values often follow each other.
		run := i + 1
		if !s.sampling {
			for run < len(x) && x[run] == v {
				run++
			}
			weight = float64(run - i)
		}
		s.add(float64(v), weight, uint64(partition)<<40+uint64(first)+uint64(i))
		i = run
	}
	return -1
}

func (o profileOp) refuse(f int, v float64, row int64) error {
	name := featureName(o.Names, f)
	if arity := o.Categorical[f]; arity > 0 {
		return fmt.Errorf("%s is %v in row %d: it is categorical with %d values, whole numbers from 0 to %d", name, v, row, arity, arity-1)
	}
	return fmt.Errorf("%s is NaN in row %d: trees do not train on missing values: fill them in or filter such rows out", name, row)
}

// featureName names a feature for people.
func featureName(names []string, f int) string {
	if f < len(names) {
		return fmt.Sprintf("feature %q", names[f])
	}
	return fmt.Sprintf("feature %d", f)
}

// mergeProfiles merges those of neighbouring partitions. Empty partitions know no features.
func mergeProfiles(a, b profile) profile {
	a.Rows = append(a.Rows, b.Rows...)
	a.Weight += b.Weight
	a.Label += b.Label
	if len(b.Classes) > len(a.Classes) {
		a.Classes = append(a.Classes, make([]float64, len(b.Classes)-len(a.Classes))...)
	}
	for c, w := range b.Classes {
		a.Classes[c] += w
	}
	switch {
	case len(a.Columns) == 0:
		a.Columns = b.Columns
	case len(b.Columns) == 0:
	case len(a.Columns) != len(b.Columns):
		// The lists of features differ: the driver refuses this.
		a.Columns = nil
		a.Weight = math.NaN()
	default:
		for f := range a.Columns {
			a.Columns[f] = mergeSummaries(a.Columns[f], b.Columns[f])
		}
	}
	return a
}

// feature is how the values of a feature become bins.
type feature struct {
	Name       string
	Thresholds []float64 // of a numeric one, ascending: bin i holds values up to and including Thresholds[i]
	Arity      int       // of a categorical one: bin i is category i
	Unordered  bool      // categorical: every way to part the categories is tried
	Bins       int
	Common     int // the bin that holds most rows by far, or -1
	Bit        int // of one with two bins, its place among them; else -1
}

// features decides on the bins. A categorical feature has as many bins as categories.
func (p *profile) features(name string, s Settings, classes int) ([]feature, error) {
	rows := int64(0)
	for _, n := range p.Rows {
		rows += n
	}
	// As Spark: no more bins than rows.
	maxBins := int(min(int64(s.MaxBins), rows))
	out := make([]feature, len(p.Columns))
	bits := 0
	for f := range out {
		x := feature{Name: featureName(s.FeatureNames, f), Common: -1, Bit: -1}
		if arity := s.Categorical[f]; arity > 0 {
			if arity > maxBins {
				return nil, fmt.Errorf("tree.%s: MaxBins is %d and must be at least the number of values of each categorical feature, but %s has %d: raise MaxBins to that, or remove features with very many values (there are %d rows, and never more bins than rows)",
					name, s.MaxBins, x.Name, arity, rows)
			}
			x.Arity, x.Bins = arity, arity
			x.Unordered = classes > 2 && arity <= maxUnordered(maxBins)
		} else {
			x.Thresholds = p.Columns[f].thresholds(max(maxBins, 2))
			x.Bins = len(x.Thresholds) + 1
			x.Common = p.Columns[f].common(x.Thresholds)
		}
		if x.Bins == 2 {
			x.Bit = bits
			bits++
		}
		out[f] = x
	}
	return out, nil
}

// maxUnordered is up to how many categories all ways to part them take no more than maxBins bins.
func maxUnordered(maxBins int) int {
	return int(math.Floor(math.Log2(float64(maxBins)/2+1) + 1))
}

// common is the bin that holds at least three quarters of the weight, or -1.
func (s summary) common(thresholds []float64) int {
	weights := make([]float64, len(thresholds)+1)
	total := 0.0
	for i, v := range s.Values {
		b, _ := slices.BinarySearch(thresholds, v)
		weights[b] += s.Weights[i]
		total += s.Weights[i]
	}
	for b, w := range weights {
		if w >= 0.75*total {
			return b
		}
	}
	return -1
}

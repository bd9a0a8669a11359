package pipeline

import (
	"errors"
	"fmt"
	"math"
)

// StandardScaler divides columns, or each number of vectors, by their standard deviation, which is the unbiased one (Σ(x-mean)²/(n-1)): Spark's StandardScaler. A constant becomes 0 if
// its mean is taken off, else it stays as it is.
type StandardScaler struct {
	Inputs   []string
	Outputs  []string // default: the columns are replaced
	WithMean bool     // take the mean off before; vectors of mostly zeros become dense by it
	// NoStd leaves the deviation as it is (Spark's withStd=false).
	NoStd bool
}

// MinMaxScaler maps columns, or each number of vectors, from their range in the training data to Min to Max: Spark's MinMaxScaler. Other values than those of the training data may come to lie outside.
// A constant becomes the middle.
type MinMaxScaler struct {
	Inputs   []string
	Outputs  []string // default: the columns are replaced
	Min, Max float64  // default 0 and 1, if both are 0
}

// ScalerModel is a trained StandardScaler or MinMaxScaler: each number x becomes (x - Offset)·Factor + Shift.
type ScalerModel struct {
	Standard *StandardScaler // the one of both that it was
	MinMax   *MinMaxScaler
	Offset   []float64 // of each number of the first column, then of the next
	Factor   []float64
	Shift    float64
}

func (s *StandardScaler) kind() string { return "StandardScaler" }
func (s *StandardScaler) ports() ports { return ports{in: s.Inputs, out: s.Outputs} }
func (s *StandardScaler) clone() Stage {
	c := *s
	return &c
}

func (s *StandardScaler) check() error {
	if s.NoStd && !s.WithMean {
		return errors.New("NoStd is true and WithMean false: set one of them the other way, or leave the stage out")
	}
	return nil
}

var errScaleText = errors.New("number its values first, with a StringIndexer")

func acceptNumbers(k Kind) (Kind, error) {
	if k == Text {
		return "", errScaleText
	}
	return k, nil
}

func (s *StandardScaler) accept(k Kind) (Kind, error) { return acceptNumbers(k) }

func (s *StandardScaler) needs(Kind) need { return moments }

func (s *StandardScaler) train(in []column, stats []columnStats) (Trained, error) {
	m := &ScalerModel{Standard: s}
	return m, m.each(in, stats, func(x *columnStats, j int) (offset, factor float64) {
		factor = 1
		if s.WithMean {
			offset = x.Mean[j]
		}
		if x.Count[j] > 1 && x.Min[j] != x.Max[j] && !s.NoStd {
			factor = 1 / math.Sqrt(x.M2[j]/(x.Count[j]-1))
		}
		return offset, factor
	})
}

func (s *MinMaxScaler) kind() string { return "MinMaxScaler" }
func (s *MinMaxScaler) ports() ports { return ports{in: s.Inputs, out: s.Outputs} }
func (s *MinMaxScaler) clone() Stage {
	c := *s
	return &c
}

func (s *MinMaxScaler) check() error {
	if s.Min == 0 && s.Max == 0 {
		s.Max = 1
	}
	if !(s.Min < s.Max) || math.IsInf(s.Max-s.Min, 0) {
		return fmt.Errorf("its Min is %v and Max %v: give finite numbers, Min below Max", s.Min, s.Max)
	}
	return nil
}

func (s *MinMaxScaler) accept(k Kind) (Kind, error) { return acceptNumbers(k) }

func (s *MinMaxScaler) needs(Kind) need { return moments }

func (s *MinMaxScaler) train(in []column, stats []columnStats) (Trained, error) {
	m := &ScalerModel{MinMax: s, Shift: s.Min}
	return m, m.each(in, stats, func(x *columnStats, j int) (offset, factor float64) {
		if x.Min[j] < x.Max[j] {
			return x.Min[j], (s.Max - s.Min) / (x.Max[j] - x.Min[j])
		}
		return x.Min[j] - (s.Max-s.Min)/2, 1
	})
}

// each sets the numbers of all columns.
func (m *ScalerModel) each(in []column, stats []columnStats, f func(x *columnStats, j int) (offset, factor float64)) error {
	for i, c := range in {
		for j := range c.Elements {
			if j >= len(stats[i].Count) || stats[i].Count[j] == 0 {
				return fmt.Errorf("column %q has no value at all: leave it out", c.Name)
			}
			offset, factor := f(&stats[i], j)
			if x := offset * factor; math.IsNaN(x) || math.IsInf(x, 0) || factor == 0 {
				return fmt.Errorf("the numbers of column %q go from %v to %v, too far to be scaled: drop rows with infinite numbers", c.Name, stats[i].Min[j], stats[i].Max[j])
			}
			m.Offset, m.Factor = append(m.Offset, offset), append(m.Factor, factor)
		}
	}
	return nil
}

func (m *ScalerModel) stage() Stage {
	if m.Standard != nil {
		return m.Standard
	}
	return m.MinMax
}

func (m *ScalerModel) shapes(in []column) []shape {
	out := make([]shape, len(in))
	at := 0
	for i, c := range in {
		for _, e := range c.Elements {
			out[i].Elements = append(out[i].Elements, element{Name: e.Name})
		}
		out[i].Zeros = c.Zeros
		for range c.Elements {
			if m.Offset[at] != 0 || m.Shift != 0 {
				out[i].Zeros = 0
			}
			at++
		}
	}
	return out
}

func (m *ScalerModel) steps(to []step, in, out []slot) []step {
	at := 0
	for i := range in {
		n := in[i].width
		to = append(to, &scaleStep{in[i].at, out[i].at, m.Offset[at : at+n], m.Factor[at : at+n], m.Shift})
		at += n
	}
	return to
}

type scaleStep struct {
	from, to       int
	offset, factor []float64
	shift          float64
}

func (s *scaleStep) run(r *registers) error {
	from, to := r.nums[s.from:s.from+len(s.offset)], r.nums[s.to:s.to+len(s.offset)]
	for j, x := range from {
		to[j] = float64((x-s.offset[j])*s.factor[j]) + s.shift
	}
	return nil
}

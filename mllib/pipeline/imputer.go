package pipeline

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Strategy is what an Imputer fills in.
type Strategy string

// The strategies. Median is exact: of an even number of values the mean of the middle two. Mode is the most frequent value, of equally frequent ones the smallest.
const (
	Mean   Strategy = "mean" // the default
	Median Strategy = "median"
	Mode   Strategy = "mode"
)

// Imputer fills in missing numbers (nil, null or NaN) by what the training data has in the same column: Spark's Imputer. With Mode it takes columns of texts as well, whose nil or null is missing.
type Imputer struct {
	Inputs   []string
	Outputs  []string // default: the columns are replaced
	Strategy Strategy // default Mean
}

// ImputerModel is a trained Imputer.
type ImputerModel struct {
	Imputer
	Numbers []float64 // what each column of numbers gets
	Texts   []string  // what each column of texts gets
}

func (s *Imputer) kind() string { return "Imputer" }
func (s *Imputer) ports() ports { return ports{in: s.Inputs, out: s.Outputs} }
func (s *Imputer) clone() Stage {
	c := *s
	return &c
}

func (s *Imputer) check() error {
	if s.Strategy == "" {
		s.Strategy = Mean
	}
	if all := []Strategy{Mean, Median, Mode}; !slices.Contains(all, s.Strategy) {
		return fmt.Errorf("Strategy is %q: give one of %q", s.Strategy, all)
	}
	return nil
}

func (s *Imputer) accept(k Kind) (Kind, error) {
	switch {
	case k == Vector:
		return "", errors.New("fill in single columns before they become a vector")
	case k == Text && s.Strategy != Mode:
		return "", fmt.Errorf("texts have no %s: set Strategy to Mode, or let a StringIndexer Keep what is missing", s.Strategy)
	}
	return k, nil
}

func (s *Imputer) needs(Kind) need {
	switch s.Strategy {
	case Median:
		return median
	case Mode:
		return values
	}
	return moments
}

func (s *Imputer) train(in []column, stats []columnStats) (Trained, error) {
	m := &ImputerModel{Imputer: *s, Numbers: make([]float64, len(in)), Texts: make([]string, len(in))}
	for i, c := range in {
		x := &stats[i]
		if x.Rows == 0 {
			return nil, fmt.Errorf("column %q has no value at all: leave it out", c.Name)
		}
		switch {
		case s.Strategy == Mean:
			m.Numbers[i] = x.Mean[0]
		case s.Strategy == Median:
			m.Numbers[i] = x.Median
		case x.TooMany:
			return nil, tooMany(c)
		case c.Kind == Text:
			m.Texts[i] = x.Texts[mostFrequent(x.TextCounts)]
		default:
			m.Numbers[i] = x.Numbers[mostFrequent(x.NumberCounts)]
		}
		if v := m.Numbers[i]; math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("the %s of column %q is %v: drop rows with infinite numbers", s.Strategy, c.Name, v)
		}
	}
	return m, nil
}

// mostFrequent is the place of the first of the largest counts.
func mostFrequent(counts []int64) int { return slices.Index(counts, slices.Max(counts)) }

func (m *ImputerModel) stage() Stage { return &m.Imputer }

func (m *ImputerModel) shapes(in []column) []shape {
	out := make([]shape, len(in))
	for i, c := range in {
		out[i] = c.shape
		if m.Strategy != Mode { // a mean is no category
			out[i] = single(c.Name)
		}
	}
	return out
}

func (m *ImputerModel) steps(to []step, in, out []slot) []step {
	for i := range in {
		if in[i].kind == Text {
			to = append(to, &fillTextStep{in[i].at, out[i].at, text{m.Texts[i], true}})
		} else {
			to = append(to, &fillStep{in[i].at, out[i].at, m.Numbers[i]})
		}
	}
	return to
}

type fillStep struct {
	from, to int
	value    float64
}

func (s *fillStep) run(r *registers) error {
	x := r.nums[s.from]
	if x != x {
		x = s.value
	}
	r.nums[s.to] = x
	return nil
}

type fillTextStep struct {
	from, to int
	value    text
}

func (s *fillTextStep) run(r *registers) error {
	x := r.texts[s.from]
	if !x.ok {
		x = s.value
	}
	r.texts[s.to] = x
	return nil
}

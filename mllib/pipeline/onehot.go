package pipeline

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// OneHotEncoder makes a vector of each column of category numbers 0, 1, 2, …: 1 at the place of the category, else 0. The last category has no place and is all zeros, so that the places do not add up to a
// constant, which would make coefficients ambiguous: Spark's OneHotEncoder. How many categories there are is what the StringIndexer before it found, else one more than the largest number
// of the training data.
type OneHotEncoder struct {
	Inputs  []string
	Outputs []string // default: the vectors replace the numbers
	// KeepLast gives the last category a place as well (Spark's dropLast=false).
	KeepLast bool
	// HandleInvalid is for numbers that are missing or larger than those of the training data: Error (default), or Keep, which makes them a further category, the last.
	HandleInvalid Invalid
}

// OneHotEncoderModel is a trained OneHotEncoder.
type OneHotEncoderModel struct {
	OneHotEncoder
	Categories []int // of each column, without the further one of Keep
}

func (s *OneHotEncoder) kind() string { return "OneHotEncoder" }
func (s *OneHotEncoder) ports() ports { return ports{in: s.Inputs, out: s.Outputs} }
func (s *OneHotEncoder) clone() Stage {
	c := *s
	return &c
}

func (s *OneHotEncoder) check() error { return checkInvalid(&s.HandleInvalid, Error, Keep) }

func (s *OneHotEncoder) accept(k Kind) (Kind, error) {
	if k != Number {
		return "", errors.New("number its values first, with a StringIndexer")
	}
	return Vector, nil
}

func (s *OneHotEncoder) needs(Kind) need { return moments }

// mostCategories bounds the width of a vector.
const mostCategories = 1 << 20

func (s *OneHotEncoder) train(in []column, stats []columnStats) (Trained, error) {
	m := &OneHotEncoderModel{OneHotEncoder: *s}
	for i, c := range in {
		n := c.Elements[0].Categories
		if n == 0 {
			if len(stats[i].Count) == 0 || stats[i].Count[0] == 0 {
				return nil, fmt.Errorf("column %q has no value at all: leave it out", c.Name)
			}
			low, high := stats[i].Min[0], stats[i].Max[0]
			if !(low >= 0) || high >= mostCategories {
				return nil, fmt.Errorf("column %q has numbers from %v to %v: categories are 0, 1, 2, … below %d: number its values first, with a StringIndexer", c.Name, low, high, mostCategories)
			}
			n = int(high) + 1
		}
		m.Categories = append(m.Categories, n)
	}
	return m, nil
}

func (m *OneHotEncoderModel) stage() Stage { return &m.OneHotEncoder }

// places is how many registers a column's vector has.
func (m *OneHotEncoderModel) places(i int) int {
	n := m.Categories[i]
	if m.HandleInvalid == Keep {
		n++
	}
	if !m.KeepLast {
		n--
	}
	return n
}

func (m *OneHotEncoderModel) shapes(in []column) []shape {
	out := make([]shape, len(in))
	for i, c := range in {
		for k := range m.places(i) {
			label := strconv.Itoa(k)
			if k < len(c.Labels) {
				label = c.Labels[k]
			}
			out[i].Elements = append(out[i].Elements, element{Name: c.Name + "=" + label})
		}
		out[i].Zeros = max(m.places(i)-1, 0)
	}
	return out
}

func (m *OneHotEncoderModel) steps(to []step, in, out []slot) []step {
	for i := range in {
		to = append(to, &oneHotStep{from: in[i], to: out[i], categories: float64(m.Categories[i]), keep: m.HandleInvalid == Keep})
	}
	return to
}

type oneHotStep struct {
	from, to   slot
	categories float64
	keep       bool
	set        int // register that is 1, and 1 more; 0 for none
}

func (s *oneHotStep) run(r *registers) error {
	x := r.nums[s.from.at]
	if !(x >= 0 && x < s.categories) {
		if !s.keep {
			if x != x {
				return fmt.Errorf("column %q has no value: fill it in before the OneHotEncoder, or set its HandleInvalid to Keep", s.from.name)
			}
			return fmt.Errorf("column %q has category %v: the training data had 0 to %v: set HandleInvalid of its OneHotEncoder to Keep", s.from.name, x, s.categories-1)
		}
		x = s.categories
	} else if x != math.Trunc(x) {
		return fmt.Errorf("column %q has %v: categories are whole numbers: number its values first, with a StringIndexer", s.from.name, x)
	}
	if s.set > 0 {
		r.nums[s.set-1] = 0
		s.set = 0
	}
	if at := int(x); at < s.to.width {
		r.nums[s.to.at+at] = 1
		s.set = s.to.at + at + 1
	}
	return nil
}

// VectorAssembler joins columns of numbers and vectors to one vector, in their order: Spark's VectorAssembler. It makes what estimators train on.
type VectorAssembler struct {
	Inputs []string
	Output string // default "features"
	// HandleInvalid is for rows with a missing number: Error (default) or Skip.
	HandleInvalid Invalid
}

func (s *VectorAssembler) kind() string { return "VectorAssembler" }
func (s *VectorAssembler) ports() ports {
	return ports{in: s.Inputs, out: []string{s.Output}, one: true}
}

func (s *VectorAssembler) clone() Stage {
	c := *s
	return &c
}

func (s *VectorAssembler) check() error {
	if s.Output == "" {
		s.Output = featuresColumn
	}
	return checkInvalid(&s.HandleInvalid, Error, Skip)
}

func (s *VectorAssembler) accept(k Kind) (Kind, error) {
	if k == Text {
		return "", errors.New("vectors hold numbers: number its values first, with a StringIndexer")
	}
	return Vector, nil
}

func (s *VectorAssembler) needs(Kind) need { return 0 }

func (s *VectorAssembler) train([]column, []columnStats) (Trained, error) { return s, nil }

func (s *VectorAssembler) stage() Stage { return s }

func (s *VectorAssembler) shapes(in []column) []shape {
	var all shape
	for _, c := range in {
		all.Elements = append(all.Elements, c.Elements...)
		all.Zeros += c.Zeros
	}
	return []shape{all}
}

func (s *VectorAssembler) steps(to []step, in, out []slot) []step {
	return append(to, &assembleStep{from: slices.Clone(in), to: out[0].at, skip: s.HandleInvalid == Skip})
}

type assembleStep struct {
	from []slot
	to   int
	skip bool
}

func (s *assembleStep) run(r *registers) error {
	at := s.to
	for i := range s.from {
		c := &s.from[i]
		for _, x := range r.nums[c.at : c.at+c.width] {
			if x != x {
				if s.skip {
					return ErrSkipped
				}
				return fmt.Errorf("column %q has no value: fill it in with an Imputer, or set HandleInvalid of the VectorAssembler to Skip", c.name)
			}
			r.nums[at] = x
			at++
		}
	}
	return nil
}

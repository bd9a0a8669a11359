package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Invalid is what a stage does about values that are missing or that it has not seen in training.
type Invalid string

// What stages do about such values. Keep gives them a category of their own, after all others.
const (
	Error Invalid = "error" // the default: an error that names row, column and value
	Skip  Invalid = "skip"  // leave the row out
	Keep  Invalid = "keep"
)

// checkInvalid fills in the default and holds a setting to those that a stage knows.
func checkInvalid(h *Invalid, allowed ...Invalid) error {
	if *h == "" {
		*h = Error
	}
	if !slices.Contains(allowed, *h) {
		return fmt.Errorf("HandleInvalid is %q: give one of %q", *h, allowed)
	}
	return nil
}

// StringIndexer numbers the values of columns of texts, or of numbers that stand for categories, from 0, the most frequent first and equally frequent ones in the order of the alphabet or of
// the numbers: Spark's StringIndexer with its default order.
type StringIndexer struct {
	Inputs  []string
	Outputs []string // default: the numbers replace the texts
	// HandleInvalid is for values that are missing, or were in training; default Error.
	HandleInvalid Invalid
}

// StringIndexerModel is a trained StringIndexer.
type StringIndexerModel struct {
	StringIndexer
	Labels [][]string // of each column, in the order of their numbers
}

func (s *StringIndexer) kind() string { return "StringIndexer" }
func (s *StringIndexer) ports() ports { return ports{in: s.Inputs, out: s.Outputs} }
func (s *StringIndexer) clone() Stage {
	c := *s
	return &c
}

func (s *StringIndexer) check() error { return checkInvalid(&s.HandleInvalid, Error, Skip, Keep) }

func (s *StringIndexer) accept(k Kind) (Kind, error) {
	if k == Vector {
		return "", errors.New("index single columns")
	}
	return Number, nil
}

func (s *StringIndexer) needs(Kind) need { return values }

func (s *StringIndexer) train(in []column, stats []columnStats) (Trained, error) {
	m := &StringIndexerModel{StringIndexer: *s}
	for i, c := range in {
		if stats[i].TooMany {
			return nil, tooMany(c)
		}
		labels := byFrequency(c.Kind, &stats[i])
		if len(labels) == 0 && s.HandleInvalid != Keep {
			return nil, fmt.Errorf("column %q has no value at all: leave it out", c.Name)
		}
		m.Labels = append(m.Labels, labels)
	}
	return m, nil
}

// byFrequency lists the values of a column, the most frequent first.
func byFrequency(k Kind, s *columnStats) []string {
	names, counts := s.Texts, s.TextCounts
	if k == Number {
		names, counts = make([]string, len(s.Numbers)), s.NumberCounts
		for i, x := range s.Numbers {
			names[i] = numberName(x)
		}
	}
	places := make([]int, len(names))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	out := make([]string, len(names))
	for i, at := range places {
		out[i] = names[at]
	}
	return out
}

// numberName is a number as a label; parseNumber reads it.
func numberName(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func (m *StringIndexerModel) stage() Stage { return &m.StringIndexer }

func (m *StringIndexerModel) shapes(in []column) []shape {
	out := make([]shape, len(in))
	for i, c := range in {
		out[i] = single(c.Name)
		out[i].Labels = m.Labels[i]
		if m.HandleInvalid == Keep {
			out[i].Labels = append(slices.Clip(m.Labels[i]), "(other)")
		}
		out[i].Elements[0].Categories = len(out[i].Labels)
	}
	return out
}

func (m *StringIndexerModel) steps(to []step, in, out []slot) []step {
	for i, s := range in {
		x := &indexStep{from: s, to: out[i].at, invalid: m.HandleInvalid, unseen: float64(len(m.Labels[i]))}
		if s.kind == Text {
			x.texts = make(map[string]float64, len(m.Labels[i]))
		} else {
			x.numbers = make(map[float64]float64, len(m.Labels[i]))
		}
		for n, label := range m.Labels[i] {
			if s.kind == Text {
				x.texts[label] = float64(n)
			} else if v, err := strconv.ParseFloat(label, 64); err == nil {
				x.numbers[v] = float64(n)
			}
		}
		to = append(to, x)
	}
	return to
}

type indexStep struct {
	from    slot
	to      int
	texts   map[string]float64
	numbers map[float64]float64
	invalid Invalid
	unseen  float64
}

func (s *indexStep) run(r *registers) error {
	var n float64
	var ok bool
	if s.from.kind == Text {
		if x := r.texts[s.from.at]; x.ok {
			n, ok = s.texts[x.s]
		}
	} else {
		n, ok = s.numbers[r.nums[s.from.at]]
	}
	if !ok {
		switch s.invalid {
		case Skip:
			return ErrSkipped
		case Keep:
			n = s.unseen
		default:
			if s.from.missing(r) {
				return fmt.Errorf("column %q has no value: set HandleInvalid of its StringIndexer to Skip or Keep", s.from.name)
			}
			return fmt.Errorf("column %q has the value %s, which the training data had not: set HandleInvalid of its StringIndexer to Skip or Keep", s.from.name, s.from.show(r))
		}
	}
	r.nums[s.to] = n
	return nil
}

// missing tells whether a column that is no vector has no value.
func (s slot) missing(r *registers) bool {
	if s.kind == Text {
		return !r.texts[s.at].ok
	}
	return r.nums[s.at] != r.nums[s.at]
}

// show is a value for people.
func (s slot) show(r *registers) string {
	if s.kind != Text {
		return numberName(r.nums[s.at])
	}
	x := r.texts[s.at].s
	if len(x) > 100 {
		x = strings.ToValidUTF8(x[:100], "") + "…"
	}
	return strconv.Quote(x)
}

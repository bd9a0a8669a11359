package tree

import (
	"math"
	"slices"
)

// summary is what is known of a column's values: distinct values, ascending, with the weight of the rows near each. It is exact until
// there are more than summaryEntries of them; then each entry stands for a stretch of values. Summaries of parts of a column merge
// into one of the whole: merging what was compressed k times misplaces at most k/(summaryEntries/2) of the weight.
type summary struct {
	Values  []float64
	Weights []float64
	Exact   bool
}

// summaryEntries is the most entries of a summary: 256 for each of 32 bins.
const summaryEntries = 8192

// mergeSummaries merges two parts of a column.
func mergeSummaries(a, b summary) summary {
	m := summary{Exact: a.Exact && b.Exact}
	n := len(a.Values) + len(b.Values)
	m.Values, m.Weights = make([]float64, 0, n), make([]float64, 0, n)
	for i, j := 0, 0; i < len(a.Values) || j < len(b.Values); {
		switch {
		case j == len(b.Values) || i < len(a.Values) && a.Values[i] < b.Values[j]:
			m.Values, m.Weights = append(m.Values, a.Values[i]), append(m.Weights, a.Weights[i])
			i++
		case i == len(a.Values) || b.Values[j] < a.Values[i]:
			m.Values, m.Weights = append(m.Values, b.Values[j]), append(m.Weights, b.Weights[j])
			j++
		default:
			m.Values, m.Weights = append(m.Values, a.Values[i]), append(m.Weights, a.Weights[i]+b.Weights[j])
			i++
			j++
		}
	}
	return m.compressed()
}

// compressed merges neighbours of a summary that is too long, into about half of what it may have: stretches of equal weight, each
// named by its last value so that the weight at or below a value that stayed is as it was.
func (s summary) compressed() summary {
	if len(s.Values) <= summaryEntries {
		return s
	}
	total := 0.0
	for _, w := range s.Weights {
		total += w
	}
	c := summary{}
	sum, held, target := 0.0, 0.0, 0.0
	step := total / (summaryEntries / 2)
	for i, w := range s.Weights {
		sum += w
		held += w
		// The first and the last value stay: they are the column's smallest and largest.
		if i == 0 || i == len(s.Weights)-1 || sum >= target {
			c.Values, c.Weights = append(c.Values, s.Values[i]), append(c.Weights, held)
			held = 0
			target = max(target, sum-w) + step
		}
	}
	return c
}

// sketch gathers the summary of a column's values as they stream by. It counts distinct values in a hash table. Once they are too many,
// it takes a sample of the values that follow: those of rows whose random number is below a limit, which halves when the sample
// is full.
type sketch struct {
	keys    []uint64 // bits of the value; where used is set
	weights []float64
	used    []bool
	n       int
	last    int // place of the value before

	sampling bool
	sample   []sampled
	limit    uint32
	weight   float64 // of all rows since sampling began
}

type sampled struct {
	value, weight float64
	random        uint32
}

// sampleSize is the most values of a sample. At half of that a quantile is off by 0.5 % of the rows in a standard deviation.
const sampleSize = 2 * summaryEntries

// clean maps a value to the number that splits look at: infinities to the largest finite numbers, so that midpoints are
// finite, and -0 to 0.
func clean(v float64) float64 {
	return max(-math.MaxFloat64, min(math.MaxFloat64, v)) + 0
}

// add takes in a value, which is not NaN. row tells rows of the dataset apart.
func (s *sketch) add(v, weight float64, row uint64) {
	v = clean(v)
	if s.sampling {
		s.weight += weight
		if r := uint32(mix(row)); r <= s.limit {
			s.sample = append(s.sample, sampled{v, weight, r})
			if len(s.sample) >= sampleSize {
				s.limit >>= 1
				s.sample = slices.DeleteFunc(s.sample, func(x sampled) bool { return x.random > s.limit })
			}
		}
		return
	}
	bits := math.Float64bits(v)
	if len(s.keys) == 0 {
		s.resize(16)
	} else if s.keys[s.last] == bits && s.used[s.last] {
		s.weights[s.last] += weight
		return
	}
	i := s.find(bits)
	if !s.used[i] {
		if s.n == summaryEntries {
			s.sampling, s.limit = true, math.MaxUint32
			s.add(v, weight, row)
			return
		}
		if 2*s.n >= len(s.keys) {
			s.resize(4 * len(s.keys))
			i = s.find(bits)
		}
		s.used[i], s.keys[i] = true, bits
		s.n++
	}
	s.weights[i] += weight
	s.last = i
}

// find is the place of a value in the table, used or free.
func (s *sketch) find(bits uint64) int {
	mask := uint64(len(s.keys) - 1)
	i := mix(bits) & mask
	for s.used[i] && s.keys[i] != bits {
		i = (i + 1) & mask
	}
	return int(i)
}

func (s *sketch) resize(n int) {
	keys, weights, used := s.keys, s.weights, s.used
	s.keys, s.weights, s.used = make([]uint64, n), make([]float64, n), make([]bool, n)
	s.last = 0
	for j, bits := range keys {
		if used[j] {
			i := s.find(bits)
			s.keys[i], s.weights[i], s.used[i] = bits, weights[j], true
		}
	}
}

// summary is what the sketch gathered.
func (s *sketch) summary() summary {
	table := make([]sampled, 0, s.n)
	for i, bits := range s.keys {
		if s.used[i] {
			table = append(table, sampled{value: math.Float64frombits(bits), weight: s.weights[i]})
		}
	}
	m := summaryOf(table)
	m.Exact = !s.sampling
	if s.sampling {
		drawn := 0.0
		for i := range s.sample {
			drawn += s.sample[i].weight
		}
		for i := range s.sample {
			s.sample[i].weight = float64(s.sample[i].weight * (s.weight / drawn))
		}
		m = mergeSummaries(m, summaryOf(s.sample).compressed())
	}
	return m
}

// summaryOf sorts values and adds up the weights of equal ones.
func summaryOf(values []sampled) summary {
	slices.SortStableFunc(values, func(a, b sampled) int {
		switch {
		case a.value < b.value:
			return -1
		case a.value > b.value:
			return 1
		}
		return 0
	})
	var m summary
	for _, v := range values {
		if n := len(m.Values); n > 0 && m.Values[n-1] == v.value {
			m.Weights[n-1] += v.weight
		} else {
			m.Values, m.Weights = append(m.Values, v.value), append(m.Weights, v.weight)
		}
	}
	return m
}

// thresholds cuts the values of a summary into at most bins intervals: between any two distinct values if there are few enough, else
// where the weight up to there comes closest to the next multiple of an equal share (Spark's
// RandomForest.findSplitsForContinuousFeature). A value x is in the first interval whose threshold is at least x.
func (s summary) thresholds(bins int) []float64 {
	values := make([]float64, 0, len(s.Values))
	weights := make([]float64, 0, len(s.Values))
	total := 0.0
	for i, w := range s.Weights {
		if w > 0 { // rows without weight do not ask for a split
			values, weights = append(values, s.Values[i]), append(weights, w)
			total += w
		}
	}
	var cuts []float64
	if len(values) <= bins {
		for i := 1; i < len(values); i++ {
			cuts = append(cuts, midpoint(values[i-1], values[i]))
		}
		return cuts
	}
	// A value with the weight of a whole interval gets one of its own; the other values share the other intervals evenly.
	heavy := func(w float64) bool { return w >= total/float64(bins) }
	rest, left := total, bins
	for _, w := range weights {
		if heavy(w) {
			rest -= w
			left--
		}
	}
	held := 0.0
	for i := 0; i < len(values)-1 && len(cuts) < bins-1; i++ {
		w, next := weights[i], weights[i+1]
		held += w
		share := rest / float64(max(left, 1))
		// Close where the weight comes closest to the share, and before and after a heavy value.
		if !heavy(w) && !(heavy(next) && held >= share/2) && held+next/2 < share {
			continue
		}
		cuts = append(cuts, midpoint(values[i], values[i+1]))
		if !heavy(w) {
			rest -= held
			left--
		}
		held = 0
	}
	return cuts
}

// midpoint lies between a < b: at least a and below b, whatever the rounding.
func midpoint(a, b float64) float64 {
	m := a/2 + b/2
	if !(m >= a && m < b) {
		return a
	}
	return m
}

package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// need is what a stage wants to know of a column.
type need uint8

const (
	moments need = 1 << iota // count, mean, deviation and range of each register
	values                   // the distinct values with their counts
	median
)

// mostValues is how many distinct values of a column are kept: more were not meant to be categories.
const mostValues = 1 << 20

// columnStats is what a pass learns of a column. Missing values are left out.
type columnStats struct {
	Rows                      int64     // with a value, of the first register
	Count, Mean, M2, Min, Max []float64 // of each register
	Texts                     []string  // distinct, ascending
	TextCounts                []int64
	Numbers                   []float64 // distinct, ascending
	NumberCounts              []int64
	TooMany                   bool // distinct values
	Median                    float64
}

func (s *columnStats) merge(o *columnStats) {
	s.Rows += o.Rows
	if len(s.Count) == 0 {
		s.Count, s.Mean, s.M2, s.Min, s.Max = o.Count, o.Mean, o.M2, o.Min, o.Max
	} else {
		for j, n := range o.Count {
			if n == 0 {
				continue
			}
			total := s.Count[j] + n
			d := o.Mean[j] - s.Mean[j]
			s.M2[j] += o.M2[j] + d*d*s.Count[j]*n/total
			s.Mean[j] += d * n / total
			s.Count[j] = total
			s.Min[j], s.Max[j] = min(s.Min[j], o.Min[j]), max(s.Max[j], o.Max[j])
		}
	}
	s.Texts, s.TextCounts = mergeCounts(s.Texts, s.TextCounts, o.Texts, o.TextCounts)
	s.Numbers, s.NumberCounts = mergeCounts(s.Numbers, s.NumberCounts, o.Numbers, o.NumberCounts)
	s.TooMany = s.TooMany || o.TooMany || len(s.Texts) > mostValues || len(s.Numbers) > mostValues
}

// mergeCounts adds up the counts of ascending values.
func mergeCounts[V cmp.Ordered](a []V, na []int64, b []V, nb []int64) ([]V, []int64) {
	if len(b) == 0 {
		return a, na
	}
	out, counts := make([]V, 0, len(a)+len(b)), make([]int64, 0, len(a)+len(b))
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, counts = append(out, a[0]), append(counts, na[0])
			a, na = a[1:], na[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, counts = append(out, b[0]), append(counts, nb[0])
			b, nb = b[1:], nb[1:]
		default:
			out, counts = append(out, a[0]), append(counts, na[0]+nb[0])
			a, na, b, nb = a[1:], na[1:], b[1:], nb[1:]
		}
	}
	return out, counts
}

func sortCounts[V cmp.Ordered](m map[V]int64) ([]V, []int64) {
	keys := make([]V, 0, len(m))
	for v := range m {
		keys = append(keys, v)
	}
	slices.Sort(keys)
	counts := make([]int64, len(keys))
	for i, v := range keys {
		counts[i] = m[v]
	}
	return keys, counts
}

// learnFunc gathers the statistics of a partition.
type learnFunc struct {
	Plan    Plan
	Columns []int
	Needs   []need
}

// Run implements rdd.PartitionFunc.
func (l learnFunc) Run(t *rdd.Task, p int, in rdd.Stream[parquetio.Batch]) ([]columnStats, error) {
	m := l.Plan.machine()
	out := make([]columnStats, len(l.Columns))
	texts, numbers := make([]map[string]int64, len(out)), make([]map[float64]int64, len(out))
	for i, id := range l.Columns {
		texts[i], numbers[i] = map[string]int64{}, map[float64]int64{}
		if s := m.slots[id]; s.kind != Text && l.Needs[i]&moments != 0 {
			c := &out[i]
			c.Count, c.Mean, c.M2 = make([]float64, s.width), make([]float64, s.width), make([]float64, s.width)
			c.Min, c.Max = slices.Repeat([]float64{math.Inf(1)}, s.width), slices.Repeat([]float64{math.Inf(-1)}, s.width)
		}
	}
	err := eachRow(t, p, in, m, func() error {
		for i, id := range l.Columns {
			c, s := &out[i], m.slots[id]
			if s.kind == Text {
				if x := m.texts[s.at]; x.ok {
					c.Rows++
					if !c.TooMany && l.Needs[i]&values != 0 {
						texts[i][x.s]++
						c.TooMany = len(texts[i]) > mostValues
					}
				}
				continue
			}
			for j, x := range m.values(id) {
				if x != x {
					continue
				}
				if j == 0 {
					c.Rows++
					if !c.TooMany && l.Needs[i]&values != 0 {
						numbers[i][x+0]++ // one of both zeros
						c.TooMany = len(numbers[i]) > mostValues
					}
				}
				if c.Count == nil {
					continue
				}
				c.Count[j]++
				d := x - c.Mean[j]
				c.Mean[j] += d / c.Count[j]
				c.M2[j] += d * (x - c.Mean[j])
				c.Min[j], c.Max[j] = min(c.Min[j], x), max(c.Max[j], x)
			}
		}
		return nil
	})
	for i := range out {
		out[i].Texts, out[i].TextCounts = sortCounts(texts[i])
		out[i].Numbers, out[i].NumberCounts = sortCounts(numbers[i])
	}
	return out, err
}

// learn makes a pass over rows, and some more where medians are wanted.
func learn(ctx context.Context, batches rdd.RDD[parquetio.Batch], l learnFunc) ([]columnStats, error) {
	parts, err := rdd.RunPartitions(ctx, batches, "PipelineLearn", rdd.PartitionFunc[parquetio.Batch, []columnStats](l), nil)
	if err != nil {
		return nil, err
	}
	all := make([]columnStats, len(l.Columns))
	for _, part := range parts {
		for i := range all {
			all[i].merge(&part[i])
		}
	}
	return all, medians(ctx, batches, l, all)
}

// selectFunc counts, for values whose upper bits are one of some prefixes, how often the next 16 bits occur.
type selectFunc struct {
	Plan     Plan
	Columns  []int
	Shift    int        // bits below the 16 that are looked at
	Prefixes [][]uint64 // of each column
}

// digits is which of the values of 16 bits occur, ascending, and how often.
type digits struct {
	Digit []int32
	Count []int64
}

// Run implements rdd.PartitionFunc.
func (o selectFunc) Run(t *rdd.Task, p int, in rdd.Stream[parquetio.Batch]) ([]digits, error) {
	m := o.Plan.machine()
	var counts [][]int64
	for _, prefixes := range o.Prefixes {
		for range prefixes {
			counts = append(counts, make([]int64, 1<<16))
		}
	}
	err := eachRow(t, p, in, m, func() error {
		at := 0
		for i, id := range o.Columns {
			x := m.nums[m.slots[id].at]
			key := order(x)
			for k, prefix := range o.Prefixes[i] {
				if x == x && key>>o.Shift>>16 == prefix {
					counts[at+k][key>>o.Shift&0xffff]++
				}
			}
			at += len(o.Prefixes[i])
		}
		return nil
	})
	out := make([]digits, len(counts))
	for i, c := range counts {
		for d, n := range c {
			if n > 0 {
				out[i].Digit, out[i].Count = append(out[i].Digit, int32(d)), append(out[i].Count, n)
			}
		}
	}
	return out, err
}

// order maps numbers to whole ones in the same order, and inverse back.
func order(x float64) uint64 {
	b := math.Float64bits(x + 0)
	if b>>63 != 0 {
		return ^b
	}
	return b | 1<<63
}

func inverse(key uint64) float64 {
	if key>>63 != 0 {
		return math.Float64frombits(key &^ (1 << 63))
	}
	return math.Float64frombits(^key)
}

// medians finds exact medians, of an even number of values the mean of the middle two, by looking at 16 bits of the values in each of four passes: in little memory
// however many values there are, and independent of their order.
func medians(ctx context.Context, batches rdd.RDD[parquetio.Batch], l learnFunc, all []columnStats) error {
	var which []int
	op := selectFunc{Plan: l.Plan}
	var ranks [][2]int64 // that are sought among the values with the prefixes
	var keys [][2]uint64 // the bits that are known
	for i := range all {
		if n := all[i].Rows; l.Needs[i]&median != 0 && n > 0 {
			which = append(which, i)
			op.Columns = append(op.Columns, l.Columns[i])
			ranks, keys = append(ranks, [2]int64{(n - 1) / 2, n / 2}), append(keys, [2]uint64{})
		}
	}
	if len(which) == 0 {
		return nil
	}
	for op.Shift = 48; op.Shift >= 0; op.Shift -= 16 {
		op.Prefixes = nil
		for _, k := range keys {
			op.Prefixes = append(op.Prefixes, slices.Compact(k[:]))
		}
		parts, err := rdd.RunPartitions(ctx, batches, "PipelineMedian", rdd.PartitionFunc[parquetio.Batch, []digits](op), nil)
		if err != nil {
			return err
		}
		at := 0
		for c := range keys {
			prefixes := slices.Clone(op.Prefixes[c])
			for side := range keys[c] {
				var sum digits
				k := slices.Index(prefixes, keys[c][side])
				for _, part := range parts {
					sum.Digit, sum.Count = mergeCounts(sum.Digit, sum.Count, part[at+k].Digit, part[at+k].Count)
				}
				for d, n := range sum.Count {
					if ranks[c][side] < n {
						keys[c][side] = keys[c][side]<<16 | uint64(sum.Digit[d])
						break
					}
					ranks[c][side] -= n
				}
			}
			at += len(prefixes)
		}
	}
	for c, i := range which {
		low, high := inverse(keys[c][0]), inverse(keys[c][1])
		if all[i].Median = low; low != high {
			all[i].Median = low + (high-low)/2
		}
	}
	return nil
}

// tooMany says that a column has no categories.
func tooMany(c column) error {
	return fmt.Errorf("column %q has more than %d distinct values: choose a column of categories", c.Name, mostValues)
}

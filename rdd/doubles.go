package rdd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
)

// Number is a type that the numeric summaries take. They compute in float64.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// Sum adds all rows up, as float64, those of a partition in their order and then the partitions' sums in theirs: the same bits every
// time. For exact sums of integers beyond 2^53 use Reduce. The sum of no rows is 0.
func Sum[T Number](ctx context.Context, r RDD[T]) (float64, error) {
	parts, err := runPartitions(ctx, r, "Sum", partitionFunc[T, float64](sumRows[T]{}), nil)
	sum := 0.0
	for _, s := range parts {
		sum += s
	}
	return sum, err
}

type sumRows[T Number] struct{}

func (sumRows[T]) run(_ *Task, _ int, in Stream[T]) (sum float64, err error) {
	err = each(in, func(rows []T) error {
		for _, x := range rows {
			sum += float64(x)
		}
		return nil
	})
	return sum, err
}

// StatCounter gathers count, mean, variance, minimum and maximum of numbers in one pass (Welford's method); two of them merge by the
// formula of Chan, Golub and LeVeque. The zero value has seen nothing.
type StatCounter struct {
	n        int64
	mean     float64
	m2       float64 // sum of squared deviations from the mean
	min, max float64
}

// Add takes one more number.
func (s *StatCounter) Add(x float64) {
	if s.n == 0 {
		s.min, s.max = x, x
	}
	s.n++
	d := x - s.mean
	s.mean += d / float64(s.n)
	s.m2 += d * (x - s.mean)
	s.min, s.max = min(s.min, x), max(s.max, x)
}

// Merge takes all numbers of o.
func (s *StatCounter) Merge(o StatCounter) {
	switch {
	case o.n == 0:
		return
	case s.n == 0:
		*s = o
		return
	}
	n, m := float64(s.n), float64(o.n)
	d := o.mean - s.mean
	// The mean moves by the smaller side's share, which keeps its digits when one side is far larger.
	switch {
	case o.n*10 < s.n:
		s.mean += d * m / (n + m)
	case s.n*10 < o.n:
		s.mean = o.mean - d*n/(n+m)
	default:
		s.mean = (s.mean*n + o.mean*m) / (n + m)
	}
	s.m2 += o.m2 + d*d*n*m/(n+m)
	s.n += o.n
	s.min, s.max = min(s.min, o.min), max(s.max, o.max)
}

// Count is how many numbers there were.
func (s StatCounter) Count() int64 { return s.n }

// Mean is their arithmetic mean; NaN for none.
func (s StatCounter) Mean() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	return s.mean
}

// Sum is count times mean, which may differ from Sum of the rows in the last bits.
func (s StatCounter) Sum() float64 { return float64(s.n) * s.mean }

// Min is the least of them; +Inf for none, NaN if one of them is NaN.
func (s StatCounter) Min() float64 {
	if s.n == 0 {
		return math.Inf(1)
	}
	return s.min
}

// Max is the greatest of them; -Inf for none, NaN if one of them is NaN.
func (s StatCounter) Max() float64 {
	if s.n == 0 {
		return math.Inf(-1)
	}
	return s.max
}

// Variance is the population variance, the sum of squared deviations divided by n; NaN for none.
func (s StatCounter) Variance() float64 {
	if s.n == 0 {
		return math.NaN()
	}
	return s.m2 / float64(s.n)
}

// SampleVariance is the unbiased estimate, the sum of squared deviations divided by n-1; NaN for fewer than two numbers.
func (s StatCounter) SampleVariance() float64 {
	if s.n < 2 {
		return math.NaN()
	}
	return s.m2 / float64(s.n-1)
}

// Stdev is the square root of Variance.
func (s StatCounter) Stdev() float64 { return math.Sqrt(s.Variance()) }

// SampleStdev is the square root of SampleVariance.
func (s StatCounter) SampleStdev() float64 { return math.Sqrt(s.SampleVariance()) }

// String shows count, mean, standard deviation, maximum and minimum.
func (s StatCounter) String() string {
	return fmt.Sprintf("(count: %d, mean: %g, stdev: %g, max: %g, min: %g)", s.Count(), s.Mean(), s.Stdev(), s.Max(), s.Min())
}

// Stats summarises all rows in one pass, merged in partition order.
func Stats[T Number](ctx context.Context, r RDD[T]) (StatCounter, error) {
	return stats(ctx, r, "Stats")
}

func stats[T Number](ctx context.Context, r RDD[T], name string) (StatCounter, error) {
	parts, err := runPartitions(ctx, r, name, partitionFunc[T, StatCounter](statRows[T]{}), nil)
	var all StatCounter
	for _, s := range parts {
		all.Merge(s)
	}
	return all, err
}

type statRows[T Number] struct{}

func (statRows[T]) run(_ *Task, _ int, in Stream[T]) (s StatCounter, err error) {
	err = each(in, func(rows []T) error {
		for _, x := range rows {
			s.Add(float64(x))
		}
		return nil
	})
	return s, err
}

// Mean is the arithmetic mean of all rows; NaN for none.
func Mean[T Number](ctx context.Context, r RDD[T]) (float64, error) {
	s, err := stats(ctx, r, "Mean")
	return s.Mean(), err
}

// Variance is the population variance of all rows; NaN for none.
func Variance[T Number](ctx context.Context, r RDD[T]) (float64, error) {
	s, err := stats(ctx, r, "Variance")
	return s.Variance(), err
}

// SampleVariance is the unbiased variance (divided by n-1) of all rows; NaN for fewer than two.
func SampleVariance[T Number](ctx context.Context, r RDD[T]) (float64, error) {
	s, err := stats(ctx, r, "SampleVariance")
	return s.SampleVariance(), err
}

// Stdev is the population standard deviation of all rows; NaN for none.
func Stdev[T Number](ctx context.Context, r RDD[T]) (float64, error) {
	s, err := stats(ctx, r, "Stdev")
	return s.Stdev(), err
}

// SampleStdev is the sample standard deviation (by n-1) of all rows; NaN for fewer than two.
func SampleStdev[T Number](ctx context.Context, r RDD[T]) (float64, error) {
	s, err := stats(ctx, r, "SampleStdev")
	return s.SampleStdev(), err
}

// Histogram counts the rows in the given number of buckets of equal width between the least and the greatest row, found in a first
// pass. It returns the bounds, one more than there are counts. Buckets are closed on the left and open on the right, [a, b), but for
// the last, which is [a, b]. If all rows are equal there is one bucket, [a, a]. A dataset that is empty or holds NaN or an infinity is
// an error.
func Histogram[T Number](ctx context.Context, r RDD[T], buckets int) (bounds []float64, counts []int64, err error) {
	const kind = "Histogram"
	if buckets < 1 {
		return nil, nil, fail(kind, fmt.Errorf("%d buckets: ask for at least 1", buckets))
	}
	s, err := stats(ctx, r, kind)
	if err != nil {
		return nil, nil, err
	}
	lo, hi := s.Min(), s.Max()
	if s.Count() == 0 {
		return nil, nil, fail(kind, ErrEmpty)
	}
	if bad := lo + hi; bad != bad || math.IsInf(lo, 0) || math.IsInf(hi, 0) {
		return nil, nil, fail(kind, fmt.Errorf("the rows reach from %g to %g: filter NaN and infinities out, or give the bounds to HistogramBuckets", lo, hi))
	}
	if lo == hi {
		buckets = 1
	}
	wide := math.IsInf(float64(buckets)*(hi-lo), 0) // the formula below would leave the range of float64
	for i := range buckets {
		b := lo + float64(i)*(hi-lo)/float64(buckets)
		if part := float64(i) / float64(buckets); wide {
			b = lo*(1-part) + hi*part
		}
		bounds = append(bounds, b)
	}
	bounds = append(bounds, hi)
	counts, err = histogram(ctx, r, bounds, lo < hi)
	return bounds, counts, err
}

// HistogramBuckets counts the rows in the buckets between the given bounds, which must ascend: [bounds[i], bounds[i+1]), and the last
// one closed on both sides. Rows outside of them, and NaN, are not counted.
func HistogramBuckets[T Number](ctx context.Context, r RDD[T], bounds []float64) ([]int64, error) {
	const kind = "HistogramBuckets"
	if len(bounds) < 2 {
		return nil, fail(kind, fmt.Errorf("%d bounds: give at least 2, one more than buckets", len(bounds)))
	}
	for i, b := range bounds {
		if b != b || i > 0 && b <= bounds[i-1] {
			return nil, fail(kind, errors.New("the bounds do not ascend: sort them, and drop what occurs twice"))
		}
	}
	return histogram(ctx, r, bounds, false)
}

func histogram[T Number](ctx context.Context, r RDD[T], bounds []float64, even bool) ([]int64, error) {
	parts, err := runPartitions(ctx, r, "Histogram", partitionFunc[T, []int64](histogramRows[T]{bounds, even}), nil)
	if err != nil {
		return nil, err
	}
	counts := make([]int64, len(bounds)-1)
	for _, part := range parts {
		for i, n := range part {
			counts[i] += n
		}
	}
	return counts, nil
}

type histogramRows[T Number] struct {
	Bounds []float64
	Even   bool // of equal width: a row's bucket can be computed
}

func (h histogramRows[T]) run(_ *Task, _ int, in Stream[T]) ([]int64, error) {
	counts := make([]int64, len(h.Bounds)-1)
	last := len(counts) - 1
	lo, hi := h.Bounds[0], h.Bounds[last+1]
	scale := float64(len(counts)) / (hi - lo)
	err := each(in, func(rows []T) error {
		for _, row := range rows {
			x := float64(row)
			if !(x >= lo && x <= hi) {
				continue
			}
			var i int
			if h.Even {
				i = h.near(x, min(max(int((x-lo)*scale), 0), last))
			} else {
				i = min(sort.Search(len(h.Bounds), func(j int) bool { return h.Bounds[j] > x })-1, last)
			}
			counts[i]++
		}
		return nil
	})
	return counts, err
}

// near moves a computed bucket to the one whose bounds hold x: rounding may have missed it by one.
func (h histogramRows[T]) near(x float64, i int) int {
	for i > 0 && x < h.Bounds[i] {
		i--
	}
	for i < len(h.Bounds)-2 && x >= h.Bounds[i+1] {
		i++
	}
	return i
}

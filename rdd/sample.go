package rdd

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// Sample draws rows by chance: without replacement each row with probability fraction (0 to 1), with replacement each row a number of
// times that is Poisson distributed with mean fraction. The size of the result is only about fraction times that of r; see
// TakeSample for an exact one.
//
// The same seed gives the same rows: each partition draws from a generator of its own, seeded by seed and the partition's number.
// Sample keeps the partitioner.
func Sample[T any](r RDD[T], withReplacement bool, fraction float64, seed uint64) RDD[T] {
	var err error
	if !(fraction >= 0) || math.IsInf(fraction, 0) || !withReplacement && fraction > 1 {
		err = fail("Sample", fmt.Errorf("fraction %v: give one from 0 to 1, or with replacement 0 or more", fraction))
	}
	if withReplacement {
		return keepPartitioner(derive(r, "Sample", poissonOp[T]{r, fraction, seed}, err), r)
	}
	return keepPartitioner(derive(r, "Sample", bernoulliOp[T]{r, 0, fraction, seed}, err), r)
}

// RandomSplit deals the rows out to len(weights) datasets by chance, in proportion to the weights: every row goes to exactly one.
// Each dataset computes r anew, so r should be persisted where that is dear. Seeds work as in Sample.
func RandomSplit[T any](r RDD[T], weights []float64, seed uint64) []RDD[T] {
	sum := 0.0
	var err error
	for i, w := range weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			err = fail("RandomSplit", fmt.Errorf("weight %d is %v: give weights of 0 or more", i, w))
		}
		sum += w
	}
	if err == nil && !(sum > 0) {
		err = fail("RandomSplit", fmt.Errorf("the weights %v add up to %v: give at least one above 0", weights, sum))
	}
	splits := make([]RDD[T], len(weights))
	below, upTo := 0.0, 0.0
	last := 0 // the last dataset that gets rows at all ends at 1, whatever the rounding of the sums
	for i, w := range weights {
		if w > 0 {
			last = i
		}
	}
	for i, w := range weights {
		upTo += w / sum
		if i >= last {
			upTo = 1
		}
		splits[i] = keepPartitioner(derive(r, "RandomSplit", bernoulliOp[T]{r, below, upTo, seed}, err), r)
		below = upTo
	}
	return splits
}

// partitionRand is the generator of a partition.
func partitionRand(seed uint64, partition int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, codec.HashUint64(uint64(partition))))
}

// bernoulliOp keeps the rows whose draw from [0,1) lies in [Low,High).
type bernoulliOp[T any] struct {
	Parent    RDD[T]
	Low, High float64
	Seed      uint64
}

func (o bernoulliOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	rng := partitionRand(o.Seed, p)
	return &filterStream[T]{in: in, keep: func(T) bool {
		x := rng.Float64()
		return x >= o.Low && x < o.High
	}}, nil
}

// poissonOp repeats each row as often as a Poisson draw says.
type poissonOp[T any] struct {
	Parent RDD[T]
	Mean   float64
	Seed   uint64
}

func (o poissonOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	draw := newPoisson(o.Mean, partitionRand(o.Seed, p))
	return &repeatStream[T]{in: in, times: func(T) (int64, error) { return draw.next(), nil }}, nil
}

// repeatStream yields each row of a stream as often as times says.
type repeatStream[T any] struct {
	in    Stream[T]
	times func(T) (int64, error)
	rows  []T
	left  int64
	drawn bool // left is that of rows[0]
	out   []T
}

func (s *repeatStream[T]) Next() ([]T, error) {
	s.out = s.out[:0]
	for len(s.out) < BatchRows {
		if len(s.rows) == 0 {
			rows, err := s.in.Next()
			if err == io.EOF && len(s.out) > 0 {
				return s.out, nil
			}
			if err != nil {
				return nil, err
			}
			s.rows = rows
		}
		if !s.drawn {
			var err error
			if s.left, err = s.times(s.rows[0]); err != nil {
				return nil, err
			}
			s.drawn = true
		}
		for ; s.left > 0 && len(s.out) < BatchRows; s.left-- {
			s.out = append(s.out, s.rows[0])
		}
		if s.left == 0 {
			s.rows, s.drawn = s.rows[1:], false
		}
	}
	return s.out, nil
}

// poisson draws Poisson distributed numbers by Knuth's product of uniforms; a large mean is drawn as a sum of small ones, whose
// exponentials do not underflow.
type poisson struct {
	rng    *rand.Rand
	rounds int
	limit  float64 // exp(-mean of a round)
}

func newPoisson(mean float64, rng *rand.Rand) *poisson {
	rounds := max(1, int(math.Ceil(mean/16)))
	return &poisson{rng, rounds, math.Exp(-mean / float64(rounds))}
}

func (d *poisson) next() (n int64) {
	for range d.rounds {
		for x := d.rng.Float64(); x > d.limit; x *= d.rng.Float64() {
			n++
		}
	}
	return n
}

// TakeSample returns exactly n rows drawn by chance, in an order by chance; without replacement at most as many as there are. It
// counts the rows of each partition in one job, draws how many to take of each, and takes them in a second job.
func TakeSample[T any](ctx context.Context, r RDD[T], withReplacement bool, n int, seed uint64) ([]T, error) {
	if n < 0 {
		return nil, fmt.Errorf("rdd.TakeSample: %d rows: ask for 0 or more", n)
	}
	counts, err := countPartitions(ctx, r.node, "TakeSample", countAction[T]{r}, nil)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, len(counts)) // where the rows of each partition end among all
	var total int64
	for i, c := range counts {
		total += c
		ends[i] = total
	}
	if !withReplacement {
		n = int(min(int64(n), total))
	}
	if n == 0 || total == 0 {
		return nil, nil
	}
	rng := partitionRand(seed, -1)
	take := make([]int64, len(counts))
	if withReplacement {
		for range n {
			take[partitionOf(ends, rng.Int64N(total))]++
		}
	} else {
		drawDistinct(rng, total, n, func(row int64) { take[partitionOf(ends, row)]++ })
	}
	var parts []int
	for p, k := range take {
		if k > 0 {
			parts = append(parts, p)
		}
	}
	pick := pickRows[T]{counts, take, withReplacement, seed}
	picked, err := runPartitions(ctx, r, "TakeSample", partitionFunc[T, []T](pick), parts)
	if err != nil {
		return nil, err
	}
	rows := make([]T, 0, n)
	for _, p := range picked {
		rows = append(rows, p...)
	}
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows, nil
}

// partitionOf finds the partition of a row by its number among all.
func partitionOf(ends []int64, row int64) int {
	lo, hi := 0, len(ends)
	for lo < hi {
		if mid := (lo + hi) / 2; ends[mid] <= row {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// drawDistinct draws n distinct numbers below total, by Floyd's method; every set is equally likely.
func drawDistinct(rng *rand.Rand, total int64, n int, take func(int64)) {
	seen := make(map[int64]struct{}, n)
	for j := total - int64(n); j < total; j++ {
		x := rng.Int64N(j + 1)
		if _, twice := seen[x]; twice {
			x = j
		}
		seen[x] = struct{}{}
		take(x)
	}
}

// pickRows draws Take[p] of the Counts[p] rows of partition p.
type pickRows[T any] struct {
	Counts, Take    []int64
	WithReplacement bool
	Seed            uint64
}

func (a pickRows[T]) run(_ *Task, p int, in Stream[T]) ([]T, error) {
	rng := partitionRand(a.Seed, p)
	times := map[int64]int{}
	if a.WithReplacement {
		for range a.Take[p] {
			times[rng.Int64N(a.Counts[p])]++
		}
	} else {
		drawDistinct(rng, a.Counts[p], int(a.Take[p]), func(row int64) { times[row]++ })
	}
	out := make([]T, 0, a.Take[p])
	var row int64
	err := each(in, func(rows []T) error {
		for i := range rows {
			for range times[row] {
				out = append(out, rows[i])
			}
			row++
		}
		return nil
	})
	if err == nil && row != a.Counts[p] {
		err = fmt.Errorf("take a sample of partition %d: it had %d rows and then %d: its computation is not deterministic: persist the dataset", p, a.Counts[p], row)
	}
	return out, err
}

// SampleByKey is Sample with a fraction for each key. A row whose key has none fails the job. It keeps the partitioner.
func SampleByKey[K comparable, V any](r RDD[Pair[K, V]], withReplacement bool, fractions map[K]float64, seed uint64) RDD[Pair[K, V]] {
	var err error
	for k, f := range fractions {
		if !(f >= 0) || math.IsInf(f, 0) || !withReplacement && f > 1 {
			err = fail("SampleByKey", fmt.Errorf("fraction %v of key %v: give one from 0 to 1, or with replacement 0 or more", f, k))
		}
	}
	return keepPartitioner(derive(r, "SampleByKey", sampleByKeyOp[K, V]{r, withReplacement, fractions, seed}, err), r)
}

type sampleByKeyOp[K comparable, V any] struct {
	Parent          RDD[Pair[K, V]]
	WithReplacement bool
	Fractions       map[K]float64
	Seed            uint64
}

func (o sampleByKeyOp[K, V]) Compute(t *Task, p int) (Stream[Pair[K, V]], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	rng := partitionRand(o.Seed, p)
	poissons := map[K]*poisson{}
	times := func(row Pair[K, V]) (int64, error) {
		f, ok := o.Fractions[row.Key]
		if !ok {
			return 0, fmt.Errorf("sample by key: key %v has no fraction: give one for every key, 0 to leave its rows out", row.Key)
		}
		if !o.WithReplacement {
			if rng.Float64() < f {
				return 1, nil
			}
			return 0, nil
		}
		d := poissons[row.Key]
		if d == nil {
			d = newPoisson(f, rng)
			poissons[row.Key] = d
		}
		return d.next(), nil
	}
	return &repeatStream[Pair[K, V]]{in: in, times: times}, nil
}

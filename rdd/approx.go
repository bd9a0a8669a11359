package rdd

import (
	"context"
	"fmt"
	"math"
	"math/bits"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// CountApproxDistinct estimates the number of different rows with a HyperLogLog sketch, in one pass and little memory. relativeSD is
// the relative accuracy: 0.05, Spark's default, takes 512 bytes a partition; 0.001, the smallest, 2 MiB. The
// same rows give the same estimate, in whatever order and partitions they lie.
//
// The registers are HyperLogLog's; the estimate is Ertl's improved one ("New cardinality estimation algorithms for HyperLogLog
// sketches", 2017), which needs no table of corrections and is exact to a few units for small numbers.
func CountApproxDistinct[T comparable](ctx context.Context, r RDD[T], relativeSD float64) (int64, error) {
	if !(relativeSD >= 0.001 && relativeSD <= 0.4) {
		return 0, fmt.Errorf("rdd.CountApproxDistinct: relative standard deviation %v: give one from 0.001 to 0.4, such as 0.05", relativeSD)
	}
	if err := keyCheck[T]("CountApproxDistinct"); err != nil {
		return 0, err
	}
	// The standard error of 2^p registers is 1.04 / sqrt(2^p).
	precision := max(4, int(math.Ceil(2*math.Log2(1.04/relativeSD))))
	sketches, err := runPartitions(ctx, r, "CountApproxDistinct", partitionFunc[T, []uint8](sketchRows[T]{precision}), nil)
	if err != nil {
		return 0, err
	}
	total := make([]uint8, 1<<precision)
	for _, s := range sketches {
		for i, rank := range s {
			total[i] = max(total[i], rank)
		}
	}
	return int64(math.Round(estimateDistinct(total, precision))), nil
}

// sketchRows keeps, for each value of a hash's first Precision bits, the highest rank of the others: the position of their first one.
type sketchRows[T comparable] struct{ Precision int }

func (a sketchRows[T]) run(_ *Task, _ int, in Stream[T]) ([]uint8, error) {
	ops, err := codec.KeysOf[T]()
	if err != nil {
		return nil, err
	}
	registers := make([]uint8, 1<<a.Precision)
	var hashes []uint64
	err = each(in, func(rows []T) error {
		hashes = resize(hashes, len(rows))
		ops.HashRows(rows, hashes)
		for _, h := range hashes {
			// The keys' hash is made for tables; one more round spreads it over all bits.
			h = codec.HashUint64(h)
			i := h >> (64 - a.Precision)
			rank := uint8(min(bits.LeadingZeros64(h<<a.Precision), 64-a.Precision) + 1)
			registers[i] = max(registers[i], rank)
		}
		return nil
	})
	return registers, err
}

// estimateDistinct is Ertl's estimator from the histogram of the registers' values.
func estimateDistinct(registers []uint8, precision int) float64 {
	q := 64 - precision
	counts := make([]float64, q+2)
	for _, r := range registers {
		counts[r]++
	}
	m := float64(len(registers))
	z := m * tau(1-counts[q+1]/m)
	for k := q; k >= 1; k-- {
		z = (z + counts[k]) / 2
	}
	z += m * sigma(counts[0]/m)
	return m * m / (2 * math.Ln2 * z)
}

// sigma corrects for registers that no row reached: x + sum of x^(2^k) * 2^(k-1).
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	sum, y := x, 1.0
	for {
		x *= x
		before := sum
		sum += x * y
		y += y
		if sum == before {
			return sum
		}
	}
}

// tau corrects for registers at their highest value.
func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, sum := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := sum
		y /= 2
		sum -= (1 - x) * (1 - x) * y
		if sum == before {
			return sum / 3
		}
	}
}

package rdd

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// The bounds of range partitions come from a sample, as in Spark's RangePartitioner: every partition keeps a reservoir of keys, three
// times its share of 20 keys a range (a million in all at most); a partition that turns out to hold so many rows that its keys would
// count too much is sampled again, in proportion to its rows; each sampled key then weighs as many rows as it stands for, and bounds
// are set where the weight of a range is full. Seeds are constant, so the same data gives the same bounds.
const (
	sampleKeysPerRange = 20
	sampleKeysMax      = 1e6
	sampleKeysOver     = 3
	sampleSeed         = 0x5eed0b0b1d5 // any constant
)

// sampleBounds samples the keys of r, in one or two jobs, and returns at most by.N-1 bounds, ascending and different.
func sampleBounds[T, K any](ctx context.Context, r RDD[T], kind string, key sortKey[T, K], by *RangePartitioner[K]) ([]K, error) {
	if by.N == 1 || r.node == nil || r.node.partitions == 0 {
		return nil, nil
	}
	want := min(float64(sampleKeysPerRange)*float64(by.N), sampleKeysMax)
	each := int(math.Ceil(sampleKeysOver * want / float64(r.node.partitions)))
	name := kind + " samples keys"
	sketches, err := runPartitions(ctx, r, name, partitionFunc[T, keySample[K]](sketchKeys[T, K]{key, each}), nil)
	if err != nil {
		return nil, err
	}
	rows := int64(0)
	for _, s := range sketches {
		rows += s.Rows
	}
	if rows == 0 {
		return nil, nil
	}
	fraction := min(want/float64(rows), 1)
	var sample []weightedKey[K]
	var heavy []int
	for p, s := range sketches {
		if fraction*float64(s.Rows) > float64(each) {
			heavy = append(heavy, p)
			continue
		}
		for _, k := range s.Keys {
			sample = append(sample, weightedKey[K]{k, float64(s.Rows) / float64(len(s.Keys))})
		}
	}
	if len(heavy) > 0 {
		again, err := runPartitions(ctx, r, name, partitionFunc[T, keySample[K]](thinKeys[T, K]{key, fraction}), heavy)
		if err != nil {
			return nil, err
		}
		for _, s := range again {
			for _, k := range s.Keys {
				sample = append(sample, weightedKey[K]{k, 1 / fraction})
			}
		}
	}
	return chooseBounds(sample, min(by.N, len(sample)), by.Compare), nil
}

// weightedKey is a sampled key and how many rows it stands for.
type weightedKey[K any] struct {
	Key    K
	Weight float64
}

// chooseBounds cuts the sample into at most n ranges of equal weight. It sorts the sample.
func chooseBounds[K any](sample []weightedKey[K], n int, compare func(a, b K) int) []K {
	slices.SortStableFunc(sample, func(a, b weightedKey[K]) int { return compare(a.Key, b.Key) })
	total := 0.0
	for _, s := range sample {
		total += s.Weight
	}
	step := total / float64(n)
	var bounds []K
	sum, target := 0.0, step
	for _, s := range sample {
		if len(bounds) >= n-1 {
			break
		}
		sum += s.Weight
		// A key that is the last bound already stays in its range, however heavy.
		if sum >= target && (len(bounds) == 0 || compare(s.Key, bounds[len(bounds)-1]) > 0) {
			bounds = append(bounds, s.Key)
			target += step
		}
	}
	return bounds
}

// keySample is what a partition tells of its keys.
type keySample[K any] struct {
	Rows int64
	Keys []K
}

// sketchKeys counts the rows of a partition and keeps Size keys of them, each set of rows with equal probability: reservoir sampling
// by skips (Li 1994, algorithm L), so that keys are computed for the chosen rows only.
type sketchKeys[T, K any] struct {
	Key  sortKey[T, K]
	Size int
}

func (s sketchKeys[T, K]) run(_ *Task, p int, in Stream[T]) (keySample[K], error) {
	var got keySample[K]
	rng := rand.New(rand.NewPCG(sampleSeed, uint64(p)))
	var buf []K
	next, w := int64(s.Size), 1.0 // the next row to take once the reservoir is full
	skip := func() {
		w *= math.Exp(math.Log(1-rng.Float64()) / float64(s.Size))
		gap := math.Floor(math.Log(1-rng.Float64()) / math.Log1p(-w))
		if gap < 1<<62 { // else w is so small that no row is taken any more
			next += int64(gap)
		} else {
			next = math.MaxInt64
		}
	}
	err := each(in, func(rows []T) error {
		first := got.Rows
		got.Rows += int64(len(rows))
		if free := s.Size - len(got.Keys); free > 0 {
			buf = s.Key.keys(rows[:min(free, len(rows))], buf)
			for _, k := range buf {
				got.Keys = append(got.Keys, ownKey(k))
			}
			if len(got.Keys) < s.Size {
				return nil
			}
			skip()
		}
		for next < got.Rows {
			buf = s.Key.keys(rows[next-first:next-first+1], buf)
			got.Keys[rng.IntN(s.Size)] = ownKey(buf[0])
			next++
			skip()
		}
		return nil
	})
	return got, err
}

// thinKeys keeps each key with probability Fraction.
type thinKeys[T, K any] struct {
	Key      sortKey[T, K]
	Fraction float64
}

func (s thinKeys[T, K]) run(_ *Task, p int, in Stream[T]) (keySample[K], error) {
	var got keySample[K]
	rng := rand.New(rand.NewPCG(^uint64(sampleSeed), uint64(p)))
	var buf []K
	err := each(in, func(rows []T) error {
		got.Rows += int64(len(rows))
		for i := range rows {
			if rng.Float64() < s.Fraction {
				buf = s.Key.keys(rows[i:i+1], buf)
				got.Keys = append(got.Keys, ownKey(buf[0]))
			}
		}
		return nil
	})
	return got, err
}

// ownKey copies a text, which may be a part of a large buffer that a sample must not keep alive.
func ownKey[K any](key K) K {
	if s, ok := any(&key).(*string); ok {
		*s = strings.Clone(*s)
	}
	return key
}

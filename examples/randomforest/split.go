package main

import (
	"math/rand/v2"

	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// partOp deals the rows of each partition out to training and test, by a generator of the partition's own.
type partOp struct {
	All   rdd.RDD[tree.Columns]
	Seed  uint64
	Share float64 // of the test
	Test  bool
}

// Compute implements rdd.Op.
func (o partOp) Compute(t *rdd.Task, p int) (rdd.Stream[tree.Columns], error) {
	in, err := o.All.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &partStream{op: o, in: in, random: rand.New(rand.NewPCG(o.Seed, uint64(p)))}, nil
}

type partStream struct {
	op     partOp
	in     rdd.Stream[tree.Columns]
	random *rand.Rand
	out    []tree.Columns
}

// Next implements rdd.Stream.
func (s *partStream) Next() ([]tree.Columns, error) {
	batches, err := s.in.Next()
	if err != nil {
		return nil, err
	}
	s.out = s.out[:0]
	for i := range batches {
		b := &batches[i]
		var keep []int
		for row := range b.Rows {
			if s.random.Float64() < s.op.Share == s.op.Test {
				keep = append(keep, row)
			}
		}
		part := tree.Columns{Rows: len(keep), Labels: pick(b.Labels, keep), Features: make([]tree.Column, len(b.Features))}
		for f := range b.Features {
			c := &b.Features[f]
			part.Features[f] = tree.Column{Float32s: pick(c.Float32s, keep), Float64s: pick(c.Float64s, keep)}
		}
		s.out = append(s.out, part)
	}
	return s.out, nil
}

// pick returns the kept values; nil of nil.
func pick[T any](values []T, keep []int) []T {
	if values == nil {
		return nil
	}
	kept := make([]T, len(keep))
	for k, i := range keep {
		kept[k] = values[i]
	}
	return kept
}

package shuffle

import (
	"cmp"
	"context"
	"io"
	"slices"
)

// Grouper collects the values of each key, in the order of their arrival. It spills when the budget is used up. Drained by Drain, the
// values of a single key must fit in memory: if they do not the error is a [*OneKeyError]. By Groups they need not. A Grouper belongs
// to one goroutine.
type Grouper[K comparable, V any] struct {
	*keyed[K]
	values *values[K, V]
}

// NewGrouper returns a Grouper. It fails if K cannot be a key or V cannot travel.
func NewGrouper[K comparable, V any](ctx context.Context, env *Env) (*Grouper[K, V], error) {
	return newGrouper[K, V](ctx, env, 0)
}

func newGrouper[K comparable, V any](ctx context.Context, env *Env, depth int) (*Grouper[K, V], error) {
	k, err := newKeyed[K](ctx, env, depth, "group")
	if err != nil {
		return nil, err
	}
	v, err := newValues[K, V](k, 0)
	return &Grouper[K, V]{k, v}, err
}

// Add takes rows. The slice is not kept; the values are.
func (g *Grouper[K, V]) Add(rows []Pair[K, V]) error {
	if g.err == nil {
		g.err = g.values.add(rows, false)
	}
	return g.err
}

// Drain returns one row per key, keys in the order of their hashes. Each slice of values is the receiver's to keep and to append
// to. Nothing can be added any more. The stream gives memory and disk back as it goes; Close does so early.
func (g *Grouper[K, V]) Drain() (Stream[Pair[K, []V]], error) {
	if err := g.ready(); err != nil {
		return nil, err
	}
	g.values.arrange()
	emit := func(ids []uint32, out []Pair[K, []V]) []Pair[K, []V] {
		all := g.values.gather(ids, nil)
		var vals []V
		for _, id := range ids {
			vals, all = g.values.cut(id, all)
			out = append(out, Pair[K, []V]{g.table.keys[id], vals})
		}
		return out
	}
	s := drain(g.keyed, nil, emit, nil, func(bucket int) (Stream[Pair[K, []V]], io.Closer, error) {
		inner, err := g.inner(bucket)
		if err != nil {
			return nil, inner, err
		}
		s, err := inner.Drain()
		return s, inner, err
	})
	s.part = g.values.fitting
	return s, nil
}

// inner is a Grouper of an evicted bucket. It must be closed, also after an error.
func (g *Grouper[K, V]) inner(bucket int) (closingGrouper[K, V], error) {
	inner, err := newGrouper[K, V](g.ctx, g.env, g.depth+1)
	if err != nil {
		return closingGrouper[K, V]{}, err
	}
	inner.streamed = g.streamed
	return closingGrouper[K, V]{inner}, g.values.replayBucket(bucket, inner.Add)
}

// closingGrouper is a Grouper, or none, as an io.Closer.
type closingGrouper[K comparable, V any] struct{ *Grouper[K, V] }

func (c closingGrouper[K, V]) Close() error {
	if c.Grouper != nil {
		c.Grouper.Close()
	}
	return nil
}

// Close gives memory and disk back, drained or not. Calling it again does nothing.
func (g *Grouper[K, V]) Close() { g.close() }

// arrivals orders keys of equal hashes by the first input that has them, and by their first value in it: an order that does not
// depend on how adding to the inputs was interleaved.
func arrivals(inputs ...interface {
	first(id uint32) (uint32, bool)
},
) func([]entry) {
	rank := func(id uint32) uint64 {
		for i, in := range inputs {
			if pos, ok := in.first(id); ok {
				return uint64(i)<<32 | uint64(pos)
			}
		}
		return uint64(len(inputs))<<32 | uint64(id)
	}
	return func(run []entry) {
		slices.SortFunc(run, func(a, b entry) int { return cmp.Compare(rank(a.idx), rank(b.idx)) })
	}
}

package shuffle

import (
	"context"
	"io"
)

// Joined is a pair of values of one key, one of each input.
type Joined[V, W any] struct {
	Left  V
	Right W
}

// Join returns one row for every pair of a left and a right row with equal keys: keys in the order of their hashes, then by left
// row, then by right row, each in the order of arrival. That is the cross product of what [Cogrouper2] gives.
//
// The right input is read first, and left rows whose key it lacks are dropped as they come: make the smaller input the right
// one where the result does not depend on it. Both are read to their ends before Join returns. The stream gives memory and disk
// back as it goes; it implements io.Closer for those who leave it unfinished.
func Join[K comparable, V, W any](ctx context.Context, env *Env, left Stream[Pair[K, V]], right Stream[Pair[K, W]]) (Stream[Pair[K, Joined[V, W]]], error) {
	j, err := newJoiner[K, V, W](ctx, env, 0)
	if err != nil {
		return nil, err
	}
	err = forEach(right, j.AddRight)
	if err == nil {
		err = forEach(left, j.addLeft)
	}
	if err != nil {
		j.Close()
		return nil, err
	}
	s, err := j.drainJoined()
	if err != nil {
		j.Close()
		return nil, err
	}
	return s, nil
}

// forEach calls f with the batches of a stream up to its end.
func forEach[T any](s Stream[T], f func([]T) error) error {
	for {
		rows, err := s.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(rows); err != nil {
			return err
		}
	}
}

// joiner is a Cogrouper2 whose right input is added first.
type joiner[K comparable, V, W any] struct{ *Cogrouper2[K, V, W] }

func newJoiner[K comparable, V, W any](ctx context.Context, env *Env, depth int) (joiner[K, V, W], error) {
	c, err := newCogrouper2[K, V, W](ctx, env, depth)
	return joiner[K, V, W]{c}, err
}

func (j joiner[K, V, W]) addLeft(rows []Pair[K, V]) error {
	if j.err == nil {
		j.err = j.left.add(rows, true)
	}
	return j.err
}

// joinedStream is the stream of Join, with a Close.
type joinedStream[K comparable, V, W any] struct {
	Stream[Pair[K, Joined[V, W]]]
	io.Closer
}

func (j joiner[K, V, W]) drainJoined() (Stream[Pair[K, Joined[V, W]]], error) {
	if err := j.ready(); err != nil {
		return nil, err
	}
	j.left.arrange()
	j.right.arrange()
	type row = Pair[K, Joined[V, W]]
	// Keys may have more pairs than a batch should: pending are those whose pairs are not all out, l and r say how far the first of
	// them is. Most have few; their values are gathered at once.
	var (
		pending []uint32
		lefts   []V
		rights  []W
	)
	l, r := 0, 0
	more := func(out []row) []row {
		for len(pending) > 0 {
			id := pending[0]
			key := j.table.keys[id]
			vs, ws := j.left.positions(id), j.right.positions(id)
			for ; l < len(vs) && len(ws) > 0; l, r = l+1, 0 {
				v := j.left.value(vs[l])
				for ; r < len(ws); r++ {
					if len(out) >= drainRows {
						return out
					}
					out = append(out, row{key, Joined[V, W]{v, j.right.value(ws[r])}})
				}
			}
			l, r = 0, 0
			pending = pending[1:]
		}
		return out
	}
	emit := func(ids []uint32, out []row) []row {
		pairs := 0
		for _, id := range ids {
			pairs += len(j.left.positions(id)) * len(j.right.positions(id))
		}
		if pairs > 8*drainRows || j.left.count(ids)+j.right.count(ids) > 64*drainRows {
			pending = ids
			return more(out)
		}
		lefts, rights = j.left.gather(ids, lefts), j.right.gather(ids, rights)
		ls, rs := lefts, rights
		var vs []V
		var ws []W
		for _, id := range ids {
			vs, ls = j.left.cut(id, ls)
			ws, rs = j.right.cut(id, rs)
			key := j.table.keys[id]
			for _, v := range vs {
				for _, w := range ws {
					out = append(out, row{key, Joined[V, W]{v, w}})
				}
			}
		}
		return out
	}
	s := drain(j.keyed, arrivals(j.left, j.right), emit, more, func(bucket int) (Stream[row], io.Closer, error) {
		inner, err := newJoiner[K, V, W](j.ctx, j.env, j.depth+1)
		if err != nil {
			return nil, nil, err
		}
		closer := closing(inner.Close)
		if err := j.right.replayBucket(bucket, inner.AddRight); err != nil {
			return nil, closer, err
		}
		if err := j.left.replayBucket(bucket, inner.addLeft); err != nil {
			return nil, closer, err
		}
		s, err := inner.drainJoined()
		return s, closer, err
	})
	return joinedStream[K, V, W]{s, closing(j.Close)}, nil
}

package shuffle

import (
	"context"
	"io"
)

// Grouped2 holds the values of one key in two inputs; nil where an input has none.
type Grouped2[V, W any] struct {
	Left  []V
	Right []W
}

// Grouped3 holds the values of one key in three inputs; nil where an input has none.
type Grouped3[V, W, X any] struct {
	First  []V
	Second []W
	Third  []X
}

// Grouped4 holds the values of one key in four inputs; nil where an input has none.
type Grouped4[V, W, X, Y any] struct {
	First  []V
	Second []W
	Third  []X
	Fourth []Y
}

// Cogrouper2 collects the values of each key in two inputs, each in the order of arrival. It spills like a [Grouper]. The result
// does not depend on how the inputs were interleaved.
type Cogrouper2[K comparable, V, W any] struct {
	*keyed[K]
	left  *values[K, V]
	right *values[K, W]
}

// NewCogrouper2 returns a Cogrouper2. It fails if K cannot be a key, or V or W cannot travel.
func NewCogrouper2[K comparable, V, W any](ctx context.Context, env *Env) (*Cogrouper2[K, V, W], error) {
	return newCogrouper2[K, V, W](ctx, env, 0)
}

func newCogrouper2[K comparable, V, W any](ctx context.Context, env *Env, depth int) (*Cogrouper2[K, V, W], error) {
	k, err := newKeyed[K](ctx, env, depth, "cogroup")
	if err != nil {
		return nil, err
	}
	c := &Cogrouper2[K, V, W]{keyed: k}
	if c.left, err = newValues[K, V](k, 0); err != nil {
		return nil, err
	}
	c.right, err = newValues[K, W](k, 1)
	return c, err
}

// AddLeft takes rows of the left input. The slice is not kept; the values are.
func (c *Cogrouper2[K, V, W]) AddLeft(rows []Pair[K, V]) error { return addTo(c.keyed, c.left, rows) }

// AddRight takes rows of the right input. The slice is not kept; the values are.
func (c *Cogrouper2[K, V, W]) AddRight(rows []Pair[K, W]) error { return addTo(c.keyed, c.right, rows) }

func addTo[K comparable, V any](k *keyed[K], v *values[K, V], rows []Pair[K, V]) error {
	if k.err == nil {
		k.err = v.add(rows, false)
	}
	return k.err
}

// Drain returns one row per key that any input has, keys in the order of their hashes. Each slice is the receiver's to keep.
// Nothing can be added any more. The stream gives memory and disk back as it goes; Close does so early.
func (c *Cogrouper2[K, V, W]) Drain() (Stream[Pair[K, Grouped2[V, W]]], error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	c.left.arrange()
	c.right.arrange()
	type row = Pair[K, Grouped2[V, W]]
	emit := func(ids []uint32, out []row) []row {
		left, right := c.left.gather(ids, nil), c.right.gather(ids, nil)
		for _, id := range ids {
			r := row{Key: c.table.keys[id]}
			r.Value.Left, left = c.left.cut(id, left)
			r.Value.Right, right = c.right.cut(id, right)
			out = append(out, r)
		}
		return out
	}
	s := drain(c.keyed, arrivals(c.left, c.right), emit, nil, func(bucket int) (Stream[row], io.Closer, error) {
		inner, err := newCogrouper2[K, V, W](c.ctx, c.env, c.depth+1)
		if err != nil {
			return nil, nil, err
		}
		closer := closing(inner.Close)
		if err := c.left.replayBucket(bucket, inner.AddLeft); err != nil {
			return nil, closer, err
		}
		if err := c.right.replayBucket(bucket, inner.AddRight); err != nil {
			return nil, closer, err
		}
		s, err := inner.Drain()
		return s, closer, err
	})
	s.part = func(ids []uint32) int { return min(c.left.fitting(ids), c.right.fitting(ids)) }
	return s, nil
}

// Close gives memory and disk back, drained or not. Calling it again does nothing.
func (c *Cogrouper2[K, V, W]) Close() { c.close() }

// Cogrouper3 is a [Cogrouper2] of three inputs.
type Cogrouper3[K comparable, V, W, X any] struct {
	*keyed[K]
	first  *values[K, V]
	second *values[K, W]
	third  *values[K, X]
}

// NewCogrouper3 returns a Cogrouper3. It fails if K cannot be a key, or a value type cannot travel.
func NewCogrouper3[K comparable, V, W, X any](ctx context.Context, env *Env) (*Cogrouper3[K, V, W, X], error) {
	return newCogrouper3[K, V, W, X](ctx, env, 0)
}

func newCogrouper3[K comparable, V, W, X any](ctx context.Context, env *Env, depth int) (*Cogrouper3[K, V, W, X], error) {
	k, err := newKeyed[K](ctx, env, depth, "cogroup")
	if err != nil {
		return nil, err
	}
	c := &Cogrouper3[K, V, W, X]{keyed: k}
	if c.first, err = newValues[K, V](k, 0); err != nil {
		return nil, err
	}
	if c.second, err = newValues[K, W](k, 1); err != nil {
		return nil, err
	}
	c.third, err = newValues[K, X](k, 2)
	return c, err
}

// AddFirst takes rows of the first input. The slice is not kept; the values are.
func (c *Cogrouper3[K, V, W, X]) AddFirst(rows []Pair[K, V]) error {
	return addTo(c.keyed, c.first, rows)
}

// AddSecond takes rows of the second input.
func (c *Cogrouper3[K, V, W, X]) AddSecond(rows []Pair[K, W]) error {
	return addTo(c.keyed, c.second, rows)
}

// AddThird takes rows of the third input.
func (c *Cogrouper3[K, V, W, X]) AddThird(rows []Pair[K, X]) error {
	return addTo(c.keyed, c.third, rows)
}

// Drain is that of [Cogrouper2.Drain], for three inputs.
func (c *Cogrouper3[K, V, W, X]) Drain() (Stream[Pair[K, Grouped3[V, W, X]]], error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	c.first.arrange()
	c.second.arrange()
	c.third.arrange()
	type row = Pair[K, Grouped3[V, W, X]]
	emit := func(ids []uint32, out []row) []row {
		first, second, third := c.first.gather(ids, nil), c.second.gather(ids, nil), c.third.gather(ids, nil)
		for _, id := range ids {
			r := row{Key: c.table.keys[id]}
			r.Value.First, first = c.first.cut(id, first)
			r.Value.Second, second = c.second.cut(id, second)
			r.Value.Third, third = c.third.cut(id, third)
			out = append(out, r)
		}
		return out
	}
	s := drain(c.keyed, arrivals(c.first, c.second, c.third), emit, nil, func(bucket int) (Stream[row], io.Closer, error) {
		inner, err := newCogrouper3[K, V, W, X](c.ctx, c.env, c.depth+1)
		if err != nil {
			return nil, nil, err
		}
		closer := closing(inner.Close)
		if err := c.first.replayBucket(bucket, inner.AddFirst); err != nil {
			return nil, closer, err
		}
		if err := c.second.replayBucket(bucket, inner.AddSecond); err != nil {
			return nil, closer, err
		}
		if err := c.third.replayBucket(bucket, inner.AddThird); err != nil {
			return nil, closer, err
		}
		s, err := inner.Drain()
		return s, closer, err
	})
	s.part = func(ids []uint32) int { return min(c.first.fitting(ids), c.second.fitting(ids), c.third.fitting(ids)) }
	return s, nil
}

// Close gives memory and disk back, drained or not. Calling it again does nothing.
func (c *Cogrouper3[K, V, W, X]) Close() { c.close() }

// Cogrouper4 is a [Cogrouper2] of four inputs.
type Cogrouper4[K comparable, V, W, X, Y any] struct {
	*keyed[K]
	first  *values[K, V]
	second *values[K, W]
	third  *values[K, X]
	fourth *values[K, Y]
}

// NewCogrouper4 returns a Cogrouper4. It fails if K cannot be a key, or a value type cannot travel.
func NewCogrouper4[K comparable, V, W, X, Y any](ctx context.Context, env *Env) (*Cogrouper4[K, V, W, X, Y], error) {
	return newCogrouper4[K, V, W, X, Y](ctx, env, 0)
}

func newCogrouper4[K comparable, V, W, X, Y any](ctx context.Context, env *Env, depth int) (*Cogrouper4[K, V, W, X, Y], error) {
	k, err := newKeyed[K](ctx, env, depth, "cogroup")
	if err != nil {
		return nil, err
	}
	c := &Cogrouper4[K, V, W, X, Y]{keyed: k}
	if c.first, err = newValues[K, V](k, 0); err != nil {
		return nil, err
	}
	if c.second, err = newValues[K, W](k, 1); err != nil {
		return nil, err
	}
	if c.third, err = newValues[K, X](k, 2); err != nil {
		return nil, err
	}
	c.fourth, err = newValues[K, Y](k, 3)
	return c, err
}

// AddFirst takes rows of the first input. The slice is not kept; the values are.
func (c *Cogrouper4[K, V, W, X, Y]) AddFirst(rows []Pair[K, V]) error {
	return addTo(c.keyed, c.first, rows)
}

// AddSecond takes rows of the second input.
func (c *Cogrouper4[K, V, W, X, Y]) AddSecond(rows []Pair[K, W]) error {
	return addTo(c.keyed, c.second, rows)
}

// AddThird takes rows of the third input.
func (c *Cogrouper4[K, V, W, X, Y]) AddThird(rows []Pair[K, X]) error {
	return addTo(c.keyed, c.third, rows)
}

// AddFourth takes rows of the fourth input.
func (c *Cogrouper4[K, V, W, X, Y]) AddFourth(rows []Pair[K, Y]) error {
	return addTo(c.keyed, c.fourth, rows)
}

// Drain is that of [Cogrouper2.Drain], for four inputs.
func (c *Cogrouper4[K, V, W, X, Y]) Drain() (Stream[Pair[K, Grouped4[V, W, X, Y]]], error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	c.first.arrange()
	c.second.arrange()
	c.third.arrange()
	c.fourth.arrange()
	type row = Pair[K, Grouped4[V, W, X, Y]]
	emit := func(ids []uint32, out []row) []row {
		first, second, third, fourth := c.first.gather(ids, nil), c.second.gather(ids, nil), c.third.gather(ids, nil), c.fourth.gather(ids, nil)
		for _, id := range ids {
			r := row{Key: c.table.keys[id]}
			r.Value.First, first = c.first.cut(id, first)
			r.Value.Second, second = c.second.cut(id, second)
			r.Value.Third, third = c.third.cut(id, third)
			r.Value.Fourth, fourth = c.fourth.cut(id, fourth)
			out = append(out, r)
		}
		return out
	}
	s := drain(c.keyed, arrivals(c.first, c.second, c.third, c.fourth), emit, nil, func(bucket int) (Stream[row], io.Closer, error) {
		inner, err := newCogrouper4[K, V, W, X, Y](c.ctx, c.env, c.depth+1)
		if err != nil {
			return nil, nil, err
		}
		closer := closing(inner.Close)
		if err := c.first.replayBucket(bucket, inner.AddFirst); err != nil {
			return nil, closer, err
		}
		if err := c.second.replayBucket(bucket, inner.AddSecond); err != nil {
			return nil, closer, err
		}
		if err := c.third.replayBucket(bucket, inner.AddThird); err != nil {
			return nil, closer, err
		}
		if err := c.fourth.replayBucket(bucket, inner.AddFourth); err != nil {
			return nil, closer, err
		}
		s, err := inner.Drain()
		return s, closer, err
	})
	s.part = func(ids []uint32) int {
		return min(c.first.fitting(ids), c.second.fitting(ids), c.third.fitting(ids), c.fourth.fitting(ids))
	}
	return s, nil
}

// Close gives memory and disk back, drained or not. Calling it again does nothing.
func (c *Cogrouper4[K, V, W, X, Y]) Close() { c.close() }

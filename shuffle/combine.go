package shuffle

import (
	"context"
	"io"
	"slices"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// Combiner folds the values of each key: map-side combining, and the reduce side of all aggregations by key. It spills when the
// budget is used up; the result is the same bytes either way. A Combiner belongs to one goroutine.
type Combiner[K comparable, V, C any] struct {
	*keyed[K]
	agg    Aggregator[V, C]
	bulk   BulkAggregator[V, C] // agg, if it is one and rows are small enough to be copied for it
	bulkV  []V
	bulkC  []C
	near   []C
	states *states[K, C]
	values *spillLog[Pair[K, V]]
	scrV   []Pair[K, V]
	scrC   []Pair[K, C]
}

// The kinds of a Combiner's spilled rows.
const (
	kindState int8 = iota
	kindValue
)

// bulkSize is the largest state for which values are copied into an array for a BulkAggregator.
const bulkSize = 32

// bulkTouch is from how many states on they are touched before they are folded.
const bulkTouch = 1 << 15

// NewCombiner returns a Combiner. It fails if K cannot be a key, or if V or C cannot travel.
func NewCombiner[K comparable, V, C any](ctx context.Context, env *Env, agg Aggregator[V, C]) (*Combiner[K, V, C], error) {
	return newCombiner[K](ctx, env, agg, 0)
}

func newCombiner[K comparable, V, C any](ctx context.Context, env *Env, agg Aggregator[V, C], depth int) (*Combiner[K, V, C], error) {
	k, err := newKeyed[K](ctx, env, depth, "combine")
	if err != nil {
		return nil, err
	}
	c := &Combiner[K, V, C]{keyed: k, agg: agg}
	if c.values, err = newSpillLog[K, Pair[K, V]](k, kindValue); err != nil {
		return nil, err
	}
	if c.states, err = newStates[K, C](k); err != nil {
		return nil, err
	}
	if bulk, ok := agg.(BulkAggregator[V, C]); ok && c.states.size <= bulkSize {
		c.bulk = bulk
	}
	k.columns = []column{c.states, spillOnly[Pair[K, V]]{c.values}}
	return c, nil
}

// Add folds values in, in order. rows is not kept, but what the values point to may be.
func (c *Combiner[K, V, C]) Add(rows []Pair[K, V]) error {
	if c.err == nil {
		c.err = c.add(rows)
	}
	return c.err
}

func (c *Combiner[K, V, C]) add(rows []Pair[K, V]) error {
	// States on their way to disk must lie before the values that follow them.
	if err := c.states.log.flush(); err != nil {
		return err
	}
	for len(rows) > 0 {
		n := c.step(len(rows), c.states.size)
		if err := c.room(n); err != nil {
			return err
		}
		batch, hashes, err := splitRows(c.keyed, rows[:n], &c.scrV, c.values)
		if err != nil {
			return err
		}
		rows = rows[n:]
		s := c.states.reserve(len(batch))
		ids := c.ids[:len(batch)]
		lookup(c.table, batch, hashes, ids)
		if c.bulk != nil {
			c.bulkV = valuesOf(batch, c.bulkV)
			c.touch(s, ids)
			s = c.bulk.MergeAll(s, ids, c.bulkV)
			c.states.took(s, len(batch))
			continue
		}
		for i := range batch {
			id := int(ids[i])
			if id < len(s) {
				s[id] = c.agg.Merge(s[id], batch[i].Value)
			} else {
				s = append(s, c.agg.Create(batch[i].Value))
			}
		}
		c.states.took(s, len(batch))
	}
	return nil
}

// touch loads the states that are about to change, which brings them into the cache: no load waits for the fold of another.
func (c *Combiner[K, V, C]) touch(s []C, ids []uint32) {
	if len(s) < bulkTouch || c.states.sizer != nil {
		return
	}
	if c.near == nil {
		c.near = make([]C, addRows)
	}
	near, last := c.near[:len(ids)], len(s)-1
	for i, id := range ids {
		near[i] = s[min(int(id), last)]
	}
}

// valuesOf copies the values of rows, at most addRows, to out.
func valuesOf[K comparable, V any](rows []Pair[K, V], out []V) []V {
	if cap(out) < addRows {
		out = make([]V, addRows)
	}
	out = out[:len(rows)]
	for i := range rows {
		out[i] = rows[i].Value
	}
	return out
}

// AddCombined folds combiners of the same keys in, in order: each after all that was added before it. rows is not kept, but the
// combiners are, and may be changed.
func (c *Combiner[K, V, C]) AddCombined(rows []Pair[K, C]) error {
	if c.err == nil {
		c.err = c.addCombined(rows)
	}
	return c.err
}

func (c *Combiner[K, V, C]) addCombined(rows []Pair[K, C]) error {
	if err := c.values.flush(); err != nil {
		return err
	}
	for len(rows) > 0 {
		n := c.step(len(rows), c.states.size)
		if err := c.room(n); err != nil {
			return err
		}
		batch, hashes, err := splitRows(c.keyed, rows[:n], &c.scrC, c.states.log)
		if err != nil {
			return err
		}
		rows = rows[n:]
		s := c.states.reserve(len(batch))
		ids := c.ids[:len(batch)]
		lookup(c.table, batch, hashes, ids)
		if c.bulk != nil {
			c.bulkC = valuesOf(batch, c.bulkC)
			c.touch(s, ids)
			s = c.bulk.CombineAll(s, ids, c.bulkC)
			c.states.took(s, len(batch))
			continue
		}
		for i := range batch {
			id := int(ids[i])
			if id < len(s) {
				s[id] = c.agg.Combine(s[id], batch[i].Value)
			} else {
				s = append(s, batch[i].Value)
			}
		}
		c.states.took(s, len(batch))
	}
	return nil
}

// Drain returns the combined rows, keys in the order of their hashes. Nothing can be added any more. The stream gives memory
// and disk back as it goes; Close does so early.
func (c *Combiner[K, V, C]) Drain() (Stream[Pair[K, C]], error) {
	if err := c.ready(); err != nil {
		return nil, err
	}
	emit := func(ids []uint32, out []Pair[K, C]) []Pair[K, C] {
		keys, states := c.table.keys, c.states.s
		for _, id := range ids {
			out = append(out, Pair[K, C]{keys[id], states[id]})
		}
		return out
	}
	return drain(c.keyed, nil, emit, nil, c.openBucket), nil
}

// openBucket replays an evicted bucket.
func (c *Combiner[K, V, C]) openBucket(bucket int) (Stream[Pair[K, C]], io.Closer, error) {
	inner, err := newCombiner[K](c.ctx, c.env, c.agg, c.depth+1)
	if err != nil {
		return nil, nil, err
	}
	closer := closing(inner.Close)
	states, err := newReplay[Pair[K, C]](c.spill)
	if err != nil {
		return nil, closer, err
	}
	values, err := newReplay[Pair[K, V]](c.spill)
	if err != nil {
		return nil, closer, err
	}
	var buf []byte
	for _, e := range c.extents[bucket] {
		if e.kind == kindState {
			err = states.each(e.at, &buf, inner.AddCombined)
		} else {
			err = values.each(e.at, &buf, inner.Add)
		}
		if err != nil {
			return nil, closer, err
		}
	}
	s, err := inner.Drain()
	return s, closer, err
}

// Close gives memory and disk back, drained or not. Calling it again does nothing.
func (c *Combiner[K, V, C]) Close() { c.close() }

type closing func()

func (c closing) Close() error {
	c()
	return nil
}

// states is the column of a Combiner.
type states[K comparable, C any] struct {
	k     *keyed[K]
	s     []C
	size  int64
	sizer *codec.Codec[C] // nil if states point to nothing
	heap  int64
	count int // rows folded since heap was estimated
	log   *spillLog[Pair[K, C]]
}

func newStates[K comparable, C any](k *keyed[K]) (*states[K, C], error) {
	sizer, err := codec.Of[C]()
	if err != nil {
		return nil, err
	}
	s := &states[K, C]{k: k, sizer: sizer}
	s.size = sizer.MemSize(make([]C, 1))
	if sizer.Fixed() {
		s.sizer = nil
	}
	s.log, err = newSpillLog[K, Pair[K, C]](k, kindState)
	return s, err
}

// reserve makes room in the table and here for n more keys, and returns the states.
func (s *states[K, C]) reserve(n int) []C {
	s.k.table.reserve(n)
	if c := cap(s.k.table.keys); c > cap(s.s) {
		s.s = append(make([]C, 0, c), s.s...)
	}
	return s.s
}

// took stores the states back after n rows were folded.
func (s *states[K, C]) took(states []C, n int) {
	s.s = states
	s.count += n
	if s.sizer != nil && s.count >= 8*addRows {
		s.measure()
	}
}

// measure estimates what the states point to.
func (s *states[K, C]) measure() {
	s.count = 0
	if s.sizer != nil {
		s.heap = max(0, s.sizer.MemSize(s.s)-int64(len(s.s))*s.size)
	}
}

func (s *states[K, C]) bytes(rows, keys int) int64 {
	total := int64(keys)*s.size + s.heap + s.log.taken
	if keys > cap(s.s) {
		total += int64(len(s.s)) * s.size
	}
	return total
}

func (s *states[K, C]) evict(ids []uint32, n int) error {
	t := s.k.table
	kept := make([]C, 0, capFor(0, n))
	for i, id := range ids {
		if id != noID {
			kept = append(kept, s.s[i])
			continue
		}
		b := s.k.bucket(t.hashes[i])
		s.k.wrote(b, t.hashes[i])
		if err := s.log.put(b, Pair[K, C]{t.keys[i], s.s[i]}); err != nil {
			return err
		}
	}
	s.s = kept
	s.measure()
	if err := s.compact(); err != nil {
		return err
	}
	return s.log.flush()
}

func (s *states[K, C]) flush() error { return s.log.flush() }

// compact makes copies of what the states point to, as values.compact does.
func (s *states[K, C]) compact() error {
	if s.sizer == nil || len(s.s) == 0 {
		return nil
	}
	at := max(1, int(blockBytes/(s.size+s.heap/int64(len(s.s))+1)))
	var buf []byte
	var err error
	for part := range slices.Chunk(s.s, at) {
		if buf, err = ownRows(s.sizer, part, buf); err != nil {
			return err
		}
	}
	return nil
}

func (s *states[K, C]) release() { s.s, s.heap = nil, 0 }

// spillOnly is the column of rows that are only ever on disk or on their way there.
type spillOnly[R any] struct{ log *spillLog[R] }

func (s spillOnly[R]) bytes(int, int) int64      { return s.log.taken }
func (s spillOnly[R]) evict([]uint32, int) error { return nil }
func (s spillOnly[R]) compact() error            { return nil }
func (s spillOnly[R]) flush() error              { return s.log.flush() }
func (s spillOnly[R]) release()                  {}

package shuffle

import (
	"context"
	"errors"
	"io"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// Groups are the keys of a Grouper with their values, one key after the other, in the order of Drain. Nothing of a key need be in one
// place: what was spilled of it is read as it is asked for. So neither the number of keys nor that of the values of any has a limit but
// the disk.
type Groups[K comparable, V any] struct {
	g      *Grouper[K, V]
	order  *hashOrder // nil when all that is resident was returned
	ids    []uint32
	bucket int           // the next one
	inner  *Groups[K, V] // of the bucket before it
	same   *sameHash[K, V]
	out    []V
}

// NewStreamGrouper is NewGrouper for a Grouper that is drained by Groups alone.
func NewStreamGrouper[K comparable, V any](ctx context.Context, env *Env) (*Grouper[K, V], error) {
	g, err := NewGrouper[K, V](ctx, env)
	if err == nil {
		g.streamed = true
	}
	return g, err
}

// Groups returns the keys of a Grouper that NewStreamGrouper made. Nothing can be added any more.
func (g *Grouper[K, V]) Groups() (*Groups[K, V], error) {
	if err := g.ready(); err != nil {
		return nil, err
	}
	g.values.arrange()
	g.drained = true
	g.err = errDrained
	g.table.slots = nil
	return &Groups[K, V]{g: g, order: orderHashes(g.table.hashes, fanBits*g.depth, nil), bucket: g.resident}, nil
}

// Next returns the next key and its values, in the order of their arrival, or io.EOF after the last key. The values can be read until
// the next call of Next, which skips those that were not.
func (s *Groups[K, V]) Next() (key K, values Stream[V], err error) {
	k := s.g.keyed
	if k.err != errDrained {
		return key, nil, k.err
	}
	key, values, err = s.next()
	if err != nil {
		k.err = err
		s.g.Close()
	}
	return key, values, err
}

func (s *Groups[K, V]) next() (key K, values Stream[V], err error) {
	k := s.g.keyed
	if err := context.Cause(k.ctx); err != nil {
		return key, nil, err
	}
	if k.columns == nil {
		return key, nil, errors.New("shuffle: read from a closed structure")
	}
	if s.order != nil && len(s.ids) == 0 {
		if s.ids = s.order.batch(); s.ids == nil {
			s.order = nil
			k.leave()
		}
	}
	if s.order != nil {
		id := s.ids[0]
		s.ids = s.ids[1:]
		if s.out == nil {
			s.out = make([]V, 0, drainRows)
		}
		return k.table.keys[id], &residentValues[K, V]{of: s.g.values, at: s.g.values.positions(id), out: s.out}, nil
	}
	for {
		switch {
		case s.inner != nil:
			key, values, err = s.inner.Next()
		case s.same != nil:
			key, values, err = s.same.next()
		default:
			err = io.EOF
		}
		if err != io.EOF {
			return key, values, err
		}
		if err := s.open(); err != nil {
			return key, nil, err
		}
	}
}

// open goes on with the next evicted bucket, or returns io.EOF.
func (s *Groups[K, V]) open() error {
	k := s.g.keyed
	if k.child != nil {
		k.child.Close()
	}
	s.inner, s.same, k.child = nil, nil, nil
	for s.bucket < fan && len(k.extents[s.bucket]) == 0 {
		s.bucket++
	}
	if s.bucket == fan {
		return io.EOF
	}
	bucket := s.bucket
	s.bucket++
	if !k.alike[bucket].mixed {
		s.same = &sameHash[K, V]{of: s.g, bucket: bucket, ops: k.table.ops}
		return nil
	}
	inner, err := s.g.inner(bucket)
	k.child = inner
	if err == nil {
		s.inner, err = inner.Groups()
	}
	return err
}

// residentValues streams the values of a key that is in memory.
type residentValues[K comparable, V any] struct {
	of  *values[K, V]
	at  []uint32
	out []V
}

// Next implements Stream.
func (r *residentValues[K, V]) Next() ([]V, error) {
	if len(r.at) == 0 {
		return nil, io.EOF
	}
	if r.of.k.columns == nil {
		return nil, errors.New("shuffle: read from a closed structure")
	}
	n := min(len(r.at), drainRows)
	r.out = r.of.fetch(r.at[:n], r.out[:0])
	r.at = r.at[n:]
	return r.out, nil
}

// sameHash are the groups of an evicted bucket whose rows have the same hash. Almost always they are of one key. If there are more, which
// is seen when the first has been read, the bucket is read again for each.
type sameHash[K comparable, V any] struct {
	of     *Grouper[K, V]
	bucket int
	ops    *codec.KeyOps[K]
	keys   []K // found so far, in the order of their first rows
	at     int // the key that is read
	rows   *extentRows[Pair[K, V]]
	out    []V
}

func (s *sameHash[K, V]) next() (key K, values Stream[V], err error) {
	if s.rows != nil { // the last key
		for err == nil {
			_, err = s.Next()
		}
		if err != io.EOF {
			return key, nil, err
		}
		if s.at++; s.at == len(s.keys) {
			return key, nil, io.EOF
		}
	}
	replay, err := newReplay[Pair[K, V]](s.of.spill)
	if err != nil {
		return key, nil, err
	}
	s.rows = &extentRows[Pair[K, V]]{replay: replay, extents: s.of.extents[s.bucket], kind: s.of.values.log.kind}
	if len(s.keys) == 0 {
		first, err := s.rows.Next()
		if err != nil {
			return key, nil, noRows(err)
		}
		s.keys = append(s.keys, first[0].Key)
		s.rows = &extentRows[Pair[K, V]]{replay: replay, extents: s.of.extents[s.bucket], kind: s.of.values.log.kind}
	}
	return s.keys[s.at], s, nil
}

// noRows is err, unless that would look like the end.
func noRows(err error) error {
	if err == io.EOF {
		return errCorrupt
	}
	return err
}

// Next implements Stream: the values of the key that is read.
func (s *sameHash[K, V]) Next() ([]V, error) {
	for {
		if err := context.Cause(s.of.ctx); err != nil {
			return nil, err
		}
		rows, err := s.rows.Next()
		if err != nil {
			return nil, err
		}
		s.out = s.out[:0]
		for i := range rows {
			if s.ops.Equal(rows[i].Key, s.keys[s.at]) {
				s.out = append(s.out, rows[i].Value)
			} else if s.at == 0 {
				s.found(rows[i].Key)
			}
		}
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
}

// found notes a key.
func (s *sameHash[K, V]) found(key K) {
	for _, known := range s.keys {
		if s.ops.Equal(known, key) {
			return
		}
	}
	s.keys = append(s.keys, key)
}

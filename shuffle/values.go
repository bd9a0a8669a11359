package shuffle

import (
	"fmt"
	"slices"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// values is the column of a Grouper: all values of one input in the order of arrival, each with the number of its key. They lie in
// pieces, so that growing copies nothing.
type values[K comparable, V any] struct {
	k       *keyed[K]
	pieces  []piece[V]
	n       int
	size    int64
	sizer   *codec.Codec[V] // nil if values point to nothing
	heap    int64           // bytes that the values point to
	perHeap float64         // the same per value, of the last sample
	sampled int             // values until the next sample
	log     *spillLog[Pair[K, V]]
	scratch []Pair[K, V]
	kept    []V    // values of a batch whose other rows go to disk
	copies  []byte // scratch of own

	// While draining: the positions of the values of key id are at[starts[id]:starts[id+1]].
	starts []uint32
	at     []uint32
	wait   []uint32 // positions to gather
}

type piece[V any] struct {
	ids  []uint32
	vals []V
}

const (
	pieceBits = 13
	pieceLen  = 1 << pieceBits
)

func newValues[K comparable, V any](k *keyed[K], kind int8) (*values[K, V], error) {
	c, err := codec.Of[V]()
	if err != nil {
		return nil, err
	}
	v := &values[K, V]{k: k, sizer: c, size: c.MemSize(make([]V, 1))}
	if c.Fixed() {
		v.sizer = nil
	}
	v.log, err = newSpillLog[K, Pair[K, V]](k, kind)
	k.columns = append(k.columns, v)
	return v, err
}

// add takes rows. With known, rows whose key is not in the table are dropped.
func (v *values[K, V]) add(rows []Pair[K, V], known bool) error {
	k := v.k
	for len(rows) > 0 {
		if v.sizer != nil && v.sampled <= 0 {
			v.sample(rows)
		}
		n := k.step(len(rows), 2*v.size+int64(v.perHeap))
		if err := k.room(n); err != nil {
			return err
		}
		batch, hashes, err := splitRows(k, rows[:n], &v.scratch, v.log)
		if err != nil {
			return err
		}
		rows = rows[n:]
		ids := k.ids[:len(batch)]
		if known {
			find(k.table, batch, hashes, ids)
		} else {
			k.table.reserve(len(batch))
			lookup(k.table, batch, hashes, ids)
		}
		vals, err := v.separate(batch)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if id == noID {
				continue
			}
			p := v.last()
			p.ids = append(p.ids, id)
			if vals != nil {
				p.vals = append(p.vals, vals[i])
			} else {
				p.vals = append(p.vals, batch[i].Value)
			}
			v.n++
		}
		v.sampled -= len(batch)
		v.heap += int64(v.perHeap * float64(len(batch)))
	}
	return nil
}

// separate returns copies of the values of rows that came among others, which went to disk; nil if the values can be kept as they are.
func (v *values[K, V]) separate(batch []Pair[K, V]) ([]V, error) {
	if v.sizer == nil || v.k.resident == fan || len(batch) == 0 {
		return nil, nil
	}
	v.kept = v.kept[:0]
	for i := range batch {
		v.kept = append(v.kept, batch[i].Value)
	}
	if err := v.own(v.kept); err != nil {
		return nil, err
	}
	return v.kept, nil
}

// last returns the piece that takes the next value.
func (v *values[K, V]) last() *piece[V] {
	if v.n&(pieceLen-1) == 0 {
		var p piece[V]
		if v.n > 0 { // the first piece grows as it must: many groupers stay small
			p = piece[V]{make([]uint32, 0, pieceLen), make([]V, 0, pieceLen)}
		}
		v.pieces = append(v.pieces, p)
	}
	return &v.pieces[v.n>>pieceBits]
}

func (v *values[K, V]) sample(rows []Pair[K, V]) {
	rows = rows[:min(len(rows), 256)]
	vals := make([]V, len(rows))
	for i := range rows {
		vals[i] = rows[i].Value
	}
	v.perHeap = float64(v.sizer.MemSize(vals)-int64(len(vals))*v.size) / float64(len(vals))
	v.sampled = 16 * addRows
}

func (v *values[K, V]) bytes(rows, keys int) int64 {
	n := (v.n + rows + pieceLen - 1) &^ (pieceLen - 1)
	if n <= pieceLen {
		n = 2 * (v.n + rows)
	}
	// A position per value, and a start per key, are for draining.
	return int64(n)*(v.size+8) + v.heap + int64(v.perHeap*float64(rows)) + 4*int64(keys) + v.log.taken
}

func (v *values[K, V]) evict(ids []uint32, _ int) error {
	t := v.k.table
	pieces, n := v.pieces, 0
	for _, p := range pieces {
		for i, old := range p.ids {
			id := ids[old]
			if id == noID {
				b := v.k.bucket(t.hashes[old])
				v.k.wrote(b, t.hashes[old])
				if err := v.log.put(b, Pair[K, V]{t.keys[old], p.vals[i]}); err != nil {
					return err
				}
				continue
			}
			to := &pieces[n>>pieceBits] // never ahead of what is read
			to.ids[n&(pieceLen-1)], to.vals[n&(pieceLen-1)] = id, p.vals[i]
			n++
		}
	}
	if v.n > 0 {
		v.heap = int64(float64(v.heap) * float64(n) / float64(v.n))
	}
	v.n = n
	used := (n + pieceLen - 1) >> pieceBits
	clear(pieces[used:])
	v.pieces = pieces[:used]
	if tail := n & (pieceLen - 1); tail > 0 {
		p := &v.pieces[used-1]
		clear(p.vals[tail:])
		p.ids, p.vals = p.ids[:tail], p.vals[:tail]
	}
	return v.compact()
}

// compact makes copies of what the values point to. Rows of a block share memory: one of them keeps all of it alive, so that without this
// eviction of the others would free nothing.
func (v *values[K, V]) compact() error {
	if v.sizer == nil || v.n == 0 {
		return nil
	}
	at := max(1, int(blockBytes/(v.size+v.heap/int64(v.n)+1)))
	for _, p := range v.pieces {
		for vals := range slices.Chunk(p.vals, at) {
			if err := v.own(vals); err != nil {
				return err
			}
		}
	}
	return nil
}

// own replaces values by copies that share no memory with anything else.
func (v *values[K, V]) own(vals []V) (err error) {
	v.copies, err = ownRows(v.sizer, vals, v.copies)
	return err
}

// ownRows replaces rows by copies that share memory only with each other. buf is scratch.
func ownRows[R any](c *codec.Codec[R], rows []R, buf []byte) ([]byte, error) {
	buf, err := c.Append(buf[:0], rows)
	if err != nil {
		return nil, fmt.Errorf("shuffle: copy rows: %w", err)
	}
	if _, _, err = c.Decode(rows[:0:len(rows)], buf); err != nil {
		return nil, fmt.Errorf("shuffle: copy rows: %w", err)
	}
	if cap(buf) > 2*blockBytes {
		buf = nil
	}
	return buf, nil
}

func (v *values[K, V]) flush() error { return v.log.flush() }

func (v *values[K, V]) release() {
	v.pieces, v.starts, v.at, v.wait, v.n, v.heap, v.perHeap = nil, nil, nil, nil, 0, 0, 0
}

// arrange prepares for draining: it finds the values of each key.
func (v *values[K, V]) arrange() {
	v.starts = make([]uint32, len(v.k.table.keys)+1)
	v.at = make([]uint32, v.n)
	v.wait = make([]uint32, 0, 1024)
	// Counted two places up, then summed, starts[id+1] is where key id begins; placing moves it to where id ends, which is
	// where id+1 begins.
	for _, p := range v.pieces {
		for _, id := range p.ids {
			if int(id)+2 < len(v.starts) {
				v.starts[id+2]++
			}
		}
	}
	for i := 1; i < len(v.starts); i++ {
		v.starts[i] += v.starts[i-1]
	}
	pos := uint32(0)
	for i := range v.pieces {
		p := &v.pieces[i]
		for _, id := range p.ids {
			v.at[v.starts[id+1]] = pos
			v.starts[id+1]++
			pos++
		}
		p.ids = nil
	}
}

// positions returns where the values of a key lie, in the order of arrival.
func (v *values[K, V]) positions(id uint32) []uint32 {
	return v.at[v.starts[id]:v.starts[id+1]]
}

func (v *values[K, V]) value(pos uint32) V {
	return v.pieces[pos>>pieceBits].vals[pos&(pieceLen-1)]
}

// first returns the position of the first value of a key.
func (v *values[K, V]) first(id uint32) (uint32, bool) {
	p := v.positions(id)
	if len(p) == 0 {
		return 0, false
	}
	return p[0], true
}

// count returns how many values the keys have.
func (v *values[K, V]) count(ids []uint32) int {
	n := 0
	for _, id := range ids {
		n += int(v.starts[id+1] - v.starts[id])
	}
	return n
}

// gatherBytes is about how much of the values of several keys is gathered at once.
const gatherBytes = 1 << 20

// fitting returns how many of the keys to gather at once, at least one.
func (v *values[K, V]) fitting(ids []uint32) int {
	most, n := max(1, gatherBytes/int(v.size+int64(v.perHeap)+1)), 0
	for i, id := range ids {
		if n += int(v.starts[id+1] - v.starts[id]); n > most && i > 0 {
			return i
		}
	}
	return len(ids)
}

// gather returns the values of the keys, key after key, in buf if it is large enough. Finding positions and fetching values are
// loops of their own: values lie anywhere in memory, and the processor fetches many at once if nothing stands between them.
func (v *values[K, V]) gather(ids []uint32, buf []V) []V {
	n := v.count(ids)
	if cap(buf) < n {
		buf = make([]V, n)
	}
	out := buf[:0:n]
	wait := v.wait[:0]
	for _, id := range ids {
		for at := v.positions(id); len(at) > 0; {
			k := min(len(at), cap(wait)-len(wait))
			wait = append(wait, at[:k]...)
			at = at[k:]
			if len(wait) == cap(wait) {
				out = v.fetch(wait, out)
				wait = wait[:0]
			}
		}
	}
	return v.fetch(wait, out)
}

func (v *values[K, V]) fetch(at []uint32, out []V) []V {
	for _, pos := range at {
		out = append(out, v.pieces[pos>>pieceBits].vals[pos&(pieceLen-1)])
	}
	return out
}

// cut cuts the values of a key off the front of what gather returned. No values are nil.
func (v *values[K, V]) cut(id uint32, all []V) (vals, rest []V) {
	n := int(v.starts[id+1] - v.starts[id])
	if n == 0 {
		return nil, all
	}
	return all[:n:n], all[n:]
}

// replayBucket adds what was spilled of a bucket of v to the same column of the structure of that bucket.
func (v *values[K, V]) replayBucket(bucket int, to func([]Pair[K, V]) error) error {
	r, err := newReplay[Pair[K, V]](v.k.spill)
	if err != nil {
		return err
	}
	var buf []byte
	for _, e := range v.k.extents[bucket] {
		if e.kind != v.log.kind {
			continue
		}
		if err := r.each(e.at, &buf, to); err != nil {
			return err
		}
	}
	return nil
}

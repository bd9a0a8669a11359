package shuffle

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// A Combiner, a Grouper and a Cogrouper are one structure: a table that numbers keys, and columns that hold something for each
// number: a state, or values. What follows is the part they share: the budget, and what happens when it is used up.
//
// The space of hashes is cut into 64 buckets by its top bits. While memory lasts, all are resident. When it does not, the upper
// buckets that hold about half of the keys are evicted: what the columns hold for their keys is written to the spill file, and
// rows of these buckets that come later follow it there as they are, in the order of arrival. So memory always holds a prefix of
// the buckets, and draining, which goes by hash, emits what is resident first, gives that memory back, and then takes the
// evicted buckets one by one: each is replayed from disk into a new structure, which looks at the next six bits of the hash if it
// has to evict in turn. Nothing of this shows in the result: every key meets the same values in the same order as in memory.
//
// Keys that cannot be told apart by more bits, a single one above all, must be in one place: they may take all that the executor has, and
// fail the task if that is not enough. Only a Grouper that is drained by [Grouper.Groups] sends them to disk as well, and streams them.
const (
	fanBits  = 6
	fan      = 1 << fanBits
	maxDepth = 64 / fanBits
	addRows  = 1024 // rows that are looked up at once
)

// column holds something for the keys of a table.
type column interface {
	// bytes is what the column will hold, and at most take meanwhile, after rows more rows for a table with room for keys keys.
	bytes(rows, keys int) int64
	// evict writes to the spill file what it holds for the keys whose new number is noID, and renumbers the rest; n are left.
	evict(ids []uint32, n int) error
	// flush writes the rows staged for the spill file.
	flush() error
	// compact copies what the column holds out of the larger blocks that it may be part of.
	compact() error
	// release drops everything.
	release()
}

// keyed is the common part of a structure with keys.
type keyed[K comparable] struct {
	ctx      context.Context
	env      *Env
	budget   budget
	table    *table[K]
	keySize  int64 // of the key itself, without what it points to
	columns  []column
	depth    int  // how many times fanBits of the hash are settled
	resident int  // buckets in memory: [0, resident)
	streamed bool // a single key may go to disk too
	eased    bool // the columns were compacted, and nothing was evicted since
	alike    [fan]alike
	spill    *spillFile
	extents  [fan][]spilled // what was written of each bucket, in order
	stage    int64          // bytes a column may stage for the spill file; 0 until something is evicted
	stuck    int            // keys in the table when they could not be split
	remap    func(uint64) uint64
	hashes   []uint64
	ids      []uint32
	err      error
	drained  bool
	child    io.Closer // the structure of the evicted bucket that is being drained
}

// spilled is a block in the spill file, of the column's or the Combiner's kind of rows.
type spilled struct {
	kind int8
	at   extent
}

// alike tells whether all rows written of a bucket have the same hash.
type alike struct {
	hash        uint64
	some, mixed bool
}

// wrote notes the hash of a row of an evicted bucket.
func (k *keyed[K]) wrote(bucket int, hash uint64) {
	a := &k.alike[bucket]
	if !a.some {
		a.hash, a.some = hash, true
	} else if a.hash != hash {
		a.mixed = true
	}
}

// remapHashes, if set, replaces the hashes of keys in structures made from then on: tests let keys collide with it.
var remapHashes func(uint64) uint64

var errDrained = errors.New("shuffle: add rows after Drain or Close")

func newKeyed[K comparable](ctx context.Context, env *Env, depth int, spillName string) (*keyed[K], error) {
	t, err := newTable[K]()
	if err != nil {
		return nil, err
	}
	size, err := sizeOf[K]()
	if err != nil {
		return nil, err
	}
	return &keyed[K]{
		ctx: ctx, env: env, budget: newBudget(env), table: t, keySize: size, depth: depth, resident: fan,
		spill: newSpillFile(env, spillName), remap: remapHashes, hashes: make([]uint64, addRows), ids: make([]uint32, addRows),
	}, nil
}

// sizeOf returns the bytes of a T in a slice, without what it points to.
func sizeOf[T any]() (int64, error) {
	c, err := codec.Of[T]()
	if err != nil {
		return 0, err
	}
	return c.MemSize(make([]T, 1)), nil
}

// bucket returns the bucket of a hash.
func (k *keyed[K]) bucket(hash uint64) int {
	return int(hash << (fanBits * k.depth) >> (64 - fanBits))
}

// bytes is what the structure needs to take rows more rows.
func (k *keyed[K]) bytes(rows int) int64 {
	keys := len(k.table.keys) + rows
	_, total := k.table.bytes(keys, k.keySize)
	keys = capFor(cap(k.table.keys), keys)
	for _, c := range k.columns {
		total += c.bytes(rows, keys)
	}
	return total + orderBytes(len(k.table.keys))
}

// room makes sure that rows more rows fit the budget, by eviction if it must.
func (k *keyed[K]) room(rows int) error {
	if k.budget.underPressure() {
		if err := k.ease(); err != nil {
			return err
		}
	}
	for {
		need := k.bytes(rows)
		if k.budget.fits(need) {
			return nil
		}
		evicted, err := k.evict()
		if err != nil {
			return err
		}
		if evicted {
			continue
		}
		if !k.budget.whole(need) {
			return k.tooLarge(need)
		}
		return nil
	}
}

// ease gives memory back that the process lacks though it was not counted: first by copying what is held out of larger blocks, and if
// that was not enough, by eviction.
func (k *keyed[K]) ease() error {
	if k.eased && k.budget.granted > 0 {
		_, err := k.evict()
		return err
	}
	k.eased = true
	for _, c := range k.columns {
		if err := c.compact(); err != nil {
			return err
		}
	}
	return nil
}

// tooLarge is the error of keys that cannot be divided.
func (k *keyed[K]) tooLarge(need int64) error {
	var key K
	if len(k.table.keys) > 0 {
		key = k.table.keys[0]
	}
	text := fmt.Sprintf("%+v", key)
	if len(text) > 64 {
		text = text[:64] + "..."
	}
	e := &OneKeyError{Partition: k.env.Partition, Key: text, Values: need}
	if m, ok := k.budget.mem.(WholeMemory); ok {
		e.Budget, e.Others = m.Budget()
	}
	return fmt.Errorf("shuffle: %s: %w", k.spill.name, e)
}

// step returns how many of n rows to take at once, if one takes about size bytes: a step is a small part of what is held without
// asking, or large rows would be evicted before the next ones come.
func (k *keyed[K]) step(n int, size int64) int {
	return min(n, addRows, int(max(k.budget.floor/8/(size+k.keySize+32), 16)))
}

// evict moves the upper resident buckets to disk. It reports false if it cannot split the keys.
func (k *keyed[K]) evict() (bool, error) {
	t := k.table
	if len(t.keys) == 0 || !k.streamed && (len(t.keys) < 2 || len(t.keys) < 2*k.stuck || k.depth >= maxDepth) {
		return false, nil
	}
	if err := context.Cause(k.ctx); err != nil {
		return false, err
	}
	var counts [fan]int
	for _, h := range t.hashes {
		counts[k.bucket(h)]++
	}
	// keep is such that both sides have keys, and about half stays.
	keep, kept := 0, 0
	for b, n := range counts {
		if kept+n == len(t.keys) {
			break // the last bucket with keys
		}
		if kept > 0 && kept+n > len(t.keys)/2 {
			break
		}
		kept += n
		keep = b + 1
	}
	if kept == 0 && !k.streamed {
		k.stuck = len(t.keys)
		return false, nil
	}
	if k.stage == 0 {
		k.stage = min(max(k.budget.granted/8, k.budget.floor/8), 4<<20)
	}
	ids := make([]uint32, len(t.keys))
	n := uint32(0)
	for i, h := range t.hashes {
		if k.bucket(h) < keep {
			ids[i] = n
			n++
		} else {
			ids[i] = noID
		}
	}
	for _, c := range k.columns {
		if err := c.evict(ids, int(n)); err != nil {
			return false, err
		}
	}
	t.keep(ids, int(n))
	k.resident = keep
	k.stuck, k.eased = 0, false
	k.budget.shrink(k.bytes(0))
	return true, nil
}

// splitRows hashes rows, at most addRows of them, and gives those of evicted buckets to the log. It returns the others, in scratch if
// they are not all, with their hashes.
func splitRows[K comparable, V any](k *keyed[K], rows []Pair[K, V], scratch *[]Pair[K, V], log *spillLog[Pair[K, V]]) ([]Pair[K, V], []uint64, error) {
	hashes := k.hashes[:len(rows)]
	words := k.table.batch // nil unless keys are texts
	if words != nil {
		codec.HashTexts(k.table.ops, rows, 0, hashes, words)
	} else {
		codec.HashField(k.table.ops, rows, 0, hashes)
	}
	if k.remap != nil {
		for i, h := range hashes {
			hashes[i] = k.remap(h)
		}
	}
	if k.resident == fan {
		return rows, hashes, nil
	}
	kept := (*scratch)[:0]
	for i := range rows {
		b := k.bucket(hashes[i])
		if b < k.resident {
			hashes[len(kept)] = hashes[i]
			if words != nil {
				words[len(kept)] = words[i]
			}
			kept = append(kept, rows[i])
			continue
		}
		k.wrote(b, hashes[i])
		if err := log.put(b, rows[i]); err != nil {
			return nil, nil, err
		}
	}
	*scratch = kept
	return kept, hashes[:len(kept)], nil
}

// close gives everything back; calling it again does nothing.
func (k *keyed[K]) close() {
	if k.err == nil {
		k.err = errDrained
	}
	if k.child != nil {
		k.child.Close()
		k.child = nil
	}
	for _, c := range k.columns {
		c.release()
	}
	k.columns = nil
	k.table = nil
	k.spill.close()
	k.budget.close()
}

// keyedStream drains a structure: what is resident by hash, then the evicted buckets.
type keyedStream[K comparable, R any] struct {
	k      *keyed[K]
	order  *hashOrder
	emit   func(ids []uint32, out []R) []R
	more   func(out []R) []R // if emit may leave rows for later: the next of them, or none
	open   func(bucket int) (Stream[R], io.Closer, error)
	part   func(ids []uint32) int // how many of the keys to emit at once, at least one; nil for all
	ids    []uint32               // to emit
	bucket int
	inner  Stream[R]
	out    []R
}

const drainRows = 1024

// drain prepares the stream. The tables' slots are given up first: from now on nothing is looked up.
func drain[K comparable, R any](k *keyed[K], tie func([]entry), emit func([]uint32, []R) []R, more func([]R) []R, open func(int) (Stream[R], io.Closer, error)) *keyedStream[K, R] {
	k.drained = true
	k.err = errDrained
	k.table.slots = nil
	return &keyedStream[K, R]{k: k, order: orderHashes(k.table.hashes, fanBits*k.depth, tie), emit: emit, more: more, open: open, bucket: k.resident}
}

// leave gives up what is resident, and its memory.
func (k *keyed[K]) leave() {
	for _, c := range k.columns {
		c.release()
	}
	k.table.reset(0)
	k.budget.close()
}

// ready flushes the columns before a drain and checks that there was none yet.
func (k *keyed[K]) ready() error {
	if k.err != nil {
		return k.err
	}
	for _, c := range k.columns {
		if err := c.flush(); err != nil {
			return err
		}
	}
	return nil
}

// Next implements Stream.
func (s *keyedStream[K, R]) Next() ([]R, error) {
	k := s.k
	if k.err != errDrained {
		return nil, k.err
	}
	rows, err := s.next()
	if err != nil {
		k.err = err
		k.close()
		return nil, err
	}
	return rows, nil
}

func (s *keyedStream[K, R]) next() ([]R, error) {
	k := s.k
	if err := context.Cause(k.ctx); err != nil {
		return nil, err
	}
	if k.columns == nil {
		return nil, errors.New("shuffle: read from a closed structure")
	}
	if s.order != nil {
		s.out = s.out[:0]
		for len(s.out) < drainRows {
			if s.more != nil {
				had := len(s.out)
				if s.out = s.more(s.out); len(s.out) > had {
					continue
				}
			}
			if len(s.ids) == 0 {
				if s.ids = s.order.batch(); s.ids == nil {
					s.order = nil
					break
				}
			}
			n := len(s.ids)
			if s.part != nil {
				n = s.part(s.ids)
			}
			s.out = s.emit(s.ids[:n], s.out)
			large := n < len(s.ids)
			if s.ids = s.ids[n:]; large {
				break
			}
		}
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
	for {
		if s.inner == nil {
			k.leave()
			for s.bucket < fan && len(k.extents[s.bucket]) == 0 {
				s.bucket++
			}
			if s.bucket == fan {
				return nil, io.EOF
			}
			inner, closer, err := s.open(s.bucket)
			k.child = closer
			if err != nil {
				return nil, err
			}
			s.inner = inner
			s.bucket++
		}
		rows, err := s.inner.Next()
		if err != io.EOF {
			return rows, err
		}
		k.child.Close()
		s.inner, k.child = nil, nil
	}
}

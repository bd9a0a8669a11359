package shuffle

import (
	"math/bits"
	"reflect"
	"strings"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// table numbers keys from 0 in the order of their arrival.
//
// It is an open-addressing table whose slots hold a number, from 1 on, in as many bits as 2^bits slots need, and above it bits of the hash
// (13 where there are half a million slots), so that most misses are seen without touching a key and the slots still take little of
// the cache. Keys and hashes lie in arrays by number. A slot is found from the product of the hash with a constant, not
// from the hash itself: rows often come in the order of their hashes (from another table) or share their low bits (from a hash
// partitioner), and either would make them crowd together.
type table[K comparable] struct {
	ops    *codec.KeyOps[K]
	iface  bool // keys hold interfaces: == panics if one of them holds a slice
	slots  []uint32
	shift  uint8
	keys   []K
	hashes []uint64
	words  []uint64 // the codec.TextWord of each key, if keys are texts: most are short, and known by it
	tails  []uint64 // the codec.TextTail of those of 8 to 15 bytes
	batch  []uint64 // the words of the rows that are looked up, nil if keys are no texts
	got    []uint64 // scratch of probeTexts
	heap   int64    // bytes that the keys point to, estimated unless K is string
	text   textArena
	sizer  *codec.Codec[K] // nil if keys point to nothing
}

const (
	slotMix    = 0x9E3779B97F4A7C15 // 2^64 / golden ratio
	tableSlots = 1 << 10
)

func newTable[K comparable]() (*table[K], error) {
	ops, err := codec.KeysOf[K]()
	if err != nil {
		return nil, err
	}
	c, err := codec.Of[K]()
	if err != nil {
		return nil, err
	}
	t := &table[K]{ops: ops, iface: holdsInterface(reflect.TypeFor[K]())}
	if !c.Fixed() {
		t.sizer = c
	}
	if t.ops.Text() {
		t.batch, t.got = make([]uint64, addRows), make([]uint64, addRows)
	}
	t.reset(0)
	return t, nil
}

// reset empties the table and prepares it for n keys.
func (t *table[K]) reset(n int) {
	slots := slotsFor(n)
	t.empty(slots)
	c := max(n, tableSlots/2)
	t.keys, t.hashes = make([]K, 0, c), make([]uint64, 0, c)
	if t.batch != nil {
		t.words, t.tails = make([]uint64, 0, c), make([]uint64, 0, c)
	}
	t.heap, t.text = 0, textArena{}
}

// slotsFor returns the slots for n keys: a power of two, at most two thirds full.
func slotsFor(n int) int {
	slots := tableSlots
	for slots/3*2 < n {
		slots *= 2
	}
	return slots
}

// capFor returns the capacity of the arrays that hold n keys.
func capFor(had, n int) int {
	if n <= had {
		return had
	}
	return max(n, had+had/2, tableSlots/2)
}

// bytes returns what the table takes with n keys, given the bytes of one key, and what it takes while it grows to that.
func (t *table[K]) bytes(n int, keySize int64) (held, peak int64) {
	c := capFor(cap(t.keys), n)
	slots := max(slotsFor(n), len(t.slots))
	if t.batch != nil {
		keySize += 16 // word and tail
	}
	held = 4*int64(slots) + int64(c)*(keySize+8) + t.heap
	peak = held
	if c > cap(t.keys) {
		peak += int64(cap(t.keys)) * keySize // the old keys, while they are copied
	}
	return held, peak
}

// reserve makes room for n more keys, so that lookup never grows.
func (t *table[K]) reserve(n int) {
	n += len(t.keys)
	if c := capFor(cap(t.keys), n); c > cap(t.keys) {
		t.keys = append(make([]K, 0, c), t.keys...)
		t.hashes = append(make([]uint64, 0, c), t.hashes...)
		if t.batch != nil {
			t.words = append(make([]uint64, 0, c), t.words...)
			t.tails = append(make([]uint64, 0, c), t.tails...)
		}
	}
	if slots := slotsFor(n); slots > len(t.slots) {
		t.empty(slots)
		t.fill()
	}
}

// fill enters all keys into empty slots.
func (t *table[K]) fill() {
	slots, mask := t.slots, uint64(len(t.slots)-1)
	for i, h := range t.hashes {
		at := h * slotMix >> t.shift
		for slots[at&mask] != 0 {
			at++
		}
		slots[at&mask] = t.slot(h, uint32(i))
	}
}

// empty makes n empty slots, a power of two.
func (t *table[K]) empty(n int) {
	t.slots = make([]uint32, n)
	t.shift = uint8(64 - bits.Len(uint(n-1)))
}

// numbers is the part of a slot that holds the number.
func (t *table[K]) numbers() uint32 { return uint32(len(t.slots) - 1) }

// slot is what the slot of a key holds.
func (t *table[K]) slot(h uint64, id uint32) uint32 { return uint32(h)&^t.numbers() | id + 1 }

// lookup sets ids[i] to the number of rows[i].Key, whose hash is hashes[i]; keys not seen before get the next numbers. There must
// be room for all of them.
func lookup[K comparable, V any](t *table[K], rows []Pair[K, V], hashes []uint64, ids []uint32) {
	var pending [addRows]uint16
	for _, i := range pending[:probe(t, rows, hashes, ids, &pending)] {
		h := hashes[i]
		at, id := t.search(rows[i].Key, h, int(i))
		if id == noID {
			id = uint32(len(t.keys))
			t.slots[at] = t.slot(h, id)
			t.insert(rows[i].Key, h)
		}
		ids[i] = id
	}
}

// find is lookup without insertion: ids[i] is noID for a key that is not there.
func find[K comparable, V any](t *table[K], rows []Pair[K, V], hashes []uint64, ids []uint32) {
	var pending [addRows]uint16
	for _, i := range pending[:probe(t, rows, hashes, ids, &pending)] {
		_, ids[i] = t.search(rows[i].Key, hashes[i], int(i))
	}
}

// probe finds the keys that lie in the first slot they may lie in, which are most. It notes the positions of the others, in order,
// and returns how many they are.
//
// A big table misses the cache at nearly every row. So loops that touch it do nothing else, and no row waits for the one before:
// the processor has many of these misses under way at once.
func probe[K comparable, V any](t *table[K], rows []Pair[K, V], hashes []uint64, ids []uint32, pending *[addRows]uint16) int {
	slots, mask, shift := t.slots, uint64(len(t.slots)-1), t.shift
	hashes, ids = hashes[:len(rows)], ids[:len(rows)]
	for i, h := range hashes {
		ids[i] = slots[h*slotMix>>shift&mask]
	}
	numbers := t.numbers()
	for i, s := range ids {
		id := s&numbers - 1 // noID if the slot is empty
		if (s^uint32(hashes[i]))&^numbers != 0 {
			id = noID
		}
		ids[i] = id
	}
	if t.batch != nil {
		return probeTexts(t, rows, ids, pending)
	}
	keys, n := t.keys, 0
	if t.iface {
		keys = nil
	}
	for i := range rows {
		if id := int(ids[i]); id >= len(keys) || keys[id] != rows[i].Key {
			pending[n&(addRows-1)] = uint16(i)
			n++
		}
	}
	return n
}

// probeTexts is the end of probe for texts: it compares their words.
func probeTexts[K comparable, V any](t *table[K], rows []Pair[K, V], ids []uint32, pending *[addRows]uint16) int {
	words, n := t.words, 0
	got, batch := t.got[:len(rows)], t.batch[:len(rows)]
	if len(words) > 0 {
		last := len(words) - 1
		for i, id := range ids {
			got[i] = words[min(int(id), last)]
		}
	}
	for i, w := range batch {
		if id := ids[i]; int(id) >= len(words) || got[i] != w || w > codec.ShortText && !t.sameText(id, w, rows[i].Key) {
			pending[n&(addRows-1)] = uint16(i)
			n++
		}
	}
	return n
}

// sameText reports whether key, whose word is that of the key with number id, is that key.
func (t *table[K]) sameText(id uint32, word uint64, key K) bool {
	if word <= codec.ShortText {
		return true
	}
	if word <= codec.MiddleText {
		return t.tails[id] == codec.TextTail(t.ops.TextOf(key))
	}
	return t.keys[id] == key
}

// search follows the slots of a hash to the number of a key, or to the empty slot where it belongs. The key is that of row i of those that
// are looked up.
func (t *table[K]) search(key K, h uint64, i int) (at uint64, id uint32) {
	slots, mask, numbers := t.slots, uint64(len(t.slots)-1), t.numbers()
	at = h * slotMix >> t.shift & mask
	for {
		s := slots[at&mask]
		if s == 0 {
			return at, noID
		}
		if (s^uint32(h))&^numbers == 0 {
			id := s&numbers - 1
			switch {
			case t.batch != nil:
				if t.words[id] == t.batch[i] && t.sameText(id, t.batch[i], key) {
					return at, id
				}
			// Equal knows what == does not: that NaN is NaN.
			case !t.iface && t.keys[id] == key || t.ops.Equal(t.keys[id], key):
				return at, id
			}
		}
		at = (at + 1) & mask
	}
}

// holdsInterface says whether a comparable type holds interfaces.
func holdsInterface(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Array:
		return holdsInterface(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsInterface(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

const noID = ^uint32(0)

func (t *table[K]) insert(key K, hash uint64) {
	if s, ok := any(&key).(*string); ok {
		// Input rows share big buffers; a key of ten bytes must not keep one of them alive.
		*s = t.text.clone(*s)
		t.heap = t.text.bytes
	}
	t.keys = append(t.keys, key)
	t.hashes = append(t.hashes, hash)
	if t.batch != nil {
		t.addWord(key)
	}
	if t.sizer != nil && len(t.keys)&(len(t.keys)-1) == 0 && t.text.bytes == 0 {
		t.measure()
	}
}

// addWord adds what a text is known by.
func (t *table[K]) addWord(key K) {
	s := t.ops.TextOf(key)
	w, tail := codec.TextWord(s), uint64(0)
	if w > codec.ShortText && w <= codec.MiddleText {
		tail = codec.TextTail(s)
	}
	t.words, t.tails = append(t.words, w), append(t.tails, tail)
}

// measure estimates what the keys point to.
func (t *table[K]) measure() {
	if t.sizer != nil && t.text.bytes == 0 {
		var zero [1]K
		fixed := t.sizer.MemSize(zero[:])
		t.heap = max(0, t.sizer.MemSize(t.keys)-int64(len(t.keys))*fixed)
	}
}

// keep drops all keys but those whose number ids maps to a new one, and renumbers these.
func (t *table[K]) keep(ids []uint32, n int) {
	t.slots = nil
	keys := make([]K, 0, capFor(0, n))
	hashes := make([]uint64, 0, cap(keys))
	text := textArena{}
	for i, id := range ids {
		if id == noID {
			continue
		}
		key := t.keys[i]
		if s, ok := any(&key).(*string); ok {
			*s = text.clone(*s)
		}
		keys = append(keys, key)
		hashes = append(hashes, t.hashes[i])
	}
	if t.batch != nil {
		t.words, t.tails = make([]uint64, 0, cap(keys)), make([]uint64, 0, cap(keys))
		for _, key := range keys {
			t.addWord(key)
		}
	}
	t.keys, t.hashes, t.text, t.heap = keys, hashes, text, text.bytes
	t.measure()
	t.empty(slotsFor(n))
	t.fill()
}

// textArena holds copies of short strings end to end.
type textArena struct {
	b     *strings.Builder
	bytes int64
}

const textChunk = 64 << 10

func (a *textArena) clone(s string) string {
	if len(s) == 0 {
		return ""
	}
	if len(s) > textChunk/8 {
		a.bytes += int64(len(s))
		return strings.Clone(s)
	}
	if a.b == nil || a.b.Cap()-a.b.Len() < len(s) {
		a.b = new(strings.Builder) // the strings made so far keep the old chunk
		a.b.Grow(textChunk)
		a.bytes += textChunk
	}
	from := a.b.Len()
	a.b.WriteString(s)
	return a.b.String()[from:]
}

package recommendation

import (
	"math/bits"
	"slices"
)

// place is the block of an id among n: the same in every process and release.
func place[R ID](id R, n int) int {
	hi, _ := bits.Mul64(mix(seedOf(id)), uint64(n))
	return int(hi)
}

// seedOf is a number made of an id.
func seedOf[R ID](id R) uint64 {
	switch v := any(id).(type) {
	case int32:
		return uint64(v)
	case int64:
		return uint64(v)
	case string:
		h := uint64(14695981039346656037) // FNV-1a
		for i := range len(v) {
			h = (h ^ uint64(v[i])) * 1099511628211
		}
		return h
	}
	return 0
}

// mix spreads a number over all bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// number returns the distinct ids in ascending order, and for each of ids its place among them.
func number[R ID](ids []R) (distinct []R, codes []int32) {
	switch v := any(ids).(type) {
	case []int32:
		d, codes := numberInts(v)
		return any(d).([]R), codes
	case []int64:
		d, codes := numberInts(v)
		return any(d).([]R), codes
	}
	// Texts are numbered as they come, and renumbered by their order.
	codes = make([]int32, len(ids))
	seen := make(map[R]int32)
	var first []R
	for i, id := range ids {
		n, ok := seen[id]
		if !ok {
			n = int32(len(first))
			seen[id] = n
			first = append(first, id)
		}
		codes[i] = n
	}
	distinct = slices.Sorted(slices.Values(first))
	for n, id := range distinct {
		seen[id] = int32(n)
	}
	rank := make([]int32, len(first))
	for n, id := range first {
		rank[n] = seen[id]
	}
	for i, n := range codes {
		codes[i] = rank[n]
	}
	return distinct, codes
}

// numberInts is number without a map: by a table where the ids lie close together, else by sorting.
func numberInts[T int32 | int64](ids []T) (distinct []T, codes []int32) {
	codes = make([]int32, len(ids))
	if len(ids) == 0 {
		return nil, codes
	}
	low, high := slices.Min(ids), slices.Max(ids)
	span := uint64(int64(high)) - uint64(int64(low))
	if span < 4*uint64(len(ids))+1<<12 {
		table := make([]int32, span+1)
		for _, id := range ids {
			table[uint64(int64(id))-uint64(int64(low))] = 1
		}
		n := int32(0)
		for at, there := range table {
			if there != 0 {
				table[at] = n
				distinct = append(distinct, T(int64(uint64(int64(low))+uint64(at))))
				n++
			}
		}
		for i, id := range ids {
			codes[i] = table[uint64(int64(id))-uint64(int64(low))]
		}
		return distinct, codes
	}
	// Radix sort of the ids' distances from the lowest, eight bits at a time, with their places.
	type entry struct {
		key uint64
		at  int32
	}
	from, to := make([]entry, len(ids)), make([]entry, len(ids))
	for i, id := range ids {
		from[i] = entry{uint64(int64(id)) - uint64(int64(low)), int32(i)}
	}
	for shift := 0; shift < bits.Len64(span); shift += 8 {
		var starts [257]int
		for _, e := range from {
			starts[e.key>>shift&255+1]++
		}
		for b := range 256 {
			starts[b+1] += starts[b]
		}
		for _, e := range from {
			b := e.key >> shift & 255
			to[starts[b]] = e
			starts[b]++
		}
		from, to = to, from
	}
	for i, e := range from {
		if i == 0 || e.key != from[i-1].key {
			distinct = append(distinct, T(int64(e.key+uint64(int64(low)))))
		}
		codes[e.at] = int32(len(distinct) - 1)
	}
	return distinct, codes
}

// starts returns where each code's entries begin if they are ordered by code, and one more at the end.
func starts(codes []int32, n int) []int32 {
	s := make([]int32, n+1)
	for _, c := range codes {
		s[c+1]++
	}
	for c := range n {
		s[c+1] += s[c]
	}
	return s
}

// packed copies ids into a column.
func packed[R ID](ids []R) column[R] {
	var c column[R]
	ok := false
	switch v := any(ids).(type) {
	case []int32:
		p := any(&c).(*column[int32])
		p.Base, p.Near, ok = near(v)
	case []int64:
		p := any(&c).(*column[int64])
		p.Base, p.Near, ok = near(v)
	}
	if !ok {
		c.Far = append([]R(nil), ids...)
	}
	return c
}

// near returns the lowest of ids and their distances from it, unless they are too large.
func near[T int32 | int64](ids []T) (T, numbers, bool) {
	if len(ids) == 0 {
		return 0, numbers{}, true
	}
	low, high := ids[0], ids[0]
	for _, id := range ids {
		low, high = min(low, id), max(high, id)
	}
	span := uint64(int64(high)) - uint64(int64(low))
	if span > 1<<32-1 {
		return low, numbers{}, false
	}
	return low, numbersOf(len(ids), span+1, func(i int) uint32 { return uint32(uint64(int64(ids[i])) - uint64(int64(low))) }), true
}

// appendTo appends the column's ids.
func (c *column[R]) appendTo(ids []R) []R {
	switch p := any(&ids).(type) {
	case *[]int32:
		*p = appendFar(appendFar(*p, any(c.Base).(int32), c.Near.Short), any(c.Base).(int32), c.Near.Long)
	case *[]int64:
		*p = appendFar(appendFar(*p, any(c.Base).(int64), c.Near.Short), any(c.Base).(int64), c.Near.Long)
	}
	return append(ids, c.Far...)
}

// appendFar appends the numbers that lie as far above base as near says.
func appendFar[T int32 | int64, N uint16 | uint32](ids []T, base T, near []N) []T {
	for _, d := range near {
		ids = append(ids, T(uint64(int64(base))+uint64(d)))
	}
	return ids
}

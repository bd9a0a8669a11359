package shuffle

import "math/bits"

// entry stands for a row, or a key of a table, while it is sorted: its order-preserving prefix and its number.
type entry struct {
	key uint64
	idx uint32
}

// radixSort sorts a by key, stably. Runs of equal keys are passed to tie, if there is one. tmp is as long as a at least.
//
// It sorts by the most significant byte first: what is left after two or three passes is a few entries that insertion sorts
// faster, and equal leading bytes, common in text, cost one count and no move.
func radixSort(a, tmp []entry, tie func(run []entry)) {
	if len(a) < 2 {
		return
	}
	or, and := uint64(0), ^uint64(0)
	for i := range a {
		or |= a[i].key
		and &= a[i].key
	}
	radixPass(a, tmp, max(bits.Len64(or^and)-8, 0), or != and, tie)
}

// radixPass sorts a by the byte at shift and all below. differ says whether the keys differ there at all.
func radixPass(a, tmp []entry, shift int, differ bool, tie func([]entry)) {
	for {
		if !differ {
			if tie != nil && len(a) > 1 {
				tie(a)
			}
			return
		}
		if len(a) <= 40 {
			insertionSort(a, tie)
			return
		}
		var ends [256]uint32
		for i := range a {
			ends[byte(a[i].key>>shift)]++
		}
		if int(ends[byte(a[0].key>>shift)]) == len(a) {
			differ = shift > 0
			shift = max(shift-8, 0)
			continue
		}
		sum := uint32(0)
		for i := range ends {
			n := ends[i]
			ends[i] = sum
			sum += n
		}
		t := tmp[:len(a)]
		for i := range a {
			d := byte(a[i].key >> shift)
			t[ends[d]] = a[i]
			ends[d]++
		}
		copy(a, t)
		from := uint32(0)
		for _, to := range ends {
			if to-from > 1 {
				radixPass(a[from:to], tmp, max(shift-8, 0), shift > 0, tie)
			}
			from = to
		}
		return
	}
}

func insertionSort(a []entry, tie func([]entry)) {
	for i := 1; i < len(a); i++ {
		e := a[i]
		j := i
		for ; j > 0 && a[j-1].key > e.key; j-- {
			a[j] = a[j-1]
		}
		a[j] = e
	}
	if tie == nil {
		return
	}
	for i := 0; i < len(a); {
		j := i + 1
		for j < len(a) && a[j].key == a[i].key {
			j++
		}
		if j > i+1 {
			tie(a[i:j])
		}
		i = j
	}
}

// hashOrder yields numbers 0..n-1 ordered by their hashes, ties by number, a range of hashes at a time: the ranges are found by
// one counting pass, and each is sorted when it is asked for, while it fits the cache.
type hashOrder struct {
	hashes []uint64
	order  []uint32 // numbers by range
	ends   []uint32
	next   int
	tie    func([]entry)
	a, tmp []entry
	out    []uint32
}

// orderHashes prepares the order of the numbers of hashes, which must agree in their top skip bits. tie, if not nil, orders
// runs of equal hashes.
func orderHashes(hashes []uint64, skip int, tie func([]entry)) *hashOrder {
	width := max(0, min(bits.Len(uint(len(hashes)))-8, 14, 64-skip)) // about 256 to 512 a range
	o := &hashOrder{hashes: hashes, order: make([]uint32, len(hashes)), ends: make([]uint32, 1<<width), tie: tie}
	shift := 64 - width
	rangeOf := func(h uint64) uint64 {
		if width == 0 {
			return 0
		}
		return h << skip >> shift
	}
	for _, h := range hashes {
		o.ends[rangeOf(h)]++
	}
	sum := uint32(0)
	for i, n := range o.ends {
		o.ends[i] = sum
		sum += n
	}
	for i, h := range hashes {
		r := rangeOf(h)
		o.order[o.ends[r]] = uint32(i)
		o.ends[r]++
	}
	return o
}

// orderBytes is what ordering n hashes takes.
func orderBytes(n int) int64 { return int64(n)*4 + 1<<16 }

// batch returns the next numbers, or none at the end. The slice is valid until the next call.
func (o *hashOrder) batch() []uint32 {
	for o.next < len(o.ends) {
		from := uint32(0)
		if o.next > 0 {
			from = o.ends[o.next-1]
		}
		ids := o.order[from:o.ends[o.next]]
		o.next++
		if len(ids) == 0 {
			continue
		}
		if cap(o.a) < len(ids) {
			n := len(ids) + len(ids)/2
			o.a, o.tmp, o.out = make([]entry, n), make([]entry, n), make([]uint32, n)
		}
		a := o.a[:len(ids)]
		for i, id := range ids {
			a[i] = entry{o.hashes[id], id}
		}
		radixSort(a, o.tmp, o.tie)
		out := o.out[:len(ids)]
		for i := range a {
			out[i] = a[i].idx
		}
		return out
	}
	return nil
}

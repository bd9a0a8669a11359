package tree

// A record is a row of a tree: its number in the table, its class, and how many copies of it the bootstrap put into the tree, in 32, 16
// and 16 bits. Nodes own stretches of records, in the order of the rows, so that columns are read forwards.
type record = uint64

func recordOf(row int, class uint16, copies uint32) record {
	return uint64(row) | uint64(class)<<32 | uint64(copies)<<48
}

func rowOf(r record) uint32     { return uint32(r) }
func classOf(r record) uint32   { return uint32(r>>32) & 0xffff }
func copiesOf(r record) uint32  { return uint32(r >> 48) }
func (p *problem) counts() bool { return !p.Regression && !p.Weighted }

// counter makes histograms of records of one table.
type counter struct {
	*problem
	*table
	size     int
	shift    uint // classes take 1<<shift places in tallies
	tallies  []uint32
	combined []uint32 // tallies of several features at once
	grouped  []bitFeature
	weights  []float64 // of the loaded records, copies counted
	targets  []float64
}

func newCounter(p *problem, t *table) *counter {
	c := &counter{problem: p, table: t, size: p.statSize()}
	if p.counts() {
		for 1<<c.shift < p.NumClasses {
			c.shift++
		}
		most := 0
		for f := range p.Features {
			most = max(most, p.Features[f].Bins)
		}
		c.tallies = make([]uint32, most<<c.shift)
	}
	return c
}

// draw returns the records of a tree's rows.
func (c *counter) draw(seed uint64) []record {
	// A third of the rows are in no copy. One more record, since the loop writes before it knows.
	records := make([]record, c.Rows+1)
	k := 0
	for row := range c.Rows {
		class := uint16(0)
		if c.Classes != nil {
			class = c.Classes[row]
		}
		copies := c.Bag.copies(seed, uint64(c.First)+uint64(row))
		if c.Weights != nil && c.Weights[row] == 0 {
			copies = 0
		}
		records[k] = recordOf(row, class, copies)
		if copies > 0 {
			k++
		}
	}
	return records[:k]
}

// load prepares for histograms of the records: weights and targets are looked up once for all features.
func (c *counter) load(records []record) {
	if c.counts() {
		return
	}
	c.weights, c.targets = c.weights[:0], c.targets[:0]
	for _, r := range records {
		w := float64(copiesOf(r))
		if c.Weights != nil {
			w = float64(w * c.Weights[rowOf(r)])
		}
		c.weights = append(c.weights, w)
		if c.Regression {
			c.targets = append(c.targets, c.Targets[rowOf(r)])
		}
	}
}

// stats sums up the loaded records.
func (c *counter) stats(dst []float64, records []record) {
	clear(dst)
	last := len(dst) - 1
	switch {
	case c.counts():
		for _, r := range records {
			n := float64(copiesOf(r))
			dst[classOf(r)] += n
			dst[last] += n
		}
	case c.Regression:
		for i, r := range records {
			w, y := c.weights[i], c.targets[i]
			dst[sumWeight] += w
			dst[sumY] += float64(w * y)
			dst[sumYY] += float64(float64(w*y) * y)
			dst[sumRows] += float64(copiesOf(r))
		}
	default:
		for i, r := range records {
			dst[classOf(r)] += c.weights[i]
			dst[last] += float64(copiesOf(r))
		}
	}
}

// histograms writes the statistics of each bin of each of the features over the loaded records, whose sum is total, one feature after
// the other.
func (c *counter) histograms(dst []float64, features []int32, records []record, total []float64) {
	c.grouped = c.grouped[:0]
	at := 0
	for _, f := range features {
		x := &c.Features[f]
		to := dst[at : at+x.Bins*c.size]
		switch b := &c.Bins[f]; {
		case x.Bit >= 0:
			c.grouped = append(c.grouped, bitFeature{x.Bit, at})
		case b.Narrow != nil:
			histogram(c, to, b.Narrow, x, records, total)
		default:
			histogram(c, to, b.Wide, x, records, total)
		}
		at += len(to)
	}
	for bits := c.grouped; len(bits) > 0; {
		// Features of the same word, and not so many that there are more combinations than rows.
		k, most := 1, min(groupBits, max(1, 12-int(c.shift)))
		for k < len(bits) && k < most && 4<<k <= len(records) && bits[k].bit/64 == bits[0].bit/64 {
			k++
		}
		c.tallyBits(dst, bits[:k], records, total)
		bits = bits[k:]
	}
}

// bitFeature is a feature with two bins: its bit, and where its histogram goes.
type bitFeature struct{ bit, at int }

// groupBits is how many features with two bins are counted at once.
const groupBits = 8

// tallyBits counts features with two bins together: one counter for each combination of their bits and class, so that a row costs one
// addition. The counts of each feature are sums over the combinations that have its bit.
func (c *counter) tallyBits(dst []float64, bits []bitFeature, records []record, total []float64) {
	var s [groupBits]uint
	for j := range bits {
		s[j] = uint(bits[j].bit) & 63
	}
	k := len(bits)
	n := 1 << k << c.shift
	if len(c.combined) < n {
		c.combined = make([]uint32, n)
	}
	tallies := c.combined[:n]
	clear(tallies)
	words := c.Bits[bits[0].bit/64]
	switch {
	case k <= 2:
		tally2(tallies, words, records, c.shift, uint64(1)<<k-1, s)
	case k <= 4:
		tally4(tallies, words, records, c.shift, uint64(1)<<k-1, s)
	default:
		tally8(tallies, words, records, c.shift, uint64(1)<<k-1, s)
	}
	last := c.size - 1
	for j := k - 1; j >= 0; j-- {
		// The upper half has the bit of feature j. Adding it to the lower half forgets the bit.
		lower, upper := tallies[:1<<j<<c.shift], tallies[1<<j<<c.shift:2<<j<<c.shift]
		zero := dst[bits[j].at : bits[j].at+c.size]
		one := dst[bits[j].at+c.size : bits[j].at+2*c.size]
		clear(one)
		for i := 0; i < len(upper); i += 1 << c.shift {
			for class, n := range upper[i : i+last] {
				one[class] += float64(n)
			}
		}
		sum := 0.0
		for class, n := range one[:last] {
			sum += n
			zero[class] = total[class] - n
		}
		one[last], zero[last] = sum, total[last]-sum
		for i, n := range upper {
			lower[i] += n
		}
	}
}

func tally2(tallies []uint32, words []uint64, records []record, shift uint, mask uint64, s [groupBits]uint) {
	for _, r := range records {
		x := words[rowOf(r)]
		key := x>>(s[0]&63)&1 | x>>(s[1]&63)&1<<1
		tallies[uint32(key&mask)<<(shift&31)|classOf(r)] += copiesOf(r)
	}
}

func tally4(tallies []uint32, words []uint64, records []record, shift uint, mask uint64, s [groupBits]uint) {
	for _, r := range records {
		x := words[rowOf(r)]
		key := x>>(s[0]&63)&1 | x>>(s[1]&63)&1<<1 | x>>(s[2]&63)&1<<2 | x>>(s[3]&63)&1<<3
		tallies[uint32(key&mask)<<(shift&31)|classOf(r)] += copiesOf(r)
	}
}

func tally8(tallies []uint32, words []uint64, records []record, shift uint, mask uint64, s [groupBits]uint) {
	for _, r := range records {
		x := words[rowOf(r)]
		key := x>>(s[0]&63)&1 | x>>(s[1]&63)&1<<1 | x>>(s[2]&63)&1<<2 | x>>(s[3]&63)&1<<3 |
			x>>(s[4]&63)&1<<4 | x>>(s[5]&63)&1<<5 | x>>(s[6]&63)&1<<6 | x>>(s[7]&63)&1<<7
		tallies[uint32(key&mask)<<(shift&31)|classOf(r)] += copiesOf(r)
	}
}

func histogram[B uint8 | uint16](c *counter, dst []float64, column []B, f *feature, records []record, total []float64) {
	clear(dst)
	switch {
	case c.counts():
		tallies := c.tallies[:f.Bins<<c.shift]
		clear(tallies)
		if f.Common >= 0 {
			tallyRare(tallies, column, records, c.shift, B(f.Common))
		} else {
			tally(tallies, column, records, c.shift)
		}
		c.spread(dst, tallies, f, total)
	case c.Regression:
		for i, r := range records {
			w, y := c.weights[i], c.targets[i]
			cell := dst[int(column[rowOf(r)])*regressionStats:]
			cell = cell[:regressionStats:regressionStats]
			wy := float64(w * y)
			cell[sumWeight] += w
			cell[sumY] += wy
			cell[sumYY] += float64(wy * y)
			cell[sumRows] += float64(copiesOf(r))
		}
	default:
		for i, r := range records {
			cell := dst[int(column[rowOf(r)])*c.size:]
			cell[classOf(r)] += c.weights[i]
			cell[c.size-1] += float64(copiesOf(r))
		}
	}
}

// tally counts copies by bin and class.
func tally[B uint8 | uint16](tallies []uint32, column []B, records []record, shift uint) {
	for _, r := range records {
		tallies[uint32(column[rowOf(r)])<<(shift&31)|classOf(r)] += copiesOf(r)
	}
}

// tallyRare leaves out the bin that most rows are in: reading it is cheap, adding to a few hot counters is not.
func tallyRare[B uint8 | uint16](tallies []uint32, column []B, records []record, shift uint, common B) {
	for _, r := range records {
		if b := column[rowOf(r)]; b != common {
			tallies[uint32(b)<<(shift&31)|classOf(r)] += copiesOf(r)
		}
	}
}

// spread turns tallies into statistics. What tallyRare left out is what is missing from the total.
func (c *counter) spread(dst []float64, tallies []uint32, f *feature, total []float64) {
	last := c.size - 1
	for b := range f.Bins {
		cell := dst[b*c.size : (b+1)*c.size]
		from := tallies[b<<c.shift:]
		from = from[:last]
		sum := 0.0
		for k, n := range from {
			cell[k] = float64(n)
			sum += float64(n)
		}
		cell[last] = sum
	}
	if f.Common < 0 {
		return
	}
	common := dst[f.Common*c.size : (f.Common+1)*c.size]
	copy(common, total)
	for b := range f.Bins {
		if b != f.Common {
			for k, v := range dst[b*c.size : (b+1)*c.size] {
				common[k] -= v
			}
		}
	}
}

// part moves the records that go left to the front, both sides in their order, and returns how many they are. scratch is at least as
// long as records.
func (t *table) part(records, scratch []record, s *split) int {
	b := &t.Bins[s.feature]
	switch {
	case s.categories != nil:
		l, r := 0, 0
		for _, rec := range records {
			if s.goesLeft(b.at(rowOf(rec))) {
				records[l] = rec
				l++
			} else {
				scratch[r] = rec
				r++
			}
		}
		copy(records[l:], scratch[:r])
		return l
	case b.Narrow != nil:
		return part(b.Narrow, records, scratch, s.bin)
	default:
		return part(b.Wide, records, scratch, s.bin)
	}
}

func part[B uint8 | uint16](column []B, records, scratch []record, bin int32) int {
	l, r := 0, 0
	scratch = scratch[:len(records)]
	for _, rec := range records {
		// No branch on the side, which nothing could predict: the record is written to both, and one end moves.
		right := int(uint64(int64(bin)-int64(column[rowOf(rec)])) >> 63)
		records[l] = rec
		scratch[r] = rec
		l += 1 - right
		r += right
	}
	copy(records[l:], scratch[:r])
	return l
}

package programs_test

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// The model computes programs on slices in memory: what is promised of each operation, without stages, shuffles or batches. It says
// which rows each partition holds, in which order. Of the engine it uses the hash of keys, which is promised to stay, and where
// sorts cut their ranges, which comes from a sample and is checked instead.

type row[K cmp.Ordered] = rdd.Pair[K, int64]

// place says where the rows of a dataset lie: two with equal places are co-partitioned.
type place struct {
	kind placing
	n    int
	id   int  // of ranges: the step that made them; 0 if there is only one
	down bool // ranges descend
}

type placing byte

const (
	anywhere placing = iota
	hashes
	ranges
)

func hashed(n int) place { return place{kind: hashes, n: n} }

// parts are the rows of a dataset, by partition.
type parts[K cmp.Ordered] struct {
	rows [][]row[K]
	by   place
}

// table is a dataset of either kind of keys.
type table struct {
	text  bool
	ints  parts[int64]
	texts parts[string]
}

func (t table) place() place {
	if t.text {
		return t.texts.by
	}
	return t.ints.by
}

func (t table) partitions() int { return max(len(t.ints.rows), len(t.texts.rows)) }

func (t table) rows() int { return countRows(t.ints.rows) + countRows(t.texts.rows) }

func countRows[R any](parts [][]R) int {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	return n
}

func (t table) bytes() int {
	n := 0
	for _, p := range t.texts.rows {
		for _, r := range p {
			n += len(r.Key)
		}
	}
	return n
}

// cutter says how many rows each of n partitions gets of a sorted sequence, for which same(i) tells whether rows i-1 and i have
// equal keys.
type cutter func(step, n, rows int, same func(i int) bool) []int

// evenCuts are ranges of about equal size.
func evenCuts(_, n, rows int, same func(i int) bool) []int {
	sizes := make([]int, n)
	from := 0
	for p := range sizes {
		to := max(from, rows*(p+1)/n)
		for to > from && to < rows && same(to) {
			to++
		}
		sizes[p] = to - from
		from = to
	}
	return sizes
}

// evaluate computes a step.
func evaluate(s step, id int, in []table, cut cutter) table {
	switch {
	case s.op == "source" || s.op == "skewed":
		src := sourceRow{Keys: s.keys, Skewed: s.op == "skewed", Arg: s.arg}
		rows := make([][]row[int64], s.n)
		for p := range rows {
			for x := s.rows * p / s.n; x < s.rows*(p+1)/s.n; x++ {
				rows[p] = append(rows[p], src.Call(int64(x)))
			}
		}
		return table{ints: parts[int64]{rows: rows}}
	case s.op == "totext":
		return table{text: true, texts: parts[string]{rows: mapRows(in[0].ints.rows, toText{s.width}.Call)}}
	case s.op == "toint":
		return table{ints: parts[int64]{rows: mapRows(in[0].texts.rows, toInt{}.Call)}}
	case s.text:
		var texts []parts[string]
		for _, t := range in {
			texts = append(texts, t.texts)
		}
		return table{text: true, texts: evaluateOn(s, id, texts, cut)}
	}
	var ints []parts[int64]
	for _, t := range in {
		ints = append(ints, t.ints)
	}
	return table{ints: evaluateOn(s, id, ints, cut)}
}

func evaluateOn[K cmp.Ordered](s step, id int, in []parts[K], cut cutter) parts[K] {
	first := in[0]
	switch s.op {
	case "map":
		return parts[K]{rows: mapRows(first.rows, mapRow[K]{s.keys, s.width, s.arg}.Call)}
	case "filter":
		return parts[K]{flatMapRows(first.rows, func(r row[K]) []row[K] { return slices.Repeat([]row[K]{r}, oneIf(keepRow[K]{s.arg}.Call(r))) }), first.by}
	case "flatmap":
		return parts[K]{rows: flatMapRows(first.rows, copies[K]{s.arg}.Call)}
	case "mappartitions":
		out := make([][]row[K], len(first.rows))
		for p, rows := range first.rows {
			out[p] = slices.Collect(number[K]{}.Call(p, slices.Values(rows)))
		}
		return parts[K]{rows: out}
	case "union":
		return union(in)
	case "sum", "first", "last", "least":
		by := choose(s.n, in)
		f := folds[s.op]
		return parts[K]{byKey(move(first, by), func(r []int64) []int64 {
			v := r[0]
			for _, w := range r[1:] {
				v = f(v, w)
			}
			return []int64{v}
		}), by}
	case "group":
		by := choose(s.n, in)
		return parts[K]{byKey(move(first, by), func(v []int64) []int64 { return []int64{foldGroup(v)} }), by}
	case "distinct":
		return distinct(first, s.n)
	case "join", "leftjoin", "cogroup":
		by := choose(s.n, in)
		return parts[K]{together(s.op, move(first, by), move(in[1], by)), by}
	case "sort", "sortdown":
		return sorted(s, id, first, cut)
	case "partitionby":
		return parts[K]{move(first, hashed(s.n)), hashed(s.n)}
	case "repartition":
		out := make([][]row[K], s.n)
		for p, rows := range first.rows {
			to := int(codec.HashUint64(uint64(p)) % uint64(s.n))
			for _, r := range rows {
				out[to] = append(out[to], r)
				to = (to + 1) % s.n
			}
		}
		return parts[K]{rows: out}
	case "coalesce":
		n := min(s.n, len(first.rows))
		out := make([][]row[K], n)
		for p := range out {
			out[p] = slices.Concat(first.rows[len(first.rows)*p/n : len(first.rows)*(p+1)/n]...)
		}
		return parts[K]{rows: out}
	case "sample":
		out := make([][]row[K], len(first.rows))
		for p, rows := range first.rows {
			rng := rand.New(rand.NewPCG(s.arg, codec.HashUint64(uint64(p))))
			for _, r := range rows {
				if rng.Float64() < sampleFraction(s.arg) {
					out[p] = append(out[p], r)
				}
			}
		}
		return parts[K]{out, first.by}
	case "index":
		i := int64(-1)
		return parts[K]{rows: mapRows(first.rows, func(r row[K]) row[K] { i++; return indexed[K]{}.Call(rdd.Pair[row[K], int64]{Key: r, Value: i}) })}
	case "persist", "checkpoint", "localcheckpoint":
		return first
	}
	panic("no such operation: " + s.op)
}

func oneIf(b bool) int {
	if b {
		return 1
	}
	return 0
}

func mapRows[R, S any](in [][]R, f func(R) S) [][]S {
	out := make([][]S, len(in))
	for p, rows := range in {
		for _, r := range rows {
			out[p] = append(out[p], f(r))
		}
	}
	return out
}

func flatMapRows[R any](in [][]R, f func(R) []R) [][]R {
	out := make([][]R, len(in))
	for p, rows := range in {
		for _, r := range rows {
			out[p] = append(out[p], f(r)...)
		}
	}
	return out
}

func hashOf[K comparable](k K) uint64 {
	ops, err := codec.KeysOf[K]()
	if err != nil {
		panic(err)
	}
	return ops.Hash(k)
}

// choose is where rows meet: as asked for, else where the inputs lie already, else hashed into as many partitions as the larger has.
func choose[K cmp.Ordered](n int, in []parts[K]) place {
	if n > 0 {
		return hashed(n)
	}
	most := 1
	var best place
	for _, t := range in {
		most = max(most, len(t.rows))
		if t.by.kind != anywhere && t.by.n > best.n {
			best = t.by
		}
	}
	if best.n*10 > most {
		return best
	}
	return hashed(most)
}

// move puts rows in their place, partition after partition.
func move[K cmp.Ordered](t parts[K], to place) [][]row[K] {
	if t.by == to {
		return t.rows
	}
	out := make([][]row[K], to.n)
	for _, rows := range t.rows {
		for _, r := range rows {
			p := hashOf(r.Key) % uint64(to.n)
			out[p] = append(out[p], r)
		}
	}
	return out
}

// valuesOf collects the values of each key in their order, and the keys by hash.
func valuesOf[K comparable](rows []rdd.Pair[K, int64]) (keys []K, values map[K][]int64) {
	values = map[K][]int64{}
	for _, r := range rows {
		if _, ok := values[r.Key]; !ok {
			keys = append(keys, r.Key)
		}
		values[r.Key] = append(values[r.Key], r.Value)
	}
	return byHash(keys), values
}

func byHash[K comparable](keys []K) []K {
	type hashedKey struct {
		hash uint64
		key  K
	}
	all := make([]hashedKey, len(keys))
	for i, k := range keys {
		all[i] = hashedKey{hashOf(k), k}
	}
	slices.SortStableFunc(all, func(a, b hashedKey) int { return cmp.Compare(a.hash, b.hash) })
	for i := range all {
		keys[i] = all[i].key
	}
	return keys
}

func byKey[K cmp.Ordered](in [][]row[K], f func([]int64) []int64) [][]row[K] {
	out := make([][]row[K], len(in))
	for p, rows := range in {
		keys, values := valuesOf(rows)
		for _, k := range keys {
			for _, v := range f(values[k]) {
				out[p] = append(out[p], row[K]{Key: k, Value: v})
			}
		}
	}
	return out
}

func union[K cmp.Ordered](in []parts[K]) parts[K] {
	if in[0].by.kind == anywhere || in[0].by != in[1].by {
		return parts[K]{rows: slices.Concat(in[0].rows, in[1].rows)}
	}
	out := make([][]row[K], len(in[0].rows))
	for p := range out {
		out[p] = slices.Concat(in[0].rows[p], in[1].rows[p])
	}
	return parts[K]{out, in[0].by}
}

func distinct[K cmp.Ordered](t parts[K], n int) parts[K] {
	rows := t.rows
	if t.by.kind == anywhere || n != 0 && n != len(rows) {
		n = cmp.Or(n, len(rows))
		rows = make([][]row[K], n)
		for _, from := range t.rows {
			for _, r := range from {
				p := hashOf(r) % uint64(n)
				rows[p] = append(rows[p], r)
			}
		}
	}
	out := make([][]row[K], len(rows))
	for p, all := range rows {
		seen := map[row[K]]bool{}
		for _, r := range all {
			if !seen[r] {
				seen[r] = true
				out[p] = append(out[p], r)
			}
		}
		byHash(out[p])
	}
	return parts[K]{rows: out}
}

// together joins or groups two datasets whose rows lie alike.
func together[K cmp.Ordered](op string, left, right [][]row[K]) [][]row[K] {
	out := make([][]row[K], len(left))
	for p := range left {
		keys, lefts := valuesOf(left[p])
		more, rights := valuesOf(right[p])
		if op == "cogroup" {
			for _, k := range more {
				if _, ok := lefts[k]; !ok {
					keys = append(keys, k)
				}
			}
			byHash(keys)
		}
		for _, k := range keys {
			if op == "cogroup" {
				out[p] = append(out[p], row[K]{Key: k, Value: foldBoth(lefts[k], rights[k])})
				continue
			}
			for _, l := range lefts[k] {
				for _, r := range rights[k] {
					out[p] = append(out[p], row[K]{Key: k, Value: l*31 + r})
				}
				if _, ok := rights[k]; !ok && op == "leftjoin" {
					out[p] = append(out[p], row[K]{Key: k, Value: l*31 - 1})
				}
			}
		}
	}
	return out
}

// crossRows is the most rows of a join of two tables.
func crossRows(a, b table) int {
	if a.text {
		return crossOf(a.texts.rows, b.texts.rows)
	}
	return crossOf(a.ints.rows, b.ints.rows)
}

func crossOf[K cmp.Ordered](a, b [][]row[K]) int {
	count := map[K]int{}
	for _, r := range slices.Concat(b...) {
		count[r.Key]++
	}
	n := 0
	for _, r := range slices.Concat(a...) {
		n += max(count[r.Key], 1)
	}
	return n
}

func sorted[K cmp.Ordered](s step, id int, t parts[K], cut cutter) parts[K] {
	all := slices.Concat(t.rows...)
	by := place{ranges, cmp.Or(s.n, len(t.rows)), id, s.op == "sortdown"}
	slices.SortStableFunc(all, func(a, b row[K]) int {
		if by.down {
			return cmp.Compare(b.Key, a.Key)
		}
		return cmp.Compare(a.Key, b.Key)
	})
	if by.n == 1 {
		by.id = 0
		return parts[K]{[][]row[K]{all}, by}
	}
	var out [][]row[K]
	for _, n := range cut(id, by.n, len(all), func(i int) bool { return all[i-1].Key == all[i].Key }) {
		out = append(out, all[:n])
		all = all[n:]
	}
	return parts[K]{out, by}
}

// The functions of the programs, which the model shares with the engine.

// numberOf and keyOf lead from keys to numbers and back.
func numberOf[K cmp.Ordered](k K) uint64 {
	switch k := any(k).(type) {
	case int64:
		return mix(uint64(k))
	case string:
		h := uint64(14695981039346656037)
		for i := range len(k) {
			h = (h ^ uint64(k[i])) * 1099511628211
		}
		return mix(h)
	}
	panic(fmt.Sprintf("a key of type %T", k))
}

func keyOf[K cmp.Ordered](n uint64, keys, width int) K {
	n %= uint64(keys)
	var k K
	switch k := any(&k).(type) {
	case *int64:
		*k = int64(n) - int64(keys/3)
	case *string:
		*k = textKey(int64(n), width)
	}
	return k
}

func textKey(n int64, width int) string {
	return strconv.FormatInt(n, 36) + strings.Repeat("é~"[:2+int(n&1)], (width+1)/2)
}

func mix(x uint64) uint64 {
	x = (x ^ x>>31) * 0x7fb5d329728ea185
	return x ^ x>>27
}

// sourceRow makes the rows of sources of their numbers. Of skewed ones two in five have the same key.
type sourceRow struct {
	Keys   int
	Skewed bool
	Arg    uint64
	Slow   time.Duration // how long every Each-th row takes
	Each   int64
}

func (s sourceRow) Call(x int64) row[int64] {
	if s.Slow > 0 && x%s.Each == 0 {
		time.Sleep(s.Slow)
	}
	n := mix(uint64(x)*31 + s.Arg)
	if s.Skewed && n%5 < 2 {
		n = 0
	}
	return row[int64]{Key: keyOf[int64](n>>3, s.Keys, 0), Value: x}
}

type toText struct{ Width int }

func (m toText) Call(r row[int64]) row[string] {
	return row[string]{Key: textKey(r.Key, m.Width), Value: r.Value}
}

type toInt struct{}

func (toInt) Call(r row[string]) row[int64] {
	return row[int64]{Key: int64(numberOf(r.Key) % 4099), Value: r.Value + int64(len(r.Key))}
}

type mapRow[K cmp.Ordered] struct {
	Keys, Width int
	Arg         uint64
}

func (m mapRow[K]) Call(r row[K]) row[K] {
	return row[K]{Key: keyOf[K](numberOf(r.Key)+m.Arg, m.Keys, m.Width), Value: r.Value*31 + int64(m.Arg)}
}

type keepRow[K cmp.Ordered] struct{ Arg uint64 }

func (k keepRow[K]) Call(r row[K]) bool { return (numberOf(r.Key)+uint64(r.Value)+k.Arg)%5 != 0 }

// copies gives none to three of each row.
type copies[K cmp.Ordered] struct{ Arg uint64 }

func (c copies[K]) Call(r row[K]) []row[K] {
	var out []row[K]
	for i := range int64((uint64(r.Value) + c.Arg) % 4) {
		out = append(out, row[K]{Key: r.Key, Value: r.Value + i})
	}
	return out
}

// number mixes the partition and the row's position in it into the value.
type number[K cmp.Ordered] struct{}

func (number[K]) Call(partition int, rows iter.Seq[row[K]]) iter.Seq[row[K]] {
	return func(yield func(row[K]) bool) {
		i := int64(partition)
		for r := range rows {
			if i += 1000; !yield(row[K]{Key: r.Key, Value: r.Value*31 + i}) {
				return
			}
		}
	}
}

var folds = map[string]func(a, b int64) int64{
	"sum":   func(a, b int64) int64 { return a + b },
	"first": func(a, _ int64) int64 { return a },
	"last":  func(_, b int64) int64 { return b },
	"least": func(a, b int64) int64 { return min(a, b) },
}

// foldGroup depends on the order of the values.
func foldGroup(values []int64) int64 {
	h := int64(len(values))
	for _, v := range values {
		h = h*1_000_003 + v
	}
	return h
}

func foldBoth(left, right []int64) int64 { return foldGroup(left)*17 + foldGroup(right) }

func foldCoGroup(g rdd.Grouped2[int64, int64]) int64 { return foldBoth(g.Left, g.Right) }

func foldJoined(j rdd.Joined[int64, int64]) int64 { return j.Left*31 + j.Right }

func foldLeftJoined(j rdd.Joined[int64, rdd.Optional[int64]]) int64 {
	return j.Left*31 + j.Right.Or(-1)
}

type indexed[K cmp.Ordered] struct{}

func (indexed[K]) Call(r rdd.Pair[row[K], int64]) row[K] {
	return row[K]{Key: r.Key.Key, Value: r.Key.Value*31 + r.Value}
}

func sampleFraction(arg uint64) float64 { return []float64{0.2, 0.5, 0.9, 1}[arg%4] }

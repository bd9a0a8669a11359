package linalg

import (
	"cmp"
	"math"
	"slices"
)

// Dot returns Σ x[i]·y[i] in float64, summed in order, for the length of x. Products of float32 are exact in float64, so every machine
// gives the same bits, and ScoreBlock gives those of Dot.
func Dot(x, y []float32) float64 {
	y = y[:len(x)]
	s := 0.0
	for i, v := range x {
		s += float64(v) * float64(y[i])
	}
	return s
}

// Dots sets dst[i] to Dot of x and the i-th of the vectors that lie one after the other, each as long as x, with the same bits. Four sums
// run beside each other: one alone waits for each addition.
func Dots(dst []float64, x, vectors []float32) {
	rank := len(x)
	vectors = vectors[:len(dst)*rank]
	i := 0
	for ; i+4 <= len(dst); i += 4 {
		at := vectors[i*rank : (i+4)*rank]
		a, b, c, d := at[:rank], at[rank:2*rank], at[2*rank:3*rank], at[3*rank:4*rank]
		var p, q, r, s float64
		for k, v := range x {
			w := float64(v)
			p += w * float64(a[k])
			q += w * float64(b[k])
			r += w * float64(c[k])
			s += w * float64(d[k])
		}
		dst[i], dst[i+1], dst[i+2], dst[i+3] = p, q, r, s
	}
	for ; i < len(dst); i++ {
		dst[i] = Dot(x, vectors[i*rank:(i+1)*rank])
	}
}

const (
	scoreRows    = 4  // rows that are scored at once
	scoreColumns = 12 // vectors in a panel
)

// ScoreBlock holds vectors such that the products of all of them with four others come at the speed of the arithmetic.
type ScoreBlock struct {
	rank, n int
	panels  []float64 // twelve vectors each, number by number
	four    []float64 // the other vectors, number by number
}

// NewScoreBlock makes a block of the vectors that lie one after the other, rank numbers each. It is used by one goroutine.
func NewScoreBlock(vectors []float32, rank int) *ScoreBlock {
	if rank < 1 || len(vectors)%rank != 0 {
		panic("linalg: vectors of wrong shape")
	}
	b := &ScoreBlock{rank: rank, n: len(vectors) / rank, four: make([]float64, scoreRows*rank)}
	b.panels = make([]float64, b.Stride()*rank)
	for i := range b.n {
		at := i/scoreColumns*scoreColumns*rank + i%scoreColumns
		for k, v := range vectors[i*rank : (i+1)*rank] {
			b.panels[at+k*scoreColumns] = float64(v)
		}
	}
	return b
}

// Len is the number of vectors.
func (b *ScoreBlock) Len() int { return b.n }

// Stride is the length of a row of scores: Len rounded up to whole panels.
func (b *ScoreBlock) Stride() int { return (b.n + scoreColumns - 1) / scoreColumns * scoreColumns }

// Scores sets row i of dst, Stride numbers long, to the inner products of the i-th of up to four vectors in x with all of the block; what
// is beyond Len is of no meaning. dst has four rows.
func (b *ScoreBlock) Scores(dst []float64, x []float32) {
	stride := b.Stride()
	if dst = dst[:scoreRows*stride]; len(x) > scoreRows*b.rank || len(x)%b.rank != 0 {
		panic("linalg: score more than four vectors, or some of wrong length")
	}
	clear(dst)
	clear(b.four)
	for i := range len(x) / b.rank {
		for k, v := range x[i*b.rank : (i+1)*b.rank] {
			b.four[k*scoreRows+i] = float64(v)
		}
	}
	for j := 0; j < stride; j += scoreColumns {
		panel := b.panels[j*b.rank : (j+scoreColumns)*b.rank]
		if scoreAssembly(dst[j:], stride, b.four, panel, b.rank) {
			continue
		}
		for i := range scoreRows {
			out := dst[i*stride+j : i*stride+j+scoreColumns]
			for k := range b.rank {
				v := b.four[k*scoreRows+i]
				for l, w := range panel[k*scoreColumns : (k+1)*scoreColumns] {
					out[l] = float64(v*w) + out[l]
				}
			}
		}
	}
}

// Top keeps the highest of the scores that it is offered, with their numbers. Of equal scores the lower numbers count.
type Top struct {
	limit int
	heap  []Score // the worst at the root
}

// Score is a number and how good it is.
type Score struct {
	Index int32
	Value float64
}

// before is the order of results.
func (a Score) before(b Score) bool {
	return a.Value > b.Value || a.Value == b.Value && a.Index < b.Index
}

// NewTop returns an empty Top that keeps up to n scores.
func NewTop(n int) *Top { return &Top{limit: max(0, n), heap: make([]Score, 0, min(max(0, n), 1024))} }

// Least is what a score must exceed to be kept.
func (t *Top) Least() float64 {
	switch {
	case t.limit == 0:
		return math.Inf(1)
	case len(t.heap) < t.limit:
		return math.Inf(-1)
	}
	return t.heap[0].Value
}

// Offer adds the scores of the numbers first, first+1 and so on, which are higher than all offered before. It never keeps NaN or -Inf.
func (t *Top) Offer(first int32, scores []float64) {
	if t.limit == 0 {
		return
	}
	least := t.Least()
	for i, v := range scores {
		if !(v > least) {
			continue
		}
		s := Score{first + int32(i), v}
		if len(t.heap) < t.limit {
			t.heap = append(t.heap, s)
			t.up(len(t.heap) - 1)
			if len(t.heap) < t.limit {
				continue
			}
		} else {
			t.heap[0] = s
			t.down()
		}
		least = t.heap[0].Value
	}
}

// Take returns the scores, best first, and empties t. They are valid until the next Offer.
func (t *Top) Take() []Score {
	s := t.heap
	t.heap = t.heap[:0]
	slices.SortFunc(s, func(a, b Score) int { return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Index, b.Index)) })
	return s
}

func (t *Top) up(i int) {
	for h := t.heap; i > 0; {
		parent := (i - 1) / 2
		if !h[parent].before(h[i]) {
			return
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
}

func (t *Top) down() {
	h := t.heap
	for i := 0; ; {
		worst := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h); c++ {
			if h[worst].before(h[c]) {
				worst = c
			}
		}
		if worst == i {
			return
		}
		h[worst], h[i] = h[i], h[worst]
		i = worst
	}
}

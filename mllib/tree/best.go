package tree

import (
	"math/bits"
	"slices"
)

// problem is what all tasks of a training know.
type problem struct {
	Features   []feature
	Usable     []int32 // features with more than one bin
	Subset     int     // how many of them a node chooses from
	Regression bool
	NumClasses int
	Entropy    bool
	Mean       float64 // of the labels of a regression, taken off the targets
	MaxDepth   int
	MinCount   float64 // rows of a side
	MinWeight  float64 // weight of a side
	MinGain    float64
	Seed       int64
	Bag        bag
	Weighted   bool
	Merge      bool // leaves of one parent that predict the same
}

// split parts the rows of a node.
type split struct {
	feature     int32 // -1: none
	bin         int32 // of a numeric feature: bins up to this one go left
	categories  []uint64
	gain        float64
	left, right []float64 // statistics of the sides
}

// goesLeft tells on which side a bin is.
func (s *split) goesLeft(bin int) bool {
	if s.categories != nil {
		return s.categories[bin>>6]>>(bin&63)&1 != 0
	}
	return bin <= int(s.bin)
}

// finder looks for the best split of a node: feature by feature, in ascending order, each given as a histogram, that is the statistics
// of each bin. Of equally good splits the first one stays.
type finder struct {
	*problem
	size  int
	total []float64 // of the node
	own   float64   // purity and
	all   float64   // weight of the node
	noise float64   // gains up to this are rounding errors

	best        split
	left, right []float64
	order       []int32
	centroids   []float64
}

func newFinder(p *problem) *finder {
	n := p.statSize()
	return &finder{
		problem: p, size: n, left: make([]float64, n), right: make([]float64, n),
		best: split{left: make([]float64, n), right: make([]float64, n)},
	}
}

// start begins a node with the given statistics.
func (f *finder) start(total []float64, impurity float64) {
	f.total = total
	f.own, f.all = f.purity(total)
	f.noise = 1e-13 * impurity
	f.best.feature, f.best.gain = -1, 0
}

// offer weighs what f.left would take and keeps it if it is the best so far.
func (f *finder) offer() bool {
	for i, t := range f.total {
		f.right[i] = t - f.left[i]
	}
	n, m := count(f.left), count(f.right)
	if n < f.MinCount || m < f.MinCount || n == 0 || m == 0 {
		return false
	}
	pl, wl := f.purity(f.left)
	pr, wr := f.purity(f.right)
	if wl < f.MinWeight || wr < f.MinWeight {
		return false
	}
	gain := (pl + pr - f.own) / f.all
	if !(gain > f.noise) || gain < f.MinGain || gain <= f.best.gain {
		return false
	}
	f.best.gain = gain
	copy(f.best.left, f.left)
	copy(f.best.right, f.right)
	return true
}

// look weighs all splits of one feature.
func (f *finder) look(number int32, hist []float64) {
	x := &f.Features[number]
	switch {
	case x.Unordered:
		f.unordered(number, hist)
	case x.Arity > 0:
		f.ordered(number, hist)
	default:
		clear(f.left)
		for b := range x.Bins - 1 {
			cell := hist[b*f.size : (b+1)*f.size]
			if count(cell) == 0 {
				continue // the same rows as one bin less
			}
			add(f.left, cell)
			if f.offer() {
				f.best.feature, f.best.bin, f.best.categories = number, int32(b), nil
			}
		}
	}
}

func add(to, from []float64) {
	for i, v := range from {
		to[i] += v
	}
}

// ordered puts the categories that the node has in the order of their mean label (with two classes: of the share of class 1; with more:
// of their impurity, as Spark does), for which only splits along the order need be tried; categories that the node lacks go right.
func (f *finder) ordered(number int32, hist []float64) {
	x := &f.Features[number]
	f.order, f.centroids = f.order[:0], f.centroids[:0]
	for c := range x.Bins {
		cell := hist[c*f.size : (c+1)*f.size]
		centroid := 0.0
		switch {
		case count(cell) == 0:
		case f.Regression:
			centroid = cell[sumY] / cell[sumWeight]
		case f.NumClasses == 2:
			centroid = cell[1] / (cell[0] + cell[1])
		default:
			centroid = f.impurity(cell)
		}
		f.centroids = append(f.centroids, centroid)
		if count(cell) > 0 {
			f.order = append(f.order, int32(c))
		}
	}
	slices.SortStableFunc(f.order, func(a, b int32) int {
		switch ca, cb := f.centroids[a], f.centroids[b]; {
		case ca < cb:
			return -1
		case ca > cb:
			return 1
		}
		return 0
	})
	clear(f.left)
	found := -1
	for i, c := range f.order {
		add(f.left, hist[int(c)*f.size:(int(c)+1)*f.size])
		if i < len(f.order)-1 && f.offer() {
			found = i
		}
	}
	if found < 0 {
		return
	}
	set := make([]uint64, (x.Bins+63)/64)
	for _, c := range f.order[:found+1] {
		set[c>>6] |= 1 << (c & 63)
	}
	f.best.feature, f.best.categories = number, set
}

// unordered tries every set of the categories that holds not the node's first one, and its complement.
func (f *finder) unordered(number int32, hist []float64) {
	x := &f.Features[number]
	f.order = f.order[:0]
	for c := range x.Bins {
		if count(hist[c*f.size:(c+1)*f.size]) > 0 {
			f.order = append(f.order, int32(c))
		}
	}
	if len(f.order) < 2 {
		return
	}
	best := uint64(0)
	for m := uint64(1); m < 1<<(len(f.order)-1); m++ {
		clear(f.left)
		for rest := m; rest != 0; rest &= rest - 1 {
			c := int(f.order[bits.TrailingZeros64(rest)])
			add(f.left, hist[c*f.size:(c+1)*f.size])
		}
		if f.offer() {
			best = m
		}
	}
	if best == 0 {
		return
	}
	set := make([]uint64, (x.Bins+63)/64)
	for rest := best; rest != 0; rest &= rest - 1 {
		c := f.order[bits.TrailingZeros64(rest)]
		set[c>>6] |= 1 << (c & 63)
	}
	f.best.feature, f.best.categories = number, set
}

package tree

import (
	"math"
	"slices"
)

// mix is splitmix64's finaliser: every bit of the result depends on every bit of x.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// treeSeed is the seed of one tree of a forest.
func treeSeed(seed int64, tree int) uint64 { return mix(mix(uint64(seed)) + uint64(tree)) }

// A node's path names it within its tree, whatever the order in which nodes are made.
const rootPath uint64 = 1

func leftPath(path uint64) uint64  { return mix(2 * path) }
func rightPath(path uint64) uint64 { return mix(2*path + 1) }

// bag says how often a tree sees each row: a function of the tree's seed and the row's number among all rows, and so of nothing that
// failures, executors or the partitioning of the rows change.
type bag struct {
	Limits []uint32 // a row counts as often as limits are not above its random number; nil: each row counts once
	Tail   []uint32 // the further limits, for the few rows that reach them
}

// newBag makes the bag of the settings.
func newBag(rate float64, bootstrap bool) bag {
	const unit = 1 << 32
	switch {
	case !bootstrap && rate == 1:
		return bag{}
	case !bootstrap:
		return bag{Limits: []uint32{uint32(min((1-rate)*unit, unit-1))}}
	}
	// The distribution function of Poisson: P(X ≤ k).
	b := bag{}
	p, sum := math.Exp(-rate), 0.0
	for k := range 16 {
		if k > 0 {
			p = float64(p * (rate / float64(k)))
		}
		sum += p
		limit := uint32(min(sum*unit, unit-1))
		if k < 4 {
			b.Limits = append(b.Limits, limit)
		} else {
			b.Tail = append(b.Tail, limit)
		}
	}
	return b
}

// copies is how often the tree sees the row.
func (b *bag) copies(seed, row uint64) uint32 {
	if b.Limits == nil {
		return 1
	}
	u := uint32(mix(seed+row*0xd1342543de82ef95) >> 32)
	n := uint32(0)
	for _, limit := range b.Limits {
		if u >= limit {
			n++
		}
	}
	if int(n) == len(b.Limits) {
		for _, limit := range b.Tail {
			if u < limit {
				break
			}
			n++
		}
	}
	return n
}

// chooser draws the features that a node chooses from.
type chooser struct {
	usable []int32 // features that can be split at all
	perm   []int32 // usable, in an order that choose restores
	swaps  []int
	chosen []int32
}

func newChooser(usable []int32) chooser {
	return chooser{usable: usable, perm: slices.Clone(usable)}
}

// choose returns n of the usable features, ascending; all if there are not more. The result is valid until the next call.
func (c *chooser) choose(n int, seed, path uint64) []int32 {
	if n >= len(c.perm) {
		return c.usable
	}
	state := mix(seed ^ mix(path))
	c.swaps, c.chosen = c.swaps[:0], c.chosen[:0]
	for i := range n {
		state += 0x9e3779b97f4a7c15
		j := i + int(mix(state)>>32*uint64(len(c.perm)-i)>>32)
		c.perm[i], c.perm[j] = c.perm[j], c.perm[i]
		c.swaps = append(c.swaps, j)
		c.chosen = append(c.chosen, c.perm[i])
	}
	for i := n - 1; i >= 0; i-- {
		j := c.swaps[i]
		c.perm[i], c.perm[j] = c.perm[j], c.perm[i]
	}
	slices.Sort(c.chosen)
	return c.chosen
}

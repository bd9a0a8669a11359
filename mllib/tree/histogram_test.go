package tree

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestHistograms holds every way of counting to the plain sum: narrow, wide, rare and two-binned features; classes, weighted classes and
// numbers.
func TestHistograms(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, mode := range []string{"counts", "weighted", "regression"} {
		for _, classes := range []int{2, 7, 40} {
			p := &problem{NumClasses: classes, Regression: mode == "regression", Weighted: mode == "weighted", Bag: newBag(1, true)}
			const rows = 3000
			bit := 0
			for f := range 90 {
				x := feature{Bins: 2 + f%30, Common: -1, Bit: -1}
				switch {
				case f%3 == 0:
					x.Bins = 2
					if mode == "counts" {
						x.Bit = bit
						bit++
					}
				case f == 1:
					x.Bins = 500
				case f%3 == 1:
					x.Common = 1
				}
				p.Features = append(p.Features, x)
				p.Usable = append(p.Usable, int32(f))
			}
			tab := newTable(p.Features, rows, p.Regression, p.Weighted)
			tab.Rows = rows
			for f, x := range p.Features {
				for range rows {
					if b := r.IntN(x.Bins); x.Bins > 256 {
						tab.Bins[f].Wide = append(tab.Bins[f].Wide, uint16(b))
					} else {
						tab.Bins[f].Narrow = append(tab.Bins[f].Narrow, uint8(b))
					}
				}
			}
			for range rows {
				if p.Regression {
					tab.Targets = append(tab.Targets, r.NormFloat64())
				} else {
					tab.Classes = append(tab.Classes, uint16(r.IntN(classes)))
				}
				if p.Weighted {
					tab.Weights = append(tab.Weights, r.Float64())
				}
			}
			tab.pack(p.Features)
			c := newCounter(p, &tab)
			all := c.draw(5)
			for _, records := range [][]record{all, all[100:130], all[7:8]} {
				c.load(records)
				total := make([]float64, p.statSize())
				c.stats(total, records)
				size := 0
				for _, x := range p.Features {
					size += x.Bins * p.statSize()
				}
				got := make([]float64, size)
				for i := range got {
					got[i] = math.NaN() // nothing may stay
				}
				c.histograms(got, p.Usable, records, total)
				at := 0
				for f, x := range p.Features {
					want := make([]float64, x.Bins*p.statSize())
					for _, rec := range records {
						row := rowOf(rec)
						cell := want[tab.Bins[f].at(row)*p.statSize():]
						w := float64(copiesOf(rec))
						if p.Weighted {
							w *= tab.Weights[row]
						}
						if p.Regression {
							y := tab.Targets[row]
							cell[sumWeight] += w
							cell[sumY] += w * y
							cell[sumYY] += w * y * y
							cell[sumRows] += float64(copiesOf(rec))
						} else {
							cell[tab.Classes[row]] += w
							cell[classes] += float64(copiesOf(rec))
						}
					}
					for i, w := range want {
						if g := got[at+i]; mode == "counts" && g != w || !(math.Abs(g-w) < 1e-9) {
							t.Fatalf("%s of %d classes, %d records: feature %d %+v, cell %d is %v, want %v", mode, classes, len(records), f, x, i, g, w)
						}
					}
					at += len(want)
				}
			}
		}
	}
}

// TestCategoricalSplits holds the split of a category to the best of all ways to part its values.
func TestCategoricalSplits(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for round := range 300 {
		arity := 2 + r.IntN(6)
		p := &problem{NumClasses: 2 + round%2, Regression: round%3 == 0, MinCount: 1, Entropy: round%5 == 0}
		x := feature{Arity: arity, Bins: arity, Unordered: !p.Regression && p.NumClasses > 2, Common: -1, Bit: -1}
		p.Features = []feature{x}
		size := p.statSize()
		hist, total := make([]float64, arity*size), make([]float64, size)
		for c := range arity {
			if r.IntN(5) == 0 {
				continue // a category that the node lacks
			}
			for range 1 + r.IntN(9) {
				cell := hist[c*size:]
				if p.Regression {
					y := math.Round(8*r.NormFloat64()) / 4
					cell[sumWeight]++
					cell[sumY] += y
					cell[sumYY] += y * y
					cell[sumRows]++
				} else {
					cell[r.IntN(p.NumClasses)]++
					cell[size-1]++
				}
			}
			add(total, hist[c*size:(c+1)*size])
		}
		if count(total) == 0 {
			continue
		}
		f := newFinder(p)
		f.start(total, p.impurity(total))
		f.look(0, hist)
		best := 0.0
		for m := range 1 << arity {
			left, right := make([]float64, size), make([]float64, size)
			for c := range arity {
				add([][]float64{right, left}[m>>c&1], hist[c*size:(c+1)*size])
			}
			if count(left) == 0 || count(right) == 0 {
				continue
			}
			gain := p.impurity(total) - (p.weight(left)*p.impurity(left)+p.weight(right)*p.impurity(right))/p.weight(total)
			best = max(best, gain)
		}
		if math.Abs(f.best.gain-best) > 1e-9 {
			t.Errorf("round %d, %+v: gain %v, the best has %v", round, x, f.best.gain, best)
		}
	}
}

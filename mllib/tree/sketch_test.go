package tree

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestThresholds(t *testing.T) {
	big := math.MaxFloat64
	for _, c := range []struct {
		values, weights []float64
		bins            int
		want            string
	}{
		{nil, nil, 4, "[]"},
		{[]float64{3}, []float64{9}, 4, "[]"},
		{[]float64{0, 1}, []float64{9, 1}, 32, "[0.5]"},
		{[]float64{1, 2, 4, 8}, []float64{1, 1, 1, 1}, 4, "[1.5 3 6]"},
		{[]float64{1, 2, 4, 8}, []float64{1, 0, 1, 1}, 4, "[2.5 6]"}, // a value without weight asks for no split
		{[]float64{1, 2, 3, 4, 5, 6, 7, 8}, []float64{1, 1, 1, 1, 1, 1, 1, 1}, 4, "[2.5 4.5 6.5]"},
		{[]float64{0, 1, 2, 3, 4, 5, 6}, []float64{94, 1, 1, 1, 1, 1, 1}, 4, "[0.5 2.5 4.5]"}, // a heavy value gets an interval of its own
		{[]float64{0, 1, 2, 3, 4, 5, 6}, []float64{1, 1, 1, 94, 1, 1, 1}, 4, "[1.5 2.5 3.5]"},
		{[]float64{-big, big}, []float64{1, 1}, 2, "[0]"},
		{[]float64{1, math.Nextafter(1, 2)}, []float64{1, 1}, 2, "[1]"},
	} {
		got := summary{Values: c.values, Weights: c.weights}.thresholds(c.bins)
		if fmt.Sprint(got) != c.want {
			t.Errorf("%v with weights %v in %d bins: %v, want %s", c.values, c.weights, c.bins, got, c.want)
		}
	}
}

// TestSummary holds the quantiles of merged summaries to those of all values.
func TestSummary(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var all []float64
	var merged summary
	for part := range 7 {
		var s sketch
		for i := range 60_000 {
			v := r.ExpFloat64() * float64(1+part%3)
			all = append(all, v)
			s.add(v, 1, uint64(part)<<40+uint64(i))
		}
		one := s.summary()
		if one.Exact || len(one.Values) > summaryEntries {
			t.Fatalf("partition %d: %d entries, exact %v", part, len(one.Values), one.Exact)
		}
		if part == 0 {
			merged = one
		} else {
			merged = mergeSummaries(merged, one)
		}
	}
	total := 0.0
	for _, w := range merged.Weights {
		total += w
	}
	if math.Abs(total-float64(len(all))) > 1e-3 {
		t.Errorf("the weights sum to %v, want %d", total, len(all))
	}
	slices.Sort(all)
	cuts := merged.thresholds(32)
	if len(cuts) != 31 {
		t.Errorf("%d thresholds", len(cuts))
	}
	for i, c := range cuts {
		below, _ := slices.BinarySearch(all, c)
		if got, want := float64(below)/float64(len(all)), float64(i+1)/32; math.Abs(got-want) > 0.005 {
			t.Errorf("threshold %d has %.4f of the values below it, want %.4f", i, got, want)
		}
	}
}

// TestBins holds every way to find bins to the definition.
func TestBins(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for _, n := range []int{0, 1, 2, 3, 7, 8, 31, 255, 700} {
		f := feature{Bins: n + 1}
		for i := range n {
			f.Thresholds = append(f.Thresholds, float64(i)+0.5)
		}
		values := []float64{math.Inf(-1), math.Inf(1), -1, 0, 0.5, float64(n), float64(n) + 0.5}
		for range 300 {
			values = append(values, math.Round(r.Float64()*float64(2*n+4))/2-1)
		}
		column := ColumnOf(values)
		got := binColumn([]uint16(nil), &column, &f)
		wide := binColumn([]uint16(nil), &Column{Float64s: values}, &f)
		for i, v := range values {
			want, _ := slices.BinarySearch(f.Thresholds, v)
			if int(got[i]) != want || int(wide[i]) != want {
				t.Fatalf("%d thresholds: %v is in bin %d and %d, want %d", n, v, got[i], wide[i], want)
			}
		}
	}
}

// TestBag holds the bootstrap to the Poisson distribution.
func TestBag(t *testing.T) {
	for _, rate := range []float64{1, 0.3} {
		b := newBag(rate, true)
		const n = 400_000
		var counts [12]float64
		for row := range uint64(n) {
			counts[min(b.copies(treeSeed(1, 2), row), 11)]++
		}
		p := math.Exp(-rate)
		for k := range 7 {
			if k > 0 {
				p *= rate / float64(k)
			}
			if got := counts[k] / n; math.Abs(got-p) > 5*math.Sqrt(p/n)+1e-6 {
				t.Errorf("rate %v: %.5f of the rows have %d copies, want %.5f", rate, got, k, p)
			}
		}
		without := newBag(rate, false)
		in := 0.0
		for row := range uint64(n) {
			in += float64(without.copies(7, row))
		}
		if math.Abs(in/n-rate) > 0.005 {
			t.Errorf("without replacement %.4f of the rows are in, want %v", in/n, rate)
		}
	}
}

// TestChooser holds the draw of features to be even, ascending and free of repetitions.
func TestChooser(t *testing.T) {
	usable := []int32{2, 3, 5, 7, 11, 13, 17, 19}
	c := newChooser(usable)
	counts := map[int32]int{}
	for path := range uint64(20_000) {
		got := c.choose(3, 9, path)
		if len(got) != 3 || got[0] >= got[1] || got[1] >= got[2] {
			t.Fatalf("drew %v", got)
		}
		for _, f := range got {
			counts[f]++
		}
	}
	for _, f := range usable {
		if math.Abs(float64(counts[f])-7500) > 300 {
			t.Errorf("feature %d was drawn %d times, want about 7500", f, counts[f])
		}
	}
	if !slices.Equal(c.perm, usable) || !slices.Equal(c.choose(8, 1, 1), usable) {
		t.Errorf("the order is %v", c.perm)
	}
}

package rdd_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func addFloats(a, b float64) float64 { return a + b }

// treeSum is the order in which TreeAggregate merges.
func treeSum(parts []float64, depth int) float64 {
	n := len(parts)
	scale := max(2, int(math.Ceil(math.Pow(float64(n), 1/float64(depth)))))
	for n > scale+(n+scale-1)/scale {
		to := n / scale
		merged := make([]float64, to)
		first := make([]bool, to)
		for p, x := range parts {
			g := p * to / n
			if !first[g] {
				merged[g], first[g] = x, true
			} else {
				merged[g] += x
			}
		}
		parts, n = merged, to
	}
	sum := parts[0]
	for _, x := range parts[1:] {
		sum += x
	}
	return sum
}

func TestTreeAggregateMergesInAFixedOrder(t *testing.T) {
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(8, 8))
	rows := make([]float64, 4000)
	for i := range rows {
		rows[i] = rng.NormFloat64() * math.Pow(10, float64(rng.IntN(16)))
	}
	onCores(t, func(t *testing.T, sc *driver.Context) {
		for _, n := range []int{1, 2, 3, 7, 16, 50} {
			r := rdd.Parallelize(sc, rows, n)
			var parts []float64
			for _, p := range mustCollect(t, rdd.Glom(r)) {
				sum := 0.0
				for _, x := range p {
					sum += x
				}
				parts = append(parts, sum)
			}
			for depth := 1; depth <= 3; depth++ {
				got, err := rdd.TreeAggregate(ctx, r, 0, addFloats, addFloats, depth)
				if want := treeSum(parts, depth); err != nil || got != want {
					t.Errorf("%d partitions, depth %d: %v, %v, want %v", n, depth, got, err, want)
				}
				once, err := rdd.TreeAggregateOnExecutor(ctx, r, 0, addFloats, addFloats, depth)
				if err != nil || once != got {
					t.Errorf("%d partitions, depth %d, last merge on an executor: %v, %v, want %v", n, depth, once, err, got)
				}
			}
		}
	})
}

func addVectors(a, b []float64) []float64 {
	for i := range a {
		a[i] += b[i]
	}
	return a
}

// Small results are merged on the driver, large ones and those whose size zero does not tell on executors: the bits are the same.
func TestTreeAggregateOnDriverAndExecutors(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Map(rdd.Range(sc, 0, 400, 1, 40), func(x int64) float64 { return 1 / (float64(x) + 0.3) })
	first := func(v []float64, x float64) []float64 {
		if len(v) == 0 {
			v = make([]float64, 20_000)
		}
		v[0] += x
		return v
	}
	comb := func(a, b []float64) []float64 {
		if len(a) < len(b) {
			a, b = b, a
		}
		for i := range b {
			a[i] += b[i]
		}
		return a
	}
	grow := func(v []float64, x float64) []float64 {
		if len(v) < 100_000 {
			v = append(v, make([]float64, 100_000)...)
		}
		v[0] += x
		return v
	}
	small, err := rdd.TreeAggregate(ctx, r, make([]float64, 30), first, comb)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		zero []float64
		seq  func([]float64, float64) []float64
	}{"of unknown size": {nil, first}, "large": {make([]float64, 20_000), first}, "larger than zero says": {make([]float64, 30), grow}} {
		got, err := rdd.TreeAggregate(ctx, r, c.zero, c.seq, comb)
		if err != nil || got[0] != small[0] {
			t.Errorf("%s: %v, %v, want %v", name, got[0], err, small[0])
		}
	}
}

// What seq and comb change in place is theirs alone.
func TestTreeAggregateLeavesZeroAlone(t *testing.T) {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	zero := []int64{0, 0}
	for range 2 {
		got, err := rdd.TreeAggregate(ctx, rdd.Range(sc, 0, 1000, 1, 50), zero,
			func(v []int64, x int64) []int64 { v[x%2]++; return v },
			func(a, b []int64) []int64 { a[0] += b[0]; a[1] += b[1]; return a })
		if err != nil || got[0] != 500 || got[1] != 500 {
			t.Fatalf("%v, %v", got, err)
		}
	}
	got, err := rdd.TreeAggregate(ctx, rdd.Empty[int64](sc), zero, func(v []int64, _ int64) []int64 { return v }, func(a, _ []int64) []int64 { return a })
	if err != nil || len(got) != 2 || got[0] != 0 {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	got[0] = 1
	if zero[0] != 0 {
		t.Error("zero was changed")
	}
}

func BenchmarkTreeAggregate(b *testing.B) {
	for _, c := range []struct {
		name       string
		parts, dim int
	}{{"4x1k", 4, 1 << 10}, {"64x1k", 64, 1 << 10}, {"64x100k", 64, 100_000}} {
		b.Run(c.name, func(b *testing.B) {
			sc := driver.New(driver.Master("local[2]"))
			defer sc.Stop()
			r := rdd.Range(sc, 0, int64(c.parts), 1, c.parts).Cache()
			zero := make([]float64, c.dim)
			b.SetBytes(int64(c.parts * c.dim * 8))
			for b.Loop() {
				_, err := rdd.TreeAggregate(context.Background(), r, zero,
					func(v []float64, x int64) []float64 { v[0] += float64(x); return v },
					addVectors)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

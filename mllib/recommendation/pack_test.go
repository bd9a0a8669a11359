package recommendation

import (
	"math"
	"testing"
)

// TestPacking holds what travels against what was packed, on both sides of each limit.
func TestPacking(t *testing.T) {
	negative := float32(math.Copysign(0, -1))
	for name, c := range map[string]struct {
		distinct int
		packed   bool
	}{"none": {0, true}, "one": {1, true}, "all codes": {256, true}, "one too many": {257, false}} {
		vs := []float32{}
		for i := range 3 * c.distinct {
			vs = append(vs, float32(i%c.distinct)*0.5)
			if i%c.distinct == 0 && c.distinct > 255 {
				vs[i] = negative // 0.0 is not among the values then: it has other bits, and would have a code of its own
			}
		}
		v := valuesOf(vs)
		if (v.All == nil) != c.packed || v.len() != len(vs) {
			t.Errorf("%s: packed is %v, %d values, want %v, %d", name, v.All == nil, v.len(), c.packed, len(vs))
		}
		got := v.appendTo([]float32{7})
		for i, f := range vs {
			if math.Float32bits(got[i+1]) != math.Float32bits(f) {
				t.Fatalf("%s: value %d is %v, want %v", name, i, got[i+1], f)
			}
		}
	}
	for _, last := range []uint32{0, math.MaxUint16, math.MaxUint16 + 1, math.MaxUint32} {
		in := []uint32{last, 0, last / 2}
		n := numbersOf(len(in), uint64(last)+1, func(i int) uint32 { return in[i] })
		if short := last <= math.MaxUint16; short != (n.Long == nil) {
			t.Errorf("up to %d: short is %v, want %v", last, n.Long == nil, short)
		}
		got := appendFar(appendFar([]int64(nil), -5, n.Short), -5, n.Long)
		for i, v := range in {
			if got[i] != int64(v)-5 {
				t.Errorf("up to %d: number %d is %d, want %d", last, i, got[i], int64(v)-5)
			}
		}
	}
}

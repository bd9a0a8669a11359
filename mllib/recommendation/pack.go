package recommendation

import "math"

// Ratings cross two shuffles before the first iteration. They travel packed: raw numbers of 32 bits take long to compress, and shrink little.

// numbers is whole numbers from 0 up: of 16 bits where all of them fit.
type numbers struct {
	Short []uint16
	Long  []uint32
}

// numbersOf packs n numbers, which lie below the given one.
func numbersOf(n int, below uint64, at func(int) uint32) numbers {
	if below > 1<<16 {
		long := make([]uint32, n)
		for i := range long {
			long[i] = at(i)
		}
		return numbers{Long: long}
	}
	short := make([]uint16, n)
	for i := range short {
		short[i] = uint16(at(i))
	}
	return numbers{Short: short}
}

// values is the values of ratings: where there are few, as most scales have, their numbers in a list.
type values struct {
	Distinct []float32
	Codes    []uint8
	All      []float32
}

// valuesOf packs vs, which it copies. What comes out has the same bits.
func valuesOf(vs []float32) values {
	const slots = 1 << 10
	var table [slots]struct {
		bits uint32
		code int32 // plus one; 0 is free
	}
	var v values
	v.Codes = make([]uint8, len(vs))
	for i, f := range vs {
		bits := math.Float32bits(f)
		s := bits * 0x9e3779b1 >> 22
		for table[s].code != 0 && table[s].bits != bits {
			s = (s + 1) % slots
		}
		if table[s].code == 0 {
			if len(v.Distinct) == 256 {
				return values{All: append([]float32(nil), vs...)}
			}
			v.Distinct = append(v.Distinct, f)
			table[s].bits, table[s].code = bits, int32(len(v.Distinct))
		}
		v.Codes[i] = uint8(table[s].code - 1)
	}
	return v
}

func (v *values) len() int { return len(v.Codes) + len(v.All) }

// appendTo appends the values to vs.
func (v *values) appendTo(vs []float32) []float32 {
	if len(v.Codes) > 0 {
		var distinct [256]float32
		copy(distinct[:], v.Distinct)
		for _, c := range v.Codes {
			vs = append(vs, distinct[c])
		}
	}
	return append(vs, v.All...)
}

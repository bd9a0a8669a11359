package closure

import "testing"

type benchEnv struct {
	Min     float64
	Columns []string
	Weights []float64
}

func benchOp() op[int, float64] {
	env := benchEnv{0.5, []string{"user", "item", "rating"}, make([]float64, 16)}
	return op[int, float64]{F: Bind(env, func(e benchEnv, i int) float64 { return e.Min * e.Weights[i] })}
}

func BenchmarkEncodeBound(b *testing.B) {
	var c Codec
	var buf []byte
	v := any(benchOp())
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = c.Encode(buf[:0], v); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(buf)), "encoded-bytes")
}

func BenchmarkDecodeBound(b *testing.B) {
	var c Codec
	buf, err := c.Encode(nil, benchOp())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := c.Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckFunc(b *testing.B) {
	for _, c := range []struct {
		name string
		f    any
	}{{"static", double}, {"bound", Bind(1, func(e, x int) int { return e + x })}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if err := CheckFunc(c.f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkBind(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Bind(1, func(e, x int) int { return e + x })
	}
}

func BenchmarkBigSlice(b *testing.B) {
	var c Codec
	v := any(Bind(make([]float64, 100<<20/8), func(e []float64, i int) float64 { return e[i] }))
	buf, err := c.Encode(nil, v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(100 << 20)
		for b.Loop() {
			if buf, err = c.Encode(buf[:0], v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(100 << 20)
		for b.Loop() {
			if _, _, err := c.Decode(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMap(b *testing.B) {
	m := map[int]string{}
	for i := range 100_000 {
		m[i] = "value"
	}
	var c Codec
	buf, err := c.Encode(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			if buf, err = c.Encode(buf[:0], m); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := c.Decode(buf); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(100_000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	})
}

// What the first use in a process costs.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		f, err := openExecutable()
		if err != nil {
			b.Fatal(err)
		}
		l, err := readLayout(f)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.find(marker); err != nil {
			b.Fatal(err)
		}
		f.Close()
	}
}

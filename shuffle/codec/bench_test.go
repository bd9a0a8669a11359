package codec

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

// The rows of the measurements: words and counts, ratings by key, TeraSort's records, lines of text.
type pair[K, V any] struct {
	Key   K
	Value V
}

type (
	word   = pair[string, int64]
	rating struct {
		Item  int32
		Score float32
	}
	kv     = pair[int32, rating]
	rec100 = pair[[10]byte, [90]byte]
)

const benchRows = 4096 // a large batch of the engine

func benchSeed() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func benchWords(n int) []word {
	r := benchSeed()
	z := rand.NewZipf(r, 1.2, 1, 500_000)
	rows := make([]word, n)
	for i := range rows {
		k := z.Uint64()
		// Ranks as letters: frequent words are short, as in language.
		b := []byte{byte('a' + k%26)}
		for k /= 26; k > 0; k /= 20 {
			b = append(b, byte('a'+k%20), "aeiou"[k%5])
		}
		rows[i] = word{string(b), 1}
	}
	return rows
}

func benchKV(n int) []kv {
	r := benchSeed()
	z := rand.NewZipf(r, 1.1, 10, 100_000)
	rows := make([]kv, n)
	for i := range rows {
		rows[i] = kv{int32(z.Uint64()), rating{r.Int32N(20_000), float32(1+r.IntN(10)) / 2}}
	}
	return rows
}

func benchRecords(n int) []rec100 {
	r := benchSeed()
	rows := make([]rec100, n)
	for i := range rows {
		for j := range rows[i].Key {
			rows[i].Key[j] = byte(' ' + r.IntN(95))
		}
		copy(rows[i].Value[:], fmt.Sprintf("%032x%s", i, strings.Repeat(string(rune('A'+i%26)), 50)))
	}
	return rows
}

func benchLines(n int) []string {
	words := benchWords(n * 60)
	rows := make([]string, n)
	for i := range rows {
		var b strings.Builder
		for b.Len() < 95 {
			b.WriteString(words[0].Key)
			b.WriteByte(' ')
			words = words[1:]
		}
		rows[i] = b.String()
	}
	return rows
}

func benchVectors(n int) [][]float64 {
	r := benchSeed()
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = make([]float64, 28)
		for j := range rows[i] {
			rows[i][j] = r.NormFloat64()
		}
	}
	return rows
}

func benchCodec[T any](b *testing.B, name string, rows []T, raw int) {
	c, err := Of[T]()
	if err != nil {
		b.Fatal(err)
	}
	block, err := c.Append(nil, rows)
	if err != nil {
		b.Fatal(err)
	}
	b.Run(name+"/encode", func(b *testing.B) {
		b.SetBytes(int64(raw))
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf, _ = c.Append(buf[:0], rows)
		}
		b.ReportMetric(float64(b.N)*float64(len(rows))/b.Elapsed().Seconds()/1e6, "Mrows/s")
		b.ReportMetric(float64(len(buf))/float64(len(rows)), "B/row")
	})
	b.Run(name+"/decode", func(b *testing.B) {
		b.SetBytes(int64(raw))
		b.ReportAllocs()
		var out []T
		for b.Loop() {
			out, _, _ = c.Decode(out[:0], block)
		}
		b.ReportMetric(float64(b.N)*float64(len(rows))/b.Elapsed().Seconds()/1e6, "Mrows/s")
	})
	for _, method := range []string{"lz4", "zstd"} {
		z, _ := CompressorOf(method)
		frame, _ := z.Append(nil, block)
		b.Run(name+"/encode+"+z.String(), func(b *testing.B) {
			b.SetBytes(int64(raw))
			var buf, out []byte
			for b.Loop() {
				buf, _ = c.Append(buf[:0], rows)
				out, _ = z.Append(out[:0], buf)
			}
			b.ReportMetric(float64(len(frame))/float64(len(rows)), "B/row")
		})
		b.Run(name+"/decode+"+z.String(), func(b *testing.B) {
			b.SetBytes(int64(raw))
			var buf []byte
			var out []T
			for b.Loop() {
				buf, _, _ = z.Decode(buf[:0], frame)
				out, _, _ = c.Decode(out[:0], buf)
			}
		})
	}
}

// BenchmarkCodec reports MB/s of the rows' own bytes (not of the wire), as dependencies' tables do.
func BenchmarkCodec(b *testing.B) {
	words := benchWords(benchRows)
	raw := 0
	for _, w := range words {
		raw += len(w.Key) + 8
	}
	benchCodec(b, "word", words, raw)
	benchCodec(b, "kv", benchKV(benchRows), benchRows*12)
	benchCodec(b, "rec100", benchRecords(benchRows), benchRows*100)
	lines := benchLines(benchRows)
	raw = 0
	for _, l := range lines {
		raw += len(l)
	}
	benchCodec(b, "lines", lines, raw)
	benchCodec(b, "vectors", benchVectors(benchRows), benchRows*28*8)
}

func BenchmarkHash(b *testing.B) {
	words := benchWords(4096)
	out := make([]uint64, len(words))
	ops, _ := KeysOf[string]()
	b.Run("words/HashField", func(b *testing.B) {
		for b.Loop() {
			HashField(ops, words, unsafe.Offsetof(words[0].Key), out)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(words)), "ns/key")
	})
	var five []string
	for i := range 4096 {
		five = append(five, "abcdefgh"[:5+i*7%4])
	}
	b.Run("5-8 bytes/HashRows", func(b *testing.B) {
		for b.Loop() {
			ops.HashRows(five, out)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(five)), "ns/key")
	})
	b.Run("5-8 bytes/Hash", func(b *testing.B) {
		var sum uint64
		for b.Loop() {
			for _, s := range five {
				sum += ops.Hash(s)
			}
		}
		sink = sum
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(five)), "ns/key")
	})
	for _, n := range []int{32, 100, 1000, 100_000} {
		s := strings.Repeat("x", n)
		b.Run(fmt.Sprintf("long/%d", n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				sink += HashString(s)
			}
		})
	}
	ints, _ := KeysOf[int32]()
	kvs := benchKV(4096)
	b.Run("int32/HashField", func(b *testing.B) {
		for b.Loop() {
			HashField(ints, kvs, 0, out)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(kvs)), "ns/key")
	})
	type composite struct {
		Name string
		A, B int32
		X    float64
	}
	comp, err := KeysOf[composite]()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("struct/Hash", func(b *testing.B) {
		k := composite{"name", 1, 2, 3}
		b.ReportAllocs()
		for b.Loop() {
			sink += comp.Hash(k)
		}
	})
	b.Run("struct/Equal", func(b *testing.B) {
		k := composite{"name", 1, 2, 3}
		b.ReportAllocs()
		for b.Loop() {
			if !comp.Equal(k, k) {
				b.Fatal("unequal")
			}
		}
	})
}

var sink uint64

func BenchmarkPrefix(b *testing.B) {
	out := make([]uint64, benchRows)
	recs := benchWords(benchRows)
	o := OrderOf[string]()
	b.Run("string", func(b *testing.B) {
		for b.Loop() {
			PrefixField(o, recs, 0, out)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchRows), "ns/key")
	})
	kvs := benchKV(benchRows)
	oi := OrderOf[int32]()
	b.Run("int32", func(b *testing.B) {
		for b.Loop() {
			PrefixField(oi, kvs, 0, out)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchRows), "ns/key")
	})
}

package shuffle

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/shuffle/codec"
	"github.com/spark-go/spark-go/shuffle/seal"
)

type sumInt struct{}

func (sumInt) Create(v int64) int64     { return v }
func (sumInt) Merge(c, v int64) int64   { return c + v }
func (sumInt) Combine(c, d int64) int64 { return c + d }

// MergeAll and CombineAll make it a BulkAggregator, as rdd.ReduceByKey's is.
func (sumInt) MergeAll(c []int64, at []uint32, v []int64) []int64 {
	for i, id := range at {
		if int(id) < len(c) {
			c[id] += v[i]
		} else {
			c = append(c, v[i])
		}
	}
	return c
}

func (s sumInt) CombineAll(c []int64, at []uint32, d []int64) []int64 { return s.MergeAll(c, at, d) }

// batches cuts rows into what a stage hands over at once.
func batches[T any](rows []T, f func([]T)) {
	for len(rows) > 0 {
		n := min(len(rows), 4096)
		f(rows[:n])
		rows = rows[n:]
	}
}

func count[T any](b testing.TB, s Stream[T]) int {
	n := 0
	for {
		rows, err := s.Next()
		if err == io.EOF {
			return n
		}
		if err != nil {
			b.Fatal(err)
		}
		n += len(rows)
	}
}

// zipfWords are words of which a few make most, of a vocabulary of that size.
func zipfWords(n, vocabulary int) []Pair[string, int64] {
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.07, 4, uint64(vocabulary))
	var words []byte
	ends := make([]int, n)
	for i := range ends {
		words = fmt.Appendf(words, "w%d", z.Uint64())
		ends[i] = len(words)
	}
	all := string(words)
	rows := make([]Pair[string, int64], n)
	from := 0
	for i, to := range ends {
		rows[i] = Pair[string, int64]{all[from:to], 1}
		from = to
	}
	return rows
}

func uniformInts(n, distinct int) []Pair[int64, int64] {
	r := rand.New(rand.NewPCG(3, 4))
	rows := make([]Pair[int64, int64], n)
	for i := range rows {
		rows[i] = Pair[int64, int64]{r.Int64N(int64(distinct)), int64(i)}
	}
	return rows
}

func benchCombine[K comparable](b *testing.B, rows []Pair[K, int64]) {
	ctx := context.Background()
	env := &Env{SpillDir: b.TempDir()}
	b.ReportAllocs()
	keys := 0
	began := cpuTime()
	for b.Loop() {
		c, err := NewCombiner[K](ctx, env, Aggregator[int64, int64](sumInt{}))
		if err != nil {
			b.Fatal(err)
		}
		batches(rows, func(r []Pair[K, int64]) {
			if err := c.Add(r); err != nil {
				b.Fatal(err)
			}
		})
		s, err := c.Drain()
		if err != nil {
			b.Fatal(err)
		}
		keys = count(b, s)
		c.Close()
	}
	b.ReportMetric(float64(keys), "keys")
	reportRows(b, len(rows), began)
}

// reportRows reports rows per second on the clock, and per second of processor time, which other work on the machine disturbs less.
func reportRows(b *testing.B, n int, began time.Duration) {
	rows := float64(n) * float64(b.N) / 1e6
	b.ReportMetric(rows/b.Elapsed().Seconds(), "Mrows/s")
	b.ReportMetric(rows/(cpuTime()-began).Seconds(), "Mrows/cpu-s")
}

// cpuTime returns the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkCombineWords(b *testing.B) {
	for _, vocabulary := range []int{200_000, 4_000_000} {
		b.Run(fmt.Sprint(vocabulary), func(b *testing.B) { benchCombine(b, zipfWords(4_000_000, vocabulary)) })
	}
}

func BenchmarkCombineInts(b *testing.B) {
	for _, distinct := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprint(distinct), func(b *testing.B) { benchCombine(b, uniformInts(4_000_000, distinct)) })
	}
}

func BenchmarkWriteRead(b *testing.B) {
	const rows, partitions = 4_000_000, 200
	in := uniformInts(rows, 1<<40)
	parts := make([]int32, len(in))
	for i := range in {
		parts[i] = int32(uint64(in[i].Key) * 0x9E3779B97F4A7C15 >> 32 * partitions >> 32)
	}
	ctx := context.Background()
	for _, c := range []struct {
		name, compression string
		bits              int // of the key; 0 for none
	}{{"none", "none", 0}, {"none-aes128", "none", 128}, {"none-aes256", "none", 256}, {"lz4", "lz4", 0}, {"lz4-aes128", "lz4", 128}, {"lz4-aes256", "lz4", 256}, {"zstd", "zstd", 0}} {
		b.Run(c.name, func(b *testing.B) {
			env := &Env{Location: Location{Host: "h", Dir: b.TempDir()}, SpillDir: b.TempDir(), Compression: c.compression}
			if c.bits > 0 {
				var err error
				if env.Key, err = seal.Derive([]byte("secret"), c.bits); err != nil {
					b.Fatal(err)
				}
			}
			var out Output
			b.Run("write", func(b *testing.B) {
				began := cpuTime()
				for b.Loop() {
					w, err := NewWriter[Pair[int64, int64]](ctx, env, WriterID{1, 2, 3}, partitions)
					if err != nil {
						b.Fatal(err)
					}
					for i := 0; i < len(in); i += 4096 {
						j := min(i+4096, len(in))
						if err := w.Write(in[i:j], parts[i:j]); err != nil {
							b.Fatal(err)
						}
					}
					if out, err = w.Commit(); err != nil {
						b.Fatal(err)
					}
				}
				reportRows(b, rows, began)
			})
			b.Run("read", func(b *testing.B) {
				began := cpuTime()
				for b.Loop() {
					n := 0
					for p := range partitions {
						s, err := Read[Pair[int64, int64]](ctx, env, 1, []Output{out}, p, p+1)
						if err != nil {
							b.Fatal(err)
						}
						n += count(b, s)
					}
					if n != rows {
						b.Fatal(n)
					}
				}
				reportRows(b, rows, began)
			})
		})
	}
}

func BenchmarkGroupInts(b *testing.B) {
	rows := uniformInts(4_000_000, 400_000)
	env := &Env{SpillDir: b.TempDir()}
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		g, err := NewGrouper[int64, int64](context.Background(), env)
		if err != nil {
			b.Fatal(err)
		}
		batches(rows, func(r []Pair[int64, int64]) {
			if err := g.Add(r); err != nil {
				b.Fatal(err)
			}
		})
		s, err := g.Drain()
		if err != nil {
			b.Fatal(err)
		}
		count(b, s)
		g.Close()
	}
	reportRows(b, len(rows), began)
}

func BenchmarkJoinInts(b *testing.B) {
	left := uniformInts(4_000_000, 400_000)
	right := make([]Pair[int64, int64], 400_000)
	for i := range right {
		right[i] = Pair[int64, int64]{int64(i), int64(i) * 3}
	}
	env := &Env{SpillDir: b.TempDir()}
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		s, err := Join(context.Background(), env, Stream[Pair[int64, int64]](&slicedStream[Pair[int64, int64]]{left}), Stream[Pair[int64, int64]](&slicedStream[Pair[int64, int64]]{right}))
		if err != nil {
			b.Fatal(err)
		}
		if n := count(b, s); n != len(left) {
			b.Fatal(n)
		}
	}
	reportRows(b, len(left), began)
}

func benchSort[T any](b *testing.B, order Order[T], rows []T, memory func() Memory) {
	b.ReportAllocs()
	began := cpuTime()
	for b.Loop() {
		s, err := NewSorter(context.Background(), &Env{SpillDir: b.TempDir(), Memory: memory()}, order)
		if err != nil {
			b.Fatal(err)
		}
		batches(rows, func(r []T) {
			if err := s.Add(r); err != nil {
				b.Fatal(err)
			}
		})
		st, err := s.Drain()
		if err != nil {
			b.Fatal(err)
		}
		if n := count(b, st); n != len(rows) {
			b.Fatal(n)
		}
		s.Close()
	}
	reportRows(b, len(rows), began)
}

func BenchmarkSort(b *testing.B) {
	const n = 2_000_000
	r := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, n*100)
	for i := range text {
		text[i] = byte(' ' + r.Uint32()%95)
	}
	all := string(text)
	lines := make([]string, n)
	records := make([][100]byte, n)
	for i := range lines {
		lines[i] = all[i*100 : i*100+100]
		records[i] = [100]byte(text[i*100:])
	}
	o := codec.OrderOf[string]()
	byLine := Order[string]{Prefix: func(s *string) uint64 { return o.Prefix(*s) }, Compare: func(a, b *string) int { return cmp.Compare(*a, *b) }}
	byRecord := Order[[100]byte]{
		Prefix:  func(r *[100]byte) uint64 { return binary.BigEndian.Uint64(r[:]) },
		Compare: func(a, b *[100]byte) int { return bytes.Compare(a[:10], b[:10]) },
	}
	unlimited := func() Memory { return Unlimited{} }
	b.Run("lines", func(b *testing.B) { benchSort(b, byLine, lines, unlimited) })
	b.Run("records", func(b *testing.B) { benchSort(b, byRecord, records, unlimited) })
	b.Run("lines in a tenth", func(b *testing.B) {
		benchSort(b, byLine, lines, func() Memory { return &limited{size: 25 << 20} })
	})
}

// BenchmarkCommitSmall is the cost of one map output that holds little.
func BenchmarkCommitSmall(b *testing.B) {
	in := uniformInts(100, 1<<40)
	parts := make([]int32, len(in))
	for i := range in {
		parts[i] = int32(i % 8)
	}
	attempt := int64(0)
	for name, key := range map[string]*seal.Key{"plain": nil, "aes128": testKey(b, "secret")} {
		b.Run(name, func(b *testing.B) {
			env := &Env{Location: Location{Host: "h", Dir: b.TempDir()}, SpillDir: b.TempDir(), Key: key}
			b.ReportAllocs()
			for b.Loop() {
				attempt++
				w, err := NewWriter[Pair[int64, int64]](context.Background(), env, WriterID{1, 2, attempt}, 8)
				if err != nil {
					b.Fatal(err)
				}
				if err := w.Write(in, parts); err != nil {
					b.Fatal(err)
				}
				if _, err := w.Commit(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

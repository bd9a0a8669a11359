package parquetio

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/spark-go/spark-go/io/filesys"
)

type rating struct {
	User  int32   `parquet:"userId"`
	Item  int32   `parquet:"movieId"`
	Value float32 `parquet:"rating"`
}

// written is how pyarrow and Spark write ratings: everything optional, with dictionaries.
type written struct {
	User  *int32   `parquet:"userId,optional,dict"`
	Item  *int32   `parquet:"movieId,optional,dict"`
	Value *float32 `parquet:"rating,optional,dict"`
}

func writeRatings(tb testing.TB, n, groups int, codec parquet.WriterOption) filesys.Info {
	tb.Helper()
	uri := filepath.Join(tb.TempDir(), "ratings.parquet")
	out, err := filesys.Create(tb.Context(), uri)
	if err != nil {
		tb.Fatal(err)
	}
	w := parquet.NewGenericWriter[written](out, codec, parquet.DataPageVersion(1))
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]written, n/groups)
	for range groups {
		for i := range rows {
			u, m, v := int32(rng.ExpFloat64()*2000), int32(rng.ExpFloat64()*800), float32(1+rng.IntN(10))/2
			rows[i] = written{&u, &m, &v}
		}
		if _, err := w.Write(rows); err != nil {
			tb.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := out.Close(); err != nil {
		tb.Fatal(err)
	}
	info, err := filesys.Stat(tb.Context(), uri)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func splitsOf(tb testing.TB, info filesys.Info) []Split {
	tb.Helper()
	parts, err := PlanSplits(tb.Context(), []filesys.Info{info}, filesys.SplitOptions{MinPartitions: 1})
	if err != nil {
		tb.Fatal(err)
	}
	var all []Split
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func BenchmarkRead(b *testing.B) {
	const n = 2_000_000
	for name, codec := range map[string]parquet.WriterOption{
		"snappy": parquet.Compression(&parquet.Snappy),
		"zstd":   parquet.Compression(&parquet.Zstd),
	} {
		info := writeRatings(b, n, 10, codec)
		b.Run("ratings/"+name, func(b *testing.B) {
			b.SetBytes(n * 12)
			b.ReportAllocs()
			for b.Loop() {
				rows := 0
				for _, s := range splitsOf(b, info) {
					r, err := NewReader[rating](b.Context(), s)
					if err != nil {
						b.Fatal(err)
					}
					for {
						batch, err := r.Next()
						if err == io.EOF {
							break
						}
						if err != nil {
							b.Fatal(err)
						}
						rows += len(batch)
					}
					if err := r.Close(); err != nil {
						b.Fatal(err)
					}
				}
				if rows != n {
					b.Fatal(fmt.Errorf("%d rows", rows))
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

func statFor(tb testing.TB, uri string) filesys.Info {
	tb.Helper()
	info, err := filesys.Stat(tb.Context(), uri)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

func planFor(tb testing.TB, info filesys.Info) ([]Split, error) {
	tb.Helper()
	parts, err := PlanSplits(tb.Context(), []filesys.Info{info}, filesys.SplitOptions{MinPartitions: 1})
	var all []Split
	for _, p := range parts {
		all = append(all, p...)
	}
	return all, err
}

func BenchmarkReadColumns(b *testing.B) {
	const n = 2_000_000
	info := writeRatings(b, n, 10, parquet.Compression(&parquet.Snappy))
	b.SetBytes(n * 12)
	b.ReportAllocs()
	for b.Loop() {
		rows := 0
		for _, s := range splitsOf(b, info) {
			r, err := NewColumnReader(b.Context(), s, Select{Name: "userId"}, Select{Name: "movieId"}, Select{Name: "rating"})
			if err != nil {
				b.Fatal(err)
			}
			for {
				batch, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					b.Fatal(err)
				}
				rows += batch.Rows
			}
			if err := r.Close(); err != nil {
				b.Fatal(err)
			}
		}
		if rows != n {
			b.Fatal(rows)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
}

type wide struct {
	A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13 float64
	B0, B1, B2, B3, B4, B5, B6, B7, B8, B9, B10, B11, B12, B13 float64
}

// BenchmarkReadWide reads all of 28 columns of doubles, and two of them.
func BenchmarkReadWide(b *testing.B) {
	const n = 200_000
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]wide, n)
	for i := range rows {
		v := viewOf(reflect.ValueOf(rows[i : i+1]))
		for f := range 28 {
			*typed[float64](v.field(f)).at(0) = rng.NormFloat64()
		}
	}
	uri := filepath.Join(b.TempDir(), "wide.parquet")
	w, err := NewFileWriter[wide](b.Context(), uri, WriteOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Write(rows); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	info := statFor(b, uri)
	b.Run("28", func(b *testing.B) {
		b.SetBytes(n * 28 * 8)
		for b.Loop() {
			drain[wide](b, info)
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
	})
	b.Run("2", func(b *testing.B) {
		b.SetBytes(n * 2 * 8)
		for b.Loop() {
			drain[struct{ A3, B7 float64 }](b, info)
		}
		b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
	})
}

func drain[T any](b *testing.B, info filesys.Info) {
	for _, s := range splitsOf(b, info) {
		r, err := NewReader[T](b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	const n = 1_000_000
	rng := rand.New(rand.NewPCG(1, 2))
	rows := make([]rating, n)
	for i := range rows {
		rows[i] = rating{int32(rng.ExpFloat64() * 2000), int32(rng.ExpFloat64() * 800), float32(1+rng.IntN(10)) / 2}
	}
	uri := filepath.Join(b.TempDir(), "out.parquet")
	for _, compression := range []string{"snappy", "zstd"} {
		b.Run(compression, func(b *testing.B) {
			b.SetBytes(n * 12)
			b.ReportAllocs()
			for b.Loop() {
				w, err := NewFileWriter[rating](b.Context(), uri, WriteOptions{Compression: compression})
				if err != nil {
					b.Fatal(err)
				}
				for i := 0; i < n; i += BatchRows {
					if err := w.Write(rows[i:min(n, i+BatchRows)]); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mrows/s")
		})
	}
}

package parquetio

import (
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
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

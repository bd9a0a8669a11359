package storetest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// Rating is a row that takes little to read and more to decode.
type Rating struct {
	User  int32   `parquet:"userId"`
	Item  int32   `parquet:"movieId"`
	Value float32 `parquet:"rating"`
	Time  int64   `parquet:"timestamp"`
}

// Wide is a row of numbers that do not compress: there is as much to read as to hold.
type Wide struct {
	A, B, C, D, E, F, G, H, I, J, K, L, M, N float64
}

// CompareParquet reads tables of Parquet from a store, by jobs of two tasks, beside the same from a local directory, and beside a plain copy of
// the files' bytes.
func CompareParquet(b *testing.B, s rdd.Session, local, remote string, copyOf func(filesys.Info)) {
	rng := rand.New(rand.NewPCG(1, 1))
	ratings := make([]Rating, 5_000_000)
	for i := range ratings {
		ratings[i] = Rating{int32(i / 100), int32(rng.ExpFloat64() * 3000), float32(rng.IntN(10)) / 2, 1_500_000_000 + int64(rng.IntN(1e8))}
	}
	compareTable(b, "ratings", s, ratings, local, remote, copyOf)
	wide := make([]Wide, 1_000_000)
	for i := range wide {
		x := rng.Float64
		wide[i] = Wide{x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x()}
	}
	compareTable(b, "wide", s, wide, local, remote, copyOf)
}

func compareTable[T any](b *testing.B, name string, s rdd.Session, rows []T, local, remote string, copyOf func(filesys.Info)) {
	ctx := context.Background()
	local, remote = local+"/"+name, remote+"/"+name
	for _, to := range []string{local, remote} {
		if err := parquetio.Write(ctx, rdd.Parallelize(s, rows, 4), to); err != nil {
			b.Fatal(err)
		}
	}
	files, err := filesys.Expand(ctx, remote)
	if err != nil {
		b.Fatal(err)
	}
	size := int64(0)
	for _, f := range files {
		size += f.Size
	}
	read := func(from string) func() {
		return func() {
			if n, err := parquetio.Read[T](s, from, 2).Count(ctx); err != nil || n != int64(len(rows)) {
				b.Fatal(n, err)
			}
		}
	}
	b.Run(name+"/local", func(b *testing.B) { Compare(b, size, read(local), read(remote)) })
	b.Run(name+"/copy", func(b *testing.B) {
		Compare(b, size, func() {
			for _, f := range files {
				copyOf(f)
			}
		}, read(remote))
	})
}

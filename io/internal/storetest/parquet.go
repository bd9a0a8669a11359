package storetest

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"sync"
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

// Plain is a store's client as it is.
type Plain struct {
	Read func(f filesys.Info, w io.Writer) // reads a file from end to end
	Copy func(f filesys.Info, to string)   // reads a file and writes what comes to the path
}

// CompareParquet reads tables of Parquet from a store, by jobs of two tasks, beside the same from a local directory and beside plain reads of
// the files' bytes, which are let go or written to the local disk; and copies them, read and written by one job, beside plain copies of the files, two at a time.
func CompareParquet(b *testing.B, s rdd.Session, local, remote string, plain Plain) {
	rng := rand.New(rand.NewPCG(1, 1))
	ratings := make([]Rating, 5_000_000)
	for i := range ratings {
		ratings[i] = Rating{int32(i / 100), int32(rng.ExpFloat64() * 3000), float32(rng.IntN(10)) / 2, 1_500_000_000 + int64(rng.IntN(1e8))}
	}
	compareTable(b, "ratings", s, ratings, local, remote, plain)
	wide := make([]Wide, 1_000_000)
	for i := range wide {
		x := rng.Float64
		wide[i] = Wide{x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x(), x()}
	}
	compareTable(b, "wide", s, wide, local, remote, plain)
}

func compareTable[T any](b *testing.B, name string, s rdd.Session, rows []T, local, remote string, plain Plain) {
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
	b.Run(name+"/read", func(b *testing.B) {
		Compare(b, size, func() {
			for _, f := range files {
				plain.Read(f, struct{ io.Writer }{io.Discard})
			}
		}, read(remote))
	})
	b.Run(name+"/download", func(b *testing.B) {
		Compare(b, size, func() {
			for _, f := range files {
				to, err := os.Create(path.Join(local, "plain"))
				if err != nil {
					b.Fatal(err)
				}
				plain.Read(f, struct{ io.Writer }{to})
				if err := to.Close(); err != nil {
					b.Fatal(err)
				}
			}
		}, read(remote))
	})
	b.Run(name+"/copy", func(b *testing.B) {
		Compare(b, size, func() {
			var copies sync.WaitGroup
			for first := range 2 {
				copies.Go(func() {
					for i := first; i < len(files); i += 2 {
						plain.Copy(files[i], path.Join(path.Dir(path.Dir(files[i].Path)), "plain", path.Base(files[i].Path)))
					}
				})
			}
			copies.Wait()
		}, func() {
			if err := parquetio.Write(ctx, parquetio.Read[T](s, remote, 2), remote+"-again", parquetio.WriteOptions{Mode: filesys.Overwrite}); err != nil {
				b.Fatal(err)
			}
		})
	})
}

// Package storetest holds what the tests and benchmarks of file systems share: every format is written to and read from a store, and files are
// measured beside the plain client of their store.
package storetest

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/spark-go/spark-go/io/arrowio"
	"github.com/spark-go/spark-go/io/binaryio"
	"github.com/spark-go/spark-go/io/csvio"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/jsonio"
	"github.com/spark-go/spark-go/io/libsvmio"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// Row is a row of the formats with columns.
type Row struct {
	ID    int64   `parquet:"id" csv:"id" json:"id"`
	Name  string  `parquet:"name" csv:"name" json:"name"`
	Value float64 `parquet:"value" csv:"value" json:"value"`
}

// Rows makes rows whose texts hold what separates fields and lines elsewhere.
func Rows(n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{int64(i), fmt.Sprintf("größe %d, \"日本\"\t☃", i%977), math.Sqrt(float64(i))}
	}
	return rows
}

// Formats writes each format into a directory below dir, by a job, and reads it back by another: all of it, in its order, whatever the
// names of its files are, beside a file of zero bytes. The jobs run on s.
func Formats(t *testing.T, s rdd.Session, dir string) {
	rows := Rows(20_000)
	lines := make([]string, len(rows))
	for i, r := range rows {
		lines[i] = r.Name
	}
	table, text := rdd.Parallelize(s, rows, 3), rdd.Parallelize(s, lines, 3)
	ctx := t.Context()
	for _, compression := range []string{"", "gzip", "zstd"} {
		suffix := strings.TrimSuffix(" as "+compression, " as ")
		run(t, dir+"/text"+suffix, "", lines,
			func(d string) error { return textio.Save(ctx, text, d, textio.SaveOptions{Compression: compression}) },
			func(d string) rdd.RDD[string] { return textio.Lines(s, d, 4) })
		o := csvio.Options{Header: true, SingleLine: true, Compression: compression, MinPartitions: 4}
		run(t, dir+"/CSV"+suffix, "", rows,
			func(d string) error { return csvio.Write(ctx, table, d, o) },
			func(d string) rdd.RDD[Row] { return csvio.Read[Row](s, d, o) })
		run(t, dir+"/JSON lines"+suffix, "", rows,
			func(d string) error { return jsonio.Write(ctx, table, d, jsonio.Options{Compression: compression}) },
			func(d string) rdd.RDD[Row] { return jsonio.Read[Row](s, d, jsonio.Options{}) })
		run(t, dir+"/libsvm"+suffix, "", labelled(rows),
			func(d string) error {
				return textio.Save(ctx, rdd.Map(table, libsvmLine), d, textio.SaveOptions{Compression: compression})
			},
			func(d string) rdd.RDD[libsvmio.Row] { return libsvmio.Read(s, d, 4) })
		run(t, dir+"/Parquet"+suffix, "0 bytes", rows,
			func(d string) error {
				return parquetio.Write(ctx, table, d, parquetio.WriteOptions{Compression: compression})
			},
			func(d string) rdd.RDD[Row] { return parquetio.Read[Row](s, d, 4) })
	}
	run(t, dir+"/Arrow IPC", "Arrow", rows,
		func(d string) error { return writeArrow(ctx, d, rows) },
		func(d string) rdd.RDD[Row] {
			return rdd.MapPartitionsWithTask(rdd.Parallelize(s, uris(t, d), 2), readArrow)
		})
	blobs := map[string]string{"leer": "", "a b%20ü.bin": strings.Repeat("\x00ü\xff", 100_000), "x.gz": "no gzip"}
	t.Run(path.Base(dir+"/binary"), func(t *testing.T) {
		d := dir + "/binary ☃"
		for _, name := range slices.Sorted(maps.Keys(blobs)) {
			if err := filesys.WriteFile(ctx, d+"/"+name, []byte(blobs[name])); err != nil {
				t.Fatal(err)
			}
		}
		files, err := binaryio.Files(s, d, 2).Collect(ctx)
		got := map[string]string{}
		for _, f := range files {
			got[strings.TrimPrefix(f.Path, d+"/")] = string(f.Content)
		}
		if err != nil || !maps.Equal(got, blobs) {
			t.Errorf("files: %d of %d, or others: %v", len(got), len(blobs), err)
		}
		records, err := binaryio.Records(s, d+"/a b%20ü.bin", 400, 3).Collect(ctx)
		if all := string(slices.Concat(records...)); err != nil || all != blobs["a b%20ü.bin"] {
			t.Errorf("records: %d bytes, %v", len(all), err)
		}
	})
}

// run writes and reads one format. A file of zero bytes is one without rows, or refused where noZero tells the reason.
func run[T any](t *testing.T, dir, noZero string, want []T, write func(dir string) error, read func(dir string) rdd.RDD[T]) {
	t.Run(path.Base(dir), func(t *testing.T) {
		ctx := t.Context()
		if err := write(dir); err != nil {
			t.Fatal(err)
		}
		first := uris(t, dir)[0]
		zero := dir + "/zero ü"
		if _, extension, found := strings.Cut(first[strings.LastIndexByte(first, '/'):], "."); found {
			zero += "." + extension
		}
		check := func(uri string) {
			t.Helper()
			got, err := read(uri).Collect(ctx)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("read %s: %d rows of %d, or others: %v", uri, len(got), len(want), err)
			}
		}
		check(dir)
		check(dir + "/part-*")
		if err := filesys.WriteFile(ctx, zero, nil); err != nil {
			t.Fatal(err)
		}
		if noZero == "" {
			check(dir)
			return
		}
		if _, err := read(zero).Collect(ctx); err == nil || !strings.Contains(err.Error(), noZero) || !strings.Contains(err.Error(), zero) {
			t.Errorf("read a file of zero bytes: %v", err)
		}
	})
}

// uris lists the files of a directory.
func uris(t *testing.T, dir string) []string {
	t.Helper()
	infos, err := filesys.Expand(t.Context(), dir)
	if err != nil || len(infos) == 0 {
		t.Fatalf("list %s: %d files, %v", dir, len(infos), err)
	}
	names := make([]string, len(infos))
	for i, f := range infos {
		names[i] = f.URI
	}
	return names
}

func libsvmLine(r Row) string {
	return strconv.FormatInt(r.ID, 10) + " 1:" + strconv.FormatFloat(r.Value, 'g', -1, 64) + " 7:" + strconv.FormatInt(r.ID%10+1, 10)
}

func labelled(rows []Row) []libsvmio.Row {
	out := make([]libsvmio.Row, len(rows))
	for i, r := range rows {
		out[i] = libsvmio.Row{Label: float64(r.ID), Index: []int32{0, 6}, Values: []float64{r.Value, float64(r.ID%10 + 1)}}
	}
	return out
}

// writeArrow makes two files of several batches.
func writeArrow(ctx context.Context, dir string, rows []Row) error {
	for i, half := range [][]Row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		var batches []arrow.RecordBatch
		for b := range slices.Chunk(half, 3000) {
			batch, err := arrowio.FromRows(b)
			if err != nil {
				return err
			}
			batches = append(batches, batch)
		}
		if err := arrowio.WriteFile(ctx, fmt.Sprintf("%s/part-%d.arrow", dir, i), batches...); err != nil {
			return err
		}
	}
	return nil
}

func readArrow(task *rdd.Task, files iter.Seq[string]) (iter.Seq[Row], error) {
	var rows []Row
	for uri := range files {
		err := arrowio.ReadFile(task.Context(), uri, func(b arrow.RecordBatch) error {
			more, err := arrowio.ToRows[Row](b)
			rows = append(rows, more...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.Values(rows), nil
}

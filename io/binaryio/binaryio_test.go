package binaryio_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/binaryio"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

func TestFilesAndRecords(t *testing.T) {
	ctx := t.Context()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rng := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	var all []byte
	sizes := []int{0, 7, 700, 0, 3_500_000, 7 * 3}
	for i, n := range sizes {
		content := make([]byte, n)
		for j := range content {
			content[j] = byte(rng.Uint32())
		}
		all = append(all, content...)
		// The name promises a compression; bytes are bytes.
		if err := filesys.WriteFile(ctx, filepath.Join(dir, fmt.Sprintf("%d.gz", i)), content); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []int{1, 3, 20} {
		files, err := binaryio.Files(sc, dir, n).Collect(ctx)
		if err != nil || len(files) != len(sizes) {
			t.Fatal(len(files), err)
		}
		var got []byte
		for i, f := range files {
			got = append(got, f.Content...)
			if !strings.HasSuffix(f.Path, fmt.Sprintf("/%d.gz", i)) {
				t.Error(f.Path)
			}
		}
		if !bytes.Equal(got, all) {
			t.Error("the files' bytes differ")
		}
		records := binaryio.Records(sc, dir, 7, n)
		rows, err := records.Collect(ctx)
		if err != nil || len(rows) != len(all)/7 || !bytes.Equal(bytes.Join(rows, nil), all) || records.NumPartitions() < min(n, 7) {
			t.Errorf("%d records of %d in %d partitions: %v", len(rows), len(all)/7, records.NumPartitions(), err)
		}
	}
	if _, err := binaryio.Records(sc, dir, 6, 4).Count(ctx); err == nil || !strings.Contains(err.Error(), "no multiple of the record length 6") {
		t.Error(err)
	}
	if _, err := binaryio.Records(sc, dir, 0).Count(ctx); err == nil || !strings.Contains(err.Error(), "records of 0 bytes") {
		t.Error(err)
	}
}

func ExampleFiles() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	for _, name := range []string{"a.png", "b.png"} {
		if err := filesys.WriteFile(ctx, "mem://pictures/"+name, []byte("\x89PNG"+name)); err != nil {
			fmt.Println(err)
		}
	}
	sizes := rdd.Map(binaryio.Files(sc, "mem://pictures/*.png"), func(f binaryio.File) string { return fmt.Sprint(f.Path, " ", len(f.Content)) })
	fmt.Println(sizes.Collect(ctx))
	// Output:
	// [mem://pictures/a.png 9 mem://pictures/b.png 9] <nil>
}

func ExampleRecords() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	if err := filesys.WriteFile(ctx, "mem://records/r.bin", []byte{1, 0, 2, 0, 3, 1}); err != nil {
		fmt.Println(err)
	}
	numbers := rdd.Map(binaryio.Records(sc, "mem://records/r.bin", 2), func(b []byte) uint16 { return binary.LittleEndian.Uint16(b) })
	fmt.Println(numbers.Collect(ctx))
	// Output:
	// [1 2 259] <nil>
}

func BenchmarkRecords(b *testing.B) {
	ctx := b.Context()
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	uri := filepath.Join(b.TempDir(), "r.bin")
	const n, length = 1 << 20, 64
	if err := filesys.WriteFile(ctx, uri, make([]byte, n*length)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(n * length)
	b.ReportAllocs()
	for b.Loop() {
		if rows, err := binaryio.Records(sc, uri, length).Count(ctx); rows != n || err != nil {
			b.Fatal(rows, err)
		}
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

package feature_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

type fruit struct {
	Kind   string
	Number int16
	Sweet  bool
	Size   float32
	Weight float64
	Tags   []int32
	Vector []float64
	Note   *int32
	Bytes  []byte
}

func writeFruit(t testing.TB, sc *driver.Context, uri string, n int) {
	t.Helper()
	rows := make([]fruit, n)
	for i := range rows {
		one := int32(i)
		rows[i] = fruit{[]string{"fig", "pear", "apple"}[i%3], int16(i), i%2 == 0, float32(i) / 2, float64(i) / 3, []int32{int32(i%5 + 2), 1}, []float64{float64(i), 7}, &one, []byte{byte(i), 255}}
		if i == n-1 {
			rows[i].Note = nil
		}
	}
	if err := parquetio.Write(context.Background(), rdd.Parallelize(sc, rows, 2), uri); err != nil {
		t.Fatal(err)
	}
}

func collect(t *testing.T, sc *driver.Context, uri string, c feature.Columns) []linalg.Block {
	t.Helper()
	blocks, err := feature.ReadBlocks(context.Background(), sc, uri, c)
	if err != nil {
		t.Fatal(err)
	}
	all, err := blocks.Collect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if err := all[i].Check(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestReadBlocks(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	const uri = "mem://feature/fruit"
	writeFruit(t, sc, uri, 50_000)

	b := collect(t, sc, uri, feature.Columns{Features: []string{"Number", "Sweet", "Size"}, Label: "Kind", Texts: []string{"apple", "fig", "pear"}, Weight: "Weight"})
	if d := b[0].Dense; d.Cols != 3 || len(d.F32) != 3*d.Rows || fmt.Sprint(d.F32[:6], d.Labels[:4], d.Weights[3]) != "[0 1 0 1 0 0.5] [1 2 0 1] 1" {
		t.Errorf("numbers and texts: %v %v %v", d.F32[:6], d.Labels[:4], d.Weights[3])
	}
	rows := 0
	for i := range b {
		rows += b[i].Rows()
	}
	if rows != 50_000 || len(b) < 3 {
		t.Errorf("%d rows in %d blocks", rows, len(b))
	}
	b = collect(t, sc, uri, feature.Columns{Features: []string{"Weight", "Number"}, Label: "Sweet", Numbers: []float64{1, 0}})
	if d := b[0].Dense; d.F32 != nil || d.F64[6] != 1 || fmt.Sprint(d.Labels[:3], d.Weights == nil) != "[0 1 0] true" {
		t.Errorf("float64: %v %v", d.F64[:8], d.Labels[:3])
	}
	// Labels 0 and 1 where the training data has -1 and 1.
	b = collect(t, sc, uri, feature.Columns{Features: []string{"Size"}, Label: "Sweet", Numbers: []float64{-1, 1}})
	if fmt.Sprint(b[0].Dense.Labels[:3]) != "[1 0 1]" {
		t.Errorf("0 for -1: %v", b[0].Dense.Labels[:3])
	}
	b = collect(t, sc, uri, feature.Columns{List: "Vector"})
	if d := b[0].Dense; fmt.Sprint(d.F64[:6], d.Labels == nil) != "[0 7 1 7 2 7] true" {
		t.Errorf("lists: %v", d.F64[:6])
	}
	b = collect(t, sc, uri, feature.Columns{List: "Bytes"})
	if d := b[0].Dense; fmt.Sprint(d.F32[:6]) != "[0 255 1 255 2 255]" {
		t.Errorf("bytes: %v", d.F32[:6])
	}
	b = collect(t, sc, uri, feature.Columns{List: "Tags", Sparse: true, Label: "Number"})
	if s := b[0].Sparse; s.Cols != 6 || s.Values != nil || fmt.Sprint(s.Index[:6], s.Start[:4], s.Labels[:3]) != "[0 1 0 2 0 3] [0 2 4 6] [0 1 2]" {
		t.Errorf("sparse: %d columns, %v %v", s.Cols, s.Index[:6], s.Start[:4])
	}
	// Parts that do not overlap hold each row once.
	var numbers []float64
	for _, part := range [][2]float64{{0, 0.3}, {0.3, 1}} {
		c := feature.Columns{Features: []string{"Size"}, Label: "Number", From: part[0], To: part[1], Seed: 7}
		n := 0
		for _, b := range collect(t, sc, uri, c) {
			numbers = append(numbers, b.Dense.Labels...)
			n += b.Dense.Rows
		}
		if share := float64(n) / 50_000; share < part[1]-part[0]-0.02 || share > part[1]-part[0]+0.02 {
			t.Errorf("part %v has %d rows", part, n)
		}
	}
	want := make([]float64, 50_000)
	for i := range want {
		want[i] = float64(int16(i))
	}
	slices.Sort(want)
	if slices.Sort(numbers); !slices.Equal(numbers, want) {
		t.Error("the parts do not hold each row once")
	}
}

func TestReadBlocksRefuses(t *testing.T) {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	const uri = "mem://feature/few"
	writeFruit(t, sc, uri, 10)
	for _, c := range []struct {
		columns feature.Columns
		want    string
	}{
		{feature.Columns{}, "name columns of features"},
		{feature.Columns{Features: []string{"Size"}, List: "Tags"}, "name columns of features, or one column of lists"},
		{feature.Columns{Features: []string{"Sise"}}, `has no column "Sise": name one of kind`},
		{feature.Columns{Features: []string{"Kind"}}, `column "Kind" of mem://feature/few is string: name a column of numbers`},
		{feature.Columns{List: "Size"}, "name a column of lists of numbers"},
		{feature.Columns{List: "Vector", Sparse: true}, "has lists of float64"},
		{feature.Columns{Features: []string{"Size"}, Label: "Kind"}, "holds texts: number them first"},
		{feature.Columns{Features: []string{"Size"}, Label: "Kind", Texts: []string{"fig"}}, `row 1 of partition 0 has label pear in column`},
		{feature.Columns{Features: []string{"Size"}, Label: "Number", Numbers: []float64{0, 1}}, `row 2 of partition 0 has label 2`},
		{feature.Columns{Features: []string{"Note"}}, "has no value in column"},
		{feature.Columns{List: "Tags", Sparse: true, Size: 2}, "features are numbered from 1 to 2"},
	} {
		blocks, err := feature.ReadBlocks(ctx, sc, uri, c.columns)
		if err == nil {
			_, err = blocks.Collect(ctx)
		}
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.want)) {
			t.Errorf("%+v: %v, want %q", c.columns, err, c.want)
		}
	}
}

func ExampleReadBlocks() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	type point struct{ X, Y, Class int32 }
	rows := []point{{1, 2, 0}, {3, 4, 1}, {5, 6, 1}}
	if err := parquetio.Write(ctx, rdd.Parallelize(sc, rows, 1), "mem://feature/points"); err != nil {
		fmt.Println(err)
	}
	blocks, err := feature.ReadBlocks(ctx, sc, "mem://feature/points", feature.Columns{Features: []string{"x", "y"}, Label: "class"})
	if err != nil {
		fmt.Println(err)
		return
	}
	all, err := blocks.Collect(ctx)
	fmt.Println(all[0].Dense.F64, all[0].Dense.Labels, err)
	// Output: [1 2 3 4 5 6] [0 1 1] <nil>
}

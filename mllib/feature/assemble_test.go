package feature_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/mllib/linalg"
)

type row struct {
	Name   string    `parquet:"name"`
	Height *float32  `parquet:"height"`
	Age    int32     `parquet:"age"`
	Sick   bool      `parquet:"sick"`
	Pixels []float32 `parquet:"pixels"`
}

func ptr(x float32) *float32 { return &x }

func file(t testing.TB, rows ...row) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rows.parquet")
	w, err := parquetio.NewFileWriter[row](context.Background(), path, parquetio.WriteOptions{})
	if err == nil {
		err = w.Write(rows)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAssembler(t *testing.T) {
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	ctx := context.Background()
	two := file(t, row{"a", ptr(1.5), 30, true, []float32{1, 2}}, row{"b", ptr(2.5), 40, false, []float32{3, 4}})
	null := file(t, row{"a", ptr(1.5), 30, true, nil}, row{"b", nil, 40, false, nil}, row{"c", ptr(3), 50, true, nil})
	ragged := file(t, row{"a", nil, 0, true, []float32{1, 2}}, row{"b", nil, 0, true, []float32{1}})
	for _, c := range []struct {
		uri  string
		a    feature.Assembler
		want string // the blocks, or what the error says
	}{
		{two, feature.Assembler{}, "[height age sick] 2x3 f64[1.5 30 1 2.5 40 0] f32[] labels[] weights[]"},
		{two, feature.Assembler{Exclude: []string{"height"}, Label: "sick"}, "[age] 2x1 f64[30 40] f32[] labels[1 0] weights[]"},
		{two, feature.Assembler{Features: []string{"pixels", "height"}, Weight: "age"}, "[pixels height] 2x3 f64[] f32[1 2 1.5 3 4 2.5] labels[] weights[30 40]"},
		{null, feature.Assembler{Invalid: feature.Skip}, "[height age sick] 2x3 f64[1.5 30 1 3 50 1] f32[] labels[] weights[]"},
		{null, feature.Assembler{}, `"height" is null in row 1 of partition 0`},
		{null, feature.Assembler{Features: []string{"name"}}, `"name"`},
		{null, feature.Assembler{Features: []string{"weight"}}, `has no column "weight": name one of name, height, age, sick, pixels`},
		{null, feature.Assembler{Exclude: []string{"hieght"}}, `has no column "hieght"`},
		{null, feature.Assembler{Label: "pixels"}, "is a list"},
		{null, feature.Assembler{Exclude: []string{"height", "age", "sick"}}, "no column of numbers left"},
		{null, feature.Assembler{Invalid: "keep"}, `Invalid is "keep"`},
		{ragged, feature.Assembler{Features: []string{"pixels"}}, `"pixels" has 1 numbers in row 1 of partition 0, 2 before`},
		{"nowhere.parquet", feature.Assembler{}, "nowhere.parquet"},
	} {
		got := ""
		blocks, names, err := c.a.Read(ctx, sc, c.uri)
		var all []linalg.DenseBlock
		if err == nil {
			all, err = blocks.Collect(ctx)
		}
		if err != nil {
			got = err.Error()
		}
		for _, b := range all {
			got += fmt.Sprintf("%v %dx%d f64%v f32%v labels%v weights%v", names, b.Rows, b.Cols, b.F64, b.F32, b.Labels, b.Weights)
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %s, want %s", c.a, got, c.want)
		}
	}
}

func ExampleAssembler() {
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	blocks, names, err := feature.Assembler{Label: "rating"}.Read(context.Background(), sc, "../../examples/testdata/ratings.parquet", 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := blocks.First(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(names, first.Cols, first.F64[:3], first.Labels[0])
	// Output: [userId itemId timestamp] 3 [0 2 1.424380312e+09] 3
}

package linalg_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/mllib/linalg"
)

func ExampleSparse() {
	v, err := linalg.Sparse(5, []int32{1, 4}, []float64{2, 3})
	fmt.Println(v.ToDense(), v.At(4), err)
	fmt.Println(v.Dot([]float64{1, 10, 100, 1000, 10000}))
	_, err = linalg.Sparse(5, []int32{4, 1}, []float64{2, 3})
	fmt.Println(err)
	// Output:
	// [0 2 0 0 3] 3 <nil>
	// 30020
	// a sparse vector of size 5 has place 1 after 4: places ascend from 0 to 4
}

func ExampleDense() {
	v := linalg.Dense(1, 2, 3)
	fmt.Println(v.Size, v.IsSparse(), v.Dot([]float64{1, 1, 1}))
	// Output: 3 false 6
}

func TestBlocksSayWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		b    interface{ Check() error }
		want string
	}{
		{&linalg.DenseBlock{}, ""},
		{&linalg.DenseBlock{Rows: 2, Cols: 1, F32: []float32{1, 2}, Labels: []float64{0, 1}}, ""},
		{&linalg.DenseBlock{Rows: 2, Cols: 2, F32: []float32{1, 2}}, "0 float64 and 2 float32"},
		{&linalg.DenseBlock{Rows: 1, Cols: 1, F64: []float64{1}, Labels: []float64{0, 1}}, "2 labels"},
		{&linalg.CSRBlock{Start: []int32{0}}, ""},
		{&linalg.CSRBlock{Rows: 1, Cols: 3, Start: []int32{0, 2}, Index: []int32{0, 2}}, ""},
		{&linalg.CSRBlock{Rows: 1, Cols: 3, Start: []int32{0, 2}, Index: []int32{0, 3}}, "column 3 after 0"},
		{&linalg.CSRBlock{Rows: 1, Cols: 3, Start: []int32{0, 2}, Index: []int32{1, 1}}, "column 1 after 1"},
		{&linalg.CSRBlock{Rows: 1, Cols: 3, Start: []int32{0, 3}, Index: []int32{1}}, "the shape is wrong"},
		{&linalg.CSRBlock{Rows: 2, Cols: 3, Start: []int32{0, 3, 2}, Index: []int32{0, 1}}, "goes from 0 to 3"},
	} {
		err := c.b.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.b, err, c.want)
		}
	}
}

// TestSparseBlockIsDenseBlock: both kinds of block give the products of the same rows.
func TestSparseBlockIsDenseBlock(t *testing.T) {
	dense := linalg.DenseBlock{Rows: 3, Cols: 4, F64: []float64{1, 0, 0, 2, 0, 0, 0, 0, 3, 0, 4, 5}}
	for _, sparse := range []linalg.CSRBlock{
		{Rows: 3, Cols: 4, Start: []int32{0, 2, 2, 5}, Index: []int32{0, 3, 0, 2, 3}, Values: []float64{1, 2, 3, 4, 5}},
	} {
		w, r := []float64{1, 10, 100, 1000}, []float64{1, 2, 3}
		y, z := make([]float64, 2), make([]float64, 2)
		dense.Gemv(y, 1, w)
		sparse.Gemv(z, 1, w)
		g, h := make([]float64, 4), make([]float64, 4)
		dense.GemvT(g, 0, r)
		sparse.GemvT(h, 0, r)
		if fmt.Sprint(y, g) != "[0 5403] [10 0 12 17]" || fmt.Sprint(z, h) != fmt.Sprint(y, g) {
			t.Errorf("%v %v and %v %v", y, g, z, h)
		}
	}
	ones := linalg.CSRBlock{Rows: 2, Cols: 3, Start: []int32{0, 2, 3}, Index: []int32{0, 2, 1}}
	y, g := make([]float64, 2), make([]float64, 3)
	ones.Gemv(y, 0, []float64{1, 10, 100})
	ones.GemvT(g, 0, []float64{5, 7})
	if fmt.Sprint(y, g) != "[101 10] [5 7 5]" {
		t.Errorf("ones: %v %v", y, g)
	}
}

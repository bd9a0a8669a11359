package parquetio

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

func TestPartitionValues(t *testing.T) {
	type row struct {
		X    int64
		Day  time.Time `parquet:"day"`
		Name *string   `parquet:"name"`
		N    uint8     `parquet:"n"`
		F    float32   `parquet:"f"`
		B    *bool     `parquet:"b"`
		D    Decimal   `parquet:"d"`
	}
	type narrow struct{ X int64 }
	info := write(t, "mem://parts/day=2026-03-01/name=a%20b/n=7/f=1.5/b=true/d=2.50/p.parquet", []narrow{{1}, {2}}, 10)
	got, err := read[row](t, info)
	if err != nil {
		t.Fatal(err)
	}
	want := row{2, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), ptr("a b"), 7, 1.5, ptr(true), NewDecimal(250, 2)}
	if len(got) != 2 || !reflect.DeepEqual(got[1], want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, c := range []struct {
		p    Predicate
		rows int
	}{
		{Col[time.Time]("day").Lt(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)), 2},
		{Col[time.Time]("day").Gt(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)), 0},
		{Col[int]("n").In(1, 7), 2},
		{Not(Col[int]("n").Eq(7)), 0},
		{Col[string]("name").Eq("a b"), 2},
		{Col[string]("name").IsNull(), 0},
		{Or(Col[string]("name").Eq("x"), Col[int64]("X").Eq(2)), 1},
		{And(Col[float64]("f").Le(1.5), Col[bool]("b").Eq(true), Col[int64]("X").Ne(2)), 1},
	} {
		parts, err := planSplits(t.Context(), []filesys.Info{info}, filesys.SplitOptions{MinPartitions: 1}, c.p, func(*node) error { return nil })
		if err != nil || c.rows == 0 && len(parts) > 0 {
			t.Errorf("%v: %d partitions, %v", c.p, len(parts), err)
		}
		if rows, _ := readWhere[narrow](t, info, c.p); len(rows) != c.rows {
			t.Errorf("%v: %d rows, want %d", c.p, len(rows), c.rows)
		}
	}
	text, err := readColumns(t, info, Select{Name: "n", Kind: Int64}, Select{Name: "name"}, Select{Name: "X"})
	if err != nil || strings.Join(text, " ") != "7|a b|1 7|a b|2" {
		t.Errorf("%v, %v", text, err)
	}
	null := write(t, "mem://parts2/n=__HIVE_DEFAULT_PARTITION__/p.parquet", []narrow{{1}}, 10)
	if rows, err := read[struct{ N *int32 }](t, null); err != nil || rows[0].N != nil {
		t.Errorf("%v, %v", rows, err)
	}
	for name, err := range map[string]error{
		"is null in the path":            second(read[struct{ N int32 }](t, null)),
		`"day" is "2026-03-01" in the`:   second(read[struct{ Day int32 }](t, info)),
		`cannot be read into a field of`: second(read[struct{ Day []int32 }](t, info)),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestPartitionFields(t *testing.T) {
	type row struct {
		A int64
		B []int64
		C float64 `parquet:"sea"`
	}
	for want, by := range map[string][]string{
		"has no such field: it has: A, B, sea": {"z"}, "makes no directories": {"B"}, "float64 makes no": {"sea"}, "named twice": {"A", "a"},
	} {
		if _, err := partitionFields(reflect.TypeFor[row](), by); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", by, err, want)
		}
	}
	if _, err := partitionFields(reflect.TypeFor[struct{ A int }](), []string{"A"}); err == nil {
		t.Error("no field is left")
	}
	for in, want := range map[string]string{"a b": "a b", "x/y=1": "x%2Fy%3D1", "": hiveNull, "..": "%2E%2E", "ü%": "ü%25"} {
		if got := escape(in); got != want || in != "" && unescape(got) != in {
			t.Errorf("escape(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestTaskWriter writes into more directories than files are open at a time.
func TestTaskWriter(t *testing.T) {
	type row struct {
		K int64 `parquet:"k"`
		V int64 `parquet:"v"`
	}
	out, err := filesys.NewOutput(t.Context(), "mem://taskwriter/out", "")
	if err != nil {
		t.Fatal(err)
	}
	w, err := newTaskWriter[row](t.Context(), out, 3, WriteOptions{PartitionBy: []string{"k"}})
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for i := range int64(1000) {
		rows = append(rows, row{i % 60, i})
	}
	if err := w.write(rows); err != nil {
		t.Fatal(err)
	}
	files, err := w.close()
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Commit(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	listed, err := filesys.Expand(t.Context(), "mem://taskwriter/out")
	if err != nil {
		t.Fatal(err)
	}
	sum, n := int64(0), 0
	for _, f := range listed {
		got, err := read[row](t, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			if !strings.Contains(f.URI, fmt.Sprintf("/k=%d/", r.V%60)) || r.K != r.V%60 {
				t.Fatalf("%+v in %s", r, f.URI)
			}
			sum += r.V
			n++
		}
	}
	if n != 1000 || sum != 999*1000/2 {
		t.Errorf("%d rows of sum %d in %d files", n, sum, len(listed))
	}
}

func TestDecimal(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "-12.340": -12.34, "0.05": 0.05, "170141183460469231731687303715884105727": 1.7014118346046923e38, "-170141183460469231731687303715884105728": -1.7014118346046923e38} {
		d, err := ParseDecimal(text)
		if err != nil || d.String() != text || d.Float64() != want {
			t.Errorf("%s: %v, %v, %v", text, d, d.Float64(), err)
		}
	}
	for _, text := range []string{"", "x", "1.2.3", "1_0", "170141183460469231731687303715884105728"} {
		if d, err := ParseDecimal(text); err == nil {
			t.Errorf("%s is %v", text, d)
		}
	}
	a, b := NewDecimal(-150, 2), NewDecimal(-15, 1)
	if a.Cmp(b) != 0 || a.Cmp(NewDecimal(1, 0)) != -1 || NewDecimal(1, 0).Cmp(a) != 1 || a.Sign() != -1 || (Decimal{}).Sign() != 0 || NewDecimal(3, 1).Sign() != 1 {
		t.Error("order")
	}
	if c, err := a.rescale(1); err != nil || c != b {
		t.Errorf("%v, %v", c, err)
	}
	if _, err := NewDecimal(123, 2).rescale(1); err == nil {
		t.Error("a digit is lost")
	}
}

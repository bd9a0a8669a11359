package parquetio

import (
	"bytes"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/spark-go/spark-go/io/filesys"
)

type amounts struct {
	Small  Decimal    `parquet:"small,decimal(2:9)"`
	Medium Decimal    `parquet:"medium,decimal(0:18)"`
	Large  Decimal    `parquet:"large,decimal(10:38)"`
	Odd    *Decimal   `parquet:"odd,decimal(3:21)"`
	At     time.Time  `parquet:"at"`
	Name   string     `parquet:"name"`
	Items  []position `parquet:"items"`
}

type position struct {
	Price *Decimal `parquet:"price,decimal(2:20)"`
	Count int32
}

func dec(t testing.TB, text string) Decimal {
	t.Helper()
	d, err := ParseDecimal(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// amountRows are the rows of testdata/decimals.parquet too.
func amountRows(t testing.TB) []amounts {
	odd, price := dec(t, "-123456789012345678.901"), dec(t, "-0.01")
	nines := strings.Repeat("9", 28) + "." + strings.Repeat("9", 10)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return []amounts{
		{dec(t, "-0.01"), dec(t, "-1"), dec(t, "-0.0000000001"), nil, at, "minus", nil},
		{dec(t, "1234567.89"), dec(t, "999999999999999999"), dec(t, nines), &odd, at, "most", []position{{&price, 1}, {nil, 2}}},
		{dec(t, "-9999999.99"), dec(t, "-999999999999999999"), dec(t, "-"+nines), nil, at, "least", []position{}},
		{dec(t, "0.00"), dec(t, "0"), dec(t, "0.0000000000"), &Decimal{Scale: 3}, at, "zero", []position{{&price, 3}}},
	}
}

func readRows[T any](t *testing.T, uri string) []T {
	t.Helper()
	info, err := filesys.Stat(t.Context(), uri)
	if err != nil {
		t.Fatal(err)
	}
	partitions, err := PlanSplits(t.Context(), []filesys.Info{info}, filesys.SplitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for _, s := range slices.Concat(partitions...) {
		r, err := NewReader[T](t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		for {
			rows, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, slices.Clone(rows)...)
		}
		r.Close()
	}
	return all
}

func TestDecimalsRoundTrip(t *testing.T) {
	want := amountRows(t)
	want = slices.Concat(slices.Repeat(want, 200))
	w, err := NewFileWriter[amounts](t.Context(), "mem://decimals/x.parquet", WriteOptions{RowGroupRows: 300})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(want); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want[0].Items = []position{} // nil is written as an empty list
	for i := range want {
		if want[i].Items == nil {
			want[i].Items = []position{}
		}
	}
	if got := readRows[amounts](t, "mem://decimals/x.parquet"); !reflect.DeepEqual(got, want) {
		t.Errorf("%d rows of %d, first %+v", len(got), len(want), got[0])
	}
	schema, err := ReadSchema(t.Context(), "mem://decimals/x.parquet")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"small decimal(9,2)", "medium decimal(18,0)", "large decimal(38,10)", "odd decimal(21,3), optional"} {
		if !strings.Contains(fmt.Sprint(schema), line) {
			t.Errorf("no %q in\n%v", line, schema)
		}
	}
}

// TestDecimalsExcludeNothing: the library's minimum and maximum of bytes know no sign, so none of theirs may stand in the file.
func TestDecimalsExcludeNothing(t *testing.T) {
	w, err := NewFileWriter[amounts](t.Context(), "mem://decimals/index.parquet", WriteOptions{})
	if err == nil {
		err = w.Write(amountRows(t))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	content, err := filesys.ReadFile(t.Context(), "mem://decimals/index.parquet")
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	chunk := f.Metadata().RowGroups[0].Columns[2]
	if s := chunk.MetaData.Statistics; s.MinValue != nil || s.MaxValue != nil {
		t.Errorf("the row group has bounds: %x to %x", s.MinValue, s.MaxValue)
	}
	index := f.ColumnIndexes()[2]
	least, err1 := bigEndianDecimal(index.MinValues[0], 10)
	most, err2 := bigEndianDecimal(index.MaxValues[0], 10)
	rows := amountRows(t)
	if err1 != nil || err2 != nil || least != rows[2].Large || most != rows[1].Large {
		t.Errorf("the page has the bounds %v and %v, %v, %v", least, most, err1, err2)
	}
}

// TestDecimalsOfPyarrow: what pyarrow wrote of the same rows is read as the same. (pyarrow reads what is written here too; it was tried by hand.)
func TestDecimalsOfPyarrow(t *testing.T) {
	content, err := os.ReadFile("testdata/decimals.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if err := filesys.WriteFile(t.Context(), "mem://decimals/pyarrow.parquet", content); err != nil {
		t.Fatal(err)
	}
	type flat struct {
		Small  Decimal
		Medium Decimal
		Large  Decimal
		Odd    *Decimal
		Name   string
	}
	var want []flat
	for _, a := range amountRows(t) {
		want = append(want, flat{a.Small, a.Medium, a.Large, a.Odd, a.Name})
	}
	if got := readRows[flat](t, "mem://decimals/pyarrow.parquet"); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestDecimalsThatDoNotFit are errors and not rounded; those of another scale are right if they fit.
func TestDecimalsThatDoNotFit(t *testing.T) {
	type row struct {
		D Decimal `parquet:"d,decimal(2:5)"`
	}
	for text, ok := range map[string]bool{"1.5": true, "-999.99": true, "1.500": true, "1000": false, "-1000.00": false, "0.001": false} {
		w, err := NewFileWriter[row](t.Context(), "mem://decimals/fit", WriteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = w.Write([]row{{dec(t, text)}})
		if ok && err != nil || !ok && (err == nil || !strings.Contains(err.Error(), "does not fit in decimal(5,2)")) {
			t.Errorf("%s: %v", text, err)
		}
		if !ok {
			_ = w.Abort()
			continue
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := readRows[row](t, "mem://decimals/fit"); len(got) != 1 || got[0].D.Cmp(dec(t, text)) != 0 || got[0].D.Scale != 2 {
			t.Errorf("%s: %v", text, got)
		}
	}
	for tag, f := range map[string]func() error{
		"add `parquet": func() error {
			_, err := NewFileWriter[struct{ D Decimal }](t.Context(), "mem://w/x", WriteOptions{})
			return err
		},
		"precision of 1 to 38": func() error {
			_, err := NewFileWriter[struct {
				D *Decimal `parquet:"d,decimal(0:39)"`
			}](t.Context(), "mem://w/x", WriteOptions{})
			return err
		},
		"elements structs": func() error {
			_, err := NewFileWriter[struct{ D []Decimal }](t.Context(), "mem://w/x", WriteOptions{})
			return err
		},
		"two columns": func() error {
			_, err := NewFileWriter[struct{ I Interval }](t.Context(), "mem://w/x", WriteOptions{})
			return err
		},
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), tag) {
			t.Errorf("%v, want %q in it", err, tag)
		}
	}
}

func TestDecimalBytes(t *testing.T) {
	for p := 1; p <= mostDigits; p++ {
		limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)
		n := decimalBytes(limit)
		half := func(n int) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(8*n-1)) } // numbers of n bytes are below
		if half(n).Cmp(limit) < 0 || n > 1 && half(n-1).Cmp(limit) >= 0 {
			t.Errorf("%d bytes for %d digits", n, p)
		}
	}
}

func BenchmarkWriteDecimals(b *testing.B) {
	type row struct {
		ID    int64
		Small Decimal `parquet:"small,decimal(2:9)"`
		Large Decimal `parquet:"large,decimal(2:38)"`
	}
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]row, 100_000)
	for i := range rows {
		rows[i] = row{int64(i), NewDecimal(rng.Int64N(1e9), 2), NewDecimal(rng.Int64(), 2)}
	}
	b.ReportAllocs()
	for b.Loop() {
		w, err := NewFileWriter[row](b.Context(), "mem://decimals/bench", WriteOptions{})
		if err == nil {
			err = w.Write(rows)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(rows))*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

package parquetio

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/spark-go/spark-go/io/filesys"
)

// small is a row of several shapes whose files stay small enough to mutate.
type small struct {
	A *int32   `parquet:"a,optional,dict"`
	S *string  `parquet:"s,optional"`
	L []int64  `parquet:"l,list"`
	F float64  `parquet:"f"`
	P *point   `parquet:"p,optional"`
	B bool     `parquet:"b"`
	T []string `parquet:"t,list,dict"`
}

func smallFile(tb testing.TB, options ...parquet.WriterOption) []byte {
	tb.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	rows := make([]small, 40)
	for i := range rows {
		rows[i] = small{L: make([]int64, i%4), F: rng.Float64(), B: i%3 == 0, T: []string{"x", "yy"}[:i%3%2]}
		if i%5 > 1 {
			rows[i].A, rows[i].S, rows[i].P = ptr(rng.Int32N(5)), ptr("some text"), &point{X: 1}
		}
	}
	write(tb, "mem://small/f", rows, 25, options...)
	b, err := filesys.ReadFile(tb.Context(), "mem://small/f")
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// tryRead reads a file that may be damaged in every way. It must return.
func tryRead(tb testing.TB, fsys string, content []byte) {
	tb.Helper()
	uri := "mem://" + fsys + "/damaged"
	if err := filesys.WriteFile(tb.Context(), uri, content); err != nil {
		tb.Fatal(err)
	}
	info := statFor(tb, uri)
	_, _ = ReadSchema(tb.Context(), uri)
	parts, err := planFor(tb, info)
	if err != nil {
		return
	}
	for _, s := range parts {
		if s.Rows > 1_000_000 { // a damaged count: the rows are not there, but zero-width runs may claim them
			return
		}
		if r, err := NewReader[small](tb.Context(), s); err == nil {
			for err == nil {
				_, err = r.Next()
			}
			r.Close()
		}
		if r, err := NewColumnReader(tb.Context(), s, Select{Name: "a"}, Select{Name: "s"}, Select{Name: "l"}, Select{Name: "t"}); err == nil {
			for err == nil {
				_, err = r.Next()
			}
			r.Close()
		}
	}
}

// TestDamagedFiles flips bytes and cuts files: errors or other values, but no panic and no hang.
func TestDamagedFiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	deadline := time.Now().Add(time.Second)
	for _, options := range [][]parquet.WriterOption{
		{parquet.DataPageVersion(1)},
		{parquet.DataPageVersion(2), parquet.Compression(&parquet.Snappy)},
	} {
		whole := smallFile(t, options...)
		for n := 0; n < 1500 && time.Now().Before(deadline); n++ {
			b := append([]byte(nil), whole...)
			for range 1 + rng.IntN(3) {
				b[rng.IntN(len(b))] = byte(rng.Int())
			}
			if n%10 == 0 {
				b = b[:rng.IntN(len(b))]
			}
			tryRead(t, "flip", b)
		}
	}
	// A footer said to be larger than the file is not made room for.
	huge := append(smallFile(t), "\xff\xff\xff\xfePAR1"...)
	if err := filesys.WriteFile(t.Context(), "mem://flip/huge", huge); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadSchema(t.Context(), "mem://flip/huge"); err == nil || !strings.Contains(err.Error(), "claims a footer") {
		t.Errorf("a huge footer: %v", err)
	}
	// A file that is not damaged reads to the end.
	if err := filesys.WriteFile(t.Context(), "mem://flip/whole", smallFile(t)); err != nil {
		t.Fatal(err)
	}
	r, err := NewReader[small](t.Context(), splitsOf(t, statFor(t, "mem://flip/whole"))[0])
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		rows, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(rows)
	}
	if err := r.Close(); err != nil || n != 40 {
		t.Errorf("%d rows, %v", n, err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after Close: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(smallFile(f, parquet.DataPageVersion(1)))
	f.Add(smallFile(f, parquet.DataPageVersion(2), parquet.Compression(&parquet.Snappy)))
	f.Fuzz(func(t *testing.T, content []byte) { tryRead(t, "fuzz", content) })
}

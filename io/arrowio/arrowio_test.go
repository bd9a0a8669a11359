package arrowio

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/parquetio"
)

type point struct {
	X float64
	Y *int32 `parquet:"y"`
}

type row struct {
	B    bool
	I8   int8
	I    int
	U16  uint16
	U64  uint64
	F32  float32
	F64  float64
	S    string `parquet:"text"`
	Raw  []byte
	At   time.Time
	For  time.Duration
	D    parquetio.Decimal
	PS   *string
	PD   *parquetio.Decimal
	L    []int32
	LP   []*string
	P    point
	PP   *point
	Pts  []point
	Skip int `parquet:"-"`
}

func ptr[T any](v T) *T { return &v }

func rows(n int) []row {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]row, n)
	for i := range out {
		r := row{
			B: i%2 == 0, I8: int8(i), I: -i, U16: uint16(i), U64: rng.Uint64(), F32: rng.Float32(), F64: rng.NormFloat64(), S: fmt.Sprint("s", i), Raw: []byte{byte(i)},
			At: time.UnixMicro(rng.Int64N(1 << 50)).UTC(), For: time.Duration(i), D: parquetio.NewDecimal(-int64(i), 2), L: []int32{}, LP: []*string{}, P: point{X: 1, Y: ptr(int32(i))}, Pts: []point{},
		}
		for j := range i % 4 {
			r.L, r.LP, r.Pts = append(r.L, int32(j)), append(r.LP, nil, ptr("x")), append(r.Pts, point{X: float64(j)})
		}
		if i%3 > 0 {
			r.PS, r.PP = ptr("there"), &point{X: 3}
		}
		out[i] = r
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 100} {
		want := rows(n)
		b, err := FromRows(want)
		if err != nil {
			t.Fatal(err)
		}
		uri := "mem://arrow/x.arrow"
		if err := WriteFile(t.Context(), uri, b, b); err != nil {
			t.Fatal(err)
		}
		batches := 0
		err = ReadFile(t.Context(), uri, func(b arrow.RecordBatch) error {
			got, err := ToRows[row](b)
			if err != nil {
				return err
			}
			batches++
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%d rows differ", n)
			}
			return nil
		})
		if err != nil || batches != 2 {
			t.Errorf("%d batches, %v", batches, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	type loop struct{ Next []loop }
	type in struct {
		A int64
		P *int32
		S string
		D parquetio.Decimal
	}
	b, err := FromRows([]in{{A: 1, P: nil, D: parquetio.NewDecimal(1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	second := func(_ any, err error) error { return err }
	for want, err := range map[string]error{
		"it is int64, which a field of type int32": second(ToRows[struct{ A int32 }](b)),
		"it is int64, which a field of type uint6": second(ToRows[struct{ A uint64 }](b)),
		`no column "Q": the columns are: A, P, S,`: second(ToRows[struct{ Q int32 }](b)),
		"it is null, which a field of type int32 ": second(ToRows[struct{ P int32 }](b)),
		"it is utf8, which a field of type []uint": second(ToRows[struct{ S []byte }](b)),
		"a type that holds itself cannot be a row": second(FromRows([]loop{})),
		"rows are structs, not int":                second(FromRows([]int{})),
		"a chan int has no Arrow type":             second(FromRows([]struct{ C chan int }{})),
		"a column has one scale":                   second(FromRows([]in{{D: parquetio.NewDecimal(1, 1)}, {D: parquetio.NewDecimal(1, 2)}})),
		"there is no record batch":                 WriteFile(t.Context(), "mem://arrow/none"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	stop := errors.New("stop")
	if err := WriteFile(t.Context(), "mem://arrow/stop", b); err != nil {
		t.Fatal(err)
	}
	if err := ReadFile(t.Context(), "mem://arrow/stop", func(arrow.RecordBatch) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

// TestTruncatedFile cuts a file everywhere: an error, never a panic, unless nothing is missing that was asked for.
func TestTruncatedFile(t *testing.T) {
	b, err := FromRows(rows(5))
	if err == nil {
		err = WriteFile(t.Context(), "mem://arrow/whole", b)
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, err := filesys.ReadFile(t.Context(), "mem://arrow/whole")
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if err := filesys.WriteFile(t.Context(), "mem://arrow/cut", whole[:n]); err != nil {
			t.Fatal(err)
		}
		err := ReadFile(t.Context(), "mem://arrow/cut", func(b arrow.RecordBatch) error {
			_, err := ToRows[row](b)
			return err
		})
		if err == nil {
			t.Errorf("the first %d of %d bytes are read as a whole file", n, len(whole))
		}
	}
}

// FuzzReadFile reads damaged files: errors, no panic, and no memory that the file does not account for.
func FuzzReadFile(f *testing.F) {
	b, err := FromRows(rows(5))
	if err == nil {
		err = WriteFile(f.Context(), "mem://arrow/seed", b, b)
	}
	if err != nil {
		f.Fatal(err)
	}
	whole, err := filesys.ReadFile(f.Context(), "mem://arrow/seed")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := filesys.WriteFile(t.Context(), "mem://arrow/fuzz", content); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = ReadFile(t.Context(), "mem://arrow/fuzz", func(b arrow.RecordBatch) error {
			_, err := ToRows[row](b)
			return err
		})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 2*(freeBytes+uint64(mostRatio*len(content))) {
			t.Errorf("a file of %d bytes takes %d", len(content), n)
		}
	})
}

// TestForgedFile changes each byte of a file to the largest and other values: lengths that lie among them.
func TestForgedFile(t *testing.T) {
	b, err := FromRows(rows(5))
	if err == nil {
		err = WriteFile(t.Context(), "mem://arrow/whole", b)
	}
	if err != nil {
		t.Fatal(err)
	}
	whole, err := filesys.ReadFile(t.Context(), "mem://arrow/whole")
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range whole {
		for _, v := range []byte{0xff, 0x7f} {
			forged := slices.Clone(whole)
			forged[i] = v
			if err := filesys.WriteFile(t.Context(), "mem://arrow/forged", forged); err != nil {
				t.Fatal(err)
			}
			err := ReadFile(t.Context(), "mem://arrow/forged", func(b arrow.RecordBatch) error {
				_, err := ToRows[row](b)
				return err
			})
			if err != nil {
				refused++
			}
		}
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / uint64(2*len(whole)); n > 1<<20 {
		t.Errorf("a forged file of %d bytes takes %d on average", len(whole), n)
	}
	if refused == 0 {
		t.Error("none was refused")
	}
}

func Example() {
	ctx := context.Background()
	type rating struct {
		User  int32    `parquet:"userId"`
		Value *float32 `parquet:"rating"`
	}
	batch, err := FromRows([]rating{{User: 1, Value: ptr(float32(4.5))}, {User: 2}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(batch.Schema())
	fmt.Println(WriteFile(ctx, "mem://example/ratings.arrow", batch))
	err = ReadFile(ctx, "mem://example/ratings.arrow", func(b arrow.RecordBatch) error {
		rows, err := ToRows[rating](b)
		fmt.Println(len(rows), rows[0].User, *rows[0].Value, rows[1].Value == nil)
		return err
	})
	fmt.Println(err)
	// Output:
	// schema:
	//   fields: 2
	//     - userId: type=int32
	//     - rating: type=float32, nullable
	// <nil>
	// 2 1 4.5 true
	// <nil>
}

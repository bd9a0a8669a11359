package parquetio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/spark-go/spark-go/io/filesys"
)

// write makes a file of rows with parquet-go itself, in groups of the given number of rows.
func write[T any](tb testing.TB, uri string, rows []T, group int, options ...parquet.WriterOption) filesys.Info {
	tb.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	for len(rows) > 0 {
		n := min(group, len(rows))
		if _, err := w.Write(rows[:n]); err != nil {
			tb.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			tb.Fatal(err)
		}
		rows = rows[n:]
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := filesys.WriteFile(tb.Context(), uri, b.Bytes()); err != nil {
		tb.Fatal(err)
	}
	return statFor(tb, uri)
}

// read reads all rows of a file.
func read[T any](tb testing.TB, info filesys.Info) ([]T, error) {
	tb.Helper()
	parts, err := planFor(tb, info)
	if err != nil {
		return nil, err
	}
	var all []T
	for _, s := range parts {
		r, err := NewReader[T](tb.Context(), s)
		if err != nil {
			return nil, err
		}
		for {
			batch, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				r.Close()
				return nil, err
			}
			if len(batch) == 0 || len(batch) > BatchRows {
				tb.Fatalf("a batch of %d rows", len(batch))
			}
			all = append(all, batch...)
		}
		if err := r.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return all, nil
}

// readColumns reads all rows of some columns, as text.
func readColumns(tb testing.TB, info filesys.Info, columns ...Select) ([]string, error) {
	tb.Helper()
	var rows []string
	for _, s := range splitsOf(tb, info) {
		r, err := NewColumnReader(tb.Context(), s, columns...)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		for {
			b, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
			for i := range b.Rows {
				var row []string
				for _, c := range b.Columns {
					from, to := c.Bounds(i)
					values := []string{}
					for j := from; j < to; j++ {
						switch c.Kind {
						case Int64:
							values = append(values, fmt.Sprint(c.Int64s[j]))
						case Float64:
							values = append(values, fmt.Sprint(c.Float64s[j]))
						case String:
							values = append(values, c.Strings[j])
						case Bool:
							values = append(values, fmt.Sprint(c.Bools[j]))
						}
					}
					switch text := strings.Join(values, " "); {
					case c.IsNull(i):
						row = append(row, "null")
					case c.IsList():
						row = append(row, "["+text+"]")
					default:
						row = append(row, text)
					}
				}
				rows = append(rows, strings.Join(row, "|"))
			}
		}
	}
	return rows, nil
}

type point struct {
	X float64
	Y *int64
}

// everything has a field of each kind that rows may have.
type everything struct {
	B    bool
	I8   int8
	I16  int16
	I32  int32
	I64  int64
	I    int
	U8   uint8
	U16  uint16
	U32  uint32
	U64  uint64
	F32  float32
	F64  float64
	S    string
	Raw  []byte
	ID   [16]byte
	At   time.Time
	For  time.Duration
	PI   *int32
	PS   *string
	PT   *time.Time
	Ints []int32
	Strs []string
	Pts  []point
	P    point
	PP   *point
	M    map[string]int64
}

func ptr[T any](v T) *T { return &v }

func random(rng *rand.Rand, n int) []everything {
	word := func() string { return fmt.Sprintf("word%d", rng.IntN(50)) }
	rows := make([]everything, n)
	for i := range rows {
		e := everything{
			B: rng.IntN(2) == 0, I8: int8(rng.Int()), I16: int16(rng.Int()), I32: rng.Int32(), I64: rng.Int64(), I: rng.Int(),
			U8: uint8(rng.Int()), U16: uint16(rng.Int()), U32: rng.Uint32(), U64: rng.Uint64(), F32: rng.Float32(), F64: rng.NormFloat64(),
			S: word(), Raw: []byte(word()), At: time.UnixMicro(rng.Int64N(1 << 50)).UTC(), For: time.Duration(rng.Int64N(86400e9)),
			Ints: []int32{}, Strs: []string{}, Pts: []point{}, P: point{X: rng.Float64()}, M: map[string]int64{},
		}
		for j := range e.ID {
			e.ID[j] = byte(rng.Int())
		}
		for range rng.IntN(4) {
			e.Ints = append(e.Ints, rng.Int32())
			e.M[word()] = rng.Int64()
		}
		for range rng.IntN(3) {
			e.Strs = append(e.Strs, word())
			p := point{X: rng.Float64()}
			if rng.IntN(2) == 0 {
				p.Y = ptr(rng.Int64())
			}
			e.Pts = append(e.Pts, p)
		}
		if rng.IntN(3) > 0 {
			e.PI, e.PS, e.P.Y = ptr(rng.Int32()), ptr(word()), ptr(rng.Int64())
		}
		if rng.IntN(3) > 0 {
			e.PT, e.PP = ptr(e.At), &point{X: 1, Y: e.P.Y}
		}
		rows[i] = e
	}
	return rows
}

func TestRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{0, 1, 5000} {
		rows := random(rng, n)
		for _, compression := range []string{"", "zstd", "gzip", "none", "lz4_raw"} {
			uri := filepath.Join(t.TempDir(), "x.parquet")
			w, err := NewFileWriter[everything](t.Context(), uri, WriteOptions{Compression: compression, RowGroupRows: 2345})
			if err != nil {
				t.Fatal(err)
			}
			for from := 0; from < n; from += 700 {
				if err := w.Write(rows[from:min(n, from+700)]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := read[everything](t, statFor(t, uri))
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != n {
				t.Fatalf("%d rows, want %d", len(got), n)
			}
			for i := range got {
				if !reflect.DeepEqual(got[i], rows[i]) {
					t.Fatalf("row %d of %d is\n%+v, want\n%+v", i, n, got[i], rows[i])
				}
			}
		}
	}
}

// shape is written in many layouts of pages and encodings, as other writers use.
type shaped struct {
	A *int32    `parquet:"a,optional,dict"`
	B *string   `parquet:"b,optional,dict"`
	C *float64  `parquet:"c,optional"`
	D int64     `parquet:"d,delta"`
	E string    `parquet:"e"`
	F []int32   `parquet:"f,list"`
	G [][]int32 `parquet:"-"`
	H bool      `parquet:"h"`
	J []string  `parquet:"j"` // a bare repeated column
}

func TestLayouts(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	rows := make([]shaped, 10_000)
	for i := range rows {
		r := shaped{D: rng.Int64N(100), E: strings.Repeat("e", rng.IntN(30)), H: rng.IntN(3) == 0, F: []int32{}, J: []string{}}
		if i/100%2 == 0 && rng.IntN(4) > 0 {
			r.A, r.B, r.C = ptr(rng.Int32N(100)), ptr(fmt.Sprint(rng.IntN(1000))), ptr(rng.Float64())
		}
		for range rng.IntN(5) {
			r.F = append(r.F, rng.Int32())
			r.J = append(r.J, fmt.Sprint(rng.IntN(3)))
		}
		rows[i] = r
	}
	for name, options := range map[string][]parquet.WriterOption{
		"v1 snappy":       {parquet.DataPageVersion(1), parquet.Compression(&parquet.Snappy)},
		"v2 snappy":       {parquet.DataPageVersion(2), parquet.Compression(&parquet.Snappy)},
		"v2 zstd":         {parquet.DataPageVersion(2), parquet.Compression(&parquet.Zstd)},
		"v1 tiny pages":   {parquet.DataPageVersion(1), parquet.PageBufferSize(100)},
		"v2 tiny pages":   {parquet.DataPageVersion(2), parquet.PageBufferSize(100)},
		"brotli":          {parquet.Compression(&parquet.Brotli)},
		"small dictonary": {parquet.DictionaryMaxBytes(64)},
	} {
		for _, group := range []int{10_000, 3000, 17} {
			if group == 17 && name != "v1 snappy" {
				continue
			}
			info := write(t, "mem://layouts/x", rows, group, options...)
			got, err := read[shaped](t, info)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !reflect.DeepEqual(got, rows) {
				t.Errorf("%s in groups of %d: the rows differ", name, group)
			}
		}
	}
}

func TestProjectionAndNames(t *testing.T) {
	type wide struct {
		UserID int32   `parquet:"user_id"`
		Name   string  `parquet:"name"`
		Score  float32 `parquet:"Score"`
		Dotted int64   `parquet:"a.b"`
	}
	info := write(t, "mem://names/x", []wide{{1, "n", 2.5, 7}}, 10)
	type base struct{ UserID int64 }
	type narrow struct {
		base
		Points float64 `parquet:"Score"`
		NAME   []byte
		Skip   chan int `parquet:"-"`
		hidden int
	}
	got, err := read[narrow](t, info)
	if err != nil || len(got) != 1 || got[0].UserID != 1 || got[0].Points != 2.5 || string(got[0].NAME) != "n" || got[0].hidden != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	text, err := readColumns(t, info, Select{Name: "userid"}, Select{Name: "score"}, Select{Name: "a.b", Kind: Float64})
	if err != nil || text[0] != "1|2.5|7" {
		t.Errorf("%v, %v", text, err)
	}
}

func TestMismatches(t *testing.T) {
	type in struct {
		A   int64    `parquet:"a"`
		N   *int32   `parquet:"n,optional"`
		S   string   `parquet:"s"`
		L   []int32  `parquet:"l,list"`
		P   point    `parquet:"p"`
		OP  *point   `parquet:"op,optional"`
		X   int32    `parquet:"x"`
		X2  int32    `parquet:"X"`
		Big []*int32 `parquet:"big,list"`
	}
	rows := make([]in, 3000)
	for i := range rows {
		rows[i] = in{N: ptr(int32(1)), OP: &point{}, Big: []*int32{}}
	}
	rows[2500] = in{Big: []*int32{ptr(int32(1)), nil}}
	info := write(t, "mem://mismatch/f.parquet", rows, 1100)
	for name, c := range map[string]struct {
		read func() error
		want []string
	}{
		"narrower":    {fails[struct{ A int32 }](t, info), []string{"f.parquet", `"a"`, "int64", "int32"}},
		"lossy float": {fails[struct{ A float64 }](t, info), []string{`"a"`, "float64", "int64 or int"}},
		"other type":  {fails[struct{ S int64 }](t, info), []string{`"s" is string`, "[]byte"}},
		"list":        {fails[struct{ L int32 }](t, info), []string{`"l" is a list`, "a slice"}},
		"struct":      {fails[struct{ P int32 }](t, info), []string{`"p" is a struct`}},
		"scalar":      {fails[struct{ A point }](t, info), []string{`"a" is int64`}},
		"missing":     {fails[struct{ Q int32 }](t, info), []string{`no column "Q"`, "a, n, s, l, p, op, x, X, big"}},
		"missing tag": {fails[struct {
			Q int32 `parquet:"zz"`
		}](t, info), []string{`no column "zz"`}},
		"missing below": {fails[struct{ P struct{ Z int32 } }](t, info), []string{`group "p" has no column "Z"`, "X, Y"}},
		"ambiguous":     {fails[struct{ X_ int32 }](t, info), []string{"both match"}},
		"no field":      {fails[struct{ a int }](t, info), []string{"no exported field"}},
		"no struct":     {fails[int32](t, info), []string{"not into int32"}},
		"null":          {fails[struct{ N int32 }](t, info), []string{`column "n" is null in row 2500`, "*int32", `n,nullzero`}},
		"null below":    {fails[struct{ OP point }](t, info), []string{`column "op" is null in row 2500`}},
		"null element":  {fails[struct{ Big []int32 }](t, info), []string{"null element in row 2500"}},
	} {
		err := c.read()
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", name, err, want)
			}
		}
	}
	got, err := read[struct {
		N   int32   `parquet:"n,nullzero"`
		OP  point   `parquet:"op,nullzero"`
		Big []int32 `parquet:"big,nullzero"`
	}](t, info)
	if err != nil || len(got) != 3000 || got[2500].N != 0 || got[2499].N != 1 || len(got[2500].Big) != 2 {
		t.Errorf("nullzero: %v", err)
	}
	pointers, err := read[struct {
		N   *int64
		Big []*int32
		L   *[]int32
	}](t, info)
	if err != nil || pointers[2500].N != nil || *pointers[2499].N != 1 || pointers[2500].Big[1] != nil || *pointers[2500].Big[0] != 1 || pointers[0].L == nil {
		t.Errorf("pointers: %v", err)
	}
	for name, s := range map[string]Select{
		`no column "q"`:    {Name: "q"},
		`cannot be read`:   {Name: "p"},
		`as bool`:          {Name: "a", Kind: Bool},
		`unknown kind`:     {Name: "a", Kind: "int12"},
		`a null element`:   {Name: "big"},
		`list of int32`:    {Name: "l", Kind: String},
		`there is no colu`: {Name: "p.z"},
	} {
		if _, err := readColumns(t, info, s); err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "f.parquet") {
			t.Errorf("select %v: %v, want %s", s, err, name)
		}
	}
	text, err := readColumns(t, info, Select{Name: "n"}, Select{Name: "l"}, Select{Name: "P.x"}, Select{Name: "op.y"}, Select{Name: "a", Kind: Float64})
	if err != nil || text[2500] != "null|[]|0|null|0" || text[0] != "1|[]|0|null|0" {
		t.Errorf("%v, %v", text[2500], err)
	}
}

func fails[T any](t *testing.T, info filesys.Info) func() error {
	return func() error {
		_, err := read[T](t, info)
		return err
	}
}

func TestExactFloat(t *testing.T) {
	type in struct {
		A int64
		U uint64
		B bool
		F float32
		D []float64 `parquet:"D,list"`
	}
	info := write(t, "mem://exact/f", []in{{A: 1 << 53, U: 1 << 63, B: true, F: 1.5, D: []float64{1, 2}}, {A: 1<<53 + 1, D: []float64{}}}, 1)
	if _, err := readColumns(t, info, Select{Name: "A", Kind: Float64}); err == nil || !strings.Contains(err.Error(), "9007199254740993") {
		t.Error(err)
	}
	if _, err := readColumns(t, info, Select{Name: "U"}); err == nil || !strings.Contains(err.Error(), "9223372036854775808") {
		t.Error(err)
	}
	text, err := readColumns(t, info, Select{Name: "A"}, Select{Name: "B", Kind: Float64}, Select{Name: "F"}, Select{Name: "D"}, Select{Name: "B"})
	if err != nil || strings.Join(text, " ") != "9007199254740992|1|1.5|[1 2]|true 9007199254740993|0|0|[]|false" {
		t.Errorf("%q, %v", text, err)
	}
}

func TestDatesAndTimes(t *testing.T) {
	type in struct {
		Day   int32 `parquet:"day,date"`
		Milli int64 `parquet:"milli,timestamp(millisecond)"`
		Micro int64 `parquet:"micro,timestamp(microsecond:local)"`
		Nano  int64 `parquet:"nano,timestamp(nanosecond)"`
		Clock int32 `parquet:"clock,time(millisecond)"`
	}
	at := time.Date(1969, 12, 31, 23, 59, 58, 123_000_000, time.UTC)
	info := write(t, "mem://times/f", []in{{-1, at.UnixMilli(), at.UnixMicro(), at.UnixNano(), 3600_000}}, 1)
	got, err := read[struct {
		Day, Milli, Micro, Nano time.Time
		Clock                   time.Duration
	}](t, info)
	if err != nil {
		t.Fatal(err)
	}
	g := got[0]
	if !g.Day.Equal(time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)) || !g.Milli.Equal(at) || !g.Micro.Equal(at) || !g.Nano.Equal(at) || g.Clock != time.Hour {
		t.Errorf("%+v", g)
	}
	raw, err := read[struct {
		Day         int32
		Milli, Nano int64
		Clock       int32
	}](t, info)
	if err != nil || raw[0].Day != -1 || raw[0].Milli != at.UnixMilli() || raw[0].Nano != at.UnixNano() || raw[0].Clock != 3600_000 {
		t.Errorf("%+v, %v", raw, err)
	}
}

func TestHalfFloat(t *testing.T) {
	for bits, want := range map[uint16]float32{0: 0, 0x3c00: 1, 0xc000: -2, 0x7bff: 65504, 1: 1.0 / (1 << 24), 0x3555: 0.33325195, 0x0400: 1.0 / (1 << 14)} {
		if got := halfFloat(bits); got != want {
			t.Errorf("halfFloat(%#x) = %v, want %v", bits, got, want)
		}
	}
	if f := halfFloat(0x7c01); f == f {
		t.Error("NaN is a number")
	}
}

func TestPlanSplits(t *testing.T) {
	rows := make([]rating, 10_000)
	a := write(t, "mem://plan/a", rows, 1000)
	b := write(t, "mem://plan/b", rows[:1], 1000)
	empty := write(t, "mem://plan/c", rows[:0], 1000)
	files := []filesys.Info{a, b, empty}
	for n, want := range map[int]int{1: 1, 2: 2, 5: 5, 100: 11} {
		parts, err := PlanSplits(t.Context(), files, filesys.SplitOptions{MinPartitions: n})
		if err != nil {
			t.Fatal(err)
		}
		var total int64
		for _, p := range parts {
			for _, s := range p {
				total += s.Rows
			}
		}
		if total != 10_001 || len(parts) < n && n < 11 || len(parts) > want+1 {
			t.Errorf("asked for %d partitions: %d with %d rows", n, len(parts), total)
		}
	}
	if parts, err := PlanSplits(t.Context(), files, filesys.SplitOptions{}); err != nil || len(parts) != 1 || len(parts[0]) != 2 || parts[0][0].Last != 10 {
		t.Errorf("%+v, %v", parts, err)
	}
	bad := filesys.Info{URI: "mem://plan/none", Size: 100}
	if _, err := PlanSplits(t.Context(), []filesys.Info{a, bad, b}, filesys.SplitOptions{}); err == nil || !strings.Contains(err.Error(), "plan/none") {
		t.Error(err)
	}
	text := "this is some text, not Parquet"
	if err := filesys.WriteFile(t.Context(), "mem://plan/text", []byte(text)); err != nil {
		t.Fatal(err)
	}
	if _, err := PlanSplits(t.Context(), []filesys.Info{statFor(t, "mem://plan/text")}, filesys.SplitOptions{}); err == nil || !strings.Contains(err.Error(), "is it a Parquet file") {
		t.Error(err)
	}
	s := splitsOf(t, a)[0]
	s.Size++
	if _, err := NewReader[rating](t.Context(), s); !errors.Is(err, filesys.ErrChanged) {
		t.Error(err)
	}
}

func TestScatterRefusesOtherLayouts(t *testing.T) {
	type id int32
	rows := make([]struct {
		A id
		B string
	}, 3)
	v := viewOf(reflect.ValueOf(rows))
	s := typed[int32](v.field(0))
	s.put(0, []int32{1, 2, 3})
	if bad, ok := s.look(1, []int32{1, 0}, []int32{7, 8}); !ok || rows[1].A != 8 || rows[2].A != 7 || rows[0].A != 1 {
		t.Errorf("%v, %v", rows, bad)
	}
	if bad, ok := s.look(0, []int32{0, -1}, []int32{7}); ok || bad != -1 {
		t.Errorf("a wrong index is taken: %v", bad)
	}
	for name, f := range map[string]func(){
		"string as int":  func() { typed[int32](v.field(1)) },
		"int64 as int32": func() { typed[int64](v.field(0)) },
		"past the end":   func() { s.put(1, []int32{1, 2, 3}) },
		"look past":      func() { s.look(2, []int32{0, 0}, []int32{1}) },
		"at the end":     func() { s.at(3) },
		"before":         func() { s.at(-1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	empty := viewOf(reflect.ValueOf(rows[3:])).field(1)
	typed[string](empty).put(0, nil)
}

func TestWriterRefuses(t *testing.T) {
	type loop struct{ Next *loop }
	for name, f := range map[string]func() error{
		"recursive": func() error { _, err := NewFileWriter[loop](t.Context(), "mem://w/x", WriteOptions{}); return err },
		"channel": func() error {
			_, err := NewFileWriter[struct{ C chan int }](t.Context(), "mem://w/x", WriteOptions{})
			return err
		},
		"scalar": func() error { _, err := NewFileWriter[int](t.Context(), "mem://w/x", WriteOptions{}); return err },
		"decimal": func() error {
			_, err := NewFileWriter[struct{ D []Decimal }](t.Context(), "mem://w/x", WriteOptions{})
			return err
		},
		"bloom": func() error {
			_, err := NewFileWriter[point](t.Context(), "mem://w/x", WriteOptions{BloomFilters: []string{"Z"}})
			return err
		},
		"order": func() error {
			_, err := NewFileWriter[point](t.Context(), "mem://w/x", WriteOptions{SortedBy: []string{"-Z"}})
			return err
		},
		"compression": func() error {
			_, err := NewFileWriter[point](t.Context(), "mem://w/x", WriteOptions{Compression: "rar"})
			return err
		},
		"tag": func() error {
			_, err := NewFileWriter[struct {
				A int `parquet:"a,nonsense"`
			}](t.Context(), "mem://w/x", WriteOptions{})
			return err
		},
	} {
		if err := f(); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Log(err)
		}
	}
	w, err := NewFileWriter[point](t.Context(), "mem://w/aborted", WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write([]point{{X: 1}}), w.Abort(), w.Close()); err != nil {
		t.Error(err)
	}
	if ok, _ := filesys.Exists(t.Context(), "mem://w/aborted"); ok {
		t.Error("an aborted file is there")
	}
}

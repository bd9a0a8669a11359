package parquetio

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/spark-go/spark-go/io/filesys"
)

type event struct {
	ID    int64     `parquet:"id"`
	Kind  string    `parquet:"kind,dict"`
	Score float64   `parquet:"score"`
	Level *int32    `parquet:"level,optional"`
	At    time.Time `parquet:"at,timestamp(millisecond)"`
	Ok    bool      `parquet:"ok"`
	Tags  []string  `parquet:"tags,list"`
	In    *inner    `parquet:"in,optional"`
}

type inner struct {
	X *int32 `parquet:"x,optional"`
}

func events(n int) []event {
	rng := rand.New(rand.NewPCG(4, 5))
	rows := make([]event, n)
	for i := range rows {
		e := event{ID: int64(i), Kind: fmt.Sprintf("k%d", rng.IntN(20)), Score: rng.NormFloat64(), At: time.UnixMilli(int64(i) * 1000).UTC(), Ok: i%3 == 0, Tags: []string{}}
		if rng.IntN(3) > 0 {
			e.Level = ptr(int32(i / 100))
		}
		if i%50 == 7 {
			e.Score = math.NaN()
		}
		if i%2 == 0 {
			e.In = &inner{}
			if i%4 == 0 {
				e.In.X = ptr(int32(i))
			}
		}
		for range i % 4 {
			e.Tags = append(e.Tags, fmt.Sprint(i))
		}
		rows[i] = e
	}
	return rows
}

// readWhere reads with a predicate, and counts.
func readWhere[T any](tb testing.TB, info filesys.Info, p Predicate) (all []T, total Skipped) {
	tb.Helper()
	f, err := openFile(tb.Context(), splitOf(info))
	if err != nil {
		tb.Fatal(err)
	}
	s := splitOf(info)
	s.Last = len(f.meta.groups)
	s.Rows = f.meta.rows
	if err := f.close(); err != nil {
		tb.Fatal(err)
	}
	r, err := NewReaderWhere[T](tb.Context(), s, p)
	if err != nil {
		tb.Fatal(err)
	}
	for err == nil {
		var rows []T
		if rows, err = r.Next(); err == nil && len(rows) == 0 {
			tb.Fatal("an empty batch")
		}
		all = append(all, rows...)
	}
	if err != io.EOF {
		tb.Fatalf("%v: %v", p, err)
	}
	total = r.Skipped()
	if err := r.Close(); err != nil {
		tb.Fatal(err)
	}
	return all, total
}

// TestWhere holds what is read with predicates against what Go says of all rows.
func TestWhere(t *testing.T) {
	rows := events(20_000)
	id, kind, score, level := Col[int64]("id"), Col[string]("kind"), Col[float64]("score"), Col[int32]("level")
	at, ok, x := Col[time.Time]("at"), Col[bool]("ok"), Col[int64]("in.x")
	start := time.UnixMilli(15_000_500).UTC()
	cases := []struct {
		p    Predicate
		want func(event) bool
	}{
		{Predicate{}, func(event) bool { return true }},
		{id.Eq(12_345), func(e event) bool { return e.ID == 12_345 }},
		{id.Ge(19_990), func(e event) bool { return e.ID >= 19_990 }},
		{id.Lt(3), func(e event) bool { return e.ID < 3 }},
		{And(id.Gt(4_990), id.Le(5_010)), func(e event) bool { return e.ID > 4_990 && e.ID <= 5_010 }},
		{Or(id.Lt(10), id.Gt(19_000), id.Eq(7_777)), func(e event) bool { return e.ID < 10 || e.ID > 19_000 || e.ID == 7_777 }},
		{id.In(5, 10_000, 19_999, -1), func(e event) bool { return e.ID == 5 || e.ID == 10_000 || e.ID == 19_999 }},
		{Not(id.In(5, 6)), func(e event) bool { return e.ID != 5 && e.ID != 6 }},
		{kind.Eq("k7"), func(e event) bool { return e.Kind == "k7" }},
		{kind.Eq("nowhere"), func(event) bool { return false }},
		{And(kind.Ne("k7"), ok.Eq(true)), func(e event) bool { return e.Kind != "k7" && e.Ok }},
		{score.Gt(1.5), func(e event) bool { return e.Score > 1.5 }},
		{Not(score.Le(1.5)), func(e event) bool { return !(e.Score <= 1.5) }},
		{score.Ne(0), func(e event) bool { return e.Score != 0 }},
		{Col[int32]("score").Ge(2), func(e event) bool { return e.Score >= 2 }},
		{level.Eq(50), func(e event) bool { return e.Level != nil && *e.Level == 50 }},
		{Not(level.Eq(50)), func(e event) bool { return e.Level != nil && *e.Level != 50 }},
		{level.IsNull(), func(e event) bool { return e.Level == nil }},
		{Not(level.IsNull()), func(e event) bool { return e.Level != nil }},
		{And(level.IsNull(), id.Lt(2000)), func(e event) bool { return e.Level == nil && e.ID < 2000 }},
		{at.Lt(start), func(e event) bool { return e.At.Before(start) }},
		{And(at.Ge(start), at.Lt(start.Add(time.Minute))), func(e event) bool { return !e.At.Before(start) && e.At.Before(start.Add(time.Minute)) }},
		{Col[int64]("at").Le(5000), func(e event) bool { return e.At.UnixMilli() <= 5000 }},
		{x.Gt(100), func(e event) bool { return e.In != nil && e.In.X != nil && *e.In.X > 100 }},
		{x.IsNull(), func(e event) bool { return e.In == nil || e.In.X == nil }},
		{Col[float64]("id").Lt(2.5), func(e event) bool { return e.ID < 3 }},
		{Not(And(id.Ge(10), Or(ok.Eq(true), id.Lt(19_998)))), func(e event) bool { return !(e.ID >= 10 && (e.Ok || e.ID < 19_998)) }},
		{And(), func(event) bool { return true }},
		{Or(), func(event) bool { return false }},
	}
	for name, options := range map[string][]parquet.WriterOption{
		"v1":       {parquet.DataPageVersion(1), parquet.PageBufferSize(2000)},
		"v2":       {parquet.DataPageVersion(2), parquet.PageBufferSize(5000), parquet.Compression(&parquet.Snappy)},
		"one page": {parquet.DataPageVersion(1)},
		"bloom":    {parquet.BloomFilters(parquet.SplitBlockFilter(10, "kind"), parquet.SplitBlockFilter(10, "id"))},
	} {
		info := write(t, "mem://where/"+name, rows, 7000, options...)
		for _, c := range cases {
			var want []event
			for _, r := range rows {
				if c.want(r) {
					want = append(want, r)
				}
			}
			got, skipped := readWhere[event](t, info, c.p)
			if len(got) != len(want) {
				t.Errorf("%s, %v: %d rows, want %d", name, c.p, len(got), len(want))
				continue
			}
			for i := range got {
				g, w := got[i], want[i]
				if g.Score != g.Score && w.Score != w.Score {
					g.Score, w.Score = 0, 0
				}
				if !reflect.DeepEqual(g, w) {
					t.Errorf("%s, %v: row %d is %+v, want %+v", name, c.p, i, g, w)
					break
				}
			}
			if c.p.Op != "" && skipped.Rows != int64(len(want)) {
				t.Errorf("%s, %v: counted %+v", name, c.p, skipped)
			}
			// Without the condition's column, too.
			tags, _ := readWhere[struct{ Tags []string }](t, info, c.p)
			for i := range tags {
				if !reflect.DeepEqual(tags[i].Tags, want[i].Tags) {
					t.Errorf("%s, %v: tags of row %d are %v, want %v", name, c.p, i, tags[i], want[i].Tags)
					break
				}
			}
		}
		if _, s := readWhere[event](t, info, id.Eq(12_345)); s.ByStatistics != 2 || name[0] == 'v' && s.RowsByPage < 5000 {
			t.Errorf("%s: a sorted column: %+v", name, s)
		}
		if _, s := readWhere[event](t, info, kind.Eq("k1x")); name == "bloom" && s.ByBloomFilter != 3 {
			t.Errorf("%s: a value that is not there: %+v", name, s)
		}
	}
}

func TestWhereRefuses(t *testing.T) {
	info := write(t, "mem://where/refuse", events(10), 10)
	for name, c := range map[string]struct {
		p    Predicate
		want string
	}{
		"missing":  {Col[int64]("nope").Eq(1), `no column "nope"`},
		"kind":     {Col[string]("id").Eq("x"), `"id" is int64`},
		"list":     {Col[string]("tags").Eq("x"), "no single value"},
		"group":    {Col[string]("in").Eq("x"), "no single value"},
		"unknown":  {Predicate{Op: "like", Column: "id"}, `unknown operation "like"`},
		"no value": {Predicate{Op: "=", Column: "id"}, "0 values"},
	} {
		_, err := NewReaderWhere[event](t.Context(), splitsOf(t, info)[0], c.p)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestWhereColumns(t *testing.T) {
	info := write(t, "mem://where/columns", events(5000), 5000, parquet.PageBufferSize(2000))
	s := splitsOf(t, info)[0]
	r, err := NewColumnReaderWhere(t.Context(), s, And(Col[int64]("id").Ge(4000), Col[bool]("ok").Eq(true)), Select{Name: "id"}, Select{Name: "tags"}, Select{Name: "level"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for {
		b, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for i := range b.Rows {
			id := b.Columns[0].Int64s[i]
			if id < 4000 || id%3 != 0 {
				t.Errorf("id %d", id)
			}
			from, to := b.Columns[1].Bounds(i)
			if int64(to-from) != id%4 || from < to && b.Columns[1].Strings[from] != fmt.Sprint(id) {
				t.Errorf("tags of %d: %v", id, b.Columns[1].Strings[from:to])
			}
			if !b.Columns[2].IsNull(i) && b.Columns[2].Int64s[i] != id/100 {
				t.Errorf("level of %d", id)
			}
			n++
		}
	}
	if n != 333 {
		t.Errorf("%d rows", n)
	}
}

// TestWriterHelpsWhere: what the writer adds to a file is used by the reader.
func TestWriterHelpsWhere(t *testing.T) {
	rows := events(10_000)
	uri := "mem://where/written"
	w, err := NewFileWriter[event](t.Context(), uri, WriteOptions{RowGroupRows: 4000, BloomFilters: []string{"kind", "in.x"}, SortedBy: []string{"id", "-at"}, Compression: "lz4_raw"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	info := statFor(t, uri)
	if got, s := readWhere[event](t, info, Col[string]("kind").Eq("k1x")); len(got) != 0 || s.ByBloomFilter != 3 {
		t.Errorf("%d rows, %+v", len(got), s)
	}
	if got, s := readWhere[event](t, info, Col[int64]("id").Eq(4001)); len(got) != 1 || s.ByStatistics != 2 {
		t.Errorf("%d rows, %+v", len(got), s)
	}
	f, err := openFile(t.Context(), splitOf(info))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if got := f.meta.groups[1].sorting; !reflect.DeepEqual(got, []sortingColumn{{column: 0}, {column: 4, descending: true}}) {
		t.Errorf("sorted by %+v", got)
	}
}

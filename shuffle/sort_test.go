package shuffle

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/shuffle/codec"
)

type record struct {
	Key  string
	Rank int32
	Seq  int
}

func textOrder() Order[record] {
	prefix := codec.OrderOf[string]()
	return Order[record]{
		Prefix:  func(r *record) uint64 { return prefix.Prefix(r.Key) },
		Compare: func(a, b *record) int { return cmp.Compare(a.Key, b.Key) },
	}
}

func sortAll[T any](t testing.TB, env *Env, order Order[T], rows []T) []T {
	s, err := NewSorter(context.Background(), env, order)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for part := range slices.Chunk(rows, 333) {
		if err := s.Add(part); err != nil {
			t.Fatal(err)
		}
	}
	st, err := s.Drain()
	return collect(t, st, err)
}

func TestSortSpillsToEqualBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	makers := map[string]func(i int) string{
		"random":        func(int) string { return fmt.Sprint(r.Uint64()) },
		"common prefix": func(int) string { return fmt.Sprintf("a long common prefix %d", r.IntN(5000)) },
		"few":           func(int) string { return fmt.Sprint(r.IntN(7)) },
		"equal":         func(int) string { return "same" },
		"sorted":        func(i int) string { return fmt.Sprintf("%08d", i) },
		"zeros":         func(int) string { return strings.Repeat("\x00", r.IntN(12)) },
	}
	for name, f := range makers {
		t.Run(name, func(t *testing.T) {
			rows := make([]record, 24_000)
			for i := range rows {
				rows[i] = record{Key: f(i), Rank: int32(i % 3), Seq: i}
			}
			want := slices.Clone(rows)
			slices.SortStableFunc(want, func(a, b record) int { return cmp.Compare(a.Key, b.Key) })
			order := textOrder()
			compareOnly := Order[record]{Compare: order.Compare}
			for _, o := range []Order[record]{order, compareOnly} {
				got := underAll(t, true, func(t *testing.T, env *Env) any { return sortAll(t, env, o, rows) }).([]record)
				if !slices.Equal(got, want) {
					t.Error("the rows are not in stable order")
				}
			}
		})
	}
}

func TestSortNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	rows := make([]float64, 50_000)
	for i := range rows {
		rows[i] = math.Ldexp(r.Float64()-0.5, r.IntN(100)-50)
	}
	rows[17], rows[18], rows[19], rows[20] = math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)
	o := codec.OrderOf[float64]()
	order := Order[float64]{Prefix: func(x *float64) uint64 { return o.Prefix(*x) }, Exact: o.Exact()}
	got := underAll(t, true, func(t *testing.T, env *Env) any { return sortAll(t, env, order, rows) }).([]float64)
	want := slices.Clone(rows)
	slices.SortStableFunc(want, cmp.Compare[float64])
	for i := range want {
		if math.Float64bits(got[i]) != math.Float64bits(want[i]) {
			t.Fatalf("row %d is %v, want %v", i, got[i], want[i])
		}
	}
	if got := sortAll(t, &Env{}, order, nil); len(got) > 0 {
		t.Error(got)
	}
	if _, err := NewSorter(context.Background(), &Env{}, Order[float64]{Prefix: order.Prefix}); err == nil {
		t.Error("an order without Compare is no order")
	}
}

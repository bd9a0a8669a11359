package shuffle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
)

// hotRows are rows of which half have one key, and a tenth have keys of their own.
func hotRows(n int) []Pair[string, string] {
	r := rand.New(rand.NewPCG(5, 5))
	rows := make([]Pair[string, string], n)
	for i := range rows {
		key := "hot"
		if r.IntN(2) == 0 {
			key = fmt.Sprint("key ", r.IntN(n/10))
		}
		rows[i] = Pair[string, string]{key, fmt.Sprint("value ", i)}
	}
	return rows
}

func streamGroups(t *testing.T, env *Env, rows []Pair[string, string], read func(key string, values Stream[string]) []string) []Pair[string, []string] {
	t.Helper()
	g, err := NewStreamGrouper[string, string](context.Background(), env)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for part := range chunks(rows, 1000) {
		if err := g.Add(part); err != nil {
			t.Fatal(err)
		}
	}
	groups, err := g.Groups()
	if err != nil {
		t.Fatal(err)
	}
	var all []Pair[string, []string]
	for {
		key, values, err := groups.Next()
		if err == io.EOF {
			if _, _, err := groups.Next(); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Pair[string, []string]{key, read(key, values)})
	}
}

func chunks[T any](rows []T, n int) func(func([]T) bool) {
	return func(yield func([]T) bool) {
		for len(rows) > 0 {
			k := min(n, len(rows))
			if !yield(rows[:k:k]) {
				return
			}
			rows = rows[k:]
		}
	}
}

// Streamed or as slices, in memory or spilled, with hashes that collide or not: the same groups.
func TestGroupsAreThoseOfDrain(t *testing.T) {
	rows := hotRows(30_000)
	for name, remap := range map[string]func(uint64) uint64{
		"apart":             nil,
		"all alike":         func(uint64) uint64 { return 7 },
		"three hashes":      func(h uint64) uint64 { return h % 3 << 62 },
		"low bits only":     func(h uint64) uint64 { return h % 5 },
		"one bucket, apart": func(h uint64) uint64 { return h >> 6 },
	} {
		t.Run(name, func(t *testing.T) {
			collide(t, remap)
			rows, spills := rows, true
			if remap != nil { // a bucket of equal hashes is read once for each of its keys
				rows, spills = rows[:500], false
			}
			g, err := NewGrouper[string, string](context.Background(), &Env{})
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Add(rows); err != nil {
				t.Fatal(err)
			}
			s, err := g.Drain()
			want := collect(t, s, err)
			got := underAll(t, spills, func(t *testing.T, env *Env) any {
				if !spills {
					lowerFloor(t, 1<<10)
				}
				return streamGroups(t, env, rows, func(_ string, values Stream[string]) []string { return collect(t, values, nil) })
			})
			if !equalRows(got, want) {
				t.Error("streamed groups differ from those of Drain")
			}
		})
	}
}

// Who leaves values unread gets all keys.
func TestGroupsUnread(t *testing.T) {
	rows := hotRows(20_000)
	for _, collides := range []bool{false, true} {
		if collides {
			collide(t, func(h uint64) uint64 { return h % 3 << 40 })
			rows = rows[:300]
		}
		keys := map[string]bool{}
		for _, r := range rows {
			keys[r.Key] = true
		}
		lowerFloor(t, 16<<10)
		env := &Env{SpillDir: t.TempDir(), Memory: &limited{}}
		n := 0
		got := streamGroups(t, env, rows, func(_ string, values Stream[string]) []string {
			if n++; n%2 == 0 {
				return nil
			}
			first, err := values.Next()
			if err != nil {
				t.Fatal(err)
			}
			return first[:1:1]
		})
		if len(got) != len(keys) {
			t.Errorf("%d groups of %d keys", len(got), len(keys))
		}
	}
}

// bounded is a Memory that has no more for anybody.
type bounded struct{ limited }

func (b *bounded) AcquireWhole(n int64) bool {
	if b.size-b.used < n {
		return false
	}
	b.used += n
	return true
}

func (b *bounded) Budget() (all, others int64) { return b.size, 0 }

// A key whose values are more than all memory is an error where they must be in one place, and none where they stream.
func TestOneKeyTooLarge(t *testing.T) {
	lowerFloor(t, 16<<10)
	rows := hotRows(100_000)
	mem := &bounded{limited{size: 1 << 20}}
	env := &Env{SpillDir: t.TempDir(), Memory: mem, Partition: 3}
	g, err := NewGrouper[string, string](context.Background(), env)
	if err != nil {
		t.Fatal(err)
	}
	var s Stream[Pair[string, []string]]
	if err = g.Add(rows); err == nil {
		s, err = g.Drain()
	}
	for err == nil {
		_, err = s.Next()
	}
	g.Close()
	var e *OneKeyError
	if !errors.As(err, &e) || !e.Permanent() || e.Key != "hot" || e.Partition != 3 || !strings.Contains(err.Error(), "MapGroups") {
		t.Errorf("the error is %v, want one that names the key, the partition and a remedy", err)
	}
	n := 0
	streamGroups(t, env, rows, func(key string, values Stream[string]) []string {
		if key == "hot" {
			n = len(collect(t, values, nil))
		}
		return nil
	})
	if n < 49_000 {
		t.Errorf("%d values of the hot key", n)
	}
	if mem.used != 0 {
		t.Errorf("%d bytes were not given back", mem.used)
	}
}

// pressed is a Memory of a process that holds more than it should.
type pressed struct {
	Unlimited
	times atomic.Uint32
}

func (p *pressed) Pressure() uint32 { return p.times.Load() }

// Under pressure structures copy what they hold out of larger blocks, then spill, and the result is the same.
func TestPressureSpills(t *testing.T) {
	lowerFloor(t, 16<<10)
	rows := hotRows(30_000)
	want := streamGroups(t, &Env{}, rows, func(_ string, values Stream[string]) []string { return collect(t, values, nil) })
	mem := &pressed{}
	metrics := &Metrics{}
	g, err := NewStreamGrouper[string, string](context.Background(), &Env{SpillDir: t.TempDir(), Memory: mem, Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	var spilled []int64
	for part := range chunks(rows, 5000) {
		if err := g.Add(part); err != nil {
			t.Fatal(err)
		}
		spilled = append(spilled, metrics.SpilledBytes)
		mem.times.Add(1)
	}
	if spilled[1] != 0 || metrics.SpilledBytes == 0 {
		t.Errorf("spilled %v: want nothing the first time, which copies, and something later", spilled)
	}
	groups, err := g.Groups()
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		key, values, err := groups.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := collect(t, values, nil); key != w.Key || !equalRows(got, w.Value) {
			t.Fatalf("key %q has %d values, want %q with %d", key, len(got), w.Key, len(w.Value))
		}
	}

	s, err := NewSorter(context.Background(), &Env{SpillDir: t.TempDir(), Memory: mem, Metrics: metrics}, Order[Pair[string, string]]{
		Compare: func(a, b *Pair[string, string]) int { return strings.Compare(a.Key, b.Key) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := metrics.SpilledBytes
	for part := range chunks(rows, 5000) {
		if err := s.Add(part); err != nil {
			t.Fatal(err)
		}
		mem.times.Add(1)
	}
	if metrics.SpilledBytes == before {
		t.Error("a sorter under pressure spilled nothing")
	}
}

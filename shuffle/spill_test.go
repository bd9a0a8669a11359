package shuffle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/shuffle/codec"
	"github.com/spark-go/spark-go/shuffle/seal"
)

// limited is a Memory of a fixed size. It notes what is not given back.
type limited struct{ size, used int64 }

func (l *limited) Acquire(n int64) int64 {
	n = min(n, l.size-l.used)
	l.used += n
	return n
}

func (l *limited) Release(n int64) { l.used -= n }

// lowerFloor makes structures spill early.
func lowerFloor(t testing.TB, n int64) {
	old := memoryFloor
	memoryFloor = n
	t.Cleanup(func() { memoryFloor = old })
}

func collide(t testing.TB, f func(uint64) uint64) {
	remapHashes = f
	t.Cleanup(func() { remapHashes = nil })
}

func collect[T any](t testing.TB, s Stream[T], err error) []T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var all []T
	for {
		rows, err := s.Next()
		if err == io.EOF {
			if _, err := s.Next(); err != io.EOF {
				t.Fatalf("after the end: %v", err)
			}
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			t.Fatal("an empty batch")
		}
		all = append(all, rows...)
	}
}

type slicedStream[T any] struct{ rows []T }

func (s *slicedStream[T]) Next() ([]T, error) {
	if len(s.rows) == 0 {
		return nil, io.EOF
	}
	n := min(len(s.rows), 777)
	out := s.rows[:n]
	s.rows = s.rows[n:]
	return out, nil
}

// settings are the budgets under which a structure must give the same bytes.
type setting struct {
	name   string
	memory Memory
	floor  int64
	spills bool
	key    *seal.Key
}

func settings(t testing.TB) []setting {
	return []setting{
		{"unlimited", Unlimited{}, 1 << 20, false, nil},
		{"some", &limited{size: 1 << 20}, 64 << 10, false, nil},
		{"little, encrypted", &limited{size: 256 << 10}, 64 << 10, true, testKey(t, "secret")},
		{"none", &limited{}, 64 << 10, true, nil},
	}
}

// underAll runs f under every setting and compares what it returns.
func underAll(t *testing.T, wantSpill bool, f func(t *testing.T, env *Env) any) any {
	t.Helper()
	var want any
	for _, s := range settings(t) {
		t.Run(s.name, func(t *testing.T) {
			lowerFloor(t, s.floor)
			metrics := &Metrics{}
			env := &Env{SpillDir: t.TempDir(), Memory: s.memory, Key: s.key, Metrics: metrics}
			got := f(t, env)
			if want == nil {
				want = got
			} else if !equalRows(got, want) {
				t.Errorf("the result differs from that with unlimited memory")
			}
			if wantSpill && s.spills && metrics.SpilledBytes == 0 {
				t.Errorf("spilled %d bytes", metrics.SpilledBytes)
			}
			if m, ok := s.memory.(*limited); ok && m.used != 0 {
				t.Errorf("%d bytes of memory were not given back", m.used)
			}
			if metrics.held != 0 {
				t.Errorf("%d bytes count as held", metrics.held)
			}
			left, err := os.ReadDir(env.SpillDir)
			if err != nil || len(left) > 0 {
				t.Errorf("left in the spill folder: %v, %v", left, err)
			}
		})
	}
	return want
}

// equalRows compares bits: NaN equals NaN, and -0 does not equal +0.
func equalRows(a, b any) bool {
	return reflect.DeepEqual(a, b) || fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b)
}

type sumFloat struct{}

func (sumFloat) Create(v float64) float64     { return v }
func (sumFloat) Merge(c, v float64) float64   { return c + v }
func (sumFloat) Combine(c, d float64) float64 { return c + d }

func floatRows(n, keys int) []Pair[string, float64] {
	r := rand.New(rand.NewPCG(5, 6))
	rows := make([]Pair[string, float64], n)
	for i := range rows {
		rows[i] = Pair[string, float64]{fmt.Sprintf("key-%d", r.IntN(keys)), math.Ldexp(r.Float64()-0.5, r.IntN(60))}
	}
	return rows
}

// hashOf is what canonical order is by.
func hashOf[K comparable](t testing.TB, key K) uint64 {
	ops, err := codec.KeysOf[K]()
	if err != nil {
		t.Fatal(err)
	}
	h := ops.Hash(key)
	if remapHashes != nil {
		h = remapHashes(h)
	}
	return h
}

// firsts returns the keys by hash, ties by arrival.
func firsts[K comparable, V any](t testing.TB, rows []Pair[K, V]) []K {
	seen := map[K]bool{}
	var keys []K
	for _, r := range rows {
		if !seen[r.Key] {
			seen[r.Key] = true
			keys = append(keys, r.Key)
		}
	}
	slices.SortStableFunc(keys, func(a, b K) int { return cmp.Compare(hashOf(t, a), hashOf(t, b)) })
	return keys
}

func combineAll[K comparable, V, C any](t *testing.T, env *Env, agg Aggregator[V, C], rows []Pair[K, V]) []Pair[K, C] {
	c, err := NewCombiner[K](context.Background(), env, agg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for part := range slices.Chunk(rows, 700) {
		if err := c.Add(part); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Drain()
	return collect(t, s, err)
}

func TestCombineSpillsToEqualBytes(t *testing.T) {
	rows := floatRows(40_000, 15_000)
	got := underAll(t, true, func(t *testing.T, env *Env) any {
		return combineAll(t, env, Aggregator[float64, float64](sumFloat{}), rows)
	}).([]Pair[string, float64])
	sums := map[string]float64{}
	for _, r := range rows {
		sums[r.Key] += r.Value // in the order of arrival
	}
	keys := firsts(t, rows)
	if len(keys) != len(got) {
		t.Fatalf("%d keys, want %d", len(got), len(keys))
	}
	for i, k := range keys {
		if got[i].Key != k || got[i].Value != sums[k] {
			t.Fatalf("row %d is %v, want %v %v", i, got[i], k, sums[k])
		}
	}
}

func TestCombineCollidingHashes(t *testing.T) {
	rows := floatRows(3_000, 700)
	for name, f := range map[string]func(uint64) uint64{
		"one hash":          func(uint64) uint64 { return 42 },
		"two hashes":        func(h uint64) uint64 { return h & 1 << 63 },
		"few bits on top":   func(h uint64) uint64 { return h >> 60 << 60 },
		"few bits below":    func(h uint64) uint64 { return h & 7 },
		"equal low halves":  func(h uint64) uint64 { return h >> 32 << 32 },
		"equal high halves": func(h uint64) uint64 { return h << 48 >> 48 },
	} {
		t.Run(name, func(t *testing.T) {
			collide(t, f)
			got := underAll(t, false, func(t *testing.T, env *Env) any {
				return combineAll(t, env, Aggregator[float64, float64](sumFloat{}), rows)
			}).([]Pair[string, float64])
			for i, k := range firsts(t, rows) {
				if got[i].Key != k {
					t.Fatalf("key %d is %q, want %q", i, got[i].Key, k)
				}
			}
		})
	}
}

type list struct{}

func (list) Create(v int32) []int32           { return []int32{v} }
func (list) Merge(c []int32, v int32) []int32 { return append(c, v) }
func (list) Combine(c, d []int32) []int32     { return append(c, d...) }

// One key with nearly all values, states that grow, and both ways of adding mixed.
func TestCombineGrowingStates(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var rows []Pair[int32, int32]
	for i := range 150_000 {
		key := int32(7)
		if i%10 == 0 {
			key = int32(r.IntN(6000))
		}
		rows = append(rows, Pair[int32, int32]{key, int32(i)})
	}
	got := underAll(t, true, func(t *testing.T, env *Env) any {
		c, err := NewCombiner[int32](context.Background(), env, Aggregator[int32, []int32](list{}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		i := 0
		for part := range slices.Chunk(rows, 500) {
			if i++; i%3 > 0 {
				err = c.Add(part)
			} else {
				var combined []Pair[int32, []int32]
				for _, r := range part {
					combined = append(combined, Pair[int32, []int32]{r.Key, []int32{r.Value}})
				}
				err = c.AddCombined(combined)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		s, err := c.Drain()
		return collect(t, s, err)
	}).([]Pair[int32, []int32])
	n := 0
	for _, g := range got {
		if !slices.IsSorted(g.Value) {
			t.Fatalf("values of key %d are out of order", g.Key)
		}
		n += len(g.Value)
	}
	if n != len(rows) {
		t.Fatalf("%d values, want %d", n, len(rows))
	}
}

func TestCombineOddKeys(t *testing.T) {
	nan := math.NaN()
	rows := []Pair[float64, int64]{{nan, 1}, {math.Copysign(0, -1), 2}, {nan, 3}, {0, 4}, {math.Float64frombits(math.Float64bits(nan) ^ 1), 5}}
	got := combineAll(t, &Env{}, Aggregator[int64, int64](sumInt{}), rows)
	if len(got) != 2 {
		t.Fatalf("keys of NaN, -0 and +0 are %v, want two", got)
	}
	for _, g := range got {
		if want := int64(6); g.Key != 0 {
			want = 9
			if g.Value != want {
				t.Errorf("NaN has %d, want %d", g.Value, want)
			}
		} else if g.Value != want {
			t.Errorf("0 has %d, want %d", g.Value, want)
		}
	}
	type point struct {
		Name string
		X    float64
		Any  any
	}
	odd := []Pair[point, int64]{{point{"a", nan, 1}, 1}, {point{"a", nan, 1}, 2}, {point{"a", nan, "x"}, 4}, {point{"", 0, nil}, 8}}
	if got := combineAll(t, &Env{}, Aggregator[int64, int64](sumInt{}), odd); len(got) != 3 {
		t.Errorf("keys are %v, want three", got)
	}
}

func TestCombineNothing(t *testing.T) {
	if got := combineAll(t, &Env{}, Aggregator[int64, int64](sumInt{}), []Pair[string, int64]{}); len(got) > 0 {
		t.Error(got)
	}
	c, err := NewCombiner[string](context.Background(), &Env{}, Aggregator[int64, int64](sumInt{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Drain(); err != nil {
		t.Fatal(err)
	}
	if err := c.Add([]Pair[string, int64]{{"a", 1}}); err == nil {
		t.Error("rows were added after Drain")
	}
	c.Close()
	c.Close()
	if _, err := NewCombiner[*int](context.Background(), &Env{}, Aggregator[int64, int64](sumInt{})); err == nil {
		t.Error("a pointer is a key")
	}
}

func TestGroupSpillsToEqualBytes(t *testing.T) {
	rows := floatRows(40_000, 6_000)
	for i := range rows {
		if i%2 == 0 {
			rows[i].Key = "heavy" // more than any budget
		}
	}
	got := underAll(t, true, func(t *testing.T, env *Env) any {
		g, err := NewGrouper[string, float64](context.Background(), env)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		for part := range slices.Chunk(rows, 900) {
			if err := g.Add(part); err != nil {
				t.Fatal(err)
			}
		}
		s, err := g.Drain()
		return collect(t, s, err)
	}).([]Pair[string, []float64])
	want := map[string][]float64{}
	for _, r := range rows {
		want[r.Key] = append(want[r.Key], r.Value)
	}
	for i, k := range firsts(t, rows) {
		if got[i].Key != k || !slices.Equal(got[i].Value, want[k]) {
			t.Fatalf("group %d is of %q, want %q", i, got[i].Key, k)
		}
		if cap(got[i].Value) != len(got[i].Value) {
			t.Fatal("appending to a group would write into the next")
		}
	}
}

func TestSpillErrorsNameTheRemedy(t *testing.T) {
	lowerFloor(t, 1<<10)
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := &Env{SpillDir: file, Memory: &limited{}}
	s, err := NewSorter(context.Background(), env, textOrder())
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		err = s.Add(make([]record, 100))
	}
	if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "spark.local.dir") {
		t.Errorf("the error %q does not name folder and remedy", err)
	}
	if _, err := s.Drain(); err == nil {
		t.Error("a failed sorter drains")
	}
	s.Close()
}

func TestStructuresCancel(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	g, err := NewGrouper[string, float64](ctx, &Env{SpillDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if err := g.Add(floatRows(5000, 5000)); err != nil {
		t.Fatal(err)
	}
	s, err := g.Drain()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	cancel(stop)
	for range 2 {
		if _, err := s.Next(); err != stop {
			t.Errorf("after cancelling: %v", err)
		}
	}
}

// A spill file that changes under the task is an error, never wrong rows.
func TestDamagedSpill(t *testing.T) { plainAndSealed(t, damagedSpill) }

func damagedSpill(t *testing.T, key *seal.Key) {
	lowerFloor(t, 64<<10)
	env := &Env{SpillDir: t.TempDir(), Memory: &limited{}, SpillCompression: "none", Key: key}
	damage := func() {
		files, err := os.ReadDir(env.SpillDir)
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		f, err := os.OpenFile(env.SpillDir+"/"+files[0].Name(), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b [1]byte
		if _, err := f.ReadAt(b[:], 5000); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if _, err := f.WriteAt(b[:], 5000); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	s, _ := NewSorter(context.Background(), env, textOrder())
	for i := range 20_000 {
		if err := s.Add([]record{{Key: fmt.Sprint(i * 7 % 20_000)}}); err != nil {
			t.Fatal(err)
		}
	}
	damage()
	sorted, err := s.Drain()
	for err == nil {
		_, err = sorted.Next()
	}
	if !errors.Is(err, errCorrupt) {
		t.Errorf("sort: %v", err)
	}
	s.Close()
	c, _ := NewCombiner[string](context.Background(), env, Aggregator[float64, float64](sumFloat{}))
	if err := c.Add(floatRows(20_000, 20_000)); err != nil {
		t.Fatal(err)
	}
	damage()
	combined, err := c.Drain()
	for err == nil {
		_, err = combined.Next()
	}
	if !errors.Is(err, errCorrupt) {
		t.Errorf("combine: %v", err)
	}
	c.Close()
}

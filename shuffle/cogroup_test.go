package shuffle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func sides(n int) ([]Pair[string, int64], []Pair[string, string]) {
	r := rand.New(rand.NewPCG(9, 10))
	var left []Pair[string, int64]
	var right []Pair[string, string]
	for i := range n {
		left = append(left, Pair[string, int64]{fmt.Sprint("k", r.IntN(n/3)), int64(i)})
		if i%4 == 0 {
			right = append(right, Pair[string, string]{fmt.Sprint("k", r.IntN(n/2)), fmt.Sprint("v", i)})
		}
	}
	return left, right
}

func cogroupAll(t *testing.T, env *Env, left []Pair[string, int64], right []Pair[string, string], rightFirst bool) []Pair[string, Grouped2[int64, string]] {
	c, err := NewCogrouper2[string, int64, string](context.Background(), env)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for len(left) > 0 || len(right) > 0 {
		if rightFirst && len(right) > 0 || len(left) == 0 {
			n := min(len(right), 600)
			err, right = c.AddRight(right[:n]), right[n:]
		} else {
			n := min(len(left), 500)
			err, left = c.AddLeft(left[:n]), left[n:]
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Drain()
	return collect(t, s, err)
}

func TestCogroupAndJoinSpillToEqualBytes(t *testing.T) {
	left, right := sides(12_000)
	for name, f := range map[string]func(uint64) uint64{"good": nil, "poor": func(h uint64) uint64 { return h >> 52 << 52 }} {
		t.Run(name, func(t *testing.T) {
			collide(t, f)
			for _, rightFirst := range []bool{false, true} {
				underAll(t, true, func(t *testing.T, env *Env) any {
					c := cogroupAll(t, env, left, right, rightFirst)
					if !rightFirst {
						other := cogroupAll(t, &Env{}, left, right, true)
						if !reflect.DeepEqual(c, other) {
							t.Error("the order of the inputs matters")
						}
					}
					return c
				})
			}
			joined := underAll(t, true, func(t *testing.T, env *Env) any {
				s, err := Join(context.Background(), env, Stream[Pair[string, int64]](&slicedStream[Pair[string, int64]]{left}), Stream[Pair[string, string]](&slicedStream[Pair[string, string]]{right}))
				return collect(t, s, err)
			})
			var want []Pair[string, Joined[int64, string]]
			for _, g := range cogroupAll(t, &Env{}, left, right, false) {
				for _, v := range g.Value.Left {
					for _, w := range g.Value.Right {
						want = append(want, Pair[string, Joined[int64, string]]{g.Key, Joined[int64, string]{v, w}})
					}
				}
			}
			if !reflect.DeepEqual(joined, want) {
				t.Error("the join differs from the cogroup's cross product")
			}
		})
	}
}

func TestJoinLargeCross(t *testing.T) {
	var left, right []Pair[int32, int32]
	for i := range int32(3000) {
		left = append(left, Pair[int32, int32]{i % 2, i})
		right = append(right, Pair[int32, int32]{i%2 + 1, i})
	}
	s, err := Join(context.Background(), &Env{}, Stream[Pair[int32, int32]](&slicedStream[Pair[int32, int32]]{left}), Stream[Pair[int32, int32]](&slicedStream[Pair[int32, int32]]{right}))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		rows, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil || len(rows) > drainRows {
			t.Fatal(len(rows), err)
		}
		for _, r := range rows {
			if want := (Joined[int32, int32]{int32(n/1500)*2 + 1, int32(n%1500) * 2}); r.Key != 1 || r.Value != want {
				t.Fatalf("row %d is %v, want %v", n, r, want)
			}
			n++
		}
	}
	if n != 1500*1500 {
		t.Fatal(n)
	}
}

func TestCogroupMany(t *testing.T) {
	rows := uniformInts(20_000, 3_000)
	groups := map[int64][]int64{}
	for _, r := range rows {
		groups[r.Key] = append(groups[r.Key], r.Value)
	}
	underAll(t, true, func(t *testing.T, env *Env) any {
		c, err := NewCogrouper4[int64, int64, int64, int64, int64](context.Background(), env)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for part := range slices.Chunk(rows, 1000) {
			if err := errors.Join(c.AddFirst(part), c.AddSecond(part), c.AddThird(part), c.AddFourth(part)); err != nil {
				t.Fatal(err)
			}
		}
		s, err := c.Drain()
		all := collect(t, s, err)
		for _, r := range all {
			want := groups[r.Key]
			if !slices.Equal(r.Value.First, want) || !slices.Equal(r.Value.Second, want) || !slices.Equal(r.Value.Third, want) || !slices.Equal(r.Value.Fourth, want) {
				t.Fatalf("key %d has %v", r.Key, r.Value)
			}
		}
		return all
	})
	underAll(t, true, func(t *testing.T, env *Env) any {
		c, err := NewCogrouper3[int64, int64, int64, int64](context.Background(), env)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := errors.Join(c.AddThird(rows), c.AddFirst(rows[:9000]), c.AddSecond(rows[9000:])); err != nil {
			t.Fatal(err)
		}
		s, err := c.Drain()
		all := collect(t, s, err)
		for _, r := range all {
			if got := append(slices.Clone(r.Value.First), r.Value.Second...); !slices.Equal(got, groups[r.Key]) || !slices.Equal(r.Value.Third, groups[r.Key]) {
				t.Fatalf("key %d has %v", r.Key, r.Value)
			}
		}
		return all
	})
}

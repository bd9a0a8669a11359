package recommendation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestNumber holds numbering and packing of ids against sorting, for ids that lie close together, far apart and everywhere.
func TestNumber(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(name string, c interface{ run(*testing.T) }) { t.Run(name, c.run) }
	var near, far, wild []int64
	var texts []string
	for range 3000 {
		near = append(near, int64(r.IntN(500)))
		far = append(far, r.Int64N(1<<40)<<8)
		wild = append(wild, int64(r.Uint64()))
		texts = append(texts, fmt.Sprint("user ", r.IntN(700)))
	}
	wild = append(wild, math.MinInt64, math.MaxInt64, 0, -1, math.MinInt64)
	check("near", ids[int64]{near})
	check("far", ids[int64]{far})
	check("wild", ids[int64]{wild})
	check("texts", ids[string]{texts})
	check("none", ids[int64]{})
	check("narrow", ids[int32]{[]int32{math.MaxInt32, math.MinInt32, 7, -7, 7}})
	check("below zero", ids[int32]{[]int32{-5, -3, -5}})
	check("one", ids[int64]{[]int64{math.MaxInt64}})
}

type ids[R ID] struct{ all []R }

func (c ids[R]) run(t *testing.T) {
	distinct, codes := number(c.all)
	want := slices.Compact(slices.Sorted(slices.Values(c.all)))
	if !slices.Equal(distinct, want) {
		t.Fatalf("%d distinct ids, want %d", len(distinct), len(want))
	}
	for i, id := range c.all {
		if distinct[codes[i]] != id {
			t.Fatalf("id %d is %v and has the code of %v", i, id, distinct[codes[i]])
		}
		at, ok := find(distinct, id)
		if !ok || at != int(codes[i]) {
			t.Fatalf("%v is found at %d, %v", id, at, ok)
		}
		if b := place(id, 7); b < 0 || b >= 7 {
			t.Fatalf("%v lies in block %d of 7", id, b)
		}
	}
	p := packed(c.all)
	if got := p.appendTo(nil); !slices.Equal(got, c.all) {
		t.Fatalf("packed and unpacked: %v, want %v", got, c.all)
	}
}

// TestBlocksAgree holds the blocks of users and of items against the ratings that they are made of.
func TestBlocksAgree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const userBlocks, itemBlocks = 3, 2
	type cell struct {
		user string
		item int64
	}
	want := map[cell][]float32{}
	parts := make([]open[string, int64], userBlocks)
	for n := range 2000 {
		c := cell{fmt.Sprint(r.IntN(60)), int64(r.IntN(50)) * 1e9}
		want[c] = append(want[c], float32(n))
		o := &parts[place(c.user, userBlocks)]
		o.users, o.items, o.values = append(o.users, c.user), append(o.items, c.item), append(o.values, float32(n))
	}
	users := make([]block[string, int64], userBlocks)
	sent := make([][]edges[int64], itemBlocks)
	for p := range parts {
		users[p] = buildUsers(parts[p], itemBlocks)
		for to, e := range edgesOf(&users[p], p) {
			sent[to] = append(sent[to], e.Value)
		}
	}
	items := make([]block[int64, string], itemBlocks)
	for p := range items {
		var err error
		if items[p], err = buildItems[string](sent[p]); err != nil {
			t.Fatal(err)
		}
	}
	got := map[cell][]float32{}
	walk(t, users, items, func(u string, i int64, v float32) { got[cell{u, i}] = append(got[cell{u, i}], v) })
	turned := map[cell][]float32{}
	walk(t, items, users, func(i int64, u string, v float32) { turned[cell{u, i}] = append(turned[cell{u, i}], v) })
	if len(got) != len(want) || len(turned) != len(want) {
		t.Fatalf("%d and %d pairs, want %d", len(got), len(turned), len(want))
	}
	for c, values := range want {
		if !slices.Equal(got[c], values) || !slices.Equal(turned[c], values) {
			t.Fatalf("%v: %v and %v, want %v", c, got[c], turned[c], values)
		}
	}
}

// walk visits the ratings of the blocks in rows, finding the columns where the blocks in cols say that they send them.
func walk[R, C ID](t *testing.T, rows []block[R, C], cols []block[C, R], visit func(R, C, float32)) {
	for p, b := range rows {
		for r, id := range b.IDs {
			last := int32(-1)
			for k := b.Start[r]; k < b.Start[r+1]; k++ {
				if b.Cols[k] < last {
					t.Fatalf("block %d row %d: column %d after %d", p, r, b.Cols[k], last)
				}
				last = b.Cols[k]
				from := 0
				for b.Cols[k] >= b.Arrive[from+1] {
					from++
				}
				at := cols[from].Send[p][b.Cols[k]-b.Arrive[from]]
				visit(id, cols[from].IDs[at], b.Values[k])
			}
		}
	}
}

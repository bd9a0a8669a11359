package rdd_test

import (
	"context"
	"errors"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// noBroadcasts has none.
type noBroadcasts struct{}

func (noBroadcasts) Broadcast(context.Context, int, func([]byte) (any, error)) (any, error) {
	return nil, errors.New("no broadcast")
}

// noAction does nothing.
type noAction struct{}

func (noAction) Run(*rdd.Task, int) ([]byte, error) { return nil, nil }

// programs are the bytes of programs as drivers send them: with functions, bound values, several parents, variables, shuffles.
func programs(t testing.TB) (all [][]byte) {
	t.Helper()
	sc := driver.New(driver.Master("local[1]"))
	defer sc.Stop()
	acc, err := rdd.LongAccumulator(sc, "rows")
	if err != nil {
		t.Fatal(err)
	}
	shared, err := rdd.NewBroadcast(sc, []int64{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	type env struct {
		Acc    rdd.Accumulator[int64]
		Shared rdd.Broadcast[[]int64]
		Offset int64
	}
	r := rdd.Map(rdd.Filter(rdd.Range(sc, 0, 10, 1, 2), isEven), square)
	bound := rdd.Map(rdd.Union(r, r.Cache()), rdd.Bind(env{acc, shared, 7}, func(e env, x int64) int64 {
		e.Acc.Add(1)
		return x + e.Offset + e.Shared.Value()[0]
	}))
	sums := rdd.ReduceByKey(rdd.KeyBy(bound, isEven), add, 3)
	encode := func(p *rdd.Program) {
		b, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	for _, n := range []*rdd.Node{r.Node(), bound.Node(), sums.Node(), rdd.Join(sums, rdd.MapValues(sums, square)).Node()} {
		encode(rdd.NewProgram(n, noAction{}))
		for _, dep := range n.Dependencies() {
			if s, ok := dep.(*rdd.Shuffle); ok {
				encode(rdd.NewProgram(s.Node, s.Writer))
			}
		}
	}
	return all
}

// FuzzProgram: whatever bytes an executor takes for a stage's program, it gets an error or a program, and never a panic.
func FuzzProgram(f *testing.F) {
	for _, b := range programs(f) {
		f.Add(b)
		if _, err := rdd.DecodeProgram(b, noBroadcasts{}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = rdd.DecodeProgram(b, noBroadcasts{})
	})
}

package shuffle_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/codec"
)

// printAll prints the rows of a stream.
func printAll[T any](s shuffle.Stream[T], err error) {
	for err == nil {
		var rows []T
		rows, err = s.Next()
		for _, r := range rows {
			fmt.Println(r)
		}
	}
	if err != io.EOF {
		fmt.Println("error:", err)
	}
}

type rows[T any] struct{ left []T }

func (r *rows[T]) Next() ([]T, error) {
	if len(r.left) == 0 {
		return nil, io.EOF
	}
	out := r.left
	r.left = nil
	return out, nil
}

func ExampleWriter() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "shuffle")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	env := &shuffle.Env{Location: shuffle.Location{Host: "this host", Dir: dir}, SpillDir: dir}

	var outs []shuffle.Output
	for task := range 2 {
		w, err := shuffle.NewWriter[string](ctx, env, shuffle.WriterID{Shuffle: 1, Map: task, Attempt: int64(task)}, 3)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer w.Abort()
		words := []string{"ants", "bees", "cows"}
		for i := range words {
			words[i] = fmt.Sprintf("%s of map task %d", words[i], task)
		}
		if err := w.Write(words, []int32{0, 2, 0}); err != nil {
			fmt.Println(err)
			return
		}
		out, err := w.Commit()
		if err != nil {
			fmt.Println(err)
			return
		}
		outs = append(outs, out)
	}
	printAll(shuffle.Read[string](ctx, env, 1, outs, 0, 1))
	fmt.Println("stored bytes of the empty partition:", outs[0].Sizes[1])
	// Output:
	// ants of map task 0
	// cows of map task 0
	// ants of map task 1
	// cows of map task 1
	// stored bytes of the empty partition: 0
}

// total sums values.
type total struct{}

func (total) Create(v int) int     { return v }
func (total) Merge(c, v int) int   { return c + v }
func (total) Combine(c, d int) int { return c + d }

func ExampleCombiner() {
	c, err := shuffle.NewCombiner[string](context.Background(), &shuffle.Env{}, shuffle.Aggregator[int, int](total{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if err := c.Add([]shuffle.Pair[string, int]{{Key: "a", Value: 1}, {Key: "b", Value: 10}, {Key: "a", Value: 2}}); err != nil {
		fmt.Println(err)
		return
	}
	// What another task combined already.
	if err := c.AddCombined([]shuffle.Pair[string, int]{{Key: "b", Value: 500}}); err != nil {
		fmt.Println(err)
		return
	}
	printAll(c.Drain())
	// Unordered output:
	// {a 3}
	// {b 510}
}

func ExampleGrouper() {
	g, err := shuffle.NewGrouper[string, int](context.Background(), &shuffle.Env{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()
	if err := g.Add([]shuffle.Pair[string, int]{{Key: "a", Value: 3}, {Key: "b", Value: 10}, {Key: "a", Value: 2}}); err != nil {
		fmt.Println(err)
		return
	}
	printAll(g.Drain())
	// Unordered output:
	// {a [3 2]}
	// {b [10]}
}

func ExampleCogrouper2() {
	c, err := shuffle.NewCogrouper2[string, int, float64](context.Background(), &shuffle.Env{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if err := c.AddLeft([]shuffle.Pair[string, int]{{Key: "a", Value: 1}, {Key: "b", Value: 2}, {Key: "a", Value: 3}}); err != nil {
		fmt.Println(err)
		return
	}
	if err := c.AddRight([]shuffle.Pair[string, float64]{{Key: "a", Value: 0.5}, {Key: "c", Value: 0.25}}); err != nil {
		fmt.Println(err)
		return
	}
	printAll(c.Drain())
	// Unordered output:
	// {a {[1 3] [0.5]}}
	// {b {[2] []}}
	// {c {[] [0.25]}}
}

func ExampleJoin() {
	left := &rows[shuffle.Pair[string, int]]{[]shuffle.Pair[string, int]{{Key: "a", Value: 1}, {Key: "b", Value: 2}, {Key: "a", Value: 3}}}
	right := &rows[shuffle.Pair[string, float64]]{[]shuffle.Pair[string, float64]{{Key: "a", Value: 0.5}, {Key: "c", Value: 0.25}}}
	printAll(shuffle.Join[string, int, float64](context.Background(), &shuffle.Env{}, left, right))
	// Output:
	// {a {1 0.5}}
	// {a {3 0.5}}
}

func ExampleSorter() {
	prefix := codec.OrderOf[string]()
	order := shuffle.Order[string]{
		Prefix:  func(s *string) uint64 { return prefix.Prefix(*s) },
		Compare: func(a, b *string) int { return cmp.Compare(*a, *b) },
	}
	s, err := shuffle.NewSorter(context.Background(), &shuffle.Env{}, order)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	if err := s.Add([]string{"the long word after", "the long word", "a", "the"}); err != nil {
		fmt.Println(err)
		return
	}
	printAll(s.Drain())
	// Output:
	// a
	// the
	// the long word
	// the long word after
}

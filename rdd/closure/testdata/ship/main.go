// Command ship encodes a job in one process and runs it in another. The test of
// the build modes builds it in each of them and compares.
package main

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/spark-go/spark-go/rdd/closure"
)

type node struct{ id uint64 }

type nodes struct{}

func (nodes) EncodeHandle(v reflect.Value) (uint64, error) { return v.Interface().(*node).id, nil }

func (nodes) DecodeHandle(id uint64) (reflect.Value, error) { return reflect.ValueOf(&node{id}), nil }

type mapOp[T, U any] struct {
	Parent *node
	F      func(T) U
}

func (m mapOp[T, U]) run(x any) any { return m.F(x.(T)) }

type runner interface{ run(x any) any }

type threshold struct {
	min  float64
	note map[string][]string
	at   time.Time
	any  any
	next *threshold
}

func (t threshold) above(x float64) bool { return x >= t.min }

type table[K comparable] struct{ names map[K]string }

func (t table[K]) Call(k K) string { return t.names[k] }

func lookup[K comparable](m map[K]string) func(K) string { return closure.Call(table[K]{m}) }

func identity[T any](x T) T { return x }

func half(x int) float64 { return float64(x) / 2 }

var flag = 1

func jobs() []runner {
	type local struct{ k int }
	env := threshold{min: 2.5, note: map[string][]string{"a": {"b"}, "c": nil, "d": {}}, at: time.Unix(9, 9).UTC(), any: local{4}, next: &threshold{any: []any{1, "x", local{5}}}}
	n := &node{3}
	return []runner{
		mapOp[int, float64]{n, half},
		mapOp[int, int]{n, func(x int) int { return x + flag }},
		mapOp[string, string]{n, strings.ToUpper},
		mapOp[string, string]{n, identity[string]},
		&mapOp[float64, bool]{n, closure.Bind(env, threshold.above)},
		mapOp[float64, string]{n, closure.Bind(env, func(e threshold, x float64) string {
			return fmt.Sprint(e.note, e.at, e.any, e.next.any, x > e.min)
		})},
		mapOp[int, string]{n, lookup(map[int]string{1: "one", 2: "two"})},
		mapOp[local, string]{n, lookup(map[local]string{{1}: "one"})},
		mapOp[local, *local]{n, closure.Bind(&local{2}, func(e *local, x local) *local { return &local{e.k * x.k} })},
	}
}

// run applies each job to each argument that fits it.
func run(jobs []runner) string {
	var out strings.Builder
	for _, j := range jobs {
		f := reflect.Indirect(reflect.ValueOf(j)).FieldByName("F").Type()
		for _, x := range []any{1, 7, "text", 3.5, reflect.Zero(f.In(0)).Interface()} {
			if reflect.TypeOf(x) == f.In(0) {
				fmt.Fprintf(&out, "%s %v", f, x)
				y := reflect.ValueOf(j.run(x))
				fmt.Fprintf(&out, " = %v\n", reflect.Indirect(y))
			}
		}
	}
	return out.String()
}

func main() {
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(mode string) error {
	codec := closure.Codec{Handles: map[reflect.Type]closure.Handles{reflect.TypeFor[*node](): nodes{}}}
	switch mode {
	case "encode":
		b, err := codec.Encode(nil, jobs())
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(b)
		return err
	case "decode":
		b, err := io.ReadAll(os.Stdin)
		if err != nil {
			return err
		}
		v, rest, err := codec.Decode(b)
		if err != nil || len(rest) > 0 {
			return fmt.Errorf("decode %d bytes, %d left: %w", len(b), len(rest), err)
		}
		// A second trip, from here.
		if b, err = codec.Encode(nil, v); err != nil {
			return err
		}
		if v, _, err = codec.Decode(b); err != nil {
			return err
		}
		fmt.Print(run(v.([]runner)))
	case "run":
		fmt.Print(run(jobs()))
	case "check":
		captured := os.Args
		digest, err := closure.Digest()
		fmt.Println(digest, err)
		fmt.Println(closure.CheckFunc(half), closure.CheckFunc(func() int { return len(captured) }))
	case "where": // differs from run to run where the program is loaded at random
		f := half
		fmt.Println(reflect.ValueOf(f).Pointer())
	}
	return nil
}

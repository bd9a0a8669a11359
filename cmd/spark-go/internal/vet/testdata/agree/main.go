// Command agree gives functions of every kind to an operation of the real
// package rdd and prints the names of those that it refuses. The test compares
// them with what the analyser reports about this file.
package main

import (
	"fmt"
	"strings"

	"github.com/spark-go/spark-go/rdd"
)

type session struct{ rdd.Session }

func (session) NextDatasetID() int     { return 1 }
func (session) DefaultPartitions() int { return 1 }

type model struct{ w int }

func (m model) predict(x int) int { return x * m.w }
func (m *model) score(x int) int  { return x * m.w }

type predictor interface{ predict(int) int }

type table[T any] struct{ n int }

func (t table[T]) size(x T) int { return t.n }

type added struct{ N int }

func (a added) Call(x int) int { return x + a.N }

const step = 2

var factor = 2

func identity[T any](x T) T { return x }

func increment(x int) int { return x + 1 }

func adder(n int) func(int) int {
	return func(x int) int { return x + n } // case: maker
}

func boundAdder(n int) func(int) int {
	return rdd.Bind(n, func(n, x int) int { return x + n })
}

func generic[T any](r rdd.RDD[T], n rdd.RDD[int]) {
	show("generic literal", rdd.Map(r, func(x T) T { return x }))
	show("generic literal without T", rdd.Map(n, func(x int) int { return x + 1 }))
	show("generic instance", rdd.Map(r, identity[T]))
	show("generic method expression", rdd.Map(r, rdd.Bind(table[T]{}, table[T].size)))
	show("other instance in generic", rdd.Map(n, identity[int]))
	show("plain function in generic", rdd.Map(n, increment))
}

func show[T any](what string, r rdd.RDD[T]) {
	if r.Err() != nil {
		fmt.Println(what)
	}
}

func main() {
	r := rdd.Parallelize(session{}, []int{1, 2}, 1)
	n, two := 3, 2
	m := model{2}
	var p predictor = m
	show("literal", rdd.Map(r, func(x int) int { return x + step + factor }))
	show("capture", rdd.Map(r, func(x int) int { return x + n }))
	show("several", rdd.Map(r, func(x int) int { return x*two + n }))
	show("assigned", rdd.Map(r, func(x int) int { n += x; return n }))
	show("nested literal", rdd.Map(r, func(x int) int { return func() int { return x + two }() }))
	show("own locals", rdd.Map(r, func(x int) int { return func() int { return x + 1 }() }))
	show("bind", rdd.Map(r, rdd.Bind(n, func(n, x int) int { return x + n })))
	show("capture in bind", rdd.Map(r, rdd.Bind(n, func(n, x int) int { return x + n + two })))
	show("call", rdd.Map(r, rdd.Call(added{1})))
	show("method value", rdd.Map(r, m.predict))
	show("pointer method value", rdd.Map(r, m.score))
	show("interface method value", rdd.Map(r, p.predict))
	show("method expression", rdd.Map(r, rdd.Bind(m, model.predict)))
	show("pointer method expression", rdd.Map(r, rdd.Bind(&m, (*model).score)))
	show("interface method expression", rdd.Map(r, rdd.Bind(p, predictor.predict)))
	show("instance", rdd.Map(r, identity[int]))
	show("inferred instance", rdd.Map(r, identity))
	show("instance method expression", rdd.Map(r, rdd.Bind(table[int]{}, table[int].size)))
	show("maker", rdd.Map(r, adder(2)))
	show("bound maker", rdd.Map(r, boundAdder(2)))
	show("library function", rdd.Map(rdd.Map(r, func(x int) string { return "" }), strings.ToUpper))
	f := func(x int) int { return x * two } // case: variable
	show("variable", rdd.Map(r, f))
	g := func(x int) int { return x * 2 }
	show("plain variable", rdd.Map(r, g))
	for i := range 1 {
		show("loop variable", rdd.Map(r, func(x int) int { return x + i }))
	}
	generic(r, r)
}

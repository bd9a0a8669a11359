package codec

import (
	"reflect"
	"testing"
)

type smoke struct {
	Name string
	n    int64
	_    int8
	F    []float64
	P    *smoke
	M    map[string]int
	I    any
}

func TestSmoke(t *testing.T) {
	c, err := Of[smoke]()
	if err != nil {
		t.Fatal(err)
	}
	rows := []smoke{{Name: "a", n: 1, F: []float64{1, 2}, P: &smoke{Name: "in", I: 3.5}, M: map[string]int{"x": 1, "y": 2}}, {}, {F: []float64{}, M: map[string]int{}, I: "s"}}
	b, err := c.Append(nil, rows)
	if err != nil {
		t.Fatal(err)
	}
	got, rest, err := c.Decode(nil, b)
	if err != nil || len(rest) != 0 {
		t.Fatal(err, rest)
	}
	if !reflect.DeepEqual(rows, got) {
		t.Fatalf("%#v\n%#v", rows, got)
	}
}

package codec_test

import (
	"fmt"
	"unsafe"

	"github.com/spark-go/spark-go/shuffle/codec"
)

type visit struct {
	User string
	Page int32
	When []int64
}

func ExampleOf() {
	c, err := codec.Of[visit]()
	if err != nil {
		fmt.Println(err)
		return
	}
	block, err := c.Append(nil, []visit{{"ada", 1, []int64{10, 20}}, {"bob", 2, nil}})
	if err != nil {
		fmt.Println(err)
		return
	}
	rows, rest, err := c.Decode(nil, block)
	fmt.Println(rows, len(rest), err)

	_, err = codec.Of[struct{ Done chan bool }]()
	fmt.Println(err)
	// Output:
	// [{ada 1 [10 20]} {bob 2 []}] 0 <nil>
	// codec: Done: a chan bool cannot travel between processes: a channel joins goroutines of one process: send the values in a slice
}

type animal interface{ Sound() string }

type dog struct{ Name string }

func (d dog) Sound() string { return d.Name + " barks" }

func ExampleRegister() {
	codec.Register[dog]()
	c, _ := codec.Of[animal]()
	block, err := c.Append(nil, []animal{dog{"rex"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	rows, _, _ := c.Decode(nil, block)
	fmt.Println(rows[0].Sound())
	// Output: rex barks
}

func ExampleKeysOf() {
	ops, err := codec.KeysOf[string]()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%016x\n", ops.Hash("spark")) // the same in every process
	fmt.Println(ops.Equal("a", "a"))
	// Output:
	// 6980e68cd8c33826
	// true
}

func ExampleHashField() {
	ops, _ := codec.KeysOf[int32]()
	rows := []visit{{Page: 7}, {Page: 8}, {Page: 7}}
	hashes := make([]uint64, len(rows))
	codec.HashField(ops, rows, unsafe.Offsetof(rows[0].Page), hashes)
	fmt.Println(hashes[0] == hashes[2], hashes[0] == hashes[1], hashes[0] == ops.Hash(7))
	// Output: true false true
}

func ExampleOrderOf() {
	o := codec.OrderOf[float64]()
	fmt.Println(o.Prefix(-1) < o.Prefix(2), o.Exact(), codec.OrderOf[string]().Exact())
	// Output: true true false
}

func ExampleCompressorOf() {
	c, err := codec.CompressorOf("lz4")
	if err != nil {
		fmt.Println(err)
		return
	}
	raw := make([]byte, 100_000)
	frame, _ := c.Append(nil, raw)
	got, rest, err := c.Decode(nil, frame)
	fmt.Println(len(frame) < 1000, len(got), len(rest), err)
	// Output: true 100000 0 <nil>
}

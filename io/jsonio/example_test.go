package jsonio_test

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/jsonio"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleRead() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	text := `{"name":"a","x":1.5,"tags":["red","blue"]}
{"name":"b"}
not JSON
`
	if err := filesys.WriteFile(ctx, "mem://points/p.json", []byte(text)); err != nil {
		fmt.Println(err)
	}
	bad, err := textio.CollectBadLines(sc, "bad points", 1)
	if err != nil {
		fmt.Println(err)
	}
	points, err := jsonio.Read[point](sc, "mem://points/p.json", jsonio.Options{BadLines: bad}).Collect(ctx)
	for _, p := range points {
		fmt.Println(p.Name, p.X != nil, p.Tags)
	}
	fmt.Println(err, bad.Count(), bad.Lines()[0])
	// Output:
	// a true [red blue]
	// b false []
	// <nil> 1 mem://points/p.json: line 3: character 2: invalid character 'o' in literal null (expecting 'u'), at "ot JSON"
}

func ExampleWrite() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	points := rdd.Parallelize(sc, []point{{Name: "a<b"}, {Name: "c", Tags: []string{"d"}}}, 1)
	fmt.Println(jsonio.Write(ctx, points, "mem://points/out", jsonio.Options{}))
	files, err := textio.WholeFiles(sc, "mem://points/out").Collect(ctx)
	for _, f := range files {
		fmt.Printf("%s\n%s", f.Path, f.Content)
	}
	fmt.Println(err)
	// Output:
	// <nil>
	// mem://points/out/part-00000.json
	// {"name":"a<b"}
	// {"name":"c","tags":["d"]}
	// <nil>
}

package textio_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleLines() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	if err := filesys.WriteFile(ctx, "mem://example/poem.txt", []byte("roses are red\r\nviolets are blue\n\nno end")); err != nil {
		fmt.Println(err)
	}
	lines := textio.Lines(sc, "mem://example/*.txt", 3)
	rows, err := lines.Collect(ctx)
	fmt.Printf("%q in %d partitions, %v\n", rows, lines.NumPartitions(), err)
	// Output:
	// ["roses are red" "violets are blue" "" "no end"] in 3 partitions, <nil>
}

func ExampleWholeFiles() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	for _, name := range []string{"a", "b"} {
		if err := filesys.WriteFile(ctx, "mem://whole/"+name, []byte("content of "+name)); err != nil {
			fmt.Println(err)
		}
	}
	files, err := textio.WholeFiles(sc, "mem://whole/").Collect(ctx)
	fmt.Println(files, err)
	// Output:
	// [{mem://whole/a content of a} {mem://whole/b content of b}] <nil>
}

func ExampleSave() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	upper := rdd.Map(rdd.Parallelize(sc, []string{"a", "b", "c"}, 2), strings.ToUpper)
	fmt.Println(textio.Save(ctx, upper, "mem://saved/out", textio.SaveOptions{Compression: "gzip"}))

	files, err := filesys.Expand(ctx, "mem://saved/out")
	for _, f := range files {
		fmt.Println(f.URI)
	}
	back, err2 := textio.Lines(sc, "mem://saved/out").Collect(ctx)
	fmt.Println(back, err, err2)
	fmt.Println(textio.Save(ctx, upper, "mem://saved/out"))
	// Output:
	// <nil>
	// mem://saved/out/part-00000.gz
	// mem://saved/out/part-00001.gz
	// [A B C] <nil> <nil>
	// write mem://saved/out: the output directory exists and is not empty: remove it, name another, or choose the save mode overwrite or append
}

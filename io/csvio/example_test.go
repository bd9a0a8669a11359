package csvio_test

import (
	"context"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/csvio"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

type player struct {
	Name  string `csv:"name"`
	Score int32  `csv:"score"`
}

type visit struct {
	UserID int64    // finds user_id
	Page   string   `csv:"page title"`
	Spent  *float64 // nil where the file has nothing
}

func ExampleRead() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	text := "user_id,when,page title,spent\r\n1,Monday,\"Home, sweet \"\"home\"\"\",2.5\r\n2,Friday,Prices,\r\n"
	if err := filesys.WriteFile(ctx, "mem://visits/a.csv", []byte(text)); err != nil {
		fmt.Println(err)
	}
	visits, err := csvio.Read[visit](sc, "mem://visits/*.csv", csvio.Options{Header: true}).Collect(ctx)
	if err != nil {
		fmt.Println(err)
	}
	for _, v := range visits {
		fmt.Printf("%d %s", v.UserID, v.Page)
		if v.Spent != nil {
			fmt.Print(" ", *v.Spent)
		}
		fmt.Println()
	}
	// Output:
	// 1 Home, sweet "home" 2.5
	// 2 Prices
}

func ExampleRead_badLines() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	if err := filesys.WriteFile(ctx, "mem://players/p.csv", []byte("ann,5\nbob,many\ncid\ndan,7\n")); err != nil {
		fmt.Println(err)
	}
	bad, err := textio.CollectBadLines(sc, "bad players", 10)
	if err != nil {
		fmt.Println(err)
	}
	players, err := csvio.Read[player](sc, "mem://players/p.csv", csvio.Options{BadLines: bad}).Collect(ctx)
	fmt.Println(players, err)
	fmt.Println(bad.Count(), "bad lines")
	for _, l := range bad.Lines() {
		fmt.Println(l)
	}
	// Output:
	// [{ann 5} {dan 7}] <nil>
	// 2 bad lines
	// mem://players/p.csv: line 2, column 2: "many" is no value for field csvio_test.player.Score, a int32
	// mem://players/p.csv: line 3: 1 fields instead of 2
}

func ExampleWrite() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	players := rdd.Parallelize(sc, []player{{"ann, the first", 5}, {"bob", -1}, {"", 0}}, 2)
	fmt.Println(csvio.Write(ctx, players, "mem://written/players", csvio.Options{Header: true}))

	files, err := textio.WholeFiles(sc, "mem://written/players").Collect(ctx)
	for _, f := range files {
		fmt.Printf("%s %q\n", f.Path, f.Content)
	}
	fmt.Println(err)
	// Output:
	// <nil>
	// mem://written/players/part-00000.csv "name,score\n\"ann, the first\",5\n"
	// mem://written/players/part-00001.csv "name,score\nbob,-1\n\"\",0\n"
	// <nil>
}

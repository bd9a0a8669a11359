package parquetio_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

type rating struct {
	User  int32   `parquet:"userId"`
	Item  int32   `parquet:"movieId"`
	Value float32 `parquet:"rating"`
	Note  *string `parquet:"note"` // may be null
}

func ExampleWrite() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	note := "great"
	ratings := rdd.Parallelize(sc, []rating{{1, 10, 5, &note}, {1, 11, 3, nil}, {2, 10, 4, nil}}, 2)
	fmt.Println(parquetio.Write(ctx, ratings, "mem://ratings/all", parquetio.WriteOptions{Compression: "zstd"}))

	files, err := filesys.Expand(ctx, "mem://ratings/all")
	for _, f := range files {
		fmt.Println(f.URI)
	}
	schema, err2 := parquetio.ReadSchema(ctx, "mem://ratings/all")
	fmt.Print(schema)
	fmt.Println(err, err2)
	// Output:
	// <nil>
	// mem://ratings/all/part-00000.parquet
	// mem://ratings/all/part-00001.parquet
	// userId int32
	// movieId int32
	// rating float32
	// note string, optional
	// <nil> <nil>
}

func ExampleRead() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := rdd.Parallelize(sc, []rating{{User: 1, Item: 10, Value: 5}, {User: 1, Item: 11, Value: 3}, {User: 2, Item: 10, Value: 4}}, 1)
	if err := parquetio.Write(ctx, rows, "mem://ratings/read"); err != nil {
		fmt.Println(err)
		return
	}
	// Only the columns that the struct names are read.
	type value struct {
		UserID int64 // takes userId, and widens it
		Rating float64
	}
	values := parquetio.Read[value](sc, "mem://ratings/read")
	good := rdd.Filter(values, func(v value) bool { return v.Rating >= 4 })
	fmt.Println(good.Collect(ctx))

	type wrong struct{ Stars float64 }
	_, err := parquetio.Read[wrong](sc, "mem://ratings/read").Collect(ctx)
	_, why, _ := strings.Cut(err.Error(), "wrong.")
	fmt.Println(why)
	// Output:
	// [{1 5} {2 4}] <nil>
	// Stars: the file has no column "Stars": it has: userId, movieId, rating, note; correct the tag `parquet:"NAME"`, or tag the field "-" to leave it out
}

func ExampleReadColumns() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := rdd.Parallelize(sc, []rating{{User: 1, Item: 10, Value: 5}, {User: 1, Item: 11, Value: 3}, {User: 2, Item: 10, Value: 4}}, 1)
	if err := parquetio.Write(ctx, rows, "mem://ratings/columns"); err != nil {
		fmt.Println(err)
		return
	}
	key, sum := "userid", "rating" // known at run time, from flags
	batches := parquetio.ReadColumns(sc, "mem://ratings/columns", []parquetio.Select{
		{Name: key, Kind: parquetio.Int64}, {Name: sum, Kind: parquetio.Float64},
	})
	pairs := rdd.FlatMap(batches, func(b parquetio.Batch) []rdd.Pair[int64, float64] {
		out := make([]rdd.Pair[int64, float64], b.Rows)
		for i := range out {
			out[i] = rdd.Pair[int64, float64]{Key: b.Columns[0].Int64s[i], Value: b.Columns[1].Float64s[i]}
		}
		return out
	})
	fmt.Println(pairs.Collect(ctx))
	// Output:
	// [{1 5} {1 3} {2 4}] <nil>
}

func ExampleWhere() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	type sale struct {
		Year  int32   `parquet:"year"`
		Month int32   `parquet:"month"`
		Shop  *string `parquet:"shop"`
		Euros float64 `parquet:"euros"`
	}
	north := "north/1"
	rows := rdd.Parallelize(sc, []sale{{2025, 12, &north, 7}, {2026, 1, nil, 8}, {2026, 1, &north, 9}, {2026, 2, &north, 10}}, 1)
	err := parquetio.Write(ctx, rows, "mem://sales/all", parquetio.WriteOptions{PartitionBy: []string{"year", "month", "shop"}})
	fmt.Println(err)
	files, _ := filesys.Expand(ctx, "mem://sales/all")
	for _, f := range files {
		fmt.Println(f.URI)
	}

	// Directories that cannot match are not opened; year comes from the path.
	year, euros := parquetio.Col[int]("year"), parquetio.Col[float64]("euros")
	where := parquetio.And(year.Eq(2026), euros.Ge(9))
	fmt.Println(where)
	good := parquetio.Where[sale](sc, "mem://sales/all", where)
	amounts := rdd.Map(good, func(s sale) string { return fmt.Sprintf("%d-%02d %s %g", s.Year, s.Month, *s.Shop, s.Euros) })
	fmt.Println(amounts.Collect(ctx))
	// Output:
	// <nil>
	// mem://sales/all/year=2025/month=12/shop=north%2F1/part-00000.parquet
	// mem://sales/all/year=2026/month=1/shop=__HIVE_DEFAULT_PARTITION__/part-00000.parquet
	// mem://sales/all/year=2026/month=1/shop=north%2F1/part-00000.parquet
	// mem://sales/all/year=2026/month=2/shop=north%2F1/part-00000.parquet
	// (year = 2026 and euros >= 9)
	// [2026-01 north/1 9 2026-02 north/1 10] <nil>
}

// The tag says how many digits follow the point, and how many there are.
func ExampleDecimal() {
	ctx := context.Background()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	type invoice struct {
		Total parquetio.Decimal `parquet:"total,decimal(2:12)"`
	}
	total, err := parquetio.ParseDecimal("1999.90")
	if err != nil {
		fmt.Println(err)
		return
	}
	rows := rdd.Parallelize(sc, []invoice{{total}, {parquetio.NewDecimal(-5, 0)}}, 1)
	if err := parquetio.Write(ctx, rows, "mem://decimals/invoices"); err != nil {
		fmt.Println(err)
		return
	}
	schema, err := parquetio.ReadSchema(ctx, "mem://decimals/invoices")
	fmt.Print(schema)
	fmt.Println(schema.Names(), err)
	read, err := parquetio.Read[invoice](sc, "mem://decimals/invoices").Collect(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range read {
		fmt.Println(r.Total, r.Total.Sign())
	}
	// Output:
	// total decimal(12,2)
	// [total] <nil>
	// 1999.90 1
	// -5.00 -1
}

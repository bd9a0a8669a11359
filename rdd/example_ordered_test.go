package rdd_test

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

func ExampleSortBy() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	words := rdd.Parallelize(sc, []string{"pear", "fig", "banana", "kiwi", "apple"}, 2)
	fmt.Println(rdd.SortBy(words, func(w string) string { return w }, true).Collect(ctx))
	fmt.Println(rdd.SortBy(words, func(w string) int { return len(w) }, false, 3).Collect(ctx))
	// Output:
	// [apple banana fig kiwi pear] <nil>
	// [banana apple pear kiwi fig] <nil>
}

func ExampleSortByFunc() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	type person struct {
		Name string
		Age  int
	}
	people := rdd.Parallelize(sc, []person{{"bob", 27}, {"ann", 31}, {"al", 27}}, 2)
	fmt.Println(rdd.SortByFunc(people, func(a, b person) int {
		return cmp.Or(cmp.Compare(a.Age, b.Age), cmp.Compare(a.Name, b.Name))
	}).Collect(context.Background()))
	// Output: [{al 27} {bob 27} {ann 31}] <nil>
}

func ExampleSortByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	sorted := rdd.SortByKey(visits(sc), true)
	fmt.Println(sorted.Collect(context.Background()))
	fmt.Println(sorted.First(context.Background()))
	// Output:
	// [{ann /} {ann /buy} {bob /cart} {eve /}] <nil>
	// {ann /} <nil>
}

func ExampleFilterByRange() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	sorted := rdd.SortByKey(visits(sc), true).Cache()
	fmt.Println(rdd.FilterByRange(sorted, "b", "eve").Collect(context.Background()))
	// Output: [{bob /cart} {eve /}] <nil>
}

func ExampleNewRangePartitioner() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	squares := rdd.KeyBy(rdd.Range(sc, 0, 1000, 1, 4), func(x int64) int64 { return x * x })
	by, err := rdd.NewRangePartitioner(ctx, squares, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(by.NumPartitions(), by.Partition(0), by.Partition(999*999))
	placed := rdd.PartitionBy(squares, by)
	fmt.Println(rdd.CountByKey(ctx, rdd.FilterByRange(placed, 10, 30)))
	// Output:
	// 4 0 3
	// map[16:1 25:1] <nil>
}

func ExampleRepartitionAndSortWithinPartitions() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	sorted := rdd.RepartitionAndSortWithinPartitions(visits(sc), rdd.HashPartitioner[string]{N: 1})
	fmt.Println(sorted.Collect(context.Background()))
	// Output: [{ann /} {ann /buy} {bob /cart} {eve /}] <nil>
}

// visit is a key of two fields for a secondary sort.
type visit struct {
	User string
	At   int
}

// byUser places visits by their user alone.
type byUser struct{ N int }

func (b byUser) NumPartitions() int { return b.N }

func (b byUser) Partition(v visit) int { return rdd.HashPartitioner[string]{N: b.N}.Partition(v.User) }

// The visits of each user come together, ordered by time, without a group that must fit in memory.
func ExampleRepartitionAndSortWithinPartitionsFunc() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	log := rdd.Parallelize(sc, []rdd.Pair[visit, string]{
		{Key: visit{"bob", 3}, Value: "/cart"}, {Key: visit{"ann", 9}, Value: "/buy"}, {Key: visit{"ann", 2}, Value: "/"},
	}, 2)
	sorted := rdd.RepartitionAndSortWithinPartitionsFunc(log, byUser{1}, func(a, b visit) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.At, b.At))
	})
	fmt.Println(rdd.Values(sorted).Collect(context.Background()))
	// Output: [/ /buy /cart] <nil>
}

func ExampleTakeOrdered() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Parallelize(sc, []int{10, 4, 2, 12, 3}, 2)
	fmt.Println(rdd.TakeOrdered(context.Background(), r, 3))
	// Output: [2 3 4] <nil>
}

func ExampleTop() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	r := rdd.Parallelize(sc, []int{10, 4, 2, 12, 3}, 2)
	fmt.Println(rdd.Top(context.Background(), r, 2))
	// Output: [12 10] <nil>
}

func byLength(a, b string) int { return cmp.Compare(len(a), len(b)) }

func ExampleTakeOrderedFunc() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"pear", "fig", "banana", "kiwi"}, 2)
	fmt.Println(rdd.TakeOrderedFunc(context.Background(), words, 2, byLength))
	// Output: [fig pear] <nil>
}

func ExampleTopFunc() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"pear", "fig", "banana", "kiwi"}, 2)
	fmt.Println(rdd.TopFunc(context.Background(), words, 2, byLength))
	// Output: [banana pear] <nil>
}

func ExampleMax() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Max(context.Background(), rdd.Parallelize(sc, []float64{2.5, -1, 7}, 2)))
	// Output: 7 <nil>
}

func ExampleMin() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.Min(context.Background(), rdd.Parallelize(sc, []float64{2.5, -1, 7}, 2)))
	// Output: -1 <nil>
}

func ExampleMaxFunc() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"pear", "fig", "banana"}, 2)
	fmt.Println(rdd.MaxFunc(context.Background(), words, byLength))
	// Output: banana <nil>
}

func ExampleMinFunc() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"pear", "fig", "banana"}, 2)
	fmt.Println(rdd.MinFunc(context.Background(), words, byLength))
	// Output: fig <nil>
}

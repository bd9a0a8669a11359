package rdd_test

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// show prints rows one a line, sorted as text: keyed operations give keys in the order of their hashes.
func show[T any](rows []T, err error) {
	if err != nil {
		fmt.Println(err)
		return
	}
	var lines []string
	for _, row := range rows {
		lines = append(lines, fmt.Sprintf("%+v", row))
	}
	slices.Sort(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}

func visits(sc *driver.Context) rdd.RDD[rdd.Pair[string, string]] {
	return rdd.Parallelize(sc, []rdd.Pair[string, string]{
		{Key: "ann", Value: "/"}, {Key: "bob", Value: "/cart"}, {Key: "ann", Value: "/buy"}, {Key: "eve", Value: "/"},
	}, 2)
}

func ages(sc *driver.Context) rdd.RDD[rdd.Pair[string, int]] {
	return rdd.Parallelize(sc, []rdd.Pair[string, int]{{Key: "ann", Value: 31}, {Key: "bob", Value: 27}, {Key: "joe", Value: 40}}, 2)
}

func ExampleGroupByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.GroupByKey(visits(sc)).Collect(context.Background()))
	// Output:
	// {Key:ann Value:[/ /buy]}
	// {Key:bob Value:[/cart]}
	// {Key:eve Value:[/]}
}

func ExampleGroupBy() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	words := rdd.Parallelize(sc, []string{"go", "is", "fun", "to", "run"}, 2)
	show(rdd.GroupBy(words, func(w string) int { return len(w) }).Collect(context.Background()))
	// Output:
	// {Key:2 Value:[go is to]}
	// {Key:3 Value:[fun run]}
}

func ExampleCoGroup() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.CoGroup(visits(sc), ages(sc)).Collect(context.Background()))
	// Output:
	// {Key:ann Value:{Left:[/ /buy] Right:[31]}}
	// {Key:bob Value:{Left:[/cart] Right:[27]}}
	// {Key:eve Value:{Left:[/] Right:[]}}
	// {Key:joe Value:{Left:[] Right:[40]}}
}

func ExampleCoGroup3() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	towns := rdd.Parallelize(sc, []rdd.Pair[string, string]{{Key: "ann", Value: "Ulm"}}, 1)
	show(rdd.CoGroup3(visits(sc), ages(sc), towns).Collect(context.Background()))
	// Output:
	// {Key:ann Value:{First:[/ /buy] Second:[31] Third:[Ulm]}}
	// {Key:bob Value:{First:[/cart] Second:[27] Third:[]}}
	// {Key:eve Value:{First:[/] Second:[] Third:[]}}
	// {Key:joe Value:{First:[] Second:[40] Third:[]}}
}

func ExampleCoGroup4() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	towns := rdd.Parallelize(sc, []rdd.Pair[string, string]{{Key: "ann", Value: "Ulm"}}, 1)
	paid := rdd.Parallelize(sc, []rdd.Pair[string, float64]{{Key: "ann", Value: 9.5}, {Key: "ann", Value: 3}}, 1)
	show(rdd.CoGroup4(visits(sc), ages(sc), towns, paid).Collect(context.Background()))
	// Output:
	// {Key:ann Value:{First:[/ /buy] Second:[31] Third:[Ulm] Fourth:[9.5 3]}}
	// {Key:bob Value:{First:[/cart] Second:[27] Third:[] Fourth:[]}}
	// {Key:eve Value:{First:[/] Second:[] Third:[] Fourth:[]}}
	// {Key:joe Value:{First:[] Second:[40] Third:[] Fourth:[]}}
}

func ExampleJoin() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.Join(visits(sc), ages(sc)).Collect(context.Background()))
	// Output:
	// {Key:ann Value:{Left:/ Right:31}}
	// {Key:ann Value:{Left:/buy Right:31}}
	// {Key:bob Value:{Left:/cart Right:27}}
}

// Datasets that lie by the same partitioner are joined where they are: here neither side crosses a shuffle again.
func ExampleJoin_coPartitioned() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	by := rdd.HashPartitioner[string]{N: 4}
	users := rdd.PartitionBy(ages(sc), by).Cache()
	clicks := rdd.PartitionBy(visits(sc), by)
	show(rdd.Join(clicks, users).Collect(context.Background()))
	// Output:
	// {Key:ann Value:{Left:/ Right:31}}
	// {Key:ann Value:{Left:/buy Right:31}}
	// {Key:bob Value:{Left:/cart Right:27}}
}

func ExampleLeftOuterJoin() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.LeftOuterJoin(visits(sc), ages(sc)).Collect(context.Background()))
	// Output:
	// {Key:ann Value:{Left:/ Right:{Value:31 Valid:true}}}
	// {Key:ann Value:{Left:/buy Right:{Value:31 Valid:true}}}
	// {Key:bob Value:{Left:/cart Right:{Value:27 Valid:true}}}
	// {Key:eve Value:{Left:/ Right:{Value:0 Valid:false}}}
}

func ExampleRightOuterJoin() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.RightOuterJoin(visits(sc), ages(sc)).Collect(context.Background()))
	// Output:
	// {Key:ann Value:{Left:{Value:/ Valid:true} Right:31}}
	// {Key:ann Value:{Left:{Value:/buy Valid:true} Right:31}}
	// {Key:bob Value:{Left:{Value:/cart Valid:true} Right:27}}
	// {Key:joe Value:{Left:{Value: Valid:false} Right:40}}
}

func ExampleFullOuterJoin() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	joined := rdd.FullOuterJoin(visits(sc), ages(sc))
	show(rdd.Map(joined, func(p rdd.Pair[string, rdd.Joined[rdd.Optional[string], rdd.Optional[int]]]) string {
		return fmt.Sprintf("%s saw %s aged %d", p.Key, p.Value.Left.Or("nothing"), p.Value.Right.Or(-1))
	}).Collect(context.Background()))
	// Output:
	// ann saw / aged 31
	// ann saw /buy aged 31
	// bob saw /cart aged 27
	// eve saw / aged -1
	// joe saw nothing aged 40
}

func ExampleSubtractByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	show(rdd.SubtractByKey(visits(sc), ages(sc)).Collect(context.Background()))
	// Output:
	// {Key:eve Value:/}
}

func ExampleCountByKey() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.CountByKey(context.Background(), visits(sc)))
	// Output: map[ann:2 bob:1 eve:1] <nil>
}

func ExampleCountByValue() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.CountByValue(context.Background(), rdd.Parallelize(sc, []string{"b", "a", "b"}, 2)))
	// Output: map[a:1 b:2] <nil>
}

func ExampleCollectAsMap() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.CollectAsMap(context.Background(), ages(sc)))
	// Output: map[ann:31 bob:27 joe:40] <nil>
}

func ExampleLookup() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	fmt.Println(rdd.Lookup(ctx, visits(sc), "ann")) // reads all partitions
	sorted := rdd.SortByKey(visits(sc), true, 3).Cache()
	fmt.Println(rdd.Lookup(ctx, sorted, "ann")) // reads one
	// Output:
	// [/ /buy] <nil>
	// [/ /buy] <nil>
}

func ExampleReduceByKeyLocally() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	fmt.Println(rdd.ReduceByKeyLocally(context.Background(), visits(sc), func(a, b string) string { return a + " " + b }))
	// Output: map[ann:/ /buy bob:/cart eve:/] <nil>
}

// The page with the longest name of each visitor, without ever holding all visits of one.
func ExampleMapGroups() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	longest := rdd.MapGroups(visits(sc), func(who string, pages iter.Seq[string]) rdd.Pair[string, string] {
		best := ""
		for page := range pages {
			if len(page) > len(best) {
				best = page
			}
		}
		return rdd.Pair[string, string]{Key: who, Value: best}
	})
	show(longest.Collect(context.Background()))
	// Output:
	// {Key:ann Value:/buy}
	// {Key:bob Value:/cart}
	// {Key:eve Value:/}
}

func ExampleFlatMapGroups() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	numbered := rdd.FlatMapGroups(visits(sc), func(who string, pages iter.Seq[string]) iter.Seq[string] {
		return func(yield func(string) bool) {
			n := 0
			for page := range pages {
				n++
				if !yield(fmt.Sprint(who, " ", n, " ", page)) {
					return
				}
			}
		}
	})
	show(numbered.Collect(context.Background()))
	// Output:
	// ann 1 /
	// ann 2 /buy
	// bob 1 /cart
	// eve 1 /
}

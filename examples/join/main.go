// Command join pairs the rows of two Parquet inputs that agree in a column, as SQL's inner join does, and adds up another column for
// each key:
//
//	SELECT key, sum(value) FROM left JOIN right USING (key) GROUP BY key
package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// number is what can be added up. Whole numbers are added exactly.
type number interface{ int64 | float64 }

// inputs is the command line.
type inputs struct {
	left, right, on, sum string
	fromRight            bool // the right input holds the column to add up
}

func main() {
	j := job.New("join", "joins two Parquet inputs on a column and sums another one for each key")
	var in inputs
	j.Input(&in.left, "left", "examples/testdata/ratings.parquet", "Parquet: a `URI`, directory, glob or comma list")
	j.Input(&in.right, "right", "examples/testdata/items.parquet", "Parquet `URI`s to join with; the smaller input should be this one")
	j.String(&in.on, "on", "itemId", "`column` of both inputs that rows must agree in: whole numbers or text; rows without a value match nothing")
	j.String(&in.sum, "sum", "rating", "`column` of numbers to sum for each key: of the left input if it has it, else of the right one")
	sc := j.Start()
	ctx := context.Background()

	key, err := job.IDKind(ctx, in.left, in.on)
	j.Check(err)
	other, err := job.IDKind(ctx, in.right, in.on)
	j.Check(err)
	if key != other {
		j.Fail("column %q is %s in %s and %s in %s: join on columns of one type", in.on, key, in.left, other, in.right)
	}
	value, err := job.NumberKind(ctx, in.left, in.sum)
	if err != nil {
		var second error
		if value, second = job.NumberKind(ctx, in.right, in.sum); second != nil {
			j.Check(fmt.Errorf("%w; %w", err, second))
		}
		in.fromRight = true
	}
	run := map[[2]parquetio.Kind]func(context.Context, *job.Job, rdd.Session, inputs) error{
		{parquetio.Int64, parquetio.Int64}:    run[int64, int64],
		{parquetio.Int64, parquetio.Float64}:  run[int64, float64],
		{parquetio.String, parquetio.Int64}:   run[string, int64],
		{parquetio.String, parquetio.Float64}: run[string, float64],
	}[[2]parquetio.Kind{key, value}]
	j.Check(run(ctx, j, sc, in))
	j.Finish()
}

// total is what the joined rows of a key come to.
type total[V number] struct {
	Rows int64
	Sum  V
}

// The functions of this program are structs with a Call method, because a function literal in a generic function holds its type arguments
// and could not travel to other processes.

func run[K job.ID, V number](ctx context.Context, j *job.Job, sc rdd.Session, in inputs) error {
	var totals rdd.RDD[rdd.Pair[K, total[V]]]
	if in.fromRight {
		left := rdd.FlatMap(read(sc, in.left, in.on), rdd.Call(keys[K]{}))
		right := rdd.FlatMap(read(sc, in.right, in.on, in.sum), rdd.Call(pairs[K, V]{}))
		totals = rdd.MapValues(rdd.Join(left, right, j.Partitions()...), rdd.Call(takeRight[V]{}))
	} else {
		left := rdd.FlatMap(read(sc, in.left, in.on, in.sum), rdd.Call(pairs[K, V]{}))
		right := rdd.FlatMap(read(sc, in.right, in.on), rdd.Call(keys[K]{}))
		totals = rdd.MapValues(rdd.Join(left, right, j.Partitions()...), rdd.Call(takeLeft[V]{}))
	}
	// The join left all rows of a key in one partition: nothing is shuffled here.
	sums := rdd.ReduceByKey(totals, rdd.Call2(add[V]{})).Cache()

	all, err := rdd.Aggregate(ctx, sums, counts{}, rdd.Call2(count[K, V]{}), counts.plus)
	if err != nil {
		return err
	}
	if all.Keys == 0 {
		return fmt.Errorf("no row of %s has a partner in %s: check that column %q means the same in both", in.left, in.right, in.on)
	}
	best, err := rdd.TakeOrderedFunc(ctx, sums, 20, rdd.Call2(bySum[K, V]{}))
	if err != nil {
		return err
	}
	_, digest, err := job.Save(ctx, rdd.Map(rdd.SortByKey(sums, true), rdd.Call(line[K, V]{})), "")
	if err != nil {
		return err
	}

	top := make([][]any, len(best))
	for i, t := range best {
		top[i] = []any{t.Key, t.Value.Sum}
	}
	j.Set("rows", all.Rows)
	j.Set("keys", all.Keys)
	j.Set("partitions", sums.NumPartitions())
	j.Set("top", top)
	j.Set("sha256", digest)
	return nil
}

// read reads the key column and, where it is wanted, the column to add up.
func read(sc rdd.Session, uri string, columns ...string) rdd.RDD[parquetio.Batch] {
	selected := make([]parquetio.Select, len(columns))
	for i, c := range columns {
		selected[i].Name = c
	}
	return parquetio.ReadColumns(sc, uri, selected)
}

// pairs makes (key, value) rows of a batch. A missing value counts as 0, as in SQL's sum.
type pairs[K job.ID, V number] struct{}

func (pairs[K, V]) Call(b parquetio.Batch) []rdd.Pair[K, V] {
	key, ids := &b.Columns[0], job.IDs[K](&b.Columns[0])
	values, whole := any(b.Columns[1].Int64s).([]V)
	if !whole {
		values = any(b.Columns[1].Float64s).([]V)
	}
	rows := make([]rdd.Pair[K, V], 0, b.Rows)
	for i := range b.Rows {
		if !key.IsNull(i) {
			rows = append(rows, rdd.Pair[K, V]{Key: ids[i], Value: values[i]})
		}
	}
	return rows
}

// keys makes (key, nothing) rows of a batch.
type keys[K job.ID] struct{}

func (keys[K]) Call(b parquetio.Batch) []rdd.Pair[K, struct{}] {
	key, ids := &b.Columns[0], job.IDs[K](&b.Columns[0])
	rows := make([]rdd.Pair[K, struct{}], 0, b.Rows)
	for i := range b.Rows {
		if !key.IsNull(i) {
			rows = append(rows, rdd.Pair[K, struct{}]{Key: ids[i]})
		}
	}
	return rows
}

type takeLeft[V number] struct{}

func (takeLeft[V]) Call(v rdd.Joined[V, struct{}]) total[V] { return total[V]{1, v.Left} }

type takeRight[V number] struct{}

func (takeRight[V]) Call(v rdd.Joined[struct{}, V]) total[V] { return total[V]{1, v.Right} }

// add adds two totals up.
type add[V number] struct{}

func (add[V]) Call(a, b total[V]) total[V] {
	sum := a.Sum + b.Sum
	if b.Sum > 0 && sum < a.Sum || b.Sum < 0 && sum > a.Sum {
		panic(rdd.Abort{Err: fmt.Errorf("the sum of a key exceeds the range of int64: sum a smaller column")})
	}
	return total[V]{a.Rows + b.Rows, sum}
}

// counts is how many joined rows and keys there are.
type counts struct{ Rows, Keys int64 }

func (c counts) plus(d counts) counts { return counts{c.Rows + d.Rows, c.Keys + d.Keys} }

type count[K job.ID, V number] struct{}

func (count[K, V]) Call(c counts, t rdd.Pair[K, total[V]]) counts {
	return c.plus(counts{t.Value.Rows, 1})
}

// bySum puts the greatest sums first, and of equal ones the least key.
type bySum[K job.ID, V number] struct{}

func (bySum[K, V]) Call(a, b rdd.Pair[K, total[V]]) int {
	return cmp.Or(cmp.Compare(b.Value.Sum, a.Value.Sum), cmp.Compare(a.Key, b.Key))
}

// line is how a sum goes into the digest.
type line[K job.ID, V number] struct{}

func (line[K, V]) Call(t rdd.Pair[K, total[V]]) string {
	b := append(job.AppendID(nil, t.Key), '\t')
	switch sum := any(t.Value.Sum).(type) {
	case int64:
		b = strconv.AppendInt(b, sum, 10)
	case float64:
		b = strconv.AppendFloat(b, sum, 'g', -1, 64)
	}
	return string(b)
}

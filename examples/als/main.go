// Command als learns from ratings what users think of items that they have not rated, by alternating least squares, and says how well
// it does on ratings that it has not seen. With --implicit ratings are strengths of observation, such as numbers of views.
package main

import (
	"context"
	"errors"
	"math"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/recommendation"
	"github.com/spark-go/spark-go/rdd"
)

// options is the command line.
type options struct {
	job.Inputs
	user, item, rating              string
	rank, iterations, seed          int
	reg, alpha                      float64
	implicit, nonnegative, keepCold bool
	recommend                       int
	save, checkpoints               string
	interval                        int
}

func main() {
	j := job.New("als", "trains a recommender on ratings by alternating least squares and evaluates it")
	var o options
	var cold string
	j.Inputs(&o.Inputs, "examples/testdata/ratings.parquet", "ratings as Parquet")
	j.String(&o.user, "user-col", "userId", "`column` of users: whole numbers or text")
	j.String(&o.item, "item-col", "itemId", "`column` of items: whole numbers or text")
	j.String(&o.rating, "rating-col", "rating", "`column` of ratings: numbers")
	j.Int(&o.rank, "rank", 10, 1, "length `N` of the vectors")
	j.Float(&o.reg, "reg", 0.1, 0, math.MaxFloat64, "regularisation `λ`, times the number of ratings of each user and item")
	j.Int(&o.iterations, "iterations", 10, 1, "`N` iterations")
	j.Int(&o.seed, "seed", 42, math.MinInt, "`seed` of the split and of the first vectors")
	j.Bool(&o.implicit, "implicit", "ratings are strengths of observation, not opinions")
	j.Float(&o.alpha, "alpha", 1, 0, math.MaxFloat64, "with --implicit, confidence is 1 + `α`·|rating|")
	j.Bool(&o.nonnegative, "nonnegative", "keep all vectors non-negative")
	j.String(&cold, "cold-start", "drop", "ratings of users and items that are not in the training data: `drop` leaves them out of the test, nan makes its result NaN")
	j.Int(&o.recommend, "recommend", 0, 0, "recommend `N` items that they have not rated to each of the first 10 users")
	j.Model(&o.save)
	j.Checkpoints(&o.checkpoints, &o.interval, "iterations")
	j.Parse()
	if o.keepCold = cold == "nan"; !o.keepCold && cold != "drop" {
		j.Usage("--cold-start %q: give drop or nan", cold)
	}
	sc := j.Start()
	ctx := context.Background()

	var kinds [2]parquetio.Kind
	for i, in := range o.All() {
		user, err := job.IDKind(ctx, in, o.user)
		j.Check(err)
		item, err := job.IDKind(ctx, in, o.item)
		j.Check(err)
		_, err = job.NumberKind(ctx, in, o.rating)
		j.Check(err)
		if here := [2]parquetio.Kind{user, item}; i == 0 {
			kinds = here
		} else if kinds != here {
			j.Fail("users and items are %v in %s and %v in %s: give inputs of the same types", kinds, o.Train, here, o.Test)
		}
	}
	run := map[[2]parquetio.Kind]func(context.Context, *job.Job, rdd.Session, options) error{
		{parquetio.Int64, parquetio.Int64}:   run[int64, int64],
		{parquetio.Int64, parquetio.String}:  run[int64, string],
		{parquetio.String, parquetio.Int64}:  run[string, int64],
		{parquetio.String, parquetio.String}: run[string, string],
	}[kinds]
	j.Check(run(ctx, j, sc, o))
	j.Finish()
}

// The functions below that work on rows are structs with a Call method, because a function literal in a generic function holds its
// type arguments and could not travel to other processes.

func run[U, I job.ID](ctx context.Context, j *job.Job, sc rdd.Session, o options) error {
	train, test := load[U, I](sc, o)
	trainRows, err := train.Count(ctx)
	if err != nil {
		return err
	}
	testRows, err := test.Count(ctx)
	if err != nil {
		return err
	}
	if trainRows == 0 {
		return errors.New("there are no ratings to train on: name Parquet inputs that hold some")
	}
	j.Loaded()

	als := recommendation.ALS[U, I]{
		Rank: o.rank, MaxIter: o.iterations, RegParam: o.reg, Seed: int64(o.seed),
		ImplicitPrefs: o.implicit, Alpha: o.alpha, Nonnegative: o.nonnegative,
		NumUserBlocks: 10, NumItemBlocks: 10, CheckpointDir: o.checkpoints, CheckpointInterval: o.interval,
	}
	if o.reg == 0 {
		als.RegParam = -1 // 0 means the default there
	}
	if o.alpha == 0 {
		als.Alpha = -1 // likewise
	}
	if n := j.Partitions(); n != nil {
		als.NumUserBlocks, als.NumItemBlocks = n[0], n[0]
	}
	model, err := als.Fit(ctx, train)
	if err != nil {
		return err
	}
	j.Done()

	shared, err := rdd.NewBroadcast(sc, model)
	if err != nil {
		return err
	}
	rmse, err := rootMeanSquareError(ctx, shared, test, o.keepCold)
	if err != nil {
		return err
	}
	j.Set("rmse", job.Number(rmse))
	if o.implicit {
		found, err := recall(ctx, 20, shared, train, test)
		if err != nil {
			return err
		}
		j.Set("recall_at_20", job.Number(found))
	}
	j.Set("train_rows", trainRows)
	j.Set("test_rows", testRows)
	j.Set("users", len(model.UserIDs))
	j.Set("items", len(model.ItemIDs))
	j.Set("partitions", als.NumUserBlocks)
	digest, err := model.SHA256()
	if err != nil {
		return err
	}
	j.Set("sha256", digest)
	if o.recommend > 0 {
		rows, err := recommend(ctx, model, train, o.recommend)
		if err != nil {
			return err
		}
		j.Set("recommendations", rows)
	}
	if o.save != "" {
		return model.Save(ctx, o.save)
	}
	return nil
}

// load reads the ratings to train on and those to test on, and keeps them.
func load[U, I job.ID](sc rdd.Session, o options) (train, test rdd.RDD[recommendation.Rating[U, I]]) {
	read := func(uri string) rdd.RDD[recommendation.Rating[U, I]] {
		batches := parquetio.ReadColumns(sc, uri, []parquetio.Select{{Name: o.user}, {Name: o.item}, {Name: o.rating, Kind: parquetio.Float64}})
		return rdd.FlatMap(batches, rdd.Call(ratings[U, I]{}))
	}
	if o.Train != "" {
		train, test = read(o.Train), read(o.Test)
	} else {
		parts := rdd.RandomSplit(read(o.Input), []float64{1 - o.Fraction, o.Fraction}, uint64(o.seed))
		train, test = parts[0], parts[1]
	}
	return train.Persist(rdd.MemoryAndDisk), test.Persist(rdd.MemoryAndDisk)
}

// ratings makes rows of a batch. Rows that lack one of the columns are no ratings.
type ratings[U, I job.ID] struct{}

func (ratings[U, I]) Call(b parquetio.Batch) []recommendation.Rating[U, I] {
	user, item, value := &b.Columns[0], &b.Columns[1], &b.Columns[2]
	users, items := job.IDs[U](user), job.IDs[I](item)
	rows := make([]recommendation.Rating[U, I], 0, b.Rows)
	for i := range b.Rows {
		if !user.IsNull(i) && !item.IsNull(i) && !value.IsNull(i) {
			rows = append(rows, recommendation.Rating[U, I]{User: users[i], Item: items[i], Value: float32(value.Float64s[i])})
		}
	}
	return rows
}

// recommend lists what the first 10 users would like best of what they have not rated.
func recommend[U, I job.ID](ctx context.Context, model *recommendation.Model[U, I], train rdd.RDD[recommendation.Rating[U, I]], n int) ([][]any, error) {
	users := model.UserIDs[:min(10, len(model.UserIDs))]
	rated := map[U]map[I]bool{}
	for _, u := range users {
		rated[u] = map[I]bool{}
	}
	known, err := rdd.Filter(train, rdd.Call(ratedBy[U, I]{users[len(users)-1]})).Collect(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range known {
		rated[r.User][r.Item] = true
	}
	var rows [][]any
	for _, u := range users {
		for _, s := range model.Recommend(u, n, rated[u]) {
			rows = append(rows, []any{u, s.ID, s.Rating})
		}
	}
	return rows, nil
}

// ratedBy keeps the ratings of users up to the last one.
type ratedBy[U, I job.ID] struct{ Last U }

func (r ratedBy[U, I]) Call(x recommendation.Rating[U, I]) bool { return x.User <= r.Last }

// Command kmeans groups the rows of a table of numbers by their distance from each other.
package main

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/clustering"
	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/rdd"
)

func main() {
	j := job.New("kmeans", "groups the rows of a table by k-means")
	var input, features, exclude, initial, save, checkpoints string
	var k, iterations, seed, interval int
	var tol float64
	j.Input(&input, "input", "examples/testdata/points.parquet", "points as Parquet: a `URI`, directory, glob or comma list")
	j.String(&features, "features-col", "", "the `column` that holds the points as lists of numbers (default: every column of numbers)")
	j.String(&exclude, "exclude", "", "leave these `columns` out, a comma list")
	j.Int(&k, "k", 2, 1, "number `K` of groups")
	j.Int(&iterations, "max-iter", 20, 0, "at most `N` iterations")
	j.Float(&tol, "tol", 1e-4, 0, math.MaxFloat64, "end when no centre moves further than this `distance`")
	j.String(&initial, "init", string(clustering.KMeansParallel), "how the first centres are found: `mode` k-means||, k-means++ or random")
	j.Int(&seed, "seed", 42, math.MinInt, "`seed` of the first centres")
	j.Model(&save)
	j.Checkpoints(&checkpoints, &interval, "iterations")
	j.Parse()
	if features != "" && exclude != "" {
		j.Usage("--features-col and --exclude do not go together: give one or the other")
	}
	if !slices.Contains([]clustering.InitMode{clustering.KMeansParallel, clustering.KMeansPlusPlus, clustering.Random}, clustering.InitMode(initial)) {
		j.Usage("--init %q: give k-means||, k-means++ or random", initial)
	}
	sc := j.Start()
	ctx := context.Background()

	columns := feature.Columns{List: features}
	if features == "" {
		schema, err := parquetio.ReadSchema(ctx, input)
		j.Check(err)
		without := job.List(exclude)
		for _, name := range without {
			if _, ok := schema.Field(name); !ok {
				j.Fail("%s has no column %q that could be left out: it has %s", input, name, strings.Join(schema.Names(), ", "))
			}
		}
		if columns.Features = feature.NumericColumns(schema, without...); len(columns.Features) == 0 {
			j.Fail("%s has no column of numbers left: it has %s", input, strings.Join(schema.Names(), ", "))
		}
	}
	points, err := feature.ReadBlocks(ctx, sc, input, columns, j.Partitions()...)
	j.Check(err)
	if n := j.Partitions(); n != nil && points.NumPartitions() > n[0] {
		points = rdd.Coalesce(points, n[0])
	}
	points = points.Persist(rdd.MemoryAndDisk)
	_, err = points.Count(ctx)
	j.Check(err)
	j.Loaded()

	train := clustering.KMeans{K: k, MaxIter: iterations, Tol: tol, InitMode: clustering.InitMode(initial), Seed: int64(seed), CheckpointDir: checkpoints, CheckpointInterval: interval}
	// Zero means the default there.
	if iterations == 0 {
		train.MaxIter = -1
	}
	if tol == 0 {
		train.Tol = -1
	}
	model, err := train.FitBlocks(ctx, points)
	j.Check(err)
	j.Done()

	digest, err := model.SHA256()
	j.Check(err)
	if save != "" {
		j.Check(model.Save(ctx, save))
	}
	j.Set("cost", job.Number(model.Cost))
	j.Set("iterations", model.Iterations)
	j.Set("sizes", model.Sizes)
	j.Set("partitions", points.NumPartitions())
	j.Set("sha256", digest)
	j.Finish()
}

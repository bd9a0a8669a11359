// Command logistic learns to tell classes apart by logistic regression, and says how well it does on rows that it has not seen.
package main

import (
	"context"
	"math"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/mllib/classification"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/rdd"
)

// options is the command line.
type options struct {
	job.Inputs
	format                        string
	label, features, weight       string
	sparse                        bool
	reg, elasticNet, tol          float64
	iterations, seed              int
	standardization, fitIntercept bool
	family, save, checkpoints     string
	interval                      int
}

func main() {
	j := job.New("logistic", "trains a classifier by logistic regression and evaluates it")
	o := options{Inputs: job.Inputs{TrainAlone: true}}
	j.Inputs(&o.Inputs, "examples/testdata/binary.parquet", "labelled rows")
	j.String(&o.format, "format", "parquet", "`format` of the inputs: parquet or libsvm")
	j.String(&o.label, "label-col", "label", "`column` of classes: numbers or text")
	j.String(&o.features, "features-col", "", "`column` of lists of features (default: every other column of numbers)")
	j.Bool(&o.sparse, "sparse", "the lists hold the numbers, from 1, of the features that are 1; all others are 0")
	j.String(&o.weight, "weight-col", "", "`column` of the rows' weights")
	j.Float(&o.reg, "reg", 0, 0, math.MaxFloat64, "regularisation `λ`")
	j.Float(&o.elasticNet, "elastic-net", 0, 0, 1, "`share` of L1 in the regularisation")
	j.Int(&o.iterations, "max-iter", 100, 0, "at most `N` iterations")
	j.Float(&o.tol, "tol", 1e-6, 0, 1, "end when the gradient is this `small` against the objective")
	j.Switch(&o.standardization, "standardization", true, "regularise the coefficients of features scaled to deviation 1")
	j.Switch(&o.fitIntercept, "fit-intercept", true, "fit intercepts")
	j.String(&o.family, "family", "auto", "`family` of the model: auto, binomial or multinomial")
	j.Int(&o.seed, "seed", 42, math.MinInt, "`seed` of the split")
	j.Model(&o.save)
	j.Checkpoints(&o.checkpoints, &o.interval, "iterations")
	j.Parse()
	switch {
	case o.format != "parquet" && o.format != "libsvm":
		j.Usage("--format %q: give parquet or libsvm", o.format)
	case o.family != "auto" && o.family != "binomial" && o.family != "multinomial":
		j.Usage("--family %q: give auto, binomial or multinomial", o.family)
	case o.sparse && o.features == "":
		j.Usage("--sparse is about lists: name their column with --features-col")
	case o.format == "libsvm" && (o.sparse || o.features != "" || o.weight != "" || j.Given("label-col")):
		j.Usage("libsvm files have no columns: leave --label-col, --features-col, --weight-col and --sparse out")
	}
	sc := j.Start()
	j.Check(run(context.Background(), j, sc, &o))
	j.Finish()
}

func run(ctx context.Context, j *job.Job, sc rdd.Session, o *options) error {
	load := loadParquet
	if o.format == "libsvm" {
		load = loadLibSVM
	}
	data, err := load(ctx, j, sc, o)
	if err != nil {
		return err
	}
	train := data.train
	if n := j.Partitions(); n != nil && train.NumPartitions() > n[0] {
		train = rdd.Coalesce(train, n[0])
	}
	train.Persist(rdd.MemoryAndDisk)
	if data.test.Node() == data.train.Node() {
		data.test = train
	}
	if _, err := train.Count(ctx); err != nil {
		return err
	}
	j.Loaded()

	lr := classification.LogisticRegression{
		MaxIter: o.iterations, RegParam: o.reg, ElasticNetParam: o.elasticNet, Tol: o.tol, Family: classification.Family(o.family),
		NoStandardization: !o.standardization, NoIntercept: !o.fitIntercept, Weighted: o.weight != "",
		FeatureNames: data.features, LabelNames: data.labels, NumClasses: len(data.labels),
		CheckpointDir: o.checkpoints, CheckpointInterval: o.interval,
	}
	// Zero means the default there.
	if o.iterations == 0 {
		lr.MaxIter = -1
	}
	if o.tol == 0 {
		lr.Tol = -1
	}
	model, err := lr.FitBlocks(ctx, train)
	if err != nil {
		return err
	}
	j.Done()
	return report(ctx, j, o, model, data.test, train)
}

func report(ctx context.Context, j *job.Job, o *options, model *classification.Model, test, train rdd.RDD[linalg.Block]) error {
	e, err := model.EvaluateBlocks(ctx, test)
	if err != nil {
		return err
	}
	norm2 := 0.0
	for _, c := range model.Coefficients {
		norm2 += c * c
	}
	digest, err := model.SHA256()
	if err != nil {
		return err
	}
	j.Set("loss", job.Number(model.Summary.Objective()))
	j.Set("log_loss", job.Number(e.LogLoss()))
	j.Set("accuracy", job.Number(e.Accuracy()))
	if e.Binary != nil {
		j.Set("auc", job.Number(e.Binary.AreaUnderROC()))
	}
	j.Set("iterations", model.Summary.Iterations)
	j.Set("coefficients_norm2", job.Number(norm2))
	if len(model.Intercepts) == 1 {
		j.Set("intercept", job.Number(model.Intercepts[0]))
	} else {
		all := make([]any, len(model.Intercepts))
		for k, b := range model.Intercepts {
			all[k] = job.Number(b)
		}
		j.Set("intercept", all)
	}
	j.Set("classes", model.NumClasses)
	j.Set("labels", model.LabelNames)
	j.Set("features", model.NumFeatures)
	j.Set("train_rows", model.Summary.Rows)
	j.Set("partitions", train.NumPartitions())
	j.Set("sha256", digest)
	if o.save != "" {
		return model.Save(ctx, o.save)
	}
	return nil
}

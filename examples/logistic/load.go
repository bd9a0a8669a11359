package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/libsvmio"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/feature"
	"github.com/spark-go/spark-go/mllib/linalg"
	"github.com/spark-go/spark-go/mllib/stat"
	"github.com/spark-go/spark-go/rdd"
)

// dataset is what there is to train and test on.
type dataset struct {
	train, test      rdd.RDD[linalg.Block]
	features, labels []string // names; features may have none
}

// loadParquet finds the columns and the classes of the training data.
func loadParquet(ctx context.Context, j *job.Job, sc rdd.Session, o *options) (d dataset, err error) {
	uri := o.Source()
	schema, err := parquetio.ReadSchema(ctx, uri)
	if err != nil {
		return d, err
	}
	c := feature.Columns{Label: o.label, Weight: o.weight, Seed: uint64(o.seed)}
	if o.features != "" {
		c.List, c.Sparse = o.features, o.sparse
	} else if c.Features = feature.NumericColumns(schema, o.label, o.weight); len(c.Features) == 0 {
		return d, fmt.Errorf("%s has no column of numbers beside the label: name a column of lists with --features-col", uri)
	}
	d.features = c.Features
	if d.labels, err = labelsOf(ctx, sc, schema, uri, &c); err != nil {
		return d, err
	}
	if c.Sparse {
		for _, in := range []string{uri, o.Test} {
			if in == "" {
				continue
			}
			size, err := feature.SparseSize(ctx, sc, in, c.List)
			if err != nil {
				return d, err
			}
			c.Size = max(c.Size, size)
		}
	}
	testURI, test := o.Test, c
	if c.Texts == nil && c.Numbers == nil && len(d.labels) == 2 {
		test.Numbers = []float64{0, 1} // it may say -1 for 0
	}
	if o.Train == "" && o.Fraction > 0 {
		testURI = uri
		c.From, c.To = 0, 1-o.Fraction
		test.From, test.To = 1-o.Fraction, 1
	}
	if d.train, err = feature.ReadBlocks(ctx, sc, uri, c, j.Partitions()...); err != nil {
		return d, err
	}
	d.test = d.train
	if testURI != "" {
		d.test, err = feature.ReadBlocks(ctx, sc, testURI, test, j.Partitions()...)
	}
	return d, err
}

// labelsOf numbers the classes: texts by how often they occur, numbers by their size unless they are 0, 1, 2, … already.
func labelsOf(ctx context.Context, sc rdd.Session, schema parquetio.Schema, uri string, c *feature.Columns) ([]string, error) {
	f, ok := schema.Field(c.Label)
	if !ok {
		all := make([]string, len(schema.Fields))
		for i := range all {
			all[i] = schema.Fields[i].Name
		}
		return nil, fmt.Errorf("%s has no column %q: name the column of classes with --label-col, one of %q", uri, c.Label, all)
	}
	if f.Type == "string" {
		batches := parquetio.ReadColumns(sc, uri, []parquetio.Select{{Name: c.Label, Kind: parquetio.String}})
		counts, err := rdd.Aggregate(ctx, batches, nil, countTexts, addCounts)
		if err != nil {
			return nil, err
		}
		labels := stat.NewLabels(counts)
		c.Texts = labels.Names
		if len(labels.Names) == 0 {
			c.Texts = []string{}
		}
		return labels.Names, tooMany(uri, c.Label, len(labels.Names))
	}
	batches := parquetio.ReadColumns(sc, uri, []parquetio.Select{{Name: c.Label, Kind: parquetio.Float64}})
	counts, err := rdd.Aggregate(ctx, batches, nil, countNumbers, addNumbers)
	if err != nil {
		return nil, err
	}
	numbers := make([]float64, 0, len(counts))
	for x := range counts {
		numbers = append(numbers, x)
	}
	if c.Numbers, err = classes(numbers); err != nil {
		return nil, fmt.Errorf("column %q of %s: %w", c.Label, uri, err)
	}
	return numberNames(numbers), tooMany(uri, c.Label, len(numbers))
}

// mostClasses is how many distinct labels are still classes.
const mostClasses = 1000

func tooMany(uri, column string, classes int) error {
	switch {
	case classes == 0:
		return fmt.Errorf("%s holds no rows with a label in column %q: name inputs that do", uri, column)
	case classes > mostClasses:
		return fmt.Errorf("column %q of %s has more than %d distinct values, too many to be classes: name another with --label-col", column, uri, mostClasses)
	}
	return nil
}

// classes sorts the labels, and returns them if they must be numbered: nil if they are 0, 1, 2, … already.
func classes(labels []float64) ([]float64, error) {
	slices.Sort(labels)
	for i, x := range labels {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("a label is %v: drop such rows", x)
		}
		if x != float64(i) {
			return labels, nil
		}
	}
	return nil, nil
}

func numberNames(labels []float64) []string {
	names := make([]string, len(labels))
	for i, x := range labels {
		names[i] = strconv.FormatFloat(x, 'g', -1, 64)
	}
	return names
}

func countTexts(counts map[string]int64, b parquetio.Batch) map[string]int64 {
	if counts == nil {
		counts = map[string]int64{}
	}
	for i, s := range b.Columns[0].Strings {
		if !b.Columns[0].IsNull(i) && (len(counts) <= mostClasses || counts[s] > 0) {
			counts[s]++
		}
	}
	return counts
}

func addCounts(a, b map[string]int64) map[string]int64 {
	if a == nil {
		return b
	}
	for s, n := range b {
		a[s] += n
	}
	return a
}

func countNumbers(counts map[float64]int64, b parquetio.Batch) map[float64]int64 {
	if counts == nil {
		counts = map[float64]int64{}
	}
	last, run := 0.0, int64(0)
	for i, x := range b.Columns[0].Float64s {
		if b.Columns[0].IsNull(i) || x != x || len(counts) > mostClasses {
			continue
		}
		if x != last && run > 0 {
			counts[last] += run
			run = 0
		}
		last = x
		run++
	}
	if run > 0 {
		counts[last] += run
	}
	return counts
}

func addNumbers(a, b map[float64]int64) map[float64]int64 {
	if a == nil {
		return b
	}
	for x, n := range b {
		a[x] += n
	}
	return a
}

// loadLibSVM reads rows of sparse features.
func loadLibSVM(ctx context.Context, j *job.Job, sc rdd.Session, o *options) (d dataset, err error) {
	if o.Train == "" && !j.Given("input") {
		return d, errors.New("there is no default input in this format: name one with --input or --train")
	}
	uri := o.Source()
	rows := libsvmio.Read(sc, uri, j.Partitions()...)
	shape, err := libsvmio.Look(ctx, rows)
	if err != nil {
		return d, err
	}
	if err := tooMany(uri, "1", len(shape.Labels)); err != nil {
		return d, err
	}
	maker := rowMaker{Size: shape.Features}
	if maker.Numbers, err = classes(shape.Labels); err != nil {
		return d, err
	}
	d.labels = numberNames(shape.Labels)
	switch {
	case o.Test != "":
		test := libsvmio.Read(sc, o.Test, j.Partitions()...)
		there, err := libsvmio.Look(ctx, test)
		if err != nil {
			return d, err
		}
		other, has := feature.OtherNegative(shape.Labels)
		for _, x := range there.Labels {
			if !slices.Contains(shape.Labels, x) && (!has || x != other) {
				return d, fmt.Errorf("%s has label %v, which %s does not: train with all labels", o.Test, x, uri)
			}
		}
		maker.Size = max(maker.Size, there.Features)
		d.train, d.test = maker.blocks(rows), maker.blocks(test)
	case o.Train == "" && o.Fraction > 0:
		parts := rdd.RandomSplit(rows, []float64{1 - o.Fraction, o.Fraction}, uint64(o.seed))
		d.train, d.test = maker.blocks(parts[0]), maker.blocks(parts[1])
	default:
		d.train = maker.blocks(rows)
		d.test = d.train
	}
	return d, nil
}

// rowMaker makes labelled rows of what a file holds.
type rowMaker struct {
	Size    int
	Numbers []float64 // labels, ascending; nil if they number the classes already
}

func (m rowMaker) blocks(rows rdd.RDD[libsvmio.Row]) rdd.RDD[linalg.Block] {
	return feature.Pack(rdd.Map(rows, rdd.Bind(m, instance)), false, 0)
}

func instance(m rowMaker, r libsvmio.Row) linalg.Instance {
	label := r.Label
	if m.Numbers != nil {
		k, known := slices.BinarySearch(m.Numbers, label)
		if label = float64(k); !known {
			label = 0 // the other way to write the first of two classes
		}
	} else if label < 0 {
		label = 0
	}
	return linalg.Instance{Label: label, Features: linalg.Vector{Size: m.Size, Index: r.Index, Values: r.Values}}
}

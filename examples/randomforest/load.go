package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/tree"
	"github.com/spark-go/spark-go/rdd"
)

// feature is a column to predict from.
type feature struct {
	name       string
	kind       parquetio.Kind
	categories map[string]int // nil: the values are numbers
}

// table is what the columns of the training data are.
type table struct {
	label     string
	labelKind parquetio.Kind
	labels    map[string]int // numbers of the classes, where they are text
	features  []feature
}

func (t *table) names() []string {
	names := make([]string, len(t.features))
	for f := range t.features {
		names[f] = t.features[f].name
	}
	return names
}

func (t *table) arities() map[int]int {
	arities := map[int]int{}
	for f := range t.features {
		if n := len(t.features[f].categories); n > 0 {
			arities[f] = n
		}
	}
	return arities
}

// describe looks at the columns of the training data, and numbers classes and categories: the most frequent is 0, and equally frequent
// ones are in the order of the alphabet, as in Spark's StringIndexer.
func describe(ctx context.Context, sc rdd.Session, uri string, o options) (*table, error) {
	schema, err := parquetio.ReadSchema(ctx, uri)
	if err != nil {
		return nil, err
	}
	t := &table{label: o.label}
	categorical := map[string]bool{}
	for _, name := range job.List(o.categorical) {
		categorical[name] = true
	}
	var all []string
	for _, field := range schema.Fields {
		all = append(all, field.Name)
		kind, ok := parquetio.KindOf(field)
		ok = ok && field.Type != "list"
		switch {
		case field.Name == o.label:
			if !ok || kind == parquetio.String && o.task == "regression" {
				return nil, fmt.Errorf("column %q of %s is %s: the label is a number, or text with --task classification: name another with --label-col", field.Name, uri, field.Type)
			}
			if t.labelKind = parquetio.Float64; kind == parquetio.String {
				t.labelKind = parquetio.String
			}
		case categorical[field.Name]:
			if !ok || kind == parquetio.Float64 {
				return nil, fmt.Errorf("column %q of %s is %s: categories are text or whole numbers: leave it out of --categorical", field.Name, uri, field.Type)
			}
			t.features = append(t.features, feature{field.Name, kind, map[string]int{}})
		case ok && kind != parquetio.String:
			t.features = append(t.features, feature{field.Name, parquetio.Float64, nil})
		default:
			slog.Warn("a column is left out: name it in --categorical if it holds categories", "column", field.Name, "type", field.Type)
		}
		delete(categorical, field.Name)
	}
	switch {
	case t.labelKind == "":
		return nil, fmt.Errorf("%s has no column %q: name one of %s with --label-col", uri, o.label, strings.Join(all, ", "))
	case len(categorical) > 0:
		for _, name := range all {
			delete(categorical, name)
		}
		missing := ""
		for name := range categorical {
			if missing == "" || name < missing {
				missing = name
			}
		}
		return nil, fmt.Errorf("%s has no column %q that --categorical names, or it is the label: name some of %s", uri, missing, strings.Join(all, ", "))
	case len(t.features) == 0:
		return nil, fmt.Errorf("%s has nothing to predict %q from: give it columns of numbers, or name columns in --categorical", uri, o.label)
	}
	return t, t.index(ctx, sc, uri)
}

// index numbers what is text.
func (t *table) index(ctx context.Context, sc rdd.Session, uri string) error {
	var columns []parquetio.Select
	for _, f := range t.features {
		if f.categories != nil {
			columns = append(columns, parquetio.Select{Name: f.name, Kind: f.kind})
		}
	}
	if t.labelKind == parquetio.String {
		columns = append(columns, parquetio.Select{Name: t.label, Kind: parquetio.String})
	}
	if len(columns) == 0 {
		return nil
	}
	counts, err := rdd.CountByValue(ctx, rdd.FlatMap(parquetio.ReadColumns(sc, uri, columns), texts))
	if err != nil {
		return err
	}
	values := make([]named, 0, len(counts))
	for v := range counts {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.Column, b.Column), cmp.Compare(counts[b], counts[a]), cmp.Compare(a.Value, b.Value))
	})
	if t.labelKind == parquetio.String {
		t.labels = map[string]int{}
	}
	for _, v := range values {
		if v.Column == t.label {
			t.labels[v.Value] = len(t.labels)
			continue
		}
		for _, f := range t.features {
			if f.name == v.Column {
				f.categories[v.Value] = len(f.categories)
			}
		}
	}
	return nil
}

// named is a value of a column.
type named struct{ Column, Value string }

// texts lists the values of all columns of a batch.
func texts(b parquetio.Batch) []named {
	var all []named
	for c := range b.Columns {
		for i := range b.Rows {
			if column := &b.Columns[c]; !column.IsNull(i) {
				all = append(all, named{column.Name, text(column, i)})
			}
		}
	}
	return all
}

// text is a category as text.
func text(c *parquetio.Column, row int) string {
	switch c.Kind {
	case parquetio.String:
		return c.Strings[row]
	case parquetio.Bool:
		return strconv.FormatBool(c.Bools[row])
	}
	return strconv.FormatInt(c.Int64s[row], 10)
}

// load reads the rows to train on and those to test on.
func (t *table) load(ctx context.Context, sc rdd.Session, o options, partitions []int) (train, test rdd.RDD[tree.Columns], err error) {
	columns := []parquetio.Select{{Name: t.label, Kind: t.labelKind}}
	enc := encoder{Labels: t.labels, Classes: o.task == "classification"}
	for _, f := range t.features {
		columns = append(columns, parquetio.Select{Name: f.name, Kind: f.kind})
		enc.Categories = append(enc.Categories, f.categories)
	}
	read := func(uri string) rdd.RDD[tree.Columns] {
		batches := parquetio.ReadColumns(sc, uri, columns, partitions...)
		if len(partitions) > 0 && batches.NumPartitions() != partitions[0] {
			batches = rdd.Repartition(batches, partitions[0])
		}
		return rdd.Map(batches, rdd.Call(enc))
	}
	if o.Train != "" {
		train, test = read(o.Train), read(o.Test)
	} else {
		all := read(o.Input)
		train, test = part(all, o, false), part(all, o, true)
	}
	if err := train.Err(); err != nil {
		return train, test, err
	}
	return train, test, test.Err()
}

// encoder turns batches of the file into columns of numbers. Rows without a label are left out; a missing value becomes NaN, which the
// trainer refuses with the name of its column. Categories that the training did not have get the number after the last one.
type encoder struct {
	Classes    bool
	Labels     map[string]int
	Categories []map[string]int
}

// Call implements the function given to rdd.Map.
func (e encoder) Call(b parquetio.Batch) tree.Columns {
	label := &b.Columns[0]
	keep := make([]int, 0, b.Rows)
	labels := make([]float64, 0, b.Rows)
	for i := range b.Rows {
		if label.IsNull(i) {
			continue
		}
		keep = append(keep, i)
		if label.Kind != parquetio.String {
			labels = append(labels, label.Float64s[i])
		} else if c, ok := e.Labels[label.Strings[i]]; ok {
			labels = append(labels, float64(c))
		} else {
			labels = append(labels, float64(len(e.Labels))) // never predicted
		}
	}
	out := tree.Columns{Rows: len(keep), Labels: labels, Features: make([]tree.Column, len(b.Columns)-1)}
	for f := range out.Features {
		c := &b.Columns[f+1]
		values := c.Float64s
		if e.Categories[f] != nil {
			values = make([]float64, b.Rows)
			for i := range values {
				n, ok := e.Categories[f][text(c, i)]
				if !ok {
					n = len(e.Categories[f])
				}
				values[i] = float64(n)
			}
		}
		if c.Valid != nil {
			for i, ok := range c.Valid {
				if !ok {
					values[i] = math.NaN()
				}
			}
		}
		if len(keep) < b.Rows {
			kept := make([]float64, len(keep))
			for k, i := range keep {
				kept[k] = values[i]
			}
			values = kept
		}
		out.Features[f] = tree.ColumnOf(values)
	}
	return out
}

// part keeps the rows of the test, or the others.
func part(all rdd.RDD[tree.Columns], o options, test bool) rdd.RDD[tree.Columns] {
	op := partOp{All: all, Seed: uint64(o.seed), Share: o.Fraction, Test: test}
	return rdd.New(all.Session(), "Split", rdd.Op[tree.Columns](op), all.NumPartitions(), all.Err(), rdd.Narrow{Node: all.Node()})
}

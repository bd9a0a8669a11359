// Package feature turns the columns of tables into what trainers iterate over.
//
// [ReadBlocks] goes from the column pages of Parquet straight to blocks of rows, without a struct or a vector for each row; [Pack] makes blocks of vectors.
//
// # Invariants
//
//   - Blocks hold the rows in their order. A row is left out only where a random part of the rows was asked for.
//   - Nothing is made up: a null, a list of another length, or a label without a number is an error that names row and column.
package feature

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/rdd"
)

// Columns says which columns of a table are features, label and weight.
type Columns struct {
	// Features are columns of numbers, one feature each: whole numbers, floating-point numbers and booleans. Or:
	Features []string
	// List is one column of lists with a number for each feature, or of bytes, each of which is one. With Sparse each list has the numbers of the features that are 1, counted
	// from 1, and all others are 0.
	List   string
	Sparse bool
	// Size is the number of features of sparse lists; 0 lets ReadBlocks look for the largest.
	Size int
	// Label is the column of labels; empty for none. If its values are texts, Texts numbers the classes; if they are numbers, Numbers does, or they are
	// the numbers of the classes themselves if it is empty. A label that has no number is an error, except that files of two classes may write the
	// first as 0 or as -1: where Numbers are 0 and 1, or -1 and 1, both are class 0.
	Label   string
	Texts   []string
	Numbers []float64
	// Weight is the column of weights; empty for none.
	Weight string
	// From and To keep a random part of the rows, unless both are 0: those whose number, drawn from 0 to 1 by a generator for each partition seeded with Seed, lies
	// from From up to but not including To. Parts that do not overlap thus split the rows.
	From, To float64
	Seed     uint64
}

// OtherNegative is how the first of two classes may be written as well: 0 for labels -1 and 1, -1 for labels 0 and 1. Other labels have none.
func OtherNegative(labels []float64) (other float64, ok bool) {
	if len(labels) != 2 || labels[1] != 1 || labels[0] != 0 && labels[0] != -1 {
		return 0, false
	}
	return -1 - labels[0], true
}

// NumericColumns lists the columns of a table that hold numbers or booleans, in their order, except some.
func NumericColumns(schema parquetio.Schema, except ...string) []string {
	var names []string
	for _, f := range schema.Fields {
		if isNumber(f) && !slices.ContainsFunc(except, func(e string) bool { return strings.EqualFold(e, f.Name) }) {
			names = append(names, f.Name)
		}
	}
	return names
}

func isNumber(f parquetio.Field) bool {
	switch {
	case f.Type == "bool", strings.HasPrefix(f.Type, "float"), strings.HasPrefix(f.Type, "uint"):
		return true
	}
	return strings.HasPrefix(f.Type, "int") && f.Type != "int96" && f.Type != "interval"
}

// check tells what is wrong with the columns.
func (c *Columns) check(schema parquetio.Schema, uri string) error {
	if (len(c.Features) > 0) == (c.List != "") {
		return errors.New("read blocks: name columns of features, or one column of lists")
	}
	if c.Sparse && c.List == "" {
		return errors.New("read blocks: sparse features are one column of lists: name it")
	}
	for _, name := range append(slices.Clone(c.Features), c.List, c.Label, c.Weight) {
		if name == "" {
			continue
		}
		f, ok := schema.Field(name)
		if !ok {
			return fmt.Errorf("%s has no column %q: name one of %s", uri, name, strings.Join(schema.Names(), ", "))
		}
		switch {
		case name == c.List:
			if f.Type == "bytes" && !c.Sparse {
				continue
			}
			if f.Type != "list" || len(f.Fields) != 1 || !isNumber(f.Fields[0]) {
				return fmt.Errorf("column %q of %s is %s: name a column of lists of numbers", name, uri, f.Type)
			}
			if c.Sparse && (f.Fields[0].Type == "bool" || strings.HasPrefix(f.Fields[0].Type, "float")) {
				return fmt.Errorf("column %q of %s has lists of %s: the numbers of sparse features are whole", name, uri, f.Fields[0].Type)
			}
		case name == c.Label && f.Type == "string":
			if c.Texts == nil {
				return fmt.Errorf("column %q of %s holds texts: number them first, as stat.CountLabels does", name, uri)
			}
		case !isNumber(f):
			return fmt.Errorf("column %q of %s is %s: name a column of numbers", name, uri, f.Type)
		}
	}
	return nil
}

// single tells whether float32 holds all features exactly.
func (c *Columns) single(schema parquetio.Schema) bool {
	exact := func(f parquetio.Field) bool {
		switch f.Type {
		case "float32", "float16", "bool", "int8", "int16", "uint8", "uint16":
			return true
		}
		return false
	}
	if c.List != "" {
		f, _ := schema.Field(c.List)
		return f.Type == "bytes" || len(f.Fields) == 1 && exact(f.Fields[0])
	}
	for _, name := range c.Features {
		if f, _ := schema.Field(name); !exact(f) {
			return false
		}
	}
	return true
}

// selected lists the columns to read: those of the features, then the label's and the weight's if there are any.
func (c *Columns) selected(schema parquetio.Schema) (all []parquetio.Select, features int) {
	switch {
	case c.Sparse:
		all = append(all, parquetio.Select{Name: c.List, Kind: parquetio.Int64})
	case c.List != "":
		kind := parquetio.Float64
		if f, _ := schema.Field(c.List); f.Type == "bytes" {
			kind = parquetio.String
		}
		all = append(all, parquetio.Select{Name: c.List, Kind: kind})
	default:
		for _, name := range c.Features {
			all = append(all, parquetio.Select{Name: name, Kind: parquetio.Float64})
		}
	}
	features = len(all)
	if c.Label != "" {
		kind := parquetio.Float64
		if f, _ := schema.Field(c.Label); f.Type == "string" {
			kind = parquetio.String
		}
		all = append(all, parquetio.Select{Name: c.Label, Kind: kind})
	}
	if c.Weight != "" {
		all = append(all, parquetio.Select{Name: c.Weight, Kind: parquetio.Float64})
	}
	return all, features
}

// SparseSize is the largest number in a column of lists: the number of sparse features.
func SparseSize(ctx context.Context, s rdd.Session, uri, list string) (int, error) {
	batches := parquetio.ReadColumns(s, uri, []parquetio.Select{{Name: list, Kind: parquetio.Int64}})
	most, err := rdd.Aggregate(ctx, batches, 0, func(most int64, b parquetio.Batch) int64 {
		for _, v := range b.Columns[0].Int64s {
			most = max(most, v)
		}
		return most
	}, func(a, b int64) int64 { return max(a, b) })
	if err == nil && most > math.MaxInt32 {
		err = fmt.Errorf("column %q of %s has number %d: sparse features are numbered up to %d", list, uri, most, math.MaxInt32)
	}
	return int(most), err
}

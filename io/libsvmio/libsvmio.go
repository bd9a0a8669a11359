// Package libsvmio reads sparse labelled rows in the text format of LIBSVM:
//
//	label index:value index:value …
//
// with indices that count from 1 and ascend, one row a line. Empty lines, and what follows a #, are left out. Compressed files and lists of files are read as by
// package textio.
package libsvmio

import (
	"context"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// Row is a labelled row. It is plain data.
type Row struct {
	Label  float64
	Index  []int32 // ascending, from 0
	Values []float64
}

// Read makes a dataset of the rows of files: uri is a file, a directory, a glob or a comma list. A line that is not in the format is an error that quotes it.
func Read(s rdd.Session, uri string, minPartitions ...int) rdd.RDD[Row] {
	lines := textio.Lines(s, uri, minPartitions...)
	return rdd.New(s, "ReadLibSVM", rdd.Op[Row](readOp{lines}), lines.NumPartitions(), nil, rdd.Narrow{Node: lines.Node()})
}

type readOp struct{ Lines rdd.RDD[string] }

// Compute implements rdd.Op.
func (o readOp) Compute(t *rdd.Task, p int) (rdd.Stream[Row], error) {
	in, err := o.Lines.Compute(t, p)
	if err != nil {
		return nil, err
	}
	return &rowStream{in: in, partition: p}, nil
}

type rowStream struct {
	in        rdd.Stream[string]
	partition int
	line      int64
	out       []Row
}

// Next implements rdd.Stream.
func (s *rowStream) Next() ([]Row, error) {
	for {
		lines, err := s.in.Next()
		if err != nil {
			return nil, err
		}
		s.out = s.out[:0]
		for _, l := range lines {
			r, ok, err := Parse(l)
			if err != nil {
				return nil, fmt.Errorf("line %d of partition %d: %w", s.line, s.partition, err)
			}
			if ok {
				s.out = append(s.out, r)
			}
			s.line++
		}
		if len(s.out) > 0 {
			return s.out, nil
		}
	}
}

// Parse reads one line; ok is false for an empty one.
func Parse(line string) (r Row, ok bool, err error) {
	text, _, _ := strings.Cut(line, "#")
	text = strings.TrimSpace(text)
	if text == "" {
		return Row{}, false, nil
	}
	label, rest, _ := strings.Cut(text, " ")
	if tab := strings.IndexByte(label, '\t'); tab >= 0 {
		label, rest = text[:tab], text[tab+1:]
	}
	if r.Label, err = strconv.ParseFloat(label, 64); err != nil {
		return Row{}, false, fmt.Errorf("%s: the label %s is no number", quote(line), quote(label))
	}
	n := strings.Count(rest, ":")
	r.Index, r.Values = make([]int32, 0, n), make([]float64, 0, n)
	last := int64(0)
	for rest != "" {
		var item string
		if end := strings.IndexAny(rest, " \t"); end >= 0 {
			item, rest = rest[:end], rest[end+1:]
		} else {
			item, rest = rest, ""
		}
		if item == "" {
			continue
		}
		index, value, found := strings.Cut(item, ":")
		i, ierr := strconv.ParseInt(index, 10, 32)
		x, verr := strconv.ParseFloat(value, 64)
		switch {
		case !found || ierr != nil || verr != nil:
			return Row{}, false, fmt.Errorf("%s: %s is not index:value", quote(line), quote(item))
		case i <= last || i > math.MaxInt32:
			return Row{}, false, fmt.Errorf("%s: index %d follows %d: indices ascend from 1", quote(line), i, last)
		}
		last = i
		r.Index, r.Values = append(r.Index, int32(i-1)), append(r.Values, x)
	}
	return r, true, nil
}

// quote shows the beginning of a text.
func quote(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strconv.Quote(s)
}

// Shape is what a program must know of files before it trains on them.
type Shape struct {
	Rows     int64
	Features int       // the largest index
	Labels   []float64 // the distinct ones, ascending
}

// mostLabels bounds the distinct labels that Look gathers.
const mostLabels = 1 << 16

// Look reads all rows once.
func Look(ctx context.Context, rows rdd.RDD[Row]) (Shape, error) {
	parts, err := rdd.New(rows.Session(), "LookAtLibSVM", rdd.Op[Shape](lookOp{rows}), rows.NumPartitions(), nil, rdd.Narrow{Node: rows.Node()}).Collect(ctx)
	if err != nil {
		return Shape{}, err
	}
	all := Shape{}
	for _, p := range parts {
		all.Rows += p.Rows
		all.Features = max(all.Features, p.Features)
		all.Labels = merge(all.Labels, p.Labels)
	}
	if len(all.Labels) > mostLabels {
		return Shape{}, fmt.Errorf("there are more than %d distinct labels: are they classes?", mostLabels)
	}
	return all, nil
}

// merge joins two ascending lists.
func merge(a, b []float64) []float64 {
	var out []float64
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0] < a[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return out
}

type lookOp struct{ Rows rdd.RDD[Row] }

// Compute implements rdd.Op.
func (o lookOp) Compute(t *rdd.Task, p int) (rdd.Stream[Shape], error) {
	in, err := o.Rows.Compute(t, p)
	if err != nil {
		return nil, err
	}
	var s Shape
	seen := map[float64]bool{}
	for {
		rows, err := in.Next()
		if err == io.EOF {
			return rdd.StreamOf([]Shape{s}), nil
		}
		if err != nil {
			return nil, err
		}
		for i := range rows {
			r := &rows[i]
			s.Rows++
			if n := len(r.Index); n > 0 {
				s.Features = max(s.Features, int(r.Index[n-1])+1)
			}
			if math.IsNaN(r.Label) {
				return nil, fmt.Errorf("a row of partition %d has no number as its label", p)
			}
			if !seen[r.Label] && len(seen) <= mostLabels {
				seen[r.Label] = true
				s.Labels = merge(s.Labels, []float64{r.Label})
			}
		}
	}
}

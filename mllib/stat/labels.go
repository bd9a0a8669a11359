package stat

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spark-go/spark-go/rdd"
)

// Labels numbers the classes of a label or category column from 0, the most frequent first and equally frequent ones in the order of their bytes: Spark's
// StringIndexer with its default order. It is plain data.
type Labels struct {
	Names  []string
	Counts []int64

	index map[string]int
}

// NewLabels numbers the given labels by how often they occur.
func NewLabels(counts map[string]int64) *Labels {
	l := &Labels{}
	for name := range counts {
		l.Names = append(l.Names, name)
	}
	slices.SortFunc(l.Names, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b)) })
	l.Counts = make([]int64, len(l.Names))
	for i, name := range l.Names {
		l.Counts[i] = counts[name]
	}
	return l
}

// CountLabels numbers the labels of a dataset.
func CountLabels(ctx context.Context, labels rdd.RDD[string]) (*Labels, error) {
	counts, err := rdd.CountByValue(ctx, labels)
	if err != nil {
		return nil, fmt.Errorf("count labels: %w", err)
	}
	return NewLabels(counts), nil
}

// Index returns the number of a label; false if it is none of them. It must be called once before it is called concurrently.
func (l *Labels) Index(name string) (int, bool) {
	if l.index == nil {
		l.index = make(map[string]int, len(l.Names))
		for i, n := range l.Names {
			l.index[n] = i
		}
	}
	i, ok := l.index[name]
	return i, ok
}

// Command wordcount counts the words of text files and prints the most frequent ones. A word is what white space separates.
package main

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

type count = rdd.Pair[string, int64]

func main() {
	j := job.New("wordcount", "counts the words of text files and prints the most frequent ones")
	var input, output string
	var top int
	j.Input(&input, "input", "LICENSE", "text files: a `URI`, directory, glob or comma list; .gz, .zst and .bz2 are decompressed")
	j.String(&output, "output", "", "directory `URI` to write all counts to, as word<TAB>count in the order of the words")
	j.Int(&top, "top", 20, 0, "print the `N` most frequent words")
	sc := j.Start()
	ctx := context.Background()

	lines := textio.Lines(sc, input)
	j.Check(lines.Err())
	if lines.NumPartitions() == 0 {
		j.Fail("%s is empty: name text files with --input", input)
	}
	words := rdd.FlatMapSeq(lines, strings.FieldsSeq)
	ones := rdd.Map(words, func(w string) count { return count{Key: w, Value: 1} })
	counts := rdd.ReduceByKey(ones, func(a, b int64) int64 { return a + b }, j.Partitions()...).Cache()

	sorted := rdd.Map(rdd.SortByKey(counts, true), func(c count) string { return c.Key + "\t" + strconv.FormatInt(c.Value, 10) })
	distinct, digest, err := job.Save(ctx, sorted, output)
	j.Check(err)
	if distinct == 0 {
		j.Fail("%s holds no words: name text files with --input", input)
	}
	total, err := rdd.Reduce(ctx, rdd.Values(counts), func(a, b int64) int64 { return a + b })
	j.Check(err)
	best, err := rdd.TakeOrderedFunc(ctx, counts, top, func(a, b count) int {
		return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Key, b.Key))
	})
	j.Check(err)

	rows := make([][]any, len(best))
	for i, c := range best {
		rows[i] = []any{c.Key, c.Value}
	}
	j.Set("words", total)
	j.Set("distinct", distinct)
	j.Set("partitions", counts.NumPartitions())
	j.Set("top", rows)
	j.Set("sha256", digest)
	j.Finish()
}

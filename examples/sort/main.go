// Command sort puts the lines of text files in the order of their first 10 bytes. Lines that agree in these stay in the order of the
// input, so that the result is one and the same however many tasks sort it.
package main

import (
	"context"

	"github.com/spark-go/spark-go/examples/internal/job"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

func main() {
	j := job.New("sort", "sorts the lines of text files by their first 10 bytes")
	var input, output string
	j.Input(&input, "input", "LICENSE", "text files: a `URI`, directory, glob or comma list; .gz, .zst and .bz2 are decompressed")
	j.String(&output, "output", "", "directory `URI` to write the sorted lines to; part files in the order of their names are in total order")
	sc := j.Start()
	ctx := context.Background()

	records := textio.Lines(sc, input)
	j.Check(records.Err())
	if records.NumPartitions() == 0 {
		j.Fail("%s is empty: name text files with --input", input)
	}
	sorted := rdd.SortBy(records, func(r string) string { return r[:min(10, len(r))] }, true, j.Partitions()...)
	n, digest, err := job.Save(ctx, sorted, output)
	j.Check(err)
	if n == 0 {
		j.Fail("%s holds no lines: name text files with --input", input)
	}

	j.Set("records", n)
	j.Set("partitions", sorted.NumPartitions())
	j.Set("sha256", digest)
	j.Finish()
}

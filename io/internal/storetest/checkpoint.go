package storetest

import (
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/rdd"
)

// Checkpoint keeps a dataset reliably on a session whose spark.checkpoint.dir is dir, in a store, and reads it from there: the lineage
// ends at the files.
func Checkpoint(t *testing.T, s rdd.Session, dir string) {
	t.Helper()
	rows := Rows(5000)
	kept := rdd.Map(rdd.Parallelize(s, rows, 3), func(r Row) Row { return r }).Checkpoint()
	for range 2 {
		got, err := kept.Collect(t.Context())
		if err != nil || !slices.Equal(got, rows) {
			t.Fatalf("%d rows of %d, or others: %v", len(got), len(rows), err)
		}
	}
	if !kept.IsCheckpointed() || !strings.HasPrefix(kept.CheckpointFile(), dir) {
		t.Errorf("checkpointed: %t, in %q, want a folder in %s", kept.IsCheckpointed(), kept.CheckpointFile(), dir)
	}
	if files := uris(t, kept.CheckpointFile()); len(files) < 3 {
		t.Errorf("files of the checkpoint: %q", files)
	}
}

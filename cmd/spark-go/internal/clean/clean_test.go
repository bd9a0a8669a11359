package clean

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/io/filesys"
)

func TestClean(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	run := func(args ...string) (int, string) {
		var out bytes.Buffer
		status := Main(args, &out, &out)
		return status, out.String()
	}
	expect := func(status int, words string, args ...string) {
		t.Helper()
		if got, out := run(args...); got != status || !strings.Contains(out, words) {
			t.Errorf("%v: status %d, %s", args, got, out)
		}
	}
	expect(0, "nothing to clean", dir)
	o, err := filesys.NewOutput(t.Context(), dir, filesys.ErrorIfExists)
	if err != nil {
		t.Fatal(err)
	}
	expect(1, "another job is writing", dir)
	w, err := o.CreateTask(t.Context(), 0, ".txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	// What the process of a killed job leaves: a marker of a process that is gone.
	marker := filepath.Join(dir, "_temporary", o.ID, "job.json")
	text, err := os.ReadFile(marker)
	if err != nil {
		t.Fatal(err)
	}
	text = append(bytes.Replace(text, []byte(`"pid":`), []byte(`"pid":99999999,"was":`), 1), '\n')
	if err := os.WriteFile(marker, text, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(0, "spared", "--older-than", "1h", dir)
	if err := os.MkdirAll(filepath.Join(dir, "_temporary", "0"), 0o700); err != nil {
		t.Fatal(err)
	}
	expect(0, "job "+o.ID+" were removed", dir)
	expect(0, "_temporary/0 was not written by spark-go", dir)
	if _, err := os.Stat(filepath.Join(dir, "_temporary", "0")); err != nil {
		t.Errorf("what is not ours is gone: %v", err)
	}
	if err := o.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	expect(1, "it is a file", filepath.Join("clean_test.go"))
	expect(2, "Usage")
	expect(0, "older-than", "--help")
	expect(2, "no such setting", "-c", "spark.hadoop.fs.s3a.endpont=x", dir)
	expect(2, "KEY=VALUE", "-c", "x", dir)
	expect(1, "no file system", "ftp://x/y")
}

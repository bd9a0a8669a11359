package textio_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

func TestErrorsOfJobs(t *testing.T) {
	ctx := t.Context()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()

	_, err := textio.Lines(sc, "/no/such/file").Count(ctx)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "dataset_test.go") || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("missing input: %v", err)
	}

	// A job that fails leaves neither output nor temporary files, and an older output as it was.
	dir := filepath.Join(t.TempDir(), "out")
	numbers := rdd.Range(sc, 0, 10, 1, 3)
	bad := rdd.Map(numbers, func(x int64) string {
		if x == 9 {
			panic("nine")
		}
		return fmt.Sprint(x)
	})
	if err := textio.Save(ctx, bad, dir); err == nil || !strings.Contains(err.Error(), "nine") {
		t.Errorf("save of a failing dataset: %v", err)
	}
	if ok, err := filesys.Exists(ctx, dir); ok || err != nil {
		t.Errorf("the failed job left its directory: %v", err)
	}
	good := rdd.Map(numbers, func(x int64) string { return fmt.Sprint(x) })
	if err := textio.Save(ctx, good, dir); err != nil {
		t.Fatal(err)
	}
	if err := textio.Save(ctx, bad, dir, textio.SaveOptions{Mode: filesys.Overwrite}); err == nil {
		t.Error("save of a failing dataset succeeds")
	}
	if n, err := textio.Lines(sc, dir).Count(ctx); n != 10 || err != nil {
		t.Errorf("after a failed overwrite: %d lines, %v", n, err)
	}
	// Overwriting what is being read is fine: old files go only at the commit.
	again := rdd.Map(textio.Lines(sc, dir), strings.ToUpper)
	if err := textio.Save(ctx, again, dir, textio.SaveOptions{Mode: filesys.Overwrite}); err != nil {
		t.Fatal(err)
	}
	if err := textio.Save(ctx, good, dir, textio.SaveOptions{Mode: filesys.Append}); err != nil {
		t.Fatal(err)
	}
	if n, err := textio.Lines(sc, dir).Count(ctx); n != 20 || err != nil {
		t.Errorf("after overwrite and append: %d lines, %v", n, err)
	}
}

package csvio_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/csvio"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// attempts counts the tries of the task below, in this process.
var attempts atomic.Int64

// TestBadLinesCountOnce: however often tasks are tried and the dataset is computed.
func TestBadLinesCountOnce(t *testing.T) {
	ctx := t.Context()
	sc := driver.New(driver.Master("local[2,3]"))
	defer sc.Stop()
	dir := t.TempDir()
	for i := range 3 {
		var b strings.Builder
		b.WriteString("name,score\n")
		for j := range 100 {
			if j%10 == i {
				fmt.Fprintf(&b, "n%d,bad\n", j)
			} else {
				fmt.Fprintf(&b, "n%d,%d\n", j, j)
			}
		}
		if err := filesys.WriteFile(ctx, filepath.Join(dir, fmt.Sprintf("%d.csv", i)), []byte(b.String())); err != nil {
			t.Fatal(err)
		}
	}
	bad, err := textio.CollectBadLines(sc, "bad scores", 2)
	if err != nil {
		t.Fatal(err)
	}
	rows := csvio.Read[player](sc, dir, csvio.Options{Header: true, SingleLine: true, BadLines: bad, MinPartitions: 7})
	flaky := rdd.Map(rows, func(p player) int {
		if p.Name == "n99" && attempts.Add(1) == 1 {
			panic("the first attempt dies")
		}
		return 1
	})
	for range 2 {
		if n, err := flaky.Count(ctx); n != 270 || err != nil {
			t.Errorf("%d rows, %v", n, err)
		}
		if bad.Count() != 30 {
			t.Errorf("%d bad lines are counted, there are 30", bad.Count())
		}
	}
	if attempts.Load() < 2 {
		t.Error("no task was tried twice")
	}
	// A job that stops early counts what it saw, and takes nothing from what is known.
	if _, err := rows.Take(ctx, 1); err != nil || bad.Count() != 30 {
		t.Error(bad.Count(), err)
	}
	for i, l := range bad.Lines() {
		if l.Reason == "" || l.Column != 2 || !strings.HasSuffix(l.Text, ",bad\n") || l.Offset == 0 {
			t.Errorf("bad line %d: %+v", i, l)
		}
	}
	_, err = csvio.Read[player](sc, dir, csvio.Options{Header: true, SingleLine: true, MinPartitions: 7}).Count(ctx)
	if err == nil || !strings.Contains(err.Error(), ".csv: line ") || !strings.Contains(err.Error(), `"bad" is no value`) {
		t.Error(err)
	}
}

// TestWriteEverywhere: all save modes, compressions and an empty partition, read back.
func TestWriteEverywhere(t *testing.T) {
	ctx := t.Context()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	rows := []player{{"a,b", 1}, {"\"\n", 2}, {"", 3}}
	data := rdd.Parallelize(sc, rows, 5)
	for _, compression := range []string{"none", "gzip", "zstd"} {
		dir := filepath.Join(t.TempDir(), "out")
		for i, mode := range []filesys.SaveMode{filesys.ErrorIfExists, filesys.Append, filesys.Overwrite, filesys.Ignore} {
			o := csvio.Options{Header: true, Compression: compression, Mode: mode}
			if err := csvio.Write(ctx, data, dir, o); err != nil {
				t.Fatal(err)
			}
			got, err := csvio.Read[player](sc, dir, o).Collect(ctx)
			if want := []int{3, 6, 3, 3}[i]; len(got) != want || err != nil || got[0] != rows[0] || got[2] != rows[2] {
				t.Errorf("%s, %s: %+v, %v", compression, mode, got, err)
			}
		}
		if err := csvio.Write(ctx, data, dir, csvio.Options{}); err == nil || !strings.Contains(err.Error(), "exists") {
			t.Error(err)
		}
		m, err := filesys.ReadManifest(ctx, dir)
		if err != nil || m.Rows != 3 || len(m.Files) != 5 {
			t.Errorf("%+v, %v", m, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	for want, o := range map[string]csvio.Options{"lz4": {Compression: "lz4"}, "NoQuotes": {NoQuotes: true}, "line break": {SingleLine: true}, "Columns": {Columns: []string{"name", "score", "z"}}} {
		if err := csvio.Write(ctx, data, dir, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	type twins struct {
		A string `csv:"x"`
		B string `csv:"x"`
	}
	if err := csvio.Write(ctx, rdd.Parallelize(sc, []twins{{}}, 1), dir, csvio.Options{Header: true}); err == nil || !strings.Contains(err.Error(), "twins.B") {
		t.Error(err)
	}
	if ok, _ := filesys.Exists(ctx, dir); ok {
		t.Error("a refused write left its directory")
	}
}

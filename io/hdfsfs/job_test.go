package hdfsfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/internal/storetest"
	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// uri turns a path of the test servers into a URI. The registered file system gets its block locations through HADOOP_CONF_DIR.
func uri(t testing.TB, p string) string {
	t.Setenv("HADOOP_CONF_DIR", os.Getenv("SPARK_GO_TEST_HADOOP_CONF"))
	return os.Getenv("SPARK_GO_TEST_HDFS") + p
}

func session(t testing.TB, more ...driver.Option) *driver.Context {
	sc := driver.New(append(more, driver.Master("local[2]"))...)
	t.Cleanup(func() { sc.Stop() })
	return sc
}

func TestTextJob(t *testing.T) {
	_, dir := server(t)
	dir = uri(t, dir+"/lines with space ☃")
	sc, ctx := session(t), t.Context()
	numbers := make([]string, 20_000)
	for i := range numbers {
		numbers[i] = strconv.Itoa(i) + " größe " + strings.Repeat("x", i%300)
	}
	if err := textio.Save(ctx, rdd.Parallelize(sc, numbers, 5), dir); err != nil {
		t.Fatal(err)
	}
	if err := textio.Save(ctx, rdd.Parallelize(sc, numbers, 5), dir); !errors.Is(err, filesys.ErrOutputExists) {
		t.Errorf("saved over what is there: %v", err)
	}
	if err := filesys.WriteFile(ctx, dir+"/zero", nil); err != nil {
		t.Fatal(err)
	}
	lines := textio.Lines(sc, dir, 12)
	got, err := lines.Collect(ctx)
	if err != nil || !slices.Equal(got, numbers) {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	if hosts := lines.Node().PreferredHosts(0); !reflect.DeepEqual(hosts, []string{"127.0.0.1"}) {
		t.Errorf("tasks run near %v", hosts)
	}
	// A file that changes between listing and reading.
	lines = textio.Lines(sc, dir, 3)
	if err := filesys.WriteFile(ctx, dir+"/part-00000", []byte("other")); err != nil {
		t.Fatal(err)
	}
	if _, err := lines.Collect(ctx); err == nil || !strings.Contains(err.Error(), filesys.ErrChanged.Error()) {
		t.Errorf("a file changed since it was listed: %v", err)
	}
	if _, err := textio.Lines(sc, dir+"/none").Collect(ctx); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := textio.Lines(sc, "hdfs://nowhere.invalid/x").Collect(ctx); err == nil || !strings.Contains(err.Error(), "nowhere.invalid") {
		t.Errorf("an unknown host: %v", err)
	}
}

// Every format, by jobs.
func TestFormats(t *testing.T) {
	_, dir := server(t)
	storetest.Formats(t, session(t), uri(t, dir+"/größe & 100% x/日本"))
}

func TestCheckpoint(t *testing.T) {
	_, dir := server(t)
	dir = uri(t, dir+"/größe & 100% x")
	storetest.Checkpoint(t, session(t, driver.Set("spark.checkpoint.dir", dir)), dir)
}

type sample struct {
	ID    int64   `parquet:"id"`
	Value float64 `parquet:"value"`
	Name  string  `parquet:"name"`
}

func samples(n int) []sample {
	rows := make([]sample, n)
	for i := range rows {
		rows[i] = sample{int64(i), float64(i*7919%100_003) / 7, fmt.Sprintf("name %d ☃", i%1000)}
	}
	return rows
}

func TestParquetJob(t *testing.T) {
	_, dir := server(t)
	dir = uri(t, dir+"/table")
	sc, ctx := session(t), t.Context()
	rows := samples(300_000)
	if err := parquetio.Write(ctx, rdd.Parallelize(sc, rows, 3), dir); err != nil {
		t.Fatal(err)
	}
	table := parquetio.Read[sample](sc, dir)
	got, err := table.Collect(ctx)
	if err != nil || !slices.Equal(got, rows) {
		t.Fatalf("%d rows, %v", len(got), err)
	}
	if hosts := table.Node().PreferredHosts(0); !reflect.DeepEqual(hosts, []string{"127.0.0.1"}) {
		t.Errorf("tasks run near %v", hosts)
	}
}

// A DataNode dies while a job reads a table that another part of it is written from.
func TestDataNodeKilledDuringJob(t *testing.T) {
	f, dir := server(t)
	in, out := uri(t, dir+"/in"), uri(t, dir+"/out")
	sc, ctx := session(t), t.Context()
	line := strings.Repeat("0123456789", 100)
	var b bytes.Buffer
	for i := range 60_000 {
		fmt.Fprintln(&b, i, line)
	}
	write(t, f, dir+"/in", b.Bytes())
	revive(t)
	done := make(chan error, 1)
	go func() {
		done <- textio.Save(ctx, textio.Lines(sc, in, 4), out)
	}()
	for { // until the job writes
		if found, err := f.List(context.Background(), dir+"/out"); err == nil && len(found) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	control(t, "kill", "datanode2")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	files, err := filesys.Expand(ctx, out)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, file := range files {
		part, err := filesys.ReadFile(ctx, file.URI)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%d bytes of %d, or others", len(got), b.Len())
	}
}

package jsonio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/jsonio"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

type point struct {
	Name string             `json:"name"`
	X    *float64           `json:"x,omitempty"`
	Tags []string           `json:"tags,omitempty"`
	More map[string]float64 `json:"more,omitempty"`
}

// TestEverySplit reads nasty files in all splits and holds each row to encoding/json.
func TestEverySplit(t *testing.T) {
	ctx := t.Context()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	huge := strings.Repeat("0123456789", 1<<20)
	for name, text := range map[string]string{
		"empty":     "",
		"one":       `{"name":"a","x":1.5,"tags":["b",""],"more":{"y":2}}`,
		"crlf":      "{\"name\":\"a\"}\r\n\r\n \n{\"NAME\":\"b\",\"x\":null,\"z\":[{}]}\r\n{}\r\n",
		"mark":      "\xef\xbb\xbf{\"name\":\"größe\\u0000\"}\n{\"name\":\"\xff\"}\n",
		"null":      "null\n",
		"huge":      `{"name":"` + huge + `"}` + "\n" + `{"name":"after"}` + "\n",
		"reuse":     `{"name":"a","x":1,"tags":["1","2","3"],"more":{"p":1}}` + "\n" + `{"name":"b","x":2,"tags":["4"],"more":{"q":1}}` + "\n{}\n",
		"stretch":   "{\"name\":\"n\"}\n" + strings.Repeat("\n", 3<<20) + "{\"name\":\"m\"}\n",
		"many rows": strings.Repeat("{\"name\":\"n\"}\n", 5000),
	} {
		var want []point
		for line := range strings.Lines(strings.TrimPrefix(text, "\xef\xbb\xbf")) {
			if strings.TrimSpace(line) != "" {
				var p point
				if err := json.Unmarshal([]byte(line), &p); err != nil {
					t.Fatal(err)
				}
				want = append(want, p)
			}
		}
		uri := "mem://json/" + strings.ReplaceAll(name, " ", "") + ".json"
		if err := filesys.WriteFile(ctx, uri, []byte(text)); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 3, 40} {
			got, err := jsonio.Read[point](sc, uri, jsonio.Options{MinPartitions: n}).Collect(ctx)
			if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("%s in %d: %d rows of %d, %v", name, n, len(got), len(want), err)
			}
		}
	}
}

func TestBadLines(t *testing.T) {
	ctx := t.Context()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	lines := []string{`{"name":"a"}`, `{"name":`, `{"name":7}`, `{"name":"b"} x`, "{\"name\":\"\x00\"}", `[1]`, `{"name":"c","x":"1"}`, `{"name":"d"}`}
	wants := []string{"", "unexpected end", "character 9: a number for field name, a string", "character 14", "character 10", "a array for a jsonio_test.point", "a string for field x, a float64", ""}
	if err := filesys.WriteFile(ctx, "mem://json/bad.json", []byte(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	bad, err := textio.CollectBadLines(sc, "bad", 100)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := jsonio.Read[point](sc, "mem://json/bad.json", jsonio.Options{BadLines: bad, MinPartitions: 1}).Collect(ctx)
	if err != nil || !reflect.DeepEqual(rows, []point{{Name: "a"}, {Name: "d"}}) || bad.Count() != 6 {
		t.Errorf("%+v, %v, %d bad", rows, err, bad.Count())
	}
	for _, b := range bad.Lines() {
		if want := wants[b.Line-1]; want == "" || !strings.Contains(b.Reason, want) || b.Text != lines[b.Line-1] {
			t.Errorf("line %d: %q, want %q", b.Line, b.Reason, want)
		}
	}
	rows, err = jsonio.Read[point](sc, "mem://json/bad.json", jsonio.Options{BadLines: textio.SkipBadLines(), MinPartitions: 4}).Collect(ctx)
	if err != nil || len(rows) != 2 {
		t.Errorf("%+v, %v", rows, err)
	}
	_, err = jsonio.Read[point](sc, "mem://json/bad.json", jsonio.Options{MinPartitions: 4}).Count(ctx)
	if err == nil || !strings.Contains(err.Error(), "mem://json/bad.json: line ") || !strings.Contains(err.Error(), "BadLines") {
		t.Error(err)
	}
}

func TestWriteAndReadBack(t *testing.T) {
	ctx := t.Context()
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	x := 0.1
	rows := []point{{Name: "<a&b>\n\u2028", X: &x}, {Tags: []string{"\""}}, {Name: "c", More: map[string]float64{"z": 1, "a": 2}}}
	for _, compression := range []string{"none", "gzip", "zstd"} {
		dir := filepath.Join(t.TempDir(), "out")
		if err := jsonio.Write(ctx, rdd.Parallelize(sc, rows, 4), dir, jsonio.Options{Compression: compression}); err != nil {
			t.Fatal(err)
		}
		got, err := jsonio.Read[point](sc, dir, jsonio.Options{}).Collect(ctx)
		if err != nil || !reflect.DeepEqual(got, rows) {
			t.Errorf("%s: %+v, %v", compression, got, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "out")
	nan := math.NaN()
	if err := jsonio.Write(ctx, rdd.Parallelize(sc, []point{{X: &nan}}, 1), dir, jsonio.Options{}); err == nil || !strings.Contains(err.Error(), "NaN") {
		t.Error(err)
	}
	if ok, _ := filesys.Exists(ctx, dir); ok {
		t.Error("a failed write left its directory")
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// cpu is the processor time of the process, which other processes disturb less than the clock.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkRead(b *testing.B) {
	const n = 200_000
	type rating struct {
		User   int32   `json:"user"`
		Item   int32   `json:"item"`
		Rating float32 `json:"rating"`
		Title  string  `json:"title"`
	}
	var text bytes.Buffer
	for i := range n {
		fmt.Fprintf(&text, `{"user":%d,"item":%d,"rating":%.1f,"title":"title %d"}`+"\n", i%9973, i%997, float64(i%10)/2, i%100)
	}
	uri := filepath.Join(b.TempDir(), "bench.json")
	if err := filesys.WriteFile(b.Context(), uri, text.Bytes()); err != nil {
		b.Fatal(err)
	}
	info, err := filesys.Stat(b.Context(), uri)
	if err != nil {
		b.Fatal(err)
	}
	split := textio.PlanLines([]filesys.Info{info}, filesys.SplitOptions{MinPartitions: 1})[0][0]
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	b.ResetTimer()
	begin, before := cpu(b), allocated()
	for range b.N {
		d := jsonio.NewDecoder[rating](jsonio.Options{})
		if err := d.Open(b.Context(), split); err != nil {
			b.Fatal(err)
		}
		rows := 0
		for {
			batch, err := d.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			rows += len(batch)
		}
		d.Close()
		if rows != n {
			b.Fatal(rows)
		}
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(text.Len())/n, "fileB/row")
	b.ReportMetric(float64(allocated()-before)/n/float64(b.N), "B/row")
	b.ReportMetric(float64(text.Len())*float64(b.N)/1e6/(cpu(b)-begin).Seconds(), "MB/cpu-s")
}

package libsvmio_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/libsvmio"
)

func ExampleRead() {
	sc := driver.New(driver.Master("local[2]"))
	defer sc.Stop()
	ctx := context.Background()
	if err := filesys.WriteFile(ctx, "mem://libsvm/rows", []byte("+1 1:0.5 3:2 # a comment\n\n-1 2:1e3\n")); err != nil {
		fmt.Println(err)
	}
	rows := libsvmio.Read(sc, "mem://libsvm/rows")
	all, err := rows.Collect(ctx)
	fmt.Println(all, err)
	shape, err := libsvmio.Look(ctx, rows)
	fmt.Println(shape.Features, shape.Labels, err)
	// Output:
	// [{1 [0 2] [0.5 2]} {-1 [1] [1000]}] <nil>
	// 3 [-1 1] <nil>
}

func TestParseErrors(t *testing.T) {
	for line, want := range map[string]string{
		"one 1:2":                `the label "one" is no number`,
		"1 x:2":                  `"x:2" is not index:value`,
		"1 2":                    `"2" is not index:value`,
		"1 2:":                   `"2:" is not index:value`,
		"1 0:1":                  "index 0 follows 0: indices ascend from 1",
		"1 3:1 3:2":              "index 3 follows 3",
		"1 3:1 2:2":              "index 2 follows 3",
		"1 99999999999:1":        "is not index:value",
		strings.Repeat("9a", 99): "…",
	} {
		if _, ok, err := libsvmio.Parse(line); err == nil || ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", line, err, want)
		}
	}
	if r, ok, err := libsvmio.Parse("2\t1:1\t 2:nan"); err != nil || !ok || len(r.Index) != 2 {
		t.Errorf("tabs: %v, %v", r, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("+1 1:0.5 3:2 # x")
	f.Add("-1\t7:1e-5")
	f.Fuzz(func(t *testing.T, line string) {
		r, ok, err := libsvmio.Parse(line)
		if err != nil || !ok {
			return
		}
		last := int32(-1)
		for _, i := range r.Index {
			if i <= last {
				t.Fatalf("%q: indices %v", line, r.Index)
			}
			last = i
		}
		if len(r.Index) != len(r.Values) {
			t.Fatalf("%q: %+v", line, r)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	var line strings.Builder
	line.WriteString("1")
	for i := range 30 {
		fmt.Fprintf(&line, " %d:%.3f", i*300+1, float64(i)/7)
	}
	b.SetBytes(int64(line.Len()))
	for b.Loop() {
		if _, _, err := libsvmio.Parse(line.String()); err != nil {
			b.Fatal(err)
		}
	}
}

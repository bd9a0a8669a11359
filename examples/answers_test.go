package examples_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/io/parquetio"
	"github.com/spark-go/spark-go/mllib/recommendation"
)

// digest is what job.Save documents: the SHA-256 of the files' SHA-256s.
func digest(t *testing.T, dir string) (sum string, content []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "part-*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no part files: %v", dir, err)
	}
	all := sha256.New()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		one := sha256.Sum256(b)
		all.Write(one[:])
		content = append(content, b...)
	}
	return hex.EncodeToString(all.Sum(nil)), content
}

func TestWordcount(t *testing.T) {
	license, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, w := range strings.Fields(string(license)) {
		counts[w]++
	}
	words := make([]string, 0, len(counts))
	for w := range counts {
		words = append(words, w)
	}
	slices.Sort(words)
	var all strings.Builder
	for _, w := range words {
		fmt.Fprintf(&all, "%s\t%d\n", w, counts[w])
	}
	slices.SortStableFunc(words, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	top := make([][]any, 5)
	for i, w := range words[:5] {
		top[i] = []any{w, counts[w]}
	}

	out := filepath.Join(t.TempDir(), "out")
	got := report(t, "wordcount", "--partitions", "3", "--top", "5", "--output", out)
	if fmt.Sprint(got["top"]) != fmt.Sprint(top) || got["distinct"] != float64(len(counts)) || got["words"] != float64(len(strings.Fields(string(license)))) {
		t.Errorf("got %v, want top %v of %d words", got, top, len(counts))
	}
	sum, content := digest(t, out)
	if string(content) != all.String() {
		t.Errorf("the files hold\n%s\nwant\n%s", content, all.String())
	}
	if got["sha256"] != sum {
		t.Errorf("sha256 is %v, the files' is %s", got["sha256"], sum)
	}
	if again := report(t, "wordcount", "--partitions", "3"); again["sha256"] != sum {
		t.Errorf("without --output sha256 is %v", again["sha256"])
	}
}

func TestSort(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in")
	var lines []string
	for i := range 5000 {
		key := fmt.Sprintf("%010d", i*7919%1000)
		lines = append(lines, key[:i%11]+"\xff"[:i%2]+fmt.Sprint(" ", i)) // keys of all lengths, many equal, some not UTF-8
	}
	write(t, in, []byte(strings.Join(lines, "\n"))) // the last line has no end
	slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:min(10, len(a))], b[:min(10, len(b))]) })

	out := filepath.Join(t.TempDir(), "out")
	got := report(t, "sort", "--input", in, "--output", out, "--partitions", "7")
	sum, content := digest(t, out)
	if want := strings.Join(lines, "\n") + "\n"; string(content) != want {
		t.Error("the files are not the input in stable order")
	}
	if got["records"] != 5000.0 || got["sha256"] != sum {
		t.Errorf("got %v, the files' sha256 is %s", got, sum)
	}
}

// TestJoin holds sums against those that pyarrow's join and group_by gave for the same files.
func TestJoin(t *testing.T) {
	got := report(t, "join")
	top, _ := got["top"].([]any)
	if got["rows"] != 1501.0 || got["keys"] != 100.0 || len(top) != 20 || fmt.Sprint(top[:3]) != "[[29 48] [94 47] [90 45]]" {
		t.Errorf("got %v", got)
	}
}

type sale struct {
	Shop   *string  `parquet:"shop"`
	Amount *int64   `parquet:"amount"`
	Weight *float32 `parquet:"weight"`
	Number uint16   `parquet:"number"`
}

type shop struct {
	Shop   string `parquet:"shop"`
	Number int32  `parquet:"number"`
	Area   int64  `parquet:"area"`
}

func parquetFile[T any](t *testing.T, rows []T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.parquet")
	w, err := parquetio.NewFileWriter[T](context.Background(), path, parquetio.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(rows); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestJoinTypes joins on text with nulls and on whole numbers of different widths, and sums exactly.
func TestJoinTypes(t *testing.T) {
	north, south, none := "north", "south", "closed"
	big, one := int64(1)<<60+1, int64(1)
	half := float32(0.5)
	sales := parquetFile(t, []sale{
		{&north, &big, &half, 1}, {&south, &one, &half, 2}, {&north, &one, nil, 1}, {&none, &one, nil, 9}, {nil, &one, &half, 1}, {&south, nil, &half, 2},
	})
	shops := parquetFile(t, []shop{{"north", 1, 100}, {"south", 2, 30}, {"south", 2, 5}, {"new", 3, 1}})
	for _, c := range []struct{ on, sum, top string }{
		{"shop", "amount", `[["north",1152921504606846978],["south",2]]`},
		{"shop", "weight", `[["south",2],["north",0.5]]`},
		{"number", "amount", `[[1,1152921504606846979],[2,2]]`},
		{"shop", "area", `[["north",200],["south",70]]`},
	} {
		r := run(t, root, "join", "--left", sales, "--right", shops, "--on", c.on, "--sum", c.sum, "--json")
		if !strings.Contains(r.stdout, `"top":`+c.top) {
			t.Errorf("sum of %s by %s: want %s, got %s%s", c.sum, c.on, c.top, r.stdout, r.stderr)
		}
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{`"shop" is string`, []string{"--left", sales, "--right", parquetFile(t, []struct{ Shop int64 }{{1}}), "--on", "shop", "--sum", "amount"}},
		{"no row", []string{"--left", sales, "--right", parquetFile(t, []shop{{"none", 7, 1}}), "--on", "shop", "--sum", "amount"}},
		{"no row", []string{"--left", sales, "--right", parquetFile[shop](t, nil), "--on", "shop", "--sum", "amount"}},
		{"exceeds", []string{"--left", parquetFile(t, slices.Repeat([]sale{{&north, &big, nil, 1}}, 8)), "--right", shops, "--on", "shop", "--sum", "amount"}},
	} {
		if r := run(t, root, "join", c.args...); r.status != 1 || !strings.Contains(r.stderr, c.says) || !strings.Contains(r.stderr, "\njoin: ") && strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("join %q: status %d, %q does not say %q", c.args, r.status, r.stderr, c.says)
		}
	}
}

// rank computes what package main of pagerank does, on dense arrays.
func rank(edges [][2]int, nodes, iterations int, damping float64) []float64 {
	out := make([]float64, nodes)
	for _, e := range edges {
		out[e[0]]++
	}
	ranks := slices.Repeat([]float64{1 / float64(nodes)}, nodes)
	for range iterations {
		next := make([]float64, nodes)
		dangling := 0.0
		for i, r := range ranks {
			if out[i] == 0 {
				dangling += r
			}
		}
		for _, e := range edges {
			next[e[1]] += ranks[e[0]] / out[e[0]]
		}
		for i := range next {
			next[i] = (1-damping+damping*dangling)/float64(nodes) + damping*next[i]
		}
		ranks = next
	}
	return ranks
}

func TestPagerank(t *testing.T) {
	type edge struct{ From, To int64 }
	var edges [][2]int
	var rows []edge
	for i := range 400 {
		e := [2]int{i * i % 37, i * 31 % 97 % 41} // some nodes have no links, some edges occur twice, some are loops
		edges = append(edges, e)
		rows = append(rows, edge{int64(e[0]) - 20, int64(e[1]) - 20})
	}
	input := parquetFile(t, rows)
	for _, c := range []struct {
		iterations int
		damping    float64
		partitions string
	}{{0, 0.85, "2"}, {1, 0.85, "1"}, {15, 0.85, "4"}, {7, 0.5, "60"}, {3, 1, "3"}, {3, 0, "3"}} {
		got := report(t, "pagerank", "--input", input, "--src-col", "from", "--dst-col", "to", "--iterations", fmt.Sprint(c.iterations), "--damping", fmt.Sprint(c.damping), "--partitions", c.partitions)
		want := rank(edges, 41, c.iterations, c.damping)
		top, _ := got["top"].([]any)
		if got["nodes"] != 41.0 || got["edges"] != 400.0 || got["iterations"] != float64(c.iterations) || len(top) != 20 {
			t.Fatalf("%+v: got %v", c, got)
		}
		sorted := slices.Clone(want)
		slices.SortFunc(sorted, func(a, b float64) int { return cmp.Compare(b, a) })
		for i, row := range top {
			row := row.([]any)
			node, r := int(row[0].(float64))+20, row[1].(float64)
			if math.Abs(r-want[node]) > 1e-14 || math.Abs(r-sorted[i]) > 1e-14 {
				t.Errorf("%+v: place %d: node %d has %v, want %v and for this place %v", c, i, node, r, want[node], sorted[i])
			}
		}
	}
	early := report(t, "pagerank", "--input", input, "--src-col", "from", "--dst-col", "to", "--iterations", "500", "--tol", "1e-9")
	n, _ := early["iterations"].(float64)
	if n < 5 || n > 200 {
		t.Errorf("--tol 1e-9 stopped after %v iterations", n)
	}
}

func TestALS(t *testing.T) {
	model := filepath.Join(t.TempDir(), "model")
	got := report(t, "als", "--save", model, "--recommend", "3")
	rmse, _ := got["rmse"].(float64)
	if got["train_rows"].(float64)+got["test_rows"].(float64) != 1501 || got["users"] != 30.0 || !(rmse > 0.8 && rmse < 1.3) {
		t.Errorf("got %v", got)
	}
	if rows, _ := got["recommendations"].([]any); len(rows) != 30 || len(rows[0].([]any)) != 3 {
		t.Errorf("recommendations are %v", got["recommendations"])
	}
	saved, err := recommendation.Load[int64, int64](context.Background(), model)
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := saved.SHA256(); got["sha256"] != sum || err != nil {
		t.Errorf("sha256 is %v, of the file's model %s, %v", got["sha256"], sum, err)
	}

	const ratings = "examples/testdata/ratings.parquet"
	same := report(t, "als", "--train", ratings, "--test", ratings)
	if fit, _ := same["rmse"].(float64); !(fit < rmse) || same["train_rows"] != 1501.0 || same["test_rows"] != 1501.0 {
		t.Errorf("tested on what it was trained on: %v", same)
	}
	if other := report(t, "als", "--seed", "7"); other["sha256"] == got["sha256"] {
		t.Error("another seed gives the same model")
	}
	implicit := report(t, "als", "--implicit", "--alpha", "2", "--nonnegative")
	if recall, _ := implicit["recall_at_20"].(float64); !(recall > 0.15 && recall <= 1) {
		t.Errorf("implicit: %v", implicit)
	}
}

// TestALSColdStart tests on a user who is not in the training data, with names for ids.
func TestALSColdStart(t *testing.T) {
	type rating struct {
		User, Item string
		Rating     int8
	}
	train := parquetFile(t, []rating{{"ann", "a", 5}, {"ann", "b", 1}, {"bob", "a", 4}, {"bob", "b", 2}})
	test := parquetFile(t, []rating{{"ann", "a", 5}, {"eve", "a", 3}})
	args := []string{"--train", train, "--test", test, "--user-col", "user", "--item-col", "item", "--rating-col", "rating"}
	if got := report(t, "als", args...); got["rmse"] == nil || got["users"] != 2.0 || got["test_rows"] != 2.0 {
		t.Errorf("dropped: %v", got)
	}
	if got := report(t, "als", append(args, "--cold-start", "nan")...); got["rmse"] != nil {
		t.Errorf("kept: %v", got)
	}
}

package driver_test

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/driver"
	"github.com/spark-go/spark-go/rdd"
)

// readable stands in all rows of TestNothingIsReadableOnDisk.
const readable = "the plain text of a row"

// diskWatch looks at the files of an application from within its tasks, while what was spilled for them is there.
type diskWatch struct {
	Dir   string // of the application
	Notes string // for what was seen
}

var kindOfFile = regexp.MustCompile(`^(rdd_[0-9]+|[a-z]+(-[a-z]+)?)[-_.][0-9]|(\.[a-z]+)$`)

// look notes the kinds of files that there are, such as "sort" for sort-12.spill and "rdd_3" for cached blocks; those with rows that anyone can read
// with an exclamation mark.
func (w diskWatch) look() {
	var kinds bytes.Buffer
	_ = filepath.WalkDir(w.Dir, func(path string, e fs.DirEntry, _ error) error {
		if e == nil || !e.Type().IsRegular() {
			return nil
		}
		b, _ := os.ReadFile(path) // files go while it looks
		if len(b) == 0 {
			return nil
		}
		kind := kindOfFile.FindStringSubmatch(e.Name())
		if kind == nil {
			kind = []string{"", e.Name(), "", ""}
		}
		fmt.Fprint(&kinds, kind[1], kind[3])
		if bytes.Contains(b, []byte(readable)) {
			kinds.WriteByte('!')
		}
		kinds.WriteByte('\n')
		return nil
	})
	f, err := os.CreateTemp(w.Notes, "")
	if err != nil {
		panic(err)
	}
	defer f.Close()
	if _, err := f.Write(kinds.Bytes()); err != nil {
		panic(err)
	}
}

// seen are the kinds that were noted.
func (w diskWatch) seen(t *testing.T) map[string]bool {
	t.Helper()
	kinds := map[string]bool{}
	notes, _ := filepath.Glob(filepath.Join(w.Notes, "*"))
	for _, path := range notes {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for kind := range strings.Lines(string(b)) {
			kinds[strings.TrimSpace(kind)] = true
		}
	}
	return kinds
}

const encryptedRows = 20_000

func (w diskWatch) at(key int64) {
	if key%(encryptedRows/10) == 0 {
		w.look()
	}
}

// standsFor is a number for a row, which the rows' text and order are read from again.
func standsFor(key int64, texts ...string) int64 {
	h := fnv.New64a()
	fmt.Fprint(h, key, texts)
	return int64(h.Sum64())
}

type keyedText = rdd.Pair[int64, string]

// spilling runs jobs that write all kinds of files, one task at a time with memory for next to nothing, and returns what stands for their rows, in order.
func spilling(t *testing.T, sc *driver.Context, w diskWatch) (rows []int64) {
	t.Helper()
	ctx := context.Background()
	collect := func(r rdd.RDD[int64]) {
		t.Helper()
		some, err := r.Collect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, some...)
	}
	count := func(r rdd.RDD[keyedText]) {
		t.Helper()
		if n, err := r.Count(ctx); err != nil || n != encryptedRows {
			t.Fatal(n, err)
		}
	}
	text := rdd.Map(rdd.Range(sc, 0, encryptedRows, 1, 1), rdd.Bind(w, func(w diskWatch, x int64) keyedText {
		w.at(x)
		return keyedText{Key: x * 7919 % encryptedRows, Value: fmt.Sprint(readable, x, strings.Repeat("=", 300+int(x%200)))}
	}))
	onDisk := text.Persist(rdd.DiskOnly)
	count(onDisk)
	one := rdd.Bind(w, func(w diskWatch, p keyedText) int64 { w.at(p.Key); return standsFor(p.Key, p.Value) })
	same := rdd.Bind(w, func(w diskWatch, p keyedText) keyedText { w.at(p.Key); return p })
	inMemory := rdd.Map(onDisk, same).Persist(rdd.MemoryAndDisk)
	count(inMemory)
	cut := rdd.Map(onDisk, same).LocalCheckpoint()
	count(cut)
	few := rdd.Filter(onDisk, func(p keyedText) bool { return p.Key < encryptedRows/4 }).Persist(rdd.MemoryAndDisk)
	if n, err := few.Count(ctx); err != nil || n != encryptedRows/4 {
		t.Fatal(n, err)
	} // it is in memory, and goes to disk when the sort needs that
	collect(rdd.Map(rdd.SortByKey(rdd.Map(inMemory, same), true, 2), one))
	collect(rdd.Map(rdd.ReduceByKey(cut, func(a, b string) string { return min(a, b) }, 1), one))
	collect(rdd.Map(rdd.GroupByKey(onDisk, 1), rdd.Bind(w, func(w diskWatch, p rdd.Pair[int64, []string]) int64 { w.at(p.Key); return standsFor(p.Key, p.Value...) })))
	collect(rdd.Map(rdd.CoGroup(onDisk, few, 1), rdd.Bind(w, func(w diskWatch, p rdd.Pair[int64, rdd.Grouped2[string, string]]) int64 {
		w.at(p.Key)
		return standsFor(p.Key, append(p.Value.Left, p.Value.Right...)...)
	})))
	collect(rdd.Map(rdd.Cartesian(rdd.Range(sc, 0, 1, 1, 1), onDisk), rdd.Bind(w, func(w diskWatch, p rdd.Pair[int64, keyedText]) int64 {
		w.at(p.Value.Key)
		return standsFor(p.Key, p.Value.Value)
	})))
	w.look()
	return rows
}

// With spark.io.encryption.enabled no row can be read in any file that an application writes to spark.local.dir, at any time, and the results are the same bytes.
// Without, every kind of file shows them, which proves that the test looks everywhere.
func TestNothingIsReadableOnDisk(t *testing.T) {
	t.Parallel()
	var want []int64
	for _, c := range []struct{ master, compress, bits string }{{"local[1]", "false", "128"}, {"local-cluster[1,1,64m]", "true", "256"}} {
		kinds := map[string]bool{}
		for _, bits := range []string{"", c.bits} {
			w := diskWatch{t.TempDir(), t.TempDir()}
			options := []driver.Option{
				driver.Master(c.master), driver.Set("spark.local.dir", w.Dir), driver.Set("spark.driver.memory", "64m"), driver.Set("spark.memory.fraction", "0.05"),
				driver.Set("spark.memory.storageFraction", "0.01"),
				driver.Set("spark.shuffle.compress", c.compress), driver.Set("spark.shuffle.spill.compress", c.compress), driver.Set("spark.rdd.compress", c.compress),
			}
			if bits != "" {
				options = append(options, driver.Set("spark.io.encryption.enabled", "true"), driver.Set("spark.io.encryption.keySizeBits", bits))
			}
			sc := driver.New(options...)
			got := spilling(t, sc, w)
			sc.Stop()
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, key of %q bits: %d rows, or others than the %d before", c.master, bits, len(got), len(want))
			}
			seen := w.seen(t)
			if bits == "" {
				kinds = seen
				continue
			}
			for kind := range seen {
				if strings.HasSuffix(kind, "!") {
					t.Errorf("%s, key of %s bits: rows can be read in %s", c.master, bits, kind)
				}
			}
			for kind := range kinds {
				if !seen[strings.TrimSuffix(kind, "!")] {
					t.Errorf("%s, key of %s bits: there was no %s", c.master, bits, kind)
				}
			}
		}
		for _, kind := range []string{".data", "shuffle-write", "sort", "combine", "group", "cogroup", "replay", "rdd_1", "rdd_2", "rdd_3", "rdd_4"} {
			if !kinds[kind+"!"] {
				t.Errorf("%s: without encryption no rows were found in any %s, only in %v: the test looks in the wrong place", c.master, kind, slices.Sorted(maps.Keys(kinds)))
			}
		}
	}
}

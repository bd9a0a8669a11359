package parquetio

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// expected is what pyarrow reads, by file and column; see testdata/expected.py.
type expected struct {
	rows string // or "!" where pyarrow refuses
	hash string // or why
}

func readExpected(t *testing.T) (files []string, columns map[string]map[string]expected) {
	t.Helper()
	f, err := os.Open("testdata/expected.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	columns = map[string]map[string]expected{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		p := strings.Split(lines.Text(), "\t")
		if columns[p[0]] == nil {
			columns[p[0]] = map[string]expected{}
			files = append(files, p[0])
		}
		columns[p[0]][p[1]] = expected{p[2], p[3]}
	}
	return files, columns
}

// goType is a Go type that takes every value of a column, nulls too.
func goType(n *node) reflect.Type {
	t := requiredType(n)
	if n.optional && n.shape != list && n.shape != mapping {
		return reflect.PointerTo(t)
	}
	return t
}

func requiredType(n *node) reflect.Type {
	switch n.shape {
	case structure:
		return structOf(n.children)
	case list:
		return reflect.SliceOf(goType(n.children[0]))
	case mapping: // not a map: the order counts here
		return reflect.SliceOf(structOf(n.children))
	}
	switch t := n.typ; {
	case t == "bool":
		return reflect.TypeFor[bool]()
	case strings.HasPrefix(t, "decimal"):
		return reflect.TypeFor[Decimal]()
	case t == "date":
		return reflect.TypeFor[int32]()
	case t == "int96", strings.HasPrefix(t, "timestamp"):
		return timeType
	case strings.HasPrefix(t, "time("):
		return durationType
	case t == "float16":
		return reflect.TypeFor[float32]()
	case t == "string":
		return reflect.TypeFor[string]()
	case t == "[16]byte":
		return reflect.TypeFor[[16]byte]()
	case t == "null":
		m := *n
		m.typ = n.physicalType()
		return requiredType(&m)
	case t == "bytes", t == "interval", strings.HasSuffix(t, "]byte"):
		return reflect.TypeFor[[]byte]()
	}
	for _, k := range []reflect.Type{
		reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](),
		reflect.TypeFor[uint8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
		reflect.TypeFor[float32](), reflect.TypeFor[float64](),
	} {
		if k.Kind().String() == n.typ {
			return k
		}
	}
	panic("no Go type for " + n.typ)
}

func structOf(children []*node) reflect.Type {
	fields := make([]reflect.StructField, len(children))
	for i, c := range children {
		fields[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: goType(c), Tag: reflect.StructTag(fmt.Sprintf("parquet:%q", c.name))}
	}
	return reflect.StructOf(fields)
}

// text writes a value as testdata/expected.py does.
func text(b *strings.Builder, n *node, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			b.WriteString("null")
			return
		}
		v = v.Elem()
	}
	if v.Kind() == reflect.Slice && v.IsNil() {
		b.WriteString("null")
		return
	}
	switch n.shape {
	case structure:
		b.WriteByte('(')
		for i, c := range n.children {
			if i > 0 {
				b.WriteByte(',')
			}
			text(b, c, v.Field(i))
		}
		b.WriteByte(')')
		return
	case list:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			text(b, n.children[0], v.Index(i))
		}
		b.WriteByte(']')
		return
	case mapping:
		b.WriteByte('{')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			text(b, n.children[0], v.Index(i).Field(0))
			b.WriteByte(':')
			text(b, n.children[1], v.Index(i).Field(1))
		}
		b.WriteByte('}')
		return
	}
	switch x := v.Interface().(type) {
	case time.Time:
		if n.typ == "timestamp(ns)" {
			fmt.Fprintf(b, "%dns", x.UnixNano())
		} else {
			fmt.Fprintf(b, "%dus", x.UnixMicro())
		}
	case time.Duration:
		fmt.Fprintf(b, "%dns", int64(x))
	case Decimal:
		fmt.Fprintf(b, "%v/%d", x.Unscaled(new(big.Int)), x.Scale)
	case string:
		fmt.Fprintf(b, "x%x", x)
	case []byte:
		fmt.Fprintf(b, "x%x", x)
	case [16]byte:
		fmt.Fprintf(b, "x%x", x[:])
	case float32, float64:
		if f := v.Float(); f != f {
			b.WriteString("nan")
		} else {
			fmt.Fprintf(b, "%016x", math.Float64bits(f))
		}
	default:
		fmt.Fprint(b, x)
	}
}

// readHashed reads each column of a file alone, whatever its type, and hashes its values.
func readHashed(t *testing.T, path string) (map[string]expected, error) {
	info := statFor(t, path)
	f, err := openFile(t.Context(), splitOf(info))
	if err != nil {
		return nil, err
	}
	columns, groups := f.root.children, len(f.meta.groups)
	var rows int64
	for _, g := range f.meta.groups {
		rows += g.rows
	}
	if err := f.close(); err != nil {
		return nil, err
	}
	s := splitOf(info)
	s.Last, s.Rows = groups, rows
	out := map[string]expected{}
	var errs []error
	for _, c := range columns {
		h := sha256.New()
		n, err := hashColumn(t, s, c, h)
		if err != nil {
			out[c.name] = expected{"!", err.Error()}
			errs = append(errs, err)
			continue
		}
		out[c.name] = expected{fmt.Sprint(n), hex.EncodeToString(h.Sum(nil))[:16]}
	}
	return out, errors.Join(errs...)
}

func hashColumn(t *testing.T, s Split, c *node, h hash.Hash) (n int, err error) {
	typ := structOf([]*node{c})
	b, err := newBatchReader(t.Context(), s, Predicate{}, func(root *node) (*plan, error) { return compilePlan(root, typ) })
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	defer guard(s.URI, &err)
	var line strings.Builder
	for {
		k, err := b.start(1000)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		rows := reflect.MakeSlice(reflect.SliceOf(typ), k, k)
		if err := b.plan.root.fill(viewOf(rows)); err != nil {
			return n, b.fail(err)
		}
		b.advance(k)
		for i := range k {
			line.Reset()
			text(&line, c, rows.Index(i).Field(0))
			line.WriteByte('\n')
			io.WriteString(h, line.String())
		}
		n += k
	}
}

// conformanceFiles finds the Parquet project's test files and Spark's; see .ci/parquet-files.
func conformanceFiles() string {
	if dir := os.Getenv("SPARK_GO_PARQUET_FILES"); dir != "" {
		return dir
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "spark-go-ci", "parquet-files")
}

// refused are the files that are not read, and what the error says of why.
var refused = map[string]string{
	"parquet-testing/datapage_v1-corrupt-checksum.parquet":           "checksum",
	"parquet-testing/rle-dict-uncompressed-corrupt-checksum.parquet": "checksum",
	"spark/delta_length_byte_array.parquet":                          "checksum",
}

// readBeyond are columns that pyarrow refuses and that are read here, with the hashes of what DuckDB reads.
var readBeyond = map[string]expected{
	"parquet-testing/incorrect_map_schema.parquet my_map": {"1", "61de044c2bbb0692"},
}

// TestConformance reads all files of the Parquet project's and of Spark's tests, each column into a type
// made from the schema, and compares with what pyarrow reads. Without the files only those in testdata are read.
func TestConformance(t *testing.T) {
	files, want := readExpected(t)
	top := conformanceFiles()
	if _, err := os.Stat(filepath.Join(top, files[0])); err != nil {
		t.Logf("the whole set of files is not at %s: get it with .ci/parquet-files, or set SPARK_GO_PARQUET_FILES; only those in testdata are read", top)
		top = "testdata"
	}
	read := 0
	for _, name := range files {
		path := filepath.Join(top, name)
		if _, err := os.Stat(path); err != nil && top == "testdata" {
			continue
		}
		if strings.Contains(name, "large_string_map") && os.Getenv("SPARK_GO_SLOW") == "" {
			t.Logf("%s: has strings of 1 GiB and is read with SPARK_GO_SLOW=1 only", name)
			continue
		}
		read++
		got, err := readHashed(t, path)
		if why, ok := refused[name]; ok {
			if err == nil || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: %v, want an error about its %s", name, err, why)
			}
		} else if err != nil {
			t.Errorf("%s: refused: %v", name, err)
		}
		for column, g := range got {
			w, ok := want[name][column]
			if beyond, known := readBeyond[name+" "+column]; known && w.rows == "" {
				w, ok = beyond, true
			}
			if g.rows != "!" && (!ok || w.rows != "!" && g != w) {
				t.Errorf("%s: column %s: %v, want %v", name, column, g, w)
			}
		}
		if err == nil {
			for column := range want[name] {
				if _, ok := got[column]; !ok && column != "-" {
					t.Errorf("%s: column %s is not read", name, column)
				}
			}
		}
	}
	t.Logf("%d files, %d of them refused", read, len(refused))
	if read < 10 {
		t.Errorf("only %d files were read", read)
	}
}

// TestBadData reads the files that broke readers: errors, or values, but no panic.
func TestBadData(t *testing.T) {
	var names []string
	for _, top := range []string{conformanceFiles(), "testdata"} {
		found, _ := filepath.Glob(filepath.Join(top, "bad_data", "*.parquet"))
		names = append(names, found...)
	}
	if len(names) == 0 {
		t.Fatal("no file in testdata/bad_data")
	}
	for _, name := range names {
		_, err := readHashed(t, name)
		t.Logf("%s: %v", filepath.Base(name), err)
		// One is no longer held to be bad: an index of no bits is 0. pyarrow reads the same zeros.
		if err == nil && !strings.Contains(name, "ARROW-GH-43605") {
			t.Errorf("%s is read without an error", name)
		} else if err != nil && strings.Contains(err.Error(), " at github.com/") {
			t.Errorf("%s: the error comes of a panic: %v", name, err)
		}
	}
}

// TestEncryptedFiles are refused by name of the feature.
func TestEncryptedFiles(t *testing.T) {
	names, _ := filepath.Glob(filepath.Join(conformanceFiles(), "parquet-testing", "*.encrypted"))
	more, _ := filepath.Glob("testdata/parquet-testing/*.encrypted")
	for _, name := range append(names, more...) {
		got, err := readHashed(t, name)
		if err == nil || !strings.Contains(err.Error(), "encrypt") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

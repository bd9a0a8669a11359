// Package parquetio reads Parquet into Go structs and writes them.
//
//	type Rating struct {
//		User  int32 `parquet:"userId"`
//		Item  int32 `parquet:"movieId"`
//		Value float32 `parquet:"rating"`
//	}
//	ratings := parquetio.Read[Rating](sc, "hdfs://nn/ratings")
//
// # Fields and columns
//
// A field takes the column that its tag names, exactly; without a tag the one
// of its own name, else the one that is equal without regard to case and
// underscores (UserID finds user_id). The fields of embedded structs count as the struct's own. A
// field tagged "-" is left out. Only the columns that fields name are read.
// A field without a column is an error that lists the columns.
//
// A field may be wider than the column, never narrower: int64 takes int32, float64
// takes float32 and int32, float32 does not take int32. Dates and timestamps
// go to time.Time (UTC) or to their integer, times of day to time.Duration, decimals to Decimal or float64, lists to slices, groups
// to structs, maps to maps or to slices of structs of key and value, UUIDs to [16]byte. docs/parquet.md has the table.
//
// A pointer field is nil for null. Any other field makes a null an error, because a
// zero that nobody wrote is a wrong number; the tag `parquet:"name,nullzero"` asks for
// zeros. A null list is a nil slice, an empty list an empty one.
//
// # Splits
//
// A task reads whole row groups, packed by their size in the file (see
// [filesys.SplitOptions]). The driver reads the footers to plan this.
//
// # How it works
//
// For each file the schema and the struct type are compiled into a plan: one
// typed reader a column, and a tree of parts that put values into fields. A chunk reads the pages of a column
// (see chunk.go), with parquet-go's encodings; values are scattered from the page, or from the dictionary
// through the indexes, straight into the fields of up to 2,048 rows at a time. With a predicate (see Where) its columns are read first,
// and rows, pages, row groups and files that cannot match are skipped. Elements key=value of a file's path are columns too.
//
// # Invariants
//
//   - What is read is right or an error; a damaged file never panics the
//     process and never yields zeros for what could not be read.
//   - Strings share one allocation a page or a dictionary, and stay valid; rows
//     belong to the reader until the next batch.
package parquetio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spark-go/spark-go/io/filesys"
)

// BatchRows is the most rows that a Reader returns at once.
const BatchRows = 2048

// Split is some consecutive row groups of one file, as the driver listed it. It is plain data
// and travels to the task that reads it.
type Split struct {
	URI string
	// Size and ModTime (Unix nanoseconds, 0 if unknown) of the whole file, by
	// which the task sees that the file is still the one that was listed.
	Size    int64
	ModTime int64
	// First and Last row group, Last excluded.
	First, Last int
	Rows        int64
	Bytes       int64 // compressed, of all columns
}

// footerReaders is how many footers PlanSplits reads at a time. They are
// waiting for storage more than computing.
const footerReaders = 16

// PlanSplits divides the row groups of files into partitions, in the files'
// order. It reads the footer of each file. Files without rows yield nothing.
func PlanSplits(ctx context.Context, files []filesys.Info, o filesys.SplitOptions) ([][]Split, error) {
	return planSplits(ctx, files, o, Predicate{}, func(*node) error { return nil })
}

// planSplits is PlanSplits with a look at the schema of each file, for the row groups that may match a predicate.
func planSplits(ctx context.Context, files []filesys.Info, o filesys.SplitOptions, where Predicate, check func(*node) error) ([][]Split, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	listed := len(files)
	files = slices.DeleteFunc(slices.Clone(files), func(f filesys.Info) bool {
		return !mayPath(partitionValues(f.URI), where, false)
	})
	groups := make([][]Split, len(files)) // one split a row group
	skipped := make([]int, len(files))
	errs := make([]error, len(files))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(footerReaders, len(files)) {
		wg.Go(func() {
			for i := range next {
				if groups[i], skipped[i], errs[i] = rowGroups(ctx, files[i], where, check); errs[i] != nil {
					cancel()
				}
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
	// The first file's error is the one to tell; those that came of cancelling are not.
	var first error
	for _, err := range errs {
		if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
			first = err
		}
	}
	if first != nil {
		return nil, first
	}

	if where.Op != "" {
		left, out := 0, 0
		for i := range files {
			left += len(groups[i])
			out += skipped[i]
		}
		slog.Debug("planned to read Parquet", "where", where.String(), "files", listed, "filesSkipped", listed-len(files), "rowGroups", left+out, "rowGroupsSkipped", out)
	}
	var all []Split
	var pieces []filesys.Piece
	var total int64
	for i, g := range groups {
		for _, s := range g {
			all = append(all, s)
			pieces = append(pieces, filesys.Piece{File: i, Bytes: s.Bytes})
			total += s.Bytes
		}
	}
	var partitions [][]Split
	from := 0
	for _, to := range o.Pack(pieces, o.Target(total, len(files))) {
		var part []Split
		for _, s := range all[from:to] {
			if last := len(part) - 1; last >= 0 && part[last].URI == s.URI && part[last].Last == s.First {
				part[last].Last = s.Last
				part[last].Rows += s.Rows
				part[last].Bytes += s.Bytes
			} else {
				part = append(part, s)
			}
		}
		partitions = append(partitions, part)
		from = to
	}
	return partitions, nil
}

// splitOf is a split of a listed file, without row groups.
func splitOf(info filesys.Info) Split {
	s := Split{URI: info.URI, Size: info.Size}
	if !info.ModTime.IsZero() {
		s.ModTime = info.ModTime.UnixNano()
	}
	return s
}

// rowGroups describes each row group of a file as a split.
func rowGroups(ctx context.Context, info filesys.Info, where Predicate, check func(*node) error) (splits []Split, skipped int, err error) {
	s := splitOf(info)
	f, err := openFile(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.close() }()
	defer guard(s.URI, &err)
	if err := check(f.root); err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", s.URI, err)
	}
	var matches *test
	if where.Op != "" {
		if matches, err = compileTest(f.root, where, false); err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", s.URI, err)
		}
	}
	for i := range f.meta.groups {
		g := &f.meta.groups[i]
		if g.rows == 0 {
			continue
		}
		if matches != nil && !matches.mayGroup(f.meta, g) {
			skipped++
			continue
		}
		s.First, s.Last, s.Rows, s.Bytes = i, i+1, g.rows, 0
		for j := range g.columns {
			s.Bytes += max(0, g.columns[j].compressed)
		}
		splits = append(splits, s)
	}
	return splits, skipped, nil
}

// ReadSchema describes the first file of those that the URI stands for.
func ReadSchema(ctx context.Context, uri string) (Schema, error) {
	files, err := filesys.Expand(ctx, uri)
	if err != nil {
		return Schema{}, err
	}
	if len(files) == 0 {
		return Schema{}, fmt.Errorf("read schema of %s: the directory holds no file", uri)
	}
	f, err := openFile(ctx, splitOf(files[0]))
	if err != nil {
		return Schema{}, err
	}
	defer func() { _ = f.close() }()
	s := Schema{Rows: f.meta.rows, RowGroups: len(f.meta.groups)}
	for _, c := range f.root.children {
		s.Fields = append(s.Fields, c.field())
	}
	for _, v := range f.root.constants {
		s.Fields = append(s.Fields, Field{Name: v.name, Type: "string", Optional: v.null})
	}
	return s, nil
}

// file is an open Parquet file.
type file struct {
	uri    string
	source filesys.File
	meta   *footer
	root   *node
}

// guard turns a panic of the libraries on a damaged file into an error. Errors of this package's own making
// come through it too, with the place they come from.
func guard(uri string, err *error) {
	if r := recover(); r != nil {
		where := ""
		if _, ok := r.(runtime.Error); ok {
			where = " at " + panicLine()
		}
		*err = fmt.Errorf("read %s: the file is damaged or has a feature that is not supported: %v%s", uri, r, where)
	}
}

// panicLine is the source line that panicked, for guard.
func panicLine() string {
	pcs := make([]uintptr, 16)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if f.Function != "" && !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

func openFile(ctx context.Context, s Split) (f *file, err error) {
	var modTime time.Time
	if s.ModTime != 0 {
		modTime = time.Unix(0, s.ModTime)
	}
	source, err := filesys.OpenUnchanged(ctx, s.URI, s.Size, modTime)
	if err != nil {
		return nil, err
	}
	f = &file{uri: s.URI, source: source}
	defer func() {
		if err != nil {
			source.Close()
		}
	}()
	defer guard(s.URI, &err)
	if s.Size < 12 {
		return nil, fmt.Errorf("read %s: it has %d bytes, too few for a Parquet file: remove it, or exclude it by a glob", s.URI, s.Size)
	}
	if f.meta, err = readFooter(ctx, source, s.Size); err == nil {
		f.root, err = schemaOf(f.meta.schema)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.URI, err)
	}
	f.root.constants = partitionValues(s.URI)
	f.root.children = slices.DeleteFunc(f.root.children, func(n *node) bool { // as in Spark, the path hides a column of its name
		return slices.ContainsFunc(f.root.constants, func(v partitionValue) bool { return v.name == n.name })
	})
	return f, f.check()
}

// check looks at what the footer says before anything relies on it.
func (f *file) check() error {
	leaves := 0
	for i := range f.meta.schema {
		if f.meta.schema[i].physical >= 0 {
			leaves++
		}
	}
	for i := range f.meta.groups {
		g := &f.meta.groups[i]
		if g.rows < 0 || len(g.columns) != leaves {
			return fmt.Errorf("read %s: row group %d has %d rows and %d of %d columns: the footer is damaged", f.uri, i, g.rows, len(g.columns), leaves)
		}
		for j := range g.columns {
			c := &g.columns[j]
			if c.encrypted || c.filePath != "" {
				continue // refused when it is read
			}
			if start := c.start(); start < 0 || c.compressed < 0 || c.values < 0 || start > f.source.Size() || c.compressed > f.source.Size()-start {
				return fmt.Errorf("read %s: column chunk %d of row group %d lies outside the file: the footer is damaged", f.uri, j, i)
			}
		}
	}
	return nil
}

func (f *file) close() error { return f.source.Close() }

package parquetio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"

	"github.com/spark-go/spark-go/io/filesys"
)

// WriteOptions say how rows are written.
type WriteOptions struct {
	// Mode says what to do when the directory has content, default filesys.ErrorIfExists.
	Mode filesys.SaveMode
	// Compression is "snappy" (default), "zstd", "lz4_raw", "gzip" or "none". LZ4_RAW is the least work to read, but
	// old readers lack it.
	Compression string
	// RowGroupRows bounds the rows of a row group; the default 0 makes row
	// groups of about 64 MiB in memory, at most 1,048,576 rows.
	RowGroupRows int64
	// BloomFilters names columns (dotted paths) that get a Bloom filter of 10 bits a value, by which Where skips row groups
	// on Eq and In. It pays for columns of many different values by which single rows are looked up.
	BloomFilters []string
	// SortedBy names the columns by which the rows of each partition are in order, for the metadata of the file; a name after a minus is in
	// descending order. Nothing is sorted here.
	SortedBy []string
	// PartitionBy names fields of T whose values become directories (year=2026/month=3), as Spark's partitionBy does; the files then
	// lack these columns, and Read gets them back from the paths. See Write.
	PartitionBy []string
}

func (o WriteOptions) codec() (compress.Codec, error) {
	switch strings.ToLower(o.Compression) {
	case "", "snappy":
		return snappyCodec{}, nil
	case "zstd":
		return fastZstd, nil
	case "lz4_raw":
		return lz4Codec{}, nil
	case "gzip":
		return &parquet.Gzip, nil
	case "none", "uncompressed":
		return &parquet.Uncompressed, nil
	}
	return nil, fmt.Errorf("write Parquet: unknown compression %q: use snappy, zstd, lz4_raw, gzip or none", o.Compression)
}

const (
	rowGroupBytes   = 64 << 20
	maxRowGroupRows = 1 << 20
	stringEstimate  = 16      // bytes of a string or slice beyond its header
	maxDictionary   = 1 << 20 // of a column of texts; beyond it, they are written plain
	bloomBits       = 10      // a value: one in a hundred is found that is not there
)

// FileWriter writes structs to one Parquet file. It is for one goroutine.
//
// Columns are named by the fields' tags, `parquet:"name"`, else by the fields. Pointer
// fields make optional columns. Strings get dictionaries, numbers none, since
// dictionaries of many different numbers make files slower to read than they save;
// time.Time becomes a UTC timestamp in microseconds as Spark writes it (what is finer is
// cut off), time.Duration a time of day in nanoseconds, and slices lists, where nil is an
// empty list. A Decimal needs the tag `parquet:"name,decimal(SCALE:PRECISION)"` and is stored, as by Spark, in an int32 up to 9 digits, an int64 up
// to 18, and else in as many bytes as the precision needs; a number that does not fit is an error, never rounded. Statistics and a page index are written.
type FileWriter[T any] struct {
	uri   string
	out   filesys.Writer
	w     rowWriter[T]
	rows  int64
	bytes int64
	done  bool
}

// NewFileWriter starts a file under a URI. It must be closed or aborted; the
// file shows under its name once it is closed.
func NewFileWriter[T any](ctx context.Context, uri string, o WriteOptions) (*FileWriter[T], error) {
	out, err := filesys.Create(ctx, uri)
	if err != nil {
		return nil, err
	}
	w, err := newFileWriter[T](out, uri, o)
	if err != nil {
		return nil, errors.Join(err, out.Abort())
	}
	return w, nil
}

func newFileWriter[T any](out filesys.Writer, uri string, o WriteOptions) (w *FileWriter[T], err error) {
	t := reflect.TypeFor[T]()
	codec, err := o.codec()
	if err != nil {
		return nil, err
	}
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("write %s: rows are structs, not %v: name a struct whose fields are the columns", uri, t)
	}
	rows := o.RowGroupRows
	if rows <= 0 {
		rows = min(maxRowGroupRows, max(1024, rowGroupBytes/max(1, rowBytes(t))))
	}
	tags, err := writeTags(t, nil, 0)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", uri, err)
	}
	fields, err := partitionFields(t, o.PartitionBy)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", uri, err)
	}
	for _, f := range fields { // in the path instead
		at := slices.IndexFunc(tags, func(o parquet.StructTagOption) bool { return len(o.ColumnPath) == 1 && o.ColumnPath[0] == f.goName })
		tags[at].StructTag = `parquet:"-"`
	}
	// The library panics on types and tags that it cannot write.
	defer guardWrite(uri, &err)
	w = &FileWriter[T]{uri: uri, out: out}
	config := &parquet.WriterConfig{
		Compression:        codec,
		DataPageStatistics: true,
		MaxRowsPerRowGroup: rows,
		SchemaConfig:       &parquet.SchemaConfig{StructTags: tags},
		CreatedBy:          "spark-go",
		PageBufferSize:     parquet.DefaultPageBufferSize,
		WriteBufferSize:    1 << 20,
		DataPageVersion:    1, // what every reader understands
		DictionaryMaxBytes: maxDictionary,
	}
	written, err := shadowOf(t)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", uri, err)
	}
	schema := parquet.SchemaOf(reflect.Zero(written.typ).Interface(), schemaOptions(tags)...)
	for _, name := range o.BloomFilters {
		path, err := columnPath(schema, name)
		if err != nil {
			return nil, fmt.Errorf("write %s: Bloom filter: %w", uri, err)
		}
		config.BloomFilters = append(config.BloomFilters, parquet.SplitBlockFilter(bloomBits, path...))
	}
	for _, name := range o.SortedBy {
		name, descending := strings.CutPrefix(name, "-")
		path, err := columnPath(schema, name)
		if err != nil {
			return nil, fmt.Errorf("write %s: order: %w", uri, err)
		}
		column := parquet.Ascending(path...)
		if descending {
			column = parquet.Descending(path...)
		}
		config.Sorting.SortingColumns = append(config.Sorting.SortingColumns, column)
	}
	counted := &countingWriter{out, &w.bytes}
	if written.copy != nil {
		w.w = newShadowWriter[T](counted, written, schema, config)
	} else {
		w.w = parquet.NewGenericWriter[T](counted, config)
	}
	return w, nil
}

func schemaOptions(tags []parquet.StructTagOption) []parquet.SchemaOption {
	options := make([]parquet.SchemaOption, len(tags))
	for i := range tags {
		options[i] = &tags[i]
	}
	return options
}

// columnPath finds a column of the schema to be written.
func columnPath(schema *parquet.Schema, name string) ([]string, error) {
	path := strings.Split(name, ".")
	if _, ok := schema.Lookup(path...); ok {
		return path, nil
	}
	var names []string
	for _, c := range schema.Columns() {
		names = append(names, strings.Join(c, "."))
	}
	return nil, fmt.Errorf("there is no column %q: the columns are: %s", name, strings.Join(names, ", "))
}

type countingWriter struct {
	w io.Writer
	n *int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	*c.n += int64(n)
	return n, err
}

func guardWrite(uri string, err *error) {
	if r := recover(); r != nil {
		if e, ok := r.(runtime.Error); ok {
			r = fmt.Sprintf("%v at %s", e, panicLine())
		}
		*err = fmt.Errorf("write %s: the row type cannot be written: %v", uri, r)
	}
}

// rowBytes estimates the memory of a row from its type.
func rowBytes(t reflect.Type) int64 {
	n := int64(t.Size())
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			switch f := t.Field(i).Type; f.Kind() {
			case reflect.String, reflect.Slice, reflect.Map:
				n += stringEstimate
			case reflect.Pointer:
				n += int64(f.Elem().Size())
			}
		}
	}
	return n
}

// writeTags says for each field of a struct how it is written, in the words of parquet-go's tags.
func writeTags(t reflect.Type, path []string, depth int) ([]parquet.StructTagOption, error) {
	if depth > 32 {
		return nil, fmt.Errorf("%v is nested more than 32 deep: a type that holds itself cannot be a row", t)
	}
	var tags []parquet.StructTagOption
	for i := range t.NumField() {
		f := t.Field(i)
		tag := tagOf(f)
		if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Type != timeType && f.Type != decimalType {
			inner, err := writeTags(f.Type, path, depth+1)
			if err != nil {
				return nil, err
			}
			tags = append(tags, inner...)
			continue
		}
		if !f.IsExported() || tag.skip {
			continue
		}
		name := tag.name
		if name == "" {
			name = f.Name
		}
		here := append(path[:len(path):len(path)], f.Name)
		options := []string{name}
		_, given, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		for o := range strings.SplitSeq(given, ",") {
			if o != "" && o != "nullzero" { // nullzero is about reading
				options = append(options, o)
			}
		}
		base := f.Type
		for base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		elem := base
		for elem.Kind() == reflect.Slice || elem.Kind() == reflect.Pointer || elem.Kind() == reflect.Map {
			elem = elem.Elem()
		}
		if elem == intervalType {
			return nil, fmt.Errorf("field %v.%s: an Interval is read but not written, since no current system takes it: write months and a time.Duration as two columns", t, f.Name)
		}
		if elem == decimalType && elem != base {
			return nil, fmt.Errorf("field %v.%s: %v is not written: make its elements structs with a field of type Decimal", t, f.Name, f.Type)
		}
		if base.Kind() == reflect.Array && strings.Contains(given, "decimal(") {
			return nil, fmt.Errorf("field %v.%s: bytes are not written as a decimal: make it a parquetio.Decimal", t, f.Name)
		}
		plain := len(options) == 1 // nothing is prescribed
		switch {
		case !plain:
		case base == timeType:
			options = append(options, "timestamp(microsecond)")
		case base == durationType:
			options = append(options, "time(nanosecond)")
		case base.Kind() == reflect.String:
			options = append(options, "dict")
		case base.Kind() == reflect.Slice && base.Elem().Kind() != reflect.Uint8:
			options = append(options, "list")
		}
		tags = append(tags, parquet.StructTagOption{
			ColumnPath: here, StructTag: reflect.StructTag(fmt.Sprintf("parquet:%q", strings.Join(options, ","))),
		})
		below := append(path[:len(path):len(path)], name)
		for base.Kind() == reflect.Slice || base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		if base.Kind() == reflect.Struct && base != timeType && base != decimalType {
			inner, err := writeTags(base, below, depth+1)
			if err != nil {
				return nil, err
			}
			tags = append(tags, inner...)
		}
	}
	return tags, nil
}

// Write appends rows.
func (w *FileWriter[T]) Write(rows []T) (err error) {
	defer guardWrite(w.uri, &err)
	if _, err := w.w.Write(rows); err != nil {
		return fmt.Errorf("write %s: %w", w.uri, err)
	}
	w.rows += int64(len(rows))
	return nil
}

// Close finishes the file and makes it visible.
func (w *FileWriter[T]) Close() (err error) {
	if w.done {
		return nil
	}
	w.done = true
	defer func() {
		if err != nil {
			err = errors.Join(err, w.out.Abort())
		}
	}()
	defer guardWrite(w.uri, &err)
	if err := w.w.Close(); err != nil {
		return fmt.Errorf("write %s: %w", w.uri, err)
	}
	return w.out.Close()
}

// Abort discards the file; after Close it does nothing.
func (w *FileWriter[T]) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	return w.out.Abort()
}

// PartWriter writes the rows of one partition into one part file of an output directory.
type PartWriter[T any] struct {
	*FileWriter[T]
	part *filesys.TaskWriter
}

// NewPartWriter starts the file of a partition. It must be closed or aborted.
func NewPartWriter[T any](ctx context.Context, o filesys.Output, partition int, options WriteOptions) (*PartWriter[T], error) {
	return newPartWriter[T](ctx, o, partition, "", ".parquet", options)
}

func newPartWriter[T any](ctx context.Context, o filesys.Output, partition int, dir, extension string, options WriteOptions) (*PartWriter[T], error) {
	out, err := o.CreateTaskIn(ctx, partition, dir, extension)
	if err != nil {
		return nil, err
	}
	w, err := newFileWriter[T](out, out.URI(), options)
	if err != nil {
		return nil, errors.Join(err, out.Abort())
	}
	return &PartWriter[T]{w, out}, nil
}

// Close finishes the file, still in its temporary place, and returns what
// filesys.Output.Commit needs to publish it.
func (w *PartWriter[T]) Close() (filesys.TaskFile, error) {
	if err := w.FileWriter.Close(); err != nil {
		return filesys.TaskFile{}, err
	}
	return w.part.File(w.rows), nil
}

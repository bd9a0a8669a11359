// Package csvio reads delimited text (CSV, TSV) into Go structs and writes them.
//
//	type Person struct {
//		Name string
//		Age  *int32    `csv:"age_years"` // nil where the file has nothing
//		Born time.Time `csv:"born,format=02.01.2006"`
//	}
//	people := csvio.Read[Person](sc, "s3://bucket/people/*.csv.gz", csvio.Options{Header: true})
//
// # Fields and columns
//
// A field takes the column that its tag names, exactly; without a tag the one of its own name, else the one that is
// equal without regard to case and underscores (UserID finds user_id), as in package parquetio. Names come from each file's
// header, so files may order their columns differently, or from Options.Columns; without either the columns are the fields in their order. The fields
// of embedded structs count as the struct's own, a field tagged "-" is left out, columns that no field names are
// skipped, and a field without a column is an error that lists the columns.
//
// Fields are strings, []byte, bools, integers, floats, time.Time, time.Duration (as 1h2m3s), what implements
// encoding.TextUnmarshaler, and pointers to all of these. Nothing is inferred: a text that is not of the field's type, or
// out of its range, makes a bad line.
//
// # Nulls
//
// A field without quotes that is equal to Options.NullValue (by default empty) is null; for fields of T other than strings so is any empty one. A pointer is nil for
// null. For any other field a null is a bad line, because a zero that nobody wrote is a wrong number; the
// tag `csv:"name,nullzero"` asks for zeros. Plain strings take empty text as it is.
//
// # Records
//
// The grammar is RFC 4180's: a field in quotes may hold delimiters, line breaks and, doubled, quotes. A quote inside a field that
// does not begin with one is text. What follows a closing quote must be the delimiter or the line's end. Lines end with \n or
// \r\n; inside quotes both are kept as they are. Empty lines are left out.
// Text is bytes: UTF-8 is not checked; a byte order mark is left out.
//
// # Splits
//
// Big files are cut by size and read by several tasks (see [textio.PlanLines]). Whether a task's part begins inside quotes cannot be told without everything before it; a task
// guesses, and the task before it proves the guess or fails the job, so that rows are never wrong. Options.SingleLine promises that no record spans lines, which needs no guess;
// Options.MultiLine makes each file one task, for files of which the guess fails.
//
// # How it works
//
// A record is cut into fields in the read buffer first; then each field of T parses its own bytes, straight into
// the row. Rows are reused from batch to batch, which lets the places of all their fields be looked up once. The texts of a batch share
// one allocation.
package csvio

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// Options say how CSV is read and written. The zero value is RFC 4180 without a header.
type Options struct {
	// Header says that the first record of each file names the columns; written files get one. Default false, as Spark's.
	Header bool
	// Columns names the columns of files without a header. Default: T's fields in their order.
	Columns []string
	// Delimiter stands between fields, default ','.
	Delimiter byte
	// Quote surrounds fields, default '"'.
	Quote byte
	// NoQuotes says that quotes mean nothing.
	NoQuotes bool
	// Escape stands before a quote, or before itself, inside quotes. The default is the quote itself, that is doubled
	// quotes, as in RFC 4180 (Spark's default is '\\'). Doubled quotes are understood always.
	Escape byte
	// Comment begins lines to leave out. Default 0: none do.
	Comment byte
	// NullValue stands for null, default empty.
	NullValue string
	// TimeFormats are the layouts of package time that are tried in order; the first is written. A tag's format= goes before. Default:
	// RFC 3339 with T or blank between date and time, with or without a zone (then UTC), and dates alone.
	TimeFormats []string
	// TrimSpace drops blanks and tabs around fields without quotes, and around quotes.
	TrimSpace bool
	// Ragged takes rows with too few fields, the rest being null, and with too many, the rest being dropped. Default: such rows are bad.
	Ragged bool
	// SingleLine promises that no record spans lines, as Spark's default does. A quote that is still open
	// at the end of a line makes a bad line then.
	SingleLine bool
	// MultiLine makes each file one task, as Spark's option of that name. Without it big files are read by several tasks, also where
	// records span lines; a file in which it cannot be told which line breaks are in quotes fails the job with an error that names this option.
	MultiLine bool
	// BadLines says what becomes of bad records, default: the job fails.
	BadLines textio.BadLines
	// MinPartitions asks for at least so many partitions; default spark.default.parallelism.
	MinPartitions int

	// Mode says what to do when the directory has content, default filesys.ErrorIfExists. (Writing.)
	Mode filesys.SaveMode
	// Compression is "" for none, "gzip" or "zstd". (Writing; what is read is known by its name.)
	Compression string
}

// check fills in the defaults.
func (o Options) check() (Options, error) {
	if o.Delimiter == 0 {
		o.Delimiter = ','
	}
	if o.Quote == 0 {
		o.Quote = '"'
	}
	if o.Escape == 0 {
		o.Escape = o.Quote
	}
	bytes := map[string]byte{"delimiter": o.Delimiter, "quote": o.Quote, "escape": o.Escape, "comment": o.Comment}
	for _, name := range []string{"delimiter", "quote", "escape", "comment"} {
		b := bytes[name]
		if b == '\n' || b == '\r' || b >= 0x80 {
			return o, fmt.Errorf("the %s is %q: choose an ASCII character other than a line end", name, b)
		}
	}
	switch {
	case !o.NoQuotes && o.Delimiter == o.Quote, o.Delimiter == o.Escape && !o.NoQuotes, o.Delimiter == o.Comment:
		return o, fmt.Errorf("the delimiter %q is quote, escape or comment too: choose different characters", o.Delimiter)
	case o.Comment != 0 && o.Comment == o.Quote && !o.NoQuotes:
		return o, fmt.Errorf("the comment %q is the quote too: choose different characters", o.Comment)
	case strings.ContainsAny(o.NullValue, "\n\r"+string(rune(o.Delimiter))) || !o.NoQuotes && strings.IndexByte(o.NullValue, o.Quote) >= 0,
		o.Comment != 0 && strings.IndexByte(o.NullValue, o.Comment) == 0, o.TrimSpace && o.NullValue != strings.Trim(o.NullValue, " \t"):
		return o, fmt.Errorf("the null value %q cannot stand in a field without quotes: choose a plain word", o.NullValue)
	case o.SingleLine && o.MultiLine:
		return o, fmt.Errorf("both SingleLine and MultiLine are set: records span lines or they do not")
	case o.Header && len(o.Columns) > 0:
		return o, fmt.Errorf("both Header and Columns are set: columns are named by the header or by the program")
	}
	return o, nil
}

// Read makes a dataset of the records of CSV files: uri is a file, a directory, a glob or a comma list, of any registered file system; names that end in .gz,
// .zst or .bz2 are decompressed. The files are listed now; an error shows at the first action.
func Read[T any](s rdd.Session, uri string, o Options) rdd.RDD[T] {
	o, err := o.check()
	if err == nil {
		_, err = newDecoder[T](o)
	}
	if err != nil {
		err = fmt.Errorf("read %s: %w", uri, err)
	}
	divide := textio.PlanLines
	if o.MultiLine {
		divide = textio.PlanFiles
	}
	return textio.ReadRows(s, "ReadCSV", uri, textio.Format[T](format[T]{o}), []int{o.MinPartitions}, divide, err)
}

type format[T any] struct{ Options Options }

// NewDecoder implements textio.Format.
func (f format[T]) NewDecoder() (textio.Decoder[T], error) { return newDecoder[T](f.Options) }

// newDecoder looks the fields of T up.
func newDecoder[T any](o Options) (*decoder[T], error) {
	fields, err := fieldsOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	d := &decoder[T]{options: o, fields: fields, scanner: newScanner(o), arena: &arena{}, walk: walkMost}
	for _, f := range fields {
		c, err := newColumn(f, o, d.arena)
		if err != nil {
			return nil, err
		}
		d.columns = append(d.columns, c)
	}
	if !o.Header {
		return d, d.match(nil)
	}
	return d, nil
}

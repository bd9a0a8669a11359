// Package jsonio reads JSON lines into Go values and writes them: one JSON value a line (NDJSON), as Spark's json source in its
// default mode.
//
// A line becomes a row as [encoding/json] makes one: fields by `json:"name"` tags or, without regard to case, by name; unknown members are left
// out, missing ones leave the zero value, null too (a pointer tells them from zeros). What does not fit its field
// is a bad line, as is what follows the value. Empty lines are left out. A byte order mark is left out; invalid UTF-8 in
// strings becomes U+FFFD, as encoding/json has it.
//
// JSON allows no line break inside a value written on one line, so uncompressed files are split by size like text.
package jsonio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// Options say how JSON lines are read and written.
type Options struct {
	// BadLines says what becomes of lines that are not JSON or do not fit the row type, default: the job fails.
	BadLines textio.BadLines
	// MinPartitions asks for at least so many partitions; default spark.default.parallelism.
	MinPartitions int

	// Mode says what to do when the directory has content, default filesys.ErrorIfExists. (Writing.)
	Mode filesys.SaveMode
	// Compression is "" for none, "gzip" or "zstd". (Writing; what is read is known by its name.)
	Compression string
}

// Read makes a dataset of the values of JSON lines files: uri is a file, a directory, a glob or a comma list, of any registered file system; names that
// end in .gz, .zst or .bz2 are decompressed. The files are listed now; an error shows at the first action.
func Read[T any](s rdd.Session, uri string, o Options) rdd.RDD[T] {
	return textio.ReadRows(s, "ReadJSON", uri, textio.Format[T](format[T]{o}), []int{o.MinPartitions}, textio.PlanLines, nil)
}

type format[T any] struct{ Options Options }

// NewDecoder implements textio.Format.
func (f format[T]) NewDecoder() (textio.Decoder[T], error) {
	return &decoder[T]{bad: f.Options.BadLines, rows: make([]T, 0, batchRows)}, nil
}

const (
	batchRows  = 1024
	batchBytes = 1 << 20 // of text, beyond which a batch ends
)

type decoder[T any] struct {
	bad   textio.BadLines
	rows  []T
	ctx   context.Context
	in    *textio.SplitReader
	tally textio.BadTally
	line  int64 // read so far, of the split
}

// Open implements textio.Decoder.
func (d *decoder[T]) Open(ctx context.Context, s textio.Split) error {
	in, err := textio.OpenSplit(ctx, s)
	if err != nil {
		return err
	}
	d.ctx, d.in, d.line, d.tally = ctx, in, 0, d.bad.Tally(s)
	return nil
}

// Close implements textio.Decoder.
func (d *decoder[T]) Close() error { return d.in.Close() }

// Next implements textio.Decoder.
func (d *decoder[T]) Next() ([]T, error) {
	clear(d.rows) // Unmarshal writes into what pointers and slices of a row point to
	rows := d.rows[:0]
	for begin := d.in.Offset(); len(rows) < cap(rows) && (len(rows) == 0 || d.in.Offset()-begin < batchBytes); {
		offset := d.in.Offset()
		line, err := d.in.Line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		d.line++
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		rows = rows[:len(rows)+1]
		err = json.Unmarshal(line, &rows[len(rows)-1])
		if err == nil {
			continue
		}
		var zero T
		rows[len(rows)-1] = zero
		rows = rows[:len(rows)-1]
		bad := textio.BadLine{Offset: offset, Line: d.line, Reason: reason(line, err)}
		if err := d.tally.Add(d.ctx, bad, line); err != nil {
			return nil, err
		}
	}
	d.rows = rows
	d.tally.Flush()
	if len(rows) == 0 {
		return nil, io.EOF
	}
	return rows, nil
}

// reason words what encoding/json found.
func reason(line []byte, err error) string {
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		at := int(max(0, min(syntax.Offset-1, int64(len(line)))))
		return fmt.Sprintf("character %d: %v, at %.60q", at+1, err, line[at:])
	case errors.As(err, &typ) && typ.Field != "":
		return fmt.Sprintf("character %d: a %s for field %s, a %v", typ.Offset, typ.Value, typ.Field, typ.Type)
	case errors.As(err, &typ):
		return fmt.Sprintf("character %d: a %s for a %v", typ.Offset, typ.Value, typ.Type)
	}
	return err.Error()
}

// Write writes a dataset into a directory, one file a partition (part-00000.json, with .gz or .zst if compressed), each row as json.Marshal writes it but with <, > and & as
// they are, and a line feed. Nothing shows under its final name before every task is done; the file _SUCCESS comes last. See filesys.Output for
// what happens on failure.
func Write[T any](ctx context.Context, r rdd.RDD[T], uri string, o Options) error {
	save := textio.SaveOptions{Mode: o.Mode, Compression: o.Compression}
	return textio.SaveRows(ctx, r, uri, "WriteJSON", ".json", textio.Encoder[T](encoder[T]{}), save)
}

type encoder[T any] struct{}

// Begin implements textio.Encoder.
func (encoder[T]) Begin() (head []byte, appendRows func([]byte, []T) ([]byte, error), err error) {
	return nil, func(dst []byte, rows []T) ([]byte, error) {
		out := bytes.NewBuffer(dst)
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		for i := range rows {
			if err := e.Encode(&rows[i]); err != nil {
				return nil, err
			}
		}
		return out.Bytes(), nil
	}, nil
}

package textio

import (
	"context"
	"fmt"
	"io"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

// Format reads the rows of files of some format. Implementations are plain structs that travel to the tasks.
type Format[T any] interface {
	NewDecoder() (Decoder[T], error)
}

// Decoder reads the rows of splits, one split after the other. It is for one goroutine.
type Decoder[T any] interface {
	// Open begins a split.
	Open(ctx context.Context, s Split) error
	// Next returns the next rows, at least one, or io.EOF at the end of the split. They are good until the next call.
	Next() ([]T, error)
	// Close releases the split's file. It may be called more than once, and at any time.
	Close() error
}

// ReadRows makes a dataset of the rows of files: the common part of formats' Read functions. divide cuts the files into
// partitions: PlanLines, PlanFiles or the like. err is what the format found wrong with the request, or nil.
func ReadRows[T any](s rdd.Session, kind, uri string, f Format[T], minPartitions []int, divide func([]filesys.Info, filesys.SplitOptions) [][]Split, err error) rdd.RDD[T] {
	var splits [][]Split
	if err == nil {
		splits, err = plan(s, uri, minPartitions, divide)
	}
	return near(rdd.FromSource(s, kind, rowSource[T]{f}, splits, err), splits)
}

type rowSource[T any] struct{ Format Format[T] }

// Open implements rdd.Source.
func (r rowSource[T]) Open(t *rdd.Task, splits []Split) (rdd.Stream[T], error) {
	d, err := r.Format.NewDecoder()
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { _ = d.Close() }) // what was read was read
	return &rowStream[T]{task: t, splits: splits, decoder: d}, nil
}

// rowStream reads the splits of a partition one after the other.
type rowStream[T any] struct {
	task    *rdd.Task
	splits  []Split
	decoder Decoder[T]
	open    bool
}

// Next implements rdd.Stream.
func (s *rowStream[T]) Next() ([]T, error) {
	for {
		if !s.open {
			if len(s.splits) == 0 {
				return nil, io.EOF
			}
			if err := s.decoder.Open(s.task.Context(), s.splits[0]); err != nil {
				return nil, err
			}
			s.open = true
			s.task.BytesRead += s.splits[0].Length
			s.splits = s.splits[1:]
		}
		rows, err := s.decoder.Next()
		if err == nil {
			s.task.RowsRead += int64(len(rows))
			return rows, nil
		}
		if err != io.EOF {
			return nil, err
		}
		s.open = false
		if err := s.decoder.Close(); err != nil {
			return nil, err
		}
	}
}

// Encoder writes rows as the bytes of a format. Implementations are plain structs that travel to the tasks.
type Encoder[T any] interface {
	// Begin returns what a file starts with, and the function that appends rows to dst, for one goroutine.
	Begin() (head []byte, appendRows func(dst []byte, rows []T) ([]byte, error), err error)
}

// SaveRows writes a dataset into a directory, one part file a partition with the given extension (such as .csv) and that of the compression: the common part of
// formats' Write functions. Nothing shows under its final name before every task is done; see filesys.Output.
func SaveRows[T any](ctx context.Context, r rdd.RDD[T], uri, kind, extension string, e Encoder[T], o SaveOptions) error {
	if _, err := o.codec(); err != nil {
		return err
	}
	if _, _, err := e.Begin(); err != nil {
		return fmt.Errorf("write %s: %w", uri, err)
	}
	if err := r.Err(); err != nil {
		return err
	}
	out, err := filesys.NewOutput(ctx, uri, o.Mode)
	if err != nil || out.Skip {
		return err
	}
	op := saveRows[T]{Parent: r, Output: out, Options: o, Extension: extension, Encoder: e}
	return out.Publish(ctx, rdd.New[filesys.TaskFile](r.Session(), kind, op, r.NumPartitions(), nil, rdd.Narrow{Node: r.Node()}).Collect)
}

// saveRows writes each partition of its parent and yields what it wrote.
type saveRows[T any] struct {
	Parent    rdd.RDD[T]
	Output    filesys.Output
	Options   SaveOptions
	Extension string
	Encoder   Encoder[T]
}

// Compute implements rdd.Op.
func (o saveRows[T]) Compute(t *rdd.Task, p int) (rdd.Stream[filesys.TaskFile], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	head, appendRows, err := o.Encoder.Begin()
	if err != nil {
		return nil, err
	}
	w, err := newPartWriter(t.Context(), o.Output, p, o.Extension, o.Options)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { _ = w.Abort() })
	buf := head
	for {
		if _, err := w.buf.Write(buf); err != nil {
			return nil, fmt.Errorf("write %s: %w", w.out.URI(), err)
		}
		rows, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if buf, err = appendRows(buf[:0], rows); err != nil {
			return nil, fmt.Errorf("write partition %d of %s: %w", p, o.Output.URI, err)
		}
		w.rows += int64(len(rows))
	}
	if err := t.AskCommit(); err != nil {
		return nil, err
	}
	f, err := w.Close()
	if err != nil {
		return nil, err
	}
	t.RowsWritten += f.Rows
	t.BytesWritten += f.Bytes
	return rdd.StreamOf([]filesys.TaskFile{f}), nil
}

// linesEncoder ends each row with a line feed.
type linesEncoder struct{}

// Begin implements Encoder.
func (linesEncoder) Begin() (head []byte, appendRows func([]byte, []string) ([]byte, error), err error) {
	return nil, func(dst []byte, rows []string) ([]byte, error) {
		for _, l := range rows {
			dst = append(append(dst, l...), '\n')
		}
		return dst, nil
	}, nil
}

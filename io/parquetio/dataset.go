package parquetio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/rdd"
)

// Read makes a dataset of the rows of Parquet files: uri is a file, a directory, a glob or a comma list, and T a struct whose fields
// are the columns to read. Partitions are row groups packed by size (see PlanSplits);
// minPartitions, or else spark.default.parallelism, asks for at least so many. The
// footers are read and held against T now; an error shows at the first action.
func Read[T any](s rdd.Session, uri string, minPartitions ...int) rdd.RDD[T] {
	splits, err := plans(s, uri, minPartitions, func(root *node) error {
		_, err := compilePlan(root, reflect.TypeFor[T]())
		return err
	})
	return near(rdd.FromSource(s, "ReadParquet", structSource[T]{}, splits, err), splits)
}

// ReadColumns makes a dataset of batches of some columns, for programs that know the columns only at run
// time. Each batch is one row of the dataset; rdd.FlatMap turns it into rows of one's own.
func ReadColumns(s rdd.Session, uri string, columns []Select, minPartitions ...int) rdd.RDD[Batch] {
	splits, err := plans(s, uri, minPartitions, func(root *node) error {
		_, _, err := compileColumns(root, columns)
		return err
	})
	return near(rdd.FromSource(s, "ReadColumns", columnSource{Columns: columns}, splits, err), splits)
}

func plans(s rdd.Session, uri string, minPartitions []int, check func(*node) error) ([][]Split, error) {
	n := s.DefaultPartitions()
	if len(minPartitions) > 0 && minPartitions[0] > 0 {
		n = minPartitions[0]
	}
	o, err := filesys.SplitSettings(s.Setting, n)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	files, err := filesys.Expand(ctx, uri)
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read %s: the directory holds no file: hidden ones, whose names begin with _ or a dot, do not count", uri)
	}
	return planSplits(ctx, files, o, check)
}

// rows is what a Reader and a ColumnReader have in common.
type rows[T any] interface {
	Next() ([]T, error)
	Close() error
}

// partition reads the splits of a partition one after the other.
type partition[T any] struct {
	task   *rdd.Task
	splits []Split
	open   func(context.Context, Split) (rows[T], error)
	reader rows[T]
}

func newPartition[T any](t *rdd.Task, splits []Split, open func(context.Context, Split) (rows[T], error)) rdd.Stream[T] {
	p := &partition[T]{task: t, splits: splits, open: open}
	t.OnDone(func(bool) { p.close() })
	return p
}

func (p *partition[T]) close() {
	if p.reader != nil {
		_ = p.reader.Close() // what was read was read
		p.reader = nil
	}
}

func (p *partition[T]) Next() ([]T, error) {
	for {
		if p.reader == nil {
			if len(p.splits) == 0 {
				return nil, io.EOF
			}
			r, err := p.open(p.task.Context(), p.splits[0])
			if err != nil {
				return nil, err
			}
			p.reader = r
			p.task.RowsRead += p.splits[0].Rows
			p.task.BytesRead += p.splits[0].Bytes
			p.splits = p.splits[1:]
		}
		batch, err := p.reader.Next()
		if err != io.EOF {
			return batch, err
		}
		p.close()
	}
}

type structSource[T any] struct{}

func (structSource[T]) Open(t *rdd.Task, splits []Split) (rdd.Stream[T], error) {
	return newPartition(t, splits, func(ctx context.Context, s Split) (rows[T], error) { return NewReader[T](ctx, s) }), nil
}

type columnSource struct{ Columns []Select }

func (c columnSource) Open(t *rdd.Task, splits []Split) (rdd.Stream[Batch], error) {
	return newPartition(t, splits, func(ctx context.Context, s Split) (rows[Batch], error) {
		r, err := NewColumnReader(ctx, s, c.Columns...)
		return &batchRows{ColumnReader: r}, err
	}), nil
}

// batchRows gives out one batch at a time as a slice of one.
type batchRows struct {
	*ColumnReader
	one [1]Batch
}

func (b *batchRows) Next() ([]Batch, error) {
	var err error
	b.one[0], err = b.ColumnReader.Next()
	if err != nil {
		return nil, err
	}
	return b.one[:], nil
}

// Write writes a dataset of structs into a directory, one file a partition (part-00000.parquet). Nothing shows under its final
// name before every task is done; the file _SUCCESS comes last. FileWriter says
// how fields become columns, filesys.Output what happens on failure.
func Write[T any](ctx context.Context, r rdd.RDD[T], uri string, options ...WriteOptions) error {
	var o WriteOptions
	if len(options) > 0 {
		o = options[0]
	}
	if _, err := o.codec(); err != nil {
		return err
	}
	if err := r.Err(); err != nil {
		return err
	}
	out, err := filesys.NewOutput(ctx, uri, o.Mode)
	if err != nil || out.Skip {
		return err
	}
	op := writeOp[T]{Parent: r, Output: out, Options: o}
	files, err := rdd.New[filesys.TaskFile](r.Session(), "WriteParquet", op, r.NumPartitions(), nil, rdd.Narrow{Node: r.Node()}).Collect(ctx)
	if err == nil {
		err = out.Commit(ctx, files)
	}
	if err != nil {
		// The temporary files go also when ctx was cancelled.
		return errors.Join(err, out.Abort(context.WithoutCancel(ctx)))
	}
	return nil
}

// writeOp writes each partition of its parent and yields what it wrote.
type writeOp[T any] struct {
	Parent  rdd.RDD[T]
	Output  filesys.Output
	Options WriteOptions
}

func (o writeOp[T]) Compute(t *rdd.Task, p int) (rdd.Stream[filesys.TaskFile], error) {
	in, err := o.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	w, err := NewPartWriter[T](t.Context(), o.Output, p, o.Options)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { _ = w.Abort() })
	for {
		rows, err := in.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = w.Write(rows)
		}
		if err != nil {
			return nil, err
		}
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

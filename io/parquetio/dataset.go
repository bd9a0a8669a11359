package parquetio

import (
	"context"
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
	return Where[T](s, uri, Predicate{}, minPartitions...)
}

// Where is Read for the rows for which the predicate is true:
//
//	parquetio.Where[Rating](sc, uri, parquetio.And(parquetio.Col[int32]("userId").Eq(7), parquetio.Col[int]("year").Ge(2025)))
//
// The predicate's columns need not be fields of T. Files whose partition values exclude them are not opened and row groups
// whose statistics exclude them get no task; a task then skips row groups by their Bloom filters, pages by the column index, and drops what
// rows are left that do not match. How much was skipped is logged at the level Debug, and counted by Reader.Skipped.
func Where[T any](s rdd.Session, uri string, where Predicate, minPartitions ...int) rdd.RDD[T] {
	splits, err := plans(s, uri, minPartitions, where, func(root *node) error {
		_, err := compilePlan(root, reflect.TypeFor[T]())
		return err
	})
	return near(rdd.FromSource(s, "ReadParquet", structSource[T]{Where: where}, splits, err), splits)
}

// ReadColumns makes a dataset of batches of some columns, for programs that know the columns only at run
// time. Each batch is one row of the dataset; rdd.FlatMap turns it into rows of one's own.
func ReadColumns(s rdd.Session, uri string, columns []Select, minPartitions ...int) rdd.RDD[Batch] {
	return ColumnsWhere(s, uri, columns, Predicate{}, minPartitions...)
}

// ColumnsWhere is ReadColumns for the rows for which the predicate is true; see Where.
func ColumnsWhere(s rdd.Session, uri string, columns []Select, where Predicate, minPartitions ...int) rdd.RDD[Batch] {
	splits, err := plans(s, uri, minPartitions, where, func(root *node) error {
		_, _, err := compileColumns(root, columns)
		return err
	})
	return near(rdd.FromSource(s, "ReadColumns", columnSource{Columns: columns, Where: where}, splits, err), splits)
}

func plans(s rdd.Session, uri string, minPartitions []int, where Predicate, check func(*node) error) ([][]Split, error) {
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
	return planSplits(ctx, files, o, where, check)
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

type structSource[T any] struct{ Where Predicate }

func (src structSource[T]) Open(t *rdd.Task, splits []Split) (rdd.Stream[T], error) {
	return newPartition(t, splits, func(ctx context.Context, s Split) (rows[T], error) { return NewReaderWhere[T](ctx, s, src.Where) }), nil
}

type columnSource struct {
	Columns []Select
	Where   Predicate
}

func (c columnSource) Open(t *rdd.Task, splits []Split) (rdd.Stream[Batch], error) {
	return newPartition(t, splits, func(ctx context.Context, s Split) (rows[Batch], error) {
		r, err := NewColumnReaderWhere(ctx, s, c.Where, c.Columns...)
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
//
// With PartitionBy, each partition of the dataset writes a file into every directory that its rows belong to. Partition the dataset by the same fields first
// if it has many directories, or there will be as many files as the product.
func Write[T any](ctx context.Context, r rdd.RDD[T], uri string, options ...WriteOptions) error {
	var o WriteOptions
	if len(options) > 0 {
		o = options[0]
	}
	if _, err := o.codec(); err != nil {
		return err
	}
	if _, err := partitionFields(reflect.TypeFor[T](), o.PartitionBy); err != nil {
		return fmt.Errorf("write %s: %w", uri, err)
	}
	if err := r.Err(); err != nil {
		return err
	}
	out, err := filesys.NewOutput(ctx, uri, o.Mode)
	if err != nil || out.Skip {
		return err
	}
	op := writeOp[T]{Parent: r, Output: out, Options: o}
	return out.Publish(ctx, rdd.New[filesys.TaskFile](r.Session(), "WriteParquet", op, r.NumPartitions(), nil, rdd.Narrow{Node: r.Node()}).Collect)
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
	w, err := newTaskWriter[T](t.Context(), o.Output, p, o.Options)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { w.abort() })
	for {
		rows, err := in.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = w.write(rows)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := t.AskCommit(); err != nil {
		return nil, err
	}
	files, err := w.close()
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		t.RowsWritten += f.Rows
		t.BytesWritten += f.Bytes
	}
	return rdd.StreamOf(files), nil
}

package arrowio

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/spark-go/spark-go/io/filesys"
)

// WriteFile writes record batches of one schema to an Arrow IPC file, which shows under its name once it is whole.
func WriteFile(ctx context.Context, uri string, batches ...arrow.RecordBatch) (err error) {
	if len(batches) == 0 {
		return fmt.Errorf("write %s: there is no record batch: give one, which may be without rows, for its schema", uri)
	}
	out, err := filesys.Create(ctx, uri)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", uri, errors.Join(err, out.Abort()))
		}
	}()
	w, err := ipc.NewFileWriter(out, ipc.WithSchema(batches[0].Schema()))
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.Write(b); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

// ReadFile calls f with each record batch of an Arrow IPC file, in order. A batch is good until f returns. Damaged files are
// errors, but the library underneath allocates as much memory as the directory of a file claims: read files whose makers you trust.
func ReadFile(ctx context.Context, uri string, f func(arrow.RecordBatch) error) (err error) {
	source, err := filesys.Open(ctx, uri)
	if err != nil {
		return err
	}
	defer source.Close()
	defer func() {
		if r := recover(); r != nil { // the library panics on some damaged files
			err = fmt.Errorf("read %s: the file is damaged: %v", uri, r)
		}
	}()
	r, err := ipc.NewFileReader(io.NewSectionReader(source, 0, source.Size()))
	if err != nil {
		return fmt.Errorf("read %s: is it an Arrow IPC file, and whole? %w", uri, err)
	}
	defer func() {
		_ = r.Close() // nothing was written
	}()
	for i := range r.NumRecords() {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := r.RecordBatchAt(i)
		if err != nil {
			return fmt.Errorf("read %s: record batch %d: %w", uri, i, err)
		}
		err = f(b)
		b.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

package arrowio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

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
// errors, and take no more memory than the bytes that are there account for: what a file claims is held against its size first, and
// compressed buffers of more than 4,096 times the file's size and 256 MiB are refused.
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
	section := io.NewSectionReader(source, 0, source.Size())
	if err := verify(ctx, section, source.Size()); err != nil {
		return fmt.Errorf("read %s: %w", uri, err)
	}
	mem := &bounded{Allocator: memory.NewGoAllocator()}
	mem.left.Store(freeBytes + mostRatio*source.Size())
	r, err := ipc.NewFileReader(section, ipc.WithAllocator(mem))
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

const (
	freeBytes = 256 << 20
	mostRatio = 4096
)

// bounded is an allocator that refuses to hold more than some bytes at a time. It panics, as it must, since allocators return no errors; ReadFile makes an error of it.
type bounded struct {
	memory.Allocator
	left atomic.Int64 // batches that were retained may be released anywhere
}

func (b *bounded) take(n int) {
	if left := b.left.Add(-int64(n)); n < 0 || left < 0 {
		panic(fmt.Sprintf("a buffer claims %d bytes when decompressed, and %d are left of the %d and %d times the file's size that are allowed", n, left+int64(n), freeBytes, mostRatio))
	}
}

// Allocate implements memory.Allocator.
func (b *bounded) Allocate(n int) []byte {
	b.take(n)
	return b.Allocator.Allocate(n)
}

// Reallocate implements memory.Allocator.
func (b *bounded) Reallocate(n int, p []byte) []byte {
	b.take(n - min(n, len(p)))
	return b.Allocator.Reallocate(n, p)
}

// Free implements memory.Allocator.
func (b *bounded) Free(p []byte) {
	b.left.Add(int64(len(p)))
	b.Allocator.Free(p)
}

package textio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/spark-go/spark-go/io/filesys"
)

// SaveOptions say how lines are written.
type SaveOptions struct {
	// Mode says what to do when the directory has content, default filesys.ErrorIfExists.
	Mode filesys.SaveMode
	// Compression is "" for none, "gzip" or "zstd".
	Compression string
}

func (o SaveOptions) codec() (codec, error) {
	switch strings.ToLower(o.Compression) {
	case "", "none", "uncompressed":
		return none, nil
	case "gzip":
		return gz, nil
	case "zstd":
		return zst, nil
	}
	return none, fmt.Errorf("write text: unknown compression %q: use gzip, zstd or none", o.Compression)
}

// PartWriter writes the lines of one partition into one part file.
type PartWriter struct {
	out  *filesys.TaskWriter
	rows int64
	body io.WriteCloser // compressor, or nil
	buf  *bufio.Writer
	done bool
}

// NewPartWriter starts the file of a partition. It must be closed or aborted.
func NewPartWriter(ctx context.Context, o filesys.Output, partition int, options SaveOptions) (*PartWriter, error) {
	return newPartWriter(ctx, o, partition, "", options)
}

func newPartWriter(ctx context.Context, o filesys.Output, partition int, extension string, options SaveOptions) (*PartWriter, error) {
	codec, err := options.codec()
	if err != nil {
		return nil, err
	}
	w := &PartWriter{}
	if w.out, err = o.CreateTask(ctx, partition, extension+string(codec)); err != nil {
		return nil, err
	}
	target := io.Writer(w.out)
	switch codec {
	case gz:
		w.body = gzip.NewWriter(target)
	case zst:
		if w.body, err = newSeekable(target); err != nil {
			return nil, errors.Join(err, w.out.Abort())
		}
	}
	if w.body != nil {
		target = w.body
	}
	w.buf = bufio.NewWriterSize(target, blockSize)
	return w, nil
}

// Write appends lines, each followed by \n. A line that holds a \n
// itself will be read back as several.
func (w *PartWriter) Write(lines []string) error {
	for _, l := range lines {
		// bufio keeps the first error and returns it from then on.
		_, _ = w.buf.WriteString(l)
		if err := w.buf.WriteByte('\n'); err != nil {
			return fmt.Errorf("write %s: %w", w.out.URI(), err)
		}
	}
	w.rows += int64(len(lines))
	return nil
}

// Close finishes the file, still in its temporary place, and returns what
// filesys.Output.Commit needs to publish it.
func (w *PartWriter) Close() (filesys.TaskFile, error) {
	w.done = true
	err := w.buf.Flush()
	if w.body != nil {
		err = errors.Join(err, w.body.Close())
	}
	if err != nil {
		err = errors.Join(err, w.out.Abort())
	} else {
		err = w.out.Close()
	}
	if err != nil {
		return filesys.TaskFile{}, fmt.Errorf("write %s: %w", w.out.URI(), err)
	}
	return w.out.File(w.rows), nil
}

// Abort discards the file; after Close it does nothing.
func (w *PartWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	if w.body != nil { // it may hold goroutines
		_ = w.body.Close()
	}
	return w.out.Abort()
}

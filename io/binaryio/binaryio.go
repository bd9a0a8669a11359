// Package binaryio reads files as bytes: whole files as rows, as Spark's binaryFiles, and files of records of one length, as binaryRecords. Nothing is
// decompressed or decoded.
package binaryio

import (
	"context"
	"fmt"
	"io"

	"github.com/spark-go/spark-go/io/filesys"
	"github.com/spark-go/spark-go/io/textio"
	"github.com/spark-go/spark-go/rdd"
)

// File is a file read as a whole.
type File struct {
	Path    string // its URI
	Content []byte
}

// maxFile bounds the content of one file.
const maxFile = 2 << 30

// Files makes a dataset of files, one row each: uri is a file, a directory, a glob or a comma list. Small files share partitions. A file of more than 2 GiB is
// an error. The files are listed now; an error shows at the first action.
func Files(s rdd.Session, uri string, minPartitions ...int) rdd.RDD[File] {
	return textio.ReadRows(s, "BinaryFiles", uri, textio.Format[File](files{}), minPartitions, textio.PlanFiles, nil)
}

type files struct{}

// NewDecoder implements textio.Format.
func (files) NewDecoder() (textio.Decoder[File], error) { return &fileDecoder{}, nil }

type fileDecoder struct {
	ctx   context.Context
	split textio.Split
	row   [1]File
	done  bool
}

// Open implements textio.Decoder.
func (d *fileDecoder) Open(ctx context.Context, s textio.Split) error {
	d.ctx, d.split, d.done = ctx, s, false
	return nil
}

// Next implements textio.Decoder.
func (d *fileDecoder) Next() ([]File, error) {
	if d.done {
		return nil, io.EOF
	}
	d.done = true
	if d.split.Size > maxFile {
		return nil, fmt.Errorf("read %s: it holds %d bytes, too many for one row: read it by records", d.split.URI, d.split.Size)
	}
	f, err := d.split.Open(d.ctx)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := make([]byte, d.split.Size)
	if err := readAt(d.ctx, f, d.split.URI, content, 0); err != nil {
		return nil, err
	}
	d.row[0] = File{d.split.URI, content}
	return d.row[:], nil
}

// Close implements textio.Decoder.
func (d *fileDecoder) Close() error { return nil }

// readAt fills p, looking at the context once in a while.
func readAt(ctx context.Context, f filesys.File, uri string, p []byte, offset int64) error {
	const step = 8 << 20
	for len(p) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(p[:min(len(p), step)], offset)
		if n == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read %s: %w", uri, err)
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}

// Records makes a dataset of the records of files, all length bytes long: uri is a file, a directory, a glob or a comma list. Files are split between
// records. A file whose size is no multiple of length is an error. The files are listed now; an error shows at the first action.
func Records(s rdd.Session, uri string, length int, minPartitions ...int) rdd.RDD[[]byte] {
	var err error
	if length <= 0 || length > maxFile {
		err = fmt.Errorf("read %s: records of %d bytes: a record has between 1 and %d", uri, length, maxFile)
	}
	return textio.ReadRows(s, "BinaryRecords", uri, textio.Format[[]byte](records{length}), minPartitions, records{length}.plan, err)
}

type records struct{ Length int }

// plan cuts between records.
func (r records) plan(infos []filesys.Info, o filesys.SplitOptions) [][]textio.Split {
	return textio.PlanRecords(infos, int64(r.Length), o)
}

// NewDecoder implements textio.Format.
func (r records) NewDecoder() (textio.Decoder[[]byte], error) {
	return &recordDecoder{length: r.Length}, nil
}

const batchBytes = 1 << 20 // of records, beyond which a batch ends

type recordDecoder struct {
	length int
	ctx    context.Context
	split  textio.Split
	file   filesys.File
	rows   [][]byte
}

// Open implements textio.Decoder.
func (d *recordDecoder) Open(ctx context.Context, s textio.Split) error {
	if over := s.Size % int64(d.length); over != 0 {
		return fmt.Errorf("read %s: its %d bytes are no multiple of the record length %d: %d are left over", s.URI, s.Size, d.length, over)
	}
	f, err := s.Open(ctx)
	if err != nil {
		return err
	}
	d.ctx, d.split, d.file = ctx, s, f
	return nil
}

// Next implements textio.Decoder.
func (d *recordDecoder) Next() ([][]byte, error) {
	n := min(d.split.Length/int64(d.length), max(1, min(textio.BatchRows, batchBytes/int64(d.length))))
	if n == 0 {
		return nil, io.EOF
	}
	block := make([]byte, n*int64(d.length)) // rows may be kept
	if err := readAt(d.ctx, d.file, d.split.URI, block, d.split.Offset); err != nil {
		return nil, err
	}
	d.split.Offset += int64(len(block))
	d.split.Length -= int64(len(block))
	d.rows = d.rows[:0]
	for ; len(block) > 0; block = block[d.length:] {
		d.rows = append(d.rows, block[:d.length:d.length])
	}
	return d.rows, nil
}

// Close implements textio.Decoder.
func (d *recordDecoder) Close() error {
	if d.file == nil {
		return nil
	}
	f := d.file
	d.file = nil
	return f.Close()
}

// Package textio reads and writes text: lines, and files as a whole.
//
// Inputs are what [filesys.Expand] takes: files, directories, globs and comma
// lists of any registered file system. A file whose name ends in .gz, .zst or .bz2 is
// decompressed on the way. Text is bytes: nothing is decoded or checked, and a
// line may hold invalid UTF-8.
//
// # Splits
//
// [PlanLines] cuts files into byte ranges and packs small files
// together (see [filesys.SplitOptions]). Uncompressed files are cut anywhere, .bz2 files too, because their blocks
// can be found from any place, and .zst files between the frames that a seek table lists (as [Save] writes them) or that pzstd wrote; a .gz file and any other .zst file is
// one piece, because nothing tells where decoding can begin inside it. A line belongs to the
// split in which its first byte lies, or in compressed files the byte before it, so the splits of a file give each line
// once and, read in order, in the file's order. A line ends with \n or \r\n,
// neither of which is part of it; the last one may lack its end.
//
// # Other formats
//
// Packages csvio, jsonio and binaryio stand on this one: a [Format] reads the splits of files, through a [SplitReader], by [ReadRows]; an [Encoder] writes
// part files by [SaveRows]. What becomes of lines that are wrong, [BadLines] says for all of them.
//
// # Memory
//
// Lines are substrings of one string per block of 256 KiB, so reading makes
// one allocation for a few thousand lines. A program that keeps a few lines of many
// should strings.Clone them, or each keeps its whole block in memory.
package textio

import (
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/spark-go/spark-go/io/filesys"
)

// Split is a byte range of one file, as the driver listed it. It is plain data
// and travels to the task that reads it.
type Split struct {
	URI    string
	Offset int64 // of the first byte of the range
	Length int64
	// Size and ModTime (Unix nanoseconds, 0 if unknown) of the whole file, by
	// which the task sees that the file is still the one that was listed.
	Size    int64
	ModTime int64
}

// Open opens the file, as it is, and makes sure that it is still the one that was listed.
func (s Split) Open(ctx context.Context) (filesys.File, error) {
	var t time.Time
	if s.ModTime != 0 {
		t = time.Unix(0, s.ModTime)
	}
	return filesys.OpenUnchanged(ctx, s.URI, s.Size, t)
}

func whole(f filesys.Info) Split {
	s := Split{URI: f.URI, Length: f.Size, Size: f.Size}
	if !f.ModTime.IsZero() {
		s.ModTime = f.ModTime.UnixNano()
	}
	return s
}

// PlanLines divides files into partitions for reading lines, in the order of the files. Empty
// files yield nothing. Of .zst files that are large enough to be cut it reads the seek table.
func PlanLines(files []filesys.Info, o filesys.SplitOptions) [][]Split {
	target := o.Target(total(files), len(files))
	pieces := make([][]Split, len(files))
	var readers sync.WaitGroup
	free := make(chan struct{}, tableReaders)
	for i, f := range files {
		if codecOf(f.Path) != zst || f.Size <= target {
			pieces[i] = cutFile(context.Background(), f, target)
			continue
		}
		free <- struct{}{}
		readers.Go(func() {
			defer func() { <-free }()
			pieces[i] = cutFile(context.Background(), f, target)
		})
	}
	readers.Wait()
	return pack(slices.Concat(pieces...), o, target)
}

// tableReaders is how many files PlanLines has open at a time.
const tableReaders = 16

func total(files []filesys.Info) (n int64) {
	for _, f := range files {
		n += f.Size
	}
	return n
}

// PlanRecords divides files of records that are all length bytes long, whatever their names, cutting between records.
func PlanRecords(files []filesys.Info, length int64, o filesys.SplitOptions) [][]Split {
	target := o.Target(total(files), len(files))
	step := max(1, target/length) * length
	var splits []Split
	for _, f := range files {
		splits = append(splits, whole(f).at(filesys.Cut(f.Size, step))...)
	}
	return pack(splits, o, target)
}

// PlanFiles divides files into partitions for reading each as a whole.
func PlanFiles(files []filesys.Info, o filesys.SplitOptions) [][]Split {
	splits := make([]Split, len(files))
	for i, f := range files {
		splits[i] = whole(f)
	}
	return pack(splits, o, o.Target(total(files), len(files)))
}

func pack(splits []Split, o filesys.SplitOptions, target int64) [][]Split {
	pieces := make([]filesys.Piece, len(splits))
	file := 0
	for i, s := range splits {
		if i > 0 && s.URI != splits[i-1].URI {
			file++
		}
		pieces[i] = filesys.Piece{File: file, Bytes: s.Length}
	}
	var partitions [][]Split
	from := 0
	for _, to := range o.Pack(pieces, target) {
		partitions = append(partitions, splits[from:to:to])
		from = to
	}
	return partitions
}

// File is a file read as a whole.
type File struct {
	Path    string // its URI
	Content string // decompressed
}

// maxWhole bounds the content of one file that is read as a whole.
const maxWhole = 2 << 30

// ReadFile reads the file of a split as a whole.
func ReadFile(ctx context.Context, s Split) (File, error) {
	f, err := s.Open(ctx)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	r, err := codecOf(s.URI).reader(io.NewSectionReader(&checked{f, ctx}, 0, f.Size()))
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", s.URI, err)
	}
	defer r.Close()
	var b strings.Builder
	if codecOf(s.URI) == none && f.Size() <= maxWhole {
		b.Grow(int(f.Size()))
	}
	n, err := io.Copy(&b, io.LimitReader(r, maxWhole+1))
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", s.URI, explain(err, s.URI))
	}
	if n > maxWhole {
		return File{}, fmt.Errorf("read %s: it holds more than %d bytes, too many for one row: read it by lines", s.URI, maxWhole)
	}
	return File{Path: s.URI, Content: b.String()}, nil
}

// checked makes each read fail once the context is done.
type checked struct {
	r   io.ReaderAt
	ctx context.Context
}

func (c *checked) ReadAt(p []byte, off int64) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.ReadAt(p, off)
}

// codec is a compression that the name of a file tells.
type codec string

const (
	none codec = ""
	gz   codec = ".gz"
	zst  codec = ".zst"
	bz2  codec = ".bz2"
)

func codecOf(name string) codec {
	switch strings.ToLower(path.Ext(name)) {
	case ".gz", ".gzip":
		return gz
	case ".zst", ".zstd":
		return zst
	case ".bz2":
		return bz2
	}
	return none
}

// zstdOptions are for one goroutine: the other cores run other tasks.
var zstdOptions = []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(512 << 20)}

func (c codec) reader(r io.Reader) (io.ReadCloser, error) {
	switch c {
	case gz:
		return gzip.NewReader(r)
	case zst:
		d, err := zstd.NewReader(r, zstdOptions...)
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	case bz2:
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
	return io.NopCloser(r), nil
}

// explain adds to a decompression error what to look at.
func explain(err error, uri string) error {
	if c := codecOf(uri); c != none && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: the file is cut short, damaged, or not what its name's end %s says", err, c)
	}
	return err
}

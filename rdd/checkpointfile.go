package rdd

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"reflect"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// A checkpoint is a directory with one file for each partition and, written last, an index of them. A file is
//
//	"sgckpt1\n", then blocks: length in 4 bytes, CRC-32C of the content in 4 bytes, content
//
// where the content of a block is a compressor's frame around rows as the row codec writes them. Numbers are little endian.
const (
	checkpointMagic = "sgckpt1\n"
	checkpointIndex = "_checkpoint.json"
	// What a block may claim, so that a damaged length does not take all memory.
	maxCheckpointBlock = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checkpointPart is the file of a partition. It is the input split of a checkpointed dataset.
type checkpointPart struct {
	File  string `json:"file"` // in the checkpoint's directory
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
	// Sum is the CRC-32C of the blocks' own, in order: it tells a file with missing, doubled or foreign blocks.
	Sum uint32 `json:"crc32c"`
}

// index is the content of the index file.
type index struct {
	Version    int              `json:"version"`
	RowType    string           `json:"row_type"`
	Partitions []checkpointPart `json:"partitions"`
}

func writeIndex[T any](ctx context.Context, store CheckpointStore, dir string, parts []checkpointPart) error {
	b, err := json.MarshalIndent(index{1, reflect.TypeFor[T]().String(), parts}, "", "\t")
	if err != nil {
		return err
	}
	return store.Write(ctx, dir+"/"+checkpointIndex, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// writePart writes a partition to its file.
type writePart[T any] struct{ Dir, Compression string }

func (a writePart[T]) run(t *Task, p int, in Stream[T]) (checkpointPart, error) {
	part := checkpointPart{File: fmt.Sprintf("part-%05d", p)}
	store, err := openCheckpoints(a.Dir)
	if err != nil {
		return part, err
	}
	path := a.Dir + "/" + part.File
	err = store.Write(t.ctx, path, func(w io.Writer) error { return writeBlocks(w, in, a.Compression, &part) })
	if err != nil {
		return part, fmt.Errorf("write %s: %w", path, err)
	}
	t.RowsWritten += part.Rows
	t.BytesWritten += part.Bytes
	return part, nil
}

func writeBlocks[T any](to io.Writer, in Stream[T], compression string, part *checkpointPart) error {
	rc, err := codec.Of[T]()
	if err != nil {
		return err
	}
	press, err := codec.CompressorOf(compression)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(to, 1<<18)
	if _, err := w.WriteString(checkpointMagic); err != nil {
		return err
	}
	part.Bytes = int64(len(checkpointMagic))
	var raw, buf []byte
	err = each(in, func(rows []T) error {
		if raw, err = rc.Append(raw[:0], rows); err != nil {
			return err
		}
		if buf, err = press.Append(append(buf[:0], make([]byte, 8)...), raw); err != nil {
			return err
		}
		content := buf[8:]
		if len(content) > maxCheckpointBlock {
			return fmt.Errorf("a batch of %d rows takes %d bytes, more than a block may: make the rows smaller", len(rows), len(content))
		}
		binary.LittleEndian.PutUint32(buf, uint32(len(content)))
		binary.LittleEndian.PutUint32(buf[4:], crc32.Checksum(content, castagnoli))
		part.Sum = crc32.Update(part.Sum, castagnoli, buf[4:8])
		part.Rows += int64(len(rows))
		part.Bytes += int64(len(buf))
		_, err := w.Write(buf)
		return err
	})
	if err != nil {
		return err
	}
	return w.Flush()
}

// ReadCheckpoint makes a dataset of what Checkpoint wrote to dir, in this run or another, with the same rows in the same
// partitions. T must be the type of the rows.
func ReadCheckpoint[T any](s Session, dir string) RDD[T] {
	dir = trimSlash(dir)
	parts, err := readIndex[T](dir)
	return FromSource(s, "ReadCheckpoint", checkpointSource[T]{dir}, parts, err)
}

func readIndex[T any](dir string) ([]checkpointPart, error) {
	store, err := openCheckpoints(dir)
	if err != nil {
		return nil, err
	}
	path := dir + "/" + checkpointIndex
	f, err := store.Open(context.Background(), path)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint %s: %w: it is not there or was not finished", dir, err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	var ix index
	if err == nil {
		err = json.Unmarshal(b, &ix)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if ix.Version != 1 {
		return nil, fmt.Errorf("read %s: it has version %d, this program knows version 1", path, ix.Version)
	}
	if want := reflect.TypeFor[T]().String(); ix.RowType != want {
		return nil, fmt.Errorf("read %s: its rows are of type %s, not %s", path, ix.RowType, want)
	}
	return ix.Partitions, nil
}

// checkpointSource reads the files of a checkpoint.
type checkpointSource[T any] struct{ Dir string }

// Open implements Source.
func (s checkpointSource[T]) Open(t *Task, part checkpointPart) (Stream[T], error) {
	path := s.Dir + "/" + part.File
	store, err := openCheckpoints(s.Dir)
	if err != nil {
		return nil, err
	}
	f, err := store.Open(t.ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint: %w: its lineage was cut, so the file must stay where it was", err)
	}
	t.OnDone(func(bool) { f.Close() })
	r, err := newBlocks[T](f, path, part)
	if err != nil {
		return nil, err
	}
	r.task = t
	return r, nil
}

// blocksReader streams the rows of a checkpoint's file.
type blocksReader[T any] struct {
	r     *bufio.Reader
	task  *Task // counts what is read; may be nil
	path  string
	codec *codec.Codec[T]
	want  checkpointPart
	got   checkpointPart
	buf   []byte
	raw   []byte
	rows  []T
	err   error
}

func newBlocks[T any](f io.Reader, path string, part checkpointPart) (*blocksReader[T], error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	r := &blocksReader[T]{r: bufio.NewReaderSize(f, 1<<18), path: path, codec: c, want: part}
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(r.r, magic); err != nil || string(magic) != checkpointMagic {
		return nil, r.damaged(errors.New("it does not begin like one"))
	}
	r.got.Bytes = int64(len(magic))
	return r, nil
}

func (r *blocksReader[T]) damaged(cause error) error {
	return fmt.Errorf("read checkpoint file %s: it is damaged: %w: remove the checkpoint and compute the dataset anew", r.path, cause)
}

// Next implements Stream.
func (r *blocksReader[T]) Next() ([]T, error) {
	for r.err == nil {
		r.err = r.block()
		if r.err == nil && len(r.rows) > 0 {
			return r.rows, nil
		}
	}
	return nil, r.err
}

func (r *blocksReader[T]) block() error {
	var head [8]byte
	if _, err := io.ReadFull(r.r, head[:]); err == io.EOF {
		if r.got.Rows != r.want.Rows || r.got.Bytes != r.want.Bytes || r.got.Sum != r.want.Sum {
			return r.damaged(fmt.Errorf("it has %d rows in %d bytes, the index says %d in %d, or other blocks", r.got.Rows, r.got.Bytes, r.want.Rows, r.want.Bytes))
		}
		return io.EOF
	} else if err != nil {
		return r.damaged(err)
	}
	size := int64(binary.LittleEndian.Uint32(head[:]))
	if left := r.want.Bytes - r.got.Bytes - int64(len(head)); size > maxCheckpointBlock || size > left {
		return r.damaged(fmt.Errorf("a block claims %d bytes", size))
	}
	r.buf = resize(r.buf, int(size))
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		return r.damaged(err)
	}
	if crc32.Checksum(r.buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return r.damaged(errors.New("the checksum of a block is wrong"))
	}
	r.got.Sum = crc32.Update(r.got.Sum, castagnoli, head[4:])
	var err error
	if r.raw, _, err = (codec.Compressor{}).Decode(r.raw[:0], r.buf); err == nil {
		r.rows, _, err = r.codec.Decode(r.rows[:0], r.raw)
	}
	if err != nil {
		return r.damaged(err)
	}
	r.got.Rows += int64(len(r.rows))
	r.got.Bytes += size + int64(len(head))
	if r.task != nil {
		r.task.RowsRead += int64(len(r.rows))
		r.task.BytesRead += size
	}
	return nil
}

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

func writeIndex(ctx context.Context, store CheckpointStore, dir string, ix index) error {
	b, err := json.MarshalIndent(ix, "", "\t")
	if err != nil {
		return err
	}
	return store.Write(ctx, dir+"/"+checkpointIndex, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}

// writeAction writes a partition to its file. Its result is the checkpointPart as JSON.
type writeAction[T any] struct {
	Parent           RDD[T]
	Dir, Compression string
}

// Run implements Action.
func (a writeAction[T]) Run(t *Task, p int) ([]byte, error) {
	in, err := a.Parent.Compute(t, p)
	if err != nil {
		return nil, err
	}
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	return writePart(t, p, a.Dir, a.Compression, &partitionRows[T]{codec: c, in: untilCancelled(t, in)})
}

// writePart writes rows to the file of a partition.
func writePart(t *Task, p int, dir, compression string, in encodedRows) ([]byte, error) {
	part := checkpointPart{File: fmt.Sprintf("part-%05d", p)}
	store, err := openCheckpoints(dir)
	if err != nil {
		return nil, err
	}
	path := dir + "/" + part.File
	err = store.Write(t.ctx, path, func(w io.Writer) error { return writeBlocks(w, in, compression, &part) })
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	t.RowsWritten += part.Rows
	t.BytesWritten += part.Bytes
	return json.Marshal(part)
}

func writeBlocks(to io.Writer, in encodedRows, compression string, part *checkpointPart) error {
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
	for {
		var rows int
		if raw, rows, err = in.encode(raw[:0]); err == io.EOF {
			return w.Flush()
		} else if err != nil {
			return err
		}
		if buf, err = press.Append(append(buf[:0], make([]byte, 8)...), raw); err != nil {
			return err
		}
		content := buf[8:]
		if len(content) > maxCheckpointBlock {
			return fmt.Errorf("a batch of %d rows takes %d bytes, more than a block may: make the rows smaller", rows, len(content))
		}
		binary.LittleEndian.PutUint32(buf, uint32(len(content)))
		binary.LittleEndian.PutUint32(buf[4:], crc32.Checksum(content, castagnoli))
		part.Sum = crc32.Update(part.Sum, castagnoli, buf[4:8])
		part.Rows += int64(rows)
		part.Bytes += int64(len(buf))
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
}

// ReadCheckpoint makes a dataset of what Checkpoint wrote to dir, in this run or another, with the same rows in the same
// partitions. T must be the type of the rows.
func ReadCheckpoint[T any](s Session, dir string) RDD[T] {
	n := newCheckpointReader(s, trimSlash(dir), reflect.TypeFor[T]())
	n.line.Load().op = checkpointOp[T]{n, trimSlash(dir)}
	return RDD[T]{n}
}

// newCheckpointReader makes the dataset of a checkpoint, but for its operation.
func newCheckpointReader(s Session, dir string, row reflect.Type) *Node {
	parts, err := readIndex(dir, row.String())
	n := newNode(s, "ReadCheckpoint", nil, len(parts), fail("ReadCheckpoint", err))
	n.line.Load().split = func(p int) any { return parts[p] }
	n.line.Load().hosts = hostsOfParts(context.Background(), dir, parts)
	return n
}

// hostsOfParts finds the hosts that store the files of a checkpoint; nil if they are not known.
func hostsOfParts(ctx context.Context, dir string, parts []checkpointPart) func(p int) []string {
	store, err := openCheckpoints(dir)
	if err != nil {
		return nil // as those will say who read the files
	}
	l, ok := store.(CheckpointLocator)
	if !ok {
		return nil
	}
	paths, sizes := make([]string, len(parts)), make([]int64, len(parts))
	for p, part := range parts {
		paths[p], sizes[p] = dir+"/"+part.File, part.Bytes
	}
	hosts := l.Hosts(ctx, paths, sizes)
	if len(hosts) != len(parts) {
		return nil
	}
	return func(p int) []string { return hosts[p] }
}

func readIndex(dir, rowType string) ([]checkpointPart, error) {
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
	if ix.RowType != rowType {
		return nil, fmt.Errorf("read %s: its rows are of type %s, not %s", path, ix.RowType, rowType)
	}
	return ix.Partitions, nil
}

// checkpointOp reads the files of a checkpoint.
type checkpointOp[T any] struct {
	Self *Node
	Dir  string
}

// Compute implements Op.
func (o checkpointOp[T]) Compute(t *Task, p int) (Stream[T], error) {
	r, err := openPart(t, o.Self, o.Dir, p)
	if err != nil {
		return nil, err
	}
	c, err := codec.Of[T]()
	return untilCancelled[T](t, &decodedRows[T]{blocks: r, codec: c}), err
}

// blocksReader reads the blocks of a checkpoint's file and holds them to its entry in the index.
type blocksReader struct {
	r    *bufio.Reader
	task *Task // counts what is read; may be nil
	path string
	want checkpointPart
	got  checkpointPart
	buf  []byte
	raw  []byte
	err  error
}

func openPart(t *Task, n *Node, dir string, p int) (*blocksReader, error) {
	part, err := SplitOf[checkpointPart](t, n, p)
	if err != nil {
		return nil, err
	}
	path := dir + "/" + part.File
	store, err := openCheckpoints(dir)
	if err != nil {
		return nil, err
	}
	f, err := store.Open(t.ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open checkpoint: %w: its lineage was cut, so the file must stay where it was", err)
	}
	t.OnDone(func(bool) { f.Close() })
	r, err := newBlocksReader(f, path, part)
	if err != nil {
		return nil, err
	}
	r.task = t
	return r, nil
}

func newBlocksReader(f io.Reader, path string, part checkpointPart) (*blocksReader, error) {
	r := &blocksReader{r: bufio.NewReaderSize(f, 1<<18), path: path, want: part}
	magic := make([]byte, len(checkpointMagic))
	if _, err := io.ReadFull(r.r, magic); err != nil || string(magic) != checkpointMagic {
		return nil, r.damaged(errors.New("it does not begin like one"))
	}
	r.got.Bytes = int64(len(magic))
	return r, nil
}

func (r *blocksReader) damaged(cause error) error {
	return fmt.Errorf("read checkpoint file %s: it is damaged: %w: remove the checkpoint and compute the dataset anew", r.path, cause)
}

// next returns the rows of the next block as bytes, or io.EOF after the last.
func (r *blocksReader) next() ([]byte, error) {
	if r.err == nil {
		r.err = r.block()
	}
	return r.raw, r.err
}

// took says how many rows a block's bytes were, or why they were none.
func (r *blocksReader) took(rows int, err error) error {
	if err != nil {
		r.err = r.damaged(err)
		return r.err
	}
	r.got.Rows += int64(rows)
	if r.task != nil {
		r.task.RowsRead += int64(rows)
	}
	return nil
}

func (r *blocksReader) block() error {
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
	r.got.Bytes += size + int64(len(head))
	if r.task != nil {
		r.task.BytesRead += size
	}
	var err error
	if r.raw, _, err = (codec.Compressor{}).Decode(r.raw[:0], r.buf); err != nil {
		return r.damaged(err)
	}
	return nil
}

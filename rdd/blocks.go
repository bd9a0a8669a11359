package rdd

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// blockKeeper computes a partition into the block store. The whole partition is computed before its first row goes on: a partly
// consumed partition (Take) would otherwise never be kept.
type blockKeeper struct {
	task      *Task
	store     BlockStore
	dataset   int
	partition int
	level     StorageLevel
	rows      keptRows
	again     func(rows any) encodedRows // the rows of a block in memory
	reserved  int64
}

// keptRows are rows that a blockKeeper keeps: partitionRows of some type.
type keptRows interface {
	load() (size int64, err error)
	keep()
	kept() any
	encodedRows
}

// encodedRows are rows as bytes: encode appends the next batch of them to dst and returns how many they are. It returns io.EOF at
// the end.
type encodedRows interface {
	encode(dst []byte) ([]byte, int, error)
}

// fill keeps the rows. The rows to go on with are keptRows, as a stream, or those in the file, if it returns one.
func (k *blockKeeper) fill() (file string, err error) {
	if k.level == DiskOnly {
		return k.toDisk()
	}
	for {
		need, err := k.rows.load()
		if err == io.EOF {
			break
		}
		if err != nil {
			k.giveBack()
			return "", err
		}
		if !k.store.Reserve(k.dataset, need) {
			return k.overflow()
		}
		k.reserved += need
		k.rows.keep()
	}
	b := Block{Rows: k.rows.kept(), Memory: k.reserved}
	if k.level == MemoryAndDisk {
		// What memory is given for outlives the keeper, and must not keep what the rows came from.
		again, compress := k.again, k.compressor()
		b.Spill = func(rows any, path string) (int64, error) { return writeBlock(path, compress, again(rows)) }
	}
	k.store.Put(k.dataset, k.partition, b)
	return "", nil
}

// overflow goes on when the partition does not fit in memory: on disk, or without keeping it.
func (k *blockKeeper) overflow() (file string, err error) {
	if k.level == MemoryAndDisk {
		file, err := k.toDisk()
		k.giveBack()
		return file, err
	}
	// The rows gathered so far stay counted until the task ends: they are in use until the consumer has passed them.
	k.task.OnDone(func(bool) { k.giveBack() })
	return "", nil
}

func (k *blockKeeper) giveBack() {
	k.store.Unreserve(k.reserved)
	k.reserved = 0
}

func (k *blockKeeper) toDisk() (file string, err error) {
	path, err := k.store.TempFile(k.dataset, k.partition)
	if err != nil {
		return "", fmt.Errorf("persist partition %d of dataset %d: %w", k.partition, k.dataset, err)
	}
	n, err := writeBlock(path, k.compressor(), k.rows)
	if err != nil {
		os.Remove(path)
		return "", fmt.Errorf("persist partition %d of dataset %d: %w", k.partition, k.dataset, err)
	}
	k.store.Put(k.dataset, k.partition, Block{File: path, Disk: n})
	return path, nil
}

// compressor is what the store wants blocks on disk compressed with (spark.rdd.compress); nil for nothing.
func (k *blockKeeper) compressor() *codec.Compressor {
	s, ok := k.store.(CompressedStore)
	if !ok || s.Compression() == "" || s.Compression() == "none" {
		return nil
	}
	c, err := codec.CompressorOf(s.Compression())
	if err != nil {
		return nil // the driver has checked the name
	}
	return &c
}

// compressed marks the length of a compressed block.
const compressed = 1 << 31

// writeBlock writes rows to a file as codec blocks, each after its length in four bytes, and returns the file's length. They are
// compressed, if compress is not nil.
func writeBlock(path string, compress *codec.Compressor, in encodedRows) (n int64, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	w := bufio.NewWriterSize(f, 1<<18)
	var buf, raw []byte
	for {
		var rows int
		mark := uint32(0)
		if compress == nil {
			buf, rows, err = in.encode(append(buf[:0], 0, 0, 0, 0))
		} else if raw, rows, err = in.encode(raw[:0]); err == nil {
			mark = compressed
			buf, err = compress.Append(append(buf[:0], 0, 0, 0, 0), raw)
		}
		if err == io.EOF {
			return n, w.Flush()
		}
		if err != nil {
			return 0, err
		}
		if len(buf)-4 > 1<<31-1 {
			return 0, fmt.Errorf("a batch of %d rows takes %d bytes", rows, len(buf))
		}
		binary.LittleEndian.PutUint32(buf, uint32(len(buf)-4)|mark)
		n += int64(len(buf))
		if _, err := w.Write(buf); err != nil {
			return 0, err
		}
	}
}

// openRows streams a file that writeBlock wrote.
func openRows[T any](t *Task, path string) (Stream[T], error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	blocks, err := openBlocks(t, path)
	if err != nil {
		return nil, err
	}
	return &decodedRows[T]{blocks: blocks, codec: c}, nil
}

// decodedRows streams the rows of blocks.
type decodedRows[T any] struct {
	blocks encodedBlocks
	codec  *codec.Codec[T]
	rows   []T
}

// encodedBlocks are rows as bytes, a block at a time: what decodedRows reads without knowing where they lie.
type encodedBlocks interface {
	// next returns the next block, valid until the next call, or io.EOF.
	next() ([]byte, error)
	// took says how many rows the block had, or why it could not be decoded; it returns the error to go on with.
	took(rows int, err error) error
}

// Next implements Stream.
func (s *decodedRows[T]) Next() ([]T, error) {
	for {
		raw, err := s.blocks.next()
		if err != nil {
			return nil, err
		}
		s.rows, _, err = s.codec.Decode(s.rows[:0], raw)
		if err = s.blocks.took(len(s.rows), err); err != nil {
			return nil, err
		}
		if len(s.rows) > 0 {
			return s.rows, nil
		}
	}
}

// fileBlocks reads a file that writeBlock wrote.
type fileBlocks struct {
	f    *os.File
	r    *bufio.Reader
	path string
	buf  []byte
	raw  []byte
}

// openBlocks opens a file of blocks until the task ends.
func openBlocks(t *Task, path string) (*fileBlocks, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { f.Close() })
	return &fileBlocks{f: f, r: bufio.NewReaderSize(f, 1<<18), path: path}, nil
}

// rewind starts again from the first block.
func (b *fileBlocks) rewind() error {
	if _, err := b.f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read rows again: %w", err)
	}
	b.r.Reset(b.f)
	return nil
}

func (b *fileBlocks) next() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("read block %s: %w", b.path, err)
	}
	length := binary.LittleEndian.Uint32(head[:])
	b.buf = resize(b.buf, int(length&^compressed))
	if _, err := io.ReadFull(b.r, b.buf); err != nil {
		return nil, fmt.Errorf("read block %s: %w", b.path, err)
	}
	if length&compressed == 0 {
		return b.buf, nil
	}
	var err error
	if b.raw, _, err = (codec.Compressor{}).Decode(b.raw[:0], b.buf); err != nil {
		return nil, fmt.Errorf("read block %s: %w", b.path, err)
	}
	return b.raw, nil
}

func (b *fileBlocks) took(_ int, err error) error {
	if err != nil {
		return fmt.Errorf("read block %s: %w", b.path, err)
	}
	return nil
}

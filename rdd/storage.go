package rdd

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/spark-go/spark-go/shuffle/codec"
)

// StorageLevel says how a dataset is kept once its partitions are computed.
type StorageLevel uint8

// The storage levels, Spark's names in Go's spelling. Partitions that do not fit in memory are computed again when they are needed
// (MemoryOnly) or lie on disk (MemoryAndDisk).
const (
	None StorageLevel = iota
	MemoryOnly
	MemoryAndDisk
	DiskOnly
)

var levelNames = [...]string{"NONE", "MEMORY_ONLY", "MEMORY_AND_DISK", "DISK_ONLY"}

// String is Spark's name of the level.
func (l StorageLevel) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("StorageLevel(%d)", uint8(l))
}

// Cache is Persist(MemoryOnly).
func (r RDD[T]) Cache() RDD[T] { return r.Persist(MemoryOnly) }

// Persist keeps the partitions of this dataset once a job has computed them, at the given level, and returns the dataset. A level
// that was set can only be changed after Unpersist.
func (r RDD[T]) Persist(level StorageLevel) RDD[T] {
	n := r.node
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.level != None && n.level != level && n.err == nil:
		n.err = fail("Persist", fmt.Errorf("the level is already %v: call Unpersist before changing it to %v", n.level, level))
	case int(level) >= len(levelNames) && n.err == nil:
		n.err = fail("Persist", fmt.Errorf("unknown storage level %d", level))
	default:
		n.level = level
		trackDataset(n)
	}
	return r
}

// Unpersist forgets the kept partitions; later jobs compute them again. It returns when executors have been told, and with wait
// when they have done it.
func (r RDD[T]) Unpersist(ctx context.Context, wait bool) error {
	r.node.mu.Lock()
	r.node.level = None
	r.node.mu.Unlock()
	if r.node.session == nil {
		return fmt.Errorf("unpersist dataset %d: a dataset cannot be changed inside a task", r.node.id)
	}
	return r.node.session.Unpersist(ctx, r.node.id, wait)
}

// computeCached streams a partition of a persisted dataset: from the block store if it is there, else by computing it and, while
// the rows pass, keeping them.
func (r RDD[T]) computeCached(t *Task, p int) (Stream[T], error) {
	store := t.runtime.Blocks()
	if b, ok := store.Get(r.node.id, p); ok {
		return openBlock[T](t, b)
	}
	c, err := codec.Of[T]()
	if err != nil && r.node.level != MemoryOnly {
		return nil, fmt.Errorf("persist dataset %d on disk: %w", r.node.id, err)
	}
	in, err := r.computeOp(t, p)
	if err != nil {
		return nil, err
	}
	k := &blockKeeper[T]{task: t, store: store, codec: c, dataset: r.node.id, partition: p, level: r.node.level, in: in}
	return k.fill()
}

// openBlock streams a kept partition.
func openBlock[T any](t *Task, b Block) (Stream[T], error) {
	if b.Rows != nil {
		chunks, ok := b.Rows.([][]T)
		if !ok {
			return nil, fmt.Errorf("a cached block holds %T where %T was asked for", b.Rows, chunks)
		}
		return untilCancelled(t, Stream[T](&chunkStream[T]{chunks: chunks})), nil
	}
	return openRows[T](t, b.File)
}

// blockKeeper computes a partition into the block store. The whole partition is computed before its first row goes on: a partly
// consumed partition (Take) would otherwise never be kept.
type blockKeeper[T any] struct {
	task      *Task
	store     BlockStore
	codec     *codec.Codec[T]
	dataset   int
	partition int
	level     StorageLevel
	in        Stream[T]

	chunks   [][]T
	reserved int64
}

func (k *blockKeeper[T]) fill() (Stream[T], error) {
	if k.level == DiskOnly {
		return k.toDisk(k.in)
	}
	for {
		rows, err := k.in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			k.giveBack()
			return nil, err
		}
		need := k.size(rows)
		if !k.store.Reserve(k.dataset, need) {
			return k.overflow(rows)
		}
		k.reserved += need
		k.chunks = appendChunk(k.chunks, rows)
	}
	if k.chunks == nil {
		k.chunks = [][]T{}
	}
	// Chunks double, so that the last one, nearly empty, may be as large as all others together, and nobody has counted it.
	if last := len(k.chunks) - 1; last >= 0 && len(k.chunks[last]) <= cap(k.chunks[last])/2 {
		k.chunks[last] = append(make([]T, 0, len(k.chunks[last])), k.chunks[last]...)
	}
	k.store.Put(k.dataset, k.partition, Block{Rows: k.chunks, Memory: k.reserved, Spill: k.spill()})
	return &chunkStream[T]{chunks: k.chunks}, nil
}

// size estimates what rows take in memory.
func (k *blockKeeper[T]) size(rows []T) int64 {
	if k.codec != nil {
		return k.codec.MemSize(rows)
	}
	return int64(len(rows)) * 64
}

// overflow goes on when the partition does not fit in memory: on disk, or without keeping it.
func (k *blockKeeper[T]) overflow(rows []T) (Stream[T], error) {
	rest := &concatStream[T]{parts: []Stream[T]{&chunkStream[T]{chunks: k.chunks}, StreamOf(append([]T(nil), rows...)), k.in}}
	if k.level == MemoryAndDisk {
		s, err := k.toDisk(rest)
		k.giveBack()
		return s, err
	}
	// The rows gathered so far stay counted until the task ends: they are in use until the consumer has passed them.
	k.task.OnDone(func(bool) { k.giveBack() })
	return rest, nil
}

func (k *blockKeeper[T]) giveBack() {
	k.store.Unreserve(k.reserved)
	k.reserved = 0
	k.chunks = nil
}

func (k *blockKeeper[T]) toDisk(in Stream[T]) (Stream[T], error) {
	path, err := k.store.TempFile(k.dataset, k.partition)
	if err != nil {
		return nil, fmt.Errorf("persist partition %d of dataset %d: %w", k.partition, k.dataset, err)
	}
	n, err := writeBlock(path, k.codec, k.compressor(), in)
	if err != nil {
		os.Remove(path)
		return nil, fmt.Errorf("persist partition %d of dataset %d: %w", k.partition, k.dataset, err)
	}
	k.store.Put(k.dataset, k.partition, Block{File: path, Disk: n})
	return openRows[T](k.task, path)
}

// spill is how the block store moves this block to disk when other blocks need its memory.
func (k *blockKeeper[T]) spill() func(any, string) (int64, error) {
	if k.level != MemoryAndDisk {
		return nil
	}
	c, compress := k.codec, k.compressor()
	return func(rows any, path string) (int64, error) {
		return writeBlock(path, c, compress, Stream[T](&chunkStream[T]{chunks: rows.([][]T)}))
	}
}

// compressor is what the store wants blocks on disk compressed with (spark.rdd.compress); nil for nothing.
func (k *blockKeeper[T]) compressor() *codec.Compressor {
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

// appendChunk copies rows to the end of chunks: the last chunk is filled before a new, larger one starts.
func appendChunk[T any](chunks [][]T, rows []T) [][]T {
	for len(rows) > 0 {
		last := len(chunks) - 1
		if last < 0 || len(chunks[last]) == cap(chunks[last]) {
			size := BatchRows
			if last >= 0 {
				size = min(2*cap(chunks[last]), 64*BatchRows)
			}
			chunks = append(chunks, make([]T, 0, max(size, 1)))
			last++
		}
		n := min(len(rows), cap(chunks[last])-len(chunks[last]))
		chunks[last] = append(chunks[last], rows[:n]...)
		rows = rows[n:]
	}
	return chunks
}

// concatStream yields the rows of one stream after another.
type concatStream[T any] struct{ parts []Stream[T] }

func (s *concatStream[T]) Next() ([]T, error) {
	for len(s.parts) > 0 {
		rows, err := s.parts[0].Next()
		if err != io.EOF {
			return rows, err
		}
		s.parts = s.parts[1:]
	}
	return nil, io.EOF
}

// writeRows writes a stream to a file as codec blocks, each after its length in four bytes, and returns the file's length.
func writeRows[T any](path string, c *codec.Codec[T], in Stream[T]) (n int64, err error) {
	return writeBlock(path, c, nil, in)
}

// compressed marks the length of a compressed block.
const compressed = 1 << 31

// writeBlock is writeRows with compression, if compress is not nil.
func writeBlock[T any](path string, c *codec.Codec[T], compress *codec.Compressor, in Stream[T]) (n int64, err error) {
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
	err = each(in, func(rows []T) error {
		mark := uint32(0)
		if compress == nil {
			buf, err = c.Append(append(buf[:0], 0, 0, 0, 0), rows)
		} else if raw, err = c.Append(raw[:0], rows); err == nil {
			mark = compressed
			buf, err = compress.Append(append(buf[:0], 0, 0, 0, 0), raw)
		}
		if err != nil {
			return err
		}
		if len(buf)-4 > 1<<31-1 {
			return fmt.Errorf("a batch of %d rows takes %d bytes", len(rows), len(buf))
		}
		binary.LittleEndian.PutUint32(buf, uint32(len(buf)-4)|mark)
		n += int64(len(buf))
		_, err := w.Write(buf)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, w.Flush()
}

// openRows streams a file that writeRows wrote.
func openRows[T any](t *Task, path string) (Stream[T], error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t.OnDone(func(bool) { f.Close() })
	return &fileStream[T]{r: bufio.NewReaderSize(f, 1<<18), codec: c, path: path}, nil
}

type fileStream[T any] struct {
	r     *bufio.Reader
	codec *codec.Codec[T]
	path  string
	buf   []byte
	raw   []byte
	rows  []T
}

func (s *fileStream[T]) Next() ([]T, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("read block %s: %w", s.path, err)
	}
	length := binary.LittleEndian.Uint32(head[:])
	s.buf = resize(s.buf, int(length&^compressed))
	if _, err := io.ReadFull(s.r, s.buf); err != nil {
		return nil, fmt.Errorf("read block %s: %w", s.path, err)
	}
	var err error
	raw := s.buf
	if length&compressed != 0 {
		if s.raw, _, err = (codec.Compressor{}).Decode(s.raw[:0], s.buf); err != nil {
			return nil, fmt.Errorf("read block %s: %w", s.path, err)
		}
		raw = s.raw
	}
	if s.rows, _, err = s.codec.Decode(s.rows[:0], raw); err != nil {
		return nil, fmt.Errorf("read block %s: %w", s.path, err)
	}
	return s.rows, nil
}

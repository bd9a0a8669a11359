package rdd

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/spark-go/spark-go/shuffle/codec"
	"github.com/spark-go/spark-go/shuffle/seal"
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
	again     func(rows any) encodedRows // the rows of a block in memory; nil if they cannot travel
	kept      bool                       // the store has the partition, and is to have it in another form
	reserved  int64
}

// keptRows are rows that a blockKeeper keeps: partitionRows of some type.
type keptRows interface {
	load() (size int64, err error)
	keep(own bool)
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
	if !k.level.UseMemory() {
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
			return k.overflow(need)
		}
		k.reserved += need
		k.rows.keep(k.scarce())
	}
	b := Block{Rows: k.rows.kept(), Memory: k.reserved, Level: k.level}
	if k.again != nil {
		// What memory is given for outlives the keeper, and must not keep what the rows came from.
		again, compress, key := k.again, k.compressor(), k.task.ShuffleEnv().Key
		b.Write = func(rows any, file io.Writer) (int64, error) { return writeBlock(file, compress, key, again(rows)) }
		b.Spills = k.level.UseDisk()
	}
	k.store.Put(k.dataset, k.partition, b)
	return "", nil
}

// overflow goes on when the partition does not fit in memory: on disk, or without keeping it.
func (k *blockKeeper) overflow(need int64) (file string, err error) {
	if k.level.UseDisk() && !k.kept {
		held := k.task.Hold()
		if need > largeRow { // rows that are there, and what they are encoded in
			held.Add(2 * need)
		}
		file, err := k.toDisk()
		held.Release()
		k.giveBack()
		return file, err
	}
	// The rows gathered so far stay counted until the task ends: they are in use until the consumer has passed them.
	k.task.OnDone(func(bool) { k.giveBack() })
	return "", nil
}

// scarce says whether memory is short enough that rows are copied so as to keep nothing else alive.
func (k *blockKeeper) scarce() bool {
	s, ok := k.store.(ScarceStore)
	return ok && s.Scarce()
}

func (k *blockKeeper) giveBack() {
	k.store.Unreserve(k.reserved)
	k.reserved = 0
}

func (k *blockKeeper) toDisk() (file string, err error) {
	f, err := k.store.Create(k.dataset, k.partition)
	if err != nil {
		return "", fmt.Errorf("persist partition %d of dataset %d: %w", k.partition, k.dataset, err)
	}
	n, err := writeBlock(f, k.compressor(), k.task.ShuffleEnv().Key, k.rows)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		f.Remove()
		return "", fmt.Errorf("persist partition %d of dataset %d: %w", k.partition, k.dataset, err)
	}
	k.store.Put(k.dataset, k.partition, Block{File: f.Name(), Disk: n, Level: k.level})
	return f.Name(), nil
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

// blockHead is what lies before each block of a file: its length with the mark, then the CRC-32C of these four bytes and of the block.
const blockHead = 8

func sealBlock(head, block []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:4], castagnoli), castagnoli, block)
}

// sealedMagic is what a file of encrypted blocks begins with. A plain file cannot: it would be the length of a block of 1.6 GiB with a certain checksum.
const sealedMagic = "sgsealed"

// writeBlock writes rows to a file as codec blocks, each after its head, and returns the file's length. They are compressed, if compress
// is not nil, and then encrypted (package seal), each with its length, if key is not nil.
func writeBlock(f io.Writer, compress *codec.Compressor, key *seal.Key, in encodedRows) (n int64, err error) {
	w := bufio.NewWriterSize(f, 1<<18)
	var buf, raw []byte
	head := blockHead
	var sealer *seal.Writer
	if key != nil {
		head += seal.Prefix
		if sealer, err = key.NewWriter(); err != nil {
			return 0, err
		}
		if _, err := w.WriteString(sealedMagic); err != nil {
			return 0, err
		}
		n = int64(len(sealedMagic))
	}
	for {
		var rows int
		mark := uint32(0)
		if compress == nil {
			buf, rows, err = in.encode(append(buf[:0], make([]byte, head)...))
		} else if raw, rows, err = in.encode(raw[:0]); err == nil {
			mark = compressed
			buf, err = compress.Append(append(buf[:0], make([]byte, head)...), raw)
		}
		if err == io.EOF {
			return n, w.Flush()
		}
		if err != nil {
			return 0, err
		}
		length := len(buf) - blockHead
		if sealer != nil {
			length = len(buf) - head + seal.Overhead
		}
		if length > 1<<31-1 {
			return 0, fmt.Errorf("a batch of %d rows takes %d bytes", rows, len(buf))
		}
		binary.LittleEndian.PutUint32(buf, uint32(length)|mark)
		if sealer != nil {
			buf = sealer.Seal(buf, blockHead, buf[:4])
		}
		binary.LittleEndian.PutUint32(buf[4:], sealBlock(buf, buf[blockHead:]))
		n += int64(len(buf))
		if _, err := w.Write(buf); err != nil {
			return 0, err
		}
	}
}

// openRows streams a file that writeBlock wrote. Where it is damaged the rows go on with those of lost, a stream of the same rows from
// the first one on.
func openRows[T any](t *Task, path string, lost func(cause error) (Stream[T], error)) (Stream[T], error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	blocks, err := openBlocks(t, path)
	if err != nil {
		return lost(err)
	}
	return &decodedRows[T]{blocks: blocks, codec: c, lost: lost}, nil
}

// openEncoded streams rows that are in memory as writeBlock wrote them, and goes on where they are damaged as openRows does.
func openEncoded[T any](t *Task, rows EncodedRows, lost func(cause error) (Stream[T], error)) (Stream[T], error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	blocks := rows.blocks()
	blocks.task = t
	if err := blocks.unseal(t.ShuffleEnv().Key); err != nil {
		return lost(err)
	}
	return &decodedRows[T]{blocks: blocks, codec: c, lost: lost}, nil
}

// EncodedRows are the rows of a block in memory as Block.Write writes them: of a copy, since the executor that takes it need not know their type.
type EncodedRows []byte

// NewEncodedBlock makes a block of a copy, whose bytes it holds against their checksums.
func NewEncodedBlock(rows EncodedRows, level StorageLevel) (Block, error) {
	if err := rows.blocks().check(); err != nil {
		return Block{}, err
	}
	return Block{Rows: rows, Memory: int64(len(rows)), Level: level, Spills: level.UseDisk(), Write: writeEncoded}, nil
}

func writeEncoded(rows any, to io.Writer) (int64, error) {
	n, err := to.Write(rows.(EncodedRows))
	return int64(n), err
}

func (e EncodedRows) blocks() *fileBlocks {
	r := bytes.NewReader(e)
	return readBlocks(inMemory{r}, bufio.NewReader(r), "in memory", r.Size())
}

// inMemory is a file that need not be closed.
type inMemory struct{ *bytes.Reader }

func (inMemory) Close() error { return nil }

// decodedRows streams the rows of blocks.
type decodedRows[T any] struct {
	blocks encodedBlocks
	codec  *codec.Codec[T]
	rows   []T
	lost   func(cause error) (Stream[T], error) // as in openRows; nil if there is no other way to the rows
	passed int                                  // rows that were returned
	in     Stream[T]                            // what lost gave
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
	for s.in == nil {
		raw, err := s.blocks.next()
		if err == nil {
			s.rows, _, err = s.codec.Decode(s.rows[:0], raw)
			err = s.blocks.took(len(s.rows), err)
		}
		if err != nil {
			if err == io.EOF || s.lost == nil {
				return nil, err
			}
			return s.goOn(err)
		}
		if len(s.rows) > 0 {
			s.passed += len(s.rows)
			return s.rows, nil
		}
	}
	return s.in.Next()
}

// goOn finds the rows that come after those that were returned, where lost has them.
func (s *decodedRows[T]) goOn(cause error) ([]T, error) {
	in, err := s.lost(cause)
	if err != nil {
		return nil, err
	}
	for left := s.passed; ; {
		rows, err := in.Next()
		if err == io.EOF && left > 0 {
			return nil, fmt.Errorf("%w: computed again, the partition has fewer rows than the %d that were read: its functions are not deterministic", cause, s.passed)
		}
		if err != nil {
			return nil, err
		}
		if len(rows) > left {
			s.in = in
			return rows[left:], nil
		}
		left -= len(rows)
	}
}

// fileBlocks reads a file that writeBlock wrote.
type fileBlocks struct {
	f    io.ReadSeekCloser
	r    *bufio.Reader
	path string
	size int64        // of the file
	left int64        // bytes to read
	from int64        // where the first block begins
	seal *seal.Reader // nil if the blocks are plain, or only held against their checksums
	buf  []byte
	raw  []byte
	held *Held // of large rows; nil if there are none
	task *Task // that reads; nil if none does
}

// book says that a block of n bytes is about to be read, and the rows in it with it.
func (b *fileBlocks) book(n int64) {
	if b.held != nil {
		b.held.Release()
	}
	if n > largeRow && b.task != nil {
		if b.held == nil {
			b.held = b.task.Hold()
		}
		b.held.Add(2 * n)
	}
}

// openBlocks opens a file of blocks until the task ends.
func openBlocks(t *Task, path string) (*fileBlocks, error) {
	b, err := openFile(path)
	if err != nil {
		return nil, err
	}
	b.task = t
	t.OnDone(func(bool) { b.f.Close() })
	return b, b.unseal(t.ShuffleEnv().Key)
}

// unseal has the blocks decrypted. With a key they must be encrypted, and without one they must not: else somebody else wrote them.
func (b *fileBlocks) unseal(key *seal.Key) error {
	switch encrypted := b.from > 0; {
	case encrypted && key == nil:
		return fmt.Errorf("read block %s: it is encrypted, and this application has no key", b.path)
	case !encrypted && key != nil && b.size > 0:
		return fmt.Errorf("read block %s: it is not encrypted, and all are that this application writes", b.path)
	case encrypted:
		b.seal = key.NewReader()
	}
	return nil
}

func openFile(path string) (*fileBlocks, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return readBlocks(f, bufio.NewReaderSize(f, 1<<18), path, fi.Size()), nil
}

// readBlocks reads size bytes that writeBlock wrote.
func readBlocks(f io.ReadSeekCloser, r *bufio.Reader, path string, size int64) *fileBlocks {
	b := &fileBlocks{f: f, r: r, path: path, size: size}
	if magic, err := b.r.Peek(len(sealedMagic)); err == nil && string(magic) == sealedMagic {
		b.from = int64(len(sealedMagic))
		_, _ = b.r.Discard(len(sealedMagic)) // they are there
	}
	b.left = b.size - b.from
	return b
}

// CheckBlock holds the file of a kept partition, as Block.Write wrote it, against its checksums. It takes no key for that.
func CheckBlock(path string) error {
	b, err := openFile(path)
	if err != nil {
		return err
	}
	defer b.f.Close()
	return b.check()
}

// check reads all blocks.
func (b *fileBlocks) check() error {
	for {
		if _, err := b.next(); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// rewind starts again from the first block.
func (b *fileBlocks) rewind() error {
	if _, err := b.f.Seek(b.from, io.SeekStart); err != nil {
		return fmt.Errorf("read rows again: %w", err)
	}
	b.r.Reset(b.f)
	b.left = b.size - b.from
	return nil
}

func (b *fileBlocks) next() ([]byte, error) {
	var head [blockHead]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		if err == io.EOF && b.left == 0 {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("read block %s: %w", b.path, noEOF(err))
	}
	length := binary.LittleEndian.Uint32(head[:])
	b.left -= blockHead + int64(length&^compressed)
	if b.left < 0 {
		return nil, fmt.Errorf("read block %s: %w", b.path, errDamagedBlock)
	}
	b.book(int64(length &^ compressed))
	b.buf = resize(b.buf, int(length&^compressed))
	if _, err := io.ReadFull(b.r, b.buf); err != nil {
		return nil, fmt.Errorf("read block %s: %w", b.path, noEOF(err))
	}
	if sealBlock(head[:], b.buf) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("read block %s: %w", b.path, errDamagedBlock)
	}
	block, err := b.buf, error(nil)
	if b.seal != nil {
		block, err = b.seal.Open(block, head[:4])
	}
	if err != nil {
		return nil, fmt.Errorf("read block %s: %w", b.path, err)
	}
	if length&compressed == 0 || b.from > 0 && b.seal == nil {
		return block, nil
	}
	if b.raw, _, err = (codec.Compressor{}).Decode(b.raw[:0], block); err != nil {
		return nil, fmt.Errorf("read block %s: %w", b.path, err)
	}
	return b.raw, nil
}

var errDamagedBlock = errors.New("the checksum does not match: the file was changed after it was written, or the disk is damaged")

// noEOF is err, unless that would look like the end of the rows.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (b *fileBlocks) took(_ int, err error) error {
	if cap(b.buf)+cap(b.raw) > largeRow { // of rows that are large themselves
		b.buf, b.raw = nil, nil
	}
	if err != nil {
		return fmt.Errorf("read block %s: %w", b.path, err)
	}
	return nil
}

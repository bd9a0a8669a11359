package shuffle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// The files of one map output lie in a folder of their shuffle, which goes as a whole when the shuffle is no longer needed:
//
//	<dir>/shuffle-<shuffle>/<map>-<attempt>.data    the blocks of partition 0, then those of partition 1, ...
//	<dir>/shuffle-<shuffle>/<map>-<attempt>.index   where each partition begins
//
// The index is written last: an output whose index exists is complete.
//
// An index is, little endian: 8 bytes magic, int64 shuffle, int64 map, int64 attempt, uint64 partitions n, n+1 uint64 offsets
// into the data file (the first is 0, the last the size of the file), and the CRC-32C of all that.
const (
	indexMagic  = "sgshufi1"
	indexHeader = 8 + 4*8
	// maxPartitions bounds what an index may claim, and what a writer accepts.
	maxPartitions = 1 << 24
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func shuffleDir(dir string, shuffle int) string {
	return filepath.Join(dir, "shuffle-"+strconv.Itoa(shuffle))
}

// DataFile returns the path of the data file of a map output under dir.
func DataFile(dir string, id WriterID) string {
	return filepath.Join(shuffleDir(dir, id.Shuffle), fmt.Sprintf("%d-%d.data", id.Map, id.Attempt))
}

// IndexFile returns the path of the index of a map output under dir.
func IndexFile(dir string, id WriterID) string {
	return filepath.Join(shuffleDir(dir, id.Shuffle), fmt.Sprintf("%d-%d.index", id.Map, id.Attempt))
}

// RemoveShuffle removes the files of all map outputs of a shuffle under dir. It is no error if there are none.
func RemoveShuffle(dir string, shuffleID int) error {
	if err := os.RemoveAll(shuffleDir(dir, shuffleID)); err != nil {
		return fmt.Errorf("shuffle: remove the files of shuffle %d: %w", shuffleID, err)
	}
	return nil
}

// RemoveOutput removes the files of one map output under dir, the index first. It is no error if there are none.
func RemoveOutput(dir string, id WriterID) error {
	for _, path := range []string{IndexFile(dir, id), DataFile(dir, id)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("shuffle: remove a map output: %w", err)
		}
	}
	return nil
}

// LinkOutput lays a map output that lies under fromDir down under toDir too, as another one: the data file is linked, or, where links are
// impossible, put there by otherwise(file, place); the index is written anew. An output that is there already is replaced. It returns the stored bytes of
// each reduce partition. An output that is not complete, or whose index is damaged, is an error.
func LinkOutput(fromDir string, from WriterID, toDir string, to WriterID, otherwise func(file, place string) error) (sizes []int64, err error) {
	path := IndexFile(fromDir, from)
	index, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("shuffle: read index: %w", err)
	}
	offsets, err := decodeIndex(index, from)
	if err != nil {
		return nil, fmt.Errorf("shuffle: read index %s: %w", path, err)
	}
	n := offsets.partitions()
	all, sizes := make([]int64, n+1), make([]int64, n)
	for i := range all {
		all[i] = int64(offsets.at(i))
		if i > 0 {
			sizes[i-1] = all[i] - all[i-1]
		}
	}
	data, place := DataFile(fromDir, from), DataFile(toDir, to)
	info, err := os.Stat(data)
	if err == nil && info.Size() != all[n] {
		err = fmt.Errorf("%w: it has %d bytes, its index says %d", errCorrupt, info.Size(), all[n])
	}
	if err != nil {
		return nil, fmt.Errorf("shuffle: look at map output %s: %w", data, err)
	}
	if err := os.MkdirAll(shuffleDir(toDir, to.Shuffle), 0o700); err != nil {
		return nil, fmt.Errorf("shuffle: make a folder for map outputs: %w", err)
	}
	if err := RemoveOutput(toDir, to); err != nil {
		return nil, err
	}
	if err := os.Link(data, place); err != nil {
		if err := otherwise(data, place); err != nil {
			return nil, fmt.Errorf("shuffle: put map output %s to %s: %w", data, place, err)
		}
	}
	return sizes, writeIndex(toDir, to, all)
}

// StoreOutput lays a copy of a map output down under dir: data has the stored bytes of all reduce partitions, whose sizes they are. Each block is held
// against its checksum; after an error nothing is there.
func StoreOutput(dir string, id WriterID, sizes []int64, data io.Reader) (err error) {
	offsets := make([]int64, len(sizes)+1)
	for i, n := range sizes {
		if n < 0 || len(sizes) > maxPartitions {
			return fmt.Errorf("shuffle: store a map output: %w: partition %d of %d has %d bytes", errCorrupt, i, len(sizes), n)
		}
		offsets[i+1] = offsets[i] + n
	}
	if err := os.MkdirAll(shuffleDir(dir, id.Shuffle), 0o700); err != nil {
		return fmt.Errorf("shuffle: make a folder for map outputs: %w", err)
	}
	path := DataFile(dir, id)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("shuffle: store a map output: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("shuffle: store map output %s: %w", path, cerr)
		}
		if err == nil {
			err = writeIndex(dir, id, offsets)
		}
		if err != nil {
			_ = RemoveOutput(dir, id)
		}
	}()
	var buf []byte
	for partition, left := range sizes {
		for left > 0 {
			buf, err = copyBlock(f, data, left, buf)
			if err != nil {
				return fmt.Errorf("shuffle: store map output %s, partition %d: %w", path, partition, err)
			}
			left -= int64(len(buf))
		}
	}
	return nil
}

// copyBlock copies the next block, which is at most left bytes long, by way of a buffer, and returns the block.
func copyBlock(to io.Writer, from io.Reader, left int64, buf []byte) ([]byte, error) {
	if left < blockHeader {
		return nil, fmt.Errorf("%w: %d bytes where a block begins", errCorrupt, left)
	}
	buf = append(buf[:0], make([]byte, blockHeader)...)
	if _, err := io.ReadFull(from, buf); err != nil {
		return nil, err
	}
	h := parseHeader(buf)
	if err := h.check(left - blockHeader); err != nil {
		return nil, err
	}
	buf = slices.Grow(buf, h.stored)[:blockHeader+h.stored]
	if _, err := io.ReadFull(from, buf[blockHeader:]); err != nil {
		return nil, err
	}
	if err := verify(buf); err != nil {
		return nil, err
	}
	_, err := to.Write(buf)
	return buf, err
}

// OpenBlock opens the data file of a map output under dir for whoever serves the reduce partitions [start, end) of it: they are
// the length bytes from offset on. The caller closes the file. Errors wrap fs.ErrNotExist if there is no such output.
func OpenBlock(dir string, shuffle, mapID int, attempt int64, start, end int) (f *os.File, offset, length int64, err error) {
	id := WriterID{Shuffle: shuffle, Map: mapID, Attempt: attempt}
	path := IndexFile(dir, id)
	index, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("shuffle: read index: %w", err)
	}
	offsets, err := decodeIndex(index, id)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("shuffle: read index %s: %w", path, err)
	}
	if start < 0 || end < start || end > offsets.partitions() {
		return nil, 0, 0, fmt.Errorf("shuffle: partitions [%d,%d) asked of map output %d of shuffle %d, which has %d", start, end, mapID, shuffle, offsets.partitions())
	}
	path = DataFile(dir, id)
	f, err = os.Open(path)
	if err != nil {
		return nil, 0, 0, fmt.Errorf("shuffle: open map output: %w", err)
	}
	info, err := f.Stat()
	if err == nil && uint64(info.Size()) != offsets.at(offsets.partitions()) {
		err = fmt.Errorf("%w: it has %d bytes, its index says %d", errCorrupt, info.Size(), offsets.at(offsets.partitions()))
	}
	if err != nil {
		f.Close()
		return nil, 0, 0, fmt.Errorf("shuffle: open map output %s: %w", path, err)
	}
	from, to := offsets.at(start), offsets.at(end)
	return f, int64(from), int64(to - from), nil
}

// OpenBlockIn is OpenBlock where the map output may lie under any of some directories.
func OpenBlockIn(dirs []string, shuffle, mapID int, attempt int64, start, end int) (f *os.File, offset, length int64, err error) {
	for _, dir := range dirs {
		f, offset, length, err = OpenBlock(dir, shuffle, mapID, attempt, start, end)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return f, offset, length, err
}

// errCorrupt is wrapped by every error about bytes that are not what was written.
var errCorrupt = errors.New("corrupt")

// indexOffsets are the checked offsets of an index, still encoded.
type indexOffsets []byte

func (o indexOffsets) partitions() int { return len(o)/8 - 1 }

func (o indexOffsets) at(i int) uint64 { return binary.LittleEndian.Uint64(o[8*i:]) }

func encodeIndex(id WriterID, offsets []int64) []byte {
	buf := make([]byte, 0, indexHeader+8*len(offsets)+4)
	buf = append(buf, indexMagic...)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(id.Shuffle))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(id.Map))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(id.Attempt))
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(offsets)-1))
	for _, o := range offsets {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(o))
	}
	return binary.LittleEndian.AppendUint32(buf, crc32.Checksum(buf, castagnoli))
}

func decodeIndex(buf []byte, id WriterID) (indexOffsets, error) {
	if len(buf) < indexHeader+8+4 {
		return nil, fmt.Errorf("%w: %d bytes are too few", errCorrupt, len(buf))
	}
	body, sum := buf[:len(buf)-4], binary.LittleEndian.Uint32(buf[len(buf)-4:])
	if string(body[:8]) != indexMagic {
		return nil, fmt.Errorf("%w: not an index", errCorrupt)
	}
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: checksum differs", errCorrupt)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(body[8+8*i:]) }
	if got := (WriterID{int(word(0)), int(word(1)), int64(word(2))}); got != id {
		return nil, fmt.Errorf("%w: it belongs to map output %d, attempt %d, of shuffle %d", errCorrupt, got.Map, got.Attempt, got.Shuffle)
	}
	n := word(3)
	offsets := indexOffsets(body[indexHeader:])
	if n > maxPartitions || uint64(len(offsets)) != 8*(n+1) {
		return nil, fmt.Errorf("%w: %d partitions do not fit %d bytes", errCorrupt, n, len(buf))
	}
	last := uint64(0)
	for i := 0; i <= int(n); i++ {
		o := offsets.at(i)
		if o < last || o > 1<<62 || i == 0 && o != 0 {
			return nil, fmt.Errorf("%w: offset %d of partition %d is out of order", errCorrupt, o, i)
		}
		last = o
	}
	return offsets, nil
}

// readFullAt is io.ReadFull for ReadAt: a short file is io.ErrUnexpectedEOF.
func readFullAt(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

package shuffle

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"github.com/spark-go/spark-go/shuffle/codec"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// WriterID names one attempt at one map output. Attempts never share a file.
type WriterID struct {
	Shuffle int
	Map     int
	Attempt int64
}

// Writer writes the output of one map task. It collects rows until they make blocks of a good size for every partition, sorts
// them by partition (stably), and encodes them into a run: blocks in partition order. Runs stay in memory while the budget
// lasts and go to a spill file after. Commit lays the runs of each partition end to end without decoding them: blocks are
// self-contained.
//
// A Writer belongs to one goroutine.
type Writer[T any] struct {
	mapOutput
	codec *codec.Codec[T]
	rows  []T
	batch []T // rows of one block, gathered
}

// mapOutput is the part of a Writer that does not know the rows' type, so that it is compiled once: it knows the partition of each
// collected row, and asks the Writer for the rows at given places.
type mapOutput struct {
	ctx        context.Context
	env        *Env
	id         WriterID
	partitions int
	collected  collectedRows // the Writer
	blocks     *blockWriter
	budget     budget
	spill      *spillFile

	parts    []int32 // of the collected rows; its capacity is theirs
	rowSize  int64   // estimated bytes of one row in memory
	sized    int     // rows until the estimate is renewed
	stage    int64   // bytes of rows collected for one run
	order    []uint32
	starts   []uint32
	counts   []int64 // rows of each partition in the runs
	runs     []run
	runBytes int64 // of the runs in memory
	total    int64
	done     bool
	err      error
}

// collectedRows are the rows that a Writer has collected for the next run.
type collectedRows interface {
	// grow gives them the capacity n.
	grow(n int)
	// gather returns the rows at the given places. They are valid until the next call.
	gather(places []uint32) codec.Rows
	// reset forgets them and what they point to, and keeps the capacity.
	reset()
	// release gives up their memory.
	release()
}

// run is a sequence of segments in partition order: in memory, or in the spill file.
type run struct {
	segments []segment
	rows     int
	next     int // the first segment that Commit has not written
}

// segment is one block, or adjacent blocks of one partition.
type segment struct {
	part int32
	mem  []byte // nil if it is in the spill file
	at   extent
}

const (
	stageMin  = 4 << 20
	stageMax  = 64 << 20
	stagePart = 64 << 10 // a partition's share of the stage
)

// NewWriter returns a writer of rows of type T into the given number of reduce partitions. It fails if T cannot travel, if
// partitions is not in [1, 16777216], or if env.Compression is unknown.
func NewWriter[T any](ctx context.Context, env *Env, id WriterID, partitions int) (*Writer[T], error) {
	if partitions < 1 || partitions > maxPartitions {
		return nil, fmt.Errorf("shuffle: write %d partitions: choose 1 to %d", partitions, maxPartitions)
	}
	c, err := codecOf[T]()
	if err != nil {
		return nil, err
	}
	blocks, err := newBlockWriter(env.Compression, env.Key)
	if err != nil {
		return nil, err
	}
	w := &Writer[T]{codec: c, mapOutput: mapOutput{
		ctx: ctx, env: env, id: id, partitions: partitions, blocks: blocks, budget: newBudget(env),
		spill: newSpillFile(env, "shuffle-write"),
		stage: min(max(int64(partitions)*stagePart, stageMin), stageMax),
	}}
	w.collected = w
	return w, nil
}

// Write adds rows; parts[i] is the reduce partition of rows[i]. Neither slice is kept, but what the rows point to is, until
// Commit: it must not change.
func (w *Writer[T]) Write(rows []T, parts []int32) error {
	if err := w.check(len(rows), parts); err != nil {
		return err
	}
	for len(rows) > 0 {
		if w.sized <= 0 {
			w.size(w.codec.MemSize(rows), len(rows))
		}
		n, err := w.take(parts)
		if err != nil {
			return err
		}
		w.rows = append(w.rows, rows[:n]...)
		rows, parts = rows[n:], parts[n:]
	}
	return nil
}

func (w *Writer[T]) grow(n int) { w.rows = append(make([]T, 0, n), w.rows...) }

func (w *Writer[T]) gather(places []uint32) codec.Rows {
	if cap(w.batch) < len(places) {
		w.batch = make([]T, max(len(places), min(2*cap(w.batch), blockMaxRows)))
	}
	batch := w.batch[:len(places)]
	for i, at := range places {
		batch[i] = w.rows[at]
	}
	return w.codec.Rows(batch)
}

func (w *Writer[T]) reset() {
	clear(w.batch)
	clear(w.rows)
	w.rows = w.rows[:0]
}

func (w *Writer[T]) release() { w.rows, w.batch = nil, nil }

// check refuses what cannot be written.
func (w *mapOutput) check(rows int, parts []int32) error {
	if w.err != nil {
		return w.err
	}
	if w.done {
		return errors.New("shuffle: write to a finished writer")
	}
	if rows != len(parts) {
		return fmt.Errorf("shuffle: write %d rows with %d partition numbers", rows, len(parts))
	}
	for _, p := range parts {
		if uint32(p) >= uint32(w.partitions) {
			return fmt.Errorf("shuffle: write a row to partition %d of %d", p, w.partitions)
		}
	}
	return nil
}

// size takes in an estimate of what n rows hold in memory.
func (w *mapOutput) size(bytes int64, n int) {
	w.rowSize = max(1, bytes/int64(n))
	w.sized = 4096
}

// take makes room for some of the next rows, at least one, notes their partitions and returns how many they are. The Writer adds
// the rows.
func (w *mapOutput) take(parts []int32) (int, error) {
	n, err := w.room(len(parts))
	if err != nil {
		w.err = err
		return 0, err
	}
	w.parts = append(w.parts, parts[:n]...)
	w.sized -= n
	return n, nil
}

// room makes room for some of n more rows, at least one, and returns for how many.
func (w *mapOutput) room(n int) (int, error) {
	per := w.rowSize + 8 // partition number and order
	limit := int(max(64, w.stage/per))
	if len(w.parts) >= limit {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	if free := cap(w.parts) - len(w.parts); free > 0 {
		return min(n, free, max(1, limit-len(w.parts))), nil
	}
	grown := min(limit, max(2*cap(w.parts), 1024))
	if grown > cap(w.parts) {
		// Old and new array are both there while one is copied into the other.
		if w.budget.fits(w.runBytes + int64(grown+len(w.parts))*per) {
			w.reserve(grown)
			return min(n, grown-len(w.parts)), nil
		}
		if len(w.parts) == 0 { // the first rows are always taken
			w.reserve(256)
			return min(n, 256), nil
		}
	}
	if w.runBytes > 0 {
		// Blocks in memory make way for rows: long stages make large blocks.
		if err := w.spillRuns(); err != nil {
			return 0, err
		}
		return w.room(n)
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	return min(n, cap(w.parts)), nil
}

// reserve gives rows and partition numbers the capacity n.
func (w *mapOutput) reserve(n int) {
	w.collected.grow(n)
	w.parts = append(make([]int32, 0, n), w.parts...)
}

// flush encodes the collected rows into a run.
func (w *mapOutput) flush() error {
	if len(w.parts) == 0 {
		return nil
	}
	if err := context.Cause(w.ctx); err != nil {
		return err
	}
	began := time.Now()
	w.sort()
	r := run{rows: len(w.parts)}
	var chunk []byte
	blockRows := int(min(max(blockBytes/w.rowSize, 1), blockMaxRows))
	// Many outputs are small: what is made for one is no larger than it.
	chunkBytes := int(min(int64(len(w.parts))*w.rowSize+int64(min(w.partitions, len(w.parts)))*int64(w.blocks.head()+64), 2*blockBytes))
	from := uint32(0)
	for p := range w.partitions {
		to := w.starts[p]
		for from < to {
			n := min(to-from, uint32(blockRows))
			batch := w.collected.gather(w.order[from : from+n])
			from += n
			if cap(chunk)-len(chunk) < min(blockBytes, chunkBytes)/2 {
				chunk = make([]byte, 0, chunkBytes)
			}
			had := len(chunk)
			w.blocks.part = int32(p)
			out, err := w.blocks.append(chunk[had:had], batch)
			if err != nil {
				return err
			}
			r.segments = append(r.segments, segment{part: int32(p), mem: out})
			w.runBytes += int64(len(out))
			if len(out) <= cap(chunk)-had {
				chunk = chunk[:had+len(out)]
			}
		}
	}
	w.total += int64(len(w.parts))
	w.collected.reset()
	w.parts = w.parts[:0]
	w.runs = append(w.runs, r)
	w.countTime(began)
	if !w.budget.fits(w.runBytes + int64(cap(w.parts))*(w.rowSize+8)) {
		return w.spillRuns()
	}
	return nil
}

// sort fills w.order with the positions of the collected rows by partition, and w.starts with where each partition ends.
func (w *mapOutput) sort() {
	if w.starts == nil {
		w.starts = make([]uint32, w.partitions+1)
	}
	clear(w.starts)
	for _, p := range w.parts {
		w.starts[p+1]++
	}
	sum := uint32(0)
	for i := range w.starts {
		sum += w.starts[i]
		w.starts[i] = sum
	}
	if cap(w.order) < len(w.parts) {
		w.order = make([]uint32, cap(w.parts))
	}
	w.order = w.order[:len(w.parts)]
	for i, p := range w.parts {
		w.order[w.starts[p]] = uint32(i)
		w.starts[p]++
	}
	if w.counts == nil {
		w.counts = make([]int64, w.partitions)
	}
	from := uint32(0)
	for p := range w.counts {
		w.counts[p] += int64(w.starts[p] - from)
		from = w.starts[p]
	}
}

// minHeavy is how many rows make a partition heavy at least.
const minHeavy = 1024

// heavy lists the partitions that are far above the mean.
func (w *mapOutput) heavy() []Heavy {
	limit := max(2*w.total/int64(w.partitions), minHeavy)
	var list []Heavy
	for p, n := range w.counts {
		if n >= limit {
			list = append(list, Heavy{p, n})
		}
	}
	return list
}

// sumOf is the CRC-32C of numbers, 8 bytes each.
func sumOf(numbers []int64) uint32 {
	sum := uint32(0)
	var b [8]byte
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(b[:], uint64(n))
		sum = crc32.Update(sum, castagnoli, b[:])
	}
	return sum
}

// spillRuns moves the runs in memory to the spill file.
func (w *mapOutput) spillRuns() error {
	began := time.Now()
	var buf []byte
	for i := range w.runs {
		r := &w.runs[i]
		if len(r.segments) == 0 || r.segments[0].mem == nil {
			continue
		}
		var moved []segment
		buf = buf[:0]
		off := w.spill.size
		for _, s := range r.segments {
			n := int64(len(s.mem))
			if k := len(moved) - 1; k >= 0 && moved[k].part == s.part {
				moved[k].at.n += n
			} else {
				moved = append(moved, segment{part: s.part, at: extent{off, n}})
			}
			off += n
			buf = append(buf, s.mem...)
			if len(buf) >= 1<<20 {
				if _, err := w.spill.append(buf, 0); err != nil {
					return err
				}
				buf = buf[:0]
			}
		}
		if _, err := w.spill.append(buf, r.rows); err != nil {
			return err
		}
		r.segments = moved
	}
	w.runBytes = 0
	w.budget.shrink(int64(cap(w.parts)) * (w.rowSize + 8))
	w.countTime(began)
	return nil
}

// Commit writes the data file and its index, moves both into place and returns where they are. The writer is finished then,
// whether it succeeded or not; after an error nothing of it is left.
func (w *mapOutput) Commit() (Output, error) {
	if w.done {
		return Output{}, errors.New("shuffle: commit a finished writer")
	}
	out, err := w.commit()
	if err != nil {
		w.Abort()
		return Output{}, err
	}
	w.close()
	return out, nil
}

func (w *mapOutput) commit() (Output, error) {
	if w.err != nil {
		return Output{}, w.err
	}
	if err := w.flush(); err != nil {
		return Output{}, err
	}
	w.drop()
	if err := context.Cause(w.ctx); err != nil {
		return Output{}, err
	}
	began := time.Now()
	// Nobody looks at the data file before there is an index, so that it may be written in place.
	data, err := w.env.OutputDirs().Create("map output", DataFile("", w.id))
	if err != nil {
		return Output{}, fmt.Errorf("shuffle: %w", err)
	}
	out := Output{Map: w.id.Map, Attempt: w.id.Attempt, Location: w.env.Location, Sizes: make([]int64, w.partitions), Rows: w.total, Heavy: w.heavy(), Sum: w.blocks.sum}
	out.Sum.Counts = sumOf(w.counts)
	offsets, err := w.merge(data, out.Sizes)
	if err == nil {
		err = writeIndexBeside(data, w.id, offsets)
	}
	if cerr := data.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("shuffle: %w", cerr)
	}
	if err != nil {
		data.Remove()
		os.Remove(IndexFile(data.Dir(), w.id))
		return Output{}, err
	}
	out.Location.Dir = data.Dir()
	if m := w.env.Metrics; m != nil {
		m.RowsWritten += w.total
		m.BytesWritten += offsets[w.partitions]
	}
	w.countTime(began)
	return out, nil
}

// writeIndexBeside writes the index of a data file into its folder. Where there is no room left for it the data file moves as well.
func writeIndexBeside(data *disk.File, id WriterID, offsets []int64) error {
	for {
		err := writeIndex(data.Dir(), id, offsets)
		if err == nil {
			return nil
		}
		if err := data.Move(err); err != nil {
			return fmt.Errorf("shuffle: index of %w", err)
		}
	}
}

// writeIndex writes an index beside its place and moves it there: it is whole as soon as it is seen.
func writeIndex(dir string, id WriterID, offsets []int64) error {
	path := IndexFile(dir, id)
	err := os.WriteFile(path+".tmp", encodeIndex(id, offsets), 0o600)
	if err == nil {
		err = os.Rename(path+".tmp", path)
	}
	if err != nil {
		os.Remove(path + ".tmp")
		return fmt.Errorf("shuffle: write index: %w", err)
	}
	return nil
}

// merge writes the segments of all runs, partition by partition and in run order, and returns where each partition begins.
func (w *mapOutput) merge(f *disk.File, sizes []int64) ([]int64, error) {
	offsets := make([]int64, w.partitions+1)
	out := bufio.NewWriterSize(f, int(min(w.runBytes+w.spill.size, blockBytes)))
	var buf []byte // for what is read back
	at := int64(0)
	for p := range w.partitions {
		offsets[p] = at
		for i := range w.runs {
			r := &w.runs[i]
			for ; r.next < len(r.segments) && r.segments[r.next].part == int32(p); r.next++ {
				s := &r.segments[r.next]
				if s.mem != nil {
					if _, err := out.Write(s.mem); err != nil {
						return nil, fmt.Errorf("shuffle: %w", err)
					}
					at += int64(len(s.mem))
					s.mem = nil
					continue
				}
				if buf == nil {
					buf = make([]byte, blockBytes)
				}
				for off, end := s.at.off, s.at.off+s.at.n; off < end; {
					n := min(end-off, int64(len(buf)))
					if err := w.spill.read(buf[:n], off); err != nil {
						return nil, err
					}
					if _, err := out.Write(buf[:n]); err != nil {
						return nil, fmt.Errorf("shuffle: %w", err)
					}
					off += n
				}
				at += s.at.n
			}
		}
		sizes[p] = at - offsets[p]
		if p%1024 == 0 {
			if err := context.Cause(w.ctx); err != nil {
				return nil, err
			}
		}
	}
	offsets[w.partitions] = at
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("shuffle: %w", err)
	}
	return offsets, nil
}

// Abort removes everything that an unfinished writer wrote. After Commit, or again, it does nothing, so that it can be deferred.
func (w *mapOutput) Abort() { w.close() }

func (w *mapOutput) close() {
	w.done = true
	w.drop()
	w.runs = nil
	w.spill.close()
	w.budget.close()
}

// drop gives up the memory of the collected rows.
func (w *mapOutput) drop() {
	w.collected.release()
	w.parts, w.order = nil, nil
}

func (w *mapOutput) countTime(began time.Time) {
	if m := w.env.Metrics; m != nil {
		m.WriteNanos += int64(time.Since(began))
	}
}

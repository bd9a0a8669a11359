package rdd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"

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
	r.node.persist(level)
	return r
}

func (n *Node) persist(level StorageLevel) {
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
}

// Unpersist forgets the kept partitions; later jobs compute them again. It returns when executors have been told, and with wait
// when they have done it.
func (r RDD[T]) Unpersist(ctx context.Context, wait bool) error { return r.node.unpersist(ctx, wait) }

func (n *Node) unpersist(ctx context.Context, wait bool) error {
	n.mu.Lock()
	n.level = None
	n.mu.Unlock()
	if n.session == nil {
		return fmt.Errorf("unpersist dataset %d: a dataset cannot be changed inside a task", n.id)
	}
	return n.session.Unpersist(ctx, n.id, wait)
}

// computeCached streams a partition of a persisted dataset: from the block store if it is there, else by computing it and, while
// the rows pass, keeping them.
func computeCached[T any](r RDD[T], t *Task, p int) (Stream[T], error) {
	b, ok := t.runtime.Blocks().Get(r.node.id, p)
	if ok {
		t.CachedRead++
	}
	if ok && (b.Rows != nil || r.node.level != MemoryOnly) {
		return openBlock(r, t, p, b)
	}
	c, err := codec.Of[T]()
	keeper := blockKeeper{task: t, store: t.runtime.Blocks(), dataset: r.node.id, partition: p, level: r.node.level}
	if err == nil {
		keeper.again = rowsOfBlock[T]
	}
	if err = r.node.keepable(err); err != nil {
		return nil, err
	}
	var in Stream[T]
	if ok { // it came from another executor: from here on it is kept in memory, if there is room
		in, err = openBlock(r, t, p, b)
	} else {
		in, err = r.computeOp(t, p)
	}
	if err != nil {
		return nil, err
	}
	rows := &partitionRows[T]{codec: c, in: in}
	keeper.rows = rows
	path, err := keeper.fill()
	if path != "" && err == nil {
		return openRows(t, path, recomputed[T]{r, t, p, path}.rows)
	}
	return rows, err
}

// recomputed is where the rows of a kept partition come from when its file is damaged or gone.
type recomputed[T any] struct {
	of        RDD[T]
	task      *Task
	partition int
	file      string
}

// rows forgets the block and computes the partition, which keeps it again.
func (c recomputed[T]) rows(cause error) (Stream[T], error) {
	slog.Warn("a cached block cannot be read and is computed again", "dataset", c.of.node.id, "partition", c.partition, "error", cause)
	c.task.runtime.Blocks().Drop(c.of.node.id, c.partition, c.file)
	return computeCached(c.of, c.task, c.partition)
}

// keepable says why rows that cannot travel, for the given reason, cannot be kept; nil if they can.
func (n *Node) keepable(err error) error {
	if err == nil || n.level == MemoryOnly {
		return nil
	}
	return fmt.Errorf("persist dataset %d on disk: %w", n.id, err)
}

// openBlock streams a kept partition.
func openBlock[T any](r RDD[T], t *Task, p int, b Block) (Stream[T], error) {
	if b.Rows == nil {
		return openRows(t, b.File, recomputed[T]{r, t, p, b.File}.rows)
	}
	chunks, ok := b.Rows.([][]T)
	if !ok {
		return nil, fmt.Errorf("a cached block holds %T where %v was asked for", b.Rows, reflect.TypeFor[[][]T]())
	}
	return untilCancelled(t, Stream[T](&partitionRows[T]{chunks: chunks})), nil
}

// partitionRows is a partition on its way to the block store: what a blockKeeper works on without knowing the type of the rows. As a
// stream it yields all rows: those that were kept, then what has not been.
type partitionRows[T any] struct {
	codec  *codec.Codec[T] // nil if the rows cannot travel
	chunks [][]T           // kept
	batch  []T             // of in, asked for and not yet kept
	in     Stream[T]       // nil at its end
	at     int             // how far Next is in chunks[0]
	rest   []T             // of the batch that is encoded
	copies []T             // scratch of own
	buf    []byte          // scratch of own
}

const (
	// encodeBytes is about how much is encoded at once, and read back at once: rows may be large.
	encodeBytes = 1 << 20
	// largeRow is from which size on a row is booked, and what it was encoded in is given up at once.
	largeRow = 4 * encodeBytes
	// ownBytes is from which size on rows are thought to be no small parts of something larger.
	ownBytes = 64 << 10
)

// load asks for the next batch and estimates what it takes in memory.
func (r *partitionRows[T]) load() (size int64, err error) {
	r.batch, err = r.in.Next()
	if err == io.EOF {
		r.in = nil
	}
	if err != nil {
		return 0, err
	}
	if r.codec != nil {
		return r.codec.MemSize(r.batch), nil
	}
	return int64(len(r.batch)) * 64, nil
}

// keep copies the batch to the end of the chunks: the last chunk is filled before a new, larger one starts. With own what the rows point to
// is copied too: rows that a filter left over keep the blocks alive that they came in.
func (r *partitionRows[T]) keep(own bool) {
	batch := r.batch
	if own {
		batch = r.own(batch)
	}
	r.chunks = appendChunk(r.chunks, batch)
	r.batch = nil
	clear(r.copies)
}

func (r *partitionRows[T]) own(batch []T) []T {
	if r.codec == nil || r.codec.Fixed() || r.codec.MemSize(batch) > ownBytes*int64(len(batch)) {
		return batch
	}
	var err error
	if r.buf, err = r.codec.Append(r.buf[:0], batch); err == nil {
		r.copies, _, err = r.codec.Decode(r.copies[:0], r.buf)
	}
	if err != nil {
		return batch // in memory rows need not travel
	}
	return r.copies
}

// kept is what a block in memory holds.
func (r *partitionRows[T]) kept() any {
	if r.chunks == nil {
		return [][]T{}
	}
	// Chunks double, so that the last one, nearly empty, may be as large as all others together, and nobody has counted it.
	if last := len(r.chunks) - 1; len(r.chunks[last]) <= cap(r.chunks[last])/2 {
		r.chunks[last] = append(make([]T, 0, len(r.chunks[last])), r.chunks[last]...)
	}
	return r.chunks
}

// Next implements Stream.
func (r *partitionRows[T]) Next() ([]T, error) {
	for len(r.chunks) > 0 {
		if rows := r.chunks[0][r.at:]; len(rows) > 0 {
			rows = rows[:min(len(rows), BatchRows)]
			r.at += len(rows)
			return rows, nil
		}
		r.chunks, r.at = r.chunks[1:], 0
	}
	if rows := r.batch; len(rows) > 0 {
		r.batch = nil
		return rows, nil
	}
	if r.in == nil {
		return nil, io.EOF
	}
	return r.in.Next()
}

// encode appends the next batch to dst, or a part of it where rows are large.
func (r *partitionRows[T]) encode(dst []byte) ([]byte, int, error) {
	if len(r.rest) == 0 {
		var err error
		if r.rest, err = r.Next(); err != nil {
			return dst, 0, err
		}
	}
	n := len(r.rest)
	if size := r.codec.MemSize(r.rest); size > encodeBytes {
		n = max(1, int(int64(n)*encodeBytes/size))
		if n == 1 && cap(dst)-len(dst) < largeRow {
			// Growing bit by bit would hold the bytes of a large row twice.
			dst = slices.Grow(dst, int(r.codec.MemSize(r.rest[:1])))
		}
	}
	dst, err := r.codec.Append(dst, r.rest[:n])
	r.rest = r.rest[n:]
	return dst, n, err
}

// rowsOfBlock are the rows of a block in memory, to be written to disk. The block store calls it, long after the task that kept the
// block has ended: what it needs is made anew.
func rowsOfBlock[T any](rows any) encodedRows {
	c, err := codec.Of[T]()
	if err != nil {
		c = nil // such blocks are not spilled
	}
	return &partitionRows[T]{codec: c, chunks: rows.([][]T)}
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

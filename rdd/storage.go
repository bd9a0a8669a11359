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
//
// The levels with a 2 keep each partition on two executors, on two hosts where there are two. When the first one has computed it the second one fetches
// a copy, while the program goes on; losing an executor then costs no computation, and the copy that was lost is made anew from the other one. That
// takes twice the memory or disk and sends every partition over the network once: it pays where a partition takes longer to compute than to send. A copy
// in memory is kept as bytes until a task reads it, and is not kept where it does not fit (MemoryOnly2) or lies on disk (MemoryAndDisk2). A
// task that runs elsewhere reads the partition from an executor that has it, where it would compute it at the other levels. With master local, which has
// one executor, they are what they are without the 2.
const (
	None StorageLevel = iota
	MemoryOnly
	MemoryAndDisk
	DiskOnly
	MemoryOnly2
	MemoryAndDisk2
	DiskOnly2
)

var levels = [...]struct {
	name         string
	memory, disk bool
	copies       int
}{
	None:           {"NONE", false, false, 0},
	MemoryOnly:     {"MEMORY_ONLY", true, false, 1},
	MemoryAndDisk:  {"MEMORY_AND_DISK", true, true, 1},
	DiskOnly:       {"DISK_ONLY", false, true, 1},
	MemoryOnly2:    {"MEMORY_ONLY_2", true, false, 2},
	MemoryAndDisk2: {"MEMORY_AND_DISK_2", true, true, 2},
	DiskOnly2:      {"DISK_ONLY_2", false, true, 2},
}

// String is Spark's name of the level.
func (l StorageLevel) String() string {
	if l.Valid() {
		return levels[l].name
	}
	return fmt.Sprintf("StorageLevel(%d)", uint8(l))
}

// Valid reports whether it is one of the levels above.
func (l StorageLevel) Valid() bool { return int(l) < len(levels) }

// UseMemory reports whether partitions are kept in memory as long as there is room.
func (l StorageLevel) UseMemory() bool { return l.Valid() && levels[l].memory }

// UseDisk reports whether partitions are kept on disk, all of them or those for which memory has no room.
func (l StorageLevel) UseDisk() bool { return l.Valid() && levels[l].disk }

// Replication is on how many executors each partition is kept: 2 for the levels with a 2, 0 for None, else 1.
func (l StorageLevel) Replication() int {
	if l.Valid() {
		return levels[l].copies
	}
	return 0
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
	case !level.Valid() && n.err == nil:
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

// computeCached streams a partition of a persisted dataset: from the block store if it is there, from an executor that has a copy, else by
// computing it.
func computeCached[T any](r RDD[T], t *Task, p int) (Stream[T], error) {
	b, ok := t.runtime.Blocks().Get(r.node.id, p)
	switch {
	case ok && b.foreign(r.node.level):
		t.CachedRead++
		return keep(r, t, p, true, func() (Stream[T], error) { return openBlock(r, t, p, b) })
	case ok:
		t.CachedRead++
		return openBlock(r, t, p, b)
	}
	if path := t.replica(r.node, p); path != "" {
		t.CachedRead++
		return openRows(t, path, func(cause error) (Stream[T], error) {
			warnOfLostBlock(r.node, p, cause)
			return computeAndKeep(r, t, p)
		})
	}
	return computeAndKeep(r, t, p)
}

func computeAndKeep[T any](r RDD[T], t *Task, p int) (Stream[T], error) {
	return keep(r, t, p, false, func() (Stream[T], error) { return r.computeOp(t, p) })
}

// keep streams a partition that open computes, and keeps it while the rows pass. With kept it comes from another executor and the store has it: from
// here on it is kept in memory, if there is room.
func keep[T any](r RDD[T], t *Task, p int, kept bool, open func() (Stream[T], error)) (Stream[T], error) {
	c, err := codec.Of[T]()
	keeper := blockKeeper{task: t, store: t.runtime.Blocks(), dataset: r.node.id, partition: p, level: r.node.level, kept: kept}
	if err == nil {
		keeper.again = rowsOfBlock[T]
	}
	if err = r.node.keepable(err); err != nil {
		return nil, err
	}
	in, err := open()
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

// foreign says that a block is not what this executor would have made of the partition, because another one did: bytes in memory, or a file of a
// partition that is to be in memory alone.
func (b *Block) foreign(level StorageLevel) bool {
	if b.Rows == nil {
		return !level.UseDisk()
	}
	_, bytes := b.Rows.(EncodedRows)
	return bytes
}

// replica fetches a partition from another executor that keeps it to a file of the task's; empty if there is none.
func (t *Task) replica(n *Node, p int) (path string) {
	if rt, ok := t.runtime.(ReplicaRuntime); ok && n.level.Replication() > 1 {
		return rt.Replica(n.id, p)
	}
	return ""
}

// recomputed is where the rows of a kept partition come from when the block is damaged or gone.
type recomputed[T any] struct {
	of        RDD[T]
	task      *Task
	partition int
	file      string // empty if it was in memory
}

// rows forgets the block and computes the partition, which keeps it again, or reads another executor's copy.
func (c recomputed[T]) rows(cause error) (Stream[T], error) {
	warnOfLostBlock(c.of.node, c.partition, cause)
	c.task.runtime.Blocks().Drop(c.of.node.id, c.partition, c.file)
	return computeCached(c.of, c.task, c.partition)
}

func warnOfLostBlock(n *Node, partition int, cause error) {
	slog.Warn("a cached block cannot be read and is read from another executor or computed again", "dataset", n.id, "partition", partition, "error", cause)
}

// keepable says why rows that cannot travel, for the given reason, cannot be kept; nil if they can.
func (n *Node) keepable(err error) error {
	switch {
	case err == nil:
		return nil
	case n.level.UseDisk():
		return fmt.Errorf("persist dataset %d on disk: %w", n.id, err)
	case n.level.Replication() > 1:
		return fmt.Errorf("persist dataset %d on two executors: %w", n.id, err)
	}
	return nil
}

// openBlock streams a kept partition.
func openBlock[T any](r RDD[T], t *Task, p int, b Block) (Stream[T], error) {
	if b.Rows == nil {
		return openRows(t, b.File, recomputed[T]{r, t, p, b.File}.rows)
	}
	if rows, ok := b.Rows.(EncodedRows); ok {
		return openEncoded(t, rows, recomputed[T]{r, t, p, ""}.rows)
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

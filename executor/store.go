package executor

import (
	"container/list"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// Store keeps cached partitions, in memory or on disk, least recently used first out. A block never evicts one of its own
// dataset: a dataset larger than memory would otherwise throw out each partition just before it is needed again.
type Store struct {
	memory *Memory
	dirs   *disk.Dirs // of blocks on disk

	compression string // of blocks on disk

	freeing sync.Mutex // held while blocks are put out
	mu      sync.Mutex
	blocks  map[protocol.BlockID]*entry
	copies  map[*blockCopy]bool // being made
	recent  *list.List          // of *entry, most recently used in front
	files   int
	changed func(protocol.BlockUpdate)
}

type entry struct {
	id    protocol.BlockID
	block rdd.Block
	place *list.Element
}

// NewStore makes an empty store with its files in dirs; changed is told of every block that comes or goes.
func NewStore(memory *Memory, dirs *disk.Dirs, changed func(protocol.BlockUpdate)) *Store {
	s := &Store{memory: memory, dirs: dirs, blocks: map[protocol.BlockID]*entry{}, copies: map[*blockCopy]bool{}, recent: list.New(), changed: changed}
	memory.evict = func(need int64) int64 { return s.free(need, -1) }
	return s
}

// Get returns a cached partition.
func (s *Store) Get(dataset, partition int) (rdd.Block, bool) {
	id := protocol.BlockID{Dataset: dataset, Partition: partition}
	b, ok, lost := s.get(id)
	if lost {
		s.changed(protocol.BlockUpdate{ID: id})
	}
	return b, ok
}

// get also says whether the partition was just found to be lost.
func (s *Store) get(id protocol.BlockID) (b rdd.Block, ok, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.blocks[id]
	if !ok {
		return rdd.Block{}, false, false
	}
	s.recent.MoveToFront(e.place)
	if e.block.Rows == nil {
		// A file that somebody deleted is as good as a block that was never kept.
		if fi, err := os.Stat(e.block.File); err != nil || fi.Size() != e.block.Disk {
			s.drop(e)
			return rdd.Block{}, false, true
		}
	}
	return e.block, true, false
}

// Compression implements rdd.CompressedStore.
func (s *Store) Compression() string { return s.compression }

// Scarce implements rdd.ScarceStore.
func (s *Store) Scarce() bool { return s.memory.scarce() }

// Reserve makes room for n more bytes of a block of the dataset, evicting other datasets' blocks.
func (s *Store) Reserve(dataset int, n int64) bool {
	for range 3 {
		if s.memory.reserve(n) {
			return true
		}
		if s.free(s.memory.missing(n), dataset) <= 0 {
			return false
		}
	}
	return false
}

// Unreserve gives back reserved bytes.
func (s *Store) Unreserve(n int64) { s.memory.unreserve(n) }

// Put keeps a block whose memory was reserved.
func (s *Store) Put(dataset, partition int, b rdd.Block) {
	s.put(protocol.BlockID{Dataset: dataset, Partition: partition}, b, nil)
}

// put keeps a block, unless it is a copy whose dataset was removed.
func (s *Store) put(id protocol.BlockID, b rdd.Block, c *blockCopy) (kept bool) {
	s.mu.Lock()
	if c != nil && c.void {
		s.mu.Unlock()
		return false
	}
	if old, ok := s.blocks[id]; ok {
		s.drop(old)
	}
	e := &entry{id: id, block: b}
	e.place = s.recent.PushFront(e)
	s.blocks[id] = e
	s.mu.Unlock()
	s.changed(present(id, b))
	return true
}

// present is the update for a block that is kept. One without rows counts as a byte: no bytes would mean that it is gone, and tasks
// would look for it where it is not.
func present(id protocol.BlockID, b rdd.Block) protocol.BlockUpdate {
	u := protocol.BlockUpdate{ID: id, Memory: b.Memory, Disk: b.Disk, Level: uint8(b.Level)}
	if u.Memory == 0 && u.Disk == 0 {
		u.Memory = 1
	}
	return u
}

// Create makes a private file for a block.
func (s *Store) Create(dataset, partition int) (*disk.File, error) {
	s.mu.Lock()
	s.files++
	n := s.files
	s.mu.Unlock()
	return s.dirs.Create("cached block", fmt.Sprintf("rdd_%d_%d.%d", dataset, partition, n))
}

// Remove forgets all blocks of a dataset.
func (s *Store) Remove(dataset int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, e := range s.blocks {
		if id.Dataset == dataset {
			s.drop(e)
		}
	}
	for c := range s.copies {
		c.void = c.void || c.id.Dataset == dataset
	}
}

// Drop forgets a partition that cannot be read.
func (s *Store) Drop(dataset, partition int, file string) {
	s.mu.Lock()
	e, ok := s.blocks[protocol.BlockID{Dataset: dataset, Partition: partition}]
	ok = ok && e.block.File == file
	if ok {
		s.drop(e)
	}
	s.mu.Unlock()
	if ok {
		s.changed(protocol.BlockUpdate{ID: e.id})
	}
}

// Close forgets everything and removes the files.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.blocks {
		s.drop(e)
	}
	_ = s.dirs.RemoveAll()
}

// drop forgets a block; the lock is held.
func (s *Store) drop(e *entry) {
	delete(s.blocks, e.id)
	s.recent.Remove(e.place)
	if e.block.Rows != nil {
		s.memory.unreserve(e.block.Memory)
	}
	if e.block.File != "" {
		os.Remove(e.block.File)
	}
}

// free evicts blocks in memory, the least recently used first, none of the given dataset, until need bytes are free, and returns
// how many it freed. Blocks of levels with a disk go there; the others are forgotten.
func (s *Store) free(need int64, except int) (freed int64) {
	// One block at a time: what blocks are encoded in is in no book.
	s.freeing.Lock()
	defer s.freeing.Unlock()
	for freed < need {
		e := s.oldest(except)
		if e == nil {
			return freed
		}
		freed += e.block.Memory
		b := rdd.Block{}
		if e.block.Spills {
			b = s.spill(e)
		}
		s.memory.unreserve(e.block.Memory)
		change := protocol.BlockUpdate{ID: e.id}
		if b.File != "" {
			change = present(e.id, b)
			s.mu.Lock()
			kept := &entry{id: e.id, block: b}
			kept.place = s.recent.PushBack(kept)
			s.blocks[e.id] = kept
			s.mu.Unlock()
		}
		s.changed(change)
	}
	return freed
}

// oldest takes the least recently used block in memory out of the store.
func (s *Store) oldest(except int) *entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	for el := s.recent.Back(); el != nil; el = el.Prev() {
		if e := el.Value.(*entry); e.block.Rows != nil && e.id.Dataset != except {
			delete(s.blocks, e.id)
			s.recent.Remove(el)
			return e
		}
	}
	return nil
}

// spill moves a block to disk. One that no disk takes is forgotten, and nothing of it is left there.
func (s *Store) spill(e *entry) rdd.Block {
	f, err := s.Create(e.id.Dataset, e.id.Partition)
	if err == nil {
		var n int64
		n, err = e.block.Write(e.block.Rows, f)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err == nil {
			return rdd.Block{File: f.Name(), Disk: n, Level: e.block.Level}
		}
		f.Remove()
	}
	slog.Warn("a cached block could not be moved to disk and will be computed again when needed", "dataset", e.id.Dataset, "partition", e.id.Partition, "error", err)
	return rdd.Block{}
}

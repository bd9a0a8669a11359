package executor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// A cached partition travels from one executor to another one as the named block "rdd/DATASET/PARTITION": the file that it is, or would be if it were
// put on disk, with a checksum on each piece. It does when its executor is decommissioned, when a second copy is to be kept, and when a task reads it
// elsewhere.

const blockPrefix = "rdd/"

func blockName(id protocol.BlockID) string {
	return fmt.Sprintf("%s%d/%d", blockPrefix, id.Dataset, id.Partition)
}

func parseBlockName(name string) (id protocol.BlockID, ok bool) {
	rest, ok := strings.CutPrefix(name, blockPrefix)
	dataset, partition, ok2 := strings.Cut(rest, "/")
	var err1, err2 error
	id.Dataset, err1 = strconv.Atoi(dataset)
	id.Partition, err2 = strconv.Atoi(partition)
	return id, ok && ok2 && err1 == nil && err2 == nil
}

// Open implements blocks.Provider: it serves cached partitions. Those whose rows cannot travel are not found.
func (j *jobRunner) Open(name string) (io.ReadCloser, int64, error) {
	id, ok := parseBlockName(name)
	if !ok {
		return nil, 0, fmt.Errorf("block %q: %w", name, fs.ErrNotExist)
	}
	return j.store.open(id)
}

// open opens a block as a file.
func (s *Store) open(id protocol.BlockID) (io.ReadCloser, int64, error) {
	b, ok := s.Get(id.Dataset, id.Partition)
	if !ok || b.File == "" && b.Write == nil {
		return nil, 0, fmt.Errorf("cached block %d of dataset %d: %w", id.Partition, id.Dataset, fs.ErrNotExist)
	}
	if rows, ok := b.Rows.(rdd.EncodedRows); ok {
		return io.NopCloser(bytes.NewReader(rows)), int64(len(rows)), nil
	}
	if b.File == "" {
		f, err := s.Create(id.Dataset, id.Partition)
		if err != nil {
			return nil, 0, err
		}
		defer f.Remove() // it lives on as long as it is open
		if b.Disk, err = b.Write(b.Rows, f); err != nil {
			return nil, 0, fmt.Errorf("write cached block %d of dataset %d: %w", id.Partition, id.Dataset, err)
		}
		b.File = f.Name()
	}
	f, err := os.Open(b.File)
	if err != nil {
		return nil, 0, err
	}
	return f, b.Disk, nil
}

// CopyBlock implements host.BlockCopier: it keeps a cached partition that another executor has.
func (j *jobRunner) CopyBlock(ctx context.Context, id protocol.BlockID, addr string, level uint8) (fetch func() error) {
	c := j.store.beginCopy(id, rdd.StorageLevel(level))
	return func() error {
		defer j.store.endCopy(c)
		if _, ok := j.store.Get(id.Dataset, id.Partition); ok {
			return nil
		}
		if err := j.store.copyFrom(ctx, j.cfg.OpenBlock, addr, c); err != nil {
			return fmt.Errorf("copy cached block %d of dataset %d: %w", id.Partition, id.Dataset, err)
		}
		j.reportBlocks()
		return nil
	}
}

// blockCopy is a copy that is being made. Its dataset may be removed meanwhile: what it holds can be of rows that are no longer right.
type blockCopy struct {
	id    protocol.BlockID
	level rdd.StorageLevel
	void  bool
}

func (s *Store) beginCopy(id protocol.BlockID, level rdd.StorageLevel) *blockCopy {
	c := &blockCopy{id: id, level: level}
	s.mu.Lock()
	s.copies[c] = true
	s.mu.Unlock()
	return c
}

func (s *Store) endCopy(c *blockCopy) {
	s.mu.Lock()
	delete(s.copies, c)
	s.mu.Unlock()
}

// errNoRoom says that a copy is not kept because no memory is left for it.
var errNoRoom = errors.New("there is no room in memory for it")

// errRemoved says that a copy is not kept because its dataset was removed.
var errRemoved = errors.New("its dataset was removed meanwhile")

// copyFrom keeps a copy of a partition: in memory as bytes if it is to be there and there is room, else on disk.
func (s *Store) copyFrom(ctx context.Context, open openBlock, addr string, c *blockCopy) error {
	id, level := c.id, c.level
	r, n, err := open(ctx, addr, blockName(id))
	if err != nil {
		return err
	}
	defer r.Close()
	if level.UseMemory() {
		if s.Reserve(id.Dataset, n) {
			return s.copyToMemory(r, n, c)
		}
		if !level.UseDisk() {
			return errNoRoom
		}
	}
	f, err := s.Create(id.Dataset, id.Partition)
	if err != nil {
		return err
	}
	if err := writeCopy(f, r); err != nil {
		return err
	}
	if !s.put(id, rdd.Block{File: f.Name(), Disk: n, Level: level}, c) {
		f.Remove()
		return errRemoved
	}
	return nil
}

// copyToMemory reads the n bytes of a copy, for which memory was reserved.
func (s *Store) copyToMemory(r io.Reader, n int64, c *blockCopy) error {
	rows := make(rdd.EncodedRows, n)
	_, err := io.ReadFull(r, rows)
	var b rdd.Block
	if err == nil {
		b, err = rdd.NewEncodedBlock(rows, c.level)
	}
	if err == nil && !s.put(c.id, b, c) {
		err = errRemoved
	}
	if err != nil {
		s.Unreserve(n)
	}
	return err
}

// writeCopy writes a copy to a file, which it closes, and holds it against its checksums. After an error the file is gone.
func writeCopy(f *disk.File, r io.Reader) error {
	_, err := io.Copy(f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = rdd.CheckBlock(f.Name())
	}
	if err != nil {
		f.Remove()
	}
	return err
}

// openBlock opens a named block of the server at an address: blocks.Client.Open.
type openBlock = func(ctx context.Context, addr, name string) (io.ReadCloser, int64, error)

// replica is a partition that other executors keep, and where this task has put its copy.
type replica struct {
	addrs []string // to be asked
	path  string
}

// Replica implements rdd.ReplicaRuntime: it asks those that the driver named when it launched the task, each once, until one has it.
func (t *taskRuntime) Replica(dataset, partition int) string {
	id := protocol.BlockID{Dataset: dataset, Partition: partition}
	b := t.replicas[id]
	if b == nil || t.runner.cfg.OpenBlock == nil {
		return ""
	}
	for b.path == "" && len(b.addrs) > 0 && t.ctx.Err() == nil {
		addr := b.addrs[0]
		b.addrs = b.addrs[1:]
		path, err := t.fetchReplica(addr, id)
		if err != nil && t.ctx.Err() == nil {
			slog.Warn("a cached block cannot be read from another executor", "dataset", dataset, "partition", partition, "from", addr, "error", err)
		}
		b.path = path
	}
	return b.path
}

func (t *taskRuntime) fetchReplica(addr string, id protocol.BlockID) (path string, err error) {
	r, _, err := t.runner.cfg.OpenBlock(t.ctx, addr, blockName(id))
	if err != nil {
		return "", err
	}
	defer r.Close()
	f, err := t.env.Spills.Create("cached block", fmt.Sprintf("rdd_%d_%d", id.Dataset, id.Partition))
	if err != nil {
		return "", err
	}
	if err := writeCopy(f, r); err != nil {
		return "", err
	}
	return f.Name(), nil
}

// reportBlocks tells the driver at once of the blocks that came or went.
func (r *Runner) reportBlocks() {
	r.mu.Lock()
	blocks := r.blocks
	r.blocks = nil
	r.mu.Unlock()
	if len(blocks) > 0 && r.cfg.Updates != nil {
		r.cfg.Updates(blocks)
	}
}

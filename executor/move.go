package executor

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
)

// A cached partition travels from an executor that is decommissioned to another one as the named block "rdd/DATASET/PARTITION": the file that it is, or
// would be if it were put on disk, with a checksum on each piece.

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

// CopyBlock implements host.BlockCopier: it keeps a cached partition that another executor has, on disk at first.
func (j *jobRunner) CopyBlock(ctx context.Context, id protocol.BlockID, addr string) error {
	if _, ok := j.store.Get(id.Dataset, id.Partition); ok {
		return nil
	}
	f, err := j.store.Create(id.Dataset, id.Partition)
	if err != nil {
		return err
	}
	n, err := j.download(ctx, addr, blockName(id), f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = rdd.CheckBlock(f.Name())
	}
	if err != nil {
		f.Remove()
		return fmt.Errorf("copy cached block %d of dataset %d: %w", id.Partition, id.Dataset, err)
	}
	j.store.Put(id.Dataset, id.Partition, rdd.Block{File: f.Name(), Disk: n})
	j.reportBlocks()
	return nil
}

func (j *jobRunner) download(ctx context.Context, addr, name string, to io.Writer) (n int64, err error) {
	r, _, err := j.client.Open(ctx, addr, name)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	return io.Copy(to, r)
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

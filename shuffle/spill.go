package shuffle

import (
	"fmt"
	"sync/atomic"

	"github.com/spark-go/spark-go/shuffle/disk"
	"github.com/spark-go/spark-go/shuffle/seal"
)

// spillFile is an append-only file of blocks among env's directories of spills. It is created by the first append and removed by close.
type spillFile struct {
	dirs    *disk.Dirs
	name    string    // what the file holds, for its name
	key     *seal.Key // of its blocks
	metrics *Metrics
	f       *disk.File
	size    int64
}

// extent is a range of a spill file.
type extent struct {
	off, n int64
}

func newSpillFile(env *Env, name string) *spillFile {
	return &spillFile{dirs: env.SpillDirs(), name: name, key: env.Key, metrics: env.Metrics}
}

// append writes b, which holds the given number of rows, at the end of the file.
func (s *spillFile) append(b []byte, rows int) (extent, error) {
	if s.f == nil {
		f, err := s.dirs.Create("spill file", fmt.Sprintf("%s-%d.spill", s.name, spillNumber.Add(1)))
		if err != nil {
			return extent{}, fmt.Errorf("shuffle: %w", err)
		}
		s.f = f
	}
	if _, err := s.f.Write(b); err != nil {
		return extent{}, fmt.Errorf("shuffle: %w", err)
	}
	e := extent{s.size, int64(len(b))}
	s.size += e.n
	if m := s.metrics; m != nil {
		m.SpilledBytes += e.n
		m.SpilledRows += int64(rows)
	}
	return e, nil
}

// spillNumber makes the names of spill files differ.
var spillNumber atomic.Int64

// read fills p from offset off.
func (s *spillFile) read(p []byte, off int64) error {
	if err := readFullAt(s.f, p, off); err != nil {
		return s.readError(err)
	}
	return nil
}

func (s *spillFile) readError(err error) error {
	return fmt.Errorf("shuffle: read spill file %s: %w", s.f.Name(), err)
}

// close removes the file; calling it again does nothing.
func (s *spillFile) close() {
	if s.f != nil {
		s.f.Remove()
		s.f = nil
	}
}

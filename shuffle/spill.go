package shuffle

import (
	"os"
)

// spillFile is an append-only file of blocks under env.SpillDir. It is created by the first append and removed by close.
type spillFile struct {
	dir     string
	name    string // what the file holds, for its name
	metrics *Metrics
	f       *os.File
	size    int64
}

// extent is a range of a spill file.
type extent struct {
	off, n int64
}

func newSpillFile(env *Env, name string) *spillFile {
	return &spillFile{dir: env.SpillDir, name: name, metrics: env.Metrics}
}

// append writes b, which holds the given number of rows, at the end of the file.
func (s *spillFile) append(b []byte, rows int) (extent, error) {
	if s.f == nil {
		if s.dir != "" {
			if err := os.MkdirAll(s.dir, 0o700); err != nil {
				return extent{}, diskError("create spill folder", s.dir, err)
			}
		}
		f, err := os.CreateTemp(s.dir, s.name+"-*.spill")
		if err != nil {
			return extent{}, diskError("create spill file", s.place(), err)
		}
		s.f = f
	}
	if _, err := s.f.WriteAt(b, s.size); err != nil {
		return extent{}, diskError("write spill file", s.place(), err)
	}
	e := extent{s.size, int64(len(b))}
	s.size += e.n
	if m := s.metrics; m != nil {
		m.SpilledBytes += e.n
		m.SpilledRows += int64(rows)
	}
	return e, nil
}

// read fills p from offset off.
func (s *spillFile) read(p []byte, off int64) error {
	if err := readFullAt(s.f, p, off); err != nil {
		return diskError("read spill file", s.place(), err)
	}
	return nil
}

func (s *spillFile) place() string {
	if s.dir == "" {
		return os.TempDir()
	}
	return s.dir
}

// close removes the file; calling it again does nothing.
func (s *spillFile) close() {
	if s.f != nil {
		s.f.Close()
		os.Remove(s.f.Name())
		s.f = nil
	}
}

package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// piece is a cached partition on its way: 1000 bytes of rows behind a head with their length and checksum.
func piece() []byte {
	rows := bytes.Repeat([]byte("0123456789"), 100)
	head := binary.LittleEndian.AppendUint32(nil, 1000)
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, rows)
	return append(binary.LittleEndian.AppendUint32(head, sum), rows...)
}

// sender serves blocks by the address that is asked, and counts the questions.
type sender struct {
	blocks map[string][]byte
	asked  map[string]int
}

func (s *sender) open(_ context.Context, addr, _ string) (io.ReadCloser, int64, error) {
	s.asked[addr]++
	b, ok := s.blocks[addr]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), 1008, nil
}

// damagedSender has a good block, one with a flipped bit and one that is cut short.
func damagedSender() *sender {
	flipped := piece()
	flipped[500] ^= 4
	return &sender{map[string][]byte{"good": piece(), "flipped": flipped, "cut": piece()[:900]}, map[string]int{}}
}

// A copy is kept as its level says, where there is room, and told; what arrives damaged is not kept, and leaves neither memory nor files taken.
func TestCopiesAreKeptWhereThereIsRoom(t *testing.T) {
	for _, c := range []struct {
		from         string
		level        rdd.StorageLevel
		room         int64
		memory, disk int64 // that is told; none if it is not kept
	}{
		{"good", rdd.MemoryOnly2, 1100, 1008, 0},
		{"good", rdd.MemoryOnly2, 1000, 0, 0},
		{"good", rdd.MemoryAndDisk2, 1100, 1008, 0},
		{"good", rdd.MemoryAndDisk2, 1000, 0, 1008},
		{"good", rdd.DiskOnly2, 1100, 0, 1008},
		{"good", rdd.None, 1100, 0, 1008}, // moved
		{"flipped", rdd.MemoryOnly2, 1100, 0, 0},
		{"flipped", rdd.DiskOnly2, 1100, 0, 0},
		{"cut", rdd.MemoryAndDisk2, 1100, 0, 0},
		{"cut", rdd.DiskOnly2, 1100, 0, 0},
		{"nobody", rdd.MemoryOnly2, 1100, 0, 0},
	} {
		dir := filepath.Join(t.TempDir(), "blocks")
		m := NewMemory(c.room, 1)
		var told []protocol.BlockUpdate
		s := NewStore(m, disk.New(dir), func(u protocol.BlockUpdate) { told = append(told, u) })
		id := protocol.BlockID{Dataset: 7, Partition: 3}
		err := s.copyFrom(context.Background(), damagedSender().open, c.from, s.beginCopy(id, c.level))
		_, used, _ := m.Used()
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		if kept := c.memory+c.disk > 0; !kept {
			if err == nil || len(told) != 0 || used != 0 || len(files) != 0 {
				t.Errorf("%s, %v: error %v, told %v, %d bytes taken, files %v", c.from, c.level, err, told, used, files)
			}
			if want := c.from == "good"; errors.Is(err, errNoRoom) != want {
				t.Errorf("%s, %v: %v", c.from, c.level, err)
			}
			continue
		}
		want := protocol.BlockUpdate{ID: id, Memory: c.memory, Disk: c.disk, Level: uint8(c.level)}
		if err != nil || len(told) != 1 || told[0] != want || used != c.memory || (len(files) == 1) != (c.disk > 0) {
			t.Errorf("%s, %v: error %v, told %v, %d bytes taken, files %v", c.from, c.level, err, told, used, files)
		}
		// It can be copied on, and gives back what it took.
		r, n, err := s.open(id)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || n != 1008 || !bytes.Equal(b, piece()) {
			t.Errorf("%v: %d of %d bytes, %v", c.level, len(b), n, err)
		}
		r.Close()
		if b, ok := s.Get(7, 3); !ok || b.Spills != (c.level == rdd.MemoryAndDisk2 && c.memory > 0) {
			t.Errorf("%v: spills %v", c.level, b.Spills)
		}
		s.free(1, -1)
		if b, ok := s.Get(7, 3); ok != (c.level != rdd.MemoryOnly2) || ok && b.Disk != 1008 || ok && b.Level != c.level {
			t.Errorf("%v: after memory was short: %v, %+v", c.level, ok, b)
		}
		s.Remove(7)
		if _, used, _ := m.Used(); used != 0 {
			t.Errorf("%v: %d bytes are taken at the end", c.level, used)
		}
		s.Close()
	}
}

// A copy whose dataset is removed while it is being made is not kept: its rows may no longer be right.
func TestCopyOfARemovedDataset(t *testing.T) {
	for _, level := range []rdd.StorageLevel{rdd.MemoryOnly2, rdd.DiskOnly2} {
		dir := t.TempDir()
		m := NewMemory(2000, 1)
		s := NewStore(m, disk.New(dir), func(u protocol.BlockUpdate) { t.Errorf("%v: %+v was told", level, u) })
		c, other := s.beginCopy(protocol.BlockID{Dataset: 7}, level), s.beginCopy(protocol.BlockID{Dataset: 8}, level)
		err := s.copyFrom(context.Background(), func(ctx context.Context, addr, name string) (io.ReadCloser, int64, error) {
			s.Remove(7)
			return damagedSender().open(ctx, addr, name)
		}, "good", c)
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		if _, used, _ := m.Used(); !errors.Is(err, errRemoved) || used != 0 || len(files) != 0 || other.void {
			t.Errorf("%v: error %v, %d bytes taken, files %v, another dataset's copy void %v", level, err, used, files, other.void)
		}
		s.endCopy(c)
		s.endCopy(other)
		if len(s.copies) != 0 {
			t.Error("copies are remembered")
		}
		s.Close()
	}
}

// A task reads a partition from the first executor that has it in order, and asks each once, however often it reads.
func TestReplicaOfATask(t *testing.T) {
	from := damagedSender()
	spills := disk.New(t.TempDir()).Sub("task")
	lent := &taskRuntime{
		ctx: context.Background(), runner: &Runner{cfg: Config{OpenBlock: from.open}}, env: &shuffle.Env{Spills: spills},
		replicas: map[protocol.BlockID]*replica{
			{Dataset: 1, Partition: 2}: {addrs: []string{"nobody", "flipped", "cut", "good", "good too"}},
			{Dataset: 1, Partition: 3}: {addrs: []string{"cut"}},
		},
	}
	for range 2 {
		b, err := os.ReadFile(lent.Replica(1, 2))
		if err != nil || !bytes.Equal(b, piece()) {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		if p := lent.Replica(1, 3) + lent.Replica(1, 4); p != "" {
			t.Errorf("a damaged partition, or one that nobody knows, is said to be at %s", p)
		}
	}
	for addr, n := range from.asked {
		if want := strings.Count("nobody flipped cut cut good", addr); n != want {
			t.Errorf("%s was asked %d times, want %d", addr, n, want)
		}
	}
	if err := spills.RemoveAll(); err != nil {
		t.Error(err)
	}
	// A task that is killed asks nobody.
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	lent.ctx, lent.replicas = ctx, map[protocol.BlockID]*replica{{}: {addrs: []string{"good"}}}
	if p := lent.Replica(0, 0); p != "" {
		t.Errorf("a killed task reads %s", p)
	}
}

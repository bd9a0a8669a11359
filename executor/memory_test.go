package executor

import (
	"path/filepath"
	"testing"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/rdd"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// The memory that structures need not ask for stays a small part of small budgets.
func TestFloor(t *testing.T) {
	for _, c := range []struct{ total, want int64 }{{0, 64 << 10}, {3 << 20, 64 << 10}, {38 << 20, 38 << 14}, {64 << 20, 1 << 20}, {8 << 30, 1 << 20}} {
		if got := floor(c.total); got != c.want {
			t.Errorf("floor(%d) = %d, want %d", c.total, got, c.want)
		}
	}
}

// An update of no bytes means that a block is gone: one without rows must not look like that, in memory or on disk.
func TestEmptyBlockIsReported(t *testing.T) {
	var last protocol.BlockUpdate
	s := NewStore(NewMemory(1<<20, 0.5), disk.New(t.TempDir()), func(u protocol.BlockUpdate) { last = u })
	defer s.Close()
	s.Put(1, 2, rdd.Block{Rows: []int64{}})
	if last.Memory+last.Disk == 0 {
		t.Errorf("a block without rows was reported as %+v", last)
	}
	s.Put(1, 2, rdd.Block{File: filepath.Join(t.TempDir(), "empty")})
	if last.Memory+last.Disk == 0 {
		t.Errorf("a file without rows was reported as %+v", last)
	}
}

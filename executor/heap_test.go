package executor

import (
	"runtime"
	"testing"
	"time"

	"github.com/spark-go/spark-go/executor/protocol"
	"github.com/spark-go/spark-go/shuffle/disk"
)

// What is alive and in no book is taken off what is granted.
func TestHeapLimitsTheBudget(t *testing.T) {
	m := NewMemory(600, 0.5)
	m.heap = &heap{limit: 800, press: 850}
	task := m.Task()
	if got := task.Acquire(300); got != 300 {
		t.Fatalf("got %d", got)
	}
	for _, c := range []struct {
		name         string
		alive, fixed int64
		over, free   int64
	}{
		{"all in the books", 300, 50, 0, 300},
		{"some in none", 500, 50, 0, 150}, // 250, of which what is granted keeps two thirds more alive
		{"more than all", 900, 50, 150, -150},
		{"gone again", 300, 50, 0, 300},
	} {
		before := task.Pressure()
		if over := m.heap.look(c.alive, c.fixed, 300); over != c.over {
			t.Errorf("%s: %d too much, want %d", c.name, over, c.over)
		}
		if pressed := task.Pressure() != before; pressed != (c.over > 0) {
			t.Errorf("%s: under pressure %v", c.name, pressed)
		}
		if got := m.free(); got != c.free {
			t.Errorf("%s: %d are free, want %d", c.name, got, c.free)
		}
		if got, want := task.Acquire(1000), max(0, c.free); got != want {
			t.Errorf("%s: got %d, want %d", c.name, got, want)
		} else {
			task.Release(got)
		}
	}
	// What was released while a collection ran was alive to it, and is not taken for memory in no book.
	task.Release(300)
	m.heap.look(300, 50, 0)
	if got := m.free(); got != 600 {
		t.Errorf("%d are free of a budget that nobody uses", got)
	}
}

// What cannot be divided gets more than a task's share, and evicts cached blocks that are protected from others.
func TestWholeMemory(t *testing.T) {
	m := NewMemory(1000, 0.5)
	s := NewStore(m, disk.New(t.TempDir()), func(protocol.BlockUpdate) {})
	defer s.Close()
	s.Reserve(1, 400)
	s.Put(1, 0, block(400, false))
	a, b := m.Task(), m.Task()
	b.Acquire(100)
	if got := a.Acquire(700); got != 500 {
		t.Errorf("a task's share is %d", got)
	}
	if a.AcquireWhole(500) || !a.AcquireWhole(400) || a.AcquireWhole(1) {
		t.Error("want all that the other task does not hold, the cached block's memory too, and no more")
	}
	if leaked, _ := a.Close(); leaked != 900 {
		t.Errorf("%d are given back", leaked)
	}
}

var retained [][]byte

// The heap of this process is looked at after each collection, and cached blocks make way for what is in no book.
func TestWatchHeap(t *testing.T) {
	m := NewMemory(64<<20, 0.5)
	s := NewStore(m, disk.New(t.TempDir()), func(protocol.BlockUpdate) {})
	defer s.Close()
	s.Reserve(1, 32<<20)
	s.Put(1, 0, block(32<<20, false))
	m.watchHeap(100 << 20)
	defer func() { retained = nil }()
	for range 8 {
		retained = append(retained, make([]byte, 8<<20))
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		runtime.GC()
		if _, storage, _ := m.Used(); storage == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the cached block is still there")
		}
		time.Sleep(time.Millisecond)
	}
	if m.Task().Pressure() == 0 {
		t.Error("nobody was told")
	}
}
